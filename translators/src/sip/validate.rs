//! Whether a message that could be read keeps the rules for its headers.
//!
//! The connection machine answers 400 to a request that does not, and drops such a response; the
//! torture runner gives its verdicts by the same functions.

use crate::sip::cursor::Cursor;
use crate::sip::head::Header;
use crate::sip::headers::{date, number, scan_media};
use crate::sip::name_addr::RawAddr;
use crate::sip::{
    CSeq, Defect, Frame, Framer, Head, HeaderName, Malformed, Message, Request, Response, Via,
};

/// Headers that every message has (RFC 3261 section 8.1.1). Max-Forwards may be missing, as in
/// messages of RFC 2543, and so may the tag of From (RFC 3261 section 12.1.1).
const MANDATORY: [HeaderName; 5] = [
    HeaderName::Via,
    HeaderName::From,
    HeaderName::To,
    HeaderName::CallId,
    HeaderName::CSeq,
];

/// Headers of a response on which nothing hangs: one that is odd does not cost the answer.
const UNREAD_IN_RESPONSES: [HeaderName; 4] = [
    HeaderName::Date,
    HeaderName::MaxForwards,
    HeaderName::PAssertedIdentity,
    HeaderName::Route,
];

impl Request {
    /// Checks the Request-URI and every header that the gateway reads.
    pub fn validate(&self) -> Result<(), Malformed> {
        self.scan_uri()?;
        check_headers(self, &[])?;
        if self.cseq()?.method != self.method_name() {
            let header = self.required(HeaderName::CSeq)?;
            return Err(Malformed::new(Defect::CSeqMethod, header.cursor().at()));
        }
        Ok(())
    }
}

impl Response {
    /// Checks every header that the gateway depends on.
    pub fn validate(&self) -> Result<(), Malformed> {
        check_headers(self, &UNREAD_IN_RESPONSES)
    }
}

impl Message {
    /// Checks the Request-URI and every header that the gateway reads.
    pub fn validate(&self) -> Result<(), Malformed> {
        match self {
            Self::Request(request) => request.validate(),
            Self::Response(response) => response.validate(),
        }
    }
}

/// Judges the first message of a stream that ends behind `bytes`, as the connection machine would.
///
/// What follows the first message is the beginning of another and has no part in the verdict.
pub fn judge(bytes: &[u8]) -> Result<(), Malformed> {
    let mut framer = Framer::new();
    framer.push(bytes);
    loop {
        match framer.next_frame().map_err(|broken| broken.why)? {
            Some(Frame::Message(message)) => return message.validate(),
            Some(Frame::Broken(broken)) => return Err(broken.why),
            Some(Frame::Ping | Frame::Pong) => {}
            None => return Err(Malformed::new(Defect::Incomplete, bytes.len())),
        }
    }
}

fn check_headers(head: &Head, unread: &[HeaderName]) -> Result<(), Malformed> {
    let mut seen: u64 = 0;
    for header in head.headers() {
        let bit = 1 << header.id as u64;
        if header.id.is_single() && seen & bit != 0 {
            let repeated = Defect::Repeated(header.id);
            return Err(Malformed::new(repeated, header.cursor().at()));
        }
        // COMPAT(lync): servers behind the topmost Via may have written what they like.
        let is_lower_via = header.id == HeaderName::Via && seen & bit != 0;
        seen |= bit;
        if !is_lower_via && !unread.contains(&header.id) {
            check_value(&header)?;
        }
    }
    let missing = |id: &HeaderName| seen & (1 << *id as u64) == 0;
    match MANDATORY.into_iter().find(missing) {
        None => Ok(()),
        Some(id) => Err(Malformed::new(Defect::Missing(id), head.bytes().len())),
    }
}

fn check_value(header: &Header<'_>) -> Result<(), Malformed> {
    let value = &mut header.cursor();
    match header.id {
        HeaderName::CallId => {
            value.take_while(|octet| octet.is_ascii_graphic());
            if header.raw.is_empty() {
                return Err(value.error());
            }
        }
        HeaderName::Contact if header.raw == "*" => return Ok(()),
        HeaderName::Contact | HeaderName::PAssertedIdentity => {
            list(value, |value| RawAddr::read(value).map(drop))?;
        }
        HeaderName::ContentType => _ = scan_media(value, |_, _| {})?,
        HeaderName::CSeq => drop(CSeq::read(value)?),
        HeaderName::Date => {
            date(value)?;
            return Ok(());
        }
        HeaderName::Expires | HeaderName::MaxForwards => drop(number(value)?),
        HeaderName::From | HeaderName::To => drop(RawAddr::read(value)?),
        HeaderName::RecordRoute | HeaderName::Route => list(value, route)?,
        HeaderName::Via => list(value, |value| Via::read(value).map(drop))?,
        HeaderName::Accept
        | HeaderName::AcceptEncoding
        | HeaderName::Allow
        | HeaderName::AllowEvents
        | HeaderName::ContentDisposition
        | HeaderName::ContentEncoding
        | HeaderName::ContentLanguage
        | HeaderName::ContentLength
        | HeaderName::Event
        | HeaderName::MinExpires
        | HeaderName::MsConversationId
        | HeaderName::MsDiagnostics
        | HeaderName::MsDiagnosticsPublic
        | HeaderName::MsPiggybackCseq
        | HeaderName::Priority
        | HeaderName::ProxyRequire
        | HeaderName::Require
        | HeaderName::RetryAfter
        | HeaderName::SessionExpires
        | HeaderName::SipEtag
        | HeaderName::Subject
        | HeaderName::SubscriptionState
        | HeaderName::Supported
        | HeaderName::SuppressIfMatch
        | HeaderName::Unsupported
        | HeaderName::UserAgent
        | HeaderName::Warning
        | HeaderName::Other => return Ok(()),
    }
    value.end()
}

/// Reads `value *(COMMA value)`.
fn list<'a>(
    value: &mut Cursor<'a>,
    mut read: impl FnMut(&mut Cursor<'a>) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    read(value)?;
    while value.eat(b',') {
        read(value)?;
    }
    Ok(())
}

/// Routes stand in brackets (RFC 3261 section 20.34).
fn route(value: &mut Cursor<'_>) -> Result<(), Malformed> {
    match RawAddr::read(value)? {
        route if route.bracketed => Ok(()),
        _ => Err(value.error()),
    }
}
