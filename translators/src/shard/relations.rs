//! The relations of a shard: who watches whom, by XMPP user and pair, and by the tag of a dialog.
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use jid::BareJid;

use crate::model::Pair;

/// What the two users of a pair are to each other.
#[derive(Debug)]
pub(super) struct Both<X, N> {
    /// Who they are.
    pub(super) pair: Pair,
    /// The XMPP user watches.
    pub(super) watching: Option<Box<X>>,
    /// The SIP user watches.
    pub(super) watched: Option<Box<N>>,
}

/// The relations of a user get room for one more of so many at a time: most users have few, whose
/// number seldom changes.
const STEP: usize = 8;

/// Relations of one shard; `X` is the machine of an XMPP watcher, `N` that of a SIP watcher.
#[derive(Debug)]
pub(super) struct Relations<X, N> {
    /// Of each XMPP user, ordered by pair: a user has few (150 by default).
    users: BTreeMap<Arc<BareJid>, Vec<Both<X, N>>>,
    /// The pair of each of our dialogs, by the random half of our tag.
    tags: BTreeMap<u64, Pair>,
}

impl<X, N> Relations<X, N> {
    /// Starts without any.
    pub(super) const fn new() -> Self {
        Self {
            users: BTreeMap::new(),
            tags: BTreeMap::new(),
        }
    }

    /// The relations of a pair, if it has any.
    pub(super) fn of(&mut self, pair: &Pair) -> Option<&mut Both<X, N>> {
        let all = self.users.get_mut(&pair.jid)?;
        let at = all.binary_search_by(|both| both.pair.cmp(pair)).ok()?;
        all.get_mut(at)
    }

    /// The relations of a pair, empty ones if it had none; to be tidied when nothing was put in.
    pub(super) fn open(&mut self, pair: &Pair) -> Option<&mut Both<X, N>> {
        let kept = self.kept(pair);
        let all = self.users.entry(Arc::clone(&kept.jid)).or_default();
        let at = match all.binary_search_by(|both| both.pair.cmp(pair)) {
            Ok(at) => at,
            Err(at) => {
                if all.len() == all.capacity() {
                    all.reserve_exact(1 + all.len() / STEP);
                }
                let pair = kept;
                let both = Both {
                    pair,
                    watching: None,
                    watched: None,
                };
                all.insert(at, both);
                at
            }
        };
        all.get_mut(at)
    }

    /// Forgets the pair if nothing is left of its relations.
    pub(super) fn tidy(&mut self, pair: &Pair) {
        let Some(all) = self.users.get_mut(&pair.jid) else {
            return;
        };
        all.retain(|both| both.pair != *pair || both.watching.is_some() || both.watched.is_some());
        if all.is_empty() {
            self.users.remove(&pair.jid);
        }
    }

    /// The copy of a pair that whatever is kept for its relations names: all of them share it, and the
    /// address of the XMPP user with those of his other relations.
    pub(super) fn kept(&self, pair: &Pair) -> Pair {
        let Some((jid, all)) = self.users.get_key_value(&pair.jid) else {
            return pair.clone();
        };
        match all.binary_search_by(|both| both.pair.cmp(pair)) {
            Ok(at) => all.get(at).map_or(pair, |both| &both.pair).clone(),
            Err(_) => Pair::new(Arc::clone(jid), pair.aor.clone()),
        }
    }

    /// Names the pair of a tag of ours.
    pub(super) fn tag(&mut self, random: u64, pair: &Pair) {
        let pair = self.kept(pair);
        self.tags.insert(random, pair);
    }

    /// Forgets a tag.
    pub(super) fn untag(&mut self, random: u64) {
        self.tags.remove(&random);
    }

    /// The pair of a tag.
    pub(super) fn tagged(&self, random: u64) -> Option<&Pair> {
        self.tags.get(&random)
    }

    /// All relations, in the order of their pairs.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Both<X, N>> {
        self.users.values().flatten()
    }

    /// The relations of one XMPP user, in the order of their pairs.
    pub(super) fn of_user(&self, jid: &BareJid) -> impl Iterator<Item = &Both<X, N>> {
        self.users.get(jid).into_iter().flatten()
    }

    /// The pair behind `last` in the order of all pairs; the first without one.
    pub(super) fn next(&self, last: Option<&Pair>) -> Option<&Pair> {
        let from = last.map_or(Bound::Unbounded, |last| Bound::Included(&*last.jid));
        let users = self.users.range::<BareJid, _>((from, Bound::Unbounded));
        let mut pairs = users.flat_map(|(_, all)| all.iter().map(|both| &both.pair));
        pairs.find(|pair| last.is_none_or(|last| *pair > last))
    }

    /// How many relations the XMPP user has, contacts and watchers together, of those that count.
    pub(super) fn count(
        &self,
        jid: &BareJid,
        watching: impl Fn(&X) -> bool,
        watched: impl Fn(&N) -> bool,
    ) -> usize {
        let each = self.of_user(jid).map(|both| {
            let contact = both.watching.as_deref().is_some_and(&watching);
            let watcher = both.watched.as_deref().is_some_and(&watched);
            usize::from(contact) + usize::from(watcher)
        });
        each.sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Aor;

    fn pair(user: &str, contact: &str) -> Pair {
        let contact = BareJid::new(contact).unwrap();
        Pair::new(BareJid::new(user).unwrap(), Aor::from_image(contact))
    }

    #[test]
    fn a_user_has_the_relations_of_all_his_pairs() {
        let mut relations: Relations<u8, u8> = Relations::new();
        let (one, two) = (
            pair("alice@xmpp.example", "bob@sip.example"),
            pair("alice@xmpp.example", "!@sip.example"),
        );
        relations.open(&one).unwrap().watching = Some(Box::new(1));
        relations.open(&two).unwrap().watched = Some(Box::new(2));
        relations.open(&one).unwrap().watched = Some(Box::new(3));
        let other = pair("alice@xmpp.examples", "bob@sip.example");
        relations.open(&other).unwrap();

        assert_eq!(relations.next(None), Some(&two));
        assert_eq!(relations.next(Some(&two)), Some(&one));
        assert_eq!(relations.next(Some(&one)), Some(&other));
        assert_eq!(relations.next(Some(&other)), None);

        assert_eq!(relations.count(&one.jid, |_| true, |_| true), 3);
        assert_eq!(relations.count(&one.jid, |_| false, |it| *it == 2), 1);
        assert_eq!(relations.iter().count(), 3);
        relations.tidy(&other);
        assert!(relations.of(&other).is_none());
        relations.of(&two).unwrap().watched = None;
        relations.tidy(&two);
        assert_eq!(relations.count(&one.jid, |_| true, |_| true), 2);
    }

    #[test]
    fn whatever_is_kept_of_one_user_shares_his_address() {
        let mut relations: Relations<u8, u8> = Relations::new();
        let new = |contact| pair("alice@xmpp.example", contact);
        relations.open(&new("bob@sip.example")).unwrap().watching = Some(Box::new(1));
        relations.open(&new("eve@sip.example")).unwrap().watched = Some(Box::new(2));
        relations.tag(7, &new("eve@sip.example"));

        let (bob, eve) = (
            relations.kept(&new("bob@sip.example")),
            relations.kept(&new("eve@sip.example")),
        );
        assert_eq!(
            (&bob, &eve),
            (&new("bob@sip.example"), &new("eve@sip.example"))
        );
        assert!(Arc::ptr_eq(&bob.jid, &eve.jid));
        assert!(std::ptr::eq(&**relations.tagged(7).unwrap(), &*eve));
    }

    #[test]
    fn a_tag_leads_to_its_pair() {
        let mut relations: Relations<u8, u8> = Relations::new();
        let one = pair("alice@xmpp.example", "bob@sip.example");
        relations.tag(7, &one);

        assert_eq!(relations.tagged(7), Some(&one));
        relations.untag(7);
        assert_eq!(relations.tagged(7), None);
    }
}
