//! SIP messages as the runner sees them: lines and bytes, read by nothing that is under test.

/// A message in pieces.
#[derive(Clone, Debug)]
pub(crate) struct Sip {
    pub(crate) start: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Sip {
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, String> {
        let (head, body) = split(bytes, b"\r\n\r\n").ok_or("no empty line after the headers")?;
        let head = std::str::from_utf8(head).map_err(|_| "head is not UTF-8")?;
        let mut lines = head.split("\r\n");
        let start = lines.next().unwrap_or_default().to_owned();
        let mut headers: Vec<(String, String)> = Vec::new();
        for line in lines {
            if line.starts_with([' ', '\t']) {
                let last = headers.last_mut().ok_or("continuation before any header")?;
                last.1.extend([" ", line.trim()]);
                continue;
            }
            let (name, value) = line
                .split_once(':')
                .ok_or_else(|| format!("no colon in {line:?}"))?;
            headers.push((long_name(name.trim()), value.trim().to_owned()));
        }
        let body = body.to_vec();
        Ok(Self {
            start,
            headers,
            body,
        })
    }

    pub(crate) fn write(&self) -> Vec<u8> {
        let mut text = format!("{}\r\n", self.start);
        for (name, value) in &self.headers {
            text.extend([name, ": ", value, "\r\n"]);
        }
        text.push_str("\r\n");
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// The 200 to this request.
    pub(crate) fn success(&self) -> Self {
        let copied = ["Via", "From", "To", "Call-ID", "CSeq"];
        let is_copied = |name: &str| copied.iter().any(|one| one.eq_ignore_ascii_case(name));
        let headers = self.headers.iter().filter(|(name, _)| is_copied(name));
        let mut success = Self {
            start: "SIP/2.0 200 OK".to_owned(),
            headers: headers.cloned().collect(),
            body: Vec::new(),
        };
        success.set("Content-Length", "0");
        success
    }

    pub(crate) fn is_response(&self) -> bool {
        self.start.starts_with("SIP/2.0 ")
    }

    pub(crate) fn status(&self) -> Option<u16> {
        self.start.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
    }

    pub(crate) fn method(&self) -> &str {
        if self.is_response() {
            return self.cseq().1;
        }
        self.start.split(' ').next().unwrap_or_default()
    }

    pub(crate) fn uri(&self) -> &str {
        self.start.split(' ').nth(1).unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let same = move |(known, _): &&(String, String)| known.eq_ignore_ascii_case(name);
        self.headers
            .iter()
            .filter(same)
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        for (known, old) in &mut self.headers {
            if known.eq_ignore_ascii_case(name) {
                value.clone_into(old);
                return;
            }
        }
        self.headers.push((name.to_owned(), value.to_owned()));
    }

    pub(crate) fn cseq(&self) -> (&str, &str) {
        let cseq = self.header("CSeq").unwrap_or_default();
        cseq.split_once(' ').unwrap_or((cseq, ""))
    }

    pub(crate) fn call_id(&self) -> &str {
        self.header("Call-ID").unwrap_or_default()
    }

    pub(crate) fn branch(&self) -> Option<String> {
        param(self.header("Via")?, "branch")
    }

    pub(crate) fn tag(&self, header: &str) -> Option<String> {
        param(after_address(self.header(header)?), "tag")
    }
}

/// The parameters of a From or To, outside the brackets.
pub(crate) fn after_address(value: &str) -> &str {
    value.split_once('>').map_or(value, |(_, params)| params)
}

pub(crate) fn param(value: &str, name: &str) -> Option<String> {
    split_outside(value, ';')
        .into_iter()
        .skip(1)
        .find_map(|param| {
            let (key, value) = param.split_once('=')?;
            key.trim()
                .eq_ignore_ascii_case(name)
                .then(|| value.trim().to_owned())
        })
}

/// Splits at `separator` outside quotes and angle brackets.
pub(crate) fn split_outside(text: &str, separator: char) -> Vec<&str> {
    let (mut quoted, mut escaped, mut angled) = (false, false, false);
    let parts = text.split(|c| {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '<' if !quoted => angled = true,
            '>' if !quoted => angled = false,
            c => return c == separator && !quoted && !angled,
        }
        false
    });
    parts.map(str::trim).collect()
}

/// What stands before and behind the first `end`.
pub(crate) fn split<'a>(bytes: &'a [u8], end: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = bytes.windows(end.len()).position(|window| window == end)?;
    bytes
        .split_at_checked(at)
        .map(|(before, rest)| (before, rest.get(end.len()..).unwrap_or_default()))
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
