//! What could not be carried, in words: to the XMPP user what he was invited to in vain, to the SIP
//! user that a message failed which he was told had arrived.

use rand::RngExt as _;

use crate::mapping::message::{Undelivered, refused_invitation};
use crate::mapping::parties::Parties;
use crate::model::{Failure, InstantMessage, MessageStyle, Pair, Payload};
use crate::shard::question::Question;
use crate::shard::signals::signal;
use crate::shard::turn::Turn;
use crate::shard::{Class, Event, ImKey, Kind, Shard};
use crate::sip::Answer;
use crate::sip::invite::Purpose;

impl Shard {
    /// Refuses an INVITE that is not for a conversation, and tells the XMPP user of it.
    pub(super) fn refuse_invite(
        &mut self,
        question: &Question,
        parties: &Parties,
        purpose: Purpose,
        answer: Answer,
        turn: &mut Turn,
    ) {
        self.answer(question, answer, turn);
        turn.tell(Event::Refused {
            side: crate::model::Side::Sip,
            peer: question.origin.peer().clone(),
            failure: crate::mapping::failure::Own::Unsupported.failure(),
        });
        self.remark_refused(&parties.pair, purpose, turn);
    }

    /// Tells the XMPP user of something that he was invited to in vain, once for a while.
    pub(super) fn remark_refused(&mut self, pair: &Pair, purpose: Purpose, turn: &mut Turn) {
        let line = refused_invitation(purpose);
        let Some(line) = line.filter(|_| self.policy.refusal(pair).is_none()) else {
            return;
        };
        let conversation = self.memory.touch(pair, turn.now.mono);
        if !conversation.on_remark(purpose as u8, turn.now.mono) {
            return;
        }
        let resource = conversation.resource(None).map(str::to_owned);
        let thread = conversation.pages.thread().map(str::to_owned);
        let message = InstantMessage {
            id: Some(self.random_name()),
            to_instance: resource,
            thread,
            ..said(line.to_owned())
        };
        self.send_signal(pair, message, Class::Im, Kind::Im, turn);
    }

    /// Tells the SIP user, in the conversation, that a message failed which he was told had arrived;
    /// returns whether his peer has conversations to tell him in. One that is over is begun again for
    /// it. Of what becomes of the line nobody is told.
    pub(in crate::shard) fn remark_undelivered(
        &mut self,
        pair: &Pair,
        failure: &Failure,
        turn: &mut Turn,
    ) -> bool {
        if !self.is_microsoft(pair) {
            return false;
        }
        let message = said(Undelivered(failure).line());
        let Ok(admitted) = self.policy.admit(pair.clone(), message) else {
            return false;
        };
        let key = ImKey(self.rng.random());
        let span = self.span(pair);
        let prepared = self.prepare(key, &admitted, span, turn);
        let Ok(outgoing) = prepared else {
            return false;
        };
        let conversation = self.memory.touch(pair, turn.now.mono);
        if conversation.queue.has_room(outgoing.octets()).is_err() {
            return false;
        }
        self.enqueue(outgoing, false, turn);
        true
    }
}

/// A text of one of the two users.
fn said(text: String) -> InstantMessage {
    InstantMessage {
        style: MessageStyle::Chat,
        ..signal(Payload::Text {
            text,
            html: None,
            subject: None,
            chat_state: None,
            receipts: Vec::new(),
        })
    }
}
