//! Streams that peers open to us: we offer STARTTLS, then EXTERNAL to whom the certificate proves.

use minidom::Element;

use super::established::Established;
use super::receiving;
use super::types::{
    Cause, CloseReason, IncomingSettings, LinkInput, Stage, StartTls, StreamEvent, Terms, Verdict,
};
use super::wire::{Flow, Wire, is_dialback};
use crate::limits;
use crate::model::{Domain, Mono};
use crate::xmpp::faults::{PeerError, StreamFault};
use crate::xmpp::ns;
use crate::xmpp::reader::{Frame, StreamHeader};
use crate::xmpp::sasl::{self, SaslFailure};
use crate::xmpp::stanza::Stanza;

/// The receiving entity's machine.
pub(super) struct Incoming {
    settings: IncomingSettings,
    state: State,
    /// Until when the peer must be authenticated, header first.
    deadlines: Deadlines,
}

/// When the patience with a peer that is not authenticated ends.
#[derive(Clone, Copy, Default)]
struct Deadlines {
    first_header: Mono,
    authentication: Mono,
}

/// Addresses of the header before TLS.
#[derive(Clone, Debug)]
struct Plain {
    from: Option<Domain>,
    to: Domain,
}

/// Addresses of the header behind TLS, to which the stream is pinned.
#[derive(Clone, Debug)]
struct Pinned {
    from: Domain,
    to: Domain,
}

/// A certificate that was found good.
#[derive(Clone, Debug)]
struct Proof {
    domains: Vec<Domain>,
    terms: Terms,
}

enum State {
    /// Nothing yet.
    Connecting,
    /// TCP is up, a header in clear text is awaited.
    Header,
    /// Features with STARTTLS are written.
    StartTls {
        plain: Plain,
        declaration: bool,
    },
    /// `<proceed/>` is written.
    Handshake(Plain),
    /// TLS is up, a header is awaited; with STARTTLS there was one before.
    SecureHeader(Option<Plain>),
    /// The shell judges the certificate.
    Judging(Pinned),
    /// Features are written; EXTERNAL is among them if there is a proof.
    Authentication {
        pinned: Pinned,
        proof: Option<Proof>,
        failures: u8,
    },
    /// `<success/>` is written, a header is awaited.
    Restart {
        pinned: Pinned,
        proof: Proof,
    },
    Established(Box<Established>),
    /// The peer's closing tag is awaited.
    Lingering {
        until: Mono,
        reason: CloseReason,
    },
}

impl Incoming {
    pub(super) fn new(settings: IncomingSettings) -> Self {
        Self {
            settings,
            state: State::Connecting,
            deadlines: Deadlines::default(),
        }
    }

    pub(super) fn stage(&self) -> Stage {
        match &self.state {
            State::Connecting => Stage::Connecting,
            State::Header | State::StartTls { .. } => Stage::Plain,
            State::Handshake(_) => Stage::Handshake,
            State::SecureHeader(_) | State::Judging(_) | State::Authentication { .. } => {
                Stage::Authentication
            }
            State::Restart { .. } => Stage::Restart,
            State::Established(established) => established.stage(),
            State::Lingering { .. } => Stage::Closing,
        }
    }

    /// Whether bytes have to wait for the verdict.
    pub(super) fn is_holding(&self) -> bool {
        matches!(self.state, State::Judging(_))
    }

    /// Whether bytes of the peer can be XML at all.
    pub(super) fn is_reading(&self) -> bool {
        !matches!(self.state, State::Connecting | State::Handshake(_))
    }

    pub(super) fn input(&mut self, input: &LinkInput<'_>, wire: &mut Wire, now: Mono) {
        match input {
            LinkInput::Connected => self.begin(State::Header, now),
            LinkInput::Tls(_) => self.secured(wire, now),
            LinkInput::Verdict(verdict) => self.judged(verdict, wire),
            LinkInput::Settled(n) => {
                if let State::Established(established) = &mut self.state {
                    established.settled(*n, wire);
                }
            }
            LinkInput::Shutdown => match &mut self.state {
                State::Established(established) => established.shut_down(wire, now),
                State::Connecting
                | State::Header
                | State::StartTls { .. }
                | State::Handshake(_)
                | State::SecureHeader(_)
                | State::Judging(_)
                | State::Authentication { .. }
                | State::Restart { .. } => self.fail(StreamFault::SystemShutdown, wire),
                State::Lingering { reason, .. } => wire.close(reason.clone()),
            },
            LinkInput::Timeout => self.timeout(wire, now),
            // Nothing of ours travels on a stream of the peer.
            LinkInput::Answered(_) | LinkInput::Send { .. } => {}
            // Handled for both roles.
            LinkInput::Bytes(_) | LinkInput::Eof => {}
        }
    }

    fn begin(&mut self, state: State, now: Mono) {
        self.state = state;
        self.deadlines = Deadlines {
            first_header: now + limits::FIRST_HEADER_TIME,
            authentication: now + limits::AUTHENTICATION_TIME,
        };
    }

    fn secured(&mut self, wire: &mut Wire, now: Mono) {
        match &self.state {
            State::Connecting => self.begin(State::SecureHeader(None), now),
            State::Handshake(plain) => {
                let plain = plain.clone();
                wire.restart();
                self.state = State::SecureHeader(Some(plain));
            }
            State::Header
            | State::StartTls { .. }
            | State::SecureHeader(_)
            | State::Judging(_)
            | State::Authentication { .. }
            | State::Restart { .. }
            | State::Established(_)
            | State::Lingering { .. } => {}
        }
    }

    /// Ends the stream with an error, from whatever addresses are known.
    pub(super) fn fail(&mut self, fault: StreamFault, wire: &mut Wire) {
        let (from, to) = match &self.state {
            State::Connecting | State::Header | State::SecureHeader(None) => (None, None),
            State::Handshake(plain)
            | State::SecureHeader(Some(plain))
            | State::StartTls { plain, .. } => (
                Some(plain.to.to_ascii()),
                plain.from.as_ref().map(Domain::to_ascii),
            ),
            State::Judging(pinned)
            | State::Authentication { pinned, .. }
            | State::Restart { pinned, .. } => {
                (Some(pinned.to.to_ascii()), Some(pinned.from.to_ascii()))
            }
            State::Established(established) => (
                Some(established.local.to_ascii()),
                Some(established.remote.to_ascii()),
            ),
            State::Lingering { reason, .. } => return wire.close(reason.clone()),
        };
        wire.fail(fault, from.as_deref(), to.as_deref());
    }

    pub(super) fn eof(&mut self, wire: &mut Wire) {
        let stage = self.stage();
        wire.close(match &self.state {
            State::Lingering { reason, .. } => reason.clone(),
            State::Connecting | State::Header if !wire.is_used() => CloseReason::Unused,
            State::Established(_) if stage == Stage::Closing => CloseReason::Completed,
            State::Authentication {
                proof, failures, ..
            } if proof.is_none() || *failures > 0 => CloseReason::PeerNotAuthenticated,
            State::Connecting
            | State::Header
            | State::StartTls { .. }
            | State::Handshake(_)
            | State::SecureHeader(_)
            | State::Judging(_)
            | State::Authentication { .. }
            | State::Restart { .. }
            | State::Established(_) => CloseReason::Eof(stage),
        });
    }

    pub(super) fn frame(
        &mut self,
        frame: Frame,
        wire: &mut Wire,
        now: Mono,
    ) -> Result<Flow, StreamFault> {
        match frame {
            Frame::Header(header) => self.header(&header, wire, now),
            Frame::Stanza(element) => self.element(element, wire, now),
            Frame::Oversize(root) => match &mut self.state {
                State::Established(established) => {
                    established.oversize(&root, wire).map(|()| Flow::Next)
                }
                State::Lingering { .. } => Ok(Flow::Next),
                State::Connecting
                | State::Header
                | State::StartTls { .. }
                | State::Handshake(_)
                | State::SecureHeader(_)
                | State::Judging(_)
                | State::Authentication { .. }
                | State::Restart { .. } => Err(StreamFault::BeforeAuthentication),
            },
            Frame::Close => {
                self.peer_closed(wire);
                Ok(Flow::Discard)
            }
        }
    }

    fn peer_closed(&self, wire: &mut Wire) {
        if let State::Established(established) = &self.state {
            return established.peer_closed(wire);
        }
        wire.end();
        wire.close(match &self.state {
            State::Lingering { reason, .. } => reason.clone(),
            State::Authentication {
                proof, failures, ..
            } if proof.is_none() || *failures > 0 => CloseReason::PeerNotAuthenticated,
            State::Connecting
            | State::Header
            | State::StartTls { .. }
            | State::Handshake(_)
            | State::SecureHeader(_)
            | State::Judging(_)
            | State::Authentication { .. }
            | State::Restart { .. }
            | State::Established(_) => CloseReason::PeerClosed(self.stage()),
        });
    }

    /// Answers a header (RFC 6120 sections 4.3 and 4.7).
    fn header(
        &mut self,
        header: &StreamHeader,
        wire: &mut Wire,
        now: Mono,
    ) -> Result<Flow, StreamFault> {
        let addresses = self.addresses(header);
        let to = addresses.as_ref().map(|plain| plain.to.to_ascii()).ok();
        // The header is answered before anything is found wrong with it (RFC 6120 section 4.9.1.2).
        wire.header(
            to.as_deref().or(header.to.as_deref()),
            header.from.as_deref(),
            true,
        );
        let addresses = addresses?;
        if !header.has_features() {
            return Err(StreamFault::UnsupportedVersion);
        }
        match &self.state {
            State::Header => {
                features(wire, Some(Feature::StartTls));
                self.state = State::StartTls {
                    plain: addresses,
                    declaration: header.declaration,
                };
                Ok(Flow::Next)
            }
            State::SecureHeader(before) => {
                let pinned = pin(before.as_ref(), addresses)?;
                wire.event(StreamEvent::JudgeCertificate {
                    from: pinned.from.clone(),
                    to: pinned.to.clone(),
                });
                self.state = State::Judging(pinned);
                Ok(Flow::Hold)
            }
            State::Restart { pinned, proof } => {
                let same = addresses
                    .from
                    .as_ref()
                    .is_none_or(|from| *from == pinned.from);
                if !same || addresses.to != pinned.to {
                    return Err(StreamFault::RestartedDifferently);
                }
                let (pinned, proof) = (pinned.clone(), proof.clone());
                self.establish(pinned, proof, wire, now);
                Ok(Flow::Next)
            }
            // A reader gives one header a stream, and these states are behind it.
            State::Connecting
            | State::StartTls { .. }
            | State::Handshake(_)
            | State::Judging(_)
            | State::Authentication { .. }
            | State::Established(_)
            | State::Lingering { .. } => Err(StreamFault::BadFormat),
        }
    }

    /// Reads the addresses of a header: `to` has to be served here, and nobody speaks in our own name.
    fn addresses(&self, header: &StreamHeader) -> Result<Plain, StreamFault> {
        let present = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
        let to = present(&header.to).ok_or(StreamFault::ImproperAddressing)?;
        let to = Domain::parse(&to).filter(|to| self.settings.domains.contains(to));
        let to = to.ok_or(StreamFault::HostUnknown)?;
        let from = match present(&header.from) {
            None => None,
            Some(from) => Some(Domain::parse(&from).ok_or(StreamFault::ImproperAddressing)?),
        };
        if from
            .as_ref()
            .is_some_and(|from| self.settings.domains.contains(from))
        {
            return Err(StreamFault::InvalidFrom);
        }
        Ok(Plain { from, to })
    }

    fn judged(&mut self, verdict: &Verdict, wire: &mut Wire) {
        let State::Judging(pinned) = &self.state else {
            return;
        };
        let pinned = pinned.clone();
        let proof = match verdict {
            Verdict::Proven { domains, terms } if domains.contains(&pinned.from) => Ok(Proof {
                domains: domains.clone(),
                terms: *terms,
            }),
            Verdict::Proven { .. } => Err(Cause {
                id: "name-not-proven",
                sentence: format!("the certificate does not prove {}", pinned.from),
            }),
            Verdict::Unproven(cause) => Err(cause.clone()),
        };
        features(wire, proof.is_ok().then_some(Feature::External));
        let proof = proof.map_err(|cause| {
            let from = pinned.from.clone();
            wire.event(StreamEvent::Unproven { from, cause });
        });
        self.state = State::Authentication {
            pinned,
            proof: proof.ok(),
            failures: 0,
        };
    }

    fn establish(&mut self, pinned: Pinned, proof: Proof, wire: &mut Wire, now: Mono) {
        features(
            wire,
            self.settings.management.then_some(Feature::Management),
        );
        wire.event(StreamEvent::Established {
            local: pinned.to.clone(),
            remote: pinned.from.clone(),
        });
        let established = Established::new(pinned.to, pinned.from, proof.domains, proof.terms, now);
        self.state = State::Established(Box::new(established));
    }

    fn element(
        &mut self,
        element: Element,
        wire: &mut Wire,
        now: Mono,
    ) -> Result<Flow, StreamFault> {
        if let State::Established(established) = &mut self.state {
            return receiving::element(established, element, self.settings.management, wire)
                .map(|()| Flow::Next);
        }
        if is_dialback(&element) {
            wire.refuse_dialback(&element);
            self.linger(CloseReason::PeerNotAuthenticated, now);
            return Ok(Flow::Next);
        }
        if let Some(error) = PeerError::read(&element) {
            wire.end();
            wire.close(CloseReason::PeerError(error, self.stage()));
            return Ok(Flow::Discard);
        }
        match &mut self.state {
            State::StartTls { plain, declaration } => {
                if !element.is("starttls", ns::TLS) {
                    return Err(StreamFault::StartTlsRequired);
                }
                wire.leaf("proceed", ns::TLS);
                wire.start_tls(StartTls {
                    local: plain.to.clone(),
                    remote: None,
                    only_tls12: !*declaration,
                });
                self.state = State::Handshake(plain.clone());
                // What came with it in clear text was not protected by TLS and must not be believed behind it.
                Ok(Flow::Discard)
            }
            State::Authentication {
                pinned,
                proof,
                failures,
            } => match attempt(&element, &pinned.from, proof.as_ref())? {
                Ok(proof) => {
                    wire.leaf("success", ns::SASL);
                    wire.restart_authenticated(proof.terms.reader());
                    let (pinned, proof) = (pinned.clone(), proof.clone());
                    self.state = State::Restart { pinned, proof };
                    Ok(Flow::Next)
                }
                Err(failure) => {
                    *failures += 1;
                    let last = *failures >= limits::SASL_ATTEMPTS;
                    wire.write(|xml| failure.write(xml));
                    wire.event(StreamEvent::SaslRefused(failure));
                    let next = (!last).then_some(Flow::Next);
                    next.ok_or(StreamFault::NotAuthorized)
                }
            },
            State::Lingering { .. } => Ok(Flow::Next),
            State::Connecting
            | State::Header
            | State::Handshake(_)
            | State::SecureHeader(_)
            | State::Judging(_)
            | State::Restart { .. }
            | State::Established(_) => Err(StreamFault::NotAuthorized),
        }
    }

    fn linger(&mut self, reason: CloseReason, now: Mono) {
        let until = now + limits::CLOSE_TIME;
        self.state = State::Lingering { until, reason };
    }

    pub(super) fn wrote(&mut self, now: Mono) {
        if let State::Established(established) = &mut self.state {
            established.wrote(now);
        }
    }

    fn timeout(&mut self, wire: &mut Wire, now: Mono) {
        if self.wake_at().is_none_or(|at| at > now) {
            return;
        }
        match &mut self.state {
            State::Connecting => {}
            State::Header | State::SecureHeader(None) if !wire.is_used() => {
                wire.close(CloseReason::Stalled(self.stage()));
            }
            // No XML can be written into a handshake.
            State::Handshake(_) => wire.close(CloseReason::Stalled(Stage::Handshake)),
            State::Header
            | State::StartTls { .. }
            | State::SecureHeader(_)
            | State::Judging(_)
            | State::Authentication { .. }
            | State::Restart { .. } => self.fail(StreamFault::ConnectionTimeout, wire),
            State::Established(established) => established.timeout(wire, now),
            State::Lingering { reason, .. } => {
                let reason = reason.clone();
                wire.end();
                wire.close(reason);
            }
        }
    }

    pub(super) fn wake_at(&self) -> Option<Mono> {
        match &self.state {
            State::Connecting => None,
            State::Header | State::SecureHeader(None) => Some(self.deadlines.first_header),
            State::StartTls { .. }
            | State::Handshake(_)
            | State::SecureHeader(Some(_))
            | State::Judging(_)
            | State::Authentication { .. }
            | State::Restart { .. } => Some(self.deadlines.authentication),
            State::Established(established) => Some(established.wake_at()),
            State::Lingering { until, .. } => Some(*until),
        }
    }
}

/// Holds the header behind TLS against the one before: the identity of neither side may change in between.
fn pin(before: Option<&Plain>, after: Plain) -> Result<Pinned, StreamFault> {
    let from = after.from.ok_or(StreamFault::ImproperAddressing)?;
    if let Some(before) = before {
        let same = before.from.as_ref().is_none_or(|earlier| *earlier == from);
        if !same || before.to != after.to {
            return Err(StreamFault::RestartedDifferently);
        }
    }
    Ok(Pinned { from, to: after.to })
}

/// Judges an element of a peer that is not authenticated yet.
fn attempt<'a>(
    element: &Element,
    from: &Domain,
    proof: Option<&'a Proof>,
) -> Result<Result<&'a Proof, SaslFailure>, StreamFault> {
    if element.is("abort", ns::SASL) {
        return Ok(Err(SaslFailure::Aborted));
    }
    if element.is("response", ns::SASL) {
        return Ok(Err(SaslFailure::MalformedRequest));
    }
    if !element.is("auth", ns::SASL) {
        let unknown = !Stanza::is_stanza(element);
        return Err(if unknown {
            StreamFault::UnsupportedStanzaType
        } else {
            StreamFault::NotAuthorized
        });
    }
    Ok(match proof {
        None => Err(SaslFailure::NotAuthorized),
        Some(proof) => sasl::authorize(element, from).map(|()| proof),
    })
}

/// The one thing that our features may hold at a time.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Feature {
    StartTls,
    External,
    Management,
}

fn features(wire: &mut Wire, feature: Option<Feature>) {
    wire.write(|xml| {
        xml.open("stream:features", None);
        match feature {
            Some(Feature::StartTls) => {
                xml.open("starttls", Some(ns::TLS));
                xml.leaf("required", ns::TLS);
                xml.close();
            }
            Some(Feature::External) => {
                xml.open("mechanisms", Some(ns::SASL));
                xml.text_leaf("mechanism", Some(ns::SASL), sasl::EXTERNAL);
                xml.close();
            }
            Some(Feature::Management) => xml.leaf("sm", ns::SM),
            None => {}
        }
        xml.close();
    });
}
