//! Time as an input: timers and back-off.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand::{Rng, RngExt as _};

use crate::model::Mono;

/// Timers of one machine, popped in the order of deadline, then of key, so that a run can be
/// repeated exactly.
#[derive(Debug)]
pub struct Timers<K> {
    by_deadline: BTreeSet<(Mono, K)>,
    deadlines: BTreeMap<K, Mono>,
}

impl<K: Ord + Clone> Timers<K> {
    /// Creates an empty set of timers.
    pub fn new() -> Self {
        Self {
            by_deadline: BTreeSet::new(),
            deadlines: BTreeMap::new(),
        }
    }

    /// Arms `key` at `deadline`, replacing an earlier deadline of the same key.
    pub fn set(&mut self, key: K, deadline: Mono) {
        if let Some(earlier) = self.deadlines.insert(key.clone(), deadline) {
            self.by_deadline.remove(&(earlier, key.clone()));
        }
        self.by_deadline.insert((deadline, key));
    }

    /// Disarms `key`; returns whether it was armed.
    pub fn cancel(&mut self, key: &K) -> bool {
        let Some(deadline) = self.deadlines.remove(key) else {
            return false;
        };
        self.by_deadline.remove(&(deadline, key.clone()))
    }

    /// Removes and returns the next key whose deadline is not after `now`.
    pub fn pop_due(&mut self, now: Mono) -> Option<K> {
        if self.by_deadline.first()?.0 > now {
            return None;
        }
        let (_, key) = self.by_deadline.pop_first()?;
        self.deadlines.remove(&key);
        Some(key)
    }

    /// Returns the earliest deadline and what it is for.
    pub fn next(&self) -> Option<(Mono, &K)> {
        self.by_deadline.first().map(|(at, key)| (*at, key))
    }
}

impl<K: Ord + Clone> Default for Timers<K> {
    fn default() -> Self {
        Self::new()
    }
}

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
