//! What the registry has to tell the shards.

use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;
use translators::model::PeerId;
use translators::shard::Input;

use super::path::End;

/// News for the shards, by group. A transmit brings at most one, so the number is bounded by that
/// of the transmits on their way.
#[derive(Debug)]
pub(super) struct Notices {
    groups: Vec<Group>,
}

#[derive(Debug, Default)]
struct Group {
    waiting: Mutex<Vec<(u16, Input)>>,
    wake: Notify,
}

impl Notices {
    pub(super) fn new(groups: usize) -> Self {
        Self {
            groups: (0..groups.max(1)).map(|_| Group::default()).collect(),
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
            let Some(group) = self.group_of(shard) else {
                continue;
            };
            group.lock().push((shard, input));
            group.wake.notify_one();
        }
    }

    /// Takes what waits for a group.
    pub(super) fn take(&self, group: usize) -> Vec<(u16, Input)> {
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
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(u16, Input)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
