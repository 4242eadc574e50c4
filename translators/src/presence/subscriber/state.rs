//! What can be between a watcher and a presentity.

use crate::model::Mono;
use crate::presence::subscriber::form::Form;
use crate::sip::{Dialog, Subscribing, Tag};

/// States of mapping table X2S.
#[derive(Clone, Debug)]
pub(super) enum State {
    /// X0: nothing, or a request that waits for the operator.
    Absent {
        /// Whether it waits.
        held: bool,
    },
    /// X1: a subscription is asked for.
    AwaitingNotify {
        /// Whether the presentity has allowed it before.
        granted: bool,
        /// How far it came.
        stage: Stage,
    },
    /// X2: a subscription that somebody has to allow.
    Pending {
        /// Whether it was allowed before.
        granted: bool,
        /// The subscription.
        session: Box<Session>,
    },
    /// X3: a subscription that shows presence.
    Active {
        /// The subscription.
        session: Box<Session>,
    },
    /// X4: asked or allowed, without a subscription.
    BackingOff {
        /// Whether the presentity has allowed it.
        granted: bool,
        /// What it waits for.
        pause: Pause,
    },
    /// X5: the subscription is being ended.
    Closing(Box<Closing>),
    /// X6: the presentity does not want to be watched, or policy does not want it.
    Denied {
        /// Who said so.
        by: Denier,
        /// The presentity is not asked again before.
        hold_until: Mono,
    },
}

/// How far a new subscription came.
#[derive(Clone, Debug)]
pub(super) enum Stage {
    /// It waits for its turn; nothing was sent.
    Wanted {
        /// How to ask.
        form: Form,
    },
    /// It was sent.
    Sent(Box<Sent>),
}

/// A SUBSCRIBE that was sent and made no dialog yet.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    /// What names it.
    pub(super) ask: Subscribing,
    /// Seconds asked for.
    pub(super) asked: u32,
    /// The same, then those granted.
    pub(super) expires: u32,
    /// How it asked.
    pub(super) form: Form,
    /// Whether the peer named a shortest time before.
    pub(super) brief: bool,
    /// Whether the request waits for its turn again, with a longer time.
    pub(super) again: bool,
    /// Timer N, from when the request was written.
    pub(super) notify_by: Option<Mono>,
}

/// A dialog and its times.
#[derive(Clone, Debug)]
pub(super) struct Session {
    /// The dialog.
    pub(super) dialog: Dialog,
    /// Seconds to ask for in the next refresh.
    pub(super) expires: u32,
    /// When it ends without a refresh.
    pub(super) expires_at: Mono,
    /// When to refresh it.
    pub(super) refresh_at: Mono,
    /// The refresh under way.
    pub(super) call: Call,
    /// Timer N: the NOTIFY behind the answer to a refresh (RFC 6665 section 4.1.2.2).
    pub(super) notify_by: Option<Mono>,
    /// Whether the peer named a shortest time for this refresh.
    pub(super) brief: bool,
    /// How it was asked for: a refresh asks for the same.
    pub(super) form: Form,
    /// Entity tag of the last document: a refresh needs it only if it is another (RFC 5839).
    pub(super) etag: Option<Box<Etag>>,
}

/// An entity tag, out of the way: few peers give one.
#[derive(Clone, Debug)]
pub(super) struct Etag(pub(super) Box<str>);

/// A SUBSCRIBE in a dialog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// None is under way.
    Idle,
    /// One waits for its turn.
    Wanted,
    /// One has no outcome yet.
    Sent {
        /// The end that a NOTIFY has named since.
        told: Option<Mono>,
    },
}

/// What a relation without a subscription waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pause {
    /// Whether the peer is to be believed that it ends what it granted (peer fault guard).
    Doubt(Mono),
    /// That policy allows it.
    Forbidden,
    /// Nothing: the state cannot change any more (RFC 6665 section 4.1.3, "invariant").
    Never,
    /// The time of the next attempt.
    Retry(Mono),
    /// The same; the peer was not reached, so its return is the time as well.
    Unreached(Mono),
}

/// Who denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denier {
    /// The presentity or his side.
    Peer,
    /// Our policy.
    Policy,
}

/// A subscription that is being ended.
#[derive(Clone, Debug)]
pub(super) struct Closing {
    /// What is ended.
    pub(super) line: Line,
    /// The SUBSCRIBE that ends it.
    pub(super) call: Call,
    /// When the peer's last word is no longer waited for.
    pub(super) notify_by: Option<Mono>,
    /// Whether the watcher has still to be told that it has ended.
    pub(super) owed: bool,
    /// Whether the watcher has asked again.
    pub(super) again: bool,
    /// What comes then.
    pub(super) then: Then,
}

/// What is being ended.
#[derive(Clone, Debug)]
pub(super) enum Line {
    /// A subscription without a dialog yet: it can be ended when it has one.
    Asked(Sent),
    /// A dialog that an earlier run did not know yet: there is nothing to be ended.
    Nothing,
    /// A dialog.
    Open(Dialog),
}

/// What comes behind the end of a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// Nothing is left.
    Absent,
    /// Policy has denied it.
    Denied,
    /// The request waits for the operator.
    Held,
    /// The grant is kept until policy allows it again.
    Return,
}

impl Session {
    /// Whether a refresh waits for its turn or for its outcome.
    pub(super) const fn is_asking(&self) -> bool {
        !matches!(self.call, Call::Idle)
    }

    /// Entity tag of the last document.
    pub(super) fn etag(&self) -> Option<&str> {
        self.etag.as_deref().map(|Etag(etag)| &**etag)
    }
}

impl Closing {
    /// Begins to end a dialog; `owed` if the watcher is told when it has ended.
    pub(super) fn of(session: Session, then: Then, owed: bool) -> Box<Self> {
        Box::new(Self {
            line: Line::Open(session.dialog),
            call: Call::Wanted,
            notify_by: None,
            owed,
            again: false,
            then,
        })
    }

    /// Waits for the dialog that is to be ended.
    pub(super) fn asked(sent: Sent, then: Then) -> Box<Self> {
        Box::new(Self {
            notify_by: sent.notify_by,
            line: Line::Asked(sent),
            call: Call::Idle,
            owed: false,
            again: false,
            then,
        })
    }

    /// Our tag.
    pub(super) const fn tag(&self) -> Option<Tag> {
        match &self.line {
            Line::Asked(sent) => Some(sent.ask.tag()),
            Line::Nothing => None,
            Line::Open(dialog) => Some(dialog.tag()),
        }
    }
}

impl State {
    /// Our tag, if there is a dialog or one is asked for.
    pub(super) const fn tag(&self) -> Option<Tag> {
        match self {
            Self::AwaitingNotify {
                stage: Stage::Sent(sent),
                ..
            } => Some(sent.ask.tag()),
            Self::Pending { session, .. } | Self::Active { session } => Some(session.dialog.tag()),
            Self::Closing(closing) => closing.tag(),
            Self::Absent { .. }
            | Self::AwaitingNotify {
                stage: Stage::Wanted { .. },
                ..
            }
            | Self::BackingOff { .. }
            | Self::Denied { .. } => None,
        }
    }

    /// Its name in the tables.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Absent { .. } => "Absent",
            Self::AwaitingNotify { .. } => "AwaitingNotify",
            Self::Pending { .. } => "Pending",
            Self::Active { .. } => "Active",
            Self::BackingOff { .. } => "BackingOff",
            Self::Closing(_) => "Closing",
            Self::Denied { .. } => "Denied",
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::presence::Subscriber;
    use crate::presence::subscriber::state::Session;

    #[test]
    fn a_relation_is_small() {
        assert!(size_of::<Session>() <= 128, "{}", size_of::<Session>());
        assert!(
            size_of::<Subscriber>() <= 104,
            "{}",
            size_of::<Subscriber>()
        );
    }
}
