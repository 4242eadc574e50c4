//! Info/query stanzas (RFC 6120 section 8.2.3).

use bytes::Bytes;
use jid::Jid;
use minidom::Element;

use super::StanzaError;
use super::read::Head;
use crate::xmpp::ns;
use crate::xmpp::writer::{Unwritable, XmlWriter};

/// Type and content of an IQ.
#[derive(Clone, Debug, PartialEq)]
pub enum IqKind {
    /// An earlier request failed.
    Error(StanzaError),
    /// Asks for information; has exactly one child.
    Get(Element),
    /// Answers a request.
    Result(Option<Element>),
    /// Asks for a change; has exactly one child.
    Set(Element),
}

/// An IQ stanza.
#[derive(Clone, Debug, PartialEq)]
pub struct Iq {
    /// Sender.
    pub from: Jid,
    /// Addressee.
    pub to: Jid,
    /// Its identifier. Answers are matched by sender, addressee and identifier, never by the identifier alone.
    pub id: String,
    /// Type and content.
    pub kind: IqKind,
}

impl Iq {
    /// Reads an IQ; none if it is malformed, which is answered `bad-request`.
    pub(super) fn read(head: Head, element: &Element) -> Option<Self> {
        let mut children = element.children().cloned();
        let kind = match (element.attr("type")?, children.next(), children.next()) {
            ("get", Some(request), None) => IqKind::Get(request),
            ("set", Some(request), None) => IqKind::Set(request),
            ("result", payload, None) => IqKind::Result(payload),
            ("error", _, _) => {
                IqKind::Error(StanzaError::read(element.get_child("error", ns::CLIENT)))
            }
            _ => return None,
        };
        Some(Self {
            from: head.from,
            to: head.to,
            id: head.id?,
            kind,
        })
    }

    /// Returns the request of a get or set.
    pub fn request(&self) -> Option<&Element> {
        match &self.kind {
            IqKind::Get(request) | IqKind::Set(request) => Some(request),
            IqKind::Error(_) | IqKind::Result(_) => None,
        }
    }

    /// Makes the result of this request.
    pub fn result(&self, payload: Option<Element>) -> Self {
        self.answer(IqKind::Result(payload))
    }

    /// Makes the error answer to this request, without its payload.
    pub fn failed(&self, error: StanzaError) -> Self {
        self.answer(IqKind::Error(error))
    }

    fn answer(&self, kind: IqKind) -> Self {
        Self {
            from: self.to.clone(),
            to: self.from.clone(),
            id: self.id.clone(),
            kind,
        }
    }

    /// Writes the stanza if it is not larger than `limit` and not deeper than peers bear.
    pub fn write(&self, limit: usize) -> Result<Bytes, Unwritable> {
        let mut xml = XmlWriter::default();
        xml.open("iq", None);
        xml.attribute("from", self.from.as_str());
        xml.attribute("to", self.to.as_str());
        let (kind, payload) = match &self.kind {
            IqKind::Error(_) => ("error", None),
            IqKind::Get(payload) => ("get", Some(payload)),
            IqKind::Result(payload) => ("result", payload.as_ref()),
            IqKind::Set(payload) => ("set", Some(payload)),
        };
        xml.attribute("type", kind);
        xml.attribute("id", &self.id);
        if let Some(payload) = payload {
            xml.element(payload);
        }
        if let IqKind::Error(error) = &self.kind {
            error.write(&mut xml);
        }
        xml.close();
        xml.finish(limit)
    }
}
