//! The lab's certificate authorities and the certificates they issue, good and bad.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, PKeyRef, Private};
use openssl::rsa::Rsa;
use openssl::sha::sha256;
use openssl::x509::extension::{BasicConstraints as BasicConstraints509, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder, X509NameBuilder, X509Ref};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use time::{Duration, OffsetDateTime};
use yasna::models::ObjectIdentifier;
use yasna::{ASN1Error, DERWriter, Tag};

const SUBJECT_ALT_NAME: &[u64] = &[2, 5, 29, 17];
const ID_ON_DNS_SRV: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 8, 7];
const ID_ON_XMPP_ADDR: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 8, 5];

/// A certificate authority that exists for one run only.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    der: CertificateDer<'static>,
    pem: PathBuf,
    folder: PathBuf,
}

impl Authority {
    /// Makes the authority and writes its certificate to `FOLDER/NAME.pem`.
    pub fn create(folder: &Path, name: &str) -> Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.not_before = OffsetDateTime::now_utc() - Duration::days(3000);
        params.not_after = OffsetDateTime::now_utc() + Duration::days(3000);
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        let pem = folder.join(format!("{name}.pem"));
        std::fs::write(&pem, certificate.pem())?;
        Ok(Self {
            der: certificate.der().clone(),
            issuer: Issuer::new(params, key),
            pem,
            folder: folder.to_owned(),
        })
    }

    /// The file with the authority's certificate.
    pub fn pem(&self) -> &Path {
        &self.pem
    }

    /// The authority's certificate as a trust anchor.
    pub fn der(&self) -> CertificateDer<'static> {
        self.der.clone()
    }

    /// Issues a certificate and writes it and its key beside the authority's own.
    pub fn issue(&self, wish: &Wish) -> Result<Identity> {
        let key = match wish.key {
            Key::Ecdsa => KeyPair::generate()?,
            Key::Rsa => KeyPair::generate_for(&PKCS_RSA_SHA256)?,
        };
        let certificate = wish.params()?.signed_by(&key, &self.issuer)?;
        let base = self.folder.join(&wish.file);
        let identity = Identity {
            certificate: base.with_added_extension("crt"),
            key: base.with_added_extension("key"),
            both: base.with_added_extension("pem"),
            chain: vec![certificate.der().clone()],
            secret: Arc::new(PrivatePkcs8KeyDer::from(key.serialize_der())),
        };
        std::fs::write(&identity.certificate, certificate.pem())?;
        write_secret(&identity.key, &key.serialize_pem())?;
        let both = format!("{}{}", certificate.pem(), key.serialize_pem());
        write_secret(&identity.both, &both)?;
        Ok(identity)
    }

    /// Issues what no authority issues any more: a certificate for `domain` with an RSA key of so many bits, signed by
    /// way of `digest`.
    pub fn issue_weak(
        &self,
        file: &str,
        domain: &str,
        bits: u32,
        digest: MessageDigest,
    ) -> Result<Identity> {
        let key = PKey::from_rsa(Rsa::generate(bits)?)?;
        let issuer = X509::from_der(&self.der)?;
        let mut builder = self.begin(file, &key, &issuer)?;
        let names = SubjectAlternativeName::new()
            .dns(domain)
            .build(&builder.x509v3_context(Some(&issuer), None))?;
        builder.append_extension(names)?;
        builder.sign(self.key()?.as_ref(), digest)?;
        self.keep(file, &key, &[builder.build()])
    }

    /// Issues a certificate for `domain` by way of an authority in between; its chain has both.
    pub fn issue_below(&self, file: &str, domain: &str) -> Result<Identity> {
        let digest = MessageDigest::sha256();
        let root = X509::from_der(&self.der)?;
        let between = PKey::from_rsa(Rsa::generate(2_048)?)?;
        let mut builder = self.begin("between", &between, &root)?;
        builder.append_extension(BasicConstraints509::new().critical().ca().build()?)?;
        builder.sign(self.key()?.as_ref(), digest)?;
        let issuer = builder.build();
        let key = PKey::from_rsa(Rsa::generate(2_048)?)?;
        let mut builder = self.begin(file, &key, &issuer)?;
        let names = SubjectAlternativeName::new()
            .dns(domain)
            .build(&builder.x509v3_context(Some(&issuer), None))?;
        builder.append_extension(names)?;
        builder.sign(&between, digest)?;
        self.keep(file, &key, &[builder.build(), issuer])
    }

    fn key(&self) -> Result<PKey<Private>> {
        Ok(PKey::private_key_from_der(
            &self.issuer.key().serialize_der(),
        )?)
    }

    /// A certificate without extensions and signature.
    fn begin(&self, name: &str, key: &PKeyRef<Private>, issuer: &X509Ref) -> Result<X509Builder> {
        let mut subject = X509NameBuilder::new()?;
        subject.append_entry_by_nid(Nid::COMMONNAME, name)?;
        let mut builder = X509Builder::new()?;
        builder.set_version(2)?;
        builder.set_serial_number(
            BigNum::from_u32(rand::random())?
                .to_asn1_integer()?
                .as_ref(),
        )?;
        builder.set_subject_name(subject.build().as_ref())?;
        builder.set_issuer_name(issuer.subject_name())?;
        builder.set_not_before(
            Asn1Time::from_unix(OffsetDateTime::now_utc().unix_timestamp() - 86_400)?.as_ref(),
        )?;
        builder.set_not_after(Asn1Time::days_from_now(30)?.as_ref())?;
        builder.set_pubkey(key)?;
        Ok(builder)
    }

    fn keep(&self, file: &str, key: &PKeyRef<Private>, chain: &[X509]) -> Result<Identity> {
        let base = self.folder.join(file);
        let mut pem = Vec::new();
        let mut ders = Vec::new();
        for certificate in chain {
            pem.extend(certificate.to_pem()?);
            ders.push(CertificateDer::from(certificate.to_der()?));
        }
        let key_pem = String::from_utf8(key.private_key_to_pem_pkcs8()?)?;
        let pem = String::from_utf8(pem)?;
        let identity = Identity {
            certificate: base.with_added_extension("crt"),
            key: base.with_added_extension("key"),
            both: base.with_added_extension("pem"),
            chain: ders,
            secret: Arc::new(PrivatePkcs8KeyDer::from(key.private_key_to_pkcs8()?)),
        };
        std::fs::write(&identity.certificate, &pem)?;
        write_secret(&identity.key, &key_pem)?;
        write_secret(&identity.both, &format!("{pem}{key_pem}"))?;
        Ok(identity)
    }
}

/// What a certificate is to look like.
#[derive(Clone, Debug)]
pub struct Wish {
    file: String,
    names: Vec<Name>,
    usages: Vec<ExtendedKeyUsagePurpose>,
    expired: bool,
    key: Key,
    common_name: Option<String>,
}

/// A kind of key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Key {
    /// ECDSA on P-256.
    #[default]
    Ecdsa,
    /// RSA with 2048 bits.
    Rsa,
}

/// One subject alternative name.
#[derive(Clone, Debug)]
enum Name {
    Dns(String),
    Srv(String),
    Uri(String),
    XmppAddr(String),
}

impl Wish {
    /// An XMPP server's certificate: DNS names and SRVNames of the domains, both purposes.
    pub fn xmpp(file: &str, domains: &[&str]) -> Self {
        let dns = domains.iter().map(|domain| Name::Dns(domain.to_string()));
        let srv = domains
            .iter()
            .map(|domain| Name::Srv(format!("_xmpp-server.{domain}")));
        Self::with_names(file, dns.chain(srv).collect())
    }

    /// A SIP server's certificate (RFC 5922): a SIP URI and a DNS name of each domain, both purposes.
    pub fn sip(file: &str, domains: &[&str]) -> Self {
        let uri = domains
            .iter()
            .map(|domain| Name::Uri(format!("sip:{domain}")));
        let dns = domains.iter().map(|domain| Name::Dns(domain.to_string()));
        Self::with_names(file, uri.chain(dns).collect())
    }

    fn with_names(file: &str, names: Vec<Name>) -> Self {
        Self {
            file: file.to_owned(),
            names,
            usages: vec![
                ExtendedKeyUsagePurpose::ServerAuth,
                ExtendedKeyUsagePurpose::ClientAuth,
            ],
            expired: false,
            key: Key::default(),
            common_name: None,
        }
    }

    /// The same with a key of that kind.
    pub fn with_key(mut self, key: Key) -> Self {
        self.key = key;
        self
    }

    /// The same, but with the domain as common name and no other name at all, as software of before 2000 wants it.
    pub fn only_common_name(mut self, domain: &str) -> Self {
        self.names.clear();
        self.common_name = Some(domain.to_owned());
        self
    }

    /// The same, but expired for a year.
    pub fn expired(mut self) -> Self {
        self.expired = true;
        self
    }

    /// The same, but for TLS servers only, as public authorities issue them.
    pub fn server_only(mut self) -> Self {
        self.usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self
    }

    /// The same with an XMPP address of the domain beside the other names.
    pub fn and_xmpp_addr(mut self, domain: &str) -> Self {
        self.names.push(Name::XmppAddr(domain.to_owned()));
        self
    }

    fn params(&self) -> Result<CertificateParams> {
        let now = OffsetDateTime::now_utc();
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name(self.common_name.as_ref().unwrap_or(&self.file));
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
        ];
        params.extended_key_usages.clone_from(&self.usages);
        (params.not_before, params.not_after) = if self.expired {
            (now - Duration::days(800), now - Duration::days(365))
        } else {
            (now - Duration::days(1), now + Duration::days(365))
        };
        if !self.names.is_empty() {
            let names = yasna::try_construct_der(|writer| write_names(writer, &self.names))?;
            let names = CustomExtension::from_oid_content(SUBJECT_ALT_NAME, names);
            params.custom_extensions = vec![names];
        }
        Ok(params)
    }
}

/// A certificate with its key, on disk and in memory.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate as PEM.
    pub certificate: PathBuf,
    /// The private key as PEM.
    pub key: PathBuf,
    /// Certificate and key in one PEM file, as ejabberd wants it.
    pub both: PathBuf,
    /// The chain for rustls, leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    secret: Arc<PrivatePkcs8KeyDer<'static>>,
}

impl Identity {
    /// The hash of its public key, as the gateway's `pins` want it.
    pub fn pin(&self) -> Result<String> {
        let leaf = X509::from_der(self.chain.first().context("a chain has a leaf")?)?;
        let key = leaf.public_key()?.public_key_to_der()?;
        Ok(format!("sha256/{}", STANDARD.encode(sha256(&key))))
    }

    /// The private key for rustls.
    pub fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(self.secret.clone_key())
    }
}

fn common_name(name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    subject
}

/// Writes a `GeneralNames` (RFC 5280 section 4.2.1.6); rcgen cannot write the IA5String of a SRVName.
fn write_names(writer: DERWriter<'_>, names: &[Name]) -> Result<(), ASN1Error> {
    writer.write_sequence(|sequence| {
        for name in names {
            write_name(sequence.next(), name);
        }
        Ok(())
    })
}

fn write_name(writer: DERWriter<'_>, name: &Name) {
    match name {
        Name::Dns(dns) => {
            writer.write_tagged_implicit(Tag::context(2), |w| w.write_ia5_string(dns))
        }
        Name::Uri(uri) => {
            writer.write_tagged_implicit(Tag::context(6), |w| w.write_ia5_string(uri))
        }
        Name::Srv(srv) => write_other_name(writer, ID_ON_DNS_SRV, |w| w.write_ia5_string(srv)),
        Name::XmppAddr(jid) => {
            write_other_name(writer, ID_ON_XMPP_ADDR, |w| w.write_utf8_string(jid));
        }
    }
}

fn write_other_name(writer: DERWriter<'_>, oid: &[u64], value: impl FnOnce(DERWriter<'_>)) {
    writer.write_tagged_implicit(Tag::context(0), |writer| {
        writer.write_sequence(|sequence| {
            sequence
                .next()
                .write_oid(&ObjectIdentifier::from_slice(oid));
            sequence.next().write_tagged(Tag::context(0), value);
        });
    });
}

fn write_secret(path: &Path, text: &str) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(())
}
