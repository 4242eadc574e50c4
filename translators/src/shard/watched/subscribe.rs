//! SUBSCRIBE requests of SIP users.

use rand::RngExt as _;

use crate::limits;
use crate::mapping::failure::{Own, to_subscribe};
use crate::mapping::parties;
use crate::model::{Blame, Condition, Failure, Mono, Pair, PeerId, Profile, Side, SipProfile};
use crate::presence::Notifier;
use crate::presence::notifier::{Refresh, Subscribe};
use crate::shard::question::Question;
use crate::shard::turn::Turn;
use crate::shard::watched::refusals::Unfit;
use crate::shard::watched::step::{Cause, devices};
use crate::shard::watched::wish::Wish;
use crate::shard::{Event, Shard, TransmitId};
use crate::sip::{Answer, Dialog, Request, Sequence, Tag};

impl Shard {
    /// Takes a SUBSCRIBE, in a dialog or not.
    pub(in crate::shard) fn on_subscribe(&mut self, question: &Question, turn: &mut Turn) {
        let answered = match question.request.our_tag() {
            Some(tag) => self.on_subscribe_in_dialog(question, tag, turn),
            None => self.on_new_subscribe(question, turn),
        };
        if let Err(unfit) = answered {
            let in_dialog = question.request.our_tag().is_some();
            let profile = self.profile_of(question);
            let answer = to_subscribe(unfit.answer(), &profile, in_dialog);
            self.turn_away(question, unfit.failure(), answer, turn);
        }
    }

    /// Takes a SUBSCRIBE outside a dialog; an error is its answer.
    fn on_new_subscribe(&mut self, question: &Question, turn: &mut Turn) -> Result<(), Unfit> {
        let request = &question.request;
        let to = request.to()?;
        if to.tag().is_some() {
            return Err(Unfit::Unknown); // row 20
        }
        let profile = self.profile_of(question);
        let wish = Wish::read(request, &profile, None)?;
        let parties = parties::of_request(request, &profile, &self.directory)?;
        let pair = parties.pair;
        let fetches = wish.expires == 0;
        if !fetches {
            self.admit_watcher(&pair)?;
            self.admit_endpoint(question, &pair, turn)?;
        }
        let tag = Tag::new(&pair.jid, self.rng.random());
        let dialog = Dialog::accepting(request, tag)?;
        let mut subscribe = Subscribe {
            dialog,
            format: wish.format,
            expires: wish.expires,
            look: wish.look,
            piggyback: wish.piggyback,
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
        let profile = self.profile_of(question);
        let endpoint = self.watched_mut(&pair).and_then(|notifier| {
            let endpoint = notifier.endpoint_mut(tag)?;
            endpoint.dialog().is_for(request).then_some(endpoint)
        });
        let endpoint = endpoint.ok_or(Unfit::Unknown)?;
        let wish = Wish::read(request, &profile, Some(endpoint.format()))?;
        let dialog = endpoint.dialog_mut();
        match dialog.on_request(cseq) {
            Sequence::Old => return Err(Unfit::Overtaken),
            Sequence::Fresh | Sequence::Repeated => {}
        }
        if dialog.on_refresh(request)
            && let Some(both) = self.relations.of(&pair)
            && let Some(notifier) = both.watched.as_mut()
        {
            notifier.share_routes(&mut self.routes);
        }
        let cause = Cause {
            question: Some(question),
            ..Cause::default()
        };
        let unchanged = self.has_present(&pair, request, turn);
        self.step(&pair, cause, turn, |notifier, scene| match wish.expires {
            0 => notifier.on_end(tag, scene),
            expires => notifier.on_refresh(
                Refresh {
                    tag,
                    expires,
                    unchanged,
                    format: wish.format,
                    adds: wish.adds,
                    piggyback: wish.piggyback,
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

    /// The settings of the peer that asks; those of a generic one if it is not known any more, whose
    /// users are served nothing.
    fn profile_of(&self, question: &Question) -> SipProfile {
        let peer = self.directory.peer(question.origin.peer());
        peer.and_then(Profile::sip).cloned().unwrap_or_default()
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

    /// Lets an endpoint come in that is to stay: one that watches as many users as it may takes no
    /// further one. What it has already it may make anew, as after a crash of its own.
    fn admit_endpoint(
        &mut self,
        question: &Question,
        pair: &Pair,
        turn: &mut Turn,
    ) -> Result<(), Unfit> {
        if !question.crowded {
            return Ok(());
        }
        let endpoint = question.request.endpoint()?;
        let watches = self
            .watched_mut(pair)
            .is_some_and(|notifier| devices(notifier).contains(&endpoint));
        if watches {
            return Ok(());
        }
        let now = turn.now.mono;
        let was_told = |told: Mono| now.since(told) < limits::LIMIT_TOLD;
        if !self.crowd_told_at.is_some_and(was_told) {
            self.crowd_told_at = Some(now);
            let peer = question.origin.peer().clone();
            turn.tell(Event::LimitHit(peer, "subscriptions-per-endpoint"));
        }
        let limit = limits::SUBSCRIPTIONS_PER_ENDPOINT;
        Err(Own::TooManyWatched { limit }.into())
    }

    /// Refuses a watcher, as policy or the XMPP user says.
    pub(super) fn refuse_watcher(
        &mut self,
        question: &Question,
        pair: &Pair,
        turn: &mut Turn,
    ) -> TransmitId {
        let denied = self.policy.refusal(pair).map(Own::Denied);
        let failure = denied.map_or_else(
            || Failure::new(Condition::Forbidden, Blame::Peer).with_text("Denied by the user"),
            Own::failure,
        );
        self.turn_away(question, failure, Answer::new(403), turn)
    }

    fn turn_away(
        &mut self,
        question: &Question,
        failure: Failure,
        answer: Answer,
        turn: &mut Turn,
    ) -> TransmitId {
        turn.tell(Event::Refused {
            side: Side::Sip,
            peer: question.origin.peer().clone(),
            failure,
        });
        self.answer(question, answer, turn)
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
