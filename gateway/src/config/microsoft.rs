//! The switches of the Microsoft profile. Doc comments speak to operators, as in [`super::schema`].

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use translators::model::microsoft as core;

use crate::config::document::Path;
use crate::config::loader::Loader;
use crate::config::schema::{Peer, SipDialect};

/// Bounds of the time before a subscription without context asks: a chat window is looked at for
/// seconds, and a contact waits no more than some minutes.
const ASK_AFTER: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(600));
/// Bounds of a conversation's silence: below, every pause would end it; above, a peer has forgotten it.
const IDLE_BYE: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(8 * 3_600));

/// Switches of the Microsoft profile.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Microsoft {
    /// How NEGOTIATE is answered; compression is never agreed to.
    pub negotiate: Negotiate,
    /// What becomes of a subscription that demands BENOTIFY.
    pub benotify: Benotify,
    /// Whether the answer to a subscription carries the first document, which spares a NOTIFY.
    pub piggyback: bool,
    /// Which presence documents are preferred, both ways.
    pub documents: Documents,
    /// What becomes of the text that the invitation to a conversation carries.
    pub embedded: Embedded,
    /// How typing is told.
    pub typing: Typing,
    /// What Subscription-State says until the XMPP user has decided.
    pub undecided: Undecided,
    /// Which subscriptions ask the XMPP user.
    pub ask_on: AskOn,
    /// How long a subscription without context lives before it asks, from 5 s to 10 min.
    pub ask_after: String,
    /// Whether answers to requests with a route set bring a Record-Route of ours.
    pub record_route: bool,
    /// What "busy" and "in a call" look like to XMPP users.
    pub busy_as: BusyAs,
    /// Silence after which a conversation is ended, from 1 min to 8 h.
    pub idle_bye: String,
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
            ask_after: "60s".to_owned(),
            record_route: false,
            busy_as: BusyAs::default(),
            idle_bye: "20m".to_owned(),
        }
    }
}

/// The answer to NEGOTIATE.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
pub enum Negotiate {
    /// 405: no such method.
    #[default]
    #[serde(rename = "405")]
    NotAllowed,
    /// 200 without compression.
    #[serde(rename = "200")]
    Plain,
}

/// The answer to a demand for BENOTIFY.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Benotify {
    /// Taken, and notified by NOTIFY.
    #[default]
    Accept,
    /// 420, so that the peer asks again without.
    Refuse,
}

/// Preferred presence documents.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Documents {
    /// Microsoft's own form, which knows "do not disturb" and notes; PIDF where it is not listed.
    #[default]
    Msrtc,
    /// PIDF.
    Pidf,
}

/// The text inside an invitation.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Embedded {
    /// It waits a moment for the message that may repeat it.
    #[default]
    Wait,
    /// It is announced as taken and delivered at once.
    Consume,
}

/// How typing is told.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Typing {
    /// INFO with KeyboardActivity.
    #[default]
    Info,
    /// MESSAGE with isComposing.
    Message,
}

/// What Subscription-State says until it is decided.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Undecided {
    /// active, with a closed document.
    #[default]
    Active,
    /// pending.
    Pending,
}

/// Which subscriptions ask.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AskOn {
    /// With context, or without a body, at once; any other after `ask_after`.
    #[default]
    Context,
    /// Each at once.
    Always,
}

/// What "busy" looks like.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BusyAs {
    /// Do not disturb.
    #[default]
    Dnd,
    /// Available, with the words as status.
    Available,
}

/// The dialect of a SIP peer: its switches, if it is Microsoft's. A duration that cannot be used
/// is found and stands at its default.
pub(super) fn load(loader: &mut Loader<'_>, path: &Path, peer: &Peer) -> Option<core::Microsoft> {
    let path = path.key("microsoft");
    let switches = &peer.microsoft;
    let default = core::Microsoft::default();
    let ask_after = loader.duration(&path.key("ask_after"), &switches.ask_after, ASK_AFTER);
    let idle_bye = loader.duration(&path.key("idle_bye"), &switches.idle_bye, IDLE_BYE);
    (peer.profile == SipDialect::Microsoft).then(|| core::Microsoft {
        negotiate: match switches.negotiate {
            Negotiate::NotAllowed => core::Negotiate::NotAllowed,
            Negotiate::Plain => core::Negotiate::Plain,
        },
        benotify: match switches.benotify {
            Benotify::Accept => core::Benotify::Accept,
            Benotify::Refuse => core::Benotify::Refuse,
        },
        piggyback: switches.piggyback,
        documents: match switches.documents {
            Documents::Msrtc => core::Documents::Msrtc,
            Documents::Pidf => core::Documents::Pidf,
        },
        embedded: match switches.embedded {
            Embedded::Wait => core::Embedded::Wait,
            Embedded::Consume => core::Embedded::Consume,
        },
        typing: match switches.typing {
            Typing::Info => core::Typing::Info,
            Typing::Message => core::Typing::Message,
        },
        undecided: match switches.undecided {
            Undecided::Active => core::Undecided::Active,
            Undecided::Pending => core::Undecided::Pending,
        },
        ask_on: match switches.ask_on {
            AskOn::Context => core::AskOn::Context,
            AskOn::Always => core::AskOn::Always,
        },
        ask_after: ask_after.unwrap_or(default.ask_after),
        record_route: switches.record_route,
        busy_as: match switches.busy_as {
            BusyAs::Dnd => core::BusyAs::Dnd,
            BusyAs::Available => core::BusyAs::Available,
        },
        idle_bye: idle_bye.unwrap_or(default.idle_bye),
    })
}
