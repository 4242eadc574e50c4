//! The store thread: takes the changes of all shards and commits them together.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jid::BareJid;
use tokio::sync::{oneshot, watch};
use translators::model::Mono;
use translators::policy::{Acl, Subject};
use translators::shard::{Change, ImRecord, Record};

use super::acl::{self, AclChange, AclRow};
use super::behind::Behind;
use super::kept::Kept;
use super::mark::Mark;
use super::sqlite::{self, Journal};
use super::{NotStored, Query, StoreError};
use crate::clock::Clock;
use crate::telemetry::events::ProcessEvent;

/// The way to the store thread. The thread ends, and closes the journal, with the last of these.
#[derive(Clone, Debug)]
pub struct Store {
    orders: SyncSender<Order>,
    behind: Arc<Mutex<Behind>>,
    read_only: watch::Receiver<bool>,
    folder: PathBuf,
    clock: Clock,
}

/// Opens the journal in `folder` and returns it with what a start needs.
pub fn open(folder: &Path, clock: Clock) -> Result<(Store, Kept), StoreError> {
    let (journal, kept) = Journal::open(folder, clock.now().wall)?;
    Ok((start(journal, folder, clock), kept))
}

/// Starts the store thread on an open journal.
pub(super) fn start(journal: Journal, folder: &Path, clock: Clock) -> Store {
    let (orders, receiver) = sync_channel(ORDERS);
    let (announce, read_only) = watch::channel(false);
    let behind = Arc::default();
    let worker = Worker {
        journal,
        clock,
        behind: Arc::clone(&behind),
        probe_at: None,
        prune_at: clock.now().mono,
        announce,
        closing: None,
    };
    std::thread::spawn(move || worker.run(&receiver));
    Store {
        orders,
        behind,
        read_only,
        folder: folder.to_owned(),
        clock,
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

    /// Writes changes on which nothing depends, a moment later: of a row that is changed again
    /// meanwhile only the newest state.
    pub fn write_behind(&self, changes: Vec<Change>) {
        let mut behind = lock(&self.behind);
        let waited = behind.next();
        behind.add(changes, self.clock.now().mono);
        let waits = behind.next();
        drop(behind);
        if waits != waited {
            // A thread that is busy looks by itself; one that has ended has closed the journal.
            self.orders.try_send(Order::Look).ok();
        }
    }

    /// Sets or clears a mark of the journal.
    pub async fn set(&self, mark: Mark, value: Option<String>) -> Result<(), StoreError> {
        self.ask(|reply| Order::Set { mark, value, reply }).await?
    }

    /// The same without waiting.
    pub fn note(&self, mark: Mark, value: Option<String>) {
        let (reply, _) = oneshot::channel();
        // A journal that is closed keeps what it has.
        self.orders.try_send(Order::Set { mark, value, reply }).ok();
    }

    /// Deletes every row of a user of either side, a SIP user by the JID image of his AOR: relations,
    /// documents, and messages that are settled. Returns how many.
    pub async fn forget(&self, user: BareJid) -> Result<usize, StoreError> {
        self.ask(|reply| Order::Forget { user, reply }).await?
    }

    /// Writes what was put off and closes the journal; what comes later is refused.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.ask(Order::Close).await
    }

    /// Makes decisions of the operator permanent: all of them, or none.
    pub async fn decide(&self, changes: Vec<AclChange>) -> Result<(), StoreError> {
        self.ask(|reply| Order::Decide { changes, reply }).await?
    }

    /// Reads the decisions of the operator, for a start.
    pub fn acl(&self) -> Result<Acl, StoreError> {
        acl::all(&self.folder)
    }

    /// Looks up who made the decisions on these subjects, and when.
    pub async fn decisions(&self, subjects: Vec<Subject>) -> Result<Vec<AclRow>, StoreError> {
        let folder = self.folder.clone();
        let search = tokio::task::spawn_blocking(move || acl::find(&folder, &subjects));
        search.await.unwrap_or(Err(StoreError::Closed))
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
        self.ask(Order::Flush).await
    }

    /// Tells when the journal stops taking changes and when it takes them again.
    pub fn read_only(&self) -> watch::Receiver<bool> {
        self.read_only.clone()
    }

    async fn ask<T>(
        &self,
        order: impl FnOnce(oneshot::Sender<T>) -> Order,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let asked = self.orders.try_send(order(reply));
        asked.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)
    }
}

/// What the thread is asked for.
#[derive(Debug)]
enum Order {
    Close(oneshot::Sender<()>),
    Commit {
        changes: Vec<Change>,
        reply: oneshot::Sender<Result<(), NotStored>>,
    },
    Decide {
        changes: Vec<AclChange>,
        reply: oneshot::Sender<Result<(), StoreError>>,
    },
    Flush(oneshot::Sender<()>),
    Forget {
        user: BareJid,
        reply: oneshot::Sender<Result<usize, StoreError>>,
    },
    /// Something was put off.
    Look,
    Set {
        mark: Mark,
        value: Option<String>,
        reply: oneshot::Sender<Result<(), StoreError>>,
    },
}

impl NotStored {
    fn from_order(error: TrySendError<Order>) -> Self {
        let (TrySendError::Full(order) | TrySendError::Disconnected(order)) = error;
        match order {
            Order::Commit { changes, .. } => Self(changes),
            Order::Close(_)
            | Order::Decide { .. }
            | Order::Flush(_)
            | Order::Forget { .. }
            | Order::Look
            | Order::Set { .. } => Self(Vec::new()),
        }
    }
}

struct Worker {
    journal: Journal,
    clock: Clock,
    /// Changes to be written behind.
    behind: Arc<Mutex<Behind>>,
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
        // What was put off cannot be written before the probe succeeds.
        let next = match self.probe_at {
            Some(at) => at,
            None => {
                let behind = lock(&self.behind).next();
                behind.map_or(self.prune_at, |at| at.min(self.prune_at))
            }
        };
        next.since(self.clock.now().mono)
    }

    /// Merges the orders of one turn into one commit, and answers them behind it.
    fn turn(&mut self, orders: Vec<Order>) {
        let mut commits = Vec::new();
        let mut others = Vec::new();
        for order in orders {
            match order {
                Order::Close(reply) => self.closing = Some(reply),
                Order::Commit { changes, reply } => commits.push((changes, reply)),
                Order::Look => {}
                Order::Decide { .. }
                | Order::Flush(_)
                | Order::Forget { .. }
                | Order::Set { .. } => others.push(order),
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
        for order in others {
            self.answer(order);
        }
    }

    /// Carries out what stands for itself. Who asked may have gone meanwhile.
    fn answer(&mut self, order: Order) {
        match order {
            Order::Close(_) | Order::Commit { .. } | Order::Look => {}
            Order::Decide { changes, reply } => {
                reply.send(self.decide(&changes)).ok();
            }
            Order::Flush(reply) => {
                self.flush();
                reply.send(()).ok();
            }
            Order::Forget { user, reply } => {
                self.flush();
                let forgotten = self.journal.forget(&user);
                reply.send(forgotten.map_err(Into::into)).ok();
            }
            Order::Set { mark, value, reply } => {
                let set = self.journal.set(&mark, value.as_deref());
                reply.send(set.map_err(Into::into)).ok();
            }
        }
    }

    fn decide(&mut self, changes: &[AclChange]) -> Result<(), StoreError> {
        if self.probe_at.is_some() {
            return Err(StoreError::ReadOnly);
        }
        self.journal.decide(changes).map_err(|error| {
            self.stop_writing(&error);
            StoreError::ReadOnly
        })
    }

    /// Writes the messages that were put off, so that the changes of each keep their order, and
    /// `durable`, each row in its newest state.
    fn commit(&mut self, durable: &[&Change]) -> bool {
        if self.probe_at.is_some() {
            return false;
        }
        let mut behind = lock(&self.behind);
        let ims = behind.take_ims();
        let newest = durable.iter().map(|change| behind.newest(change));
        let newest: Vec<Cow<'_, Record>> = newest.collect();
        drop(behind);
        let stored = self.write(ims.iter().chain(newest.iter().map(AsRef::as_ref)));
        let mut behind = lock(&self.behind);
        if stored {
            durable.iter().for_each(|change| behind.written(change));
        } else {
            behind.put_back(ims, Vec::new(), self.clock.now().mono);
        }
        stored
    }

    /// Writes some of the rows whose time has come. False if none was left, or nothing can be
    /// written.
    fn write_due_rows(&mut self) -> bool {
        if self.probe_at.is_some() {
            return false;
        }
        let rows = lock(&self.behind).take_due(self.clock.now().mono);
        if rows.is_empty() {
            return false;
        }
        let stored = self.write(rows.iter().map(|row| &row.record));
        if !stored {
            lock(&self.behind).put_back(Vec::new(), rows, self.clock.now().mono);
        }
        stored
    }

    fn write<'a>(&mut self, records: impl Iterator<Item = &'a Record>) -> bool {
        let start = self.clock.now().mono;
        match self.journal.write(records) {
            Ok(rows) => {
                let took = self.clock.now().mono.since(start);
                ProcessEvent::Committed { rows, took }.emit();
                true
            }
            Err(error) => {
                self.stop_writing(&error);
                false
            }
        }
    }

    fn housekeeping(&mut self) {
        let now = self.clock.now();
        if self.probe_at.is_some_and(|at| at <= now.mono) {
            self.probe();
        }
        if lock(&self.behind).ims_are_due(now.mono) {
            self.commit(&[]);
        }
        self.write_due_rows();
        if self.prune_at <= now.mono || self.journal.wants_pruning() {
            self.prune();
        }
    }

    /// Writes what was put off. While nothing can be written it stays put off.
    fn flush(&mut self) {
        let mut behind = lock(&self.behind);
        behind.hurry();
        let waits = behind.has_ims();
        drop(behind);
        if waits {
            self.commit(&[]);
        }
        while self.write_due_rows() {}
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
        ProcessEvent::StoreRecovered.emit();
        self.announce.send_replace(false);
    }
}

fn lock(behind: &Mutex<Behind>) -> MutexGuard<'_, Behind> {
    behind.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Orders under way: each shard group has one, find and what an operator asks for come on top.
const ORDERS: usize = 1_024;
/// Time between two probes of a disk that takes no writes.
const PROBE_EVERY: Duration = Duration::from_secs(1);
/// Time between two looks for old rows where little is written.
const PRUNE_EVERY: Duration = Duration::from_secs(60);
/// Messages kept in the history.
const HISTORY_ROWS: i64 = 200_000;
