//! One TLS handshake.

use std::future::Future;
use std::io;
use std::sync::Arc;

use certs::explain::{Explanation, explain};
use certs::reason::Reason;
use rustls::{ClientConfig, CommonState, ProtocolVersion, ServerConfig};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};
use translators::limits;
use translators::xmpp::stream::TlsVersion;

/// A connection behind its handshake.
#[derive(Debug)]
pub struct Secured {
    /// The connection.
    pub stream: TlsStream<TcpStream>,
    /// What the other end presented, leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The version.
    pub version: TlsVersion,
    /// The cipher suite.
    pub cipher: &'static str,
    /// Whom the client asked for (SNI); nothing on connections of ours.
    pub asked_for: Option<String>,
}

impl Secured {
    /// The version in figures.
    pub const fn version_name(&self) -> &'static str {
        match self.version {
            TlsVersion::Tls12 => "1.2",
            TlsVersion::Tls13 => "1.3",
        }
    }
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
        }
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
        let closed = matches!(
            error.kind(),
            io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::BrokenPipe
        );
        if closed {
            let sentence = "The peer closed the connection without a word of TLS.";
            return Self::passing("tls-closed", sentence);
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
    connection: TcpStream,
    config: ServerConfig,
    refusal: impl FnOnce() -> Option<Reason>,
) -> Result<Secured, TlsFailure> {
    let handshake = TlsAcceptor::from(Arc::new(config)).accept(connection);
    let stream = in_time(handshake, refusal).await?;
    let asked_for = stream.get_ref().1.server_name().map(str::to_owned);
    Ok(secured(stream.into(), asked_for))
}

/// Plays the client's part, asking for `name`.
pub(super) async fn connect(
    connection: TcpStream,
    config: ClientConfig,
    name: ServerName<'static>,
    refusal: impl FnOnce() -> Option<Reason>,
) -> Result<Secured, TlsFailure> {
    let handshake = TlsConnector::from(Arc::new(config)).connect(name, connection);
    let stream = in_time(handshake, refusal).await?;
    Ok(secured(stream.into(), None))
}

async fn in_time<T>(
    handshake: impl Future<Output = io::Result<T>>,
    refusal: impl FnOnce() -> Option<Reason>,
) -> Result<T, TlsFailure> {
    match timeout(limits::HANDSHAKE_TIME, handshake).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => {
            let refusal = refusal().as_ref().map(TlsFailure::from);
            Err(refusal.unwrap_or_else(|| TlsFailure::explain(&error)))
        }
        Err(_) => {
            let seconds = limits::HANDSHAKE_TIME.as_secs();
            let sentence =
                format!("The peer took more than {seconds} seconds for the TLS handshake.");
            Err(TlsFailure::passing("tls-timeout", sentence))
        }
    }
}

fn secured(stream: TlsStream<TcpStream>, asked_for: Option<String>) -> Secured {
    let state: &CommonState = match &stream {
        TlsStream::Client(client) => client.get_ref().1,
        TlsStream::Server(server) => server.get_ref().1,
    };
    let chain = state.peer_certificates().unwrap_or_default().to_vec();
    let version = if state.protocol_version() == Some(ProtocolVersion::TLSv1_2) {
        TlsVersion::Tls12
    } else {
        TlsVersion::Tls13
    };
    let suite = state.negotiated_cipher_suite();
    let cipher = suite
        .and_then(|suite| suite.suite().as_str())
        .unwrap_or_default();
    Secured {
        stream,
        chain,
        version,
        cipher,
        asked_for,
    }
}
