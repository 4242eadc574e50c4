//! All peers and their links, as shards and links share them.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tokio::sync::Notify;
use tokio::time::MissedTickBehavior;
use translators::model::{Aor, Blame, Condition, Domain, Failure, LinkId, Pair, PeerId, Side};
use translators::shard::{Input, Lane, Lapse, Transmit};

use super::backoff::DialFailure;
use super::batch::Outgoing;
use super::link::{Begun, NewLink, TooManyLinks};
use super::mailbox::Mailbox;
use super::notices::{News, Notices, Stamps};
use super::path::{End, PathKey};
use super::peer::{Outcome, Peer};
use super::refusals::Standing;
use super::status::{Attempt, PeerStatus, Skew};
use super::told::Told;
use super::unknown::Refusal;
use crate::clock::Clock;
use crate::config;

/// The peers. Every copy shows the same ones.
///
/// Each peer has one lock, held while values move and never while anything waits.
#[derive(Clone, Debug)]
pub struct Peers(Arc<Shared>);

/// A path that needs a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The peer to connect to.
    pub peer: PeerId,
    /// From where to where.
    pub key: PathKey,
}

#[derive(Debug)]
struct Shared {
    clock: Clock,
    peers: RwLock<Table>,
    /// Links that are up, for what concerns a link and no peer.
    links: RwLock<HashMap<LinkId, (PeerId, Arc<Mailbox>)>>,
    notices: Notices,
    /// Bounded by the number of paths: each is in it once.
    wanted: Mutex<VecDeque<Wanted>>,
    wanted_wake: Notify,
    next_link: AtomicU64,
    /// Whether the shards are told which peers can be reached.
    announcing: AtomicBool,
}

#[derive(Debug, Default)]
struct Table {
    peers: BTreeMap<PeerId, Arc<Mutex<Peer>>>,
    domains: PathDomains,
}

/// Which domain stands for which on a path.
#[derive(Clone, Debug, Default)]
pub struct PathDomains {
    /// The domain of a peer whose stream carries stanzas for its sub-domain.
    pub main: BTreeMap<Domain, Domain>,
    /// The first of our domains that has the same SIP certificate.
    pub sip_certificate: BTreeMap<Domain, Domain>,
}

impl Peers {
    /// Creates an empty registry whose news go to so many shards in so many groups.
    pub fn new(groups: usize, shards: u16, clock: Clock) -> Self {
        Self(Arc::new(Shared {
            clock,
            peers: RwLock::default(),
            links: RwLock::default(),
            notices: Notices::new(groups, shards),
            wanted: Mutex::default(),
            wanted_wake: Notify::new(),
            next_link: AtomicU64::new(1),
            announcing: AtomicBool::new(false),
        }))
    }

    /// Takes over the peers of a configuration. Links of peers that are gone are closed.
    pub fn configure<'a>(
        &self,
        peers: impl IntoIterator<Item = &'a Arc<config::Peer>>,
        domains: PathDomains,
    ) {
        let mut table = write(&self.0.peers);
        let mut before = std::mem::take(&mut table.peers);
        for settings in peers {
            let kept = before.remove(&settings.id);
            let same_side = |peer: &Arc<Mutex<Peer>>| lock(peer).side() == settings.side();
            let peer = match kept {
                Some(peer) if same_side(&peer) => peer,
                Some(other) => {
                    before.insert(settings.id.clone(), other);
                    fresh(&settings.id, settings.side())
                }
                None => fresh(&settings.id, settings.side()),
            };
            self.change(&peer, |peer, _| {
                peer.set_pace(settings.pace());
                peer.set_cap(settings.cap());
            });
            table.peers.insert(settings.id.clone(), peer);
        }
        table.domains = domains;
        drop(table);
        let failure = Failure::new(Condition::RemoteServerNotFound, Blame::Policy);
        for peer in before.values() {
            self.change(peer, |peer, out| {
                peer.abandon(&Lapse::Unreachable(failure.clone()), out);
                peer.close_links(|_| true);
            });
        }
    }

    /// A number for a new link.
    pub fn new_link(&self) -> LinkId {
        LinkId(self.0.next_link.fetch_add(1, Ordering::Relaxed))
    }

    /// Queues transmits in order. What cannot be sent comes back as news for its shard.
    pub fn submit(&self, transmits: impl IntoIterator<Item = Transmit>) {
        let now = self.0.clock.now().mono;
        let table = read(&self.0.peers);
        for transmit in transmits {
            let Some(peer) = table.peers.get(&transmit.peer) else {
                let failure = Failure::new(Condition::RemoteServerNotFound, Blame::Policy);
                let lapse = Lapse::Unreachable(failure);
                let peer = transmit.peer.clone();
                let end = End::Undelivered(Box::new(transmit), lapse);
                self.0.notices.post(&peer, vec![end]);
                continue;
            };
            self.change(peer, |peer, out| {
                let key = table.domains.path_of(peer.side(), &transmit);
                peer.submit(transmit, key, now, out);
            });
        }
    }

    /// Users have, or no longer have, relations between two domains: the path of `peer` from `local`
    /// to `remote` is kept up as long as they do.
    pub fn hold(&self, peer: &PeerId, local: &Domain, remote: &Domain, held: bool) {
        let now = self.0.clock.now().mono;
        let table = read(&self.0.peers);
        if let Some(peer) = table.peers.get(peer) {
            self.change(peer, |peer, out| {
                let key = table.domains.path_between(peer.side(), local, remote);
                peer.hold(&key, held, now, out);
            });
        }
    }

    /// Tells the shards that no peer can be reached, before they take up what the journal kept.
    pub fn announce_nothing(&self) {
        for peer in read(&self.0.peers).peers.keys() {
            self.tell_shards(|| Input::PeerDown(peer.clone()));
        }
    }

    /// From now on the shards are told which peers can be reached, and when that changes.
    pub fn announce(&self) {
        self.0.announcing.store(true, Ordering::Relaxed);
        for peer in self.all() {
            self.change(&peer, |_, _| ());
        }
    }

    /// Tells every shard.
    pub fn tell_shards(&self, input: impl Fn() -> Input) {
        self.0.notices.post_to_all(input);
    }

    /// Drops what waits in `lane`, whatever its peer.
    pub fn recall(&self, lane: &Lane) {
        for peer in self.all() {
            self.change(&peer, |peer, out| peer.recall(lane, out));
        }
    }

    /// Reports inputs of links that need nothing more.
    pub fn settle(&self, settled: &[(LinkId, u64)]) {
        let links = read(&self.0.links);
        for run in settled.chunk_by(|one, other| one.0 == other.0) {
            let mailbox = run.first().and_then(|(link, _)| links.get(link));
            if let Some((_, mailbox)) = mailbox {
                mailbox.settle(run.iter().map(|(_, number)| *number));
            }
        }
    }

    /// Waits for the next path that needs a link.
    pub async fn wanted(&self) -> Wanted {
        loop {
            if let Some(wanted) = lock(&self.0.wanted).pop_front() {
                return wanted;
            }
            self.0.wanted_wake.notified().await;
        }
    }

    /// Puts a proven link to use.
    pub fn link_up(&self, peer: &PeerId, link: NewLink) -> Result<Begun, TooManyLinks> {
        let now = self.0.clock.now();
        let (id, mailbox) = (link.id, Arc::clone(&link.mailbox));
        let Some(state) = self.peer(peer) else {
            mailbox.close();
            return Ok(Begun::default());
        };
        let up = self.change(&state, |peer, out| {
            peer.link_up(link, now.mono, now.wall, out)
        })?;
        write(&self.0.links).insert(id, (peer.clone(), mailbox));
        Ok(up)
    }

    /// The peer wants our requests on a link that it opened (RFC 5923).
    pub fn reuse(&self, id: LinkId) {
        let now = self.0.clock.now().mono;
        self.change_by_link(id, |peer, out| peer.reuse(id, now, out));
    }

    /// The other end of a SIP link answered a request of ours with 503. Returns its address and for
    /// how long that is passed over, if this is news.
    pub fn refused(
        &self,
        id: LinkId,
        retry_after: Option<Duration>,
    ) -> Option<(SocketAddr, Duration)> {
        let now = self.0.clock.now().mono;
        self.change_by_link(id, |peer, out| peer.refused(id, retry_after, now, out))?
    }

    /// A peer refused a request for the other user of a pair.
    pub fn refuses(&self, peer: &PeerId, said: Refusal<'_>, pair: &Pair, failure: Failure) {
        let now = self.0.clock.now().mono;
        if let Some(peer) = self.peer(peer) {
            lock(&peer).refuses(said, pair, failure, now);
        }
    }

    /// A user of a peer wrote.
    pub fn heard(&self, peer: &PeerId, aor: &Aor) {
        if let Some(peer) = self.peer(peer) {
            lock(&peer).heard(aor);
        }
    }

    /// How an address of a peer answered of late.
    pub fn standing(&self, peer: &PeerId, address: SocketAddr) -> Standing {
        let peer = self.peer(peer);
        peer.map_or(Standing::Serving, |peer| lock(&peer).standing(address))
    }

    /// A link ended.
    pub fn link_down(&self, id: LinkId) {
        let now = self.0.clock.now().mono;
        self.change_by_link(id, |peer, out| peer.link_down(id, now, out));
        write(&self.0.links).remove(&id);
    }

    /// An attempt to connect failed at every address. True if it is the first in a row.
    pub fn dial_failed(&self, wanted: &Wanted, why: DialFailure) -> bool {
        let now = self.0.clock.now().mono;
        self.peer(&wanted.peer).is_some_and(|peer| {
            self.change(&peer, |peer, out| {
                peer.dial_failed(&wanted.key, why, now, out)
            })
        })
    }

    /// Gives a link what it has to write next, up to `octets`.
    pub fn take(&self, id: LinkId, octets: usize) -> Vec<Outgoing> {
        let now = self.0.clock.now().mono;
        let taken = self.change_by_link(id, |peer, out| peer.take(id, octets, now, out));
        taken.unwrap_or_default()
    }

    /// Whether a SIP link is not to be read for now: its peer asks for more than may be answered.
    pub fn is_held(&self, id: LinkId) -> bool {
        let now = self.0.clock.now().mono;
        let held = self.change_by_link(id, |peer, _| peer.is_held(id, now));
        held.unwrap_or(false)
    }

    /// A SIP link wrote so many messages by itself.
    pub fn spent(&self, id: LinkId, messages: usize) {
        if messages > 0 {
            self.change_by_link(id, |peer, _| peer.spent(messages));
        }
    }

    /// What a SIP link had taken is written.
    pub fn written(&self, id: LinkId) {
        self.change_by_link(id, |peer, out| peer.written(id, out));
    }

    /// The peer's server has the stanzas of a stream up to `number` (XEP-0198).
    pub fn acked(&self, id: LinkId, number: u64) {
        self.change_by_link(id, |peer, _| peer.acked(id, number));
    }

    /// A barrier behind stanza `number` of a stream was answered.
    pub fn confirmed(&self, id: LinkId, number: u64) {
        self.change_by_link(id, |peer, out| peer.confirmed(id, number, out));
    }

    /// The peer stopped, or began again, to answer barriers of a stream.
    pub fn return_path(&self, id: LinkId, down: bool) {
        self.change_by_link(id, |peer, out| peer.return_path(id, down, out));
    }

    /// A ping on the stream `key` of `peer` was answered on another stream of the peer.
    pub fn answered(&self, peer: &PeerId, key: &PathKey, ping: String) {
        let Some(peer) = self.peer(peer) else { return };
        let mailbox = lock(&peer).stream(key).cloned();
        if let Some(mailbox) = mailbox {
            mailbox.answer(ping);
        }
    }

    /// Notes an attempt to set up a link.
    pub fn record(&self, peer: &PeerId, attempt: Attempt) {
        if let Some(peer) = self.peer(peer) {
            lock(&peer).record(attempt);
        }
    }

    /// Notes what a peer says about a refusal; true if the log should have it.
    pub fn told(&self, peer: &PeerId, told: Told) -> bool {
        let peer = self.peer(peer);
        peer.is_some_and(|peer| lock(&peer).told(told))
    }

    /// Notes what the clock of a peer showed.
    pub fn shows_time(&self, peer: &PeerId, skew: Skew) {
        if let Some(peer) = self.peer(peer) {
            lock(&peer).shows_time(skew);
        }
    }

    /// Puts what comes to the shards in order.
    pub fn stamps(&self) -> &Stamps {
        self.0.notices.stamps()
    }

    /// Takes what a group of shards has to be told.
    pub fn news(&self, group: usize) -> Vec<News> {
        self.0.notices.take(group)
    }

    /// Waits until there is something to tell a group of shards.
    pub async fn has_news(&self, group: usize) {
        self.0.notices.changed(group).await;
    }

    /// Closes every link for which `chosen` holds, in order.
    pub fn close_links(&self, chosen: impl Fn(Side, &NewLink) -> bool) {
        for peer in self.all() {
            let peer = lock(&peer);
            peer.close_links(|link| chosen(peer.side(), link));
        }
    }

    /// Has the other end of every link judged again.
    pub fn review_links(&self) {
        for (_, mailbox) in read(&self.0.links).values() {
            mailbox.review();
        }
    }

    /// Whether anything waits or is on its way.
    pub fn is_busy(&self) -> bool {
        self.all().iter().any(|peer| lock(peer).is_busy())
    }

    /// How many links are up.
    pub fn links(&self) -> usize {
        self.all().iter().map(|peer| lock(peer).links()).sum()
    }

    /// The peers as they are now.
    pub fn status(&self) -> Vec<PeerStatus> {
        let now = self.0.clock.now().mono;
        self.all()
            .iter()
            .map(|peer| lock(peer).status(now))
            .collect()
    }

    /// Does what is due, for ever.
    pub async fn run(&self) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let now = self.0.clock.now().mono;
            for peer in self.all() {
                self.change(&peer, |peer, out| peer.tick(now, out));
            }
        }
    }

    fn all(&self) -> Vec<Arc<Mutex<Peer>>> {
        read(&self.0.peers).peers.values().cloned().collect()
    }

    fn peer(&self, id: &PeerId) -> Option<Arc<Mutex<Peer>>> {
        read(&self.0.peers).peers.get(id).cloned()
    }

    fn change_by_link<T>(
        &self,
        id: LinkId,
        act: impl FnOnce(&mut Peer, &mut Outcome) -> T,
    ) -> Option<T> {
        let peer = read(&self.0.links).get(&id).map(|(peer, _)| peer.clone())?;
        let peer = self.peer(&peer)?;
        Some(self.change(&peer, act))
    }

    /// Changes a peer. What the shards have to hear of it is told before anybody else changes it, so
    /// that it is told in order.
    fn change<T>(&self, peer: &Mutex<Peer>, act: impl FnOnce(&mut Peer, &mut Outcome) -> T) -> T {
        let mut out = Outcome::default();
        let mut guard = lock(peer);
        let result = act(&mut guard, &mut out);
        let id = guard.id.clone();
        self.0.notices.post(&id, std::mem::take(&mut out.ends));
        if self.0.announcing.load(Ordering::Relaxed) {
            match guard.news() {
                Some(true) => self.0.notices.post_to_all(|| Input::PeerUp(id.clone())),
                Some(false) => self.0.notices.post_to_all(|| Input::PeerDown(id.clone())),
                None => {}
            }
        }
        drop(guard);
        self.carry_out(&id, out);
        result
    }

    fn carry_out(&self, peer: &PeerId, out: Outcome) {
        for mailbox in out.wake {
            mailbox.wake();
        }
        if out.wanted.is_empty() {
            return;
        }
        let wanted = out.wanted.into_iter().map(|key| Wanted {
            peer: peer.clone(),
            key,
        });
        lock(&self.0.wanted).extend(wanted);
        self.0.wanted_wake.notify_one();
    }
}

impl PathDomains {
    fn path_of(&self, side: Side, transmit: &Transmit) -> PathKey {
        let elsewhere = transmit.elsewhere && side == Side::Sip;
        PathKey {
            elsewhere,
            ..self.path_between(side, &transmit.local, &transmit.remote)
        }
    }

    /// The usual path from one domain to another.
    fn path_between(&self, side: Side, local: &Domain, remote: &Domain) -> PathKey {
        let instead = |map: &BTreeMap<Domain, Domain>, domain: &Domain| {
            map.get(domain).unwrap_or(domain).clone()
        };
        match side {
            Side::Sip => PathKey::new(instead(&self.sip_certificate, local), remote.clone()),
            Side::Xmpp => PathKey::new(local.clone(), instead(&self.main, remote)),
        }
    }
}

fn fresh(id: &PeerId, side: Side) -> Arc<Mutex<Peer>> {
    let rng = StdRng::from_rng(&mut rand::rng());
    Arc::new(Mutex::new(Peer::new(id.clone(), side, rng)))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

/// How often the registry looks for what is due.
const TICK: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use translators::model::Side;
    use translators::shard::{Class, Transmit};

    use super::*;
    use crate::peers::testing::{domain, transmit};

    #[test]
    fn a_sub_domain_travels_on_the_stream_of_its_domain() {
        let domains = PathDomains {
            main: [(domain("rooms.xmpp.example"), domain("xmpp.example"))].into(),
            sip_certificate: [(domain("b.example"), domain("a.example"))].into(),
        };
        let to_room = Transmit {
            remote: domain("rooms.xmpp.example"),
            ..transmit(1, Class::Im)
        };
        let from_b = Transmit {
            local: domain("b.example"),
            remote: domain("sip.example"),
            ..transmit(2, Class::Im)
        };

        let stream = domains.path_of(Side::Xmpp, &to_room);
        let connection = domains.path_of(Side::Sip, &from_b);

        assert_eq!(stream.to_string(), "sip.example to xmpp.example");
        assert_eq!(connection.to_string(), "a.example to sip.example");
    }
}
