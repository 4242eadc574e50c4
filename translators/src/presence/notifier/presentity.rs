//! The XMPP user decides, and his presence comes.

use crate::limits;
use crate::mapping::presence::Report;
use crate::policy::Verdict;
use crate::presence::notifier::attempts::Attempts;
use crate::presence::notifier::endpoint::Endpoint;
use crate::presence::notifier::machine::{State, ended_by};
use crate::presence::notifier::probe::Probe;
use crate::presence::notifier::subscribing::answer_fetch;
use crate::presence::notifier::{Action, Keep, Notifier, Scene, Step};
use crate::sip::subscription::EventReason;

/// What a presence error says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such user.
    NoUser,
    /// Nobody may, or not this watcher.
    Denied,
    /// Not now.
    NotNow,
}

impl Notifier {
    /// Takes the XMPP user's approval; his server gives it by itself where he gave it before.
    pub fn on_subscribed(&mut self, scene: &Scene) -> Step {
        self.attempts = None;
        match &mut self.state {
            // row 10
            State::Absent { .. } => Step::nothing(),
            // row 9
            State::Requested {
                endpoints,
                asked_at,
                seen,
                ..
            } => {
                let automatic = scene.now.wall.since(*asked_at) < limits::GRANTED_BY_HAND;
                if automatic && !seen.is_known() && !self.probe.is_open() {
                    // Nothing follows an automatic approval.
                    self.probe = Probe::Later(scene.now.mono + limits::PRESENCE_FOLLOWS);
                }
                self.state = State::Watched {
                    endpoints: std::mem::take(endpoints),
                    granted_at: scene.now.wall,
                    seen: std::mem::take(seen),
                    lost: false,
                };
                self.pace.on_change(scene.now.mono);
                self.sleep();
                Step::nothing().keep(Keep::Durable)
            }
            // row 10
            State::Dormant { granted_at, .. } | State::Watched { granted_at, .. } => {
                *granted_at = scene.now.wall;
                Step::nothing().keep(Keep::Lazy)
            }
            // row 10: the hold ends
            State::Denied { .. } => self.forgive(),
        }
    }

    /// Takes a sign that the XMPP user wants to do with the SIP user, or a decision of the operator:
    /// he may be asked again (row 8).
    pub fn on_reached_out(&mut self) -> Step {
        match &self.state {
            // row 8
            State::Denied { .. } => self.forgive(),
            State::Absent { .. }
            | State::Dormant { .. }
            | State::Requested { .. }
            | State::Watched { .. } => Step::nothing(),
        }
    }

    /// Forgets a denial.
    pub(super) fn forgive(&mut self) -> Step {
        self.state = State::absent();
        Step::nothing().keep(Keep::Gone)
    }

    /// Takes the XMPP user's denial, or that he takes his approval back.
    pub fn on_unsubscribed(&mut self, scene: &Scene) -> Step {
        let answers_probe = self.probe.is_answered_by_refusal(scene.now.mono);
        match &self.state {
            // row 10, row 11a
            State::Absent { .. } | State::Denied { .. } => Step::nothing(),
            // row 11a
            State::Requested { .. } if answers_probe => Step::nothing(),
            // row 11
            State::Requested { .. } | State::Watched { .. } | State::Dormant { .. } => {
                self.deny(EventReason::Rejected, scene)
            }
        }
    }

    /// Takes the error to a request or probe of ours.
    pub fn on_error(&mut self, refusal: Refusal, scene: &Scene) -> Step {
        let now = scene.now;
        let answers_probe = self.probe.is_answered_by_refusal(now.mono);
        match (&self.state, refusal) {
            // row 11a
            (
                State::Absent { .. } | State::Denied { .. } | State::Requested { .. },
                Refusal::Denied,
            ) if answers_probe => Step::nothing(),
            // row 18
            (
                State::Absent { .. } | State::Denied { .. },
                Refusal::NoUser | Refusal::Denied | Refusal::NotNow,
            ) => {
                self.probe = Probe::None;
                Step::nothing()
            }
            // row 18a
            (
                State::Watched { .. } | State::Dormant { .. },
                Refusal::NoUser | Refusal::Denied | Refusal::NotNow,
            ) if !self.is_asking() => Step::nothing(),
            // row 18: he is not watched, so nothing has to be known
            (State::Dormant { .. }, Refusal::NotNow) => {
                self.probe = Probe::None;
                Step::nothing()
            }
            // row 18
            (
                State::Requested { .. } | State::Watched { .. } | State::Dormant { .. },
                Refusal::NoUser,
            ) => self.deny(EventReason::NoResource, scene),
            // row 18
            (
                State::Requested { .. } | State::Watched { .. } | State::Dormant { .. },
                Refusal::Denied,
            ) => self.deny(EventReason::Rejected, scene),
            // row 18
            (State::Requested { .. } | State::Watched { .. }, Refusal::NotNow) => {
                self.probe = Probe::None;
                self.attempts = Some(Attempts::failed(self.attempts.take(), now));
                Step::nothing()
            }
        }
    }

    /// Whether an answer of the XMPP side is waited for.
    fn is_asking(&self) -> bool {
        self.probe.is_unanswered() || self.attempts.is_some()
    }

    /// The XMPP user does not want to be seen.
    fn deny(&mut self, reason: EventReason, scene: &Scene) -> Step {
        let mut ended = vec![Action::Recall];
        ended.extend(self.end_all(reason, scene));
        if let State::Dormant { fetches, .. } = &mut self.state {
            let answers = std::mem::take(fetches).into_iter();
            ended.extend(
                answers
                    .map(|fetch| ended_by(*fetch.endpoint, EventReason::Timeout, scene.nothing())),
            );
        }
        self.probe = Probe::None;
        self.attempts = None;
        self.pace.on_nothing();
        self.state = State::Denied {
            until: scene.now.wall + limits::DENY_HOLD,
        };
        Step::nothing().keep(Keep::Durable).and(ended)
    }

    /// Takes presence of the XMPP user: of one resource, or that all of them are unavailable.
    pub fn on_presence(&mut self, report: Report, scene: &Scene) -> Step {
        let now = scene.now;
        let available = report.tuple.open;
        self.attempts = None;
        self.probe.on_heard(&report.tuple.device);
        match &mut self.state {
            // row 17a
            State::Absent { .. } | State::Denied { .. } => Step::nothing(),
            // row 16
            State::Requested { seen, .. } if !available && !seen.is_known() => Step::nothing(),
            // row 13
            State::Requested { seen, .. } => {
                if seen.hear(report, now.wall) {
                    self.pace.on_change(now.mono);
                }
                Step::nothing()
            }
            // row 12, row 14, row 15
            State::Watched {
                endpoints,
                seen,
                lost,
                ..
            } => {
                let found = std::mem::take(lost);
                let news = seen.hear(report, now.wall);
                let owed = endpoints.iter().any(Endpoint::is_owed);
                if (news || found || owed) && self.verdict == Verdict::Allow {
                    self.pace.on_change(now.mono);
                }
                Step::nothing()
            }
            // row 17, row 25
            State::Dormant { seen, fetches, .. } => {
                seen.hear(report, now.wall);
                seen.told();
                let answers = std::mem::take(fetches).into_iter().map(answer_fetch);
                Step::nothing().and(answers)
            }
        }
    }
}
