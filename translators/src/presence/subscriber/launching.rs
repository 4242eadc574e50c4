//! SUBSCRIBE: which one waits for its turn, and how it is made.

use crate::limits;
use crate::model::{Microsoft, Mono};
use crate::presence::subscriber::form::Form;
use crate::presence::subscriber::state::{Call, Line, Sent, Stage, State};
use crate::presence::subscriber::{
    Action, Asking, Keep, Launch, Moment, Purpose, Steps, Subscriber,
};
use crate::sip::{Block, NameAddr, SentBy, SipUri, Subscribing, Tag};

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
    /// The switches of the peer, if it is of the Microsoft profile.
    pub microsoft: Option<&'a Microsoft>,
    /// Our name.
    pub sent_by: &'a SentBy,
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
            State::AwaitingNotify { granted, stage } => Some(stage.launch(!*granted, outfit)),
            State::Pending { session, .. } | State::Active { session } => {
                session.expires = session.expires.max(outfit.usual_expires());
                let wish = outfit.wish(session.expires, session.form, false);
                let wish = wish.unless(session.etag().filter(|_| shown));
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
                let wish = outfit.wish(0, Form::Usual, false);
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

    /// Takes note that a SUBSCRIBE did not get out since too much waits for the peer: it waits for
    /// its turn again. Row 43.
    pub fn on_no_room(&mut self, asking: Asking) -> Steps {
        if self.state.tag() != Some(asking.tag) {
            return Steps::new();
        }
        match (asking.purpose, &mut self.state) {
            (Purpose::First, State::AwaitingNotify { stage, .. }) => {
                let form = stage.form();
                *stage = Stage::Wanted { form };
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
}

impl Stage {
    const fn form(&self) -> Form {
        match self {
            Self::Wanted { form } => *form,
            Self::Sent(sent) => sent.form,
        }
    }

    fn launch(&mut self, introduces: bool, outfit: Outfit<'_>) -> Launch {
        let form = self.form();
        let again = match self {
            Self::Wanted { .. } => None,
            Self::Sent(sent) => Some(sent.asked),
        };
        let asked = again.unwrap_or_else(|| outfit.usual_expires());
        let wish = outfit.wish(asked, form, introduces);
        let to = match form {
            Form::Usual | Form::Categories => outfit.to,
            Form::Pres => outfit.to_pres,
        };
        let mut fresh = Sent {
            ask: Subscribing::new(outfit.tag, outfit.call_id, outfit.from, to),
            asked,
            expires: asked,
            form,
            brief: false,
            again: false,
            notify_by: None,
        };
        let sent = match self {
            Self::Wanted { .. } => &mut fresh,
            Self::Sent(sent) => sent,
        };
        sent.again = false;
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
