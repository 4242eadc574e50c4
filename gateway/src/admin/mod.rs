//! The operator's way in: one JSON object per line over a Unix socket.

mod commands;
mod decisions;
mod migration;
pub mod partner;
pub mod protocol;
mod signals;
mod socket;
mod status;
mod users;
mod watch;
mod watchers;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use certs::Finding;
use tokio::sync::{RwLock, RwLockReadGuard, mpsc, oneshot};
use tokio::time::timeout;
use translators::model::Wall;

use crate::clock::Clock;
use crate::config::Config;
use crate::decisions::Decisions;
use crate::egress::Egress;
use crate::peers::Peers;
use crate::resolve::Overridden;
use crate::shards::Inputs;
use crate::store::Store;
use crate::telemetry::http::Readiness;

pub use signals::{Signals, keep_systemd_informed};
pub use socket::{SocketFault, bind, serve};
pub use watch::watch;

/// What the commands look at and whom they ask.
#[derive(Clone)]
pub struct Gateway {
    /// The clock.
    pub clock: Clock,
    /// When the daemon was started.
    pub started: Wall,
    /// The configuration file.
    pub file: PathBuf,
    /// The configuration in use.
    pub config: Arc<ArcSwap<Config>>,
    /// The peers and their links.
    pub peers: Peers,
    /// The journal.
    pub store: Store,
    /// What is decided on pairs and users.
    pub decisions: Decisions,
    /// The way into the shards.
    pub inputs: Inputs,
    /// How names are resolved.
    pub resolver: Arc<ArcSwap<Overridden>>,
    /// What is known of all shards together.
    pub egress: Egress,
    /// Whether work is taken.
    pub readiness: Readiness,
    /// Where orders go.
    pub orders: mpsc::Sender<Order>,
    /// The answers that are due.
    pub answers: Answers,
}

/// The answers that are due to clients; every copy is the same.
#[derive(Clone, Debug, Default)]
pub struct Answers(Arc<RwLock<()>>);

impl Answers {
    /// Held from a question to the end of its answer.
    async fn due(&self) -> RwLockReadGuard<'_, ()> {
        self.0.read().await
    }

    /// Waits a moment for the answers that are due, so that the process does not end before the
    /// client that asked for its end knows how that went.
    pub async fn all_given(&self) {
        drop(timeout(LAST_WORDS, self.0.write()).await);
    }
}

/// Time for the last answers.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What changes the running daemon: from the admin socket, or from a signal.
#[derive(Debug)]
pub enum Order {
    /// Reads the configuration again; answers with what was found.
    Reload(oneshot::Sender<Reloaded>),
    /// Finishes what is under way and ends; answers whether all of it was finished.
    Drain {
        /// Time until the rest is cut off.
        grace: Duration,
        /// Whether every dialog is ended before.
        for_good: bool,
        /// Where the answer goes.
        done: oneshot::Sender<bool>,
    },
}

/// The outcome of a reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reloaded {
    /// Whether the new configuration is in use.
    pub applied: bool,
    /// Everything that was found.
    pub findings: Vec<Finding>,
}
