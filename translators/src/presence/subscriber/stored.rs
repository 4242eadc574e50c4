//! What a relation keeps over restarts.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::limits;
use crate::model::{Mono, Now, Wall};
use crate::presence::subscriber::form::Form;
use crate::presence::subscriber::machine::Word;
use crate::presence::subscriber::state::{
    Call, Closing, Denier, Line, Pause, Session, Stage, State, Then,
};
use crate::presence::subscriber::{Action, Steps, Subscriber};
use crate::sip::Dialog;

/// The record of a relation. Names are short, since there are millions.
#[derive(Serialize, Deserialize)]
struct Stored<'a> {
    #[serde(rename = "s")]
    state: Kept<'a>,
    /// Whether the watcher's server is known to have taken `subscribed`.
    #[serde(rename = "c", default, skip_serializing_if = "is_false")]
    confirmed: bool,
}

/// The state; what is under way is asked for anew.
#[derive(Serialize, Deserialize)]
enum Kept<'a> {
    #[serde(rename = "h")]
    Held,
    /// Asked or granted, without a dialog.
    #[serde(rename = "w")]
    Without { g: bool },
    /// As before, and the state cannot change any more.
    #[serde(rename = "n")]
    Never,
    #[serde(rename = "p")]
    Pending {
        g: bool,
        d: Cow<'a, Dialog>,
        e: Wall,
        /// Whether it is for categories.
        #[serde(default, skip_serializing_if = "is_false")]
        k: bool,
    },
    #[serde(rename = "a")]
    Active {
        d: Cow<'a, Dialog>,
        e: Wall,
        #[serde(default, skip_serializing_if = "is_false")]
        k: bool,
    },
    #[serde(rename = "x")]
    Closing {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        d: Option<Cow<'a, Dialog>>,
        o: bool,
        r: bool,
        t: Behind,
    },
    #[serde(rename = "d")]
    Denied { p: bool },
}

/// What comes behind the end of a subscription.
#[derive(Clone, Copy, Serialize, Deserialize)]
enum Behind {
    #[serde(rename = "a")]
    Absent,
    #[serde(rename = "d")]
    Denied,
    #[serde(rename = "h")]
    Held,
    #[serde(rename = "r")]
    Return,
}

/// A record cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the record of a watcher cannot be read")]
pub struct Damaged(#[from] serde_json::Error);

impl Subscriber {
    /// The record of the relation; none if nothing has to be kept.
    pub fn record(&self, now: Now) -> Option<Bytes> {
        let state = Kept::of(&self.state, now)?;
        let confirmed = self.confirmed;
        let stored = Stored { state, confirmed };
        serde_json::to_vec(&stored).ok().map(Bytes::from)
    }

    /// The record of what the watcher is shown, if it has changed since it was asked for; with none
    /// in it if nothing is shown.
    pub fn changed_document(&mut self) -> Option<Option<Bytes>> {
        let changed = self.screen.take_dirty();
        changed.then(|| self.screen.record().map(Bytes::from))
    }

    /// Takes up a relation of an earlier run. Nothing is told to the watcher: until the peer has
    /// said something, what he was shown stands. `rebuild` if the record may be older than what
    /// was sent: then every dialog is made anew.
    pub fn restore(body: &[u8], rebuild: bool, now: Now) -> Result<(Self, Steps), Damaged> {
        let stored: Stored<'_> = serde_json::from_slice(body)?;
        let mut subscriber = Self {
            confirmed: stored.confirmed,
            ..Self::new()
        };
        let anew = |granted| State::AwaitingNotify {
            granted,
            stage: Stage::Wanted { form: Form::Usual },
        };
        subscriber.state = match stored.state {
            Kept::Held => State::Absent { held: true },
            Kept::Without { g } => anew(g),
            Kept::Never => State::BackingOff {
                granted: true,
                pause: Pause::Never,
            },
            Kept::Pending { g, d, e, k } => match session(d, (e, k), rebuild, now) {
                Some(session) => State::Pending {
                    granted: g,
                    session,
                },
                None => anew(g),
            },
            Kept::Active { d, e, k } => match session(d, (e, k), rebuild, now) {
                Some(session) => State::Active { session },
                None => anew(true),
            },
            Kept::Closing { d, o, r, t } => closing(d, o, r, t, rebuild, now),
            Kept::Denied { p } => State::Denied {
                by: if p { Denier::Policy } else { Denier::Peer },
                hold_until: now.mono,
            },
        };
        let ask = subscriber.wants().map(|_| Action::Ask);
        Ok((subscriber, Steps::new().act(ask)))
    }

    /// Takes up what an earlier run has shown to the watcher; returns whether it can be read.
    pub fn restore_document(&mut self, body: &[u8], now: Now) -> bool {
        let read = self.screen.restore(body);
        if self.screen.is_haunted() {
            self.owed = Some(Box::new((now.mono + limits::TELL_AGAIN, Word::Presence)));
        }
        read
    }
}

/// A dialog that has not ended meanwhile.
fn session(
    dialog: Cow<'_, Dialog>,
    (end, categories): (Wall, bool),
    rebuild: bool,
    now: Now,
) -> Option<Box<Session>> {
    let left = end.since(now.wall);
    if rebuild || left.is_zero() {
        return None;
    }
    let expires_at = now.mono + left;
    // The state is asked for at once.
    Some(Box::new(Session {
        dialog: dialog.into_owned(),
        expires: limits::SUBSCRIPTION_SECONDS,
        expires_at,
        refresh_at: expires_at,
        call: Call::Wanted,
        notify_by: None,
        brief: false,
        form: if categories {
            Form::Categories
        } else {
            Form::Usual
        },
        etag: None,
    }))
}

fn closing(
    dialog: Option<Cow<'_, Dialog>>,
    owed: bool,
    again: bool,
    then: Behind,
    rebuild: bool,
    now: Now,
) -> State {
    let then = match then {
        Behind::Absent => Then::Absent,
        Behind::Denied => Then::Denied,
        Behind::Held => Then::Held,
        Behind::Return => Then::Return,
    };
    let dialog = dialog.filter(|_| !rebuild).map(Cow::into_owned);
    // A dialog that was not made yet cannot be ended; the peer is answered 481.
    State::Closing(Box::new(match dialog {
        Some(dialog) => Closing {
            line: Line::Open(dialog),
            call: Call::Wanted,
            notify_by: None,
            owed,
            again,
            then,
        },
        None => Closing {
            line: Line::Nothing,
            call: Call::Idle,
            notify_by: Some(now.mono),
            owed,
            again,
            then,
        },
    }))
}

impl<'a> Kept<'a> {
    fn of(state: &'a State, now: Now) -> Option<Self> {
        Some(match state {
            State::Absent { held: false } => return None,
            State::Absent { held: true } => Self::Held,
            State::AwaitingNotify { granted, .. } => Self::Without { g: *granted },
            State::BackingOff {
                granted: true,
                pause: Pause::Never,
            } => Self::Never,
            State::BackingOff { granted, .. } => Self::Without { g: *granted },
            State::Pending { granted, session } => Self::Pending {
                g: *granted,
                d: Cow::Borrowed(&session.dialog),
                e: wall(session.expires_at, now),
                k: session.form == Form::Categories,
            },
            State::Active { session } => Self::Active {
                d: Cow::Borrowed(&session.dialog),
                e: wall(session.expires_at, now),
                k: session.form == Form::Categories,
            },
            State::Closing(closing) => Self::Closing {
                d: match &closing.line {
                    Line::Open(dialog) => Some(Cow::Borrowed(dialog)),
                    Line::Asked(_) | Line::Nothing => None,
                },
                o: closing.owed,
                r: closing.again,
                t: match closing.then {
                    Then::Absent => Behind::Absent,
                    Then::Denied => Behind::Denied,
                    Then::Held => Behind::Held,
                    Then::Return => Behind::Return,
                },
            },
            State::Denied { by, .. } => Self::Denied {
                p: *by == Denier::Policy,
            },
        })
    }
}

/// The same point on the wall clock.
fn wall(at: Mono, now: Now) -> Wall {
    let late: Duration = now.mono.since(at);
    let ahead = at.since(now.mono);
    let millis = i64::try_from(late.as_millis()).unwrap_or(i64::MAX);
    Wall::from_unix_millis((now.wall + ahead).unix_millis().saturating_sub(millis))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}
