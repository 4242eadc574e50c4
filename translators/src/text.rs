//! Text that is safe where it goes: constructors that refuse or clean what would smuggle a header
//! or an element into the other side's syntax.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use crate::limits;

/// A SIP token (RFC 3261 section 25.1): method names, tags, parameter names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SipToken(String);

impl SipToken {
    /// Takes `text` if every character may stand in a token.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = !text.is_empty() && text.bytes().all(is_token);
        fits.then(|| Self(text.to_owned()))
    }

    /// Writes a random number as a tag.
    pub fn from_number(number: u64) -> Self {
        Self(format!("{number:016x}"))
    }

    /// Writes two numbers as a tag.
    pub fn from_numbers(first: u64, second: u64) -> Self {
        Self(format!("{first:016x}{second:016x}"))
    }

    /// The token.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether `byte` may stand in a SIP token.
pub const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~'
        )
}

/// One line of text for a SIP header: no CR, LF or other control character can be in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line(String);

impl Line {
    /// Makes one line of `text`: runs of control characters and white space become one space.
    pub fn fold(text: &str) -> Self {
        let words = text.split(|c: char| c.is_control() || c.is_whitespace() || is_separator(c));
        let mut line = String::with_capacity(text.len());
        for word in words.filter(|word| !word.is_empty()) {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        Self(line)
    }

    /// Takes `text` exactly as it stands, if it is one line without control characters but tabs.
    /// What peers have signed must go back to them octet by octet.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = !text.contains(|c: char| (c.is_control() && c != '\t') || is_separator(c));
        fits.then(|| Self(text.to_owned()))
    }

    /// The line.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// LINE SEPARATOR and PARAGRAPH SEPARATOR: line ends to some readers.
const fn is_separator(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}')
}

/// A quoted string of a SIP header (RFC 3261 section 25.1), written with its quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotedText(Line);

impl QuotedText {
    /// Makes one line of `text`; quotes and backslashes are escaped when it is written.
    pub fn new(text: &str) -> Self {
        Self(Line::fold(text))
    }
}

impl fmt::Display for QuotedText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for c in self.0.as_str().chars() {
            if matches!(c, '"' | '\\') {
                f.write_str("\\")?;
            }
            f.write_char(c)?;
        }
        f.write_str("\"")
    }
}

/// Whether XML 1.0 allows `c` (section 2.2); everything else would break the stream for all users
/// of the link.
pub const fn is_xml(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// Replaces what XML forbids by U+FFFD and CRLF or CR by LF; spaces stay as they are.
pub fn clean(text: &str) -> Cow<'_, str> {
    if text.chars().all(|c| is_xml(c) && c != '\r') {
        return Cow::Borrowed(text);
    }
    let lines = text.replace("\r\n", "\n");
    let clean = |c: char| match c {
        '\r' => '\n',
        c if is_xml(c) => c,
        _ => char::REPLACEMENT_CHARACTER,
    };
    Cow::Owned(lines.chars().map(clean).collect())
}

/// A name for people: controls, bidirectional overrides and invisible characters removed, at most
/// [`limits::DISPLAY_NAME`] characters; `None` if nothing is left, and for what looks like an address,
/// since people would take it for that of whoever bears the name.
pub fn display_name(text: &str) -> Option<String> {
    visible(text, limits::DISPLAY_NAME).filter(|name| !looks_like_address(name))
}

/// Whether people would read an address: an at sign of any script between other characters, or a
/// scheme of addresses.
fn looks_like_address(name: &str) -> bool {
    const AT: [char; 3] = ['@', '\u{fe6b}', '\u{ff20}'];
    const SCHEMES: [&str; 6] = ["im:", "mailto:", "sip:", "sips:", "tel:", "xmpp:"];
    let stands = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let at = name.match_indices(AT).any(|(at, sign)| {
        let before = name.get(..at).and_then(|before| before.chars().next_back());
        let after = name.get(at + sign.len()..);
        stands(before) && stands(after.and_then(|after| after.chars().next()))
    });
    let lower = name.to_lowercase();
    let has = |scheme: &&str| {
        lower.match_indices(scheme).any(|(at, _)| {
            let before = lower.get(..at).and_then(|it| it.chars().next_back());
            let after = lower.get(at + scheme.len()..);
            let after = after.and_then(|it| it.chars().next());
            !before.is_some_and(char::is_alphanumeric) && after.is_some_and(|c| !c.is_whitespace())
        })
    };
    at || SCHEMES.iter().any(has)
}

/// Words about a failure, on one line, cleaned like a name, at most [`limits::REMARK`] characters.
pub fn remark(text: &str) -> Option<String> {
    visible(Line::fold(text).as_str(), limits::REMARK)
}

/// What can be seen of `text`, at most `most` characters.
fn visible(text: &str, most: usize) -> Option<String> {
    let seen: String = text
        .chars()
        .filter(|c| is_xml(*c) && !c.is_control() && !is_invisible(*c) && !is_separator(*c))
        .take(most)
        .collect();
    let seen = seen.trim();
    (!seen.is_empty()).then(|| seen.to_owned())
}

/// Zero-width characters, bidirectional controls, tags and other format characters.
const fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Reads two hexadecimal digits; returns their value and what follows.
pub fn hex_octet(input: &[u8]) -> Option<(u8, &[u8])> {
    let (digits, rest) = input.split_at_checked(2)?;
    let digits = std::str::from_utf8(digits).ok()?;
    let value = u8::from_str_radix(digits, 16).ok()?;
    (!digits.starts_with('+')).then_some((value, rest))
}

/// Percent-encodes every octet of `text` that does not stand as it is.
pub fn percent_encode(text: &str, stands: impl Fn(u8) -> bool) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |value: u8| {
        DIGITS
            .get(usize::from(value & 15))
            .copied()
            .map_or('0', char::from)
    };
    let mut out = String::with_capacity(text.len());
    for octet in text.bytes() {
        if stands(octet) {
            out.push(char::from(octet));
        } else {
            out.extend(['%', digit(octet >> 4), digit(octet)]);
        }
    }
    out
}

/// Whether `octet` is `unreserved` in a SIP URI (RFC 3261 section 25.1).
pub const fn is_unreserved(octet: u8) -> bool {
    octet.is_ascii_alphanumeric()
        || matches!(
            octet,
            b'-' | b'_' | b'.' | b'!' | b'~' | b'*' | b'\'' | b'(' | b')'
        )
}

/// Whether `octet` may stand in the value of a SIP URI's parameter: `param-unreserved / unreserved`.
pub const fn is_pvalue(octet: u8) -> bool {
    is_unreserved(octet) || matches!(octet, b'[' | b']' | b'/' | b':' | b'&' | b'+' | b'$')
}

/// A language tag as both sides write it, or nothing if `text` is none (RFC 5646 section 2.1);
/// `en_US` counts as `en-US`.
pub fn language(text: &str) -> Option<String> {
    let tag = text.trim().replace('_', "-");
    let subtag =
        |one: &str| (1..=8).contains(&one.len()) && one.bytes().all(|b| b.is_ascii_alphanumeric());
    let first = |tag: &str| tag.starts_with(|c: char| c.is_ascii_alphabetic());
    (tag.len() <= 35 && first(&tag) && tag.split('-').all(subtag)).then_some(tag)
}

/// The octets 0x80 to 0x9f of windows-1252, as which ISO 8859-1 is read too, since its own
/// characters there are controls.
const WINDOWS_1252: [char; 32] = [
    '\u{20ac}', '\u{81}', '\u{201a}', '\u{192}', '\u{201e}', '\u{2026}', '\u{2020}', '\u{2021}',
    '\u{2c6}', '\u{2030}', '\u{160}', '\u{2039}', '\u{152}', '\u{8d}', '\u{17d}', '\u{8f}',
    '\u{90}', '\u{2018}', '\u{2019}', '\u{201c}', '\u{201d}', '\u{2022}', '\u{2013}', '\u{2014}',
    '\u{2dc}', '\u{2122}', '\u{161}', '\u{203a}', '\u{153}', '\u{9d}', '\u{17e}', '\u{178}',
];

/// The character of an octet in windows-1252, as which ISO 8859-1 is read too.
pub fn windows_1252(octet: u8) -> char {
    let special = octet.checked_sub(0x80).map(usize::from);
    let special = special.and_then(|at| WINDOWS_1252.get(at));
    special.copied().unwrap_or_else(|| char::from(octet))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_cannot_hold_a_second_line() {
        assert_eq!(
            Line::fold(" a\r\nVia: evil\u{2028}b\0 ").as_str(),
            "a Via: evil b"
        );
    }

    #[test]
    fn a_line_that_is_one_is_taken_as_it_stands() {
        let signed = "<sip:edge;lr;ms-route-sig=aB%2f==>;x=\"a  b\"\t;tag=1";

        assert_eq!(Line::parse(signed).unwrap().as_str(), signed);
        for bad in ["a\r\nb", "a\0b", "a\u{2028}b"] {
            assert_eq!(Line::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn quoted_text_keeps_its_quotes_inside() {
        assert_eq!(
            QuotedText::new("a\"b\\c\r\nd").to_string(),
            r#""a\"b\\c d""#
        );
    }

    #[test]
    fn clean_text_is_legal_xml_with_plain_line_ends() {
        assert_eq!(clean("a\r\nb\rc\u{1}d\u{ffff}"), "a\nb\nc\u{fffd}d\u{fffd}");
        assert!(matches!(clean("  plain \n"), Cow::Borrowed(_)));
    }

    #[test]
    fn names_lose_what_cannot_be_seen() {
        assert_eq!(
            display_name("\u{202e}Bob\u{200b}\r\n ").as_deref(),
            Some("Bob")
        );
        assert_eq!(display_name("\u{200b}"), None);
        assert_eq!(display_name(&"x".repeat(100)).map(|n| n.len()), Some(64));
    }

    #[test]
    fn names_that_look_like_addresses_are_none() {
        for name in [
            "ceo@contoso.com",
            "The boss <ceo@contoso.com>",
            "ceo\u{ff20}contoso.com",
            "sip:ceo.contoso",
            "\"SIP:1234\"",
            "tel:+491234",
            "ceo\u{200b}@contoso",
        ] {
            assert_eq!(display_name(name), None, "{name}");
        }
        for name in [
            "Bob @ work",
            "B.O.B.",
            "@bob",
            "sip: of tea",
            "Sipsy",
            "12:30",
            "bob@",
        ] {
            assert_eq!(display_name(name).as_deref(), Some(name));
        }
    }

    #[test]
    fn tokens_are_tokens() {
        assert!(SipToken::parse("z9hG4bK-7.~").is_some());
        for bad in ["", "a b", "a\r\nb", "a;b", "ä"] {
            assert_eq!(SipToken::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn languages_are_tags_or_nothing() {
        assert_eq!(language(" en_US ").as_deref(), Some("en-US"));
        assert_eq!(language("x-klingon").as_deref(), Some("x-klingon"));
        for bad in [
            "",
            "-",
            "en-",
            "e n",
            "en\r\nVia: x",
            "\u{e9}",
            "1en",
            "abcdefghi",
        ] {
            assert_eq!(language(bad), None, "{bad:?}");
        }
    }
}
