//! Message stanzas (RFC 6121 section 5).

use bytes::Bytes;
use jid::Jid;
use minidom::Element;

use super::StanzaError;
use super::read::{Head, lang_of};
use crate::xmpp::ns;
use crate::xmpp::writer::{Unwritable, XmlWriter};

/// Types of a message (RFC 6121 section 5.2.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MessageKind {
    /// One of many in a conversation.
    Chat,
    /// An earlier message failed.
    Error,
    /// From or to a room.
    Groupchat,
    /// An alert that expects no answer.
    Headline,
    /// A single message; also every unknown type ("must consider it to be of type normal").
    #[default]
    Normal,
}

impl MessageKind {
    /// Reads the attribute `type`.
    pub fn parse(text: Option<&str>) -> Self {
        match text {
            Some("chat") => Self::Chat,
            Some("error") => Self::Error,
            Some("groupchat") => Self::Groupchat,
            Some("headline") => Self::Headline,
            Some(_) | None => Self::Normal,
        }
    }

    /// Value of the attribute `type`; none for the default.
    pub fn as_str(self) -> Option<&'static str> {
        match self {
            Self::Chat => Some("chat"),
            Self::Error => Some("error"),
            Self::Groupchat => Some("groupchat"),
            Self::Headline => Some("headline"),
            Self::Normal => None,
        }
    }
}

/// A message stanza.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Sender.
    pub from: Jid,
    /// Addressee.
    pub to: Jid,
    /// Its identifier, echoed in errors.
    pub id: Option<String>,
    /// Its type.
    pub kind: MessageKind,
    /// Language of what carries none of its own. The stream's language is no default: servers write their own there.
    pub lang: Option<String>,
    /// Bodies with their effective language, the first of each language.
    pub bodies: Vec<(Option<String>, String)>,
    /// Subjects with their effective language, the first of each language.
    pub subjects: Vec<(Option<String>, String)>,
    /// Conversation thread.
    pub thread: Option<String>,
    /// Every other child, `error` among them.
    pub payloads: Vec<Element>,
}

impl Message {
    /// Makes an empty message.
    pub fn new(from: Jid, to: Jid, kind: MessageKind) -> Self {
        Self {
            from,
            to,
            id: None,
            kind,
            lang: None,
            bodies: Vec::new(),
            subjects: Vec::new(),
            thread: None,
            payloads: Vec::new(),
        }
    }

    /// Reads a message whose addresses are known to be good.
    pub(super) fn read(head: Head, mut element: Element) -> Self {
        let mut message = Self::new(head.from, head.to, MessageKind::parse(element.attr("type")));
        message.id = head.id;
        message.lang = lang_of(&element);
        for child in element.take_contents_as_children() {
            if child.is("body", ns::CLIENT) {
                add_text(&mut message.bodies, &child, message.lang.as_deref());
            } else if child.is("subject", ns::CLIENT) {
                add_text(&mut message.subjects, &child, message.lang.as_deref());
            } else if child.is("thread", ns::CLIENT) {
                let thread = child.text();
                message.thread = message
                    .thread
                    .or_else(|| (!thread.is_empty()).then_some(thread));
            } else {
                message.payloads.push(child);
            }
        }
        message
    }

    /// Returns the error that a message of type error reports; none for other types.
    pub fn error(&self) -> Option<StanzaError> {
        let failed = self.kind == MessageKind::Error;
        failed.then(|| StanzaError::read(self.payload("error", ns::CLIENT)))
    }

    /// Returns the first payload of that name and namespace.
    pub fn payload(&self, name: &str, namespace: &str) -> Option<&Element> {
        self.payloads
            .iter()
            .find(|payload| payload.is(name, namespace))
    }

    /// Makes the error answer to this message, without its content; none to an error ("must not reply with an error",
    /// RFC 6120 section 8.3.1).
    pub fn failed(&self, error: &StanzaError) -> Option<Self> {
        if self.kind == MessageKind::Error {
            return None;
        }
        let mut answer = Self::new(self.to.clone(), self.from.clone(), MessageKind::Error);
        answer.id.clone_from(&self.id);
        answer.thread.clone_from(&self.thread);
        answer.payloads.push(error.to_element());
        Some(answer)
    }

    /// Writes the stanza if it is not larger than `limit` and not deeper than peers bear.
    pub fn write(&self, limit: usize) -> Result<Bytes, Unwritable> {
        let mut xml = XmlWriter::default();
        xml.open("message", None);
        xml.attribute("from", self.from.as_str());
        xml.attribute("to", self.to.as_str());
        xml.optional("type", self.kind.as_str());
        xml.optional("id", self.id.as_deref());
        xml.optional("xml:lang", self.lang.as_deref());
        self.write_texts("subject", &self.subjects, &mut xml);
        if let Some(thread) = &self.thread {
            xml.text_leaf("thread", None, thread);
        }
        self.write_texts("body", &self.bodies, &mut xml);
        for payload in &self.payloads {
            xml.element(payload);
        }
        xml.close();
        xml.finish(limit)
    }

    fn write_texts(&self, name: &str, texts: &[(Option<String>, String)], xml: &mut XmlWriter) {
        for (lang, text) in texts {
            let own = lang
                .as_deref()
                .filter(|lang| Some(*lang) != self.lang.as_deref());
            xml.open(name, None);
            xml.optional("xml:lang", own);
            xml.text(text);
            xml.close();
        }
    }
}

fn add_text(texts: &mut Vec<(Option<String>, String)>, child: &Element, default: Option<&str>) {
    let lang = lang_of(child).or_else(|| default.map(str::to_owned));
    if !texts.iter().any(|(other, _)| *other == lang) {
        texts.push((lang, child.text()));
    }
}
