//! HTML reduced to plain text.

use minidom::{Element, Node};

use super::tokens::{Token, Tokens};
use super::{HIDDEN, is_link};

/// Elements that stand on lines of their own.
const BLOCKS: [&str; 34] = [
    "address",
    "article",
    "aside",
    "blockquote",
    "body",
    "caption",
    "center",
    "dd",
    "div",
    "dl",
    "dt",
    "fieldset",
    "figcaption",
    "figure",
    "footer",
    "form",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hr",
    "li",
    "main",
    "nav",
    "ol",
    "p",
    "pre",
    "section",
    "table",
    "tr",
    "ul",
];

/// The text of HTML: white space as a browser shows it, blocks on lines of their own, the address
/// of a link behind its text where the text does not show it.
pub fn to_text(html: &str) -> String {
    let mut plain = Plain::default();
    let mut link = None;
    for token in Tokens::new(html) {
        match token {
            Token::Open { name, attributes } => {
                if name == "img" {
                    plain.text(value(&attributes, "alt").unwrap_or_default());
                } else if name == "a" {
                    let target = value(&attributes, "href").unwrap_or_default();
                    link = Some((plain.out.len(), target.to_owned()));
                }
                plain.open(&name);
            }
            Token::Close(name) => {
                if name == "a"
                    && let Some((start, target)) = link.take()
                {
                    plain.link(start, &target);
                }
                plain.close(&name);
            }
            Token::Text(text) => plain.text(&text),
        }
    }
    if let Some((start, target)) = link {
        plain.link(start, &target);
    }
    plain.finish()
}

/// The value of an attribute.
fn value<'a>(attributes: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let named = attributes.iter().find(|(other, _)| other == name);
    named.map(|(_, value)| value.as_str())
}

/// What of a target people take for it: not its scheme where that goes without saying, nor its last
/// slash.
fn seen(target: &str) -> &str {
    let rest = ["http://", "https://", "mailto:"]
        .iter()
        .find_map(|scheme| target.strip_prefix(scheme));
    rest.unwrap_or(target).trim_end_matches('/')
}

/// The text of an XHTML element that was read as XML.
pub fn text_of_element(element: &Element) -> String {
    let mut plain = Plain::default();
    walk(element, &mut plain);
    plain.finish()
}

/// Recursion ends at the depth limit of the reader that built the element.
fn walk(element: &Element, plain: &mut Plain) {
    if HIDDEN.contains(&element.name()) {
        return;
    }
    let start = plain.out.len();
    plain.open(element.name());
    for node in element.nodes() {
        match node {
            Node::Element(child) => walk(child, plain),
            Node::Text(text) => plain.text(text),
        }
    }
    match (element.name(), element.attr("href"), element.attr("alt")) {
        ("a", Some(target), _) => plain.link(start, target),
        ("img", _, Some(alt)) => plain.text(alt),
        _ => {}
    }
    plain.close(element.name());
}

/// Text as it grows; line ends and spaces are written when something follows them.
#[derive(Default)]
struct Plain {
    out: String,
    space: bool,
    line: bool,
    /// How many elements are open that keep their white space.
    kept: u32,
}

impl Plain {
    fn open(&mut self, name: &str) {
        match name {
            "br" => {
                self.settle();
                self.out.push('\n');
            }
            "td" | "th" => self.space = !self.out.is_empty() && !self.line,
            _ => self.part(name),
        }
        if name == "pre" {
            self.kept = self.kept.saturating_add(1);
        }
    }

    fn close(&mut self, name: &str) {
        if name == "pre" {
            self.kept = self.kept.saturating_sub(1);
        }
        self.part(name);
    }

    /// Asks for a new line where a block starts or ends.
    fn part(&mut self, name: &str) {
        if BLOCKS.contains(&name) {
            self.line = !self.out.is_empty();
            self.space = false;
        }
    }

    fn text(&mut self, text: &str) {
        for c in text.chars() {
            let shown = match c {
                '\r' if self.kept > 0 => continue,
                '\n' | '\t' | ' ' if self.kept > 0 => c,
                ' ' | '\t' | '\n' | '\r' | '\u{c}' => {
                    self.space = !self.out.is_empty() && !self.line;
                    continue;
                }
                '\u{a0}' => ' ',
                c => c,
            };
            self.settle();
            self.out.push(shown);
        }
    }

    /// Adds the target of a link whose text began at `start`, unless the text shows it.
    fn link(&mut self, start: usize, target: &str) {
        let shown = self.out.get(start..).unwrap_or_default();
        if is_link(target) && !shown.contains(seen(target)) {
            self.settle();
            self.out.push_str(" (");
            self.out.push_str(target);
            self.out.push(')');
        }
    }

    /// The text, without the empty lines and blanks at its end.
    fn finish(mut self) -> String {
        let end = self.out.trim_end_matches([' ', '\n']).len();
        self.out.truncate(end);
        self.out
    }

    fn settle(&mut self) {
        let ended = self.out.ends_with('\n');
        if std::mem::take(&mut self.line) && !ended {
            self.out.push('\n');
        } else if self.space && !ended {
            self.out.push(' ');
        }
        self.space = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::documents::xml;

    #[test]
    fn blocks_and_breaks_become_lines() {
        let html = "<html><body><p>Neither, <b onclick=\"x()\">fair</b>\r\n  saint<br>no</p>\n<script>evil()</script><div>a<div>b</div></div></body></html>";

        assert_eq!(to_text(html), "Neither, fair saint\nno\na\nb");
    }

    #[test]
    fn links_keep_their_target() {
        assert_eq!(
            to_text("<a href='https://x.example/?a&amp;b'>here</a>!"),
            "here (https://x.example/?a&b)!"
        );
        assert_eq!(to_text("<a href='mailto:a@b'>a@b</a>"), "a@b");
        for shown in ["http://x.example", "x.example", "see HTTP: x.example/"] {
            let html = format!("<A HREF=\"http://x.example/\">{shown}</A>");
            assert_eq!(to_text(&html), shown);
        }
        assert_eq!(
            to_text("<a href=http://evil.example/>x.example"),
            "x.example (http://evil.example/)"
        );
        assert_eq!(to_text("<a href='javascript:x()'>here</a>"), "here");
        assert_eq!(to_text("a &lt;b&gt; <img alt=':)' src='x'>"), "a <b> :)");
    }

    #[test]
    fn cells_stand_apart_and_what_is_formatted_stays() {
        assert_eq!(
            to_text("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>"),
            "a b\nc"
        );
        assert_eq!(
            to_text("<p>x</p><pre>if a {\r\n    b\n}</pre><p>y   z</p>"),
            "x\nif a {\n    b\n}\ny z"
        );
        assert_eq!(to_text("<div>hi<br></div><div><br></div>"), "hi");
        assert_eq!(
            to_text("<div>a</div><div>&nbsp;</div><div>b</div>"),
            "a\n \nb"
        );
    }

    #[test]
    fn xhtml_gives_the_same_text() {
        let root = xml::read(
            b"<body><p>One <a href='https://x.example'>two</a><br/>three</p><p>four</p><script>x</script></body>",
        )
        .unwrap();

        assert_eq!(
            text_of_element(&root),
            "One two (https://x.example)\nthree\nfour"
        );
    }
}
