//! XMPP users who watch SIP users: stanzas, responses and notifications become steps of
//! [`Subscriber`](crate::presence::Subscriber), and its actions become effects.

use crate::model::{Pair, Side, Wall};
use crate::origin::Origin;
use crate::policy::Affected;
use crate::presence::{DocumentRecord, SubscriptionRecord};
use crate::shard::Shard;
use crate::shard::question::Question;
use crate::shard::turn::Turn;
use crate::sip::Answer;
use crate::xmpp::Presence;

impl Shard {
    /// Takes `subscribe`, `unsubscribe` or `probe` of the XMPP user.
    pub(super) fn on_watcher(
        &mut self,
        _origin: &Origin,
        _pair: &Pair,
        _presence: &Presence,
        _turn: &mut Turn,
    ) {
    }

    /// Takes a NOTIFY.
    pub(super) fn on_notify(&mut self, question: &Question, turn: &mut Turn) {
        self.answer(question, Answer::new(481), turn);
    }

    /// Takes up a relation after a start. Nothing is sent before its peers have a link.
    pub(super) fn restore_watching(
        &mut self,
        _record: SubscriptionRecord,
        _from_backup: Option<Wall>,
        _turn: &mut Turn,
    ) {
    }

    /// The peer on `side` has a link again: sends what is due to it.
    pub(super) fn recover_watching(&mut self, _pair: &Pair, _side: Side, _turn: &mut Turn) {}

    /// Takes up what the XMPP user was shown of the SIP user.
    pub(super) fn restore_shown(&mut self, _record: &DocumentRecord) {}

    /// Decides anew on live relations after a change of policy.
    pub(super) fn decide_watching(&mut self, _affected: &Affected, _turn: &mut Turn) {}
}
