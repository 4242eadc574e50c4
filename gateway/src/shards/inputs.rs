//! The way into the shards.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::mpsc;
use translators::model::{Directory, LinkId};
use translators::policy::{Affected, Policy};
use translators::shard::{Answered, Command, Input, shard_of};

use crate::egress::Seats;
use crate::peers::{News, Stamp, Stamps};

/// The way into the shards.
#[derive(Clone, Debug)]
pub struct Inputs {
    pub(super) groups: Arc<[mpsc::Sender<Arrival>]>,
    pub(super) busy: Arc<[AtomicBool]>,
    pub(super) stamps: Stamps,
    pub(super) seats: Seats,
    pub(super) shards: u16,
}

/// The shards have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the daemon is about to end")]
pub struct Unanswered;

/// A place in the channel of a group, kept for one input.
#[derive(Debug)]
pub struct Permit<'a> {
    place: mpsc::Permit<'a, Arrival>,
    stamps: &'a Stamps,
}

impl Permit<'_> {
    /// Hands the input in.
    pub fn send(self, shard: u16, input: Input) {
        let stamp = self.stamps.next();
        self.place.send(Arrival::One(News {
            stamp,
            shard,
            input,
        }));
    }
}

/// What comes to a group.
#[derive(Debug)]
pub(super) enum Arrival {
    /// A command of the operator for one shard, or for all.
    Ask {
        /// Which shard; without one, all of them.
        shard: Option<u16>,
        /// What he asks for.
        command: Command,
        /// Where the answers go; each shard gives one.
        answers: mpsc::Sender<Answered>,
    },
    /// Something for one of its shards.
    One(News),
    /// For all: the peers of the configuration changed.
    PeersChanged(Arc<Directory>),
    /// For all: policy changed, for those.
    PolicyChanged(Arc<Policy>, Affected),
    /// Nothing more comes; the group ends.
    Stop,
    /// For all: an incoming stream broke.
    StreamBroken(Stamp, LinkId),
}

impl Inputs {
    /// How many shards there are.
    pub const fn shards(&self) -> u16 {
        self.shards
    }

    /// How many users each SIP user watches, and asks to watch.
    pub const fn seats(&self) -> &Seats {
        &self.seats
    }

    /// Whether a shard has something under way or to do.
    pub fn is_busy(&self) -> bool {
        let waits = |group: &mpsc::Sender<Arrival>| group.capacity() < group.max_capacity();
        self.groups.iter().any(waits) || self.busy.iter().any(|busy| busy.load(Ordering::Relaxed))
    }

    /// Hands in an input; comes back if the shard has enough to do.
    pub fn try_send(&self, shard: u16, input: Input) -> Result<(), Input> {
        let Some(group) = self.group_of(shard) else {
            return Err(input);
        };
        let Ok(place) = group.try_reserve() else {
            return Err(input);
        };
        let stamps = &self.stamps;
        Permit { place, stamps }.send(shard, input);
        Ok(())
    }

    /// Waits for room in the channel of a shard; nothing once the shards have ended.
    pub async fn reserve(&self, shard: u16) -> Option<Permit<'_>> {
        let place = self.group_of(shard)?.reserve().await.ok()?;
        let stamps = &self.stamps;
        Some(Permit { place, stamps })
    }

    /// Tells all shards that an incoming stream broke.
    pub async fn stream_broke(&self, link: LinkId) {
        self.tell(|| Arrival::StreamBroken(self.stamps.next(), link))
            .await;
    }

    /// Asks the shard that a command concerns, or all of them, and waits for their answers. What a
    /// shard did is permanent when it answers.
    pub async fn ask(&self, command: &Command) -> Result<Vec<Answered>, Unanswered> {
        let shard = self.concerned(command);
        let (groups, expected) = match shard {
            Some(shard) => (self.group_of(shard).map(std::slice::from_ref), 1),
            None => (Some(&*self.groups), usize::from(self.shards)),
        };
        let (answers, mut received) = mpsc::channel(expected.max(1));
        for group in groups.unwrap_or_default() {
            let ask = Arrival::Ask {
                shard,
                command: command.clone(),
                answers: answers.clone(),
            };
            group.send(ask).await.map_err(|_| Unanswered)?;
        }
        drop(answers);
        let mut all = Vec::with_capacity(expected);
        while let Some(answer) = received.recv().await {
            all.push(answer);
        }
        let complete = all.len() == expected;
        complete.then_some(all).ok_or(Unanswered)
    }

    /// The only shard that knows something of what a command speaks of. A user may be on the SIP
    /// side, where he is in the relations of many shards.
    fn concerned(&self, command: &Command) -> Option<u16> {
        let pair = match command {
            Command::Drop(pair, _)
            | Command::GiveUp(pair)
            | Command::Resync(pair)
            | Command::Watch(pair) => Some(pair),
            Command::DropSome | Command::Forget(_) => None,
            Command::List(filter) => filter.pair.as_ref(),
        };
        pair.map(|pair| shard_of(&pair.jid, self.shards))
    }

    /// Tells all shards of new peers and a new policy.
    pub async fn configure(&self, directory: &Arc<Directory>, policy: &Arc<Policy>) {
        self.tell(|| Arrival::PeersChanged(Arc::clone(directory)))
            .await;
        self.decide(policy, &Affected::All).await;
    }

    /// Tells all shards of a new policy, and which pairs it may have another verdict on.
    pub async fn decide(&self, policy: &Arc<Policy>, affected: &Affected) {
        self.tell(|| Arrival::PolicyChanged(Arc::clone(policy), affected.clone()))
            .await;
    }

    /// Ends the shards behind what came before.
    pub async fn stop(&self) {
        self.tell(|| Arrival::Stop).await;
    }

    async fn tell(&self, news: impl Fn() -> Arrival) {
        for group in self.groups.iter() {
            // A group that has ended needs no news.
            group.send(news()).await.ok();
        }
    }

    fn group_of(&self, shard: u16) -> Option<&mpsc::Sender<Arrival>> {
        self.groups.get(usize::from(shard) % self.groups.len())
    }
}
