//! XMPP syntax and the stream machine only (RFC 6120, RFC 6121).
//!
//! [`stream`] is the machine of one server-to-server stream; [`stanza`] is what comes out of it and goes into it.

pub mod acks;
pub mod answers;
pub mod faults;
pub mod ns;
pub mod reader;
pub mod sasl;
pub mod stanza;
pub mod stream;
pub mod vcard;
pub mod writer;

pub use stanza::{Iq, IqKind, Message, MessageKind, Presence, PresenceKind, Stanza, StanzaError};
pub use stream::{LinkEffects, LinkInput, Stream, StreamEvent};
