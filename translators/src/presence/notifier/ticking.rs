//! Time passes.

use crate::limits;
use crate::model::Mono;
use crate::policy::Verdict;
use crate::presence::notifier::attempts::Due;
use crate::presence::notifier::endpoint::{Again, Endpoint, Shown};
use crate::presence::notifier::machine::{Phase, State, Whom, ended_by};
use crate::presence::notifier::probe::Probe;
use crate::presence::notifier::subscribing::answer_fetch;
use crate::presence::notifier::{Asking, Keep, Notifier, Scene, Step};
use crate::sip::subscription::EventReason;

impl Notifier {
    /// Does what is due.
    pub fn on_time(&mut self, scene: &Scene) -> Step {
        let mut step = self.on_expiries(scene);
        for due in [
            Self::on_hold_over,
            Self::on_look_over,
            Self::on_attempt,
            Self::on_probe_time,
            Self::on_fetch_time,
            Self::on_pace,
            Self::on_again,
        ] {
            let more = due(self, scene);
            step = step.keep(more.keep).and(more.actions);
        }
        step
    }

    /// When something is due next.
    pub fn deadline(&self, scene: &Scene) -> Option<Mono> {
        let endpoints = self.endpoints().iter();
        let ends = endpoints
            .filter_map(|one| scene.expiry(one.expires_at))
            .min();
        let endpoints = self.endpoints().iter();
        let again = endpoints.filter_map(|one| one.again.deadline()).min();
        let fetch = match &self.state {
            State::Dormant { fetches, .. } => fetches.first().map(|fetch| fetch.until),
            State::Denied { until } => Some(scene.at(*until)),
            State::Absent { .. } | State::Requested { .. } | State::Watched { .. } => None,
        };
        let told = scene.sip.is_up().then(|| [again, self.pace.deadline()]);
        let attempt = self
            .attempts
            .as_ref()
            .and_then(|attempts| attempts.deadline());
        let probe = self.probe.deadline();
        let look = self.asks_at(scene).map(|at| scene.at(at));
        let all = [ends, fetch, attempt, probe, look].into_iter();
        all.chain(told.into_iter().flatten()).flatten().min()
    }

    /// row 22
    fn on_expiries(&mut self, scene: &Scene) -> Step {
        let Some(endpoints) = self.state.endpoints_mut() else {
            return Step::nothing();
        };
        let is_over = |endpoint: &mut Endpoint| {
            scene
                .expiry(endpoint.expires_at)
                .is_some_and(|at| at <= scene.now.mono)
        };
        let over: Vec<_> = endpoints.extract_if(.., is_over).collect();
        if over.is_empty() {
            return Step::nothing();
        }
        let ended = over.into_iter().map(|endpoint| {
            let body = endpoint.farewell(scene);
            ended_by(endpoint, EventReason::Timeout, body)
        });
        let step = Step::nothing().and(ended);
        let last = self.on_last(scene);
        step.keep(last.keep).and(last.actions)
    }

    /// row 8
    fn on_hold_over(&mut self, scene: &Scene) -> Step {
        match &self.state {
            State::Denied { until } if *until <= scene.now.wall => self.forgive(),
            State::Absent { .. }
            | State::Denied { .. }
            | State::Dormant { .. }
            | State::Requested { .. }
            | State::Watched { .. } => Step::nothing(),
        }
    }

    /// row 1a
    fn on_look_over(&mut self, scene: &Scene) -> Step {
        if self.asks_at(scene).is_none_or(|at| at > scene.now.wall) {
            return Step::nothing();
        }
        if self.verdict == Verdict::Confirm
            && let State::Absent { looks, .. } = &mut self.state
        {
            looks.clear();
            return Step::nothing();
        }
        let ask = self.request(scene.now);
        let told = self.tell(Whom::Other, scene);
        Step::nothing().keep(Keep::Durable).and(told).then(ask)
    }

    /// row 18
    fn on_attempt(&mut self, scene: &Scene) -> Step {
        let due = self
            .attempts
            .as_mut()
            .map(|attempts| attempts.due(scene.now.mono));
        match due {
            None | Some(Due::Nothing) => Step::nothing(),
            Some(Due::Retry) => match self.phase() {
                Phase::Requested => self.ask_again(scene),
                Phase::Watched => Step::nothing().and(self.probe(scene.now.mono)),
                Phase::Absent | Phase::Denied | Phase::Dormant => {
                    self.attempts = None;
                    Step::nothing()
                }
            },
            Some(Due::GiveUp) => {
                self.attempts = None;
                let mut ended = self.end_all(EventReason::GiveUp, scene);
                for action in &mut ended {
                    action.retry_after(limits::RETRY_AFTER_GIVE_UP);
                }
                self.sleep();
                Step::nothing().keep(Keep::Durable).and(ended)
            }
        }
    }

    /// row 33a; and the probe behind an automatic approval
    fn on_probe_time(&mut self, scene: &Scene) -> Step {
        let due = self.probe.deadline();
        if due.is_none_or(|at| at > scene.now.mono) {
            return Step::nothing();
        }
        let heard = match std::mem::take(&mut self.probe) {
            Probe::None | Probe::Sent(..) => return Step::nothing(),
            Probe::Later(_) => return Step::nothing().and(self.probe(scene.now.mono)),
            Probe::HandedOver(heard) => heard,
        };
        let now = scene.now;
        match &mut self.state {
            // row 33a
            State::Watched {
                endpoints,
                seen,
                lost,
                ..
            } => {
                *lost = false;
                let news = seen.close_but(&heard, now.wall);
                let owed = endpoints.iter().any(Endpoint::is_owed);
                if (news || owed) && self.verdict == Verdict::Allow {
                    self.pace.on_change(now.mono);
                }
                Step::nothing()
            }
            // row 33a
            State::Dormant { seen, .. } => {
                seen.close_but(&heard, now.wall);
                seen.told();
                Step::nothing()
            }
            State::Absent { .. } | State::Denied { .. } | State::Requested { .. } => {
                Step::nothing()
            }
        }
    }

    /// row 25
    fn on_fetch_time(&mut self, scene: &Scene) -> Step {
        let State::Dormant { fetches, .. } = &mut self.state else {
            return Step::nothing();
        };
        let over: Vec<_> = fetches
            .extract_if(.., |fetch| fetch.until <= scene.now.mono)
            .collect();
        Step::nothing().and(over.into_iter().map(answer_fetch))
    }

    /// Tells changes that have gathered.
    fn on_pace(&mut self, scene: &Scene) -> Step {
        if !self.pace.is_due(scene.now.mono) || !scene.sip.is_up() {
            return Step::nothing();
        }
        let told = self.tell(Whom::Other, scene);
        if told.is_empty() {
            self.pace.on_nothing();
        } else {
            self.pace.on_told(scene.now.mono);
        }
        Step::nothing().and(told)
    }

    /// row 24
    fn on_again(&mut self, scene: &Scene) -> Step {
        if !scene.sip.is_up() {
            return Step::nothing();
        }
        let mut due = false;
        for endpoint in self.state.endpoints_mut().into_iter().flatten() {
            if endpoint
                .again
                .deadline()
                .is_some_and(|at| at <= scene.now.mono)
            {
                endpoint.again = Again::Was;
                endpoint.shown = Shown::NOTHING;
                due = true;
            }
        }
        if !due {
            return Step::nothing();
        }
        Step::nothing().and(self.tell(Whom::Owed, scene))
    }

    /// Whether the XMPP user's server takes a request or probe: takes note that it did.
    pub fn on_handed_over(&mut self, asking: Asking, scene: &Scene) -> Step {
        match asking {
            Asking::Probe => {
                self.probe.on_handed_over(scene.now.mono);
                Step::nothing()
            }
            Asking::Subscribe => {
                if let State::Requested { asked, .. } = &mut self.state
                    && !*asked
                {
                    *asked = true;
                    return Step::nothing().keep(Keep::Lazy);
                }
                Step::nothing()
            }
            Asking::Unavailable | Asking::Unsubscribe => Step::nothing(),
        }
    }
}
