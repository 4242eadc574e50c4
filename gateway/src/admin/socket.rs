//! The socket itself: who may connect, how much a client may send, how long it may take.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::admin::{Gateway, commands};

/// Owner and group may command the daemon.
const MODE: u32 = 0o660;
/// Clients at a time.
const CLIENTS: usize = 16;
/// Longest command in octets.
const LINE: u64 = 4_096;
/// Time between two commands, and time to take an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why the socket cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("the admin socket {} cannot be opened: {source}", path.display())]
pub struct SocketFault {
    /// Where it should be.
    path: PathBuf,
    /// What the system says.
    source: io::Error,
}

/// Opens the socket; one that a dead daemon left behind is replaced.
pub fn bind(path: &Path) -> Result<UnixListener, SocketFault> {
    open(path).map_err(|source| SocketFault {
        path: path.to_owned(),
        source,
    })
}

fn open(path: &Path) -> io::Result<UnixListener> {
    if fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
        if BlockingStream::connect(path).is_ok() {
            return Err(io::Error::new(
                io::ErrorKind::AddrInUse,
                "another isthmusd answers there",
            ));
        }
        fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, Permissions::from_mode(MODE))?;
    Ok(listener)
}

/// Serves clients until the task is dropped.
pub async fn serve(listener: UnixListener, gateway: Gateway) {
    let gateway = Arc::new(gateway);
    let places = Arc::new(Semaphore::new(CLIENTS));
    loop {
        // A place first: without one, clients wait in the backlog.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let Ok((client, _)) = listener.accept().await else {
            // Out of file descriptors: others have to end before the next try can succeed.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let gateway = Arc::clone(&gateway);
        tokio::spawn(async move {
            attend(client, &gateway).await;
            drop(place);
        });
    }
}

/// Answers the lines of one client until it goes, stays silent or sends too much.
async fn attend(client: UnixStream, gateway: &Gateway) {
    let user = client.peer_cred().ok().map(|credentials| credentials.uid());
    let (reader, mut writer) = client.into_split();
    let mut reader = BufReader::new(reader);
    while let Some(line) = next_line(&mut reader).await {
        let _due = gateway.answers.due().await;
        let answer = commands::answer(gateway, &line, user).await;
        if write(&mut writer, &answer).await.is_none() {
            return;
        }
    }
}

async fn next_line(reader: &mut BufReader<OwnedReadHalf>) -> Option<Vec<u8>> {
    let mut line = Vec::new();
    let mut bounded = reader.take(LINE);
    let read = bounded.read_until(b'\n', &mut line);
    timeout(PATIENCE, read).await.ok()?.ok()?;
    line.ends_with(b"\n").then_some(line)
}

async fn write(writer: &mut OwnedWriteHalf, answer: &serde_json::Value) -> Option<()> {
    let line = format!("{answer}\n");
    timeout(PATIENCE, writer.write_all(line.as_bytes()))
        .await
        .ok()?
        .ok()
}
