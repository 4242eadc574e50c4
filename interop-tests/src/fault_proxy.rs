//! A TCP proxy that a test can make slow, deaf, one-sided or dead.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::inbox::locked;

/// What happens to bytes in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flow {
    /// They pass.
    #[default]
    Free,
    /// They pass after a delay.
    Delayed(Duration),
    /// So many pass per second.
    Slow(u32),
    /// They are not read: the sender's window fills up.
    Stopped,
    /// They are read and thrown away: a half-open connection.
    Swallowed,
}

/// What the proxy does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// From the side that connects to the proxy.
    pub there: Flow,
    /// From the server behind the proxy.
    pub back: Flow,
    /// New connections are closed at once.
    pub refusing: bool,
}

/// The running proxy.
#[derive(Debug)]
pub struct FaultProxy {
    faults: watch::Sender<Faults>,
    connections: Arc<Mutex<Vec<Connection>>>,
    accepting: JoinHandle<()>,
}

/// The tasks of one connection; they reset it when told to.
#[derive(Debug)]
struct Connection {
    cut: watch::Sender<Option<Cut>>,
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    Close,
    Reset,
}

impl FaultProxy {
    /// Listens on one address and passes connections on to another.
    pub async fn start(listen: SocketAddr, target: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let (faults, current) = watch::channel(Faults::default());
        let connections = Arc::<Mutex<Vec<Connection>>>::default();
        let accepting = tokio::spawn(accept(listener, target, current, Arc::clone(&connections)));
        Ok(Self {
            faults,
            connections,
            accepting,
        })
    }

    /// Changes what happens from now on.
    pub fn set(&self, faults: Faults) {
        self.faults.send_replace(faults);
    }

    /// Ends all connections with FIN.
    pub fn cut(&self) {
        self.end_all(Cut::Close);
    }

    /// Ends all connections with RST.
    pub fn reset(&self) {
        self.end_all(Cut::Reset);
    }

    fn end_all(&self, how: Cut) {
        for connection in locked(&self.connections).drain(..) {
            connection.cut.send_replace(Some(how));
        }
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.end_all(Cut::Close);
    }
}

async fn accept(
    listener: TcpListener,
    target: SocketAddr,
    faults: watch::Receiver<Faults>,
    connections: Arc<Mutex<Vec<Connection>>>,
) {
    while let Ok((near, _)) = listener.accept().await {
        if faults.borrow().refusing {
            continue;
        }
        let Ok(far) = TcpStream::connect(target).await else {
            continue;
        };
        let (cut, told) = watch::channel(None);
        locked(&connections).push(Connection { cut });
        tokio::spawn(carry(near, far, faults.clone(), told));
    }
}

async fn carry(
    near: TcpStream,
    far: TcpStream,
    faults: watch::Receiver<Faults>,
    mut told: watch::Receiver<Option<Cut>>,
) {
    near.set_nodelay(true).ok();
    far.set_nodelay(true).ok();
    let (mut near_read, mut near_write) = near.into_split();
    let (mut far_read, mut far_write) = far.into_split();
    let there = pump(&mut near_read, &mut far_write, faults.clone(), |faults| {
        faults.there
    });
    let back = pump(&mut far_read, &mut near_write, faults, |faults| faults.back);
    let how = tokio::select! {
        _ = async { tokio::join!(there, back) } => Cut::Close,
        ended = told.wait_for(Option::is_some) => {
            ended.ok().and_then(|how| *how).unwrap_or(Cut::Close)
        }
    };
    if how == Cut::Reset {
        for halves in [near_read.reunite(near_write), far_read.reunite(far_write)] {
            // Zero linger makes the coming close a reset.
            halves.map(|socket| socket.set_zero_linger().ok()).ok();
        }
    }
}

/// Carries bytes one way until either end closes.
async fn pump(
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    mut faults: watch::Receiver<Faults>,
    direction: fn(&Faults) -> Flow,
) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let_pass(&mut faults, direction).await;
        let count = match from.read(&mut buffer).await {
            Ok(count) if count > 0 => count,
            Ok(_) | Err(_) => break,
        };
        let mut chunk = buffer.get(..count).unwrap_or_default();
        while !chunk.is_empty() {
            // The fault may have begun while nothing came, or ended in the middle.
            let piece = match let_pass(&mut faults, direction).await {
                Flow::Slow(rate) => {
                    sleep(Duration::from_millis(50)).await;
                    chunk.len().min((rate as usize / 20).max(1))
                }
                Flow::Delayed(delay) => {
                    sleep(delay).await;
                    chunk.len()
                }
                Flow::Free | Flow::Stopped => chunk.len(),
                Flow::Swallowed => break,
            };
            let (now, later) = chunk.split_at(piece);
            if to.write_all(now).await.is_err() {
                return;
            }
            chunk = later;
        }
    }
    // The other half may still have something to say.
    to.shutdown().await.ok();
}

/// Waits until the direction is not stopped, and tells what it is then.
async fn let_pass(faults: &mut watch::Receiver<Faults>, direction: fn(&Faults) -> Flow) -> Flow {
    let passing = faults
        .wait_for(|faults| direction(faults) != Flow::Stopped)
        .await;
    // The sender lives in the proxy; without it nothing hinders the flow any more.
    passing.map_or(Flow::Free, |faults| direction(&faults))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inbox::until;

    const PATIENCE: Duration = Duration::from_secs(5);

    /// A connection to a listener that says back what it hears, through the proxy.
    async fn connected() -> (FaultProxy, TcpStream) {
        let echo = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = echo.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut socket, _) = echo.accept().await.unwrap();
            let (mut reading, mut writing) = socket.split();
            tokio::io::copy(&mut reading, &mut writing).await
        });
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listen = free.local_addr().unwrap();
        drop(free);
        let proxy = FaultProxy::start(listen, target).await.unwrap();
        (proxy, TcpStream::connect(listen).await.unwrap())
    }

    /// Whether the echo of a byte comes back soon.
    async fn echoes(socket: &mut TcpStream) -> bool {
        socket.write_all(b"x").await.unwrap();
        let mut byte = [0];
        let answer = socket.read_exact(&mut byte);
        tokio::time::timeout(Duration::from_millis(200), answer)
            .await
            .is_ok_and(|read| read.is_ok())
    }

    #[tokio::test]
    async fn stopped_bytes_pass_later_and_swallowed_ones_never() {
        let (proxy, mut socket) = connected().await;
        assert!(echoes(&mut socket).await);
        proxy.set(Faults {
            there: Flow::Stopped,
            ..Faults::default()
        });
        assert!(!echoes(&mut socket).await);
        proxy.set(Faults::default());
        let mut byte = [0];
        tokio::time::timeout(PATIENCE, socket.read_exact(&mut byte))
            .await
            .unwrap()
            .unwrap();
        proxy.set(Faults {
            back: Flow::Swallowed,
            ..Faults::default()
        });
        assert!(!echoes(&mut socket).await);
        proxy.set(Faults::default());
        assert!(echoes(&mut socket).await);
    }

    #[tokio::test]
    async fn a_reset_is_a_reset() {
        let (proxy, mut socket) = connected().await;
        assert!(echoes(&mut socket).await);
        proxy.reset();
        let error = tokio::time::timeout(PATIENCE, socket.read_u8())
            .await
            .unwrap()
            .unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        until(PATIENCE, "forgotten", || {
            std::future::ready(locked(&proxy.connections).is_empty())
        })
        .await
        .unwrap();
    }
}
