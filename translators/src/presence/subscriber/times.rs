//! What time brings, and the comings and goings of the peer.

use std::time::Duration;

use rand::RngExt as _;

use crate::limits;
use crate::model::Mono;
use crate::policy::Verdict;
use crate::presence::subscriber::failures::around;
use crate::presence::subscriber::machine::Word;
use crate::presence::subscriber::state::{Call, Denier, Pause, Session, Stage, State};
use crate::presence::subscriber::{Action, Moment, Steps, Subscriber};

impl Subscriber {
    /// When something is due, if nothing happens before; `down` as in [`Moment::down`].
    pub fn next(&self, down: bool) -> Option<Mono> {
        let own = match &self.state {
            State::Absent { .. } | State::Denied { .. } => None,
            State::AwaitingNotify { stage, .. } => match stage {
                Stage::Wanted { .. } => None,
                Stage::Sent(sent) => sent.notify_by.filter(|_| !down),
            },
            State::Pending { session, .. } | State::Active { session } => session.next(down),
            State::BackingOff { pause, .. } => match pause {
                Pause::Doubt(at) => Some(*at),
                Pause::Retry(at) | Pause::Unreached(at) => Some(*at).filter(|_| !down),
                Pause::Forbidden | Pause::Never => None,
            },
            State::Closing(closing) => closing.notify_by,
        };
        let owed = self.owed.as_deref().map(|(at, _)| *at);
        let all = [own, owed, self.screen.grace];
        all.into_iter().flatten().min()
    }

    /// Does what is due.
    pub fn on_time(&mut self, moment: &mut Moment<'_>) -> Steps {
        let now = moment.now.mono;
        let mut steps = self.on_state_time(moment);
        if self.screen.grace.is_some_and(|at| at <= now) {
            // row 20b
            steps = steps.act(self.screen.withdraw());
        }
        steps.then(self.say_owed(moment))
    }

    /// Says again what got lost, when it is time.
    fn say_owed(&mut self, moment: &Moment<'_>) -> Steps {
        match self.owed.take_if(|owed| owed.0 <= moment.now.mono) {
            Some(owed) => {
                let withdraw = self.screen.ghosts();
                let laid = Steps::new().act(withdraw.map(|before| Action::Withdraw { before }));
                laid.then(self.say_again(owed.1))
            }
            None => Steps::new(),
        }
    }

    fn on_state_time(&mut self, moment: &mut Moment<'_>) -> Steps {
        let now = moment.now.mono;
        let down = moment.down;
        let due = |at: Mono| at <= now;
        match &mut self.state {
            State::Absent { .. } | State::Denied { .. } => Steps::new(),
            State::AwaitingNotify { granted, stage } => {
                let granted = *granted;
                let missing = match stage {
                    Stage::Wanted { .. } => false,
                    Stage::Sent(sent) => !down && sent.notify_by.is_some_and(due),
                };
                if missing {
                    return self.fail(granted, None, moment); // row 12
                }
                Steps::new()
            }
            State::Pending { session, .. } | State::Active { session } => {
                let is_over = !session.is_asking() && due(session.expires_at);
                let is_silent = session.notify_by.is_some_and(due);
                if !down && (is_over || is_silent) {
                    let granted = self.is_granted();
                    self.failures = 0;
                    return self.fail(granted, None, moment); // rows 20, 20c
                }
                if !down && !session.is_asking() && due(session.refresh_at) {
                    return session.want(); // row 18
                }
                Steps::new()
            }
            State::BackingOff { granted, pause } => {
                let (granted, pause) = (*granted, *pause);
                match pause {
                    Pause::Doubt(at) if due(at) => self.settle_doubt(moment), // row 17b
                    Pause::Retry(at) | Pause::Unreached(at) if !down && due(at) => {
                        self.attempt(granted, moment) // row 25
                    }
                    Pause::Doubt(_)
                    | Pause::Forbidden
                    | Pause::Never
                    | Pause::Retry(_)
                    | Pause::Unreached(_) => Steps::new(),
                }
            }
            State::Closing(closing) => {
                if closing.notify_by.is_some_and(due) {
                    return self.finish(moment); // row 29
                }
                Steps::new()
            }
        }
    }

    /// Takes note that the peer cannot be reached any more.
    pub fn on_peer_down(&mut self, moment: &Moment<'_>) -> Steps {
        match &self.state {
            // row 20a
            State::Pending { .. } | State::Active { .. } => {
                self.screen.doubt(moment.now.mono);
                Steps::new()
            }
            State::Absent { .. }
            | State::AwaitingNotify { .. }
            | State::BackingOff { .. }
            | State::Closing(_)
            | State::Denied { .. } => Steps::new(),
        }
    }

    /// Takes note that the peer is back, after it could not be reached for so long: what is shown is
    /// believed until it was asked, and what became due meanwhile waits for its turn.
    pub fn on_peer_up(&mut self, away: Duration, moment: &mut Moment<'_>) -> Steps {
        let now = moment.now.mono;
        let least = now + limits::REFRESH_AFTER_RETURN;
        match &mut self.state {
            State::AwaitingNotify { stage, .. } => {
                // row 12
                if let Stage::Sent(sent) = stage
                    && let Some(by) = &mut sent.notify_by
                {
                    *by = least.max(*by);
                }
                Steps::new()
            }
            State::Pending { session, .. } | State::Active { session } => {
                // rows 20, 20a
                let lost = away > limits::TIMER_F || session.refresh_at <= now;
                session.expires_at = session.expires_at.max(least);
                if let Some(by) = &mut session.notify_by {
                    *by = least.max(*by);
                }
                self.screen.grace = None;
                if (lost || !self.screen.is_shown()) && !session.is_asking() {
                    session.etag = None;
                    session.call = Call::Wanted;
                }
                Steps::new()
            }
            State::BackingOff {
                granted,
                pause: Pause::Unreached(_),
            } if moment.verdict == Verdict::Allow => {
                // row 25a
                let granted = *granted;
                let asked = self.ask(granted, now);
                Steps {
                    actions: Vec::new(),
                    ..asked
                }
            }
            State::Absent { .. }
            | State::BackingOff { .. }
            | State::Closing(_)
            | State::Denied { .. } => Steps::new(),
        }
    }

    /// It is this pair's turn, after the peer is back or after a start: what waits goes out.
    pub fn on_return(&mut self) -> Steps {
        Steps::new().act(self.wants().map(|_| Action::Ask))
    }

    /// Takes note that the peer is not to be believed when it ends what it granted.
    pub fn on_suspect(&mut self, moment: &mut Moment<'_>) -> Steps {
        match &self.state {
            State::BackingOff {
                pause: Pause::Doubt(_),
                ..
            } => self.settle_doubt(moment), // row 17b
            State::Absent { .. }
            | State::Active { .. }
            | State::AwaitingNotify { .. }
            | State::BackingOff { .. }
            | State::Closing(_)
            | State::Denied { .. }
            | State::Pending { .. } => Steps::new(),
        }
    }

    /// Takes note that a stanza did not reach the watcher's server.
    pub fn on_untold(&mut self, word: Word, moment: &mut Moment<'_>) -> Steps {
        let at = moment.now.mono + around(limits::TELL_AGAIN, moment.rng);
        let owed = self.owed.as_deref();
        let worst = owed.map_or(word, |(_, owed)| word.max(*owed));
        self.owed = Some(Box::new((at, worst)));
        Steps::new()
    }

    /// Takes note that the watcher is about to be told that a device is gone: until his server has
    /// that, he may see it still.
    pub fn on_leaving(&mut self, device: &str) {
        self.screen.haunt(device);
    }

    /// Takes note that the watcher's server knows that a device is gone.
    pub fn on_left(&mut self, device: &str) -> Steps {
        self.screen.exorcise(device);
        Steps::new()
    }

    /// The watcher's server can be reached again: what did not reach it is said now.
    pub fn on_reachable(&mut self, moment: &Moment<'_>) -> Steps {
        if let Some(owed) = &mut self.owed {
            owed.0 = moment.now.mono;
        }
        self.say_owed(moment)
    }

    /// Takes note that the watcher's server has taken `subscribed`.
    pub fn on_confirmed(&mut self) -> Steps {
        if self.confirmed || !self.is_granted() {
            return Steps::new();
        }
        self.confirmed = true;
        Steps::new().behind()
    }

    /// Says again what got lost, if it still is so: row 39.
    fn say_again(&mut self, word: Word) -> Steps {
        let steps = Steps::new();
        match (&self.state, word) {
            (State::Active { .. }, Word::Subscribed) => {
                let replay = self.screen.replay(None);
                steps.act(Action::Subscribed).act(replay)
            }
            (State::Active { .. }, Word::Presence) => steps.act(self.screen.replay(None)),
            (State::Denied { .. }, Word::Unsubscribed) => steps.act(Action::Unsubscribed),
            // row 39b
            (
                State::AwaitingNotify { .. }
                | State::BackingOff { .. }
                | State::Closing(_)
                | State::Pending { .. },
                Word::Presence | Word::Subscribed,
            ) if self.is_granted() => {
                let subscribed = (word == Word::Subscribed).then_some(Action::Subscribed);
                let gone = Action::Unavailable { to: None };
                let gone = (!self.screen.is_shown()).then_some(gone);
                steps.act(subscribed).act(gone)
            }
            // row 39a
            (
                State::Absent { .. }
                | State::Active { .. }
                | State::AwaitingNotify { .. }
                | State::BackingOff { .. }
                | State::Closing(_)
                | State::Denied { .. }
                | State::Pending { .. },
                Word::Presence | Word::Subscribed | Word::Unsubscribed,
            ) => steps,
        }
    }

    /// Believes that a grant was taken back, or does not.
    fn settle_doubt(&mut self, moment: &mut Moment<'_>) -> Steps {
        if moment.terms.suspect {
            self.fail(true, None, moment)
        } else {
            self.deny(Denier::Peer, moment.now.mono)
        }
    }

    /// Makes the next attempt, if policy still allows it.
    fn attempt(&mut self, granted: bool, moment: &Moment<'_>) -> Steps {
        if moment.verdict == Verdict::Allow {
            return self.ask(granted, moment.now.mono);
        }
        Steps::new()
    }
}

impl Session {
    fn next(&self, down: bool) -> Option<Mono> {
        if down {
            return None;
        }
        let own = (!self.is_asking()).then(|| self.refresh_at.min(self.expires_at));
        own.into_iter().chain(self.notify_by).min()
    }

    /// Plans the refresh: well before the end, and not together with others that began together.
    pub(super) fn plan(&mut self, moment: &mut Moment<'_>) {
        let now = moment.now.mono;
        let left = self.expires_at.since(now);
        let early = if left < limits::REFRESH_HALF_BELOW {
            left / 2
        } else {
            let jitter = left.mul_f64(moment.rng.random_range(0.0..0.05));
            (left / 10).max(limits::REFRESH_BEFORE) + jitter
        };
        self.refresh_at = now + left.saturating_sub(early);
    }
}
