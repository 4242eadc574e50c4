//! The facts of one certificate.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, UnixTime};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{DistributionPointName, GeneralName, ParsedExtension};
use x509_parser::public_key::PublicKey;
use x509_parser::x509::{SubjectPublicKeyInfo, X509Name};

use crate::dates;
use crate::limits::{MAX_CERTIFICATE, MAX_LISTED, MAX_NAMES, MAX_SHOWN};
use crate::names::Name;

/// What a certificate says, as far as federation cares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Subject, as text.
    pub subject: String,
    /// Issuer, as text.
    pub issuer: String,
    /// Common names of the subject; more than one is suspicious.
    pub common_names: Vec<String>,
    /// Serial number, in hexadecimal digits.
    pub serial: String,
    /// Subject alternative names of the kinds that matter, at most [`crate::MAX_NAMES`].
    pub names: Vec<Name>,
    /// Whether there is a subjectAltName extension at all, even with other kinds of names only.
    pub has_san: bool,
    /// First second of validity.
    pub not_before: UnixTime,
    /// Last second of validity.
    pub not_after: UnixTime,
    /// Extended key usages; empty if the certificate does not limit its use.
    pub purposes: Vec<Purpose>,
    /// The public key.
    pub key: Key,
    /// How the issuer signed.
    pub signature: Signature,
    /// Whether the certificate is a CA's.
    pub is_ca: bool,
    /// Whether subject and issuer are the same.
    pub self_issued: bool,
    /// Whether the issuer limits the names below it (RFC 5280 section 4.2.1.10).
    pub has_name_constraints: bool,
    /// Where the issuer publishes its revocation list.
    pub crl_urls: Vec<String>,
    /// Hash of the public key.
    pub pin: Pin,
    /// SHA-256 of the whole certificate.
    pub fingerprint: [u8; 32],
}

/// Why bytes are no certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Neither PEM nor DER of a certificate, or an extension is broken.
    #[error("it is not a readable X.509 certificate")]
    Malformed,
    /// PEM without any certificate.
    #[error("there is no certificate in it")]
    Missing,
    /// More than [`crate::MAX_CERTIFICATE`] bytes.
    #[error("the certificate is larger than {MAX_CERTIFICATE} bytes")]
    TooLarge,
}

impl Facts {
    /// Reads one certificate.
    ///
    /// # Errors
    /// See [`Unreadable`].
    pub fn read(certificate: &CertificateDer<'_>) -> Result<Self, Unreadable> {
        if certificate.len() > MAX_CERTIFICATE {
            return Err(Unreadable::TooLarge);
        }
        let (_, parsed) =
            x509_parser::parse_x509_certificate(certificate).map_err(|_| Unreadable::Malformed)?;
        Self::from_parsed(&parsed, certificate)
    }

    /// Reads every certificate of a PEM text, leaf first.
    ///
    /// # Errors
    /// See [`Unreadable`].
    pub fn read_pem(pem: &[u8]) -> Result<Vec<Self>, Unreadable> {
        chain_from_pem(pem)?.iter().map(Self::read).collect()
    }

    /// Whether its key is too short to sign anything (RSA below 2048 bits, DSA).
    pub const fn has_weak_key(&self) -> bool {
        match self.key {
            Key::Rsa(bits) => bits < SHORTEST_RSA,
            Key::Dsa => true,
            Key::Ec(_) | Key::Ed25519 | Key::Unknown => false,
        }
    }

    /// Whether the signature on it proves nothing any more (SHA-1, MD5).
    pub fn has_weak_signature(&self) -> bool {
        self.signature == Signature::Sha1
    }

    /// Takes the facts out of a parsed certificate.
    fn from_parsed(
        parsed: &X509Certificate<'_>,
        der: &CertificateDer<'_>,
    ) -> Result<Self, Unreadable> {
        let malformed = |_| Unreadable::Malformed;
        let san = parsed.subject_alternative_name().map_err(malformed)?;
        let names = san.map(|san| &san.value.general_names);
        let eku = parsed.extended_key_usage().map_err(malformed)?;
        let constraints = parsed.name_constraints().map_err(malformed)?;
        Ok(Self {
            subject: shown_name(parsed.subject()),
            issuer: shown_name(parsed.issuer()),
            common_names: common_names(parsed.subject()),
            serial: hex(parsed.raw_serial()),
            has_san: names.is_some(),
            names: names
                .into_iter()
                .flatten()
                .take(MAX_NAMES)
                .filter_map(Name::from_general)
                .collect(),
            not_before: dates::at(parsed.validity().not_before.timestamp()),
            not_after: dates::at(parsed.validity().not_after.timestamp()),
            purposes: eku.map(|eku| purposes(eku.value)).unwrap_or_default(),
            key: Key::read(parsed.public_key()),
            signature: Signature::read(&parsed.signature_algorithm.algorithm.to_id_string()),
            is_ca: parsed.is_ca(),
            self_issued: parsed.subject().as_raw() == parsed.issuer().as_raw(),
            has_name_constraints: constraints.is_some(),
            crl_urls: crl_urls(parsed),
            pin: Pin::of(parsed.public_key().raw),
            fingerprint: sha256(der),
        })
    }
}

/// Writes one fact a line, for `cert inspect`.
impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "subject       {}", self.subject)?;
        writeln!(f, "issuer        {}", self.issuer)?;
        writeln!(f, "serial        {}", self.serial)?;
        for name in &self.names {
            writeln!(f, "name          {}", printable(&name.to_string()))?;
        }
        writeln!(f, "valid from    {}", dates::shown(self.not_before))?;
        writeln!(f, "valid until   {}", dates::shown(self.not_after))?;
        let purposes: Vec<String> = self.purposes.iter().map(ToString::to_string).collect();
        let purposes = if purposes.is_empty() {
            "any".to_owned()
        } else {
            purposes.join(", ")
        };
        writeln!(f, "purposes      {purposes}")?;
        writeln!(f, "key           {}", self.key)?;
        writeln!(f, "signature     {}", self.signature)?;
        writeln!(f, "CA            {}", if self.is_ca { "yes" } else { "no" })?;
        for url in &self.crl_urls {
            writeln!(f, "CRL           {url}")?;
        }
        writeln!(f, "pin           {}", self.pin)?;
        write!(f, "fingerprint   {}", hex(&self.fingerprint))
    }
}

/// What a certificate may be used for (RFC 5280 section 4.2.1.12).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// To be the server of a TLS connection.
    ServerAuth,
    /// To be the client of a TLS connection.
    ClientAuth,
    /// To sign and encrypt mail.
    EmailProtection,
    /// Anything else, also `anyExtendedKeyUsage`.
    Other,
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ServerAuth => "serverAuth",
            Self::ClientAuth => "clientAuth",
            Self::EmailProtection => "emailProtection",
            Self::Other => "other",
        })
    }
}

/// The kind of public key, with its size in bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// DSA: no TLS library of today takes it.
    Dsa,
    /// A key on a NIST curve.
    Ec(usize),
    /// Ed25519.
    Ed25519,
    /// RSA.
    Rsa(usize),
    /// Something else.
    Unknown,
}

impl Key {
    /// Reads a subjectPublicKeyInfo.
    fn read(info: &SubjectPublicKeyInfo<'_>) -> Self {
        if info.algorithm.algorithm.to_id_string() == "1.3.101.112" {
            return Self::Ed25519;
        }
        match info.parsed() {
            Ok(PublicKey::RSA(rsa)) => Self::Rsa(bits(rsa.modulus)),
            Ok(PublicKey::EC(point)) => Self::Ec(curve_bits(point.key_size())),
            Ok(PublicKey::DSA(_)) => Self::Dsa,
            Ok(PublicKey::GostR3410(_) | PublicKey::GostR3410_2012(_) | PublicKey::Unknown(_))
            | Err(_) => Self::Unknown,
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dsa => f.write_str("DSA"),
            Self::Ec(bits) => write!(f, "ECDSA P-{bits}"),
            Self::Ed25519 => f.write_str("Ed25519"),
            Self::Rsa(bits) => write!(f, "RSA {bits}"),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

/// How a certificate is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signature {
    /// ECDSA with SHA-256 or better, or Ed25519.
    Ecdsa,
    /// RSA with PKCS #1 v1.5 padding and SHA-256 or better.
    Rsa,
    /// RSASSA-PSS, which Lync and Skype for Business do not take.
    RsaPss,
    /// Any algorithm with SHA-1 or MD5, which no peer should take.
    Sha1,
    /// Something else.
    Unknown,
}

impl Signature {
    /// Reads the dotted object identifier of a signature algorithm.
    fn read(algorithm: &str) -> Self {
        match algorithm {
            "1.2.840.113549.1.1.4"
            | "1.2.840.113549.1.1.5"
            | "1.3.14.3.2.29"
            | "1.2.840.10040.4.3"
            | "1.2.840.10045.4.1" => Self::Sha1,
            "1.2.840.113549.1.1.10" => Self::RsaPss,
            "1.2.840.113549.1.1.11" | "1.2.840.113549.1.1.12" | "1.2.840.113549.1.1.13" => {
                Self::Rsa
            }
            "1.2.840.10045.4.3.2"
            | "1.2.840.10045.4.3.3"
            | "1.2.840.10045.4.3.4"
            | "1.3.101.112" => Self::Ecdsa,
            _ => Self::Unknown,
        }
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ecdsa => "ECDSA",
            Self::Rsa => "RSA",
            Self::RsaPss => "RSASSA-PSS",
            Self::Sha1 => "SHA-1 or MD5",
            Self::Unknown => "unknown",
        })
    }
}

/// SHA-256 of a subjectPublicKeyInfo, written `sha256/` and Base64 (the form of RFC 7469 section 2.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pin([u8; 32]);

impl Pin {
    /// The pin of a public key, given as DER of its subjectPublicKeyInfo.
    pub fn of(public_key: &[u8]) -> Self {
        Self(sha256(public_key))
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256/{}", STANDARD.encode(self.0))
    }
}

/// A text that is no [`Pin`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a pin is written sha256/ and the Base64 of 32 bytes")]
pub struct NotAPin;

impl std::str::FromStr for Pin {
    type Err = NotAPin;

    fn from_str(text: &str) -> Result<Self, NotAPin> {
        let encoded = text.strip_prefix("sha256/").ok_or(NotAPin)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| NotAPin)?;
        bytes.try_into().map(Self).map_err(|_| NotAPin)
    }
}

/// Reads the certificates of a PEM text, in order.
///
/// # Errors
/// See [`Unreadable`].
pub(crate) fn chain_from_pem(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Unreadable> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|_| Unreadable::Malformed)?;
    if chain.is_empty() {
        return Err(Unreadable::Missing);
    }
    Ok(chain)
}

/// Makes a text from outside safe for logs and terminals: escaped and cut.
pub(crate) fn printable(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(MAX_SHOWN)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    if text.chars().nth(MAX_SHOWN).is_some() {
        shown.push_str("...");
    }
    shown
}

/// Lists names for a sentence: the first few, and how many more there are.
pub(crate) fn listed(names: &[String]) -> String {
    let mut shown: Vec<String> = names
        .iter()
        .take(MAX_LISTED)
        .map(|name| printable(name))
        .collect();
    match names.len().saturating_sub(MAX_LISTED) {
        0 if names.is_empty() => "no name".to_owned(),
        0 => shown.join(", "),
        more => {
            shown.push(format!("and {more} more"));
            shown.join(", ")
        }
    }
}

/// SHA-256 of some bytes.
fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}

/// A distinguished name as safe text.
fn shown_name(name: &X509Name<'_>) -> String {
    printable(&name.to_string())
}

/// The common names of a distinguished name.
pub(crate) fn common_names(name: &X509Name<'_>) -> Vec<String> {
    name.iter_common_name()
        .filter_map(|attribute| attribute.as_str().ok())
        .map(str::to_owned)
        .collect()
}

/// The purposes of an extended key usage extension; never empty.
fn purposes(eku: &x509_parser::extensions::ExtendedKeyUsage<'_>) -> Vec<Purpose> {
    let mut purposes = Vec::new();
    if eku.server_auth {
        purposes.push(Purpose::ServerAuth);
    }
    if eku.client_auth {
        purposes.push(Purpose::ClientAuth);
    }
    if eku.email_protection {
        purposes.push(Purpose::EmailProtection);
    }
    let others = [
        eku.any,
        eku.code_signing,
        eku.time_stamping,
        eku.ocsp_signing,
    ];
    if others.contains(&true) || !eku.other.is_empty() || purposes.is_empty() {
        purposes.push(Purpose::Other);
    }
    purposes
}

/// The URLs of the CRL distribution points.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "foreign enums of which one variant each is wanted"
)]
fn crl_urls(parsed: &X509Certificate<'_>) -> Vec<String> {
    parsed
        .extensions()
        .iter()
        .filter_map(|extension| match extension.parsed_extension() {
            ParsedExtension::CRLDistributionPoints(points) => Some(points.iter()),
            _ => None,
        })
        .flatten()
        .filter_map(|point| match &point.distribution_point {
            Some(DistributionPointName::FullName(names)) => Some(names),
            Some(DistributionPointName::NameRelativeToCRLIssuer(_)) | None => None,
        })
        .flatten()
        .filter_map(|name| match name {
            GeneralName::URI(url) => Some(printable(url)),
            _ => None,
        })
        .take(MAX_LISTED)
        .collect()
}

/// The length of a big-endian number in bits.
fn bits(number: &[u8]) -> usize {
    let significant = number.iter().skip_while(|byte| **byte == 0);
    let zeros = significant
        .clone()
        .next()
        .map_or(0, |byte| byte.leading_zeros());
    significant.count() * 8 - usize::try_from(zeros).unwrap_or(0)
}

/// The size of a curve, from that of its point: P-521 needs 66 whole bytes.
fn curve_bits(point: usize) -> usize {
    if point == 528 { 521 } else { point }
}

/// Bytes as hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bits below which an RSA key is short (NIST SP 800-131A).
const SHORTEST_RSA: usize = 2_048;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::KeyKind;
    use crate::testing::{ca, chain, facts, in_days, now, request};

    #[test]
    fn reads_back_what_was_issued() {
        let authority = ca("Test CA").with_crl_url("http://crl.example/ca.crl");
        let mut wish = request(&["a.example", "sip:a.example"]);
        wish.key_kind = KeyKind::Rsa2048;
        let facts = facts(&authority.issue(&wish).unwrap());

        assert_eq!(facts.subject, "CN=holder");
        assert_eq!(facts.issuer, "CN=Test CA");
        assert_eq!(facts.common_names, ["holder"]);
        assert_eq!(facts.names, wish.names);
        assert_eq!(facts.not_before, in_days(-100));
        assert_eq!(facts.not_after, in_days(100));
        assert_eq!(facts.purposes, [Purpose::ServerAuth, Purpose::ClientAuth]);
        assert_eq!(facts.key, Key::Rsa(2048));
        assert_eq!(facts.signature, Signature::Ecdsa);
        assert_eq!(facts.crl_urls, ["http://crl.example/ca.crl"]);
        assert!(!facts.is_ca && !facts.self_issued && facts.has_san);
        assert_eq!(facts.serial.len(), 32);
    }

    #[test]
    fn prints_a_fact_a_line() {
        let facts = facts(&ca("Test CA").issue(&request(&["a.example"])).unwrap());

        let text = facts.to_string();

        assert!(text.starts_with("subject       CN=holder\nissuer        CN=Test CA\n"));
        assert!(text.contains("\nname          dns:a.example\n"));
        assert!(text.contains("\nvalid until   2027-04-25 08:00 UTC\n"));
        assert!(text.contains("\npurposes      serverAuth, clientAuth\n"));
        assert!(text.contains("\nkey           ECDSA P-256\n"));
        assert!(text.contains(&format!("\npin           {}\n", facts.pin)));
    }

    #[test]
    fn a_ca_is_a_ca() {
        let authority = ca("Test CA");
        let facts = &Facts::read_pem(authority.certificate_pem().as_bytes()).unwrap()[0];

        assert!(facts.is_ca && facts.self_issued && !facts.has_san);
        assert!(facts.purposes.is_empty());
        assert!(facts.not_after > now());
    }

    #[test]
    fn says_why_it_cannot_read() {
        let pem = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let large = CertificateDer::from(vec![0; MAX_CERTIFICATE + 1]);

        assert_eq!(Facts::read_pem(b"hello"), Err(Unreadable::Missing));
        assert_eq!(Facts::read_pem(pem), Err(Unreadable::Malformed));
        assert_eq!(
            Facts::read_pem(b"-----BEGIN CERTIFICATE-----\n"),
            Err(Unreadable::Malformed)
        );
        assert_eq!(Facts::read(&large), Err(Unreadable::TooLarge));
    }

    #[test]
    fn truncated_and_damaged_certificates_never_panic() {
        let der = chain(&ca("CA").issue(&request(&["a.example", "xmpp:a"])).unwrap()).remove(0);
        for length in 0..der.len() {
            let cut = CertificateDer::from(der[..length].to_vec());
            assert_eq!(Facts::read(&cut), Err(Unreadable::Malformed));
        }
        let mut readable = 0;
        for place in 0..der.len() {
            let mut bytes = der.to_vec();
            bytes[place] ^= 0xff;
            readable += usize::from(Facts::read(&CertificateDer::from(bytes)).is_ok());
        }
        // The key and the signature can hold anything.
        assert!(readable > 64 && readable < der.len());
    }

    #[test]
    fn pins_print_and_parse() {
        let pin = Pin::of(b"key");

        assert_eq!(pin.to_string().parse(), Ok(pin));
        assert_eq!("sha1/AAAA".parse::<Pin>(), Err(NotAPin));
        assert_eq!("sha256/AAAA".parse::<Pin>(), Err(NotAPin));
        assert_eq!("sha256/*".parse::<Pin>(), Err(NotAPin));
    }

    #[test]
    fn text_from_outside_is_made_safe_and_short() {
        assert_eq!(
            printable("a\r\n\u{1b}[31mb"),
            "a\u{fffd}\u{fffd}\u{fffd}[31mb"
        );
        assert_eq!(printable(&"x".repeat(500)).len(), MAX_SHOWN + 3);
        let names: Vec<String> = (0..10).map(|n| n.to_string()).collect();
        assert_eq!(listed(&names), "0, 1, 2, 3, 4, 5, 6, 7, and 2 more");
        assert_eq!(listed(&names[..8]), "0, 1, 2, 3, 4, 5, 6, 7");
        assert_eq!(listed(&[]), "no name");
    }

    #[test]
    fn counts_bits() {
        assert_eq!(bits(&[0, 0x80, 0]), 16);
        assert_eq!(bits(&[0x7f]), 7);
        assert_eq!(bits(&[]), 0);
        assert_eq!(curve_bits(528), 521);
    }
}
