//! The tests' own presence documents (RFC 3863): read and written plainly.

use std::fmt::Write;

use anyhow::{Context, Result, ensure};
use minidom::Element;

use crate::xml::{Look, escape};

const PIDF: &str = "urn:ietf:params:xml:ns:pidf";
/// The type of such documents.
pub const PIDF_TYPE: &str = "application/pidf+xml";

/// The state of one user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    /// Whose state it is.
    pub entity: String,
    /// One for each resource.
    pub tuples: Vec<Tuple>,
}

/// The state of one resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tuple {
    /// Its name.
    pub id: String,
    /// Whether it is `open`.
    pub open: bool,
    /// XMPP's word for it, empty where there is none.
    pub show: String,
    /// The first note, empty where there is none.
    pub note: String,
    /// Priority of the contact, empty where there is none.
    pub priority: String,
}

impl Document {
    /// A document with one tuple.
    pub fn of(entity: &str, tuple: Tuple) -> Self {
        Self {
            entity: entity.to_owned(),
            tuples: vec![tuple],
        }
    }

    /// Reads a document.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        let text = str::from_utf8(bytes)?;
        let root: Element = text.parse().with_context(|| format!("not XML: {text}"))?;
        ensure!(root.is("presence", PIDF), "not a presence document: {text}");
        let tuples = root.children().filter(|child| child.is("tuple", PIDF));
        Ok(Self {
            entity: root.at("entity").to_owned(),
            tuples: tuples.map(Tuple::read).collect(),
        })
    }

    /// Writes the document.
    pub fn write(&self) -> Vec<u8> {
        let mut text = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<presence xmlns=\"{PIDF}\" entity=\"{}\">",
            escape(&self.entity)
        );
        for tuple in &self.tuples {
            tuple.write(&mut text);
        }
        text.push_str("</presence>\n");
        text.into_bytes()
    }

    /// Whether any tuple is open.
    pub fn is_open(&self) -> bool {
        self.tuples.iter().any(|tuple| tuple.open)
    }

    /// The open tuples.
    pub fn open(&self) -> Vec<&Tuple> {
        self.tuples.iter().filter(|tuple| tuple.open).collect()
    }

    /// Whether an open tuple shows that note.
    pub fn says(&self, note: &str) -> bool {
        self.open().iter().any(|tuple| tuple.note == note)
    }
}

impl Tuple {
    /// An open tuple.
    pub fn open(id: &str, show: &str, note: &str) -> Self {
        Self {
            id: id.to_owned(),
            open: true,
            show: show.to_owned(),
            note: note.to_owned(),
            priority: String::new(),
        }
    }

    /// A closed tuple.
    pub fn closed(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            ..Self::default()
        }
    }

    fn read(tuple: &Element) -> Self {
        let child = |name: &str| tuple.children().find(|child| child.name() == name);
        let text = |element: Option<&Element>| element.map(Element::text).unwrap_or_default();
        let status = child("status");
        let inside = |name: &str| status?.children().find(|child| child.name() == name);
        let contact = child("contact");
        Self {
            id: tuple.at("id").to_owned(),
            open: text(inside("basic")).trim() == "open",
            show: text(inside("show").or_else(|| child("show"))),
            note: text(child("note")),
            priority: contact.map_or_else(String::new, |contact| contact.at("priority").to_owned()),
        }
    }

    fn write(&self, text: &mut String) {
        let basic = if self.open { "open" } else { "closed" };
        // Writing to a String cannot fail.
        write!(
            text,
            "<tuple id=\"{}\"><status><basic>{basic}</basic>",
            escape(&self.id)
        )
        .ok();
        if !self.show.is_empty() {
            write!(text, "<show xmlns=\"jabber:client\">{}</show>", self.show).ok();
        }
        text.push_str("</status>");
        if !self.note.is_empty() {
            write!(text, "<note>{}</note>", escape(&self.note)).ok();
        }
        text.push_str("</tuple>");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let mut document = Document::of(
            "pres:romeo@sip.example",
            Tuple::open("a", "dnd", "<busy> & \"so\""),
        );
        document.tuples.push(Tuple::closed("b"));
        assert_eq!(Document::read(&document.write()).unwrap(), document);
        assert!(document.says("<busy> & \"so\""));
        assert_eq!(document.open().len(), 1);
    }
}
