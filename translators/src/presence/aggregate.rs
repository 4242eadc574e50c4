//! The devices of one XMPP user as one SIP user sees them: stanzas come one by one, documents are
//! complete (RFC 3856 section 6.8).

use crate::limits;
use crate::mapping::presence::Report;
use crate::model::{PresenceState, Tuple, packed};

/// How devices become a document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Composition {
    /// One tuple for all of them: that of the most available. Some watchers read no more.
    Single,
    /// One tuple each.
    #[default]
    Tuples,
}

/// What is known of the devices of one XMPP user, packed: most of the time nobody looks at it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// Tuples in the order in which they were last heard of, and the name; empty if nothing was.
    packed: Box<[u8]>,
}

impl Resources {
    /// What a record kept; nothing, if the octets are no packed form.
    pub fn restore(record: &[u8]) -> Self {
        let packed = packed::unpack(record).map(|_| record.into());
        Self {
            packed: packed.unwrap_or_default(),
        }
    }

    /// The form for a record; [`PresenceState::unpack`] reads it too.
    pub fn as_bytes(&self) -> &[u8] {
        &self.packed
    }

    /// Whether nothing was heard of the user, so that nothing can be said of him.
    pub fn is_unknown(&self) -> bool {
        self.packed.is_empty()
    }

    /// Takes in what the user's server says; tells whether a watcher learns something by it.
    ///
    /// A device that closes stays as a closed tuple until it [was told](Self::told). What was never
    /// heard of needs no closing, unless nothing else is known.
    pub fn hear(&mut self, report: Report) -> bool {
        let mut devices = self.unpack();
        let name_is_new = report.name.is_some() && report.name != devices.name;
        devices.name = report.name.clone().or(devices.name);
        let is_new = if report.is_for_all() {
            devices.close_all(&report.tuple)
        } else if report.tuple.open {
            devices.open(report.tuple)
        } else {
            devices.close(report.tuple)
        };
        self.pack(&devices);
        is_new || name_is_new
    }

    /// Closes every device; tells whether one was open, or nothing known.
    pub fn close_all(&mut self) -> bool {
        let mut devices = self.unpack();
        let is_new = devices.close_all(&Tuple::closed(""));
        self.pack(&devices);
        is_new
    }

    /// Forgets closed devices, since every watcher was told; of the last ones one stays, so that the
    /// words of who is gone are kept.
    pub fn told(&mut self) {
        if self.is_unknown() {
            return;
        }
        let mut devices = self.unpack();
        let last = devices.tuples.last().cloned();
        devices.tuples.retain(|tuple| tuple.open);
        if devices.tuples.is_empty() {
            devices.tuples.extend(last);
        }
        self.pack(&devices);
    }

    /// Forgets everything.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// The user's state.
    pub fn state(&self, composition: Composition) -> PresenceState {
        let devices = self.unpack();
        let tuples = match composition {
            Composition::Tuples => devices.tuples,
            Composition::Single => devices.most_available().into_iter().collect(),
        };
        PresenceState::new(tuples).with_name(devices.name)
    }

    fn unpack(&self) -> Devices {
        let (tuples, name) = packed::unpack(&self.packed).unwrap_or_default();
        Devices { tuples, name }
    }

    fn pack(&mut self, devices: &Devices) {
        self.packed = packed::pack(&devices.tuples, devices.name.as_deref());
    }
}

/// The unpacked form.
struct Devices {
    tuples: Vec<Tuple>,
    name: Option<Box<str>>,
}

impl Devices {
    /// A device is there, in this state. If there are too many, the one that was heard of the
    /// longest time ago makes room.
    fn open(&mut self, tuple: Tuple) -> bool {
        let before = self.take(&tuple.device);
        let is_new = before.is_none_or(|before| !before.tells_same_as(&tuple));
        if self.tuples.len() >= limits::TUPLES {
            self.tuples.remove(0);
        }
        self.tuples.push(tuple);
        is_new
    }

    fn close(&mut self, tuple: Tuple) -> bool {
        let others = self
            .tuples
            .iter()
            .any(|it| it.open && it.device != tuple.device);
        let before = self.take(&tuple.device);
        let is_new = match &before {
            None if others => return false,
            None => self.tuples.iter().all(|other| !other.tells_same_as(&tuple)),
            Some(before) => !before.tells_same_as(&tuple),
        };
        if before.is_none() {
            // Nothing but closed devices is known: the newest words stand for them.
            self.tuples.clear();
        }
        self.tuples.push(tuple);
        is_new
    }

    fn close_all(&mut self, words: &Tuple) -> bool {
        let is_new = self.tuples.is_empty() || self.tuples.iter().any(|tuple| tuple.open);
        if self.tuples.is_empty() {
            self.tuples.push(words.clone());
        }
        for tuple in self.tuples.iter_mut().filter(|tuple| tuple.open) {
            *tuple = Tuple {
                notes: words.notes.clone(),
                since: words.since,
                ..Tuple::closed(&tuple.device)
            };
        }
        is_new
    }

    fn take(&mut self, device: &str) -> Option<Tuple> {
        let at = self.tuples.iter().position(|it| *it.device == *device)?;
        Some(self.tuples.remove(at))
    }

    /// The most available device, of equal ones the one with the highest priority, of those the one
    /// that was heard of last; one that wants no messages only if there is no other. It is not told
    /// apart from the user.
    fn most_available(&self) -> Option<Tuple> {
        let best = self.tuples.iter().max_by_key(|tuple| {
            let priority = tuple.priority.unwrap_or(0);
            let wants_messages = tuple.open && priority >= 0;
            (wants_messages, tuple.availability(), priority)
        })?;
        Some(Tuple {
            device: "".into(),
            ..best.clone()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Note, Show};

    fn report(tuple: Tuple) -> Report {
        Report { tuple, name: None }
    }

    fn open(device: &str) -> Report {
        report(Tuple::available(device))
    }

    fn shown(device: &str, show: Show) -> Report {
        report(Tuple {
            show: Some(show),
            ..Tuple::available(device)
        })
    }

    fn closed(device: &str, words: &str) -> Report {
        let note = Note {
            lang: None,
            text: words.into(),
        };
        report(Tuple {
            notes: [note].into(),
            ..Tuple::closed(device)
        })
    }

    fn heard(reports: impl IntoIterator<Item = Report>) -> Resources {
        let mut resources = Resources::default();
        for report in reports {
            resources.hear(report);
        }
        resources
    }

    fn devices(resources: &Resources) -> Vec<(String, bool)> {
        let state = resources.state(Composition::Tuples);
        let tuples = state.tuples().iter();
        tuples.map(|it| (it.device.to_string(), it.open)).collect()
    }

    fn device(name: &str, open: bool) -> (String, bool) {
        (name.to_owned(), open)
    }

    #[test]
    fn every_device_is_in_the_state() {
        let mut resources = Resources::default();
        assert!(resources.is_unknown());
        assert!(resources.hear(open("a")));
        assert!(resources.hear(open("b")));
        assert!(!resources.hear(open("a")));
        assert!(resources.hear(shown("a", Show::Away)));
        assert!(!resources.is_unknown());
        assert_eq!(devices(&resources), [device("a", true), device("b", true)]);

        let kept = Resources::restore(resources.as_bytes());
        assert_eq!(kept, resources);
        assert!(Resources::restore(b"odd").is_unknown());
        let state = PresenceState::unpack(resources.as_bytes());
        assert_eq!(state, Some(resources.state(Composition::Tuples)));
    }

    #[test]
    fn a_closed_device_is_told_once() {
        let mut resources = heard([open("a"), open("b")]);
        assert!(resources.hear(closed("a", "Bye")));
        assert_eq!(devices(&resources), [device("a", false), device("b", true)]);
        resources.told();
        assert_eq!(devices(&resources), [device("b", true)]);
        assert!(!resources.hear(closed("a", "Bye")));
        assert!(!resources.hear(closed("c", "never seen")));
        assert_eq!(devices(&resources), [device("b", true)]);

        assert!(resources.hear(closed("b", "Bye")));
        resources.told();
        assert_eq!(devices(&resources), [device("b", false)]);
        assert!(!resources.hear(closed("b", "Bye")));
        assert!(resources.hear(closed("c", "Gone")));
        assert_eq!(devices(&resources), [device("c", false)]);
        assert!(resources.hear(open("b")));
    }

    #[test]
    fn unavailable_from_the_bare_jid_closes_all() {
        let mut resources = heard([open("a"), shown("b", Show::Dnd)]);
        assert!(resources.hear(closed("", "Bye")));
        let state = resources.state(Composition::Tuples);
        assert_eq!(
            devices(&resources),
            [device("a", false), device("b", false)]
        );
        assert!(
            state
                .tuples()
                .iter()
                .all(|it| it.notes[0].text.as_ref() == "Bye")
        );
        resources.told();
        assert_eq!(devices(&resources), [device("b", false)]);
        assert!(!resources.close_all());

        let mut unknown = Resources::default();
        assert!(unknown.close_all());
        assert!(unknown.state(Composition::Tuples).is_offline() && !unknown.is_unknown());
        assert!(!unknown.close_all());
        unknown.forget();
        unknown.told();
        assert!(unknown.is_unknown());
    }

    #[test]
    fn a_name_is_kept_until_another_is_told() {
        let named = |name: &str| Report {
            name: Some(name.into()),
            ..open("a")
        };
        let mut resources = heard([open("a")]);
        assert!(resources.hear(named("Alice")));
        assert!(!resources.hear(open("a")) && !resources.hear(named("Alice")));
        assert_eq!(resources.state(Composition::Tuples).name(), Some("Alice"));
    }

    #[test]
    fn the_most_available_device_stands_for_all() {
        let with_priority = |device: &str, priority| {
            report(Tuple {
                priority: Some(priority),
                notes: closed("", device).tuple.notes,
                ..Tuple::available(device)
            })
        };
        let single = |reports: Vec<Report>| {
            let state = heard(reports).state(Composition::Single);
            assert_eq!(state.tuples().len(), 1);
            let tuple = &state.tuples()[0];
            assert!(tuple.device.is_empty());
            let words = tuple.notes.first().map(|note| note.text.to_string());
            (tuple.open, tuple.show, words)
        };
        let order = [Show::Xa, Show::Away, Show::Dnd, Show::Chat];
        for pair in order.windows(2) {
            let reports = vec![shown("a", pair[1]), shown("b", pair[0])];
            assert_eq!(single(reports), (true, Some(pair[1]), None));
        }
        let reports = vec![open("a"), shown("b", Show::Dnd)];
        assert_eq!(single(reports), (true, None, None));

        let told = |word: &str| (true, None, Some(word.to_owned()));
        let (low, high) = (with_priority("low", 1), with_priority("high", 2));
        assert_eq!(single(vec![high, low]), told("high"));
        let (first, second) = (with_priority("first", 1), with_priority("second", 1));
        assert_eq!(single(vec![second.clone(), first.clone()]), told("first"));
        assert_eq!(single(vec![first, second]), told("second"));
        let silent = with_priority("silent", -1);
        assert_eq!(single(vec![silent.clone()]), told("silent"));
        let reports = vec![shown("b", Show::Xa), silent.clone()];
        assert_eq!(single(reports), (true, Some(Show::Xa), None));
        assert_eq!(single(vec![closed("b", "Bye"), silent]), told("silent"));
        assert_eq!(
            single(vec![closed("b", "Bye")]),
            (false, None, Some("Bye".to_owned()))
        );
    }

    #[test]
    fn devices_are_bounded() {
        let resources = heard((0..100).map(|number| open(&format!("{number:03}"))));
        let devices = devices(&resources);
        assert_eq!(devices.len(), 32);
        assert_eq!(devices[0], device("068", true));
    }
}
