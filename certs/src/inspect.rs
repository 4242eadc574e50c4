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

use crate::limits::{MAX_CERTIFICATE, MAX_LISTED, MAX_NAMES, MAX_SHOWN};
use crate::names::Name;
use crate::time;

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
            not_before: time::at(parsed.validity().not_before.timestamp()),
            not_after: time::at(parsed.validity().not_after.timestamp()),
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
        writeln!(f, "valid from    {}", time::shown(self.not_before))?;
        writeln!(f, "valid until   {}", time::shown(self.not_after))?;
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
