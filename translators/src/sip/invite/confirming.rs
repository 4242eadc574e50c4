//! A 2xx to an INVITE until its ACK comes.

use std::time::Duration;

use crate::limits;
use crate::model::Mono;

/// Says when a 2xx to an INVITE is sent again: "an interval that starts at T1 seconds and doubles for
/// each retransmission until it reaches T2 seconds", "irrespective of the transport protocol"
/// (RFC 3261 section 13.3.1.4), since the ACK comes from behind every proxy. It ends with the ACK:
/// whoever has it drops it then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confirming {
    interval: Duration,
    again_at: Mono,
    give_up_at: Mono,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// Nothing yet.
    Wait,
    /// The 2xx goes out again.
    Again,
    /// "If the server retransmits the 2xx response for 64*T1 seconds without receiving an ACK, the
    /// dialog is confirmed, but the session SHOULD be terminated": by BYE.
    GiveUp,
}

impl Confirming {
    /// Starts with a 2xx that goes out now.
    pub fn new(now: Mono) -> Self {
        Self {
            interval: limits::TIMER_T1,
            again_at: now + limits::TIMER_T1,
            give_up_at: now + limits::TIMER_F,
        }
    }

    /// When to ask again.
    pub fn next(&self) -> Mono {
        self.again_at.min(self.give_up_at)
    }

    /// What is due now.
    pub fn on_time(&mut self, now: Mono) -> Repeat {
        if self.give_up_at <= now {
            return Repeat::GiveUp;
        }
        if self.again_at > now {
            return Repeat::Wait;
        }
        self.interval = self.interval.saturating_mul(2).min(limits::TIMER_T2);
        self.again_at = now + self.interval;
        Repeat::Again
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Mono {
        Mono::from_start(Duration::from_millis(millis))
    }

    #[test]
    fn intervals_double_up_to_t2_and_end_after_64_t1() {
        let mut confirming = Confirming::new(at(0));
        let mut sent = Vec::new();
        loop {
            let next = confirming.next();
            match confirming.on_time(next) {
                Repeat::Wait => panic!("too early"),
                Repeat::Again => sent.push(next.since_start().as_millis()),
                Repeat::GiveUp => break,
            }
        }

        let expected = [
            500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500,
        ];
        assert_eq!(sent, expected);
        assert_eq!(confirming.next(), at(32_000));
    }

    #[test]
    fn nothing_is_due_between() {
        let mut confirming = Confirming::new(at(0));
        assert_eq!(confirming.on_time(at(499)), Repeat::Wait);
        assert_eq!(confirming.on_time(at(500)), Repeat::Again);
        assert_eq!(confirming.on_time(at(500)), Repeat::Wait);
        assert_eq!(confirming.on_time(at(40_000)), Repeat::GiveUp);
    }
}
