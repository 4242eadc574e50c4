//! The effects of one input while they are gathered, and the numbers of transmits and changes.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::model::{Domain, LinkId, Mono, Now, Pair, PeerId};
use crate::origin::Origin;
use crate::shard::journal::domains;
use crate::shard::{
    Answered, Change, ChangeId, Class, CommandId, Effects, Event, Key, Record, Standing, Transmit,
    TransmitId,
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
    /// Relations that came to a standing, less those that left it.
    moved: BTreeMap<(Domain, Domain, Standing), i64>,
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
            moved: BTreeMap::new(),
        }
    }

    /// Ends the turn.
    pub(super) fn end(mut self) -> (Effects, Numbers) {
        let moved = self.moved.into_iter().filter(|(_, by)| *by != 0);
        let events = moved.map(|((xmpp, sip, standing), by)| Event::Moved {
            xmpp,
            sip,
            standing,
            by,
        });
        self.effects.events.extend(events);
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

    /// Takes note how a relation of a pair stood before a step, and how it stands behind it; `None`
    /// where there was, or is, none.
    pub(super) fn moved(&mut self, pair: &Pair, before: Option<Standing>, after: Option<Standing>) {
        if before == after {
            return;
        }
        // A pair without domains has no relations.
        let Some((xmpp, sip)) = domains(pair) else {
            return;
        };
        for (standing, by) in [(before, -1), (after, 1)] {
            if let Some(standing) = standing {
                let key = (xmpp.clone(), sip.clone(), standing);
                *self.moved.entry(key).or_default() += by;
            }
        }
    }

    /// Tells what happened.
    pub(super) fn tell(&mut self, event: Event) {
        self.effects.events.push(event);
    }
}

#[cfg(test)]
mod tests {
    use jid::BareJid;

    use super::*;
    use crate::model::{Aor, Role};

    #[test]
    fn relations_are_counted_where_they_come_and_where_they_leave() {
        let pair = |user: &str| {
            let aor = Aor::from_image(BareJid::new("bob@sip.example").unwrap());
            Pair::new(BareJid::new(user).unwrap(), aor)
        };
        let standing = |state, granted| {
            Some(Standing {
                role: Role::Subscriber,
                state,
                granted,
            })
        };
        let (asked, active) = (standing("pending", false), standing("active", true));
        let mut turn = Turn::new(Now::default(), Numbers::new(0));

        turn.moved(&pair("alice@xmpp.example"), None, asked);
        turn.moved(&pair("alice@xmpp.example"), asked, active);
        turn.moved(&pair("carol@xmpp.example"), None, active);
        turn.moved(&pair("carol@xmpp.example"), active, active);
        turn.moved(&pair("dave@xmpp.example"), active, None);

        let (effects, _) = turn.end();
        let [Event::Moved { standing, by, .. }] = effects.events.as_slice() else {
            panic!("{:?}", effects.events);
        };
        assert_eq!((Some(*standing), *by), (active, 1));
    }
}
