//! Reads the value of one header from left to right.

use std::ops::Range;

use crate::limits;
use crate::sip::{Defect, Malformed};
use crate::text::is_token;

/// Start and end of a part of a head or URI. Small, because a message has many; texts too long for
/// it are refused before one is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    start: u16,
    end: u16,
}

const _: () = assert!(
    limits::SIP_HEAD <= limits::SIP_HEAD_MICROSOFT
        && limits::SIP_HEAD_MICROSOFT <= u16::MAX as usize,
    "spans are too small"
);

impl Span {
    /// The part from `start` up to `end`.
    pub(super) fn new(start: usize, end: usize) -> Self {
        let offset = |at| u16::try_from(at).unwrap_or(u16::MAX);
        Self {
            start: offset(start),
            end: offset(end),
        }
    }

    /// The part as a range for slicing.
    pub(super) fn range(self) -> Range<usize> {
        usize::from(self.start)..usize::from(self.end)
    }
}

/// A place in a header's value. White space, folded lines included, is skipped where RFC 3261
/// section 25.1 lets it stand around a separator.
#[derive(Clone, Debug)]
pub(super) struct Cursor<'a> {
    text: &'a str,
    pos: usize,
    base: usize,
    defect: Defect,
}

impl<'a> Cursor<'a> {
    /// Starts at the beginning of `text`, which stands at offset `base` of its message; whatever
    /// cannot be read is reported as `defect`.
    pub(super) const fn new(text: &'a str, base: usize, defect: Defect) -> Self {
        Self {
            text,
            pos: 0,
            base,
            defect,
        }
    }

    /// What has not been read yet.
    pub(super) fn rest(&self) -> &'a str {
        self.text.get(self.pos..).unwrap_or_default()
    }

    /// Offset of the next octet in the value.
    pub(super) const fn pos(&self) -> usize {
        self.pos
    }

    /// Offset of the next octet in the message.
    pub(super) const fn at(&self) -> usize {
        self.base + self.pos
    }

    /// The error that something cannot be read here.
    pub(super) const fn error(&self) -> Malformed {
        Malformed::new(self.defect, self.at())
    }

    /// The next octet.
    pub(super) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.pos).copied()
    }

    /// Reads as many octets as `accepted` takes. It must take all or none of the octets of a
    /// character outside ASCII.
    pub(super) fn take_while(&mut self, accepted: impl Fn(u8) -> bool) -> &'a str {
        let rest = self.rest();
        let octets = rest.bytes().take_while(|octet| accepted(*octet)).count();
        self.pos += octets;
        rest.get(..octets).unwrap_or_default()
    }

    /// Skips white space and line folds.
    pub(super) fn skip_space(&mut self) {
        self.take_while(is_space);
    }

    /// Reads `separator` with the white space around it, if it comes next.
    pub(super) fn eat(&mut self, separator: u8) -> bool {
        let start = self.pos;
        self.skip_space();
        if self.peek() != Some(separator) {
            self.pos = start;
            return false;
        }
        self.pos += 1;
        self.skip_space();
        true
    }

    /// Reads `separator` with the white space around it.
    pub(super) fn expect(&mut self, separator: u8) -> Result<(), Malformed> {
        if self.eat(separator) {
            return Ok(());
        }
        self.skip_space();
        Err(self.error())
    }

    /// Reads a token.
    pub(super) fn token(&mut self) -> Result<&'a str, Malformed> {
        match self.take_while(is_token) {
            "" => Err(self.error()),
            token => Ok(token),
        }
    }

    /// Reads a quoted string and returns what stands between the quotes, escapes as they are.
    pub(super) fn quoted(&mut self) -> Result<&'a str, Malformed> {
        if self.peek() != Some(b'"') {
            return Err(self.error());
        }
        let start = self.pos + 1;
        let mut octets = self.text.bytes().enumerate().skip(start);
        while let Some((at, octet)) = octets.next() {
            match octet {
                b'"' => {
                    self.pos = at + 1;
                    return Ok(self.text.get(start..at).unwrap_or_default());
                }
                b'\\' => _ = octets.next(),
                _ => {}
            }
        }
        Err(self.error())
    }

    /// Steps over one octet of ASCII.
    pub(super) const fn step(&mut self) {
        self.pos += 1;
    }

    /// Steps back or forth to a place from [`Cursor::pos`].
    pub(super) const fn seek(&mut self, pos: usize) {
        self.pos = pos;
    }

    /// Demands that nothing but white space is left.
    pub(super) fn end(&mut self) -> Result<(), Malformed> {
        self.skip_space();
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.error()),
        }
    }
}

/// White space inside a value; CR and LF only stand there as part of a line fold.
pub(super) const fn is_space(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t' | b'\r' | b'\n')
}

/// Takes the backslashes of quoted pairs away and makes one line of folded text.
pub(super) fn unquote(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut chars = raw.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => text.extend(chars.next()),
            '\r' => {}
            '\n' => text.push(' '),
            c => text.push(c),
        }
    }
    text
}

/// Makes one line of a value that was folded over several (RFC 3261 section 7.3.1).
pub(super) fn unfold(raw: &str) -> String {
    let lines = raw.split("\r\n").map(str::trim);
    let lines: Vec<_> = lines.filter(|line| !line.is_empty()).collect();
    lines.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor(text: &str) -> Cursor<'_> {
        Cursor::new(text, 100, Defect::Uri)
    }

    #[test]
    fn separators_take_the_space_around_them() {
        let mut value = cursor("a \r\n ;\tb");

        assert_eq!(value.token(), Ok("a"));
        assert!(value.eat(b';'));
        assert_eq!(value.token(), Ok("b"));
        assert_eq!(value.end(), Ok(()));
    }

    #[test]
    fn quotes_end_at_the_first_quote_that_is_not_escaped() {
        let mut value = cursor(r#""a\"b\\" c"#);

        assert_eq!(value.quoted().map(unquote), Ok(r#"a"b\"#.to_owned()));
        assert!(value.end().is_err());
        assert_eq!(
            cursor(r#""abc\""#).quoted(),
            Err(Malformed::new(Defect::Uri, 100))
        );
    }

    #[test]
    fn errors_say_where_in_the_message() {
        let mut value = cursor("ab, c");

        assert_eq!(value.token(), Ok("ab"));
        assert_eq!(value.expect(b';'), Err(Malformed::new(Defect::Uri, 102)));
    }
}
