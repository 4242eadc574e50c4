//! The bytes of one connection: written in one piece, read as they come, both at once.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use translators::model::Mono;

use crate::clock::Clock;
use crate::tls::Stream;

/// A connection before and behind TLS, with what waits to be written.
#[derive(Debug)]
pub(super) struct Io {
    wire: Wire,
    clock: Clock,
    out: BytesMut,
    /// Whether something was written that may not have left the buffers of TLS.
    unflushed: bool,
    /// When the other end last took a byte, while something waits.
    moved: Mono,
    buffer: Box<[u8]>,
}

#[derive(Debug)]
enum Wire {
    Plain(TcpStream),
    Secure(Stream),
    /// While it changes from one to the other, and behind its end.
    Gone,
}

/// What the connection did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Did {
    /// The other end closed.
    End,
    /// So many bytes are there to be read by [`Io::input`].
    Read(usize),
    /// Everything is written.
    Wrote,
}

impl Io {
    /// Takes a connection before TLS.
    pub(super) fn new(connection: TcpStream, clock: Clock) -> Self {
        Self::over(Wire::Plain(connection), clock)
    }

    /// Takes a connection behind TLS.
    pub(super) fn secure(connection: Stream, clock: Clock) -> Self {
        Self::over(Wire::Secure(connection), clock)
    }

    fn over(wire: Wire, clock: Clock) -> Self {
        Self {
            wire,
            clock,
            out: BytesMut::new(),
            unflushed: false,
            moved: Mono::default(),
            buffer: vec![0; READ].into_boxed_slice(),
        }
    }

    /// Adds bytes to what is written next.
    pub(super) fn write(&mut self, bytes: &[u8]) {
        if self.is_flushed() && !bytes.is_empty() {
            self.moved = self.clock.now().mono;
        }
        self.out.extend_from_slice(bytes);
    }

    /// Whether everything is written.
    pub(super) fn is_flushed(&self) -> bool {
        self.out.is_empty() && !self.unflushed
    }

    /// Whether so little waits to be written that more may be read, which may want answers.
    pub(super) fn has_room(&self) -> bool {
        self.out.len() < UNWRITTEN
    }

    /// When the other end counts as one that does not read, unless it takes something before.
    pub(super) fn stalls_at(&self) -> Option<Mono> {
        (!self.is_flushed()).then(|| self.moved + WRITE_TIME)
    }

    /// Writes what waits and reads, if `reading`, until one of both is done.
    pub(super) async fn turn(&mut self, reading: bool) -> io::Result<Did> {
        poll_fn(|context| self.poll_turn(reading, context)).await
    }

    /// What was read last.
    pub(super) fn input(&self, length: usize) -> &[u8] {
        self.buffer.get(..length).unwrap_or_default()
    }

    /// Writes what waits, within the time that a reader is given.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        while !self.is_flushed() {
            match timeout(WRITE_TIME, self.turn(false)).await {
                Ok(done) => done.map(|_| ())?,
                Err(_) => return Err(io::ErrorKind::TimedOut.into()),
            }
        }
        Ok(())
    }

    /// Gives the plain connection to a TLS handshake. What was read before it must not be believed.
    pub(super) fn start_tls(&mut self) -> Option<TcpStream> {
        match std::mem::replace(&mut self.wire, Wire::Gone) {
            Wire::Plain(connection) => Some(connection),
            other @ (Wire::Secure(_) | Wire::Gone) => {
                self.wire = other;
                None
            }
        }
    }

    /// Goes on behind the handshake.
    pub(super) fn secured(&mut self, connection: Stream) {
        self.wire = Wire::Secure(connection);
    }

    /// Ends the connection: what waits, `close_notify`, FIN; then reads for a moment, since what is
    /// left unread would turn the end into a reset and take our last words with it.
    pub(super) async fn close(mut self) {
        let farewell = async {
            self.flush().await?;
            self.shutdown().await?;
            while self.read().await? > 0 {}
            io::Result::Ok(())
        };
        // The connection is over; nobody has to know how well it ended.
        timeout(CLOSE_TIME, farewell).await.ok();
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        match &mut self.wire {
            Wire::Plain(connection) => connection.shutdown().await,
            Wire::Secure(connection) => connection.shutdown().await,
            Wire::Gone => Ok(()),
        }
    }

    async fn read(&mut self) -> io::Result<usize> {
        match &mut self.wire {
            Wire::Plain(connection) => connection.read(&mut self.buffer).await,
            Wire::Secure(connection) => connection.read(&mut self.buffer).await,
            Wire::Gone => Ok(0),
        }
    }

    fn poll_turn(&mut self, reading: bool, context: &mut Context<'_>) -> Poll<io::Result<Did>> {
        if !self.is_flushed() && self.poll_write(context)?.is_ready() {
            return Poll::Ready(Ok(Did::Wrote));
        }
        if reading {
            return self.poll_read(context);
        }
        Poll::Pending
    }

    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.out.is_empty() {
            let written = ready!(self.wire.poll_write(context, &self.out))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.out.advance(written);
            self.unflushed = true;
            self.moved = self.clock.now().mono;
        }
        ready!(self.wire.poll_flush(context))?;
        self.unflushed = false;
        Poll::Ready(Ok(()))
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Did>> {
        let mut buffer = ReadBuf::new(&mut self.buffer);
        let read = ready!(self.wire.poll_read(context, &mut buffer));
        let length = buffer.filled().len();
        Poll::Ready(match read {
            Ok(()) if length > 0 => Ok(Did::Read(length)),
            Ok(()) => Ok(Did::End),
            // COMPAT(ejabberd): it ends TLS without `close_notify`.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(Did::End),
            Err(error) => Err(error),
        })
    }
}

impl Wire {
    fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(connection) => Pin::new(connection).poll_write(context, bytes),
            Self::Secure(connection) => Pin::new(connection).poll_write(context, bytes),
            Self::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(connection) => Pin::new(connection).poll_flush(context),
            Self::Secure(connection) => Pin::new(connection).poll_flush(context),
            Self::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(connection) => Pin::new(connection).poll_read(context, buffer),
            Self::Secure(connection) => Pin::new(connection).poll_read(context, buffer),
            Self::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

/// Read at once.
const READ: usize = 16 * 1_024;
/// Octets that wait for a peer that does not read, before it is not read either.
const UNWRITTEN: usize = 256 * 1_024;
/// A peer that takes no byte for this long does not read.
const WRITE_TIME: Duration = Duration::from_secs(30);
/// Time for the last words of a connection.
const CLOSE_TIME: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (Io, Io) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let there = TcpStream::connect(listener.local_addr().unwrap());
        let (here, there) = tokio::join!(listener.accept(), there);
        let clock = Clock::start();
        (
            Io::new(here.unwrap().0, clock),
            Io::new(there.unwrap(), clock),
        )
    }

    #[tokio::test]
    async fn reading_goes_on_while_the_other_end_does_not_read() {
        let (mut here, mut there) = pair().await;
        here.write(&vec![b'x'; 16 << 20]);
        there.write(b"hello");
        there.flush().await.unwrap();

        let did = here.turn(true).await.unwrap();

        assert_eq!(did, Did::Read(5));
        assert_eq!(here.input(5), b"hello");
        assert!(!here.is_flushed());
        assert!(here.stalls_at().is_some());
    }

    #[tokio::test]
    async fn everything_arrives_before_the_end() {
        let (mut here, mut there) = pair().await;
        let sent = vec![b'x'; 1 << 20];
        here.write(&sent);
        let closing = tokio::spawn(here.close());

        let mut received = 0;
        while let Did::Read(length) = there.turn(true).await.unwrap() {
            received += length;
        }

        assert_eq!(received, sent.len());
        drop(there);
        closing.await.unwrap();
    }
}
