//! From an element to a stanza, or to the reason why not.

use bytes::Bytes;
use jid::Jid;
use minidom::Element;
use rxml::xml_ncname;

use super::{Iq, IqKind, Message, MessageKind, Presence, PresenceKind, StanzaError};
use crate::limits;
use crate::model::{Condition, Domain};
use crate::text::language;
use crate::xmpp::faults::StreamFault;
use crate::xmpp::ns;
use crate::xmpp::reader::Oversized;
use crate::xmpp::writer::XmlWriter;

/// One stanza.
#[derive(Clone, Debug, PartialEq)]
pub enum Stanza {
    /// An IQ.
    Iq(Iq),
    /// A message.
    Message(Message),
    /// A presence.
    Presence(Presence),
}

/// Why an element gave no stanza.
#[derive(Clone, Debug, PartialEq)]
pub enum Refused {
    /// The stream has to end.
    Stream(StreamFault),
    /// Only this stanza is lost; its sender is told if there is a way.
    Stanza {
        /// What is wrong with it.
        condition: Condition,
        /// The error stanza for its sender; none where RFC 6120 section 8.3.1 forbids one or its address is unusable.
        reply: Option<Bounce>,
    },
}

/// A stanza of ours that leaves on the stream from `local` to `remote`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounce {
    /// Our domain.
    pub local: Domain,
    /// The peer's domain.
    pub remote: Domain,
    /// The stanza.
    pub bytes: Bytes,
}

/// What every stanza has.
pub(super) struct Head {
    pub(super) from: Jid,
    pub(super) to: Jid,
    pub(super) id: Option<String>,
}

impl Stanza {
    /// Tells whether an element is a stanza at all.
    pub fn is_stanza(element: &Element) -> bool {
        element.has_ns(ns::CLIENT) && is_stanza_name(element.name())
    }

    /// Reads a stanza that came on a stream on which `proven` are the domains that may speak.
    ///
    /// A stanza without `from` or `to` ends the stream with `improper-addressing` (RFC 6120 sections 8.1.1.2 and
    /// 8.1.2.2), one from another domain with `invalid-from`. A local part or resource that is no JID costs only the
    /// stanza: one odd client must not end the stream of all.
    pub fn read(element: Element, proven: &[Domain]) -> Result<Self, Refused> {
        let addresses = Addresses::of(&element, proven).map_err(Refused::Stream)?;
        let refuse = |condition| addresses.refuse(element.name(), condition, None);
        let (Ok(from), Ok(to)) = (Jid::new(addresses.from), Jid::new(addresses.to)) else {
            return Err(refuse(Condition::JidMalformed));
        };
        let head = Head {
            from,
            to,
            id: addresses.id.map(str::to_owned),
        };
        match element.name() {
            "message" => Ok(Self::Message(Message::read(head, element))),
            "presence" => match PresenceKind::parse(element.attr("type")) {
                Some(kind) => Ok(Self::Presence(Presence::read(head, kind, element))),
                None => Err(refuse(Condition::BadRequest)),
            },
            "iq" => {
                let iq = Iq::read(head, &element).map(Self::Iq);
                iq.ok_or_else(|| refuse(Condition::BadRequest))
            }
            _ => Err(Refused::Stream(StreamFault::UnsupportedStanzaType)),
        }
    }

    /// Judges a stanza that was skipped for its size: it is refused (RFC 6120 section 13.12), but that a message of
    /// ours failed is still understood, since ejabberd sends the whole message back with the error.
    pub fn of_oversized(
        root: &Oversized,
        proven: &[Domain],
        limit: usize,
    ) -> Result<Self, Refused> {
        if !root.content || !is_stanza_name(&root.name) {
            return Err(Refused::Stream(StreamFault::UnsupportedStanzaType));
        }
        let mut element = Element::bare(root.name.as_str(), ns::CLIENT);
        for (name, value) in [
            (xml_ncname!("from"), &root.from),
            (xml_ncname!("to"), &root.to),
            (xml_ncname!("id"), &root.id),
            (xml_ncname!("type"), &root.kind),
        ] {
            if let Some(value) = value {
                element.set_attr(rxml::Namespace::NONE, name.to_owned(), value.as_str());
            }
        }
        if root.name == "message" && root.kind.as_deref() == Some("error") {
            return Self::read(element, proven);
        }
        let addresses = Addresses::of(&element, proven).map_err(Refused::Stream)?;
        let text = format!("the stanza has more than {limit} bytes");
        Err(addresses.refuse(&root.name, Condition::PolicyViolation, Some(text)))
    }

    /// Sender.
    pub fn from(&self) -> &Jid {
        match self {
            Self::Iq(iq) => &iq.from,
            Self::Message(message) => &message.from,
            Self::Presence(presence) => &presence.from,
        }
    }

    /// Addressee.
    pub fn to(&self) -> &Jid {
        match self {
            Self::Iq(iq) => &iq.to,
            Self::Message(message) => &message.to,
            Self::Presence(presence) => &presence.to,
        }
    }

    /// Tells whether it reports an error.
    pub fn is_error(&self) -> bool {
        match self {
            Self::Iq(iq) => matches!(iq.kind, IqKind::Error(_)),
            Self::Message(message) => message.kind == MessageKind::Error,
            Self::Presence(presence) => presence.kind == PresenceKind::Error,
        }
    }
}

fn is_stanza_name(name: &str) -> bool {
    matches!(name, "message" | "presence" | "iq")
}

/// Addresses of a stanza as far as they must be good for an answer.
struct Addresses<'a> {
    from: &'a str,
    to: &'a str,
    id: Option<&'a str>,
    kind: Option<&'a str>,
    remote: Domain,
}

impl<'a> Addresses<'a> {
    fn of(element: &'a Element, proven: &[Domain]) -> Result<Self, StreamFault> {
        let present = |name| element.attr(name).filter(|value: &&str| !value.is_empty());
        let (Some(from), Some(to)) = (present("from"), present("to")) else {
            return Err(StreamFault::ImproperAddressing);
        };
        let remote = domain_of(from).and_then(|name| find(name, proven));
        Ok(Self {
            from,
            to,
            id: present("id"),
            kind: present("type"),
            remote: remote.ok_or(StreamFault::InvalidFrom)?,
        })
    }

    /// Makes the error stanza. Its `from` is the address that was written to, or its domain if that is no address.
    fn refuse(&self, name: &str, condition: Condition, text: Option<String>) -> Refused {
        let mut error = StanzaError::new(condition);
        error.text = text;
        Refused::Stanza {
            condition,
            reply: self.reply(name, &error),
        }
    }

    fn reply(&self, name: &str, error: &StanzaError) -> Option<Bounce> {
        if matches!(self.kind, Some("error" | "result")) {
            return None;
        }
        let to = Jid::new(self.from).ok()?;
        let local = domain_of(self.to).and_then(Domain::parse)?;
        let from = Jid::new(self.to).map_or_else(|_| local.as_str().to_owned(), Jid::into_inner);
        let mut xml = XmlWriter::default();
        xml.open(name, None);
        xml.attribute("from", &from);
        xml.attribute("to", to.as_str());
        xml.attribute("type", "error");
        xml.optional("id", self.id);
        error.write(&mut xml);
        xml.close();
        Some(Bounce {
            local,
            remote: self.remote.clone(),
            bytes: xml.finish(limits::STANZA).ok()?,
        })
    }
}

/// Domain part of an address, whatever its other parts are (RFC 7622 section 3.1).
fn domain_of(address: &str) -> Option<&str> {
    let bare = address.split('/').next()?;
    bare.rsplit('@').next()
}

/// The domain of that name among those that are proven; most peers write it in its one form.
fn find(name: &str, proven: &[Domain]) -> Option<Domain> {
    let written = proven.iter().find(|domain| domain.as_str() == name);
    let parsed = || Domain::parse(name).filter(|domain| proven.contains(domain));
    written.cloned().or_else(parsed)
}

/// Language of an element if it looks like a BCP 47 tag.
pub(super) fn lang_of(element: &Element) -> Option<String> {
    language(element.attr_ns(ns::XML, "lang")?)
}
