//! Typing and receipts: what travels as messages but promises nothing.

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt as _;

use crate::conversation::session::{DialogNumber, Phase};
use crate::conversation::{Asked as Wish, REFRESH, Whose, lapse_after};
use crate::limits;
use crate::mapping::message;
use crate::model::{
    ChatState, Direction, InstantMessage, MessageStyle, Pair, Payload, PeerId, Reason, Receipt,
    ReceiptKind, Side,
};
use crate::origin::Origin;
use crate::policy::Admitted;
use crate::shard::journal::domains;
use crate::shard::sessions::{Carrier, Occasion};
use crate::shard::to_sip::{dropped, envelope, lane};
use crate::shard::turn::{Parcel, Turn};
use crate::shard::{Asked, Class, ImKey, Key, Kind, Shard, Task, Timer};
use crate::sip::{Branch, Draft, write_request};
use crate::xmpp::Message;

/// Time that typing for a SIP user may wait.
const TYPING_TIME: Duration = Duration::from_secs(10);

impl Shard {
    /// Takes a chat state of the XMPP user: told only while a conversation is open.
    pub(super) fn on_chat_state(
        &mut self,
        message: &Admitted<InstantMessage>,
        state: ChatState,
        turn: &mut Turn,
    ) {
        let pair = message.pair();
        let Some(conversation) = self.memory.find(pair).filter(|one| one.is_open()) else {
            return;
        };
        conversation.indicator.on_client_state();
        conversation.composer.on_state(state);
        if state == ChatState::Gone {
            conversation.on_gone();
            self.converse(pair, Occasion::Plain, turn, |session, scene| {
                session.on_gone(scene)
            });
        }
        self.show_typing(pair, turn);
    }

    /// Tells the SIP user whether the XMPP user types, if that is news and no message waits.
    pub(super) fn show_typing(&mut self, pair: &Pair, turn: &mut Turn) {
        let profile = self.sip_profile(pair).map(|(_, profile)| profile);
        let carrier = profile.and_then(|profile| self.carrier(pair, &profile));
        let Some(conversation) = self.memory.find(pair) else {
            return;
        };
        let Some(carrier) = carrier else {
            return;
        };
        let busy = !conversation.queue.is_empty();
        let Some(composing) = conversation.composer.next(busy) else {
            return;
        };
        let state = if composing {
            ChatState::Composing
        } else {
            ChatState::Active
        };
        let message = InstantMessage {
            from_instance: conversation.resource(None).map(str::to_owned),
            thread: conversation.pages.latest().map(str::to_owned),
            ..signal(Payload::Typing(state))
        };
        let drafted = self.typing_draft(pair, message, turn);
        let drafted = drafted.and_then(|(peer, draft)| {
            let draft = self.typing_inside(carrier, composing, draft)?;
            Some((peer, draft))
        });
        let Some((peer, draft)) = drafted else {
            self.on_typing_answered(pair, None, None, turn);
            return;
        };
        self.send_typing(pair, peer, &draft, carrier, turn);
        let period = match carrier {
            Carrier::Info(_) => {
                self.hold_typing(pair, turn);
                limits::KEYBOARD_REFRESH
            }
            Carrier::Message(_) | Carrier::Page => REFRESH,
        };
        let refresh = Timer::Refresh(pair.clone());
        if composing {
            self.timers.set(refresh, turn.now.mono + period);
        } else {
            self.timers.cancel(&refresh);
        }
    }

    /// Tells nothing more of typing for a while.
    fn hold_typing(&mut self, pair: &Pair, turn: &Turn) {
        if let Some(conversation) = self.memory.find(pair) {
            conversation.composer.hold();
            let at = turn.now.mono + limits::KEYBOARD_SPACING;
            self.timers.set(Timer::Typing(pair.clone()), at);
        }
    }

    /// Tells of typing again.
    pub(super) fn on_typing_time(&mut self, pair: &Pair, turn: &mut Turn) {
        if let Some(conversation) = self.memory.find(pair) {
            conversation.composer.release();
            self.show_typing(pair, turn);
        }
    }

    fn typing_draft(
        &mut self,
        pair: &Pair,
        message: InstantMessage,
        turn: &Turn,
    ) -> Option<(PeerId, Draft)> {
        let directory = Arc::clone(&self.directory);
        let peer = directory.owner_on(Side::Sip, &pair.aor.domain()?)?;
        let profile = peer.sip()?;
        let admitted = self.policy.admit(pair.clone(), message).ok()?;
        let thread = admitted.thing().thread.as_deref();
        let (mode, rng) = (profile.page_thread, &mut self.rng);
        let slot = self.memory.leave(pair, thread, mode, rng);
        let envelope = envelope(slot, String::new(), turn.now.wall);
        let draft = message::to_sip(&admitted, profile, envelope).ok()?;
        Some((peer.id.clone(), draft))
    }

    fn send_typing(
        &mut self,
        pair: &Pair,
        peer: PeerId,
        draft: &Draft,
        carrier: Carrier,
        turn: &mut Turn,
    ) {
        let Some((local, remote)) = domains(pair) else {
            return;
        };
        let asked = Asked::Type(pair.clone(), carrier.dialog());
        let (method, rng) = (carrier.method(), &mut self.rng);
        let branch = self.clients.start(peer.clone(), method, asked, rng);
        let bytes = write_request(draft, &self.place.hosts.of(&local), branch);
        let transmit = turn.send(Parcel {
            peer,
            local,
            remote,
            link: None,
            elsewhere: false,
            class: Class::Typing,
            key: Some(lane(pair, Kind::Typing)),
            bytes,
            give_up_at: turn.now.mono + TYPING_TIME,
        });
        let task = Task::Type(pair.clone(), branch);
        self.tasks.insert(transmit, task);
    }

    /// Takes the answer to typing, or that there is none.
    pub(super) fn on_typing_answered(
        &mut self,
        pair: &Pair,
        dialog: Option<DialogNumber>,
        status: Option<u16>,
        turn: &mut Turn,
    ) {
        let Some(conversation) = self.memory.find(pair) else {
            return;
        };
        conversation.composer.on_outcome(status);
        if let Some(number) = dialog {
            self.on_typing_inside_answered(pair, number, status, turn);
        }
        self.show_typing(pair, turn);
    }

    /// Takes note that typing did not get out.
    pub(super) fn on_typing_lost(&mut self, pair: &Pair, branch: Branch, turn: &mut Turn) {
        if self.clients.expire(branch).is_some() {
            self.on_typing_answered(pair, None, None, turn);
        }
    }

    /// Tells typing again before it lapses.
    pub(super) fn on_typing_refresh(&mut self, pair: &Pair, turn: &mut Turn) {
        if let Some(conversation) = self.memory.find(pair) {
            conversation.composer.on_refresh();
            self.show_typing(pair, turn);
        }
    }

    /// Takes what the SIP user's isComposing says.
    pub(super) fn on_composing(
        &mut self,
        pair: &Pair,
        message: &InstantMessage,
        refresh: Option<Duration>,
        turn: &mut Turn,
    ) {
        let Some(conversation) = self.memory.find(pair) else {
            return;
        };
        let composing = message.payload == Payload::Typing(ChatState::Composing);
        let news = conversation.indicator.on_state(composing);
        let lapse = Timer::Lapse(pair.clone());
        if conversation.indicator.is_composing() {
            self.timers.set(lapse, turn.now.mono + lapse_after(refresh));
        } else {
            self.timers.cancel(&lapse);
        }
        if let Some(state) = news {
            self.send_state(pair, message.from_instance.clone(), state, turn);
        }
    }

    /// Takes note that the SIP user has not said for long that he types.
    pub(super) fn on_typing_lapse(&mut self, pair: &Pair, turn: &mut Turn) {
        let conversation = self.memory.find(pair);
        if let Some(state) = conversation.and_then(|one| one.indicator.on_state(false)) {
            self.send_state(pair, None, state, turn);
        }
    }

    pub(super) fn send_state(
        &mut self,
        pair: &Pair,
        from_instance: Option<String>,
        state: ChatState,
        turn: &mut Turn,
    ) {
        let conversation = self.memory.find(pair);
        let resource = conversation.as_ref().and_then(|one| one.resource(None));
        let in_dialog = conversation
            .as_ref()
            .filter(|one| one.session.phase() != Phase::Idle);
        let thread = in_dialog.and_then(|one| one.pages.thread());
        let message = InstantMessage {
            from_instance,
            to_instance: resource.map(str::to_owned),
            thread: thread.map(str::to_owned),
            ..signal(Payload::Typing(state))
        };
        self.send_signal(pair, message, Class::Typing, Kind::Typing, turn);
    }

    /// Remembers which receipts the sender of a message wants.
    pub(super) fn ask(&mut self, whose: Whose, message: &InstantMessage, turn: &Turn) {
        let (Payload::Text { receipts, .. }, Some(id)) = (&message.payload, &message.id) else {
            return;
        };
        if receipts.is_empty() {
            return;
        }
        let wish = Wish {
            id: id.clone(),
            instance: message.from_instance.clone(),
            kinds: receipts.clone(),
        };
        self.receipts.ask(whose, wish, turn.now.mono);
    }

    /// Passes a receipt of the XMPP user on. It tells where he is, so only one who has written to
    /// the SIP user gives any.
    pub(super) fn on_xmpp_receipt(
        &mut self,
        origin: &Origin,
        message: &Admitted<InstantMessage>,
        receipt: &Receipt,
        turn: &mut Turn,
    ) {
        let pair = message.pair();
        let answered = self.memory.find(pair).is_some_and(|one| one.has_answered());
        let device = message.thing().from_instance.clone();
        if !answered || !self.report(pair, &receipt.of, receipt.kind, device, turn) {
            turn.tell(dropped(Side::Xmpp, origin, Reason::Unmatched));
        }
    }

    /// Sends the SIP sender of a message the notification that he asked for; returns whether he
    /// did.
    pub(super) fn report(
        &mut self,
        pair: &Pair,
        stanza_id: &str,
        kind: ReceiptKind,
        device: Option<String>,
        turn: &mut Turn,
    ) -> bool {
        let whose = Whose {
            pair: pair.clone(),
            direction: Direction::ToXmpp,
            id: stanza_id.to_owned(),
        };
        let Some(wish) = self.receipts.take(&whose, kind, turn.now.mono) else {
            return false;
        };
        let message = InstantMessage {
            from_instance: device,
            to_instance: wish.instance,
            ..signal(Payload::Receipt(Receipt { of: wish.id, kind }))
        };
        let Ok(admitted) = self.policy.admit(pair.clone(), message) else {
            return false;
        };
        let key = ImKey(self.rng.random());
        let prepared = self.prepare(key, &admitted, limits::DELIVERY_TIME, turn);
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

    /// Passes a notification of the SIP user on to the device that asked for it.
    pub(super) fn on_notification(
        &mut self,
        origin: &Origin,
        pair: &Pair,
        message: &InstantMessage,
        receipt: &Receipt,
        turn: &mut Turn,
    ) {
        let whose = Whose {
            pair: pair.clone(),
            direction: Direction::ToSip,
            id: receipt.of.clone(),
        };
        let Some(wish) = self.receipts.take(&whose, receipt.kind, turn.now.mono) else {
            return turn.tell(dropped(Side::Sip, origin, Reason::Unmatched));
        };
        let (of, kind) = (wish.id, receipt.kind);
        let message = InstantMessage {
            id: message.id.clone(),
            from_instance: message.from_instance.clone(),
            to_instance: wish.instance,
            ..signal(Payload::Receipt(Receipt { of, kind }))
        };
        self.send_signal(pair, message, Class::Im, Kind::Im, turn);
    }

    /// Sends something that promises nothing to the XMPP user.
    pub(super) fn send_signal(
        &mut self,
        pair: &Pair,
        message: InstantMessage,
        class: Class,
        kind: Kind,
        turn: &mut Turn,
    ) {
        let Ok(admitted) = self.policy.admit(pair.clone(), message) else {
            return;
        };
        let domain = domains(pair).map(|(domain, _)| domain);
        let owner = domain.and_then(|domain| self.directory.owner_on(Side::Xmpp, &domain));
        let peer = owner.map(|owner| owner.id.clone());
        if let (Some(peer), Ok(stanza)) = (peer, message::to_xmpp(&admitted)) {
            self.send_stanza(&peer, &stanza, class, Some(lane(pair, kind)), turn);
        }
    }

    /// Sends a stanza whose outcome nobody waits for.
    pub(super) fn send_stanza(
        &self,
        peer: &PeerId,
        stanza: &Message,
        class: Class,
        key: Option<Key>,
        turn: &mut Turn,
    ) {
        let profile = self.directory.peer(peer).and_then(|peer| peer.xmpp());
        let bytes = profile.and_then(|profile| stanza.write(profile.max_stanza).ok());
        let domain = |jid: &jid::Jid| crate::model::Domain::parse(jid.domain().as_str());
        let domains = domain(&stanza.from).zip(domain(&stanza.to));
        if let Some((bytes, (local, remote))) = bytes.zip(domains) {
            turn.send(Parcel {
                peer: peer.clone(),
                local,
                remote,
                link: None,
                elsewhere: false,
                class,
                key,
                bytes,
                give_up_at: turn.now.mono + limits::DELIVERY_TIME,
            });
        }
    }
}

/// A message that says nothing but `payload`.
pub(super) const fn signal(payload: Payload) -> InstantMessage {
    InstantMessage {
        id: None,
        from_instance: None,
        to_instance: None,
        payload,
        lang: None,
        thread: None,
        sent_at: None,
        display_name: None,
        style: MessageStyle::Normal,
    }
}
