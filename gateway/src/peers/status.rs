//! What the operator sees of a peer.

use std::net::SocketAddr;
use std::time::Duration;

use translators::model::{Domain, LinkId, PeerId, Side, Wall};

use super::load::Load;
use super::path::PathKey;
use super::told::Told;
use crate::telemetry::events::{Step, Way};

/// A peer as it is now.
#[derive(Clone, Debug)]
pub struct PeerStatus {
    /// Its name.
    pub id: PeerId,
    /// Its side.
    pub side: Side,
    /// Its links.
    pub links: Vec<LinkStatus>,
    /// The paths that were used.
    pub paths: Vec<PathStatus>,
    /// How much it has to carry.
    pub load: Load,
    /// The last attempts to set up a link, either way, oldest first.
    pub attempts: Vec<Attempt>,
    /// Its last refusals that say something about servers, each kind once, the newest last.
    pub told: Vec<Told>,
    /// What its clock showed last.
    pub skew: Option<Skew>,
}

/// How far the clock of a peer is from ours, as the Date of its last message showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skew {
    /// Seconds that it is ahead of ours; negative if it is behind.
    pub seconds: i64,
    /// When that was seen.
    pub at: Wall,
}

/// A link as it is now.
#[derive(Clone, Debug)]
pub struct LinkStatus {
    /// Its number.
    pub id: LinkId,
    /// Who opened it.
    pub way: Way,
    /// Our domain on it.
    pub local: Domain,
    /// The peer's domain.
    pub remote: Domain,
    /// What the peer proved.
    pub domains: Vec<Domain>,
    /// The other end.
    pub address: SocketAddr,
    /// Version of TLS.
    pub tls: &'static str,
    /// Since when it is up.
    pub since: Wall,
}

/// A path as it is now.
#[derive(Clone, Debug)]
pub struct PathStatus {
    /// From where to where.
    pub key: PathKey,
    /// The link that carries it.
    pub link: Option<LinkId>,
    /// Transmits that wait.
    pub waiting: usize,
    /// Transmits that were written and are not confirmed.
    pub unconfirmed: usize,
    /// Whether the peer answers no barrier.
    pub return_path_down: bool,
    /// Time to the next attempt to connect, after a failure.
    pub next_attempt_in: Option<Duration>,
}

/// One attempt to set up a link.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// When.
    pub at: Wall,
    /// Who opened it.
    pub way: Way,
    /// From where to where, as far as known.
    pub path: Option<PathKey>,
    /// The other end, once known.
    pub address: Option<SocketAddr>,
    /// How far it came.
    pub step: Step,
    /// Why it went no further; nothing if it became a link.
    pub failure: Option<Why>,
}

/// Why an attempt failed, for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    /// Stable identifier.
    pub what: &'static str,
    /// One sentence.
    pub cause: String,
    /// What to do; empty if the cause says it.
    pub hint: &'static str,
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.cause)?;
        if !self.hint.is_empty() {
            write!(f, " {}", self.hint)?;
        }
        Ok(())
    }
}
