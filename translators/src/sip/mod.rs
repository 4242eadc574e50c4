//! SIP syntax, transactions, dialogs and the connection machine (RFC 3261, RFC 3428, RFC 6665).
//!
//! Bytes become frames in [`framing`], frames become a [`Request`] or [`Response`] that shares
//! those bytes, and [`hop`] is the machine of one connection that does both. [`writer`] is the only
//! place that writes a start line or header. Nothing here knows what a message means to a user.

mod branch;
mod cursor;
mod head;
mod headers;
mod malformed;
mod message;
mod name_addr;
mod names;
mod reception;
mod uri;
mod validate;

pub mod dialog;
pub mod framing;
pub mod hop;
pub mod hosts;
pub mod invite;
pub mod microsoft;
pub mod offer;
pub mod piggyback;
pub mod sdp;
pub mod subscription;
pub mod transaction;
pub mod writer;

pub use branch::{Branch, Mark};
pub use dialog::{Block, Dialog, Sequence, Subscribing, Tag};
pub use framing::{Broken, Frame, Framer};
pub use head::{Head, Header};
pub use headers::{CSeq, CallId, MediaType, Via, write_date};
pub use hop::{Hop, HopClose, HopConfig, HopEffects, HopEvent, HopInput, Ignored, Probe};
pub use hosts::{Hosts, lies_in};
pub use invite::{Invited, Inviting, Session};
pub use malformed::{Defect, Malformed};
pub use message::{Message, Request, Response};
pub use name_addr::NameAddr;
pub use names::{HeaderName, Method};
pub use transaction::{
    Answered, Arrival, Cancelled, ClientTransactions, Finished, ServerKey, ServerTransactions,
};
pub use uri::{Scheme, SipUri};
pub use validate::judge;
pub use writer::{Answer, Draft, SentBy, write_request, write_response};

#[cfg(test)]
mod tests;
