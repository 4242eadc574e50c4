//! How fast presence may go to a SIP peer: a token for each SUBSCRIBE and NOTIFY.

use std::time::Duration;

use translators::model::Mono;

/// A token bucket; without a rate it never runs dry.
#[derive(Debug, Default)]
pub(super) struct Pace {
    per_second: Option<u32>,
    /// Tokens, in millionths.
    left: u64,
    filled_at: Mono,
}

impl Pace {
    /// Sets the rate; `None` sets no limit. What was saved stays within the new bounds.
    pub(super) fn set(&mut self, per_second: Option<u32>) {
        if per_second != self.per_second {
            self.per_second = per_second;
            self.left = self.most();
        }
    }

    /// Whether a token is there.
    pub(super) fn has_some(&mut self, now: Mono) -> bool {
        self.fill(now);
        self.per_second.is_none() || self.left >= TOKEN
    }

    /// Takes a token.
    pub(super) const fn take(&mut self) {
        self.left = self.left.saturating_sub(TOKEN);
    }

    fn fill(&mut self, now: Mono) {
        let Some(per_second) = self.per_second else {
            return;
        };
        let span = now.since(self.filled_at);
        let micros = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        // A token a second is a millionth of one in a microsecond.
        let gained = micros.saturating_mul(per_second.into());
        if gained > 0 {
            self.left = self.left.saturating_add(gained).min(self.most());
            self.filled_at = now;
        }
    }

    /// What may be saved: enough for what gathers between two looks of the registry, and one.
    fn most(&self) -> u64 {
        let rate = u64::from(self.per_second.unwrap_or_default());
        let saved = u64::try_from(SAVED.as_micros()).unwrap_or(u64::MAX);
        rate.saturating_mul(saved).max(TOKEN)
    }
}

const TOKEN: u64 = 1_000_000;
/// Time whose tokens are saved: the registry looks every 100 ms, or later on a busy machine.
const SAVED: Duration = Duration::from_millis(250);

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
        let mut pace = Pace::default();
        pace.set(Some(500));

        assert_eq!(takes(&mut pace, 0), 125);
        assert_eq!(takes(&mut pace, 0), 0);
        let later: usize = (1..=10).map(|tenth| takes(&mut pace, tenth * 100)).sum();
        assert_eq!(later, 500);
        assert_eq!(takes(&mut pace, 60_000), 125, "a minute saves no more");
    }

    #[test]
    fn a_slow_pace_is_kept_over_many_looks() {
        let mut pace = Pace::default();
        pace.set(Some(2));

        let taken: usize = (0..=10_000).map(|millis| takes(&mut pace, millis)).sum();

        assert_eq!(taken, 21, "one at the start and two in each second");
    }

    #[test]
    fn without_a_rate_nothing_is_held_up() {
        let mut pace = Pace::default();
        assert_eq!(takes(&mut pace, 0), 100_000);
    }
}
