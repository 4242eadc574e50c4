//! A small CA of our own, for labs and for peers that agree on one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertificateRevocationListParams,
    DistinguishedName, DnType, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    PublicKeyData as _, RevokedCertParams, SerialNumber,
};
use rustls_pki_types::{CertificateDer, UnixTime};

use crate::inspect::{Facts, Pin, Purpose, chain_from_pem};
use crate::names::Name;
use crate::request::{
    Foreign, Issued, KeyKind, Refused, Request, distribution_point, key_usages_of, serial, validity,
};
use crate::time;

/// What a new CA certificate should say.
#[derive(Debug, Clone)]
pub struct CaRequest {
    /// The name of the CA.
    pub common_name: String,
    /// The kind of key to make.
    pub key_kind: KeyKind,
    /// First second of validity.
    pub not_before: UnixTime,
    /// Days of validity.
    pub days: u32,
}

/// On which terms a foreign signing request is signed.
#[derive(Debug, Clone)]
pub struct Terms {
    /// The names to certify instead of those that the request asks for.
    pub names: Option<Vec<Name>>,
    /// Extended key usages, whatever the request asks for.
    pub eku: Vec<Purpose>,
    /// First second of validity.
    pub not_before: UnixTime,
    /// Days of validity.
    pub days: u32,
}

/// One certificate that is not valid any more.
#[derive(Debug, Clone)]
pub struct Revocation {
    /// Its serial number in hexadecimal digits, as [`Facts::serial`] has it.
    pub serial: String,
    /// Since when.
    pub since: UnixTime,
}

/// A certification authority: its certificate, its key, and where its CRL is to be found.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate and those above it.
    chain: Vec<CertificateDer<'static>>,
    crl_url: Option<String>,
}

impl Authority {
    /// Makes a root CA: a key and a certificate that it signs itself.
    ///
    /// # Errors
    /// A validity out of range, or a failure of the library.
    pub fn init(request: &CaRequest) -> Result<Self, Refused> {
        let key = request.key_kind.generate()?;
        let params = ca_params(request)?;
        let certificate = params.self_signed(&key).map_err(Refused::Crypto)?;
        Ok(Self {
            chain: vec![certificate.der().clone()],
            issuer: Issuer::new(params, key),
            crl_url: None,
        })
    }

    /// Takes up a CA that was made before: its certificate, those above it behind, and its key, as PEM.
    ///
    /// # Errors
    /// When they cannot be read, do not belong together, or are not a CA's.
    pub fn load(ca_pem: &[u8], key_pem: &[u8]) -> Result<Self, Refused> {
        let chain = chain_from_pem(ca_pem).map_err(|_| Refused::CaUnreadable)?;
        let certificate = chain.first().ok_or(Refused::CaUnreadable)?;
        let facts = Facts::read(certificate).map_err(|_| Refused::CaUnreadable)?;
        if !facts.is_ca {
            return Err(Refused::CaUnreadable);
        }
        let key_pem = std::str::from_utf8(key_pem).map_err(|_| Refused::KeyUnreadable)?;
        let key = KeyPair::from_pem(key_pem).map_err(|_| Refused::KeyUnreadable)?;
        if Pin::of(&key.subject_public_key_info()) != facts.pin {
            return Err(Refused::CaKeyMismatch);
        }
        let issuer = Issuer::from_ca_cert_der(certificate, key).map_err(Refused::Crypto)?;
        Ok(Self {
            issuer,
            chain,
            crl_url: None,
        })
    }

    /// Makes a CA below this one.
    ///
    /// # Errors
    /// A validity out of range, or a failure of the library.
    pub fn subordinate(&self, request: &CaRequest) -> Result<Self, Refused> {
        let key = request.key_kind.generate()?;
        let mut params = ca_params(request)?;
        self.leave_traces(&mut params);
        let certificate = params
            .signed_by(&key, &self.issuer)
            .map_err(Refused::Crypto)?;
        let above = self.chain.iter().cloned();
        Ok(Self {
            chain: std::iter::once(certificate.der().clone())
                .chain(above)
                .collect(),
            issuer: Issuer::new(params, key),
            crl_url: self.crl_url.clone(),
        })
    }

    /// Names the CRL's URL in what is issued from now on; Lync edges demand it.
    #[must_use]
    pub fn with_crl_url(self, url: impl Into<String>) -> Self {
        Self {
            crl_url: Some(url.into()),
            ..self
        }
    }

    /// The CA's certificate, and those above it, as PEM.
    pub fn certificate_pem(&self) -> String {
        self.chain
            .iter()
            .map(|der| pem("CERTIFICATE", der))
            .collect()
    }

    /// The CA's private key, as PEM.
    pub fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// Makes a key and a certificate for it.
    ///
    /// # Errors
    /// A name that cannot be written, a validity out of range, or a failure of the library.
    pub fn issue(&self, request: &Request) -> Result<Issued, Refused> {
        let key = request.key_kind.generate()?;
        let mut params = request.params(key_usages_of(request.key_kind))?;
        self.leave_traces(&mut params);
        let certificate = params
            .signed_by(&key, &self.issuer)
            .map_err(Refused::Crypto)?;
        Ok(Issued {
            chain_pem: self.chain_pem(&certificate),
            key_pem: key.serialize_pem(),
        })
    }

    /// Certifies the key of a signing request in PEM that was made elsewhere; gives the chain as PEM.
    ///
    /// # Errors
    /// A request that is broken or not signed by its own key, a name that is not certified here, a validity
    /// out of range, or a failure of the library.
    pub fn sign(&self, csr_pem: &str, terms: &Terms) -> Result<String, Refused> {
        let foreign = Foreign::read(csr_pem)?;
        let request = Request {
            common_name: foreign.common_name,
            names: match &terms.names {
                Some(names) => names.clone(),
                None => foreign.names?,
            },
            eku: terms.eku.clone(),
            key_kind: KeyKind::default(),
            not_before: terms.not_before,
            days: terms.days,
        };
        let mut params = request.params(foreign.key_usages)?;
        self.leave_traces(&mut params);
        let certificate = params
            .signed_by(&foreign.key, &self.issuer)
            .map_err(Refused::Crypto)?;
        Ok(self.chain_pem(&certificate))
    }

    /// Writes a revocation list, as PEM; `number` grows with each (RFC 5280 section 5.2.3).
    ///
    /// # Errors
    /// A serial number that is none, a time out of range, or a failure of the library.
    pub fn crl(
        &self,
        revoked: &[Revocation],
        number: u64,
        this_update: UnixTime,
        days: u32,
    ) -> Result<String, Refused> {
        let (this_update, next_update) = validity(this_update, days)?;
        let params = CertificateRevocationListParams {
            this_update,
            next_update,
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs: revoked
                .iter()
                .map(revoked_params)
                .collect::<Result<_, _>>()?,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let crl = params.signed_by(&self.issuer).map_err(Refused::Crypto)?;
        crl.pem().map_err(Refused::Crypto)
    }

    /// Writes into a certificate who issued it and where its CRL is.
    fn leave_traces(&self, params: &mut CertificateParams) {
        params.use_authority_key_identifier_extension = true;
        params.crl_distribution_points = self
            .crl_url
            .iter()
            .map(|url| distribution_point(url))
            .collect();
    }

    /// A certificate with the CAs above it, but for the root.
    fn chain_pem(&self, certificate: &Certificate) -> String {
        let is_root =
            |der: &CertificateDer<'_>| Facts::read(der).is_ok_and(|facts| facts.self_issued);
        let issuers = self.chain.iter().filter(|der| !is_root(der));
        std::iter::once(certificate.der())
            .chain(issuers)
            .map(|der| pem("CERTIFICATE", der))
            .collect()
    }
}

/// What rcgen needs for a CA certificate.
fn ca_params(request: &CaRequest) -> Result<CertificateParams, Refused> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, request.common_name.as_str());
    (params.not_before, params.not_after) = validity(request.not_before, request.days)?;
    params.serial_number = Some(serial()?);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

/// One entry of a revocation list.
fn revoked_params(revocation: &Revocation) -> Result<RevokedCertParams, Refused> {
    let serial = from_hex(&revocation.serial).ok_or(Refused::Serial)?;
    Ok(RevokedCertParams {
        serial_number: SerialNumber::from_slice(&serial),
        revocation_time: time::calendar(revocation.since).ok_or(Refused::Validity)?,
        reason_code: None,
        invalidity_date: None,
    })
}

/// Reads pairs of hexadecimal digits.
fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .chars()
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()?;
    let pairs = digits.chunks_exact(2);
    if digits.is_empty() || !pairs.remainder().is_empty() {
        return None;
    }
    Some(
        pairs
            .map(|pair| pair.iter().fold(0, |byte, digit| (byte << 4) | digit))
            .collect(),
    )
}

/// Writes DER as PEM (RFC 7468).
fn pem(label: &str, der: &[u8]) -> String {
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in der.chunks(48) {
        text.push_str(&STANDARD.encode(line));
        text.push('\n');
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}
