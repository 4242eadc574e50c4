//! The effects of one input while they are gathered, and the numbers of transmits and changes.

use bytes::Bytes;

use crate::model::{Domain, LinkId, Mono, Now, PeerId};
use crate::origin::Origin;
use crate::shard::{
    Answered, Change, ChangeId, Class, CommandId, Effects, Event, Key, Record, Transmit, TransmitId,
};

/// Counters of one shard: no number is used twice in the life of a process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbers {
    shard: u16,
    transmit: u64,
    change: u64,
}

impl Numbers {
    /// Starts counting.
    pub(super) const fn new(shard: u16) -> Self {
        Self {
            shard,
            transmit: 0,
            change: 0,
        }
    }
}

/// The effects of one input.
#[derive(Debug)]
pub(super) struct Turn {
    /// The time of the input.
    pub(super) now: Now,
    /// What was gathered.
    pub(super) effects: Effects,
    numbers: Numbers,
}

/// What is to be sent, without its identifier.
#[derive(Debug)]
pub(super) struct Parcel {
    /// Where to.
    pub(super) peer: PeerId,
    /// Our domain.
    pub(super) local: Domain,
    /// The peer's domain.
    pub(super) remote: Domain,
    /// The only link that may carry it.
    pub(super) link: Option<LinkId>,
    /// Whether it is for another address than those that refused a request of late.
    pub(super) elsewhere: bool,
    /// What it is.
    pub(super) class: Class,
    /// Under which key it waits.
    pub(super) key: Option<Key>,
    /// The message or stanza.
    pub(super) bytes: Bytes,
    /// When to give it back.
    pub(super) give_up_at: Mono,
}

impl Turn {
    /// Starts without effects.
    pub(super) fn new(now: Now, numbers: Numbers) -> Self {
        Self {
            now,
            effects: Effects::default(),
            numbers,
        }
    }

    /// Ends the turn.
    pub(super) fn end(self) -> (Effects, Numbers) {
        (self.effects, self.numbers)
    }

    /// Sends a parcel after the changes of this turn are stored.
    pub(super) fn send(&mut self, parcel: Parcel) -> TransmitId {
        self.numbers.transmit = self.numbers.transmit.saturating_add(1);
        let id = TransmitId {
            shard: self.numbers.shard,
            number: self.numbers.transmit,
        };
        self.effects.transmits.push(Transmit {
            id,
            peer: parcel.peer,
            local: parcel.local,
            remote: parcel.remote,
            link: parcel.link,
            elsewhere: parcel.elsewhere,
            class: parcel.class,
            key: parcel.key,
            bytes: parcel.bytes,
            give_up_at: parcel.give_up_at,
        });
        id
    }

    /// Stores a record before anything of this turn goes out.
    pub(super) fn store(&mut self, record: impl Into<Record>) {
        self.change(record.into(), true);
    }

    /// Stores a record behind what goes out.
    pub(super) fn note(&mut self, record: impl Into<Record>) {
        self.change(record.into(), false);
    }

    fn change(&mut self, record: Record, durable: bool) {
        self.numbers.change = self.numbers.change.saturating_add(1);
        let id = ChangeId {
            shard: self.numbers.shard,
            number: self.numbers.change,
        };
        self.effects.changes.push(Change {
            id,
            durable,
            record,
        });
    }

    /// Reports that an input needs nothing more.
    pub(super) fn settle(&mut self, origin: &Origin) {
        self.settle_input((origin.link(), origin.number()));
    }

    /// The same by link and number.
    pub(super) fn settle_input(&mut self, input: (LinkId, u64)) {
        self.effects.settled.push(input);
    }

    /// Answers the operator.
    pub(super) fn answer(&mut self, command: CommandId, answered: Answered) {
        self.effects.answers.push((command, answered));
    }

    /// Tells what happened.
    pub(super) fn tell(&mut self, event: Event) {
        self.effects.events.push(event);
    }
}
