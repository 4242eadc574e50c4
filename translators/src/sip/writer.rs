//! The only place that writes a start line or header.
//!
//! Values come in as types that cannot hold a line end, or are copied as they stood in the request
//! that is answered.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;

use crate::model::Domain;
use crate::sip::cursor::Cursor;
use crate::sip::head::has_control;
use crate::sip::microsoft::Cause;
use crate::sip::name_addr::EPID;
use crate::sip::uri::host;
use crate::sip::{
    Branch, CallId, Defect, Head, Header, HeaderName, Method, NameAddr, Request, SipUri, Tag, Via,
};
use crate::text::{Line, SipToken};

/// Port that a Via over TLS means when it names none (RFC 3261 section 18.2.2).
const TLS_PORT: u16 = 5061;
/// Room for the head of a request without a new allocation.
const USUAL_HEAD: usize = 768;
/// What the head of an answer may have more than that of its request: reason and tag.
const USUAL_REST: usize = 64;

/// Host and port that our Vias name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentBy {
    host: Arc<str>,
    port: u16,
}

impl SentBy {
    /// Takes a host name or an IP address, IPv6 in brackets.
    pub fn new(name: &str, port: u16) -> Option<Self> {
        let mut text = Cursor::new(name, 0, Defect::Uri);
        let whole = host(&mut text).len() == name.len() && !name.is_empty();
        whole.then(|| Self {
            host: name.into(),
            port,
        })
    }

    /// Takes a domain as host.
    pub(super) fn at(domain: &Domain, port: u16) -> Self {
        let host = domain.to_ascii().into();
        Self { host, port }
    }

    /// The same with another port.
    pub(super) fn on_port(self, port: u16) -> Self {
        Self { port, ..self }
    }

    /// The host, as it stands in a Via.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// A Contact of ours under which `user` reaches us. The user part means nothing to the peer.
    pub fn contact(&self, user: Tag) -> Line {
        let Self { host, port } = self;
        Line::fold(&format!("<sip:{user}@{host}:{port};transport=tls>"))
    }

    /// Whether a Via names this host and port.
    pub fn is_named_by(&self, via: &Via<'_>) -> bool {
        self.host.eq_ignore_ascii_case(via.host) && self.port == via.port.unwrap_or(TLS_PORT)
    }
}

/// A request of ours without its Via.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// Method.
    pub method: Method,
    /// Request-URI.
    pub uri: SipUri,
    /// From, with its tag.
    pub from: NameAddr,
    /// To.
    pub to: NameAddr,
    /// Call-ID.
    pub call_id: CallId,
    /// Number of CSeq.
    pub cseq: u32,
    /// Max-Forwards.
    pub max_forwards: u8,
    /// Further headers, other than those named here.
    pub headers: Vec<(HeaderName, Line)>,
    /// Content-Type, if there is a body.
    pub content_type: Option<Line>,
    /// Body.
    pub body: Bytes,
}

/// An answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    status: u16,
    reason: Option<Line>,
    to_tag: Option<SipToken>,
    headers: Vec<(HeaderName, Line)>,
    record_route: bool,
    own_route: Option<Line>,
    epid: Option<String>,
    content: Option<(Line, Bytes)>,
    cause: Option<Cause>,
}

impl Answer {
    /// Answers with a status code and its usual reason phrase.
    pub const fn new(status: u16) -> Self {
        Self {
            status,
            reason: None,
            to_tag: None,
            headers: Vec::new(),
            record_route: false,
            own_route: None,
            epid: None,
            content: None,
            cause: None,
        }
    }

    /// Gives another reason phrase.
    pub fn reason(mut self, reason: Line) -> Self {
        self.reason = Some(reason);
        self
    }

    /// Gives the tag for To; a tag that stands there already is kept. Every answer but 100 has
    /// one (RFC 3261 section 8.2.6.2).
    pub fn to_tag(mut self, tag: SipToken) -> Self {
        self.to_tag = Some(tag);
        self
    }

    /// The same, unless the answer has a tag already.
    pub fn or_tag(self, tag: SipToken) -> Self {
        match self.to_tag {
            Some(_) => self,
            None => self.to_tag(tag),
        }
    }

    /// Copies Record-Route of the request, octet by octet and in order (RFC 3261 section 12.1.1).
    pub const fn record_route(mut self) -> Self {
        self.record_route = true;
        self
    }

    /// Puts a Record-Route of our own above those that are copied, so that later requests of the peer
    /// name us as their last hop. Without any of the request there is no route set to join.
    pub fn routed(mut self, own: &SentBy) -> Self {
        let SentBy { host, port } = own;
        let route = format!("<sip:{host}:{port};transport=tls;lr>");
        self.own_route = Some(Line::fold(&route));
        self
    }

    /// Names our endpoint in To, unless the request did so.
    pub fn epid(mut self, epid: String) -> Self {
        self.epid = Some(epid);
        self
    }

    /// Gives a body of this type.
    pub fn content(mut self, content_type: Line, body: Bytes) -> Self {
        self.content = Some((content_type, body));
        self
    }

    /// The same answer without its body.
    #[must_use]
    pub fn without_content(mut self) -> Self {
        self.content = None;
        self.headers
            .retain(|(name, _)| *name != HeaderName::ContentLanguage);
        self
    }

    /// Says more exactly than the status why a request is refused; only Microsoft peers are told.
    pub const fn because(mut self, cause: Cause) -> Self {
        self.cause = Some(cause);
        self
    }

    /// Adds to a final error the reason that a Microsoft peer is told. Whoever writes an answer to
    /// such a peer calls this once; `source` is how the gateway is known on the domain that was asked.
    pub fn diagnosed(self, source: &SentBy) -> Self {
        if self.status < 400 {
            return self;
        }
        let cause = self.cause.unwrap_or_else(|| Cause::of_status(self.status));
        let (name, value) = cause.header(source);
        self.header(name, value)
    }

    /// Adds a header.
    pub fn header(mut self, name: HeaderName, value: Line) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The status code.
    pub const fn status(&self) -> u16 {
        self.status
    }
}

/// Writes a request with the Via that our side answers for. `alias` there offers the connection
/// for requests in the other direction (RFC 5923 section 4).
pub fn write_request(draft: &Draft, sent_by: &SentBy, branch: Branch) -> Bytes {
    let mut out = Out::with_room(USUAL_HEAD + draft.body.len());
    out.text(&[
        draft.method.as_str(),
        " ",
        draft.uri.as_str(),
        " SIP/2.0\r\n",
    ]);
    out.text(&["Via: SIP/2.0/TLS ", &sent_by.host, ":"]);
    out.number(sent_by.port);
    out.text(&[";branch="]);
    branch.write(&mut out.0);
    out.text(&[";alias\r\nMax-Forwards: "]);
    out.number(draft.max_forwards);
    out.text(&["\r\nFrom: "]);
    out.address(&draft.from);
    out.text(&["\r\nTo: "]);
    out.address(&draft.to);
    out.text(&["\r\nCall-ID: ", draft.call_id.as_str(), "\r\nCSeq: "]);
    out.number(draft.cseq);
    out.text(&[" ", draft.method.as_str(), "\r\n"]);
    out.headers(&draft.headers);
    if let Some(content_type) = &draft.content_type {
        out.header(HeaderName::ContentType, content_type.as_str());
    }
    out.end(&draft.body)
}

/// Writes the answer to a request (RFC 3261 section 8.2.6).
pub fn write_response(request: &Request, answer: &Answer) -> Bytes {
    let source = request.received();
    let mut out = Out::answering(request);
    out.status_line(answer);
    for (position, header) in request.all(HeaderName::Via).enumerate() {
        match source.filter(|_| position == 0) {
            Some(source) => out.received_via(&header, source.ip(), source.port()),
            None => out.header(HeaderName::Via, header.raw),
        }
    }
    if answer.record_route {
        let own = answer.own_route.iter().map(Line::as_str);
        let mut copied = request.all(HeaderName::RecordRoute).peekable();
        let own = own.filter(|_| copied.peek().is_some());
        own.for_each(|route| out.header(HeaderName::RecordRoute, route));
        for header in copied {
            out.header(HeaderName::RecordRoute, header.raw);
        }
    }
    out.copy_rest(request, answer);
    match &answer.content {
        Some((content_type, body)) => {
            out.header(HeaderName::ContentType, content_type.as_str());
            out.end(body)
        }
        None => out.end(&Bytes::new()),
    }
}

/// Answers a request that could not be read whole, as far as its headers allow; without a Via
/// nobody could tell what is answered.
pub(super) fn write_refusal(head: &Head, answer: &Answer) -> Option<Bytes> {
    let mut out = Out::answering(head);
    out.status_line(answer);
    let mut vias = head.all(HeaderName::Via).filter(is_whole).peekable();
    vias.peek()?;
    for via in vias {
        out.header(HeaderName::Via, via.raw);
    }
    out.copy_rest(head, answer);
    Some(out.end(&Bytes::new()))
}

/// The text of a message so far.
struct Out(String);

impl Out {
    fn with_room(octets: usize) -> Self {
        Self(String::with_capacity(octets))
    }

    /// Answers are kept for a while, so they get no more room than they need.
    fn answering(head: &Head) -> Self {
        Self::with_room(head.bytes().len() + USUAL_REST)
    }

    fn text(&mut self, parts: &[&str]) {
        for part in parts {
            self.0.push_str(part);
        }
    }

    fn number(&mut self, number: impl itoa::Integer) {
        self.0.push_str(itoa::Buffer::new().format(number));
    }

    /// A name that the gateway does not know cannot be written.
    fn header(&mut self, name: HeaderName, value: &str) {
        if name != HeaderName::Other {
            self.text(&[name.as_str(), ": ", value, "\r\n"]);
        }
    }

    fn headers(&mut self, headers: &[(HeaderName, Line)]) {
        for (name, value) in headers {
            self.header(*name, value.as_str());
        }
    }

    fn address(&mut self, address: &NameAddr) {
        // Writing to a String cannot fail.
        _ = address.write(&mut self.0);
    }

    fn status_line(&mut self, answer: &Answer) {
        let reason = answer.reason.as_ref().map(Line::as_str);
        self.text(&["SIP/2.0 "]);
        self.number(answer.status);
        let reason = reason.unwrap_or_else(|| reason_phrase(answer.status));
        self.text(&[" ", reason, "\r\n"]);
    }

    /// Copies the topmost Via and says where the request came from, if the Via does not (RFC 3261
    /// section 18.2.1, RFC 3581 section 4).
    fn received_via(&mut self, header: &Header<'_>, address: IpAddr, port: u16) {
        let raw = header.raw;
        let Ok(via) = Via::read(&mut header.cursor()) else {
            return self.header(HeaderName::Via, raw);
        };
        let named = via.host.trim_matches(['[', ']']).parse::<IpAddr>() == Ok(address);
        let received = (via.received.is_none() && (!named || via.empty_rport.is_some()))
            .then(|| format!(";received={address}"));
        let rport = via.empty_rport.map(|at| (at, format!("={port}")));
        let (at, rport) = rport.unwrap_or((via.end, String::new()));
        let part = |start: usize, end: usize| raw.get(start..end).unwrap_or_default();
        self.text(&["Via: ", part(0, at), &rport, part(at, via.end)]);
        let received = received.unwrap_or_default();
        self.text(&[&received, part(via.end, raw.len()), "\r\n"]);
    }

    fn copy_rest(&mut self, request: &Head, answer: &Answer) {
        let copied = [
            HeaderName::From,
            HeaderName::To,
            HeaderName::CallId,
            HeaderName::CSeq,
        ];
        for name in copied {
            let Some(header) = request.header(name).filter(is_whole) else {
                continue;
            };
            self.text(&[name.as_str(), ": ", header.raw]);
            if let (HeaderName::To, Ok(to)) = (name, request.to()) {
                self.our_end(&to, answer);
            }
            self.text(&["\r\n"]);
        }
        self.headers(&answer.headers);
    }

    /// Adds to To what it lacks of us.
    fn our_end(&mut self, to: &NameAddr, answer: &Answer) {
        if let Some(epid) = answer.epid.as_ref().filter(|_| !to.has_param(EPID)) {
            self.text(&[";", EPID, "=", epid]);
        }
        if let Some(tag) = answer.to_tag.as_ref().filter(|_| to.tag().is_none()) {
            self.text(&[";tag=", tag.as_str()]);
        }
    }

    fn end(mut self, body: &Bytes) -> Bytes {
        self.text(&["Content-Length: "]);
        self.number(body.len());
        self.text(&["\r\n\r\n"]);
        let mut bytes = self.0.into_bytes();
        bytes.extend_from_slice(body);
        bytes.into()
    }
}

/// Whether a value can be copied into another message.
fn is_whole(header: &Header<'_>) -> bool {
    !header.raw.is_empty() && !has_control(header.raw)
}

/// The usual reason phrase of a status code (RFC 3261 section 21); empty, which is legal, for codes
/// that the gateway does not send.
const fn reason_phrase(status: u16) -> &'static str {
    match status {
        100 => "Trying",
        200 => "OK",
        202 => "Accepted",
        204 => "No Notification",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        410 => "Gone",
        413 => "Request Entity Too Large",
        415 => "Unsupported Media Type",
        416 => "Unsupported URI Scheme",
        420 => "Bad Extension",
        423 => "Interval Too Brief",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        482 => "Loop Detected",
        483 => "Too Many Hops",
        484 => "Address Incomplete",
        485 => "Ambiguous",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        489 => "Bad Event",
        491 => "Request Pending",
        493 => "Undecipherable",
        500 => "Server Internal Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Server Time-out",
        505 => "Version Not Supported",
        513 => "Message Too Large",
        600 => "Busy Everywhere",
        603 => "Decline",
        604 => "Does Not Exist Anywhere",
        606 => "Not Acceptable",
        _ => "",
    }
}
