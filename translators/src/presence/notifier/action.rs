//! What follows from an event.

use crate::documents::presence::Format;
use crate::presence::notifier::Show;
use crate::sip::subscription::EventReason;
use crate::sip::{Dialog, Tag};

/// What an event makes of a relation: to be done in this order, behind the record.
#[must_use]
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// What to do.
    pub actions: Vec<Action>,
    /// What to keep.
    pub keep: Keep,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Answer the SUBSCRIBE that the event is about.
    Answer(Reply),
    /// Send a stanza to the XMPP user, from the bare JID of the SIP user.
    Ask(Asking),
    /// Send the last NOTIFY of a dialog that is no more.
    End(Box<Ended>),
    /// Send a NOTIFY in this dialog.
    Notify(Tag, Show),
    /// Drop what waits for the SIP user: he may not see it any more.
    Recall,
}

/// How a SUBSCRIBE is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// 200, in the dialog of this tag, for so many seconds.
    Granted(Tag, u32),
    /// 200 that carries what the watcher is shown, in the dialog of this tag, for so many seconds.
    Showing(Tag, u32, Show),
    /// 204: the watcher has the current document (RFC 5839 section 6.2).
    Unchanged(Tag, u32),
    /// 403.
    Forbidden,
    /// 481: there is no such dialog.
    Unknown,
}

/// Stanzas to the XMPP user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asking {
    /// What is your presence?
    Probe,
    /// May I watch you?
    Subscribe,
    /// The watcher is gone for now.
    Unavailable,
    /// The watcher watches no more.
    Unsubscribe,
}

/// A dialog that has ended, for its last NOTIFY.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The dialog.
    pub dialog: Dialog,
    /// The format of its documents.
    pub format: Format,
    /// Why it ended.
    pub reason: EventReason,
    /// Seconds after which the watcher may try again.
    pub retry_after: Option<u32>,
    /// What the last NOTIFY carries.
    pub body: Body,
}

/// What the last NOTIFY of a dialog carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// A document that says that the user is offline.
    Closed,
    /// What is known, as far as the watcher may see it.
    Current,
    /// Nothing.
    Empty,
}

/// What becomes of the record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Keep {
    /// It is as it was.
    #[default]
    Same,
    /// To be written behind.
    Lazy,
    /// To be written before anything is sent.
    Durable,
    /// To be deleted: nothing is left of the relation.
    Gone,
}

impl Action {
    /// Tells the watcher after how many seconds he may try again, where it ends a dialog.
    pub(super) fn retry_after(&mut self, seconds: u32) {
        if let Self::End(last) = self {
            last.retry_after = Some(seconds);
        }
    }
}

impl Step {
    /// Nothing to do.
    pub(super) fn nothing() -> Self {
        Self::default()
    }

    /// Keeps the record in this way at least.
    pub fn keep(mut self, keep: Keep) -> Self {
        self.keep = self.keep.max(keep);
        self
    }

    /// Does this behind the rest.
    pub(super) fn then(mut self, action: Action) -> Self {
        self.actions.push(action);
        self
    }

    /// Does this behind the rest.
    pub(super) fn answer(self, reply: Reply) -> Self {
        self.then(Action::Answer(reply))
    }

    /// Does this behind the rest.
    pub(super) fn ask(self, asking: Asking) -> Self {
        self.then(Action::Ask(asking))
    }

    /// Does these behind the rest.
    pub(super) fn and(mut self, actions: impl IntoIterator<Item = Action>) -> Self {
        self.actions.extend(actions);
        self
    }
}
