//! A message on its way to a SIP user.

use crate::conversation::session::DialogNumber;
use crate::model::{Failure, LinkId, Mono, Pair, PeerId};
use crate::shard::{ImKey, ImRecord, ImState, TransmitId};
use crate::sip::{Branch, Draft};

/// A message that waits for its turn or is in flight.
#[derive(Debug)]
pub(super) struct Outgoing {
    /// Its key.
    pub(super) key: ImKey,
    /// The two users.
    pub(super) pair: Pair,
    /// The request, without its Via.
    pub(super) draft: Draft,
    /// The SIP peer that it is for.
    pub(super) to_peer: PeerId,
    /// When it is given up if it could not be sent.
    pub(super) give_up_at: Mono,
    /// Its row in the journal, if it is to be delivered or returned; receipts have none.
    pub(super) record: Option<ImRecord>,
    /// The input that it came with, in this run.
    pub(super) input: Option<(LinkId, u64)>,
    /// Whether it was sent before, in a dialog that the peer did not know any more.
    pub(super) again: bool,
    /// Its request, once there is one.
    pub(super) flight: Option<Flight>,
}

/// A request that was handed on.
#[derive(Clone, Debug)]
pub(super) struct Flight {
    /// Its branch.
    pub(super) branch: Branch,
    /// Its transmit.
    pub(super) transmit: TransmitId,
    /// Which one it is.
    pub(super) attempt: Attempt,
    /// The dialog that it was sent in; else it went in page mode.
    pub(super) dialog: Option<DialogNumber>,
}

/// A message is sent once, and once more if the address it went to is out of service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    /// To the address that the peer's requests go to.
    First,
    /// To another one, after this refusal.
    Second(Failure),
}

impl Attempt {
    /// Whether it is for another address.
    pub(super) const fn is_second(&self) -> bool {
        matches!(self, Self::Second(_))
    }
}

impl Outgoing {
    /// Its row in that state.
    pub(super) fn row(&self, state: ImState) -> Option<ImRecord> {
        let record = self.record.clone()?;
        Some(ImRecord { state, ..record })
    }

    /// Octets that it takes while it waits.
    pub(super) fn octets(&self) -> usize {
        self.draft.body.len()
    }
}
