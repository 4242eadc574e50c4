//! What a restart makes of the journal.

use crate::mapping::failure::Own;
use crate::mapping::message::Unmapped;
use crate::model::{Direction, InstantMessage};
use crate::shard::journal::conclude;
use crate::shard::outgoing::Outgoing;
use crate::shard::turn::Turn;
use crate::shard::{Fate, ImRecord, ImState, Shard};

impl Shard {
    /// Takes up one message of an earlier run.
    pub(super) fn restore_one(&mut self, record: ImRecord, turn: &mut Turn) {
        self.repeats.restore(record.fingerprint);
        let message = record.message.as_deref().cloned();
        match (record.state.clone(), record.direction, message) {
            (ImState::Settled(_), _, _) => {}
            (ImState::Failing(failure), _, _) => self.return_failing(record, failure, turn),
            (ImState::Sent, Direction::ToSip, _) => {
                self.bounce(record, Own::MayHaveArrived.failure(), turn);
            }
            (ImState::Waiting, Direction::ToSip, Some(message)) => {
                self.restore_outgoing(record, message, turn);
            }
            (ImState::Waiting | ImState::Sent, Direction::ToXmpp, Some(message)) => {
                match self.policy.admit(record.pair.clone(), message) {
                    Ok(admitted) => self.restore_incoming(record, admitted, turn),
                    Err(denied) => {
                        conclude(
                            record,
                            Fate::Untold(Own::Denied(denied).failure()),
                            true,
                            turn,
                        );
                    }
                }
            }
            (ImState::Waiting | ImState::Sent, _, None) => {
                conclude(record, Fate::Untold(Own::Unreadable.failure()), true, turn);
            }
        }
    }

    /// Sends a message that was accepted and not sent.
    fn restore_outgoing(&mut self, record: ImRecord, message: InstantMessage, turn: &mut Turn) {
        if record.deadline <= turn.now.wall {
            return self.bounce(record, Own::Expired.failure(), turn);
        }
        let admitted = match self.policy.admit(record.pair.clone(), message) {
            Ok(admitted) => admitted,
            Err(denied) => return self.bounce(record, Own::Denied(denied).failure(), turn),
        };
        let left = record.deadline.since(turn.now.wall);
        match self.prepare(record.key, &admitted, left, turn) {
            Ok(outgoing) => {
                self.on_xmpp_content(&admitted, turn);
                let outgoing = Outgoing {
                    record: Some(record),
                    ..outgoing
                };
                self.enqueue(outgoing, false, turn);
            }
            Err(Unmapped::Refused(own)) => self.bounce(record, own.failure(), turn),
            Err(Unmapped::Dropped(reason)) => {
                conclude(record, Fate::Dropped(reason), true, turn);
            }
        }
    }
}
