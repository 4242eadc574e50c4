//! Messages of SIP users to XMPP users.
//!
//! The request is answered when the XMPP side has taken the stanza or said no to it. A peer with
//! `accept = "immediate"` turns the order round: its requests are answered when the message is in
//! the journal, and the stanza is sent until it is taken.

use std::sync::Arc;

use bytes::Bytes;
use rand::RngExt as _;

use crate::conversation::{Delivered, Whose};
use crate::limits;
use crate::mapping::failure::{self, Addressee, Own, Refusal};
use crate::mapping::message;
use crate::model::{
    Accept, Aor, Condition, Direction, Failure, InstantMessage, Lapse, MessageStyle, Mono,
    PageThread, Pair, Payload, PeerId, Reason, ReceiptKind, Side, SipProfile, Wall,
};
use crate::origin::Origin;
use crate::policy::Admitted;
use crate::shard::journal::{Withdrawn, conclude, domains};
use crate::shard::question::Question;
use crate::shard::to_sip::{accepted, dropped, lane};
use crate::shard::turn::{Parcel, Turn};
use crate::shard::{
    Class, Event, Fate, ImKey, ImRecord, ImState, Kind, Shard, Task, Timer, TransmitId,
};
use crate::sip::Answer;
use crate::xmpp::Message;

/// Names a stanza of ours: its pair and identifier. Timers, tasks and maps share it.
pub(super) type StanzaKey = Arc<(Pair, String)>;

/// A message on its way to an XMPP user.
#[derive(Debug)]
pub(super) struct Incoming {
    message: Admitted<InstantMessage>,
    /// Its row in the journal, without the text.
    record: ImRecord,
    owed: Owed,
    transmit: Option<TransmitId>,
    give_up_at: Mono,
}

/// What is owed to the sender of a message.
#[derive(Debug)]
enum Owed {
    /// An answer to his request.
    Answer(Question),
    /// Delivery: he has a 2xx, which is taken back if the message could not be stored.
    Delivery(Option<(Question, TransmitId)>),
}

impl Shard {
    /// Takes a message: refuses it at once or hands it on.
    pub(super) fn on_content(
        &mut self,
        question: Question,
        message: Admitted<InstantMessage>,
        profile: &SipProfile,
        mode: PageThread,
        turn: &mut Turn,
    ) {
        let record = self.asked_record(&question, message.pair(), turn.now.wall);
        let key = self.stanza_key(&message);
        if profile.cpim {
            let whose = Whose {
                pair: key.0.clone(),
                direction: Direction::ToXmpp,
                id: key.1.clone(),
            };
            self.ask(whose, message.thing(), turn);
        }
        let incoming = Incoming {
            message: self.address(&key, message, mode, turn),
            record,
            owed: Owed::Answer(question),
            transmit: None,
            give_up_at: turn.now.mono + limits::ANSWER_TIME,
        };
        if !self.has_room_for(&incoming) {
            return self.give_up(&key, incoming, Own::Overloaded.refusal(), turn);
        }
        self.hand_on(key, incoming, turn);
    }

    /// Sets what the conversation knows better than the request: identifier, resource, thread and
    /// chat state.
    fn address(
        &mut self,
        key: &StanzaKey,
        message: Admitted<InstantMessage>,
        mode: PageThread,
        turn: &Turn,
    ) -> Admitted<InstantMessage> {
        let (pair, id) = &**key;
        self.timers.cancel(&Timer::Lapse(pair.clone()));
        let conversation = self.memory.touch(pair, turn.now.mono);
        conversation.on_sip_content(message.thing().from_instance.as_deref());
        message.with(|message| {
            let named = message.to_instance.take();
            let resource = conversation.resource(named.as_deref());
            message.to_instance = resource.map(str::to_owned);
            let call_id = message.thread.take();
            message.thread = call_id.and_then(|call_id| conversation.pages.enter(&call_id, mode));
            message.id = Some(id.clone());
            if let Payload::Text { chat_state, .. } = &mut message.payload {
                *chat_state = conversation.indicator.on_content();
            }
        })
    }

    /// Whether the journal and the pair take one more.
    fn has_room_for(&mut self, incoming: &Incoming) -> bool {
        let conversation = self.memory.find(incoming.message.pair());
        let (waiting, octets) = conversation.map_or((0, 0), |one| one.inbound);
        !self.journal.is_read_only()
            && waiting < limits::WAITING_PER_PAIR
            && octets.saturating_add(incoming.octets()) <= limits::WAITING_OCTETS_PER_PAIR
    }

    /// Sends the stanza, before or after the request is answered.
    pub(super) fn hand_on(&mut self, key: StanzaKey, mut incoming: Incoming, turn: &mut Turn) {
        let (peer, accept, bytes) = match self.stanza(&incoming.message) {
            Ok(written) => written,
            Err(own) => return self.give_up(&key, incoming, own.refusal(), turn),
        };
        if let Owed::Answer(question) = &incoming.owed {
            turn.tell(accepted(&incoming.record));
            match accept {
                Accept::Barrier => {
                    let at = turn.now.mono + limits::TRYING_AFTER;
                    self.timers.set(Timer::Trying(Arc::clone(&key)), at);
                }
                Accept::Immediate => {
                    let question = question.clone();
                    let success = Answer::new(question.success);
                    let transmit = self.answer(&question, success, turn);
                    incoming.owed = Owed::Delivery(Some((question, transmit)));
                    incoming.give_up_at = turn.now.mono + limits::DELIVERY_TIME;
                    incoming.record.deadline = turn.now.wall + limits::DELIVERY_TIME;
                    turn.store(incoming.row());
                }
            }
        }
        let octets = incoming.octets();
        let conversation = self.memory.touch(&key.0, turn.now.mono);
        conversation.inbound.0 = conversation.inbound.0.saturating_add(1);
        conversation.inbound.1 = conversation.inbound.1.saturating_add(octets);
        self.send_message(key, incoming, peer, bytes, turn);
    }

    fn send_message(
        &mut self,
        key: StanzaKey,
        mut incoming: Incoming,
        peer: PeerId,
        bytes: Bytes,
        turn: &mut Turn,
    ) {
        if let Some((remote, local)) = domains(&key.0) {
            let transmit = turn.send(Parcel {
                peer,
                local,
                remote,
                link: None,
                elsewhere: false,
                class: Class::Im,
                key: Some(lane(&key.0, Kind::Im)),
                bytes,
                give_up_at: incoming.give_up_at,
            });
            incoming.transmit = Some(transmit);
            self.tasks.insert(transmit, Task::Deliver(key.clone()));
        }
        self.incoming.insert(key, incoming);
    }

    /// The stanza of a message, for whom and in which order it is answered.
    fn stanza(&self, message: &Admitted<InstantMessage>) -> Result<(PeerId, Accept, Bytes), Own> {
        let domain = domains(message.pair()).map(|(domain, _)| domain);
        let owner = domain.and_then(|domain| self.directory.owner_on(Side::Xmpp, &domain));
        let Some((peer, profile)) = owner.and_then(|peer| Some((peer, peer.xmpp()?))) else {
            return Err(Own::NotServed);
        };
        let stanza = message::to_xmpp(message)?;
        let limit = profile.max_stanza;
        let setting = "max_stanza";
        let bytes = stanza
            .write(limit)
            .map_err(|_| Own::TooLarge { limit, setting })?;
        Ok((peer.id.clone(), peer.accept, bytes))
    }

    /// Takes note that the XMPP side has taken a stanza.
    pub(super) fn on_taken(&mut self, key: &StanzaKey, turn: &mut Turn) {
        let Some(incoming) = self.take_out(key) else {
            return;
        };
        let (record, durable) = match incoming.owed {
            Owed::Answer(question) => {
                self.learn_pace_of_xmpp(&incoming.record, turn);
                self.answer(&question, Answer::new(question.success), turn);
                (incoming.record, false)
            }
            Owed::Delivery(_) => (incoming.record, true),
        };
        if let Some(conversation) = self.memory.find(&key.0) {
            conversation.on_delivered(Delivered {
                stanza_id: key.1.as_str().into(),
                sender_id: record.sender_id.as_deref().map(Into::into),
            });
        }
        conclude(record, Fate::Delivered, durable, turn);
    }

    /// Takes an error stanza: about a message on its way, or about one that was taken before.
    pub(super) fn on_stanza_error(&mut self, origin: &Origin, stanza: &Message, turn: &mut Turn) {
        turn.settle(origin);
        let (Some(id), Some(error)) = (stanza.id.clone(), stanza.error()) else {
            return turn.tell(dropped(Side::Xmpp, origin, Reason::Unmatched));
        };
        let pair = Pair::new(stanza.from.to_bare(), Aor::from_image(stanza.to.to_bare()));
        let failure = failure::from_xmpp(&error);
        let conversation = self.memory.find(&pair);
        let late = conversation.and_then(|one| {
            one.unlock();
            one.take_delivered(&id)
        });
        let key = Arc::new((pair, id));
        if let Some(late) = late {
            let sender_id = late.sender_id.map(Into::into);
            return self.on_late_error(&key, sender_id, failure, turn);
        }
        let Some(incoming) = self.incoming.get(&key) else {
            return turn.tell(dropped(Side::Xmpp, origin, Reason::Unmatched));
        };
        if incoming.left_a_device(&failure) {
            return self.send_to_bare(key, turn);
        }
        let answer = if self.is_microsoft(&key.0) {
            failure::to_microsoft(&failure)
        } else {
            failure::to_sip(&failure, Addressee::of(&stanza.from))
        };
        self.fail(&key, Refusal { failure, answer }, turn);
    }

    /// Tells of an error that came after the 2xx, and reports it where that was asked for.
    fn on_late_error(
        &mut self,
        key: &StanzaKey,
        sender_id: Option<String>,
        failure: Failure,
        turn: &mut Turn,
    ) {
        let (pair, id) = &**key;
        self.report(pair, id, ReceiptKind::Failed, None, turn);
        self.remark_undelivered(pair, &failure, turn);
        turn.tell(Event::LateError {
            sender_id,
            pair: pair.clone(),
            failure,
        });
    }

    /// Sends a message again without the resource that has gone. It may: the first was refused.
    fn send_to_bare(&mut self, key: StanzaKey, turn: &mut Turn) {
        let Some(mut incoming) = self.incoming.remove(&key) else {
            return;
        };
        if let Some(transmit) = incoming.transmit.take() {
            self.tasks.remove(&transmit);
        }
        incoming.message = incoming.message.with(|message| message.to_instance = None);
        self.send_again(key, incoming, turn);
    }

    fn send_again(&mut self, key: StanzaKey, incoming: Incoming, turn: &mut Turn) {
        let stanza = match self.policy.refusal(&key.0) {
            None => self.stanza(&incoming.message),
            Some(denied) => Err(Own::Denied(denied)),
        };
        match stanza {
            Ok((peer, _, bytes)) => self.send_message(key, incoming, peer, bytes, turn),
            Err(own) => {
                self.incoming.insert(key.clone(), incoming);
                self.fail(&key, own.refusal(), turn);
            }
        }
    }

    /// Takes note that a stanza came back unsent.
    pub(super) fn on_stanza_undelivered(
        &mut self,
        key: &StanzaKey,
        lapse: &Lapse,
        turn: &mut Turn,
    ) {
        let refusal = failure::lapsed(lapse);
        if refusal.is_some() && self.is_sent_again(key, turn) {
            return;
        }
        let refusal = refusal.unwrap_or_else(|| self.recalled(&key.0).refusal());
        self.fail(key, refusal, turn);
    }

    /// Takes note that a stanza was written to a link that broke.
    pub(super) fn on_stanza_lost(&mut self, key: &StanzaKey, turn: &mut Turn) {
        if !self.is_sent_again(key, turn) {
            self.fail(key, Own::TimedOut.refusal(), turn);
        }
    }

    /// What was accepted is sent again, with the same identifier, as long as there is time.
    fn is_sent_again(&mut self, key: &StanzaKey, turn: &Turn) -> bool {
        let at = turn.now.mono + limits::RESEND_PAUSE;
        let again = self
            .incoming
            .get(key)
            .is_some_and(|one| matches!(one.owed, Owed::Delivery(_)) && at < one.give_up_at);
        if again {
            self.timers.set(Timer::Resend(key.clone()), at);
        }
        again
    }

    /// Sends a message again.
    pub(super) fn on_resend(&mut self, key: StanzaKey, turn: &mut Turn) {
        if let Some(incoming) = self.incoming.remove(&key) {
            self.send_again(key, incoming, turn);
        }
    }

    /// Answers a request that the XMPP side did not decide in time.
    pub(super) fn on_answer_time(&mut self, key: &StanzaKey, turn: &mut Turn) {
        self.fail(key, Own::TimedOut.refusal(), turn);
    }

    /// Tells the sender that his request is worked on (RFC 4320 section 4.1).
    pub(super) fn on_trying_time(&mut self, key: StanzaKey, turn: &mut Turn) {
        let Some(incoming) = self.incoming.get(&key) else {
            return;
        };
        if let Owed::Answer(question) = &incoming.owed {
            let (question, at) = (question.clone(), incoming.give_up_at);
            self.timers.set(Timer::Answer(key), at);
            self.answer(&question, Answer::new(100), turn);
        }
    }

    /// Ends a message that is on its way with a failure.
    fn fail(&mut self, key: &StanzaKey, refusal: Refusal, turn: &mut Turn) {
        if let Some(incoming) = self.take_out(key) {
            self.give_up(key, incoming, refusal, turn);
        }
    }

    /// Tells the sender of a message that it failed: by the answer, else by a notification.
    fn give_up(&mut self, key: &StanzaKey, incoming: Incoming, refusal: Refusal, turn: &mut Turn) {
        let (record, failure) = (incoming.record, refusal.failure);
        match incoming.owed {
            Owed::Answer(question) => {
                self.answer(&question, refusal.answer, turn);
                conclude(record, Fate::Bounced(failure), false, turn);
            }
            Owed::Delivery(_) => {
                turn.tell(Event::LateError {
                    sender_id: record.sender_id.clone(),
                    pair: key.0.clone(),
                    failure: failure.clone(),
                });
                let told = self.report(&key.0, &key.1, ReceiptKind::Failed, None, turn)
                    | self.remark_undelivered(&key.0, &failure, turn);
                let fate = if told { Fate::Bounced } else { Fate::Untold };
                conclude(record, fate(failure), true, turn);
            }
        }
    }

    /// Refuses a message whose acceptance could not be stored.
    pub(super) fn withdraw_incoming(&mut self, record: &ImRecord, turn: &mut Turn) -> Withdrawn {
        if let Some(withdrawn) = self.withdraw_first(record, turn) {
            return withdrawn;
        }
        let id = record.message.as_ref().and_then(|one| one.id.clone());
        let key = id.map(|id| Arc::new((record.pair.clone(), id)));
        let Some(incoming) = key.and_then(|key| self.take_out(&key)) else {
            return Withdrawn::default();
        };
        let Owed::Delivery(Some((question, answered))) = incoming.owed else {
            return Withdrawn::default();
        };
        self.servers.take_back(&question.key);
        let refusal = Own::Overloaded.refusal();
        self.answer(&question, refusal.answer, turn);
        conclude(incoming.record, Fate::Bounced(refusal.failure), false, turn);
        Withdrawn {
            input: Some((question.origin.link(), question.origin.number())),
            transmits: incoming.transmit.into_iter().chain([answered]).collect(),
        }
    }

    /// Takes up a message that was accepted before a restart; it may reach the XMPP user twice,
    /// with the same identifier.
    pub(super) fn restore_incoming(
        &mut self,
        record: ImRecord,
        message: Admitted<InstantMessage>,
        turn: &mut Turn,
    ) {
        let key = self.stanza_key(&message);
        let left = record.deadline.since(turn.now.wall);
        let incoming = Incoming {
            message,
            record: ImRecord {
                message: None,
                ..record
            },
            owed: Owed::Delivery(None),
            transmit: None,
            give_up_at: turn.now.mono + left,
        };
        if left.is_zero() {
            return self.give_up(&key, incoming, Own::Expired.refusal(), turn);
        }
        self.hand_on(key, incoming, turn);
    }

    /// Hands on a message that was accepted with the INVITE that brought it.
    pub(super) fn deliver_kept(
        &mut self,
        message: Admitted<InstantMessage>,
        record: ImRecord,
        mode: PageThread,
        turn: &mut Turn,
    ) {
        let key = self.stanza_key(&message);
        let incoming = Incoming {
            message: self.address(&key, message, mode, turn),
            record,
            owed: Owed::Delivery(None),
            transmit: None,
            give_up_at: turn.now.mono + limits::DELIVERY_TIME,
        };
        self.hand_on(key, incoming, turn);
    }

    /// Takes a message out of what is on its way, with its timers.
    fn take_out(&mut self, key: &StanzaKey) -> Option<Incoming> {
        let incoming = self.incoming.remove(key)?;
        for timer in [Timer::Answer, Timer::Resend, Timer::Trying] {
            self.timers.cancel(&timer(key.clone()));
        }
        if let Some(transmit) = &incoming.transmit {
            self.tasks.remove(transmit);
        }
        if let Some(conversation) = self.memory.find(&key.0) {
            let (waiting, octets) = conversation.inbound;
            let less = octets.saturating_sub(incoming.octets());
            conversation.inbound = (waiting.saturating_sub(1), less);
        }
        Some(incoming)
    }

    /// The name of the stanza: the message's own identifier where no other stanza on its way to
    /// the user has it.
    fn stanza_key(&mut self, message: &Admitted<InstantMessage>) -> StanzaKey {
        let pair = message.pair().clone();
        let id = message.thing().id.clone();
        let id = id.unwrap_or_else(|| self.random_name());
        let key = Arc::new((pair, id));
        if self.incoming.contains_key(&key) {
            return Arc::new((key.0.clone(), self.random_name()));
        }
        key
    }

    /// The record of a message that has just come.
    pub(super) fn asked_record(&mut self, question: &Question, pair: &Pair, now: Wall) -> ImRecord {
        let request = &question.request;
        let cseq = request.cseq().map_or(0, |cseq| cseq.number);
        let sender_id = request.call_id().ok().map(|id| format!("{id} {cseq}"));
        ImRecord {
            key: ImKey(self.rng.random()),
            direction: Direction::ToXmpp,
            pair: pair.clone(),
            from_peer: question.origin.peer().clone(),
            sender_id,
            fingerprint: 0,
            message: None,
            accepted_at: now,
            deadline: now + limits::ANSWER_TIME,
            state: ImState::Sent,
        }
    }
}

impl Incoming {
    /// Whether the device that the message was meant for has gone, so that the user may have it on
    /// another. For chats his server sees to that (RFC 6121 section 8.5.3.2.1).
    fn left_a_device(&self, failure: &Failure) -> bool {
        let message = self.message.thing();
        failure.condition == Condition::ServiceUnavailable
            && message.to_instance.is_some()
            && message.style == MessageStyle::Normal
    }

    /// The row of the journal.
    fn row(&self) -> ImRecord {
        ImRecord {
            message: Some(Arc::new(self.message.thing().clone())),
            ..self.record.clone()
        }
    }

    /// Octets that it takes while it waits.
    fn octets(&self) -> usize {
        match &self.message.thing().payload {
            Payload::Text { text, .. } => text.len(),
            Payload::Invitation(_) | Payload::Receipt(_) | Payload::Typing(_) => 0,
        }
    }
}
