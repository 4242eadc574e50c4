//! Requests and probes that the XMPP side could not take, and when they are tried again.

use crate::limits;
use crate::model::{Mono, Now};

/// Failures in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Attempts {
    /// When the first one failed.
    first: Mono,
    /// How many failed.
    failed: u32,
    /// When the next one is due; none while it is on its way.
    next: Option<Mono>,
}

/// What is to be done at the deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing yet.
    Nothing,
    /// To try again.
    Retry,
    /// To end the dialogs of the watcher: it has failed for too long.
    GiveUp,
}

impl Attempts {
    /// Takes note of a failure, the first one or one more.
    pub(super) fn failed(before: Option<Box<Self>>, now: Now) -> Box<Self> {
        let mut attempts = before.unwrap_or_else(|| {
            Box::new(Self {
                first: now.mono,
                failed: 0,
                next: None,
            })
        });
        let pause = limits::ASK_AGAIN_FIRST.saturating_mul(1 << attempts.failed.min(6));
        attempts.failed = attempts.failed.saturating_add(1);
        attempts.next = Some(now.mono + pause.min(limits::ASK_AGAIN_LAST));
        attempts
    }

    /// What is due; one that is tried again is on its way from now on.
    pub(super) fn due(&mut self, now: Mono) -> Due {
        if self.next.is_none_or(|next| next > now) {
            return Due::Nothing;
        }
        self.next = None;
        if now >= self.first + limits::ASK_GIVES_UP {
            return Due::GiveUp;
        }
        Due::Retry
    }

    /// When something is due.
    pub(super) const fn deadline(&self) -> Option<Mono> {
        self.next
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(minutes: u64) -> Now {
        Now {
            mono: Mono::from_start(Duration::from_secs(60 * minutes)),
            ..Now::default()
        }
    }

    #[test]
    fn attempts_become_rare_and_end_after_a_day() {
        let mut now = at(0);
        let mut attempts = None;
        let mut pauses = Vec::new();
        loop {
            let mut failed = Attempts::failed(attempts, now);
            let next = failed.deadline().unwrap();
            pauses.push(next.since(now.mono).as_secs() / 60);
            assert_eq!(failed.due(now.mono), Due::Nothing);
            now.mono = next;
            match failed.due(next) {
                Due::Nothing => panic!("due"),
                Due::Retry => attempts = Some(failed),
                Due::GiveUp => break,
            }
        }
        assert_eq!(pauses[..8], [1, 2, 4, 8, 16, 32, 60, 60]);
        let all = now.mono.since_start().as_secs() / 3_600;
        assert!((24..26).contains(&all), "{all} h");
    }
}
