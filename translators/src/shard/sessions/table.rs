//! The dialogs of a shard.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::conversation::session::DialogNumber;
use crate::model::{Mono, Pair, PeerId};
use crate::shard::TransmitId;
use crate::shard::question::Question;
use crate::shard::sessions::first::Kept;
use crate::sip::invite::{Confirming, Inviting, Session};
use crate::sip::{Branch, Draft, Tag};

/// INVITEs of ours and dialogs, by number.
#[derive(Debug, Default)]
pub(in crate::shard) struct Sessions {
    /// INVITEs of ours from which an answer may still come.
    pub(super) calls: BTreeMap<DialogNumber, Call>,
    /// Dialogs that both ends know.
    pub(super) legs: BTreeMap<DialogNumber, Leg>,
    /// Texts inside INVITEs that are not delivered yet.
    pub(super) firsts: BTreeMap<DialogNumber, Kept>,
}

/// An INVITE of ours.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) pair: Pair,
    pub(super) peer: PeerId,
    pub(super) inviting: Inviting,
    pub(super) branch: Branch,
    /// What has the INVITE, until it was written.
    pub(super) transmit: Option<TransmitId>,
    /// Whether it goes to another address after 503.
    pub(super) elsewhere: bool,
    /// Whether it was written to a link.
    pub(super) written: bool,
    pub(super) give_up_at: Mono,
}

/// A dialog.
#[derive(Debug)]
pub(super) struct Leg {
    pub(super) pair: Pair,
    pub(super) peer: PeerId,
    pub(super) session: Box<Session>,
    /// Our 200, until its ACK comes.
    pub(super) unconfirmed: Option<Box<Unconfirmed>>,
}

/// A 200 of ours without ACK.
#[derive(Debug)]
pub(super) struct Unconfirmed {
    pub(super) confirming: Confirming,
    pub(super) question: Question,
    pub(super) bytes: Bytes,
    pub(super) transmit: TransmitId,
    /// Whether it answers the INVITE that made the dialog.
    pub(super) first: bool,
}

impl Sessions {
    /// The MESSAGE with the content of a draft, inside a dialog.
    pub(in crate::shard) fn message(
        &mut self,
        number: DialogNumber,
        draft: &Draft,
    ) -> Option<Draft> {
        let leg = self.legs.get_mut(&number)?;
        let content = (draft.content_type.clone()?, draft.body.clone());
        leg.session.message(draft.headers.clone(), content).ok()
    }

    /// How many dialogs there are.
    pub(in crate::shard) fn len(&self) -> usize {
        self.legs.len()
    }
}

/// The number of the dialog with that tag of ours.
pub(super) const fn number_of(tag: Tag) -> DialogNumber {
    DialogNumber(tag.random())
}
