//! Policy changes: a verdict is an axis beside the grant, and acts on live subscriptions at once.

use crate::policy::Verdict;
use crate::presence::notifier::machine::{State, Whom};
use crate::presence::notifier::{Action, Keep, Notifier, Scene, Step};
use crate::sip::subscription::EventReason;

impl Notifier {
    /// Takes what policy says of the pair from now on.
    pub fn on_verdict(&mut self, verdict: Verdict, scene: &Scene) -> Step {
        let before = std::mem::replace(&mut self.verdict, verdict);
        if before == verdict {
            return Step::nothing();
        }
        let recall = (before == Verdict::Allow).then_some(Action::Recall);
        match (&mut self.state, verdict) {
            (State::Absent { endpoints, .. }, _) if endpoints.is_empty() => Step::nothing(),
            // row 30d
            (State::Absent { endpoints, looks }, Verdict::Allow)
                if endpoints.len() == looks.len() =>
            {
                Step::nothing().and(self.tell(Whom::Other, scene))
            }
            // row 30c, row 32
            (State::Absent { .. }, Verdict::Allow) => {
                let ask = self.request(scene.now);
                let told = self.tell(Whom::Other, scene);
                Step::nothing().keep(Keep::Durable).and(told).then(ask)
            }
            // row 30c; row 30b for block
            (State::Absent { .. }, Verdict::Confirm | Verdict::PoliteBlock | Verdict::Block) => {
                Step::nothing()
                    .and(recall)
                    .and(self.tell(Whom::Other, scene))
            }
            // row 30c; row 30b for block
            (
                State::Requested { endpoints, .. },
                Verdict::Confirm | Verdict::PoliteBlock | Verdict::Block,
            ) => {
                self.state = State::Absent {
                    endpoints: std::mem::take(endpoints),
                    looks: Vec::new(),
                };
                self.attempts = None;
                let keep = if self.endpoints().is_empty() {
                    Keep::Gone
                } else {
                    Keep::Durable
                };
                let told = self.tell(Whom::Other, scene);
                Step::nothing().keep(keep).and(recall).and(told)
            }
            // row 30
            (State::Watched { .. }, Verdict::Block | Verdict::PoliteBlock) if scene.terminates => {
                let ended = self.end_all(EventReason::Rejected, scene);
                self.sleep();
                Step::nothing().keep(Keep::Durable).and(recall).and(ended)
            }
            // row 30, row 31
            (State::Watched { .. }, Verdict::Confirm | Verdict::PoliteBlock | Verdict::Block) => {
                Step::nothing()
                    .and(recall)
                    .and(self.tell(Whom::Other, scene))
            }
            // row 30a
            (State::Watched { seen, .. }, Verdict::Allow) => {
                let stale = seen.is_stale(scene);
                let told = self.tell(Whom::Other, scene);
                let probe = if stale {
                    self.probe(scene.now.mono)
                } else {
                    None
                };
                Step::nothing().and(told).and(probe)
            }
            // row 30, row 30a, row 31: nobody watches
            (
                State::Dormant { .. } | State::Denied { .. } | State::Requested { .. },
                Verdict::Allow | Verdict::Confirm | Verdict::PoliteBlock | Verdict::Block,
            ) => Step::nothing(),
        }
    }
}
