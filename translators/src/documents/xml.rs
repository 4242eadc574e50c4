//! XML documents with a bounded size and depth, without document type declarations.

use minidom::Element;
use rxml::parser::CommentMode;
use rxml::{Event, Options, Parse as _, Parser, WithOptions as _};

use crate::documents::Unreadable;
use crate::limits;

/// Reads a whole document; comments are skipped, a document type declaration is refused, so that
/// no entity can be defined.
pub fn read(document: &[u8]) -> Result<Element, Unreadable> {
    if document.len() > limits::DOCUMENT {
        return Err(Unreadable::TooLarge);
    }
    let mut input = document.strip_prefix(b"\xef\xbb\xbf").unwrap_or(document);
    input = input.trim_ascii_start();
    let mut parser = Parser::with_options(Options {
        max_token_length: limits::DOCUMENT,
        comments: CommentMode::Discard,
        ..Options::default()
    });
    let mut open: Vec<Element> = Vec::new();
    let mut root = None;
    while let Some(event) = parser
        .parse(&mut input, true)
        .map_err(|_| Unreadable::NotXml)?
    {
        match event {
            Event::XmlDeclaration(..) => {}
            Event::StartElement(_, (namespace, name), attributes) => {
                if open.len() >= limits::DOCUMENT_DEPTH {
                    return Err(Unreadable::TooDeep);
                }
                let mut element = Element::bare(name.as_str(), String::from(namespace));
                *element.attrs_mut() = attributes;
                open.push(element);
            }
            Event::EndElement(_) => {
                let Some(closed) = open.pop() else {
                    return Err(Unreadable::NotXml);
                };
                match open.last_mut() {
                    Some(parent) => _ = parent.append_child(closed),
                    None => root = Some(closed),
                }
            }
            Event::Text(_, text) => {
                if let Some(element) = open.last_mut() {
                    element.append_text(text);
                }
            }
        }
    }
    root.ok_or(Unreadable::NotXml)
}

/// All text inside `element`, in document order.
pub fn text(element: &Element) -> String {
    let mut out = String::new();
    collect(element, &mut out);
    out
}

/// Recursion ends at the depth limit of the reader that built the element.
fn collect(element: &Element, out: &mut String) {
    for node in element.nodes() {
        match node {
            minidom::Node::Element(child) => collect(child, out),
            minidom::Node::Text(text) => out.push_str(text),
        }
    }
}

/// Writes character data: markup is escaped, what XML forbids becomes U+FFFD.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in crate::text::clean(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_peers_send() {
        let document = b"\xef\xbb\xbf<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<!-- c --><a xmlns='x'><b>1</b>2</a>\r\n";
        let root = read(document).unwrap();

        assert_eq!((root.name(), root.ns().as_str()), ("a", "x"));
        assert_eq!(text(&root), "12");
    }

    #[test]
    fn refuses_entities_depth_and_size() {
        let bomb = b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>";
        assert_eq!(read(bomb), Err(Unreadable::NotXml));
        assert_eq!(read(b"<a>&nbsp;</a>"), Err(Unreadable::NotXml));
        assert_eq!(read(b"<a>"), Err(Unreadable::NotXml));
        assert_eq!(read(b""), Err(Unreadable::NotXml));

        let deep = format!("{}{}", "<a>".repeat(100_000), "</a>".repeat(100_000));
        assert_eq!(read(deep.as_bytes()), Err(Unreadable::TooLarge));
        let deep = format!("{}{}", "<a>".repeat(1_000), "</a>".repeat(1_000));
        assert_eq!(read(deep.as_bytes()), Err(Unreadable::TooDeep));
    }

    #[test]
    fn escaped_text_reads_back() {
        let odd = "<&>\"' \u{1}\u{fffe}";
        let root = read(format!("<a>{}</a>", escape(odd)).as_bytes()).unwrap();

        assert_eq!(text(&root), "<&>\"' \u{fffd}\u{fffd}");
    }
}
