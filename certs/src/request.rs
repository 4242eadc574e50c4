//! What a certificate should say: as a wish to our own CA, and as a signing request to another (RFC 2986).

use rcgen::{
    CertificateParams, CrlDistributionPoint, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256, RsaKeySize, SerialNumber,
    SubjectPublicKeyInfo,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateSigningRequestDer, UnixTime};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer as _;

use crate::dates;
use crate::inspect::{Purpose, common_names};
use crate::limits::{MAX_CERTIFICATE, MAX_NAMES};
use crate::names::{self, Name, NameFault};

/// What a certificate should say.
#[derive(Debug, Clone)]
pub struct Request {
    /// The common name of the subject; peers of today look at the names only.
    pub common_name: String,
    /// Subject alternative names.
    pub names: Vec<Name>,
    /// Extended key usages; none means any use. [`BOTH`] is what peers want.
    pub eku: Vec<Purpose>,
    /// The kind of key to make.
    pub key_kind: KeyKind,
    /// First second of validity.
    pub not_before: UnixTime,
    /// Days of validity.
    pub days: u32,
}

/// Both roles of TLS: what every certificate of a federating server should allow.
pub const BOTH: [Purpose; 2] = [Purpose::ServerAuth, Purpose::ClientAuth];

/// A kind of key to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KeyKind {
    /// ECDSA on P-256: fast, and understood by every peer since Openfire 4 and Windows 2008 R2.
    #[default]
    P256,
    /// RSA with 2048 bits, for older peers.
    Rsa2048,
}

impl KeyKind {
    /// Makes a key of this kind from the system's randomness.
    pub(crate) fn generate(self) -> Result<KeyPair, Refused> {
        match self {
            Self::P256 => KeyPair::generate(),
            Self::Rsa2048 => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048),
        }
        .map_err(Refused::Crypto)
    }
}

/// A new key and the request to certify it.
#[derive(Debug)]
pub struct SigningRequest {
    /// The request, as PEM, for the CA.
    pub csr_pem: String,
    /// The private key, as PEM, to be kept.
    pub key_pem: String,
}

/// A certificate with its key.
#[derive(Debug)]
pub struct Issued {
    /// The chain as PEM, leaf first, without the root.
    pub chain_pem: String,
    /// The private key, as PEM.
    pub key_pem: String,
}

/// Why a certificate or a request cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The CA's certificate cannot be used.
    #[error("the CA certificate cannot be read, or is not a CA's")]
    CaUnreadable,
    /// The CA's certificate and key are not of one pair.
    #[error("the CA key does not belong to the CA certificate")]
    CaKeyMismatch,
    /// The key cannot be used.
    #[error("the private key cannot be read")]
    KeyUnreadable,
    /// A name that cannot stand in a certificate.
    #[error("name {place} cannot be used: {fault}", place = .place + 1)]
    Name {
        /// Its place in the list, from zero.
        place: usize,
        /// What is wrong with it.
        fault: NameFault,
    },
    /// A validity that ends beyond the calendar.
    #[error("the validity is out of range")]
    Validity,
    /// The signing request is broken.
    #[error("the signing request cannot be read")]
    RequestUnreadable,
    /// The signing request is not signed by its own key.
    #[error("the signing request is not signed by its own key")]
    RequestForged,
    /// A serial number that is not written in pairs of hexadecimal digits.
    #[error("the serial number is not written in pairs of hexadecimal digits")]
    Serial,
    /// The signing request asks for a kind of name that this CA does not certify.
    #[error(
        "the signing request asks for a kind of name that is not certified here; give the names yourself"
    )]
    UnsupportedName,
    /// The key in the signing request is of an unsupported kind.
    #[error("the key in the signing request is of a kind that is not supported")]
    UnsupportedKey,
    /// The library failed.
    #[error("the certificate could not be made: {0}")]
    Crypto(#[source] rcgen::Error),
}

impl Request {
    /// Makes a key and a signing request for another CA; the validity is that CA's business.
    ///
    /// # Errors
    /// A name that cannot be written, or a failure of the library.
    pub fn signing_request(&self) -> Result<SigningRequest, Refused> {
        let key = self.key_kind.generate()?;
        let mut params = subject(&self.common_name, &self.names)?;
        params.key_usages = key_usages_of(self.key_kind);
        params.extended_key_usages = self.eku.iter().map(purpose).collect();
        let csr = params.serialize_request(&key).map_err(Refused::Crypto)?;
        Ok(SigningRequest {
            csr_pem: csr.pem().map_err(Refused::Crypto)?,
            key_pem: key.serialize_pem(),
        })
    }

    /// Makes a key and a certificate that it signs itself.
    ///
    /// # Errors
    /// A name that cannot be written, a validity out of range, or a failure of the library.
    pub fn self_signed(&self) -> Result<Issued, Refused> {
        let key = self.key_kind.generate()?;
        let params = self.params(key_usages_of(self.key_kind))?;
        let certificate = params.self_signed(&key).map_err(Refused::Crypto)?;
        Ok(Issued {
            chain_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
        })
    }

    /// What rcgen needs for an end-entity certificate.
    pub(crate) fn params(
        &self,
        key_usages: Vec<KeyUsagePurpose>,
    ) -> Result<CertificateParams, Refused> {
        let mut params = subject(&self.common_name, &self.names)?;
        (params.not_before, params.not_after) = validity(self.not_before, self.days)?;
        params.serial_number = Some(serial()?);
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = key_usages;
        params.extended_key_usages = self.eku.iter().map(purpose).collect();
        Ok(params)
    }
}

/// A signing request made elsewhere, reduced to what our CA certifies.
///
/// Of the subject only the common name is taken: free-form attributes have been mistaken for names before.
pub(crate) struct Foreign {
    /// The common name, or the first name if there is none.
    pub(crate) common_name: String,
    /// The names it asks for.
    pub(crate) names: Result<Vec<Name>, Refused>,
    /// Its public key.
    pub(crate) key: SubjectPublicKeyInfo,
    /// What the key can be used for.
    pub(crate) key_usages: Vec<KeyUsagePurpose>,
}

impl Foreign {
    /// Reads a request in PEM and verifies that its own key signed it.
    pub(crate) fn read(pem: &str) -> Result<Self, Refused> {
        // Java's keytool, and so Openfire's administrators, write the label of old.
        let pem = pem.replace("NEW CERTIFICATE REQUEST", "CERTIFICATE REQUEST");
        let der = CertificateSigningRequestDer::from_pem_slice(pem.as_bytes())
            .map_err(|_| Refused::RequestUnreadable)?;
        if der.len() > MAX_CERTIFICATE {
            return Err(Refused::RequestUnreadable);
        }
        let (_, request) =
            X509CertificationRequest::from_der(&der).map_err(|_| Refused::RequestUnreadable)?;
        request
            .verify_signature()
            .map_err(|_| Refused::RequestForged)?;

        let info = &request.certification_request_info;
        let key = SubjectPublicKeyInfo::from_der(info.subject_pki.raw)
            .map_err(|_| Refused::UnsupportedKey)?;
        let rsa = info.subject_pki.algorithm.algorithm.to_id_string() == RSA;
        let names = requested_names(&request);
        let first_name = || {
            names
                .as_ref()
                .ok()
                .and_then(|names| names.first())
                .map(Name::text)
        };
        Ok(Self {
            common_name: common_names(&info.subject)
                .into_iter()
                .next()
                .or_else(first_name)
                .unwrap_or_default(),
            names,
            key,
            key_usages: key_usages_of(if rsa { KeyKind::Rsa2048 } else { KeyKind::P256 }),
        })
    }
}

/// The names that a signing request asks for.
fn requested_names(request: &X509CertificationRequest<'_>) -> Result<Vec<Name>, Refused> {
    let mut names = Vec::new();
    for extension in request.requested_extensions().into_iter().flatten() {
        let ParsedExtension::SubjectAlternativeName(san) = extension else {
            continue;
        };
        let read =
            |name: &GeneralName<'_>| Name::from_general(name).ok_or(Refused::UnsupportedName);
        for name in san.general_names.iter().take(MAX_NAMES) {
            names.push(read(name)?);
        }
    }
    Ok(names)
}

/// Subject and names, the part that certificates and signing requests share.
fn subject(common_name: &str, names: &[Name]) -> Result<CertificateParams, Refused> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    if !names.is_empty() {
        let san =
            names::extension(names).map_err(|(place, fault)| Refused::Name { place, fault })?;
        params.custom_extensions.push(san);
    }
    Ok(params)
}

/// Where revocation lists can be fetched, as an extension.
pub(crate) fn distribution_point(url: &str) -> CrlDistributionPoint {
    CrlDistributionPoint {
        uris: vec![url.to_owned()],
    }
}

/// First and last second of validity, as rcgen wants them.
pub(crate) fn validity(
    not_before: UnixTime,
    days: u32,
) -> Result<(time::OffsetDateTime, time::OffsetDateTime), Refused> {
    let start = dates::calendar(not_before).ok_or(Refused::Validity)?;
    let end = dates::calendar(dates::days_after(not_before, days)).ok_or(Refused::Validity)?;
    Ok((start, end))
}

/// A fresh serial number: 16 random bytes, positive (RFC 5280 section 4.1.2.2).
pub(crate) fn serial() -> Result<SerialNumber, Refused> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes)
        .map_err(|_| Refused::Crypto(rcgen::Error::RingUnspecified))?;
    let [first, ..] = &mut bytes;
    *first = (*first & 0x3f) | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

/// What the key of a server may do: sign handshakes and, with RSA, take part in key transport.
pub(crate) fn key_usages_of(kind: KeyKind) -> Vec<KeyUsagePurpose> {
    match kind {
        KeyKind::P256 => vec![KeyUsagePurpose::DigitalSignature],
        KeyKind::Rsa2048 => vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
        ],
    }
}

/// A purpose as rcgen knows it.
fn purpose(purpose: &Purpose) -> ExtendedKeyUsagePurpose {
    match purpose {
        Purpose::ServerAuth => ExtendedKeyUsagePurpose::ServerAuth,
        Purpose::ClientAuth => ExtendedKeyUsagePurpose::ClientAuth,
        Purpose::EmailProtection => ExtendedKeyUsagePurpose::EmailProtection,
        Purpose::Other => ExtendedKeyUsagePurpose::Any,
    }
}

/// rsaEncryption.
const RSA: &str = "1.2.840.113549.1.1.1";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::{Facts, Key};
    use crate::testing::{facts, request};

    #[test]
    fn a_signing_request_carries_every_kind_of_name() {
        let names = [
            "a.example",
            "srv:_xmpp-server.a.example",
            "xmpp:a.example",
            "sip:a.example",
        ];
        let wish = request(&names);

        let foreign = Foreign::read(&wish.signing_request().unwrap().csr_pem).unwrap();

        assert_eq!(foreign.common_name, "holder");
        assert_eq!(foreign.names.unwrap(), wish.names);
    }

    #[test]
    fn without_a_common_name_the_first_name_stands_in() {
        let mut params = subject("x", &["a.example".parse().unwrap()]).unwrap();
        params.distinguished_name = DistinguishedName::new();
        let csr = params
            .serialize_request(&KeyKind::P256.generate().unwrap())
            .unwrap();

        let foreign = Foreign::read(&csr.pem().unwrap()).unwrap();

        assert_eq!(foreign.common_name, "a.example");
    }

    #[test]
    fn self_signed_names_itself_as_issuer() {
        let mut wish = request(&["a.example"]);
        wish.key_kind = KeyKind::Rsa2048;

        let facts = facts(&wish.self_signed().unwrap());

        assert!(facts.self_issued && !facts.is_ca);
        assert_eq!(facts.key, Key::Rsa(2048));
    }

    #[test]
    fn other_purposes_do_not_vanish_into_any_use() {
        let mut wish = request(&["a.example"]);
        wish.eku = vec![Purpose::Other];

        let issued = wish.self_signed().unwrap();

        let facts: Facts = facts(&issued);
        assert_eq!(facts.purposes, [Purpose::Other]);
    }
}
