//! Counts what a partner sends: the cap of section 5 is on messages, requests and answers alike.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::inbox::locked;

/// What a discovered partner may send in a second.
pub const CAP: usize = 20;

/// For how long answers are counted before the count begins anew (the report of an Edge).
const REPORT: Duration = Duration::from_secs(60 * 60);

/// How the partner's requests have ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ratio {
    /// Requests with a final answer.
    pub answered: u64,
    /// Those of them that were refused.
    pub failed: u64,
}

impl Ratio {
    /// Those that were not refused.
    pub fn succeeded(self) -> u64 {
        self.answered.saturating_sub(self.failed)
    }
}

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
    ratio: Ratio,
    /// When the first answer of this report was counted.
    since: Option<Instant>,
}

impl State {
    /// Forgets what is a second old.
    fn forget(&mut self, now: Instant) {
        let old = |at: &Instant| now.duration_since(*at) >= Duration::from_secs(1);
        while self.recent.front().is_some_and(old) {
            self.recent.pop_front();
        }
    }
}

impl Meter {
    /// Counts a message of a kind that has come now: a method, or a status and the method it answers.
    /// Tells how many came within the last second with it.
    pub(super) fn count(&self, kind: String) -> usize {
        let now = Instant::now();
        let mut state = locked(&self.state);
        state.forget(now);
        state.recent.push_back(now);
        state.total += 1;
        *state.kinds.entry(kind).or_default() += 1;
        state.most = state.most.max(state.recent.len());
        state.recent.len()
    }

    /// Counts the final answer to a request of the partner's.
    pub(super) fn answered(&self, failed: bool) {
        let mut state = locked(&self.state);
        if state.since.is_none_or(|since| since.elapsed() > REPORT) {
            (state.since, state.ratio) = (Some(Instant::now()), Ratio::default());
        }
        state.ratio.answered += 1;
        state.ratio.failed += u64::from(failed);
    }

    /// How the partner's requests have ended in this report.
    pub fn ratio(&self) -> Ratio {
        locked(&self.state).ratio
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
        state.since = None;
        state.ratio = Ratio::default();
        state.forget(Instant::now());
        state.most = state.recent.len();
        state.total = 0;
        state.kinds.clear();
    }
}
