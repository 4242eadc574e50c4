//! The tests' own SIP messages: read and written plainly, without any of the gateway's code.

use std::fmt::Write;

use anyhow::{Context, Result, bail};

/// Ends the head of a message.
const BLANK_LINE: &[u8] = b"\r\n\r\n";

/// A request or a response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SipMessage {
    /// Request line or status line.
    pub start: String,
    /// Names and values in their order on the wire, names as written.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl SipMessage {
    /// The method of a request, the `SIP/2.0` of a response.
    pub fn method(&self) -> &str {
        self.start.split(' ').next().unwrap_or_default()
    }

    /// The Request-URI of a request.
    pub fn uri(&self) -> &str {
        self.start.split(' ').nth(1).unwrap_or_default()
    }

    /// The status of a response, none for a request.
    pub fn status(&self) -> Option<u16> {
        self.start
            .strip_prefix("SIP/2.0 ")?
            .split(' ')
            .next()?
            .parse()
            .ok()
    }

    /// The first header of that name, long or compact.
    pub fn header<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.all(name).next()
    }

    /// All headers of that name, long or compact.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let compact = compact_form(name);
        self.headers
            .iter()
            .filter(move |(found, _)| {
                found.eq_ignore_ascii_case(name)
                    || compact.is_some_and(|short| found.eq_ignore_ascii_case(short))
            })
            .map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The branch of the topmost Via.
    pub fn branch(&self) -> Option<&str> {
        parameter(self.header("Via")?, "branch")
    }

    /// The user part of the Request-URI.
    pub fn user(&self) -> &str {
        user_of(self.uri())
    }

    /// Adds a header behind the others.
    pub fn add(&mut self, name: &str, value: impl Into<String>) {
        self.headers.push((name.to_owned(), value.into()));
    }

    /// Replaces a header.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.headers.retain(|(found, _)| found != name);
        self.add(name, value);
    }

    /// The message as bytes; Content-Length is written here.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut head = format!("{}\r\n", self.start);
        let headers = self.headers.iter();
        for (name, value) in headers.filter(|(name, _)| !is_length(name)) {
            // Writing to a String cannot fail.
            write!(head, "{name}: {value}\r\n").ok();
        }
        write!(head, "Content-Length: {}\r\n\r\n", self.body.len()).ok();
        let mut bytes = head.into_bytes();
        bytes.extend(&self.body);
        bytes
    }

    /// A response to this request (RFC 3261 section 8.2.6).
    pub fn response(&self, status: u16) -> Self {
        let mut response = Self {
            start: format!("SIP/2.0 {status} {}", reason(status)),
            ..Self::default()
        };
        for name in ["Via", "From", "Call-ID", "CSeq"] {
            for value in self.all(name) {
                response.add(name, value);
            }
        }
        let mut to = self.header("To").unwrap_or_default().to_owned();
        if status != 100 && parameter(&to, "tag").is_none() {
            to.push_str(&format!(";tag={}", token()));
        }
        response.add("To", to);
        response
    }
}

/// The user part of a SIP URI.
pub fn user_of(uri: &str) -> &str {
    let rest = uri.split_once(':').map_or(uri, |(_, rest)| rest);
    rest.split_once('@').map_or("", |(user, _)| user)
}

/// The URI in a header value, without the angle brackets around it.
pub fn uri_of(value: &str) -> &str {
    match value.split_once('<') {
        Some((_, rest)) => rest.split('>').next().unwrap_or_default(),
        None => value.split(';').next().unwrap_or_default(),
    }
}

/// A parameter of a header value.
pub fn parameter<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    let behind_uri = value.rsplit_once('>').map_or(value, |(_, rest)| rest);
    behind_uri.split(';').skip(1).find_map(|part| {
        let (found, content) = part.trim().split_once('=')?;
        found.eq_ignore_ascii_case(name).then_some(content)
    })
}

/// A random token for tags, branches and Call-IDs.
pub fn token() -> String {
    format!("{:016x}", rand::random::<u64>())
}

fn is_length(name: &str) -> bool {
    name.eq_ignore_ascii_case("content-length") || name.eq_ignore_ascii_case("l")
}

fn compact_form(name: &str) -> Option<&'static str> {
    let compact = match name.to_ascii_lowercase().as_str() {
        "via" => "v",
        "from" => "f",
        "to" => "t",
        "call-id" => "i",
        "contact" => "m",
        "content-type" => "c",
        "content-length" => "l",
        "content-encoding" => "e",
        "subject" => "s",
        "event" => "o",
        "allow-events" => "u",
        _ => return None,
    };
    Some(compact)
}

fn reason(status: u16) -> &'static str {
    match status {
        100 => "Trying",
        200 => "OK",
        202 => "Accepted",
        404 => "Not Found",
        480 => "Temporarily Unavailable",
        481 => "Subscription Does Not Exist",
        503 => "Service Unavailable",
        _ => "Told So By The Test",
    }
}

/// What arrives on a SIP connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A whole message.
    Message(Box<SipMessage>),
    /// A keep-alive that wants an answer (RFC 5626 section 3.5.1).
    Ping,
    /// The answer to a keep-alive.
    Pong,
}

/// Cuts the bytes of a SIP connection into frames.
#[derive(Debug, Default)]
pub struct Framer {
    pending: Vec<u8>,
}

impl Framer {
    /// Adds received bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.pending.extend(bytes);
    }

    /// The next whole frame.
    pub fn next_frame(&mut self) -> Result<Option<Frame>> {
        if self.pending.starts_with(BLANK_LINE) {
            self.pending.drain(..BLANK_LINE.len());
            return Ok(Some(Frame::Ping));
        }
        if self.pending.starts_with(b"\r\n") {
            if self.pending.len() == 3 {
                return Ok(None);
            }
            self.pending.drain(..2);
            return Ok(Some(Frame::Pong));
        }
        let Some(end) = self
            .pending
            .windows(4)
            .position(|window| window == BLANK_LINE)
        else {
            return Ok(None);
        };
        let head = str::from_utf8(self.pending.get(..end).unwrap_or_default())?;
        let mut message = parse_head(head)?;
        let length: usize = message
            .header("Content-Length")
            .with_context(|| format!("no Content-Length: {head}"))?
            .parse()?;
        let start = end + BLANK_LINE.len();
        let Some(body) = self.pending.get(start..start + length) else {
            return Ok(None);
        };
        message.body = body.to_vec();
        self.pending.drain(..start + length);
        Ok(Some(Frame::Message(Box::new(message))))
    }
}

fn parse_head(head: &str) -> Result<SipMessage> {
    let mut lines = head.split("\r\n");
    let start = lines.next().unwrap_or_default().to_owned();
    let mut headers: Vec<(String, String)> = Vec::new();
    for line in lines {
        if let Some(folded) = line.strip_prefix([' ', '\t']) {
            let Some((_, value)) = headers.last_mut() else {
                bail!("continuation of nothing: {line}");
            };
            value.push(' ');
            value.push_str(folded.trim());
            continue;
        }
        let (name, value) = line
            .split_once(':')
            .with_context(|| format!("not a header: {line}"))?;
        headers.push((name.trim().to_owned(), value.trim().to_owned()));
    }
    Ok(SipMessage {
        start,
        headers,
        body: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_cut_wherever_the_bytes_break() {
        let text = b"MESSAGE sip:bob@sip.example SIP/2.0\r\nv: SIP/2.0/TLS h;branch=z9hG4bKa\r\n\
                     t: <sip:bob@sip.example>\r\nContent-Length: 2\r\n\r\nhi\r\n\r\n\r\n\
                     SIP/2.0 200 OK\r\nl: 0\r\n\r\n";
        for step in [1, 5, text.len()] {
            let mut framer = Framer::default();
            let mut frames = Vec::new();
            for chunk in text.chunks(step) {
                framer.push(chunk);
                frames.extend(std::iter::from_fn(|| framer.next_frame().unwrap()));
            }
            let [
                Frame::Message(request),
                keep_alive @ ..,
                Frame::Message(response),
            ] = frames.as_slice()
            else {
                panic!("cut into {frames:?}");
            };
            assert!(!keep_alive.is_empty());
            assert_eq!((request.user(), request.text().as_str()), ("bob", "hi"));
            assert_eq!(request.branch(), Some("z9hG4bKa"));
            assert_eq!(response.status(), Some(200));
        }
    }
}
