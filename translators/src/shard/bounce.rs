//! Stanza errors on their way to the senders of failed messages.
//!
//! The failure of an accepted message is in the journal until the sender's server has the error,
//! so that a crash in between does not lose it.

use bytes::Bytes;

use crate::limits;
use crate::mapping::failure;
use crate::model::{Domain, Failure, LinkId, Mono, PeerId, SipProfile};
use crate::shard::journal::{conclude, domains};
use crate::shard::turn::{Parcel, Turn};
use crate::shard::{Class, Fate, ImKey, ImRecord, ImState, Shard, Task, Timer};
use crate::sip::Response;
use crate::xmpp::Message;

/// An error that its addressee does not have yet.
#[derive(Debug)]
pub(super) struct Bounce {
    error: Error,
    failure: Failure,
    record: ImRecord,
    /// The input that is settled with it, of a message that was not accepted; what was accepted is
    /// owed an error and has none.
    input: Option<(LinkId, u64)>,
    give_up_at: Mono,
}

/// The stanza and where it goes.
#[derive(Clone, Debug)]
struct Error {
    bytes: Bytes,
    peer: PeerId,
    local: Domain,
    remote: Domain,
}

impl Shard {
    /// The failure that a final response of `peer` tells.
    pub(super) fn failure_of(&self, peer: &PeerId, response: &Response) -> Failure {
        let peer = self.directory.peer(peer).and_then(|peer| peer.sip());
        // A peer that is no longer configured is read like any other.
        let usual = SipProfile::default();
        failure::from_sip(response, peer.unwrap_or(&usual))
    }

    /// Returns an accepted message to its sender.
    pub(super) fn bounce(&mut self, mut record: ImRecord, failure: Failure, turn: &mut Turn) {
        record.state = ImState::Failing(failure.clone());
        turn.store(record.clone());
        self.return_failing(record, failure, turn);
    }

    /// Returns a message whose failure is in the journal.
    pub(super) fn return_failing(&mut self, record: ImRecord, failure: Failure, turn: &mut Turn) {
        let stanza = returned(&record, &failure);
        let Some(error) = stanza.and_then(|stanza| self.error(&stanza, &record)) else {
            conclude(record, Fate::Untold(failure), true, turn);
            return;
        };
        let bounce = Bounce {
            error,
            failure,
            record,
            input: None,
            give_up_at: turn.now.mono + limits::BOUNCE_TIME,
        };
        self.send_error(bounce, turn);
    }

    /// Returns a message that is not accepted; its input is settled when its sender's server has
    /// the error. `stanza` is that error, for a message that could not be read. The message may come
    /// again and is no repetition then.
    pub(super) fn refuse(
        &mut self,
        mut record: ImRecord,
        stanza: Option<Message>,
        failure: Failure,
        input: (LinkId, u64),
        turn: &mut Turn,
    ) {
        record.fingerprint = 0;
        let stanza = stanza.or_else(|| returned(&record, &failure));
        let Some(error) = stanza.and_then(|stanza| self.error(&stanza, &record)) else {
            conclude(record, Fate::Untold(failure), false, turn);
            turn.settle_input(input);
            return;
        };
        let bounce = Bounce {
            error,
            failure,
            record,
            input: Some(input),
            give_up_at: turn.now.mono + limits::DELIVERY_TIME,
        };
        if self.bounces.len() >= limits::WAITING_PER_PEER {
            // Nothing that is not owed is remembered then: it is sent and forgotten.
            turn.send(bounce.parcel());
            bounce.end(Fate::Bounced, turn);
            return;
        }
        self.send_error(bounce, turn);
    }

    /// Takes note that the sender's server has the error.
    pub(super) fn on_error_handed_over(&mut self, key: ImKey, turn: &mut Turn) {
        if let Some(bounce) = self.bounces.remove(&key) {
            bounce.end(Fate::Bounced, turn);
        }
    }

    /// Takes note that the error came back or was lost: what is owed is sent again.
    pub(super) fn on_error_lost(&mut self, key: ImKey, turn: &mut Turn) {
        let again = turn.now.mono + limits::BOUNCE_PAUSE;
        let is_owed = |bounce: &Bounce| bounce.input.is_none() && again < bounce.give_up_at;
        if self.bounces.get(&key).is_some_and(is_owed) {
            self.timers.set(Timer::Bounce(key), again);
        } else if let Some(bounce) = self.bounces.remove(&key) {
            bounce.end(Fate::Untold, turn);
        }
    }

    /// Sends an error again.
    pub(super) fn on_bounce_timer(&mut self, key: ImKey, turn: &mut Turn) {
        if let Some(bounce) = self.bounces.remove(&key) {
            self.send_error(bounce, turn);
        }
    }

    fn send_error(&mut self, bounce: Bounce, turn: &mut Turn) {
        let key = bounce.record.key;
        let id = turn.send(bounce.parcel());
        self.tasks.insert(id, Task::Bounce(key));
        self.bounces.insert(key, bounce);
    }

    /// The error stanza with its way; none if the sender's peer is no longer configured.
    fn error(&self, stanza: &Message, record: &ImRecord) -> Option<Error> {
        let (remote, local) = domains(&record.pair)?;
        let peer = self.directory.peer(&record.from_peer)?;
        let limit = peer.xmpp()?.max_stanza;
        Some(Error {
            bytes: stanza.write(limit).ok()?,
            peer: peer.id.clone(),
            local,
            remote,
        })
    }
}

impl Bounce {
    fn parcel(&self) -> Parcel {
        let error = self.error.clone();
        Parcel {
            peer: error.peer,
            local: error.local,
            remote: error.remote,
            link: None,
            elsewhere: false,
            class: Class::Control,
            key: None,
            bytes: error.bytes,
            give_up_at: self.give_up_at,
        }
    }

    fn end(self, fate: impl FnOnce(Failure) -> Fate, turn: &mut Turn) {
        conclude(self.record, fate(self.failure), self.input.is_none(), turn);
        if let Some(input) = self.input {
            turn.settle_input(input);
        }
    }
}

/// The error stanza for a message of the journal.
fn returned(record: &ImRecord, failure: &Failure) -> Option<Message> {
    let message = record.message.as_deref()?;
    failure::bounce(&record.pair, message, failure).ok()
}
