//! The store thread: takes the changes of all shards and commits them together.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use translators::limits;
use translators::model::Mono;
use translators::shard::{Change, ImRecord, Restored};

use super::sqlite::{self, Journal};
use super::{NotStored, Query, StoreError};
use crate::clock::Clock;
use crate::telemetry::events::ProcessEvent;

/// The way to the store thread. The thread ends, and closes the journal, with the last of these.
#[derive(Clone, Debug)]
pub struct Store {
    orders: SyncSender<Order>,
    read_only: watch::Receiver<bool>,
    folder: PathBuf,
}

/// Opens the journal in `folder` and returns it with what a start needs, oldest first.
pub fn open(folder: &Path, clock: Clock) -> Result<(Store, Restored), StoreError> {
    let (journal, restored) = Journal::open(folder, clock.now().wall)?;
    Ok((start(journal, folder, clock), restored))
}

/// Starts the store thread on an open journal.
pub(super) fn start(journal: Journal, folder: &Path, clock: Clock) -> Store {
    let (orders, receiver) = sync_channel(ORDERS);
    let (announce, read_only) = watch::channel(false);
    let worker = Worker {
        journal,
        clock,
        behind: Vec::new(),
        flush_at: None,
        probe_at: None,
        prune_at: clock.now().mono,
        announce,
        closing: None,
    };
    std::thread::spawn(move || worker.run(&receiver));
    Store {
        orders,
        read_only,
        folder: folder.to_owned(),
    }
}

impl Store {
    /// Makes `changes` permanent: all of them, or none.
    pub async fn commit(&self, changes: Vec<Change>) -> Result<(), NotStored> {
        let (reply, outcome) = oneshot::channel();
        let order = Order::Commit { changes, reply };
        self.orders.try_send(order).map_err(NotStored::from_order)?;
        // Without an answer the thread has ended, and the changes with it.
        outcome.await.unwrap_or_else(|_| Err(NotStored(Vec::new())))
    }

    /// Writes changes on which nothing depends, a moment later.
    pub fn write_behind(&self, changes: Vec<Change>) -> Result<(), NotStored> {
        let order = Order::Behind(changes);
        self.orders.try_send(order).map_err(NotStored::from_order)
    }

    /// Writes what was put off and closes the journal; what comes later is refused.
    pub async fn close(&self) -> Result<(), StoreError> {
        let (reply, closed) = oneshot::channel();
        let asked = self.orders.try_send(Order::Close(reply));
        asked.map_err(|_| StoreError::Closed)?;
        closed.await.map_err(|_| StoreError::Closed)
    }

    /// Looks up messages, newest first.
    pub async fn find(&self, query: Query) -> Result<Vec<ImRecord>, StoreError> {
        self.flush().await?;
        let folder = self.folder.clone();
        let search = tokio::task::spawn_blocking(move || sqlite::find(&folder, &query));
        search.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Writes what was put off.
    pub async fn flush(&self) -> Result<(), StoreError> {
        let (reply, flushed) = oneshot::channel();
        let asked = self.orders.try_send(Order::Flush(reply));
        asked.map_err(|_| StoreError::Closed)?;
        flushed.await.map_err(|_| StoreError::Closed)
    }

    /// Tells when the journal stops taking changes and when it takes them again.
    pub fn read_only(&self) -> watch::Receiver<bool> {
        self.read_only.clone()
    }
}

/// What the thread is asked for.
#[derive(Debug)]
enum Order {
    Behind(Vec<Change>),
    Close(oneshot::Sender<()>),
    Commit {
        changes: Vec<Change>,
        reply: oneshot::Sender<Result<(), NotStored>>,
    },
    Flush(oneshot::Sender<()>),
}

impl NotStored {
    fn from_order(error: TrySendError<Order>) -> Self {
        let (TrySendError::Full(order) | TrySendError::Disconnected(order)) = error;
        match order {
            Order::Behind(changes) | Order::Commit { changes, .. } => Self(changes),
            Order::Close(_) | Order::Flush(_) => Self(Vec::new()),
        }
    }
}

struct Worker {
    journal: Journal,
    clock: Clock,
    /// Changes to be written behind, oldest first.
    behind: Vec<Change>,
    flush_at: Option<Mono>,
    /// Set while the journal takes no changes.
    probe_at: Option<Mono>,
    prune_at: Mono,
    announce: watch::Sender<bool>,
    /// Who waits for the end.
    closing: Option<oneshot::Sender<()>>,
}

impl Worker {
    fn run(mut self, orders: &Receiver<Order>) {
        loop {
            let turn = match orders.recv_timeout(self.patience()) {
                Ok(first) => std::iter::once(first).chain(orders.try_iter()).collect(),
                Err(RecvTimeoutError::Timeout) => Vec::new(),
                Err(RecvTimeoutError::Disconnected) => break,
            };
            self.turn(turn);
            if self.closing.is_some() {
                break;
            }
            self.housekeeping();
        }
        self.flush();
        self.journal.close();
        if let Some(reply) = self.closing {
            reply.send(()).ok();
        }
    }

    fn patience(&self) -> Duration {
        let next = [self.flush_at, self.probe_at, Some(self.prune_at)];
        let next = next.into_iter().flatten().min();
        let now = self.clock.now().mono;
        next.map_or(PRUNE_EVERY, |at| at.since(now))
    }

    /// Merges the orders of one turn into one commit, and answers them behind it.
    fn turn(&mut self, orders: Vec<Order>) {
        let mut commits = Vec::new();
        let mut flushes = Vec::new();
        for order in orders {
            match order {
                Order::Behind(changes) => self.defer(changes),
                Order::Close(reply) => self.closing = Some(reply),
                Order::Commit { changes, reply } => commits.push((changes, reply)),
                Order::Flush(reply) => flushes.push(reply),
            }
        }
        if !commits.is_empty() {
            let durable: Vec<&Change> = commits.iter().flat_map(|(changes, _)| changes).collect();
            let stored = self.commit(&durable);
            for (changes, reply) in commits {
                let outcome = stored.then_some(()).ok_or(NotStored(changes));
                // A shard that no longer waits has ended.
                reply.send(outcome).ok();
            }
        }
        if !flushes.is_empty() {
            self.flush();
        }
        for reply in flushes {
            reply.send(()).ok();
        }
    }

    /// Writes what was put off, so that the changes of a message keep their order, and `durable`.
    fn commit(&mut self, durable: &[&Change]) -> bool {
        if self.probe_at.is_some() {
            return false;
        }
        let start = self.clock.now().mono;
        let records = self.behind.len() + durable.len();
        let changes = self.behind.iter().chain(durable.iter().copied());
        if let Err(error) = self.journal.write(changes.map(|change| &change.record)) {
            self.stop_writing(&error);
            return false;
        }
        let took = self.clock.now().mono.since(start);
        ProcessEvent::Committed { records, took }.emit();
        self.behind.clear();
        self.flush_at = None;
        true
    }

    fn defer(&mut self, changes: Vec<Change>) {
        let room = MOST_BEHIND.saturating_sub(self.behind.len());
        self.behind.extend(changes.into_iter().take(room));
        if self.flush_at.is_none() && !self.behind.is_empty() {
            self.flush_at = Some(self.clock.now().mono + BEHIND);
        }
    }

    fn housekeeping(&mut self) {
        let now = self.clock.now();
        if self.probe_at.is_some_and(|at| at <= now.mono) {
            self.probe();
        }
        if self.behind.len() >= limits::SHARD_INPUTS
            || self.flush_at.is_some_and(|at| at <= now.mono)
        {
            self.flush();
        }
        if self.prune_at <= now.mono || self.journal.wants_pruning() {
            self.prune();
        }
    }

    /// Writes what was put off. While nothing can be written it stays put off.
    fn flush(&mut self) {
        self.flush_at = None;
        if !self.behind.is_empty() {
            self.commit(&[]);
        }
    }

    fn prune(&mut self) {
        let now = self.clock.now();
        self.prune_at = now.mono + PRUNE_EVERY;
        if self.probe_at.is_some() {
            return;
        }
        if let Err(error) = self.journal.prune(now.wall, HISTORY_ROWS) {
            self.stop_writing(&error);
        }
    }

    fn stop_writing(&mut self, error: &rusqlite::Error) {
        self.probe_at = Some(self.clock.now().mono + PROBE_EVERY);
        ProcessEvent::StoreFailed { cause: error }.emit();
        self.announce.send_replace(true);
    }

    fn probe(&mut self) {
        if self.journal.probe().is_err() {
            self.probe_at = Some(self.clock.now().mono + PROBE_EVERY);
            return;
        }
        self.probe_at = None;
        self.flush_at = Some(self.clock.now().mono);
        ProcessEvent::StoreRecovered.emit();
        self.announce.send_replace(false);
    }
}

/// Orders under way: each shard group has one, find and write-behind come on top.
const ORDERS: usize = 1_024;
/// What is written behind waits this long for a commit that takes it along: under load there is
/// one, and without load a commit of its own costs little. A crash meanwhile makes a delivered
/// message bounce as one that "may have arrived".
const BEHIND: Duration = Duration::from_millis(5);
/// Changes that wait while nothing can be written; more are forgotten, and with them history.
const MOST_BEHIND: usize = 100_000;
/// Time between two probes of a disk that takes no writes.
const PROBE_EVERY: Duration = Duration::from_secs(1);
/// Time between two looks for old rows where little is written.
const PRUNE_EVERY: Duration = Duration::from_secs(60);
/// Messages kept in the history.
const HISTORY_ROWS: i64 = 200_000;
