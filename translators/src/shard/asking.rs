//! SUBSCRIBE for an XMPP watcher, and NOTIFY of a SIP user whom he watches.

use std::sync::Arc;

use rand::RngExt as _;

use crate::address::{self, Spelling};
use crate::documents::Format;
use crate::documents::presence::{self, Reading};
use crate::model::{Lapse, Pair, PresenceState, Profile, Role, Side, SipProfile};
use crate::origin::Origin;
use crate::presence::subscriber::{Answered, Asking, Keep, Outfit, Purpose, Steps, Unfit};
use crate::shard::journal::domains;
use crate::shard::question::Question;
use crate::shard::turn::{Parcel, Turn};
use crate::shard::{Asked, Class, Event, Key, Kind, Shard, Task};
use crate::sip::{Answer, Branch, Draft, Head, HeaderName, Method, NameAddr, Request, Response};
use crate::sip::{SipUri, Tag, subscription, write_request};

impl Shard {
    /// Sends the SUBSCRIBE that waits for its turn, if one does; tells whether its record has to be
    /// kept.
    pub(super) fn launch_subscribe(&mut self, pair: &Pair, turn: &mut Turn) -> Keep {
        let tag = Tag::new(&pair.jid, self.rng.random());
        let call_id = self.rng.random();
        let name = self.name_of(pair, turn);
        let peer = self.peer_of(Side::Sip, pair);
        let sip = peer.and_then(Profile::sip);
        let Some((sip, [from, to, to_pres])) =
            sip.and_then(|sip| Some((sip, addresses(pair, sip)?)))
        else {
            return Keep::Same;
        };
        let from = match sip.microsoft {
            Some(_) => NameAddr::new(name.as_deref(), from, None).with_epid(tag.epid()),
            None => NameAddr::new(None, from, None),
        };
        let microsoft = sip.microsoft;
        let Some((local, _)) = domains(pair) else {
            return Keep::Same;
        };
        let outfit = Outfit {
            from,
            to,
            to_pres,
            tag,
            call_id,
            microsoft: microsoft.as_ref(),
            sent_by: &self.place.hosts.of(&local),
        };
        let both = self.relations.of(pair);
        let machine = both.and_then(|both| both.watching.as_mut());
        let Some(launch) = machine.and_then(|machine| machine.launch(outfit)) else {
            return Keep::Same;
        };
        if launch.asking.purpose == Purpose::First {
            self.relations.tag(launch.asking.tag.random(), pair);
        }
        self.send_subscribe(pair, launch.asking, &Arc::new(launch.draft), false, turn);
        launch.keep
    }

    fn send_subscribe(
        &mut self,
        pair: &Pair,
        asking: Asking,
        draft: &Arc<Draft>,
        elsewhere: bool,
        turn: &mut Turn,
    ) {
        let peer = self.peer_of(Side::Sip, pair);
        let waits = peer.and_then(Profile::sip).map(SipProfile::presence_waits);
        let peer = peer.map(|peer| peer.id.clone()).zip(domains(pair));
        let Some((waits, (peer, (local, remote)))) = waits.zip(peer) else {
            return;
        };
        let again = (!elsewhere).then(|| Arc::clone(draft));
        let asked = Asked::Subscribe(pair.clone(), asking, again);
        let clients = &mut self.clients;
        let branch = clients.start(peer.clone(), Method::Subscribe, asked, &mut self.rng);
        let bytes = write_request(draft, &self.place.hosts.of(&local), branch);
        let kind = Kind::Subscription(Role::Subscriber);
        let id = turn.send(Parcel {
            peer,
            local,
            remote,
            link: None,
            elsewhere,
            class: Class::Subscription,
            key: Some(Key {
                item: asking.tag.random(),
                ..Key::of(pair.clone(), kind)
            }),
            bytes,
            give_up_at: turn.now.mono + waits,
        });
        let task = Task::Subscribe(pair.clone(), asking, branch);
        self.tasks.insert(id, task);
    }

    /// Takes note that a SUBSCRIBE was written.
    pub(super) fn on_subscribe_written(
        &mut self,
        pair: &Pair,
        asking: Asking,
        branch: Branch,
        turn: &mut Turn,
    ) {
        self.start_timer_f(branch, turn);
        self.watch_known(pair, turn, |machine, moment| {
            machine.on_written(asking, moment);
            Default::default()
        });
    }

    /// Takes note that a SUBSCRIBE did not get out, or that the link it was written to is lost.
    pub(super) fn on_subscribe_unsent(
        &mut self,
        pair: &Pair,
        (asking, branch): (Asking, Branch),
        lapse: Option<&Lapse>,
        turn: &mut Turn,
    ) {
        if self.clients.expire(branch).is_none() {
            return;
        }
        let full = lapse == Some(&Lapse::Full);
        self.watch_known(pair, turn, |machine, moment| {
            if full {
                machine.on_no_room(asking)
            } else {
                machine.on_unsent(asking, moment)
            }
        });
        if full {
            self.recover_again(pair, Side::Sip, turn);
        }
    }

    /// Takes note that a SUBSCRIBE has no final answer in time.
    pub(super) fn on_subscribe_timer_f(&mut self, pair: &Pair, asking: Asking, turn: &mut Turn) {
        self.watch_known(pair, turn, |machine, moment| {
            machine.on_timer_f(asking, moment)
        });
    }

    /// Takes the final answer to a SUBSCRIBE. After 503 another address of the peer is tried with
    /// the same request, once (RFC 3263 section 4.3).
    pub(super) fn on_subscribe_answered(
        &mut self,
        pair: &Pair,
        (asking, draft): (Asking, Option<Arc<Draft>>),
        response: &Response,
        turn: &mut Turn,
    ) {
        if let (503, Some(draft)) = (response.status(), draft)
            && self.is_under_way(pair, asking)
        {
            return self.send_subscribe(pair, asking, &draft, true, turn);
        }
        let carries = response.status() < 300 && !response.body().is_empty();
        let said = carries.then(|| self.read_state(pair, response, turn));
        let answered = Answered { response, said };
        self.watch_known(pair, turn, |machine, moment| {
            machine.on_answer(asking, &answered, moment)
        });
    }

    /// Whether a relation still waits for the outcome of a SUBSCRIBE.
    fn is_under_way(&mut self, pair: &Pair, asking: Asking) -> bool {
        let both = self.relations.of(pair);
        let machine = both.and_then(|both| both.watching.as_ref());
        machine.is_some_and(|machine| machine.tag() == Some(asking.tag))
    }

    /// Takes a NOTIFY.
    pub(super) fn on_notify(&mut self, question: &Question, turn: &mut Turn) {
        match self.take_notify(&question.origin, &question.request, turn) {
            Ok((pair, steps)) => {
                self.answer(question, subscription::notified(), turn);
                self.show_steps(&pair, steps, turn);
            }
            Err(answer) => {
                self.answer(question, *answer, turn);
            }
        }
    }

    /// Takes a BENOTIFY: it says what a NOTIFY says, and is never answered.
    pub(super) fn on_benotify(&mut self, origin: &Origin, request: &Request, turn: &mut Turn) {
        if let Ok((pair, steps)) = self.take_notify(origin, request, turn) {
            self.show_steps(&pair, steps, turn);
        }
        turn.settle(origin);
    }

    /// Takes what a NOTIFY says; an error is its answer.
    fn take_notify(
        &mut self,
        origin: &Origin,
        notify: &Request,
        turn: &mut Turn,
    ) -> Result<(Pair, Steps), Box<Answer>> {
        let pair = self.notified_pair(origin, notify);
        let pair = pair.ok_or_else(|| Box::new(Answer::new(481)))?; // row 37
        // One without Event is taken for one of its dialog.
        let foreign = notify
            .event()
            .map(|event| event.is_some_and(|event| !event.is_presence()));
        if foreign.unwrap_or(true) {
            return Err(subscription::bad_event().into());
        }
        let said = self.read_state(&pair, notify, turn);
        let both = self.relations.of(&pair);
        let mut machine = both
            .and_then(|both| both.watching.take())
            .unwrap_or_default();
        let before = super::watching::standing(&machine);
        let taken = self.watch_step(&pair, &mut machine, turn, |machine, moment| {
            machine.on_notify(notify, said, moment)
        });
        let after = super::watching::standing(&machine);
        if let Some(both) = self.relations.of(&pair) {
            both.watching = Some(machine);
        }
        turn.moved(&pair, before, after);
        match taken {
            Ok(steps) => Ok((pair, steps)),
            Err(Unfit::Foreign) => Err(Answer::new(481).into()), // row 11
            Err(Unfit::Malformed) => Err(Answer::new(400).into()),
            // COMPAT(lync): an Edge spreads the requests of one dialog over several connections, and
            // a later state has come already.
            Err(Unfit::Overtaken) if self.is_microsoft(&pair) => {
                Err(subscription::notified().into())
            }
            Err(Unfit::Overtaken) => Err(subscription::overtaken().into()),
        }
    }

    /// The pair whose subscription a NOTIFY is of, if it comes from the peer that was asked.
    fn notified_pair(&mut self, origin: &Origin, notify: &Request) -> Option<Pair> {
        let to = notify.to().ok()?;
        let tag = Tag::parse(to.tag().map(|tag| tag.as_str())?)?;
        let pair = self.relations.tagged(tag.random())?.clone();
        let peer = self.peer_of(Side::Sip, &pair)?;
        if peer.id != *origin.peer() {
            return None;
        }
        let machine = self.relations.of(&pair)?.watching.as_ref()?;
        machine.is_for(notify).then_some(pair)
    }

    /// Reads the document of a NOTIFY or of an answer. What cannot be read says nothing: the last
    /// state is kept.
    fn read_state(&mut self, pair: &Pair, head: &Head, turn: &mut Turn) -> Option<PresenceState> {
        let text = |name| head.header(name).map(|header| header.raw);
        let partial = text(HeaderName::ContentType).is_some_and(Format::may_be_partial);
        let both = self.relations.of(pair).filter(|_| partial);
        let machine = both.and_then(|both| both.watching.as_ref());
        let known = machine.and_then(|machine| machine.known());
        let peer = self.peer_of(Side::Sip, pair)?;
        let encoding = text(HeaderName::ContentEncoding).map(str::trim);
        if encoding.is_some_and(|encoding| !encoding.eq_ignore_ascii_case("identity")) {
            turn.tell(Event::DocumentUnreadable(peer.id.clone()));
            return None;
        }
        let how = Reading {
            content_type: text(HeaderName::ContentType),
            lang: text(HeaderName::ContentLanguage),
            known: known.as_ref(),
            ..peer.sip().map(Reading::of_peer).unwrap_or_default()
        };
        match presence::read(head.body(), how) {
            Ok(state) => state,
            Err(_) => {
                turn.tell(Event::DocumentUnreadable(peer.id.clone()));
                None
            }
        }
    }
}

/// The watcher, the presentity, and the presentity with the scheme `pres`.
fn addresses(pair: &Pair, sip: &SipProfile) -> Option<[SipUri; 3]> {
    let spelling = Spelling::of(sip.strict_user);
    let from = address::to_sip(&pair.address(), spelling).ok()?;
    let to = address::to_sip(&pair.aor.image().clone().into(), spelling).ok()?;
    let to_pres = to.as_str().replacen("sip:", "pres:", 1);
    let to_pres = SipUri::parse(&to_pres).ok()?;
    Some([from, to, to_pres])
}
