//! The simulator's own SIP messages: read with all the tolerance of a Microsoft stack, written in
//! the order in which headers were put.

use anyhow::{Context, Result, bail, ensure};

/// The largest head the simulator reads; real ones have a few KiB.
const LONGEST_HEAD: usize = 64 * 1024;

/// Compact forms of header names (RFC 3261 section 7.3.3 and the extensions that have one).
const COMPACT: [(&str, &str); 12] = [
    ("v", "Via"),
    ("f", "From"),
    ("t", "To"),
    ("m", "Contact"),
    ("i", "Call-ID"),
    ("l", "Content-Length"),
    ("c", "Content-Type"),
    ("e", "Content-Encoding"),
    ("k", "Supported"),
    ("s", "Subject"),
    ("o", "Event"),
    ("x", "Session-Expires"),
];

/// A request or a response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// Request line or status line.
    pub start: String,
    /// Names and values in the order of the wire, names as written.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Message {
    /// A request without headers.
    pub fn request(method: &str, uri: &str) -> Self {
        Self {
            start: format!("{method} {uri} SIP/2.0"),
            ..Self::default()
        }
    }

    /// An answer that echoes what an answer has to echo (RFC 3261 section 8.2.6.2).
    pub fn answer(&self, status: u16) -> Self {
        let mut answer = Self {
            start: format!("SIP/2.0 {status} {}", phrase(status)),
            ..Self::default()
        };
        for via in self.lines("Via") {
            answer.put("Via", via);
        }
        for name in ["From", "To", "Call-ID", "CSeq"] {
            answer.put(name, self.value(name));
        }
        answer
    }

    /// The method of a request, empty for a response.
    pub fn method(&self) -> &str {
        match self.status() {
            Some(_) => "",
            None => self.start.split(' ').next().unwrap_or_default(),
        }
    }

    /// The Request-URI.
    pub fn uri(&self) -> &str {
        self.start.split(' ').nth(1).unwrap_or_default()
    }

    /// The status of a response.
    pub fn status(&self) -> Option<u16> {
        let rest = self.start.strip_prefix("SIP/2.0 ")?;
        rest.split(' ').next()?.parse().ok()
    }

    /// What it is in a count of messages: a method, or a status and the method it answers.
    pub fn kind(&self) -> String {
        match self.status() {
            Some(status) => format!("{status} {}", self.cseq().1),
            None => self.method().to_owned(),
        }
    }

    /// The status of a response with its phrase, and the reasons that stand beside it.
    pub fn verdict(&self) -> String {
        let words = self.start.strip_prefix("SIP/2.0 ");
        let mut verdict = words.unwrap_or(&self.start).to_owned();
        for reason in self.lines("ms-diagnostics") {
            verdict = format!("{verdict} ({reason})");
        }
        verdict
    }

    /// The values of all lines with that name, as written.
    pub fn lines(&self, name: &str) -> Vec<&str> {
        let wanted = |found: &str| {
            let long = COMPACT
                .iter()
                .find(|(compact, _)| compact.eq_ignore_ascii_case(found));
            long.map_or(found, |(_, long)| long)
                .eq_ignore_ascii_case(name)
        };
        let lines = self.headers.iter().filter(|(found, _)| wanted(found));
        lines.map(|(_, value)| value.as_str()).collect()
    }

    /// The value of the first line with that name; empty without one.
    pub fn value(&self, name: &str) -> &str {
        self.lines(name).first().copied().unwrap_or_default()
    }

    /// Whether there is a line with that name.
    pub fn has(&self, name: &str) -> bool {
        !self.lines(name).is_empty()
    }

    /// The values of a header that may hold several, split at commas that stand alone.
    pub fn values(&self, name: &str) -> Vec<&str> {
        self.lines(name).into_iter().flat_map(split).collect()
    }

    /// Whether a header of tokens names this one.
    pub fn names(&self, name: &str, token: &str) -> bool {
        self.values(name)
            .iter()
            .any(|found| found.eq_ignore_ascii_case(token))
    }

    /// The number and the method of CSeq.
    pub fn cseq(&self) -> (u32, &str) {
        let mut words = self.value("CSeq").split_whitespace();
        let number = words.next().and_then(|word| word.parse().ok());
        (number.unwrap_or_default(), words.next().unwrap_or_default())
    }

    /// The branch of the topmost Via.
    pub fn branch(&self) -> &str {
        let via = self.values("Via").first().copied().unwrap_or_default();
        parameter(via, "branch").unwrap_or_default()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The media type of the body in lower case, without parameters.
    pub fn media(&self) -> String {
        let value = self.value("Content-Type");
        let media = value.split(';').next().unwrap_or_default();
        media.trim().to_ascii_lowercase()
    }

    /// Adds a header line.
    pub fn put(&mut self, name: &str, value: impl Into<String>) {
        self.headers.push((name.to_owned(), value.into()));
    }

    /// Replaces the lines of a header with one, where the first of them stood.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        let at = self
            .headers
            .iter()
            .position(|(found, _)| found.eq_ignore_ascii_case(name));
        self.headers
            .retain(|(found, _)| !found.eq_ignore_ascii_case(name));
        let at = at.unwrap_or(self.headers.len()).min(self.headers.len());
        self.headers.insert(at, (name.to_owned(), value.into()));
    }

    /// Gives the message a body.
    pub fn carry(&mut self, media: &str, body: impl Into<Vec<u8>>) {
        self.set("Content-Type", media);
        self.body = body.into();
    }

    /// The bytes of the wire. Content-Length stands where it was put, else at the end.
    pub fn bytes(&self) -> Vec<u8> {
        let mut head = format!("{}\r\n", self.start);
        let length = self.body.len().to_string();
        let mut has_length = false;
        for (name, value) in &self.headers {
            let is_length = name.eq_ignore_ascii_case("Content-Length");
            has_length |= is_length;
            let value = if is_length { &length } else { value };
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !has_length {
            head.push_str(&format!("Content-Length: {length}\r\n"));
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend(&self.body);
        bytes
    }
}

/// What a connection brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// CRLF runs between messages.
    KeepAlive,
    /// A message.
    Message(Box<Message>),
}

/// Cuts the bytes of a connection into messages.
#[derive(Debug, Default)]
pub struct Reader {
    pending: Vec<u8>,
}

impl Reader {
    /// Adds received bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.pending.extend(bytes);
    }

    /// The next whole message or keep-alive.
    pub fn next_frame(&mut self) -> Result<Option<Frame>> {
        let blank = |byte: &&u8| matches!(byte, b'\r' | b'\n');
        let blanks = self.pending.iter().take_while(blank).count();
        if blanks > 0 {
            self.pending.drain(..blanks);
            return Ok(Some(Frame::KeepAlive));
        }
        let end = self.pending.windows(4).position(|four| four == b"\r\n\r\n");
        let Some(end) = end else {
            ensure!(
                self.pending.len() < LONGEST_HEAD,
                "a head of over {LONGEST_HEAD} octets"
            );
            return Ok(None);
        };
        let head = str::from_utf8(self.pending.get(..end).unwrap_or_default())?;
        let mut message = read_head(head)?;
        let lengths = message.lines("Content-Length");
        ensure!(lengths.len() == 1, "Content-Length {lengths:?} in {head}");
        let length: usize = message.value("Content-Length").trim().parse()?;
        let Some(body) = self.pending.get(end + 4..end + 4 + length) else {
            return Ok(None);
        };
        message.body = body.to_vec();
        self.pending.drain(..end + 4 + length);
        Ok(Some(Frame::Message(Box::new(message))))
    }
}

fn read_head(head: &str) -> Result<Message> {
    let mut lines = head.split("\r\n");
    let start = lines.next().context("a message has a first line")?;
    let mut message = Message {
        start: start.to_owned(),
        ..Message::default()
    };
    for line in lines {
        if let Some(folded) = line.strip_prefix([' ', '\t']) {
            let (_, last) = message.headers.last_mut().context("a fold at the top")?;
            last.push(' ');
            last.push_str(folded.trim());
            continue;
        }
        let Some((name, value)) = line.split_once(':') else {
            bail!("no header: {line:?}");
        };
        message.put(name.trim(), value.trim());
    }
    for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
        ensure!(message.has(name), "no {name} in {head}");
    }
    Ok(message)
}

/// Splits at commas outside quotes and angle brackets.
fn split(value: &str) -> Vec<&str> {
    let (mut quoted, mut inside) = (false, false);
    let pieces = value.split(|letter| {
        match letter {
            '"' => quoted = !quoted,
            '<' if !quoted => inside = true,
            '>' if !quoted => inside = false,
            _ => {}
        }
        letter == ',' && !quoted && !inside
    });
    pieces.map(str::trim).collect()
}

/// The URI of a name-addr or addr-spec.
pub fn uri_in(value: &str) -> &str {
    let behind_name = match value.rfind('"') {
        Some(at) => value.get(at + 1..).unwrap_or_default(),
        None => value,
    };
    match behind_name.split_once('<') {
        Some((_, rest)) => rest.split('>').next().unwrap_or_default(),
        None => behind_name.split(';').next().unwrap_or_default().trim(),
    }
}

/// The display name of a name-addr, without its quotes.
pub fn display_name(value: &str) -> &str {
    let name = value.split_once('<').map_or("", |(name, _)| name).trim();
    name.trim_matches('"')
}

/// A parameter of a header value, outside the angle brackets.
pub fn parameter<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    let outside = match value.rsplit_once('>') {
        Some((_, rest)) => rest,
        None => value.split_once(';').map_or("", |(_, rest)| rest),
    };
    outside.split(';').find_map(|piece| {
        let (found, value) = piece.split_once('=').unwrap_or((piece, ""));
        (found.trim().eq_ignore_ascii_case(name)).then_some(value.trim())
    })
}

/// The bare `user@domain` of a SIP URI, in lower case; of a URI without a user its host.
pub fn aor(uri: &str) -> String {
    let rest = uri.split_once(':').map_or(uri, |(_, rest)| rest);
    let bare = rest.split([';', '?']).next().unwrap_or_default();
    let (user, host) = bare.split_once('@').unwrap_or(("", bare));
    let host = host.split(':').next().unwrap_or_default();
    let at = if user.is_empty() { "" } else { "@" };
    format!("{user}{at}{host}").to_ascii_lowercase()
}

/// The domain of a SIP URI or of an address of record.
pub fn domain(uri: &str) -> String {
    let aor = aor(uri);
    let domain = aor
        .split_once('@')
        .map_or(aor.as_str(), |(_, domain)| domain);
    domain.to_owned()
}

/// The reason phrases that Microsoft's servers write.
fn phrase(status: u16) -> &'static str {
    match status {
        100 => "Trying",
        101 => "Progress Report",
        180 => "Ringing",
        183 => "Session Progress",
        200 => "OK",
        202 => "Accepted",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        415 => "Unsupported Media Type",
        420 => "Bad Extension",
        480 => "Temporarily Unavailable",
        481 => "Call Leg/Transaction Does Not Exist",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not acceptable here",
        491 => "Request Pending",
        500 => "The server encountered an unexpected internal error",
        503 => "Service Unavailable",
        504 => "Server time-out",
        603 => "Decline",
        606 => "Not Acceptable",
        _ => "Answer",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ODD: &str = "MESSAGE sip:a@x.example SIP/2.0\r\nCONTENT-LENGTH: 2\r\n\
        v: SIP/2.0/TLS 1.2.3.4:5061;branch=z9hG4bKA.B\r\nf: \"A, <b>\"<sip:a@x.example>;epid=1;tag=t\r\n\
        Via: SIP/2.0/TLS 5.6.7.8:1\r\nTo: sip:b@Y.example;tag=u\r\ni: c\r\nCSEQ: 3 MESSAGE\r\n\
        Supported: one,\r\n  two\r\n\r\nhi";

    #[test]
    fn reads_what_microsoft_writes() -> Result<()> {
        let mut reader = Reader::default();
        reader.push(b"\r\n\r\n");
        reader.push(ODD.as_bytes());
        assert_eq!(reader.next_frame()?, Some(Frame::KeepAlive));
        let Some(Frame::Message(message)) = reader.next_frame()? else {
            bail!("no message");
        };
        assert_eq!(message.lines("Via").len(), 2);
        assert_eq!(message.branch(), "z9hG4bKA.B");
        assert_eq!(parameter(message.value("From"), "tag"), Some("t"));
        assert_eq!(uri_in(message.value("From")), "sip:a@x.example");
        assert_eq!(display_name("\"Al\"<sip:a@b>"), "Al");
        assert_eq!(uri_in(message.value("To")), "sip:b@Y.example");
        assert_eq!(aor("SIP:B@Y.example:5061;gruu"), "b@y.example");
        assert_eq!(message.cseq(), (3, "MESSAGE"));
        assert!(message.names("Supported", "two"));
        assert_eq!(message.body, b"hi");
        assert_eq!(reader.next_frame()?, None);
        Ok(())
    }

    #[test]
    fn a_doubled_length_is_an_error() {
        let mut reader = Reader::default();
        reader.push(ODD.replace("i: c", "i: c\r\nl: 2").as_bytes());
        assert!(reader.next_frame().is_err());
    }

    #[test]
    fn length_stands_where_it_was_put() {
        let mut message = Message::request("BYE", "sip:a@b");
        message.put("content-length", "9");
        message.put("CSeq", "1 BYE");
        let text = String::from_utf8(message.bytes()).unwrap_or_default();
        assert_eq!(
            text,
            "BYE sip:a@b SIP/2.0\r\ncontent-length: 0\r\nCSeq: 1 BYE\r\n\r\n"
        );
    }
}
