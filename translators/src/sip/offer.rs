//! What peers are told that the gateway takes.

/// Methods, for Allow: ACK and CANCEL are understood but nothing that they could be for is.
pub const ALLOW: &str = "MESSAGE, NOTIFY, OPTIONS, SUBSCRIBE";

/// Content types of a MESSAGE, for Accept.
pub const ACCEPT: &str = "text/plain, text/html, multipart/alternative, message/cpim, \
     message/imdn+xml, application/im-iscomposing+xml";

/// Content encodings, for Accept-Encoding.
pub const ACCEPT_ENCODING: &str = "identity";
