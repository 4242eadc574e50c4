//! Stream machines without sockets: one against a script, or two back to back, on virtual time.
#![allow(
    clippy::unwrap_used,
    dead_code,
    reason = "shared by several test files, each of which uses a part"
)]

pub(crate) mod servers;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use translators::model::{Domain, Mono, Now, Wall};
use translators::xmpp::faults::StreamFault;
use translators::xmpp::stream::{
    Acks, Cause, CloseReason, IncomingSettings, LinkInput, OutgoingSettings, StartTls, Stream,
    StreamEvent, Terms, TlsVersion, Verdict,
};

/// The XMPP peer.
pub(crate) const PEER: &str = "xmpp.example";
/// Our domain.
pub(crate) const OURS: &str = "sip.example";

pub(crate) fn domain(name: &str) -> Domain {
    Domain::parse(name).unwrap()
}

pub(crate) fn incoming() -> IncomingSettings {
    IncomingSettings {
        domains: Arc::new([OURS, "sip2.example"].map(domain).into_iter().collect()),
        management: true,
        seed: 1,
    }
}

pub(crate) fn outgoing() -> OutgoingSettings {
    OutgoingSettings {
        local: domain(OURS),
        remote: domain(PEER),
        domains: vec![domain(PEER), domain("conference.xmpp.example")],
        terms: Terms::default(),
        acks: Acks::Auto,
        authzid: true,
        settle: Duration::ZERO,
        seed: 2,
    }
}

pub(crate) fn proven() -> Verdict {
    Verdict::Proven {
        domains: vec![domain(PEER)],
        terms: Terms::default(),
    }
}

pub(crate) fn unproven() -> Verdict {
    Verdict::Unproven(Cause {
        id: "certificate-expired",
        sentence: "the certificate has expired".to_owned(),
    })
}

/// One machine with what it did.
pub(crate) struct Machine {
    pub(crate) stream: Stream,
    pub(crate) now: Mono,
    pub(crate) wake_at: Option<Mono>,
    pub(crate) written: String,
    pub(crate) events: Vec<StreamEvent>,
    pub(crate) start_tls: Option<StartTls>,
    pub(crate) closed: Option<CloseReason>,
    /// Bytes are fed in pieces of this size.
    pub(crate) piece: usize,
}

impl Machine {
    pub(crate) fn new(stream: Stream) -> Self {
        Self {
            stream,
            now: Mono::default(),
            wake_at: None,
            written: String::new(),
            events: Vec::new(),
            start_tls: None,
            closed: None,
            piece: usize::MAX,
        }
    }

    /// An incoming machine whose TCP is up.
    pub(crate) fn accepted() -> Self {
        let mut machine = Self::new(Stream::incoming(incoming()));
        machine.input(LinkInput::Connected);
        machine
    }

    /// An outgoing machine whose TCP is up.
    pub(crate) fn dialled(settings: OutgoingSettings) -> Self {
        let mut machine = Self::new(Stream::outgoing(settings));
        machine.input(LinkInput::Connected);
        machine
    }

    pub(crate) fn input(&mut self, input: LinkInput<'_>) {
        let now = Now {
            mono: self.now,
            wall: Wall::default(),
        };
        let effects = self.stream.handle(input, now);
        self.written
            .push_str(std::str::from_utf8(&effects.write).unwrap());
        self.events.extend(effects.events);
        self.start_tls = effects.start_tls.or_else(|| self.start_tls.take());
        self.wake_at = effects.wake_at;
        if let Some(reason) = effects.close {
            assert_eq!(self.closed.replace(reason), None, "closed twice");
        }
    }

    /// Feeds bytes of the peer and returns what is written in answer.
    pub(crate) fn read(&mut self, text: impl AsRef<[u8]>) -> String {
        self.feed(text.as_ref());
        self.take_written()
    }

    /// Feeds bytes of the peer in pieces.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(self.piece) {
            self.input(LinkInput::Bytes(piece));
        }
    }

    pub(crate) fn tls(&mut self) -> String {
        assert!(self.start_tls.take().is_some(), "TLS was not asked for");
        self.input(LinkInput::Tls(TlsVersion::Tls13));
        self.take_written()
    }

    pub(crate) fn verdict(&mut self, verdict: Verdict) -> String {
        self.input(LinkInput::Verdict(verdict));
        self.take_written()
    }

    pub(crate) fn send(&mut self, text: &str, barrier: bool) -> String {
        self.input(LinkInput::Send {
            bytes: Bytes::copy_from_slice(text.as_bytes()),
            barrier,
        });
        self.take_written()
    }

    pub(crate) fn take_written(&mut self) -> String {
        std::mem::take(&mut self.written)
    }

    pub(crate) fn take_events(&mut self) -> Vec<StreamEvent> {
        std::mem::take(&mut self.events)
    }

    /// Lets time pass, with every wake-up on the way.
    pub(crate) fn pass(&mut self, span: Duration) {
        let until = self.now + span;
        while let Some(wake) = self.wake_at.filter(|wake| *wake <= until) {
            assert!(wake >= self.now, "a wake-up in the past");
            self.now = wake;
            self.input(LinkInput::Timeout);
            assert!(
                self.wake_at.is_none_or(|next| next > wake),
                "a wake-up that changes nothing"
            );
        }
        self.now = until;
    }

    pub(crate) fn pass_seconds(&mut self, seconds: u64) {
        self.pass(Duration::from_secs(seconds));
    }
}

/// Header of a peer in the plainest form.
pub(crate) fn header(from: &str, to: &str) -> String {
    format!(
        "<?xml version='1.0'?><stream:stream xmlns='jabber:server' \
         xmlns:stream='http://etherx.jabber.org/streams' from='{from}' to='{to}' version='1.0'>"
    )
}

pub(crate) const STARTTLS: &str = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
pub(crate) const AUTH: &str =
    "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>";

/// An incoming stream whose peer is about to authenticate.
pub(crate) fn before_auth(verdict: Verdict) -> Machine {
    let mut machine = Machine::accepted();
    machine.read(header(PEER, OURS));
    machine.read(STARTTLS);
    machine.tls();
    machine.read(header(PEER, OURS));
    machine.verdict(verdict);
    machine.take_events();
    machine
}

/// An established incoming stream.
pub(crate) fn receiving() -> Machine {
    let mut machine = before_auth(proven());
    machine.read(AUTH);
    machine.read(header(PEER, OURS));
    machine.take_events();
    machine
}

pub(crate) const FEATURES_TLS: &str = "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'>\
    <required/></starttls></stream:features>";
pub(crate) const PROCEED: &str = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
pub(crate) const FEATURES_EXTERNAL: &str = "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>\
    <mechanism>EXTERNAL</mechanism></mechanisms></stream:features>";
pub(crate) const SUCCESS: &str = "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>";

/// An outgoing stream that has seen the features behind TLS.
pub(crate) fn authenticating(settings: OutgoingSettings) -> Machine {
    let mut machine = Machine::dialled(settings);
    machine.read(header(PEER, OURS));
    machine.read(FEATURES_TLS);
    machine.read(PROCEED);
    machine.tls();
    machine.read(header(PEER, OURS));
    machine.read(FEATURES_EXTERNAL);
    machine
}

/// An established outgoing stream; `features`: content of the peer's last features.
pub(crate) fn sending_with(settings: OutgoingSettings, features: &str) -> Machine {
    let mut machine = authenticating(settings);
    machine.read(SUCCESS);
    machine.read(header(PEER, OURS));
    machine.read(format!("<stream:features>{features}</stream:features>"));
    machine.take_events();
    machine
}

/// An established outgoing stream without stream management.
pub(crate) fn sending() -> Machine {
    sending_with(outgoing(), "")
}

pub(crate) fn ends_with(machine: &Machine, fault: StreamFault) {
    assert_eq!(machine.closed, Some(CloseReason::Fault(fault)));
}

fn error(condition: &str) -> String {
    format!("<stream:error><{condition} xmlns=\"urn:ietf:params:xml:ns:xmpp-streams\"/>")
}

pub(crate) fn assert_error(written: &str, condition: &str) {
    assert!(written.contains(&error(condition)), "{written}");
    assert!(
        written.ends_with("</stream:error></stream:stream>"),
        "{written}"
    );
}
