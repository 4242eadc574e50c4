//! The engine "compat": OpenSSL, for SIP peers behind old Schannel.
//!
//! It offers TLS 1.2 at security level 2 with the suites that Windows Server 2012 R2 has for an RSA certificate;
//! only the legacy form of it goes below. OpenSSL does not judge certificates here: the same policy does that for
//! every engine, right behind the handshake and before a byte is read.

use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use certs::credentials::Identity;
use openssl::error::ErrorStack;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{
    Ssl, SslContext, SslContextBuilder, SslMethod, SslMode, SslOptions, SslRef,
    SslSessionCacheMode, SslVerifyMode, SslVersion,
};
use openssl::x509::X509;
use rustls::sign::CertifiedKey;
use rustls_pki_types::CertificateDer;
use tokio_openssl::SslStream;

use super::compat_errors::explain;
use super::connection::Connection;
use super::handshake::{Secured, TlsFailure};
use super::terms::{Negotiated, Version};
use crate::config::Engine;

/// How far down the engine goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Depth {
    /// TLS 1.2 at security level 2.
    Usual,
    /// TLS 1.0 at security level 0.
    Legacy,
}

/// Plays the server's part with certificates of ours; what the client presents is to be judged.
pub(super) async fn accept(
    connection: Connection,
    identities: &[&Identity],
    depth: Depth,
    asked_for: Option<String>,
) -> Result<Secured, TlsFailure> {
    let ssl = prepared(depth, identities).map_err(unsupported)?;
    let mut stream = SslStream::new(ssl, connection).map_err(unsupported)?;
    let done = Pin::new(&mut stream).accept().await;
    done.map_err(|error| explain(&error))?;
    Ok(secured(stream, asked_for))
}

/// Plays the client's part, asking for `name`; what the server presents is to be judged.
pub(super) async fn connect(
    connection: Connection,
    identities: &[&Identity],
    depth: Depth,
    name: &str,
) -> Result<Secured, TlsFailure> {
    // OpenSSL does not choose among the certificates of a client: old servers are safest with RSA.
    let is_rsa =
        |own: &&&Identity| own.certified().key.algorithm() == rustls::SignatureAlgorithm::RSA;
    let chosen = identities
        .iter()
        .find(is_rsa)
        .or_else(|| identities.first());
    let chosen: Vec<&Identity> = chosen.into_iter().copied().collect();
    let mut ssl = prepared(depth, &chosen).map_err(unsupported)?;
    ssl.set_hostname(name).map_err(unsupported)?;
    let mut stream = SslStream::new(ssl, connection).map_err(unsupported)?;
    let done = Pin::new(&mut stream).connect().await;
    done.map_err(|error| explain(&error))?;
    Ok(secured(stream, None))
}

/// One connection to be, with certificates of ours and their whole chains.
fn prepared(depth: Depth, identities: &[&Identity]) -> Result<Ssl, ErrorStack> {
    let context = context(depth)?;
    let mut ssl = Ssl::new(&context)?;
    for identity in identities {
        let key = key(identity)?;
        let mut chain = identity.chain().iter();
        if let Some(leaf) = chain.next() {
            ssl.set_certificate(X509::from_der(leaf)?.as_ref())?;
            ssl.set_private_key(&key)?;
        }
        for issuer in chain {
            ssl.add_chain_cert(X509::from_der(issuer)?)?;
        }
    }
    Ok(ssl)
}

/// The private key, read once for as long as the certificate is in use: that takes OpenSSL milliseconds.
fn key(identity: &Identity) -> Result<PKey<Private>, ErrorStack> {
    static KEPT: Mutex<Vec<(Weak<CertifiedKey>, PKey<Private>)>> = Mutex::new(Vec::new());
    let owner = Arc::downgrade(identity.certified());
    let kept = || KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    let is_its = |(other, _): &&(Weak<CertifiedKey>, _)| other.ptr_eq(&owner);
    if let Some((_, key)) = kept().iter().find(is_its) {
        return Ok(key.clone());
    }
    let key = PKey::private_key_from_der(identity.key().secret_der())?;
    let mut kept = kept();
    kept.retain(|(owner, _)| owner.strong_count() > 0);
    kept.push((owner, key.clone()));
    Ok(key)
}

/// What does not depend on the configuration is made once: it takes OpenSSL milliseconds.
fn context(depth: Depth) -> Result<SslContext, ErrorStack> {
    static USUAL: OnceLock<SslContext> = OnceLock::new();
    static LEGACY: OnceLock<SslContext> = OnceLock::new();
    let kept = match depth {
        Depth::Usual => &USUAL,
        Depth::Legacy => &LEGACY,
    };
    if let Some(context) = kept.get() {
        return Ok(context.clone());
    }
    let context = made(depth)?;
    Ok(kept.get_or_init(|| context).clone())
}

fn made(depth: Depth) -> Result<SslContext, ErrorStack> {
    let mut context = SslContext::builder(SslMethod::tls())?;
    let (oldest, suites) = match depth {
        Depth::Usual => (SslVersion::TLS1_2, format!("{SUITES}:@SECLEVEL=2")),
        Depth::Legacy => (SslVersion::TLS1, format!("{SUITES}:@SECLEVEL=0")),
    };
    context.set_min_proto_version(Some(oldest))?;
    context.set_max_proto_version(Some(SslVersion::TLS1_2))?;
    context.set_cipher_list(&suites)?;
    context.set_groups_list(GROUPS)?;
    context.set_sigalgs_list(SIGNATURES)?;
    // A certificate is asked for without any list of CAs: a Schannel client that does not find its own in such a
    // list sends none.
    let mode = SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT;
    context.set_verify_callback(mode, |_, _| true);
    settle(&mut context);
    Ok(context.build())
}

/// Sessions are never resumed and nothing is negotiated twice: a link has one proof, from its handshake. The end
/// of the connection may come without `close_notify`, since SIP tells the end of its messages.
fn settle(context: &mut SslContextBuilder) {
    context.set_session_cache_mode(SslSessionCacheMode::OFF);
    context.set_options(
        SslOptions::CIPHER_SERVER_PREFERENCE
            | SslOptions::IGNORE_UNEXPECTED_EOF
            | SslOptions::NO_COMPRESSION
            | SslOptions::NO_RENEGOTIATION
            | SslOptions::NO_TICKET,
    );
    context.set_mode(
        SslMode::ACCEPT_MOVING_WRITE_BUFFER
            | SslMode::AUTO_RETRY
            | SslMode::ENABLE_PARTIAL_WRITE
            | SslMode::RELEASE_BUFFERS,
    );
}

fn secured(stream: SslStream<Connection>, asked_for: Option<String>) -> Secured {
    let ssl = stream.ssl();
    let version = match ssl.version2() {
        Some(SslVersion::TLS1_1) => Version::Tls11,
        Some(SslVersion::TLS1_2) => Version::Tls12,
        // Whatever OpenSSL calls it, it is nothing that is given to more than it has to be.
        _ => Version::Tls10,
    };
    let engine = Engine::Compat;
    Secured {
        chain: presented(ssl),
        negotiated: Negotiated { version, engine },
        cipher: ssl.current_cipher().map_or("", |cipher| cipher.name()),
        asked_for,
        stream: stream.into(),
    }
}

/// What the other end presented, leaf first. On a server OpenSSL keeps the leaf apart from its issuers.
fn presented(ssl: &SslRef) -> Vec<CertificateDer<'static>> {
    let der = |certificate: &openssl::x509::X509Ref| certificate.to_der().ok();
    let leaf = ssl.peer_certificate().and_then(|leaf| der(&leaf));
    let others = ssl.peer_cert_chain().into_iter().flatten().filter_map(der);
    let others = others.skip_while(|other| Some(other) == leaf.as_ref());
    let chain: Vec<Vec<u8>> = leaf.iter().cloned().chain(others).collect();
    chain.into_iter().map(CertificateDer::from).collect()
}

fn unsupported(error: ErrorStack) -> TlsFailure {
    let sentence = format!("The engine compat cannot be set up: {error}.");
    TlsFailure::lasting("tls-unsupported", sentence)
}

/// Those of Windows Server 2012 R2 and 2016, without finite-field Diffie-Hellman, whose groups are too small
/// there; forward secrecy first.
const SUITES: &str = "\
    ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256:\
    ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256:\
    ECDHE-ECDSA-AES256-SHA384:ECDHE-ECDSA-AES128-SHA256:\
    ECDHE-RSA-AES256-SHA384:ECDHE-RSA-AES128-SHA256:\
    ECDHE-ECDSA-AES256-SHA:ECDHE-ECDSA-AES128-SHA:\
    ECDHE-RSA-AES256-SHA:ECDHE-RSA-AES128-SHA:\
    AES256-GCM-SHA384:AES128-GCM-SHA256:AES256-SHA256:AES128-SHA256:AES256-SHA:AES128-SHA";
/// Windows Server 2012 R2 has the first two.
const GROUPS: &str = "P-256:P-384:X25519";
/// No SHA-1 in TLS 1.2; older versions have no choice.
const SIGNATURES: &str = "\
    ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:RSA+SHA256:RSA+SHA384:RSA+SHA512:\
    RSA-PSS+SHA256:RSA-PSS+SHA384:RSA-PSS+SHA512";
