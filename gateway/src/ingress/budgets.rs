//! How many new subscriptions users and peers may ask for.
//!
//! What stands already costs no budget: refreshes, notifications and presence itself are held by
//! the back-pressure of the shards. Probes cost one of their user only: a server that starts sends
//! one for each contact of each user, and none of them comes again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jid::BareJid;
use translators::limits;
use translators::mapping::failure::Own;
use translators::model::{Mono, PeerId};

/// Looking through all users costs a millisecond.
const SWEEP_PAUSE: Duration = Duration::from_secs(1);

/// The budgets of everybody.
#[derive(Debug, Default)]
pub(super) struct Budgets(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    peers: HashMap<PeerId, Bucket>,
    /// By JID, or JID image of the AOR.
    users: HashMap<BareJid, Bucket>,
    /// When users with full budgets were forgotten.
    swept_at: Mono,
}

impl Budgets {
    /// Takes a new subscription that `user` of `peer` asks for, or says why not.
    pub(super) fn take(&self, peer: &PeerId, user: &BareJid, now: Mono) -> Result<(), Own> {
        self.take_of_user(user, now)?;
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (most, each) = (limits::PEER_SUBSCRIPTIONS, limits::PEER_SUBSCRIPTION_TIME);
        let bucket = table.peers.entry(peer.clone()).or_default();
        if bucket.take(most, each, now) {
            Ok(())
        } else {
            Err(Own::Overloaded)
        }
    }

    /// Takes a question for the present state of somebody whom `user` watches, or says why not.
    pub(super) fn take_of_user(&self, user: &BareJid, now: Mono) -> Result<(), Own> {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if table.user(user, now) {
            Ok(())
        } else {
            Err(Own::TooOften)
        }
    }
}

impl Table {
    fn user(&mut self, user: &BareJid, now: Mono) -> bool {
        let (most, each) = (limits::USER_SUBSCRIPTIONS, limits::USER_SUBSCRIPTION_TIME);
        if let Some(bucket) = self.users.get_mut(user) {
            return bucket.take(most, each, now);
        }
        if self.users.len() >= limits::USERS_COUNTED && self.swept_at + SWEEP_PAUSE <= now {
            self.users.retain(|_, bucket| !bucket.is_full(now));
            self.swept_at = now;
        }
        // So many users at once are for the budget of their peer to hold.
        if self.users.len() < limits::USERS_COUNTED {
            let mut bucket = Bucket::default();
            _ = bucket.take(most, each, now);
            self.users.insert(user.clone(), bucket);
        }
        true
    }
}

/// A token bucket, kept as the time at which it will be full again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Bucket {
    full_at: Mono,
}

impl Bucket {
    /// Takes a token if one is left of `most`, which come back one after `each`.
    fn take(&mut self, most: u32, each: Duration, now: Mono) -> bool {
        let full_at = self.full_at.max(now) + each;
        let taken = full_at.since(now) <= each.saturating_mul(most);
        if taken {
            self.full_at = full_at;
        }
        taken
    }

    fn is_full(self, now: Mono) -> bool {
        self.full_at <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Mono {
        Mono::from_start(Duration::from_millis(1_000_000 + millis))
    }

    fn user(number: u32) -> BareJid {
        BareJid::new(&format!("u{number}@example.com")).unwrap()
    }

    /// How many of so many are taken.
    fn taken(budgets: &Budgets, peer: &str, users: impl Iterator<Item = u32>, now: Mono) -> usize {
        let peer = PeerId::new(peer);
        let each = users.map(|number| budgets.take(&peer, &user(number), now));
        each.filter(Result::is_ok).count()
    }

    #[test]
    fn a_bucket_fills_again() {
        let mut bucket = Bucket::default();
        let each = Duration::from_millis(10);
        let burst = (0..10).filter(|_| bucket.take(4, each, at(0))).count();
        assert_eq!(burst, 4);
        assert!(!bucket.take(4, each, at(9)));
        assert!(bucket.take(4, each, at(10)));
        assert!(!bucket.take(4, each, at(10)));
        assert!(!bucket.is_full(at(40)));
        assert!(bucket.is_full(at(50)));
        assert_eq!(
            (0..9).filter(|_| bucket.take(4, each, at(9_000))).count(),
            4
        );
    }

    #[test]
    fn one_user_takes_nothing_from_others() {
        let budgets = Budgets::default();

        assert_eq!(
            taken(&budgets, "a", std::iter::repeat_n(1, 3_000), at(0)),
            1_000
        );
        assert_eq!(taken(&budgets, "a", 2..502, at(0)), 500);
        let refused = budgets.take(&PeerId::new("a"), &user(1), at(1));
        assert_eq!(refused, Err(Own::TooOften));
        assert_eq!(
            taken(&budgets, "a", std::iter::repeat_n(1, 90), at(1_000)),
            50
        );
    }

    #[test]
    fn one_peer_takes_nothing_from_others() {
        let budgets = Budgets::default();

        assert_eq!(taken(&budgets, "a", 0..20_000, at(0)), 10_000);
        let refused = budgets.take(&PeerId::new("a"), &user(30_000), at(0));
        assert_eq!(refused, Err(Own::Overloaded));
        assert_eq!(taken(&budgets, "b", 30_001..30_101, at(0)), 100);
        let probes = (60_000..80_000).map(|one| budgets.take_of_user(&user(one), at(0)));
        assert!(probes.into_iter().all(|probe| probe.is_ok()));
        assert_eq!(taken(&budgets, "a", 40_000..50_000, at(1_000)), 5_000);
    }

    #[test]
    fn memory_is_bounded() {
        let budgets = Budgets::default();
        let many = u32::try_from(limits::USERS_COUNTED).unwrap() + 5_000;
        let users = |budgets: &Budgets| budgets.0.lock().unwrap().users.len();

        taken(&budgets, "a", 0..many, at(0));
        assert_eq!(users(&budgets), limits::USERS_COUNTED);
        taken(&budgets, "a", std::iter::once(many), at(1_000));
        assert_eq!(users(&budgets), 1);
    }
}
