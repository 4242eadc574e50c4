//! What the watcher sees of the presentity.

use crate::limits;
use crate::model::{Mono, Now, PresenceState, Tuple, Wall};
use crate::presence::subscriber::Action;

/// The last known state of the presentity, and whether the watcher was told.
#[derive(Clone, Debug, Default)]
pub(super) struct Screen {
    /// Packed, since there are millions.
    known: Option<Box<[u8]>>,
    told: Told,
    /// When it was last changed.
    since: Wall,
    /// When the peer last said something, if it did since the start.
    pub(super) heard_at: Option<Mono>,
    /// When what is shown is no longer believed.
    pub(super) grace: Option<Mono>,
    /// Devices of whose end the watcher's server does not know yet.
    ghosts: Ghosts,
    /// Whether the record is no longer right.
    dirty: bool,
}

/// Names of devices, out of the way: most watchers know of every end.
#[derive(Clone, Debug, Default)]
struct Ghosts(Option<Box<Names>>);

/// At least one name.
#[derive(Clone, Debug, Default)]
struct Names(Vec<Box<str>>);

/// What the watcher was told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Told {
    /// That the presentity is not there, or nothing.
    #[default]
    Nothing,
    /// What is known.
    Known,
    /// What is known or something older: an earlier run told it.
    Stale,
}

impl Screen {
    /// Takes what a NOTIFY says, or that it says nothing.
    pub(super) fn take(&mut self, said: Option<PresenceState>, now: Now) -> Option<Action> {
        self.grace = None;
        self.heard_at = Some(now.mono);
        let told = std::mem::replace(&mut self.told, Told::Known);
        let before = self.known();
        self.dirty |= told == Told::Nothing;
        let Some(state) = said else {
            return match (told, before) {
                (Told::Known, _) => None,
                (Told::Nothing | Told::Stale, Some(_)) => Some(Action::Show { to: None }),
                (Told::Nothing | Told::Stale, None) => {
                    self.told = told;
                    None
                }
            };
        };
        let same = before.as_ref().is_some_and(|one| one.tells_same_as(&state));
        if !same {
            self.since = now.wall;
            self.dirty = true;
        }
        self.known = Some(state.pack());
        match (told, before) {
            (Told::Known, Some(_)) if same => None,
            (Told::Known, Some(before)) => Some(Action::Update { before }),
            (Told::Stale, Some(before)) => Some(Action::Replay { before }),
            (Told::Known | Told::Nothing | Told::Stale, None) | (Told::Nothing, Some(_)) => {
                Some(Action::Show { to: None })
            }
        }
    }

    /// Shows the present state, to one device or to all: that of the presentity, or that he is not
    /// there.
    pub(super) fn replay(&mut self, to: Option<Box<str>>) -> Action {
        match (self.told, &self.known) {
            (Told::Known | Told::Stale, Some(_)) => Action::Show { to },
            (Told::Known | Told::Stale, None) | (Told::Nothing, _) => Action::Unavailable { to },
        }
    }

    /// Tells that the presentity is not there any more, for each device that was shown.
    pub(super) fn withdraw(&mut self) -> Option<Action> {
        self.grace = None;
        let told = std::mem::take(&mut self.told);
        self.dirty |= told != Told::Nothing;
        let before = self.known()?;
        let shown = told != Told::Nothing && !before.is_offline();
        shown.then_some(Action::Withdraw { before })
    }

    /// Forgets what is known; it is shown to nobody any more.
    pub(super) fn forget(&mut self) {
        *self = Self {
            dirty: self.dirty || self.is_shown(),
            ghosts: std::mem::take(&mut self.ghosts),
            ..Self::default()
        };
    }

    /// Takes note that the watcher was told that the presentity is not there.
    pub(super) fn blank(&mut self) {
        self.dirty |= self.is_shown();
        self.told = Told::Nothing;
        self.grace = None;
    }

    /// Begins to doubt what is shown.
    pub(super) fn doubt(&mut self, now: Mono) {
        if self.told != Told::Nothing && self.grace.is_none() {
            self.grace = Some(now + limits::STALE_GRACE);
        }
    }

    /// What is known.
    pub(super) fn known(&self) -> Option<PresenceState> {
        PresenceState::unpack(self.known.as_ref()?)
    }

    /// Since when it is so.
    pub(super) const fn since(&self) -> Wall {
        self.since
    }

    /// Whether the watcher sees something.
    pub(super) fn is_shown(&self) -> bool {
        self.told != Told::Nothing
    }

    /// Whether nothing was heard for a minute.
    pub(super) fn is_old(&self, now: Mono) -> bool {
        self.heard_at
            .is_none_or(|at| now.since(at) > limits::FRESH_FOR)
    }

    /// Whether the record has to be written; asked once.
    pub(super) const fn take_dirty(&mut self) -> bool {
        std::mem::replace(&mut self.dirty, false)
    }

    /// Remembers a device of whose end the watcher's server does not know yet.
    pub(super) fn haunt(&mut self, device: &str) {
        self.dirty |= self.ghosts.insert(device);
    }

    /// Forgets such a device: its end is known.
    pub(super) fn exorcise(&mut self, device: &str) {
        self.dirty |= self.ghosts.remove(device);
    }

    /// Forgets all of them.
    pub(super) fn lay(&mut self) {
        self.dirty |= self.is_haunted();
        self.ghosts = Ghosts::default();
    }

    /// What to take back of them: those that have not come back.
    pub(super) fn ghosts(&self) -> Option<PresenceState> {
        let known = self.known().filter(|_| self.is_shown());
        let is_open = |device: &str| {
            let tuple = known.as_ref().and_then(|known| known.tuple(device));
            tuple.is_some_and(|tuple| tuple.open)
        };
        let gone = self.ghosts.names().filter(|device| !is_open(device));
        let gone: Vec<Tuple> = gone.map(Tuple::available).collect();
        (!gone.is_empty()).then(|| PresenceState::new(gone))
    }

    /// The record; none if nothing is shown. It has the time of the last change, the ghosts with the
    /// length of their names in front, and the state.
    pub(super) fn record(&self) -> Option<Vec<u8>> {
        let state = self.known.as_deref().filter(|_| self.is_shown());
        if state.is_none() && !self.is_haunted() {
            return None;
        }
        let since = self.since.unix_millis().to_be_bytes();
        let ghosts = self.ghosts.names().collect::<Vec<_>>().join("\n");
        let length = u32::try_from(ghosts.len()).ok()?.to_be_bytes();
        let state = state.unwrap_or_default();
        Some([since.as_slice(), &length, ghosts.as_bytes(), state].concat())
    }

    /// Takes up what an earlier run has shown; returns whether it can be read.
    pub(super) fn restore(&mut self, body: &[u8]) -> bool {
        self.read(body).is_some()
    }

    fn read(&mut self, body: &[u8]) -> Option<()> {
        let (since, rest) = body.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (ghosts, state) = rest.split_at_checked(length)?;
        let ghosts = std::str::from_utf8(ghosts).ok()?.split('\n');
        let ghosts = ghosts.filter(|ghost| !ghost.is_empty());
        for ghost in ghosts {
            self.ghosts.insert(ghost);
        }
        if !state.is_empty() {
            PresenceState::unpack(state)?;
            self.known = Some(state.into());
            self.since = Wall::from_unix_millis(i64::from_be_bytes(*since));
            self.told = Told::Stale;
        }
        Some(())
    }

    /// Whether there is something to take back that got lost.
    pub(super) const fn is_haunted(&self) -> bool {
        self.ghosts.0.is_some()
    }
}

impl Ghosts {
    fn names(&self) -> impl Iterator<Item = &str> {
        let names = self.0.iter().flat_map(|names| &names.0);
        names.map(|name| &**name)
    }

    /// Adds a name, unless there are as many as may be; returns whether it did.
    fn insert(&mut self, name: &str) -> bool {
        let Names(names) = &mut **self.0.get_or_insert_default();
        let is_new = names.len() < limits::GHOSTS && names.iter().all(|known| **known != *name);
        if is_new {
            names.push(name.into());
        }
        is_new
    }

    /// Removes a name; returns whether it was there.
    fn remove(&mut self, name: &str) -> bool {
        let Some(Names(names)) = self.0.as_deref_mut() else {
            return false;
        };
        let before = names.len();
        names.retain(|known| **known != *name);
        let fewer = names.len() < before;
        if names.is_empty() {
            self.0 = None;
        }
        fewer
    }
}
