//! Addresses of From, To, Contact and their like.

use std::fmt;

use smallvec::SmallVec;

use crate::sip::cursor::{Cursor, is_space, unquote};
use crate::sip::uri::Parts;
use crate::sip::{Defect, Malformed, SipUri};
use crate::text::{Line, QuotedText, SipToken, is_token};

/// The header parameter by which Microsoft's servers tell the endpoints of a user.
pub(super) const EPID: &str = "epid";

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

    /// The same address with this tag instead of its own.
    pub fn tagged(mut self, tag: Option<SipToken>) -> Self {
        self.tag = tag;
        self
    }

    /// The same address without its display name.
    pub fn nameless(mut self) -> Self {
        self.display = None;
        self
    }

    /// The same address with the header parameters of `other`.
    pub fn with_params_of(mut self, other: &Self) -> Self {
        self.params.clone_from(&other.params);
        self
    }

    /// The same address of the endpoint `epid`, unless it names one already.
    pub fn with_epid(mut self, epid: String) -> Self {
        if !self.has_param(EPID) {
            self.params.push((EPID.to_owned(), epid));
        }
        self
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

    /// Whether there is a header parameter of that name, with or without a value.
    pub fn has_param(&self, name: &str) -> bool {
        self.param(name).is_some()
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
    /// The text as it stands.
    pub(super) const fn as_str(&self) -> &str {
        match self {
            Self::Plain(text) | Self::Quoted(text) => text,
        }
    }

    /// The text by itself, on one line.
    pub(super) fn to_text(self) -> String {
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
/// COMPAT(lync): it may be empty, as in `epid=`.
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
        "" => Ok((name, RawText::Quoted(""))),
        text => Ok((name, RawText::Plain(text))),
    }
}
