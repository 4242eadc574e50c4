//! One path: from one of our domains to one domain of a peer.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::fmt;

use translators::model::{Domain, LinkId, Mono};
use translators::shard::{Class, Lane, Lapse, Transmit, TransmitId};

use super::backoff::Dialling;
use super::load::Load;
use super::queue::{Place, Queue};

/// Names a path within a peer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathKey {
    /// Our domain.
    pub local: Domain,
    /// The peer's domain.
    pub remote: Domain,
    /// Whether it leads over another address of the peer than those that refuse (RFC 3263 section
    /// 4.3).
    pub elsewhere: bool,
}

impl PathKey {
    /// The usual path.
    pub const fn new(local: Domain, remote: Domain) -> Self {
        Self {
            local,
            remote,
            elsewhere: false,
        }
    }
}

impl fmt::Display for PathKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = if self.elsewhere { " elsewhere" } else { "" };
        write!(f, "{} to {}{way}", self.local, self.remote)
    }
}

/// How a transmit ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    HandedOver(TransmitId),
    Lost(TransmitId),
    Undelivered(Box<Transmit>, Lapse),
}

/// What waits for a path and what is on its way there.
#[derive(Debug)]
pub(super) struct Path {
    pub(super) queue: Queue,
    pub(super) dialling: Dialling,
    /// The link that carries it.
    pub(super) link: Option<LinkId>,
    /// Two barriers in a row were not answered.
    pub(super) return_path_down: bool,
    /// Users have relations over it: it is kept up, whether there is something to send or not.
    pub(super) held: bool,
    /// Written to a stream and not behind an answered barrier, oldest first.
    sent: VecDeque<Sent>,
    sent_load: Load,
    /// Lanes that were recalled while something was on its way, with the last arrival that concerns:
    /// looked up only when the stream breaks, since a change of policy recalls very many.
    recalled: HashMap<Lane, u64>,
    /// Stanzas given to the stream that carries it now.
    count: u64,
    /// What came back from a broken stream and does so only once.
    again: BTreeSet<TransmitId>,
}

#[derive(Debug)]
struct Sent {
    /// Number on the stream; zero if that stream broke and the peer had acknowledged it.
    number: u64,
    place: Place,
    transmit: Transmit,
    acked: bool,
    /// It must not be sent again.
    recalled: bool,
}

impl Path {
    pub(super) fn new() -> Self {
        Self {
            queue: Queue::default(),
            dialling: Dialling::new(),
            link: None,
            return_path_down: false,
            held: false,
            sent: VecDeque::new(),
            sent_load: Load::default(),
            recalled: HashMap::new(),
            count: 0,
            again: BTreeSet::new(),
        }
    }

    /// Whether anything is to be sent or confirmed.
    pub(super) fn is_busy(&self) -> bool {
        !self.queue.is_empty() || !self.sent.is_empty()
    }

    /// Whether something is under way that has to be finished before an end. Presence that waits for
    /// a peer without a link is not: it is told after the next start.
    pub(super) fn is_at_work(&self) -> bool {
        match self.link {
            Some(_) => self.is_busy(),
            None => self.load().messages > 0,
        }
    }

    /// Whether it should have a link.
    pub(super) fn needs_link(&self) -> bool {
        self.held || self.is_busy()
    }

    /// Whether what is handed to it goes out and is heard of.
    pub(super) const fn is_usable(&self) -> bool {
        self.link.is_some() && !self.return_path_down
    }

    /// How many of which kind wait or are on their way.
    pub(super) const fn load(&self) -> Load {
        self.queue.load().plus(self.sent_load)
    }

    /// How many transmits are on their way.
    pub(super) fn on_the_way(&self) -> usize {
        self.sent.len()
    }

    /// Takes the next transmit for a stream, which will confirm it.
    pub(super) fn take_for_stream(&mut self, ends: &mut Vec<End>) -> Option<Transmit> {
        let (place, transmit) = self.queue.pop(true)?;
        self.count += 1;
        if transmit.class == Class::Typing {
            self.again.remove(&transmit.id);
            ends.push(End::HandedOver(transmit.id));
            return Some(transmit);
        }
        self.sent_load.add(transmit.class);
        self.sent.push_back(Sent {
            number: self.count,
            place,
            transmit: transmit.clone(),
            acked: false,
            recalled: false,
        });
        Some(transmit)
    }

    /// A new stream carries the path: its stanzas are counted from 1. Returns whether it has to
    /// confirm what an earlier one left behind.
    pub(super) fn start_stream(&mut self, link: LinkId) -> bool {
        self.link = Some(link);
        self.count = 0;
        self.return_path_down = false;
        !self.sent.is_empty()
    }

    /// The peer's server has every stanza up to `number`.
    pub(super) fn acked(&mut self, number: u64) {
        let covered = self
            .sent
            .iter_mut()
            .take_while(|sent| sent.number <= number);
        covered.for_each(|sent| sent.acked = true);
    }

    /// A barrier behind `number` was answered.
    pub(super) fn confirmed(&mut self, number: u64, ends: &mut Vec<End>) {
        while let Some(sent) = self.sent.pop_front_if(|sent| sent.number <= number) {
            self.sent_load.remove(sent.transmit.class);
            self.again.remove(&sent.transmit.id);
            ends.push(End::HandedOver(sent.transmit.id));
        }
        if self.sent.is_empty() {
            self.recalled.clear();
        }
    }

    /// The stream broke. What the peer has not acknowledged goes back to its place, once; what it
    /// has waits for a barrier on the next stream.
    pub(super) fn stream_broke(&mut self, now: Mono, ends: &mut Vec<End>) {
        self.link = None;
        self.return_path_down = false;
        self.mark_recalled();
        for sent in std::mem::take(&mut self.sent) {
            let id = sent.transmit.id;
            if sent.acked {
                self.sent.push_back(Sent { number: 0, ..sent });
                continue;
            }
            self.sent_load.remove(sent.transmit.class);
            let in_time = sent.transmit.give_up_at > now && !sent.recalled;
            if !in_time || !self.again.insert(id) {
                self.again.remove(&id);
                ends.push(End::Lost(id));
                continue;
            }
            let outdated = self.queue.put_back(sent.place, sent.transmit);
            if let Some(outdated) = outdated {
                self.again.remove(&id);
                ends.push(End::Undelivered(Box::new(outdated), Lapse::Replaced));
            }
        }
    }

    /// Gives back what waits in a lane; what was sent is not sent again.
    pub(super) fn recall(&mut self, lane: &Lane, ends: &mut Vec<End>) {
        let recalled = self.queue.recall(lane);
        self.give_back(recalled, &Lapse::Recalled, ends);
        if self.sent.is_empty() {
            return;
        }
        self.recalled.insert(lane.clone(), self.queue.arrivals());
        if self.recalled.len() >= RECALLS {
            self.mark_recalled();
        }
    }

    /// Marks what was sent and recalled since.
    fn mark_recalled(&mut self) {
        let recalled = std::mem::take(&mut self.recalled);
        for sent in &mut self.sent {
            let key = sent.transmit.key.as_ref();
            let until = key.and_then(|key| recalled.get(&key.lane));
            sent.recalled |= until.is_some_and(|until| sent.place.arrival() <= *until);
        }
    }

    /// Gives back what has waited for too long, with the reason why nothing could be sent.
    pub(super) fn expire(&mut self, now: Mono, ends: &mut Vec<End>) {
        let expired = self.queue.expire(now);
        if !expired.is_empty() {
            let unreachable = self.dialling.last_failure().filter(|_| self.link.is_none());
            let lapse = unreachable
                .cloned()
                .map_or(Lapse::Expired, Lapse::Unreachable);
            self.give_back(expired, &lapse, ends);
        }
        let orphaned = |sent: &mut Sent| sent.number == 0 && sent.transmit.give_up_at <= now;
        while let Some(sent) = self.sent.pop_front_if(orphaned) {
            self.sent_load.remove(sent.transmit.class);
            self.again.remove(&sent.transmit.id);
            ends.push(End::Lost(sent.transmit.id));
        }
    }

    /// Gives back everything that waits and for which `chosen` holds.
    pub(super) fn empty(
        &mut self,
        chosen: impl Fn(&Transmit) -> bool,
        lapse: &Lapse,
        ends: &mut Vec<End>,
    ) {
        let taken = self.queue.take_if(chosen);
        self.give_back(taken, lapse, ends);
    }

    /// Reports transmits that left the queue unsent.
    pub(super) fn give_back(
        &mut self,
        transmits: impl IntoIterator<Item = Transmit>,
        lapse: &Lapse,
        ends: &mut Vec<End>,
    ) {
        for transmit in transmits {
            // What was written once may have arrived: it is lost, not unsent.
            let end = if self.again.remove(&transmit.id) {
                End::Lost(transmit.id)
            } else {
                End::Undelivered(Box::new(transmit), lapse.clone())
            };
            ends.push(end);
        }
    }
}

/// Recalled lanes that are remembered before what is on its way is looked through.
const RECALLS: usize = 4_096;
