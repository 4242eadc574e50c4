//! Presence stanzas (RFC 6121 section 4).

use jid::Jid;
use minidom::Element;

use super::read::Head;

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
    /// Every child.
    pub payloads: Vec<Element>,
}

impl Presence {
    pub(super) fn read(head: Head, kind: PresenceKind, mut element: Element) -> Self {
        Self {
            from: head.from,
            to: head.to,
            id: head.id,
            kind,
            payloads: element.take_contents_as_children().collect(),
        }
    }
}
