//! Counts what a partner sends: the cap of section 5 is on messages, requests and answers alike.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::inbox::locked;

/// What a discovered partner may send in a second.
pub const CAP: usize = 20;

/// What the cap is about.
const SECOND: Duration = Duration::from_secs(1);
/// How often the simulator looks whether it is held up.
pub(super) const TICK: Duration = Duration::from_millis(20);

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
    /// When the clock of the simulator ticked last.
    ticked: Option<Instant>,
    /// By how much it was late of late.
    late: VecDeque<(Instant, Duration)>,
}

impl State {
    /// How long the simulator itself was held up within the last second: what came meanwhile is seen
    /// later, and closer together, than it came.
    fn held_up(&mut self, now: Instant) -> Duration {
        let old = |(at, _): &(Instant, Duration)| now.duration_since(*at) >= SECOND;
        while self.late.front().is_some_and(old) {
            self.late.pop_front();
        }
        let open = self.ticked.map(|at| now.duration_since(at));
        let open = open.unwrap_or_default().saturating_sub(TICK);
        let known = self.late.iter().map(|(_, late)| *late);
        known.fold(open, Duration::max).min(SECOND / 2)
    }

    /// Forgets what is a second old.
    fn forget(&mut self, now: Instant) {
        let old = |at: &Instant| now.duration_since(*at) >= SECOND;
        while self.recent.front().is_some_and(old) {
            self.recent.pop_front();
        }
    }
}

impl Meter {
    /// Counts a message of a kind that has come now: a method, or a status and the method it answers.
    /// Tells how many came within the last second with it, at least.
    pub(super) fn count(&self, kind: String) -> usize {
        self.count_at(kind, Instant::now())
    }

    fn count_at(&self, kind: String, now: Instant) -> usize {
        let mut state = locked(&self.state);
        state.forget(now);
        state.recent.push_back(now);
        state.total += 1;
        *state.kinds.entry(kind).or_default() += 1;
        let span = SECOND - state.held_up(now);
        let within = |at: &&Instant| now.duration_since(**at) < span;
        let count = state.recent.iter().filter(within).count();
        state.most = state.most.max(count);
        count
    }

    /// Takes note of the time, which should have passed by [`TICK`] since the last time.
    pub(super) fn tick(&self) {
        self.tick_at(Instant::now());
    }

    fn tick_at(&self, now: Instant) {
        let mut state = locked(&self.state);
        let last = state.ticked.replace(now).unwrap_or(now);
        let late = now.duration_since(last).saturating_sub(TICK);
        state.late.push_back((now, late));
        state.held_up(now);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten messages a tenth of a second apart, then a break of the simulator, in which others gather.
    fn counted(ticks_meanwhile: bool) -> usize {
        let (meter, start) = (Meter::default(), Instant::now());
        let mut most = 0;
        for tenth in 0..10_u32 {
            let now = start + TICK * 5 * tenth;
            (0..5).for_each(|tick| meter.tick_at(now + TICK * tick));
            most = meter.count_at("MESSAGE".to_owned(), now);
        }
        assert_eq!((most, meter.most()), (10, 10));
        let later = start + TICK * 65;
        if ticks_meanwhile {
            (50..65).for_each(|tick| meter.tick_at(start + TICK * tick));
        }
        for _ in 0..3 {
            most = meter.count_at("MESSAGE".to_owned(), later);
        }
        most
    }

    #[test]
    fn what_gathers_while_the_simulator_is_held_up_is_not_of_one_moment() {
        // Those of the last second, 0.4 s to 0.9 s and these three.
        assert_eq!(counted(true), 9);
        // It stood still for 0.3 s: those of 0.7 s only.
        assert_eq!(counted(false), 6);
    }
}
