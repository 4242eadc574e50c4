//! What a peer has to be told when it has a link again: after a start, and after a loss.
//!
//! A sweep goes over the relations with users of the peer, in the order of their pairs, and lets
//! each send what is due. Only so much of it is under way at a time: the rest follows as stanzas are
//! handed over and requests are answered, so that everything goes as fast as the peer's budget and
//! the peer itself allow, and nothing waits for long behind it.

use std::collections::BTreeMap;

use crate::limits;
use crate::model::{Domain, Pair, PeerId, Side};
use crate::shard::turn::Turn;
use crate::shard::{Shard, Timer, TransmitId};
use crate::sip::Branch;

/// The sweeps that are not at their end.
#[derive(Debug, Default)]
pub(super) struct Recovery {
    sweeps: BTreeMap<PeerId, Sweep>,
    /// Which sweep sent what is under way.
    sent: BTreeMap<TransmitId, PeerId>,
    /// Which sweep sent a request that was written and waits for its answer.
    asked: BTreeMap<Branch, PeerId>,
}

/// A sweep over the relations of one peer.
#[derive(Debug, Default)]
struct Sweep {
    /// The pair it came to.
    last: Option<Pair>,
    /// How much of what it sent is not handed over, or not answered.
    under_way: usize,
    /// Whether something became due behind it.
    again: bool,
}

impl Recovery {
    /// Whether a sweep of the peer has still to come to a pair.
    pub(super) fn is_awaited(&self, peer: &PeerId, pair: &Pair) -> bool {
        let sweep = self.sweeps.get(peer);
        sweep.is_some_and(|sweep| sweep.last.as_ref().is_none_or(|last| last < pair))
    }
}

impl Recovery {
    /// A request was written: it is under way until it is answered. A peer that is slower than its
    /// budget would be asked more and more otherwise, until nothing is answered in time.
    pub(super) fn on_written(&mut self, id: TransmitId, branch: Branch) {
        if let Some(peer) = self.sent.remove(&id) {
            self.asked.insert(branch, peer);
        }
    }
}

impl Shard {
    /// A peer has a link again: everything that is due to it is sent.
    pub(super) fn start_recovery(&mut self, peer: PeerId, turn: &mut Turn) {
        self.end_recovery(&peer);
        self.recovery.sweeps.insert(peer.clone(), Sweep::default());
        self.recover(&peer, turn);
    }

    /// The peer has no link any more: the next one starts from the beginning.
    pub(super) fn end_recovery(&mut self, peer: &PeerId) {
        if self.recovery.sweeps.remove(peer).is_some() {
            self.recovery.sent.retain(|_, of| of != peer);
            self.recovery.asked.retain(|_, of| of != peer);
            self.timers.cancel(&Timer::Recovery(peer.clone()));
        }
    }

    /// A transmit ended, one way or the other: where a sweep sent it, the sweep goes on.
    pub(super) fn on_recovered(&mut self, id: TransmitId, turn: &mut Turn) {
        if let Some(peer) = self.recovery.sent.remove(&id) {
            self.go_on(&peer, turn);
        }
    }

    /// A request was answered, or will not be: where a sweep sent it, the sweep goes on.
    pub(super) fn on_transaction_over(&mut self, branch: Branch, turn: &mut Turn) {
        if let Some(peer) = self.recovery.asked.remove(&branch) {
            self.go_on(&peer, turn);
        }
    }

    fn go_on(&mut self, peer: &PeerId, turn: &mut Turn) {
        if let Some(sweep) = self.recovery.sweeps.get_mut(peer) {
            sweep.under_way = sweep.under_way.saturating_sub(1);
            self.recover(peer, turn);
        }
    }

    /// Goes on with a sweep until enough is under way, or other inputs should have their turn.
    pub(super) fn recover(&mut self, peer: &PeerId, turn: &mut Turn) {
        let Some(side) = self.directory.peer(peer).map(|profile| profile.side()) else {
            return self.end_recovery(peer);
        };
        for _ in 0..limits::RECOVERY_STEP {
            let Some(sweep) = self.recovery.sweeps.get_mut(peer) else {
                return;
            };
            if sweep.under_way >= limits::RECOVERY_UNDER_WAY {
                return;
            }
            let Some(pair) = self.relations.next(sweep.last.as_ref()).cloned() else {
                return self.turn_round(peer, turn);
            };
            sweep.last = Some(pair.clone());
            if self.belongs(&pair, side, peer) {
                self.recover_pair(&pair, side, peer, turn);
            }
        }
        self.wait_for_recovery(peer.clone(), turn);
    }

    /// Something of a pair is due to its peer on `side` that could not be sent since too much waits
    /// for the peer: a sweep sends it, little by little.
    pub(super) fn recover_again(&mut self, pair: &Pair, side: Side, turn: &Turn) {
        let domain = match side {
            Side::Sip => pair.aor.domain(),
            Side::Xmpp => Domain::parse(pair.jid.domain().as_str()),
        };
        let owner = domain.and_then(|domain| self.directory.owner_on(side, &domain));
        let Some(peer) = owner.map(|owner| owner.id.clone()) else {
            return;
        };
        if let Some(sweep) = self.recovery.sweeps.get_mut(&peer) {
            sweep.again = true;
        } else {
            self.recovery.sweeps.insert(peer.clone(), Sweep::default());
            self.wait_for_recovery(peer, turn);
        }
    }

    /// A sweep is at its end: it is over, or begins anew.
    fn turn_round(&mut self, peer: &PeerId, turn: &Turn) {
        match self.recovery.sweeps.get_mut(peer) {
            Some(sweep) if sweep.again => {
                sweep.again = false;
                sweep.last = None;
                self.wait_for_recovery(peer.clone(), turn);
            }
            Some(_) | None => self.end_recovery(peer),
        }
    }

    fn wait_for_recovery(&mut self, peer: PeerId, turn: &Turn) {
        let soon = turn.now.mono + limits::RECOVERY_PAUSE;
        self.timers.set(Timer::Recovery(peer), soon);
    }

    /// Lets both relations of a pair send what is due, and counts what goes to the peer.
    fn recover_pair(&mut self, pair: &Pair, side: Side, peer: &PeerId, turn: &mut Turn) {
        let before = turn.effects.transmits.len();
        self.recover_watching(pair, side, turn);
        self.recover_watched(pair, side, turn);
        let sent = turn.effects.transmits.iter().skip(before);
        let sent = sent.filter(|transmit| transmit.peer == *peer);
        for transmit in sent {
            self.recovery.sent.insert(transmit.id, peer.clone());
            if let Some(sweep) = self.recovery.sweeps.get_mut(peer) {
                sweep.under_way = sweep.under_way.saturating_add(1);
            }
        }
    }

    /// Whether the user on `side` is one of the peer's.
    pub(super) fn belongs(&self, pair: &Pair, side: Side, peer: &PeerId) -> bool {
        let user = match side {
            Side::Sip => pair.aor.image(),
            Side::Xmpp => &pair.jid,
        };
        let domain = user.domain().as_str();
        let profile = self.directory.peer(peer);
        profile.is_some_and(|profile| profile.domains.iter().any(|own| own.as_str() == domain))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jid::BareJid;

    use super::*;
    use crate::model::{
        Accept, Aor, Dialect, Directory, Mono, Now, Profile, SipProfile, XmppProfile,
    };
    use crate::policy::Policy;
    use crate::shard::{Input, Place};
    use crate::sip::{Hosts, Mark};

    fn shard(relations: usize) -> Shard {
        let profile = |name: &str, domain: &str, dialect| Profile {
            id: PeerId::new(name),
            domains: vec![Domain::parse(domain).unwrap()],
            accept: Accept::Barrier,
            dialect,
        };
        let directory = Directory::new([
            profile("sip", "sip.example", Dialect::Sip(SipProfile::default())),
            profile(
                "xmpp",
                "xmpp.example",
                Dialect::Xmpp(XmppProfile::default()),
            ),
        ]);
        let place = Place {
            number: 0,
            mark: Mark(1),
            hosts: Hosts::only("gw.example", 5061).unwrap(),
        };
        let mut shard = Shard::new(place, 1, Arc::new(directory), Arc::new(Policy::default()));
        for number in 0..relations {
            let jid = BareJid::new(&format!("u{number}@xmpp.example")).unwrap();
            let aor = Aor::from_image(BareJid::new("bob@sip.example").unwrap());
            shard.relations.open(&Pair::new(jid, aor)).unwrap();
        }
        shard
    }

    fn peer() -> PeerId {
        PeerId::new("sip")
    }

    fn last(shard: &Shard) -> Option<&Pair> {
        shard.recovery.sweeps.get(&peer())?.last.as_ref()
    }

    #[test]
    fn a_sweep_lets_other_inputs_have_their_turn() {
        let mut shard = shard(limits::RECOVERY_STEP + 1);
        let mut now = Now::default();

        let effects = shard.handle(Input::PeerUp(peer()), now);

        let due = now.mono + limits::RECOVERY_PAUSE;
        assert_eq!(effects.wake_at, Some(due));
        assert!(last(&shard).is_some(), "not at its end");
        now.mono = due;
        shard.handle(Input::Timeout, now);
        assert!(shard.recovery.sweeps.is_empty());
    }

    #[test]
    fn a_sweep_goes_on_when_something_is_handed_over_and_ends_with_the_link() {
        let mut shard = shard(3);
        let id = |number| TransmitId { shard: 0, number };
        let full = Sweep {
            last: None,
            under_way: limits::RECOVERY_UNDER_WAY,
            again: false,
        };
        shard.recovery.sweeps.insert(peer(), full);
        shard.recovery.sent.insert(id(7), peer());
        shard.recovery.sent.insert(id(8), peer());
        let now = Now {
            mono: Mono::default(),
            ..Now::default()
        };

        shard.handle(Input::HandedOver(id(9)), now);
        assert_eq!(last(&shard), None, "that was none of its own");
        shard.handle(Input::HandedOver(id(7)), now);
        assert!(shard.recovery.sweeps.is_empty(), "nothing was due");

        shard.handle(Input::PeerDown(peer()), now);
        shard.handle(Input::HandedOver(id(8)), now);
        assert!(shard.recovery.sent.is_empty());
    }

    #[test]
    fn a_request_is_under_way_until_it_is_answered() {
        let mut shard = shard(3);
        let id = TransmitId {
            shard: 0,
            number: 7,
        };
        let branch = Branch::draw(Mark(1), 0, &mut shard.rng);
        let full = Sweep {
            last: None,
            under_way: limits::RECOVERY_UNDER_WAY,
            again: false,
        };
        shard.recovery.sweeps.insert(peer(), full);
        shard.recovery.sent.insert(id, peer());
        let now = Now::default();

        shard.recovery.on_written(id, branch);
        shard.handle(Input::HandedOver(id), now);
        assert_eq!(last(&shard), None, "its answer has not come");
        let mut turn = Turn::new(now, crate::shard::turn::Numbers::new(0));
        shard.on_transaction_over(branch, &mut turn);
        assert!(shard.recovery.sweeps.is_empty(), "nothing was due");
    }
}
