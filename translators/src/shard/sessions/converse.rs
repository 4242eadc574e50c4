//! Telling the machine of a pair what happened, and carrying out what it wants.

use std::collections::BTreeSet;

use rand::RngExt as _;

use crate::conversation::session::{Action, DialogNumber, Scene, Session};
use crate::limits;
use crate::mapping::failure::Own;
use crate::model::{ChatState, Failure, Pair, PeerId, Side, SipProfile};
use crate::shard::sessions::inside::Wrote;
use crate::shard::sessions::invited::Arrived;
use crate::shard::turn::Turn;
use crate::shard::{Shard, Timer};

/// What an event brought along that its actions need.
#[derive(Debug)]
pub(in crate::shard) enum Occasion {
    /// Nothing.
    Plain,
    /// Why what waits goes back to its senders.
    Failed(Failure),
    /// An INVITE of the peer.
    Invited(Box<Arrived>),
    /// A message of the SIP user.
    Wrote(Box<Wrote>),
}

impl Shard {
    /// Tells the machine of a pair what happened and does what follows.
    pub(in crate::shard) fn converse(
        &mut self,
        pair: &Pair,
        occasion: Occasion,
        turn: &mut Turn,
        tell: impl FnOnce(&mut Session, &Scene) -> Vec<Action>,
    ) {
        let Some(scene) = self.scene(pair, turn) else {
            return;
        };
        let Some(conversation) = self.memory.find(pair) else {
            return;
        };
        let actions = tell(&mut conversation.session, &scene);
        self.set_session_timer(pair, &scene);
        let mut occasion = occasion;
        for action in actions {
            self.act(pair, action, &mut occasion, turn);
        }
    }

    fn act(&mut self, pair: &Pair, action: Action, occasion: &mut Occasion, turn: &mut Turn) {
        match action {
            Action::Accept(number) => {
                if let Occasion::Invited(arrived) = std::mem::replace(occasion, Occasion::Plain) {
                    self.accept_invite(number, *arrived, turn);
                }
            }
            Action::Bye(number) => self.say_bye(number, turn),
            Action::Cancel(number) => self.call_off(number, turn),
            Action::Deliver(number) => self.deliver_first(number, turn),
            Action::Drop => {
                if let Occasion::Wrote(wrote) = std::mem::replace(occasion, Occasion::Plain) {
                    self.drop_repetition(*wrote, turn);
                }
            }
            Action::Fail => self.fail_waiting(pair, occasion, turn),
            Action::Forget(number) => self.forget_first(number, turn),
            Action::Gone => self.tell_gone(pair, turn),
            Action::Invite(number) => self.call(pair, number, turn),
            Action::Page => self.put_in_flight(pair, None, turn),
            Action::Requeue => self.requeue(pair),
            Action::Send(number) => self.put_in_flight(pair, Some(number), turn),
            Action::Take => {
                if let Occasion::Wrote(wrote) = std::mem::replace(occasion, Occasion::Plain) {
                    self.take_text(*wrote, turn);
                }
            }
        }
    }

    /// How things stand in the conversation of a pair.
    pub(in crate::shard) fn scene(&mut self, pair: &Pair, turn: &Turn) -> Option<Scene> {
        let microsoft = self.sip_profile(pair).map(|(_, profile)| profile.microsoft);
        let microsoft = microsoft.flatten();
        let fresh = DialogNumber(self.rng.random());
        let conversation = self.memory.find(pair)?;
        let in_flight = conversation.queue.in_flight().is_some();
        Some(Scene {
            now: turn.now.mono,
            waiting: conversation.queue.waiting().next().is_some(),
            in_flight: in_flight || conversation.inbound.0 > 0,
            starts: microsoft.is_some(),
            idle_after: microsoft.map_or(limits::SESSION_IDLE, |one| one.idle_bye),
            fresh,
        })
    }

    /// The peer of the SIP user and what it speaks.
    pub(in crate::shard) fn sip_profile(&self, pair: &Pair) -> Option<(PeerId, SipProfile)> {
        let peer = self.directory.owner_on(Side::Sip, &pair.aor.domain()?)?;
        Some((peer.id.clone(), peer.sip()?.clone()))
    }

    /// Ends the dialogs of all conversations since the gateway goes away for good; returns how many
    /// those were.
    pub(in crate::shard) fn leave_conversations(&mut self, turn: &mut Turn) -> usize {
        let legs = self.sessions.legs.values();
        let pairs: BTreeSet<Pair> = legs.map(|leg| leg.pair.clone()).collect();
        for pair in &pairs {
            self.converse(pair, Occasion::Plain, turn, |session, scene| {
                session.on_block(scene)
            });
        }
        pairs.len()
    }

    /// Whether the peer of the SIP user is of the Microsoft profile.
    pub(in crate::shard) fn is_microsoft(&self, pair: &Pair) -> bool {
        self.sip_profile(pair)
            .is_some_and(|(_, profile)| profile.microsoft.is_some())
    }

    /// Does what the clock asks of the dialogs of a pair.
    pub(in crate::shard) fn on_session_time(&mut self, pair: &Pair, turn: &mut Turn) {
        let rings = self
            .memory
            .find(pair)
            .is_some_and(|one| one.session.rings());
        let failure = if rings {
            Own::NobodyAnswers
        } else {
            Own::TimedOut
        }
        .failure();
        self.converse(pair, Occasion::Failed(failure), turn, |session, scene| {
            session.on_time(scene)
        });
    }

    fn set_session_timer(&mut self, pair: &Pair, scene: &Scene) {
        let due = self
            .memory
            .find(pair)
            .and_then(|one| one.session.due(scene));
        let timer = Timer::Session(pair.clone());
        match due {
            Some(at) => self.timers.set(timer, at),
            None => {
                self.timers.cancel(&timer);
            }
        }
    }

    /// Returns what waits for the SIP user.
    fn fail_waiting(&mut self, pair: &Pair, occasion: &Occasion, turn: &mut Turn) {
        let failure = match occasion {
            Occasion::Failed(failure) => failure.clone(),
            Occasion::Plain | Occasion::Invited(_) | Occasion::Wrote(_) => Own::TimedOut.failure(),
        };
        let conversation = self.memory.find(pair);
        let waiting = conversation.map(|one| one.queue.take_waiting(|_| true));
        self.timers.cancel(&Timer::Deadline(pair.clone()));
        for outgoing in waiting.into_iter().flatten() {
            self.end(*outgoing, Err(failure.clone()), turn);
        }
    }

    /// Puts the message in flight before those that wait: it did not arrive, and is sent once more. Its
    /// record goes on saying that it was sent: after a crash it may have been.
    fn requeue(&mut self, pair: &Pair) {
        let Some(conversation) = self.memory.find(pair) else {
            return;
        };
        let Some(outgoing) = conversation.queue.in_flight_mut() else {
            return;
        };
        outgoing.again = true;
        let (flight, octets) = (outgoing.flight.take(), outgoing.octets());
        let at = outgoing.give_up_at;
        conversation.queue.put_back(octets);
        if let Some(flight) = flight {
            self.forget_flight(&flight);
        }
        self.timers.set(Timer::Deadline(pair.clone()), at);
    }

    /// Tells the XMPP user that the SIP user left, if his client wants to know such things.
    fn tell_gone(&mut self, pair: &Pair, turn: &mut Turn) {
        self.timers.cancel(&Timer::Lapse(pair.clone()));
        let Some(conversation) = self.memory.find(pair) else {
            return;
        };
        conversation.composer.on_content();
        if conversation.indicator.on_end() {
            self.send_state(pair, None, ChatState::Gone, turn);
        }
    }
}
