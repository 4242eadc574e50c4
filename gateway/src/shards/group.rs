//! The shards of one task, which takes turns of many inputs.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{mpsc, watch};
use translators::limits;
use translators::model::{LinkId, Mono};
use translators::shard::{Answered, Command, CommandId, Effects, Input, Restored, Shard};

use crate::clock::Clock;
use crate::egress::Egress;
use crate::peers::{News, Stamp};
use crate::shards::inputs::{Arrival, Inputs};
use crate::shards::load::Load;
use crate::shards::turn::{Step, Turn};
use crate::store::{NotStored, Store};

/// The shards of one task, which takes turns of many inputs, one commit and all their effects.
#[derive(Debug)]
pub struct Group {
    number: usize,
    shards: Vec<Member>,
    arrivals: mpsc::Receiver<Arrival>,
    read_only: watch::Receiver<bool>,
    egress: Egress,
    store: Store,
    clock: Clock,
    /// Told for each group, to be seen from outside.
    busy: Arc<[AtomicBool]>,
    /// Who waits for the answer to which command.
    asked: HashMap<CommandId, mpsc::Sender<Answered>>,
    commands: u64,
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
    egress: &Egress,
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
            egress: egress.clone(),
            store: store.clone(),
            clock,
            busy: Arc::clone(&busy),
            asked: HashMap::new(),
            commands: 0,
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
        stamps: egress.peers().stamps().clone(),
        seats: egress.seats().clone(),
        shards: count,
    };
    (inputs, tasks)
}

impl Group {
    /// Takes up what the journal kept, then takes turns until it is told to stop.
    pub(super) async fn run(mut self, mut load: Load) {
        // Which peers there are, none of which has a link yet.
        let mut turn = Turn::default();
        for news in self.egress.peers().news(self.number) {
            self.handle(news.shard, news.input, &mut turn);
        }
        self.carry_out(turn).await;
        while let Some(piece) = load.pieces.recv().await {
            let shard = piece.shard;
            match piece.into_restored(load.from_backup) {
                Ok(restored) => self.restore(shard, restored).await,
                Err(fault) => {
                    // Without somebody who waits, the daemon does not start any more.
                    load.done.send(Err(fault)).ok();
                    return;
                }
            }
        }
        load.done.send(Ok(())).ok();
        while !self.stopping {
            let turn = self.take_turn().await;
            self.carry_out(turn).await;
            self.tell_busy();
        }
    }

    async fn restore(&mut self, shard: u16, restored: Restored) {
        let mut turn = Turn::default();
        let now = self.clock.now();
        let member = self.shards.iter_mut().find(|member| member.number == shard);
        if let Some(member) = member {
            let effects = member.shard.restore(restored, now);
            member.note(effects, &mut turn);
        }
        self.carry_out(turn).await;
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
            () = self.egress.peers().has_news(self.number) => false,
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
        let mut all = self.egress.peers().news(self.number);
        let more = std::iter::from_fn(|| self.arrivals.try_recv().ok());
        arrivals.extend(more.take(limits::SHARD_INPUTS));
        for arrival in arrivals {
            match arrival {
                Arrival::Ask {
                    shard,
                    command,
                    answers,
                } => self.ask(shard, &command, &answers, turn),
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

    fn ask(
        &mut self,
        shard: Option<u16>,
        command: &Command,
        answers: &mpsc::Sender<Answered>,
        turn: &mut Turn,
    ) {
        let now = self.clock.now();
        let asked = |member: &&mut Member| shard.is_none_or(|shard| shard == member.number);
        for member in self.shards.iter_mut().filter(asked) {
            self.commands += 1;
            let id = CommandId(self.commands);
            self.asked.insert(id, answers.clone());
            let effects = member
                .shard
                .handle(Input::Command(id, command.clone()), now);
            member.note(effects, turn);
        }
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
            for (id, answer) in turn.take_answers() {
                // Who asked may have gone meanwhile.
                self.asked
                    .remove(&id)
                    .map(|asked| asked.try_send(answer).ok());
            }
            self.egress
                .release(turn.steps.into_iter().map(|step| step.effects));
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
            self.store.write_behind(lazy);
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

async fn sleep_until(at: Option<tokio::time::Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
