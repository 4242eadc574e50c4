//! Typed readers of header values.

use std::fmt;

use smallvec::SmallVec;
use time::{Date, Month, OffsetDateTime, Time};

use crate::limits;
use crate::model::Wall;
use crate::sip::cursor::{Cursor, is_space, unquote};
use crate::sip::uri::{Parts, host};
use crate::sip::{Defect, Malformed, SipUri};
use crate::text::{Line, QuotedText, SipToken, is_token};

/// An address of From, To, Contact and their like (RFC 3261 section 20.10).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameAddr {
    display: Option<String>,
    uri: SipUri,
    tag: Option<SipToken>,
    params: Vec<(String, String)>,
}

impl NameAddr {
    /// Makes an address of ours.
    pub fn new(display: Option<&str>, uri: SipUri, tag: Option<SipToken>) -> Self {
        Self {
            display: display.map(str::to_owned),
            uri,
            tag,
            params: Vec::new(),
        }
    }

    /// Reads one address.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let mut value = Cursor::new(text, 0, Defect::Uri);
        let read = RawAddr::read(&mut value)?;
        value.end()?;
        Ok(read.into_owned())
    }

    /// The display name, unquoted and on one line; not cleaned for people.
    pub fn display(&self) -> Option<&str> {
        self.display.as_deref()
    }

    /// The URI.
    pub const fn uri(&self) -> &SipUri {
        &self.uri
    }

    /// The tag.
    pub const fn tag(&self) -> Option<&SipToken> {
        self.tag.as_ref()
    }

    /// The header parameter of that name, in any letter case, unquoted; the tag is not among them.
    pub fn param(&self, name: &str) -> Option<&str> {
        let mut same = self.params.iter();
        let found = same.find(|(one, _)| one.eq_ignore_ascii_case(name))?;
        Some(&found.1)
    }

    /// The instance that `gr` names (RFC 5627 section 4), percent-encoded. Examples of RFC 8048
    /// print it outside the brackets, so it is found there too.
    pub fn gr(&self) -> Option<&str> {
        self.uri.param("gr").or_else(|| self.param("gr"))
    }

    pub(super) fn write(&self, out: &mut impl fmt::Write) -> fmt::Result {
        if let Some(display) = &self.display {
            write!(out, "{} ", QuotedText::new(display))?;
        }
        for part in ["<", self.uri.as_str(), ">"] {
            out.write_str(part)?;
        }
        if let Some(tag) = &self.tag {
            out.write_str(";tag=")?;
            out.write_str(tag.as_str())?;
        }
        for (name, value) in &self.params {
            write!(out, ";{name}")?;
            match value.as_str() {
                "" => {}
                value if value.bytes().all(is_token) => write!(out, "={value}")?,
                value => write!(out, "={}", QuotedText::new(value))?,
            }
        }
        Ok(())
    }
}

/// Writes the address with brackets and every parameter.
impl fmt::Display for NameAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f)
    }
}

/// An address as it stands in a message.
#[derive(Debug)]
pub(super) struct RawAddr<'a> {
    display: Option<RawText<'a>>,
    uri: &'a str,
    parts: Parts,
    /// Whether the URI stood in brackets.
    pub(super) bracketed: bool,
    tag: Option<&'a str>,
    params: Params<'a>,
}

/// Header parameters as they stand in a message.
type Params<'a> = SmallVec<[(&'a str, RawText<'a>); 4]>;

/// Text as it stands in a message.
#[derive(Clone, Copy, Debug)]
pub(super) enum RawText<'a> {
    /// Without quotes.
    Plain(&'a str),
    /// What stands between quotes.
    Quoted(&'a str),
}

impl RawText<'_> {
    fn to_text(self) -> String {
        match self {
            Self::Plain(text) => Line::fold(text).as_str().to_owned(),
            Self::Quoted(text) => unquote(text),
        }
    }
}

impl<'a> RawAddr<'a> {
    /// Reads `(name-addr / addr-spec) *(SEMI generic-param)`.
    pub(super) fn read(value: &mut Cursor<'a>) -> Result<Self, Malformed> {
        value.skip_space();
        let display = display(value)?;
        let bracketed = value.peek() == Some(b'<');
        let (base, uri) = if bracketed {
            value.step();
            let base = value.at();
            let uri = value.take_while(|octet| octet != b'>');
            if value.peek() != Some(b'>') {
                return Err(value.error());
            }
            value.step();
            (base, uri)
        } else {
            let base = value.at();
            let ends = |octet| is_space(octet) || matches!(octet, b';' | b',' | b'<' | b'"');
            (base, value.take_while(|octet| !ends(octet)))
        };
        let defect = value.error().defect;
        let parts = Parts::scan(uri, base, defect)?;
        // "even if the display name is empty, the name-addr form MUST be used if the addr-spec
        // contains a comma, semicolon, or question mark" (RFC 3261 section 20.10)
        if !bracketed && uri.contains('?') {
            return Err(Malformed::new(defect, base));
        }
        let mut read = Self {
            display,
            uri,
            parts,
            bracketed,
            tag: None,
            params: Params::new(),
        };
        while value.eat(b';') {
            read.add(param(value)?, value)?;
        }
        Ok(read)
    }

    /// The address by itself.
    pub(super) fn into_owned(self) -> NameAddr {
        let params = self.params.into_iter();
        NameAddr {
            display: self.display.map(RawText::to_text),
            uri: SipUri::of(self.uri, self.parts),
            tag: self.tag.and_then(SipToken::parse),
            params: params
                .map(|(name, value)| (name.to_owned(), value.to_text()))
                .collect(),
        }
    }

    fn add(
        &mut self,
        (name, text): (&'a str, RawText<'a>),
        value: &Cursor<'a>,
    ) -> Result<(), Malformed> {
        if !name.eq_ignore_ascii_case("tag") {
            self.params.push((name, text));
            return Ok(());
        }
        match text {
            RawText::Plain(tag)
                if self.tag.is_none() && !tag.is_empty() && tag.bytes().all(is_token) =>
            {
                self.tag = Some(tag);
                Ok(())
            }
            RawText::Plain(_) | RawText::Quoted(_) => Err(value.error()),
        }
    }
}

/// Reads a display name if one comes next, and goes to the bracket behind it. Characters outside
/// ASCII are let through without quotes.
fn display<'a>(value: &mut Cursor<'a>) -> Result<Option<RawText<'a>>, Malformed> {
    if value.peek() == Some(b'"') {
        let name = value.quoted()?;
        value.skip_space();
        return match value.peek() {
            Some(b'<') => Ok(Some(RawText::Quoted(name))),
            _ => Err(value.error()),
        };
    }
    let start = value.pos();
    let name = value.take_while(|octet| is_token(octet) || is_space(octet) || octet >= 0x80);
    if value.peek() == Some(b'<') {
        let name = name.trim_end();
        return Ok((!name.is_empty()).then_some(RawText::Plain(name)));
    }
    value.seek(start);
    Ok(None)
}

/// Reads `generic-param`. A value may hold more than a token: hosts and URNs stand there too.
pub(super) fn param<'a>(value: &mut Cursor<'a>) -> Result<(&'a str, RawText<'a>), Malformed> {
    let name = value.token()?;
    if !value.eat(b'=') {
        return Ok((name, RawText::Plain("")));
    }
    if value.peek() == Some(b'"') {
        return value.quoted().map(|text| (name, RawText::Quoted(text)));
    }
    let ends = |octet| is_space(octet) || matches!(octet, b';' | b',' | b'"' | b'<' | b'>');
    match value.take_while(|octet| !ends(octet)) {
        "" => Err(value.error()),
        text => Ok((name, RawText::Plain(text))),
    }
}

/// One value of a Via header (RFC 3261 section 20.42).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Via<'a> {
    /// Transport, such as TLS.
    pub transport: &'a str,
    /// Host of the sender.
    pub host: &'a str,
    /// Port of the sender.
    pub port: Option<u16>,
    /// Transaction identifier.
    pub branch: Option<&'a str>,
    /// Address that the request came from.
    pub received: Option<&'a str>,
    /// Where an `rport` without value ends (RFC 3581), in the header's value.
    pub(super) empty_rport: Option<usize>,
    /// Where the value ends, in the header's value.
    pub(super) end: usize,
}

impl<'a> Via<'a> {
    /// Reads one value and leaves what follows it.
    pub(super) fn read(value: &mut Cursor<'a>) -> Result<Self, Malformed> {
        value.skip_space();
        value.token()?;
        value.expect(b'/')?;
        value.token()?;
        value.expect(b'/')?;
        let transport = value.token()?;
        if !value.peek().is_some_and(is_space) {
            return Err(value.error());
        }
        value.skip_space();
        let host = host(value);
        if host.is_empty() {
            return Err(value.error());
        }
        let mut via = Via {
            transport,
            host,
            port: sent_by_port(value)?,
            branch: None,
            received: None,
            empty_rport: None,
            end: value.pos(),
        };
        while value.eat(b';') {
            let (name, text) = param(value)?;
            via.end = value.pos();
            via.add(name, text).ok_or_else(|| value.error())?;
        }
        Ok(via)
    }

    /// Takes a parameter; a second branch or an empty one is refused.
    fn add(&mut self, name: &str, value: RawText<'a>) -> Option<()> {
        let RawText::Plain(text) = value else {
            return Some(());
        };
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        if is("branch") {
            if text.is_empty() || self.branch.is_some() {
                return None;
            }
            self.branch = Some(text);
        } else if is("received") {
            self.received = Some(text);
        } else if is("rport") && text.is_empty() {
            self.empty_rport = Some(self.end);
        }
        Some(())
    }
}

/// Reads `[COLON port]`; white space may stand around this colon.
fn sent_by_port(value: &mut Cursor<'_>) -> Result<Option<u16>, Malformed> {
    let start = value.pos();
    value.skip_space();
    if value.peek() != Some(b':') {
        value.seek(start);
        return Ok(None);
    }
    value.step();
    value.skip_space();
    let error = value.error();
    let digits = value.take_while(|octet| octet.is_ascii_digit());
    digits.parse().map(Some).map_err(|_| error)
}

/// The value of CSeq (RFC 3261 section 20.16).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CSeq<'a> {
    /// Sequence number, below 2^31.
    pub number: u32,
    /// Method of the request.
    pub method: &'a str,
}

impl<'a> CSeq<'a> {
    pub(super) fn read(value: &mut Cursor<'a>) -> Result<Self, Malformed> {
        let error = value.error();
        let digits = value.take_while(|octet| octet.is_ascii_digit());
        let number: u32 = digits.parse().map_err(|_| error)?;
        if number >= 1 << 31 || !value.peek().is_some_and(is_space) {
            return Err(error);
        }
        value.skip_space();
        let method = value.token()?;
        value.end()?;
        Ok(Self { number, method })
    }
}

/// A Call-ID of ours (RFC 3261 section 20.8).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(String);

impl CallId {
    /// Takes `word ["@" word]` up to [`limits::CALL_ID`] octets.
    pub fn parse(text: &str) -> Option<Self> {
        let (first, second) = text.split_once('@').unwrap_or((text, "-"));
        let is_word = |word: &str| !word.is_empty() && word.bytes().all(is_word);
        let fits = text.len() <= limits::CALL_ID && is_word(first) && is_word(second);
        fits.then(|| Self(text.to_owned()))
    }

    /// The Call-ID.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

const fn is_word(octet: u8) -> bool {
    is_token(octet)
        || matches!(
            octet,
            b'(' | b')'
                | b'<'
                | b'>'
                | b':'
                | b'\\'
                | b'"'
                | b'/'
                | b'['
                | b']'
                | b'?'
                | b'{'
                | b'}'
        )
}

/// A media type with its parameters (RFC 3261 section 20.15).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaType {
    essence: String,
    params: Vec<(String, String)>,
}

impl MediaType {
    /// Reads a media type, also one inside a body.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        Self::read(&mut Cursor::new(text, 0, Defect::Uri))
    }

    pub(super) fn read(value: &mut Cursor<'_>) -> Result<Self, Malformed> {
        value.skip_space();
        let kind = value.token()?;
        value.expect(b'/')?;
        let mut essence = format!("{kind}/{}", value.token()?);
        essence.make_ascii_lowercase();
        let mut params = Vec::new();
        while value.eat(b';') {
            let (name, text) = param(value)?;
            params.push((name.to_owned(), text.to_text()));
        }
        value.end()?;
        Ok(Self { essence, params })
    }

    /// Type and subtype in lower case, such as `text/plain`.
    pub fn essence(&self) -> &str {
        &self.essence
    }

    /// The parameter of that name, in any letter case, unquoted.
    pub fn param(&self, name: &str) -> Option<&str> {
        let mut params = self.params.iter();
        let found = params.find(|(one, _)| one.eq_ignore_ascii_case(name))?;
        Some(&found.1)
    }
}

/// Reads a number of at most 32 bits; a larger one is `None`, since RFC 4475 section 3.1.2.4 lets
/// it count as not given.
pub(super) fn number(value: &mut Cursor<'_>) -> Result<Option<u32>, Malformed> {
    let error = value.error();
    match value.take_while(|octet| octet.is_ascii_digit()) {
        "" => Err(error),
        digits => Ok(digits.parse().ok()),
    }
}

/// Reads a date such as `Sat, 13 Nov 2010 23:29:00 GMT`; other zones are not allowed (RFC 3261
/// section 20.17). Whether the day of the week fits is not looked at.
pub(super) fn date(value: &mut Cursor<'_>) -> Result<Wall, Malformed> {
    let error = value.error();
    let text = value.rest();
    let words: SmallVec<[&str; 6]> = text.split_ascii_whitespace().collect();
    let [weekday, day, month, year, clock, "GMT"] = words.as_slice() else {
        return Err(error);
    };
    let weekdays = ["Mon,", "Tue,", "Wed,", "Thu,", "Fri,", "Sat,", "Sun,"];
    let known = weekdays.iter().any(|one| one.eq_ignore_ascii_case(weekday));
    let moment = calendar(day, month, year).zip(time_of_day(clock));
    let (true, Some((date, time))) = (known, moment) else {
        return Err(error);
    };
    let seconds = OffsetDateTime::new_utc(date, time).unix_timestamp();
    Ok(Wall::from_unix_millis(seconds.saturating_mul(1_000)))
}

/// Writes a date for a Date header.
pub fn write_date(wall: Wall) -> Line {
    let date = wall.to_date();
    let weekday = date.weekday().to_string();
    let month = date.month().to_string();
    let short = |name: &str| name.get(..3).unwrap_or_default().to_owned();
    Line::fold(&format!(
        "{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT",
        short(&weekday),
        date.day(),
        short(&month),
        date.year(),
        date.hour(),
        date.minute(),
        date.second()
    ))
}

fn calendar(day: &str, month: &str, year: &str) -> Option<Date> {
    let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let mut names = months.iter();
    let month = names.position(|one| one.eq_ignore_ascii_case(month))?;
    let month = Month::try_from(u8::try_from(month + 1).ok()?).ok()?;
    Date::from_calendar_date(digits(year, 4)?.into(), month, two(day)?).ok()
}

fn time_of_day(clock: &str) -> Option<Time> {
    let mut parts = clock.split(':');
    let (hour, minute, second) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let second = match two(second)? {
        // A leap second counts as the second before it.
        60 => 59,
        second => second,
    };
    Time::from_hms(two(hour)?, two(minute)?, second).ok()
}

fn two(text: &str) -> Option<u8> {
    digits(text, 2).and_then(|number| u8::try_from(number).ok())
}

fn digits(text: &str, count: usize) -> Option<u16> {
    let all = text.len() == count && text.bytes().all(|octet| octet.is_ascii_digit());
    all.then(|| text.parse().ok()).flatten()
}
