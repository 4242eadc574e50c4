//! Events of peers, whichever link they have.

use std::fmt::Display;
use std::net::SocketAddr;
use std::time::Duration;

use tracing::{debug, info, warn};
use translators::mapping::failure::explain;
use translators::model::{PeerId, Side};
use translators::sip::microsoft::Diagnostic;

use crate::telemetry::alarms::Alarm;
use crate::telemetry::events::{What, side_word};
use crate::telemetry::metrics::Metric;

/// How far an attempt to connect came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Name resolution.
    Dns,
    /// The TCP connection.
    Tcp,
    /// The TLS handshake and both certificates.
    Tls,
    /// Stream features and SASL EXTERNAL.
    Auth,
    /// The first ping or OPTIONS.
    Probe,
}

impl Step {
    /// In one word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Auth => "auth",
            Self::Probe => "probe",
        }
    }
}

/// What happened to a peer.
pub enum PeerEvent<'a> {
    /// An attempt to connect failed.
    AttemptFailed {
        /// Which side.
        side: Side,
        /// Which peer.
        peer: &'a PeerId,
        /// Where it was tried, if a name was resolved.
        address: Option<SocketAddr>,
        /// How far it came.
        step: Step,
        /// Why, in an operator's words.
        cause: &'a dyn Display,
    },
    /// A Microsoft peer refused a request, and says why or says nothing where something is due.
    Diagnosed {
        /// Which peer.
        peer: &'a PeerId,
        /// Method of the request.
        method: &'a str,
        /// Status of its answer.
        status: u16,
        /// The reasons.
        diagnostics: &'a [Diagnostic],
        /// Whether the log does not have it yet.
        is_news: bool,
    },
    /// A link to the peer could be made.
    Connected {
        /// Which side.
        side: Side,
        /// Which peer.
        peer: &'a PeerId,
    },
    /// No link to the peer can be made, or one could be made again.
    Reachable {
        /// Its side.
        side: Side,
        /// Which peer.
        peer: &'a PeerId,
        /// Whether it can be reached.
        up: bool,
        /// Why, in an operator's words.
        cause: &'a dyn Display,
    },
    /// An address of a SIP peer answers 503.
    Refusing {
        /// Which peer.
        peer: &'a PeerId,
        /// The address; port 0 if the peer opened the connection.
        address: SocketAddr,
        /// For how long it is passed over.
        span: Duration,
    },
    /// An operator lets a peer be believed again when it refuses what it granted.
    Believed {
        /// Which peer.
        peer: &'a PeerId,
    },
    /// A peer refuses so much of what it granted that it is not believed.
    Suspected {
        /// Which peer.
        peer: &'a PeerId,
    },
    /// The peer stopped answering barriers, or answers again.
    ReturnPath {
        /// Which peer.
        peer: &'a PeerId,
        /// Whether it answers.
        up: bool,
    },
    /// A name could not be resolved.
    ResolveFailed {
        /// The name.
        name: &'a str,
        /// Why.
        cause: &'a dyn Display,
    },
}

impl PeerEvent<'_> {
    /// Writes the log line, counts, and raises or clears the alarm.
    pub fn emit(&self) {
        match self {
            Self::AttemptFailed {
                side,
                peer,
                address,
                step,
                cause,
            } => {
                let (what, step) = (What::LinkAttemptFailed.as_str(), step.as_str());
                let address = address.map(tracing::field::display);
                warn!(what, %side, %peer, step, address, %cause);
                count_attempt(*side, peer, step);
            }
            Self::Diagnosed {
                peer,
                method,
                status,
                diagnostics,
                is_news,
            } => {
                count_reasons(peer, *status, diagnostics);
                let (what, said) = (What::PeerDiagnosed.as_str(), reasons(diagnostics));
                match (*is_news, *status) {
                    (false, _) => {}
                    (true, ..200) => debug!(what, %peer, method, status, said),
                    (true, 200..) => warn!(what, %peer, method, status, said),
                }
            }
            Self::Connected { side, peer } => count_attempt(*side, peer, "up"),
            Self::Reachable {
                side,
                peer,
                up,
                cause,
            } => {
                if *up {
                    info!(what = What::PeerUp.as_str(), %side, %peer, %cause);
                } else {
                    warn!(what = What::PeerDown.as_str(), %side, %peer, %cause);
                }
                Alarm::PeerDown.follow(!up, peer.as_str(), cause);
            }
            Self::Refusing {
                peer,
                address,
                span,
            } => {
                let (what, seconds) = (What::AddressRefuses.as_str(), span.as_secs());
                warn!(what, %peer, %address, seconds);
            }
            Self::Believed { peer } => {
                info!(what = What::PeerReleased.as_str(), %peer);
                Alarm::PeerRefusesGrants.clear(peer.as_str());
            }
            Self::Suspected { peer } => {
                let cause = "the peer refuses many of the subscriptions that it granted: they are kept and tried again";
                warn!(what = What::PeerRefusesGrants.as_str(), %peer, cause);
                Alarm::PeerRefusesGrants.raise(peer.as_str(), &cause);
            }
            Self::ReturnPath { peer, up } => {
                let cause = "the return path is down: the peer answers no ping, so it hears us and cannot reach us";
                if *up {
                    info!(what = What::ReturnPathUp.as_str(), %peer);
                } else {
                    warn!(what = What::ReturnPathDown.as_str(), %peer, cause);
                }
                Metric::ReturnPath.set(f64::from(*up), &[("peer", peer.as_str())]);
                Alarm::ReturnPathDown.follow(!up, peer.as_str(), &cause);
            }
            Self::ResolveFailed { name, cause } => {
                warn!(what = What::ResolveFailed.as_str(), name, %cause);
            }
        }
    }
}

/// Counts a refusal once for each reason: by its number, or the range that the number lies in.
fn count_reasons(peer: &PeerId, status: u16, diagnostics: &[Diagnostic]) {
    let count = |id: &str| Metric::SipDiagnostics.count(&[("peer", peer.as_str()), ("id", id)]);
    if diagnostics.is_empty() && status == 504 {
        count("bare-504");
    }
    for diagnostic in diagnostics {
        count(explain(diagnostic.id).map_or("unknown", |known| known.ids));
    }
}

/// Reasons on one line, with everything that the servers say.
fn reasons(diagnostics: &[Diagnostic]) -> String {
    let all: Vec<_> = diagnostics.iter().map(ToString::to_string).collect();
    all.join(", ")
}

fn count_attempt(side: Side, peer: &PeerId, result: &str) {
    let peer = ("peer", peer.as_str());
    Metric::LinkAttempts.count(&[("side", side_word(side)), peer, ("result", result)]);
}
