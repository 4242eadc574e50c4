//! One peer: its paths, its links, and what is on its way between them.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use translators::limits;
use translators::model::{Aor, Failure, LinkId, Mono, Pair, PeerId, Side, Wall};
use translators::shard::{Class, Lane, Lapse, Transmit};

use super::backoff::DialFailure;
use super::link::{Begun, Link, NewLink, TooManyLinks};
use super::load::Load;
use super::mailbox::Mailbox;
use super::pace::Pace;
use super::path::{End, Path, PathKey};
use super::refusals::{Refusals, Standing};
use super::status::{Attempt, PathStatus, PeerStatus, Skew};
use super::told::{Tales, Told};
use super::unknown::{Refusal, Target, Unknown};
use crate::telemetry::events::Way;

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
    pub(super) side: Side,
    pub(super) paths: BTreeMap<PathKey, Path>,
    pub(super) links: BTreeMap<LinkId, Link>,
    attempts: VecDeque<Attempt>,
    /// Of what presence goes out; only for SIP.
    pub(super) pace: Pace,
    /// Of everything that goes out; only for SIP.
    pub(super) cap: Pace,
    /// What the shards were told: whether it can be reached.
    told_up: bool,
    refusals: Refusals,
    unknown: Unknown,
    tales: Tales,
    skew: Option<Skew>,
    rng: StdRng,
}

impl Peer {
    pub(super) fn new(id: PeerId, side: Side, rng: StdRng) -> Self {
        Self {
            id,
            side,
            paths: BTreeMap::new(),
            links: BTreeMap::new(),
            attempts: VecDeque::new(),
            pace: Pace::of_presence(),
            cap: Pace::of_all(),
            told_up: false,
            refusals: Refusals::default(),
            unknown: Unknown::default(),
            tales: Tales::default(),
            skew: None,
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
        if self.load().is_full(transmit.class) && !self.makes_room_for(&transmit, out) {
            return undelivered(transmit, Lapse::Full, out);
        }
        if let Some(link) = transmit.link {
            self.answer_replaces(&transmit, out);
            return self.submit_to_link(transmit, link, out);
        }
        if self.cap.is_set()
            && let Some(failure) = self.unknown.refusal(&transmit, now)
        {
            return undelivered(transmit, Lapse::Unreachable(failure), out);
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

    /// The peer refused a request about the other user of a pair.
    pub(super) fn refuses(&mut self, said: Refusal<'_>, pair: &Pair, failure: Failure, now: Mono) {
        let target = Target::of(said.method, said.status, pair);
        if let Some(target) = target.filter(|_| self.cap.is_set()) {
            self.unknown.add(target, failure, now);
        }
    }

    /// A user of the peer wrote.
    pub(super) fn heard(&mut self, aor: &Aor) {
        self.unknown.heard(aor);
    }

    /// Typing that has waited for the longest time makes room for newer.
    fn makes_room_for(&mut self, transmit: &Transmit, out: &mut Outcome) -> bool {
        if transmit.class != Class::Typing {
            return false;
        }
        let mut paths = self.paths.values_mut();
        let Some((path, dropped)) =
            paths.find_map(|path| path.queue.drop_typing().map(|dropped| (path, dropped)))
        else {
            return false;
        };
        path.give_back([dropped], &Lapse::Full, &mut out.ends);
        true
    }

    /// An answer that shows what a request was to show takes the place of that request, if it still
    /// waits: the watcher has it sooner, and one message is saved of those that the peer allows.
    fn answer_replaces(&mut self, answer: &Transmit, out: &mut Outcome) {
        let Some(key) = &answer.key else { return };
        for path in self.paths.values_mut() {
            let replaced = path.queue.take(key);
            path.give_back(replaced, &Lapse::Replaced, &mut out.ends);
        }
    }

    fn submit_to_link(&mut self, transmit: Transmit, link: LinkId, out: &mut Outcome) {
        match self.links.get_mut(&link) {
            Some(link) => {
                link.submit(transmit);
                out.wake.push(Arc::clone(&link.facts.mailbox));
            }
            None => undelivered(transmit, Lapse::LinkDown, out),
        }
    }

    /// Drops what waits under `key`.
    pub(super) fn recall(&mut self, lane: &Lane, out: &mut Outcome) {
        for path in self.paths.values_mut() {
            path.recall(lane, &mut out.ends);
        }
        for link in self.links.values_mut() {
            for transmit in link.recall(lane) {
                undelivered(transmit, Lapse::Recalled, out);
            }
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
        // A pool of edges opens its share whatever we have opened ourselves.
        let same_way = |link: &&Link| link.facts.way == facts.way;
        if self.links.values().filter(same_way).count() >= limits::CONNECTIONS_PER_PEER {
            return Err(TooManyLinks);
        }
        let key = PathKey::new(facts.local.clone(), facts.remote.clone());
        let (id, way) = (facts.id, facts.way);
        self.links.insert(id, Link::new(facts, now, wall));
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
        let address = self.links.get(&id)?.server();
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
        link.is_none_or(|link| self.standing(link.server()) == Standing::Resting)
    }

    /// A link ended: what it had taken goes back to its place or is lost, and its paths look for
    /// another link.
    pub(super) fn link_down(&mut self, id: LinkId, now: Mono, out: &mut Outcome) {
        let Some(mut link) = self.links.remove(&id) else {
            return;
        };
        out.ends.extend(link.written().map(End::Lost));
        while let Some(transmit) = link.next() {
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

    /// What a SIP link had taken is written.
    pub(super) fn written(&mut self, id: LinkId, out: &mut Outcome) {
        if let Some(link) = self.links.get_mut(&id) {
            out.ends.extend(link.written().map(End::HandedOver));
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

    /// Does what is due: gives back what waited too long, dials again, lets presence go on.
    pub(super) fn tick(&mut self, now: Mono, out: &mut Outcome) {
        self.refusals.forget(now);
        self.expire_answers(now, out);
        let paced = self.pace.has_some(now);
        let answers = self.answers_waiting(now);
        if answers > 0 && self.cap.has_some(now) {
            let answering = self.links.values().filter(|link| link.waiting(now) > 0);
            out.wake
                .extend(answering.map(|link| Arc::clone(&link.facts.mailbox)));
        }
        let capped = !self.cap.has_more_than(answers, now);
        let spent = !self.cap.has_some(now);
        for (key, path) in &mut self.paths {
            path.expire(now, &mut out.ends);
            match path.link.and_then(|id| self.links.get(&id)) {
                None if path.needs_link() && path.dialling.want(now) => {
                    out.wanted.push(key.clone());
                }
                Some(link)
                    if !capped && path.queue.has_some(paced)
                        || !spent && path.queue.is_urgent() =>
                {
                    out.wake.push(Arc::clone(&link.facts.mailbox));
                }
                None | Some(_) => {}
            }
        }
    }

    /// Sets how many SUBSCRIBEs and NOTIFYs may go out in a second.
    pub(super) fn set_pace(&mut self, per_second: Option<u32>) {
        self.pace.set(per_second);
    }

    /// Sets how many messages of any kind may go out in a second.
    pub(super) fn set_cap(&mut self, per_second: Option<u32>) {
        self.cap.set(per_second);
    }

    /// Users have, or no longer have, relations over a path: it is kept up, and dialled again after
    /// a loss without waiting for something to send.
    pub(super) fn hold(&mut self, key: &PathKey, held: bool, now: Mono, out: &mut Outcome) {
        if held && !self.paths.contains_key(key) {
            let mut path = Path::new();
            path.link = self.carrier(key);
            self.paths.insert(key.clone(), path);
        }
        if let Some(path) = self.paths.get_mut(key) {
            path.held = held;
            self.serve(key, now, out);
        }
    }

    /// Whether the peer can be reached, if that is not what was told last: something handed to it can
    /// go out, and be heard of, over one of its paths. Where no path has to be kept up, links are
    /// dialled for what is sent, and it counts as reachable until the contrary is known.
    pub(super) fn news(&mut self) -> Option<bool> {
        let usable = self.paths.values().any(Path::is_usable);
        let up = usable || !self.paths.values().any(|path| path.held);
        let told = std::mem::replace(&mut self.told_up, up);
        (told != up).then_some(up)
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
        self.paths.values().any(Path::is_at_work) || self.links.values().any(Link::is_busy)
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

    /// Takes note of a refusal; true if the log should have it.
    pub(super) fn told(&mut self, told: Told) -> bool {
        self.tales.add(told)
    }

    /// Takes note of what the peer's clock showed.
    pub(super) const fn shows_time(&mut self, skew: Skew) {
        self.skew = Some(skew);
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
            load: self.load(),
            attempts: self.attempts.iter().cloned().collect(),
            told: self.tales.all(),
            skew: self.skew,
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
        let standing = |link: &Link| self.standing(link.server());
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

    fn load(&self) -> Load {
        let paths = self.paths.values().map(Path::load);
        let links = self.links.values().map(Link::load);
        paths.chain(links).fold(Load::default(), Load::plus)
    }
}

pub(super) fn undelivered(transmit: Transmit, lapse: Lapse, out: &mut Outcome) {
    out.ends.push(End::Undelivered(Box::new(transmit), lapse));
}

/// Attempts remembered per peer.
const ATTEMPTS: usize = 20;
