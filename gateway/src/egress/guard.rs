//! The peer fault guard: a SIP peer that refuses a large part of what it granted is not believed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use translators::limits;
use translators::model::{Mono, PeerId};

/// What each peer refused of late, and which of them are not believed.
#[derive(Debug, Default)]
pub(super) struct Guard {
    refusals: BTreeMap<PeerId, VecDeque<Mono>>,
    suspects: BTreeSet<PeerId>,
}

impl Guard {
    /// Takes note of a refusal by a peer that granted so many subscriptions. True if the peer is not
    /// believed from now on.
    pub(super) fn refused(&mut self, peer: &PeerId, granted: usize, now: Mono) -> bool {
        if self.is_suspect(peer) {
            return false;
        }
        let refusals = self.refusals.entry(peer.clone()).or_default();
        while refusals
            .pop_front_if(|at| now.since(*at) > limits::REFUSALS_WITHIN)
            .is_some()
        {}
        refusals.push_back(now);
        let count = refusals.len();
        let share = granted / limits::REFUSALS_SHARE;
        if count < limits::REFUSALS || count <= share {
            return false;
        }
        self.suspect(peer.clone());
        true
    }

    /// Believes a peer no longer.
    pub(super) fn suspect(&mut self, peer: PeerId) {
        self.refusals.remove(&peer);
        self.suspects.insert(peer);
    }

    /// Believes a peer again; false if it was believed.
    pub(super) fn believe(&mut self, peer: &PeerId) -> bool {
        self.suspects.remove(peer)
    }

    /// Whether a peer is not believed.
    pub(super) fn is_suspect(&self, peer: &PeerId) -> bool {
        self.suspects.contains(peer)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> Mono {
        Mono::from_start(Duration::from_secs(seconds))
    }

    fn peer() -> PeerId {
        PeerId::new("lync")
    }

    #[test]
    fn five_refusals_of_few_grants_within_a_minute_are_the_peers_fault() {
        let mut guard = Guard::default();
        for _ in 0..4 {
            assert!(!guard.refused(&peer(), 20, at(0)));
        }
        assert!(!guard.refused(&peer(), 20, at(61)), "the others are over");
        for _ in 0..3 {
            assert!(!guard.refused(&peer(), 20, at(62)));
        }
        assert!(guard.refused(&peer(), 20, at(121)));
        assert!(!guard.refused(&peer(), 20, at(121)), "that is no news");
        assert!(guard.is_suspect(&peer()));
    }

    #[test]
    fn a_twentieth_of_many_grants_is_not_enough() {
        let mut guard = Guard::default();
        for refusal in 1..=50 {
            assert!(!guard.refused(&peer(), 1_000, at(0)), "{refusal}");
        }
        assert!(guard.refused(&peer(), 1_000, at(0)), "more than 5 %");
    }

    #[test]
    fn a_peer_that_is_believed_again_starts_anew() {
        let mut guard = Guard::default();
        assert!(!guard.believe(&peer()));
        guard.suspect(peer());
        assert!(guard.believe(&peer()));
        for _ in 0..4 {
            assert!(!guard.refused(&peer(), 5, at(0)));
        }
        assert!(guard.refused(&peer(), 5, at(0)));
    }
}
