//! Requests of SIP peers: what they are and how they are answered.

use std::sync::Arc;

use bytes::Bytes;
use rand::RngExt as _;

use crate::limits;
use crate::mapping::failure::Own;
use crate::mapping::message::{self, Unmapped};
use crate::mapping::parties;
use crate::model::{Domain, Pair, Payload, Side, SipProfile};
use crate::origin::Origin;
use crate::shard::journal::conclude;
use crate::shard::to_sip::dropped;
use crate::shard::turn::{Parcel, Turn};
use crate::shard::{Class, Event, Fate, Key, Shard, TransmitId};
use crate::sip::transaction::{Arrival, Cancelled, ServerKey};
use crate::sip::{Answer, Method, Request, write_response};
use crate::text::SipToken;

/// A request that waits for its answer.
#[derive(Clone, Debug)]
pub(super) struct Question {
    /// Who asked.
    pub(super) origin: Origin,
    /// Names its transaction.
    pub(super) key: ServerKey,
    /// The request.
    pub(super) request: Request,
    /// Status of success.
    pub(super) success: u16,
    /// Whether its sender watches as many users as he may.
    pub(super) crowded: bool,
}

impl Shard {
    /// Takes a request: MESSAGE, SUBSCRIBE, NOTIFY or BENOTIFY. The last is in no transaction.
    ///
    /// `crowded` if its sender watches as many users as he may.
    pub(super) fn on_request(
        &mut self,
        origin: Origin,
        request: Request,
        crowded: bool,
        turn: &mut Turn,
    ) {
        let directory = Arc::clone(&self.directory);
        let profile = directory.peer(origin.peer()).and_then(|peer| peer.sip());
        if request.method() == Some(Method::Benotify) {
            return self.on_benotify(&origin, &request, turn);
        }
        let arrival = self.servers.arrive(origin.peer(), &request, turn.now.mono);
        let (Ok(arrival), Some(profile)) = (arrival, profile) else {
            if request.method() == Some(Method::Ack) {
                return turn.settle(&origin);
            }
            return self.reply(&origin, &request, Answer::new(400), turn);
        };
        match arrival {
            Arrival::Full => {
                self.reply(&origin, &request, Own::Overloaded.refusal().answer, turn);
            }
            Arrival::Merged => self.reply(&origin, &request, Answer::new(482), turn),
            // No ACK is answered.
            Arrival::Ack => self.on_ack(&origin, &request, turn),
            Arrival::Acknowledged => turn.settle(&origin),
            Arrival::Cancel(key, cancelled) => {
                let question = Question {
                    origin,
                    key,
                    request,
                    success: 200,
                    crowded: false,
                };
                let status = match &cancelled {
                    Cancelled::Open(_) | Cancelled::TooLate => 200,
                    Cancelled::Unknown => 481,
                };
                self.answer(&question, Answer::new(status), turn);
                if let Cancelled::Open(invite) = cancelled {
                    self.on_denied_cancelled(&invite, turn);
                }
            }
            Arrival::New(key) => {
                let question = Question {
                    origin,
                    key,
                    request,
                    success: profile.success,
                    crowded,
                };
                self.on_new_request(question, profile, turn);
            }
            Arrival::Repeated(answer) => {
                if let Some(bytes) = answer {
                    send_response(&origin, &request, (bytes, None), turn);
                }
                turn.settle(&origin);
            }
        }
    }

    /// Takes a request that was not seen before. What is of a conversation belongs to its dialog, by
    /// our tag in To; without a tag an INVITE begins one, and a MESSAGE is page mode.
    fn on_new_request(&mut self, question: Question, profile: &SipProfile, turn: &mut Turn) {
        let tag = question.request.our_tag();
        let is_inside = question.request.to().is_ok_and(|to| to.tag().is_some());
        match (question.request.method(), tag) {
            (Some(Method::Notify), _) => self.on_notify(&question, turn),
            (Some(Method::Subscribe), _) => self.on_subscribe(&question, turn),
            (_, Some(tag)) => self.on_inside(question, tag, profile, turn),
            (Some(Method::Invite), None) if !is_inside => self.on_invite(question, profile, turn),
            (Some(Method::Message), None) if !is_inside => {
                self.on_question(question, profile, turn);
            }
            (_, None) => {
                self.answer(&question, Answer::new(481), turn);
            }
        }
    }

    fn on_question(&mut self, question: Question, profile: &SipProfile, turn: &mut Turn) {
        let now = turn.now.wall;
        let read = message::from_sip(&question.request, profile, &self.directory, now);
        let incoming = match read {
            Ok(incoming) => incoming,
            Err(Unmapped::Dropped(reason)) => {
                self.record_end(&question, Fate::Dropped(reason), turn);
                self.answer(&question, Answer::new(question.success), turn);
                return;
            }
            Err(Unmapped::Refused(own)) => return self.refuse_unknown(&question, own, turn),
        };
        let pair = incoming.pair;
        let is_content = incoming.message.payload.is_content();
        let message = match self.policy.admit(pair.clone(), incoming.message) {
            Ok(admitted) => admitted,
            Err(denied) => {
                return self.on_denied_question(question, &pair, is_content, denied, turn);
            }
        };
        match &message.thing().payload {
            Payload::Invitation(_) | Payload::Text { .. } => {
                let mode = profile.page_thread;
                self.on_content(question, message, profile, mode, turn);
            }
            Payload::Receipt(receipt) => {
                self.answer(&question, Answer::new(question.success), turn);
                self.on_notification(&question.origin, &pair, message.thing(), receipt, turn);
            }
            Payload::Typing(_) => {
                self.answer(&question, Answer::new(question.success), turn);
                self.on_composing(&pair, message.thing(), incoming.refresh, turn);
            }
        }
    }

    /// Refuses a request that is no message of a pair that may exchange.
    pub(super) fn refuse_unknown(&mut self, question: &Question, own: Own, turn: &mut Turn) {
        let refusal = own.refusal_to(self.is_of_microsoft(question));
        self.record_end(question, Fate::Bounced(refusal.failure), turn);
        self.answer(question, refusal.answer, turn);
    }

    /// Whether a request came from a peer of the Microsoft profile.
    fn is_of_microsoft(&self, question: &Question) -> bool {
        let peer = self.directory.peer(question.origin.peer());
        peer.and_then(|peer| peer.sip())
            .is_some_and(|profile| profile.microsoft.is_some())
    }

    /// The same inside a dialog of a pair.
    pub(super) fn refuse_inside(
        &mut self,
        question: &Question,
        pair: &Pair,
        own: Own,
        turn: &mut Turn,
    ) {
        let refusal = own.refusal_to(self.is_of_microsoft(question));
        self.record_inside(question, pair, Fate::Bounced(refusal.failure), turn);
        self.answer(question, refusal.answer, turn);
    }

    /// Records the fate of a message of a pair that is not carried.
    pub(super) fn record_inside(
        &mut self,
        question: &Question,
        pair: &Pair,
        fate: Fate,
        turn: &mut Turn,
    ) {
        let record = self.asked_record(question, pair, turn.now.wall);
        conclude(record, fate, false, turn);
    }

    /// Records the fate of a request that is not carried.
    pub(super) fn record_end(&mut self, question: &Question, fate: Fate, turn: &mut Turn) {
        let directory = Arc::clone(&self.directory);
        let peer = question.origin.peer();
        let profile = directory.peer(peer).and_then(|peer| peer.sip());
        let request = &question.request;
        let parties = profile.map(|profile| parties::of_request(request, profile, &directory));
        match (parties, fate) {
            (Some(Ok(parties)), fate) => {
                let record = self.asked_record(question, &parties.pair, turn.now.wall);
                conclude(record, fate, false, turn);
            }
            (_, Fate::Bounced(failure)) => turn.tell(Event::Refused {
                side: Side::Sip,
                peer: peer.clone(),
                failure,
            }),
            (_, Fate::Dropped(reason)) => {
                turn.tell(dropped(Side::Sip, &question.origin, reason));
            }
            (_, Fate::Delivered | Fate::Untold(_)) => {}
        }
    }

    /// Answers a request; a final answer settles the input.
    pub(super) fn answer(
        &mut self,
        question: &Question,
        answer: Answer,
        turn: &mut Turn,
    ) -> TransmitId {
        self.answer_under(question, answer, None, turn)
    }

    /// The same with an answer that can be called back while it waits for its link.
    pub(super) fn answer_under(
        &mut self,
        question: &Question,
        answer: Answer,
        key: Option<Key>,
        turn: &mut Turn,
    ) -> TransmitId {
        let status = answer.status();
        let answer = if status > 100 {
            answer.or_tag(SipToken::from_number(self.rng.random()))
        } else {
            answer
        };
        let now = turn.now.mono;
        // Nobody would ask whether a repetition may still show what this answer shows.
        let remembered = key.as_ref().map(|_| answer.clone().without_content());
        let bytes = self.written(&question.origin, &question.request, answer);
        let remembered = match remembered {
            Some(plain) => self.written(&question.origin, &question.request, plain),
            None => bytes.clone(),
        };
        self.servers.answer(&question.key, status, remembered, now);
        if status >= 200 {
            turn.settle(&question.origin);
        }
        send_response(&question.origin, &question.request, (bytes, key), turn)
    }

    /// Answers a request in other words than those that were called back before they were sent.
    pub(super) fn answer_anew(&self, question: &Question, answer: Answer, turn: &mut Turn) {
        let bytes = self.written(&question.origin, &question.request, answer);
        send_response(&question.origin, &question.request, (bytes, None), turn);
    }

    /// Answers a request that is in no transaction.
    fn reply(&mut self, origin: &Origin, request: &Request, answer: Answer, turn: &mut Turn) {
        let answer = answer.or_tag(SipToken::from_number(self.rng.random()));
        let bytes = self.written(origin, request, answer);
        send_response(origin, request, (bytes, None), turn);
        turn.settle(origin);
    }
}

impl Shard {
    /// Writes an answer; a Microsoft peer is told the reason of an error.
    fn written(&self, origin: &Origin, request: &Request, answer: Answer) -> Bytes {
        let peer = self.directory.peer(origin.peer());
        let microsoft = peer.and_then(|peer| peer.sip()?.microsoft);
        let source = microsoft.and_then(|_| self.place.hosts.asked_by(request));
        let joins_routes = microsoft.is_some_and(|microsoft| microsoft.record_route);
        let answer = match source {
            Some(source) if joins_routes => answer.diagnosed(&source).routed(&source),
            Some(source) => answer.diagnosed(&source),
            None => answer,
        };
        write_response(request, &answer)
    }
}

/// Sends a response over the link of its request.
pub(super) fn send_response(
    origin: &Origin,
    request: &Request,
    (bytes, key): (Bytes, Option<Key>),
    turn: &mut Turn,
) -> TransmitId {
    let class = match request.method() {
        Some(Method::Notify | Method::Subscribe) => Class::Control,
        _ => Class::Answer,
    };
    let target = request.uri().ok();
    let local = target.and_then(|uri| Domain::parse(uri.host()));
    turn.send(Parcel {
        peer: origin.peer().clone(),
        local: local.unwrap_or_else(|| origin.domain().clone()),
        remote: origin.domain().clone(),
        link: Some(origin.link()),
        elsewhere: false,
        class,
        key,
        bytes,
        give_up_at: turn.now.mono + limits::TIMER_F,
    })
}
