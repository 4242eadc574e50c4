//! Users of a peer that it said it does not have, or not for us: who is asked for them again and again
//! looks like somebody who guesses, and an edge then takes less of him.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jid::BareJid;
use translators::model::{Aor, Failure, Mono, Pair};
use translators::shard::{Class, Transmit};
use translators::sip::Message;

/// Whom a refusal is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Target {
    /// The user, whoever asks.
    User(Aor),
    /// The user, for one of ours who asks for this: who may not begin a conversation may watch.
    Pair(Aor, Arc<BareJid>, Class),
}

impl Target {
    /// What a refusal of that method with this status is about, if it stands for a while.
    pub(super) fn of(method: &str, status: u16, pair: &Pair) -> Option<Self> {
        let class = match method {
            "INVITE" | "MESSAGE" => Class::Im,
            "SUBSCRIBE" => Class::Subscription,
            _ => return None,
        };
        match status {
            404 | 604 => Some(Self::User(pair.aor.clone())),
            403 => Some(Self::Pair(pair.aor.clone(), Arc::clone(&pair.jid), class)),
            _ => None,
        }
    }
}

/// The answer that refused a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal<'a> {
    /// What was asked.
    pub method: &'a str,
    /// The answer's status.
    pub status: u16,
}

/// Refusals that stand, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Unknown {
    known: HashMap<Target, Failure>,
    until: VecDeque<(Mono, Target)>,
}

impl Unknown {
    /// Takes note of a refusal.
    pub(super) fn add(&mut self, target: Target, failure: Failure, now: Mono) {
        self.forget(now);
        if self.until.len() >= MOST {
            self.forget_first();
        }
        if self.known.insert(target.clone(), failure).is_none() {
            self.until.push_back((now + TIME, target));
        }
    }

    /// What the peer said of late about the user that a new request is for.
    pub(super) fn refusal(&mut self, transmit: &Transmit, now: Mono) -> Option<Failure> {
        if !matches!(transmit.class, Class::Im | Class::Subscription) {
            return None;
        }
        let pair = &transmit.key.as_ref()?.lane.pair;
        let failure = self.failure(pair, transmit.class, now)?;
        // What goes on with something, or ends it, is for somebody who is there.
        is_initial(&transmit.bytes).then(|| failure.clone())
    }

    fn failure(&mut self, pair: &Pair, class: Class, now: Mono) -> Option<&Failure> {
        self.forget(now);
        if self.known.is_empty() {
            return None;
        }
        let user = self.known.get(&Target::User(pair.aor.clone()));
        user.or_else(|| {
            let pair = Target::Pair(pair.aor.clone(), Arc::clone(&pair.jid), class);
            self.known.get(&pair)
        })
    }

    /// The user wrote, so he is there.
    pub(super) fn heard(&mut self, aor: &Aor) {
        if self.known.is_empty() {
            return;
        }
        let is_his = |target: &Target| match target {
            Target::User(user) | Target::Pair(user, ..) => user == aor,
        };
        self.known.retain(|target, _| !is_his(target));
        self.until.retain(|(_, target)| !is_his(target));
    }

    fn forget(&mut self, now: Mono) {
        while self.until.front().is_some_and(|(until, _)| *until <= now) {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        if let Some((_, target)) = self.until.pop_front() {
            self.known.remove(&target);
        }
    }
}

/// Whether a request begins something, as one without a tag in To does.
fn is_initial(bytes: &[u8]) -> bool {
    match Message::parse_fragment(bytes) {
        Ok(Message::Request(request)) => request.to().is_ok_and(|to| to.tag().is_none()),
        Ok(Message::Response(_)) | Err(_) => false,
    }
}

/// Time for which a refusal stands: short enough for a user who is made meanwhile.
const TIME: Duration = Duration::from_secs(600);
/// Refusals of one peer that are remembered; an edge watches who asks for more than a thousand users.
const MOST: usize = 4_096;

#[cfg(test)]
mod tests {
    use translators::model::{Blame, Condition};

    use super::*;

    fn pair(jid: &str) -> Pair {
        let bare = |text: &str| BareJid::new(text).unwrap();
        Pair::new(bare(jid), Aor::from_image(bare("bob@sip.example")))
    }

    fn at(seconds: u64) -> Mono {
        Mono::from_start(Duration::from_secs(seconds))
    }

    fn failure() -> Failure {
        Failure::new(Condition::ItemNotFound, Blame::Peer)
    }

    #[test]
    fn nobody_asks_for_an_unknown_user_for_a_while() {
        let mut unknown = Unknown::default();
        let target = Target::of("SUBSCRIBE", 404, &pair("alice@xmpp.example")).unwrap();
        unknown.add(target, failure(), at(0));

        let carol = pair("carol@xmpp.example");
        assert_eq!(
            unknown.failure(&carol, Class::Im, at(599)),
            Some(&failure())
        );
        assert_eq!(unknown.failure(&carol, Class::Im, at(600)), None);
        assert_eq!(Target::of("NOTIFY", 404, &carol), None);
    }

    #[test]
    fn who_may_not_is_one_of_ours() {
        let mut unknown = Unknown::default();
        let alice = pair("alice@xmpp.example");
        let carol = pair("carol@xmpp.example");
        let refused = Target::of("INVITE", 403, &alice).unwrap();
        unknown.add(refused, failure(), at(0));

        assert!(unknown.failure(&alice, Class::Im, at(1)).is_some());
        assert!(
            unknown
                .failure(&alice, Class::Subscription, at(1))
                .is_none()
        );
        assert!(unknown.failure(&carol, Class::Im, at(1)).is_none());
        assert_eq!(Target::of("INVITE", 480, &alice), None);
        unknown.heard(&alice.aor);
        assert!(unknown.failure(&alice, Class::Im, at(1)).is_none());
    }

    #[test]
    fn so_many_are_remembered() {
        let mut unknown = Unknown::default();
        for number in 0..=MOST {
            let aor = BareJid::new(&format!("user{number}@sip.example")).unwrap();
            unknown.add(Target::User(Aor::from_image(aor)), failure(), at(0));
        }

        assert_eq!((unknown.known.len(), unknown.until.len()), (MOST, MOST));
    }
}
