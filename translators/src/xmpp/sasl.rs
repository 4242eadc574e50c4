//! SASL EXTERNAL in both roles (RFC 6120 section 6, XEP-0178).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minidom::Element;

use super::ns;
use super::writer::XmlWriter;
use crate::model::Domain;

/// The one mechanism spoken here.
pub const EXTERNAL: &str = "EXTERNAL";

/// Why a SASL attempt failed (RFC 6120 section 6.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SaslFailure {
    /// Given up by the initiator.
    #[error("aborted")]
    Aborted,
    /// Not Base64, or not UTF-8 in it.
    #[error("incorrect-encoding")]
    IncorrectEncoding,
    /// Another domain than the one the stream is from.
    #[error("invalid-authzid")]
    InvalidAuthzid,
    /// Another mechanism than EXTERNAL, or EXTERNAL that was not offered.
    #[error("invalid-mechanism")]
    InvalidMechanism,
    /// Not understood.
    #[error("malformed-request")]
    MalformedRequest,
    /// The certificate does not prove the domain.
    #[error("not-authorized")]
    NotAuthorized,
    /// Another reason of the peer.
    #[error("another reason")]
    Other,
    /// Try again later.
    #[error("temporary-auth-failure")]
    Temporary,
}

impl SaslFailure {
    /// Reads a `failure` element of the peer.
    pub fn read(element: &Element) -> Self {
        let reason = element.children().find(|child| child.name() != "text");
        match reason.map(Element::name) {
            Some("aborted") => Self::Aborted,
            Some("incorrect-encoding") => Self::IncorrectEncoding,
            Some("invalid-authzid") => Self::InvalidAuthzid,
            Some("invalid-mechanism") => Self::InvalidMechanism,
            Some("malformed-request") => Self::MalformedRequest,
            Some("not-authorized") => Self::NotAuthorized,
            Some("temporary-auth-failure") => Self::Temporary,
            Some(_) | None => Self::Other,
        }
    }

    /// Writes the `failure` element.
    pub(super) fn write(self, to: &mut XmlWriter) {
        let condition = if self == Self::Other {
            Self::NotAuthorized
        } else {
            self
        };
        to.open("failure", Some(ns::SASL));
        to.leaf(&condition.to_string(), ns::SASL);
        to.close();
    }
}

/// Judges the initiator's `auth` element on a stream from `from` whose certificate was found good.
///
/// An authorization identity is optional: absent, empty (`=`) or the domain itself (XEP-0178 section 3).
pub fn authorize(auth: &Element, from: &Domain) -> Result<(), SaslFailure> {
    match auth.attr("mechanism") {
        Some(EXTERNAL) => {}
        Some(_) => return Err(SaslFailure::InvalidMechanism),
        None => return Err(SaslFailure::MalformedRequest),
    }
    match authzid(&auth.text())?.as_str() {
        "" => Ok(()),
        name if Domain::parse(name).is_some_and(|domain| domain == *from) => Ok(()),
        _ => Err(SaslFailure::InvalidAuthzid),
    }
}

/// Decodes an initial response. Openfire tolerates white space around it, so that is done here too.
fn authzid(encoded: &str) -> Result<String, SaslFailure> {
    let encoded = encoded.trim_ascii();
    if encoded == "=" {
        return Ok(String::new());
    }
    let decoded = STANDARD
        .decode(encoded)
        .map_err(|_| SaslFailure::IncorrectEncoding)?;
    String::from_utf8(decoded).map_err(|_| SaslFailure::IncorrectEncoding)
}

/// Encodes our authorization identity, or the empty one (RFC 6120 section 6.4.2).
pub fn initial_response(authzid: Option<&Domain>) -> String {
    authzid.map_or_else(
        || "=".to_owned(),
        |domain| STANDARD.encode(domain.to_ascii()),
    )
}

/// Tells whether a peer's features offer EXTERNAL.
pub fn offers_external(features: &Element) -> bool {
    let mechanisms = features.get_child("mechanisms", ns::SASL);
    mechanisms.is_some_and(|list| {
        let mut offered = list
            .children()
            .filter(|child| child.is("mechanism", ns::SASL));
        offered.any(|mechanism| mechanism.text().trim_ascii() == EXTERNAL)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auth(mechanism: &str, text: &str) -> Element {
        format!(
            "<auth xmlns='{}' mechanism='{mechanism}'>{text}</auth>",
            ns::SASL
        )
        .parse()
        .unwrap()
    }

    #[test]
    fn the_authzid_is_empty_or_the_domain() {
        let from = Domain::parse("xmpp.example").unwrap();

        for text in [
            "",
            "=",
            "eG1wcC5leGFtcGxl",
            "eG1wcC5leGFtcGxl\n",
            "WE1QUC5FWEFNUExF",
        ] {
            assert_eq!(authorize(&auth(EXTERNAL, text), &from), Ok(()), "{text:?}");
        }
        for (text, failure) in [
            ("b3RoZXIuZXhhbXBsZQ==", SaslFailure::InvalidAuthzid),
            ("dXNlckB4bXBwLmV4YW1wbGU=", SaslFailure::InvalidAuthzid),
            ("eG1wcC5leGFtcGxl=", SaslFailure::IncorrectEncoding),
            ("eG1w cC5leGFtcGxl", SaslFailure::IncorrectEncoding),
            ("!!!", SaslFailure::IncorrectEncoding),
            ("/w==", SaslFailure::IncorrectEncoding),
        ] {
            assert_eq!(
                authorize(&auth(EXTERNAL, text), &from),
                Err(failure),
                "{text:?}"
            );
        }
        assert_eq!(
            authorize(&auth("PLAIN", "="), &from),
            Err(SaslFailure::InvalidMechanism)
        );
        let without: Element = format!("<auth xmlns='{}'/>", ns::SASL).parse().unwrap();
        assert_eq!(
            authorize(&without, &from),
            Err(SaslFailure::MalformedRequest)
        );
    }

    #[test]
    fn our_response_names_the_domain_in_ascii() {
        let domain = Domain::parse("exämple.de").unwrap();

        assert_eq!(
            initial_response(Some(&domain)),
            STANDARD.encode("xn--exmple-cua.de")
        );
        assert_eq!(initial_response(None), "=");
    }

    #[test]
    fn empty_mechanisms_offer_nothing() {
        for (list, expected) in [
            ("", false),
            (
                "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
                false,
            ),
            (
                "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms>",
                false,
            ),
            (
                "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism>\
                 <mechanism>EXTERNAL</mechanism></mechanisms>",
                true,
            ),
        ] {
            let features = format!("<features xmlns='{}'>{list}</features>", ns::STREAMS)
                .parse()
                .unwrap();
            assert_eq!(offers_external(&features), expected, "{list}");
        }
    }
}
