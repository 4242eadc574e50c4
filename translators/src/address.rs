//! Addresses of both worlds: JID and SIP URI (RFC 7247).
//!
//! The two images are exact inverses wherever both exist: what cannot come back as it was is
//! rejected, so that no two users share one address on the other side. Section 6 of RFC 7247 is
//! tightened accordingly: all ten escapes of XEP-0106 are used, a backslash that only looks like
//! one is escaped itself, and everything outside the grammar of RFC 3261 is percent-encoded.
//!
//! A resource is carried in the `gr` parameter as it is, percent-encoded (RFC 7247 section 6.5).
//! SIP compares that parameter without regard to case, so resources that differ in case only are
//! one instance to a SIP peer; the way back is exact all the same.

use std::borrow::Cow;

use jid::{BareJid, DomainPart, Jid, NodePart, ResourcePart};

use crate::model::{Aor, Domain};
use crate::sip::{Scheme, SipUri};
use crate::text::{hex_octet, is_pvalue, is_unreserved, percent_encode};

/// Why an address has no image on the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reject {
    /// The host is no domain name.
    #[error("the host is not a domain name")]
    Host,
    /// The local part or resource is empty, too long or holds characters that the other side has
    /// no form for.
    #[error("the user part has no form on the other side")]
    User,
    /// Octets that are not UTF-8 behind percent signs (RFC 7247 section 6.4 step 4).
    #[error("the user part is not UTF-8")]
    NotUtf8,
    /// A password stands in the URI.
    #[error("a password in the address")]
    Password,
    /// A scheme other than sip, im and pres.
    #[error("an address of another kind")]
    Scheme,
    /// A sips URI: XMPP cannot keep its promise (RFC 7247 section 8).
    #[error("sips is not allowed")]
    Secure,
}

/// Which characters of a user part are percent-encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Spelling {
    /// Those that RFC 3261 demands.
    #[default]
    Plain,
    /// `;`, `/` and `?` too, where some parsers cut.
    Strict,
}

impl Spelling {
    /// The spelling of a peer that has the switch `strict_user` or not.
    pub const fn of(strict_user: bool) -> Self {
        if strict_user {
            Self::Strict
        } else {
            Self::Plain
        }
    }
}

/// Returns the JID of a SIP URI (RFC 7247 section 6.4). `gr` is the value of that parameter,
/// which peers also print outside the brackets; without a value it names no instance.
pub fn to_jid(uri: &SipUri, gr: Option<&str>) -> Result<Jid, Reject> {
    match uri.scheme() {
        Scheme::Sip | Scheme::Im | Scheme::Pres => {}
        Scheme::Sips => return Err(Reject::Secure),
        Scheme::Other => return Err(Reject::Scheme),
    }
    let domain = Domain::parse(uri.host()).ok_or(Reject::Host)?;
    let domain = DomainPart::new(domain.as_str()).map_err(|_| Reject::Host)?;
    let node = uri.userinfo().map(local_part).transpose()?;
    let resource = match gr {
        None | Some("") => None,
        Some(gr) => {
            let resource = percent_decode(gr)?;
            let resource = ResourcePart::new(&resource).map_err(|_| Reject::User)?;
            Some(resource.into_owned())
        }
    };
    let jid = Jid::from_parts(node.as_deref(), &domain, resource.as_deref());
    if is_prepared(&jid) {
        Ok(jid)
    } else {
        Err(Reject::User)
    }
}

/// Whether preparation would leave a JID as it is: some letters, such as modifier capitals, need
/// two rounds, and a server would take such a JID for another user's. Of ASCII, only capitals in
/// front of the resource would change.
fn is_prepared(jid: &Jid) -> bool {
    let text = jid.as_str();
    let mut bare = text.bytes().take_while(|octet| *octet != b'/');
    if text.is_ascii() && !bare.any(|octet| octet.is_ascii_uppercase()) {
        return true;
    }
    Jid::new(text).is_ok_and(|again| again == *jid)
}

/// The local part of a user as he would write it, without escapes (XEP-0106).
pub fn plain_local(user: &BareJid) -> Option<String> {
    unescape(user.node()?.as_str()).ok().map(Cow::into_owned)
}

/// Returns the JID of a SIP user without a device.
pub fn to_bare_jid(uri: &SipUri) -> Result<BareJid, Reject> {
    to_jid(uri, None).map(Jid::into_bare)
}

/// Returns the SIP URI of a JID (RFC 7247 section 6.5), with its resource as `gr`.
pub fn to_sip(jid: &Jid, spelling: Spelling) -> Result<SipUri, Reject> {
    if !is_prepared(jid) {
        return Err(Reject::User);
    }
    let domain = Domain::parse(jid.domain().as_str()).ok_or(Reject::Host)?;
    let user = jid.node().map(|node| user_part(node.as_str(), spelling));
    let user = user.transpose()?;
    let gr = jid
        .resource()
        .map(|resource| percent_encode(resource.as_str(), is_pvalue));
    let params = gr.as_deref().map(|gr| ("gr", gr));
    SipUri::new(
        Scheme::Sip,
        user.as_deref(),
        &domain.to_ascii(),
        params.as_slice(),
    )
    .map_err(|_| Reject::Host)
}

/// Returns the SIP URI of an AOR, for the instance that `gr` names if there is one.
pub fn aor_to_sip(aor: &Aor, instance: Option<&str>, spelling: Spelling) -> Result<SipUri, Reject> {
    to_sip(&with_instance(aor.image(), instance)?, spelling)
}

/// Returns the URI by which presence documents name a user (RFC 3859, RFC 3863 section 4.1.1).
pub fn to_pres(user: &BareJid) -> Result<String, Reject> {
    let stands = |octet: u8| octet.is_ascii_alphanumeric() || b"-_.!~*'&=+$".contains(&octet);
    let domain = Domain::parse(user.domain().as_str()).ok_or(Reject::Host)?;
    let host = domain.to_ascii();
    Ok(match user.node() {
        None => format!("pres:{host}"),
        Some(node) => {
            let local = percent_encode(&unescape(node.as_str())?, stands);
            format!("pres:{local}@{host}")
        }
    })
}

/// Returns the JID of a user and perhaps of one of his devices.
pub fn with_instance(user: &BareJid, instance: Option<&str>) -> Result<Jid, Reject> {
    match instance {
        None => Ok(user.clone().into()),
        Some(instance) => user
            .with_resource_str(instance)
            .map(Jid::from)
            .map_err(|_| Reject::User),
    }
}

/// Steps 3 to 6 of the way to XMPP: a local part from a user part.
fn local_part(userinfo: &str) -> Result<NodePart, Reject> {
    if userinfo.contains(':') {
        return Err(Reject::Password);
    }
    let decoded = percent_decode(userinfo)?;
    if decoded.contains(char::is_control) {
        return Err(Reject::User);
    }
    let escaped = escape(&decoded).ok_or(Reject::User)?;
    let node = NodePart::new(&escaped).map_err(|_| Reject::User)?;
    Ok(node.into_owned())
}

/// Steps 3 and 4 of the way to SIP: a user part from a local part.
fn user_part(local: &str, spelling: Spelling) -> Result<String, Reject> {
    let unescaped = unescape(local)?;
    Ok(percent_encode(&unescaped, |octet| {
        is_user(octet) && (spelling == Spelling::Plain || !b";/?".contains(&octet))
    }))
}

/// The characters that a local part cannot hold, with their escapes, and the backslash itself
/// (XEP-0106 section 3).
const ESCAPES: [(char, &str); 10] = [
    (' ', "20"),
    ('"', "22"),
    ('&', "26"),
    ('\'', "27"),
    ('/', "2f"),
    (':', "3a"),
    ('<', "3c"),
    ('>', "3e"),
    ('@', "40"),
    ('\\', "5c"),
];

/// Escapes a local part (XEP-0106 section 4.2). A backslash is escaped only where it would begin
/// an escape; spaces at the ends cannot be escaped.
fn escape(text: &str) -> Option<String> {
    if text.starts_with(' ') || text.ends_with(' ') {
        return None;
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let code = ESCAPES.iter().find(|(special, _)| *special == c);
        match code {
            Some((special, code)) if *special != '\\' || starts_escape(chars.as_str()) => {
                out.push('\\');
                out.push_str(code);
            }
            Some(_) | None => out.push(c),
        }
    }
    Some(out)
}

/// Whether `text`, behind a backslash, would complete an escape; hexadecimal digits in either
/// case, since a local part loses its case.
fn starts_escape(text: &str) -> bool {
    let digits = text.get(..2).map(str::to_ascii_lowercase);
    digits.is_some_and(|digits| ESCAPES.iter().any(|(_, code)| *code == digits))
}

/// Replaces the escapes of a local part; other backslashes stay. A local part that is not the
/// escaped form of what it stands for would come back as another user's and is rejected.
fn unescape(local: &str) -> Result<Cow<'_, str>, Reject> {
    if !local.contains('\\') {
        return Ok(Cow::Borrowed(local));
    }
    let mut out = String::with_capacity(local.len());
    let mut rest = local;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let escape = ESCAPES
            .iter()
            .find_map(|(special, code)| Some((*special, after.strip_prefix(code)?)));
        let (c, behind) = escape.unwrap_or(('\\', after));
        out.push(c);
        rest = behind;
    }
    out.push_str(rest);
    let is_exact = escape(&out).as_deref() == Some(local);
    is_exact.then_some(Cow::Owned(out)).ok_or(Reject::User)
}

/// Decodes percent-encoded UTF-8.
fn percent_decode(text: &str) -> Result<Cow<'_, str>, Reject> {
    if !text.contains('%') {
        return Ok(Cow::Borrowed(text));
    }
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&octet, after)) = rest.split_first() {
        let (value, behind) = match octet {
            b'%' => hex_octet(after).ok_or(Reject::NotUtf8)?,
            octet => (octet, after),
        };
        octets.push(value);
        rest = behind;
    }
    let decoded = String::from_utf8(octets).map_err(|_| Reject::NotUtf8)?;
    Ok(Cow::Owned(decoded))
}

/// `unreserved / user-unreserved`.
const fn is_user(octet: u8) -> bool {
    is_unreserved(octet) || matches!(octet, b'&' | b'=' | b'+' | b'$' | b',' | b';' | b'?' | b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jid_of(uri: &str) -> Result<String, Reject> {
        let uri = SipUri::parse(uri).unwrap();
        to_jid(&uri, uri.param("gr")).map(Jid::into_inner)
    }

    fn uri_of(jid: &str) -> Result<String, Reject> {
        let uri = to_sip(&Jid::new(jid).unwrap(), Spelling::Plain)?;
        Ok(uri.as_str().to_owned())
    }

    #[test]
    fn only_addresses_of_users_have_a_jid() {
        assert_eq!(jid_of("tel:+14155550100"), Err(Reject::Scheme));
        assert_eq!(jid_of("urn:service:sos"), Err(Reject::Scheme));
        assert_eq!(jid_of("sips:a@sip.example"), Err(Reject::Secure));
        assert_eq!(jid_of("sip:a:b@sip.example"), Err(Reject::Password));
        assert_eq!(jid_of("sip:a%FC@sip.example"), Err(Reject::NotUtf8));
        assert_eq!(jid_of("sip:a%0d%0aVia@sip.example"), Err(Reject::User));
        assert_eq!(jid_of("sip:%20a@sip.example"), Err(Reject::User));
        assert_eq!(jid_of("sip:a@[2001:db8::1]"), Err(Reject::Host));
        assert_eq!(jid_of("im:Bob@SIP.example").unwrap(), "bob@sip.example");
        assert_eq!(
            jid_of("pres:bob@xn--exmple-cua.de").unwrap(),
            "bob@ex\u{e4}mple.de"
        );
    }

    #[test]
    fn parameters_other_than_gr_are_not_carried() {
        assert_eq!(
            jid_of("sip:a@sip.example:5061;transport=tls;gr;opaque=x").unwrap(),
            "a@sip.example"
        );
        assert_eq!(
            jid_of("sip:a@sip.example;GR=B%C3%BCro%201").unwrap(),
            "a@sip.example/B\u{fc}ro 1"
        );
    }

    #[test]
    fn a_jid_that_would_come_back_as_another_user_is_rejected() {
        for local in ["\\20a", "a\\20", "\\5cfoo", "a\\5c"] {
            assert_eq!(uri_of(&format!("{local}@xmpp.example")), Err(Reject::User));
        }
        assert_eq!(
            uri_of("foo\\bar@xmpp.example").unwrap(),
            "sip:foo%5Cbar@xmpp.example"
        );
    }

    #[test]
    fn a_jid_that_is_not_its_own_prepared_form_is_rejected() {
        let bold = "\u{1d2c}lice@x.example";
        assert_ne!(Jid::new(bold).unwrap().as_str(), "alice@x.example");

        assert_eq!(uri_of(bold), Err(Reject::User));
        assert_eq!(jid_of("sip:%E1%B4%AClice@x.example"), Err(Reject::User));
    }

    #[test]
    fn an_escape_in_capitals_is_escaped_too() {
        assert_eq!(
            jid_of("sip:a%5C2Fb@x.example").unwrap(),
            "a\\5c2fb@x.example"
        );
    }

    #[test]
    fn the_strict_spelling_leaves_nothing_to_cut_at() {
        let jid = Jid::new("a;b=c\\2fd?@xmpp.example").unwrap();

        let uri = to_sip(&jid, Spelling::Strict).unwrap();

        assert_eq!(uri.as_str(), "sip:a%3Bb=c%2Fd%3F@xmpp.example");
        assert_eq!(to_bare_jid(&uri).map(Jid::from), Ok(jid));
    }

    #[test]
    fn presence_documents_name_users_by_pres_uris() {
        let uri = |jid| to_pres(&BareJid::new(jid).unwrap());
        assert_eq!(uri("romeo@example.net").unwrap(), "pres:romeo@example.net");
        assert_eq!(
            uri("o\\27m;a?(\\22\u{e9}@ex\u{e4}mple.de").unwrap(),
            "pres:o'm%3Ba%3F%28%22%C3%A9@xn--exmple-cua.de"
        );
        assert_eq!(uri("example.net").unwrap(), "pres:example.net");
    }

    #[test]
    fn an_aor_with_an_instance_is_a_uri_with_gr() {
        let aor = Aor::from_image(BareJid::new("o\\27malley@sip.example").unwrap());

        let uri = aor_to_sip(&aor, Some("x;y"), Spelling::Plain).unwrap();

        assert_eq!(uri.as_str(), "sip:o'malley@sip.example;gr=x%3By");
    }
}
