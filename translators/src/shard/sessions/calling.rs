//! INVITEs of ours, and the end of dialogs.

use std::sync::Arc;

use rand::RngExt as _;

use crate::address::{self, Spelling};
use crate::conversation::session::DialogNumber;
use crate::limits;
use crate::mapping::failure::Own;
use crate::model::{Lapse, PageThread, Pair, PeerId, SipProfile};
use crate::shard::journal::domains;
use crate::shard::sessions::Occasion;
use crate::shard::sessions::table::{Call, Leg};
use crate::shard::to_sip::lane;
use crate::shard::turn::{Parcel, Turn};
use crate::shard::{Asked, Class, Kind, Shard, Task, Timer, TransmitId};
use crate::sip::invite::{Caller, Inviting, Progress, Terms};
use crate::sip::transaction::Answered;
use crate::sip::{
    Branch, Draft, Method, NameAddr, Response, SentBy, SipUri, Tag, sdp, write_request,
};

impl Shard {
    /// Sends the INVITE of a new dialog.
    pub(super) fn call(&mut self, pair: &Pair, number: DialogNumber, turn: &mut Turn) {
        let Some((peer, profile)) = self.sip_profile(pair) else {
            return self.refused_call(pair, number, Own::NotServed, turn);
        };
        let Some((from, to)) = self.ends(pair, &profile, turn) else {
            return self.refused_call(pair, number, Own::Unreadable, turn);
        };
        let tag = Tag::new(&pair.jid, number.0);
        let from = match profile.microsoft {
            Some(_) => from.with_epid(tag.epid()),
            None => from,
        };
        let caller = Caller {
            tag,
            call_id: self.rng.random(),
            from,
            to,
            conversation: profile.microsoft.map(|_| self.rng.random()),
            subject: None,
        };
        let call = Call {
            pair: pair.clone(),
            peer,
            inviting: Inviting::new(caller),
            branch: self.clients.branch(&mut self.rng),
            transmit: None,
            elsewhere: false,
            written: false,
            give_up_at: turn.now.mono + limits::RING_TIME,
        };
        self.send_invite(number, call, turn);
    }

    /// From and the addressee of an INVITE: the user with his name, and the AOR.
    fn ends(
        &mut self,
        pair: &Pair,
        profile: &SipProfile,
        turn: &mut Turn,
    ) -> Option<(NameAddr, SipUri)> {
        let spelling = Spelling::of(profile.strict_user);
        let uri = address::to_sip(&pair.address(), spelling).ok()?;
        let to = address::aor_to_sip(&pair.aor, None, spelling).ok()?;
        let name = self.name_of(pair, turn);
        Some((NameAddr::new(name.as_deref(), uri, None), to))
    }

    fn send_invite(&mut self, number: DialogNumber, mut call: Call, turn: &mut Turn) {
        let Some((local, remote)) = domains(&call.pair) else {
            return;
        };
        let types = self.types(&call.peer);
        let sent_by = self.place.hosts.of(&local);
        let terms = Terms {
            sent_by: &sent_by,
            types,
            epid: false,
            took_first: false,
        };
        let draft = Arc::new(call.inviting.request(&terms));
        let asked = Asked::Invite(number);
        let (peer, rng) = (call.peer.clone(), &mut self.rng);
        call.branch = self
            .clients
            .invite(peer.clone(), Arc::clone(&draft), asked, rng);
        let transmit = turn.send(Parcel {
            peer,
            local,
            remote,
            link: None,
            elsewhere: call.elsewhere,
            class: Class::Im,
            key: Some(lane(&call.pair, Kind::Im)),
            bytes: write_request(&draft, &sent_by, call.branch),
            give_up_at: call.give_up_at,
        });
        self.tasks.insert(transmit, Task::Invite(number));
        call.transmit = Some(transmit);
        self.sessions.calls.insert(number, call);
    }

    /// Types of messages that conversations with a peer take.
    pub(super) fn types(&self, peer: &PeerId) -> &'static str {
        let profile = self.directory.peer(peer).and_then(|peer| peer.sip());
        match profile.and_then(|profile| profile.microsoft) {
            Some(_) => sdp::TYPES_MICROSOFT,
            None => sdp::TYPES_GENERIC,
        }
    }

    /// Takes an answer to an INVITE of ours.
    pub(in crate::shard) fn on_invite_answered(
        &mut self,
        number: DialogNumber,
        answered: Answered,
        response: &Response,
        turn: &mut Turn,
    ) {
        let Some(call) = self.sessions.calls.get_mut(&number) else {
            return;
        };
        let (pair, peer, branch) = (call.pair.clone(), call.peer.clone(), call.branch);
        match answered {
            Answered::Provisional(Some(cancel)) => {
                self.send_with(&pair, &peer, &cancel, branch, turn);
            }
            // The next proxy has it; that is no sign of the SIP user.
            Answered::Provisional(None) if response.status() == 100 => {}
            Answered::Provisional(None) => {
                self.converse(&pair, Occasion::Plain, turn, |session, _| {
                    session.on_progress(number)
                });
            }
            Answered::Refused(ack) => {
                self.send_with(&pair, &peer, &ack, branch, turn);
                self.on_invite_refused(number, response, turn);
            }
            Answered::Success => self.on_invite_accepted(number, response, turn),
        }
    }

    /// Takes a 2xx to an INVITE of ours.
    fn on_invite_accepted(&mut self, number: DialogNumber, response: &Response, turn: &mut Turn) {
        let Some(call) = self.sessions.calls.get_mut(&number) else {
            return;
        };
        let (pair, peer) = (call.pair.clone(), call.peer.clone());
        match call.inviting.on_response(response) {
            Progress::Established(mut session, ack) => {
                // Whether the link breaks behind it makes no difference any more.
                if let Some(written) = call.transmit.take() {
                    self.tasks.remove(&written);
                }
                session.share_routes(&mut self.routes);
                self.timers
                    .set(Timer::Invite(number), turn.now.mono + limits::TIMER_F);
                let leg = Leg {
                    pair: pair.clone(),
                    peer: peer.clone(),
                    session,
                    unconfirmed: None,
                };
                if let Some(conversation) = self.memory.find(&pair) {
                    let call_id = leg.session.dialog().call_id();
                    conversation.pages.enter(&call_id, PageThread::Sticky);
                }
                self.add_leg(number, leg);
                self.send_ack(&pair, &peer, &ack, turn);
                self.converse(&pair, Occasion::Plain, turn, |session, scene| {
                    session.on_answer(number, scene)
                });
            }
            Progress::Again(ack) => self.send_ack(&pair, &peer, &ack, turn),
            Progress::Unwanted(ack, bye) => {
                self.send_ack(&pair, &peer, &ack, turn);
                self.send_bye(&pair, &peer, number, &bye, turn);
            }
            // No 2xx is one of these.
            Progress::Refused | Progress::Ringing => {}
            Progress::Unusable(_) => self.refused_call(&pair, number, Own::Unreadable, turn),
        }
    }

    /// Takes a refusal of an INVITE of ours: another address is tried after 503, once.
    fn on_invite_refused(&mut self, number: DialogNumber, response: &Response, turn: &mut Turn) {
        let Some(mut call) = self.sessions.calls.remove(&number) else {
            return;
        };
        self.timers.cancel(&Timer::Invite(number));
        self.forget_transmit(&mut call);
        let conversation = self.memory.find(&call.pair);
        let is_wanted = conversation.is_some_and(|one| one.session.is_calling(number));
        let in_time = turn.now.mono < call.give_up_at;
        if response.status() == 503 && !call.elsewhere && is_wanted && in_time {
            call.elsewhere = true;
            call.written = false;
            return self.send_invite(number, call, turn);
        }
        let failure = self.failure_of(&call.peer, response);
        let occasion = Occasion::Failed(failure);
        self.converse(&call.pair, occasion, turn, |session, _| {
            session.on_refusal(number)
        });
    }

    /// Gives an INVITE of ours up that cannot go out or got no usable answer.
    fn refused_call(&mut self, pair: &Pair, number: DialogNumber, own: Own, turn: &mut Turn) {
        let occasion = Occasion::Failed(own.failure());
        self.converse(pair, occasion, turn, |session, _| {
            session.on_refusal(number)
        });
    }

    /// Takes note that an INVITE of ours came back unsent.
    pub(in crate::shard) fn on_invite_unsent(
        &mut self,
        number: DialogNumber,
        lapse: &Lapse,
        turn: &mut Turn,
    ) {
        let Some(call) = self.sessions.calls.remove(&number) else {
            return;
        };
        self.timers.cancel(&Timer::Invite(number));
        self.clients.expire(call.branch);
        let failure = match crate::mapping::failure::lapsed(lapse) {
            Some(refusal) => refusal.failure,
            None => self.recalled(&call.pair).failure(),
        };
        let occasion = Occasion::Failed(failure);
        self.converse(&call.pair, occasion, turn, |session, _| {
            session.on_refusal(number)
        });
    }

    /// Takes back the INVITE of a pair that nothing waits for any more; returns its transmit.
    pub(in crate::shard) fn withdraw_call(&mut self, pair: &Pair) -> Option<TransmitId> {
        let conversation = self.memory.find(pair)?;
        let number = conversation.session.calling()?;
        if !conversation.queue.is_empty() {
            return None;
        }
        conversation.session.withdraw(number);
        self.timers.cancel(&Timer::Session(pair.clone()));
        let mut call = self.sessions.calls.remove(&number)?;
        self.clients.expire(call.branch);
        let transmit = call.transmit;
        self.forget_transmit(&mut call);
        transmit
    }

    /// Takes note that the link broke behind an INVITE of ours; an answer may come over another one.
    pub(in crate::shard) fn on_invite_lost(&mut self, number: DialogNumber, turn: &mut Turn) {
        let Some(call) = self.sessions.calls.get_mut(&number) else {
            return;
        };
        let pair = call.pair.clone();
        call.inviting.cancel();
        self.timers
            .set(Timer::Invite(number), turn.now.mono + limits::TIMER_F);
        let occasion = Occasion::Failed(Own::Expired.failure());
        self.converse(&pair, occasion, turn, |session, scene| {
            session.on_lost(number, scene)
        });
    }

    /// Calls an INVITE of ours off: what still comes of it ends it. One that waits for its link may go
    /// out as late as its queue keeps it.
    pub(super) fn call_off(&mut self, number: DialogNumber, turn: &mut Turn) {
        let Some(call) = self.sessions.calls.get_mut(&number) else {
            return;
        };
        call.inviting.cancel();
        let (pair, peer, branch) = (call.pair.clone(), call.peer.clone(), call.branch);
        let sent_by = match call.written {
            true => turn.now.mono,
            false => call.give_up_at.max(turn.now.mono),
        };
        self.timers
            .set(Timer::Invite(number), sent_by + limits::TIMER_F);
        if let Some(cancel) = self.clients.cancel(branch) {
            self.send_with(&pair, &peer, &cancel, branch, turn);
        }
    }

    /// Takes note that an INVITE of ours was written.
    pub(in crate::shard) fn on_invite_written(&mut self, number: DialogNumber) {
        if let Some(call) = self.sessions.calls.get_mut(&number) {
            call.written = true;
        }
    }

    /// Forgets an INVITE of ours from which nothing can come any more.
    pub(in crate::shard) fn on_invite_time(&mut self, number: DialogNumber) {
        if let Some(mut call) = self.sessions.calls.remove(&number) {
            self.clients.expire(call.branch);
            self.forget_transmit(&mut call);
        }
    }

    fn forget_transmit(&mut self, call: &mut Call) {
        if let Some(transmit) = call.transmit.take() {
            self.tasks.remove(&transmit);
        }
    }

    /// Ends a dialog.
    pub(super) fn say_bye(&mut self, number: DialogNumber, turn: &mut Turn) {
        let Some(mut leg) = self.remove_leg(number) else {
            return;
        };
        if let Ok(bye) = leg.session.bye() {
            self.send_bye(&leg.pair, &leg.peer, number, &bye, turn);
        }
    }

    fn send_bye(
        &mut self,
        pair: &Pair,
        peer: &PeerId,
        number: DialogNumber,
        bye: &Draft,
        turn: &mut Turn,
    ) {
        let asked = Asked::Bye(pair.clone(), number);
        let branch = self
            .clients
            .start(peer.clone(), Method::Bye, asked, &mut self.rng);
        if let Some(transmit) = self.send_with(pair, peer, bye, branch, turn) {
            self.tasks
                .insert(transmit, Task::Bye(pair.clone(), number, branch));
        }
    }

    /// Takes the answer to a BYE, or that there is none.
    pub(in crate::shard) fn on_bye_over(
        &mut self,
        pair: &Pair,
        number: DialogNumber,
        turn: &mut Turn,
    ) {
        self.converse(pair, Occasion::Plain, turn, |session, _| {
            session.on_closed(number)
        });
    }

    /// Takes note that a BYE did not get out.
    pub(in crate::shard) fn on_bye_lost(
        &mut self,
        pair: &Pair,
        (number, branch): (DialogNumber, Branch),
        turn: &mut Turn,
    ) {
        if self.clients.expire(branch).is_some() {
            self.timers.cancel(&Timer::F(branch));
            self.on_bye_over(pair, number, turn);
        }
    }

    fn send_ack(&mut self, pair: &Pair, peer: &PeerId, ack: &Draft, turn: &mut Turn) {
        // "The ACK [...] constitutes its own transaction" (RFC 3261 section 17.1.1.1). Whoever waits for
        // it answers again and again, so it goes out like an answer.
        let branch = self.clients.branch(&mut self.rng);
        self.send_as(Class::Answer, pair, (peer, ack, branch), turn);
    }

    /// Sends a request that belongs to a dialog, in the order of its messages.
    fn send_with(
        &self,
        pair: &Pair,
        peer: &PeerId,
        draft: &Draft,
        branch: Branch,
        turn: &mut Turn,
    ) -> Option<TransmitId> {
        self.send_as(Class::Im, pair, (peer, draft, branch), turn)
    }

    fn send_as(
        &self,
        class: Class,
        pair: &Pair,
        (peer, draft, branch): (&PeerId, &Draft, Branch),
        turn: &mut Turn,
    ) -> Option<TransmitId> {
        let (local, remote) = domains(pair)?;
        let sent_by = self.place.hosts.of(&local);
        Some(turn.send(Parcel {
            peer: peer.clone(),
            local,
            remote,
            link: None,
            elsewhere: false,
            class,
            key: Some(lane(pair, Kind::Im)),
            bytes: write_request(draft, &sent_by, branch),
            give_up_at: turn.now.mono + limits::TIMER_F,
        }))
    }

    /// The name under which the XMPP user of a pair is reached on SIP.
    pub(super) fn sent_by(&self, pair: &Pair) -> Option<SentBy> {
        let (local, _) = domains(pair)?;
        Some(self.place.hosts.of(&local))
    }

    pub(super) fn add_leg(&mut self, number: DialogNumber, leg: Leg) {
        self.sessions.legs.insert(number, leg);
    }

    pub(super) fn remove_leg(&mut self, number: DialogNumber) -> Option<Leg> {
        self.timers.cancel(&Timer::Confirm(number));
        self.sessions.legs.remove(&number)
    }
}
