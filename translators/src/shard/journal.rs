//! The records of messages, and what happens when they cannot be stored.

use std::collections::{BTreeMap, BTreeSet};

use crate::limits;
use crate::mapping::failure::Own;
use crate::model::{Direction, Domain, LinkId, Pair, Role};
use crate::shard::turn::Turn;
use crate::shard::{
    Effects, Event, Fate, ImKey, ImRecord, ImState, Kind, Lane, Record, Shard, Timer, Transmit,
    TransmitId,
};

/// Whether the journal can be written, and what waits to be stored.
#[derive(Debug, Default)]
pub(super) struct Journal {
    read_only: bool,
    deferred: Effects,
    /// Relations whose records could not be stored.
    unsaved: BTreeSet<(Role, Pair)>,
}

impl Journal {
    /// Whether nothing can be accepted.
    pub(super) const fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// Leaves out records of relations: when there is room again, they are written as they are then.
    fn set_relations_aside(&mut self, effects: &mut Effects) {
        effects.changes.retain(|change| match &change.record {
            Record::Subscription(record) => {
                self.unsaved.insert((record.role, record.pair.clone()));
                false
            }
            Record::Document(_) | Record::Im(_) => true,
        });
    }

    /// Takes note of a relation whose record is written when there is room again.
    pub(super) fn set_aside(&mut self, role: Role, pair: &Pair) {
        self.unsaved.insert((role, pair.clone()));
    }

    /// How many transmits are deferred.
    pub(super) const fn deferred(&self) -> usize {
        self.deferred.transmits.len()
    }

    /// Drops what waits in the lanes that this turn calls back among the first `count` deferred
    /// transmits. Deferred changes come before those of this turn then: what becomes of a recalled
    /// message must be the last word about it.
    pub(super) fn recall(&mut self, count: usize, turn: &mut Turn) -> Vec<TransmitId> {
        let lanes: BTreeSet<&Lane> = turn.effects.recalls.iter().collect();
        let waits = |one: &Transmit| {
            one.key
                .as_ref()
                .is_some_and(|key| lanes.contains(&key.lane))
        };
        let transmits = &mut self.deferred.transmits;
        let count = count.min(transmits.len());
        let recalled = transmits.extract_if(..count, |one| waits(one));
        let recalled: Vec<TransmitId> = recalled.map(|one| one.id).collect();
        if !recalled.is_empty() {
            let older = std::mem::take(&mut self.deferred.changes);
            turn.effects.changes.splice(0..0, older);
        }
        recalled
    }

    /// Tries again what was deferred.
    fn flush(&mut self, turn: &mut Turn) {
        turn.effects.append(std::mem::take(&mut self.deferred));
    }
}

/// What went with an acceptance that could not be stored.
#[derive(Debug, Default)]
pub(super) struct Withdrawn {
    /// The input that brought the message.
    pub(super) input: Option<(LinkId, u64)>,
    /// Its transmits.
    pub(super) transmits: Vec<TransmitId>,
}

impl Shard {
    /// Takes note that the journal went read-only or came back.
    pub(super) fn on_read_only(&mut self, read_only: bool, turn: &mut Turn) {
        self.journal.read_only = read_only;
        if !read_only {
            self.on_store_time(turn);
        }
    }

    /// Tries again what could not be stored; of relations what they are now. Those go on while
    /// nothing can be written.
    pub(super) fn on_store_time(&mut self, turn: &mut Turn) {
        if !self.journal.read_only {
            for (role, pair) in std::mem::take(&mut self.journal.unsaved) {
                match role {
                    Role::Notifier => self.store_watched(&pair, turn),
                    Role::Subscriber => self.store_watching(&pair, turn),
                }
            }
        }
        self.journal.flush(turn);
    }

    /// Takes back effects that were not carried out. What was to be accepted with them is refused;
    /// everything else has happened. Relations go on while nothing can be written, so that nothing of
    /// theirs overtakes anything; messages wait, and are tried again with their records.
    pub(super) fn on_not_stored(&mut self, mut effects: Effects, turn: &mut Turn) {
        let accepted: BTreeSet<ImKey> = effects.events.iter().filter_map(accepted_key).collect();
        let refused: BTreeMap<ImKey, ImRecord> = effects
            .changes
            .iter()
            .filter(|change| change.durable)
            .filter_map(|change| change.record.im())
            .filter(|record| accepted.contains(&record.key))
            .map(|record| (record.key, record.clone()))
            .collect();
        for (key, record) in &refused {
            let withdrawn = self.withdraw(record, turn);
            effects.forget(*key, &withdrawn);
        }
        for record in refused.into_values() {
            self.launch(&record.pair, turn);
        }
        self.withdraw_watchers(&mut effects, turn);
        self.journal.set_relations_aside(&mut effects);
        // What was called back stays so, whatever can be stored.
        let recalls = std::mem::take(&mut effects.recalls);
        let older = self.journal.deferred();
        turn.effects.recalls.extend(recalls);
        self.recall_deferred(older, turn);
        if effects.needs_the_journal() {
            turn.effects.transmits.extend(effects.take_relations());
            self.journal.deferred.append(effects);
        } else {
            turn.effects.append(effects);
        }
        let again = turn.now.mono + limits::STORE_PAUSE;
        self.timers.set(Timer::Store, again);
    }

    /// Refuses a message that was to be accepted.
    fn withdraw(&mut self, record: &ImRecord, turn: &mut Turn) -> Withdrawn {
        match record.direction {
            Direction::ToSip => self.withdraw_outgoing(record, turn),
            Direction::ToXmpp => self.withdraw_incoming(record, turn),
        }
    }

    /// Refuses a message whose acceptance could not be stored.
    fn withdraw_outgoing(&mut self, record: &ImRecord, turn: &mut Turn) -> Withdrawn {
        let Some(conversation) = self.memory.find(&record.pair) else {
            return Withdrawn::default();
        };
        let queue = &mut conversation.queue;
        let in_flight = queue.in_flight().is_some_and(|one| one.key == record.key);
        let found = if in_flight {
            queue.land()
        } else {
            queue.take_waiting(|one| one.key == record.key).pop()
        };
        let Some(outgoing) = found else {
            return Withdrawn::default();
        };
        self.let_go(&outgoing);
        self.repeats.forget(record.fingerprint);
        if let Some(input) = outgoing.input {
            let failure = Own::Overloaded.failure();
            self.refuse(record.clone(), None, failure, input, turn);
        }
        let transmit = outgoing.flight.as_ref().map(|flight| flight.transmit);
        let invite = self.withdraw_call(&record.pair);
        Withdrawn {
            input: outgoing.input,
            transmits: transmit.into_iter().chain(invite).collect(),
        }
    }
}

impl Effects {
    /// Adds the effects of a later input.
    pub(super) fn append(&mut self, mut later: Self) {
        self.changes.append(&mut later.changes);
        self.settled.append(&mut later.settled);
        self.recalls.append(&mut later.recalls);
        self.transmits.append(&mut later.transmits);
        self.events.append(&mut later.events);
        self.answers.append(&mut later.answers);
    }

    /// Whether a message is among the records that could not be stored.
    fn needs_the_journal(&self) -> bool {
        let durable = self.changes.iter().filter(|change| change.durable);
        durable
            .filter_map(|change| change.record.im())
            .next()
            .is_some()
    }

    /// Takes out what goes to users because of relations, in order.
    fn take_relations(&mut self) -> Vec<Transmit> {
        let is_of_relation = |transmit: &mut Transmit| {
            transmit
                .key
                .as_ref()
                .is_some_and(|key| match key.lane.kind {
                    Kind::Presence(_) | Kind::Subscription(_) => true,
                    Kind::Im | Kind::Typing => false,
                })
        };
        self.transmits.extract_if(.., is_of_relation).collect()
    }

    /// Leaves out what an acceptance brought with it.
    fn forget(&mut self, key: ImKey, withdrawn: &Withdrawn) {
        self.changes
            .retain(|change| change.record.im().is_none_or(|record| record.key != key));
        self.events.retain(|event| accepted_key(event) != Some(key));
        self.settled.retain(|input| Some(*input) != withdrawn.input);
        self.transmits
            .retain(|transmit| !withdrawn.transmits.contains(&transmit.id));
    }
}

/// Ends a message: its fate is told and recorded, its text forgotten.
pub(super) fn conclude(mut record: ImRecord, fate: Fate, durable: bool, turn: &mut Turn) {
    let after = turn.now.wall.since(record.accepted_at);
    turn.tell(Event::ImSettled {
        key: record.key,
        sender_id: record.sender_id.clone(),
        pair: record.pair.clone(),
        direction: record.direction,
        fate: fate.clone(),
        after_millis: u64::try_from(after.as_millis()).unwrap_or(u64::MAX),
    });
    record.message = None;
    record.state = ImState::Settled(fate);
    if durable {
        turn.store(record);
    } else {
        turn.note(record);
    }
}

/// The domains of a pair, XMPP side first.
pub(super) fn domains(pair: &Pair) -> Option<(Domain, Domain)> {
    let jid = Domain::parse(pair.jid.domain().as_str())?;
    Some((jid, pair.aor.domain()?))
}

const fn accepted_key(event: &Event) -> Option<ImKey> {
    match event {
        Event::ImAccepted { key, .. } => Some(*key),
        Event::Dropped { .. }
        | Event::GrantRefused { .. }
        | Event::DocumentUnreadable(_)
        | Event::ImSettled { .. }
        | Event::LateError { .. }
        | Event::LimitHit(..)
        | Event::Moved { .. }
        | Event::Watches { .. }
        | Event::PresenceDropped(_)
        | Event::RecordDamaged(_)
        | Event::Refused { .. }
        | Event::StrayResponse(_)
        | Event::SubscribeFault { .. } => None,
    }
}
