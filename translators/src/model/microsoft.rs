//! The dialect of Microsoft's servers: what a peer of that profile is told differently.

use std::time::Duration;

use crate::limits;

/// The switches of the Microsoft profile. Whatever else that dialect demands holds for every peer
/// of the profile and has no switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Microsoft {
    /// Status of the answer to NEGOTIATE, which offers compression ([MS-SIPCOMP] section 3.1).
    pub negotiate: Negotiate,
    /// What becomes of a SUBSCRIBE that demands BENOTIFY ([MS-SIP] section 3.5).
    pub benotify: Benotify,
    /// Whether a 200 to SUBSCRIBE carries the first document ([MS-SIP] section 3.4).
    pub piggyback: bool,
    /// Which documents are preferred in both directions.
    pub documents: Documents,
    /// What becomes of the text inside an INVITE.
    pub embedded: Embedded,
    /// How typing is told.
    pub typing: Typing,
    /// What `Subscription-State` says while an authorization is not decided.
    pub undecided: Undecided,
    /// Which subscriptions ask the XMPP user.
    pub ask_on: AskOn,
    /// How long a subscription without context lives before it asks.
    pub ask_after: Duration,
    /// Whether our answers inside a route set bring a Record-Route of our own.
    pub record_route: bool,
    /// What "busy" and "in a call" become.
    pub busy_as: BusyAs,
    /// How long a conversation may be silent before it is ended.
    pub idle_bye: Duration,
}

impl Default for Microsoft {
    fn default() -> Self {
        Self {
            negotiate: Negotiate::default(),
            benotify: Benotify::default(),
            piggyback: true,
            documents: Documents::default(),
            embedded: Embedded::default(),
            typing: Typing::default(),
            undecided: Undecided::default(),
            ask_on: AskOn::default(),
            ask_after: limits::ASK_AFTER,
            record_route: false,
            busy_as: BusyAs::default(),
            idle_bye: limits::IDLE_BYE,
        }
    }
}

/// The answer to NEGOTIATE; it never agrees to compress.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Negotiate {
    /// 405 with `Allow`.
    #[default]
    NotAllowed,
    /// 200 without `Compression`.
    Plain,
}

/// The answer to `Proxy-Require: ms-benotify`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Benotify {
    /// The subscription is taken, and notified by NOTIFY.
    #[default]
    Accept,
    /// 420 with `Unsupported: ms-benotify`.
    Refuse,
}

/// Preferred presence documents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Documents {
    /// `text/xml+msrtc.pidf`, which knows "do not disturb" and notes; else PIDF, else what there is.
    #[default]
    Msrtc,
    /// `application/pidf+xml`.
    Pidf,
}

/// What becomes of the text inside an INVITE.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Embedded {
    /// It waits a moment for the MESSAGE that may repeat it.
    #[default]
    Wait,
    /// The answer announces that it was taken, and it is delivered at once.
    Consume,
}

/// How typing is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Typing {
    /// INFO with `KeyboardActivity`.
    #[default]
    Info,
    /// MESSAGE with isComposing (RFC 3994).
    Message,
}

/// What `Subscription-State` says while an authorization is not decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Undecided {
    /// `active`: clients look at the document, which is closed.
    #[default]
    Active,
    /// `pending` (RFC 6665 section 4.1.3).
    Pending,
}

/// Which subscriptions ask the XMPP user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AskOn {
    /// One with context, or without a body, at once; any other when it has lived for `ask_after`.
    #[default]
    Context,
    /// Each at once.
    Always,
}

/// What "busy" and "in a call" become.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BusyAs {
    /// Do not disturb.
    #[default]
    Dnd,
    /// Available, with the words as status.
    Available,
}

/// Names the one endpoint of a user of ours with this [`spread`](crate::model::spread), in From, To and
/// documents ([MS-SIP] appendix A): hexadecimal, at most 16 digits, the same after every restart.
pub fn epid(spread: u64) -> String {
    format!("{spread:016x}")
}
