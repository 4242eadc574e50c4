//! Writes the log of the journal back into its file, beside the thread that appends to it.
//!
//! A checkpoint takes milliseconds. Done by the thread that commits, one in a few hundred commits
//! would wait for it; a passive one of another connection stops nobody.

use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;

use super::StoreError;

/// The thread that does it; it ends with this.
#[derive(Debug)]
pub(super) struct Checkpointer {
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    /// Starts on the journal in `file`.
    pub(super) fn start(file: &Path) -> Result<Self, StoreError> {
        let connection = Connection::open(file)?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        let (stop, stopped) = sync_channel(0);
        let thread = std::thread::spawn(move || run(&connection, &stopped));
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // It has nothing to say about its end.
            thread.join().ok();
        }
    }
}

fn run(connection: &Connection, stopped: &Receiver<()>) {
    while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
        // What fails here is tried again, and told by the commits that fail for the same reason.
        connection
            .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
            .ok();
    }
}

/// Time between two checkpoints; without changes since the last one it touches nothing.
const EVERY: Duration = Duration::from_millis(500);
