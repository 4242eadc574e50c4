//! The relation of one pair and its states.

use crate::limits;
use crate::model::{Mono, Now, PresenceState, Wall};
use crate::policy::Verdict;
use crate::presence::Composition;
use crate::presence::notifier::attempts::Attempts;
use crate::presence::notifier::endpoint::{Again, Endpoint, Show, Shown};
use crate::presence::notifier::pace::Pace;
use crate::presence::notifier::probe::Probe;
use crate::presence::notifier::seen::Seen;
use crate::presence::notifier::{Action, Asking, Body, Ended, Keep, Scene, Step, Subscribe};
use crate::sip::Tag;
use crate::sip::subscription::EventReason;

/// A SIP user watches an XMPP user.
#[derive(Debug)]
pub struct Notifier {
    /// What policy says of the pair.
    pub(super) verdict: Verdict,
    /// What the XMPP user says, and the subscriptions of the SIP user.
    pub(super) state: State,
    /// A probe on its way.
    pub(super) probe: Probe,
    /// When changes are told.
    pub(super) pace: Pace,
    /// When the last document was sent, since no two may carry one timestamp.
    pub(super) told_at: Wall,
    /// What the XMPP side could not take.
    pub(super) attempts: Option<Box<Attempts>>,
}

/// States of the table in section 5.3 of the mapping: Y0 to Y4.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Y0: the XMPP user was not asked. Where there are subscriptions, they are those that policy
    /// holds back (Y0b, Y0c, Y0p) or that only look.
    Absent {
        /// Subscriptions.
        endpoints: Vec<Endpoint>,
        /// Since when each of them that only looks does so.
        looks: Vec<(Tag, Wall)>,
    },
    /// Y1: he was asked and has not answered. With presence of his it is Y1a: a session of his is
    /// shown although he granted nothing, or was until it ended.
    Requested {
        /// Subscriptions.
        endpoints: Vec<Endpoint>,
        /// When he was asked last.
        asked_at: Wall,
        /// Whether his server has the request.
        asked: bool,
        /// What is known of that session.
        seen: Seen,
    },
    /// Y2: he granted it, and is watched.
    Watched {
        /// Subscriptions, at least one.
        endpoints: Vec<Endpoint>,
        /// When he last confirmed the grant; long ago after a restart.
        granted_at: Wall,
        /// What is known of him.
        seen: Seen,
        /// Whether his server cannot be reached for so long that he is shown as offline.
        lost: bool,
    },
    /// Y3: he granted it, and is not watched now.
    Dormant {
        /// When he last confirmed the grant; long ago after a restart.
        granted_at: Wall,
        /// What is known of him.
        seen: Seen,
        /// Questions for his state that wait for the answer to a probe.
        fetches: Vec<Fetch>,
    },
    /// Y4: he denied it. He is not asked again before this time.
    Denied {
        /// The end of the hold.
        until: Wall,
    },
}

/// A question for the state that waits for a probe.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fetch {
    /// Its dialog, which ends with the answer.
    pub(super) endpoint: Box<Endpoint>,
    /// When it is answered at the latest.
    pub(super) until: Mono,
}

/// The state of a relation for people and tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Y0.
    Absent,
    /// Y1.
    Requested,
    /// Y2.
    Watched,
    /// Y3.
    Dormant,
    /// Y4.
    Denied,
}

impl Phase {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Denied => "denied",
            Self::Dormant => "dormant",
            Self::Requested => "requested",
            Self::Watched => "watched",
        }
    }
}

impl Notifier {
    /// A relation of which nothing is known yet.
    pub fn new(verdict: Verdict) -> Self {
        Self::with(verdict, State::absent())
    }

    pub(super) const fn with(verdict: Verdict, state: State) -> Self {
        Self {
            verdict,
            state,
            probe: Probe::None,
            pace: Pace::Free,
            told_at: Wall::from_unix_millis(0),
            attempts: None,
        }
    }

    /// What policy says of the pair.
    pub const fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Its state.
    pub const fn phase(&self) -> Phase {
        match &self.state {
            State::Absent { .. } => Phase::Absent,
            State::Denied { .. } => Phase::Denied,
            State::Dormant { .. } => Phase::Dormant,
            State::Requested { .. } => Phase::Requested,
            State::Watched { .. } => Phase::Watched,
        }
    }

    /// Whether the XMPP user granted it.
    pub const fn is_granted(&self) -> bool {
        matches!(self.phase(), Phase::Watched | Phase::Dormant)
    }

    /// Whether a request waits for the operator.
    pub fn is_held(&self) -> bool {
        self.verdict == Verdict::Confirm
            && self.phase() == Phase::Absent
            && self.endpoints().len() > self.looking().len()
    }

    /// The subscriptions that only look, while the XMPP user was not asked.
    fn looking(&self) -> &[(Tag, Wall)] {
        match &self.state {
            State::Absent { looks, .. } => looks,
            State::Denied { .. }
            | State::Dormant { .. }
            | State::Requested { .. }
            | State::Watched { .. } => &[],
        }
    }

    /// How many of the subscriptions only look at the XMPP user, who was not asked on their behalf.
    pub fn looks(&self) -> usize {
        self.looking().len()
    }

    /// Whether it counts among the watchers of the XMPP user.
    pub fn counts(&self) -> bool {
        match &self.state {
            State::Absent { endpoints, .. } => !endpoints.is_empty(),
            State::Denied { .. } => false,
            State::Dormant { .. } | State::Requested { .. } | State::Watched { .. } => true,
        }
    }

    /// Whether there is nothing that has to be remembered.
    pub fn is_over(&self) -> bool {
        match &self.state {
            State::Absent { endpoints, .. } => endpoints.is_empty() && self.probe == Probe::None,
            State::Denied { .. }
            | State::Dormant { .. }
            | State::Requested { .. }
            | State::Watched { .. } => false,
        }
    }

    /// The subscriptions of the SIP user.
    pub fn endpoints(&self) -> &[Endpoint] {
        match &self.state {
            State::Absent { endpoints, .. }
            | State::Requested { endpoints, .. }
            | State::Watched { endpoints, .. } => endpoints,
            State::Denied { .. } | State::Dormant { .. } => &[],
        }
    }

    /// The subscription with our tag.
    pub fn endpoint_mut(&mut self, tag: Tag) -> Option<&mut Endpoint> {
        let mut all = self.state.endpoints_mut()?.iter_mut();
        all.find(|endpoint| endpoint.tag() == tag)
    }

    /// What is known of the XMPP user.
    pub(super) fn seen(&self) -> Option<&Seen> {
        match &self.state {
            State::Absent { .. } | State::Denied { .. } => None,
            State::Dormant { seen, .. }
            | State::Requested { seen, .. }
            | State::Watched { seen, .. } => Some(seen),
        }
    }

    /// What a watcher is to be shown now.
    pub(super) fn show(&self, scene: &Scene) -> Show {
        match (&self.state, self.verdict) {
            (_, Verdict::Confirm) => scene.undecided(),
            (_, Verdict::Block | Verdict::PoliteBlock)
            | (State::Absent { .. } | State::Denied { .. }, Verdict::Allow)
            | (State::Watched { lost: true, .. }, Verdict::Allow) => Show::Closed,
            (State::Requested { seen, .. }, Verdict::Allow) if !seen.is_known() => {
                scene.undecided()
            }
            (
                State::Dormant { .. } | State::Requested { .. } | State::Watched { .. },
                Verdict::Allow,
            ) => Show::Current,
        }
    }

    /// The number of what a watcher is to be shown, for entity tags (RFC 5839 section 4).
    pub fn show_number(&self, scene: &Scene) -> u64 {
        self.shown(scene).number()
    }

    pub(super) fn shown(&self, scene: &Scene) -> Shown {
        let nothing = Seen::default();
        let seen = self.seen().unwrap_or(&nothing);
        Shown::of(self.show(scene), seen, scene.composition)
    }

    /// What is known of the XMPP user; none if nothing is.
    pub fn known(&self, scene: &Scene) -> Option<PresenceState> {
        let seen = self.seen().filter(|seen| seen.is_known())?;
        Some(seen.state(scene.composition))
    }

    /// How many devices of the XMPP user are known to be available.
    pub fn available(&self) -> usize {
        let state = self.seen().map(|seen| seen.state(Composition::Tuples));
        state.map_or(0, |state| state.open().count())
    }

    /// When presence of his last came in this run.
    pub fn heard_at(&self) -> Option<Wall> {
        self.seen()?.heard_at()
    }

    /// Takes note that a document is sent; tells when the last one was, since no two may carry one
    /// timestamp (RFC 3863 section 4.1.7).
    pub fn stamp(&mut self, now: Wall) -> Option<Wall> {
        let before = std::mem::replace(&mut self.told_at, now);
        (before != Wall::default()).then_some(before)
    }

    /// Shows the present state to every subscription that was shown something else, or to all of
    /// them: while the watcher's side cannot be reached, nobody.
    pub(super) fn tell(&mut self, whom: Whom, scene: &Scene) -> Vec<Action> {
        if !scene.sip.is_up() {
            return Vec::new();
        }
        let (show, shown) = (self.show(scene), self.shown(scene));
        let wanted = |endpoint: &Endpoint| match whom {
            Whom::All => true,
            Whom::One(tag) => endpoint.tag() == tag,
            Whom::Other => !endpoint.shown.tells(shown, scene),
            Whom::Owed => endpoint.is_owed(),
        };
        let mut told = Vec::new();
        for endpoint in self.state.endpoints_mut().into_iter().flatten() {
            if wanted(endpoint) {
                endpoint.shown = shown;
                told.push(Action::Notify(endpoint.tag(), show));
            }
        }
        told
    }

    /// Takes note that what an event asks for was written: who is gone is forgotten once every
    /// subscription was told.
    pub fn on_written(&mut self, scene: &Scene) {
        let shown = self.shown(scene);
        if let State::Absent { endpoints, looks } = &mut self.state {
            looks.retain(|(look, _)| endpoints.iter().any(|one| one.tag() == *look));
        }
        if let State::Requested {
            endpoints, seen, ..
        }
        | State::Watched {
            endpoints, seen, ..
        } = &mut self.state
            && endpoints
                .iter()
                .all(|endpoint| endpoint.shown.tells(shown, scene))
        {
            seen.told();
        }
    }

    /// Ends every subscription.
    pub(super) fn end_all(&mut self, reason: EventReason, scene: &Scene) -> Vec<Action> {
        let body = scene.nothing();
        let endpoints = self.state.endpoints_mut().map(std::mem::take);
        let ended = endpoints.into_iter().flatten();
        ended
            .map(|endpoint| ended_by(endpoint, reason, body))
            .collect()
    }

    /// What is told to the XMPP user when the last subscription is gone: the watcher is offline
    /// (RFC 8048 section 5.3.3), where the XMPP user was asked, may see it, and is not told by his
    /// own subscription.
    pub(super) fn on_last(&mut self, scene: &Scene) -> Step {
        if self
            .state
            .endpoints_mut()
            .is_none_or(|endpoints| !endpoints.is_empty())
        {
            return Step::nothing().keep(Keep::Durable);
        }
        let was_asked = match &self.state {
            State::Absent { .. } | State::Denied { .. } => false,
            State::Dormant { .. } | State::Requested { .. } | State::Watched { .. } => true,
        };
        self.sleep();
        let step = Step::nothing().keep(self.rest());
        if was_asked && self.verdict == Verdict::Allow && !scene.watched_back {
            return step.ask(Asking::Unavailable);
        }
        step
    }

    /// Goes to rest where there is no subscription: Y2 becomes Y3.
    pub(super) fn sleep(&mut self) {
        if let State::Watched {
            endpoints,
            granted_at,
            seen,
            lost: _,
        } = &mut self.state
            && endpoints.is_empty()
        {
            let mut seen = std::mem::take(seen);
            seen.told();
            self.state = State::Dormant {
                granted_at: *granted_at,
                seen,
                fetches: Vec::new(),
            };
        }
    }

    /// What becomes of a record that has no subscription any more.
    pub(super) const fn rest(&self) -> Keep {
        match self.phase() {
            Phase::Absent => Keep::Gone,
            Phase::Denied | Phase::Dormant | Phase::Requested | Phase::Watched => Keep::Durable,
        }
    }

    /// Asks for the present state, unless that is being done.
    pub(super) fn probe(&mut self, now: Mono) -> Option<Action> {
        if self.probe.is_open() {
            return None;
        }
        self.probe = Probe::sent(now);
        Some(Action::Ask(Asking::Probe))
    }

    /// Asks the XMPP user (row 1); the subscriptions stay.
    pub(super) fn request(&mut self, now: Now) -> Action {
        let endpoints = self.state.endpoints_mut().map(std::mem::take);
        self.state = State::Requested {
            endpoints: endpoints.unwrap_or_default(),
            asked_at: now.wall,
            asked: false,
            seen: Seen::default(),
        };
        Action::Ask(Asking::Subscribe)
    }

    /// Adds a subscription; one too many ends the one that would end first.
    pub(super) fn add(&mut self, subscribe: Subscribe, scene: &Scene) -> Vec<Action> {
        let mut ended = Vec::new();
        let Some(endpoints) = self.state.endpoints_mut() else {
            return ended;
        };
        if endpoints.len() >= limits::ENDPOINTS_PER_WATCHER {
            let all = endpoints.iter().enumerate();
            let first = all
                .min_by_key(|(_, endpoint)| endpoint.expires_at)
                .map(|(at, _)| at);
            let endpoint = endpoints.swap_remove(first.unwrap_or_default());
            let body = endpoint.farewell(scene);
            ended.push(ended_by(endpoint, EventReason::Timeout, body));
        }
        // Nearly everybody has one; a vector that grows by itself keeps room for four.
        endpoints.reserve_exact(1);
        endpoints.push(Endpoint::new(subscribe, scene));
        ended
    }
}

/// To whom the present state is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whom {
    /// To everybody.
    All,
    /// To one subscription.
    One(Tag),
    /// To those that were shown something else.
    Other,
    /// To those whose last NOTIFY did not arrive.
    Owed,
}

impl State {
    /// Y0 without subscriptions.
    pub(super) const fn absent() -> Self {
        Self::Absent {
            endpoints: Vec::new(),
            looks: Vec::new(),
        }
    }

    /// The subscriptions, where the state has any.
    pub(super) const fn endpoints_mut(&mut self) -> Option<&mut Vec<Endpoint>> {
        match self {
            Self::Absent { endpoints, .. }
            | Self::Requested { endpoints, .. }
            | Self::Watched { endpoints, .. } => Some(endpoints),
            Self::Denied { .. } | Self::Dormant { .. } => None,
        }
    }
}

/// The end of a subscription.
pub(super) fn ended_by(endpoint: Endpoint, reason: EventReason, body: Body) -> Action {
    Action::End(Box::new(Ended {
        dialog: endpoint.dialog,
        format: endpoint.format,
        reason,
        retry_after: None,
        body,
    }))
}

impl Again {
    /// When a NOTIFY is sent again.
    pub(super) const fn deadline(self) -> Option<Mono> {
        match self {
            Self::At(at) => Some(at),
            Self::No | Self::Was => None,
        }
    }
}
