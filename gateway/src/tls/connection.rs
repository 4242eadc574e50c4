//! A TCP connection whose first bytes may be looked at before TLS gets them.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf as _, BytesMut};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A TCP connection with what was read of it too early.
#[derive(Debug)]
pub(super) struct Connection {
    socket: TcpStream,
    ahead: BytesMut,
}

impl Connection {
    /// Nothing is read yet.
    pub(super) fn new(socket: TcpStream) -> Self {
        let ahead = BytesMut::new();
        Self { socket, ahead }
    }

    /// Reads more ahead; false at the end of the connection.
    pub(super) async fn look_ahead(&mut self) -> io::Result<bool> {
        Ok(self.socket.read_buf(&mut self.ahead).await? > 0)
    }

    /// Sets how much the system takes of the other end before it is read, in octets.
    pub(super) fn receives_at_most(&self, octets: usize) -> io::Result<()> {
        SockRef::from(&self.socket).set_recv_buffer_size(octets)
    }

    /// What was read ahead and is still to be read.
    pub(super) fn ahead(&self) -> &[u8] {
        &self.ahead
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() {
            return Pin::new(&mut self.socket).poll_read(context, buffer);
        }
        let length = self.ahead.len().min(buffer.remaining());
        let (first, _) = self.ahead.split_at(length);
        buffer.put_slice(first);
        self.ahead.advance(length);
        if self.ahead.is_empty() {
            // It is not needed again, and connections live long.
            self.ahead = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn what_was_looked_at_is_read_once_and_first() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let there = TcpStream::connect(listener.local_addr().unwrap());
        let (here, there) = tokio::join!(listener.accept(), there);
        let mut there = there.unwrap();
        let mut connection = Connection::new(here.unwrap().0);
        there.write_all(b"hello ").await.unwrap();

        while connection.ahead().len() < 6 {
            assert!(connection.look_ahead().await.unwrap());
        }
        there.write_all(b"world").await.unwrap();
        there.shutdown().await.unwrap();
        let mut two = [0; 2];
        connection.read_exact(&mut two).await.unwrap();
        let mut rest = Vec::new();
        connection.read_to_end(&mut rest).await.unwrap();

        assert_eq!(&two, b"he");
        assert_eq!(rest, b"llo world");
        assert!(!connection.look_ahead().await.unwrap());
    }
}
