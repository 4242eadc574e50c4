//! SIP users who watch XMPP users: subscriptions and presence become steps of
//! [`Notifier`](crate::presence::Notifier), and its actions become effects.

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
    /// Takes presence of the XMPP user, his decisions and his server's errors.
    pub(super) fn on_presentity(
        &mut self,
        _origin: &Origin,
        _pair: &Pair,
        _presence: &Presence,
        _turn: &mut Turn,
    ) {
    }

    /// Takes a SUBSCRIBE, in a dialog or not.
    pub(super) fn on_subscribe(&mut self, question: &Question, turn: &mut Turn) {
        self.answer(question, Answer::new(489), turn);
    }

    /// Takes up a relation after a start. Nothing is sent before its peers have a link.
    pub(super) fn restore_watched(
        &mut self,
        _record: SubscriptionRecord,
        _from_backup: Option<Wall>,
        _turn: &mut Turn,
    ) {
    }

    /// The peer on `side` has a link again: sends what is due to it.
    pub(super) fn recover_watched(&mut self, _pair: &Pair, _side: Side, _turn: &mut Turn) {}

    /// Takes up what is known of the XMPP user.
    pub(super) fn restore_seen(&mut self, _record: &DocumentRecord) {}

    /// Decides anew on live relations after a change of policy.
    pub(super) fn decide_watched(&mut self, _affected: &Affected, _turn: &mut Turn) {}
}
