//! XMPP syntax and the stream machine only (RFC 6120, RFC 6121).

/// Replaced by the owner of this module.
#[derive(Debug)]
pub struct Message;
