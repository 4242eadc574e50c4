//! URIs of SIP messages (RFC 3261 section 19.1).

use std::fmt;

use crate::sip::cursor::{Cursor, Span};
use crate::sip::{Defect, Malformed};

/// What kind of URI it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// sip.
    Sip,
    /// sips.
    Sips,
    /// im (RFC 3860).
    Im,
    /// pres (RFC 3859).
    Pres,
    /// Any other; what follows the scheme is not looked into.
    Other,
}

impl Scheme {
    const KNOWN: [Self; 4] = [Self::Sip, Self::Sips, Self::Im, Self::Pres];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Sip => "sip",
            Self::Sips => "sips",
            Self::Im => "im",
            Self::Pres => "pres",
            Self::Other => "",
        }
    }

    fn recognise(name: &str) -> Self {
        let known = Self::KNOWN.into_iter();
        let mut same = known.filter(|one| one.as_str().eq_ignore_ascii_case(name));
        same.next().unwrap_or(Self::Other)
    }
}

/// A URI, kept exactly as it was written: a remote target or route must go back byte for byte.
#[derive(Clone, PartialEq, Eq)]
pub struct SipUri {
    text: String,
    parts: Parts,
}

impl SipUri {
    /// Reads a URI of any scheme.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let parts = Parts::scan(text, 0, Defect::Uri)?;
        Ok(Self::of(text, parts))
    }

    /// Makes a URI of parts that are already percent-encoded; parts that would be read otherwise
    /// than they are meant are refused.
    pub fn new(
        scheme: Scheme,
        user: Option<&str>,
        host: &str,
        params: &[(&str, &str)],
    ) -> Result<Self, Malformed> {
        let mut text = format!("{}:", scheme.as_str());
        for part in user.iter().flat_map(|user| [user, "@"]) {
            text.push_str(part);
        }
        text.push_str(host);
        for (name, value) in params {
            for part in [";", name, "=", value] {
                text.push_str(part);
            }
        }
        let parts = Parts::scan(&text, 0, Defect::Uri)?;
        let uri = Self { text, parts };
        let meant = uri.userinfo() == user
            && uri.host() == host
            && uri.headers().is_none()
            && uri.params().eq(params.iter().copied());
        if !meant {
            return Err(Malformed::new(Defect::Uri, 0));
        }
        Ok(uri)
    }

    pub(super) fn of(text: &str, parts: Parts) -> Self {
        Self {
            text: text.to_owned(),
            parts,
        }
    }

    /// The URI as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its scheme.
    pub const fn scheme(&self) -> Scheme {
        self.parts.scheme
    }

    /// What stands before `@`, with its percent-encoding and a password if there is one.
    pub fn userinfo(&self) -> Option<&str> {
        self.parts.user.map(|span| self.slice(span))
    }

    /// The host as it was written, IPv6 addresses in brackets; empty for [`Scheme::Other`].
    pub fn host(&self) -> &str {
        self.slice(self.parts.host)
    }

    /// The port, if one is given.
    pub const fn port(&self) -> Option<u16> {
        self.parts.port
    }

    /// The parameters in order, percent-encoded; a parameter without value has an empty one.
    pub fn params(&self) -> impl Iterator<Item = (&str, &str)> {
        let params = self.slice(self.parts.params);
        let each = params.split(';').filter(|param| !param.is_empty());
        each.map(|param| param.split_once('=').unwrap_or((param, "")))
    }

    /// The parameter of that name, in any letter case.
    pub fn param(&self, name: &str) -> Option<&str> {
        let mut same = self
            .params()
            .filter(|(one, _)| one.eq_ignore_ascii_case(name));
        same.next().map(|(_, value)| value)
    }

    /// What stands behind `?`.
    pub fn headers(&self) -> Option<&str> {
        self.parts.headers.map(|span| self.slice(span))
    }

    /// The URI as it may stand in a Request-URI: without headers (RFC 3261 section 19.1.1).
    pub fn without_headers(&self) -> Self {
        let Some(headers) = self.parts.headers else {
            return self.clone();
        };
        let end = headers.range().start.saturating_sub(1);
        let parts = Parts {
            headers: None,
            ..self.parts
        };
        Self::of(self.text.get(..end).unwrap_or_default(), parts)
    }

    fn slice(&self, span: Span) -> &str {
        self.text.get(span.range()).unwrap_or_default()
    }
}

impl fmt::Display for SipUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for SipUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

/// Where the parts of a URI stand in its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) scheme: Scheme,
    user: Option<Span>,
    host: Span,
    port: Option<u16>,
    params: Span,
    headers: Option<Span>,
}

impl Parts {
    /// Whether something stands behind `?`.
    pub(super) const fn has_headers(self) -> bool {
        self.headers.is_some()
    }

    /// Finds the parts of `text`, which stands at offset `base` of its message, without copying.
    pub(super) fn scan(text: &str, base: usize, defect: Defect) -> Result<Self, Malformed> {
        let mut uri = Cursor::new(text, base, defect);
        if u16::try_from(text.len()).is_err() {
            return Err(uri.error());
        }
        check_escapes(text, &uri)?;
        let name = uri.take_while(is_scheme);
        if !name.starts_with(|c: char| c.is_ascii_alphabetic()) || uri.peek() != Some(b':') {
            return Err(uri.error());
        }
        uri.step();
        let mut parts = Self {
            scheme: Scheme::recognise(name),
            user: None,
            host: Span::default(),
            port: None,
            params: Span::default(),
            headers: None,
        };
        match parts.scheme {
            Scheme::Sip | Scheme::Sips | Scheme::Im | Scheme::Pres => parts.address(&mut uri)?,
            Scheme::Other => opaque(&mut uri)?,
        }
        match uri.peek() {
            None => Ok(parts),
            Some(_) => Err(uri.error()),
        }
    }

    /// `[userinfo "@"] hostport uri-parameters [headers]`.
    fn address(&mut self, uri: &mut Cursor<'_>) -> Result<(), Malformed> {
        let rest = uri.rest();
        let has_user = rest.bytes().any(|octet| octet == b'@');
        if has_user {
            self.user = Some(span(uri, |uri| match self.scheme {
                Scheme::Im | Scheme::Pres => uri.take_while(is_mailbox),
                Scheme::Sip | Scheme::Sips | Scheme::Other => uri.take_while(is_user),
            })?);
            if uri.peek() != Some(b'@') {
                return Err(uri.error());
            }
            uri.step();
        }
        self.host = span(uri, host)?;
        self.port = port(uri)?;
        let start = uri.pos();
        while uri.peek() == Some(b';') {
            uri.step();
            span(uri, |uri| uri.take_while(is_param))?;
            if uri.peek() == Some(b'=') {
                uri.step();
                uri.take_while(is_param_value);
            }
        }
        self.params = Span::new(start, uri.pos());
        if uri.peek() == Some(b'?') {
            uri.step();
            self.headers = Some(span(uri, |uri| uri.take_while(is_header))?);
        }
        Ok(())
    }
}

/// Reads a host (RFC 3261 section 25.1). Underscores are let through, since names of Windows
/// machines have them, and so are IPv6 addresses with one colon too many (RFC 5118 section 4.10).
pub(super) fn host<'a>(text: &mut Cursor<'a>) -> &'a str {
    let start = text.clone();
    if text.peek() != Some(b'[') {
        return text.take_while(|octet| {
            octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'-' | b'_')
        });
    }
    text.step();
    let address =
        text.take_while(|octet| octet.is_ascii_hexdigit() || matches!(octet, b':' | b'.'));
    if !address.contains(':') || text.peek() != Some(b']') {
        *text = start;
        return "";
    }
    text.step();
    start.rest().get(..address.len() + 2).unwrap_or_default()
}

/// Reads `":" port`, if it comes next.
pub(super) fn port(text: &mut Cursor<'_>) -> Result<Option<u16>, Malformed> {
    if text.peek() != Some(b':') {
        return Ok(None);
    }
    text.step();
    let error = text.error();
    let digits = text.take_while(|octet| octet.is_ascii_digit());
    digits.parse().map(Some).map_err(|_| error)
}

/// Reads what must not be empty and says where it stands.
fn span<'a>(
    uri: &mut Cursor<'a>,
    read: impl FnOnce(&mut Cursor<'a>) -> &'a str,
) -> Result<Span, Malformed> {
    let start = uri.pos();
    match read(uri) {
        "" => Err(uri.error()),
        _ => Ok(Span::new(start, uri.pos())),
    }
}

fn opaque(uri: &mut Cursor<'_>) -> Result<(), Malformed> {
    let octets = |octet: u8| octet.is_ascii_graphic() && !matches!(octet, b'<' | b'>' | b'"');
    span(uri, |uri| uri.take_while(octets)).map(drop)
}

/// A percent sign begins two hexadecimal digits.
fn check_escapes(text: &str, uri: &Cursor<'_>) -> Result<(), Malformed> {
    for escape in text.split('%').skip(1) {
        let digits = escape.bytes().take(2);
        if digits.filter(u8::is_ascii_hexdigit).count() != 2 {
            return Err(uri.error());
        }
    }
    Ok(())
}

const fn is_scheme(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'-' | b'.')
}

/// `unreserved` or a percent sign.
const fn is_plain(octet: u8) -> bool {
    octet.is_ascii_alphanumeric()
        || matches!(
            octet,
            b'-' | b'_' | b'.' | b'!' | b'~' | b'*' | b'\'' | b'(' | b')' | b'%'
        )
}

const fn is_user(octet: u8) -> bool {
    is_plain(octet)
        || matches!(
            octet,
            b'&' | b'=' | b'+' | b'$' | b',' | b';' | b'?' | b'/' | b':'
        )
}

const fn is_mailbox(octet: u8) -> bool {
    octet.is_ascii_graphic() && !matches!(octet, b'@' | b'<' | b'>' | b'"' | b'\\')
}

const fn is_param(octet: u8) -> bool {
    is_plain(octet) || matches!(octet, b'[' | b']' | b'/' | b':' | b'&' | b'+' | b'$')
}

/// COMPAT(ocs2007): `transport="tcp"`, base64 with its `=`, and addresses of users stand in parameters
/// of URIs.
const fn is_param_value(octet: u8) -> bool {
    is_param(octet)
        || matches!(
            octet,
            b'=' | b'"' | b',' | b'|' | b'@' | b'#' | b'^' | b'`' | b'{' | b'}'
        )
}

const fn is_header(octet: u8) -> bool {
    is_plain(octet)
        || matches!(
            octet,
            b'[' | b']' | b'/' | b'?' | b':' | b'+' | b'$' | b'=' | b'&'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_found_and_the_text_is_kept() {
        let text = "SIP:a;b%40c:pw@[2001:db8::1]:5061;transport=TLS;lr?Subject=x";
        let uri = SipUri::parse(text).unwrap();

        assert_eq!(uri.as_str(), text);
        assert_eq!(uri.scheme(), Scheme::Sip);
        assert_eq!(uri.userinfo(), Some("a;b%40c:pw"));
        assert_eq!(uri.host(), "[2001:db8::1]");
        assert_eq!(uri.port(), Some(5061));
        assert_eq!(uri.param("Transport"), Some("TLS"));
        assert_eq!(uri.param("lr"), Some(""));
        assert_eq!(uri.param("maddr"), None);
        assert_eq!(uri.headers(), Some("Subject=x"));
    }

    #[test]
    fn odd_but_legal_uris_are_read() {
        for text in [
            "sip:1_odd.User~(not!here)&isn't+$/crazy?,/;;*:&pw=1,x!*@example.com",
            "sip:%00@example.com;%6C%72;n%61me=v%61lue%25%34%31",
            "sip:example.com:5060",
            "sip:u@10.0.0.1;maddr=10.0.0.2;transport=\"tcp\"",
            "sip:u@h;opaque=user:epid:XHi_-WcZA4==;gruu",
            "sip:u@[2001:db8:::192.0.2.1]",
            "im:fish&bone#1@example.com",
            "tel:+1-201-555-0123",
            "soap.beep://192.0.2.103:3002",
            "urn:service:sos",
        ] {
            assert_eq!(SipUri::parse(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn broken_uris_are_refused() {
        for text in [
            "",
            "sip:",
            ":x",
            "sip:@example.com",
            "sip:u@",
            "sip:u@v@example.com",
            "sip:u@ex ample.com",
            " sip:u@example.com",
            "<sip:u@example.com>",
            "sip:u@example.com; lr",
            "sip:u@example.com:99999",
            "sip:u@example.com:",
            "sip:u@2001:db8::1",
            "sip:u@[2001:db8::1",
            "sip:u@[]",
            "sip:u%4@example.com",
            "sip:u%zz@example.com",
            "sip:\u{fc}@example.com",
            "sip:u@example.com?",
            "sip:u@example.com;;lr",
            "sip:u\r\nVia:@example.com",
            "1sip:x",
            "tel:",
        ] {
            assert!(SipUri::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn made_uris_say_what_was_meant_or_nothing() {
        let made = SipUri::new(Scheme::Sip, Some("a%40b"), "example.com", &[("gr", "x")]);
        assert_eq!(made.unwrap().as_str(), "sip:a%40b@example.com;gr=x");

        let made = |user, host, value| SipUri::new(Scheme::Sip, user, host, &[("gr", value)]);
        assert!(made(Some("a@b"), "example.com", "x").is_err());
        assert!(made(None, "a@example.com", "x").is_err());
        assert!(made(Some("a"), "example.com;lr", "x").is_err());
        assert!(made(Some("a"), "example.com:5060", "x").is_err());
        assert!(made(Some("a"), "example.com", "x;lr").is_err());
        assert!(made(Some("a"), "example.com", "x?b=c").is_err());
        assert!(made(Some("a"), "example.com", "x\r\n").is_err());
    }
}
