//! A small CA of our own, for labs and for peers that agree on one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertificateRevocationListParams,
    DistinguishedName, DnType, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    PublicKeyData as _, RevokedCertParams, SerialNumber,
};
use rustls_pki_types::{CertificateDer, UnixTime};

use crate::dates;
use crate::inspect::{Facts, Pin, Purpose, chain_from_pem};
use crate::names::Name;
use crate::request::{
    Foreign, Issued, KeyKind, Refused, Request, distribution_point, key_usages_of, serial, validity,
};

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
    /// Its name and key.
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate and those above it.
    chain: Vec<CertificateDer<'static>>,
    /// Where its CRL is to be found, written into what it issues.
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
        revocation_time: dates::calendar(revocation.since).ok_or(Refused::Validity)?,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Side;
    use crate::names::NameFault;
    use crate::reason::{Role, Verdict};
    use crate::request::BOTH;
    use crate::testing::{ca, ca_request, domains, facts, in_days, now, request, trusting};

    fn terms() -> Terms {
        Terms {
            names: None,
            eku: BOTH.to_vec(),
            not_before: in_days(-1),
            days: 90,
        }
    }

    #[test]
    fn a_ca_that_was_saved_goes_on_issuing() {
        let first = ca("Lab CA");
        let again = Authority::load(
            first.certificate_pem().as_bytes(),
            first.key_pem().as_bytes(),
        )
        .unwrap();
        let issued = again.issue(&request(&["a.example"])).unwrap();

        let chain = chain_from_pem(issued.chain_pem.as_bytes()).unwrap();
        let asked = domains(&["a.example"]);
        let verdict = trusting(&first).judge(&chain, Role::Server, Side::Sip, &asked, now());

        assert_eq!(verdict, Verdict::Proven(asked));
        assert_eq!(again.certificate_pem(), first.certificate_pem());
    }

    #[test]
    fn an_rsa_ca_works_too() {
        let mut wish = ca_request("RSA CA");
        wish.key_kind = KeyKind::Rsa2048;
        let first = Authority::init(&wish).unwrap();
        let again = Authority::load(
            first.certificate_pem().as_bytes(),
            first.key_pem().as_bytes(),
        )
        .unwrap();

        let facts = facts(&again.issue(&request(&["a.example"])).unwrap());

        assert_eq!(facts.signature, crate::inspect::Signature::Rsa);
    }

    #[test]
    fn what_is_no_ca_is_not_loaded() {
        let (one, two) = (ca("One"), ca("Two"));
        let leaf = one.issue(&request(&["a.example"])).unwrap();
        let load = |certificate: &str, key: &str| {
            Authority::load(certificate.as_bytes(), key.as_bytes()).unwrap_err()
        };

        let mismatch = load(&one.certificate_pem(), &two.key_pem());
        assert!(matches!(mismatch, Refused::CaKeyMismatch));
        assert!(matches!(
            load(&leaf.chain_pem, &leaf.key_pem),
            Refused::CaUnreadable
        ));
        assert!(matches!(load("", &one.key_pem()), Refused::CaUnreadable));
        assert!(matches!(
            load(&one.certificate_pem(), "key"),
            Refused::KeyUnreadable
        ));
    }

    #[test]
    fn serial_numbers_differ_even_for_one_key() {
        let authority = ca("CA");
        let csr = request(&["a.example"]).signing_request().unwrap().csr_pem;

        let serials = [(), ()].map(|()| {
            let chain = authority.sign(&csr, &terms()).unwrap();
            Facts::read_pem(chain.as_bytes()).unwrap().remove(0).serial
        });

        assert_ne!(serials[0], serials[1]);
    }

    #[test]
    fn signs_requests_made_elsewhere() {
        let authority = ca("CA").with_crl_url("http://ca.example/crl");
        let mut wish = request(&[
            "a.example",
            "*.a.example",
            "xmpp:a.example",
            "srv:_xmpp-server.a.example",
        ]);
        wish.key_kind = KeyKind::Rsa2048;
        wish.eku = vec![Purpose::ServerAuth];
        let made = wish.signing_request().unwrap();
        // As Java's keytool labels it.
        let csr = made
            .csr_pem
            .replace("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST");

        let chain = authority.sign(&csr, &terms()).unwrap();

        let facts = Facts::read_pem(chain.as_bytes()).unwrap().remove(0);
        assert_eq!(facts.names, wish.names);
        assert_eq!(facts.common_names, ["holder"]);
        assert_eq!(facts.purposes, BOTH, "purposes are the CA's decision");
        assert_eq!(facts.key, crate::inspect::Key::Rsa(2048));
        assert_eq!(facts.not_after, in_days(89));
        assert_eq!(facts.crl_urls, ["http://ca.example/crl"]);
        let source = crate::credentials::Source {
            subject: "csr",
            chain: chain.as_bytes(),
            key: made.key_pem.as_bytes(),
        };
        let (credentials, findings) = crate::credentials::Credentials::load(&[source], now());
        assert!(credentials.is_some(), "{findings:?}");
    }

    #[test]
    fn the_names_of_a_request_can_be_replaced() {
        let csr = request(&["wrong.example"])
            .signing_request()
            .unwrap()
            .csr_pem;
        let terms = Terms {
            names: Some(vec!["right.example".parse().unwrap()]),
            ..terms()
        };

        let chain = ca("CA").sign(&csr, &terms).unwrap();

        let facts = Facts::read_pem(chain.as_bytes()).unwrap().remove(0);
        assert_eq!(facts.names, [Name::Dns("right.example".into())]);
    }

    #[test]
    fn bad_requests_are_refused() {
        let authority = ca("CA");
        let csr = request(&["a.example"]).signing_request().unwrap().csr_pem;
        let mail = {
            let mut params = CertificateParams::default();
            let address = "a@b.example".try_into().unwrap();
            params.subject_alt_names = vec![rcgen::SanType::Rfc822Name(address)];
            let key = KeyPair::generate().unwrap();
            params.serialize_request(&key).unwrap().pem().unwrap()
        };
        let forged = {
            use rustls_pki_types::CertificateSigningRequestDer;
            use rustls_pki_types::pem::PemObject as _;
            let der = CertificateSigningRequestDer::from_pem_slice(csr.as_bytes()).unwrap();
            let name = der
                .windows(9)
                .position(|bytes| bytes == b"a.example")
                .unwrap();
            let mut der = der.to_vec();
            der[name] = b'b';
            pem("CERTIFICATE REQUEST", &der)
        };
        let refusal = |csr: &str| authority.sign(csr, &terms()).unwrap_err();

        assert!(matches!(refusal("nothing"), Refused::RequestUnreadable));
        assert!(matches!(refusal(&forged), Refused::RequestForged));
        assert!(matches!(refusal(&mail), Refused::UnsupportedName));
    }

    #[test]
    fn wishes_that_cannot_be_met_are_refused() {
        let authority = ca("CA");
        let mut named = request(&["a.example"]);
        named.names.push(Name::Dns("b example".into()));
        let mut endless = request(&["a.example"]);
        endless.days = u32::MAX;

        let refusal = authority.issue(&named).unwrap_err();
        assert!(matches!(
            refusal,
            Refused::Name {
                place: 1,
                fault: NameFault::Space
            }
        ));
        assert_eq!(
            refusal.to_string(),
            "name 2 cannot be used: the name holds white space or a control character"
        );
        assert!(matches!(
            authority.issue(&endless).unwrap_err(),
            Refused::Validity
        ));
        let revoked = [Revocation {
            serial: "xyz".into(),
            since: now(),
        }];
        assert!(matches!(
            authority.crl(&revoked, 1, now(), 1).unwrap_err(),
            Refused::Serial
        ));
    }

    #[test]
    fn pem_lines_have_64_columns() {
        let text = pem("X", &[0; 49]);

        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4);
        assert_eq!(lines[1].len(), 64);
        assert_eq!(lines[2], "AA==");
    }

    #[test]
    fn hex_is_whole_bytes() {
        assert_eq!(from_hex("00fF"), Some(vec![0, 255]));
        assert_eq!(from_hex("0"), None);
        assert_eq!(from_hex(""), None);
        assert_eq!(from_hex("0g"), None);
    }
}
