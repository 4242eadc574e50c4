//! XML documents with a bounded size, depth and number of elements, without document type
//! declarations.

use std::borrow::Cow;

use memchr::memmem;
use minidom::Element;
use rxml::parser::CommentMode;
use rxml::{Event, Options, Parse as _, Parser, WithOptions as _};

use crate::documents::Unreadable;
use crate::limits;
use crate::text::windows_1252;

/// Reads a whole document; comments are skipped, a document type declaration is refused, so that
/// no entity can be defined. The octets decide its encoding, whatever its declaration says: producers
/// write "utf-16" above UTF-8.
pub fn read(document: &[u8]) -> Result<Element, Unreadable> {
    parse(behind_declaration(&in_utf8(document)?)?)
}

/// As [`read`], but a document type declaration that names nothing but an external one is passed over,
/// and never fetched.
pub fn read_loose(document: &[u8]) -> Result<Element, Unreadable> {
    let text = in_utf8(document)?;
    let rest = behind_declaration(&text)?;
    match rest.strip_prefix(b"<!DOCTYPE") {
        Some(declared) => parse(behind_doctype(declared)?.trim_ascii_start()),
        None => parse(rest),
    }
}

/// Reads the root.
fn parse(mut input: &[u8]) -> Result<Element, Unreadable> {
    if input.len() > limits::DOCUMENT {
        return Err(Unreadable::TooLarge);
    }
    let mut parser = Parser::with_options(Options {
        max_token_length: limits::DOCUMENT,
        comments: CommentMode::Discard,
        ..Options::default()
    });
    let mut open: Vec<Element> = Vec::new();
    let mut root = None;
    let mut elements = 0;
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
                elements += 1;
                if elements > limits::DOCUMENT_ELEMENTS {
                    return Err(Unreadable::TooMany);
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

/// What follows the XML declaration, if there is one.
fn behind_declaration(text: &[u8]) -> Result<&[u8], Unreadable> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let rest = text.trim_ascii_start();
    let Some(declared) = rest.strip_prefix(b"<?xml") else {
        return Ok(rest);
    };
    if !declared.first().is_some_and(u8::is_ascii_whitespace) {
        return Ok(rest);
    }
    let end = declared.windows(2).position(|two| two == b"?>");
    let end = end.ok_or(Unreadable::NotXml)?;
    let rest = declared.get(end + 2..).unwrap_or_default();
    Ok(rest.trim_ascii_start())
}

/// The same text in UTF-8. What begins with a byte order mark of UTF-16, or with `<` in two octets,
/// is UTF-16; what is no UTF-8 and says so is windows-1252, ISO 8859-1 with it.
fn in_utf8(document: &[u8]) -> Result<Cow<'_, [u8]>, Unreadable> {
    if document.len() > limits::DOCUMENT {
        return Err(Unreadable::TooLarge);
    }
    let unit: fn([u8; 2]) -> u16 = match document {
        [0xfe, 0xff, ..] | [0, b'<', ..] => u16::from_be_bytes,
        [0xff, 0xfe, ..] | [b'<', 0, ..] => u16::from_le_bytes,
        _ if is_windows_1252(document) => {
            let text: String = document.iter().copied().map(windows_1252).collect();
            return Ok(Cow::Owned(text.into_bytes()));
        }
        _ => return Ok(Cow::Borrowed(document)),
    };
    let (units, []) = document.as_chunks::<2>() else {
        return Err(Unreadable::NotUtf8);
    };
    let units = units.iter().map(|octets| unit(*octets));
    let text: Result<String, _> = char::decode_utf16(units).collect();
    let text = text.map_err(|_| Unreadable::NotUtf8)?;
    Ok(Cow::Owned(text.into_bytes()))
}

/// Whether a document is no UTF-8 and its declaration says that it need not be.
fn is_windows_1252(document: &[u8]) -> bool {
    if std::str::from_utf8(document).is_ok() {
        return false;
    }
    let declared = document.split(|octet| *octet == b'>').next();
    let declared = declared.unwrap_or_default().to_ascii_lowercase();
    let mut names = [&b"iso-8859-1"[..], b"windows-1252"].into_iter();
    declared.starts_with(b"<?xml") && names.any(|name| memmem::find(&declared, name).is_some())
}

/// What follows a document type declaration that has no part of its own. Where its quoting is broken
/// nobody can say what belongs to it, so there is no document.
fn behind_doctype(declared: &[u8]) -> Result<&[u8], Unreadable> {
    let mut quote = None;
    let mut before = b' ';
    for (at, octet) in declared.iter().copied().enumerate() {
        let closed = matches!(before, b'"' | b'\'');
        match (quote, octet) {
            (None, b'>') => return Ok(declared.get(at + 1..).unwrap_or_default()),
            (None, b'[') | (_, b'<' | b'>') => return Err(Unreadable::NotXml),
            (None, b'"' | b'\'') if before.is_ascii_whitespace() => quote = Some(octet),
            (None, octet) if closed && !octet.is_ascii_whitespace() => break,
            (None, b'"' | b'\'') => break,
            (Some(open), close) if open == close => quote = None,
            (None | Some(_), _) => {}
        }
        before = octet;
    }
    Err(Unreadable::NotXml)
}

/// The children of that name, whatever their namespace.
pub(super) fn children<'a>(
    parent: &'a Element,
    name: &'a str,
) -> impl Iterator<Item = &'a Element> {
    parent.children().filter(move |child| child.name() == name)
}

/// The first child of that name, whatever its namespace.
pub(super) fn child<'a>(parent: &'a Element, name: &'a str) -> Option<&'a Element> {
    children(parent, name).next()
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
    fn refuses_more_elements_than_any_use_has() {
        let flat = |number| format!("<a>{}</a>", "<b/>".repeat(number));
        assert!(read(flat(limits::DOCUMENT_ELEMENTS - 1).as_bytes()).is_ok());
        assert_eq!(
            read(flat(limits::DOCUMENT_ELEMENTS).as_bytes()),
            Err(Unreadable::TooMany)
        );
    }

    #[test]
    fn documents_are_read_by_their_octets() {
        let declared = "<?xml version=\"1.0\" encoding=\"utf-16\"?>\r\n<a>\u{fc}\u{1f600}</a>";
        let units: Vec<u16> = declared.encode_utf16().collect();
        let little: Vec<u8> = units.iter().flat_map(|it| it.to_le_bytes()).collect();
        let big: Vec<u8> = units.iter().flat_map(|it| it.to_be_bytes()).collect();
        let marked = [b"\xff\xfe".as_slice(), &little].concat();
        let marked_big = [b"\xfe\xff".as_slice(), &big].concat();
        for document in [declared.as_bytes(), &little, &big, &marked, &marked_big] {
            for root in [read(document), read_loose(document)] {
                assert_eq!(text(&root.unwrap()), "\u{fc}\u{1f600}");
            }
        }
        let odd = little.get(..little.len() - 1).unwrap();
        assert_eq!(read_loose(odd), Err(Unreadable::NotUtf8));
        assert_eq!(read_loose(b"<\0\0\xd8"), Err(Unreadable::NotUtf8));
    }

    #[test]
    fn a_declaration_says_nothing_that_the_octets_do_not() {
        for declared in [
            "<?xml version='1.0' encoding='ISO-8859-1' standalone='no'?>",
            "<?xml version=\"1.0\" encoding=\"us-ascii\"?>\n",
            "<?xml version='1.1' encoding='x'?>",
        ] {
            let root = read(format!("{declared}<a>\u{e9}</a>").as_bytes()).unwrap();
            assert_eq!(text(&root), "\u{e9}", "{declared}");
        }
        let latin = b"<?xml version='1.0' encoding='ISO-8859-1'?><a>\xe9\x80</a>";
        assert_eq!(text(&read(latin).unwrap()), "\u{e9}\u{20ac}");
        assert_eq!(read(b"<a>\xe9</a>"), Err(Unreadable::NotXml));
        assert_eq!(read(b"<?xml version='1.0'"), Err(Unreadable::NotXml));
    }

    #[test]
    fn a_document_type_is_passed_over_or_refused() {
        let a = "<a>1</a>";
        for doctype in [
            "<!DOCTYPE a>",
            "<!DOCTYPE a PUBLIC \"-//X//EN\" \"http://127.0.0.1:1/x.dtd\">\n",
            "<?xml version='1.0'?>\n<!DOCTYPE a SYSTEM 'file:///etc/passwd'>",
        ] {
            let root = read_loose(format!("{doctype}{a}").as_bytes()).unwrap();
            assert_eq!(text(&root), "1");
        }
        for doctype in [
            "<!DOCTYPE a [<!ENTITY b 'c'>]>",
            "<!DOCTYPE a [",
            "<!DOCTYPE a PUBLIC \"-//X//EN\" \"x.dtd>\n",
            "<!DOCTYPE a PUBLIC -//X//EN\" x.dtd\">",
            "<!DOCTYPE a",
            "<!DOCTYPE a><!DOCTYPE a>",
        ] {
            let document = format!("{doctype}{a}");
            assert_eq!(
                read_loose(document.as_bytes()),
                Err(Unreadable::NotXml),
                "{doctype}"
            );
        }
        let entity = "<!DOCTYPE a SYSTEM 'x'><a>&b;</a>";
        assert_eq!(read_loose(entity.as_bytes()), Err(Unreadable::NotXml));
    }

    #[test]
    fn escaped_text_reads_back() {
        let odd = "<&>\"' \u{1}\u{fffe}";
        let root = read(format!("<a>{}</a>", escape(odd)).as_bytes()).unwrap();

        assert_eq!(text(&root), "<&>\"' \u{fffd}\u{fffd}");
    }
}
