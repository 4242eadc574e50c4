//! The switches of the Microsoft profile. Doc comments speak to operators, as in [`super::schema`].

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use translators::limits;
use translators::model::microsoft as core;

use crate::config::document::Path;
use crate::config::fault::Fault;
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

/// Settings that mean something for `profile = "microsoft"` only.
const ONLY: [&str; 2] = ["microsoft", "allow_listed"];

/// Says which settings belong to the other profile.
pub(super) fn right_profile(loader: &mut Loader<'_>, path: &Path, peer: &Peer) {
    for key in ONLY {
        let path = path.key(key);
        if peer.profile == SipDialect::Generic && loader.names(&path) {
            let sentence = format!("{key} means nothing for a peer without the Microsoft profile.");
            let fix = "Add profile = \"microsoft\" to the peer, or remove it.";
            loader.error(Fault::WrongProfile, &path, sentence, fix);
        }
    }
}

/// Messages a second that may go to a peer: an edge that does not have us on its list takes 20 of a
/// partner, and slows the partner down who sends more.
pub(super) fn cap(peer: &Peer) -> Option<u32> {
    let held = peer.profile == SipDialect::Microsoft && !peer.allow_listed;
    held.then_some(limits::MICROSOFT_CAP)
}

/// Octets of a page-mode MESSAGE, where the file does not say.
pub(super) fn page_limit(peer: &Peer) -> usize {
    match peer.profile {
        SipDialect::Generic => limits::PAGE,
        SipDialect::Microsoft => limits::SIP_BODY,
    }
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

#[cfg(test)]
mod tests {
    use translators::model::PeerId;

    use super::*;
    use crate::config::testing::{NOW, WORKING, folder};
    use crate::config::{Config, load_text};

    fn load(settings: &str) -> (Option<Config>, Vec<&'static str>) {
        let folder = folder();
        let text = WORKING.replace("page_limit = 8000", settings);
        let (config, findings) = load_text(&folder.path().join("isthmus.toml"), &text, NOW);
        (config, findings.iter().map(|finding| finding.id).collect())
    }

    #[test]
    fn the_profile_needs_nothing_more() {
        let config = load("profile = \"microsoft\"").0.unwrap();
        let id = PeerId::new("kamailio");

        let profile = config.directory.peer(&id).unwrap().sip().unwrap();
        assert_eq!(profile.microsoft, Some(core::Microsoft::default()));
        assert_eq!((profile.page_limit, profile.chat), (256 * 1_024, true));
        assert_eq!(config.peers[&id].cap(), Some(15));

        let listed = "profile = \"microsoft\"\nallow_listed = true\npage_limit = 900";
        let config = load(listed).0.unwrap();
        let profile = config.directory.peer(&id).unwrap().sip().unwrap();
        assert_eq!(profile.page_limit, 900);
        let peer = &config.peers[&id];
        assert_eq!((peer.cap(), peer.pace()), (None, Some(500)));

        let config = load("").0.unwrap();
        let profile = config.directory.peer(&id).unwrap().sip().unwrap();
        assert_eq!((profile.page_limit, profile.chat), (1_300, false));
        assert_eq!(config.peers[&id].cap(), None);
    }

    #[test]
    fn its_settings_mean_nothing_without_it() {
        let wrong = ["config-wrong-profile"];

        assert_eq!(load("allow_listed = true").1, wrong);
        assert_eq!(load("[peer.microsoft]\npiggyback = false").1, wrong);
        let right = "profile = \"microsoft\"\n[peer.microsoft]\npiggyback = false";
        assert!(load(right).0.is_some());
    }
}
