//! Counts what a partner sends: the cap of section 5 is on messages, requests and answers alike.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::inbox::locked;

/// What a discovered partner may send in a second.
pub const CAP: usize = 20;

/// Messages of the last second, and the most there ever were in one.
#[derive(Debug, Default)]
pub struct Meter {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    recent: VecDeque<Instant>,
    most: usize,
    total: u64,
    kinds: BTreeMap<String, u64>,
}

impl Meter {
    /// Counts a message of a kind that has come now: a method, or a status and the method it answers.
    /// Tells how many came within the last second with it.
    pub(super) fn count(&self, kind: String) -> usize {
        let now = Instant::now();
        let mut state = locked(&self.state);
        let old = |at: &Instant| now.duration_since(*at) >= Duration::from_secs(1);
        while state.recent.front().is_some_and(old) {
            state.recent.pop_front();
        }
        state.recent.push_back(now);
        state.total += 1;
        *state.kinds.entry(kind).or_default() += 1;
        state.most = state.most.max(state.recent.len());
        state.recent.len()
    }

    /// The most messages within any second so far.
    pub fn most(&self) -> usize {
        locked(&self.state).most
    }

    /// All messages so far.
    pub fn total(&self) -> u64 {
        locked(&self.state).total
    }

    /// How many of which kind so far.
    pub fn kinds(&self) -> BTreeMap<String, u64> {
        locked(&self.state).kinds.clone()
    }

    /// Counts anew, but for what came within the last second.
    pub fn clear(&self) {
        let mut state = locked(&self.state);
        state.most = state.recent.len();
        state.total = 0;
        state.kinds.clear();
    }
}
