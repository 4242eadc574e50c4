//! Presence each way (RFC 8048): stanzas of one XMPP user into tuples and documents of all his
//! devices, documents of a SIP user into a stanza for each device.
//!
//! What shows presence takes the proof that it may be seen; what only ends, asks or closes does not.

mod from_xmpp;
mod signals;
#[cfg(test)]
mod tests;
mod to_sip;
mod to_xmpp;

pub use from_xmpp::{Report, from_xmpp, is_room};
pub use signals::{probe, subscribe, subscribed, unavailable, unsubscribe, unsubscribed};
pub use to_sip::{Document, Occasion, document, offline_document};
pub use to_xmpp::{changes, full, withdraw};
