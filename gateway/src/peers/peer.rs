//! One peer: its paths, its links, and what is on its way between them.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use rand::rngs::StdRng;
use translators::limits;
use translators::model::{Domain, LinkId, Mono, PeerId, Side, Wall};
use translators::shard::{Class, Lane, Lapse, Transmit, TransmitId};

use super::backoff::DialFailure;
use super::mailbox::Mailbox;
use super::path::{End, Path, PathKey};
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

/// Something to write, taken by a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The message or stanza.
    pub bytes: Bytes,
    /// Whether somebody waits for its confirmation.
    pub confirm: bool,
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
        if !self.paths.contains_key(&key) {
            let mut path = Path::new();
            path.link = self.carrier(&key);
            self.paths.insert(key.clone(), path);
        }
        let Some(path) = self.paths.get_mut(&key) else {
            return;
        };
        if path.return_path_down && transmit.class != Class::Control {
            return undelivered(transmit, Lapse::ReturnPathDown, out);
        }
        if let Some(failure) = path.dialling.obstacle() {
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
        let key = PathKey {
            local: facts.local.clone(),
            remote: facts.remote.clone(),
        };
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
            self.paths.entry(key).or_insert_with(Path::new);
        }
        Ok(self.take_over_idle_paths(id, now, out))
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
        let idle = self.paths.iter().filter(|(_, path)| path.link.is_none());
        let idle: Vec<PathKey> = idle.map(|(key, _)| key.clone()).collect();
        for key in idle {
            if self.carrier(&key) != Some(id) {
                continue;
            }
            if let Some(path) = self.paths.get_mut(&key) {
                begun.recovered |= path.dialling.succeeded();
                begun.leftovers |= path.start_stream(id);
            }
            self.serve(&key, now, out);
        }
        begun
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
        batch.taken
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
    /// link whose other end proved the domain, best on one that we opened, else on one of the peer
    /// that it lets us use (RFC 5923).
    fn carrier(&self, key: &PathKey) -> Option<LinkId> {
        let may_carry = |link: &&Link| match self.side {
            Side::Sip => {
                let ours = link.facts.way == Way::Out || link.reusable;
                let facts = &link.facts;
                ours && facts.local == key.local && facts.domains.contains(&key.remote)
            }
            Side::Xmpp => {
                let facts = &link.facts;
                facts.way == Way::Out && facts.local == key.local && facts.remote == key.remote
            }
        };
        let candidates = self.links.values().filter(may_carry);
        let best = candidates.min_by_key(|link| (link.facts.way == Way::In, link.facts.id));
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

/// What a link takes at once.
struct Batch {
    taken: Vec<Outgoing>,
    room: usize,
}

impl Batch {
    const fn new(room: usize) -> Self {
        Self {
            taken: Vec::new(),
            room,
        }
    }

    const fn has_room(&self) -> bool {
        self.room > 0
    }

    fn add(&mut self, transmit: Transmit, confirm: bool) {
        self.room = self.room.saturating_sub(transmit.bytes.len());
        let bytes = transmit.bytes;
        self.taken.push(Outgoing { bytes, confirm });
    }

    fn add_requests(&mut self, path: &mut Path, writing: &mut Vec<TransmitId>) {
        while self.has_room() {
            let Some((_, transmit)) = path.queue.pop() else {
                break;
            };
            writing.push(transmit.id);
            self.add(transmit, false);
        }
    }

    fn add_stanzas(&mut self, path: &mut Path, ends: &mut Vec<End>) {
        while self.has_room() {
            let Some(transmit) = path.take_for_stream(ends) else {
                break;
            };
            let confirm = transmit.class != Class::Typing;
            self.add(transmit, confirm);
        }
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

/// Attempts remembered per peer.
const ATTEMPTS: usize = 20;
