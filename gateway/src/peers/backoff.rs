//! When to dial a path, and what is known from the last attempt.

use std::time::Duration;

use rand::Rng;
use translators::model::{Failure, Mono};
use translators::timers::Backoff;

/// An attempt to connect failed at every address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialFailure {
    /// What senders are told.
    pub failure: Failure,
    /// Whether the next attempt will fail too unless somebody changes something: what waits is
    /// given back at once. Else it waits for the next attempts.
    pub lasting: bool,
}

/// Dialling of one path.
#[derive(Debug)]
pub(super) struct Dialling {
    backoff: Backoff,
    state: State,
    last: Option<DialFailure>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    /// The connector knows about it.
    UnderWay,
    Resting(Mono),
}

impl Dialling {
    pub(super) fn new() -> Self {
        Self {
            backoff: Backoff::new(FIRST_WAIT, LAST_WAIT),
            state: State::Idle,
            last: None,
        }
    }

    /// Asks for a link; true if the connector has to be told now.
    pub(super) fn want(&mut self, now: Mono) -> bool {
        let ready = match self.state {
            State::Idle => true,
            State::UnderWay => false,
            State::Resting(until) => until <= now,
        };
        if ready {
            self.state = State::UnderWay;
        }
        ready
    }

    /// There is a link. True if attempts had failed before.
    pub(super) fn succeeded(&mut self) -> bool {
        self.state = State::Idle;
        self.last.take().is_some()
    }

    /// An attempt failed: the next waits. True if it is the first in a row.
    pub(super) fn failed(&mut self, failure: DialFailure, now: Mono, rng: &mut impl Rng) -> bool {
        self.rest(now, rng);
        self.last.replace(failure).is_none()
    }

    /// A link ended. One that held for a while may be replaced at once; else the peer throws us
    /// out again and again, and the next attempt waits.
    pub(super) fn ended(&mut self, held: Duration, now: Mono, rng: &mut impl Rng) {
        if held >= HELD {
            self.backoff.reset();
            self.state = State::Idle;
        } else {
            self.rest(now, rng);
        }
    }

    /// Why nothing can be sent now, as long as that is known for sure.
    pub(super) fn obstacle(&self, now: Mono) -> Option<&Failure> {
        let last = self.last.as_ref().filter(|last| last.lasting)?;
        let rests = match self.state {
            State::Idle | State::UnderWay => false,
            State::Resting(until) => until > now,
        };
        rests.then_some(&last.failure)
    }

    /// Why nothing could be sent so far.
    pub(super) fn last_failure(&self) -> Option<&Failure> {
        self.last.as_ref().map(|last| &last.failure)
    }

    /// When the next attempt may start.
    pub(super) const fn resting_until(&self) -> Option<Mono> {
        match self.state {
            State::Idle | State::UnderWay => None,
            State::Resting(until) => Some(until),
        }
    }

    fn rest(&mut self, now: Mono, rng: &mut impl Rng) {
        self.state = State::Resting(now + self.backoff.wait(rng));
    }
}

/// Wait after the first failure.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// Longest wait: a peer that comes back gets its messages within their time.
const LAST_WAIT: Duration = Duration::from_secs(15);
/// A link that held for this long was a good one.
const HELD: Duration = Duration::from_secs(10);
