//! A SIP user watches an XMPP user: we are the notifier (RFC 6665, RFC 8048 section 5.3).

/// One presentity and who watches him.
#[derive(Debug)]
pub struct Notifier;
