# isthmus: everything an operator, an integrator or a developer runs.
#   make demo     real peers, real messages, a transcript (ONCE=1 ends after it)
#   make test     every test, including those against Prosody, ejabberd and Kamailio
#   make help     the other targets

CARGO ?= cargo
DIR   ?=
# XMPP users of the presence benchmark: 2,500 and 400,000 subscriptions.
USERS ?= 100 16000
# How long the soak goes on.
MINUTES ?= 10
export CARGO_TERM_COLOR ?= never

.PHONY: help demo test lint lync soak bench bench-presence vectors torture packages build schema

help:
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^[^:]*:?([a-z-]+):.*## /  make \1 - /'

demo: packages build ## run the main job between a Prosody and a simulated Lync Edge, and show it
	@ISTHMUS_BIN_DIR=$(CURDIR)/target/debug target/debug/isthmus-demo

test: packages build ## run every test
	$(CARGO) test --locked --workspace --lib --bins --tests --examples
	$(CARGO) test --locked --workspace --doc

lync: packages build ## run the scenarios of Lync's behaviour and report rule by rule
	@$(CARGO) test --locked -p interop-tests --test lync --test lync_servers --test lync_equipment --test lync_links --test lync_reasons -- --nocapture \
		> target/lync-scenarios.log 2>&1 || { grep -E "^(Error|test )" target/lync-scenarios.log; false; }
	@target/debug/lync-sim --report target/lync-scenarios.log

soak: packages ## ten real minutes at a Microsoft partner's cap, then kill -9 (about 20 minutes; MINUTES=10)
	$(CARGO) build --locked --release --workspace
	@ISTHMUS_BIN_DIR=$(CURDIR)/target/release target/release/lync-soak $(MINUTES)

lint: ## formatting, lints, documentation, dependencies
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps --document-private-items
	tools/check-dependencies

bench: packages ## print costs and rates (docs/capacity.md explains them)
	$(CARGO) build --locked --release --workspace
	$(CARGO) bench --locked -p translators
	@ISTHMUS_BIN_DIR=$(CURDIR)/target/release target/release/isthmus-load
	@ISTHMUS_BIN_DIR=$(CURDIR)/target/release target/release/isthmus-sessions
	@$(MAKE) --no-print-directory bench-presence

bench-presence: packages ## the same of subscriptions: USERS="100 16000 125000", with 25 contacts each
	$(CARGO) build --locked --release --workspace
	$(CARGO) build --locked --release -p gateway --example presence_store
	@ISTHMUS_BIN_DIR=$(CURDIR)/target/release target/release/isthmus-presence $(USERS)

vectors: ## run the golden vectors of DIR (default: those of the project)
	$(CARGO) run --locked -q -p translators --example vectors -- $(or $(DIR),translators/vectors)

torture: ## judge each raw SIP message of DIR
	$(CARGO) run --locked -q -p translators --example torture -- $(or $(DIR),translators/torture)

packages: ## install the Debian packages that tests and demo need
	@tools/install-packages

build:
	$(CARGO) build --locked --workspace --all-targets

-include make/install.mk
