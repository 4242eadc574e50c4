//! What can become of a message short of being delivered.

use serde::{Deserialize, Serialize};

use crate::model::Failure;

/// Why a transmit came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lapse {
    /// Its time ran out in the queue.
    Expired,
    /// The peer's queue is full.
    Full,
    /// The link that it had to use is gone.
    LinkDown,
    /// It was dropped on request.
    Recalled,
    /// A newer transmit of the same key took its place.
    Replaced,
    /// The peer answers no barrier, so nothing is sent that could get lost silently.
    ReturnPathDown,
    /// No way to the peer: unknown name, refused connection or certificate, with the failure to tell.
    Unreachable(Failure),
}

/// Why something was dropped on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// A copy for another device (XEP-0280).
    Carbon,
    /// Policy does not let the two exchange, and nothing is said about it.
    Denied,
    /// The same message again after a broken stream.
    Duplicate,
    /// Nothing that could be carried.
    Empty,
    /// Its Expires had passed (RFC 3428 section 7).
    Expired,
    /// Traffic of a room that no user of the other side is in (RFC 7702 section 5).
    Room,
    /// Nobody has a conversation open, or a newer state took its place.
    Superseded,
    /// An error or receipt for nothing that is known.
    Unmatched,
}
