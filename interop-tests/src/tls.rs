//! TLS settings of the scripted peers: any certificate, any version, any amount of checking.

use std::sync::Arc;

use anyhow::Result;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig,
    SignatureScheme, SupportedProtocolVersion,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::authority::{Authority, Identity};

/// Which versions of TLS a peer speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Versions {
    /// 1.2 and 1.3.
    #[default]
    Any,
    /// 1.2 alone.
    Only12,
    /// 1.3 alone.
    Only13,
}

impl Versions {
    fn list(self) -> Vec<&'static SupportedProtocolVersion> {
        match self {
            Self::Any => vec![&TLS12, &TLS13],
            Self::Only12 => vec![&TLS12],
            Self::Only13 => vec![&TLS13],
        }
    }

    /// The gateway's way to say so (`tls` of a peer).
    pub fn setting(self) -> toml::Table {
        let versions = match self {
            Self::Any => "auto",
            Self::Only12 => "1.2",
            Self::Only13 => "1.3",
        };
        toml::Table::from_iter([("versions".to_owned(), versions.into())])
    }
}

/// Which certificates of the other end a peer takes.
#[derive(Clone, Debug)]
pub enum Trust {
    /// Any certificate, or none: the scripted peer looks for trouble, it does not guard itself.
    Anyone,
    /// Only what the authority has issued, and there must be one.
    IssuedBy(CertificateDer<'static>),
}

impl Trust {
    /// Trust in one authority.
    pub fn in_authority(authority: &Authority) -> Self {
        Self::IssuedBy(authority.der())
    }

    fn roots(anchor: &CertificateDer<'static>) -> Result<Arc<RootCertStore>> {
        let mut roots = RootCertStore::empty();
        roots.add(anchor.clone())?;
        Ok(Arc::new(roots))
    }
}

/// How a scripted peer does TLS, in both roles.
#[derive(Clone, Debug)]
pub struct TlsSettings {
    /// The certificate it presents; as a client only with `presents`.
    pub identity: Identity,
    /// Whether it presents its certificate as a client.
    pub presents: bool,
    /// Versions it speaks.
    pub versions: Versions,
    /// Whom it believes.
    pub trust: Trust,
    /// Application protocols it offers or takes.
    pub alpn: Vec<Vec<u8>>,
}

impl TlsSettings {
    /// Presents the identity, believes anyone.
    pub fn new(identity: &Identity) -> Self {
        Self {
            identity: identity.clone(),
            presents: true,
            versions: Versions::Any,
            trust: Trust::Anyone,
            alpn: Vec::new(),
        }
    }

    /// For dialling.
    pub fn connector(&self) -> Result<TlsConnector> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier: Arc<dyn ServerCertVerifier> = match &self.trust {
            Trust::Anyone => Arc::new(Gullible(Arc::clone(&provider))),
            Trust::IssuedBy(anchor) => {
                let roots = Trust::roots(anchor)?;
                WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider)).build()?
            }
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(self.versions.list().as_slice())?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let identity = &self.identity;
        let mut config = if self.presents {
            builder.with_client_auth_cert(identity.chain.clone(), identity.private_key())?
        } else {
            builder.with_no_client_auth()
        };
        config.alpn_protocols.clone_from(&self.alpn);
        Ok(TlsConnector::from(Arc::new(config)))
    }

    /// For accepting.
    pub fn acceptor(&self) -> Result<TlsAcceptor> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier: Arc<dyn ClientCertVerifier> = match &self.trust {
            Trust::Anyone => Arc::new(Gullible(Arc::clone(&provider))),
            Trust::IssuedBy(anchor) => {
                let roots = Trust::roots(anchor)?;
                WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider)).build()?
            }
        };
        let identity = &self.identity;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(self.versions.list().as_slice())?
            .with_client_cert_verifier(verifier)
            .with_single_cert(identity.chain.clone(), identity.private_key())?;
        config.alpn_protocols.clone_from(&self.alpn);
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

/// Believes every certificate, in both roles.
#[derive(Debug)]
struct Gullible(Arc<CryptoProvider>);

impl ServerCertVerifier for Gullible {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for Gullible {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
