//! HTML rebuilt as XHTML-IM (XEP-0071 section 7.8, the recommended profile without styles).

use minidom::Element;

use super::tokens::{Token, Tokens};
use super::{VOID, is_link};
use crate::limits;
use crate::text;

/// Namespace of XHTML.
pub const NS: &str = "http://www.w3.org/1999/xhtml";

/// Rebuilds HTML as an XHTML-IM body; `None` if nothing is left or it has more elements than a
/// stanza may have.
pub fn sanitize(html: &str) -> Option<Element> {
    let mut tree = Tree {
        open: vec![(String::new(), Element::bare("body", NS))],
        elements: 0,
    };
    for token in Tokens::new(html) {
        match token {
            Token::Open { name, attributes } => tree.open(&name, &attributes),
            Token::Close(name) => tree.close(&name),
            Token::Text(text) => tree.text(&text),
        }
    }
    let fits = tree.elements <= limits::STANZA_CHILDREN / 2;
    let body = tree.finish()?;
    (fits && body.nodes().next().is_some()).then_some(body)
}

/// The XHTML-IM element that stands for an HTML element.
fn image(name: &str) -> Option<&'static str> {
    Some(match name {
        "a" => "a",
        "b" | "strong" => "strong",
        "blockquote" => "blockquote",
        "br" => "br",
        "cite" => "cite",
        "em" | "i" => "em",
        "div" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "p" => "p",
        "li" => "li",
        "ol" => "ol",
        "ul" => "ul",
        _ => return None,
    })
}

/// The tree as it grows: names of the HTML elements that are open, with what stands for them.
struct Tree {
    open: Vec<(String, Element)>,
    elements: usize,
}

impl Tree {
    fn open(&mut self, name: &str, attributes: &[(String, String)]) {
        let value = |wanted: &str| attributes.iter().find(|(name, _)| name == wanted);
        if name == "img" {
            self.text(value("alt").map_or("", |(_, alt)| alt));
        }
        let Some(image) = image(name) else {
            return;
        };
        if image == "p" {
            self.close_open_paragraph();
        }
        let mut element = Element::bare(image, NS);
        if image == "a" {
            match value("href").filter(|(_, url)| is_link(url)) {
                Some((_, url)) => element.set_attr(
                    rxml::Namespace::NONE,
                    rxml::xml_ncname!("href").to_owned(),
                    text::clean(url).into_owned(),
                ),
                None => return,
            }
        }
        self.elements += 1;
        if VOID.contains(&name) {
            self.append(element);
        } else if self.open.len() < limits::DOCUMENT_DEPTH {
            self.open.push((name.to_owned(), element));
        }
    }

    /// A paragraph ends where the next one starts.
    fn close_open_paragraph(&mut self) {
        let paragraph = |(_, element): &(String, Element)| element.name() == "p";
        if let Some(name) = self.open.last().filter(|last| paragraph(last)) {
            let name = name.0.clone();
            self.close(&name);
        }
    }

    /// Closes the innermost element of that name and what is open inside it.
    fn close(&mut self, name: &str) {
        let Some(at) = self.open.iter().skip(1).rposition(|(open, _)| open == name) else {
            return;
        };
        while self.open.len() > at + 1 {
            self.close_innermost();
        }
    }

    fn close_innermost(&mut self) {
        if let Some((_, closed)) = self.open.pop() {
            let empty = closed.nodes().next().is_none();
            if !empty {
                self.append(closed);
            }
        }
    }

    fn text(&mut self, text: &str) {
        if let Some((_, innermost)) = self.open.last_mut() {
            innermost.append_text(text::clean(text).into_owned());
        }
    }

    fn append(&mut self, element: Element) {
        if let Some((_, innermost)) = self.open.last_mut() {
            innermost.append_child(element);
        }
    }

    fn finish(mut self) -> Option<Element> {
        while self.open.len() > 1 {
            self.close_innermost();
        }
        self.open.pop().map(|(_, body)| body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::documents::xml;

    fn clean(html: &str) -> String {
        let body = sanitize(html).unwrap();
        let written = String::from(&body);
        assert_eq!(xml::read(written.as_bytes()), Ok(body));
        written
            .replace(&format!(" xmlns='{NS}'"), "")
            .replace('\'', "\"")
    }

    #[test]
    fn only_the_recommended_profile_is_left() {
        assert_eq!(
            clean(
                "<html><body><p>Neither, <b onclick=\"x()\">fair</b> saint<br>no</p><script>evil()</script></body></html>"
            ),
            "<body><p>Neither, <strong>fair</strong> saint<br/>no</p></body>"
        );
        assert_eq!(
            clean(
                "<div style='x'><font>a</font></div><h1>b</h1><i>c</i><img src='http://x' alt='d'>"
            ),
            "<body><p>a</p><p>b</p><em>c</em>d</body>"
        );
    }

    #[test]
    fn links_have_known_schemes() {
        assert_eq!(
            clean(
                "<a href='JavaScript:x()'>a</a><a href=' javascript:x'>b</a><a href='data:x'>c</a>"
            ),
            "<body>abc</body>"
        );
        assert_eq!(
            clean("<a target=x href='https://x.example/?a&amp;b'>a</a>"),
            "<body><a href=\"https://x.example/?a&amp;b\">a</a></body>"
        );
    }

    #[test]
    fn broken_nesting_becomes_a_tree() {
        assert_eq!(
            clean("<p>a<b>b<i>c</b>d</i></p></p><p>e<p>f<&\u{1}"),
            "<body><p>a<strong>b<em>c</em></strong>d</p><p>e</p><p>f&lt;&amp;\u{fffd}</p></body>"
        );
        assert!(sanitize(&"<b>".repeat(10_000)).is_none());
        assert!(sanitize(&format!("{}x", "<b>".repeat(100))).is_some());
    }
}
