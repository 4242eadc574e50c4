//! Texts inside INVITEs: kept in the journal from our 200 on, until they are delivered or came again.

use std::sync::Arc;

use crate::conversation::session::DialogNumber;
use crate::limits;
use crate::mapping::failure::Own;
use crate::model::{Direction, InstantMessage, PageThread, Reason};
use crate::policy::Admitted;
use crate::shard::journal::{Withdrawn, conclude};
use crate::shard::question::Question;
use crate::shard::to_sip::accepted;
use crate::shard::turn::Turn;
use crate::shard::{Fate, ImRecord, ImState, Shard};

/// A text inside an INVITE that was answered.
#[derive(Debug)]
pub(in crate::shard) struct Kept {
    message: Admitted<InstantMessage>,
    /// Its row in the journal, without the text.
    record: ImRecord,
}

impl Shard {
    /// Keeps the text inside an INVITE.
    pub(super) fn keep_first(
        &mut self,
        number: DialogNumber,
        message: Admitted<InstantMessage>,
        question: &Question,
        turn: &mut Turn,
    ) {
        let id = self.random_name();
        let message = message.with(|message| message.id = Some(id));
        let record = ImRecord {
            direction: Direction::ToXmpp,
            deadline: turn.now.wall + limits::DELIVERY_TIME,
            state: ImState::Waiting,
            ..self.asked_record(question, message.pair(), turn.now.wall)
        };
        turn.tell(accepted(&record));
        turn.store(ImRecord {
            message: Some(Arc::new(message.thing().clone())),
            ..record.clone()
        });
        let kept = Kept { message, record };
        self.sessions.firsts.insert(number, kept);
    }

    /// Delivers it: nobody repeated it.
    pub(super) fn deliver_first(&mut self, number: DialogNumber, turn: &mut Turn) {
        let Some(Kept { message, record }) = self.sessions.firsts.remove(&number) else {
            return;
        };
        if let Some(denied) = self.policy.refusal(message.pair()) {
            let failure = Own::Denied(denied).failure();
            return conclude(record, Fate::Untold(failure), true, turn);
        }
        self.deliver_kept(message, record, PageThread::Sticky, turn);
    }

    /// Forgets it: its caller repeated it. The repetition does not wait for the disk; after a crash
    /// right now both may arrive.
    pub(super) fn forget_first(&mut self, number: DialogNumber, turn: &mut Turn) {
        if let Some(kept) = self.sessions.firsts.remove(&number) {
            conclude(kept.record, Fate::Dropped(Reason::Duplicate), false, turn);
        }
    }

    /// Takes back the 200 to an INVITE whose text could not be stored: it is refused.
    pub(in crate::shard) fn withdraw_first(
        &mut self,
        record: &ImRecord,
        turn: &mut Turn,
    ) -> Option<Withdrawn> {
        let same = |kept: &Kept| kept.record.key == record.key;
        let mut firsts = self.sessions.firsts.iter();
        let (number, _) = firsts.find(|(_, kept)| same(kept))?;
        let number = *number;
        let kept = self.sessions.firsts.remove(&number)?;
        let leg = self.remove_leg(number)?;
        let unconfirmed = leg.unconfirmed?;
        if let Some(conversation) = self.memory.find(&leg.pair) {
            conversation.session.withdraw(number);
        }
        let question = unconfirmed.question;
        self.servers.take_back(&question.key);
        let refusal = Own::Overloaded.refusal();
        self.answer(&question, refusal.answer, turn);
        conclude(kept.record, Fate::Bounced(refusal.failure), false, turn);
        Some(Withdrawn {
            input: Some((question.origin.link(), question.origin.number())),
            transmits: vec![unconfirmed.transmit],
        })
    }
}
