//! Streams that we open: STARTTLS, EXTERNAL, then stanzas of ours with barriers behind them.

use std::time::Duration;

use minidom::Element;

use super::established::Established;
use super::sending::Sending;
use super::types::{
    Acks, CloseReason, LinkInput, OutgoingSettings, Stage, StartTls, StreamEvent, TlsVersion,
};
use super::wire::{Flow, Wire, is_dialback};
use crate::limits;
use crate::model::Mono;
use crate::xmpp::acks::Barrier;
use crate::xmpp::faults::{PeerError, StreamFault};
use crate::xmpp::ns;
use crate::xmpp::reader::{Frame, StreamHeader};
use crate::xmpp::sasl::{self, SaslFailure};

/// The initiating entity's machine.
pub(super) struct Outgoing {
    settings: OutgoingSettings,
    state: State,
    /// Until when the peer has to answer.
    patience: Mono,
}

/// Which of the up to three streams of the connection is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// In clear text, for STARTTLS.
    Plain,
    /// Behind TLS, for SASL.
    Secure(TlsVersion),
    /// Behind SASL, for stanzas.
    Authenticated,
}

enum State {
    /// Nothing yet.
    Connecting,
    /// Our header is written, the peer's is awaited.
    Header(Phase),
    /// The peer's features are awaited.
    Features {
        phase: Phase,
        declaration: bool,
    },
    /// `<starttls/>` is written.
    Proceed {
        declaration: bool,
    },
    /// The TLS handshake runs.
    Handshake,
    /// `<auth/>` is written.
    Answer,
    Established(Box<Sending>),
}

impl Outgoing {
    pub(super) fn new(settings: OutgoingSettings) -> Self {
        Self {
            settings,
            state: State::Connecting,
            patience: Mono::default(),
        }
    }

    pub(super) fn stage(&self) -> Stage {
        match &self.state {
            State::Connecting => Stage::Connecting,
            State::Header(phase) | State::Features { phase, .. } => match phase {
                Phase::Plain => Stage::Plain,
                Phase::Secure(_) => Stage::Authentication,
                Phase::Authenticated => Stage::Restart,
            },
            State::Proceed { .. } | State::Handshake => Stage::Handshake,
            State::Answer => Stage::Authentication,
            State::Established(sending) => sending.base.stage(),
        }
    }

    pub(super) fn is_reading(&self) -> bool {
        !matches!(self.state, State::Connecting | State::Handshake)
    }

    pub(super) fn input(&mut self, input: &LinkInput<'_>, wire: &mut Wire, now: Mono) {
        match input {
            LinkInput::Connected => self.open(Phase::Plain, wire, now),
            LinkInput::Tls(version) => {
                wire.restart();
                self.open(Phase::Secure(*version), wire, now);
            }
            LinkInput::Send { bytes, barrier } => {
                if let State::Established(sending) = &mut self.state {
                    sending.send(bytes, *barrier, wire, now);
                }
            }
            LinkInput::Answered(id) => {
                if let State::Established(sending) = &mut self.state {
                    sending.answered(id, wire, now);
                }
            }
            LinkInput::Settled(n) => {
                if let State::Established(sending) = &mut self.state {
                    sending.base.settled(*n, wire);
                }
            }
            LinkInput::Shutdown => match &mut self.state {
                State::Established(sending) => sending.base.shut_down(wire, now),
                State::Connecting
                | State::Header(_)
                | State::Features { .. }
                | State::Proceed { .. }
                | State::Handshake
                | State::Answer => self.give_up(CloseReason::Completed, wire),
            },
            LinkInput::Timeout => self.timeout(wire, now),
            // The shell verifies the certificate of an outgoing link in the handshake.
            LinkInput::Verdict(_) => {}
            // Handled for both roles.
            LinkInput::Bytes(_) | LinkInput::Eof => {}
        }
    }

    fn wait(&mut self, state: State, now: Mono) {
        let silent_after_tls13 = matches!(state, State::Header(Phase::Secure(TlsVersion::Tls13)));
        self.state = state;
        self.patience = now
            + if silent_after_tls13 {
                limits::HEADER_AFTER_TLS13_TIME
            } else {
                limits::SETUP_STEP_TIME
            };
    }

    fn open(&mut self, phase: Phase, wire: &mut Wire, now: Mono) {
        let (from, to) = (
            self.settings.local.to_ascii(),
            self.settings.remote.to_ascii(),
        );
        wire.header(Some(&from), Some(&to), false);
        self.wait(State::Header(phase), now);
    }

    fn give_up(&self, reason: CloseReason, wire: &mut Wire) {
        if !matches!(self.state, State::Handshake) {
            wire.end();
        }
        wire.close(reason);
    }

    pub(super) fn fail(&self, fault: StreamFault, wire: &mut Wire) {
        let (from, to) = (
            self.settings.local.to_ascii(),
            self.settings.remote.to_ascii(),
        );
        wire.fail(fault, Some(&from), Some(&to));
    }

    pub(super) fn eof(&self, wire: &mut Wire) {
        let stage = self.stage();
        wire.close(if stage == Stage::Closing {
            CloseReason::Completed
        } else {
            CloseReason::Eof(stage)
        });
    }

    pub(super) fn frame(
        &mut self,
        frame: Frame,
        wire: &mut Wire,
        now: Mono,
    ) -> Result<Flow, StreamFault> {
        match frame {
            Frame::Header(header) => {
                self.header(&header, wire, now);
                Ok(Flow::Next)
            }
            Frame::Stanza(element) => self.element(element, wire, now),
            Frame::Oversize(root) => match &mut self.state {
                State::Established(sending) => {
                    sending.base.oversize(&root, wire).map(|()| Flow::Next)
                }
                State::Connecting
                | State::Header(_)
                | State::Features { .. }
                | State::Proceed { .. }
                | State::Handshake
                | State::Answer => Err(StreamFault::BeforeAuthentication),
            },
            Frame::Close => {
                match &self.state {
                    State::Established(sending) => sending.base.peer_closed(wire),
                    State::Connecting
                    | State::Header(_)
                    | State::Features { .. }
                    | State::Proceed { .. }
                    | State::Handshake
                    | State::Answer => self.give_up(CloseReason::PeerClosed(self.stage()), wire),
                }
                Ok(Flow::Discard)
            }
        }
    }

    /// Takes the peer's header. Its `from` may be another domain of the same server (Openfire), its `to` and `id` may
    /// be missing: who the peer is says its certificate.
    fn header(&mut self, header: &StreamHeader, wire: &mut Wire, now: Mono) {
        let State::Header(phase) = self.state else {
            return;
        };
        let declaration = header.declaration;
        if header.has_features() {
            self.wait(State::Features { phase, declaration }, now);
            return;
        }
        // Without a version no features follow (RFC 6120 section 4.7.5).
        match phase {
            Phase::Plain => self.ask_for_tls(declaration, wire, now),
            Phase::Secure(_) => self.give_up(CloseReason::ExternalNotOffered, wire),
            Phase::Authenticated => self.establish(None, wire, now),
        }
    }

    fn element(
        &mut self,
        element: Element,
        wire: &mut Wire,
        now: Mono,
    ) -> Result<Flow, StreamFault> {
        if let State::Established(sending) = &mut self.state {
            return sending.element(element, wire).map(|()| Flow::Next);
        }
        if is_dialback(&element) {
            wire.refuse_dialback(&element);
            return Ok(Flow::Next);
        }
        if let Some(error) = PeerError::read(&element) {
            let stage = self.stage();
            self.give_up(CloseReason::PeerError(error, stage), wire);
            return Ok(Flow::Discard);
        }
        match self.state {
            State::Features { phase, declaration } if element.is("features", ns::STREAMS) => {
                self.features(phase, declaration, &element, wire, now);
                Ok(Flow::Next)
            }
            State::Proceed { declaration } if element.is("proceed", ns::TLS) => {
                wire.start_tls(StartTls {
                    local: self.settings.local.clone(),
                    remote: Some(self.settings.remote.clone()),
                    only_tls12: !declaration,
                });
                self.wait(State::Handshake, now);
                // What came with it in clear text was not protected by TLS and must not be believed behind it.
                Ok(Flow::Discard)
            }
            State::Proceed { .. } if element.is("failure", ns::TLS) => {
                self.give_up(CloseReason::StartTlsRefused, wire);
                Ok(Flow::Discard)
            }
            // A server that offers no STARTTLS and was asked all the same may still send its features first.
            State::Proceed { .. } if element.is("features", ns::STREAMS) => Ok(Flow::Next),
            State::Answer => self.answer(&element, wire, now),
            State::Connecting
            | State::Header(_)
            | State::Features { .. }
            | State::Proceed { .. }
            | State::Handshake
            | State::Established(_) => Err(StreamFault::UnsupportedStanzaType),
        }
    }

    fn features(
        &mut self,
        phase: Phase,
        declaration: bool,
        features: &Element,
        wire: &mut Wire,
        now: Mono,
    ) {
        match phase {
            // RFC 7590 section 3.1: STARTTLS is tried even if it is not offered.
            Phase::Plain => self.ask_for_tls(declaration, wire, now),
            Phase::Secure(_) if sasl::offers_external(features) => {
                let authzid = self.settings.authzid.then_some(&self.settings.local);
                let response = sasl::initial_response(authzid);
                wire.write(|xml| {
                    xml.open("auth", Some(ns::SASL));
                    xml.attribute("mechanism", sasl::EXTERNAL);
                    xml.text(&response);
                    xml.close();
                });
                self.wait(State::Answer, now);
            }
            Phase::Secure(_) => self.give_up(CloseReason::ExternalNotOffered, wire),
            Phase::Authenticated => self.establish(Some(features), wire, now),
        }
    }

    fn ask_for_tls(&mut self, declaration: bool, wire: &mut Wire, now: Mono) {
        wire.leaf("starttls", ns::TLS);
        self.wait(State::Proceed { declaration }, now);
    }

    /// Takes the peer's answer to EXTERNAL.
    fn answer(
        &mut self,
        element: &Element,
        wire: &mut Wire,
        now: Mono,
    ) -> Result<Flow, StreamFault> {
        if !element.has_ns(ns::SASL) {
            return Err(StreamFault::UnsupportedStanzaType);
        }
        match element.name() {
            "success" => {
                wire.restart_authenticated(self.settings.terms.reader());
                self.open(Phase::Authenticated, wire, now);
                Ok(Flow::Next)
            }
            // Openfire before 4.8 asks for the authorization identity when there was none.
            "challenge" => {
                let response = sasl::initial_response(Some(&self.settings.local));
                wire.write(|xml| xml.text_leaf("response", Some(ns::SASL), &response));
                Ok(Flow::Next)
            }
            "failure" => {
                let reason = CloseReason::AuthenticationRefused(SaslFailure::read(element));
                self.give_up(reason, wire);
                Ok(Flow::Discard)
            }
            _ => Err(StreamFault::UnsupportedStanzaType),
        }
    }

    fn establish(&mut self, features: Option<&Element>, wire: &mut Wire, now: Mono) {
        let has =
            |name, namespace| features.is_some_and(|features| features.has_child(name, namespace));
        let asked = match self.settings.acks {
            Acks::Auto => has("sm", ns::SM) || has("limits", ns::LIMITS),
            Acks::Off => false,
            Acks::On => true,
        };
        if asked {
            wire.leaf("enable", ns::SM);
        }
        let (local, remote) = (self.settings.local.clone(), self.settings.remote.clone());
        wire.event(StreamEvent::Established {
            local: local.clone(),
            remote: remote.clone(),
        });
        let mut terms = self.settings.terms;
        terms.keepalive = terms.keepalive.min(patience_of(features));
        let domains = self.settings.domains.clone();
        let base = Established::new(local, remote, domains, terms, now);
        let barrier = Barrier::new(self.settings.seed, self.settings.settle);
        self.state = State::Established(Box::new(Sending::new(base, asked, barrier, now)));
    }

    pub(super) fn wrote(&mut self, now: Mono) {
        if let State::Established(sending) = &mut self.state {
            sending.base.wrote(now);
        }
    }

    fn timeout(&mut self, wire: &mut Wire, now: Mono) {
        match &mut self.state {
            State::Connecting => {}
            State::Established(sending) => sending.timeout(wire, now),
            State::Header(Phase::Secure(TlsVersion::Tls13)) if self.patience <= now => {
                self.give_up(CloseReason::SilentAfterTls13, wire);
            }
            State::Header(_)
            | State::Features { .. }
            | State::Proceed { .. }
            | State::Handshake
            | State::Answer => {
                if self.patience <= now {
                    self.give_up(CloseReason::Stalled(self.stage()), wire);
                }
            }
        }
    }

    pub(super) fn wake_at(&self) -> Option<Mono> {
        match &self.state {
            State::Connecting => None,
            State::Established(sending) => Some(sending.wake_at()),
            State::Header(_)
            | State::Features { .. }
            | State::Proceed { .. }
            | State::Handshake
            | State::Answer => Some(self.patience),
        }
    }
}

/// A third of the silence that the peer bears, where it tells (XEP-0478): Openfire counts silent halves.
fn patience_of(features: Option<&Element>) -> Duration {
    let limits = features.and_then(|features| features.get_child("limits", ns::LIMITS));
    let idle = limits.and_then(|limits| limits.get_child("idle-seconds", ns::LIMITS));
    let seconds = idle.and_then(|idle| idle.text().trim_ascii().parse::<u64>().ok());
    seconds.map_or(Duration::MAX, |seconds| {
        Duration::from_secs((seconds / 3).max(1))
    })
}
