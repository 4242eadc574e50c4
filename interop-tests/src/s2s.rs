//! Opening a stream between servers, step by step, so that a test can stop or misbehave anywhere.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use minidom::Element;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::inbox::PATIENCE;
use crate::sip::token;
use crate::tls::TlsSettings;
use crate::xml::{Item, Look, SASL, START_TLS, XmlStream};

/// A socket, with or without TLS.
pub trait Wire: AsyncRead + AsyncWrite + Send + Sync + Unpin + std::fmt::Debug {}
impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin + std::fmt::Debug> Wire for S {}

/// A stream between servers.
pub type Stream = XmlStream<Box<dyn Wire>>;

/// Content namespace of streams between servers.
pub const SERVER: &str = "jabber:server";

/// How far to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// TCP is connected, nothing was sent.
    Connected,
    /// The first header went out and the features with STARTTLS came back.
    Greeted,
    /// TLS is up and the features with EXTERNAL came back.
    Secured,
    /// EXTERNAL has succeeded and the stream is open.
    Open,
}

/// Whom to dial, as whom, and how.
#[derive(Clone, Debug)]
pub struct Dial<'a> {
    /// The other server's address.
    pub address: SocketAddr,
    /// Where we dial from, if it matters.
    pub source: Option<SocketAddr>,
    /// TLS from the first byte.
    pub direct: bool,
    /// Our domain.
    pub from: &'a str,
    /// Their domain.
    pub to: &'a str,
    /// Our certificate and what we believe.
    pub tls: &'a TlsSettings,
    /// The authorization identity as sent; the domain in base64 unless a test wants otherwise.
    pub authzid: Option<&'a str>,
}

impl Dial<'_> {
    /// Goes as far as the stage says; fails with what the other side said instead.
    pub async fn reach(&self, stage: Stage) -> Result<Stream> {
        timeout(PATIENCE, self.steps(stage))
            .await
            .with_context(|| format!("{} does not let us reach {stage:?} in time", self.to))?
    }

    async fn steps(&self, stage: Stage) -> Result<Stream> {
        let socket = connect(self.address, self.source)
            .await
            .with_context(|| format!("cannot connect to {}", self.address))?;
        socket.set_nodelay(true)?;
        let plain: Box<dyn Wire> = Box::new(socket);
        let mut stream = Stream::new(plain, SERVER);
        if stage == Stage::Connected {
            return Ok(stream);
        }
        if !self.direct {
            let features = self.greet(&mut stream).await?;
            ensure!(
                features.has_child("starttls", START_TLS),
                "no STARTTLS: {features:?}"
            );
            if stage == Stage::Greeted {
                return Ok(stream);
            }
            stream
                .write(&format!("<starttls xmlns='{START_TLS}'/>"))
                .await?;
            let proceed = stream.expect_stanza().await?;
            ensure!(proceed.is("proceed", START_TLS), "no TLS: {proceed:?}");
        }
        let mut stream = self.secure(stream).await?;
        let features = self.greet(&mut stream).await?;
        if stage == Stage::Secured {
            return Ok(stream);
        }
        ensure!(
            offers_external(&features),
            "EXTERNAL is not offered: {features:?}"
        );
        self.authenticate(&mut stream).await?;
        self.greet(&mut stream).await?;
        Ok(stream)
    }

    /// The TLS handshake on an unencrypted stream.
    pub async fn secure(&self, stream: Stream) -> Result<Stream> {
        let name = ServerName::try_from(self.to.to_owned())?;
        let connector = self.tls.connector()?;
        let secured = connector
            .connect(name, stream.into_inner())
            .await
            .context("TLS handshake")?;
        let wire: Box<dyn Wire> = Box::new(secured);
        Ok(Stream::new(wire, SERVER))
    }

    /// Sends a header and returns the features that come back.
    pub async fn greet(&self, stream: &mut Stream) -> Result<Element> {
        stream.restart();
        stream.write(&header(self.from, self.to)).await?;
        let first = stream.expect().await?;
        ensure!(
            matches!(first, Item::Header(_)),
            "no stream header: {first:?}"
        );
        let features = stream.expect_stanza().await?;
        ensure!(features.name() == "features", "no features: {features:?}");
        Ok(features)
    }

    /// SASL EXTERNAL (XEP-0178).
    pub async fn authenticate(&self, stream: &mut Stream) -> Result<()> {
        let own = BASE64.encode(self.from);
        let authzid = self.authzid.unwrap_or(&own);
        stream
            .write(&format!(
                "<auth xmlns='{SASL}' mechanism='EXTERNAL'>{authzid}</auth>"
            ))
            .await?;
        let answer = stream.expect_stanza().await?;
        ensure!(
            answer.is("success", SASL),
            "EXTERNAL has failed: {answer:?}"
        );
        Ok(())
    }
}

/// Connects from a certain address, or from any.
pub async fn connect(to: SocketAddr, source: Option<SocketAddr>) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if let Some(source) = source {
        socket.bind(source)?;
    }
    Ok(socket.connect(to).await?)
}

/// A stream header of a server.
pub fn header(from: &str, to: &str) -> String {
    format!(
        "<?xml version='1.0'?><stream:stream xmlns='jabber:server' \
         xmlns:stream='http://etherx.jabber.org/streams' from='{from}' to='{to}' version='1.0'>"
    )
}

/// Whether features offer SASL EXTERNAL.
pub fn offers_external(features: &Element) -> bool {
    features
        .get_child("mechanisms", SASL)
        .is_some_and(|mechanisms| {
            mechanisms
                .children()
                .any(|mechanism| mechanism.text() == "EXTERNAL")
        })
}

/// Waits for a header, answers with ours and the features.
pub async fn welcome(stream: &mut Stream, features: &str) -> Result<()> {
    let Item::Header(header) = stream.expect().await? else {
        bail!("no stream header");
    };
    let (from, to, id) = (header.at("to"), header.at("from"), token());
    stream
        .write(&format!(
            "<?xml version='1.0'?><stream:stream xmlns='jabber:server' \
             xmlns:stream='http://etherx.jabber.org/streams' id='{id}' from='{from}' to='{to}' \
             version='1.0'><stream:features>{features}</stream:features>"
        ))
        .await
}
