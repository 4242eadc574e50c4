//! Presence stanzas (RFC 6121 section 4).

use bytes::Bytes;
use jid::Jid;
use minidom::Element;

use super::StanzaError;
use super::read::{Head, lang_of};
use crate::xmpp::ns;
use crate::xmpp::writer::{Unwritable, XmlWriter};

/// Types of presence (RFC 6121 section 4.7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PresenceKind {
    /// Available.
    Available,
    /// An earlier presence failed.
    Error,
    /// A server asks for the current state.
    Probe,
    /// Asks for a subscription.
    Subscribe,
    /// Grants a subscription.
    Subscribed,
    /// No longer available.
    Unavailable,
    /// Ends a subscription.
    Unsubscribe,
    /// Refuses or takes back a subscription.
    Unsubscribed,
}

impl PresenceKind {
    /// Reads the attribute `type`; none for an unknown one.
    pub fn parse(text: Option<&str>) -> Option<Self> {
        match text {
            None | Some("" | "available") => Some(Self::Available),
            Some("error") => Some(Self::Error),
            Some("probe") => Some(Self::Probe),
            Some("subscribe") => Some(Self::Subscribe),
            Some("subscribed") => Some(Self::Subscribed),
            Some("unavailable") => Some(Self::Unavailable),
            Some("unsubscribe") => Some(Self::Unsubscribe),
            Some("unsubscribed") => Some(Self::Unsubscribed),
            Some(_) => None,
        }
    }

    /// Value of the attribute `type`; none for available presence, which has none.
    pub const fn as_str(self) -> Option<&'static str> {
        match self {
            Self::Available => None,
            Self::Error => Some("error"),
            Self::Probe => Some("probe"),
            Self::Subscribe => Some("subscribe"),
            Self::Subscribed => Some("subscribed"),
            Self::Unavailable => Some("unavailable"),
            Self::Unsubscribe => Some("unsubscribe"),
            Self::Unsubscribed => Some("unsubscribed"),
        }
    }
}

/// A presence stanza.
#[derive(Clone, Debug, PartialEq)]
pub struct Presence {
    /// Sender.
    pub from: Jid,
    /// Addressee.
    pub to: Jid,
    /// Its identifier.
    pub id: Option<String>,
    /// Its type.
    pub kind: PresenceKind,
    /// Language of what carries none of its own. The stream's language is no default: servers write their own there.
    pub lang: Option<String>,
    /// Every child.
    pub payloads: Vec<Element>,
}

impl Presence {
    /// Makes a presence without content.
    pub const fn new(from: Jid, to: Jid, kind: PresenceKind) -> Self {
        Self {
            from,
            to,
            id: None,
            kind,
            lang: None,
            payloads: Vec::new(),
        }
    }

    pub(super) fn read(head: Head, kind: PresenceKind, mut element: Element) -> Self {
        Self {
            id: head.id,
            lang: lang_of(&element),
            payloads: element.take_contents_as_children().collect(),
            ..Self::new(head.from, head.to, kind)
        }
    }

    /// Returns the error that a presence of type error reports; none for other types.
    pub fn error(&self) -> Option<StanzaError> {
        let failed = self.kind == PresenceKind::Error;
        failed.then(|| StanzaError::read(self.payload("error", ns::CLIENT)))
    }

    /// Returns the first payload of that name and namespace.
    pub fn payload(&self, name: &str, namespace: &str) -> Option<&Element> {
        self.payloads
            .iter()
            .find(|payload| payload.is(name, namespace))
    }

    /// Makes the error answer to this presence, without its content; none to an error ("must not reply with an error",
    /// RFC 6120 section 8.3.1).
    pub fn failed(&self, error: &StanzaError) -> Option<Self> {
        if self.kind == PresenceKind::Error {
            return None;
        }
        let mut answer = Self::new(self.to.clone(), self.from.clone(), PresenceKind::Error);
        answer.id.clone_from(&self.id);
        answer.payloads.push(error.to_element());
        Some(answer)
    }

    /// Writes the stanza if it is not larger than `limit` and not deeper than peers bear.
    pub fn write(&self, limit: usize) -> Result<Bytes, Unwritable> {
        let mut xml = XmlWriter::default();
        xml.open("presence", None);
        xml.attribute("from", self.from.as_str());
        xml.attribute("to", self.to.as_str());
        xml.optional("type", self.kind.as_str());
        xml.optional("id", self.id.as_deref());
        xml.optional("xml:lang", self.lang.as_deref());
        for payload in &self.payloads {
            xml.element(payload);
        }
        xml.close();
        xml.finish(limit)
    }
}
