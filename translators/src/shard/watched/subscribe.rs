//! SUBSCRIBE requests of SIP users.

use rand::RngExt as _;

use crate::documents::presence::Format;
use crate::mapping::failure::Own;
use crate::mapping::parties::{self, Parties};
use crate::model::{Blame, Condition, Failure, Pair, PeerId, Side};
use crate::presence::Notifier;
use crate::presence::notifier::{Refresh, Subscribe};
use crate::shard::question::Question;
use crate::shard::turn::Turn;
use crate::shard::watched::refusals::Unfit;
use crate::shard::watched::step::Cause;
use crate::shard::{Event, Shard};
use crate::sip::subscription::Interval;
use crate::sip::{Answer, Dialog, HeaderName, Request, Sequence, Tag};

impl Shard {
    /// Takes a SUBSCRIBE, in a dialog or not.
    pub(in crate::shard) fn on_subscribe(&mut self, question: &Question, turn: &mut Turn) {
        let answered = match question.request.our_tag() {
            Some(tag) => self.on_subscribe_in_dialog(question, tag, turn),
            None => self.on_new_subscribe(question, turn),
        };
        if let Err(unfit) = answered {
            self.turn_away(question, unfit.failure(), unfit.answer(), turn);
        }
    }

    /// Takes a SUBSCRIBE outside a dialog; an error is its answer.
    fn on_new_subscribe(&mut self, question: &Question, turn: &mut Turn) -> Result<(), Unfit> {
        let request = &question.request;
        let to = request.to()?;
        if to.tag().is_some() {
            return Err(Unfit::Unknown); // row 20
        }
        let (format, expires) = read(request)?;
        let parties = self.parties_of(question)?;
        let pair = parties.pair;
        let fetches = expires == 0;
        if !fetches {
            self.admit_watcher(&pair)?;
        }
        let tag = Tag::new(&pair.jid, self.rng.random());
        let dialog = Dialog::accepting(request, tag)?;
        let mut subscribe = Subscribe {
            dialog,
            format,
            expires,
            look: false,
        };
        subscribe.dialog.share_routes(&mut self.routes);
        let cause = Cause {
            question: Some(question),
            name: parties.display_name.as_deref(),
            makes: true,
            made: false,
        };
        self.step(&pair, cause, turn, |notifier, scene| {
            if fetches {
                notifier.on_fetch(subscribe, scene)
            } else {
                notifier.on_subscribe(subscribe, scene)
            }
        });
        Ok(())
    }

    /// Takes a SUBSCRIBE in a dialog of ours; an error is its answer.
    fn on_subscribe_in_dialog(
        &mut self,
        question: &Question,
        tag: Tag,
        turn: &mut Turn,
    ) -> Result<(), Unfit> {
        let request = &question.request;
        let pair = self
            .relations
            .tagged(tag.random())
            .cloned()
            .ok_or(Unfit::Unknown)?;
        if !self.is_peer_of(&pair, question.origin.peer()) {
            return Err(Unfit::Unknown); // row 20
        }
        let cseq = request.cseq()?.number;
        let dialog = self.watched_mut(&pair).and_then(|notifier| {
            let dialog = notifier.endpoint_mut(tag)?.dialog_mut();
            dialog.is_for(request).then_some(dialog)
        });
        let dialog = dialog.ok_or(Unfit::Unknown)?;
        let (_, expires) = read(request)?;
        match dialog.on_request(cseq) {
            Sequence::Old => return Err(Unfit::Overtaken),
            Sequence::Fresh | Sequence::Repeated => {}
        }
        dialog.on_refresh(request);
        let cause = Cause {
            question: Some(question),
            ..Cause::default()
        };
        let unchanged = self.has_present(&pair, request, turn);
        self.step(&pair, cause, turn, |notifier, scene| match expires {
            0 => notifier.on_end(tag, scene),
            expires => notifier.on_refresh(
                Refresh {
                    tag,
                    expires,
                    unchanged,
                },
                scene,
            ),
        });
        Ok(())
    }

    /// Whether the sender of a refresh has what he would be shown.
    fn has_present(&mut self, pair: &Pair, request: &Request, turn: &Turn) -> bool {
        let Some(wanted) = request.suppress_if_match() else {
            return false;
        };
        let Some(stage) = self.stage(pair, turn) else {
            return false;
        };
        let both = self.relations.of(pair).and_then(|both| both.watched.take());
        let Some(notifier) = both else {
            return false;
        };
        let etag = self.etag(&notifier, &stage);
        if let Some(both) = self.relations.of(pair) {
            both.watched = Some(notifier);
        }
        etag.is_some_and(|etag| etag.as_str() == wanted)
    }

    /// The users of a request.
    fn parties_of(&self, question: &Question) -> Result<Parties, Unfit> {
        let peer = self.directory.peer(question.origin.peer());
        let profile = peer.and_then(|peer| peer.sip()).ok_or(Own::NotServed)?;
        Ok(parties::of_request(
            &question.request,
            profile,
            &self.directory,
        )?)
    }

    /// Lets a watcher come in who is to stay.
    fn admit_watcher(&mut self, pair: &Pair) -> Result<(), Unfit> {
        if self.journal.is_read_only() {
            return Err(Own::Overloaded.into());
        }
        let counts = self
            .watched_mut(pair)
            .is_some_and(|notifier| notifier.counts());
        let limit = self.contacts_of(pair);
        if !counts && self.contacts(pair) >= limit {
            return Err(Own::TooManyContacts { limit }.into());
        }
        Ok(())
    }

    /// Refuses a watcher, as policy or the XMPP user says.
    pub(super) fn refuse_watcher(&mut self, question: &Question, pair: &Pair, turn: &mut Turn) {
        let denied = self.policy.refusal(pair).map(Own::Denied);
        let failure = denied.map_or_else(
            || Failure::new(Condition::Forbidden, Blame::Peer).with_text("Denied by the user"),
            Own::failure,
        );
        self.turn_away(question, failure, Answer::new(403), turn);
    }

    fn turn_away(
        &mut self,
        question: &Question,
        failure: Failure,
        answer: Answer,
        turn: &mut Turn,
    ) {
        turn.tell(Event::Refused {
            side: Side::Sip,
            peer: question.origin.peer().clone(),
            failure,
        });
        self.answer(question, answer, turn);
    }

    /// The machine of a pair.
    pub(super) fn watched_mut(&mut self, pair: &Pair) -> Option<&mut Notifier> {
        self.relations.of(pair)?.watched.as_deref_mut()
    }

    /// Whether the SIP user of a pair is one of the peer's.
    pub(super) fn is_peer_of(&self, pair: &Pair, peer: &PeerId) -> bool {
        let owner = pair.aor.domain();
        let owner = owner.and_then(|domain| self.directory.owner_on(Side::Sip, &domain));
        owner.is_some_and(|owner| owner.id == *peer)
    }
}

/// Reads what a SUBSCRIBE asks for: the format of documents, and the seconds that are granted.
fn read(request: &Request) -> Result<(Format, u32), Unfit> {
    let event = request.event()?;
    if !event.is_some_and(|event| event.is_presence()) {
        return Err(Unfit::Event); // row 27
    }
    let accept: Vec<&str> = request.values(HeaderName::Accept).collect();
    let accept = (!accept.is_empty()).then(|| accept.join(", "));
    let format = Format::choose(accept.as_deref(), Format::GENERIC);
    let format = format.ok_or(Unfit::Format)?; // row 28
    let granted = Interval::default().grant(request.expires()?);
    Ok((format, granted.map_err(Unfit::TooBrief)?)) // row 29
}
