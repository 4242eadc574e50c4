//! What is kept of a subscription and of a presence document over restarts.

use bytes::Bytes;

use crate::model::{Pair, Role};

/// One relation of a pair: the authorization, its dialogs and when they end. Written before
/// anything that depends on it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionRecord {
    /// The two users.
    pub pair: Pair,
    /// Which of them watches.
    pub role: Role,
    /// The state in the form of the machine that owns it; `None` deletes the row.
    pub body: Option<Bytes>,
}

/// The last known presence of one relation, written behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentRecord {
    /// The two users.
    pub pair: Pair,
    /// Which of them watches.
    pub role: Role,
    /// The state in the form of the machine that owns it; `None` deletes the row.
    pub body: Option<Bytes>,
}
