//! SIP messages as the runner sees them: lines and bytes, read by nothing that is under test.

use std::fmt::Write as _;

/// A message in pieces.
#[derive(Clone, Debug)]
pub struct Sip {
    pub start: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Sip {
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let end = find(bytes, b"\r\n\r\n").ok_or("no empty line after the headers")?;
        let head = std::str::from_utf8(&bytes[..end]).map_err(|_| "head is not UTF-8")?;
        let mut lines = head.split("\r\n");
        let start = lines.next().unwrap_or_default().to_owned();
        let mut headers: Vec<(String, String)> = Vec::new();
        for line in lines {
            if line.starts_with([' ', '\t']) {
                let last = headers.last_mut().ok_or("continuation before any header")?;
                let _ = write!(last.1, " {}", line.trim());
                continue;
            }
            let (name, value) = line.split_once(':').ok_or(format!("no colon in {line:?}"))?;
            headers.push((long_name(name.trim()), value.trim().to_owned()));
        }
        Ok(Self { start, headers, body: bytes[end + 4..].to_vec() })
    }

    pub fn write(&self) -> Vec<u8> {
        let mut text = format!("{}\r\n", self.start);
        for (name, value) in &self.headers {
            let _ = write!(text, "{name}: {value}\r\n");
        }
        text.push_str("\r\n");
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }

    pub fn is_response(&self) -> bool {
        self.start.starts_with("SIP/2.0 ")
    }

    pub fn status(&self) -> Option<u16> {
        self.start.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
    }

    pub fn method(&self) -> &str {
        if self.is_response() {
            return self.cseq().1;
        }
        self.start.split(' ').next().unwrap_or_default()
    }

    pub fn uri(&self) -> &str {
        self.start.split(' ').nth(1).unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let same = move |(known, _): &&(String, String)| known.eq_ignore_ascii_case(name);
        self.headers.iter().filter(same).map(|(_, value)| value.as_str())
    }

    pub fn set(&mut self, name: &str, value: &str) {
        for (known, old) in &mut self.headers {
            if known.eq_ignore_ascii_case(name) {
                value.clone_into(old);
                return;
            }
        }
        self.headers.push((name.to_owned(), value.to_owned()));
    }

    pub fn cseq(&self) -> (&str, &str) {
        let cseq = self.header("CSeq").unwrap_or_default();
        cseq.split_once(' ').unwrap_or((cseq, ""))
    }

    pub fn call_id(&self) -> &str {
        self.header("Call-ID").unwrap_or_default()
    }

    pub fn branch(&self) -> Option<String> {
        param(self.header("Via")?, "branch")
    }

    pub fn tag(&self, header: &str) -> Option<String> {
        param(after_address(self.header(header)?), "tag")
    }
}

/// The parameters of a From or To, outside the brackets.
pub fn after_address(value: &str) -> &str {
    value.find('>').map_or(value, |end| &value[end + 1..])
}

pub fn param(value: &str, name: &str) -> Option<String> {
    split_outside(value, ';').into_iter().skip(1).find_map(|param| {
        let (key, value) = param.split_once('=')?;
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    })
}

/// Splits at `separator` outside quotes and angle brackets.
pub fn split_outside(text: &str, separator: char) -> Vec<&str> {
    let (mut parts, mut start) = (Vec::new(), 0);
    let (mut quoted, mut escaped, mut angled) = (false, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '<' if !quoted => angled = true,
            '>' if !quoted => angled = false,
            c if c == separator && !quoted && !angled => {
                parts.push(text[start..at].trim());
                start = at + c.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(text[start..].trim());
    parts
}

pub fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// The long form of a compact header name (RFC 3261 section 7.3.3).
fn long_name(name: &str) -> String {
    let long = match name.to_ascii_lowercase().as_str() {
        "c" => "Content-Type",
        "e" => "Content-Encoding",
        "f" => "From",
        "i" => "Call-ID",
        "k" => "Supported",
        "l" => "Content-Length",
        "m" => "Contact",
        "o" => "Event",
        "r" => "Refer-To",
        "s" => "Subject",
        "t" => "To",
        "u" => "Allow-Events",
        "v" => "Via",
        _ => name,
    };
    long.to_owned()
}
