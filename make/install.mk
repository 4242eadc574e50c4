# Puts binaries, configuration and unit in place. DESTDIR stages, PREFIX moves the binaries.
#   make install                         /usr/local/bin, /etc/isthmus, a systemd unit
#   make install DESTDIR=... PREFIX=/usr

PREFIX     ?= /usr/local
SYSCONFDIR ?= /etc
UNITDIR    ?= $(PREFIX)/lib/systemd/system
SYSUSERSDIR ?= $(PREFIX)/lib/sysusers.d
INSTALL    ?= install

.PHONY: install schema

install: ## build and put in place: DESTDIR, PREFIX (default /usr/local)
	$(CARGO) build --locked --release -p gateway
	$(INSTALL) -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(UNITDIR) $(DESTDIR)$(SYSUSERSDIR)
	$(INSTALL) -m 755 target/release/isthmusd target/release/isthmusctl $(DESTDIR)$(PREFIX)/bin
	$(INSTALL) -d $(DESTDIR)$(SYSCONFDIR)/isthmus/tls
	$(INSTALL) -d $(DESTDIR)$(PREFIX)/share/isthmus/peers
	$(INSTALL) -m 644 conf/isthmus.example.toml conf/lab.toml conf/schema.json $(DESTDIR)$(PREFIX)/share/isthmus
	$(INSTALL) -m 644 conf/peers/*.toml $(DESTDIR)$(PREFIX)/share/isthmus/peers
	test -e $(DESTDIR)$(SYSCONFDIR)/isthmus/isthmus.toml || \
	  $(INSTALL) -m 644 conf/isthmus.example.toml $(DESTDIR)$(SYSCONFDIR)/isthmus/isthmus.toml
	sed 's|/usr/local/bin/|$(PREFIX)/bin/|' conf/isthmus.service > $(DESTDIR)$(UNITDIR)/isthmus.service
	chmod 644 $(DESTDIR)$(UNITDIR)/isthmus.service
	$(INSTALL) -m 644 conf/sysusers.conf $(DESTDIR)$(SYSUSERSDIR)/isthmus.conf
	@test -n "$(DESTDIR)" || $(MAKE) --no-print-directory activate

# Makes the user and lets systemd see the unit, where systemd is; starts nothing.
.PHONY: activate
activate:
	@if command -v systemd-sysusers >/dev/null; then systemd-sysusers $(SYSUSERSDIR)/isthmus.conf; fi
	@if test -d /run/systemd/system; then systemctl daemon-reload; fi
	@echo "Next: edit $(SYSCONFDIR)/isthmus/isthmus.toml, isthmusctl check config, systemctl enable --now isthmus"

schema: ## write conf/schema.json and docs/reference/config.md from the program
	$(CARGO) run --locked -q -p gateway --bin isthmusctl -- schema > conf/schema.json
	$(CARGO) run --locked -q -p gateway --bin isthmusctl -- schema --markdown > docs/reference/config.md
