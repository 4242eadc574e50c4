//! What is wrong with a stream, and how it is told to the peer (RFC 6120 section 4.9).

use minidom::Element;
use rxml::Error as XmlError;

use super::ns;
use super::writer::XmlWriter;
use crate::limits;

/// A reason for us to end a stream with a stream error. The one place that turns it into wire terms is this module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamFault {
    /// The stream's root is no `stream` element, or text stands between stanzas.
    #[error("the stream does not consist of elements")]
    BadFormat,
    /// More bytes than allowed came before authentication.
    #[error("more data than allowed before authentication")]
    BeforeAuthentication,
    /// A stage of the negotiation took too long.
    #[error("the negotiation took too long")]
    ConnectionTimeout,
    /// The peer confirmed more stanzas than were sent (XEP-0198 section 4).
    #[error("{handled} stanzas confirmed, {sent} sent")]
    HandledTooHigh {
        /// Count the peer gave.
        handled: u32,
        /// Stanzas sent so far.
        sent: u32,
    },
    /// The stream header alone is too large.
    #[error("the stream header is too large")]
    HeaderTooLarge,
    /// The header's `to` is not served here.
    #[error("the domain is not served here")]
    HostUnknown,
    /// A stanza has no `to` or no `from`.
    #[error("a stanza without address")]
    ImproperAddressing,
    /// A stanza's `from`, or a header's, is not the authenticated domain.
    #[error("a sender the stream is not authenticated for")]
    InvalidFrom,
    /// Wrong stream or content namespace.
    #[error("wrong stream or content namespace")]
    InvalidNamespace,
    /// A stanza before authentication.
    #[error("not authenticated")]
    NotAuthorized,
    /// Not well-formed or not namespace-well-formed.
    #[error("not well-formed")]
    NotWellFormed,
    /// A header after a restart differs in `from` or `to` from the one that was authenticated.
    #[error("the new header's addresses differ from the authenticated ones")]
    RestartedDifferently,
    /// Comment, processing instruction, document type or entity.
    #[error("restricted XML")]
    RestrictedXml,
    /// A stanza larger than what is even skipped.
    #[error("a stanza too large to skip")]
    StanzaTooLarge,
    /// STARTTLS is required and the peer went on without it.
    #[error("STARTTLS is required")]
    StartTlsRequired,
    /// Orderly end of this program.
    #[error("shutting down")]
    SystemShutdown,
    /// An XML name, attribute value or reference longer than allowed.
    #[error("a name or attribute value is too long")]
    TokenTooLong,
    /// Elements nested deeper than allowed.
    #[error("nested too deeply")]
    TooDeep,
    /// More SASL attempts than allowed ("should be policy-violation", RFC 6120 section 6.4.5).
    #[error("too many attempts to authenticate")]
    TooManyAttempts,
    /// More attributes on one element than allowed.
    #[error("too many attributes")]
    TooManyAttributes,
    /// More elements in one stanza than allowed.
    #[error("too many elements")]
    TooManyChildren,
    /// More namespace declarations on one element than allowed.
    #[error("too many namespace declarations")]
    TooManyNamespaces,
    /// Another encoding than UTF-8, or invalid UTF-8.
    #[error("not UTF-8")]
    UnsupportedEncoding,
    /// An element that is no stanza, or not in this state.
    #[error("an element that is not supported here")]
    UnsupportedStanzaType,
    /// The header's version is below 1.0.
    #[error("a version before 1.0")]
    UnsupportedVersion,
}

impl StreamFault {
    /// The defined condition (RFC 6120 section 4.9.3).
    pub fn condition(self) -> StreamCondition {
        match self {
            Self::BadFormat => StreamCondition::BadFormat,
            Self::BeforeAuthentication
            | Self::HeaderTooLarge
            | Self::StanzaTooLarge
            | Self::StartTlsRequired
            | Self::TokenTooLong
            | Self::TooDeep
            | Self::TooManyAttempts
            | Self::TooManyAttributes
            | Self::TooManyChildren
            | Self::TooManyNamespaces => StreamCondition::PolicyViolation,
            Self::ConnectionTimeout => StreamCondition::ConnectionTimeout,
            Self::HandledTooHigh { .. } => StreamCondition::UndefinedCondition,
            Self::HostUnknown => StreamCondition::HostUnknown,
            Self::ImproperAddressing | Self::RestartedDifferently => {
                StreamCondition::ImproperAddressing
            }
            Self::InvalidFrom => StreamCondition::InvalidFrom,
            Self::InvalidNamespace => StreamCondition::InvalidNamespace,
            Self::NotAuthorized => StreamCondition::NotAuthorized,
            Self::NotWellFormed => StreamCondition::NotWellFormed,
            Self::RestrictedXml => StreamCondition::RestrictedXml,
            Self::SystemShutdown => StreamCondition::SystemShutdown,
            Self::UnsupportedEncoding => StreamCondition::UnsupportedEncoding,
            Self::UnsupportedStanzaType => StreamCondition::UnsupportedStanzaType,
            Self::UnsupportedVersion => StreamCondition::UnsupportedVersion,
        }
    }

    /// Writes the stream error and the closing tag (RFC 6120 section 4.9.1.1).
    pub fn write(self, to: &mut XmlWriter) {
        to.open("stream:error", None);
        to.leaf(self.condition().name(), ns::STREAM_ERRORS);
        to.open("text", Some(ns::STREAM_ERRORS));
        to.attribute("xml:lang", "en");
        to.text(&self.to_string());
        to.close();
        if let Self::HandledTooHigh { handled, sent } = self {
            to.open("handled-count-too-high", Some(ns::SM));
            to.attribute("h", &handled.to_string());
            to.attribute("send-count", &sent.to_string());
            to.close();
        }
        to.close();
        to.end_stream();
    }
}

/// Conditions that rxml tells only by their text; a test holds each against the parser.
const DOCTYPE: &str = "malformed cdata or comment section start";
const LONG_TOKEN: &str = "long name or reference";
const ENCODING: &str = "only utf-8 encoding is allowed";
const XML_VERSION: &str = "only XML version 1.0 is allowed";

impl From<XmlError> for StreamFault {
    /// RFC 6120 section 11.1 lists what is restricted; the rest is well-formedness.
    fn from(error: XmlError) -> Self {
        match error {
            XmlError::RestrictedXml(LONG_TOKEN) => Self::TokenTooLong,
            XmlError::RestrictedXml(ENCODING) | XmlError::InvalidUtf8Byte(_) => {
                Self::UnsupportedEncoding
            }
            XmlError::RestrictedXml(XML_VERSION) => Self::NotWellFormed,
            XmlError::RestrictedXml(_)
            | XmlError::UndeclaredEntity
            | XmlError::InvalidSyntax(DOCTYPE) => Self::RestrictedXml,
            XmlError::InvalidEof(_)
            | XmlError::InvalidChar(..)
            | XmlError::UnexpectedChar(..)
            | XmlError::UnexpectedByte(..)
            | XmlError::InvalidSyntax(_)
            | XmlError::UnexpectedToken(..)
            | XmlError::DuplicateAttribute
            | XmlError::ElementMismatch
            | XmlError::MultiColonName(_)
            | XmlError::EmptyNamePart(_)
            | XmlError::UndeclaredNamespacePrefix(_)
            | XmlError::ReservedNamespacePrefix
            | XmlError::ReservedNamespaceName
            | XmlError::InvalidLocalName(_)
            | XmlError::EmptyNamespaceUri => Self::NotWellFormed,
        }
    }
}

/// Defines `StreamCondition` with the names of the wire.
macro_rules! conditions {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// Defined conditions of a stream error (RFC 6120 section 4.9.3).
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum StreamCondition {
            $($(#[$doc])* $variant,)*
        }

        impl StreamCondition {
            /// Name of the element on the wire.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// Condition of that name; one that is not known counts as `undefined-condition`.
            fn named(name: &str) -> Self {
                match name {
                    $($name => Self::$variant,)*
                    _ => Self::UndefinedCondition,
                }
            }
        }
    };
}

conditions! {
    /// Cannot be processed.
    BadFormat = "bad-format",
    /// Unsupported or missing prefix.
    BadNamespacePrefix = "bad-namespace-prefix",
    /// A newer stream took its place.
    Conflict = "conflict",
    /// Silence for too long, or the path is dead.
    ConnectionTimeout = "connection-timeout",
    /// The domain is no longer served.
    HostGone = "host-gone",
    /// The domain is not served.
    HostUnknown = "host-unknown",
    /// Address missing or not the authenticated one.
    ImproperAddressing = "improper-addressing",
    /// Misconfiguration of the server.
    InternalServerError = "internal-server-error",
    /// Sender is not authenticated on the stream.
    InvalidFrom = "invalid-from",
    /// Wrong namespace.
    InvalidNamespace = "invalid-namespace",
    /// Invalid XML for a validating server.
    InvalidXml = "invalid-xml",
    /// Data before authentication.
    NotAuthorized = "not-authorized",
    /// Not well-formed.
    NotWellFormed = "not-well-formed",
    /// A local policy was violated.
    PolicyViolation = "policy-violation",
    /// The server cannot reach another one that it needs.
    RemoteConnectionFailed = "remote-connection-failed",
    /// The peer asks for a new stream.
    Reset = "reset",
    /// The server lacks resources.
    ResourceConstraint = "resource-constraint",
    /// Restricted XML.
    RestrictedXml = "restricted-xml",
    /// Another host should be dialled; it is not followed.
    SeeOtherHost = "see-other-host",
    /// The server is shutting down.
    SystemShutdown = "system-shutdown",
    /// Anything else.
    UndefinedCondition = "undefined-condition",
    /// Encoding.
    UnsupportedEncoding = "unsupported-encoding",
    /// A mandatory feature is not supported.
    UnsupportedFeature = "unsupported-feature",
    /// Unknown element.
    UnsupportedStanzaType = "unsupported-stanza-type",
    /// Version of XMPP.
    UnsupportedVersion = "unsupported-version",
}

/// A stream error that the peer sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerError {
    /// What it says.
    pub condition: StreamCondition,
    /// Its text, for the operator.
    pub text: Option<String>,
}

impl PeerError {
    /// Reads a `stream:error` element; none for any other.
    pub fn read(element: &Element) -> Option<Self> {
        if !element.is("error", ns::STREAMS) {
            return None;
        }
        let mut found = Self {
            condition: StreamCondition::UndefinedCondition,
            text: None,
        };
        for child in element
            .children()
            .filter(|child| child.has_ns(ns::STREAM_ERRORS))
        {
            if child.name() == "text" {
                let text: String = child.text().chars().take(limits::PEER_TEXT).collect();
                found.text = Some(text).filter(|text| !text.is_empty());
            } else {
                found.condition = StreamCondition::named(child.name());
            }
        }
        Some(found)
    }

    /// Tells whether the peer just ended an idle stream or itself; nobody is at fault then.
    pub fn is_orderly(&self) -> bool {
        matches!(
            self.condition,
            StreamCondition::ConnectionTimeout
                | StreamCondition::SystemShutdown
                | StreamCondition::Conflict
        )
    }
}
