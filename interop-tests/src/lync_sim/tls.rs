//! TLS of an Edge on OpenSSL with the cipher lists of its Windows, and its certificates: RSA as real
//! Edges have, or ECDSA as `Request-CsCertificate -KeyAlg ECDH_P256` asks for.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow};
use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{Id, PKey, Private};
use openssl::rsa::Rsa;
use openssl::ssl::{
    Ssl, SslContext, SslContextBuilder, SslFiletype, SslMethod, SslRef, SslVerifyMode, SslVersion,
};
use openssl::x509::extension::{
    BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAlternativeName,
};
use openssl::x509::{X509, X509Builder, X509Extension, X509Name, X509NameBuilder};
use tokio::net::TcpStream;
use tokio_openssl::SslStream;

use super::profile::Windows;
use crate::authority::Key;

/// Where the certificates of an Edge lie.
#[derive(Clone, Debug)]
pub struct Certificates {
    /// The authority that the other side has to trust.
    pub authority: PathBuf,
    /// The Edge's certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// How a certificate names the Edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// In the subject alternative name, as since Lync 2010.
    Alternative,
    /// In the common name only, as OCS had it.
    CommonName,
}

impl Certificates {
    /// Those that were made in the folder before.
    pub fn found(folder: &Path) -> Option<Self> {
        let files = Self::at(folder);
        let all = [&files.authority, &files.certificate, &files.key];
        all.iter().all(|file| file.is_file()).then_some(files)
    }

    fn at(folder: &Path) -> Self {
        Self {
            authority: folder.join("lync-ca.pem"),
            certificate: folder.join("edge.pem"),
            key: folder.join("edge.key"),
        }
    }

    /// Makes an RSA authority and a certificate for servers only (no client purpose), with a key of
    /// that kind and a place for its revocation list; writes them into the folder as `lync-ca.pem`,
    /// `edge.pem`, `edge.key`.
    pub fn make(folder: &Path, fqdn: &str, naming: Naming, key: Key) -> Result<Self> {
        let [authority_key, rsa, ecdsa] = keys()?;
        let edge_key = match key {
            Key::Rsa => rsa,
            Key::Ecdsa => ecdsa,
        };
        let authority = authority(authority_key)?;
        let edge = edge(&authority, authority_key, edge_key, fqdn, naming)?;
        let files = Self::at(folder);
        std::fs::create_dir_all(folder)?;
        std::fs::write(&files.authority, authority.to_pem()?)?;
        std::fs::write(&files.certificate, edge.to_pem()?)?;
        std::fs::write(&files.key, edge_key.private_key_to_pem_pkcs8()?)?;
        Ok(files)
    }
}

/// Keys live as long as the process: making them costs more than a test.
fn keys() -> Result<&'static [PKey<Private>; 3]> {
    static KEYS: OnceLock<Option<[PKey<Private>; 3]>> = OnceLock::new();
    let make = || Some([rsa().ok()?, rsa().ok()?, ecdsa().ok()?]);
    KEYS.get_or_init(make)
        .as_ref()
        .context("OpenSSL makes keys")
}

fn rsa() -> Result<PKey<Private>> {
    Ok(PKey::from_rsa(Rsa::generate(2048)?)?)
}

fn ecdsa() -> Result<PKey<Private>> {
    let curve = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
    Ok(PKey::from_ec_key(EcKey::generate(&curve)?)?)
}

fn named(name: &str) -> Result<X509Name> {
    let mut builder = X509NameBuilder::new()?;
    builder.append_entry_by_nid(Nid::COMMONNAME, name)?;
    Ok(builder.build())
}

fn begin(name: &str, serial: u32) -> Result<X509Builder> {
    let mut builder = X509::builder()?;
    builder.set_version(2)?;
    builder.set_subject_name(&*named(name)?)?;
    let serial = BigNum::from_u32(serial)?.to_asn1_integer()?;
    builder.set_serial_number(&serial)?;
    // A day ago: clocks of a lab differ.
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed()?.as_secs();
    let yesterday = i64::try_from(now)? - 86_400;
    builder.set_not_before(&*Asn1Time::from_unix(yesterday)?)?;
    builder.set_not_after(&*Asn1Time::days_from_now(365)?)?;
    Ok(builder)
}

fn authority(key: &PKey<Private>) -> Result<X509> {
    let name = "Contoso Enterprise CA";
    let mut builder = begin(name, 1)?;
    builder.set_issuer_name(&*named(name)?)?;
    builder.set_pubkey(key)?;
    builder.append_extension(BasicConstraints::new().critical().ca().build()?)?;
    let usage = KeyUsage::new()
        .critical()
        .key_cert_sign()
        .crl_sign()
        .build()?;
    builder.append_extension(usage)?;
    builder.sign(key, MessageDigest::sha256())?;
    Ok(builder.build())
}

fn edge(
    issuer: &X509,
    issuer_key: &PKey<Private>,
    key: &PKey<Private>,
    fqdn: &str,
    naming: Naming,
) -> Result<X509> {
    let mut builder = begin(fqdn, rand::random_range(2..u32::MAX))?;
    builder.set_issuer_name(issuer.subject_name())?;
    builder.set_pubkey(key)?;
    let mut usage = KeyUsage::new();
    usage.critical().digital_signature();
    if key.id() == Id::RSA {
        usage.key_encipherment();
    }
    builder.append_extension(usage.build()?)?;
    builder.append_extension(ExtendedKeyUsage::new().server_auth().build()?)?;
    let context = builder.x509v3_context(Some(issuer), None);
    let names = match naming {
        Naming::Alternative => Some(SubjectAlternativeName::new().dns(fqdn).build(&context)?),
        Naming::CommonName => None,
    };
    #[expect(
        deprecated,
        reason = "the crate has no other way to write this extension"
    )]
    let revocation = X509Extension::new_nid(
        None,
        Some(&context),
        Nid::CRL_DISTRIBUTION_POINTS,
        "URI:http://crl.contoso.example/edge.crl",
    )?;
    for extension in names.into_iter().chain([revocation]) {
        builder.append_extension(extension)?;
    }
    builder.sign(issuer_key, MessageDigest::sha256())?;
    Ok(builder.build())
}

/// TLS of one Edge in both roles.
#[derive(Clone)]
pub struct Schannel {
    context: SslContext,
}

impl std::fmt::Debug for Schannel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Schannel").finish_non_exhaustive()
    }
}

impl Schannel {
    /// With the suites of that Windows; trusts certificates of `trusted` (PEM) alone, whatever
    /// purpose they are for, and demands one of whoever connects.
    pub fn new(windows: Windows, own: &Certificates, trusted: &Path) -> Result<Self> {
        let mut builder = SslContext::builder(SslMethod::tls())?;
        builder.set_cipher_list(&windows.ciphers())?;
        builder.set_groups_list("P-256:P-384")?;
        let (oldest, newest) = match windows {
            Windows::Server2008 => (SslVersion::TLS1, SslVersion::TLS1),
            Windows::Server2012R2 | Windows::Server2016 => (SslVersion::TLS1, SslVersion::TLS1_2),
        };
        builder.set_min_proto_version(Some(oldest))?;
        builder.set_max_proto_version(Some(newest))?;
        builder.set_certificate_file(&own.certificate, SslFiletype::PEM)?;
        builder.set_private_key_file(&own.key, SslFiletype::PEM)?;
        builder.set_ca_file(trusted)?;
        trust_for_any_purpose(&mut builder)?;
        Ok(Self {
            context: builder.build(),
        })
    }

    /// Shakes hands as the one who connects; names are checked later, by the Edge.
    pub async fn connect(&self, socket: TcpStream) -> Result<SslStream<TcpStream>> {
        let mut stream = SslStream::new(Ssl::new(&self.context)?, socket)?;
        std::pin::Pin::new(&mut stream)
            .connect()
            .await
            .map_err(|error| anyhow!("TLS: {error}"))?;
        Ok(stream)
    }

    /// Shakes hands as the one who is connected to.
    pub async fn accept(&self, socket: TcpStream) -> Result<SslStream<TcpStream>> {
        let mut stream = SslStream::new(Ssl::new(&self.context)?, socket)?;
        std::pin::Pin::new(&mut stream)
            .accept()
            .await
            .map_err(|error| anyhow!("TLS: {error}"))?;
        Ok(stream)
    }
}

/// Verification as Schannel does it for servers among themselves: the chain, not the purpose.
fn trust_for_any_purpose(builder: &mut SslContextBuilder) -> Result<()> {
    builder.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
    builder
        .verify_param_mut()
        .set_purpose(openssl::x509::X509PurposeId::ANY)?;
    Ok(())
}

/// What a handshake has settled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// For example `TLSv1.2`.
    pub version: String,
    /// The suite in OpenSSL's name.
    pub suite: String,
    /// The names of the other end's certificate: DNS names, or the common name where there are none.
    pub names: Vec<String>,
    /// Whether the Edge has dialled, so that the other end is the server of the handshake.
    pub dialled: bool,
    /// The kind of key of the other end's certificate.
    pub key: Option<Key>,
}

impl Settled {
    pub(super) fn read(ssl: &SslRef, dialled: bool) -> Self {
        let certificate = ssl.peer_certificate();
        let key = certificate.as_deref().and_then(|one| one.public_key().ok());
        let key = key.map(|key| match key.id() {
            Id::RSA => Key::Rsa,
            _ => Key::Ecdsa,
        });
        let names = certificate.as_deref().map(|certificate| {
            let alternative = certificate.subject_alt_names();
            let dns: Vec<String> = alternative
                .iter()
                .flatten()
                .filter_map(|name| name.dnsname().map(str::to_ascii_lowercase))
                .collect();
            if !dns.is_empty() {
                return dns;
            }
            let common = certificate.subject_name().entries_by_nid(Nid::COMMONNAME);
            common
                .filter_map(|entry| Some(entry.data().to_string().ok()?.to_lowercase()))
                .collect()
        });
        Self {
            version: ssl.version_str().to_owned(),
            suite: ssl
                .current_cipher()
                .map(|suite| suite.name().to_owned())
                .unwrap_or_default(),
            names: names.unwrap_or_default(),
            dialled,
            key,
        }
    }
}
