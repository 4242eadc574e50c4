//! What policy does not let pass: messages that come, and those that wait when policy changes.
//!
//! A polite block must not be told from a user who is offline: its refusals have the same words and
//! come as late as the last answers of the peer that the message would have gone to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt as _;

use crate::conversation::session::Phase;
use crate::limits;
use crate::mapping::failure::Own;
use crate::model::{Accept, LinkId, Pair, PeerId, Reason, Side};
use crate::origin::Origin;
use crate::policy::{Affected, Denied, Policy, Verdict};
use crate::shard::journal::domains;
use crate::shard::question::Question;
use crate::shard::sessions::Occasion;
use crate::shard::to_sip::{drop_repeated, dropped, lane};
use crate::shard::turn::Turn;
use crate::shard::{Fate, ImRecord, Kind, Lapse, Shard, Timer};
use crate::sip::{Answer, ServerKey};

/// Refusals that wait for their time.
#[derive(Debug, Default)]
pub(super) struct Late {
    /// How long each peer took for its last answer to a message.
    answered_after: BTreeMap<PeerId, Duration>,
    waiting: BTreeMap<u64, Refused>,
    count: u64,
}

/// A message that is refused in a moment.
#[derive(Debug)]
enum Refused {
    /// A request.
    Question(Box<Question>, Denied),
    /// A stanza.
    Stanza(Box<ImRecord>, (LinkId, u64), Denied),
}

impl Late {
    /// Whether a refusal waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes note of how long a peer took to answer a message.
    pub(super) fn on_answer(&mut self, peer: &PeerId, after: Duration) {
        let after = after.min(limits::POLITE_REFUSAL_MAX);
        self.answered_after.insert(peer.clone(), after);
    }
}

impl Shard {
    /// Takes a message of an XMPP user that policy does not let pass.
    pub(super) fn on_denied_stanza(
        &mut self,
        origin: &Origin,
        record: ImRecord,
        denied: Denied,
        turn: &mut Turn,
    ) {
        let input = (origin.link(), origin.number());
        let message = record.message.as_deref();
        if !message.is_some_and(|message| message.payload.is_content()) {
            // Typing and receipts are never answered.
            turn.settle(origin);
            return turn.tell(dropped(Side::Xmpp, origin, Reason::Denied));
        }
        if self.repeats.is_repeat(record.fingerprint, origin.link()) {
            // It was accepted, and has or will have its fate.
            return drop_repeated(origin, record, turn);
        }
        if denied.decision().verdict == Verdict::PoliteBlock {
            let peer = self.owner(Side::Sip, &record.pair);
            let refused = Refused::Stanza(Box::new(record), input, denied);
            return self.refuse_late(peer.as_ref(), refused, turn);
        }
        self.refuse(record, None, Own::Denied(denied).failure(), input, turn);
    }

    /// Takes a message of a SIP user that policy does not let pass.
    pub(super) fn on_denied_question(
        &mut self,
        question: Question,
        pair: &Pair,
        is_content: bool,
        denied: Denied,
        turn: &mut Turn,
    ) {
        let own = Own::Denied(denied);
        if denied.decision().verdict != Verdict::PoliteBlock {
            return self.refuse_unknown(&question, own, turn);
        }
        if !is_content {
            self.answer(&question, Answer::new(question.success), turn);
            let refused = dropped(Side::Sip, &question.origin, Reason::Denied);
            return turn.tell(refused);
        }
        let peer = self.owner(Side::Xmpp, pair);
        let owner = peer.as_ref().and_then(|peer| self.directory.peer(peer));
        match owner.map_or(Accept::Barrier, |owner| owner.accept) {
            Accept::Barrier => {
                let refused = Refused::Question(Box::new(question), denied);
                self.refuse_late(peer.as_ref(), refused, turn);
            }
            // That a user is offline shows only after the answer there.
            Accept::Immediate => {
                self.record_end(&question, Fate::Untold(own.failure()), turn);
                self.answer(&question, Answer::new(question.success), turn);
            }
        }
    }

    /// Takes an INVITE that policy does not let pass: nothing is said before the answer, so the
    /// refusal of a polite block comes as late as that of a user who is offline.
    pub(super) fn on_denied_invite(
        &mut self,
        question: Question,
        pair: &Pair,
        denied: Denied,
        turn: &mut Turn,
    ) {
        if denied.decision().verdict != Verdict::PoliteBlock {
            return self.refuse_unknown(&question, Own::Denied(denied), turn);
        }
        let peer = self.owner(Side::Xmpp, pair);
        let refused = Refused::Question(Box::new(question), denied);
        self.refuse_late(peer.as_ref(), refused, turn);
    }

    /// Takes note that an INVITE was cancelled whose refusal waits.
    pub(super) fn on_denied_cancelled(&mut self, invite: &ServerKey, turn: &mut Turn) {
        let cancelled = |refused: &Refused| match refused {
            Refused::Question(question, _) => question.key == *invite,
            Refused::Stanza(..) => false,
        };
        let mut waiting = self.late.waiting.iter();
        let found = waiting.find(|(_, refused)| cancelled(refused));
        let Some(number) = found.map(|(number, _)| *number) else {
            return;
        };
        self.timers.cancel(&Timer::Refuse(number));
        if let Some(Refused::Question(question, _)) = self.late.waiting.remove(&number) {
            self.answer(&question, Answer::new(487), turn);
        }
    }

    /// The peer that serves the user of a pair on that side.
    fn owner(&self, side: Side, pair: &Pair) -> Option<PeerId> {
        let (jid, aor) = domains(pair)?;
        let domain = match side {
            Side::Sip => aor,
            Side::Xmpp => jid,
        };
        let owner = self.directory.owner_on(side, &domain)?;
        Some(owner.id.clone())
    }

    fn refuse_late(&mut self, peer: Option<&PeerId>, refused: Refused, turn: &mut Turn) {
        if self.late.waiting.len() >= limits::WAITING_PER_PEER {
            return self.refuse_now(refused, turn);
        }
        let after = peer.and_then(|peer| self.late.answered_after.get(peer).copied());
        let after = after.unwrap_or(limits::POLITE_REFUSAL);
        // No peer answers twice after the same time.
        let after = after.mul_f64(self.rng.random_range(0.8..1.2));
        self.late.count = self.late.count.saturating_add(1);
        let number = self.late.count;
        self.late.waiting.insert(number, refused);
        self.timers
            .set(Timer::Refuse(number), turn.now.mono + after);
    }

    /// Refuses a message whose refusal has waited.
    pub(super) fn on_refusal_time(&mut self, number: u64, turn: &mut Turn) {
        if let Some(refused) = self.late.waiting.remove(&number) {
            self.refuse_now(refused, turn);
        }
    }

    fn refuse_now(&mut self, refused: Refused, turn: &mut Turn) {
        match refused {
            Refused::Question(question, denied) => {
                self.refuse_unknown(&question, Own::Denied(denied), turn);
            }
            Refused::Stanza(record, input, denied) => {
                let failure = Own::Denied(denied).failure();
                self.refuse(*record, None, failure, input, turn);
            }
        }
    }

    /// Takes note of how long the SIP peer took to answer the message in flight of a pair.
    pub(super) fn learn_pace_of_sip(&mut self, peer: &PeerId, pair: &Pair, turn: &Turn) {
        let conversation = self.memory.find(pair);
        let in_flight = conversation.and_then(|one| one.queue.in_flight());
        if let Some(record) = in_flight.and_then(|one| one.record.as_ref()) {
            let after = turn.now.wall.since(record.accepted_at);
            self.late.on_answer(peer, after);
        }
    }

    /// Takes note of how long the XMPP peer took to take a message.
    pub(super) fn learn_pace_of_xmpp(&mut self, record: &ImRecord, turn: &Turn) {
        if let Some(peer) = self.owner(Side::Xmpp, &record.pair) {
            let after = turn.now.wall.since(record.accepted_at);
            self.late.on_answer(&peer, after);
        }
    }

    /// Takes a new policy: what waits and is no longer allowed is called back and returned.
    pub(super) fn on_policy(&mut self, policy: Arc<Policy>, affected: &Affected, turn: &mut Turn) {
        self.policy = policy;
        let policy = Arc::clone(&self.policy);
        let denied = |pair: &Pair| {
            let asked = affected.holds(pair);
            asked.then(|| policy.refusal(pair)).flatten()
        };
        let on_the_way = self.incoming.keys().map(|key| &key.0);
        let mut recalls: BTreeSet<_> = on_the_way
            .filter(|pair| denied(pair).is_some())
            .map(|pair| lane(pair, Kind::Im).lane)
            .collect();
        let mut returned = Vec::new();
        let mut talking = Vec::new();
        for (pair, conversation) in self.memory.iter_mut() {
            let Some(denied) = denied(pair) else {
                continue;
            };
            recalls.insert(lane(pair, Kind::Typing).lane);
            if conversation.session.phase() != Phase::Idle {
                talking.push(pair.clone());
            }
            if !conversation.queue.is_empty() {
                recalls.insert(lane(pair, Kind::Im).lane);
                let waiting = conversation.queue.take_waiting(|_| true);
                returned.extend(waiting.into_iter().map(|one| (one, Own::Denied(denied))));
            }
        }
        turn.effects.recalls.extend(recalls);
        for (outgoing, own) in returned {
            self.end(*outgoing, Err(own.failure()), turn);
        }
        for pair in talking {
            self.converse(&pair, Occasion::Plain, turn, |session, scene| {
                session.on_block(scene)
            });
        }
        self.decide(affected, turn);
    }

    /// What calls a message back: policy, if it still says no.
    pub(super) fn recalled(&self, pair: &Pair) -> Own {
        self.policy.refusal(pair).map_or(Own::Expired, Own::Denied)
    }

    /// Carries this turn's recalls out on what could not be stored before, of which the first
    /// `deferred` transmits are older than them.
    pub(super) fn recall_deferred(&mut self, deferred: usize, turn: &mut Turn) {
        if turn.effects.recalls.is_empty() {
            return;
        }
        for id in self.journal.recall(deferred, turn) {
            self.on_undelivered(id, &Lapse::Recalled, turn);
        }
    }
}
