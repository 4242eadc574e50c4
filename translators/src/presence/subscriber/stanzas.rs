//! What the watcher, his server and policy say.

use crate::model::Now;
use crate::policy::Verdict;
use crate::presence::subscriber::state::{Closing, Denier, Pause, Stage, State, Then};
use crate::presence::subscriber::{Action, Moment, Steps, Subscriber};

/// That he is not there, to all devices of the watcher.
const GONE: Action = Action::Unavailable { to: None };

impl Subscriber {
    /// Takes `subscribe`.
    pub fn on_subscribe(&mut self, moment: &mut Moment<'_>) -> Steps {
        let now = moment.now.mono;
        let steps = Steps::new();
        match &mut self.state {
            State::Absent { held } => match moment.verdict {
                Verdict::Allow => self.ask(false, now), // row 1
                Verdict::Block => self.leave().act(Action::Unsubscribed), // row 2
                Verdict::PoliteBlock => self.look_offline(), // row 2a
                Verdict::Confirm if *held => steps,     // row 3a
                Verdict::Confirm => self.hold(),        // row 3
            },
            State::Active { .. } => {
                // row 21
                let refresh = if self.screen.is_old(moment.now.mono) {
                    self.refresh()
                } else {
                    Steps::new()
                };
                let replay = self.screen.replay(None);
                steps.act(Action::Subscribed).act(replay).then(refresh)
            }
            // row 23b
            State::AwaitingNotify { granted: true, .. } | State::Pending { granted: true, .. } => {
                self.screen.blank();
                steps.act(Action::Subscribed).act(GONE)
            }
            // row 23
            State::AwaitingNotify { granted: false, .. }
            | State::Pending { granted: false, .. } => steps,
            State::BackingOff { granted, pause } => {
                // row 24a
                let (granted, pause) = (*granted, *pause);
                let told = if granted {
                    self.screen.blank();
                    steps.act(Action::Subscribed).act(GONE)
                } else {
                    steps
                };
                told.then(self.hurry(granted, pause, moment))
            }
            State::Closing(closing) => match closing.then {
                // row 31a
                Then::Return => steps.act(Action::Subscribed).act(GONE),
                // row 31
                Then::Absent | Then::Denied | Then::Held => {
                    closing.again = true;
                    steps.first()
                }
            },
            State::Denied { hold_until, .. } => match moment.verdict {
                // row 33
                Verdict::Allow if *hold_until <= now => self.ask(false, now),
                // rows 33b, 33c
                Verdict::Allow | Verdict::Block => steps.act(Action::Unsubscribed),
                Verdict::PoliteBlock => self.look_offline(), // row 33d
                Verdict::Confirm => self.hold(),             // row 33e
            },
        }
    }

    /// Takes `unsubscribe`.
    pub fn on_unsubscribe(&mut self) -> Steps {
        let steps = Steps::new();
        match std::mem::replace(&mut self.state, State::Absent { held: false }) {
            State::Absent { held: false } => steps,        // row 5
            State::Absent { held: true } => steps.first(), // row 3b
            State::AwaitingNotify { stage, .. } => {
                let taken = self.take_back().act(Action::Unsubscribed);
                match stage {
                    Stage::Sent(sent) if !sent.again => {
                        // row 27
                        self.state = State::Closing(Closing::asked(*sent, Then::Absent));
                        taken.first()
                    }
                    Stage::Sent(sent) => {
                        // row 27a
                        taken.act(Action::Untag(sent.ask.tag())).then(self.leave())
                    }
                    Stage::Wanted { .. } => taken.then(self.leave()), // row 27a
                }
            }
            State::Pending { session, .. } | State::Active { session } => {
                // row 26
                self.state = State::Closing(Closing::of(*session, Then::Absent, true));
                steps.act(Action::Recall).act(Action::Ask).first()
            }
            State::BackingOff { .. } => {
                // row 28
                let taken = self.take_back();
                taken.act(Action::Unsubscribed).then(self.leave())
            }
            State::Closing(mut closing) => {
                // rows 30b, 31b
                let told = closing.then == Then::Absent && !closing.again;
                closing.again = false;
                closing.then = Then::Absent;
                let owed = closing.owed;
                self.state = State::Closing(closing);
                if told || owed {
                    steps.first()
                } else {
                    steps.act(Action::Unsubscribed).first()
                }
            }
            State::Denied { .. } => self.leave(), // row 33a
        }
    }

    /// Takes a probe; `from` is the device that asks, if it names one.
    pub fn on_probe(&mut self, from: Option<Box<str>>, moment: &mut Moment<'_>) -> Steps {
        let steps = Steps::new();
        let now = moment.now.mono;
        match &self.state {
            State::Absent { .. } => match moment.verdict {
                Verdict::Allow => {
                    // row 4
                    self.confirmed = true;
                    self.ask(true, now)
                }
                // row 4a
                Verdict::Block | Verdict::Confirm | Verdict::PoliteBlock => {
                    steps.act(Action::Unavailable { to: from })
                }
            },
            State::AwaitingNotify { .. } | State::Pending { .. } => steps, // row 23
            State::Active { .. } => steps.act(self.screen.replay(from)),   // row 22
            State::BackingOff {
                granted: true,
                pause: Pause::Never,
            } => steps.act(self.screen.replay(from)), // row 22a
            State::BackingOff { granted, pause } => {
                // row 24
                let (granted, pause) = (*granted, *pause);
                let told = if granted {
                    steps.act(Action::Unavailable { to: from })
                } else {
                    steps
                };
                told.then(self.hurry(granted, pause, moment))
            }
            State::Closing(_) => steps, // row 30a
            State::Denied { .. } => steps.act(Action::Unsubscribed), // row 32
        }
    }

    /// Forgets the relation without a word: row 33a.
    pub fn forget(&mut self) -> Steps {
        self.leave()
    }

    /// Takes note that the watcher says again what he has said before: a server that keeps a
    /// block to itself does that when it ends, and does not ask by a probe.
    pub fn on_online(&mut self, now: Now) -> Steps {
        match &self.state {
            State::Active { .. } => {
                // row 36
                let replay = self.screen.replay(None);
                let refresh = if self.screen.is_old(now.mono) {
                    self.refresh()
                } else {
                    Steps::new()
                };
                Steps::new().act(replay).then(refresh)
            }
            // row 36a
            State::Absent { .. }
            | State::AwaitingNotify { .. }
            | State::BackingOff { .. }
            | State::Closing(_)
            | State::Denied { .. }
            | State::Pending { .. } => Steps::new(),
        }
    }

    /// Takes the verdict of policy, changed or not.
    pub fn on_verdict(&mut self, moment: &mut Moment<'_>) -> Steps {
        let steps = Steps::new();
        let now = moment.now.mono;
        if self.is_granted() {
            return self.on_verdict_granted(moment);
        }
        match &mut self.state {
            State::Absent { held: false } => steps, // row 5a
            State::Absent { held: true } => match moment.verdict {
                Verdict::Allow => self.ask(false, now),           // row 3c
                Verdict::Block => self.deny(Denier::Policy, now), // row 34b
                Verdict::PoliteBlock => self.look_offline(),      // row 3d
                Verdict::Confirm => steps,                        // row 3a
            },
            State::AwaitingNotify { .. } | State::Pending { .. } | State::BackingOff { .. } => {
                match moment.verdict {
                    Verdict::Allow => steps, // row 34e
                    Verdict::Block => self.close(Then::Denied).act(Action::Unsubscribed), // row 34b
                    Verdict::PoliteBlock => {
                        // row 34d
                        let told = steps.act(Action::Subscribed).act(GONE);
                        told.then(self.close(Then::Absent))
                    }
                    Verdict::Confirm => self.close(Then::Held), // row 34c
                }
            }
            State::Closing(closing) => {
                // row 34f
                if closing.then == Then::Denied && moment.verdict == Verdict::Allow {
                    closing.then = Then::Absent;
                    return steps.first();
                }
                steps
            }
            State::Denied {
                by: Denier::Policy, ..
            } if moment.verdict == Verdict::Allow => self.leave(), // row 34g
            State::Active { .. } | State::Denied { .. } => steps, // row 34h
        }
    }

    fn on_verdict_granted(&mut self, moment: &mut Moment<'_>) -> Steps {
        let allowed = moment.verdict == Verdict::Allow;
        let now = moment.now.mono;
        match &mut self.state {
            State::BackingOff {
                pause: Pause::Forbidden,
                ..
            } if allowed => {
                self.failures = 0;
                self.ask(true, now) // row 34a
            }
            State::BackingOff {
                pause: Pause::Forbidden,
                ..
            } => Steps::new(), // row 34i
            // row 34a, when it has ended
            State::Closing(_) => Steps::new(),
            State::Absent { .. }
            | State::Active { .. }
            | State::AwaitingNotify { .. }
            | State::BackingOff { .. }
            | State::Denied { .. }
            | State::Pending { .. } => {
                if allowed {
                    return Steps::new(); // row 34e
                }
                // row 34
                let taken = self.take_back();
                taken.then(self.close(Then::Return))
            }
        }
    }

    /// Holds a request for the operator.
    fn hold(&mut self) -> Steps {
        self.state = State::Absent { held: true };
        Steps::new().first()
    }

    /// Looks to the watcher as if he had been allowed to watch somebody who is never there.
    fn look_offline(&mut self) -> Steps {
        let left = self.leave();
        left.act(Action::Subscribed).act(GONE)
    }

    /// Makes the next attempt now, unless one was made just now or it may not be made.
    pub(super) fn hurry(&mut self, granted: bool, pause: Pause, moment: &Moment<'_>) -> Steps {
        let now = moment.now.mono;
        let rests = self.rest_until > now;
        match pause {
            Pause::Doubt(_) | Pause::Forbidden => Steps::new(),
            Pause::Never | Pause::Retry(_) | Pause::Unreached(_)
                if rests || moment.verdict != Verdict::Allow =>
            {
                Steps::new()
            }
            Pause::Never | Pause::Retry(_) | Pause::Unreached(_) => self.ask(granted, now),
        }
    }
}
