//! Answers to a peer: they go over the link of their request, before what we ask ourselves, and what
//! is owed to a peer that counts slows down how fast it may ask.

use std::collections::VecDeque;

use translators::limits;
use translators::model::{LinkId, Mono, Side};
use translators::shard::{Class, Lane, Lapse, Transmit};

use super::batch::{Batch, Brakes, Outgoing};
use super::link::Link;
use super::path::Path;
use super::peer::{Outcome, Peer, undelivered};
use crate::telemetry::events::Way;

/// Answers that wait on one link: those of conversations first, since somebody sits there and waits.
#[derive(Debug, Default)]
pub(super) struct Answers {
    urgent: VecDeque<Transmit>,
    others: VecDeque<Transmit>,
}

impl Answers {
    pub(super) const fn new() -> Self {
        Self {
            urgent: VecDeque::new(),
            others: VecDeque::new(),
        }
    }

    pub(super) fn push(&mut self, answer: Transmit) {
        match answer.class {
            Class::Answer => self.urgent.push_back(answer),
            Class::Control | Class::Im | Class::Presence | Class::Subscription | Class::Typing => {
                self.others.push_back(answer);
            }
        }
    }

    pub(super) fn pop(&mut self) -> Option<Transmit> {
        self.urgent.pop_front().or_else(|| self.others.pop_front())
    }

    pub(super) fn len(&self) -> usize {
        self.urgent.len() + self.others.len()
    }

    /// How many of them are of conversations.
    pub(super) fn urgent(&self) -> usize {
        self.urgent.len()
    }

    /// Takes those for which nobody waits any more. What came first ends first.
    pub(super) fn expire(&mut self, now: Mono) -> Vec<Transmit> {
        let mut expired = Vec::new();
        for answers in [&mut self.urgent, &mut self.others] {
            while let Some(answer) = answers.pop_front_if(|answer| answer.give_up_at <= now) {
                expired.push(answer);
            }
        }
        expired
    }

    /// Takes those of a lane.
    pub(super) fn recall(&mut self, lane: &Lane) -> Vec<Transmit> {
        let is_of = |transmit: &Transmit| {
            let key = transmit.key.as_ref();
            key.is_some_and(|key| key.lane == *lane)
        };
        if !self.others.iter().any(is_of) {
            return Vec::new();
        }
        let waiting = std::mem::take(&mut self.others).into_iter();
        let (recalled, kept): (Vec<_>, Vec<_>) = waiting.partition(is_of);
        self.others = kept.into();
        recalled
    }
}

impl Peer {
    /// Gives a link what it has to write, up to `octets`: answers first, and of both what the paces
    /// let go.
    pub(super) fn take(
        &mut self,
        id: LinkId,
        octets: usize,
        now: Mono,
        out: &mut Outcome,
    ) -> Vec<Outgoing> {
        let mut batch = Batch::new(octets);
        if !self.take_answers(id, now, &mut batch, out) {
            return Vec::new();
        }
        let answers = self.answers_waiting(now);
        let Some(link) = self.links.get_mut(&id) else {
            return Vec::new();
        };
        let mut brakes = Brakes {
            presence: &mut self.pace,
            all: &mut self.cap,
            answers,
            now,
        };
        for path in self.paths.values_mut().filter(|path| path.link == Some(id)) {
            match self.side {
                Side::Sip => batch.add_requests(path, &mut brakes, link),
                Side::Xmpp => batch.add_stanzas(path, &mut out.ends),
            }
        }
        batch.taken(self.side)
    }

    /// Adds the answers that a link has; false if there is no such link.
    fn take_answers(
        &mut self,
        id: LinkId,
        now: Mono,
        batch: &mut Batch,
        out: &mut Outcome,
    ) -> bool {
        self.expire_answers(now, out);
        let urgent = self.urgent(now);
        let Some(link) = self.links.get_mut(&id) else {
            return false;
        };
        link.asks(now);
        let elsewhere = urgent.saturating_sub(link.urgent(now));
        while batch.has_room() {
            // What is urgent on another link goes before what is not on this one.
            let reserved = if link.urgent(now) > 0 { 0 } else { elsewhere };
            if !self.cap.has_more_than(reserved, now) {
                break;
            }
            let Some(transmit) = link.next() else {
                break;
            };
            self.cap.take();
            // Nobody waits to hear that a response is written.
            batch.add(transmit, false);
        }
        true
    }

    /// What goes before answers of subscriptions, on all links that take what waits.
    fn urgent(&self, now: Mono) -> usize {
        if !self.cap.is_set() {
            return 0;
        }
        let answers: usize = self.links.values().map(|link| link.urgent(now)).sum();
        let is_read = |path: &&Path| {
            let link = path.link.and_then(|id| self.links.get(&id));
            link.is_some_and(|link| link.is_read(now))
        };
        let paths = self.paths.values().filter(is_read);
        answers + paths.map(|path| path.queue.urgent()).sum::<usize>()
    }

    /// Gives back answers that would come too late: what they cost is left for those that do not.
    pub(super) fn expire_answers(&mut self, now: Mono, out: &mut Outcome) {
        for link in self.links.values_mut() {
            for transmit in link.expire(now) {
                undelivered(transmit, Lapse::Expired, out);
            }
        }
    }

    /// Answers that wait for a token; without a limit none does.
    pub(super) fn answers_waiting(&self, now: Mono) -> usize {
        if !self.cap.is_set() {
            return 0;
        }
        self.links.values().map(|link| link.waiting(now)).sum()
    }

    /// Whether a link is not to be read for now, since the peer asks for more than may be answered in
    /// time. Only one that the peer opened and that carries nothing of ours can wait: answers to us
    /// come over the others. One that is owed less than its share goes on, so that a flood on another
    /// link costs it nothing.
    pub(super) fn is_held(&self, id: LinkId, now: Mono) -> bool {
        let Some(most) = self.cap.in_time(limits::ANSWERS_OWED) else {
            return false;
        };
        let Some(link) = self.links.get(&id).filter(|link| asks(link)) else {
            return false;
        };
        let carries = self.paths.values().any(|path| path.link == Some(id));
        if carries {
            return false;
        }
        let all: usize = self.links.values().map(|link| owed(link, now)).sum();
        let asking = self.links.values().filter(|link| asks(link)).count();
        all >= most && owed(link, now).saturating_mul(asking) >= most
    }

    /// A link answered, or asked, by itself: that was not held up, and counts.
    pub(super) fn spent(&mut self, messages: usize) {
        (0..messages).for_each(|_| self.cap.take());
    }
}

/// Whether the peer opened it, to ask something.
fn asks(link: &Link) -> bool {
    link.facts.way == Way::In
}

/// How many answers a link waits for: those that wait for their turn, and those that are not made yet.
fn owed(link: &Link, now: Mono) -> usize {
    link.waiting(now) + link.facts.mailbox.open(now)
}
