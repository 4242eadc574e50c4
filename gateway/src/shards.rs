//! The loop around the shards: inputs in, changes to the journal, effects out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{mpsc, watch};
use translators::limits;
use translators::model::{Directory, LinkId, Mono, Pair};
use translators::policy::{Affected, Policy};
use translators::shard::{Change, Effects, Input, Restored, Shard, shard_of};

use crate::clock::Clock;
use crate::egress;
use crate::peers::{News, Peers, Stamp, Stamps};
use crate::store::{NotStored, Store};

/// The way into the shards.
#[derive(Clone, Debug)]
pub struct Inputs {
    groups: Arc<[mpsc::Sender<Arrival>]>,
    busy: Arc<[AtomicBool]>,
    stamps: Stamps,
    shards: u16,
}

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
enum Arrival {
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

/// The shards of one task, which takes turns of many inputs, one commit and all their effects.
#[derive(Debug)]
pub struct Group {
    number: usize,
    shards: Vec<Member>,
    arrivals: mpsc::Receiver<Arrival>,
    read_only: watch::Receiver<bool>,
    peers: Peers,
    store: Store,
    clock: Clock,
    /// Told for each group, to be seen from outside.
    busy: Arc<[AtomicBool]>,
    stopping: bool,
}

#[derive(Debug)]
struct Member {
    number: u16,
    shard: Shard,
    wake_at: Option<Mono>,
}

/// Deals `shards` out to `groups` tasks, in turn. The tasks still have to be run.
pub fn deal(
    shards: Vec<Shard>,
    groups: usize,
    peers: &Peers,
    store: &Store,
    clock: Clock,
) -> (Inputs, Vec<Group>) {
    let groups = groups.clamp(1, shards.len().max(1));
    let count = u16::try_from(shards.len()).unwrap_or(u16::MAX);
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..groups)
        .map(|_| mpsc::channel(limits::SHARD_INPUTS))
        .unzip();
    let busy: Arc<[AtomicBool]> = (0..groups).map(|_| AtomicBool::new(false)).collect();
    let mut tasks: Vec<Group> = receivers
        .into_iter()
        .enumerate()
        .map(|(number, arrivals)| Group {
            number,
            shards: Vec::new(),
            arrivals,
            read_only: store.read_only(),
            peers: peers.clone(),
            store: store.clone(),
            clock,
            busy: Arc::clone(&busy),
            stopping: false,
        })
        .collect();
    for (number, shard) in (0..count).zip(shards) {
        if let Some(group) = tasks.get_mut(usize::from(number) % groups) {
            group.shards.push(Member {
                number,
                shard,
                wake_at: None,
            });
        }
    }
    let inputs = Inputs {
        groups: senders.into(),
        busy,
        stamps: peers.stamps().clone(),
        shards: count,
    };
    (inputs, tasks)
}

/// Deals what the disk kept out to the shards.
pub fn by_shard(restored: Restored, shards: u16) -> BTreeMap<u16, Restored> {
    let mut dealt: BTreeMap<u16, Restored> = (0..shards)
        .map(|number| {
            let own = Restored {
                from_backup: restored.from_backup,
                ..Restored::default()
            };
            (number, own)
        })
        .collect();
    let mut deal = |pair: &Pair, put: &mut dyn FnMut(&mut Restored)| {
        let own = dealt.get_mut(&shard_of(&pair.jid, shards));
        own.map(put);
    };
    for record in restored.ims {
        let pair = record.pair.clone();
        let mut record = Some(record);
        deal(&pair, &mut |own| own.ims.extend(record.take()));
    }
    for record in restored.subscriptions {
        let pair = record.pair.clone();
        let mut record = Some(record);
        deal(&pair, &mut |own| own.subscriptions.extend(record.take()));
    }
    for record in restored.documents {
        let pair = record.pair.clone();
        let mut record = Some(record);
        deal(&pair, &mut |own| own.documents.extend(record.take()));
    }
    dealt
}

/// The effects of one turn, in order.
#[derive(Debug, Default)]
struct Turn {
    steps: Vec<Step>,
}

/// What one input brought about.
#[derive(Debug)]
struct Step {
    shard: u16,
    effects: Effects,
    /// Whether it has to wait for the journal.
    depends: bool,
}

impl Group {
    /// Takes up what the journal kept, then takes turns until it is told to stop.
    pub async fn run(mut self, mut restored: BTreeMap<u16, Restored>) {
        let mut turn = Turn::default();
        let now = self.clock.now();
        for member in &mut self.shards {
            let records = restored.remove(&member.number).unwrap_or_default();
            let effects = member.shard.restore(records, now);
            member.note(effects, &mut turn);
        }
        self.carry_out(turn).await;
        while !self.stopping {
            let turn = self.take_turn().await;
            self.carry_out(turn).await;
            self.tell_busy();
        }
    }

    /// Takes the records of its own shards.
    pub fn take_own(&self, dealt: &mut BTreeMap<u16, Restored>) -> BTreeMap<u16, Restored> {
        let numbers = self.shards.iter().map(|member| member.number);
        numbers
            .filter_map(|number| dealt.remove_entry(&number))
            .collect()
    }

    fn tell_busy(&self) {
        let busy = self.shards.iter().any(|member| member.shard.is_busy());
        if let Some(told) = self.busy.get(self.number) {
            told.store(busy, Ordering::Relaxed);
        }
    }

    /// Waits until there is something to do, and lets the shards do it.
    async fn take_turn(&mut self) -> Turn {
        let mut arrivals = Vec::new();
        let wake_at = self.shards.iter().filter_map(|member| member.wake_at).min();
        let wake_at = wake_at.map(|at| self.clock.instant(at));
        let read_only = tokio::select! {
            received = self.arrivals.recv_many(&mut arrivals, limits::SHARD_INPUTS) => {
                self.stopping |= received == 0;
                false
            }
            () = self.peers.has_news(self.number) => false,
            () = sleep_until(wake_at) => false,
            changed = self.read_only.changed() => changed.is_ok(),
        };
        let mut turn = Turn::default();
        if read_only {
            let read_only = *self.read_only.borrow_and_update();
            self.all(|| Input::StoreReadOnly(read_only), &mut turn);
        }
        for news in self.in_order(arrivals, &mut turn) {
            self.handle(news.shard, news.input, &mut turn);
        }
        let now = self.clock.now().mono;
        let due = |member: &&mut Member| member.wake_at.is_some_and(|at| at <= now);
        for member in self.shards.iter_mut().filter(due) {
            let effects = member.shard.handle(Input::Timeout, self.clock.now());
            member.note(effects, &mut turn);
        }
        turn
    }

    /// Puts what came over the channel and from the registry in the order in which it happened: an
    /// error before the answer to the ping behind it, the writing of a request before its response.
    ///
    /// What a piece of news may be a consequence of is in the channel when the news is taken, so it
    /// is among as many arrivals as the channel holds.
    fn in_order(&mut self, mut arrivals: Vec<Arrival>, turn: &mut Turn) -> Vec<News> {
        let mut all = self.peers.news(self.number);
        let more = std::iter::from_fn(|| self.arrivals.try_recv().ok());
        arrivals.extend(more.take(limits::SHARD_INPUTS));
        for arrival in arrivals {
            match arrival {
                Arrival::One(news) => all.push(news),
                Arrival::PeersChanged(directory) => {
                    self.all(|| Input::PeersChanged(Arc::clone(&directory)), turn);
                }
                Arrival::PolicyChanged(policy, affected) => {
                    let changed = || Input::PolicyChanged(Arc::clone(&policy), affected.clone());
                    self.all(changed, turn);
                }
                Arrival::Stop => self.stopping = true,
                Arrival::StreamBroken(stamp, link) => all.extend(self.stream_broken(stamp, link)),
            }
        }
        all.sort_unstable_by_key(|news| news.stamp);
        all
    }

    fn stream_broken(&self, stamp: Stamp, link: LinkId) -> impl Iterator<Item = News> {
        self.shards.iter().map(move |member| News {
            stamp,
            shard: member.number,
            input: Input::StreamBroken(link),
        })
    }

    fn handle(&mut self, shard: u16, input: Input, turn: &mut Turn) {
        let member = self.shards.iter_mut().find(|member| member.number == shard);
        if let Some(member) = member {
            let effects = member.shard.handle(input, self.clock.now());
            member.note(effects, turn);
        }
    }

    fn all(&mut self, input: impl Fn() -> Input, turn: &mut Turn) {
        for member in &mut self.shards {
            let effects = member.shard.handle(input(), self.clock.now());
            member.note(effects, turn);
        }
    }

    /// Carries out a turn: durable changes first, everything that depends on them behind. What
    /// could not be stored goes back to its shards, which makes another turn.
    async fn carry_out(&mut self, turn: Turn) {
        let mut turn = turn;
        loop {
            let refused = self.store(&mut turn).await;
            egress::release(&self.peers, turn.steps.into_iter().map(|step| step.effects));
            if refused.is_empty() {
                return;
            }
            turn = Turn::default();
            for (shard, effects) in refused {
                self.handle(shard, Input::NotStored(Box::new(effects)), &mut turn);
            }
        }
    }

    /// Makes the changes of a turn permanent. Returns, merged by shard, the effects that must not
    /// be carried out because that failed.
    async fn store(&self, turn: &mut Turn) -> BTreeMap<u16, Effects> {
        let (durable, lazy) = turn.take_changes();
        if !lazy.is_empty() {
            // History that cannot be written is not worth stopping for.
            self.store.write_behind(lazy).ok();
        }
        if durable.is_empty() {
            return BTreeMap::new();
        }
        match self.store.commit(durable).await {
            Ok(()) => BTreeMap::new(),
            Err(NotStored(changes)) => turn.take_back(changes),
        }
    }
}

impl Member {
    fn note(&mut self, effects: Effects, turn: &mut Turn) {
        self.wake_at = effects.wake_at;
        let depends = effects.changes.iter().any(|change| change.durable);
        turn.steps.push(Step {
            shard: self.number,
            effects,
            depends,
        });
    }
}

impl Turn {
    /// Takes all changes out: those of steps that have to wait for the journal, and the others.
    fn take_changes(&mut self) -> (Vec<Change>, Vec<Change>) {
        let (mut durable, mut lazy) = (Vec::new(), Vec::new());
        for step in &mut self.steps {
            let changes = std::mem::take(&mut step.effects.changes);
            let kind = if step.depends {
                &mut durable
            } else {
                &mut lazy
            };
            kind.extend(changes);
        }
        (durable, lazy)
    }

    /// Takes the steps out that waited for `changes` in vain, merged by shard.
    fn take_back(&mut self, changes: Vec<Change>) -> BTreeMap<u16, Effects> {
        let mut refused: BTreeMap<u16, Effects> = BTreeMap::new();
        for change in changes {
            let effects = refused.entry(change.id.shard).or_default();
            effects.changes.push(change);
        }
        for step in self.steps.extract_if(.., |step| step.depends) {
            let effects = refused.entry(step.shard).or_default();
            effects.settled.extend(step.effects.settled);
            effects.recalls.extend(step.effects.recalls);
            effects.transmits.extend(step.effects.transmits);
            effects.events.extend(step.effects.events);
            effects.answers.extend(step.effects.answers);
        }
        refused
    }
}

async fn sleep_until(at: Option<tokio::time::Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
