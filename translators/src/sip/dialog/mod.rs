//! Dialogs, above all those of subscriptions (RFC 3261 section 12, RFC 6665 section 4.4).
//!
//! A subscription of ours is [`Subscribing`] until a NOTIFY, or the answer where it carries the
//! document, names the other end; one of a peer is a [`Dialog`] from its SUBSCRIBE on. Either is
//! found by our [`Tag`]: what a peer changes in URIs on the way does not matter. A dialog knows no
//! connection, since a peer may spread it over several.
//!
//! There are millions of dialogs, so they are packed, and equal route sets are kept once.

mod cseq;
mod endpoint;
mod established;
mod routes;
mod subscribing;
mod tag;
mod texts;

pub(in crate::sip) use cseq::Counter;
pub use cseq::{Block, Sequence};
pub use endpoint::EndpointId;
pub(in crate::sip) use established::Far;
pub use established::{Content, Dialog};
pub use routes::{RoutePool, RouteSet};
pub use subscribing::{Decisive, Subscribing};
pub use tag::Tag;

#[cfg(test)]
mod tests;
