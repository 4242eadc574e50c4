//! Instant messages each way (RFC 7572), with what travels as messages: typing, receipts and
//! invitations to rooms.
//!
//! `from_*` reads one side's syntax into the model, `to_*` writes the model in the other side's;
//! the latter take only what policy admitted.

mod content;
mod from_sip;
mod from_xmpp;
pub mod invitation;
mod remarks;
mod to_sip;
mod to_xmpp;

pub use from_sip::{Incoming, first_of, from_sip, in_dialog};
pub use from_xmpp::from_xmpp;
pub use remarks::{Undelivered, refused_invitation};
pub use to_sip::{Envelope, to_sip, write_page};
pub use to_xmpp::to_xmpp;

use crate::address::Reject;
use crate::mapping::failure::Own;
use crate::model::Reason;

/// Why something is not carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unmapped {
    /// Nobody is told: nothing was promised.
    Dropped(Reason),
    /// The sender is told.
    Refused(Own),
}

impl From<Own> for Unmapped {
    fn from(own: Own) -> Self {
        Self::Refused(own)
    }
}

impl From<Reason> for Unmapped {
    fn from(reason: Reason) -> Self {
        Self::Dropped(reason)
    }
}

impl From<Reject> for Unmapped {
    fn from(reject: Reject) -> Self {
        Self::Refused(reject.into())
    }
}

#[cfg(test)]
mod tests;
