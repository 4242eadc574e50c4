//! An XMPP user watches a SIP user: we are the subscriber (RFC 6665, RFC 8048 section 5.2).

/// One watcher and what he watches.
#[derive(Debug)]
pub struct Subscriber;
