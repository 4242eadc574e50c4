//! What is known of the XMPP user.

use std::sync::Arc;

use crate::limits;
use crate::mapping::presence::Report;
use crate::model::{PresenceState, Tuple, Wall};
use crate::presence::notifier::probe::Heard;
use crate::presence::notifier::{Link, Scene};
use crate::presence::{Composition, Resources};

/// What is known of the XMPP user as this watcher may learn it. Watchers of one user who know the
/// same share it in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// None: nothing is known.
    resources: Option<Arc<Resources>>,
    /// When he was last heard of in this run; the epoch if he was not.
    heard_at: Wall,
}

impl Seen {
    /// What an earlier run knew.
    pub(super) fn restored(resources: Resources) -> Self {
        Self {
            resources: (!resources.is_unknown()).then(|| Arc::new(resources)),
            heard_at: Wall::default(),
        }
    }

    /// Whether anything is known.
    pub(super) const fn is_known(&self) -> bool {
        self.resources.is_some()
    }

    /// What is known, for the record.
    pub(super) fn record(&self) -> Option<&[u8]> {
        Some(self.resources.as_ref()?.as_bytes())
    }

    /// Takes presence of one resource, or of all; tells whether a watcher learns anything from it.
    pub(super) fn hear(&mut self, report: Report, now: Wall) -> bool {
        self.change(now, |resources| resources.hear(report))
    }

    /// Takes note that the user cannot be reached; tells whether a watcher learns anything from it.
    pub(super) fn close(&mut self, now: Wall) -> bool {
        self.change(now, Resources::close_all)
    }

    /// Changes what is known. What stays as it is stays shared: after a start every user says again
    /// what was known of him.
    fn change(&mut self, now: Wall, change: impl FnOnce(&mut Resources) -> bool) -> bool {
        self.heard_at = now;
        let known = self.resources.get_or_insert_default();
        if let Some(own) = Arc::get_mut(known) {
            return change(own);
        }
        let mut changed = Resources::clone(known);
        let news = change(&mut changed);
        if changed != **known {
            *known = Arc::new(changed);
        }
        news
    }

    /// Takes the answer to a probe as what there is: other devices are gone, and with no answer all
    /// of them. Tells whether a watcher learns anything from it.
    pub(super) fn close_but(&mut self, heard: &Heard, now: Wall) -> bool {
        if heard.is_empty() {
            return self.close(now);
        }
        let state = self.state(Composition::Tuples);
        let gone = state.open().filter(|tuple| !heard.contains(&tuple.device));
        let gone: Vec<_> = gone.map(|tuple| Tuple::closed(&tuple.device)).collect();
        let mut news = false;
        for tuple in gone {
            news |= self.hear(Report { tuple, name: None }, now);
        }
        news
    }

    /// Takes note that every watcher of this relation knows who is gone.
    pub(super) fn told(&mut self) {
        let Some(resources) = &mut self.resources else {
            return;
        };
        let mut told = Resources::clone(resources);
        told.told();
        if told != **resources {
            *resources = Arc::new(told);
        }
    }

    /// Keeps it where an equal one of the same user is kept; tells whether it was equal.
    pub(super) fn share(&mut self, other: &Self) -> bool {
        match (&mut self.resources, &other.resources) {
            (Some(mine), Some(theirs)) if mine == theirs => {
                *mine = Arc::clone(theirs);
                true
            }
            (Some(_) | None, _) => false,
        }
    }

    /// The state, empty if nothing is known.
    pub(super) fn state(&self, composition: Composition) -> PresenceState {
        let state = self
            .resources
            .as_ref()
            .map(|known| known.state(composition));
        state.unwrap_or_default()
    }

    /// When he was last heard of in this run.
    pub(super) fn heard_at(&self) -> Option<Wall> {
        (self.heard_at != Wall::default()).then_some(self.heard_at)
    }

    /// Whether it may be out of date: nothing was heard for a long time, or his server could not
    /// reach us meanwhile.
    pub(super) fn is_stale(&self, scene: &Scene) -> bool {
        let Link::Up(since) = scene.xmpp else {
            return true;
        };
        let now = scene.now.wall;
        self.heard_at < since.wall || now.since(self.heard_at) >= limits::PRESENCE_STALE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(tuple: Tuple) -> Report {
        Report { tuple, name: None }
    }

    #[test]
    fn what_is_said_again_stays_shared() {
        let now = Wall::from_unix_millis(1);
        let mut one = Seen::default();
        one.hear(report(Tuple::available("a")), now);
        let mut other = one.clone();
        let shared = |one: &Seen, other: &Seen| {
            let [one, other] = [one, other].map(|seen| seen.resources.as_ref().unwrap());
            Arc::ptr_eq(one, other)
        };

        assert!(!one.hear(report(Tuple::available("a")), now));
        assert!(shared(&one, &other));
        assert!(one.hear(report(Tuple::closed("a")), now));
        assert!(!shared(&one, &other));
        assert!(other.close(now));
        assert!(one.share(&other));
        assert!(!one.close(now));
        assert!(shared(&one, &other));
    }
}
