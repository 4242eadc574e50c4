//! Namespace names of the XMPP side.

/// Stream element, features and stream errors (RFC 6120 section 4.8.1).
pub const STREAMS: &str = "http://etherx.jabber.org/streams";
/// Content namespace on the wire between servers (RFC 6120 section 4.8.2).
pub const SERVER: &str = "jabber:server";
/// Content namespace inside this program, whichever of the two a peer used.
pub const CLIENT: &str = "jabber:client";
/// Server dialback (XEP-0220), which is refused.
pub const DIALBACK: &str = "jabber:server:dialback";
/// STARTTLS (RFC 6120 section 5).
pub const TLS: &str = "urn:ietf:params:xml:ns:xmpp-tls";
/// SASL (RFC 6120 section 6).
pub const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
/// Conditions of stream errors (RFC 6120 section 4.9.3).
pub const STREAM_ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-streams";
/// Conditions of stanza errors (RFC 6120 section 8.3.3).
pub const STANZA_ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";
/// Stream management, the version in use (XEP-0198).
pub const SM: &str = "urn:xmpp:sm:3";
/// Stream limits (XEP-0478), told by Openfire since 4.8.
pub const LIMITS: &str = "urn:xmpp:stream-limits:0";
/// Ping (XEP-0199).
pub const PING: &str = "urn:xmpp:ping";
/// Service discovery, information (XEP-0030).
pub const DISCO_INFO: &str = "http://jabber.org/protocol/disco#info";
/// Service discovery, items (XEP-0030).
pub const DISCO_ITEMS: &str = "http://jabber.org/protocol/disco#items";
/// Software version (XEP-0092).
pub const VERSION: &str = "jabber:iq:version";
/// Last activity (XEP-0012).
pub const LAST: &str = "jabber:iq:last";
/// Business card (XEP-0054).
pub const VCARD: &str = "vcard-temp";
/// Chat states (XEP-0085).
pub const CHAT_STATES: &str = "http://jabber.org/protocol/chatstates";
/// Receipts (XEP-0184).
pub const RECEIPTS: &str = "urn:xmpp:receipts";
/// JID escaping (XEP-0106), a feature name, not a namespace.
pub const JID_ESCAPING: &str = "jid\\20escaping";
/// The reserved namespace of `xml:lang`.
pub const XML: &str = "http://www.w3.org/XML/1998/namespace";
/// What a room tells a user, invitations among it (XEP-0045 section 7.8).
pub const MUC_USER: &str = "http://jabber.org/protocol/muc#user";
/// Direct invitation to a room (XEP-0249).
pub const CONFERENCE: &str = "jabber:x:conference";
/// Copies for other devices (XEP-0280).
pub const CARBONS: &str = "urn:xmpp:carbons:2";
/// Display name (XEP-0172).
pub const NICK: &str = "http://jabber.org/protocol/nick";
/// How a message is encrypted (XEP-0380).
pub const EME: &str = "urn:xmpp:eme:0";
/// Link to a file (XEP-0066).
pub const OOB: &str = "jabber:x:oob";
/// Formatted text (XEP-0071).
pub const XHTML_IM: &str = "http://jabber.org/protocol/xhtml-im";
/// Chat markers (XEP-0333).
pub const MARKERS: &str = "urn:xmpp:chat-markers:0";
/// When a stanza was sent (XEP-0203).
pub const DELAY: &str = "urn:xmpp:delay";
/// The same in its old form (XEP-0091).
pub const OLD_DELAY: &str = "jabber:x:delay";
/// Since when nobody uses a device (XEP-0319).
pub const IDLE: &str = "urn:xmpp:idle:1";
/// What a user tells a room, joining it above all (XEP-0045 section 7.2).
pub const MUC: &str = "http://jabber.org/protocol/muc";
