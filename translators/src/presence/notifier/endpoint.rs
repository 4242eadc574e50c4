//! One subscription of the SIP user, and what he is shown in it.

use std::hash::{Hash as _, Hasher};

use crate::documents::presence::Format;
use crate::model::{Mono, PresenceState, Wall};
use crate::presence::Composition;
use crate::presence::notifier::seen::Seen;
use crate::presence::notifier::{Body, Scene};
use crate::sip::{Dialog, Tag};

/// What an initial SUBSCRIBE asks for, in the dialog that it makes.
#[derive(Debug)]
pub struct Subscribe {
    /// The dialog.
    pub dialog: Dialog,
    /// The format of documents.
    pub format: Format,
    /// Seconds that are granted; 0 fetches the state once.
    pub expires: u32,
    /// Whether it only looks at the user, without adding him to a contact list.
    pub look: bool,
    /// Whether the answer is to carry the first document, in place of a NOTIFY ([MS-SIP] section
    /// 3.4).
    pub piggyback: bool,
}

/// What a watcher is shown while his subscription lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Show {
    /// Active, with a document that says that the user is offline, whatever he is.
    Closed,
    /// Active, with what is known; nothing if nothing is known.
    Current,
    /// Pending: without a document, or with one as [`Show::Closed`] where the peer needs it
    /// ([`Scene::closes`]).
    Pending,
}

/// What a watcher was shown by the last NOTIFY.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shown(u64);

/// Whether a NOTIFY that the watcher's side refused for now is sent again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Again {
    /// None was refused.
    #[default]
    No,
    /// It is, at this time.
    At(Mono),
    /// It was.
    Was,
}

/// One subscription of the SIP user.
#[derive(Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its dialog.
    pub(super) dialog: Dialog,
    /// The format of its documents.
    pub(super) format: Format,
    /// When it ends.
    pub(super) expires_at: Wall,
    /// What it was shown last.
    pub(super) shown: Shown,
    /// Whether a NOTIFY is sent again.
    pub(super) again: Again,
}

impl Endpoint {
    /// A new subscription, to which nothing was shown yet.
    pub(super) fn new(subscribe: Subscribe, scene: &Scene) -> Self {
        let Subscribe {
            dialog,
            format,
            expires,
            look: _,
            piggyback: _,
        } = subscribe;
        Self {
            dialog,
            format,
            expires_at: until(scene, expires),
            shown: Shown::NOTHING,
            again: Again::No,
        }
    }

    /// Its tag.
    pub const fn tag(&self) -> Tag {
        self.dialog.tag()
    }

    /// Its dialog.
    pub const fn dialog(&self) -> &Dialog {
        &self.dialog
    }

    /// Its dialog, to take and make requests in it.
    pub const fn dialog_mut(&mut self) -> &mut Dialog {
        &mut self.dialog
    }

    /// The format of its documents.
    pub const fn format(&self) -> Format {
        self.format
    }

    /// When it ends.
    pub const fn expires_at(&self) -> Wall {
        self.expires_at
    }

    /// Whether the last NOTIFY did not arrive, or none was sent in this run.
    pub(super) fn is_owed(&self) -> bool {
        self.shown == Shown::NOTHING
    }

    /// What its last NOTIFY carries where the watcher stops by himself: he must not go on to believe
    /// that the user is available.
    pub(super) fn farewell(&self, scene: &Scene) -> Body {
        if self.shown == Shown::PENDING {
            scene.nothing()
        } else {
            Body::Closed
        }
    }
}

/// When a subscription of so many seconds ends.
pub(super) fn until(scene: &Scene, expires: u32) -> Wall {
    scene.now.wall + std::time::Duration::from_secs(u64::from(expires))
}

impl Shown {
    /// Nothing, or a NOTIFY that did not arrive: he is to be shown what there is.
    pub(super) const NOTHING: Self = Self(0);
    /// That it is undecided.
    pub(super) const PENDING: Self = Self(1);
    const CLOSED: Self = Self(2);
    /// Active without a document.
    pub(super) const UNKNOWN: Self = Self(3);

    /// What this makes him see.
    pub(super) fn of(show: Show, seen: &Seen, composition: Composition) -> Self {
        match show {
            Show::Closed => Self::CLOSED,
            Show::Pending => Self::PENDING,
            Show::Current if seen.is_known() => Self(digest(&seen.state(composition), composition)),
            Show::Current => Self::UNKNOWN,
        }
    }

    /// Whether one who was shown this knows what is to be shown now. To a watcher who looks at
    /// nothing but documents, one that says offline and none at all are the same.
    pub(super) fn tells(self, shown: Self, scene: &Scene) -> bool {
        let same = scene.closes.is_some() && shown == Self::UNKNOWN;
        self == shown || (same && self == Self::CLOSED)
    }

    /// The number that names it, for an entity tag.
    pub(super) const fn number(self) -> u64 {
        self.0
    }
}

/// Digest of what a watcher learns from a state: equal for states that tell the same.
fn digest(state: &PresenceState, composition: Composition) -> u64 {
    let many = composition == Composition::Tuples;
    let mut fnv = Fnv(0xcbf2_9ce4_8422_2325);
    let offline = state.is_offline();
    (state.name(), offline).hash(&mut fnv);
    let telling = state.tuples().iter();
    for tuple in telling.filter(|tuple| tuple.open || (offline && !tuple.notes.is_empty())) {
        // One tuple stands for all devices: which of them it is, is not told.
        let device = Some(&tuple.device).filter(|_| tuple.open && many);
        let priority = tuple.priority.filter(|_| many);
        let show = tuple.show.map(|show| show.as_str());
        let idle = tuple.idle_since.map(Wall::unix_millis);
        (device, show, priority, idle).hash(&mut fnv);
        for note in &tuple.notes {
            (&note.lang, &note.text).hash(&mut fnv);
        }
        0_u8.hash(&mut fnv);
    }
    fnv.finish().max(4)
}

/// FNV-1a.
struct Fnv(u64);

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
