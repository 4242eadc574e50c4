//! TLS configurations as all links of ours want them.

use std::sync::Arc;

use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::time_provider::TimeProvider;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, Error, ServerConfig, SupportedProtocolVersion};

use super::{Inbound, Outbound};

/// The TLS versions that are offered or accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsVersions {
    /// TLS 1.2 and 1.3.
    #[default]
    Both,
    /// TLS 1.2 only, for peers whose 1.3 is broken.
    Only12,
    /// TLS 1.3 only.
    Only13,
}

impl TlsVersions {
    /// What rustls calls them.
    fn list(self) -> &'static [&'static SupportedProtocolVersion] {
        match self {
            Self::Both => &BOTH,
            Self::Only12 => &ONLY_12,
            Self::Only13 => &ONLY_13,
        }
    }
}

/// For [`TlsVersions::Both`].
static BOTH: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];
/// For [`TlsVersions::Only12`].
static ONLY_12: [&SupportedProtocolVersion; 1] = [&TLS12];
/// For [`TlsVersions::Only13`].
static ONLY_13: [&SupportedProtocolVersion; 1] = [&TLS13];

/// What all our TLS configurations share: provider, clock, versions, ALPN.
///
/// Sessions are never resumed: a peer whose certificate was revoked would come back with its old proof.
#[derive(Debug, Clone)]
pub struct Tls {
    /// The cryptography; always aws-lc, named so that no process-wide default counts.
    provider: Arc<CryptoProvider>,
    /// The time against which validity is judged.
    clock: Arc<dyn TimeProvider>,
    /// The versions that are offered or accepted.
    versions: TlsVersions,
    /// The ALPN protocols, in order of preference.
    alpn: Vec<Vec<u8>>,
}

impl Tls {
    /// Both versions, no ALPN, over aws-lc; `clock` tells validity.
    pub fn new(clock: Arc<dyn TimeProvider>) -> Self {
        Self {
            provider: Arc::new(aws_lc_rs::default_provider()),
            clock,
            versions: TlsVersions::default(),
            alpn: Vec::new(),
        }
    }

    /// The same with other versions.
    #[must_use]
    pub fn with_versions(self, versions: TlsVersions) -> Self {
        Self { versions, ..self }
    }

    /// The same with ALPN protocols, such as `xmpp-server` (XEP-0368 section 3).
    #[must_use]
    pub fn with_alpn(self, protocols: &[&str]) -> Self {
        let alpn = protocols
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        Self { alpn, ..self }
    }

    /// The configuration of a listener, or of one accepted connection.
    ///
    /// # Errors
    /// When the provider cannot serve the versions, which does not happen with aws-lc.
    pub fn server_config(
        &self,
        verifier: Arc<Inbound>,
        certificates: Arc<dyn ResolvesServerCert>,
    ) -> Result<ServerConfig, Error> {
        let builder =
            ServerConfig::builder_with_details(Arc::clone(&self.provider), Arc::clone(&self.clock));
        let mut config = builder
            .with_protocol_versions(self.versions.list())?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(certificates);
        config.alpn_protocols.clone_from(&self.alpn);
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }

    /// The configuration of one dialled connection, with what `certificates` chooses.
    ///
    /// # Errors
    /// When the provider cannot serve the versions, which does not happen with aws-lc.
    pub fn client_config(
        &self,
        verifier: Arc<Outbound>,
        certificates: Arc<dyn ResolvesClientCert>,
    ) -> Result<ClientConfig, Error> {
        let builder =
            ClientConfig::builder_with_details(Arc::clone(&self.provider), Arc::clone(&self.clock));
        let mut config = builder
            .with_protocol_versions(self.versions.list())?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_client_cert_resolver(certificates);
        config.alpn_protocols.clone_from(&self.alpn);
        config.resumption = Resumption::disabled();
        Ok(config)
    }
}

/// A resolver that shows one certificate to everybody.
pub fn always(certificate: Arc<CertifiedKey>) -> Arc<SingleCertAndKey> {
    Arc::new(SingleCertAndKey::from(certificate))
}
