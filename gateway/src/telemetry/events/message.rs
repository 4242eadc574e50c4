//! Events of messages, as the shards report them.

use std::time::Duration;

use tracing::{debug, error, info, warn};
use translators::model::{Direction, Failure, PeerId, Reason, Side};
use translators::shard::{Event, Fate, Standing};

use crate::telemetry::alarms::Alarm;
use crate::telemetry::events::{User, What};
use crate::telemetry::metrics::Metric;

/// An event of a shard.
pub struct MessageEvent<'a>(pub &'a Event);

impl MessageEvent<'_> {
    /// Writes the log line and counts.
    pub fn emit(&self) {
        match self.0 {
            Event::DocumentUnreadable(peer) => {
                warn!(what = What::DocumentUnreadable.as_str(), %peer);
                Metric::DocumentsUnreadable.count(&[("peer", peer.as_str())]);
            }
            Event::Dropped { side, peer, reason } => {
                let what = What::InputDropped.as_str();
                debug!(what, %side, %peer, ?reason);
            }
            Event::GrantRefused { peer } => {
                warn!(what = What::GrantRefused.as_str(), %peer);
                Metric::GrantsRefused.count(&[("peer", peer.as_str())]);
            }
            Event::ImAccepted {
                key,
                direction,
                sender_id,
                pair,
            } => {
                let what = What::ImAccepted.as_str();
                let (id, sender_id) = (key, sender_id.as_deref());
                let (jid, aor) = (User(&pair.jid), User(&pair.aor));
                debug!(what, %id, sender_id, direction = direction_word(*direction), %jid, %aor);
                Metric::ImAccepted.count(&[("direction", direction_word(*direction))]);
            }
            Event::ImSettled {
                key,
                direction,
                sender_id,
                pair,
                fate,
                after_millis,
            } => {
                let what = What::ImSettled.as_str();
                let (id, sender_id) = (key, sender_id.as_deref());
                let (jid, aor) = (User(&pair.jid), User(&pair.aor));
                let (direction, (verdict, reason)) = (direction_word(*direction), fate_words(fate));
                info!(what, %id, sender_id, direction, %jid, %aor, verdict, reason, after_millis);
                count_fate(direction, fate, *after_millis);
            }
            Event::LateError {
                sender_id,
                pair,
                failure,
            } => {
                let what = What::ImLateError.as_str();
                let (jid, aor) = (User(&pair.jid), User(&pair.aor));
                let (sender_id, condition) = (sender_id.as_deref(), failure.condition.as_str());
                let text = failure.text.as_deref();
                warn!(what, sender_id, %jid, %aor, condition, text);
                Metric::ImLateErrors.count(&[("condition", condition)]);
            }
            Event::LimitHit(peer, limit) => {
                warn!(what = What::LimitHit.as_str(), side = "sip", %peer, cause = limit);
                Metric::LimitHits.count(&[("limit", limit)]);
            }
            Event::Moved { standing, by, .. } => moved(standing, *by),
            Event::PresenceDropped(peer) => {
                debug!(what = What::PresenceDropped.as_str(), %peer);
                Metric::PresenceDropped.count(&[("peer", peer.as_str())]);
            }
            Event::RecordDamaged(role) => {
                error!(what = What::RecordDamaged.as_str(), %role);
                Metric::RecordsDamaged.count(&[("role", &role.to_string())]);
            }
            Event::Refused {
                side,
                peer,
                failure,
            } => refused(*side, peer, failure),
            Event::StrayResponse(peer) => {
                debug!(what = What::StrayResponse.as_str(), %peer);
                Metric::StrayResponses.count(&[("peer", peer.as_str())]);
            }
            Event::SubscribeFault { peer, status } => subscribe_fault(peer, *status),
            Event::Watches { .. } => {}
        }
    }
}

fn subscribe_fault(peer: &PeerId, status: u16) {
    warn!(what = What::SubscribeFault.as_str(), %peer, status);
    Metric::SubscribeFaults.count(&[("peer", peer.as_str())]);
    let said = fault(status);
    let cause = format!("{status} to a subscription or notification: {said}");
    Alarm::SubscribeFault.raise(peer.as_str(), &cause);
}

/// What a status that stands for a fault of configuration says.
const fn fault(status: u16) -> &'static str {
    match status {
        401 | 407 => "the peer wants credentials, which a server does not have",
        482 | 483 => "the request goes in a circle",
        484 | 485 => "the address is incomplete or ambiguous there",
        _ => "a fault of configuration",
    }
}

fn moved(standing: &Standing, by: i64) {
    let role = standing.role.to_string();
    let labels = [("role", role.as_str()), ("state", standing.state)];
    let by = by.clamp(i32::MIN.into(), i32::MAX.into());
    let by = i32::try_from(by).unwrap_or_default();
    Metric::Subscriptions.shift(f64::from(by), &labels);
}

fn refused(side: Side, peer: &PeerId, failure: &Failure) {
    let (condition, blame) = (failure.condition.as_str(), failure.blame);
    let text = failure.text.as_deref();
    debug!(what = What::InputRefused.as_str(), %side, %peer, condition, ?blame, text);
    Metric::Refused.count(&[("side", side_word(side)), ("condition", condition)]);
}

fn count_fate(direction: &'static str, fate: &Fate, after_millis: u64) {
    let labels = |kind, value| [("direction", direction), (kind, value)];
    match fate {
        Fate::Delivered => {
            Metric::ImDelivered.count(&[("direction", direction)]);
            let after = Duration::from_millis(after_millis);
            Metric::ImSeconds.observe(after.as_secs_f64(), &[("direction", direction)]);
        }
        Fate::Bounced(failure) | Fate::Untold(failure) => {
            Metric::ImBounced.count(&labels("condition", failure.condition.as_str()));
        }
        Fate::Dropped(reason) => Metric::ImDropped.count(&labels("reason", reason_word(*reason))),
    }
}

/// A direction in one word.
pub const fn direction_word(direction: Direction) -> &'static str {
    match direction {
        Direction::ToSip => "to-sip",
        Direction::ToXmpp => "to-xmpp",
    }
}

/// A side in one word.
pub const fn side_word(side: Side) -> &'static str {
    match side {
        Side::Sip => "sip",
        Side::Xmpp => "xmpp",
    }
}

/// The verdict on a message, and its reason where there is one.
pub const fn fate_words(fate: &Fate) -> (&'static str, Option<&'static str>) {
    match fate {
        Fate::Delivered => ("delivered", None),
        Fate::Bounced(failure) => ("bounced", Some(failure.condition.as_str())),
        Fate::Dropped(reason) => ("dropped", Some(reason_word(*reason))),
        Fate::Untold(failure) => ("failed-untold", Some(failure.condition.as_str())),
    }
}

const fn reason_word(reason: Reason) -> &'static str {
    match reason {
        Reason::Carbon => "carbon",
        Reason::Denied => "denied",
        Reason::Duplicate => "duplicate",
        Reason::Empty => "empty",
        Reason::Expired => "expired",
        Reason::Room => "room",
        Reason::Superseded => "superseded",
        Reason::Unmatched => "unmatched",
    }
}
