//! What `isthmusctl` is told of one peer.

use serde::{Deserialize, Serialize};

use crate::admin::protocol::{AttemptStatus, PeerStatus};

/// One peer and what it said of late.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerReport {
    /// The peer now.
    pub peer: PeerStatus,
    /// Its profile: `xmpp`, `generic` or `microsoft`.
    pub profile: String,
    /// How many messages a second may go to it, answers among them, until it lists us.
    #[serde(default)]
    pub cap: Option<u32>,
    /// What a Microsoft peer said about refusals, newest first.
    pub refusals: Vec<RefusalStatus>,
    /// Seconds that its clock was ahead of ours when it was seen last.
    pub clock_ahead_seconds: Option<i64>,
}

/// Why a peer cannot be reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerWhy {
    /// The peer now.
    #[serde(flatten)]
    pub report: PeerReport,
    /// The last attempts, newest first.
    pub attempts: Vec<AttemptStatus>,
    /// Causes for which an edge may refuse us, and what we find of each; only of a Microsoft peer.
    #[serde(default)]
    pub checks: Vec<CheckStatus>,
}

/// A refusal of a Microsoft peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusalStatus {
    /// When it came last (RFC 3339).
    pub at: String,
    /// When it came first (RFC 3339).
    pub first: String,
    /// How often.
    pub count: u64,
    /// What was refused.
    pub method: String,
    /// With which status.
    pub status: u16,
    /// The reasons that servers gave, or one line without a number where none was given.
    pub reasons: Vec<ReasonStatus>,
}

/// One reason of a refusal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReasonStatus {
    /// Its number, if a server gave one.
    pub id: Option<u32>,
    /// What the server said, as it said it.
    pub said: Option<String>,
    /// What the number means.
    pub meaning: Option<String>,
    /// What to do.
    pub remedy: Option<String>,
}

/// A cause for which an edge may refuse us.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckStatus {
    /// Stable name of what is looked at.
    pub check: String,
    /// Domain or certificate.
    pub subject: String,
    /// `ok`, `wrong`, or `unknown`: nobody can tell from here.
    pub outcome: String,
    /// What was found.
    pub sentence: String,
    /// What to do, if not all is well.
    pub fix: Option<String>,
}
