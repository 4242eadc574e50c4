//! The conversations of many pairs, forgotten when they are idle.

use std::collections::BTreeMap;

use rand::Rng;

use crate::conversation::{CallIds, Conversation, Slot};
use crate::limits;
use crate::model::{Mono, PageThread, Pair};
use crate::timers::Timers;

/// Every conversation that is not idle.
#[derive(Debug)]
pub struct Memory<T> {
    /// In boxes, since a map keeps room for about half as many again.
    pairs: BTreeMap<Pair, Box<Conversation<T>>>,
    idle: Timers<Pair>,
    call_ids: CallIds,
}

impl<T> Memory<T> {
    /// Creates an empty memory.
    pub fn new() -> Self {
        Self {
            pairs: BTreeMap::new(),
            idle: Timers::new(),
            call_ids: CallIds::default(),
        }
    }

    /// The conversation of a pair that is there, without waking it up.
    pub fn find(&mut self, pair: &Pair) -> Option<&mut Conversation<T>> {
        self.pairs.get_mut(pair).map(Box::as_mut)
    }

    /// The conversation of a pair, which something was said in now.
    pub fn touch(&mut self, pair: &Pair, now: Mono) -> &mut Conversation<T> {
        if !self.pairs.contains_key(pair) {
            self.make_room(now);
            self.idle.set(pair.clone(), now + limits::CONVERSATION_IDLE);
        }
        let conversation = self.pairs.entry(pair.clone()).or_default();
        conversation.used_at = now;
        conversation
    }

    /// The slot of the next message to the SIP user of `pair` in `thread`.
    pub fn leave(
        &mut self,
        pair: &Pair,
        thread: Option<&str>,
        mode: PageThread,
        rng: &mut impl Rng,
    ) -> Slot {
        match self.pairs.get_mut(pair) {
            Some(conversation) => {
                let pages = &mut conversation.pages;
                pages.leave(thread, mode, &mut self.call_ids, pair, rng)
            }
            None => Slot::fresh(rng),
        }
    }

    /// Forgets what is idle.
    pub fn forget_idle(&mut self, now: Mono) {
        while let Some(pair) = self.idle.pop_due(now) {
            self.forget(pair, now, now);
        }
    }

    /// When something may become idle.
    pub fn next_idle(&self) -> Option<Mono> {
        self.idle.next().map(|(at, _)| at)
    }

    /// Every pair with its conversation.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&Pair, &mut Conversation<T>)> {
        self.pairs
            .iter_mut()
            .map(|(pair, one)| (pair, one.as_mut()))
    }

    /// How many pairs are remembered.
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// Forgets the pair that is silent for longest when there are too many.
    fn make_room(&mut self, now: Mono) {
        for _ in 0..ATTEMPTS {
            if self.pairs.len() < limits::CONVERSATIONS {
                return;
            }
            let Some((at, pair)) = self.idle.next() else {
                return;
            };
            let pair = pair.clone();
            self.idle.cancel(&pair);
            self.forget(pair, at, now);
        }
    }

    /// Forgets a pair that was quiet until `at`; any other is looked at again later. Its timer is
    /// not moved with each message, which would cost more than to look twice.
    fn forget(&mut self, pair: Pair, at: Mono, now: Mono) {
        let Some(conversation) = self.pairs.get(&pair) else {
            return;
        };
        let idle_at = conversation.used_at + limits::CONVERSATION_IDLE;
        if !conversation.is_quiet() {
            self.idle.set(pair, now + limits::CONVERSATION_IDLE);
        } else if idle_at > at {
            self.idle.set(pair, idle_at);
        } else {
            conversation.pages.release(&mut self.call_ids);
            self.pairs.remove(&pair);
        }
    }
}

/// Conversations looked at to make room for one.
const ATTEMPTS: u8 = 16;

impl<T> Default for Memory<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use jid::BareJid;

    use super::*;
    use crate::model::Aor;

    const START: Mono = Mono::from_start(std::time::Duration::ZERO);

    fn pair(number: usize) -> Pair {
        Pair::new(
            BareJid::new(&format!("user{number}@xmpp.example")).unwrap(),
            Aor::from_image(BareJid::new("bob@sip.example").unwrap()),
        )
    }

    #[test]
    fn an_idle_conversation_is_forgotten_but_not_one_with_messages() {
        let mut memory = Memory::new();
        memory.touch(&pair(1), START);
        memory.touch(&pair(2), START).queue.push("waits", 1);

        memory.forget_idle(START + limits::CONVERSATION_IDLE);

        assert!(memory.find(&pair(1)).is_none());
        assert!(memory.find(&pair(2)).is_some());
        memory.find(&pair(2)).unwrap().queue.take_waiting(|_| true);
        memory.forget_idle(START + limits::CONVERSATION_IDLE * 2);
        assert!(memory.is_empty());
        assert_eq!(memory.next_idle(), None);
    }

    #[test]
    fn a_conversation_in_use_is_not_forgotten() {
        let mut memory = Memory::<()>::new();
        memory.touch(&pair(1), START);
        memory.touch(&pair(1), START + limits::CONVERSATION_IDLE / 2);

        memory.forget_idle(START + limits::CONVERSATION_IDLE);
        assert_eq!(memory.len(), 1);
        memory.forget_idle(START + limits::CONVERSATION_IDLE * 2);
        assert_eq!(memory.len(), 0);
    }

    #[test]
    fn the_conversation_silent_for_longest_makes_room() {
        let mut memory = Memory::<()>::new();
        for number in 0..=limits::CONVERSATIONS {
            let offset = std::time::Duration::from_millis(u64::try_from(number).unwrap());
            memory.touch(&pair(number), START + offset);
        }

        assert_eq!(memory.len(), limits::CONVERSATIONS);
        assert!(memory.find(&pair(0)).is_none());
        assert!(memory.find(&pair(1)).is_some());
    }
}
