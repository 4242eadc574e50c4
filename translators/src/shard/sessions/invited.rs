//! INVITEs of SIP users.

use rand::RngExt as _;

use crate::conversation::session::{DialogNumber, Embedding, Phase};
use crate::limits;
use crate::mapping::failure::Own;
use crate::mapping::message;
use crate::mapping::parties::{self, Parties};
use crate::model::microsoft::Embedded;
use crate::model::{InstantMessage, Pair, PeerId, SipProfile};
use crate::origin::Origin;
use crate::policy::Admitted;
use crate::shard::question::{Question, send_response};
use crate::shard::sessions::Occasion;
use crate::shard::sessions::table::{Leg, Unconfirmed, number_of};
use crate::shard::turn::Turn;
use crate::shard::{Shard, Timer};
use crate::sip::invite::{Confirming, Invited, Repeat, Session, Terms};
use crate::sip::microsoft::FirstMessage;
use crate::sip::{Answer, Request, Tag};

/// An INVITE that is let in.
#[derive(Debug)]
pub(in crate::shard) struct Arrived {
    question: Question,
    pair: Pair,
    session: Box<Session>,
    answer: Answer,
    first: Option<Admitted<InstantMessage>>,
}

impl Shard {
    /// Takes an INVITE outside a dialog: it is answered at once, since XMPP has nobody to ask.
    pub(in crate::shard) fn on_invite(
        &mut self,
        question: Question,
        profile: &SipProfile,
        turn: &mut Turn,
    ) {
        let parties = match self.invited_parties(&question.request, profile) {
            Ok(parties) => parties,
            Err(own) => return self.refuse_unknown(&question, own, turn),
        };
        if let Some(denied) = self.policy.refusal(&parties.pair) {
            return self.on_denied_invite(question, &parties.pair, denied, turn);
        }
        let invited = Invited::read(&question.request);
        if let Some(answer) = invited.refusal() {
            return self.refuse_invite(&question, &parties, invited.purpose(), answer, turn);
        }
        if self.journal.is_read_only() || self.sessions.len() >= limits::SESSIONS {
            return self.refuse_unknown(&question, Own::Overloaded, turn);
        }
        self.welcome(question, parties, invited.first_message(), profile, turn);
    }

    fn invited_parties(&self, invite: &Request, profile: &SipProfile) -> Result<Parties, Own> {
        let parties = parties::of_request(invite, profile, &self.directory)?;
        if parties.are_users() {
            Ok(parties)
        } else {
            Err(Own::Nobody)
        }
    }

    /// Makes the dialog and answers 200.
    fn welcome(
        &mut self,
        question: Question,
        parties: Parties,
        first: Option<&FirstMessage>,
        profile: &SipProfile,
        turn: &mut Turn,
    ) {
        let pair = parties.pair.clone();
        let embedding = match profile.microsoft.map(|one| one.embedded) {
            Some(Embedded::Consume) => Embedding::Consume,
            Some(Embedded::Wait) | None => Embedding::Wait,
        };
        let request = &question.request;
        let is_readable = first.is_some_and(FirstMessage::is_readable);
        let first = first.and_then(|first| message::first_of(request, first, parties, profile));
        // Policy was asked already.
        let first = first.and_then(|first| self.policy.admit(pair.clone(), first).ok());
        let tag = Tag::new(&pair.jid, self.rng.random());
        let Some(sent_by) = self.sent_by(&pair) else {
            return self.refuse_unknown(&question, Own::NotServed, turn);
        };
        let terms = Terms {
            sent_by: &sent_by,
            types: self.types(question.origin.peer()),
            epid: profile.microsoft.is_some(),
            took_first: embedding == Embedding::Consume && is_readable && first.is_some(),
        };
        let Ok((mut session, answer)) = Invited::accept(request, tag, &terms) else {
            return self.refuse_unknown(&question, Own::Unreadable, turn);
        };
        session.share_routes(&mut self.routes);
        let text = first.as_ref().map(|first| first.thing().text().to_owned());
        let conversation = self.memory.touch(&pair, turn.now.mono);
        match conversation.session.phase() {
            Phase::Idle | Phase::Closing => conversation.pages.begin(&session.dialog().call_id()),
            // What goes on has its thread.
            Phase::Calling | Phase::Up | Phase::WaitAck => {}
        }
        let arrived = Arrived {
            question,
            pair: pair.clone(),
            session: Box::new(session),
            answer,
            first,
        };
        let occasion = Occasion::Invited(Box::new(arrived));
        self.converse(&pair, occasion, turn, |session, scene| {
            session.on_invite(number_of(tag), text.as_deref(), embedding, scene)
        });
    }

    /// Answers an INVITE 200, and keeps the text inside it.
    pub(super) fn accept_invite(
        &mut self,
        number: DialogNumber,
        arrived: Arrived,
        turn: &mut Turn,
    ) {
        if let Some(first) = arrived.first {
            self.keep_first(number, first, &arrived.question, turn);
        }
        let leg = Leg {
            peer: arrived.question.origin.peer().clone(),
            pair: arrived.pair,
            session: arrived.session,
            unconfirmed: None,
        };
        self.add_leg(number, leg);
        self.accept_with(number, arrived.question, arrived.answer, true, turn);
    }

    /// Sends a 200 to an INVITE, and again until its ACK comes.
    pub(super) fn accept_with(
        &mut self,
        number: DialogNumber,
        question: Question,
        answer: Answer,
        first: bool,
        turn: &mut Turn,
    ) {
        let transmit = self.answer(&question, answer, turn);
        let sent = turn.effects.transmits.last();
        let bytes = sent.map(|sent| sent.bytes.clone()).unwrap_or_default();
        let confirming = Confirming::new(turn.now.mono);
        self.timers.set(Timer::Confirm(number), confirming.next());
        if let Some(leg) = self.sessions.legs.get_mut(&number) {
            leg.unconfirmed = Some(Box::new(Unconfirmed {
                confirming,
                question,
                bytes,
                transmit,
                first,
            }));
        }
    }

    /// Sends a 200 again whose ACK did not come, or gives it up.
    pub(in crate::shard) fn on_confirm_time(&mut self, number: DialogNumber, turn: &mut Turn) {
        let Some(leg) = self.sessions.legs.get_mut(&number) else {
            return;
        };
        let Some(unconfirmed) = &mut leg.unconfirmed else {
            return;
        };
        match unconfirmed.confirming.on_time(turn.now.mono) {
            Repeat::Wait => {}
            Repeat::Again => {
                let Question {
                    origin, request, ..
                } = &unconfirmed.question;
                send_response(origin, request, (unconfirmed.bytes.clone(), None), turn);
            }
            Repeat::GiveUp => {
                let is_first = unconfirmed.first;
                leg.unconfirmed = None;
                let pair = leg.pair.clone();
                let conversation = self.memory.find(&pair);
                let stands = conversation.is_some_and(|one| one.session.is_about(number));
                // The machine looks at the clock itself; of a re-INVITE the dialog stands.
                if is_first && !stands {
                    self.say_bye(number, turn);
                }
                return;
            }
        }
        if let Some(unconfirmed) = self.unconfirmed(number) {
            let at = unconfirmed.confirming.next();
            self.timers.set(Timer::Confirm(number), at);
        }
    }

    fn unconfirmed(&self, number: DialogNumber) -> Option<&Unconfirmed> {
        self.sessions.legs.get(&number)?.unconfirmed.as_deref()
    }

    /// Takes an ACK.
    pub(in crate::shard) fn on_ack(&mut self, origin: &Origin, ack: &Request, turn: &mut Turn) {
        turn.settle(origin);
        let Some(number) = ack.our_tag().map(number_of) else {
            return;
        };
        let Some(leg) = self.leg_for(number, origin.peer(), ack) else {
            return;
        };
        let pair = leg.pair.clone();
        if !leg.session.is_ack(ack) {
            return;
        }
        let Some(unconfirmed) = leg.unconfirmed.take() else {
            return;
        };
        self.timers.cancel(&Timer::Confirm(number));
        if unconfirmed.first {
            self.converse(&pair, Occasion::Plain, turn, |session, scene| {
                session.on_ack(number, scene)
            });
        }
    }

    /// The dialog that a request of a peer belongs to.
    pub(super) fn leg_for(
        &mut self,
        number: DialogNumber,
        peer: &PeerId,
        request: &Request,
    ) -> Option<&mut Leg> {
        let leg = self.sessions.legs.get_mut(&number)?;
        (leg.peer == *peer && leg.session.is_for(request)).then_some(leg)
    }
}
