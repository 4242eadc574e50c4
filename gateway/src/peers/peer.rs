//! One peer: its paths, its links, and what is on its way between them.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use translators::limits;
use translators::model::{Domain, LinkId, Mono, PeerId, Side, Wall};
use translators::shard::{Class, Lane, Lapse, Transmit, TransmitId};

use super::backoff::DialFailure;
use super::batch::{Batch, Outgoing};
use super::mailbox::Mailbox;
use super::path::{End, Path, PathKey};
use super::refusals::{Refusals, Standing};
use super::status::{Attempt, LinkStatus, PathStatus, PeerStatus};
use crate::telemetry::events::Way;

/// A link as it enters the registry, proven.
#[derive(Clone, Debug)]
pub struct NewLink {
    /// Its number.
    pub id: LinkId,
    /// Who opened it.
    pub way: Way,
    /// Our domain on it: of the stream, or the first one of the certificate that we showed.
    pub local: Domain,
    /// The peer's domain that it was opened for.
    pub remote: Domain,
    /// The domains that the peer proved.
    pub domains: Arc<[Domain]>,
    /// The other end.
    pub address: SocketAddr,
    /// Version of TLS.
    pub tls: &'static str,
    /// How its task is reached.
    pub mailbox: Arc<Mailbox>,
}

/// What a new link meets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Begun {
    /// Attempts to connect had failed before.
    pub recovered: bool,
    /// An earlier stream left something that its server acknowledged and no barrier confirmed.
    pub leftovers: bool,
}

/// More links than one peer may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the peer has {} links already", limits::CONNECTIONS_PER_PEER)]
pub struct TooManyLinks;

/// What a change of a peer brings about elsewhere.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Transmits that ended.
    pub(super) ends: Vec<End>,
    /// Links that have something to do.
    pub(super) wake: Vec<Arc<Mailbox>>,
    /// Paths that need a link.
    pub(super) wanted: Vec<PathKey>,
}

#[derive(Debug)]
pub(super) struct Peer {
    pub(super) id: PeerId,
    side: Side,
    paths: BTreeMap<PathKey, Path>,
    links: BTreeMap<LinkId, Link>,
    attempts: VecDeque<Attempt>,
    refusals: Refusals,
    rng: StdRng,
}

#[derive(Debug)]
struct Link {
    facts: NewLink,
    /// What only this link may carry.
    outbox: VecDeque<Transmit>,
    /// Taken by a SIP link and not written yet.
    writing: Vec<TransmitId>,
    /// Whether requests of ours may go out on it, although the peer opened it.
    reusable: bool,
    since: Mono,
    since_wall: Wall,
}

impl Peer {
    pub(super) fn new(id: PeerId, side: Side, rng: StdRng) -> Self {
        Self {
            id,
            side,
            paths: BTreeMap::new(),
            links: BTreeMap::new(),
            attempts: VecDeque::new(),
            refusals: Refusals::default(),
            rng,
        }
    }

    pub(super) const fn side(&self) -> Side {
        self.side
    }

    /// Takes a transmit for the path `key`, or gives it back.
    pub(super) fn submit(
        &mut self,
        transmit: Transmit,
        key: PathKey,
        now: Mono,
        out: &mut Outcome,
    ) {
        if self.load() >= limits::WAITING_PER_PEER {
            return undelivered(transmit, Lapse::Full, out);
        }
        if let Some(link) = transmit.link {
            return self.submit_to_link(transmit, link, out);
        }
        // Which address is another one changes with every refusal.
        if key.elsewhere || !self.paths.contains_key(&key) {
            let carrier = self.carrier(&key);
            let path = self.paths.entry(key.clone()).or_insert_with(Path::new);
            path.link = carrier;
        }
        let Some(path) = self.paths.get_mut(&key) else {
            return;
        };
        if path.return_path_down && transmit.class != Class::Control {
            return undelivered(transmit, Lapse::ReturnPathDown, out);
        }
        let obstacle = path.dialling.obstacle(now);
        if let Some(failure) = obstacle.filter(|_| path.link.is_none()) {
            let lapse = Lapse::Unreachable(failure.clone());
            return undelivered(transmit, lapse, out);
        }
        let replaced = path.queue.push(transmit);
        path.give_back(replaced, &Lapse::Replaced, &mut out.ends);
        self.serve(&key, now, out);
    }

    fn submit_to_link(&mut self, transmit: Transmit, link: LinkId, out: &mut Outcome) {
        match self.links.get_mut(&link) {
            Some(link) => {
                link.outbox.push_back(transmit);
                out.wake.push(Arc::clone(&link.facts.mailbox));
            }
            None => undelivered(transmit, Lapse::LinkDown, out),
        }
    }

    /// Drops what waits under `key`.
    pub(super) fn recall(&mut self, lane: &Lane, out: &mut Outcome) {
        for path in self.paths.values_mut() {
            let recalled = path.queue.recall(lane);
            path.give_back(recalled, &Lapse::Recalled, &mut out.ends);
        }
    }

    /// Lets a proven link carry the paths that it can.
    pub(super) fn link_up(
        &mut self,
        facts: NewLink,
        now: Mono,
        wall: Wall,
        out: &mut Outcome,
    ) -> Result<Begun, TooManyLinks> {
        if self.links.len() >= limits::CONNECTIONS_PER_PEER {
            return Err(TooManyLinks);
        }
        let key = PathKey::new(facts.local.clone(), facts.remote.clone());
        let (id, way) = (facts.id, facts.way);
        let link = Link {
            facts,
            outbox: VecDeque::new(),
            writing: Vec::new(),
            reusable: false,
            since: now,
            since_wall: wall,
        };
        self.links.insert(id, link);
        if way == Way::Out {
            self.paths.entry(key.clone()).or_insert_with(Path::new);
        }
        let begun = self.take_over_idle_paths(id, now, out);
        if way == Way::Out {
            self.give_up_detour(key, out);
        }
        Ok(begun)
    }

    /// What the link was opened for may refuse meanwhile too: then there is no other address.
    fn give_up_detour(&mut self, key: PathKey, out: &mut Outcome) {
        let elsewhere = true;
        let detour = self.paths.get_mut(&PathKey { elsewhere, ..key });
        if let Some(path) = detour.filter(|path| path.link.is_none()) {
            path.dialling.succeeded();
            path.empty(|_| true, &Lapse::LinkDown, &mut out.ends);
        }
    }

    /// The other end of a link answered 503. What waits for it moves to another address if there is
    /// one. Returns the address and for how long it is passed over, if that is news.
    pub(super) fn refused(
        &mut self,
        id: LinkId,
        retry_after: Option<Duration>,
        now: Mono,
        out: &mut Outcome,
    ) -> Option<(SocketAddr, Duration)> {
        let address = server_of(&self.links.get(&id)?.facts);
        let news = self.refusals.add(address, retry_after, now);
        for key in self.carried_by(id) {
            let carrier = self.carrier(&key);
            if let Some(path) = self.paths.get_mut(&key) {
                path.link = carrier;
            }
            self.serve(&key, now, out);
        }
        news.map(|span| (address, span))
    }

    /// How an address of the peer answered of late.
    pub(super) fn standing(&self, address: SocketAddr) -> Standing {
        self.refusals.standing(address)
    }

    /// The peer wants our requests on a link that it opened (RFC 5923).
    pub(super) fn reuse(&mut self, id: LinkId, now: Mono, out: &mut Outcome) {
        if let Some(link) = self.links.get_mut(&id) {
            link.reusable = true;
            self.take_over_idle_paths(id, now, out);
        }
    }

    fn take_over_idle_paths(&mut self, id: LinkId, now: Mono, out: &mut Outcome) -> Begun {
        let mut begun = Begun::default();
        let idle = self.paths.iter().filter(|(_, path)| self.is_idle(path));
        let idle: Vec<PathKey> = idle.map(|(key, _)| key.clone()).collect();
        for key in idle {
            if self.carrier(&key) != Some(id) {
                continue;
            }
            if let Some(path) = self.paths.get_mut(&key) {
                begun.recovered |= path.dialling.succeeded() && !key.elsewhere;
                begun.leftovers |= path.start_stream(id);
            }
            self.serve(&key, now, out);
        }
        begun
    }

    /// Whether a path has no link, or one whose other end wants to rest.
    fn is_idle(&self, path: &Path) -> bool {
        let link = path.link.and_then(|id| self.links.get(&id));
        link.is_none_or(|link| self.standing(server_of(&link.facts)) == Standing::Resting)
    }

    /// A link ended: what it had taken goes back to its place or is lost, and its paths look for
    /// another link.
    pub(super) fn link_down(&mut self, id: LinkId, now: Mono, out: &mut Outcome) {
        let Some(link) = self.links.remove(&id) else {
            return;
        };
        out.ends.extend(link.writing.into_iter().map(End::Lost));
        for transmit in link.outbox {
            undelivered(transmit, Lapse::LinkDown, out);
        }
        let held = now.since(link.since);
        for key in self.carried_by(id) {
            let Some(path) = self.paths.get_mut(&key) else {
                continue;
            };
            path.stream_broke(now, &mut out.ends);
            if link.facts.way == Way::Out {
                path.dialling.ended(held, now, &mut self.rng);
            }
            self.assign(&key);
            self.serve(&key, now, out);
        }
    }

    /// An attempt to connect for `key` failed at every address. True if it is the first in a row.
    pub(super) fn dial_failed(
        &mut self,
        key: &PathKey,
        why: DialFailure,
        now: Mono,
        out: &mut Outcome,
    ) -> bool {
        let Some(path) = self.paths.get_mut(key) else {
            return false;
        };
        if path.link.is_none() && why.lasting {
            let lapse = Lapse::Unreachable(why.failure.clone());
            path.empty(|_| true, &lapse, &mut out.ends);
        }
        path.dialling.failed(why, now, &mut self.rng)
    }

    /// Gives a link what it has to write, up to `octets`.
    pub(super) fn take(&mut self, id: LinkId, octets: usize, out: &mut Outcome) -> Vec<Outgoing> {
        let Some(link) = self.links.get_mut(&id) else {
            return Vec::new();
        };
        let mut batch = Batch::new(octets);
        while batch.has_room() {
            let Some(transmit) = link.outbox.pop_front() else {
                break;
            };
            // Nobody waits to hear that a response is written.
            batch.add(transmit, false);
        }
        for path in self.paths.values_mut().filter(|path| path.link == Some(id)) {
            match self.side {
                Side::Sip => batch.add_requests(path, &mut link.writing),
                Side::Xmpp => batch.add_stanzas(path, &mut out.ends),
            }
        }
        batch.taken()
    }

    /// What a SIP link had taken is written.
    pub(super) fn written(&mut self, id: LinkId, out: &mut Outcome) {
        if let Some(link) = self.links.get_mut(&id) {
            out.ends.extend(link.writing.drain(..).map(End::HandedOver));
        }
    }

    /// The peer's server has the stanzas of a stream up to `number`.
    pub(super) fn acked(&mut self, id: LinkId, number: u64) {
        if let Some(path) = self.stream_path(id) {
            path.acked(number);
        }
    }

    /// A barrier behind stanza `number` of a stream was answered.
    pub(super) fn confirmed(&mut self, id: LinkId, number: u64, out: &mut Outcome) {
        if let Some(path) = self.stream_path(id) {
            path.confirmed(number, &mut out.ends);
        }
    }

    /// The peer stopped, or began again, to answer barriers. While it does not, only what answers
    /// earlier messages is sent.
    pub(super) fn return_path(&mut self, id: LinkId, down: bool, out: &mut Outcome) {
        let Some(path) = self.stream_path(id) else {
            return;
        };
        path.return_path_down = down;
        if down {
            let waits = |transmit: &Transmit| transmit.class != Class::Control;
            path.empty(waits, &Lapse::ReturnPathDown, &mut out.ends);
        }
    }

    /// Does what is due: gives back what waited too long, dials again.
    pub(super) fn tick(&mut self, now: Mono, out: &mut Outcome) {
        self.refusals.forget(now);
        for (key, path) in &mut self.paths {
            path.expire(now, &mut out.ends);
            if path.link.is_none() && path.needs_link() && path.dialling.want(now) {
                out.wanted.push(key.clone());
            }
        }
    }

    /// Closes every link for which `chosen` holds, in order.
    pub(super) fn close_links(&self, chosen: impl Fn(&NewLink) -> bool) {
        for link in self.links.values().filter(|link| chosen(&link.facts)) {
            link.facts.mailbox.close();
        }
    }

    /// Gives back everything that waits, because the peer is no longer configured.
    pub(super) fn abandon(&mut self, lapse: &Lapse, out: &mut Outcome) {
        for path in self.paths.values_mut() {
            path.empty(|_| true, lapse, &mut out.ends);
        }
    }

    /// The link that carries the stream from `local` to `remote`.
    pub(super) fn stream(&self, key: &PathKey) -> Option<&Arc<Mailbox>> {
        let link = self.links.get(&self.paths.get(key)?.link?)?;
        Some(&link.facts.mailbox)
    }

    /// Whether something waits or is on its way.
    pub(super) fn is_busy(&self) -> bool {
        self.paths.values().any(Path::needs_link)
            || self
                .links
                .values()
                .any(|link| !link.outbox.is_empty() || !link.writing.is_empty())
    }

    pub(super) fn links(&self) -> usize {
        self.links.len()
    }

    pub(super) fn record(&mut self, attempt: Attempt) {
        if self.attempts.len() >= ATTEMPTS {
            self.attempts.pop_front();
        }
        self.attempts.push_back(attempt);
    }

    pub(super) fn status(&self, now: Mono) -> PeerStatus {
        let rest = |until: Mono| until.since(now);
        PeerStatus {
            id: self.id.clone(),
            side: self.side,
            links: self.links.values().map(Link::status).collect(),
            paths: self
                .paths
                .iter()
                .map(|(key, path)| PathStatus {
                    key: key.clone(),
                    link: path.link,
                    waiting: path.queue.len(),
                    unconfirmed: path.on_the_way(),
                    return_path_down: path.return_path_down,
                    next_attempt_in: path.dialling.resting_until().map(rest),
                })
                .collect(),
            attempts: self.attempts.iter().cloned().collect(),
        }
    }

    /// Wakes the link of a path that has something to write, or asks for one.
    fn serve(&mut self, key: &PathKey, now: Mono, out: &mut Outcome) {
        let Some(path) = self.paths.get_mut(key) else {
            return;
        };
        if !path.needs_link() {
            return;
        }
        match path.link.and_then(|id| self.links.get(&id)) {
            Some(link) => out.wake.push(Arc::clone(&link.facts.mailbox)),
            None if path.dialling.want(now) => out.wanted.push(key.clone()),
            None => {}
        }
    }

    fn assign(&mut self, key: &PathKey) {
        let carrier = self.carrier(key);
        if let (Some(path), Some(id)) = (self.paths.get_mut(key), carrier) {
            path.start_stream(id);
        }
    }

    /// The link that may carry a path. Stanzas go on the stream opened for it; requests go on a
    /// link whose other end proved the domain and does not rest, best on one that we opened, else on
    /// one of the peer that it lets us use (RFC 5923).
    fn carrier(&self, key: &PathKey) -> Option<LinkId> {
        let standing = |link: &Link| self.standing(server_of(&link.facts));
        let may_carry = |link: &&Link| match self.side {
            Side::Sip => {
                let ours = link.facts.way == Way::Out || link.reusable;
                let facts = &link.facts;
                let serves = !key.elsewhere || standing(link) == Standing::Serving;
                let proven = facts.domains.contains(&key.remote);
                ours && serves && proven && facts.local == key.local
            }
            Side::Xmpp => {
                let facts = &link.facts;
                facts.way == Way::Out && facts.local == key.local && facts.remote == key.remote
            }
        };
        let candidates = self.links.values().filter(may_carry);
        let best = candidates.min_by_key(|link| {
            let rests = standing(link) == Standing::Resting;
            (rests, link.facts.way == Way::In, link.facts.id)
        });
        best.map(|link| link.facts.id)
    }

    fn carried_by(&self, id: LinkId) -> Vec<PathKey> {
        let carried = self.paths.iter().filter(|(_, path)| path.link == Some(id));
        carried.map(|(key, _)| key.clone()).collect()
    }

    fn stream_path(&mut self, id: LinkId) -> Option<&mut Path> {
        self.paths.values_mut().find(|path| path.link == Some(id))
    }

    fn load(&self) -> usize {
        let paths = self
            .paths
            .values()
            .map(|path| path.queue.len() + path.on_the_way());
        let links = self
            .links
            .values()
            .map(|link| link.outbox.len() + link.writing.len());
        paths.chain(links).sum()
    }
}

impl Link {
    fn status(&self) -> LinkStatus {
        LinkStatus {
            id: self.facts.id,
            way: self.facts.way,
            local: self.facts.local.clone(),
            remote: self.facts.remote.clone(),
            domains: self.facts.domains.to_vec(),
            address: self.facts.address,
            tls: self.facts.tls,
            since: self.since_wall,
        }
    }
}

fn undelivered(transmit: Transmit, lapse: Lapse, out: &mut Outcome) {
    out.ends.push(End::Undelivered(Box::new(transmit), lapse));
}

/// The address of the server at the other end: a link that the peer opened tells its host only.
const fn server_of(link: &NewLink) -> SocketAddr {
    match link.way {
        Way::Out => link.address,
        Way::In => SocketAddr::new(link.address.ip(), 0),
    }
}

/// Attempts remembered per peer.
const ATTEMPTS: usize = 20;
