//! What becomes of a SUBSCRIBE.

use std::time::Duration;

use crate::limits;
use crate::mapping::failure::loses_dialog;
use crate::presence::subscriber::failures::{is_fault, judge, refuses_at_first};
use crate::presence::subscriber::form::{Form, granted_of, has_only_categories};
use crate::presence::subscriber::notify::{Said, seconds};
use crate::presence::subscriber::state::{Call, Line, Pause, Session, Stage, State};
use crate::presence::subscriber::{
    Action, Asking, Failure, Moment, Purpose, Refusal, Steps, Subscriber,
};
use crate::sip::subscription::{SubscriptionState, Substate};
use crate::sip::{Response, Sequence};

/// What a final answer to a SUBSCRIBE says.
#[derive(Debug)]
pub struct Answered<'a> {
    /// The answer.
    pub response: &'a Response,
    /// The document in it, of a peer that puts the first one there.
    pub said: Option<Said>,
}

impl Subscriber {
    /// Takes the final answer to a SUBSCRIBE.
    pub fn on_answer(
        &mut self,
        asking: Asking,
        answered: &Answered<'_>,
        moment: &mut Moment<'_>,
    ) -> Steps {
        if self.state.tag() != Some(asking.tag) {
            return Steps::new(); // row 38
        }
        match (asking.purpose, answered.response.status()) {
            (Purpose::First, ..300) => self.on_accepted(answered, moment),
            (Purpose::First, _) => self.on_refused(answered.response, moment),
            (Purpose::Refresh, ..300) => self.on_refreshed(answered, moment),
            (Purpose::Refresh, _) => self.on_unrefreshed(answered.response, moment),
            (Purpose::End, _) => self.on_ended(answered.response, moment),
        }
    }

    /// Takes note that a SUBSCRIBE did not get out.
    pub fn on_unsent(&mut self, asking: Asking, moment: &mut Moment<'_>) -> Steps {
        if self.state.tag() != Some(asking.tag) {
            return Steps::new();
        }
        match (asking.purpose, &mut self.state) {
            (Purpose::First, State::AwaitingNotify { granted, .. }) => {
                // row 13a
                let (granted, now) = (*granted, moment.now.mono);
                let at = self.next_attempt(None, moment);
                self.back_off(granted, Pause::Unreached(at), now)
            }
            (Purpose::Refresh, State::Pending { .. } | State::Active { .. }) => {
                self.put_off(None, moment) // row 19a
            }
            (Purpose::End | Purpose::First, State::Closing(_)) => self.finish(moment), // row 29
            (
                Purpose::End | Purpose::First | Purpose::Refresh,
                State::Absent { .. }
                | State::Active { .. }
                | State::AwaitingNotify { .. }
                | State::BackingOff { .. }
                | State::Closing(_)
                | State::Denied { .. }
                | State::Pending { .. },
            ) => Steps::new(),
        }
    }

    /// Takes note that a SUBSCRIBE has no final answer in time (Timer F). That of a new subscription
    /// is left to Timer N, which runs as long and rests while the peer cannot be reached.
    pub fn on_timer_f(&mut self, asking: Asking, moment: &mut Moment<'_>) -> Steps {
        match asking.purpose {
            Purpose::End | Purpose::Refresh => self.on_unsent(asking, moment),
            Purpose::First => Steps::new(),
        }
    }

    /// The first SUBSCRIBE was accepted: row 6.
    fn on_accepted(&mut self, answered: &Answered<'_>, moment: &mut Moment<'_>) -> Steps {
        let response = answered.response;
        match &mut self.state {
            State::AwaitingNotify {
                granted,
                stage: Stage::Sent(sent),
            } => {
                let granted = *granted;
                sent.ask.on_success(response);
                sent.expires = granted_of(response, sent.asked);
                let (Some(said), Some(dialog)) = (&answered.said, sent.ask.accepted()) else {
                    return Steps::new();
                };
                // row 6a
                let end = moment.now.mono + seconds(sent.expires);
                let mut session = Session::new(dialog, sent, end, moment);
                session.counts(response);
                let told = told_by(response, sent.expires);
                self.on_told(granted, Some(session), told, said.clone(), moment)
            }
            State::Pending { session, .. } | State::Active { session } => {
                // row 6b
                let asked = session.expires;
                let end = moment.now.mono + seconds(granted_of(response, asked));
                session.dialog.on_success(response);
                if end < session.expires_at {
                    session.expires_at = end;
                    session.plan(moment);
                }
                Steps::new().behind()
            }
            State::Closing(closing) => {
                let Line::Asked(sent) = &mut closing.line else {
                    return Steps::new();
                };
                sent.ask.on_success(response); // row 27c
                let (Some(_), Some(dialog)) = (&answered.said, sent.ask.accepted()) else {
                    return Steps::new();
                };
                // row 27d
                closing.line = Line::Open(dialog);
                closing.call = Call::Wanted;
                closing.notify_by = None;
                Steps::new().act(Action::Ask).first()
            }
            State::Absent { .. }
            | State::AwaitingNotify {
                stage: Stage::Wanted { .. },
                ..
            }
            | State::BackingOff { .. }
            | State::Denied { .. } => Steps::new(),
        }
    }

    /// The first SUBSCRIBE was refused: row 13.
    fn on_refused(&mut self, response: &Response, moment: &mut Moment<'_>) -> Steps {
        let status = response.status();
        match &mut self.state {
            State::AwaitingNotify {
                granted,
                stage: Stage::Sent(sent),
            } => {
                let granted = *granted;
                let fault = fault(status);
                let retry_after = response.retry_after().map(seconds);
                let steps = Steps::new().act(fault);
                steps.then(match judge(status, false) {
                    Failure::Brief => match longer(response, sent.asked, sent.brief) {
                        Some(asked) => {
                            (sent.asked, sent.brief, sent.again) = (asked, true, true);
                            sent.expires = asked;
                            sent.notify_by = None;
                            Steps::new().act(Action::Ask)
                        }
                        None => self.fail(granted, retry_after, moment),
                    },
                    // row 13c
                    Failure::Denied if moment.terms.microsoft && has_only_categories(response) => {
                        self.ask_as(granted, Form::Categories)
                    }
                    Failure::Denied => {
                        let at_first = !granted && !refuses_at_first(status);
                        let stands = at_first && moment.terms.microsoft;
                        self.refused(granted, stands, moment)
                    }
                    Failure::OtherScheme if sent.form == Form::Usual => {
                        self.ask_as(granted, Form::Pres)
                    }
                    Failure::Slow => {
                        let wait = retry_after.unwrap_or(limits::UNKNOWN_USER);
                        self.later(granted, wait.max(limits::UNKNOWN_USER), moment)
                    }
                    Failure::Ended | Failure::Forgotten | Failure::Kept | Failure::OtherScheme => {
                        self.fail(granted, retry_after, moment)
                    }
                })
            }
            State::Closing(closing) => match closing.line {
                Line::Asked(_) => self.finish(moment),         // row 29
                Line::Nothing | Line::Open(_) => Steps::new(), // row 27c
            },
            // A NOTIFY has made the dialog.
            State::Active { .. } | State::Pending { .. } => Steps::new(), // row 13b
            State::Absent { .. }
            | State::AwaitingNotify {
                stage: Stage::Wanted { .. },
                ..
            }
            | State::BackingOff { .. }
            | State::Denied { .. } => Steps::new(),
        }
    }

    /// Asks once more, in another form.
    fn ask_as(&mut self, granted: bool, form: Form) -> Steps {
        let untag = self.state.tag().map(Action::Untag);
        let stage = Stage::Wanted { form };
        self.state = State::AwaitingNotify { granted, stage };
        Steps::new().act(untag).act(Action::Ask)
    }

    /// A refresh was accepted: row 19.
    fn on_refreshed(&mut self, answered: &Answered<'_>, moment: &mut Moment<'_>) -> Steps {
        let response = answered.response;
        let granted = self.is_granted();
        let (State::Pending { session, .. } | State::Active { session }) = &mut self.state else {
            return Steps::new();
        };
        let Call::Sent { told } = session.call else {
            return Steps::new();
        };
        self.failures = 0;
        let now = moment.now.mono;
        let seconds_granted = granted_of(response, session.expires);
        let end = now + seconds(seconds_granted);
        session.call = Call::Idle;
        session.brief = false;
        session.expires_at = told.map_or(end, |told| told.min(end));
        session.dialog.on_refreshed(response);
        session.plan(moment);
        let notified = told.is_some() || response.status() == 204;
        session.notify_by = (!notified).then(|| now + limits::TIMER_F);
        let state = told_by(response, seconds_granted);
        let said = match &answered.said {
            Some(said) if session.counts(response) => said.clone(),
            // row 19d
            None if state.state == Substate::Terminated => None,
            Some(_) | None => return Steps::new().behind(),
        };
        // row 19c
        session.notify_by = None;
        self.on_told(granted, None, state, said, moment).behind()
    }

    /// A refresh was refused: row 19b.
    fn on_unrefreshed(&mut self, response: &Response, moment: &mut Moment<'_>) -> Steps {
        let status = response.status();
        let granted = self.is_granted();
        let (State::Pending { session, .. } | State::Active { session }) = &mut self.state else {
            return Steps::new();
        };
        let retry_after = response.retry_after().map(seconds);
        // It may have been the condition that the peer does not like.
        session.etag = None;
        let steps = Steps::new().act(fault(status));
        // COMPAT(lync): ms-diagnostics 1004, whatever the status. The route set is not valid any more.
        let failure = if loses_dialog(response) {
            Failure::Forgotten
        } else {
            judge(status, true)
        };
        steps.then(match failure {
            Failure::Brief => match longer(response, session.expires, session.brief) {
                Some(expires) => {
                    (session.expires, session.brief) = (expires, true);
                    session.call = Call::Wanted;
                    Steps::new().act(Action::Ask)
                }
                None => self.put_off(retry_after, moment),
            },
            Failure::Denied => self.refused(granted, false, moment),
            Failure::Forgotten => self.again(granted, moment),
            Failure::Ended | Failure::OtherScheme | Failure::Slow => {
                self.fail(granted, retry_after, moment)
            }
            Failure::Kept => self.put_off(retry_after, moment),
        })
    }

    /// The SUBSCRIBE that ends the subscription was answered.
    fn on_ended(&mut self, response: &Response, moment: &mut Moment<'_>) -> Steps {
        let State::Closing(closing) = &mut self.state else {
            return Steps::new();
        };
        // Servers of Microsoft say it in the answer, and may send no NOTIFY behind it.
        let told = response.subscription_state();
        let is_over = told.is_ok_and(|told| told.state == Substate::Terminated);
        if response.status() >= 300 || is_over {
            return self.finish(moment); // row 29
        }
        // row 26a
        let (owed, again) = (closing.owed, closing.again);
        closing.call = Call::Idle;
        closing.owed = false;
        let by = moment.now.mono + limits::TIMER_F;
        closing.notify_by.get_or_insert(by);
        let paid = self.pay(owed, again);
        if owed { paid.first() } else { paid }
    }

    /// Tries the refresh again later; the dialog stands until its end.
    fn put_off(&mut self, retry_after: Option<Duration>, moment: &mut Moment<'_>) -> Steps {
        let at = self.next_attempt(retry_after, moment);
        if let State::Pending { session, .. } | State::Active { session } = &mut self.state {
            session.call = Call::Idle;
            session.brief = false;
            session.refresh_at = at;
        }
        Steps::new()
    }
}

impl Session {
    /// Takes the number of the NOTIFY for which an answer stands; tells whether none that came is
    /// newer.
    fn counts(&mut self, response: &Response) -> bool {
        let number = response.piggyback_cseq();
        number.is_none_or(|number| self.dialog.on_request(number) == Sequence::Fresh)
    }
}

/// The state of the subscription that an answer names, or that it has by itself.
fn told_by(response: &Response, expires: u32) -> SubscriptionState {
    let told = response.subscription_state();
    let told = told.unwrap_or_else(|_| SubscriptionState::active(expires));
    SubscriptionState {
        expires: told.expires.or(Some(expires)),
        ..told
    }
}

/// The longer time to ask for after 423, once.
fn longer(response: &Response, asked: u32, was_brief: bool) -> Option<u32> {
    let least = response.min_expires()?;
    (!was_brief && least > asked && least <= limits::SUBSCRIPTION_SECONDS_MAX).then_some(least)
}

fn fault(status: u16) -> Option<Action> {
    is_fault(status).then_some(Action::Refusal(Refusal::Fault(status)))
}
