//! Messages of the XMPP user inside a dialog, and what becomes of them.

use std::time::Duration;

use crate::conversation::session::{DialogNumber, Outcome};
use crate::limits;
use crate::mapping::failure::{self, Own};
use crate::model::{Failure, Pair, PeerId};
use crate::shard::outgoing::Attempt;
use crate::shard::sessions::Occasion;
use crate::shard::turn::Turn;
use crate::shard::{ImState, Shard};
use crate::sip::Response;

impl Shard {
    /// Puts the next message of a pair in flight, in a dialog or in page mode, unless one is.
    pub(super) fn put_in_flight(
        &mut self,
        pair: &Pair,
        dialog: Option<DialogNumber>,
        turn: &mut Turn,
    ) {
        let conversation = self.memory.find(pair);
        if conversation.is_none_or(|one| one.queue.advance().is_none()) {
            return self.show_typing(pair, turn);
        }
        match self.dispatch(pair, Attempt::First, dialog, turn) {
            Some(outgoing) => {
                if let Some(row) = outgoing.row(ImState::Sent) {
                    turn.store(row);
                }
            }
            // There is no such dialog, or its texts were damaged: the next message begins another.
            None => {
                let unsent = Err(Own::Expired.failure());
                self.land_in(pair, dialog, unsent, Outcome::Unknown, turn);
            }
        }
    }

    /// How long a message may take that is accepted now: longer if somebody has to be called first.
    pub(in crate::shard) fn span(&mut self, pair: &Pair) -> Duration {
        let microsoft = self.is_microsoft(pair);
        let conversation = self.memory.find(pair);
        let talks = conversation.is_some_and(|one| one.session.established().is_some());
        if microsoft && !talks {
            limits::RING_TIME
        } else {
            limits::DELIVERY_TIME
        }
    }

    /// Takes the answer to the message in flight of a pair.
    pub(in crate::shard) fn on_sent(
        &mut self,
        peer: &PeerId,
        pair: &Pair,
        response: &Response,
        turn: &mut Turn,
    ) {
        let status = response.status();
        let outcome = match status {
            ..300 => Ok(()),
            300.. => Err(self.failure_of(peer, response)),
        };
        if status == 503 && self.try_elsewhere(pair, &outcome, turn) {
            return;
        }
        let conversation = self.memory.find(pair);
        let outgoing = conversation.and_then(|one| one.queue.in_flight());
        let again = outgoing.is_some_and(|one| !one.again);
        let kind = if failure::loses_dialog(response) {
            Outcome::Dangling { again }
        } else {
            Outcome::of(status, again)
        };
        let dialog = outgoing.and_then(|one| one.flight.as_ref()?.dialog);
        match (kind, dialog) {
            // It did not arrive, and goes out once more in another dialog.
            (Outcome::Dangling { again: true }, Some(number)) => {
                self.converse(pair, Occasion::Plain, turn, |session, scene| {
                    session.on_outcome(number, kind, scene)
                });
            }
            (
                Outcome::Dangling { .. }
                | Outcome::Delivered
                | Outcome::Lost
                | Outcome::Refused
                | Outcome::Silent
                | Outcome::Unknown,
                _,
            ) => self.land_in(pair, dialog, outcome, kind, turn),
        }
    }

    /// Ends the flight of a message, tells the machine of its dialog and goes on.
    pub(in crate::shard) fn land_in(
        &mut self,
        pair: &Pair,
        dialog: Option<DialogNumber>,
        outcome: Result<(), Failure>,
        kind: Outcome,
        turn: &mut Turn,
    ) {
        let conversation = self.memory.find(pair);
        if let Some(outgoing) = conversation.and_then(|one| one.queue.land()) {
            self.end(*outgoing, outcome, turn);
        }
        match dialog {
            None => {
                self.launch(pair, turn);
            }
            Some(number) => self.converse(pair, Occasion::Plain, turn, |session, scene| {
                session.on_outcome(number, kind, scene)
            }),
        }
    }

    /// The dialog in which the message in flight of a pair was sent.
    pub(in crate::shard) fn dialog_of_flight(&mut self, pair: &Pair) -> Option<DialogNumber> {
        let outgoing = self.memory.find(pair)?.queue.in_flight()?;
        outgoing.flight.as_ref()?.dialog
    }
}
