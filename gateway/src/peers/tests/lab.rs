//! One peer without its registry.

use std::sync::Arc;
use std::time::Duration;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use translators::model::{Blame, Condition, Failure, LinkId, Mono, PeerId, Side, Wall};
use translators::shard::{Lapse, Transmit, TransmitId};

use crate::peers::backoff::DialFailure;
use crate::peers::batch::Outgoing;
use crate::peers::link::{Begun, NewLink, TooManyLinks};
use crate::peers::mailbox::Mailbox;
use crate::peers::path::{End, PathKey};
use crate::peers::peer::{Outcome, Peer};
use crate::peers::testing::{at, domain};
use crate::telemetry::events::Way;

/// One peer and what its changes brought about.
pub(super) struct Lab {
    pub(super) peer: Peer,
    outcome: Outcome,
}

impl Lab {
    pub(super) fn new(side: Side) -> Self {
        Self {
            peer: Peer::new(PeerId::new("peer"), side, StdRng::seed_from_u64(1)),
            outcome: Outcome::default(),
        }
    }

    pub(super) fn submit(&mut self, transmit: Transmit) {
        self.submit_at(transmit, 0);
    }

    pub(super) fn submit_at(&mut self, transmit: Transmit, seconds: u64) {
        let elsewhere = transmit.elsewhere;
        let key = PathKey {
            elsewhere,
            ..path()
        };
        let out = &mut self.outcome;
        self.peer.submit(transmit, key, at(seconds), out);
    }

    pub(super) fn up(&mut self, number: u64, way: Way) -> Begun {
        self.try_up(number, way).unwrap()
    }

    pub(super) fn try_up(&mut self, number: u64, way: Way) -> Result<Begun, TooManyLinks> {
        self.try_up_at(number, way, 5269)
    }

    pub(super) fn try_up_at(
        &mut self,
        number: u64,
        way: Way,
        port: u16,
    ) -> Result<Begun, TooManyLinks> {
        let link = NewLink {
            id: LinkId(number),
            way,
            local: path().local,
            remote: path().remote,
            domains: Arc::from([path().remote]),
            address: ([127, 0, 0, 1], port).into(),
            tls: "1.3",
            mailbox: Arc::new(Mailbox::default()),
        };
        self.peer
            .link_up(link, at(0), Wall::default(), &mut self.outcome)
    }

    pub(super) fn down(&mut self, number: u64, seconds: u64) {
        self.peer
            .link_down(LinkId(number), at(seconds), &mut self.outcome);
    }

    pub(super) fn take(&mut self, number: u64) -> usize {
        self.take_at(number, 0).len()
    }

    /// What a link takes, as text.
    pub(super) fn take_at(&mut self, number: u64, millis: u64) -> Vec<String> {
        let now = Mono::from_start(Duration::from_millis(millis));
        let out = &mut self.outcome;
        let taken = self.peer.take(LinkId(number), 65_536, now, out);
        let text = |outgoing: Outgoing| String::from_utf8(outgoing.bytes.to_vec()).unwrap();
        taken.into_iter().map(text).collect()
    }

    /// How many links were woken.
    pub(super) fn woken(&mut self) -> usize {
        std::mem::take(&mut self.outcome.wake).len()
    }

    pub(super) fn fail(&mut self, lasting: bool, seconds: u64) {
        self.fail_path(&path(), lasting, seconds);
    }

    pub(super) fn fail_path(&mut self, key: &PathKey, lasting: bool, seconds: u64) {
        let failure = Failure::new(Condition::RemoteServerTimeout, Blame::Peer);
        let why = DialFailure { failure, lasting };
        let out = &mut self.outcome;
        self.peer.dial_failed(key, why, at(seconds), out);
    }

    pub(super) fn tick(&mut self, seconds: u64) {
        self.peer.tick(at(seconds), &mut self.outcome);
    }

    pub(super) fn out(&mut self, act: impl FnOnce(&mut Peer, &mut Outcome)) {
        act(&mut self.peer, &mut self.outcome);
    }

    pub(super) fn ends(&mut self) -> Vec<End> {
        std::mem::take(&mut self.outcome.ends)
    }

    pub(super) fn wanted(&mut self) -> usize {
        self.wanted_paths().len()
    }

    pub(super) fn wanted_paths(&mut self) -> Vec<PathKey> {
        std::mem::take(&mut self.outcome.wanted)
    }
}

pub(super) fn path() -> PathKey {
    PathKey::new(domain("sip.example"), domain("xmpp.example"))
}

fn id(number: u64) -> TransmitId {
    TransmitId { shard: 1, number }
}

pub(super) fn handed_over(number: u64) -> End {
    End::HandedOver(id(number))
}

pub(super) fn lost(number: u64) -> End {
    End::Lost(id(number))
}

pub(super) fn undelivered(transmit: Transmit, lapse: Lapse) -> End {
    End::Undelivered(Box::new(transmit), lapse)
}
