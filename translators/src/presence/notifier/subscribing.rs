//! The SIP user subscribes, refreshes, looks and ends.

use crate::documents::presence::Format;
use crate::limits;
use crate::model::Wall;
use crate::policy::Verdict;
use crate::presence::notifier::endpoint::{Again, Endpoint, Shown, until};
use crate::presence::notifier::machine::{Fetch, State, Whom, ended_by};
use crate::presence::notifier::{
    Action, Asking, Body, Keep, Notifier, Reply, Scene, Step, Subscribe,
};
use crate::sip::Tag;
use crate::sip::subscription::EventReason;

/// A refresh that keeps a subscription.
#[derive(Clone, Copy, Debug)]
pub struct Refresh {
    /// Our tag in its dialog.
    pub tag: Tag,
    /// Seconds that are granted, not 0.
    pub expires: u32,
    /// Whether the watcher has the present document (RFC 5839 section 6.2).
    pub unchanged: bool,
    /// The format of documents from now on.
    pub format: Format,
    /// Whether the watcher says that the user is on his contact list now, who only looked before.
    pub adds: bool,
    /// As [`Subscribe::piggyback`].
    pub piggyback: bool,
}

impl Notifier {
    /// Takes a SUBSCRIBE outside a dialog that is to last. What is answered does not wait for the
    /// XMPP user (RFC 6665 section 4.2.1.1).
    pub fn on_subscribe(&mut self, subscribe: Subscribe, scene: &Scene) -> Step {
        match (&mut self.state, self.verdict) {
            (State::Absent { .. }, verdict) => self.on_first(subscribe, verdict, scene),
            // row 8
            (State::Denied { until }, _) if scene.now.wall < *until => {
                Step::nothing().answer(Reply::Forbidden)
            }
            // row 8
            (State::Denied { .. }, verdict) => {
                self.state = State::absent();
                self.on_first(subscribe, verdict, scene)
            }
            // row 5
            (State::Requested { asked_at, .. }, _) => {
                let again = scene.now.wall.since(*asked_at) >= limits::ASK_SPACING;
                let ask = (again && !subscribe.look).then(|| self.ask_again(scene));
                let asked = ask.into_iter().flat_map(|step| step.actions);
                self.accept(subscribe, scene).and(asked)
            }
            // row 6; row 5a where the verdict does not allow
            (State::Watched { .. }, _) => self.accept(subscribe, scene),
            (State::Dormant { .. }, verdict) => self.on_wake(subscribe, verdict, scene),
        }
    }

    /// A SUBSCRIBE to a user who was not asked.
    fn on_first(&mut self, subscribe: Subscribe, verdict: Verdict, scene: &Scene) -> Step {
        match verdict {
            // row 2; row 30b where earlier subscriptions stay
            Verdict::Block => Step::nothing()
                .answer(Reply::Forbidden)
                .keep(self.was_denied()),
            // row 3, row 4
            Verdict::PoliteBlock | Verdict::Confirm => self.hold(subscribe, scene),
            // row 1a
            Verdict::Allow if subscribe.look => {
                let probe = self.probe(scene.now.mono);
                self.hold(subscribe, scene).and(probe)
            }
            // row 1
            Verdict::Allow => {
                let ask = self.request(scene.now);
                self.accept(subscribe, scene).then(ask)
            }
        }
    }

    /// The record of an earlier denial is gone once its hold is over.
    fn was_denied(&self) -> Keep {
        if self.endpoints().is_empty() {
            Keep::Gone
        } else {
            Keep::Same
        }
    }

    /// Takes a subscription that is shown nothing for now.
    fn hold(&mut self, subscribe: Subscribe, scene: &Scene) -> Step {
        if let State::Absent { looks, .. } = &mut self.state
            && subscribe.look
        {
            looks.push((subscribe.dialog.tag(), scene.now.wall));
        }
        self.accept(subscribe, scene)
    }

    /// A SUBSCRIBE to a user who has granted it and was not watched.
    fn on_wake(&mut self, subscribe: Subscribe, verdict: Verdict, scene: &Scene) -> Step {
        let State::Dormant {
            granted_at,
            seen,
            fetches,
        } = &mut self.state
        else {
            return Step::nothing();
        };
        let granted_at = *granted_at;
        let answered = std::mem::take(fetches);
        self.state = State::Watched {
            endpoints: Vec::new(),
            granted_at,
            seen: std::mem::take(seen),
            lost: false,
        };
        let answers = answered.into_iter().map(answer_fetch);
        let look = subscribe.look;
        let step = self.accept(subscribe, scene).and(answers);
        if verdict != Verdict::Allow {
            return step; // row 5a
        }
        // row 7: the grant may be gone, and our word for it is old.
        let old = !look && scene.now.wall.since(granted_at) >= limits::GRANT_CONFIRMED;
        let ask = old.then_some(Action::Ask(Asking::Subscribe));
        step.and(self.probe(scene.now.mono)).and(ask)
    }

    /// Grants a subscription and shows the present state at once: "the notifier MUST send a NOTIFY"
    /// (RFC 6665 section 4.2.1.2).
    fn accept(&mut self, subscribe: Subscribe, scene: &Scene) -> Step {
        let (tag, expires) = (subscribe.dialog.tag(), subscribe.expires);
        let piggyback = subscribe.piggyback;
        let ended = self.add(subscribe, scene);
        let step = Step::nothing().keep(Keep::Durable);
        self.grant(step, (tag, expires), piggyback, scene)
            .and(ended)
    }

    /// Answers 200 and shows the present state, in the answer where the watcher takes it from there.
    fn grant(
        &mut self,
        step: Step,
        (tag, expires): (Tag, u32),
        piggyback: bool,
        scene: &Scene,
    ) -> Step {
        if !piggyback {
            let told = self.tell(Whom::One(tag), scene);
            return step.answer(Reply::Granted(tag, expires)).and(told);
        }
        let (show, shown) = (self.show(scene), self.shown(scene));
        if let Some(endpoint) = self.endpoint_mut(tag) {
            endpoint.shown = shown;
        }
        step.answer(Reply::Showing(tag, expires, show))
    }

    /// Asks the XMPP user once more.
    pub(super) fn ask_again(&mut self, scene: &Scene) -> Step {
        if let State::Requested {
            asked_at, asked, ..
        } = &mut self.state
        {
            *asked_at = scene.now.wall;
            *asked = false;
        }
        Step::nothing().keep(Keep::Lazy).ask(Asking::Subscribe)
    }

    /// Takes a SUBSCRIBE in a dialog that keeps the subscription.
    pub fn on_refresh(&mut self, refresh: Refresh, scene: &Scene) -> Step {
        let Refresh {
            tag,
            expires,
            unchanged,
            format,
            adds,
            piggyback,
        } = refresh;
        let Some(endpoint) = self.endpoint_mut(tag) else {
            return Step::nothing().answer(Reply::Unknown); // row 20
        };
        endpoint.expires_at = until(scene, expires);
        endpoint.format = format;
        endpoint.again = Again::No;
        let ask = if adds {
            self.on_added(tag, scene)
        } else {
            Step::nothing()
        };
        // A document that is not known cannot be carried.
        let piggyback = piggyback && self.shown(scene) != Shown::UNKNOWN;
        // The watcher counts on what it is told: a crash must not end the subscription before.
        let step = Step::nothing().keep(Keep::Durable);
        let step = if unchanged {
            step.answer(Reply::Unchanged(tag, expires))
        } else {
            self.grant(step, (tag, expires), piggyback, scene)
        };
        let step = step.keep(ask.keep).and(ask.actions);
        match &self.state {
            // row 19
            State::Watched { seen, .. }
                if self.verdict == Verdict::Allow && seen.is_stale(scene) =>
            {
                step.and(self.probe(scene.now.mono))
            }
            // row 19; row 5a and row 30b where the verdict does not allow
            State::Absent { .. }
            | State::Denied { .. }
            | State::Dormant { .. }
            | State::Requested { .. }
            | State::Watched { .. } => step,
        }
    }

    /// Takes note that a watcher who only looked has added the user to his contacts.
    fn on_added(&mut self, tag: Tag, scene: &Scene) -> Step {
        let verdict = self.verdict;
        match &mut self.state {
            // row 1b
            State::Absent { looks, .. } => {
                let looked = looks.len();
                looks.retain(|(look, _)| *look != tag);
                if verdict == Verdict::Allow && looks.len() < looked {
                    let ask = self.request(scene.now);
                    return Step::nothing().keep(Keep::Durable).then(ask);
                }
                Step::nothing()
            }
            // row 19
            State::Denied { .. }
            | State::Dormant { .. }
            | State::Requested { .. }
            | State::Watched { .. } => Step::nothing(),
        }
    }

    /// Takes a SUBSCRIBE in a dialog that ends the subscription.
    pub fn on_end(&mut self, tag: Tag, scene: &Scene) -> Step {
        let Some(endpoint) = self.remove(tag) else {
            return Step::nothing().answer(Reply::Unknown); // row 20
        };
        // row 21
        let body = endpoint.farewell(scene);
        let last = self.on_last(scene);
        Step::nothing()
            .keep(last.keep)
            .answer(Reply::Granted(tag, 0))
            .then(ended_by(endpoint, EventReason::Timeout, body))
            .and(last.actions)
    }

    /// Takes a SUBSCRIBE outside a dialog that asks once for the state (RFC 6665 section 4.4.3). It
    /// never makes a request appear before the XMPP user.
    pub fn on_fetch(&mut self, subscribe: Subscribe, scene: &Scene) -> Step {
        let tag = subscribe.dialog.tag();
        let endpoint = Endpoint::new(subscribe, scene);
        let granted = Step::nothing().answer(Reply::Granted(tag, 0));
        let answer = |endpoint, body| ended_by(endpoint, EventReason::Timeout, body);
        match (&mut self.state, self.verdict) {
            // row 2
            (State::Absent { .. } | State::Denied { .. }, Verdict::Block) => {
                Step::nothing().answer(Reply::Forbidden)
            }
            // row 26
            (State::Absent { .. } | State::Denied { .. }, Verdict::Allow) => granted
                .then(answer(endpoint, scene.nothing()))
                .and(self.probe(scene.now.mono)),
            // row 26
            (
                State::Absent { .. } | State::Denied { .. } | State::Requested { .. },
                Verdict::Allow | Verdict::Confirm | Verdict::PoliteBlock | Verdict::Block,
            ) => granted.then(answer(endpoint, scene.nothing())),
            // row 25
            (State::Watched { .. }, Verdict::Allow) => {
                granted.then(answer(endpoint, Body::Current))
            }
            // row 25
            (State::Dormant { fetches, .. }, Verdict::Allow)
                if scene.xmpp.is_up() && !self.probe.is_answered() =>
            {
                fetches.push(Fetch {
                    endpoint: Box::new(endpoint),
                    until: scene.now.mono + limits::FETCH_WAITS,
                });
                let over = fetches.len() > limits::FETCHES_PER_WATCHER;
                let oldest = over.then(|| answer_fetch(fetches.remove(0)));
                granted.and(oldest).and(self.probe(scene.now.mono))
            }
            // row 25
            (State::Dormant { .. }, Verdict::Allow) => {
                granted.then(answer(endpoint, Body::Current))
            }
            // row 25: what he may not see looks offline.
            (
                State::Watched { .. } | State::Dormant { .. },
                Verdict::Confirm | Verdict::PoliteBlock | Verdict::Block,
            ) => granted.then(answer(endpoint, Body::Closed)),
        }
    }

    /// Takes a subscription out.
    pub(super) fn remove(&mut self, tag: Tag) -> Option<Endpoint> {
        let endpoints = self.state.endpoints_mut()?;
        let at = endpoints
            .iter()
            .position(|endpoint| endpoint.tag() == tag)?;
        Some(endpoints.remove(at))
    }

    /// When a look becomes a request (row 1a).
    pub(super) fn asks_at(&self, scene: &Scene) -> Option<Wall> {
        match (&self.state, self.verdict) {
            (State::Absent { endpoints, looks }, Verdict::Allow | Verdict::Confirm) => {
                let lives = |look: &Tag| endpoints.iter().any(|one| one.tag() == *look);
                let living = looks.iter().filter(|(look, _)| lives(look));
                let since = living.map(|(_, since)| *since).min()?;
                Some(since + scene.ask_after)
            }
            (
                State::Absent { .. }
                | State::Denied { .. }
                | State::Dormant { .. }
                | State::Requested { .. }
                | State::Watched { .. },
                _,
            ) => None,
        }
    }
}

/// Answers a question for the state with what is known.
pub(super) fn answer_fetch(fetch: Fetch) -> Action {
    ended_by(*fetch.endpoint, EventReason::Timeout, Body::Current)
}
