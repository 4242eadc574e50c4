//! Why links end, in the words of an operator.

use std::io;

use translators::sip::HopClose;
use translators::xmpp::faults::StreamCondition;
use translators::xmpp::sasl::SaslFailure;
use translators::xmpp::stream::{Cause, CloseReason, Stage};

use crate::peers::Why;
use crate::telemetry::events::{Ending, Step, UNLISTED, Way};
use crate::tls::TlsFailure;

/// Why a link ended, or why none came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reason {
    /// For the operator.
    pub(super) why: Why,
    /// How far it had come.
    pub(super) step: Step,
    /// Whether it ended as it should.
    pub(super) ending: Ending,
    /// Whether it will end like this again until somebody does something.
    pub(super) lasting: bool,
}

impl Reason {
    /// Identifies the one failure after which TLS 1.2 is worth a try.
    pub(super) const SILENT_AFTER_TLS13: &'static str = "silent-after-tls13";

    /// A reason that may pass by itself.
    pub(super) fn passing(step: Step, what: &'static str, cause: impl Into<String>) -> Self {
        let why = Why {
            what,
            cause: cause.into(),
            hint: "",
        };
        Self {
            why,
            step,
            ending: Ending::Broken,
            lasting: false,
        }
    }

    /// A reason that stays until somebody does what `hint` says.
    fn lasting(
        step: Step,
        what: &'static str,
        cause: impl Into<String>,
        hint: &'static str,
    ) -> Self {
        let mut reason = Self::passing(step, what, cause);
        reason.why.hint = hint;
        reason.lasting = true;
        reason
    }

    /// An end as it should be.
    fn orderly(cause: impl Into<String>) -> Self {
        Self {
            ending: Ending::Orderly,
            ..Self::passing(Step::Probe, "closed", cause)
        }
    }

    /// TLS failed.
    pub(super) fn tls(failure: &TlsFailure) -> Self {
        let mut reason = Self::passing(Step::Tls, failure.id, failure.sentence.clone());
        reason.why.hint = failure.hint;
        reason.lasting = failure.lasting;
        reason
    }

    /// The peer did not prove who it is, and ended the stream over that.
    pub(super) fn unproven(cause: Cause) -> Self {
        let hint = if cause.id == UNLISTED {
            "List it there if its users may write to SIP users."
        } else {
            ""
        };
        Self::lasting(Step::Auth, cause.id, cause.sentence, hint)
    }

    /// The connection broke under an established stream. COMPAT(openfire): 4.8 and newer take TLS
    /// off all streams of ours when a store of certificates changes, and say why in clear text.
    pub(super) fn broken(error: &io::Error, way: Way) -> Self {
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref());
        let is_no_tls = matches!(tls, Some(rustls::Error::InvalidMessage(_)));
        if is_no_tls && way == Way::Out {
            let cause =
                "The peer took TLS off the stream, as Openfire does when its certificates change.";
            return Self::passing(Step::Probe, "store-changed", cause);
        }
        let cause = TlsFailure::explain(error).sentence;
        Self::passing(Step::Probe, "connection-broken", cause)
    }

    /// A stream ended.
    pub(super) fn stream(reason: &CloseReason) -> Self {
        match reason {
            CloseReason::AuthenticationRefused(refusal) => Self {
                lasting: *refusal != SaslFailure::Temporary,
                ..Self::lasting(
                    Step::Auth,
                    "external-refused",
                    format!(
                        "The peer did not accept our certificate: it refused SASL EXTERNAL ({refusal})."
                    ),
                    "Our certificate must name our domain, and the peer must trust its CA for clients.",
                )
            },
            CloseReason::Completed => Self::orderly("We closed the stream."),
            CloseReason::Eof(stage) => Self::passing(
                step(*stage),
                "connection-closed",
                format!("The peer closed the connection {}.", during(*stage)),
            ),
            CloseReason::ExternalNotOffered => Self::lasting(
                Step::Auth,
                "external-not-offered",
                "The peer did not accept our certificate: it does not offer SASL EXTERNAL.",
                "It must ask for client certificates, trust our CA, and find our domain among the names.",
            ),
            CloseReason::Fault(fault) => Self::passing(
                Step::Probe,
                "stream-fault",
                format!("We ended the stream: {fault}."),
            ),
            CloseReason::PeerClosed(Stage::Established | Stage::Closing) => {
                Self::orderly("The peer closed the stream.")
            }
            CloseReason::PeerClosed(stage) => Self::passing(
                step(*stage),
                "stream-closed",
                format!("The peer closed the stream {}.", during(*stage)),
            ),
            CloseReason::PeerError(error, stage) => {
                let name = error.condition.name();
                let text = error.text.as_deref().unwrap_or("no text");
                let cause = format!(
                    "The peer ended the stream {} with {name} ({text}).",
                    during(*stage)
                );
                if error.is_orderly() && *stage == Stage::Established {
                    return Self::orderly(cause);
                }
                Self {
                    lasting: error.condition == StreamCondition::HostUnknown,
                    ..Self::passing(step(*stage), "stream-error", cause)
                }
            }
            CloseReason::PeerNotAuthenticated => Self::lasting(
                Step::Auth,
                "peer-not-authenticated",
                "The peer did not authenticate: it tried dialback, or gave up.",
                "Its certificate must name its domain, and our policy for it must trust the CA.",
            ),
            CloseReason::SilentAfterTls13 => Self::passing(
                Step::Auth,
                Self::SILENT_AFTER_TLS13,
                "The peer completed a handshake of TLS 1.3 and then fell silent.",
            ),
            CloseReason::Stalled(stage) => Self::passing(
                step(*stage),
                "no-answer",
                format!("The peer did not answer in time {}.", during(*stage)),
            ),
            CloseReason::StartTlsRefused => Self::lasting(
                Step::Tls,
                "starttls-refused",
                "The peer does not start TLS.",
                "Let it offer STARTTLS to servers, or use its port for direct TLS (connect = \"direct\").",
            ),
            CloseReason::Unused => Self::orderly("The peer connected and closed without a byte."),
        }
    }

    /// A SIP connection ended.
    pub(super) fn hop(reason: &HopClose) -> Self {
        match reason {
            HopClose::Ended => Self::orderly("The peer closed the connection."),
            HopClose::Framing(malformed) => Self::passing(
                Step::Probe,
                "sip-framing",
                format!("The end of a message cannot be told: {malformed}."),
            ),
            HopClose::Idle => Self::orderly("Nothing was sent for long."),
            HopClose::Silent => Self::passing(
                Step::Probe,
                "sip-silent",
                "The peer answered no OPTIONS for 32 seconds.",
            ),
        }
    }

    /// We ended a SIP connection.
    pub(super) fn closed_by_us() -> Self {
        Self::orderly("We closed the connection.")
    }

    /// The peer does not read.
    pub(super) fn not_reading() -> Self {
        Self::passing(
            Step::Probe,
            "not-reading",
            "The peer took no byte for 30 seconds.",
        )
    }

    /// The peer has links enough.
    pub(super) fn too_many() -> Self {
        Self::passing(
            Step::Probe,
            "too-many-links",
            "The peer has as many links as it may have.",
        )
    }
}

const fn step(stage: Stage) -> Step {
    match stage {
        Stage::Connecting | Stage::Plain | Stage::Handshake => Step::Tls,
        Stage::Authentication | Stage::Restart => Step::Auth,
        Stage::Established | Stage::Closing => Step::Probe,
    }
}

const fn during(stage: Stage) -> &'static str {
    match stage {
        Stage::Connecting => "before its stream header",
        Stage::Plain => "before STARTTLS",
        Stage::Handshake => "in place of TLS",
        Stage::Authentication => "before SASL was complete",
        Stage::Restart => "right behind SASL",
        Stage::Established => "without closing the stream",
        Stage::Closing => "at its end",
    }
}
