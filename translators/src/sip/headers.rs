//! Typed readers of header values.

use smallvec::SmallVec;
use time::{Date, Month, OffsetDateTime, Time};

use crate::limits;
use crate::model::Wall;
use crate::sip::cursor::{Cursor, is_space};
use crate::sip::name_addr::{RawText, param};
use crate::sip::uri::host;
use crate::sip::{Defect, Malformed};
use crate::text::{Line, is_token};

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
    /// Whether requests may come back on the connection (RFC 5923 section 5).
    pub alias: bool,
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
            alias: false,
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
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        let text = match value {
            RawText::Plain(text) => text,
            RawText::Quoted(text) if is("branch") && text.is_empty() => return None,
            RawText::Quoted(_) => return Some(()),
        };
        if is("branch") {
            if text.is_empty() || self.branch.is_some() {
                return None;
            }
            self.branch = Some(text);
        } else if is("received") {
            self.received = Some(text);
        } else if is("alias") {
            self.alias = true;
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

    /// Takes the Call-ID of a peer, which may be anything that can be seen, up to
    /// [`limits::DIALOG_TEXT`] octets.
    pub(super) fn of_peer(text: &str) -> Option<Self> {
        let fits = !text.is_empty() && text.len() <= limits::DIALOG_TEXT;
        let visible = text.bytes().all(|octet| octet.is_ascii_graphic());
        (fits && visible).then(|| Self(text.to_owned()))
    }

    /// Writes a random number as a Call-ID.
    pub fn from_number(number: u128) -> Self {
        Self(format!("{number:032x}"))
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
        let mut params = Vec::new();
        let (kind, subtype) = scan_media(value, |name, text| {
            params.push((name.to_owned(), text.to_text()));
        })?;
        let essence = format!("{kind}/{subtype}").to_ascii_lowercase();
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

/// Reads type and subtype and shows every parameter.
pub(super) fn scan_media<'a>(
    value: &mut Cursor<'a>,
    mut show: impl FnMut(&'a str, RawText<'a>),
) -> Result<(&'a str, &'a str), Malformed> {
    value.skip_space();
    let kind = value.token()?;
    value.expect(b'/')?;
    let subtype = value.token()?;
    while value.eat(b';') {
        let (name, text) = param(value)?;
        show(name, text);
    }
    value.end()?;
    Ok((kind, subtype))
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
