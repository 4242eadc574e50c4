//! MIME headers, content types and multipart bodies (RFC 2045, RFC 2046), as far as messages use
//! them.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use memchr::memmem;

use crate::documents::Unreadable;
use crate::limits;

/// Headers of a part; names are compared without regard to case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    /// The value of the first header called `name`.
    pub fn value(&self, name: &str) -> Option<&str> {
        let named = |(other, _): &&(String, String)| other.eq_ignore_ascii_case(name);
        self.0.iter().find(named).map(|(_, value)| value.as_str())
    }

    /// The values of all headers called `name`.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The content type, `text/plain` where none is named (RFC 2045 section 5.2).
    pub fn content_type(&self) -> Option<ContentType> {
        match self.value("Content-Type") {
            Some(value) => ContentType::parse(value),
            None => ContentType::parse("text/plain"),
        }
    }
}

/// Reads headers up to and with the blank line; returns what follows. Lines end with CRLF or LF,
/// a line that starts with white space continues the one before.
pub fn read_headers(input: &[u8]) -> Result<(Headers, &[u8]), Unreadable> {
    let mut headers: Vec<(String, String)> = Vec::new();
    let mut rest = input;
    loop {
        let at = input.len() - rest.len();
        let (line, after) = split_line(rest);
        rest = after;
        if line.is_empty() {
            return Ok((Headers(headers), rest));
        }
        let line = std::str::from_utf8(line).map_err(|_| Unreadable::NotUtf8)?;
        if line.len() > limits::SIP_HEADER || headers.len() >= limits::SIP_HEADERS {
            return Err(Unreadable::TooLarge);
        }
        if line.starts_with([' ', '\t']) {
            let (_, value) = headers.last_mut().ok_or(Unreadable::Malformed(at))?;
            value.push(' ');
            value.push_str(line.trim());
            continue;
        }
        let (name, value) = line.split_once(':').ok_or(Unreadable::Malformed(at))?;
        headers.push((name.trim_end().to_owned(), value.trim().to_owned()));
    }
}

/// Splits off one line, without its line end.
fn split_line(input: &[u8]) -> (&[u8], &[u8]) {
    let (line, rest) = match memchr::memchr(b'\n', input) {
        Some(end) => input.split_at(end),
        None => (input, &b""[..]),
    };
    let rest = rest.strip_prefix(b"\n").unwrap_or(rest);
    (line.strip_suffix(b"\r").unwrap_or(line), rest)
}

/// A content type with its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentType {
    /// Type and subtype in lower case.
    pub essence: String,
    parameters: Vec<(String, String)>,
}

impl ContentType {
    /// Reads the value of a Content-Type header.
    pub fn parse(value: &str) -> Option<Self> {
        let mut pieces = split_parameters(value).into_iter();
        let essence = pieces.next()?.trim().to_ascii_lowercase();
        let (kind, subtype) = essence.split_once('/')?;
        if kind.trim().is_empty() || subtype.trim().is_empty() {
            return None;
        }
        let parameters = pieces.filter_map(|piece| {
            let (name, value) = piece.split_once('=')?;
            Some((name.trim().to_ascii_lowercase(), unquote(value.trim())))
        });
        Some(Self {
            parameters: parameters.collect(),
            essence,
        })
    }

    /// The value of a parameter, named in lower case.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let named = self.parameters.iter().find(|(other, _)| other == name);
        named.map(|(_, value)| value.as_str())
    }
}

/// Splits at semicolons outside quotes.
fn split_parameters(value: &str) -> Vec<&str> {
    let (mut quoted, mut escaped) = (false, false);
    value
        .split(|c: char| {
            let here = std::mem::take(&mut escaped);
            match c {
                _ if here => false,
                '\\' if quoted => {
                    escaped = true;
                    false
                }
                '"' => {
                    quoted = !quoted;
                    false
                }
                c => c == ';' && !quoted,
            }
        })
        .collect()
}

/// Takes the quotes off a quoted string.
fn unquote(value: &str) -> String {
    let inner = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
    let Some(inner) = inner else {
        return value.to_owned();
    };
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.extend(chars.next()),
            c => out.push(c),
        }
    }
    out
}

/// One part of a multipart body, transfer encoding undone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part<'a> {
    /// Its headers.
    pub headers: Headers,
    /// Its content.
    pub body: Cow<'a, [u8]>,
}

/// Cuts a multipart body (RFC 2046 section 5.1.1); a missing last boundary is tolerated.
pub fn parts<'a>(body: &'a [u8], boundary: &str) -> Result<Vec<Part<'a>>, Unreadable> {
    if boundary.is_empty() || boundary.len() > 70 {
        return Err(Unreadable::Unexpected);
    }
    let delimiter = format!("--{boundary}");
    let mut parts = Vec::new();
    let mut rest = after_delimiter(body, delimiter.as_bytes());
    while let Some(part) = rest {
        if parts.len() == limits::MIME_PARTS {
            return Err(Unreadable::TooMany);
        }
        let end = next_delimiter(part, delimiter.as_bytes());
        let content = part.get(..end).unwrap_or(part);
        let (headers, content) = read_headers(content)?;
        let content = content.strip_suffix(b"\n").unwrap_or(content);
        let content = content.strip_suffix(b"\r").unwrap_or(content);
        let body = decode(&headers, content)?;
        parts.push(Part { headers, body });
        rest = after_delimiter(part.get(end..).unwrap_or_default(), delimiter.as_bytes());
    }
    Ok(parts)
}

/// Offset of the next line that starts with `delimiter`, or the length of `input`.
fn next_delimiter(input: &[u8], delimiter: &[u8]) -> usize {
    let mut candidates = memmem::find_iter(input, delimiter);
    let starts_line = |at: &usize| *at == 0 || input.get(at.wrapping_sub(1)) == Some(&b'\n');
    candidates.find(starts_line).unwrap_or(input.len())
}

/// What follows the next delimiter line; `None` behind the last one.
fn after_delimiter<'a>(input: &'a [u8], delimiter: &[u8]) -> Option<&'a [u8]> {
    let at = next_delimiter(input, delimiter);
    let tail = input.get(at..)?.strip_prefix(delimiter)?;
    let (padding, rest) = split_line(tail);
    let closed = padding.starts_with(b"--") || tail.len() == padding.len();
    (!closed).then_some(rest)
}

/// Undoes the transfer encoding (RFC 2045 section 6).
pub fn decode<'a>(headers: &Headers, content: &'a [u8]) -> Result<Cow<'a, [u8]>, Unreadable> {
    let encoding = headers.value("Content-Transfer-Encoding").unwrap_or("8bit");
    match encoding.to_ascii_lowercase().as_str() {
        "7bit" | "8bit" | "binary" => Ok(Cow::Borrowed(content)),
        "base64" => {
            let packed: Vec<u8> = content
                .iter()
                .copied()
                .filter(|octet| !octet.is_ascii_whitespace())
                .collect();
            let plain = STANDARD.decode(packed);
            plain.map(Cow::Owned).map_err(|_| Unreadable::Unexpected)
        }
        "quoted-printable" => Ok(Cow::Owned(quoted_printable(content))),
        _ => Err(Unreadable::Unexpected),
    }
}

/// Undoes quoted-printable (RFC 2045 section 6.7); what is no valid escape stays.
fn quoted_printable(content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len());
    let mut rest = content;
    while let Some((&octet, after)) = rest.split_first() {
        rest = after;
        if octet != b'=' {
            out.push(octet);
            continue;
        }
        if let Some(joined) = after
            .strip_prefix(b"\r\n")
            .or_else(|| after.strip_prefix(b"\n"))
        {
            rest = joined;
        } else if let Some((value, after)) = crate::text::hex_octet(after) {
            out.push(value);
            rest = after;
        } else {
            out.push(octet);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types_have_one_form() {
        let kind = ContentType::parse("Text/Plain ; Charset=\"utf-8\";msgr=\"a;b\\\"c\"").unwrap();

        assert_eq!(kind.essence, "text/plain");
        assert_eq!(kind.parameter("charset"), Some("utf-8"));
        assert_eq!(kind.parameter("msgr"), Some("a;b\"c"));
        for bad in ["", "text", "/plain", "text/", ";charset=x"] {
            assert_eq!(ContentType::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn headers_end_at_the_blank_line() {
        let (headers, rest) = read_headers(b"A: 1\r\nb : 2\r\n  3\n\r\nbody\r\n\r\n").unwrap();

        assert_eq!(headers.value("a"), Some("1"));
        assert_eq!(headers.value("B"), Some("2 3"));
        assert_eq!(rest, b"body\r\n\r\n");
        assert_eq!(
            read_headers(b"A: 1\r\nnone\r\n\r\n"),
            Err(Unreadable::Malformed(6))
        );
        assert_eq!(read_headers(b" x\r\n"), Err(Unreadable::Malformed(0)));
    }

    #[test]
    fn parts_are_cut_at_their_boundary() {
        let body = b"preamble\r\n--b\r\nContent-Type: text/plain\r\n\r\none --b \r\n--b  \r\n\
            Content-Transfer-Encoding: quoted-printable\r\n\r\nt=C3=BC=\r\n=x\r\n--b\r\n\
            Content-Transfer-Encoding: base64\r\n\r\ndHd\r\nv\r\n--b--\r\n--b\r\n\r\nepilogue";
        let parts = parts(body, "b").unwrap();

        let bodies: Vec<&[u8]> = parts.iter().map(|part| part.body.as_ref()).collect();
        assert_eq!(bodies, [&b"one --b "[..], "t\u{fc}=x".as_bytes(), b"two"]);
    }

    #[test]
    fn odd_multiparts_end() {
        assert_eq!(parts(b"", "b"), Ok(vec![]));
        assert_eq!(parts(b"--b", "b"), Ok(vec![]));
        assert_eq!(parts(b"--b\r\n\r\nx", "b").unwrap().len(), 1);
        assert_eq!(parts(b"x", ""), Err(Unreadable::Unexpected));
        let many = b"--b\r\n\r\nx\r\n".repeat(1_000);
        assert_eq!(parts(&many, "b"), Err(Unreadable::TooMany));
    }
}
