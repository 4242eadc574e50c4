//! The SIP connections of the load tools: what comes is cut into messages and answered, as cheaply
//! as can be.

use anyhow::{Result, bail};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::sip::{Frame, Framer, SipMessage};
use crate::tls::TlsSettings;

/// The end of a connection, whoever opened it: requests come on both kinds, and so do answers.
pub(crate) trait Takes: Clone + Send + Sync + 'static {
    /// Takes a request or a response; returns what there is to write back.
    fn take(&self, message: &SipMessage) -> Vec<u8>;
}

/// Takes the gateway's connections.
pub(crate) async fn serve(listener: TcpListener, tls: TlsSettings, end: impl Takes) -> Result<()> {
    let acceptor = tls.acceptor()?;
    while let Ok((socket, _)) = listener.accept().await {
        let (acceptor, end) = (acceptor.clone(), end.clone());
        tokio::spawn(async move {
            socket.set_nodelay(true)?;
            let (reading, writing) = tokio::io::split(acceptor.accept(socket).await?);
            let (queue, writes) = mpsc::channel(1024);
            tokio::spawn(write(writing, writes));
            take_frames(reading, queue, end).await
        });
    }
    Ok(())
}

/// Takes what comes on a connection until it is closed.
pub(crate) async fn take_frames(
    mut reading: impl AsyncRead + Unpin,
    queue: mpsc::Sender<Vec<u8>>,
    end: impl Takes,
) -> Result<()> {
    let mut framer = Framer::default();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = reading.read(&mut buffer).await?;
        if count == 0 {
            bail!("closed");
        }
        framer.push(buffer.get(..count).unwrap_or_default());
        let mut answers = Vec::new();
        while let Some(frame) = framer.next_frame()? {
            match frame {
                Frame::Ping => answers.extend(b"\r\n"),
                Frame::Pong => {}
                Frame::Message(message) => answers.extend(end.take(&message)),
            }
        }
        if !answers.is_empty() {
            queue.send(answers).await?;
        }
    }
}

/// Writes what is queued, as much as there is at a time.
pub(crate) async fn write(
    mut wire: impl AsyncWrite + Unpin,
    mut queue: mpsc::Receiver<Vec<u8>>,
) -> Result<()> {
    let mut buffer = Vec::new();
    while let Some(bytes) = queue.recv().await {
        buffer.extend(bytes);
        while buffer.len() < 32 * 1024
            && let Ok(more) = queue.try_recv()
        {
            buffer.extend(more);
        }
        wire.write_all(&buffer).await?;
        wire.flush().await?;
        buffer.clear();
    }
    Ok(())
}
