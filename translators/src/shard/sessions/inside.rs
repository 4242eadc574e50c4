//! Requests of the peer inside a dialog.

use std::sync::Arc;

use crate::address;
use crate::documents::keyboard::{self, Activity};
use crate::limits;
use crate::mapping::failure::Own;
use crate::mapping::message::{self, Unmapped};
use crate::model::{ChatState, InstantMessage, PageThread, Pair, Payload, Reason, SipProfile};
use crate::policy::Admitted;
use crate::shard::question::Question;
use crate::shard::sessions::Occasion;
use crate::shard::sessions::table::number_of;
use crate::shard::signals::signal;
use crate::shard::turn::Turn;
use crate::shard::{Fate, Shard};
use crate::sip::invite::{Inside, Purpose, Session, Terms, wants_more};
use crate::sip::microsoft::{Cause, FILE_TRANSFER};
use crate::sip::{Answer, Method, Request, Tag};

/// A message of the SIP user.
#[derive(Debug)]
pub(in crate::shard) struct Wrote {
    question: Question,
    message: Admitted<InstantMessage>,
}

impl Shard {
    /// Takes a request inside a dialog; one that nobody knows is answered 481.
    pub(in crate::shard) fn on_inside(
        &mut self,
        question: Question,
        tag: Tag,
        profile: &SipProfile,
        turn: &mut Turn,
    ) {
        let number = number_of(tag);
        let question = Question {
            success: 200,
            ..question
        };
        let peer = question.origin.peer().clone();
        let Some(leg) = self.leg_for(number, &peer, &question.request) else {
            self.answer(&question, Answer::new(481), turn);
            return;
        };
        let pair = leg.pair.clone();
        let types = self.types(&peer);
        let sent_by = self.sent_by(&pair);
        let leg = self.sessions.legs.get_mut(&number);
        let Some((leg, sent_by)) = leg.zip(sent_by) else {
            return;
        };
        let terms = Terms {
            sent_by: &sent_by,
            types,
            epid: profile.microsoft.is_some(),
            took_first: false,
        };
        match leg.session.on_request(&question.request, &terms) {
            // An ACK is in no transaction, and was seen to before.
            Inside::Ack | Inside::Ignored => turn.settle(&question.origin),
            Inside::Accepted(answer) => self.accept_with(number, question, answer, false, turn),
            Inside::Answer(answer) => {
                let more = match question.request.method() {
                    Some(Method::Invite | Method::Update) => wants_more(&question.request),
                    Some(_) | None => None,
                };
                self.answer(&question, answer, turn);
                if let Some(purpose) = more {
                    self.remark_refused(&pair, purpose, turn);
                }
            }
            Inside::Bye => {
                self.answer(&question, Answer::new(200), turn);
                self.remove_leg(number);
                self.converse(&pair, Occasion::Plain, turn, |session, scene| {
                    session.on_end(number, scene)
                });
            }
            Inside::Info => self.on_info(&question, &pair, turn),
            Inside::Message => self.on_message_inside(question, &pair, tag, profile, turn),
        }
    }

    fn on_message_inside(
        &mut self,
        question: Question,
        pair: &Pair,
        tag: Tag,
        profile: &SipProfile,
        turn: &mut Turn,
    ) {
        let number = number_of(tag);
        let leg = self.sessions.legs.get(&number);
        let device = leg.and_then(|leg| device(&leg.session));
        let now = turn.now.wall;
        let read = message::in_dialog(&question.request, pair, device, profile, now);
        let incoming = match read {
            Ok(incoming) => incoming,
            Err(Unmapped::Dropped(reason)) => {
                self.record_inside(&question, pair, Fate::Dropped(reason), turn);
                self.answer(&question, Answer::new(200), turn);
                return;
            }
            Err(Unmapped::Refused(Own::Unsupported)) if offers_file(&question.request) => {
                return self.refuse_file(&question, pair, turn);
            }
            Err(Unmapped::Refused(own)) => return self.refuse_inside(&question, pair, own, turn),
        };
        let is_content = incoming.message.payload.is_content();
        let message = match self.policy.admit(pair.clone(), incoming.message) {
            Ok(admitted) => admitted,
            Err(denied) => {
                return self.on_denied_question(question, pair, is_content, denied, turn);
            }
        };
        match &message.thing().payload {
            Payload::Invitation(_) | Payload::Text { .. } => {
                let text = message.thing().text().to_owned();
                let occasion = Occasion::Wrote(Box::new(Wrote { question, message }));
                self.converse(pair, occasion, turn, |session, scene| {
                    session.on_text(number, &text, scene)
                });
            }
            Payload::Receipt(receipt) => {
                self.answer(&question, Answer::new(200), turn);
                self.on_notification(&question.origin, pair, message.thing(), receipt, turn);
            }
            Payload::Typing(_) => {
                self.answer(&question, Answer::new(200), turn);
                self.on_composing(pair, message.thing(), incoming.refresh, turn);
            }
        }
    }

    /// Refuses a file, and tells the XMPP user of it.
    fn refuse_file(&mut self, question: &Question, pair: &Pair, turn: &mut Turn) {
        let refusal = Own::Unsupported.refusal();
        self.record_inside(question, pair, Fate::Bounced(refusal.failure), turn);
        self.answer(question, refusal.answer.because(Cause::File), turn);
        self.remark_refused(pair, Purpose::File, turn);
    }

    /// Hands a message of the SIP user on.
    pub(super) fn take_text(&mut self, wrote: Wrote, turn: &mut Turn) {
        let directory = Arc::clone(&self.directory);
        let peer = directory.peer(wrote.question.origin.peer());
        if let Some(profile) = peer.and_then(|peer| peer.sip()) {
            let mode = PageThread::Sticky;
            self.on_content(wrote.question, wrote.message, profile, mode, turn);
        }
    }

    /// Drops a message that was delivered before.
    pub(super) fn drop_repetition(&mut self, wrote: Wrote, turn: &mut Turn) {
        let pair = wrote.message.pair().clone();
        let fate = Fate::Dropped(Reason::Duplicate);
        self.record_inside(&wrote.question, &pair, fate, turn);
        self.answer(&wrote.question, Answer::new(200), turn);
    }

    /// Takes an INFO: typing, or something that nobody here needs. "application/xml" is never
    /// refused, since clients put into it whatever they like.
    fn on_info(&mut self, question: &Question, pair: &Pair, turn: &mut Turn) {
        let media_type = question.request.content_type().ok().flatten();
        let essence = media_type.map(|media_type| media_type.essence().to_owned());
        let answer = match essence.as_deref() {
            // The subject of the conversation, and an empty INFO, say nothing here.
            None | Some("application/xml" | "application/xml+conversationinfo" | "text/xml") => {
                Answer::new(200)
            }
            Some(_) => Own::Unsupported.refusal().answer,
        };
        self.answer(question, answer, turn);
        let Ok(activity) = keyboard::read(question.request.body()) else {
            return;
        };
        let state = match activity {
            Activity::Idle => ChatState::Active,
            Activity::Typing => ChatState::Composing,
        };
        let message = signal(Payload::Typing(state));
        if self.policy.refusal(pair).is_none() {
            let lapse = Some(limits::KEYBOARD_LAPSE);
            self.on_composing(pair, &message, lapse, turn);
        }
    }
}

/// Whether a message offers a file, as clients do in a conversation that there is.
fn offers_file(message: &Request) -> bool {
    let media_type = message.content_type().ok().flatten();
    media_type.is_some_and(|media_type| media_type.essence() == FILE_TRANSFER)
}

/// The device that the peer's Contact names.
fn device(session: &Session) -> Option<String> {
    let target = session.remote_target()?;
    let jid = address::to_jid(&target, Some(target.param("gr")?)).ok()?;
    jid.resource().map(|resource| resource.as_str().to_owned())
}
