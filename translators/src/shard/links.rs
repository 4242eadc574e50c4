//! Which peers can be reached, and since when.

use std::collections::BTreeMap;

use crate::model::{Now, PeerId};
use crate::presence::notifier::Link;

/// Whether each peer can be reached. One of which nothing was told counts as reachable: links are
/// dialled when something is to be sent.
#[derive(Debug, Default)]
pub(super) struct Links {
    told: BTreeMap<PeerId, Link>,
}

impl Links {
    /// Whether a peer can be reached, and since when.
    pub(super) fn of(&self, peer: &PeerId) -> Link {
        let told = self.told.get(peer).copied();
        told.unwrap_or_else(|| Link::Up(Now::default()))
    }

    /// Whether a peer cannot be reached.
    pub(super) fn is_down(&self, peer: &PeerId) -> bool {
        !self.of(peer).is_up()
    }

    /// Takes note that a peer can be reached, or cannot; tells how it was before.
    pub(super) fn on_change(&mut self, peer: &PeerId, up: bool, now: Now) -> Link {
        let before = self.of(peer);
        if before.is_up() != up || !self.told.contains_key(peer) {
            let link = if up { Link::Up(now) } else { Link::Down(now) };
            self.told.insert(peer.clone(), link);
        }
        before
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::Mono;

    #[test]
    fn the_first_of_equal_news_counts() {
        let peer = PeerId::new("sip");
        let at = |seconds| Now {
            mono: Mono::from_start(Duration::from_secs(seconds)),
            ..Now::default()
        };
        let mut links = Links::default();
        assert!(!links.is_down(&peer));

        links.on_change(&peer, false, at(1));
        assert_eq!(links.on_change(&peer, false, at(2)), Link::Down(at(1)));
        assert!(links.is_down(&peer));
        assert_eq!(links.on_change(&peer, true, at(3)), Link::Down(at(1)));
        assert_eq!(links.of(&peer), Link::Up(at(3)));
    }
}
