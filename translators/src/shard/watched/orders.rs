//! What the operator asks for.

use crate::model::{Pair, Role, Wall};
use crate::presence::Notifier;
use crate::presence::notifier::Endpoint;
use crate::shard::turn::Turn;
use crate::shard::watched::step::Cause;
use crate::shard::{Relation, Shard};
use crate::sip::subscription::EventReason;

impl Shard {
    /// The SIP users who watch, as the operator sees them.
    pub(in crate::shard) fn list_watched(&self, pair: &Pair, notifier: &Notifier) -> Relation {
        let endpoints = notifier.endpoints().iter();
        let dialog = |one: &Endpoint| (one.dialog().call_id().into_owned(), one.expires_at());
        Relation {
            pair: pair.clone(),
            role: Role::Notifier,
            state: notifier.phase().as_str(),
            verdict: notifier.verdict(),
            granted: notifier.is_granted(),
            held: notifier.is_held(),
            dialogs: endpoints.map(dialog).collect(),
            looks: notifier.looks(),
            available: notifier.available(),
            fresh_at: notifier.heard_at(),
            retry_at: None::<Wall>,
        }
    }

    /// Ends a relation and forgets it; tells whether there was one.
    pub(in crate::shard) fn drop_watched(
        &mut self,
        pair: &Pair,
        reason: EventReason,
        turn: &mut Turn,
    ) -> bool {
        let is_one = self.watched_mut(pair).is_some();
        self.step(pair, Cause::default(), turn, |notifier, scene| {
            notifier.on_drop(reason, scene)
        });
        is_one
    }

    /// Asks for the present state of a relation anew and shows it; tells whether there is one.
    pub(in crate::shard) fn resync_watched(&mut self, pair: &Pair, turn: &mut Turn) -> bool {
        let is_one = self.watched_mut(pair).is_some();
        self.step(pair, Cause::default(), turn, |notifier, scene| {
            notifier.on_resync(scene)
        });
        is_one
    }

    /// Ends every dialog of a relation because the gateway goes away; tells whether there was one.
    pub(in crate::shard) fn leave_watched(&mut self, pair: &Pair, turn: &mut Turn) -> bool {
        let is_one = self
            .watched_mut(pair)
            .is_some_and(|one| !one.endpoints().is_empty());
        self.step(pair, Cause::default(), turn, |notifier, scene| {
            notifier.on_leave(scene)
        });
        is_one
    }
}
