//! Presence in neutral form.

use serde::{Deserialize, Serialize};

use crate::model::Wall;

/// Everything that is known of one user's presence: a complete state, never a difference
/// (RFC 3856 section 6.8). Without an open tuple the user is offline.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PresenceState {
    /// By device, each at most once.
    #[serde(rename = "t")]
    tuples: Box<[Tuple]>,
    /// The user's display name.
    #[serde(rename = "n", default, skip_serializing_if = "Option::is_none")]
    name: Option<Box<str>>,
}

impl PresenceState {
    /// The state that these tuples make, in order of their devices. Of two with one device an open
    /// one stands before a closed one, else the later one before the earlier.
    pub fn new(tuples: impl IntoIterator<Item = Tuple>) -> Self {
        let mut kept: Vec<Tuple> = Vec::new();
        for tuple in tuples {
            let place = kept.binary_search_by(|other| other.device.cmp(&tuple.device));
            let (Ok(at) | Err(at)) = place;
            match kept.get_mut(at).filter(|_| place.is_ok()) {
                None => kept.insert(at, tuple),
                Some(same) if tuple.open || !same.open => *same = tuple,
                Some(_) => {}
            }
        }
        Self {
            tuples: kept.into_boxed_slice(),
            name: None,
        }
    }

    /// Adds the user's display name.
    #[must_use]
    pub fn with_name(mut self, name: Option<Box<str>>) -> Self {
        self.name = name;
        self
    }

    /// Its tuples, in order of their devices.
    pub const fn tuples(&self) -> &[Tuple] {
        &self.tuples
    }

    /// The user's display name.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The tuples of devices that can be reached.
    pub fn open(&self) -> impl Iterator<Item = &Tuple> {
        self.tuples.iter().filter(|tuple| tuple.open)
    }

    /// The tuple of a device.
    pub fn tuple(&self, device: &str) -> Option<&Tuple> {
        let tuples = &self.tuples;
        let at = tuples.binary_search_by(|tuple| (*tuple.device).cmp(device));
        tuples.get(at.ok()?)
    }

    /// The open tuple of the device that is most available; ties go by priority, then to the one
    /// whose state is told to be the newest. A device that wants no messages, with a priority below
    /// zero, stands back behind every other.
    pub fn most_available(&self) -> Option<&Tuple> {
        self.open().max_by_key(|tuple| {
            let priority = tuple.priority.unwrap_or(0);
            (priority >= 0, tuple.availability(), priority, tuple.since)
        })
    }

    /// Whether no device can be reached.
    pub fn is_offline(&self) -> bool {
        self.open().next().is_none()
    }

    /// Whether a watcher who knows this state learns nothing from `other`. Closed tuples beside open
    /// ones say nothing, of an offline user only the words count, and the time since when something
    /// is so is no news.
    pub fn tells_same_as(&self, other: &Self) -> bool {
        let (mine, theirs): (Vec<_>, Vec<_>) =
            (self.telling().collect(), other.telling().collect());
        let mut pairs = mine.iter().zip(&theirs);
        let offline = self.is_offline();
        other.is_offline() == offline
            && (offline || self.name == other.name)
            && mine.len() == theirs.len()
            && pairs.all(|(one, other)| one.tells_same_as(other))
    }

    /// The tuples that tell a watcher something.
    fn telling(&self) -> impl Iterator<Item = &Tuple> {
        let offline = self.is_offline();
        let tuples = self.tuples.iter();
        tuples.filter(move |tuple| tuple.open || (offline && !tuple.notes.is_empty()))
    }
}

/// What is known of one device, or of one service of a SIP user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tuple {
    /// The XMPP resource that it is or becomes; empty where the XMPP side named none.
    #[serde(rename = "d")]
    pub device: Box<str>,
    /// Whether it can be reached.
    #[serde(rename = "o")]
    pub open: bool,
    /// How it wants to be reached; none for plainly available, and none of a closed one.
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    pub show: Option<Show>,
    /// Words for people, the first of each language.
    #[serde(rename = "n", default, skip_serializing_if = "is_empty")]
    pub notes: Box<[Note]>,
    /// Its rank among the user's devices (RFC 6121 section 4.7.2.3), none where none was named.
    /// Below zero the other side is not told.
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i8>,
    /// Since when nobody uses it.
    #[serde(rename = "i", default, skip_serializing_if = "Option::is_none")]
    pub idle_since: Option<Wall>,
    /// Since when all this is so, where that was told with it and is not just now.
    #[serde(rename = "w", default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Wall>,
}

impl Tuple {
    /// An available device of which nothing else is known.
    pub fn available(device: &str) -> Self {
        Self {
            open: true,
            ..Self::closed(device)
        }
    }

    /// A device that cannot be reached.
    pub fn closed(device: &str) -> Self {
        Self {
            device: device.into(),
            ..Self::default()
        }
    }

    /// How available it is: chat 5, plainly available 4, dnd 3, away 2, xa 1, closed 0.
    pub const fn availability(&self) -> u8 {
        match self.show {
            _ if !self.open => 0,
            Some(Show::Chat) => 5,
            None => 4,
            Some(Show::Dnd) => 3,
            Some(Show::Away) => 2,
            Some(Show::Xa) => 1,
        }
    }

    /// Whether a watcher who knows this tuple learns nothing from `other`.
    pub fn tells_same_as(&self, other: &Self) -> bool {
        let closed = !self.open && !other.open;
        let same_device = closed || self.device == other.device;
        let how = |it: &Self| (it.open, it.show, it.priority, it.idle_since);
        same_device && how(self) == how(other) && self.notes == other.notes
    }
}

/// How somebody wants to be reached (RFC 6121 section 4.7.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Show {
    /// Is not there.
    Away,
    /// Wants to talk.
    Chat,
    /// Does not want to be disturbed.
    Dnd,
    /// Is not there for a long time.
    Xa,
}

impl Show {
    /// The word both sides have for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Away => "away",
            Self::Chat => "chat",
            Self::Dnd => "dnd",
            Self::Xa => "xa",
        }
    }

    /// Reads that word; none for an empty or unknown one, which is plainly available.
    pub fn parse(text: &str) -> Option<Self> {
        match text.trim() {
            "away" => Some(Self::Away),
            "chat" => Some(Self::Chat),
            "dnd" => Some(Self::Dnd),
            "xa" => Some(Self::Xa),
            _ => None,
        }
    }
}

/// Words about somebody's presence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Their language as a BCP 47 tag.
    #[serde(rename = "l", default, skip_serializing_if = "Option::is_none")]
    pub lang: Option<Box<str>>,
    /// The words, free of characters XML forbids.
    #[serde(rename = "t")]
    pub text: Box<str>,
}

fn is_empty(notes: &[Note]) -> bool {
    notes.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_show(device: &str, show: Show) -> Tuple {
        Tuple {
            show: Some(show),
            ..Tuple::available(device)
        }
    }

    #[test]
    fn a_device_stands_once_and_open_wins() {
        let state = PresenceState::new([
            with_show("b", Show::Away),
            Tuple::available("a"),
            Tuple::closed("b"),
            with_show("a", Show::Dnd),
        ]);

        let devices: Vec<_> = state.tuples().iter().map(|one| &*one.device).collect();
        assert_eq!(devices, ["a", "b"]);
        assert_eq!(state.tuple("a"), Some(&with_show("a", Show::Dnd)));
        assert_eq!(state.tuple("b"), Some(&with_show("b", Show::Away)));
        assert_eq!(state.tuple("c"), None);
    }

    #[test]
    fn a_state_tells_what_a_watcher_can_learn() {
        let open = PresenceState::new([Tuple::available("a")]);
        let beside = PresenceState::new([Tuple::available("a"), Tuple::closed("b")]);
        let later = PresenceState::new([Tuple {
            since: Some(Wall::from_unix_millis(1)),
            ..Tuple::available("a")
        }]);
        assert!(open.tells_same_as(&beside) && open.tells_same_as(&later));
        assert_ne!(open, later);

        let offline = PresenceState::new([Tuple::closed("b")]);
        assert!(offline.is_offline() && !beside.is_offline());
        assert!(offline.tells_same_as(&PresenceState::default()));
        let words = Note {
            lang: None,
            text: "Gone".into(),
        };
        let gone = PresenceState::new([Tuple {
            notes: [words].into(),
            ..Tuple::closed("b")
        }]);
        assert!(!offline.tells_same_as(&gone) && !gone.tells_same_as(&offline));
        let named = |state: &PresenceState| state.clone().with_name(Some("Alice".into()));
        assert!(named(&offline).tells_same_as(&offline));
        for other in [
            PresenceState::default(),
            PresenceState::new([with_show("a", Show::Away)]),
            named(&open),
            offline,
        ] {
            assert!(!open.tells_same_as(&other), "{other:?}");
        }
    }

    #[test]
    fn shows_have_one_word() {
        for show in [Show::Away, Show::Chat, Show::Dnd, Show::Xa] {
            assert_eq!(Show::parse(&format!(" {}\n", show.as_str())), Some(show));
        }
        assert_eq!(Show::parse(""), None);
        assert_eq!(Show::parse("busy"), None);
    }
}
