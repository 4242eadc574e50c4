//! HTML cut into tokens, the way browsers do it as far as messages need.

use super::{HIDDEN, entities};

/// One piece of HTML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// An opening tag; the name and the names of attributes are in lower case.
    Open {
        /// Its name.
        name: String,
        /// Its attributes, references replaced.
        attributes: Vec<(String, String)>,
    },
    /// A closing tag.
    Close(String),
    /// Text, references replaced.
    Text(String),
}

/// Cuts HTML into tokens. Comments, declarations and the content of hidden elements are left out.
pub(super) struct Tokens<'a> {
    rest: &'a str,
}

impl<'a> Tokens<'a> {
    pub(super) const fn new(html: &'a str) -> Self {
        Self { rest: html }
    }

    /// Reads a tag, a comment or a declaration; `rest` starts behind its `<`.
    fn markup(&mut self) -> Option<Token> {
        if let Some(comment) = self.rest.strip_prefix("!--") {
            self.rest = comment.split_once("-->").map_or("", |(_, rest)| rest);
            return None;
        }
        if self.rest.starts_with(['!', '?']) {
            self.rest = self.rest.split_once('>').map_or("", |(_, rest)| rest);
            return None;
        }
        if let Some(closing) = self.rest.strip_prefix('/') {
            let (name, _) = split_name(closing);
            self.rest = closing.split_once('>').map_or("", |(_, rest)| rest);
            return (!name.is_empty()).then(|| Token::Close(name.to_ascii_lowercase()));
        }
        let (name, rest) = split_name(self.rest);
        if name.is_empty() {
            return Some(Token::Text("<".to_owned()));
        }
        self.rest = rest;
        let name = name.to_ascii_lowercase();
        let attributes = self.attributes();
        if HIDDEN.contains(&name.as_str()) {
            self.skip_content(&name);
            return None;
        }
        Some(Token::Open { name, attributes })
    }

    /// Reads the attributes of a tag up to and with its `>`.
    fn attributes(&mut self) -> Vec<(String, String)> {
        let mut attributes = Vec::new();
        loop {
            self.rest = self
                .rest
                .trim_start_matches(|c: char| c.is_whitespace() || c == '/');
            if let Some(rest) = self.rest.strip_prefix('>') {
                self.rest = rest;
                return attributes;
            }
            let ends = |c: char| c.is_whitespace() || matches!(c, '=' | '>' | '/');
            let (name, rest) = split_before(self.rest, ends);
            if name.is_empty() && !rest.starts_with('=') {
                return attributes;
            }
            let name = name.to_ascii_lowercase();
            let value = match rest.trim_start().strip_prefix('=') {
                Some(rest) => {
                    let (value, rest) = split_value(rest.trim_start());
                    self.rest = rest;
                    entities::decode(value)
                }
                None => {
                    self.rest = rest;
                    String::new()
                }
            };
            attributes.push((name, value));
        }
    }

    /// Skips to behind the closing tag of a hidden element.
    fn skip_content(&mut self, name: &str) {
        while let Some((_, rest)) = self.rest.split_once("</") {
            self.rest = rest;
            let (closing, _) = split_name(rest);
            if closing.eq_ignore_ascii_case(name) {
                self.rest = rest.split_once('>').map_or("", |(_, rest)| rest);
                return;
            }
        }
        self.rest = "";
    }
}

impl Iterator for Tokens<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        while !self.rest.is_empty() {
            if let Some(markup) = self.rest.strip_prefix('<') {
                self.rest = markup;
                match self.markup() {
                    Some(token) => return Some(token),
                    None => continue,
                }
            }
            let (text, rest) = split_before(self.rest, |c| c == '<');
            self.rest = rest;
            return Some(Token::Text(entities::decode(text)));
        }
        None
    }
}

/// Splits before the first character that `ends` the piece.
fn split_before(text: &str, ends: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text.find(ends).unwrap_or(text.len());
    text.split_at(end)
}

/// Splits off a tag name; it starts with a letter.
fn split_name(text: &str) -> (&str, &str) {
    if !text.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return ("", text);
    }
    split_before(text, |c| c.is_whitespace() || matches!(c, '/' | '>'))
}

/// Splits off an attribute value, quoted or not.
fn split_value(text: &str) -> (&str, &str) {
    for quote in ['"', '\''] {
        if let Some(quoted) = text.strip_prefix(quote) {
            return quoted.split_once(quote).unwrap_or((quoted, ""));
        }
    }
    split_before(text, |c| c.is_whitespace() || c == '>')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(html: &str) -> Vec<Token> {
        Tokens::new(html).collect()
    }

    fn open(name: &str, attributes: &[(&str, &str)]) -> Token {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Token::Open {
            name: name.to_owned(),
            attributes: attributes.iter().map(owned).collect(),
        }
    }

    #[test]
    fn tags_and_attributes_are_read() {
        assert_eq!(
            all("<A HREF='x&amp;y' b=c d>t</A ><br/>"),
            [
                open("a", &[("href", "x&y"), ("b", "c"), ("d", "")]),
                Token::Text("t".to_owned()),
                Token::Close("a".to_owned()),
                open("br", &[]),
            ]
        );
    }

    #[test]
    fn hidden_content_and_comments_are_left_out() {
        let html =
            "<!DOCTYPE html><!-- <b> --><script>if (a</b) x()</SCRIPT >1<style>p</style><?x?>2";

        assert_eq!(
            all(html),
            [Token::Text("1".to_owned()), Token::Text("2".to_owned())]
        );
        assert_eq!(all("a<script>b"), [Token::Text("a".to_owned())]);
    }

    #[test]
    fn what_has_no_end_hides_nothing_behind_it() {
        let texts = |html: &str| {
            let texts = all(html).into_iter().filter_map(|token| match token {
                Token::Text(text) => Some(text),
                Token::Open { .. } | Token::Close(_) => None,
            });
            texts.collect::<String>()
        };
        assert_eq!(texts("a<embed src=x>b"), "ab");
        assert_eq!(
            texts("<html><head><meta charset=x><title>t</title><style>s</style><body>b"),
            "b"
        );
    }

    #[test]
    fn broken_markup_ends() {
        for html in [
            "<", "<a", "<a b", "<a b=", "<a b='", "</", "<!--", "<a =", "<a / / b", "a < b",
        ] {
            assert!(all(html).len() <= 4, "{html}");
        }
        assert_eq!(all("1 < 2").len(), 3);
    }
}
