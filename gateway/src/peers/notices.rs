//! What the registry has to tell the shards.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;
use translators::model::PeerId;
use translators::shard::Input;

use super::path::End;

/// Where something stands among all that comes to the shards, from links and from the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp(u64);

/// Gives stamps.
#[derive(Clone, Debug, Default)]
pub struct Stamps(Arc<AtomicU64>);

impl Stamps {
    /// The next stamp: higher than that of everything that this may be a consequence of.
    pub fn next(&self) -> Stamp {
        Stamp(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

/// Something for a shard.
#[derive(Debug)]
pub struct News {
    /// When it was told.
    pub stamp: Stamp,
    /// For which shard.
    pub shard: u16,
    /// What.
    pub input: Input,
}

/// News for the shards, by group. A transmit brings at most one, so the number is bounded by that
/// of the transmits on their way; a peer that comes and goes does so with the pauses of dialling.
#[derive(Debug)]
pub(super) struct Notices {
    groups: Vec<Group>,
    shards: u16,
    stamps: Stamps,
}

#[derive(Debug, Default)]
struct Group {
    waiting: Mutex<Vec<News>>,
    wake: Notify,
}

impl Notices {
    pub(super) fn new(groups: usize, shards: u16) -> Self {
        Self {
            shards,
            groups: (0..groups.max(1)).map(|_| Group::default()).collect(),
            stamps: Stamps::default(),
        }
    }

    /// Leaves the ends of a peer's transmits for the shards that made them.
    pub(super) fn post(&self, peer: &PeerId, ends: Vec<End>) {
        for end in ends {
            let (shard, input) = match end {
                End::HandedOver(id) => (id.shard, Input::HandedOver(id)),
                End::Lost(id) => (id.shard, Input::LinkLost(peer.clone(), vec![id])),
                End::Undelivered(transmit, lapse) => {
                    (transmit.id.shard, Input::Undelivered(transmit, lapse))
                }
            };
            self.tell(shard, input);
        }
    }

    /// Leaves the same for every shard.
    pub(super) fn post_to_all(&self, input: impl Fn() -> Input) {
        for shard in 0..self.shards {
            self.tell(shard, input());
        }
    }

    fn tell(&self, shard: u16, input: Input) {
        let Some(group) = self.group_of(shard) else {
            return;
        };
        let stamp = self.stamps.next();
        group.lock().push(News {
            stamp,
            shard,
            input,
        });
        group.wake.notify_one();
    }

    pub(super) const fn stamps(&self) -> &Stamps {
        &self.stamps
    }

    /// Takes what waits for a group.
    pub(super) fn take(&self, group: usize) -> Vec<News> {
        let group = self.groups.get(group);
        group
            .map(|group| std::mem::take(&mut *group.lock()))
            .unwrap_or_default()
    }

    /// Waits until something waits for a group.
    pub(super) async fn changed(&self, group: usize) {
        match self.groups.get(group) {
            Some(group) => group.wake.notified().await,
            None => std::future::pending().await,
        }
    }

    /// Shards are dealt out to groups in turn. What the ingress sent by itself needs no news.
    fn group_of(&self, shard: u16) -> Option<&Group> {
        if shard == super::NO_SHARD {
            return None;
        }
        self.groups.get(usize::from(shard) % self.groups.len())
    }
}

impl Group {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<News>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
