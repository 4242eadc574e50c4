//! What turns of shards brought about, in its order.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use translators::model::{Directory, PeerId, Role, Wall};
use translators::shard::{Effects, Event, Input};

use super::census::{Census, Hold};
use super::guard::Guard;
use super::seats::Seats;
use crate::clock::Clock;
use crate::peers::Peers;
use crate::store::{Mark, Store};
use crate::telemetry::events::{MessageEvent, PeerEvent};

/// The way out of the shards. Every copy is the same.
#[derive(Clone, Debug)]
pub struct Egress(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    clock: Clock,
    peers: Peers,
    store: Store,
    seats: Seats,
    watch: Mutex<Watch>,
}

/// What needs the events of all shards.
#[derive(Debug)]
struct Watch {
    directory: Arc<Directory>,
    census: Census,
    guard: Guard,
}

impl Egress {
    /// Starts with the peers of a configuration.
    pub fn new(peers: Peers, store: Store, directory: Arc<Directory>, clock: Clock) -> Self {
        Self(Arc::new(Shared {
            clock,
            peers,
            store,
            seats: Seats::default(),
            watch: Mutex::new(Watch {
                directory,
                census: Census::default(),
                guard: Guard::default(),
            }),
        }))
    }

    /// The peers.
    pub fn peers(&self) -> &Peers {
        &self.0.peers
    }

    /// How many users each SIP user watches.
    pub fn seats(&self) -> &Seats {
        &self.0.seats
    }

    /// Hands out effects whose changes are permanent: what is settled, then recalls and transmits in
    /// the order in which they were made, then events.
    pub fn release(&self, turn: impl IntoIterator<Item = Effects>) {
        let peers = &self.0.peers;
        let mut settled = Vec::new();
        let mut transmits = Vec::new();
        let mut events = Vec::new();
        for effects in turn {
            settled.extend(effects.settled);
            for lane in &effects.recalls {
                // What was made before has to be queued to be recalled.
                peers.submit(transmits.drain(..));
                peers.recall(lane);
            }
            transmits.extend(effects.transmits);
            events.extend(effects.events);
        }
        let watches = events.iter().filter_map(|event| {
            let Event::Watches {
                watcher,
                endpoint,
                by,
            } = event
            else {
                return None;
            };
            Some((watcher.image(), *endpoint, *by))
        });
        self.0.seats.settle(watches, &settled);
        peers.settle(&settled);
        peers.submit(transmits);
        for event in &events {
            MessageEvent(event).emit();
            self.watch(event);
        }
    }

    /// Other peers are configured.
    pub fn configure(&self, directory: &Arc<Directory>) {
        let mut watch = self.lock();
        watch.directory = Arc::clone(directory);
        let holds = watch.census.holds(directory);
        drop(watch);
        self.hold(holds);
    }

    /// Does not believe peers that were not believed before the last end.
    pub fn suspect(&self, suspects: &[(PeerId, Wall)]) {
        let mut watch = self.lock();
        for (peer, _) in suspects {
            if watch.directory.peer(peer).is_some() {
                watch.guard.suspect(peer.clone());
                self.tell_suspect(peer);
            }
        }
    }

    /// Believes a peer again when it refuses what it granted. False if it was believed.
    pub fn believe(&self, peer: &PeerId) -> bool {
        let mut watch = self.lock();
        if !watch.guard.believe(peer) {
            return false;
        }
        // Told under the lock, so that the shards hear it in the order in which it was decided.
        let believed = || Input::PeerSuspect(peer.clone(), false);
        self.0.peers.tell_shards(believed);
        drop(watch);
        self.0.store.note(Mark::Suspect(peer.clone()), None);
        PeerEvent::Believed { peer }.emit();
        true
    }

    /// Whether a peer is not believed when it refuses what it granted.
    pub fn is_suspect(&self, peer: &PeerId) -> bool {
        self.lock().guard.is_suspect(peer)
    }

    /// How many relations are in which state.
    pub fn standings(&self) -> Vec<(Role, &'static str, usize)> {
        self.lock().census.standings()
    }

    fn watch(&self, event: &Event) {
        match event {
            Event::GrantRefused { peer } => self.grant_refused(peer),
            Event::Moved {
                xmpp,
                sip,
                standing,
                by,
            } => {
                let mut watch = self.lock();
                let directory = Arc::clone(&watch.directory);
                let holds = watch.census.moved(xmpp, sip, *standing, *by, &directory);
                // Held under the lock, so that the last word is that of the last event.
                self.hold(holds);
            }
            Event::DocumentUnreadable(_)
            | Event::Dropped { .. }
            | Event::ImAccepted { .. }
            | Event::ImSettled { .. }
            | Event::LateError { .. }
            | Event::LimitHit(..)
            | Event::PresenceDropped(_)
            | Event::RecordDamaged(_)
            | Event::Refused { .. }
            | Event::StrayResponse(_)
            | Event::SubscribeFault { .. }
            | Event::Watches { .. } => {}
        }
    }

    fn grant_refused(&self, peer: &PeerId) {
        let now = self.0.clock.now();
        let mut watch = self.lock();
        let granted = watch.census.granted(peer, &watch.directory);
        if watch.guard.refused(peer, granted, now.mono) {
            self.tell_suspect(peer);
            let since = now.wall.unix_millis().to_string();
            self.0.store.note(Mark::Suspect(peer.clone()), Some(since));
        }
    }

    fn tell_suspect(&self, peer: &PeerId) {
        let suspect = || Input::PeerSuspect(peer.clone(), true);
        self.0.peers.tell_shards(suspect);
        PeerEvent::Suspected { peer }.emit();
    }

    fn hold(&self, holds: Vec<Hold>) {
        for Hold {
            peer,
            local,
            remote,
            held,
        } in holds
        {
            self.0.peers.hold(&peer, &local, &remote, held);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Watch> {
        self.0.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use translators::model::Domain;

    use super::*;
    use crate::egress::census::tests::{directory, granted};
    use crate::store;

    /// How often each shard was told that the peer is not believed, or is again.
    fn told(peers: &Peers, suspect: bool) -> usize {
        let is_it = |input: &Input| matches!(input, Input::PeerSuspect(_, is) if *is == suspect);
        let news = peers.news(0);
        news.iter().filter(|news| is_it(&news.input)).count()
    }

    #[tokio::test]
    async fn a_peer_that_refuses_what_it_granted_is_not_believed_until_it_is_released() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::start();
        let (store, _) = store::open(folder.path(), clock).unwrap();
        let peers = Peers::new(1, 3, clock);
        let directory = Arc::new(directory());
        let egress = Egress::new(peers.clone(), store.clone(), directory, clock);
        let peer = PeerId::new("kamailio");
        let release = |event: Event| {
            let events = vec![event];
            egress.release([Effects {
                events,
                ..Effects::default()
            }]);
        };
        release(Event::Moved {
            xmpp: Domain::parse("xmpp.example").unwrap(),
            sip: Domain::parse("sip.example").unwrap(),
            standing: granted(),
            by: 90,
        });

        for _ in 0..4 {
            release(Event::GrantRefused { peer: peer.clone() });
        }
        assert_eq!(told(&peers, true), 0);
        release(Event::GrantRefused { peer: peer.clone() });
        assert_eq!(told(&peers, true), 3, "every shard");
        assert!(egress.is_suspect(&peer));

        store.close().await.unwrap();
        let (store, kept) = store::open(folder.path(), clock).unwrap();
        assert_eq!(kept.suspects[0].0, peer, "also after a restart");
        drop(kept);
        let again = Egress::new(
            peers.clone(),
            store.clone(),
            Arc::clone(&egress.lock().directory),
            clock,
        );
        again.suspect(&[(peer.clone(), clock.now().wall)]);
        assert_eq!(told(&peers, true), 3);
        assert!(again.believe(&peer));
        assert_eq!(told(&peers, false), 3);
        assert!(!again.believe(&peer));
        store.close().await.unwrap();
        let (_store, kept) = store::open(folder.path(), clock).unwrap();
        assert_eq!(kept.suspects, []);
    }
}
