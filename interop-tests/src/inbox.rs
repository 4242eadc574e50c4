//! What an actor of a test has received so far, with waits on conditions instead of sleeps.

use std::fmt::Debug;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::sync::watch;
use tokio::time::timeout;

/// How long a test waits for something that should come at once.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A growing list of received things that can be waited on.
#[derive(Debug)]
pub struct Inbox<T> {
    items: Mutex<Vec<T>>,
    changes: watch::Sender<usize>,
}

impl<T> Default for Inbox<T> {
    fn default() -> Self {
        Self {
            items: Mutex::default(),
            changes: watch::Sender::new(0),
        }
    }
}

impl<T: Clone + Debug> Inbox<T> {
    /// Adds what has just arrived and wakes everyone who waits.
    pub fn push(&self, item: T) {
        locked(&self.items).push(item);
        self.changes.send_modify(|count| *count += 1);
    }

    /// Everything received, oldest first.
    pub fn all(&self) -> Vec<T> {
        locked(&self.items).clone()
    }

    /// How many things were received so far.
    pub fn len(&self) -> usize {
        locked(&self.items).len()
    }

    /// Whether nothing was received yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What was received last.
    pub fn last(&self) -> Option<T> {
        locked(&self.items).last().cloned()
    }

    /// What was received after the first `known` things.
    pub fn since(&self, known: usize) -> Vec<T> {
        locked(&self.items).iter().skip(known).cloned().collect()
    }

    /// How many received things satisfy the condition.
    pub fn count(&self, wanted: impl Fn(&T) -> bool) -> usize {
        locked(&self.items)
            .iter()
            .filter(|item| wanted(item))
            .count()
    }

    /// Waits for the first thing that satisfies the condition, received before or after the call.
    pub async fn wait(&self, what: &str, wanted: impl Fn(&T) -> bool) -> Result<T> {
        self.wait_within(PATIENCE, what, wanted).await
    }

    /// As `wait`, with a limit of its own.
    pub async fn wait_within(
        &self,
        limit: Duration,
        what: &str,
        wanted: impl Fn(&T) -> bool,
    ) -> Result<T> {
        self.wait_behind(0, limit, what, wanted).await
    }

    /// As `wait_within`, for what came after the first `known` things.
    pub async fn wait_behind(
        &self,
        known: usize,
        limit: Duration,
        what: &str,
        wanted: impl Fn(&T) -> bool,
    ) -> Result<T> {
        let mut changes = self.changes.subscribe();
        let found = timeout(limit, async {
            changes
                .wait_for(|_| self.find(known, &wanted).is_some())
                .await
                .ok();
        });
        found.await.ok();
        match self.find(known, &wanted) {
            Some(item) => Ok(item),
            None => bail!(
                "no {what} within {limit:?}, not counting the first {known}; received: {:#?}",
                self.tail()
            ),
        }
    }

    fn find(&self, known: usize, wanted: impl Fn(&T) -> bool) -> Option<T> {
        let items = locked(&self.items);
        let mut behind = items.iter().skip(known);
        behind.find(|item| wanted(item)).cloned()
    }

    fn tail(&self) -> Vec<T> {
        let items = locked(&self.items);
        let skipped = items.len().saturating_sub(12);
        items.iter().skip(skipped).cloned().collect()
    }
}

/// Locks a mutex whose content stays usable after a panic elsewhere (plain lists and maps).
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until the condition holds, asking again every 25 ms.
pub async fn until<F>(limit: Duration, what: &str, mut holds: impl FnMut() -> F) -> Result<()>
where
    F: Future<Output = bool>,
{
    let asking = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    };
    if timeout(limit, asking).await.is_err() {
        bail!("{what}: not so within {limit:?}");
    }
    Ok(())
}
