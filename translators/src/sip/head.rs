//! Start line and headers of a message over shared bytes.

use bytes::Bytes;
use memchr::memchr;
use smallvec::SmallVec;

use crate::limits;
use crate::model::Wall;
use crate::sip::cursor::{Cursor, Span, is_space, unfold};
use crate::sip::headers::{date, number};
use crate::sip::name_addr::RawAddr;
use crate::sip::{CSeq, Defect, HeaderName, Malformed, MediaType, NameAddr, Via};
use crate::text::is_token;

/// How long a head and one header in it may be, in octets.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeadLimits {
    head: usize,
    header: usize,
}

impl HeadLimits {
    /// Those of a Microsoft server.
    pub(super) const MICROSOFT: Self = Self {
        head: limits::SIP_HEAD_MICROSOFT,
        header: limits::SIP_HEADER_MICROSOFT,
    };
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self {
            head: limits::SIP_HEAD,
            header: limits::SIP_HEADER,
        }
    }
}

/// The lines found in bytes of a head that may still be incomplete.
#[derive(Clone, Debug, Default)]
pub(super) struct Lines {
    limits: HeadLimits,
    /// Offsets of the line feeds.
    feeds: SmallVec<[u16; 32]>,
    scanned: usize,
}

impl Lines {
    /// Starts with a head of at most such a length.
    pub(super) fn within(limits: HeadLimits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// Goes on where the last call stopped; returns whether the empty line behind the head has
    /// come. `bytes` are those of the last call and more.
    pub(super) fn scan(&mut self, bytes: &[u8]) -> Result<bool, Malformed> {
        let limit = self.limits.head.min(bytes.len());
        while let Some(more) = bytes.get(self.scanned..limit)
            && let Some(found) = memchr(b'\n', more)
        {
            let feed = self.scanned + found;
            if feed == 0 || bytes.get(feed - 1) != Some(&b'\r') {
                return Err(Malformed::new(Defect::LineEnd, feed));
            }
            let start = self.next_start();
            self.scanned = feed + 1;
            self.feeds.push(u16::try_from(feed).unwrap_or(u16::MAX));
            if start + 1 == feed {
                return Ok(true);
            }
        }
        if bytes.len() > self.limits.head {
            return Err(Malformed::new(Defect::HeadTooLong, self.limits.head));
        }
        self.scanned = limit;
        Ok(false)
    }

    /// Where the line behind the last complete one starts.
    pub(super) fn next_start(&self) -> usize {
        self.feeds.last().map_or(0, |feed| usize::from(*feed) + 1)
    }
}

/// One header as it stands in a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    id: HeaderName,
    name: Span,
    value: Span,
}

impl Field {
    fn is_empty(&self) -> bool {
        self.value.range().is_empty()
    }
}

/// A header of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// What it is.
    pub id: HeaderName,
    /// Its name as it was written.
    pub name: &'a str,
    /// Its value without the white space around it; folded lines are still folded.
    pub raw: &'a str,
    at: usize,
}

impl<'a> Header<'a> {
    /// Its value on one line.
    pub fn text(&self) -> String {
        unfold(self.raw)
    }

    /// Its value for reading.
    pub(super) const fn cursor(&self) -> Cursor<'a> {
        Cursor::new(self.raw, self.at, Defect::Header(self.id))
    }
}

/// Headers that say what a server thinks of the sender.
const TRUST: [&str; 4] = [
    "ms-asserted-verification-level",
    "ms-edge-proxy-message-trust",
    "ms-split-domain-info",
    "ms-user-data",
];

/// The start line, headers and body of a message, and the bytes that they stand in.
#[derive(Clone, Debug)]
pub struct Head {
    bytes: Bytes,
    line: Span,
    fields: SmallVec<[Field; 24]>,
    /// Whether the only control characters are those of the line ends.
    plain: bool,
    body: Bytes,
}

/// Splits a head into its lines. With a defect come the headers before it, for an answer.
pub(super) fn split(bytes: Bytes, lines: &Lines) -> (Head, Result<(), Malformed>) {
    let mut head = Head {
        bytes: Bytes::new(),
        line: Span::default(),
        fields: SmallVec::new(),
        plain: false,
        body: Bytes::new(),
    };
    let outcome = head.split(&bytes, lines);
    head.bytes = bytes;
    (head, outcome)
}

impl Head {
    fn split(&mut self, bytes: &[u8], lines: &Lines) -> Result<(), Malformed> {
        self.plain = controls(bytes) == 2 * lines.feeds.len();
        let mut start = 0;
        for feed in &lines.feeds {
            // The scan has seen a CR before each LF.
            let end = usize::from(*feed).saturating_sub(1);
            let line = bytes.get(start..end).unwrap_or_default();
            if !self.plain && line.contains(&b'\r') {
                return Err(Malformed::new(Defect::LineEnd, start));
            }
            match line.first() {
                _ if start == 0 => self.line = Span::new(0, end),
                None => {}
                Some(b' ' | b'\t') => self.fold(bytes, start, end, lines.limits)?,
                Some(_) => self.add(bytes, start, end, lines.limits)?,
            }
            start = usize::from(*feed) + 1;
        }
        self.fields
            .retain(|field| !field.is_empty() || !field.id.may_be_empty());
        Ok(())
    }

    /// Adds a line to the header before it (RFC 3261 section 7.3.1).
    fn fold(
        &mut self,
        bytes: &[u8],
        start: usize,
        end: usize,
        limits: HeadLimits,
    ) -> Result<(), Malformed> {
        let Some(field) = self.fields.last_mut() else {
            return Err(Malformed::new(Defect::HeaderName, start));
        };
        field.value = trim(bytes, field.value.range().start, end);
        within_limit(field, end, limits)
    }

    /// Adds the header of a line: `token HCOLON value`.
    fn add(
        &mut self,
        bytes: &[u8],
        start: usize,
        end: usize,
        limits: HeadLimits,
    ) -> Result<(), Malformed> {
        let bad = Malformed::new(Defect::HeaderName, start);
        let line = bytes.get(start..end).unwrap_or_default();
        let colon = memchr(b':', line).ok_or(bad)?;
        let mut name = line.get(..colon).unwrap_or_default();
        while let [shorter @ .., b' ' | b'\t'] = name {
            name = shorter;
        }
        let id = HeaderName::recognise(name);
        if id == HeaderName::Other && (name.is_empty() || !name.iter().copied().all(is_token)) {
            return Err(bad);
        }
        if self.fields.len() == limits::SIP_HEADERS {
            return Err(Malformed::new(Defect::TooManyHeaders, start));
        }
        let field = Field {
            id,
            name: Span::new(start, start + name.len()),
            value: trim(bytes, start + colon + 1, end),
        };
        self.fields.push(field);
        within_limit(&field, end, limits)
    }

    /// What Content-Length says.
    pub(super) fn content_length(&self) -> Result<usize, Malformed> {
        let mut found = None;
        for header in self.all(HeaderName::ContentLength) {
            let error = Malformed::new(Defect::ContentLength, header.at);
            let decimal = header.raw.bytes().all(|octet| octet.is_ascii_digit());
            let octets: Option<u32> = header.raw.parse().ok().filter(|_| decimal);
            if found.replace(octets.ok_or(error)?).is_some() {
                let repeated = Defect::Repeated(HeaderName::ContentLength);
                return Err(Malformed::new(repeated, header.at));
            }
        }
        let missing = Malformed::new(Defect::ContentLengthMissing, self.bytes.len());
        let octets = found.ok_or(missing)?;
        usize::try_from(octets).map_err(|_| Malformed::new(Defect::ContentLength, 0))
    }

    /// Demands UTF-8, and control characters nowhere but escaped in a quoted string.
    pub(super) fn check_characters(&self) -> Result<(), Malformed> {
        let text = str::from_utf8(&self.bytes)
            .map_err(|error| Malformed::new(Defect::NotUtf8, error.valid_up_to()))?;
        if self.plain {
            return Ok(());
        }
        let line = text.get(self.line.range()).unwrap_or_default();
        if let Some(at) = line.bytes().position(|octet| octet.is_ascii_control()) {
            return Err(Malformed::new(Defect::Control, at));
        }
        for field in &self.fields {
            let value = text.get(field.value.range()).unwrap_or_default();
            if let Some(at) = control(value) {
                let at = field.value.range().start + at;
                return Err(Malformed::new(Defect::Control, at));
            }
        }
        Ok(())
    }

    /// Takes off the headers by which a Microsoft edge tells its own servers whom it believes: nobody
    /// outside may say so, and nothing here reads or passes them on ([MS-SIPRE] section 2.2.15).
    pub(super) fn strip(&mut self) {
        let bytes = self.bytes.clone();
        self.fields.retain(|field| {
            let name = bytes.get(field.name.range()).unwrap_or_default();
            let mut trust = TRUST.iter();
            let known = |known: &&str| name.eq_ignore_ascii_case(known.as_bytes());
            field.id != HeaderName::Other || !trust.any(known)
        });
    }

    /// Adds the body.
    pub(super) fn with_body(mut self, body: Bytes) -> Self {
        self.body = body;
        self
    }

    /// The start line.
    pub(super) fn start_line(&self) -> &str {
        self.slice(self.line)
    }

    /// The start line, headers and empty line exactly as they came.
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The body.
    pub const fn body(&self) -> &Bytes {
        &self.body
    }

    /// All headers in order.
    pub fn headers(&self) -> impl Iterator<Item = Header<'_>> {
        self.fields.iter().map(|field| self.view(field))
    }

    /// The headers of that name in order.
    pub fn all(&self, id: HeaderName) -> impl Iterator<Item = Header<'_>> {
        let fields = self.fields.iter().filter(move |field| field.id == id);
        fields.map(|field| self.view(field))
    }

    /// The first header of that name.
    pub fn header(&self, id: HeaderName) -> Option<Header<'_>> {
        self.all(id).next()
    }

    /// The first header with a name that the gateway does not know, in any letter case.
    pub fn extension(&self, name: &str) -> Option<Header<'_>> {
        self.all(HeaderName::Other)
            .find(|header| header.name.eq_ignore_ascii_case(name))
    }

    /// From.
    pub fn from(&self) -> Result<NameAddr, Malformed> {
        self.address(HeaderName::From)
    }

    /// To.
    pub fn to(&self) -> Result<NameAddr, Malformed> {
        self.address(HeaderName::To)
    }

    /// Every address of P-Asserted-Identity (RFC 3325 section 9.1).
    pub fn asserted(&self) -> Result<Vec<NameAddr>, Malformed> {
        let mut found = Vec::new();
        for header in self.all(HeaderName::PAssertedIdentity) {
            let mut value = header.cursor();
            found.push(RawAddr::read(&mut value)?.into_owned());
            while value.eat(b',') {
                found.push(RawAddr::read(&mut value)?.into_owned());
            }
            value.end()?;
        }
        Ok(found)
    }

    /// Call-ID.
    pub fn call_id(&self) -> Result<&str, Malformed> {
        self.required(HeaderName::CallId).map(|header| header.raw)
    }

    /// CSeq.
    pub fn cseq(&self) -> Result<CSeq<'_>, Malformed> {
        CSeq::read(&mut self.required(HeaderName::CSeq)?.cursor())
    }

    /// The first value of Via.
    pub fn top_via(&self) -> Result<Via<'_>, Malformed> {
        Via::read(&mut self.required(HeaderName::Via)?.cursor())
    }

    /// Every value of Via, topmost first.
    pub fn vias(&self) -> Result<Vec<Via<'_>>, Malformed> {
        let mut found = Vec::new();
        for header in self.all(HeaderName::Via) {
            let mut value = header.cursor();
            found.push(Via::read(&mut value)?);
            while value.eat(b',') {
                found.push(Via::read(&mut value)?);
            }
            value.end()?;
        }
        Ok(found)
    }

    /// Max-Forwards; a number over 255 counts as not given.
    pub fn max_forwards(&self) -> Result<Option<u8>, Malformed> {
        let number = self.number(HeaderName::MaxForwards)?;
        Ok(number.and_then(|hops| u8::try_from(hops).ok()))
    }

    /// Seconds of Expires; a number over 32 bits counts as not given.
    pub fn expires(&self) -> Result<Option<u32>, Malformed> {
        self.number(HeaderName::Expires)
    }

    /// Seconds of Retry-After (RFC 3261 section 20.33).
    pub fn retry_after(&self) -> Option<u32> {
        let header = self.header(HeaderName::RetryAfter)?;
        number(&mut header.cursor()).ok().flatten()
    }

    /// Date.
    pub fn date(&self) -> Result<Option<Wall>, Malformed> {
        let header = self.header(HeaderName::Date);
        header.map(|header| date(&mut header.cursor())).transpose()
    }

    /// Content-Type.
    pub fn content_type(&self) -> Result<Option<MediaType>, Malformed> {
        let header = self.header(HeaderName::ContentType);
        header
            .map(|header| MediaType::read(&mut header.cursor()))
            .transpose()
    }

    /// The comma-separated values of every header of that name, such as Content-Encoding or Allow.
    pub fn values(&self, id: HeaderName) -> impl Iterator<Item = &str> {
        let values = self.all(id).flat_map(|header| header.raw.split(','));
        values.map(str::trim).filter(|value| !value.is_empty())
    }

    pub(super) fn required(&self, id: HeaderName) -> Result<Header<'_>, Malformed> {
        let missing = Malformed::new(Defect::Missing(id), self.bytes.len());
        self.header(id).ok_or(missing)
    }

    fn address(&self, id: HeaderName) -> Result<NameAddr, Malformed> {
        let mut value = self.required(id)?.cursor();
        let address = RawAddr::read(&mut value)?;
        value.end()?;
        Ok(address.into_owned())
    }

    fn number(&self, id: HeaderName) -> Result<Option<u32>, Malformed> {
        let Some(header) = self.header(id) else {
            return Ok(None);
        };
        let mut value = header.cursor();
        let number = number(&mut value)?;
        value.end()?;
        Ok(number)
    }

    fn view(&self, field: &Field) -> Header<'_> {
        Header {
            id: field.id,
            name: self.slice(field.name),
            raw: self.slice(field.value),
            at: field.value.range().start,
        }
    }

    /// Empty where the bytes are not UTF-8, which only happens in messages that are refused.
    fn slice(&self, span: Span) -> &str {
        let bytes = self.bytes.get(span.range()).unwrap_or_default();
        str::from_utf8(bytes).unwrap_or_default()
    }
}

/// Takes white space and line ends off both ends of a value.
fn trim(bytes: &[u8], start: usize, end: usize) -> Span {
    let value = bytes.get(start..end).unwrap_or_default();
    let blanks = value.iter().take_while(|octet| is_space(**octet)).count();
    let tail = value.iter().rev().take_while(|octet| is_space(**octet));
    Span::new(start + blanks, (end - tail.count()).max(start + blanks))
}

fn within_limit(field: &Field, end: usize, limits: HeadLimits) -> Result<(), Malformed> {
    let start = field.name.range().start;
    if end - start > limits.header {
        return Err(Malformed::new(Defect::HeaderTooLong, start));
    }
    Ok(())
}

/// Counts control characters. The small sums let the compiler look at many octets at once.
fn controls(bytes: &[u8]) -> usize {
    let parts = bytes.chunks(usize::from(u8::MAX));
    let sums = parts.map(|part| {
        let each = part.iter().map(|octet| u8::from(octet.is_ascii_control()));
        usize::from(each.sum::<u8>())
    });
    sums.sum()
}

/// Whether a value holds a control character that may not stand there.
pub(super) fn has_control(value: &str) -> bool {
    control(value).is_some()
}

/// Finds a control character that is neither a tab, a line fold nor escaped in a quoted string.
fn control(value: &str) -> Option<usize> {
    let mut quoted = false;
    let mut octets = value.bytes().enumerate();
    while let Some((at, octet)) = octets.next() {
        match octet {
            b'"' => quoted = !quoted,
            b'\\' if quoted => _ = octets.next(),
            octet if octet.is_ascii_control() && !is_space(octet) => return Some(at),
            _ => {}
        }
    }
    None
}
