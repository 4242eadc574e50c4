//! What the machine is told, and what it wants done.

use std::time::Duration;

use crate::model::Mono;

/// Names a dialog for as long as anything may come of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DialogNumber(pub u64);

/// How things stand when an event comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scene {
    /// The time.
    pub now: Mono,
    /// Whether messages wait for the SIP user, besides the one in flight.
    pub waiting: bool,
    /// Whether a message is in flight either way.
    pub in_flight: bool,
    /// Whether we start dialogs with the peer; else what has no dialog goes in page mode.
    pub starts: bool,
    /// Silence after which a dialog is ended.
    pub idle_after: Duration,
    /// Number of the dialog that would be made.
    pub fresh: DialogNumber,
}

/// What follows from an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The INVITE is answered 200 with a session description.
    Accept(DialogNumber),
    /// The dialog is ended.
    Bye(DialogNumber),
    /// The INVITE of ours is called off; whatever still comes of it ends it.
    Cancel(DialogNumber),
    /// The text inside the INVITE goes to the XMPP user.
    Deliver(DialogNumber),
    /// A message came that was delivered before: it is answered 200 and dropped.
    Drop,
    /// What waits for the SIP user goes back to its senders.
    Fail,
    /// The text inside the INVITE came again as a message, which is taken in its place.
    Forget(DialogNumber),
    /// The XMPP user is told that the SIP user left.
    Gone,
    /// An INVITE goes out.
    Invite(DialogNumber),
    /// What waits for the SIP user goes in page mode.
    Page,
    /// The message in flight is put before those that wait, to be sent once more.
    Requeue,
    /// The next message for the SIP user goes in this dialog, if none is in flight.
    Send(DialogNumber),
    /// A message of the SIP user is taken.
    Take,
}
