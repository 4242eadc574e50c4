//! Presence documents in the presence information data format (PIDF, RFC 3863), the show of XMPP
//! in them (RFC 8048 section 6) and their rich part ([`super::rpid`]).

#[cfg(test)]
mod clients;
mod device;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use device::{device_of, tuple_id};
pub use read::read;
pub(super) use write::{write, write_offline};

/// Content type of the document.
pub const CONTENT_TYPE: &str = "application/pidf+xml";

/// Namespace of the document.
pub const NS: &str = "urn:ietf:params:xml:ns:pidf";

/// Namespace of the show of XMPP inside `<status>` (RFC 8048 section 6.2 note 7).
const SHOW: &str = "jabber:client";

/// Namespace of activities inside `<status>`: the one place where Microsoft's software looks.
const STATUS_ACTIVITIES: &str = "urn:ietf:params:xml:ns:pidf:status:rpid-status";

/// Priority of a contact in thousandths from that of an XMPP resource; none below zero, which "must
/// not be mapped" (RFC 8048 section 6.2 note 6).
pub fn contact_priority(priority: i8) -> Option<u32> {
    let priority = u32::try_from(priority).ok()?;
    Some(priority * 1000 / 127)
}

/// Priority of an XMPP resource from that of a contact in thousandths, at most 1000.
pub fn resource_priority(thousandths: u32) -> i8 {
    let priority = (thousandths.min(1000) * 127 + 500) / 1000;
    i8::try_from(priority).unwrap_or(i8::MAX)
}
