//! Requests and responses.

use std::net::SocketAddr;
use std::ops::Deref;

use bytes::Bytes;

use crate::sip::cursor::Span;
use crate::sip::head::{Head, HeadLimits, Lines, split};
use crate::sip::uri::Parts;
use crate::sip::{Branch, Defect, Malformed, Method, SipUri, Tag};
use crate::text::is_token;

/// A request: a [`Head`] with a request line.
#[derive(Clone, Debug)]
pub struct Request {
    head: Head,
    method: Span,
    uri: Span,
    received: Option<SocketAddr>,
}

impl Request {
    /// The method, if the gateway knows it by name.
    pub fn method(&self) -> Option<Method> {
        Method::recognise(self.method_name())
    }

    /// The method as it was written.
    pub fn method_name(&self) -> &str {
        self.part(self.method)
    }

    /// The Request-URI.
    pub fn uri(&self) -> Result<SipUri, Malformed> {
        let text = self.part(self.uri);
        Ok(SipUri::of(text, self.scan_uri()?))
    }

    /// Our tag in To: the request is in the dialog of that tag, whatever its Request-URI says.
    /// Whether there is such a dialog is for the tag's shard to say.
    pub fn our_tag(&self) -> Option<Tag> {
        Tag::parse(self.to().ok()?.tag()?.as_str())
    }

    /// Where the request came from, if the link said so.
    pub const fn received(&self) -> Option<SocketAddr> {
        self.received
    }

    /// Notes where the request came from; the answer tells it in Via (RFC 3261 section 18.2.1).
    pub(super) const fn set_received(&mut self, source: Option<SocketAddr>) {
        self.received = source;
    }

    /// Takes off what a server says to the servers behind it.
    pub(super) fn strip(&mut self) {
        self.head.strip();
    }

    /// The Request-URI as it was written.
    pub(super) fn raw_uri(&self) -> &str {
        self.part(self.uri)
    }

    /// Finds the parts of the Request-URI. It has no headers (RFC 3261 section 19.1.1).
    pub(super) fn scan_uri(&self) -> Result<Parts, Malformed> {
        let at = self.uri.range().start;
        let parts = Parts::scan(self.part(self.uri), at, Defect::RequestUri)?;
        if parts.has_headers() {
            return Err(Malformed::new(Defect::RequestUri, at));
        }
        Ok(parts)
    }

    fn part(&self, span: Span) -> &str {
        self.head.start_line().get(span.range()).unwrap_or_default()
    }
}

impl Deref for Request {
    type Target = Head;

    fn deref(&self) -> &Head {
        &self.head
    }
}

/// A response: a [`Head`] with a status line.
#[derive(Clone, Debug)]
pub struct Response {
    head: Head,
    status: u16,
    reason: Span,
}

impl Response {
    /// The status code, 100 to 699.
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// Whether the transaction goes on.
    pub const fn is_provisional(&self) -> bool {
        self.status < 200
    }

    /// The request of ours that it answers; its shard is the one to take the response.
    pub fn branch(&self) -> Option<Branch> {
        Branch::parse(self.top_via().ok()?.branch?)
    }

    /// Takes off what a server says to the servers behind it.
    pub(super) fn strip(&mut self) {
        self.head.strip();
    }

    /// The reason phrase; it may be empty.
    pub fn reason(&self) -> &str {
        let line = self.head.start_line();
        line.get(self.reason.range()).unwrap_or_default()
    }
}

impl Deref for Response {
    type Target = Head;

    fn deref(&self) -> &Head {
        &self.head
    }
}

/// A request or a response.
#[derive(Clone, Debug)]
pub enum Message {
    /// A request.
    Request(Request),
    /// A response.
    Response(Response),
}

impl Message {
    /// Reads one whole message with a right Content-Length.
    pub fn parse(bytes: Bytes) -> Result<Self, Malformed> {
        let head = complete_head(bytes, HeadLimits::default())?;
        if head.content_length()? != head.body().len() {
            return Err(Malformed::new(Defect::ContentLength, head.bytes().len()));
        }
        Self::from_head(head)
    }

    /// Reads what there is of a message that was cut out of a log or page: line ends may be
    /// missing at its end, and whatever follows the headers is the body.
    pub fn parse_fragment(bytes: &[u8]) -> Result<Self, Malformed> {
        let ended = bytes.windows(4).any(|end| end == b"\r\n\r\n");
        let missing: &[u8] = match bytes {
            _ if ended => b"",
            bytes if bytes.ends_with(b"\r\n") => b"\r\n",
            _ => b"\r\n\r\n",
        };
        let bytes = [bytes, missing].concat().into();
        let head = complete_head(bytes, HeadLimits::MICROSOFT)?;
        Self::from_head(head)
    }

    fn from_head(head: Head) -> Result<Self, Malformed> {
        let line = StartLine::read(&head)?;
        Ok(Self::new(head, line))
    }

    /// Puts together what [`StartLine::read`] found in this head.
    pub(super) fn new(head: Head, line: StartLine) -> Self {
        match line {
            StartLine::Request { method, uri } => Self::Request(Request {
                head,
                method,
                uri,
                received: None,
            }),
            StartLine::Response { status, reason } => Self::Response(Response {
                head,
                status,
                reason,
            }),
        }
    }

    /// Start line, headers and body.
    pub const fn head(&self) -> &Head {
        match self {
            Self::Request(request) => &request.head,
            Self::Response(response) => &response.head,
        }
    }
}

/// Reads a head with its end; all that follows it is the body.
fn complete_head(mut bytes: Bytes, limits: HeadLimits) -> Result<Head, Malformed> {
    let mut lines = Lines::within(limits);
    if !lines.scan(&bytes)? {
        return Err(Malformed::new(Defect::Incomplete, bytes.len()));
    }
    let body = bytes.split_off(lines.next_start());
    let (head, outcome) = split(bytes, &lines);
    outcome.map(|()| head.with_body(body))
}

/// Where the parts of a start line stand.
pub(super) enum StartLine {
    /// A request line.
    Request {
        /// Method.
        method: Span,
        /// Request-URI.
        uri: Span,
    },
    /// A status line.
    Response {
        /// Status code.
        status: u16,
        /// Reason phrase.
        reason: Span,
    },
}

impl StartLine {
    /// "Each element is separated by a single SP character" (RFC 3261 section 7.2); a reason
    /// phrase may be empty and hold spaces. The characters of the whole head are checked first.
    pub(super) fn read(head: &Head) -> Result<Self, Malformed> {
        head.check_characters()?;
        let line = head.start_line();
        let bad = Malformed::new(Defect::StartLine, 0);
        let (first, rest) = line.split_once(' ').ok_or(bad)?;
        if has_prefix(first, "SIP/") {
            check_version(first, 0)?;
            let code = rest.split(' ').next().unwrap_or_default();
            let status =
                status(code).ok_or_else(|| Malformed::new(Defect::StatusCode, first.len() + 1))?;
            let reason = first.len() + code.len() + 2;
            return Ok(Self::Response {
                status,
                reason: Span::new(reason.min(line.len()), line.len()),
            });
        }
        let (uri, version) = rest.split_once(' ').ok_or(bad)?;
        let is_method = !first.is_empty() && first.bytes().all(is_token);
        if !is_method || uri.is_empty() || !has_prefix(version, "SIP/") {
            return Err(bad);
        }
        let uri_start = first.len() + 1;
        check_version(version, uri_start + uri.len() + 1)?;
        Ok(Self::Request {
            method: Span::new(0, first.len()),
            uri: Span::new(uri_start, uri_start + uri.len()),
        })
    }
}

/// "The SIP-Version string is case-insensitive" (RFC 3261 section 7.1).
fn check_version(version: &str, at: usize) -> Result<(), Malformed> {
    if version.eq_ignore_ascii_case("SIP/2.0") {
        return Ok(());
    }
    let number = version.get(4..).unwrap_or_default();
    let is_version = !number.is_empty()
        && number
            .bytes()
            .all(|octet| octet.is_ascii_digit() || octet == b'.');
    let defect = if is_version {
        Defect::Version
    } else {
        Defect::StartLine
    };
    Err(Malformed::new(defect, at))
}

fn has_prefix(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

fn status(code: &str) -> Option<u16> {
    let digits = code.len() == 3 && code.bytes().all(|octet| octet.is_ascii_digit());
    let status = code.parse().ok().filter(|_| digits)?;
    (100..700).contains(&status).then_some(status)
}
