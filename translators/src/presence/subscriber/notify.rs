//! What NOTIFY says.

use std::time::Duration;

use rand::RngExt as _;

use crate::limits;
use crate::model::{Mono, PresenceState};
use crate::presence::subscriber::failures::{after, pause};
use crate::presence::subscriber::form::{Form, JITTER};
use crate::presence::subscriber::state::{
    Call, Closing, Denier, Etag, Line, Pause, Sent, Session, Stage, State,
};
use crate::presence::subscriber::{Action, Moment, Refusal, Steps, Subscriber};
use crate::sip::dialog::Decisive;
use crate::sip::subscription::{EventReason, SubscriptionState, Substate};
use crate::sip::{Dialog, Request, Sequence};

/// What the body of a NOTIFY says: a state, or nothing that can be taken from it.
pub type Said = Option<PresenceState>;

/// Why a NOTIFY is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// It is of no subscription: 481.
    Foreign,
    /// It cannot be read: 400.
    Malformed,
    /// A later one came before it: 500.
    Overtaken,
}

impl Subscriber {
    /// Whether a NOTIFY is of this subscription; to another one the answer is 481.
    pub fn is_for(&self, notify: &Request) -> bool {
        match &self.state {
            State::AwaitingNotify {
                stage: Stage::Sent(sent),
                ..
            } => sent.ask.is_for(notify),
            State::Pending { session, .. } | State::Active { session } => {
                session.dialog.is_for(notify)
            }
            State::Closing(closing) => match &closing.line {
                Line::Asked(sent) => sent.ask.is_for(notify),
                Line::Nothing => false,
                Line::Open(dialog) => dialog.is_for(notify),
            },
            State::Absent { .. }
            | State::AwaitingNotify {
                stage: Stage::Wanted { .. },
                ..
            }
            | State::BackingOff { .. }
            | State::Denied { .. } => false,
        }
    }

    /// Takes a NOTIFY; what comes back is to be done behind its 200.
    pub fn on_notify(
        &mut self,
        notify: &Request,
        said: Said,
        moment: &mut Moment<'_>,
    ) -> Result<Steps, Unfit> {
        if !self.is_for(notify) {
            return Err(Unfit::Foreign); // rows 11, 37
        }
        let told = told_in(notify, moment)?;
        let decisive = if moment.terms.microsoft {
            Decisive::First
        } else {
            Decisive::Notify
        };
        match &mut self.state {
            State::AwaitingNotify {
                granted,
                stage: Stage::Sent(sent),
            } => {
                // row 7
                let granted = *granted;
                let dialog = sent.ask.establish(notify, decisive);
                let dialog = dialog.map_err(|_| Unfit::Malformed)?;
                let end = moment.now.mono
                    + seconds(told.expires.unwrap_or(sent.expires).min(sent.expires));
                let mut session = Session::new(dialog, sent, end, moment);
                session.remember(notify, &said, moment);
                Ok(self.on_told(granted, Some(session), told, said, moment))
            }
            State::Pending { granted, session } => {
                let granted = *granted;
                let changed = match session.hear(notify, told, &said, moment)? {
                    Heard::Repeated => return Ok(Steps::new()), // row 14a
                    Heard::News { changed } => changed,
                };
                let steps = self.on_told(granted, None, told, said, moment);
                Ok(if changed { steps.behind() } else { steps })
            }
            State::Active { session } => {
                let changed = match session.hear(notify, told, &said, moment)? {
                    Heard::Repeated => return Ok(Steps::new()), // row 14a
                    Heard::News { changed } => changed,
                };
                let steps = self.on_told(true, None, told, said, moment);
                Ok(if changed { steps.behind() } else { steps })
            }
            State::Closing(closing) => match closing.hear(notify, told, decisive)? {
                Last::Over => Ok(self.finish(moment)), // row 29
                Last::Made => Ok(Steps::new().act(Action::Ask).first()), // row 27b
                Last::Word => Ok(Steps::new()),        // row 30
            },
            State::Absent { .. }
            | State::AwaitingNotify {
                stage: Stage::Wanted { .. },
                ..
            }
            | State::BackingOff { .. }
            | State::Denied { .. } => Err(Unfit::Foreign), // row 37
        }
    }

    /// Takes what the state of the subscription is said to be; `made` is the dialog if this was
    /// the first to be heard of it.
    pub(super) fn on_told(
        &mut self,
        granted: bool,
        made: Option<Session>,
        told: SubscriptionState,
        said: Said,
        moment: &mut Moment<'_>,
    ) -> Steps {
        match told.state {
            Substate::Active => self.on_active(granted, made, said, moment),
            Substate::Other | Substate::Pending => self.on_pending(granted, made, moment),
            Substate::Terminated => self.on_terminated(granted, told, said, moment),
        }
    }

    fn on_active(
        &mut self,
        granted: bool,
        made: Option<Session>,
        said: Said,
        moment: &mut Moment<'_>,
    ) -> Steps {
        let is_news = made.is_some() || !matches!(self.state, State::Active { .. });
        self.enter(made, |session| State::Active { session });
        self.failures = 0;
        let steps = if is_news {
            Steps::new().first()
        } else {
            Steps::new()
        };
        let first_heard = self.screen.heard_at.is_none();
        let show = self.screen.take(said, moment.now);
        if !granted {
            // row 9
            self.confirmed = false;
            let gone = Action::Unavailable { to: None };
            return steps.act(Action::Subscribed).act(show.unwrap_or(gone));
        }
        // rows 10, 14, 15
        if self.confirmed || !(is_news || first_heard) {
            return steps.act(show);
        }
        // What went out before `subscribed` was known to have arrived may have been dropped.
        let whole = match show {
            Some(Action::Update { before }) => Action::Replay { before },
            Some(show) => show,
            None => self.screen.replay(None),
        };
        steps.act(Action::Subscribed).act(whole)
    }

    fn on_pending(&mut self, granted: bool, made: Option<Session>, moment: &Moment<'_>) -> Steps {
        let is_news = made.is_some() || !matches!(self.state, State::Pending { .. });
        let was_active = matches!(self.state, State::Active { .. });
        self.enter(made, |session| State::Pending { granted, session });
        self.failures = 0;
        let steps = if is_news {
            Steps::new().first()
        } else {
            Steps::new() // row 8
        };
        if was_active {
            return steps.then(self.take_back()); // row 16
        }
        // row 8: what an earlier subscription has shown is not believed for ever (row 20b).
        self.screen.doubt(moment.now.mono);
        steps
    }

    /// Puts the subscription into another state.
    fn enter(&mut self, made: Option<Session>, state: impl FnOnce(Box<Session>) -> State) {
        let old = std::mem::replace(&mut self.state, State::Absent { held: false });
        let session = match (made, old) {
            (Some(made), _) => Box::new(made),
            (None, State::Pending { session, .. } | State::Active { session }) => session,
            (
                None,
                old @ (State::Absent { .. }
                | State::AwaitingNotify { .. }
                | State::BackingOff { .. }
                | State::Closing(_)
                | State::Denied { .. }),
            ) => {
                self.state = old;
                return;
            }
        };
        self.state = state(session);
    }

    /// The peer ended the subscription: row 17.
    fn on_terminated(
        &mut self,
        granted: bool,
        told: SubscriptionState,
        said: Said,
        moment: &mut Moment<'_>,
    ) -> Steps {
        let wait = |usual| told.retry_after.map_or(usual, seconds);
        match told.reason {
            Some(EventReason::Deactivated | EventReason::Timeout) => self.again(granted, moment),
            Some(EventReason::Probation) => self.later(granted, wait(limits::PROBATION), moment),
            Some(EventReason::GiveUp) => self.later(granted, wait(limits::GIVEN_UP), moment),
            Some(EventReason::Rejected | EventReason::NoResource) => {
                self.refused(granted, false, moment)
            }
            Some(EventReason::Invariant) => {
                let show = self.screen.take(said, moment.now).filter(|_| granted);
                let now = moment.now.mono;
                self.back_off(granted, Pause::Never, now).act(show)
            }
            None => match told.retry_after {
                Some(after) => self.later(granted, seconds(after), moment),
                None if moment.terms.microsoft => self.again(granted, moment), // row 17c
                None => self.fail(granted, None, moment),
            },
        }
    }

    /// Asks for a new subscription at once, unless the last one was asked for just now. A Microsoft
    /// server forgets those of many watchers together: they do not ask in one moment.
    pub(super) fn again(&mut self, granted: bool, moment: &mut Moment<'_>) -> Steps {
        let now = moment.now.mono;
        if self.rest_until > now {
            return self.fail(granted, None, moment);
        }
        if moment.terms.microsoft {
            let at = now + JITTER.mul_f64(moment.rng.random_range(0.0..1.0));
            return self.back_off(granted, Pause::Retry(at), now); // row 17d
        }
        self.screen.doubt(now);
        self.ask(granted, now)
    }

    /// Tries again after a time that the peer has named, or that suits its reason.
    pub(super) fn later(
        &mut self,
        granted: bool,
        wait: Duration,
        moment: &mut Moment<'_>,
    ) -> Steps {
        let now = moment.now.mono;
        let at = now + after(wait, moment.rng);
        self.back_off(granted, Pause::Retry(at), now)
    }

    /// Tries again after a time that grows with every failure, and not before the peer wants it.
    pub(super) fn fail(
        &mut self,
        granted: bool,
        retry_after: Option<Duration>,
        moment: &mut Moment<'_>,
    ) -> Steps {
        let now = moment.now.mono;
        let at = self.next_attempt(retry_after, moment);
        self.back_off(granted, Pause::Retry(at), now)
    }

    /// When to try again after one more failure.
    pub(super) fn next_attempt(
        &mut self,
        retry_after: Option<Duration>,
        moment: &mut Moment<'_>,
    ) -> Mono {
        let usual = pause(self.failures, moment.rng);
        self.failures = self.failures.saturating_add(1);
        let asked = retry_after.map(|wait| after(wait, moment.rng));
        moment.now.mono + asked.map_or(usual, |asked| asked.max(usual))
    }

    /// The presentity's side says no for good. What it granted before it takes back only if the
    /// peer is not found to do that to everybody, and never in the Microsoft profile.
    pub(super) fn refused(
        &mut self,
        granted: bool,
        stands: bool,
        moment: &mut Moment<'_>,
    ) -> Steps {
        let now = moment.now.mono;
        if stands || (granted && moment.terms.microsoft) {
            let told = granted.then_some(Action::Refusal(Refusal::Granted));
            let failed = self.fail(granted, None, moment);
            return Steps::new().act(told).then(failed);
        }
        if !granted {
            return self.deny(Denier::Peer, now);
        }
        let told = Steps::new().act(Action::Refusal(Refusal::Granted));
        if moment.terms.suspect {
            return told.then(self.fail(granted, None, moment));
        }
        let until = now + limits::REFUSAL_HELD;
        told.then(self.back_off(granted, Pause::Doubt(until), now))
    }
}

/// What a NOTIFY of a known dialog is.
enum Heard {
    /// The same as the last one.
    Repeated,
    /// A new one.
    News {
        /// Whether the record of the dialog is no longer right.
        changed: bool,
    },
}

impl Session {
    /// A new dialog with its times.
    pub(super) fn new(dialog: Dialog, sent: &Sent, end: Mono, moment: &mut Moment<'_>) -> Self {
        let mut session = Self {
            dialog,
            expires: sent.asked,
            expires_at: end,
            refresh_at: end,
            call: Call::Idle,
            notify_by: None,
            brief: false,
            form: match sent.form {
                Form::Categories => Form::Categories,
                Form::Usual | Form::Pres => Form::Usual,
            },
            etag: None,
        };
        session.plan(moment);
        session
    }

    fn hear(
        &mut self,
        notify: &Request,
        told: SubscriptionState,
        said: &Said,
        moment: &mut Moment<'_>,
    ) -> Result<Heard, Unfit> {
        match self.dialog.on_request(number(notify)?) {
            Sequence::Fresh => {}
            Sequence::Old => return Err(Unfit::Overtaken), // row 14b
            Sequence::Repeated => return Ok(Heard::Repeated),
        }
        self.notify_by = None;
        self.remember(notify, said, moment);
        let changed = self.dialog.on_refresh(notify);
        if let Some(expires) = told.expires {
            self.on_expires(moment.now.mono + seconds(expires), moment);
        }
        Ok(Heard::News { changed })
    }

    /// Takes the entity tag of a document that was read, if the peer is to be asked by it.
    fn remember(&mut self, notify: &Request, said: &Said, moment: &Moment<'_>) {
        let known = said.is_some() && moment.terms.conditional;
        let etag = notify.etag().filter(|_| known);
        self.etag = etag.map(|etag| Box::new(Etag(etag.into())));
    }

    /// Takes the end that a NOTIFY names. It can only bring the end nearer (RFC 6665 section
    /// 4.2.2), except that it may come before the answer to the refresh that moved it.
    fn on_expires(&mut self, end: Mono, moment: &mut Moment<'_>) {
        if let Call::Sent { told } = &mut self.call {
            *told = Some(end);
        } else if end + limits::EXPIRY_SLACK < self.expires_at {
            self.expires_at = end;
            self.plan(moment);
        }
    }
}

/// What a NOTIFY of a subscription that is being ended is.
enum Last {
    /// It made the dialog, which can be ended now.
    Made,
    /// The last one.
    Over,
    /// One that crossed the end; what it shows is for nobody any more.
    Word,
}

impl Closing {
    fn hear(
        &mut self,
        notify: &Request,
        told: SubscriptionState,
        decisive: Decisive,
    ) -> Result<Last, Unfit> {
        let made = match &mut self.line {
            Line::Asked(sent) => {
                let made = sent.ask.establish(notify, decisive);
                Some(made.map_err(|_| Unfit::Malformed)?)
            }
            Line::Nothing => None,
            Line::Open(dialog) => match dialog.on_request(number(notify)?) {
                Sequence::Fresh | Sequence::Repeated => None,
                Sequence::Old => return Err(Unfit::Overtaken), // row 14b
            },
        };
        if told.state == Substate::Terminated {
            return Ok(Last::Over);
        }
        let Some(dialog) = made else {
            return Ok(Last::Word);
        };
        self.line = Line::Open(dialog);
        self.call = Call::Wanted;
        self.notify_by = None;
        Ok(Last::Made)
    }
}

/// The state that a NOTIFY names. Microsoft peers may leave it out, or its time.
fn told_in(notify: &Request, moment: &Moment<'_>) -> Result<SubscriptionState, Unfit> {
    let unnamed = SubscriptionState {
        expires: None,
        ..SubscriptionState::active(0)
    };
    let told = match notify.subscription_state() {
        Ok(told) => told,
        Err(_) if moment.terms.microsoft => unnamed,
        Err(_) => return Err(Unfit::Malformed),
    };
    let expires = told.expires.or_else(|| notify.expires().ok().flatten());
    Ok(SubscriptionState { expires, ..told })
}

fn number(notify: &Request) -> Result<u32, Unfit> {
    let cseq = notify.cseq().map_err(|_| Unfit::Malformed)?;
    Ok(cseq.number)
}

pub(super) const fn seconds(count: u32) -> Duration {
    Duration::from_secs(count as u64)
}
