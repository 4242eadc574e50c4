//! Names that the gateway makes itself: where the expected value stands for the real one.

use std::collections::{BTreeMap, BTreeSet};

/// What a name names; a value stands for another only within its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Branch,
    CallId,
    Contact,
    MessageId,
    StanzaId,
    Tag,
}

/// The names of one vector.
#[derive(Debug, Default)]
pub(crate) struct Names {
    real: BTreeMap<(Kind, String), String>,
    given: BTreeSet<(Kind, String)>,
}

impl Names {
    /// Takes note of a name that an input gave: it is not the gateway's.
    pub(crate) fn give(&mut self, kind: Kind, name: &str) {
        if !self.real.contains_key(&(kind, name.to_owned())) {
            self.given.insert((kind, name.to_owned()));
        }
    }

    /// Whether an input gave the name.
    pub(crate) fn is_given(&self, kind: Kind, name: &str) -> bool {
        self.given.contains(&(kind, name.to_owned()))
    }

    /// The real name for which `expected` stands, if it stands for another.
    pub(crate) fn real(&self, kind: Kind, expected: &str) -> Option<&str> {
        self.real
            .get(&(kind, expected.to_owned()))
            .map(String::as_str)
    }

    /// Compares a name of an output; a new name of the gateway's is bound.
    pub(crate) fn same(&mut self, kind: Kind, expected: &str, actual: &str) -> bool {
        if let Some(real) = self.real(kind, expected) {
            return real == actual;
        }
        if expected == actual {
            return true;
        }
        if self.is_given(kind, expected) || self.is_given(kind, actual) {
            return false;
        }
        self.real
            .insert((kind, expected.to_owned()), actual.to_owned());
        true
    }

    /// Every bound name of a kind, with the real one.
    pub(crate) fn bound(&self, kind: Kind) -> impl Iterator<Item = (&str, &str)> {
        let of_kind = move |((known, _), _): &(&(Kind, String), &String)| *known == kind;
        self.real
            .iter()
            .filter(of_kind)
            .map(|((_, expected), real)| (expected.as_str(), real.as_str()))
    }
}
