//! What a link takes from its peer at once.

use std::collections::BTreeMap;

use bytes::Bytes;
use translators::model::{Mono, Side};
use translators::shard::{Class, Transmit};

use super::link::Link;
use super::pace::Pace;
use super::path::{End, Path};
use super::queue::Queue;
use crate::telemetry::events::TrafficEvent;

/// Something to write, taken by a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The message or stanza.
    pub bytes: Bytes,
    /// Whether somebody waits for its confirmation.
    pub confirm: bool,
}

/// What holds requests up.
pub(super) struct Brakes<'a> {
    /// Of SUBSCRIBEs and NOTIFYs.
    pub(super) presence: &'a mut Pace,
    /// Of everything.
    pub(super) all: &'a mut Pace,
    /// Answers that wait on any link of the peer: they go before all but what is urgent.
    pub(super) answers: usize,
    pub(super) now: Mono,
}

impl Brakes<'_> {
    fn let_go(&mut self, queue: &Queue) -> bool {
        let before = if queue.is_urgent() { 0 } else { self.answers };
        self.all.has_more_than(before, self.now)
    }
}

/// What a link takes at once.
pub(super) struct Batch {
    taken: Vec<Outgoing>,
    room: usize,
    /// How much of which class.
    classes: BTreeMap<Class, u64>,
}

impl Batch {
    pub(super) const fn new(room: usize) -> Self {
        Self {
            taken: Vec::new(),
            room,
            classes: BTreeMap::new(),
        }
    }

    pub(super) const fn has_room(&self) -> bool {
        self.room > 0
    }

    pub(super) fn add(&mut self, transmit: Transmit, confirm: bool) {
        self.room = self.room.saturating_sub(transmit.bytes.len());
        *self.classes.entry(transmit.class).or_default() += 1;
        let bytes = transmit.bytes;
        self.taken.push(Outgoing { bytes, confirm });
    }

    /// Everything that was added, which goes out now.
    pub(super) fn taken(self, side: Side) -> Vec<Outgoing> {
        for (class, count) in self.classes {
            TrafficEvent::Sent { side, class, count }.emit();
        }
        self.taken
    }

    /// Adds requests, most urgent first, as far as both paces let them go.
    pub(super) fn add_requests(
        &mut self,
        path: &mut Path,
        brakes: &mut Brakes<'_>,
        link: &mut Link,
    ) {
        while self.has_room() && brakes.let_go(&path.queue) {
            let presence = brakes.presence.has_some(brakes.now);
            let Some((_, transmit)) = path.queue.pop(presence) else {
                break;
            };
            if matches!(transmit.class, Class::Subscription | Class::Presence) {
                brakes.presence.take();
            }
            brakes.all.take();
            link.writes(transmit.id, transmit.class);
            self.add(transmit, false);
        }
    }

    pub(super) fn add_stanzas(&mut self, path: &mut Path, ends: &mut Vec<End>) {
        while self.has_room() {
            let Some(transmit) = path.take_for_stream(ends) else {
                break;
            };
            let confirm = transmit.class != Class::Typing;
            self.add(transmit, confirm);
        }
    }
}
