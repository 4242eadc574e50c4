//! Peers come and go, and the operator gives orders.

use crate::policy::Verdict;
use crate::presence::notifier::attempts::Attempts;
use crate::presence::notifier::machine::{State, Whom};
use crate::presence::notifier::probe::Probe;
use crate::presence::notifier::{Asking, Keep, Notifier, Scene, Step};
use crate::sip::Tag;
use crate::sip::subscription::EventReason;

impl Notifier {
    /// Takes note that the XMPP user's server cannot be reached for longer than is borne in silence
    /// (row 33): nothing is known of him.
    pub fn on_lost(&mut self, scene: &Scene) -> Step {
        match &mut self.state {
            // row 33
            State::Watched { seen, lost, .. } => {
                *lost = true;
                if seen.is_known() {
                    seen.close(scene.now.wall);
                }
                Step::nothing().and(self.tell(Whom::Other, scene))
            }
            // row 33
            State::Requested { seen, .. } if seen.is_known() => {
                seen.close(scene.now.wall);
                Step::nothing().and(self.tell(Whom::Other, scene))
            }
            State::Absent { .. }
            | State::Denied { .. }
            | State::Dormant { .. }
            | State::Requested { .. } => Step::nothing(),
        }
    }

    /// Takes note that the XMPP user's server can be reached again: what it did not get is sent, and
    /// what may have changed is asked for (row 33).
    pub fn on_found(&mut self, scene: &Scene) -> Step {
        match (&self.state, self.verdict) {
            // row 33, row 33b
            (State::Watched { seen, lost, .. }, Verdict::Allow)
                if *lost || seen.heard_at().is_none() =>
            {
                Step::nothing().and(self.probe(scene.now.mono))
            }
            // row 33b
            (State::Requested { asked: false, .. }, _) => self.ask_again(scene),
            // row 33b
            (
                State::Absent { .. }
                | State::Denied { .. }
                | State::Dormant { .. }
                | State::Requested { .. }
                | State::Watched { .. },
                _,
            ) => Step::nothing(),
        }
    }

    /// Takes note that the watcher's side can be reached again (row 23a): he is shown the present
    /// state where he was shown something else, as soon as it is known.
    pub fn on_return(&mut self, scene: &Scene) -> Step {
        match &self.state {
            // After a restart the answer to the probe is waited for.
            State::Watched {
                seen, lost: false, ..
            } if self.verdict == Verdict::Allow && seen.heard_at().is_none() => Step::nothing(),
            // row 23a
            State::Absent { .. }
            | State::Denied { .. }
            | State::Dormant { .. }
            | State::Requested { .. }
            | State::Watched { .. } => Step::nothing().and(self.tell(Whom::Other, scene)),
        }
    }

    /// Takes note that a stanza could not be handed over.
    pub fn on_undelivered(&mut self, asking: Asking, scene: &Scene) -> Step {
        match asking {
            // row 18b
            Asking::Probe => {
                if self.probe.is_open() {
                    self.probe = Probe::None;
                }
                if matches!(self.state, State::Watched { .. }) {
                    self.attempts = Some(Attempts::failed(self.attempts.take(), scene.now));
                }
            }
            // row 18b
            Asking::Subscribe => {
                if matches!(self.state, State::Requested { .. }) {
                    self.attempts = Some(Attempts::failed(self.attempts.take(), scene.now));
                }
            }
            Asking::Unavailable | Asking::Unsubscribe => {}
        }
        Step::nothing()
    }

    /// Asks for everything anew and shows it.
    pub fn on_resync(&mut self, scene: &Scene) -> Step {
        match (&self.state, self.verdict) {
            // row 42
            (State::Watched { .. } | State::Dormant { .. }, Verdict::Allow) => {
                let told = self.tell(Whom::All, scene);
                Step::nothing().and(told).and(self.probe(scene.now.mono))
            }
            // row 42
            (State::Requested { .. }, _) => self.ask_again(scene),
            // row 42
            (
                State::Absent { .. }
                | State::Denied { .. }
                | State::Dormant { .. }
                | State::Watched { .. },
                _,
            ) => Step::nothing().and(self.tell(Whom::All, scene)),
        }
    }

    /// Ends every subscription because the gateway goes away; what was granted stays.
    pub fn on_leave(&mut self, scene: &Scene) -> Step {
        // row 40
        let ended = self.end_all(EventReason::Deactivated, scene);
        if ended.is_empty() {
            return Step::nothing();
        }
        self.sleep();
        Step::nothing().keep(self.rest()).and(ended)
    }

    /// Takes back a subscription that could not be stored; `first` says that it was the first thing
    /// between these two, of which nothing is left.
    pub fn on_withdrawn(&mut self, tag: Tag, first: bool) -> Step {
        drop(self.remove(tag));
        if first {
            *self = Self::new(self.verdict);
        }
        self.sleep();
        Step::nothing()
    }

    /// Ends the relation for good: the watcher learns it for this reason, and the XMPP user that
    /// nobody watches him any more.
    pub fn on_drop(&mut self, reason: EventReason, scene: &Scene) -> Step {
        // row 41
        let ended = self.end_all(reason, scene);
        let was_asked = match &self.state {
            State::Absent { .. } | State::Denied { .. } => false,
            State::Dormant { .. } | State::Requested { .. } | State::Watched { .. } => true,
        };
        *self = Self::new(self.verdict);
        let step = Step::nothing().keep(Keep::Gone).and(ended);
        if was_asked {
            return step.ask(Asking::Unsubscribe);
        }
        step
    }
}
