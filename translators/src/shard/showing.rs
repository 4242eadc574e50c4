//! What is done for an XMPP watcher: the stanzas that he gets and the records that are kept. Policy
//! is asked for every stanza that shows something.

use std::time::Duration;

use crate::limits;
use crate::mapping::presence;
use crate::model::{Domain, Lapse, Pair, PresenceState, Role, Side};
use crate::presence::DocumentRecord;
use crate::presence::subscriber::{Action, Keep, Refusal, Steps, Word};
use crate::shard::turn::{Parcel, Turn};
use crate::shard::{Class, Event, Key, Kind, Lane, Shard, Task};
use crate::xmpp::{Presence, PresenceKind};

/// Time that a stanza for a watcher may wait for his server.
const SHOW_TIME: Duration = limits::DELIVERY_TIME;

/// What a stanza tells a watcher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    word: Word,
    /// The device that is gone by it.
    gone: Option<Box<str>>,
}

impl Shard {
    /// Does what an event has brought about, and keeps what has to be kept.
    pub(super) fn show_steps(&mut self, pair: &Pair, steps: Steps, turn: &mut Turn) {
        let mut keep = steps.keep;
        for action in steps.actions {
            match action {
                Action::Ask => keep = keep.max(self.launch_subscribe(pair, turn)),
                Action::Recall => turn.effects.recalls.push(Lane {
                    pair: pair.clone(),
                    kind: Kind::Presence(Role::Subscriber),
                }),
                Action::Refusal(refusal) => self.tell_refusal(pair, refusal, turn),
                Action::Replay { before } => self.show_instead(pair, &before, turn),
                Action::Show { to } => self.show(pair, to.as_deref(), turn),
                Action::Subscribed => {
                    let stanza = presence::subscribed(pair);
                    self.tell_watcher(pair, &stanza, Some(Word::Subscribed), turn);
                }
                Action::Unavailable { to } => self.show_gone(pair, to.as_deref(), turn),
                Action::Unsubscribed => {
                    let stanza = presence::unsubscribed(pair);
                    self.tell_watcher(pair, &stanza, Some(Word::Unsubscribed), turn);
                }
                Action::Untag(tag) => self.relations.untag(tag.random()),
                Action::Update { before } => self.show_changes(pair, &before, turn),
                Action::Withdraw { before } => {
                    let stanzas = presence::withdraw(pair, &before);
                    self.send_all(pair, &stanzas, turn);
                }
            }
        }
        self.keep(pair, keep, turn);
    }

    /// Keeps the records, and forgets the relation if there is none any more.
    fn keep(&mut self, pair: &Pair, keep: Keep, turn: &mut Turn) {
        let both = self.relations.of(pair);
        let Some(both) = both else { return };
        let Some(machine) = &mut both.watching else {
            return;
        };
        let absent = machine.is_absent();
        if let Some(body) = machine.changed_document() {
            let body = body.filter(|_| !absent);
            turn.note(DocumentRecord {
                pair: pair.clone(),
                role: Role::Subscriber,
                body,
            });
        }
        let gone = both.watching.take_if(|machine| machine.is_absent());
        match keep {
            Keep::Same => {}
            Keep::Behind => self.keep_watching(pair, false, turn),
            Keep::First => self.keep_watching(pair, true, turn),
        }
        self.plan_watching(pair, turn);
        if gone.is_some() {
            self.relations.tidy(pair);
        }
    }

    fn show(&mut self, pair: &Pair, to: Option<&str>, turn: &mut Turn) {
        let Some((state, since)) = self.known(pair) else {
            return;
        };
        if let Ok(disclosure) = self.policy.may_see(pair) {
            let stanzas = presence::full(&disclosure, &state, to, Some(since));
            self.send_all(pair, &stanzas, turn);
        }
    }

    /// Shows all there is, and takes back what an earlier run showed and is no more.
    fn show_instead(&mut self, pair: &Pair, before: &PresenceState, turn: &mut Turn) {
        let Some((state, _)) = self.known(pair) else {
            return;
        };
        let is_open = |device: &str| state.tuple(device).is_some_and(|tuple| tuple.open);
        let gone = before.open().filter(|tuple| !is_open(&tuple.device));
        let gone = PresenceState::new(gone.cloned());
        self.send_all(pair, &presence::withdraw(pair, &gone), turn);
        self.show(pair, None, turn);
    }

    fn show_changes(&mut self, pair: &Pair, before: &PresenceState, turn: &mut Turn) {
        let Some((state, _)) = self.known(pair) else {
            return;
        };
        if let Ok(disclosure) = self.policy.may_see(pair) {
            let stanzas = presence::changes(&disclosure, before, &state);
            self.send_all(pair, &stanzas, turn);
        }
    }

    fn show_gone(&mut self, pair: &Pair, to: Option<&str>, turn: &mut Turn) {
        let mut stanza = presence::unavailable(pair);
        if let Some(to) = to.and_then(|to| pair.jid.with_resource_str(to).ok()) {
            stanza.to = to.into();
        }
        self.send_all(pair, &[stanza], turn);
    }

    fn known(&mut self, pair: &Pair) -> Option<(PresenceState, crate::model::Wall)> {
        let machine = self.relations.of(pair)?.watching.as_ref()?;
        Some((machine.known()?, machine.known_since()))
    }

    fn send_all(&mut self, pair: &Pair, stanzas: &[Presence], turn: &mut Turn) {
        for stanza in stanzas {
            self.tell_watcher(pair, stanza, Some(Word::Presence), turn);
        }
    }

    /// Sends a stanza to the XMPP user; `word` if it is said again when it gets lost.
    ///
    /// What shows somebody may be replaced by something newer and called back; what takes back may
    /// not, and keeps its place behind what it takes back.
    pub(super) fn tell_watcher(
        &mut self,
        pair: &Pair,
        stanza: &Presence,
        word: Option<Word>,
        turn: &mut Turn,
    ) {
        let Some(peer) = self.peer_of(Side::Xmpp, pair) else {
            return;
        };
        let limit = peer.xmpp().map_or(limits::STANZA, |xmpp| xmpp.max_stanza);
        let domain = |jid: &jid::Jid| Domain::parse(jid.domain().as_str());
        let domains = domain(&stanza.from).zip(domain(&stanza.to));
        let Some((bytes, (local, remote))) = stanza.write(limit).ok().zip(domains) else {
            return;
        };
        let (class, kind, item) = if stanza.kind == PresenceKind::Available {
            let kind = Kind::Presence(Role::Subscriber);
            (Class::Presence, kind, item(stanza))
        } else {
            let kind = Kind::Subscription(Role::Subscriber);
            (Class::Subscription, kind, 0)
        };
        let peer = peer.id.clone();
        let id = turn.send(Parcel {
            peer,
            local,
            remote,
            link: None,
            elsewhere: false,
            class,
            key: Some(Key {
                item,
                ..Key::of(pair.clone(), kind)
            }),
            bytes,
            give_up_at: turn.now.mono + SHOW_TIME,
        });
        if let Some(word) = word {
            let gone = stanza.from.resource();
            let gone = gone.filter(|_| stanza.kind == PresenceKind::Unavailable);
            let gone: Option<Box<str>> = gone.map(|device| device.as_str().into());
            let both = self.relations.of(pair);
            let machine = both.and_then(|both| both.watching.as_mut());
            if let (Some(machine), Some(device)) = (machine, &gone) {
                machine.on_leaving(device);
            }
            let told = Told { word, gone };
            self.tasks.insert(id, Task::Tell(pair.clone(), told));
        }
    }

    /// Takes note that a stanza has reached the watcher's server.
    pub(super) fn on_told(&mut self, pair: &Pair, told: &Told, turn: &mut Turn) {
        match (told.word, &told.gone) {
            (Word::Subscribed, _) => {
                self.watch_known(pair, turn, |machine, _| machine.on_confirmed());
            }
            (Word::Presence, Some(device)) => {
                self.watch_known(pair, turn, |machine, _| machine.on_left(device));
            }
            (Word::Presence, None) | (Word::Unsubscribed, _) => {}
        }
    }

    /// Takes note that a stanza did not reach the watcher's server.
    pub(super) fn on_untold(
        &mut self,
        pair: &Pair,
        told: &Told,
        lapse: Option<&Lapse>,
        turn: &mut Turn,
    ) {
        if let Some(Lapse::Recalled | Lapse::Replaced) = lapse {
            return;
        }
        let word = told.word;
        self.watch_known(pair, turn, |machine, moment| {
            machine.on_untold(word, moment)
        });
        if let Some(Lapse::Full) = lapse {
            self.recover_again(pair, Side::Xmpp, turn);
        }
    }

    fn tell_refusal(&mut self, pair: &Pair, refusal: Refusal, turn: &mut Turn) {
        let Some(peer) = self.peer_of(Side::Sip, pair).map(|peer| peer.id.clone()) else {
            return;
        };
        turn.tell(match refusal {
            Refusal::Fault(status) => Event::SubscribeFault { peer, status },
            Refusal::Granted => Event::GrantRefused { peer },
        });
    }
}

/// What a presence speaks of: whose device, to which device.
fn item(stanza: &Presence) -> u64 {
    let octets = stanza.from.as_str().bytes().chain([0]);
    let octets = octets.chain(stanza.to.as_str().bytes());
    octets.fold(0xcbf2_9ce4_8422_2325, |hash: u64, octet| {
        (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3)
    })
}
