//! Subject alternative names: what a certificate says its holder is called.
//!
//! rcgen writes every otherName as UTF8String, but an SRVName is an IA5String (RFC 4985 section 2), so the
//! whole extension is written here.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use rcgen::CustomExtension;
use x509_parser::asn1_rs::{Any, Class, FromDer, Tag};
use x509_parser::extensions::GeneralName;
use yasna::models::ObjectIdentifier;

/// One subject alternative name of a kind that matters to federation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    /// dNSName: a host or domain, its left-most label may be `*`.
    Dns(String),
    /// iPAddress.
    Ip(IpAddr),
    /// uniformResourceIdentifier of scheme `sip` or `sips`, in full (RFC 5922 section 7.1).
    SipUri(String),
    /// SRVName, in full: `_xmpp-server.` and the domain (RFC 4985).
    Srv(String),
    /// id-on-xmppAddr: a JID, here always a domain (RFC 6120 section 13.7.1.4).
    XmppAddr(String),
}

/// Why a text is no [`Name`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameFault {
    /// Nothing stands behind the kind.
    #[error("the name is empty")]
    Empty,
    /// White space or a control character.
    #[error("the name holds white space or a control character")]
    Space,
    /// A kind of name that is ASCII only; international domains are written as A-labels.
    #[error("the name is not ASCII; write international domains as A-labels (xn--...)")]
    NotAscii,
    /// `ip:` without an address.
    #[error("the name is no IP address")]
    NotAnAddress,
    /// A dNSName with characters that no domain has.
    #[error(
        "the name is no domain; dns, srv, xmpp, sip and ip are the kinds that can be written in front"
    )]
    NotADomain,
    /// A SIP URI that does not begin with its scheme.
    #[error("a SIP URI begins with its scheme, as in sip:example.net")]
    NoScheme,
    /// An SRVName that does not begin with an underscore.
    #[error("an SRVName begins with its service, as in _xmpp-server.example.net")]
    NoService,
}

impl Name {
    /// The bare text, without the kind.
    pub fn text(&self) -> String {
        match self {
            Self::Dns(text) | Self::SipUri(text) | Self::Srv(text) | Self::XmppAddr(text) => {
                text.clone()
            }
            Self::Ip(address) => address.to_string(),
        }
    }

    /// Reads a general name; `None` for the kinds that do not matter here and for what is broken.
    pub(crate) fn from_general(name: &GeneralName<'_>) -> Option<Self> {
        match name {
            GeneralName::DNSName(text) => Some(Self::Dns((*text).to_owned())),
            GeneralName::IPAddress(bytes) => address(bytes).map(Self::Ip),
            GeneralName::URI(text) => is_sip(text).then(|| Self::SipUri((*text).to_owned())),
            GeneralName::OtherName(kind, value) => {
                let text = inner_text(value)?;
                match kind.to_id_string().as_str() {
                    "1.3.6.1.5.5.7.8.5" => Some(Self::XmppAddr(text)),
                    "1.3.6.1.5.5.7.8.7" => Some(Self::Srv(text)),
                    _ => None,
                }
            }
            GeneralName::RFC822Name(_)
            | GeneralName::X400Address(_)
            | GeneralName::DirectoryName(_)
            | GeneralName::EDIPartyName(_)
            | GeneralName::RegisteredID(_)
            | GeneralName::Invalid(..) => None,
        }
    }

    /// Whether this name can be written into a certificate.
    fn check(&self) -> Result<(), NameFault> {
        match self {
            Self::Dns(text) => domain(text),
            Self::SipUri(text) if is_sip(text) => ascii(text),
            Self::SipUri(_) => Err(NameFault::NoScheme),
            Self::Srv(text) if text.starts_with('_') => ascii(text),
            Self::Srv(_) => Err(NameFault::NoService),
            Self::XmppAddr(text) => visible(text),
            Self::Ip(_) => Ok(()),
        }
    }

    /// Writes this name as a GeneralName (RFC 5280 section 4.2.1.6).
    fn write(&self, writer: yasna::DERWriter<'_>) {
        match self {
            Self::Dns(text) => {
                writer.write_tagged_implicit(yasna::Tag::context(2), |w| w.write_ia5_string(text))
            }
            Self::SipUri(text) => {
                writer.write_tagged_implicit(yasna::Tag::context(6), |w| w.write_ia5_string(text))
            }
            Self::Ip(IpAddr::V4(address)) => writer
                .write_tagged_implicit(yasna::Tag::context(7), |w| {
                    w.write_bytes(&address.octets())
                }),
            Self::Ip(IpAddr::V6(address)) => writer
                .write_tagged_implicit(yasna::Tag::context(7), |w| {
                    w.write_bytes(&address.octets())
                }),
            Self::XmppAddr(text) => {
                write_other_name(writer, XMPP_ADDR, |w| w.write_utf8_string(text));
            }
            Self::Srv(text) => write_other_name(writer, SRV_NAME, |w| w.write_ia5_string(text)),
        }
    }
}

/// Writes the kind in front: `dns:`, `ip:`, `srv:`, `xmpp:`; a SIP URI brings its own.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(text) => write!(f, "dns:{text}"),
            Self::Ip(address) => write!(f, "ip:{address}"),
            Self::SipUri(text) => f.write_str(text),
            Self::Srv(text) => write!(f, "srv:{text}"),
            Self::XmppAddr(text) => write!(f, "xmpp:{text}"),
        }
    }
}

/// Reads what [`Name`]'s `Display` writes; a text without kind is a dNSName.
impl FromStr for Name {
    type Err = NameFault;

    fn from_str(text: &str) -> Result<Self, NameFault> {
        let name = match text.split_once(':') {
            Some(("dns", rest)) => Self::Dns(rest.to_owned()),
            Some(("ip", rest)) => Self::Ip(rest.parse().map_err(|_| NameFault::NotAnAddress)?),
            Some(("srv", rest)) => Self::Srv(rest.to_owned()),
            Some(("xmpp", rest)) => Self::XmppAddr(rest.to_owned()),
            Some((_, _)) if is_sip(text) => Self::SipUri(text.to_owned()),
            Some((_, _)) | None => Self::Dns(text.to_owned()),
        };
        name.check()?;
        Ok(name)
    }
}

/// Writes the subjectAltName extension for `names` (RFC 5280 section 4.2.1.6).
///
/// # Errors
/// The first name that cannot be written, with its place in `names`.
pub(crate) fn extension(names: &[Name]) -> Result<CustomExtension, (usize, NameFault)> {
    for (place, name) in names.iter().enumerate() {
        name.check().map_err(|fault| (place, fault))?;
    }
    let der = yasna::construct_der(|writer| {
        writer.write_sequence(|writer| {
            for name in names {
                name.write(writer.next());
            }
        });
    });
    Ok(CustomExtension::from_oid_content(SUBJECT_ALT_NAME, der))
}

/// Writes an otherName: its kind and, explicitly tagged, its value.
fn write_other_name(
    writer: yasna::DERWriter<'_>,
    kind: &[u64],
    value: impl FnOnce(yasna::DERWriter<'_>),
) {
    writer.write_tagged_implicit(yasna::Tag::context(0), |writer| {
        writer.write_sequence(|writer| {
            writer.next().write_oid(&ObjectIdentifier::from_slice(kind));
            writer.next().write_tagged(yasna::Tag::context(0), value);
        });
    });
}

/// Reads the string inside an otherName's explicit tag.
fn inner_text(der: &[u8]) -> Option<String> {
    let (_, outer) = Any::from_der(der).ok()?;
    if outer.class() != Class::ContextSpecific || outer.tag() != Tag(0) {
        return None;
    }
    let (_, inner) = Any::from_der(outer.data).ok()?;
    if ![Tag::Utf8String, Tag::Ia5String].contains(&inner.tag()) {
        return None;
    }
    std::str::from_utf8(inner.data).ok().map(str::to_owned)
}

/// Reads the octets of an iPAddress.
fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(|octets| Ipv4Addr::from(octets).into());
    let v6 = <[u8; 16]>::try_from(bytes).map(|octets| Ipv6Addr::from(octets).into());
    v4.or(v6).ok()
}

/// Whether a URI's scheme is `sip` or `sips`, with something behind it.
fn is_sip(uri: &str) -> bool {
    uri.split_once(':').is_some_and(|(scheme, rest)| {
        let schemes = ["sip", "sips"];
        schemes
            .iter()
            .any(|known| scheme.eq_ignore_ascii_case(known))
            && !rest.is_empty()
    })
}

/// Refuses what cannot stand in an IA5String here.
fn ascii(text: &str) -> Result<(), NameFault> {
    if !text.is_ascii() {
        return Err(NameFault::NotAscii);
    }
    visible(text)
}

/// Refuses what cannot be a dNSName, wildcards included.
fn domain(text: &str) -> Result<(), NameFault> {
    ascii(text)?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.*".contains(c);
    if text.chars().all(allowed) {
        Ok(())
    } else {
        Err(NameFault::NotADomain)
    }
}

/// Refuses an empty text and one that holds white space or control characters.
fn visible(text: &str) -> Result<(), NameFault> {
    if text.is_empty() {
        return Err(NameFault::Empty);
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(NameFault::Space);
    }
    Ok(())
}

/// id-ce-subjectAltName.
const SUBJECT_ALT_NAME: &[u64] = &[2, 5, 29, 17];
/// id-on-xmppAddr (RFC 6120 section 13.7.1.4).
const XMPP_ADDR: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 8, 5];
/// id-on-dnsSRV (RFC 4985 section 2).
const SRV_NAME: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 8, 7];

#[cfg(test)]
mod tests {
    use x509_parser::extensions::SubjectAlternativeName;

    use super::*;

    fn read_back(names: &[Name]) -> Vec<Name> {
        let extension = extension(names).unwrap();
        let (_, san) = SubjectAlternativeName::from_der(extension.content()).unwrap();
        san.general_names
            .iter()
            .filter_map(Name::from_general)
            .collect()
    }

    #[test]
    fn every_kind_survives_the_extension() {
        let names: Vec<Name> = [
            "xmpp.example",
            "dns:*.xmpp.example",
            "srv:_xmpp-server.xmpp.example",
            "xmpp:xmpp.example",
            "sip:sip.example",
            "ip:192.0.2.1",
            "ip:2001:db8::1",
        ]
        .iter()
        .map(|text| text.parse().unwrap())
        .collect();

        assert_eq!(read_back(&names), names);
    }

    #[test]
    fn what_is_printed_reads_back() {
        for text in [
            "dns:a.example",
            "srv:_xmpp-server.a",
            "xmpp:a",
            "sip:a",
            "ip:::1",
        ] {
            assert_eq!(text.parse::<Name>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn srv_name_is_an_ia5_string() {
        let extension = extension(&[Name::Srv("_xmpp-server.a".into())]).unwrap();

        let ia5 = [&[0x16, 14], "_xmpp-server.a".as_bytes()].concat();
        assert!(extension.content().windows(16).any(|bytes| bytes == ia5));
    }

    #[test]
    fn refuses_what_cannot_be_written() {
        let parse = |text: &str| text.parse::<Name>().unwrap_err();

        assert_eq!(parse(""), NameFault::Empty);
        assert_eq!(parse("sip:"), NameFault::NotADomain);
        assert_eq!(parse("https://a.example"), NameFault::NotADomain);
        assert_eq!(
            extension(&[Name::SipUri("a.example".into())]).unwrap_err(),
            (0, NameFault::NoScheme)
        );
        assert_eq!(parse("a b"), NameFault::Space);
        assert_eq!(parse("dns:b\u{fc}cher.example"), NameFault::NotAscii);
        assert_eq!(parse("ip:here"), NameFault::NotAnAddress);
        assert_eq!(parse("srv:xmpp.example"), NameFault::NoService);
        assert_eq!(
            extension(&[Name::Dns("ok".into()), Name::Dns(String::new())]).unwrap_err(),
            (1, NameFault::Empty)
        );
    }

    #[test]
    fn other_kinds_and_broken_values_are_no_names() {
        let mail = GeneralName::RFC822Name("a@b");
        let web = GeneralName::URI("https://a.example");
        let short = GeneralName::IPAddress(&[1, 2, 3]);

        for name in [mail, web, short] {
            assert_eq!(Name::from_general(&name), None);
        }
        assert_eq!(inner_text(&[0xa0, 0x03, 0x04, 0x01, 0x41]), None);
        assert_eq!(inner_text(&[0xa0, 0x7f]), None);
        assert_eq!(inner_text(&[]), None);
    }
}
