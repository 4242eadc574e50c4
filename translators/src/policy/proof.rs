//! Proofs that policy was asked.

use crate::model::Pair;
use crate::policy::Decision;

/// A thing that policy let through; only [`crate::policy::Policy::admit`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted<T> {
    pub(super) pair: Pair,
    pub(super) thing: T,
}

impl<T> Admitted<T> {
    /// The pair it was admitted for.
    pub const fn pair(&self) -> &Pair {
        &self.pair
    }

    /// What was admitted.
    pub const fn thing(&self) -> &T {
        &self.thing
    }

    /// Changes what is told of it; the pair stays the one that was admitted.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut T)) -> Self {
        change(&mut self.thing);
        self
    }
}

/// The pair may not exchange messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("policy does not let this pair exchange")]
pub struct Denied(pub(super) Decision);

impl Denied {
    /// What was decided instead of allow.
    pub const fn decision(self) -> Decision {
        self.0
    }
}

/// Proof that the presence of one user of a pair may be shown to the other now; only
/// [`crate::policy::Policy::may_see`] makes one. It is asked for when a document or stanza is
/// written, and not Clone: ask again for the next one.
#[derive(Debug, PartialEq, Eq)]
pub struct Disclosure {
    pub(super) pair: Pair,
}

impl Disclosure {
    /// Who may see whom.
    pub const fn pair(&self) -> &Pair {
        &self.pair
    }
}
