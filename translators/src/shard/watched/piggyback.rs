//! Answers to SUBSCRIBE that carry what a NOTIFY would show.

use crate::documents::presence::Format;
use crate::mapping::presence::Document;
use crate::model::{Domain, Lapse, Pair, Role};
use crate::presence::Notifier;
use crate::presence::notifier::{Keep, Outcome, Show};
use crate::shard::question::Question;
use crate::shard::turn::Turn;
use crate::shard::watched::letters::closed;
use crate::shard::watched::step::Stage;
use crate::shard::{Key, Kind, Lane, Shard, Task, TransmitId};
use crate::sip::piggyback::standing_for_notify;
use crate::sip::subscription::{SubscriptionState, granted};
use crate::sip::{Answer, Block, HeaderName, Tag};

/// An answer on its way that shows something.
#[derive(Clone, Debug)]
pub(in crate::shard) struct Carried {
    pair: Pair,
    /// Domain of the XMPP user.
    local: Domain,
    tag: Tag,
    question: Question,
    expires: u32,
    cseq: u32,
    event_id: Option<String>,
    format: Format,
}

impl PartialEq for Carried {
    fn eq(&self, other: &Self) -> bool {
        (self.tag, self.cseq) == (other.tag, other.cseq)
    }
}

impl Eq for Carried {}

impl Shard {
    /// Answers a SUBSCRIBE with what its sender is shown. Whether it may be shown is asked here and
    /// now.
    pub(super) fn answer_showing(
        &mut self,
        question: &Question,
        (tag, expires, show): (Tag, u32, Show),
        notifier: &mut Notifier,
        stage: &Stage,
        turn: &mut Turn,
    ) -> (TransmitId, Keep) {
        let is_new = question.request.our_tag().is_none();
        let endpoint = notifier.endpoint_mut(tag);
        let format = endpoint.map_or(Format::Pidf, |endpoint| endpoint.format());
        let (state, document, _) =
            self.shown_as((show, expires, is_new), format, notifier, stage, turn);
        let endpoint = notifier.endpoint_mut(tag);
        let (number, event_id) = endpoint
            .map(|endpoint| {
                let dialog = endpoint.dialog_mut();
                (dialog.number_notify(), dialog.event_id().map(str::to_owned))
            })
            .unwrap_or(((1, Block::Reserved), None));
        let (cseq, block) = number;
        let carried = Carried {
            pair: stage.pair.clone(),
            local: stage.xmpp_domain.clone(),
            tag,
            question: question.clone(),
            expires,
            cseq,
            event_id,
            format,
        };
        let answer = self.carrying(&carried, &state, document);
        let key = Key {
            lane: Lane {
                pair: stage.pair.clone(),
                kind: Kind::Presence(Role::Notifier),
            },
            // It is called back with what it shows, and takes the place of a NOTIFY that waits; as an
            // answer nothing ever takes its own.
            item: tag.random(),
        };
        let id = self.answer_under(question, answer, Some(key), turn);
        self.tasks.insert(id, Task::Showing(Box::new(carried)));
        let keep = match block {
            Block::New => Keep::Durable,
            Block::Reserved => Keep::Same,
        };
        (id, keep)
    }

    fn carrying(
        &self,
        carried: &Carried,
        state: &SubscriptionState,
        document: Option<Document>,
    ) -> Answer {
        let sent_by = self.place.hosts.of(&carried.local);
        let contact = sent_by.contact(carried.tag);
        let answer = granted(carried.expires, contact).to_tag(carried.tag.token());
        let event_id = carried.event_id.as_deref();
        let answer = standing_for_notify(answer, carried.cseq, state, event_id);
        let Some(document) = document else {
            return answer;
        };
        let answer = match document.language {
            Some(language) => answer.header(HeaderName::ContentLanguage, language),
            None => answer,
        };
        answer.content(document.content_type, document.body)
    }

    /// Takes note that such an answer was not sent. One that was called back goes out with a closed
    /// document; behind any other the watcher is to be shown what there is.
    pub(in crate::shard) fn on_showing_unsent(
        &mut self,
        carried: &Carried,
        lapse: Option<&Lapse>,
        turn: &mut Turn,
    ) {
        if lapse == Some(&Lapse::Recalled) {
            let stage = self.stage(&carried.pair, turn);
            let document = stage.and_then(|stage| closed(&stage, carried.format, turn.now.wall));
            let state = SubscriptionState::active(carried.expires);
            let answer = self.carrying(carried, &state, document);
            return self.answer_anew(&carried.question, answer, turn);
        }
        self.on_outcome(&carried.pair, carried.tag, Outcome::Unsent, turn);
    }
}
