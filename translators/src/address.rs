//! Addresses of both worlds: JID and SIP URI (RFC 7247).
