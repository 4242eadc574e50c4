//! One link of a peer, as the registry knows it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use translators::limits;
use translators::model::{Domain, LinkId, Mono, Wall};
use translators::shard::{Class, Lane, Transmit, TransmitId};

use super::answers::Answers;
use super::load::Load;
use super::mailbox::Mailbox;
use super::status::LinkStatus;
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

/// A link that has not asked for so long is taken for one that is not read, so that its answers hold
/// nothing up: longer than what is owed to a pace.
const UNREAD: Duration = Duration::from_secs(10);

/// A link of a peer.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) facts: NewLink,
    /// What only this link may carry.
    outbox: Answers,
    /// Taken by a SIP link and not written yet.
    writing: Vec<(TransmitId, Class)>,
    /// Whether requests of ours may go out on it, although the peer opened it.
    pub(super) reusable: bool,
    load: Load,
    /// When it last asked for something to write.
    asked_at: Mono,
    pub(super) since: Mono,
    pub(super) since_wall: Wall,
}

impl Link {
    /// Starts without anything to carry.
    pub(super) const fn new(facts: NewLink, now: Mono, wall: Wall) -> Self {
        Self {
            facts,
            outbox: Answers::new(),
            writing: Vec::new(),
            reusable: false,
            load: Load {
                messages: 0,
                presence: 0,
                typing: 0,
            },
            asked_at: now,
            since: now,
            since_wall: wall,
        }
    }

    /// Takes what only this link may carry.
    pub(super) fn submit(&mut self, transmit: Transmit) {
        self.load.add(transmit.class);
        self.outbox.push(transmit);
    }

    /// Gives the next of what only this link may carry.
    pub(super) fn next(&mut self) -> Option<Transmit> {
        let transmit = self.outbox.pop()?;
        self.load.remove(transmit.class);
        Some(transmit)
    }

    /// Takes back what waits in a lane: an answer can show presence as well as a NOTIFY.
    pub(super) fn recall(&mut self, lane: &Lane) -> Vec<Transmit> {
        let recalled = self.outbox.recall(lane);
        for transmit in &recalled {
            self.load.remove(transmit.class);
        }
        recalled
    }

    /// Takes back answers for which nobody waits any more.
    pub(super) fn expire(&mut self, now: Mono) -> Vec<Transmit> {
        let expired = self.outbox.expire(now);
        for transmit in &expired {
            self.load.remove(transmit.class);
        }
        expired
    }

    /// Notes that it asks for something to write, as it does when what it had is written.
    pub(super) const fn asks(&mut self, now: Mono) {
        self.asked_at = now;
    }

    /// How much waits that only this link may carry; nothing on one whose other end does not read.
    pub(super) fn waiting(&self, now: Mono) -> usize {
        if self.is_read(now) {
            self.outbox.len()
        } else {
            0
        }
    }

    /// The same of conversations.
    pub(super) fn urgent(&self, now: Mono) -> usize {
        if self.is_read(now) {
            self.outbox.urgent()
        } else {
            0
        }
    }

    pub(super) fn is_read(&self, now: Mono) -> bool {
        now.since(self.asked_at) < UNREAD
    }

    /// Takes note of what is being written.
    pub(super) fn writes(&mut self, id: TransmitId, class: Class) {
        self.load.add(class);
        self.writing.push((id, class));
    }

    /// What was being written up to now.
    pub(super) fn written(&mut self) -> impl Iterator<Item = TransmitId> {
        let written = std::mem::take(&mut self.writing);
        for (_, class) in &written {
            self.load.remove(*class);
        }
        written.into_iter().map(|(id, _)| id)
    }

    /// How many of which kind it has to carry alone, or has taken.
    pub(super) const fn load(&self) -> Load {
        self.load
    }

    /// Whether it has something to carry alone, or is writing.
    pub(super) const fn is_busy(&self) -> bool {
        self.load.total() > 0
    }

    /// The address of the server at the other end: a link that the peer opened tells its host only.
    pub(super) const fn server(&self) -> SocketAddr {
        match self.facts.way {
            Way::Out => self.facts.address,
            Way::In => SocketAddr::new(self.facts.address.ip(), 0),
        }
    }

    /// How it is, for the operator.
    pub(super) fn status(&self) -> LinkStatus {
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
