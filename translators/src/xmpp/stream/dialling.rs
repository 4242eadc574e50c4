//! The way of an outgoing stream to authentication: header, STARTTLS, EXTERNAL.

use minidom::Element;

use super::types::{CloseReason, OutgoingSettings, Stage, StartTls, TlsVersion};
use super::wire::{Flow, Wire, is_dialback};
use crate::limits;
use crate::model::Mono;
use crate::xmpp::faults::{PeerError, StreamFault};
use crate::xmpp::ns;
use crate::xmpp::reader::{Frame, StreamHeader};
use crate::xmpp::sasl::{self, SaslFailure};

/// A stream of ours that is being set up.
pub(super) struct Dialling {
    step: Step,
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

#[derive(Clone, Copy)]
enum Step {
    /// Nothing yet.
    Connecting,
    /// Our header is written, the peer's is awaited.
    Header(Phase),
    /// The peer's features are awaited.
    Features { phase: Phase, declaration: bool },
    /// `<starttls/>` is written.
    Proceed { declaration: bool },
    /// The TLS handshake runs.
    Handshake,
    /// `<auth/>` is written.
    Answer,
}

/// Where a frame leads.
pub(super) enum Progress {
    /// On with the negotiation.
    On(Flow),
    /// Stanzas may flow; the peer's last features, if it sends any.
    Authenticated(Option<Element>),
}

impl Dialling {
    pub(super) fn new() -> Self {
        Self {
            step: Step::Connecting,
            patience: Mono::default(),
        }
    }

    pub(super) fn stage(&self) -> Stage {
        match self.step {
            Step::Connecting => Stage::Connecting,
            Step::Header(phase) | Step::Features { phase, .. } => match phase {
                Phase::Plain => Stage::Plain,
                Phase::Secure(_) => Stage::Authentication,
                Phase::Authenticated => Stage::Restart,
            },
            Step::Proceed { .. } | Step::Handshake => Stage::Handshake,
            Step::Answer => Stage::Authentication,
        }
    }

    /// Whether bytes of the peer can be XML at all, and ours too.
    pub(super) fn is_reading(&self) -> bool {
        !matches!(self.step, Step::Connecting | Step::Handshake)
    }

    /// TCP is up.
    pub(super) fn connected(&mut self, settings: &OutgoingSettings, wire: &mut Wire, now: Mono) {
        if matches!(self.step, Step::Connecting) {
            self.open(Phase::Plain, settings, wire, now);
        }
    }

    /// TLS is up.
    pub(super) fn secured(
        &mut self,
        version: TlsVersion,
        settings: &OutgoingSettings,
        wire: &mut Wire,
        now: Mono,
    ) {
        if matches!(self.step, Step::Connecting | Step::Handshake) {
            wire.restart();
            self.open(Phase::Secure(version), settings, wire, now);
        }
    }

    fn open(&mut self, phase: Phase, settings: &OutgoingSettings, wire: &mut Wire, now: Mono) {
        let (from, to) = (settings.local.to_ascii(), settings.remote.to_ascii());
        wire.header(Some(&from), Some(&to), false);
        self.wait(Step::Header(phase), now);
    }

    fn wait(&mut self, step: Step, now: Mono) {
        let time = match step {
            Step::Header(Phase::Secure(TlsVersion::Tls13)) => limits::HEADER_AFTER_TLS13_TIME,
            Step::Handshake => limits::HANDSHAKE_TIME,
            Step::Connecting
            | Step::Header(_)
            | Step::Features { .. }
            | Step::Proceed { .. }
            | Step::Answer => limits::SETUP_STEP_TIME,
        };
        self.step = step;
        self.patience = now + time;
    }

    /// Ends the attempt.
    pub(super) fn give_up(&self, reason: CloseReason, wire: &mut Wire) {
        if self.is_reading() {
            wire.end();
        }
        wire.close(reason);
    }

    pub(super) fn frame(
        &mut self,
        frame: Frame,
        settings: &OutgoingSettings,
        wire: &mut Wire,
        now: Mono,
    ) -> Result<Progress, StreamFault> {
        match frame {
            Frame::Header(header) => Ok(self.header(&header, wire, now)),
            Frame::Stanza(element) => self.element(element, settings, wire, now),
            Frame::Oversize(_) => Err(StreamFault::BeforeAuthentication),
            Frame::Close => {
                self.give_up(CloseReason::PeerClosed(self.stage()), wire);
                Ok(Progress::On(Flow::Discard))
            }
        }
    }

    /// Takes the peer's header. Its `from` may be another domain of the same server (Openfire), its `to` and `id` may
    /// be missing: who the peer is says its certificate.
    fn header(&mut self, header: &StreamHeader, wire: &mut Wire, now: Mono) -> Progress {
        let Step::Header(phase) = self.step else {
            return Progress::On(Flow::Next);
        };
        let declaration = header.declaration;
        if header.has_features() {
            self.wait(Step::Features { phase, declaration }, now);
            return Progress::On(Flow::Next);
        }
        // Without a version no features follow (RFC 6120 section 4.7.5).
        match phase {
            Phase::Plain => self.ask_for_tls(declaration, wire, now),
            Phase::Secure(_) => self.give_up(CloseReason::ExternalNotOffered, wire),
            Phase::Authenticated => return Progress::Authenticated(None),
        }
        Progress::On(Flow::Next)
    }

    fn element(
        &mut self,
        element: Element,
        settings: &OutgoingSettings,
        wire: &mut Wire,
        now: Mono,
    ) -> Result<Progress, StreamFault> {
        if is_dialback(&element) {
            wire.refuse_dialback(&element);
            return Ok(Progress::On(Flow::Next));
        }
        if let Some(error) = PeerError::read(&element) {
            self.give_up(CloseReason::PeerError(error, self.stage()), wire);
            return Ok(Progress::On(Flow::Discard));
        }
        match self.step {
            Step::Features { phase, declaration } if element.is("features", ns::STREAMS) => {
                match phase {
                    // RFC 7590 section 3.1: STARTTLS is tried even if it is not offered.
                    Phase::Plain => self.ask_for_tls(declaration, wire, now),
                    Phase::Secure(_) => self.authenticate(&element, settings, wire, now),
                    Phase::Authenticated => return Ok(Progress::Authenticated(Some(element))),
                }
                Ok(Progress::On(Flow::Next))
            }
            // A header without a version may be followed by features all the same.
            Step::Proceed { .. } if element.is("features", ns::STREAMS) => {
                Ok(Progress::On(Flow::Next))
            }
            Step::Proceed { declaration } if element.is("proceed", ns::TLS) => {
                wire.start_tls(StartTls {
                    local: settings.local.clone(),
                    remote: Some(settings.remote.clone()),
                    claimed: None,
                    only_tls12: !declaration,
                });
                self.wait(Step::Handshake, now);
                // What came with it was not protected by TLS and must not be believed behind it.
                Ok(Progress::On(Flow::Discard))
            }
            Step::Proceed { .. } if element.is("failure", ns::TLS) => {
                self.give_up(CloseReason::StartTlsRefused, wire);
                Ok(Progress::On(Flow::Discard))
            }
            Step::Answer if element.has_ns(ns::SASL) => self.answer(&element, settings, wire, now),
            Step::Connecting
            | Step::Header(_)
            | Step::Features { .. }
            | Step::Proceed { .. }
            | Step::Handshake
            | Step::Answer => Err(StreamFault::UnsupportedStanzaType),
        }
    }

    fn ask_for_tls(&mut self, declaration: bool, wire: &mut Wire, now: Mono) {
        wire.leaf("starttls", ns::TLS);
        self.wait(Step::Proceed { declaration }, now);
    }

    /// Asks for EXTERNAL, if the features behind TLS offer it (XEP-0178 section 3).
    fn authenticate(
        &mut self,
        features: &Element,
        settings: &OutgoingSettings,
        wire: &mut Wire,
        now: Mono,
    ) {
        if !sasl::offers_external(features) {
            return self.give_up(CloseReason::ExternalNotOffered, wire);
        }
        let response = sasl::initial_response(settings.authzid.then_some(&settings.local));
        wire.write(|xml| {
            xml.open("auth", Some(ns::SASL));
            xml.attribute("mechanism", sasl::EXTERNAL);
            xml.text(&response);
            xml.close();
        });
        self.wait(Step::Answer, now);
    }

    /// Takes the peer's answer to EXTERNAL.
    fn answer(
        &mut self,
        element: &Element,
        settings: &OutgoingSettings,
        wire: &mut Wire,
        now: Mono,
    ) -> Result<Progress, StreamFault> {
        match element.name() {
            "success" => {
                wire.restart_authenticated(settings.terms.reader());
                self.open(Phase::Authenticated, settings, wire, now);
            }
            // Openfire before 4.8 asks for the authorization identity when there was none.
            "challenge" => {
                let response = sasl::initial_response(Some(&settings.local));
                wire.write(|xml| xml.text_leaf("response", Some(ns::SASL), &response));
            }
            "failure" => {
                let reason = CloseReason::AuthenticationRefused(SaslFailure::read(element));
                self.give_up(reason, wire);
            }
            _ => return Err(StreamFault::UnsupportedStanzaType),
        }
        Ok(Progress::On(Flow::Next))
    }

    /// The time is up.
    pub(super) fn timeout(&self, wire: &mut Wire) {
        let reason = match self.step {
            Step::Header(Phase::Secure(TlsVersion::Tls13)) => CloseReason::SilentAfterTls13,
            Step::Connecting
            | Step::Header(_)
            | Step::Features { .. }
            | Step::Proceed { .. }
            | Step::Handshake
            | Step::Answer => CloseReason::Stalled(self.stage()),
        };
        self.give_up(reason, wire);
    }

    pub(super) fn wake_at(&self) -> Option<Mono> {
        let connecting = matches!(self.step, Step::Connecting);
        (!connecting).then_some(self.patience)
    }
}
