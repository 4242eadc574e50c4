//! The way of an incoming stream to authentication: header, STARTTLS, certificate, EXTERNAL.

use minidom::Element;

use super::types::{
    Cause, CloseReason, IncomingSettings, Stage, StartTls, StreamEvent, Terms, Verdict,
};
use super::wire::{Flow, Wire, is_dialback};
use crate::limits;
use crate::model::{Domain, Mono};
use crate::xmpp::faults::{PeerError, StreamFault};
use crate::xmpp::ns;
use crate::xmpp::reader::{Frame, StreamHeader};
use crate::xmpp::sasl::{self, SaslFailure};
use crate::xmpp::stanza::Stanza;

/// A peer that is not authenticated yet.
pub(super) struct Accepting {
    step: Step,
    /// Until when its first header must be there.
    first_header: Mono,
    /// Until when it must be authenticated.
    authentication: Mono,
}

enum Step {
    /// Nothing yet.
    Connecting,
    /// TCP is up, a header in clear text is awaited.
    Header,
    /// Features with STARTTLS are written.
    StartTls { plain: Plain, declaration: bool },
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
    Restart { pinned: Pinned, proof: Proof },
}

/// Addresses of the header before TLS.
#[derive(Clone, Debug)]
struct Plain {
    from: Option<Domain>,
    to: Domain,
}

/// Addresses of the header behind TLS, to which the stream is pinned.
#[derive(Clone, Debug)]
pub(super) struct Pinned {
    pub(super) from: Domain,
    pub(super) to: Domain,
}

/// A certificate that was found good.
#[derive(Clone, Debug)]
pub(super) struct Proof {
    pub(super) domains: Vec<Domain>,
    pub(super) terms: Terms,
}

/// Where a frame leads.
pub(super) enum Progress {
    /// On with the negotiation.
    On(Flow),
    /// Stanzas may flow once the last features are written.
    Authenticated(Pinned, Proof),
    /// Nowhere; the peer has to end the stream.
    Refused,
}

impl Accepting {
    pub(super) fn new() -> Self {
        Self {
            step: Step::Connecting,
            first_header: Mono::default(),
            authentication: Mono::default(),
        }
    }

    pub(super) fn stage(&self) -> Stage {
        match &self.step {
            Step::Connecting => Stage::Connecting,
            Step::Header | Step::StartTls { .. } => Stage::Plain,
            Step::Handshake(_) => Stage::Handshake,
            Step::SecureHeader(_) | Step::Judging(_) | Step::Authentication { .. } => {
                Stage::Authentication
            }
            Step::Restart { .. } => Stage::Restart,
        }
    }

    /// Whether bytes have to wait for the verdict.
    pub(super) fn is_holding(&self) -> bool {
        matches!(self.step, Step::Judging(_))
    }

    /// Whether bytes of the peer can be XML at all, and ours too.
    pub(super) fn is_reading(&self) -> bool {
        !matches!(self.step, Step::Connecting | Step::Handshake(_))
    }

    /// TCP is up.
    pub(super) fn connected(&mut self, now: Mono) {
        if matches!(self.step, Step::Connecting) {
            self.begin(Step::Header, now);
        }
    }

    /// TLS is up: the whole connection with direct TLS, else the second stream of it.
    pub(super) fn secured(&mut self, wire: &mut Wire, now: Mono) {
        if let Step::Handshake(plain) = &self.step {
            let plain = plain.clone();
            wire.restart();
            self.step = Step::SecureHeader(Some(plain));
        } else if matches!(self.step, Step::Connecting) {
            self.begin(Step::SecureHeader(None), now);
        }
    }

    fn begin(&mut self, step: Step, now: Mono) {
        self.step = step;
        self.first_header = now + limits::FIRST_HEADER_TIME;
        self.authentication = now + limits::AUTHENTICATION_TIME;
    }

    /// Ends the stream with an error, from whatever addresses are known.
    pub(super) fn fail(&self, fault: StreamFault, wire: &mut Wire) {
        let (from, to) = match &self.step {
            Step::Connecting | Step::Header | Step::SecureHeader(None) => (None, None),
            Step::Handshake(plain)
            | Step::SecureHeader(Some(plain))
            | Step::StartTls { plain, .. } => (Some(&plain.to), plain.from.as_ref()),
            Step::Judging(pinned)
            | Step::Authentication { pinned, .. }
            | Step::Restart { pinned, .. } => (Some(&pinned.to), Some(&pinned.from)),
        };
        wire.fail(fault, from, to);
    }

    /// Why the connection ended when the peer ended it.
    pub(super) fn left(&self, wire: &Wire, otherwise: CloseReason) -> CloseReason {
        match &self.step {
            Step::Connecting | Step::Header if !wire.is_used() => CloseReason::Unused,
            Step::Authentication {
                proof, failures, ..
            } if proof.is_none() || *failures > 0 => CloseReason::PeerNotAuthenticated,
            Step::Connecting
            | Step::Header
            | Step::StartTls { .. }
            | Step::Handshake(_)
            | Step::SecureHeader(_)
            | Step::Judging(_)
            | Step::Authentication { .. }
            | Step::Restart { .. } => otherwise,
        }
    }

    pub(super) fn frame(
        &mut self,
        frame: Frame,
        settings: &IncomingSettings,
        wire: &mut Wire,
    ) -> Result<Progress, StreamFault> {
        match frame {
            Frame::Header(header) => self.header(&header, settings, wire),
            Frame::Stanza(element) => self.element(&element, wire),
            Frame::Oversize(_) => Err(StreamFault::BeforeAuthentication),
            Frame::Close => {
                wire.end();
                wire.close(self.left(wire, CloseReason::PeerClosed(self.stage())));
                Ok(Progress::On(Flow::Discard))
            }
        }
    }

    /// Answers a header (RFC 6120 sections 4.3 and 4.7), before anything is found wrong with it (section 4.9.1.2).
    fn header(
        &mut self,
        header: &StreamHeader,
        settings: &IncomingSettings,
        wire: &mut Wire,
    ) -> Result<Progress, StreamFault> {
        wire.header(header.to.as_deref(), header.from.as_deref(), true);
        let addresses = addresses(header, settings)?;
        if !header.has_features() {
            return Err(StreamFault::UnsupportedVersion);
        }
        match &self.step {
            Step::Header => {
                features(wire, Some(Feature::StartTls));
                self.step = Step::StartTls {
                    plain: addresses,
                    declaration: header.declaration,
                };
                Ok(Progress::On(Flow::Next))
            }
            Step::SecureHeader(before) => {
                let pinned = pin(before.as_ref(), addresses)?;
                wire.event(StreamEvent::JudgeCertificate {
                    from: pinned.from.clone(),
                    to: pinned.to.clone(),
                });
                self.step = Step::Judging(pinned);
                Ok(Progress::On(Flow::Hold))
            }
            Step::Restart { pinned, proof } => {
                let from = addresses.from.as_ref();
                if from.is_some_and(|from| *from != pinned.from) || addresses.to != pinned.to {
                    return Err(StreamFault::RestartedDifferently);
                }
                Ok(Progress::Authenticated(pinned.clone(), proof.clone()))
            }
            // A stream has one header, and these steps are behind it.
            Step::Connecting
            | Step::StartTls { .. }
            | Step::Handshake(_)
            | Step::Judging(_)
            | Step::Authentication { .. } => Err(StreamFault::BadFormat),
        }
    }

    /// Goes on with what the certificate proves.
    pub(super) fn judged(&mut self, verdict: &Verdict, wire: &mut Wire) {
        let Step::Judging(pinned) = &self.step else {
            return;
        };
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
        self.step = Step::Authentication {
            pinned: pinned.clone(),
            proof: proof.ok(),
            failures: 0,
        };
    }

    fn element(&mut self, element: &Element, wire: &mut Wire) -> Result<Progress, StreamFault> {
        if is_dialback(element) {
            wire.refuse_dialback(element);
            return Ok(Progress::Refused);
        }
        if let Some(error) = PeerError::read(element) {
            wire.end();
            wire.close(CloseReason::PeerError(error, self.stage()));
            return Ok(Progress::On(Flow::Discard));
        }
        match &self.step {
            Step::StartTls { plain, declaration } => {
                if !element.is("starttls", ns::TLS) {
                    return Err(StreamFault::StartTlsRequired);
                }
                wire.leaf("proceed", ns::TLS);
                wire.start_tls(StartTls {
                    local: plain.to.clone(),
                    remote: None,
                    claimed: plain.from.clone(),
                    only_tls12: !*declaration,
                });
                self.step = Step::Handshake(plain.clone());
                // What came with it was not protected by TLS and must not be believed behind it.
                Ok(Progress::On(Flow::Discard))
            }
            Step::Authentication { .. } => self.attempt(element, wire),
            Step::Connecting
            | Step::Header
            | Step::Handshake(_)
            | Step::SecureHeader(_)
            | Step::Judging(_)
            | Step::Restart { .. } => Err(StreamFault::NotAuthorized),
        }
    }

    fn attempt(&mut self, element: &Element, wire: &mut Wire) -> Result<Progress, StreamFault> {
        let Step::Authentication {
            pinned,
            proof,
            failures,
        } = &mut self.step
        else {
            return Err(StreamFault::NotAuthorized);
        };
        match judge(element, &pinned.from, proof.as_ref())? {
            Ok(proof) => {
                wire.leaf("success", ns::SASL);
                wire.restart_authenticated(proof.terms.reader());
                let (pinned, proof) = (pinned.clone(), proof.clone());
                self.step = Step::Restart { pinned, proof };
                Ok(Progress::On(Flow::Next))
            }
            Err(failure) => {
                *failures += 1;
                let last = *failures >= limits::SASL_ATTEMPTS;
                wire.write(|xml| failure.write(xml));
                wire.event(StreamEvent::SaslRefused(failure));
                let next = (!last).then_some(Progress::On(Flow::Next));
                next.ok_or(StreamFault::TooManyAttempts)
            }
        }
    }

    /// The time is up.
    pub(super) fn timeout(&self, wire: &mut Wire) {
        if self.is_reading() && wire.is_used() {
            self.fail(StreamFault::ConnectionTimeout, wire);
        } else {
            // Who says nothing is told nothing, and no XML can be written into a handshake.
            wire.close(CloseReason::Stalled(self.stage()));
        }
    }

    pub(super) fn wake_at(&self) -> Option<Mono> {
        match &self.step {
            Step::Connecting => None,
            Step::Header | Step::SecureHeader(None) => Some(self.first_header),
            Step::StartTls { .. }
            | Step::Handshake(_)
            | Step::SecureHeader(Some(_))
            | Step::Judging(_)
            | Step::Authentication { .. }
            | Step::Restart { .. } => Some(self.authentication),
        }
    }
}

/// Reads the addresses of a header: `to` has to be served here, and nobody speaks in our own name.
fn addresses(header: &StreamHeader, settings: &IncomingSettings) -> Result<Plain, StreamFault> {
    let present =
        |value: Option<&'_ str>| value.filter(|value| !value.is_empty()).map(Domain::parse);
    let ours = |domain: &Domain| settings.domains.contains(domain);
    let to = present(header.to.as_deref()).ok_or(StreamFault::ImproperAddressing)?;
    let to = to.filter(ours).ok_or(StreamFault::HostUnknown)?;
    let from = match present(header.from.as_deref()) {
        None => None,
        Some(from) => Some(from.ok_or(StreamFault::ImproperAddressing)?),
    };
    if from.as_ref().is_some_and(ours) {
        return Err(StreamFault::InvalidFrom);
    }
    Ok(Plain { from, to })
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

/// Judges an element of a peer that is about to authenticate.
fn judge<'a>(
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
    if Stanza::is_stanza(element) {
        return Err(StreamFault::NotAuthorized);
    }
    if !element.is("auth", ns::SASL) {
        return Err(StreamFault::UnsupportedStanzaType);
    }
    Ok(match proof {
        None => Err(SaslFailure::NotAuthorized),
        Some(proof) => sasl::authorize(element, from).map(|()| proof),
    })
}

/// The one thing that our features may hold at a time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Feature {
    StartTls,
    External,
    Management,
}

/// Writes our features.
pub(super) fn features(wire: &mut Wire, feature: Option<Feature>) {
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
