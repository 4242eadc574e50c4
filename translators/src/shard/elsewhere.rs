//! A second attempt at another address of the SIP peer, after 503.
//!
//! RFC 3263 section 4.3: "If a failure occurs, the client SHOULD create a new request, which is
//! identical to the previous, but has a different value of the Via branch ID than the previous".
//! It is made once for a message: a peer that is out of service everywhere says so twice.

use crate::model::{Failure, Pair};
use crate::shard::outgoing::{Attempt, Flight};
use crate::shard::turn::Turn;
use crate::shard::{Shard, Timer};

impl Shard {
    /// Sends the message in flight again, to another address than the one that answered 503;
    /// returns whether it did. What a new policy denies meanwhile stays where it is.
    pub(super) fn try_elsewhere(
        &mut self,
        pair: &Pair,
        refused: &Result<(), Failure>,
        turn: &mut Turn,
    ) -> bool {
        let Err(refusal) = refused else { return false };
        if !self.policy.decide(pair).allows() {
            return false;
        }
        let conversation = self.memory.find(pair);
        let outgoing = conversation.and_then(|one| one.queue.in_flight_mut());
        let Some(outgoing) = outgoing.filter(|one| turn.now.mono < one.give_up_at) else {
            return false;
        };
        let is_first = |flight: &mut Flight| !flight.attempt.is_second();
        let Some(first) = outgoing.flight.take_if(is_first) else {
            return false;
        };
        self.forget_flight(&first);
        let attempt = Attempt::Second(refusal.clone());
        self.dispatch(pair, attempt, first.dialog, turn).is_some()
    }

    /// Why the first address did not take the message in flight, if it is at its second.
    pub(super) fn first_refusal(&mut self, pair: &Pair) -> Option<Failure> {
        let outgoing = self.memory.find(pair)?.queue.in_flight()?;
        match &outgoing.flight.as_ref()?.attempt {
            Attempt::First => None,
            Attempt::Second(refusal) => Some(refusal.clone()),
        }
    }

    /// Waits no longer for what becomes of a request.
    pub(super) fn forget_flight(&mut self, flight: &Flight) {
        self.clients.expire(flight.branch);
        self.timers.cancel(&Timer::F(flight.branch));
        self.tasks.remove(&flight.transmit);
    }
}
