//! The verifiers of peers that dial us and of peers that we dial.
//!
//! Both check the handshake's signatures like rustls itself does; what they leave to others is the judgement
//! of the chain. A verifier belongs to **one** handshake, because it remembers why it refused: the error that
//! rustls passes on is cut down to what has a TLS alert of its own.

use std::fmt;
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature, verify_tls13_signature,
};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::identity::Side;
use crate::reason::{Reason, Role};
use crate::trust::Trust;

/// Decides on the chain of a client; an error ends the handshake.
pub type Judge = dyn Fn(&[CertificateDer<'_>], UnixTime) -> Result<(), Reason> + Send + Sync;

/// Verifies the certificates of peers that dial us.
///
/// It always asks for a certificate and never lists CAs: a Schannel client that does not find its CA in such a
/// list sends none.
pub struct Inbound {
    /// Decides on the chain.
    judge: Box<Judge>,
    /// Whether a peer without certificate is refused.
    mandatory: bool,
    /// What the judge said, if it refused.
    refusal: OnceLock<Reason>,
    /// The signatures that count in the handshake.
    algorithms: WebPkiSupportedAlgorithms,
}

impl Inbound {
    /// Refuses peers without certificate, and those that `judge` refuses.
    pub fn required(judge: Box<Judge>) -> Self {
        Self {
            mandatory: true,
            ..Self::optional(judge)
        }
    }

    /// Lets peers without certificate pass; the others are up to `judge`.
    ///
    /// For XMPP, which judges after the handshake so that the peer can be told (RFC 6120 section 6.3.4).
    pub fn optional(judge: Box<Judge>) -> Self {
        Self {
            judge,
            mandatory: false,
            refusal: OnceLock::new(),
            algorithms: aws_lc_rs::default_provider().signature_verification_algorithms,
        }
    }

    /// Why the chain was refused, if it was.
    pub fn refusal(&self) -> Option<&Reason> {
        self.refusal.get()
    }
}

impl fmt::Debug for Inbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbound")
            .field("mandatory", &self.mandatory)
            .field("refusal", &self.refusal)
            .finish_non_exhaustive()
    }
}

impl ClientCertVerifier for Inbound {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        match (self.judge)(&joined(end_entity, intermediates), now) {
            Ok(()) => Ok(ClientCertVerified::assertion()),
            Err(reason) => Err(refuse(&self.refusal, reason, now)),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Verifies the certificate of a peer that we dialled for one of its domains.
///
/// The name that counts is `domain`, whatever host was dialled and whatever SNI says.
#[derive(Debug)]
pub struct Outbound {
    /// The peer's policy.
    trust: Arc<Trust>,
    /// Whose naming rules count.
    side: Side,
    /// What the server must speak for.
    domain: String,
    /// Why it was refused, if it was.
    refusal: OnceLock<Reason>,
    /// The signatures that count in the handshake.
    algorithms: WebPkiSupportedAlgorithms,
}

impl Outbound {
    /// Demands that the server speaks for `domain` under `trust`.
    pub fn new(trust: Arc<Trust>, side: Side, domain: impl Into<String>) -> Self {
        Self {
            trust,
            side,
            domain: domain.into(),
            refusal: OnceLock::new(),
            algorithms: aws_lc_rs::default_provider().signature_verification_algorithms,
        }
    }

    /// Why the chain was refused, if it was.
    pub fn refusal(&self) -> Option<&Reason> {
        self.refusal.get()
    }
}

impl ServerCertVerifier for Outbound {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let chain = joined(end_entity, intermediates);
        let domains = [self.domain.clone()];
        self.trust
            .judge(&chain, Role::Server, self.side, &domains, now)
            .into_result()
            .map(|_| ServerCertVerified::assertion())
            .map_err(|reason| refuse(&self.refusal, reason, now))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Leaf and intermediates in one chain, as they were sent.
fn joined<'a>(
    end_entity: &CertificateDer<'a>,
    intermediates: &[CertificateDer<'a>],
) -> Vec<CertificateDer<'a>> {
    std::iter::once(end_entity)
        .chain(intermediates)
        .cloned()
        .collect()
}

/// Remembers the reason and turns it into the error whose alert tells the peer most.
fn refuse(slot: &OnceLock<Reason>, reason: Reason, now: UnixTime) -> Error {
    let error = match &reason {
        Reason::Expired { since } => CertificateError::ExpiredContext {
            time: now,
            not_after: *since,
        },
        Reason::NotYetValid { until } => CertificateError::NotValidYetContext {
            time: now,
            not_before: *until,
        },
        Reason::UnknownIssuer { .. } | Reason::SelfSigned { .. } => CertificateError::UnknownIssuer,
        Reason::RevocationUnknown { .. } => CertificateError::UnknownRevocationStatus,
        Reason::Revoked => CertificateError::Revoked,
        Reason::BadSignature { .. } => CertificateError::BadSignature,
        Reason::WrongPurpose { .. } => CertificateError::InvalidPurpose,
        Reason::WrongName { .. } => CertificateError::NotValidForName,
        Reason::Unreadable => CertificateError::BadEncoding,
        Reason::CaCertificate { .. }
        | Reason::CertificateTooLarge { .. }
        | Reason::ChainTooLong { .. }
        | Reason::CriticalExtension
        | Reason::CrlUnusable { .. }
        | Reason::Distrusted
        | Reason::IssuerOutOfTime
        | Reason::IssuerNotEntitled
        | Reason::NameConstraints
        | Reason::NoCertificate
        | Reason::PinMismatch { .. }
        | Reason::TooComplex
        | Reason::TooDeep { .. }
        | Reason::WeakAlgorithm => CertificateError::Other(OtherError(Arc::new(reason.clone()))),
    };
    slot.get_or_init(|| reason);
    Error::InvalidCertificate(error)
}
