//! What a link takes from its peer at once.

use std::collections::BTreeMap;

use bytes::Bytes;
use translators::model::{Mono, Side};
use translators::shard::{Class, Transmit};

use super::link::Link;
use super::pace::Pace;
use super::path::{End, Path};
use crate::telemetry::events::TrafficEvent;

/// Something to write, taken by a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The message or stanza.
    pub bytes: Bytes,
    /// Whether somebody waits for its confirmation.
    pub confirm: bool,
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

    pub(super) fn add_requests(
        &mut self,
        path: &mut Path,
        pace: &mut Pace,
        now: Mono,
        link: &mut Link,
    ) {
        while self.has_room() {
            let Some((_, transmit)) = path.queue.pop(pace.has_some(now)) else {
                break;
            };
            if matches!(transmit.class, Class::Subscription | Class::Presence) {
                pace.take();
            }
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
