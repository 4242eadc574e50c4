//! What the operator orders.

use crate::presence::subscriber::state::{State, Then};
use crate::presence::subscriber::{Action, Moment, Steps, Subscriber};

impl Subscriber {
    /// Ends the relation: the watcher sees nothing any more, but keeps his contact; his server will
    /// ask again. Row 40.
    pub fn on_drop(&mut self) -> Steps {
        let taken = self.take_back();
        taken.then(self.end())
    }

    /// Forgets the relation since one of the two users is no more; `told` if the watcher is still
    /// there. Row 41.
    pub fn on_forget(&mut self, told: bool) -> Steps {
        let known = !self.is_absent();
        let taken = self.take_back();
        if !told {
            return self.end();
        }
        let word = known.then_some(Action::Unsubscribed);
        taken.act(word).then(self.end())
    }

    /// Asks the peer for the current state, and shows the watcher what is known. Row 42.
    pub fn on_resync(&mut self, moment: &Moment<'_>) -> Steps {
        match &self.state {
            State::Pending { .. } => self.refresh(),
            State::Active { .. } => {
                let replay = self.screen.replay(None);
                Steps::new().act(replay).then(self.refresh())
            }
            State::BackingOff { granted, pause } => {
                let (granted, pause) = (*granted, *pause);
                self.rest_until = moment.now.mono;
                self.hurry(granted, pause, moment)
            }
            State::Absent { .. }
            | State::AwaitingNotify { .. }
            | State::Closing(_)
            | State::Denied { .. } => Steps::new(),
        }
    }

    /// Ends what there is of a subscription; nothing comes behind it.
    fn end(&mut self) -> Steps {
        match &mut self.state {
            State::Absent { .. } | State::BackingOff { .. } | State::Denied { .. } => self.leave(),
            State::Closing(closing) => {
                closing.then = Then::Absent;
                closing.again = false;
                closing.owed = false;
                Steps::new().first()
            }
            State::Active { .. } | State::AwaitingNotify { .. } | State::Pending { .. } => {
                self.close(Then::Absent)
            }
        }
    }
}
