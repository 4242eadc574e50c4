//! SUBSCRIBE: when its turn comes, when it was written, and what becomes of it.

use std::time::Duration;

use crate::limits;
use crate::model::Mono;
use crate::presence::subscriber::failures::{is_fault, judge, refuses_at_first};
use crate::presence::subscriber::notify::{Said, seconds};
use crate::presence::subscriber::state::{Call, Line, Pause, Sent, Session, Stage, State};
use crate::presence::subscriber::{
    Action, Asking, Failure, Keep, Launch, Moment, Purpose, Refusal, Steps, Subscriber,
};
use crate::sip::subscription::{SubscriptionState, Wish};
use crate::sip::{Block, NameAddr, Response, SentBy, SipUri, Subscribing, Tag};

/// What a SUBSCRIBE is made with.
#[derive(Debug)]
pub struct Outfit<'a> {
    /// The watcher, without tag.
    pub from: NameAddr,
    /// The presentity.
    pub to: SipUri,
    /// The same with the scheme `pres`.
    pub to_pres: SipUri,
    /// Tag of a new subscription, random.
    pub tag: Tag,
    /// Call-ID of a new subscription, random.
    pub call_id: u128,
    /// Formats that are taken, for Accept.
    pub accept: &'a str,
    /// Our name.
    pub sent_by: &'a SentBy,
}

/// What a final answer to a SUBSCRIBE says.
#[derive(Debug)]
pub struct Answered<'a> {
    /// The answer.
    pub response: &'a Response,
    /// The document in it, of a peer that puts the first one there.
    pub said: Option<Said>,
}

impl Subscriber {
    /// Which SUBSCRIBE waits for its turn, if one does.
    pub const fn wants(&self) -> Option<Purpose> {
        match &self.state {
            State::AwaitingNotify { stage, .. } => match stage {
                Stage::Wanted { .. } => Some(Purpose::First),
                Stage::Sent(sent) if sent.again => Some(Purpose::First),
                Stage::Sent(_) => None,
            },
            State::Pending { session, .. } | State::Active { session } => match session.call {
                Call::Wanted => Some(Purpose::Refresh),
                Call::Idle | Call::Sent { .. } => None,
            },
            State::Closing(closing) => match closing.call {
                Call::Wanted => Some(Purpose::End),
                Call::Idle | Call::Sent { .. } => None,
            },
            State::Absent { .. } | State::BackingOff { .. } | State::Denied { .. } => None,
        }
    }

    /// Makes the SUBSCRIBE that waits for its turn.
    pub fn launch(&mut self, outfit: Outfit<'_>) -> Option<Launch> {
        self.wants()?;
        let shown = self.screen.is_shown();
        match &mut self.state {
            State::AwaitingNotify { stage, .. } => Some(stage.launch(outfit)),
            State::Pending { session, .. } | State::Active { session } => {
                let wish = Wish::new(session.expires, outfit.accept);
                let wish = wish.unless(session.etag.as_deref().filter(|_| shown));
                let request = session.dialog.subscribe(&wish, outfit.sent_by);
                let Ok((draft, block)) = request else {
                    // A damaged record: the dialog is left to expire.
                    session.call = Call::Idle;
                    session.refresh_at = session.expires_at;
                    return None;
                };
                session.call = Call::Sent { told: None };
                Some(Launch {
                    asking: Asking {
                        tag: session.dialog.tag(),
                        purpose: Purpose::Refresh,
                    },
                    draft,
                    keep: keep(block),
                })
            }
            State::Closing(closing) => {
                let wish = Wish::new(0, outfit.accept);
                let Line::Open(dialog) = &mut closing.line else {
                    return None;
                };
                let Ok((draft, block)) = dialog.subscribe(&wish, outfit.sent_by) else {
                    closing.call = Call::Idle;
                    closing.notify_by = Some(Mono::default());
                    return None;
                };
                closing.call = Call::Sent { told: None };
                Some(Launch {
                    asking: Asking {
                        tag: dialog.tag(),
                        purpose: Purpose::End,
                    },
                    draft,
                    keep: keep(block),
                })
            }
            State::Absent { .. } | State::BackingOff { .. } | State::Denied { .. } => None,
        }
    }

    /// Takes note that a SUBSCRIBE was written: Timer N begins.
    pub fn on_written(&mut self, asking: Asking, moment: &Moment<'_>) {
        if self.state.tag() != Some(asking.tag) {
            return;
        }
        let by = Some(moment.now.mono + limits::TIMER_F);
        match (asking.purpose, &mut self.state) {
            (
                Purpose::First,
                State::AwaitingNotify {
                    stage: Stage::Sent(sent),
                    ..
                },
            ) => sent.notify_by = by,
            (Purpose::First, State::Closing(closing)) => {
                if let Line::Asked(_) = closing.line {
                    closing.notify_by = by;
                }
            }
            (Purpose::End, State::Closing(closing)) => closing.notify_by = by,
            (
                Purpose::End | Purpose::First | Purpose::Refresh,
                State::Absent { .. }
                | State::Active { .. }
                | State::AwaitingNotify { .. }
                | State::BackingOff { .. }
                | State::Closing(_)
                | State::Denied { .. }
                | State::Pending { .. },
            ) => {}
        }
    }

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
            (Purpose::Refresh, ..300) => self.on_refreshed(answered.response, moment),
            (Purpose::Refresh, _) => self.on_unrefreshed(answered.response, moment),
            (Purpose::End, status) => self.on_ended(status, moment),
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

    /// Takes note that a SUBSCRIBE did not get out since too much waits for the peer: it waits for
    /// its turn again. Row 43.
    pub fn on_no_room(&mut self, asking: Asking) -> Steps {
        if self.state.tag() != Some(asking.tag) {
            return Steps::new();
        }
        match (asking.purpose, &mut self.state) {
            (Purpose::First, State::AwaitingNotify { stage, .. }) => {
                let pres = matches!(stage, Stage::Sent(sent) if sent.pres);
                *stage = Stage::Wanted { pres };
                Steps::new().act(Action::Untag(asking.tag))
            }
            (Purpose::Refresh, State::Pending { session, .. } | State::Active { session }) => {
                session.call = Call::Wanted;
                Steps::new()
            }
            (Purpose::End, State::Closing(closing)) => {
                closing.call = Call::Wanted;
                Steps::new()
            }
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
                sent.expires = granted_of(response, sent.expires);
                let (Some(said), Some(dialog)) = (&answered.said, sent.ask.accepted()) else {
                    return Steps::new();
                };
                // row 6a
                let told = SubscriptionState::active(sent.expires);
                let end = moment.now.mono + seconds(sent.expires);
                let session = Session::new(dialog, sent, end, moment);
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
                if let Line::Asked(sent) = &mut closing.line {
                    sent.ask.on_success(response); // row 27c
                }
                Steps::new()
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
                    Failure::Brief => match longer(response, sent.expires, sent.brief) {
                        Some(expires) => {
                            (sent.expires, sent.brief, sent.again) = (expires, true, true);
                            sent.notify_by = None;
                            Steps::new().act(Action::Ask)
                        }
                        None => self.fail(granted, retry_after, moment),
                    },
                    Failure::Denied => {
                        let at_first = !granted && !refuses_at_first(status);
                        let stands = at_first && moment.terms.grants_stand;
                        self.refused(granted, stands, moment)
                    }
                    Failure::OtherScheme if !sent.pres => {
                        let untag = Action::Untag(sent.ask.tag());
                        let stage = Stage::Wanted { pres: true };
                        self.state = State::AwaitingNotify { granted, stage };
                        Steps::new().act(untag).act(Action::Ask)
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

    /// A refresh was accepted: row 19.
    fn on_refreshed(&mut self, response: &Response, moment: &mut Moment<'_>) -> Steps {
        let (State::Pending { session, .. } | State::Active { session }) = &mut self.state else {
            return Steps::new();
        };
        let Call::Sent { told } = session.call else {
            return Steps::new();
        };
        self.failures = 0;
        let now = moment.now.mono;
        let granted = now + seconds(granted_of(response, session.expires));
        session.call = Call::Idle;
        session.brief = false;
        session.expires_at = told.map_or(granted, |told| told.min(granted));
        session.dialog.on_success(response);
        session.plan(moment);
        let notified = told.is_some() || response.status() == 204;
        session.notify_by = (!notified).then(|| now + limits::TIMER_F);
        Steps::new().behind()
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
        steps.then(match judge(status, true) {
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
    fn on_ended(&mut self, status: u16, moment: &mut Moment<'_>) -> Steps {
        let State::Closing(closing) = &mut self.state else {
            return Steps::new();
        };
        if status >= 300 {
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

impl Stage {
    fn launch(&mut self, outfit: Outfit<'_>) -> Launch {
        let pres = matches!(self, Self::Wanted { pres: true });
        let to = if pres { outfit.to_pres } else { outfit.to };
        let mut fresh = Sent {
            ask: Subscribing::new(outfit.tag, outfit.call_id, outfit.from, to),
            expires: limits::SUBSCRIPTION_SECONDS,
            pres,
            brief: false,
            again: false,
            notify_by: None,
        };
        let sent = match self {
            Self::Wanted { .. } => &mut fresh,
            Self::Sent(sent) => sent,
        };
        sent.again = false;
        let wish = Wish::new(sent.expires, outfit.accept);
        let (draft, _) = sent.ask.request(&wish, outfit.sent_by);
        let tag = sent.ask.tag();
        if let Self::Wanted { .. } = self {
            *self = Self::Sent(Box::new(fresh));
        }
        Launch {
            asking: Asking {
                tag,
                purpose: Purpose::First,
            },
            draft,
            // After a crash it is asked for anew, with another Call-ID.
            keep: Keep::Same,
        }
    }
}

const fn keep(block: Block) -> Keep {
    match block {
        Block::New => Keep::First,
        Block::Reserved => Keep::Same,
    }
}

/// The seconds that were granted: "MAY be shorter", never longer than asked for.
fn granted_of(response: &Response, asked: u32) -> u32 {
    let granted = response.expires().ok().flatten();
    granted.unwrap_or(asked).min(asked)
}

/// The longer time to ask for after 423, once.
fn longer(response: &Response, asked: u32, was_brief: bool) -> Option<u32> {
    let least = response.min_expires()?;
    (!was_brief && least > asked && least <= limits::SUBSCRIPTION_SECONDS_MAX).then_some(least)
}

fn fault(status: u16) -> Option<Action> {
    is_fault(status).then_some(Action::Refusal(Refusal::Fault(status)))
}
