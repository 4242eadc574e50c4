//! What became of NOTIFYs and of stanzas to XMPP users.

use std::time::Duration;

use crate::mapping::failure::loses_dialog;
use crate::model::{Pair, Side};
use crate::presence::notifier::{Asking, Keep, Outcome};
use crate::presence::subscriber::is_fault;
use crate::shard::turn::Turn;
use crate::shard::watched::step::Cause;
use crate::shard::{Event, Lapse, Shard, Timer};
use crate::sip::{Branch, Response, Tag};

impl Shard {
    /// Takes the answer to a NOTIFY.
    pub(in crate::shard) fn on_notify_answered(
        &mut self,
        pair: &Pair,
        tag: Tag,
        response: &Response,
        turn: &mut Turn,
    ) {
        let after = response.retry_after();
        let after = after.map(|seconds| Duration::from_secs(u64::from(seconds)));
        let status = response.status();
        let outcome = if loses_dialog(response) {
            Outcome::Gone
        } else {
            Outcome::of(status, after)
        };
        if is_fault(status)
            && let Some(stage) = self.stage(pair, turn)
        {
            let peer = stage.sip;
            turn.tell(Event::SubscribeFault { peer, status });
        }
        self.step(pair, Cause::default(), turn, |notifier, scene| {
            let refreshed = outcome == Outcome::Accepted
                && notifier
                    .endpoint_mut(tag)
                    .is_some_and(|endpoint| endpoint.dialog_mut().on_refreshed(response));
            let step = notifier.on_outcome(tag, outcome, scene);
            if refreshed {
                step.keep(Keep::Lazy)
            } else {
                step
            }
        });
    }

    /// Takes note that no answer to a NOTIFY came.
    pub(in crate::shard) fn on_notify_timer_f(&mut self, pair: &Pair, tag: Tag, turn: &mut Turn) {
        self.on_outcome(pair, tag, Outcome::TimedOut, turn);
    }

    /// Takes note that a NOTIFY was not sent, or written to a link that broke. One that a newer one
    /// replaced, or that was called back, is nothing to anybody.
    pub(in crate::shard) fn on_notify_unsent(
        &mut self,
        pair: &Pair,
        (tag, branch): (Tag, Branch),
        lapse: Option<&Lapse>,
        turn: &mut Turn,
    ) {
        self.end_flight(branch, turn);
        match lapse {
            Some(Lapse::Recalled) => self.withhold(pair, branch, turn),
            Some(Lapse::Replaced) => {}
            Some(Lapse::Full) => {
                self.on_outcome(pair, tag, Outcome::NoRoom, turn);
                self.recover_again(pair, Side::Sip, turn);
            }
            Some(
                Lapse::Expired | Lapse::LinkDown | Lapse::ReturnPathDown | Lapse::Unreachable(_),
            )
            | None => self.on_outcome(pair, tag, Outcome::Unsent, turn),
        }
        self.shown.remove(&branch);
    }

    pub(super) fn on_outcome(&mut self, pair: &Pair, tag: Tag, outcome: Outcome, turn: &mut Turn) {
        self.step(pair, Cause::default(), turn, |notifier, scene| {
            notifier.on_outcome(tag, outcome, scene)
        });
    }

    /// Takes note that the XMPP user's server has a stanza.
    pub(in crate::shard) fn on_asked(&mut self, pair: &Pair, asking: Asking, turn: &mut Turn) {
        self.step(pair, Cause::default(), turn, |notifier, scene| {
            notifier.on_handed_over(asking, scene)
        });
    }

    /// Takes note that his server will not get a stanza.
    pub(in crate::shard) fn on_unasked(
        &mut self,
        pair: &Pair,
        asking: Asking,
        lapse: Option<&Lapse>,
        turn: &mut Turn,
    ) {
        match lapse {
            Some(Lapse::Recalled | Lapse::Replaced) => {}
            Some(
                Lapse::Expired
                | Lapse::Full
                | Lapse::LinkDown
                | Lapse::ReturnPathDown
                | Lapse::Unreachable(_),
            )
            | None => self.step(pair, Cause::default(), turn, |notifier, scene| {
                notifier.on_undelivered(asking, scene)
            }),
        }
    }

    /// Does what is due in a relation.
    pub(in crate::shard) fn on_watched_time(&mut self, pair: &Pair, turn: &mut Turn) {
        self.step(pair, Cause::default(), turn, |notifier, scene| {
            notifier.on_time(scene)
        });
    }

    /// Forgets a request of ours that waited for its answer.
    pub(in crate::shard) fn end_flight(&mut self, branch: Branch, turn: &mut Turn) {
        if let Some(transmit) = self.flights.remove(&branch) {
            self.tasks.remove(&transmit);
        }
        self.clients.expire(branch);
        self.timers.cancel(&Timer::F(branch));
        self.on_transaction_over(branch, turn);
    }
}
