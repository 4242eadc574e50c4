//! Messages of XMPP users to SIP users.
//!
//! A message is accepted when it is in the journal. From there its sender gets nothing, because it
//! was delivered, or one error; and that only when the transmit came back or its outcome is final.

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt as _;

use crate::conversation::session::{DialogNumber, Outcome};
use crate::conversation::{Slot, Whose};
use crate::limits;
use crate::mapping::failure::{self, Own};
use crate::mapping::message::{self, Envelope, Unmapped, invitation};
use crate::mapping::parties;
use crate::model::{
    Direction, Failure, InstantMessage, Invitation, Lapse, Pair, Payload, PeerId, Reason, Side,
    Wall,
};
use crate::origin::Origin;
use crate::policy::Admitted;
use crate::shard::journal::{conclude, domains};
use crate::shard::outgoing::{Attempt, Flight, Outgoing};
use crate::shard::repeats::fingerprint;
use crate::shard::sessions::Occasion;
use crate::shard::turn::{Parcel, Turn};
use crate::shard::{
    Asked, Class, Event, Fate, ImKey, ImRecord, ImState, Key, Kind, Shard, Task, Timer,
};
use crate::sip::transaction::Finished;
use crate::sip::{Branch, Method, Response, write_request};
use crate::xmpp::{Message, MessageKind};

impl Shard {
    /// Takes a message stanza.
    pub(super) fn on_stanza(&mut self, origin: &Origin, stanza: &Message, turn: &mut Turn) {
        if stanza.kind == MessageKind::Error {
            self.on_stanza_error(origin, stanza, turn);
            return;
        }
        match message::from_xmpp(stanza, origin, &self.directory) {
            Ok((pair, message)) => self.on_message(origin, pair, message, turn),
            Err(Unmapped::Dropped(reason)) => drop_stanza(origin, reason, turn),
            Err(Unmapped::Refused(own)) => self.refuse_unread(origin, stanza, own, turn),
        }
    }

    fn on_message(
        &mut self,
        origin: &Origin,
        pair: Pair,
        message: InstantMessage,
        turn: &mut Turn,
    ) {
        let message = self.named(&pair, message, turn);
        let record = self.arrived(origin, &pair, Some(message.clone()), turn.now.wall);
        let message = match self.policy.admit(pair, message) {
            Ok(admitted) => admitted,
            Err(denied) => return self.on_denied_stanza(origin, record, denied, turn),
        };
        match &message.thing().payload {
            Payload::Invitation(invitation) => {
                self.on_invitation(origin, record, &message, invitation, turn);
            }
            Payload::Receipt(receipt) => {
                turn.settle(origin);
                self.on_xmpp_receipt(origin, &message, receipt, turn);
            }
            Payload::Text { .. } => {
                self.on_reached_out(message.pair(), turn);
                self.accept(origin, record, &message, turn);
            }
            Payload::Typing(state) => {
                turn.settle(origin);
                self.on_chat_state(&message, *state, turn);
            }
        }
    }

    /// Passes an invitation on as text, once for each room, and tells a room that nobody comes.
    fn on_invitation(
        &mut self,
        origin: &Origin,
        record: ImRecord,
        message: &Admitted<InstantMessage>,
        invitation: &Invitation,
        turn: &mut Turn,
    ) {
        let decline = invitation::decline(message.pair(), invitation);
        if let Some(decline) = decline.filter(|_| invitation.mediated) {
            self.send_stanza(origin.peer(), &decline, Class::Im, None, turn);
        }
        let conversation = self.memory.touch(message.pair(), turn.now.mono);
        if conversation.on_invitation(&invitation.room, turn.now.mono) {
            self.accept(origin, record, message, turn);
        } else {
            drop_repeated(origin, record, turn);
        }
    }

    /// Accepts a message: from here on it is delivered or returned.
    fn accept(
        &mut self,
        origin: &Origin,
        record: ImRecord,
        message: &Admitted<InstantMessage>,
        turn: &mut Turn,
    ) {
        if self.repeats.is_repeat(record.fingerprint, origin.link()) {
            return drop_repeated(origin, record, turn);
        }
        let span = self.span(message.pair());
        let own = match self.prepare(record.key, message, span, turn) {
            Ok(outgoing) if self.has_room(&outgoing) => {
                self.repeats.remember(record.fingerprint, origin.link());
                turn.settle(origin);
                turn.tell(accepted(&record));
                self.on_xmpp_content(message, turn);
                let record = ImRecord {
                    deadline: record.accepted_at + span,
                    ..record
                };
                let outgoing = Outgoing {
                    record: Some(record),
                    input: Some(input(origin)),
                    ..outgoing
                };
                return self.enqueue(outgoing, true, turn);
            }
            Ok(_) => Own::Overloaded,
            Err(Unmapped::Dropped(reason)) => return drop_stanza(origin, reason, turn),
            Err(Unmapped::Refused(own)) => own,
        };
        self.refuse(record, None, own.failure(), input(origin), turn);
    }

    /// Whether the journal, the pair and the peer take one more.
    fn has_room(&mut self, outgoing: &Outgoing) -> bool {
        let load = self.load.get(&outgoing.to_peer).copied().unwrap_or(0);
        let octets = outgoing.octets();
        let conversation = self.memory.find(&outgoing.pair);
        !self.journal.is_read_only()
            && conversation.is_none_or(|one| one.queue.has_room(octets).is_ok())
            && load < limits::WAITING_PER_PEER
    }

    /// Writes the request for a message, without its Via, and checks its size.
    pub(super) fn prepare(
        &mut self,
        key: ImKey,
        message: &Admitted<InstantMessage>,
        span: Duration,
        turn: &Turn,
    ) -> Result<Outgoing, Unmapped> {
        let directory = Arc::clone(&self.directory);
        let (pair, instant) = (message.pair(), message.thing());
        let owner = pair.aor.domain();
        let owner = owner.and_then(|domain| directory.owner_on(Side::Sip, &domain));
        let Some((peer, profile)) = owner.and_then(|peer| Some((peer, peer.sip()?))) else {
            return Err(Own::NotServed.into());
        };
        let conversation = self.memory.touch(pair, turn.now.mono);
        let to_device = conversation.may_address(instant.to_instance.as_deref());
        let (thread, mode) = (instant.thread.as_deref(), profile.page_thread);
        let slot = self.memory.leave(pair, thread, mode, &mut self.rng);
        let message_id = if profile.cpim {
            self.random_name()
        } else {
            String::new()
        };
        let envelope = envelope(slot, message_id.clone(), turn.now.wall);
        let draft = if to_device {
            message::to_sip(message, profile, envelope)?
        } else {
            let to_all = message.clone().with(|message| message.to_instance = None);
            message::to_sip(&to_all, profile, envelope)?
        };
        let branch = Branch::draw(self.place.mark, self.place.number, &mut self.rng);
        let local = domains(pair).map(|(local, _)| self.place.hosts.of(&local));
        message::write_page(&draft, profile, &local.ok_or(Own::NotServed)?, branch)?;
        if profile.cpim {
            let whose = Whose {
                pair: pair.clone(),
                direction: Direction::ToSip,
                id: message_id,
            };
            self.ask(whose, instant, turn);
        }
        Ok(Outgoing {
            key,
            pair: pair.clone(),
            draft,
            to_peer: peer.id.clone(),
            give_up_at: turn.now.mono + span,
            record: None,
            input: None,
            again: false,
            flight: None,
        })
    }

    /// Takes note of what a conversation learns from a message of the XMPP user.
    pub(super) fn on_xmpp_content(&mut self, message: &Admitted<InstantMessage>, turn: &Turn) {
        let (pair, instant) = (message.pair(), message.thing());
        let conversation = self.memory.touch(pair, turn.now.mono);
        let resource = instant.from_instance.as_deref();
        conversation.on_xmpp_content(resource, has_chat_state(instant));
        self.timers.cancel(&Timer::Refresh(pair.clone()));
    }

    /// Puts a message into the queue of its pair and sends it if it is its turn. What has to wait
    /// is stored, if that is `new` to the journal.
    pub(super) fn enqueue(&mut self, outgoing: Outgoing, new: bool, turn: &mut Turn) {
        let (key, pair) = (outgoing.key, outgoing.pair.clone());
        if outgoing.record.is_some() {
            let load = self.load.entry(outgoing.to_peer.clone()).or_default();
            *load = load.saturating_add(1);
        }
        let octets = outgoing.octets();
        let conversation = self.memory.touch(&pair, turn.now.mono);
        conversation.queue.push(Box::new(outgoing), octets);
        if self.launch(&pair, turn) == Some(key) {
            return;
        }
        let Some(conversation) = self.memory.find(&pair) else {
            return;
        };
        let mut waiting = conversation.queue.waiting();
        if let Some(first) = waiting.next().filter(|first| first.key == key) {
            let at = first.give_up_at;
            self.timers.set(Timer::Deadline(pair.clone()), at);
        }
        let waiting = conversation.queue.last_waiting();
        if let Some(row) = waiting
            .and_then(|one| one.row(ImState::Waiting))
            .filter(|_| new)
        {
            turn.store(row);
        }
    }

    /// Sends the next message of a pair if none is in flight, in its dialog where it has one; returns
    /// the key of the message that is in flight then.
    pub(super) fn launch(&mut self, pair: &Pair, turn: &mut Turn) -> Option<ImKey> {
        let queue = &self.memory.find(pair)?.queue;
        if queue.in_flight().is_some() || queue.waiting().next().is_none() {
            self.show_typing(pair, turn);
            return None;
        }
        self.converse(pair, Occasion::Plain, turn, |session, scene| {
            session.on_message(scene)
        });
        let queue = &self.memory.find(pair)?.queue;
        queue.in_flight().map(|outgoing| outgoing.key)
    }

    /// Writes the request for the message in flight and sends it.
    pub(super) fn dispatch(
        &mut self,
        pair: &Pair,
        attempt: Attempt,
        dialog: Option<DialogNumber>,
        turn: &mut Turn,
    ) -> Option<&Outgoing> {
        let (local, remote) = domains(pair)?;
        let outgoing = self.memory.find(pair)?.queue.in_flight_mut()?;
        let (peer, asked) = (outgoing.to_peer.clone(), Asked::Send(pair.clone()));
        let draft = match dialog {
            None => None,
            Some(number) => Some(self.sessions.message(number, &outgoing.draft)?),
        };
        let clients = &mut self.clients;
        let branch = clients.start(peer.clone(), Method::Message, asked, &mut self.rng);
        let sent_by = self.place.hosts.of(&local);
        let draft = draft.as_ref().unwrap_or(&outgoing.draft);
        let bytes = write_request(draft, &sent_by, branch);
        let transmit = turn.send(Parcel {
            peer,
            local,
            remote,
            link: None,
            elsewhere: attempt.is_second(),
            class: Class::Im,
            key: Some(lane(pair, Kind::Im)),
            bytes,
            give_up_at: outgoing.give_up_at,
        });
        outgoing.flight = Some(Flight {
            branch,
            transmit,
            attempt,
            dialog,
        });
        self.tasks.insert(transmit, Task::Send(pair.clone()));
        Some(outgoing)
    }

    /// Takes note that the request in flight was written: Timer F begins.
    pub(super) fn on_written(&mut self, pair: &Pair, turn: &Turn) {
        let conversation = self.memory.find(pair);
        let outgoing = conversation.and_then(|one| one.queue.in_flight());
        let flight = outgoing.and_then(|one| one.flight.as_ref());
        if let Some(branch) = flight.map(|flight| flight.branch) {
            self.start_timer_f(branch, turn);
        }
    }

    /// Begins to wait for a final response.
    pub(super) fn start_timer_f(&mut self, branch: Branch, turn: &Turn) {
        let at = turn.now.mono + limits::TIMER_F;
        self.timers.set(Timer::F(branch), at);
    }

    /// Takes a response.
    pub(super) fn on_response(&mut self, peer: &PeerId, response: &Response, turn: &mut Turn) {
        match self.clients.finish(peer, response) {
            Finished::Provisional => {}
            Finished::Stray => turn.tell(Event::StrayResponse(peer.clone())),
            Finished::Invite(Asked::Invite(number), answered) => {
                self.on_invite_answered(number, answered, response, turn);
            }
            // Nothing else is asked by INVITE, and an INVITE is finished in no other way.
            Finished::Invite(
                Asked::Bye(..)
                | Asked::Notify(..)
                | Asked::Send(_)
                | Asked::Subscribe(..)
                | Asked::Type(..),
                _,
            )
            | Finished::Final(Asked::Invite(_)) => {}
            Finished::Final(Asked::Bye(pair, number)) => {
                if let Some(branch) = response.branch() {
                    self.timers.cancel(&Timer::F(branch));
                }
                self.on_bye_over(&pair, number, turn);
            }
            Finished::Final(Asked::Notify(pair, tag)) => {
                if let Some(branch) = response.branch() {
                    self.end_flight(branch, turn);
                }
                self.on_notify_answered(&pair, tag, response, turn);
            }
            Finished::Final(Asked::Send(pair)) => {
                self.learn_pace_of_sip(peer, &pair, turn);
                self.on_sent(peer, &pair, response, turn);
            }
            Finished::Final(Asked::Subscribe(pair, asking, draft)) => {
                self.on_subscribe_answered(&pair, (asking, draft), response, turn);
                if let Some(branch) = response.branch() {
                    self.on_transaction_over(branch, turn);
                }
            }
            Finished::Final(Asked::Type(pair, dialog)) => {
                let status = Some(response.status());
                self.on_typing_answered(&pair, dialog, status, turn);
            }
        }
    }

    /// Returns the message in flight, whose transmit came back.
    pub(super) fn on_unsent(&mut self, pair: &Pair, lapse: &Lapse, turn: &mut Turn) {
        let failure = match failure::lapsed(lapse) {
            Some(refusal) => self.first_refusal(pair).unwrap_or(refusal.failure),
            None => self.recalled(pair).failure(),
        };
        let dialog = self.dialog_of_flight(pair);
        self.land_in(pair, dialog, Err(failure), Outcome::Refused, turn);
    }

    /// Returns the message in flight, which was written to a link that broke.
    pub(super) fn on_flight_lost(&mut self, pair: &Pair, turn: &mut Turn) {
        let (dialog, lost) = (self.dialog_of_flight(pair), Own::MayHaveArrived.failure());
        self.land_in(pair, dialog, Err(lost), Outcome::Lost, turn);
    }

    /// Returns a message that got no final response in time, and what waits behind it.
    pub(super) fn on_timer_f(&mut self, branch: Branch, turn: &mut Turn) {
        match self.clients.expire(branch) {
            // An INVITE may ring for longer.
            None | Some(Asked::Invite(_)) => {}
            Some(Asked::Bye(pair, number)) => self.on_bye_over(&pair, number, turn),
            Some(Asked::Notify(pair, tag)) => {
                self.end_flight(branch, turn);
                self.on_notify_timer_f(&pair, tag, turn);
            }
            Some(Asked::Type(pair, dialog)) => self.on_typing_answered(&pair, dialog, None, turn),
            Some(Asked::Subscribe(pair, asking, _)) => {
                self.on_subscribe_timer_f(&pair, asking, turn);
                self.on_transaction_over(branch, turn);
            }
            Some(Asked::Send(pair)) => {
                let dialog = self.dialog_of_flight(&pair);
                let conversation = self.memory.find(&pair);
                let behind = conversation.map(|one| one.queue.take_waiting(|_| true));
                let lost = Err(Own::MayHaveArrived.failure());
                self.land_in(&pair, dialog, lost, Outcome::Silent, turn);
                for outgoing in behind.into_iter().flatten() {
                    self.end(*outgoing, Err(Own::TimedOut.failure()), turn);
                }
            }
        }
    }

    /// Returns what has waited for too long.
    pub(super) fn on_deadline(&mut self, pair: &Pair, turn: &mut Turn) {
        let now = turn.now.mono;
        let Some(conversation) = self.memory.find(pair) else {
            return;
        };
        let late = conversation.queue.take_waiting(|one| one.give_up_at <= now);
        if let Some(next) = conversation.queue.waiting().next() {
            let at = next.give_up_at;
            self.timers.set(Timer::Deadline(pair.clone()), at);
        }
        let rings = conversation.session.rings();
        let own = if rings {
            Own::NobodyAnswers
        } else {
            Own::Expired
        };
        for outgoing in late {
            self.end(*outgoing, Err(own.failure()), turn);
        }
    }

    /// Ends a message that is in no queue any more.
    pub(super) fn end(
        &mut self,
        outgoing: Outgoing,
        outcome: Result<(), Failure>,
        turn: &mut Turn,
    ) {
        self.let_go(&outgoing);
        let Some(record) = outgoing.record else {
            return;
        };
        match outcome {
            Ok(()) => conclude(record, Fate::Delivered, false, turn),
            Err(failure) => self.bounce(record, failure, turn),
        }
    }

    /// Forgets the request of a message.
    pub(super) fn let_go(&mut self, outgoing: &Outgoing) {
        if let Some(flight) = &outgoing.flight {
            self.forget_flight(flight);
        }
        if outgoing.record.is_none() {
            return;
        }
        if let Some(load) = self.load.get_mut(&outgoing.to_peer) {
            *load = load.saturating_sub(1);
        }
    }

    /// Refuses a stanza that has no form on the other side.
    fn refuse_unread(&mut self, origin: &Origin, stanza: &Message, own: Own, turn: &mut Turn) {
        let failure = own.failure();
        if let Ok(parties) = parties::of_stanza(stanza, origin, &self.directory) {
            let mut record = self.arrived(origin, &parties.pair, None, turn.now.wall);
            record.sender_id.clone_from(&stanza.id);
            let error = stanza.failed(&failure::to_xmpp(
                &failure,
                parties.pair.aor.domain().as_ref(),
            ));
            return self.refuse(record, error, failure, input(origin), turn);
        }
        // Only a change of the configuration can have brought it here.
        turn.settle(origin);
        turn.tell(Event::Refused {
            side: Side::Xmpp,
            peer: origin.peer().clone(),
            failure,
        });
    }

    /// The record of a message that has just come.
    fn arrived(
        &mut self,
        origin: &Origin,
        pair: &Pair,
        message: Option<InstantMessage>,
        now: Wall,
    ) -> ImRecord {
        let peer = origin.peer();
        let digest = message.as_ref().map(|one| fingerprint(peer, pair, one));
        ImRecord {
            key: ImKey(self.rng.random()),
            direction: Direction::ToSip,
            pair: pair.clone(),
            from_peer: peer.clone(),
            sender_id: message.as_ref().and_then(|one| one.id.clone()),
            fingerprint: digest.unwrap_or(0),
            message: message.map(Arc::new),
            accepted_at: now,
            deadline: now + limits::DELIVERY_TIME,
            state: ImState::Waiting,
        }
    }

    /// A name of 128 random bits.
    pub(super) fn random_name(&mut self) -> String {
        format!("{:032x}", self.rng.random::<u128>())
    }
}

/// Drops a stanza on purpose.
fn drop_stanza(origin: &Origin, reason: Reason, turn: &mut Turn) {
    turn.settle(origin);
    turn.tell(dropped(Side::Xmpp, origin, reason));
}

/// Drops a message that came before.
pub(super) fn drop_repeated(origin: &Origin, mut record: ImRecord, turn: &mut Turn) {
    record.fingerprint = 0;
    turn.settle(origin);
    conclude(record, Fate::Dropped(Reason::Duplicate), false, turn);
}

/// Tells that something was dropped on purpose.
pub(super) fn dropped(side: Side, origin: &Origin, reason: Reason) -> Event {
    Event::Dropped {
        side,
        peer: origin.peer().clone(),
        reason,
    }
}

/// Tells that a message was accepted.
pub(super) fn accepted(record: &ImRecord) -> Event {
    Event::ImAccepted {
        key: record.key,
        sender_id: record.sender_id.clone(),
        pair: record.pair.clone(),
        direction: record.direction,
    }
}

/// The key under which what goes to a pair waits.
pub(super) fn lane(pair: &Pair, kind: Kind) -> Key {
    Key::of(pair.clone(), kind)
}

/// What a request is written with.
pub(super) fn envelope(slot: Slot, message_id: String, now: Wall) -> Envelope {
    Envelope {
        call_id: slot.call_id,
        from_tag: slot.from_tag,
        cseq: slot.cseq,
        message_id,
        now,
    }
}

const fn input(origin: &Origin) -> (crate::model::LinkId, u64) {
    (origin.link(), origin.number())
}

const fn has_chat_state(message: &InstantMessage) -> bool {
    matches!(
        &message.payload,
        Payload::Text {
            chat_state: Some(_),
            ..
        }
    )
}
