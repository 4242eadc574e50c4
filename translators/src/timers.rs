//! Time as an input: timers and back-off.

use std::hash::{BuildHasher as _, Hash, RandomState};
use std::time::Duration;

use hashbrown::HashTable;
use rand::{Rng, RngExt as _};

use crate::model::Mono;

/// Timers of one machine, popped in the order of deadline, then of key, so that a run can be
/// repeated exactly.
///
/// A heap of four children per place, with the place of each key beside it: a shard may have
/// hundreds of thousands, and most are moved many times before they are due.
#[derive(Debug)]
pub struct Timers<K> {
    /// The places of the heap: the earliest is the first.
    heap: Vec<Armed>,
    /// Every key that is armed, and free slots.
    slots: Vec<Slot<K>>,
    /// The first of the free slots.
    free: Option<u32>,
    /// Slots by their key.
    index: HashTable<u32>,
    /// Keys come from peers in the end.
    hasher: RandomState,
}

/// A place of the heap.
#[derive(Clone, Copy, Debug)]
struct Armed {
    /// In nanoseconds since the start: a [`Mono`] takes half as much again.
    deadline: u64,
    slot: u32,
}

/// One key.
#[derive(Debug)]
enum Slot<K> {
    /// Its place in the heap.
    Armed { key: K, place: u32 },
    /// None; where the next free slot is.
    Free(Option<u32>),
}

impl<K: Ord + Clone + Hash> Timers<K> {
    /// Creates a set of timers in which none is armed.
    pub fn new() -> Self {
        Self {
            heap: Vec::new(),
            slots: Vec::new(),
            free: None,
            index: HashTable::new(),
            hasher: RandomState::new(),
        }
    }

    /// Arms `key` at `deadline`, replacing an earlier deadline of the same key.
    pub fn set(&mut self, key: K, deadline: Mono) {
        if let Some(place) = self.place_of(&key) {
            if let Some(armed) = self.heap.get_mut(place) {
                armed.deadline = nanoseconds(deadline);
            }
            return self.settle(place);
        }
        let place = self.heap.len();
        let hash = self.hasher.hash_one(&key);
        let slot = self.occupy(key, place);
        let (slots, hasher) = (&self.slots, &self.hasher);
        self.index.insert_unique(hash, slot, |other| {
            key_in(slots, *other).map_or(0, |key| hasher.hash_one(key))
        });
        let deadline = nanoseconds(deadline);
        self.heap.push(Armed { deadline, slot });
        self.settle(place);
    }

    /// Disarms `key`; returns whether it was armed.
    pub fn cancel(&mut self, key: &K) -> bool {
        let place = self.place_of(key);
        place.is_some_and(|place| self.remove(place).is_some())
    }

    /// Removes and returns the next key whose deadline is not after `now`.
    pub fn pop_due(&mut self, now: Mono) -> Option<K> {
        if self.heap.first()?.deadline > nanoseconds(now) {
            return None;
        }
        self.remove(0)
    }

    /// Returns the earliest deadline and what it is for.
    pub fn next(&self) -> Option<(Mono, &K)> {
        let first = self.heap.first()?;
        let deadline = Mono::from_start(Duration::from_nanos(first.deadline));
        Some((deadline, key_in(&self.slots, first.slot)?))
    }

    /// The place of a key in the heap.
    fn place_of(&self, key: &K) -> Option<usize> {
        let hash = self.hasher.hash_one(key);
        let is_it = |slot: &u32| key_in(&self.slots, *slot) == Some(key);
        match self.slots.get(index(*self.index.find(hash, is_it)?))? {
            Slot::Armed { place, .. } => Some(index(*place)),
            Slot::Free(_) => None,
        }
    }

    /// Puts a key into a free slot.
    fn occupy(&mut self, key: K, place: usize) -> u32 {
        let armed = Slot::Armed {
            key,
            place: number(place),
        };
        let reused = self
            .free
            .and_then(|free| Some((free, self.slots.get_mut(index(free))?)));
        let Some((free, slot)) = reused else {
            self.slots.push(armed);
            return number(self.slots.len() - 1);
        };
        if let Slot::Free(next) = std::mem::replace(slot, armed) {
            self.free = next;
        }
        free
    }

    /// Takes what stands at a place out of the heap, and its key with it.
    fn remove(&mut self, place: usize) -> Option<K> {
        if place >= self.heap.len() {
            return None;
        }
        let slot = self.heap.swap_remove(place).slot;
        if place < self.heap.len() {
            self.settle(place);
        }
        let hash = self.hasher.hash_one(key_in(&self.slots, slot)?);
        let found = self.index.find_entry(hash, |other| *other == slot);
        if let Ok(entry) = found {
            entry.remove();
        }
        let freed = Slot::Free(self.free.replace(slot));
        match std::mem::replace(self.slots.get_mut(index(slot))?, freed) {
            Slot::Armed { key, .. } => Some(key),
            Slot::Free(_) => None,
        }
    }

    /// Moves what stands at a place to where it belongs.
    fn settle(&mut self, place: usize) {
        let mut place = self.rise(place);
        while let Some(child) = self
            .first_child(place)
            .filter(|it| self.is_before(*it, place))
        {
            self.heap.swap(place, child);
            self.note(place);
            place = child;
        }
        self.note(place);
    }

    /// Moves what stands at a place up as far as it belongs.
    fn rise(&mut self, mut place: usize) -> usize {
        while let Some(parent) = place.checked_sub(1).map(|before| before / CHILDREN) {
            if !self.is_before(place, parent) {
                break;
            }
            self.heap.swap(place, parent);
            self.note(place);
            place = parent;
        }
        place
    }

    /// The earliest of the children of a place.
    fn first_child(&self, place: usize) -> Option<usize> {
        let children = place * CHILDREN + 1..self.heap.len().min(place * CHILDREN + 1 + CHILDREN);
        children.reduce(|first, other| {
            if self.is_before(other, first) {
                other
            } else {
                first
            }
        })
    }

    fn is_before(&self, one: usize, other: usize) -> bool {
        let (Some(one), Some(other)) = (self.heap.get(one), self.heap.get(other)) else {
            return false;
        };
        let order = one.deadline.cmp(&other.deadline);
        let order =
            order.then_with(|| key_in(&self.slots, one.slot).cmp(&key_in(&self.slots, other.slot)));
        order.is_lt()
    }

    /// Tells the key at a place where it stands.
    fn note(&mut self, at: usize) {
        let slot = self.heap.get(at).map(|armed| index(armed.slot));
        if let Some(Slot::Armed { place, .. }) = slot.and_then(|slot| self.slots.get_mut(slot)) {
            *place = number(at);
        }
    }
}

impl<K: Ord + Clone + Hash> Default for Timers<K> {
    fn default() -> Self {
        Self::new()
    }
}

fn key_in<K>(slots: &[Slot<K>], slot: u32) -> Option<&K> {
    match slots.get(index(slot))? {
        Slot::Armed { key, .. } => Some(key),
        Slot::Free(_) => None,
    }
}

/// Enough for 584 years.
fn nanoseconds(point: Mono) -> u64 {
    u64::try_from(point.since_start().as_nanos()).unwrap_or(u64::MAX)
}

/// Memory ends long before numbers do.
fn number(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}

const fn index(number: u32) -> usize {
    number as usize
}

/// Children of one place of the heap.
const CHILDREN: usize = 4;

/// Waiting times between attempts: doubled from `first` up to `last`, each moved by up to 20 % so
/// that peers that failed together do not come back together.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    last: Duration,
    attempts: u32,
}

impl Backoff {
    /// Creates a back-off that has not waited yet.
    pub const fn new(first: Duration, last: Duration) -> Self {
        Self {
            first,
            last,
            attempts: 0,
        }
    }

    /// Returns how long to wait before the next attempt.
    pub fn wait(&mut self, rng: &mut impl Rng) -> Duration {
        let doubled = self.first.saturating_mul(1 << self.attempts.min(16));
        self.attempts = self.attempts.saturating_add(1);
        doubled.min(self.last).mul_f64(rng.random_range(0.8..1.2))
    }

    /// Forgets earlier failures.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;

    fn at(seconds: u64) -> Mono {
        Mono::from_start(Duration::from_secs(seconds))
    }

    #[test]
    fn due_keys_come_by_deadline_then_by_key() {
        let mut timers = Timers::new();
        timers.set("c", at(1));
        timers.set("b", at(2));
        timers.set("a", at(2));
        timers.set("d", at(9));

        let due: Vec<_> = std::iter::from_fn(|| timers.pop_due(at(2))).collect();

        assert_eq!(due, ["c", "a", "b"]);
        assert_eq!(timers.next(), Some((at(9), &"d")));
    }

    #[test]
    fn a_key_has_one_deadline() {
        let mut timers = Timers::new();
        timers.set("a", at(1));
        timers.set("a", at(5));

        assert_eq!(timers.pop_due(at(4)), None);
        assert!(timers.cancel(&"a"));
        assert!(!timers.cancel(&"a"));
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn every_order_of_calls_gives_the_order_of_deadlines() {
        let mut rng = StdRng::seed_from_u64(5);
        let (mut timers, mut model) = (Timers::new(), BTreeMap::new());
        for _ in 0..50_000 {
            let (key, now) = (rng.random_range(0..300_u16), at(rng.random_range(0..100)));
            match rng.random_range(0..10) {
                0..6 => {
                    timers.set(key, now);
                    model.insert(key, now);
                }
                6..8 => assert_eq!(timers.cancel(&key), model.remove(&key).is_some()),
                _ => {
                    let first = model.iter().map(|(key, at)| (*at, *key)).min();
                    let due = first.filter(|(at, _)| *at <= now).map(|(_, key)| key);
                    assert_eq!(timers.pop_due(now), due);
                    due.map(|key| model.remove(&key));
                }
            }
            let first = model.iter().map(|(key, at)| (*at, *key)).min();
            assert_eq!(timers.next().map(|(at, key)| (at, *key)), first);
            assert_eq!(timers.heap.len(), model.len());
            assert_eq!(timers.index.len(), model.len());
        }
        assert!(timers.slots.len() <= 300, "slots are used again");
    }

    #[test]
    fn back_off_doubles_to_its_limit() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));

        let waits: Vec<_> = (0..9)
            .map(|_| backoff.wait(&mut rng).as_secs_f64())
            .collect();

        for (wait, expected) in waits
            .iter()
            .zip([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0])
        {
            assert!(
                (expected * 0.8..expected * 1.2).contains(wait),
                "{wait} for {expected}"
            );
        }
        backoff.reset();
        assert!(backoff.wait(&mut rng) < Duration::from_millis(1_200));
    }
}
