//! Presence comes in: which of the two users of a pair it is about; and what both kinds of
//! relations share.

use crate::model::{Aor, Pair, PeerId, Role, Wall};
use crate::origin::Origin;
use crate::policy::Affected;
use crate::presence::{DocumentRecord, SubscriptionRecord};
use crate::shard::Shard;
use crate::shard::turn::Turn;
use crate::xmpp::{Presence, PresenceKind};

impl Shard {
    /// Takes a presence stanza of an XMPP user or of his server on his behalf.
    pub(super) fn on_presence(&mut self, origin: &Origin, presence: &Presence, turn: &mut Turn) {
        let pair = Pair::new(
            presence.from.to_bare(),
            Aor::from_image(presence.to.to_bare()),
        );
        self.hear_nick(&pair, presence);
        match presence.kind {
            PresenceKind::Probe | PresenceKind::Subscribe | PresenceKind::Unsubscribe => {
                if presence.kind == PresenceKind::Subscribe {
                    self.on_reached_out(&pair, turn);
                }
                self.on_watcher(origin, &pair, presence, turn);
            }
            // Row 35 of table X2S: these are about the other relation of the pair.
            PresenceKind::Available
            | PresenceKind::Error
            | PresenceKind::Subscribed
            | PresenceKind::Unavailable
            | PresenceKind::Unsubscribed => self.on_presentity(origin, &pair, presence, turn),
        }
        turn.settle(origin);
    }

    /// Takes up a relation of an earlier run, or of a backup made at `from_backup`.
    pub(super) fn restore_relation(
        &mut self,
        record: SubscriptionRecord,
        from_backup: Option<Wall>,
        turn: &mut Turn,
    ) {
        match record.role {
            Role::Notifier => self.restore_watched(record, from_backup, turn),
            Role::Subscriber => self.restore_watching(record, from_backup, turn),
        }
    }

    /// Takes up the last known presence of a relation.
    pub(super) fn restore_document(&mut self, record: &DocumentRecord, turn: &Turn) {
        match record.role {
            Role::Notifier => self.restore_seen(record),
            Role::Subscriber => self.restore_shown(record, turn),
        }
    }

    /// Decides anew on relations after a change of policy.
    pub(super) fn decide(&mut self, affected: &Affected, turn: &mut Turn) {
        self.decide_watching(affected, turn);
        self.decide_watched(affected, turn);
    }

    /// Takes note whether a peer has a link. One that has one again is told what is due.
    pub(super) fn on_peer(&mut self, peer: PeerId, up: bool, turn: &mut Turn) {
        let before = self.links.on_change(&peer, up, turn.now);
        self.watched_peer(&peer, up, turn);
        if up {
            self.on_watching_peer(&peer, up, before, turn);
            self.start_recovery(peer, turn);
        } else {
            self.end_recovery(&peer);
            self.on_watching_peer(&peer, up, before, turn);
        }
    }

    /// Takes note whether a peer may be believed when it ends what it granted.
    pub(super) fn on_suspect(&mut self, peer: PeerId, suspect: bool, turn: &mut Turn) {
        if suspect {
            self.suspects.insert(peer.clone());
            self.on_watching_suspect(&peer, turn);
        } else {
            self.suspects.remove(&peer);
        }
    }
}
