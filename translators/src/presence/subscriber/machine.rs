//! One watcher and what he watches: what goes in, what comes out.

use rand::rngs::StdRng;

use crate::limits;
use crate::model::{Mono, Now, PresenceState, Wall};
use crate::policy::Verdict;
use crate::presence::subscriber::form::Form;
use crate::presence::subscriber::screen::Screen;
use crate::presence::subscriber::state::{Denier, Line, Pause, Stage, State, Then};
use crate::sip::dialog::RoutePool;
use crate::sip::{Dialog, Draft, Tag};

/// One watcher and what he watches.
#[derive(Clone, Debug)]
pub struct Subscriber {
    pub(super) state: State,
    pub(super) screen: Screen,
    /// Attempts in a row that failed.
    pub(super) failures: u8,
    /// No new dialog is asked for by itself before, so that a peer that ends each of them at once
    /// is not asked without end.
    pub(super) rest_until: Mono,
    /// Whether the watcher's server is known to have taken `subscribed`.
    pub(super) confirmed: bool,
    /// What did not reach the watcher, and when to say it again: seldom anything.
    pub(super) owed: Option<Box<(Mono, Word)>>,
}

/// What an event is judged by.
#[derive(Debug)]
pub struct Moment<'a> {
    /// The time.
    pub now: Now,
    /// What policy says on the pair.
    pub verdict: Verdict,
    /// Whether timers that need answers of the peer rest: it cannot be reached, or its return has
    /// not come to this pair yet.
    pub down: bool,
    /// What the peer is like.
    pub terms: Terms,
    /// For jitter.
    pub rng: &'a mut StdRng,
}

/// What a peer is like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// Whether it is of the Microsoft profile. A failure answer never ends there what was granted: it
    /// is a switch of the administrator, or too much traffic; its servers forget dialogs of many
    /// watchers at a time, and leave things out that RFC 6665 demands.
    pub microsoft: bool,
    /// Whether it is asked not to send the same document again (RFC 5839).
    pub conditional: bool,
    /// Whether it is not believed at present that it ends what it granted (peer fault guard).
    pub suspect: bool,
}

/// What is to be done, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A SUBSCRIBE wants its turn; [`Subscriber::launch`] makes it.
    Ask,
    /// The peer refuses what it granted.
    Refusal(Refusal),
    /// What waits of presence for the watcher must not go out any more.
    Recall,
    /// All of the present state to all, in place of `before` that an earlier run may have shown.
    Replay {
        /// What may have been shown.
        before: PresenceState,
    },
    /// All of the present state to one device of the watcher, or to all.
    Show {
        /// The device.
        to: Option<Box<str>>,
    },
    /// The stanza `subscribed`.
    Subscribed,
    /// That the presentity is not there, from his bare JID.
    Unavailable {
        /// To this device only.
        to: Option<Box<str>>,
    },
    /// The stanza `unsubscribed`.
    Unsubscribed,
    /// A tag of ours is no longer in use.
    Untag(Tag),
    /// What differs between `before` and the present state.
    Update {
        /// What was shown.
        before: PresenceState,
    },
    /// That each device that was shown is not there.
    Withdraw {
        /// What was shown.
        before: PresenceState,
    },
}

/// Something for an operator to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A fault of configuration: credentials are asked for, or the request went in a circle.
    Fault(u16),
    /// The peer ends what it granted.
    Granted,
}

/// A stanza that can be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Word {
    /// Presence.
    Presence,
    /// `subscribed`.
    Subscribed,
    /// `unsubscribed`.
    Unsubscribed,
}

/// How the record is to be kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Keep {
    /// As it is.
    #[default]
    Same,
    /// Behind what goes out.
    Behind,
    /// Before anything goes out.
    First,
}

/// What an event brings about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Steps {
    /// What is to be done.
    pub actions: Vec<Action>,
    /// The record of the relation.
    pub keep: Keep,
}

/// Which SUBSCRIBE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// It ends the subscription.
    End,
    /// It starts one.
    First,
    /// It keeps one up.
    Refresh,
}

/// Names a SUBSCRIBE of a relation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asking {
    /// Our tag in it.
    pub tag: Tag,
    /// What it is for.
    pub purpose: Purpose,
}

/// A SUBSCRIBE to be sent.
#[derive(Debug)]
pub struct Launch {
    /// Names it.
    pub asking: Asking,
    /// The request.
    pub draft: Draft,
    /// Whether the record has to be kept first.
    pub keep: Keep,
}

impl Steps {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn act(mut self, action: impl Into<Option<Action>>) -> Self {
        self.actions.extend(action.into());
        self
    }

    pub(super) fn first(mut self) -> Self {
        self.keep = Keep::First;
        self
    }

    pub(super) fn behind(mut self) -> Self {
        self.keep = self.keep.max(Keep::Behind);
        self
    }

    /// Does `later` behind this.
    #[must_use]
    pub fn then(mut self, later: Self) -> Self {
        self.actions.extend(later.actions);
        self.keep = self.keep.max(later.keep);
        self
    }
}

impl Default for Subscriber {
    fn default() -> Self {
        Self::new()
    }
}

impl Subscriber {
    /// Starts without a relation.
    pub fn new() -> Self {
        Self {
            state: State::Absent { held: false },
            screen: Screen::default(),
            failures: 0,
            rest_until: Mono::default(),
            confirmed: false,
            owed: None,
        }
    }

    /// Whether there is nothing to keep.
    pub const fn is_absent(&self) -> bool {
        matches!(self.state, State::Absent { held: false })
    }

    /// Whether the presentity has said no: such a relation may be forgotten to make room.
    pub const fn is_denied(&self) -> bool {
        matches!(self.state, State::Denied { .. })
    }

    /// Whether the request waits for the operator.
    pub const fn is_held(&self) -> bool {
        matches!(self.state, State::Absent { held: true })
    }

    /// Whether the presentity has allowed the watcher to see him.
    pub const fn is_granted(&self) -> bool {
        match &self.state {
            State::Active { .. } => true,
            State::AwaitingNotify { granted, .. }
            | State::BackingOff { granted, .. }
            | State::Pending { granted, .. } => *granted,
            State::Closing(closing) => matches!(closing.then, Then::Return),
            State::Absent { .. } | State::Denied { .. } => false,
        }
    }

    /// The name of its state in the tables.
    pub const fn state_name(&self) -> &'static str {
        self.state.name()
    }

    /// Our tag in its dialog, or in the SUBSCRIBE that is to make one.
    pub const fn tag(&self) -> Option<Tag> {
        self.state.tag()
    }

    /// Its dialog, and when that ends.
    pub fn dialog(&self) -> Option<(&Dialog, Option<Mono>)> {
        match &self.state {
            State::Pending { session, .. } | State::Active { session } => {
                Some((&session.dialog, Some(session.expires_at)))
            }
            State::Closing(closing) => match &closing.line {
                Line::Open(dialog) => Some((dialog, closing.notify_by)),
                Line::Asked(_) | Line::Nothing => None,
            },
            State::Absent { .. }
            | State::AwaitingNotify { .. }
            | State::BackingOff { .. }
            | State::Denied { .. } => None,
        }
    }

    /// The presentity's last known state.
    pub fn known(&self) -> Option<PresenceState> {
        self.screen.known()
    }

    /// Since when it is so.
    pub const fn known_since(&self) -> Wall {
        self.screen.since()
    }

    /// When the peer last told it, if it did since the start.
    pub const fn heard_at(&self) -> Option<Mono> {
        self.screen.heard_at
    }

    /// When the next attempt is made, after failures.
    pub const fn retry_at(&self) -> Option<Mono> {
        match &self.state {
            State::BackingOff {
                pause: Pause::Retry(at) | Pause::Unreached(at),
                ..
            } => Some(*at),
            State::Absent { .. }
            | State::Active { .. }
            | State::AwaitingNotify { .. }
            | State::BackingOff { .. }
            | State::Closing(_)
            | State::Denied { .. }
            | State::Pending { .. } => None,
        }
    }

    /// Keeps the route set where equal ones are kept.
    pub fn share_routes(&mut self, pool: &mut RoutePool) {
        match &mut self.state {
            State::Pending { session, .. } | State::Active { session } => {
                session.dialog.share_routes(pool);
            }
            State::Absent { .. }
            | State::AwaitingNotify { .. }
            | State::BackingOff { .. }
            | State::Closing(_)
            | State::Denied { .. } => {}
        }
    }

    /// Asks for a new subscription.
    pub(super) fn ask(&mut self, granted: bool, now: Mono) -> Steps {
        let untag = self.state.tag().map(Action::Untag);
        self.rest_until = now + limits::SUBSCRIBE_REST;
        self.state = State::AwaitingNotify {
            granted,
            stage: Stage::Wanted { form: Form::Usual },
        };
        Steps::new().act(untag).act(Action::Ask).first()
    }

    /// Waits before the next attempt; what is shown is doubted meanwhile.
    pub(super) fn back_off(&mut self, granted: bool, pause: Pause, now: Mono) -> Steps {
        let untag = self.state.tag().map(Action::Untag);
        self.state = State::BackingOff { granted, pause };
        if pause != Pause::Never {
            self.screen.doubt(now);
        }
        Steps::new().act(untag).first()
    }

    /// Denies: what was shown is taken back, and the watcher is told for good.
    pub(super) fn deny(&mut self, by: Denier, now: Mono) -> Steps {
        let untag = self.state.tag().map(Action::Untag);
        let hold_until = now + limits::ASK_AGAIN_AFTER;
        self.state = State::Denied { by, hold_until };
        self.failures = 0;
        let steps = Steps::new().act(untag).then(self.take_back());
        steps.act(Action::Unsubscribed).first()
    }

    /// Takes back what was shown; nothing of it may go out any more.
    pub(super) fn take_back(&mut self) -> Steps {
        let withdraw = self.screen.withdraw();
        self.screen.forget();
        Steps::new().act(Action::Recall).act(withdraw)
    }

    /// Ends the relation.
    pub(super) fn leave(&mut self) -> Steps {
        let untag = self.state.tag().map(Action::Untag);
        self.screen.forget();
        self.state = State::Absent { held: false };
        self.failures = 0;
        self.owed = None;
        self.screen.lay();
        Steps::new().act(untag).first()
    }
}
