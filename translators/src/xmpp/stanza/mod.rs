//! Stanzas as typed values: tolerant reading, plain writing (RFC 6120 section 8, RFC 6121).
//!
//! Reading never fails for what one odd client does inside a stanza: unknown types count as the default, text between
//! elements is skipped, a language that is none is left out. It fails only where the addresses or, for an IQ, the
//! request itself cannot be understood.

mod error;
mod iq;
mod message;
mod presence;
mod read;

pub use error::{ErrorKind, StanzaError};
pub use iq::{Iq, IqKind};
pub use message::{Message, MessageKind};
pub use presence::{Presence, PresenceKind};
pub use read::{Bounce, Refused, Stanza};
