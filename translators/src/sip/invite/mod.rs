//! Conversations inside INVITE dialogs (RFC 3261 sections 9, 12-14, RFC 6026).
//!
//! [`Inviting`] is an INVITE of ours until its last answer, [`Invited`] says what an INVITE of a peer
//! is for, and either makes a [`Session`]: the dialog that messages, typing and the end go through.
//! A 2xx of ours is sent again by [`Confirming`] until its ACK comes. Transactions are in
//! [`crate::sip::transaction`]; who is let in, and what a message means, is decided elsewhere.

mod confirming;
mod invited;
mod inviting;
mod session;

pub use confirming::{Confirming, Repeat};
pub use invited::{Invited, MULTIPARTY, Purpose, wants_more};
pub use inviting::{Caller, Inviting, Progress};
pub use session::{Inside, Session, Terms};
