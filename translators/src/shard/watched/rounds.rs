//! What concerns many relations at once: a start, a peer that comes or goes, a change of policy.

use std::time::Duration;

use crate::limits;
use crate::model::{Pair, PeerId, Profile, Side, Wall};
use crate::policy::{Affected, Level};
use crate::presence::notifier::Step;
use crate::presence::{DocumentRecord, Notifier, SubscriptionRecord};
use crate::shard::turn::Turn;
use crate::shard::watched::step::{Cause, count_devices, devices, standing};
use crate::shard::{Event, Shard, Timer};

impl Shard {
    /// Takes up a relation after a start. Nothing is sent before its peers have a link.
    pub(in crate::shard) fn restore_watched(
        &mut self,
        record: SubscriptionRecord,
        from_backup: Option<Wall>,
        turn: &mut Turn,
    ) {
        let now = turn.now.wall;
        self.restored_at.get_or_insert(now);
        let pair = record.pair;
        let verdict = self.policy.decide(&pair).verdict;
        let body = record.body.unwrap_or_default();
        let Ok(mut notifier) = Notifier::restore(&body, verdict, now) else {
            return turn.tell(Event::RecordDamaged(record.role));
        };
        if let Some(made) = from_backup {
            notifier.skip_blocks(used_since(now.since(made)));
        }
        notifier.share_routes(&mut self.routes);
        turn.moved(&pair, None, standing(&notifier));
        let counts = self
            .peer_of(Side::Sip, &pair)
            .and_then(Profile::sip)
            .is_some_and(|sip| sip.microsoft.is_some());
        if counts {
            count_devices(&pair, &[], &devices(&notifier), turn);
        }
        let endpoints = notifier.endpoints().iter();
        let tags: Vec<u64> = endpoints.map(|one| one.tag().random()).collect();
        if let Some(both) = self.relations.open(&pair) {
            both.watched = Some(Box::new(notifier));
        }
        for tag in tags {
            self.relations.tag(tag, &pair);
        }
        self.step(&pair, Cause::default(), turn, |_, _| Step::default());
    }

    /// Takes up what is known of the XMPP user.
    pub(in crate::shard) fn restore_seen(&mut self, record: &DocumentRecord) {
        let Some(both) = self.relations.of(&record.pair) else {
            return;
        };
        let (Some(mut notifier), Some(body)) = (both.watched.take(), &record.body) else {
            return;
        };
        notifier.restore_seen(body);
        self.share_seen(&record.pair, &mut notifier);
        if let Some(both) = self.relations.of(&record.pair) {
            both.watched = Some(notifier);
        }
    }

    /// The peer on `side` has a link again: sends what is due to it.
    pub(in crate::shard) fn recover_watched(&mut self, pair: &Pair, side: Side, turn: &mut Turn) {
        self.step(pair, Cause::default(), turn, |notifier, scene| match side {
            Side::Sip => notifier.on_return(scene),
            Side::Xmpp => notifier.on_found(scene),
        });
    }

    /// A peer came or went. When that of XMPP users stays away, they are shown as offline.
    pub(in crate::shard) fn watched_peer(&mut self, peer: &PeerId, up: bool, turn: &Turn) {
        let side = self.directory.peer(peer).map(|profile| profile.side());
        self.lost.remove(peer);
        let timer = Timer::Lost(peer.clone());
        if up || side != Some(Side::Xmpp) {
            self.timers.cancel(&timer);
        } else {
            self.timers.set(timer, turn.now.mono + limits::STALE_GRACE);
        }
    }

    /// Shows the users of a peer as offline that has had no link for too long: a few at a time.
    pub(in crate::shard) fn on_peer_lost(&mut self, peer: PeerId, turn: &mut Turn) {
        let mut last = self.lost.remove(&peer);
        for _ in 0..limits::RECOVERY_STEP {
            let Some(pair) = self.relations.next(last.as_ref()).cloned() else {
                return;
            };
            if self.belongs(&pair, Side::Xmpp, &peer) {
                self.step(&pair, Cause::default(), turn, Notifier::on_lost);
            }
            last = Some(pair);
        }
        let soon = turn.now.mono + limits::RECOVERY_PAUSE;
        self.timers.set(Timer::Lost(peer.clone()), soon);
        if let Some(last) = last {
            self.lost.insert(peer, last);
        }
    }

    /// Decides anew on live relations after a change of policy.
    pub(in crate::shard) fn decide_watched(&mut self, affected: &Affected, turn: &mut Turn) {
        let watched = self.relations.iter().filter(|both| both.watched.is_some());
        let held = watched.filter(|both| affected.holds(&both.pair));
        let pairs: Vec<Pair> = held.map(|both| both.pair.clone()).collect();
        for pair in pairs {
            let decision = self.policy.decide(&pair);
            let by_hand = decision.level == Level::Pair && decision.allows();
            self.step(&pair, Cause::default(), turn, |notifier, scene| {
                notifier.on_verdict(decision.verdict, scene)
            });
            if by_hand && *affected != Affected::All {
                self.on_reached_out(&pair, turn);
            }
        }
    }
}

/// How many blocks of CSeq numbers may have been used since a backup was made.
fn used_since(span: Duration) -> u32 {
    let blocks =
        span.as_secs() / (limits::NOTIFY_INTERVAL.as_secs() * u64::from(limits::CSEQ_BLOCK));
    u32::try_from(blocks).unwrap_or(u32::MAX).saturating_add(2)
}
