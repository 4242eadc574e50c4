//! One TLS handshake.

use std::future::Future;
use std::io;
use std::sync::Arc;

use certs::explain::{Explanation, explain};
use certs::reason::Reason;
use rustls::{ClientConfig, CommonState, ProtocolVersion, ServerConfig};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};
use translators::limits;

use super::connection::Connection;
use super::stream::Stream;
use super::terms::{Negotiated, Version};
use crate::config::Engine;

/// A connection behind its handshake.
#[derive(Debug)]
pub struct Secured {
    /// The connection.
    pub stream: Stream,
    /// What the other end presented, leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// Version and engine.
    pub negotiated: Negotiated,
    /// The cipher suite.
    pub cipher: &'static str,
    /// Whom the client asked for (SNI); nothing on connections of ours.
    pub asked_for: Option<String>,
}

/// Why a handshake failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{sentence}")]
pub struct TlsFailure {
    /// Stable identifier.
    pub id: &'static str,
    /// One sentence for the operator.
    pub sentence: String,
    /// Whether a certificate was refused, on either side: that takes somebody to mend it.
    pub lasting: bool,
    /// What the operator can do, if that depends on more than the failure.
    pub hint: &'static str,
}

impl TlsFailure {
    /// A failure that may pass by itself.
    pub(super) fn passing(id: &'static str, sentence: impl Into<String>) -> Self {
        let sentence = sentence.into();
        let lasting = false;
        Self {
            id,
            sentence,
            lasting,
            hint: "",
        }
    }

    /// A failure that stays until somebody does something.
    pub(super) fn lasting(id: &'static str, sentence: impl Into<String>) -> Self {
        let sentence = sentence.into();
        let lasting = true;
        Self {
            id,
            sentence,
            lasting,
            hint: "",
        }
    }

    /// The peer went away.
    pub(super) fn closed() -> Self {
        let sentence = "The peer closed the connection without a word of TLS.";
        Self::passing("tls-closed", sentence)
    }

    /// The same with what can be done about it.
    pub(super) fn with_hint(self, hint: &'static str) -> Self {
        Self { hint, ..self }
    }

    /// Explains an error of a connection in or right behind its handshake, where a peer that
    /// speaks TLS 1.3 first says that it does not like our certificate.
    pub fn explain(error: &io::Error) -> Self {
        let tls = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<rustls::Error>());
        if let Some(tls) = tls {
            return explain(tls).into();
        }
        #[cfg(feature = "compat-tls")]
        if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref()) {
            return super::compat_errors::explain(tls);
        }
        let closed = matches!(
            error.kind(),
            io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::BrokenPipe
        );
        if closed {
            return Self::closed();
        }
        Self::passing("tls-io", format!("The connection broke: {error}."))
    }
}

impl From<Explanation> for TlsFailure {
    fn from(explanation: Explanation) -> Self {
        let Explanation { id, sentence } = explanation;
        // The names tell who refused what: ours begin with "cert", the peer's with "peer".
        let refused = id.starts_with("cert-") || id.starts_with("peer-");
        let lasting = refused && id != "peer-closed" && id != "peer-internal-error";
        Self {
            id,
            sentence,
            lasting,
            hint: "",
        }
    }
}

impl From<&Reason> for TlsFailure {
    fn from(reason: &Reason) -> Self {
        Explanation::from(reason).into()
    }
}

/// Plays the server's part. `refusal` tells why our verifier refused the certificate, if it did.
pub(super) async fn accept(
    connection: Connection,
    config: ServerConfig,
    refusal: impl FnOnce() -> Option<Reason>,
) -> Result<Secured, TlsFailure> {
    let handshake = TlsAcceptor::from(Arc::new(config)).accept(connection);
    let stream = in_time(explained(handshake, refusal)).await?;
    let asked_for = stream.get_ref().1.server_name().map(str::to_owned);
    Ok(secured(stream.into(), asked_for))
}

/// Plays the client's part, asking for `name`.
pub(super) async fn connect(
    connection: Connection,
    config: ClientConfig,
    name: ServerName<'static>,
    refusal: impl FnOnce() -> Option<Reason>,
) -> Result<Secured, TlsFailure> {
    let handshake = TlsConnector::from(Arc::new(config)).connect(name, connection);
    let stream = in_time(explained(handshake, refusal)).await?;
    Ok(secured(stream.into(), None))
}

async fn explained<T>(
    handshake: impl Future<Output = io::Result<T>>,
    refusal: impl FnOnce() -> Option<Reason>,
) -> Result<T, TlsFailure> {
    handshake.await.map_err(|error| {
        let refusal = refusal().as_ref().map(TlsFailure::from);
        refusal.unwrap_or_else(|| TlsFailure::explain(&error))
    })
}

/// Gives up a handshake, or a part of it, that takes too long.
pub(super) async fn in_time<T>(
    handshake: impl Future<Output = Result<T, TlsFailure>>,
) -> Result<T, TlsFailure> {
    timeout(limits::HANDSHAKE_TIME, handshake)
        .await
        .unwrap_or_else(|_| {
            let seconds = limits::HANDSHAKE_TIME.as_secs();
            let sentence =
                format!("The peer took more than {seconds} seconds for the TLS handshake.");
            Err(TlsFailure::passing("tls-timeout", sentence))
        })
}

fn secured(stream: TlsStream<Connection>, asked_for: Option<String>) -> Secured {
    let state: &CommonState = match &stream {
        TlsStream::Client(client) => client.get_ref().1,
        TlsStream::Server(server) => server.get_ref().1,
    };
    let chain = state.peer_certificates().unwrap_or_default().to_vec();
    let version = if state.protocol_version() == Some(ProtocolVersion::TLSv1_2) {
        Version::Tls12
    } else {
        Version::Tls13
    };
    let engine = Engine::Rustls;
    let suite = state.negotiated_cipher_suite();
    let cipher = suite
        .and_then(|suite| suite.suite().as_str())
        .unwrap_or_default();
    Secured {
        stream: stream.into(),
        chain,
        negotiated: Negotiated { version, engine },
        cipher,
        asked_for,
    }
}
