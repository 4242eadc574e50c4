//! Presence of XMPP users, their decisions and their servers' errors.

use crate::mapping::presence;
use crate::model::{Condition, Pair};
use crate::origin::Origin;
use crate::presence::notifier::Refusal;
use crate::shard::Shard;
use crate::shard::turn::Turn;
use crate::shard::watched::letters::ASKING;
use crate::shard::watched::step::Cause;
use crate::xmpp::{Presence, PresenceKind};

impl Shard {
    /// Takes presence of the XMPP user, his decisions and his server's errors. What they are about
    /// counts for the bare JIDs: servers write full ones in places.
    pub(in crate::shard) fn on_presentity(
        &mut self,
        _origin: &Origin,
        pair: &Pair,
        stanza: &Presence,
        turn: &mut Turn,
    ) {
        let cause = Cause::default();
        match stanza.kind {
            PresenceKind::Available | PresenceKind::Unavailable => {
                let Some(report) = presence::from_xmpp(stanza, turn.now.wall) else {
                    return;
                };
                let mut repeated = false;
                self.step(pair, cause, turn, |notifier, scene| {
                    let before = notifier.known(scene);
                    let step = notifier.on_presence(report, scene);
                    let after = notifier.known(scene);
                    let same = before.zip(after).map(|(one, two)| one.tells_same_as(&two));
                    repeated = same.unwrap_or(false);
                    step
                });
                if repeated && stanza.kind == PresenceKind::Available {
                    self.on_watcher_online(pair, turn);
                }
            }
            PresenceKind::Error => {
                let Some(refusal) = refusal(stanza) else {
                    return;
                };
                self.step(pair, cause, turn, |notifier, scene| {
                    notifier.on_error(refusal, scene)
                });
            }
            PresenceKind::Subscribed => {
                self.step(pair, cause, turn, |notifier, scene| {
                    notifier.on_subscribed(scene)
                });
            }
            PresenceKind::Unsubscribed => {
                self.step(pair, cause, turn, |notifier, scene| {
                    notifier.on_unsubscribed(scene)
                });
            }
            PresenceKind::Probe | PresenceKind::Subscribe | PresenceKind::Unsubscribe => {}
        }
    }

    /// Takes a sign that the XMPP user wants to do with the SIP user.
    pub(in crate::shard) fn on_reached_out(&mut self, pair: &Pair, turn: &mut Turn) {
        self.step(pair, Cause::default(), turn, |notifier, _| {
            notifier.on_reached_out()
        });
    }
}

/// What an error says to a request or probe of ours; none if it is about another stanza.
fn refusal(stanza: &Presence) -> Option<Refusal> {
    let ours = stanza.id.as_ref().is_none_or(|id| id.starts_with(ASKING));
    if !ours || stanza.to.resource().is_some() {
        return None;
    }
    let refusal = match stanza.error()?.condition {
        Condition::Gone | Condition::ItemNotFound => Refusal::NoUser,
        Condition::Forbidden | Condition::NotAllowed | Condition::NotAuthorized => Refusal::Denied,
        Condition::BadRequest
        | Condition::Conflict
        | Condition::FeatureNotImplemented
        | Condition::InternalServerError
        | Condition::JidMalformed
        | Condition::NotAcceptable
        | Condition::PolicyViolation
        | Condition::RecipientUnavailable
        | Condition::Redirect
        | Condition::RegistrationRequired
        | Condition::RemoteServerNotFound
        | Condition::RemoteServerTimeout
        | Condition::ResourceConstraint
        | Condition::ServiceUnavailable
        | Condition::SubscriptionRequired
        | Condition::UndefinedCondition
        | Condition::UnexpectedRequest => Refusal::NotNow,
    };
    Some(refusal)
}
