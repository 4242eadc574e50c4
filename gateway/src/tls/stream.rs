//! A connection behind its handshake, whichever engine made that.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsStream;

use super::connection::Connection;

/// Bytes behind TLS.
#[derive(Debug)]
pub struct Stream(Inner);

#[derive(Debug)]
enum Inner {
    Rustls(Box<TlsStream<Connection>>),
    #[cfg(feature = "compat-tls")]
    Compat(Box<tokio_openssl::SslStream<Connection>>),
}

impl Stream {
    /// Sets how much the system takes of the other end before it is read, in octets.
    pub fn receives_at_most(&self, octets: usize) -> io::Result<()> {
        let connection = match &self.0 {
            Inner::Rustls(stream) => stream.get_ref().0,
            #[cfg(feature = "compat-tls")]
            Inner::Compat(stream) => stream.get_ref(),
        };
        connection.receives_at_most(octets)
    }
}

impl From<TlsStream<Connection>> for Stream {
    fn from(stream: TlsStream<Connection>) -> Self {
        Self(Inner::Rustls(Box::new(stream)))
    }
}

#[cfg(feature = "compat-tls")]
impl From<tokio_openssl::SslStream<Connection>> for Stream {
    fn from(stream: tokio_openssl::SslStream<Connection>) -> Self {
        Self(Inner::Compat(Box::new(stream)))
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Inner::Rustls(stream) => Pin::new(stream).poll_read(context, buffer),
            #[cfg(feature = "compat-tls")]
            Inner::Compat(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            Inner::Rustls(stream) => Pin::new(stream).poll_write(context, bytes),
            #[cfg(feature = "compat-tls")]
            Inner::Compat(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Inner::Rustls(stream) => Pin::new(stream).poll_flush(context),
            #[cfg(feature = "compat-tls")]
            Inner::Compat(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Inner::Rustls(stream) => Pin::new(stream).poll_shutdown(context),
            #[cfg(feature = "compat-tls")]
            Inner::Compat(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
