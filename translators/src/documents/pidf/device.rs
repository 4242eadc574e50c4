//! Identifiers of tuples: XML names that stand for XMPP resources, stable and reversible
//! (RFC 8048 section 6.2 note 2).

use jid::ResourcePart;

use crate::model::digest;
use crate::text::hex_octet;

/// The identifier of a tuple that is about the user, not about one device.
pub(super) const NO_DEVICE: &str = "ID-gw";

/// The device of a tuple without an identifier.
const UNNAMED: &str = "sip";

/// The identifier of a device's tuple: the resource behind `ID-` where that is a name, else behind
/// `IDx-` in hexadecimal.
pub fn tuple_id(device: &str) -> String {
    if device.is_empty() {
        return NO_DEVICE.to_owned();
    }
    if device.chars().all(is_name) {
        return format!("ID-{device}");
    }
    let mut id = String::from("IDx-");
    for octet in device.bytes() {
        id.push_str(&format!("{octet:02x}"));
    }
    id
}

/// The device of a tuple. An identifier that is not of our making is the device itself; where it
/// cannot be an XMPP resource, its hexadecimal digest is.
pub fn device_of(id: &str) -> String {
    let id = id.trim();
    if id.is_empty() {
        return UNNAMED.to_owned();
    }
    let decoded = id.strip_prefix("IDx-").and_then(from_hex);
    let device = decoded.as_deref().or_else(|| id.strip_prefix("ID-"));
    let device = device.filter(|it| !it.is_empty()).unwrap_or(id);
    match ResourcePart::new(device) {
        Ok(resource) => resource.as_str().to_owned(),
        Err(_) => format!("x-{:016x}", digest(id.bytes())),
    }
}

/// A character of a name that every XML reader takes; names may hold more.
const fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_')
}

fn from_hex(digits: &str) -> Option<String> {
    let mut rest = digits.as_bytes();
    let mut octets = Vec::with_capacity(rest.len() / 2);
    while !rest.is_empty() {
        let (octet, behind) = hex_octet(rest)?;
        octets.push(octet);
        rest = behind;
    }
    String::from_utf8(octets).ok()
}
