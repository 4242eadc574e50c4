//! The lab's certificate authorities and the certificates they issue, good and bad.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
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
