//! The header and method names that the gateway knows.

use std::fmt;

/// A header name that the gateway reads or writes; any other is [`HeaderName::Other`] and keeps
/// its spelling in the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HeaderName {
    /// Accept.
    Accept,
    /// Accept-Encoding.
    AcceptEncoding,
    /// Allow.
    Allow,
    /// Allow-Events (RFC 6665).
    AllowEvents,
    /// Call-ID.
    CallId,
    /// Contact.
    Contact,
    /// Content-Disposition.
    ContentDisposition,
    /// Content-Encoding.
    ContentEncoding,
    /// Content-Language.
    ContentLanguage,
    /// Content-Length.
    ContentLength,
    /// Content-Type.
    ContentType,
    /// CSeq.
    CSeq,
    /// Date.
    Date,
    /// Event (RFC 6665).
    Event,
    /// Expires.
    Expires,
    /// From.
    From,
    /// Max-Forwards.
    MaxForwards,
    /// Min-Expires (RFC 3261 section 20.23).
    MinExpires,
    /// Ms-Conversation-ID, which tells the windows of a Microsoft client apart.
    MsConversationId,
    /// ms-diagnostics ([MS-OCER] section 2.2.1).
    MsDiagnostics,
    /// ms-diagnostics-public, the form for the world outside.
    MsDiagnosticsPublic,
    /// ms-piggyback-cseq: the number of the NOTIFY that an answer stands for ([MS-SIP] section 3.4).
    MsPiggybackCseq,
    /// P-Asserted-Identity (RFC 3325).
    PAssertedIdentity,
    /// Priority.
    Priority,
    /// Proxy-Require.
    ProxyRequire,
    /// Record-Route.
    RecordRoute,
    /// Require.
    Require,
    /// Retry-After.
    RetryAfter,
    /// Route.
    Route,
    /// Session-Expires (RFC 4028).
    SessionExpires,
    /// SIP-ETag (RFC 5839).
    SipEtag,
    /// Subject.
    Subject,
    /// Subscription-State (RFC 6665).
    SubscriptionState,
    /// Supported.
    Supported,
    /// Suppress-If-Match (RFC 5839).
    SuppressIfMatch,
    /// To.
    To,
    /// Unsupported.
    Unsupported,
    /// User-Agent.
    UserAgent,
    /// Via.
    Via,
    /// Warning.
    Warning,
    /// A name that means nothing to the gateway.
    Other,
}

impl HeaderName {
    /// Recognises a name as it stands in a message: in any letter case, compact or not (RFC 3261
    /// section 7.3.3).
    pub fn recognise(name: &[u8]) -> Self {
        let first = name.first().map_or(0, u8::to_ascii_lowercase);
        if name.len() == 1 {
            return Self::from_compact(first);
        }
        let known = Self::candidates(name.len(), first);
        let same = |one: &&Self| {
            let long = one.as_str().as_bytes();
            long == name || long.eq_ignore_ascii_case(name)
        };
        known.iter().find(same).copied().unwrap_or(Self::Other)
    }

    /// The long form; empty for [`HeaderName::Other`].
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accept => "Accept",
            Self::AcceptEncoding => "Accept-Encoding",
            Self::Allow => "Allow",
            Self::AllowEvents => "Allow-Events",
            Self::CallId => "Call-ID",
            Self::Contact => "Contact",
            Self::ContentDisposition => "Content-Disposition",
            Self::ContentEncoding => "Content-Encoding",
            Self::ContentLanguage => "Content-Language",
            Self::ContentLength => "Content-Length",
            Self::ContentType => "Content-Type",
            Self::CSeq => "CSeq",
            Self::Date => "Date",
            Self::Event => "Event",
            Self::Expires => "Expires",
            Self::From => "From",
            Self::MaxForwards => "Max-Forwards",
            Self::MinExpires => "Min-Expires",
            Self::MsConversationId => "Ms-Conversation-ID",
            Self::MsDiagnostics => "ms-diagnostics",
            Self::MsDiagnosticsPublic => "ms-diagnostics-public",
            Self::MsPiggybackCseq => "ms-piggyback-cseq",
            Self::PAssertedIdentity => "P-Asserted-Identity",
            Self::Priority => "Priority",
            Self::ProxyRequire => "Proxy-Require",
            Self::RecordRoute => "Record-Route",
            Self::Require => "Require",
            Self::RetryAfter => "Retry-After",
            Self::Route => "Route",
            Self::SessionExpires => "Session-Expires",
            Self::SipEtag => "SIP-ETag",
            Self::Subject => "Subject",
            Self::SubscriptionState => "Subscription-State",
            Self::Supported => "Supported",
            Self::SuppressIfMatch => "Suppress-If-Match",
            Self::To => "To",
            Self::Unsupported => "Unsupported",
            Self::UserAgent => "User-Agent",
            Self::Via => "Via",
            Self::Warning => "Warning",
            Self::Other => "",
        }
    }

    /// Whether a message may hold only one header of this name with only one value (RFC 3261
    /// section 7.3.1).
    pub(super) const fn is_single(self) -> bool {
        matches!(
            self,
            Self::CallId
                | Self::ContentDisposition
                | Self::ContentLength
                | Self::ContentType
                | Self::CSeq
                | Self::Date
                | Self::Event
                | Self::Expires
                | Self::From
                | Self::MaxForwards
                | Self::MinExpires
                | Self::Priority
                | Self::RetryAfter
                | Self::SessionExpires
                | Self::SipEtag
                | Self::Subject
                | Self::SubscriptionState
                | Self::SuppressIfMatch
                | Self::To
        )
    }

    /// Whether a header of this name without a value counts as not given. COMPAT(lync): clients and
    /// servers write the names of what they have nothing to say about.
    pub(super) const fn may_be_empty(self) -> bool {
        matches!(
            self,
            Self::Contact
                | Self::ContentType
                | Self::Date
                | Self::Event
                | Self::Expires
                | Self::MaxForwards
                | Self::PAssertedIdentity
                | Self::RecordRoute
                | Self::Route
        )
    }

    const fn from_compact(letter: u8) -> Self {
        match letter {
            b'c' => Self::ContentType,
            b'e' => Self::ContentEncoding,
            b'f' => Self::From,
            b'i' => Self::CallId,
            b'k' => Self::Supported,
            b'l' => Self::ContentLength,
            b'm' => Self::Contact,
            b'o' => Self::Event,
            b's' => Self::Subject,
            b't' => Self::To,
            b'u' => Self::AllowEvents,
            b'v' => Self::Via,
            b'x' => Self::SessionExpires,
            _ => Self::Other,
        }
    }

    /// The names with so many octets and this first letter.
    const fn candidates(octets: usize, first: u8) -> &'static [Self] {
        match (octets, first) {
            (2, b't') => &[Self::To],
            (3, b'v') => &[Self::Via],
            (4, b'c') => &[Self::CSeq],
            (4, b'd') => &[Self::Date],
            (4, b'f') => &[Self::From],
            (5, b'a') => &[Self::Allow],
            (5, b'e') => &[Self::Event],
            (5, b'r') => &[Self::Route],
            (6, b'a') => &[Self::Accept],
            (7, b'c') => &[Self::CallId, Self::Contact],
            (7, b'e') => &[Self::Expires],
            (7, b'r') => &[Self::Require],
            (7, b's') => &[Self::Subject],
            (7, b'w') => &[Self::Warning],
            (8, b'p') => &[Self::Priority],
            (8, b's') => &[Self::SipEtag],
            (9, b's') => &[Self::Supported],
            (10, b'u') => &[Self::UserAgent],
            (11, b'm') => &[Self::MinExpires],
            (11, b'r') => &[Self::RetryAfter],
            (11, b'u') => &[Self::Unsupported],
            (12, b'a') => &[Self::AllowEvents],
            (12, b'c') => &[Self::ContentType],
            (12, b'm') => &[Self::MaxForwards],
            (12, b'r') => &[Self::RecordRoute],
            (13, b'p') => &[Self::ProxyRequire],
            (14, b'c') => &[Self::ContentLength],
            (15, b's') => &[Self::SessionExpires],
            (14, b'm') => &[Self::MsDiagnostics],
            (15, b'a') => &[Self::AcceptEncoding],
            (16, b'c') => &[Self::ContentEncoding, Self::ContentLanguage],
            (17, b'm') => &[Self::MsPiggybackCseq],
            (17, b's') => &[Self::SuppressIfMatch],
            (18, b'm') => &[Self::MsConversationId],
            (18, b's') => &[Self::SubscriptionState],
            (19, b'c') => &[Self::ContentDisposition],
            (19, b'p') => &[Self::PAssertedIdentity],
            (21, b'm') => &[Self::MsDiagnosticsPublic],
            _ => &[],
        }
    }
}

impl fmt::Display for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A method that the gateway knows by name; it need not take it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    /// ACK (RFC 3261).
    Ack,
    /// BENOTIFY, a NOTIFY that is never answered ([MS-SIP] section 3.5).
    Benotify,
    /// BYE (RFC 3261).
    Bye,
    /// CANCEL (RFC 3261).
    Cancel,
    /// INFO (RFC 6086).
    Info,
    /// INVITE (RFC 3261).
    Invite,
    /// MESSAGE (RFC 3428).
    Message,
    /// NEGOTIATE, which Microsoft servers send first on a connection.
    Negotiate,
    /// NOTIFY (RFC 6665).
    Notify,
    /// OPTIONS (RFC 3261).
    Options,
    /// PRACK (RFC 3262).
    Prack,
    /// PUBLISH (RFC 3903).
    Publish,
    /// REFER (RFC 3515).
    Refer,
    /// REGISTER (RFC 3261).
    Register,
    /// SUBSCRIBE (RFC 6665).
    Subscribe,
    /// UPDATE (RFC 3311).
    Update,
}

impl Method {
    const ALL: [Self; 16] = [
        Self::Message,
        Self::Options,
        Self::Ack,
        Self::Benotify,
        Self::Bye,
        Self::Cancel,
        Self::Info,
        Self::Invite,
        Self::Negotiate,
        Self::Notify,
        Self::Prack,
        Self::Publish,
        Self::Refer,
        Self::Register,
        Self::Subscribe,
        Self::Update,
    ];

    /// Recognises a method; names are case-sensitive (RFC 3261 section 7.1).
    pub fn recognise(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == name)
    }

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ack => "ACK",
            Self::Benotify => "BENOTIFY",
            Self::Bye => "BYE",
            Self::Cancel => "CANCEL",
            Self::Info => "INFO",
            Self::Invite => "INVITE",
            Self::Message => "MESSAGE",
            Self::Negotiate => "NEGOTIATE",
            Self::Notify => "NOTIFY",
            Self::Options => "OPTIONS",
            Self::Prack => "PRACK",
            Self::Publish => "PUBLISH",
            Self::Refer => "REFER",
            Self::Register => "REGISTER",
            Self::Subscribe => "SUBSCRIBE",
            Self::Update => "UPDATE",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_recognised() {
        let mut known = 0;
        for (octets, first) in (0..32).flat_map(|octets| (b'a'..=b'z').map(move |c| (octets, c))) {
            for name in HeaderName::candidates(octets, first) {
                assert_eq!(HeaderName::recognise(name.as_str().as_bytes()), *name);
                known += 1;
            }
        }
        assert_eq!(known, HeaderName::Other as usize, "a name is missing");
    }

    #[test]
    fn names_are_recognised_in_every_form() {
        assert_eq!(HeaderName::recognise(b"cALL-iD"), HeaderName::CallId);
        assert_eq!(HeaderName::recognise(b"I"), HeaderName::CallId);
        assert_eq!(HeaderName::recognise(b"l"), HeaderName::ContentLength);
        assert_eq!(HeaderName::recognise(b"C%6Fntact"), HeaderName::Other);
        assert_eq!(HeaderName::recognise(b""), HeaderName::Other);
    }

    #[test]
    fn methods_are_case_sensitive() {
        for method in Method::ALL {
            assert_eq!(Method::recognise(method.as_str()), Some(method));
        }
        assert_eq!(Method::recognise("message"), None);
        assert_eq!(Method::recognise("MESSAGES"), None);
    }
}
