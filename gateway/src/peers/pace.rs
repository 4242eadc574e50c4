//! How fast messages may go to a SIP peer: a token for each.

use std::time::Duration;

use translators::model::Mono;

/// A token bucket; without a rate it never runs dry.
#[derive(Debug)]
pub(super) struct Pace {
    per_second: Option<u32>,
    /// Time whose tokens are saved.
    saved: Duration,
    /// Tokens, in millionths; less than none for what went out without asking.
    left: i64,
    filled_at: Mono,
}

impl Pace {
    /// Of SUBSCRIBEs and NOTIFYs.
    pub(super) const fn of_presence() -> Self {
        Self::saving(SAVED)
    }

    /// Of everything. A peer that counts does so second by second, so hardly anything is saved.
    pub(super) const fn of_all() -> Self {
        Self::saving(SAVED_OF_ALL)
    }

    const fn saving(saved: Duration) -> Self {
        Self {
            per_second: None,
            saved,
            left: 0,
            filled_at: Mono::from_start(Duration::ZERO),
        }
    }

    /// Sets the rate; `None` sets no limit. What was saved stays within the new bounds.
    pub(super) fn set(&mut self, per_second: Option<u32>) {
        if per_second != self.per_second {
            self.per_second = per_second;
            self.left = self.most();
        }
    }

    /// Whether there is a rate.
    pub(super) const fn is_set(&self) -> bool {
        self.per_second.is_some()
    }

    /// How many go in that time, if there is a rate.
    pub(super) fn in_time(&self, span: Duration) -> Option<usize> {
        let seconds = usize::try_from(span.as_secs()).unwrap_or(usize::MAX);
        let rate = usize::try_from(self.per_second?).unwrap_or(usize::MAX);
        Some(rate.saturating_mul(seconds))
    }

    /// Whether a token is there.
    pub(super) fn has_some(&mut self, now: Mono) -> bool {
        self.has_more_than(0, now)
    }

    /// Whether a token is there besides so many that are spoken for.
    pub(super) fn has_more_than(&mut self, reserved: usize, now: Mono) -> bool {
        self.fill(now);
        let reserved = i64::try_from(reserved).unwrap_or(i64::MAX);
        let wanted = reserved.saturating_add(1).saturating_mul(TOKEN);
        self.per_second.is_none() || self.left >= wanted
    }

    /// Takes a token, whether it is there or not; what is owed is bounded, so that a peer that is
    /// answered out of turn is not kept waiting for ever.
    pub(super) fn take(&mut self) {
        let owed = i64::from(self.per_second.unwrap_or_default()).saturating_mul(OWED);
        self.left = self.left.saturating_sub(TOKEN).max(-owed);
    }

    fn fill(&mut self, now: Mono) {
        let Some(per_second) = self.per_second else {
            return;
        };
        let span = now.since(self.filled_at);
        let micros = i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
        // A token a second is a millionth of one in a microsecond.
        let gained = micros.saturating_mul(per_second.into());
        if gained > 0 {
            self.left = self.left.saturating_add(gained).min(self.most());
            self.filled_at = now;
        }
    }

    /// What may be saved: enough for what gathers between two looks of the registry, and one.
    fn most(&self) -> i64 {
        let rate = i64::from(self.per_second.unwrap_or_default());
        let saved = i64::try_from(self.saved.as_micros()).unwrap_or(i64::MAX);
        rate.saturating_mul(saved).max(TOKEN)
    }
}

const TOKEN: i64 = 1_000_000;
/// Time whose tokens are saved: the registry looks every 100 ms, or later on a busy machine.
const SAVED: Duration = Duration::from_millis(250);
/// The same of all messages: with 15 a second three, so that no second sees more than 18, which is
/// less than the 20 that an edge allows.
const SAVED_OF_ALL: Duration = Duration::from_millis(200);
/// Seconds' worth of tokens that may be owed, in millionths of a token for each a second.
const OWED: i64 = 5 * TOKEN;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Mono {
        Mono::from_start(Duration::from_millis(millis))
    }

    fn takes(pace: &mut Pace, millis: u64) -> usize {
        let mut taken = 0;
        while taken < 100_000 && pace.has_some(at(millis)) {
            pace.take();
            taken += 1;
        }
        taken
    }

    #[test]
    fn so_many_go_in_a_second_and_little_is_saved() {
        let mut pace = Pace::of_presence();
        pace.set(Some(500));

        assert_eq!(takes(&mut pace, 0), 125);
        assert_eq!(takes(&mut pace, 0), 0);
        let later: usize = (1..=10).map(|tenth| takes(&mut pace, tenth * 100)).sum();
        assert_eq!(later, 500);
        assert_eq!(takes(&mut pace, 60_000), 125, "a minute saves no more");
    }

    #[test]
    fn a_slow_pace_is_kept_over_many_looks() {
        let mut pace = Pace::of_presence();
        pace.set(Some(2));

        let taken: usize = (0..=10_000).map(|millis| takes(&mut pace, millis)).sum();

        assert_eq!(taken, 21, "one at the start and two in each second");
    }

    #[test]
    fn what_goes_out_without_asking_is_paid_for() {
        let mut pace = Pace::of_all();
        pace.set(Some(15));

        (0..30).for_each(|_| pace.take());
        let first: usize = (1..=18).map(|tenth| takes(&mut pace, tenth * 100)).sum();
        assert_eq!(first, 0, "30 less 3 are owed, and 27 paid after 1.8 s");
        let second: usize = (19..=28).map(|tenth| takes(&mut pace, tenth * 100)).sum();
        assert_eq!(second, 15);
        (0..1_000).for_each(|_| pace.take());
        assert_eq!(takes(&mut pace, 7_700), 0);
        assert_eq!(
            takes(&mut pace, 7_900),
            1,
            "no more than five seconds are owed"
        );
    }

    #[test]
    fn what_is_spoken_for_is_left() {
        let mut pace = Pace::of_all();
        pace.set(Some(15));

        assert!(pace.has_more_than(2, at(0)) && !pace.has_more_than(3, at(0)));
    }

    #[test]
    fn without_a_rate_nothing_is_held_up() {
        let mut pace = Pace::of_presence();
        assert_eq!(takes(&mut pace, 0), 100_000);
    }
}
