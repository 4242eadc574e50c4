//! The only place of the XMPP side that writes XML (DESIGN decision D10).
//!
//! What it writes is plain on purpose: the literal prefix `stream:`, double quotes, `<`, `>`, `&` and `"` escaped
//! everywhere, no comments, exact closing tags, and never a character that XML forbids, also not as a reference.
//! Openfire cuts its stream with a hand-written scanner that loses stanzas otherwise.

use bytes::Bytes;
use minidom::{Element, Node};

use super::ns;
use crate::limits;
use crate::text::is_xml;

/// A stanza of ours that must not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unwritable {
    /// Elements nested deeper than what peers bear.
    #[error("nested too deeply")]
    TooDeep,
    /// Larger than what peers bear.
    #[error("{size} bytes, {limit} allowed")]
    TooLarge {
        /// Bytes it would have.
        size: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// An element or attribute whose name is not an XML name.
    #[error("an element or attribute without a valid name")]
    Name,
}

/// Writes elements one behind the other, as children of a stream.
#[derive(Debug, Default)]
pub struct XmlWriter {
    out: String,
    /// Name and namespace of each open element.
    open: Vec<(String, String)>,
    /// Whether the innermost head still lacks its `>`.
    in_head: bool,
    fault: Option<Unwritable>,
}

impl XmlWriter {
    /// Opens an element; without a namespace it has that of its parent, at the root the content namespace.
    pub fn open(&mut self, name: &str, namespace: Option<&str>) {
        self.end_head();
        if self.open.len() >= limits::STANZA_DEPTH {
            self.fault = Some(Unwritable::TooDeep);
        }
        let inherited = self
            .open
            .last()
            .map_or(ns::SERVER, |(_, namespace)| namespace.as_str());
        let declared = namespace
            .filter(|namespace| *namespace != inherited)
            .map(str::to_owned);
        let effective = declared.clone().unwrap_or_else(|| inherited.to_owned());
        self.out.push('<');
        self.out.push_str(name);
        self.open.push((name.to_owned(), effective));
        self.in_head = true;
        if let Some(namespace) = declared {
            self.attribute("xmlns", &namespace);
        }
    }

    /// Writes an attribute of the element that was just opened.
    pub fn attribute(&mut self, name: &str, value: &str) {
        self.out.push(' ');
        self.out.push_str(name);
        self.out.push_str("=\"");
        escape(value, Place::Attribute, &mut self.out);
        self.out.push('"');
    }

    /// Writes an attribute if there is a value.
    pub fn optional(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.attribute(name, value);
        }
    }

    /// Writes character data.
    pub fn text(&mut self, text: &str) {
        self.end_head();
        escape(text, Place::Text, &mut self.out);
    }

    /// Closes the innermost element.
    pub fn close(&mut self) {
        let Some((name, _)) = self.open.pop() else {
            return;
        };
        if self.in_head {
            self.in_head = false;
            self.out.push_str("/>");
        } else {
            self.out.push_str("</");
            self.out.push_str(&name);
            self.out.push('>');
        }
    }

    /// Writes an element without content.
    pub fn leaf(&mut self, name: &str, namespace: &str) {
        self.open(name, Some(namespace));
        self.close();
    }

    /// Writes an element that has only text.
    pub fn text_leaf(&mut self, name: &str, namespace: Option<&str>, text: &str) {
        self.open(name, namespace);
        self.text(text);
        self.close();
    }

    /// Writes an element that was read or built. `jabber:client` becomes the content namespace along the contiguous
    /// chain from the root, the inverse of what the reader does.
    pub fn element(&mut self, element: &Element) {
        let content = self
            .open
            .iter()
            .all(|(_, namespace)| namespace == ns::SERVER);
        self.element_in(element, content);
    }

    /// Recursion ends at the depth limit.
    fn element_in(&mut self, element: &Element, content: bool) {
        if self.open.len() >= limits::STANZA_DEPTH {
            self.fault = Some(Unwritable::TooDeep);
            return;
        }
        let namespace = element.ns();
        let content = content && (namespace == ns::CLIENT || namespace == ns::SERVER);
        let namespace = if content {
            ns::SERVER
        } else {
            namespace.as_str()
        };
        if rxml::strings::validate_ncname(element.name()).is_err() {
            self.fault = Some(Unwritable::Name);
            return;
        }
        self.open(element.name(), Some(namespace));
        let mut prefixes = 0;
        for ((namespace, name), value) in element.attrs().iter() {
            match namespace.as_str() {
                "" => self.attribute(name.as_str(), value),
                ns::XML => self.attribute(&format!("xml:{name}"), value),
                other => {
                    prefixes += 1;
                    self.attribute(&format!("xmlns:ns{prefixes}"), other);
                    self.attribute(&format!("ns{prefixes}:{name}"), value);
                }
            }
        }
        for node in element.nodes() {
            match node {
                Node::Element(child) => self.element_in(child, content),
                Node::Text(text) => self.text(text),
            }
        }
        self.close();
    }

    /// Writes the closing tag of the stream.
    pub fn end_stream(&mut self) {
        self.out.push_str("</stream:stream>");
    }

    /// Returns what was written if it may be sent.
    pub fn finish(self, limit: usize) -> Result<Bytes, Unwritable> {
        match self.fault {
            Some(fault) => Err(fault),
            None if self.out.len() > limit => Err(Unwritable::TooLarge {
                size: self.out.len(),
                limit,
            }),
            None => Ok(Bytes::from(self.out)),
        }
    }

    /// Returns what was written by the stream machine itself, whose elements are small and of fixed shape.
    pub(super) fn into_string(self) -> String {
        self.out
    }

    fn end_head(&mut self) {
        if self.in_head {
            self.in_head = false;
            self.out.push('>');
        }
    }
}

/// Addresses and version of a header of ours.
#[derive(Clone, Copy, Debug)]
pub(super) struct OwnHeader<'a> {
    pub(super) from: Option<&'a str>,
    pub(super) to: Option<&'a str>,
    pub(super) id: Option<&'a str>,
}

impl OwnHeader<'_> {
    /// Writes the opening tag of a stream (RFC 6120 section 4.7), declaration included.
    pub(super) fn write(&self) -> String {
        let mut out = String::from("<?xml version=\"1.0\"?><stream:stream xmlns=\"");
        out.push_str(ns::SERVER);
        out.push_str("\" xmlns:stream=\"");
        out.push_str(ns::STREAMS);
        out.push('"');
        for (name, value) in [("from", self.from), ("to", self.to), ("id", self.id)] {
            if let Some(value) = value {
                out.push(' ');
                out.push_str(name);
                out.push_str("=\"");
                escape(value, Place::Attribute, &mut out);
                out.push('"');
            }
        }
        out.push_str(" xml:lang=\"en\" version=\"1.0\">");
        out
    }
}

/// Where a value stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Attribute,
    Text,
}

/// Copies text so that a reader gets back what was meant. Characters that XML forbids become U+FFFD.
fn escape(text: &str, place: Place, out: &mut String) {
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            // A bare CR is read back as LF everywhere, and TAB and LF as space in attributes.
            '\r' => out.push_str("&#13;"),
            '\n' if place == Place::Attribute => out.push_str("&#10;"),
            '\t' if place == Place::Attribute => out.push_str("&#9;"),
            c if is_xml(c) => out.push(c),
            _ => out.push(char::REPLACEMENT_CHARACTER),
        }
    }
}
