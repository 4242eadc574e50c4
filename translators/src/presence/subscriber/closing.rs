//! The end of a subscription: what is owed then, and what comes behind it.

use crate::model::Mono;
use crate::presence::subscriber::state::{
    Call, Closing, Denier, Pause, Session, Stage, State, Then,
};
use crate::presence::subscriber::{Action, Moment, Steps, Subscriber};

impl Subscriber {
    /// Begins to end what there is of a subscription; without any, what comes behind it comes at
    /// once.
    pub(super) fn close(&mut self, then: Then) -> Steps {
        let untag = self.state.tag().map(Action::Untag);
        match std::mem::replace(&mut self.state, State::Absent { held: false }) {
            State::Pending { session, .. } | State::Active { session } => {
                self.state = State::Closing(Closing::of(*session, then, false));
                Steps::new().act(Action::Ask).first()
            }
            State::AwaitingNotify {
                stage: Stage::Sent(sent),
                ..
            } if !sent.again => {
                self.state = State::Closing(Closing::asked(*sent, then));
                Steps::new().first()
            }
            State::Absent { .. }
            | State::AwaitingNotify { .. }
            | State::BackingOff { .. }
            | State::Closing(_)
            | State::Denied { .. } => Steps::new().act(untag).then(self.follow(then)),
        }
    }

    /// Does what comes behind the end of a subscription, when that needs no verdict.
    fn follow(&mut self, then: Then) -> Steps {
        self.state = match then {
            Then::Absent => State::Absent { held: false },
            Then::Denied => State::Denied {
                by: Denier::Policy,
                hold_until: Mono::default(),
            },
            Then::Held => State::Absent { held: true },
            Then::Return => State::BackingOff {
                granted: true,
                pause: Pause::Forbidden,
            },
        };
        Steps::new().first()
    }

    /// The subscription has ended, or there is nothing more to be heard of it: row 29.
    pub(super) fn finish(&mut self, moment: &mut Moment<'_>) -> Steps {
        let placeholder = State::Absent { held: false };
        let closing = match std::mem::replace(&mut self.state, placeholder) {
            State::Closing(closing) => closing,
            other @ (State::Absent { .. }
            | State::Active { .. }
            | State::AwaitingNotify { .. }
            | State::BackingOff { .. }
            | State::Denied { .. }
            | State::Pending { .. }) => {
                self.state = other;
                return Steps::new();
            }
        };
        let untag = Steps::new().act(closing.tag().map(Action::Untag));
        let paid = self.pay(closing.owed, closing.again);
        let ended = untag.then(paid);
        self.failures = 0;
        if closing.again {
            // row 31
            self.screen.forget();
            return ended.then(self.on_subscribe(moment)).first();
        }
        let behind = match closing.then {
            Then::Absent => self.leave(),
            Then::Denied | Then::Held | Then::Return => {
                let behind = self.follow(closing.then);
                behind.then(self.on_verdict(moment))
            }
        };
        ended.then(behind)
    }

    /// Tells the watcher what row 26 owes him. One who has asked again is not told
    /// `unsubscribed`: his server would take that for the answer to his new request.
    pub(super) fn pay(&mut self, owed: bool, again: bool) -> Steps {
        if !owed {
            return Steps::new();
        }
        let taken = self.take_back();
        if again {
            taken
        } else {
            taken.act(Action::Unsubscribed)
        }
    }

    /// Asks for a refresh of the dialog and for the whole state, unless one is under way.
    pub(super) fn refresh(&mut self) -> Steps {
        match &mut self.state {
            State::Pending { session, .. } | State::Active { session } => {
                session.etag = None;
                session.want()
            }
            State::Absent { .. }
            | State::AwaitingNotify { .. }
            | State::BackingOff { .. }
            | State::Closing(_)
            | State::Denied { .. } => Steps::new(),
        }
    }
}

impl Session {
    /// Asks for a refresh, unless one is under way.
    pub(super) fn want(&mut self) -> Steps {
        if self.is_asking() {
            return Steps::new();
        }
        self.call = Call::Wanted;
        Steps::new().act(Action::Ask)
    }
}
