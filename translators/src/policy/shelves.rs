//! A sorted map that is cheap to copy for one change.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::sync::Arc;

use crate::policy::Verdict;

/// Parts of the map: a change copies one of them, a few hundred entries of 100,000, and not all.
const SHELVES: usize = 256;

/// What is decided on many keys. Copies share what they have in common.
#[derive(Clone, Debug)]
pub(super) struct Shelves<K> {
    /// Either none or [`SHELVES`] of them.
    shelves: Vec<Arc<BTreeMap<K, Verdict>>>,
    count: usize,
}

impl<K> Default for Shelves<K> {
    fn default() -> Self {
        Self {
            shelves: Vec::new(),
            count: 0,
        }
    }
}

impl<K: Clone + Hash + Ord> Shelves<K> {
    /// How many keys have a verdict.
    pub(super) const fn len(&self) -> usize {
        self.count
    }

    /// What is decided on a key.
    pub(super) fn find(&self, key: &K) -> Option<Verdict> {
        // Most gateways decide little one by one: nothing is hashed there.
        if self.count == 0 {
            return None;
        }
        self.shelves.get(place(key))?.get(key).copied()
    }

    /// Decides on a key; tells what was decided before.
    pub(super) fn set(&mut self, key: K, verdict: Verdict) -> Option<Verdict> {
        if self.shelves.is_empty() {
            self.shelves.resize_with(SHELVES, Arc::default);
        }
        let before = Arc::make_mut(self.shelves.get_mut(place(&key))?).insert(key, verdict);
        self.count += usize::from(before.is_none());
        before
    }

    /// Takes a decision back; tells what it was.
    pub(super) fn remove(&mut self, key: &K) -> Option<Verdict> {
        self.find(key)?;
        let before = Arc::make_mut(self.shelves.get_mut(place(key))?).remove(key);
        self.count -= usize::from(before.is_some());
        before
    }

    /// All that is decided, in an order that is always the same but says nothing.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, Verdict)> {
        let shelves = self.shelves.iter();
        shelves.flat_map(|shelf| shelf.iter().map(|(key, verdict)| (key, *verdict)))
    }
}

/// On which shelf a key stands.
fn place(key: &impl Hash) -> usize {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    usize::try_from(hasher.finish() % SHELVES as u64).unwrap_or_default()
}
