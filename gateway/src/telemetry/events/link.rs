//! Events of one link.

use std::fmt::Display;
use std::net::SocketAddr;

use tracing::{info, warn};
use translators::model::{Domain, LinkId, PeerId, Side};

use crate::telemetry::alarms::Alarm;
use crate::telemetry::events::{What, side_word};
use crate::telemetry::metrics::Metric;

/// The link an event is about.
#[derive(Clone, Copy, Debug)]
pub struct On<'a> {
    /// Its side.
    pub side: Side,
    /// Its number.
    pub link: LinkId,
    /// Its peer, once it is known.
    pub peer: Option<&'a PeerId>,
    /// Who dialled.
    pub way: Way,
    /// The far end.
    pub address: SocketAddr,
}

impl On<'_> {
    fn peer(&self) -> &str {
        self.peer.map_or("-", PeerId::as_str)
    }
}

/// Who dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The peer.
    In,
    /// This gateway.
    Out,
}

impl Way {
    /// In one word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
        }
    }
}

/// How a link ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// As it should: closed by us or by the peer in order.
    Orderly,
    /// Broken: reset, silence, time-out, or an error of the protocol.
    Broken,
}

/// What happened to a link.
pub enum LinkEvent<'a> {
    /// The link is established and its peer proven.
    Up {
        /// Which link.
        on: On<'a>,
        /// Our domain on it, where it is bound to one.
        local: Option<&'a Domain>,
        /// The peer's domain on it.
        remote: Option<&'a Domain>,
        /// TLS version.
        tls: &'static str,
        /// Cipher suite.
        cipher: &'a str,
    },
    /// The link ended after it was established.
    Down {
        /// Which link.
        on: On<'a>,
        /// How.
        ending: Ending,
        /// Why, in an operator's words.
        cause: &'a dyn Display,
    },
    /// A connection was refused before it was known whose it is.
    Refused {
        /// Which link.
        on: On<'a>,
        /// Stable name of the reason.
        reason: &'static str,
        /// Why.
        cause: &'a dyn Display,
    },
    /// The peer did not prove who it is, or did not believe us.
    AuthFailed {
        /// Which link.
        on: On<'a>,
        /// The domain it claimed or was dialled for.
        claimed: &'a str,
        /// Stable name of the reason.
        reason: &'a str,
        /// The reason in an operator's words.
        cause: &'a dyn Display,
    },
    /// The peer tried dialback, which is never taken: it failed SASL EXTERNAL.
    DialbackRefused {
        /// Which link.
        on: On<'a>,
        /// The domain it claimed.
        claimed: &'a str,
    },
    /// A stream ended with a stream error.
    StreamError {
        /// Which link.
        on: On<'a>,
        /// Whether we sent it.
        ours: bool,
        /// The condition of RFC 6120 section 4.9.3.
        condition: &'a str,
    },
    /// The peer sent something in a name that it has not proven.
    Spoofed {
        /// Which link.
        on: On<'a>,
        /// The domain it used.
        claimed: &'a str,
    },
    /// The peer sent what cannot be read.
    Malformed {
        /// Which link.
        on: On<'a>,
        /// What was wrong, without content.
        cause: &'a dyn Display,
    },
    /// A limit stopped something.
    LimitHit {
        /// Which link.
        on: On<'a>,
        /// Which limit.
        limit: &'static str,
    },
}

impl LinkEvent<'_> {
    /// Writes the log line, counts, and raises or clears the alarm.
    pub fn emit(&self) {
        self.emit_as(Some(0));
    }

    /// The same with the number of lines like it that were left out before it, which the line tells;
    /// without a number it is left out itself.
    pub fn emit_as(&self, left_out: Option<u64>) {
        if let Some(left_out) = left_out {
            self.log((left_out > 0).then_some(left_out));
        }
        self.count();
        self.alarm();
    }

    fn log(&self, left_out: Option<u64>) {
        match self {
            Self::Up {
                on,
                local,
                remote,
                tls,
                cipher,
            } => {
                let (what, way, peer) = (What::LinkUp.as_str(), on.way.as_str(), on.peer());
                let (side, link, address) = (on.side, on.link.0, on.address);
                let (local, remote) = (local.map(Domain::as_str), remote.map(Domain::as_str));
                info!(what, link, %side, way, peer, %address, local, remote, tls, cipher);
            }
            Self::Down { on, ending, cause } => {
                let (what, orderly) = (What::LinkDown.as_str(), *ending == Ending::Orderly);
                let (side, link, way, peer) = (on.side, on.link.0, on.way.as_str(), on.peer());
                info!(what, link, %side, way, peer, orderly, %cause);
            }
            Self::Refused {
                on,
                reason: _,
                cause,
            } => about(What::LinkRefused, on, cause, left_out),
            Self::AuthFailed {
                on,
                claimed,
                reason,
                cause,
            } => {
                let (what, way, peer) = (What::AuthFailed.as_str(), on.way.as_str(), on.peer());
                let (side, link, address) = (on.side, on.link.0, on.address);
                warn!(what, link, %side, way, peer, %address, claimed, reason, %cause, left_out);
            }
            Self::DialbackRefused { on, claimed } => {
                let (what, side) = (What::DialbackRefused.as_str(), on.side);
                let (link, address) = (on.link.0, on.address);
                let cause = "the peer falls back to dialback: it failed SASL EXTERNAL";
                warn!(what, link, %side, %address, claimed, cause);
            }
            Self::StreamError {
                on,
                ours,
                condition,
            } => {
                let (what, side, link) = (What::StreamError.as_str(), on.side, on.link.0);
                let (way, peer) = (on.way.as_str(), on.peer());
                info!(what, link, %side, way, peer, ours, condition);
            }
            Self::Spoofed { on, claimed } => {
                let cause = format_args!("it used {claimed}");
                about(What::SenderSpoofed, on, &cause, left_out);
            }
            Self::Malformed { on, cause } => about(What::InputMalformed, on, cause, left_out),
            Self::LimitHit { on, limit } => about(What::LimitHit, on, limit, left_out),
        }
    }

    fn count(&self) {
        match self {
            Self::Up { on, tls, .. } => {
                let [side, way] = place(on);
                Metric::TlsHandshakes.count(&[side, way, ("version", tls)]);
                Metric::Auth.count(&[side, way, ("result", "ok")]);
                Metric::Links.shift(1.0, &[("peer", on.peer()), side, way]);
            }
            Self::Down { on, .. } => {
                let [side, way] = place(on);
                Metric::Links.shift(-1.0, &[("peer", on.peer()), side, way]);
            }
            Self::AuthFailed { on, reason, .. } => {
                let [side, way] = place(on);
                Metric::Auth.count(&[side, way, ("result", reason)]);
            }
            Self::Malformed { on, .. } => {
                Metric::ParserRejects.count(&[("side", side_word(on.side))]);
            }
            Self::LimitHit { limit, .. } => Metric::LimitHits.count(&[("limit", limit)]),
            Self::Refused { on, reason, .. } => {
                let [side, way] = place(on);
                Metric::LinksRefused.count(&[side, way, ("reason", reason)]);
            }
            Self::DialbackRefused { .. } | Self::Spoofed { .. } | Self::StreamError { .. } => {}
        }
    }

    fn alarm(&self) {
        match self {
            Self::AuthFailed {
                on, reason, cause, ..
            } => {
                let alarm = if *reason == UNLISTED {
                    Alarm::SubdomainRefused
                } else {
                    Alarm::PeerAuthFails
                };
                if let Some(peer) = on.peer {
                    alarm.raise(peer.as_str(), cause);
                }
            }
            Self::Up { on, .. } => Alarm::PeerAuthFails.clear(on.peer()),
            Self::DialbackRefused { .. }
            | Self::Down { .. }
            | Self::LimitHit { .. }
            | Self::Malformed { .. }
            | Self::Refused { .. }
            | Self::Spoofed { .. }
            | Self::StreamError { .. } => {}
        }
    }
}

/// The reason why a peer that proved a name of its own was refused: it is not listed.
pub const UNLISTED: &str = "subdomain-unlisted";

/// Labels that say where a link is.
const fn place(on: &On<'_>) -> [(&'static str, &'static str); 2] {
    [("side", side_word(on.side)), ("direction", on.way.as_str())]
}

fn about(what: What, on: &On<'_>, cause: &dyn Display, left_out: Option<u64>) {
    let (what, side, link, way) = (what.as_str(), on.side, on.link.0, on.way.as_str());
    let (peer, address) = (on.peer(), on.address);
    warn!(what, link, %side, way, peer, %address, %cause, left_out);
}
