//! How often a watcher is told of changes (RFC 3856 section 6.10).

use crate::limits;
use crate::model::Mono;

/// When changes are told: the first one after a short time in which others may join it, then one
/// document in five seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Pace {
    /// Nothing is to be told.
    #[default]
    Free,
    /// Nothing is to be told; what comes before this time waits for it.
    Rest(Mono),
    /// A change is to be told at this time.
    Due(Mono),
}

impl Pace {
    /// Takes note of a change.
    pub(super) fn on_change(&mut self, now: Mono) {
        let gathered = now + limits::NOTIFY_GATHERS;
        *self = match *self {
            Self::Free => Self::Due(gathered),
            Self::Rest(until) => Self::Due(gathered.max(until)),
            Self::Due(at) => Self::Due(at),
        };
    }

    /// Whether changes are to be told now.
    pub(super) fn is_due(self, now: Mono) -> bool {
        self.deadline().is_some_and(|at| at <= now)
    }

    /// Takes note that changes were told.
    pub(super) fn on_told(&mut self, now: Mono) {
        *self = Self::Rest(now + limits::NOTIFY_INTERVAL);
    }

    /// Takes note that there was nothing to tell after all.
    pub(super) fn on_nothing(&mut self) {
        *self = Self::Free;
    }

    /// When changes are to be told.
    pub(super) const fn deadline(self) -> Option<Mono> {
        match self {
            Self::Due(at) => Some(at),
            Self::Free | Self::Rest(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(millis: u64) -> Mono {
        Mono::from_start(Duration::from_millis(millis))
    }

    #[test]
    fn changes_gather_and_then_keep_their_distance() {
        let mut pace = Pace::default();
        pace.on_change(at(1_000));
        pace.on_change(at(1_200));
        assert!(!pace.is_due(at(1_249)) && pace.is_due(at(1_250)));

        pace.on_told(at(1_250));
        assert_eq!(pace.deadline(), None);
        pace.on_change(at(3_000));
        assert_eq!(pace.deadline(), Some(at(6_250)));
        pace.on_told(at(6_250));
        pace.on_change(at(11_200));
        assert_eq!(pace.deadline(), Some(at(11_450)));
        pace.on_nothing();
        assert_eq!(pace, Pace::Free);
    }
}
