//! What peers are told that the gateway takes.

/// Methods, for Allow.
pub const ALLOW: &str =
    "ACK, BYE, CANCEL, INFO, INVITE, MESSAGE, NOTIFY, OPTIONS, SUBSCRIBE, UPDATE";

/// Content types of a MESSAGE, for Accept.
pub const ACCEPT: &str = "text/plain, text/html, multipart/alternative, message/cpim, \
     message/imdn+xml, application/im-iscomposing+xml";

/// Content encodings, for Accept-Encoding.
pub const ACCEPT_ENCODING: &str = "identity";
