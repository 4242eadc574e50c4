//! A message on its way to a SIP user.

use crate::model::{Direction, InstantMessage, LinkId, Mono, PeerId, Wall};
use crate::policy::Admitted;
use crate::shard::{ImKey, ImRecord, ImState, TransmitId};
use crate::sip::{Branch, Draft};

/// A message that waits for its turn or is in flight.
#[derive(Debug)]
pub(super) struct Outgoing {
    /// Its key.
    pub(super) key: ImKey,
    /// The message.
    pub(super) message: Admitted<InstantMessage>,
    /// The request, without its Via.
    pub(super) draft: Draft,
    /// The SIP peer that it is for.
    pub(super) to_peer: PeerId,
    /// When it is given up if it could not be sent.
    pub(super) give_up_at: Mono,
    /// What its sender was promised; nothing for receipts.
    pub(super) promise: Option<Promise>,
    /// Its request, once there is one.
    pub(super) flight: Option<Flight>,
}

/// What makes a message one that is delivered or returned.
#[derive(Clone, Debug)]
pub(super) struct Promise {
    /// The XMPP peer that it came from.
    pub(super) from_peer: PeerId,
    /// The input that it came with, in this run.
    pub(super) input: Option<(LinkId, u64)>,
    /// When it was accepted.
    pub(super) accepted_at: Wall,
    /// When it bounces.
    pub(super) deadline: Wall,
    /// Its fingerprint.
    pub(super) fingerprint: u64,
}

/// A request that was handed on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flight {
    /// Its branch.
    pub(super) branch: Branch,
    /// Its transmit.
    pub(super) transmit: TransmitId,
}

impl Promise {
    /// The promise that a record states; `input` is what brought it in this run.
    pub(super) fn of(record: &ImRecord, input: Option<(LinkId, u64)>) -> Self {
        Self {
            from_peer: record.from_peer.clone(),
            input,
            accepted_at: record.accepted_at,
            deadline: record.deadline,
            fingerprint: record.fingerprint,
        }
    }
}

impl Outgoing {
    /// Its row in the journal, if it has one.
    pub(super) fn record(&self, state: ImState) -> Option<ImRecord> {
        let promise = self.promise.as_ref()?;
        let message = self.message.thing();
        Some(ImRecord {
            key: self.key,
            direction: Direction::ToSip,
            pair: self.message.pair().clone(),
            from_peer: promise.from_peer.clone(),
            sender_id: message.id.clone(),
            fingerprint: promise.fingerprint,
            message: Some(Box::new(message.clone())),
            accepted_at: promise.accepted_at,
            deadline: promise.deadline,
            state,
        })
    }

    /// Octets that it takes while it waits.
    pub(super) fn octets(&self) -> usize {
        self.draft.body.len()
    }
}
