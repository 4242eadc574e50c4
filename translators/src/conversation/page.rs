//! Page mode (RFC 3428): which Call-ID and thread a message belongs to.
//!
//! RFC 7572 makes the Call-ID and the thread each other's image. A thread repeats, a Call-ID must
//! not, so a Call-ID is used again only with the same From tag and a growing CSeq, which is no
//! merged request (RFC 3261 section 8.2.2.2).

use std::collections::BTreeMap;

use rand::{Rng, RngExt as _};

use crate::limits;
use crate::model::{PageThread, Pair};
use crate::sip::CallId;
use crate::text::SipToken;

/// The pages of one pair: how its threads and Call-IDs belong together while it is not idle.
#[derive(Debug, Default)]
pub struct Pages {
    pages: Vec<Page>,
    sticky: Option<String>,
}

#[derive(Debug)]
struct Page {
    thread: Option<String>,
    slot: Slot,
}

/// Where a MESSAGE of ours stands: what makes it unique to the peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The Call-ID.
    pub call_id: CallId,
    /// The tag of From.
    pub from_tag: SipToken,
    /// The CSeq number.
    pub cseq: u32,
}

impl Slot {
    /// Makes a slot that no other message has.
    pub fn fresh(rng: &mut impl Rng) -> Self {
        Self {
            call_id: CallId::from_number(rng.random()),
            from_tag: SipToken::from_number(rng.random()),
            cseq: rng.random_range(1..=0xffff),
        }
    }
}

impl Pages {
    /// Returns the slot of the next message to the SIP user in `thread`.
    pub fn leave(
        &mut self,
        thread: Option<&str>,
        mode: PageThread,
        owned: &mut CallIds,
        pair: &Pair,
        rng: &mut impl Rng,
    ) -> Slot {
        let thread = match mode {
            PageThread::Off => None,
            PageThread::Map | PageThread::Sticky => thread,
        };
        if let Some(thread) = thread {
            self.sticky = Some(thread.to_owned());
        }
        let known = |page: &Page| {
            page.thread.as_deref() == thread || Some(page.slot.call_id.as_str()) == thread
        };
        if let Some(at) = self.pages.iter().position(known) {
            let mut page = self.pages.remove(at);
            page.slot.cseq = page.slot.cseq.saturating_add(1);
            let slot = page.slot.clone();
            self.pages.push(page);
            return slot;
        }
        let mut slot = Slot::fresh(rng);
        let image = thread.and_then(CallId::parse);
        if let Some(call_id) = image.filter(|call_id| owned.claim(call_id, pair)) {
            slot.call_id = call_id;
        }
        self.remember(thread, slot.clone(), owned);
        slot
    }

    /// Returns the thread of a message from the SIP user whose Call-ID is `call_id`.
    pub fn enter(&mut self, call_id: &str, mode: PageThread) -> Option<String> {
        match mode {
            PageThread::Off => None,
            PageThread::Map => {
                let page = self
                    .pages
                    .iter()
                    .find(|page| page.slot.call_id.as_str() == call_id);
                let thread = page.and_then(|page| page.thread.clone());
                Some(thread.unwrap_or_else(|| call_id.to_owned()))
            }
            PageThread::Sticky => Some(
                self.sticky
                    .get_or_insert_with(|| call_id.to_owned())
                    .clone(),
            ),
        }
    }

    /// Takes note of a dialog that the SIP user opens: its Call-ID is the thread from now on, until
    /// the XMPP user chooses another.
    pub fn begin(&mut self, call_id: &str) {
        self.sticky = Some(call_id.to_owned());
    }

    /// The thread of the conversation, as [`PageThread::Sticky`] has it.
    pub fn thread(&self) -> Option<&str> {
        self.sticky.as_deref()
    }

    /// The thread of the last message to the SIP user.
    pub fn latest(&self) -> Option<&str> {
        self.pages.last()?.thread.as_deref()
    }

    /// Gives up the Call-IDs that were taken from threads.
    pub fn release(&self, owned: &mut CallIds) {
        for page in &self.pages {
            owned.release(&page.slot.call_id);
        }
    }

    fn remember(&mut self, thread: Option<&str>, slot: Slot, owned: &mut CallIds) {
        if self.pages.len() >= limits::THREADS_PER_PAIR {
            let oldest = self.pages.remove(0);
            owned.release(&oldest.slot.call_id);
        }
        // Most pairs have one; a vector that grows by itself keeps room for four.
        self.pages.reserve_exact(1);
        self.pages.push(Page {
            thread: thread.map(str::to_owned),
            slot,
        });
    }
}

/// Which pair uses a Call-ID that was taken from a thread: two pairs never share one.
#[derive(Debug, Default)]
pub struct CallIds(BTreeMap<CallId, Pair>);

impl CallIds {
    fn claim(&mut self, call_id: &CallId, pair: &Pair) -> bool {
        let owner = self.0.entry(call_id.clone());
        owner.or_insert_with(|| pair.clone()) == pair
    }

    fn release(&mut self, call_id: &CallId) {
        self.0.remove(call_id);
    }
}

#[cfg(test)]
mod tests {
    use jid::BareJid;
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;
    use crate::model::Aor;

    struct Desk {
        pages: Pages,
        owned: CallIds,
        rng: StdRng,
    }

    impl Desk {
        fn new() -> Self {
            Self {
                pages: Pages::default(),
                owned: CallIds::default(),
                rng: StdRng::seed_from_u64(1),
            }
        }

        fn leave(&mut self, thread: Option<&str>, mode: PageThread) -> Slot {
            let (owned, rng) = (&mut self.owned, &mut self.rng);
            self.pages.leave(thread, mode, owned, &pair("alice"), rng)
        }
    }

    fn pair(user: &str) -> Pair {
        Pair::new(
            BareJid::new(&format!("{user}@xmpp.example")).unwrap(),
            Aor::from_image(BareJid::new("bob@sip.example").unwrap()),
        )
    }

    #[test]
    fn a_thread_is_a_call_id_with_one_tag_and_growing_cseq() {
        let mut desk = Desk::new();

        let first = desk.leave(Some("t1"), PageThread::Sticky);
        let second = desk.leave(Some("t1"), PageThread::Sticky);

        assert_eq!(first.call_id.as_str(), "t1");
        assert_eq!(
            (&second.call_id, &second.from_tag),
            (&first.call_id, &first.from_tag)
        );
        assert_eq!(second.cseq, first.cseq + 1);
        let other = desk.leave(Some("t2"), PageThread::Sticky);
        assert_ne!(other.call_id, first.call_id);
    }

    #[test]
    fn a_thread_that_is_no_call_id_gets_one_that_is_remembered() {
        let mut desk = Desk::new();
        for thread in [
            "a b",
            "x\r\nVia: y",
            "a@b@c",
            "@",
            &"x".repeat(257),
            "thread \u{e9}",
        ] {
            let first = desk.leave(Some(thread), PageThread::Sticky);

            assert_ne!(first.call_id.as_str(), thread);
            let again = desk.leave(Some(thread), PageThread::Sticky);
            assert_eq!(again.call_id, first.call_id);
            assert_eq!(
                desk.pages.enter(first.call_id.as_str(), PageThread::Map),
                Some(thread.to_owned()),
                "the way back is exact"
            );
        }
    }

    #[test]
    fn a_call_id_belongs_to_one_pair() {
        let mut desk = Desk::new();
        desk.leave(Some("t1"), PageThread::Sticky);

        let mut other = Pages::default();
        let slot = other.leave(
            Some("t1"),
            PageThread::Sticky,
            &mut desk.owned,
            &pair("eve"),
            &mut desk.rng,
        );
        assert_ne!(slot.call_id.as_str(), "t1");

        desk.pages.release(&mut desk.owned);
        let mut third = Pages::default();
        let slot = third.leave(
            Some("t1"),
            PageThread::Sticky,
            &mut desk.owned,
            &pair("eve"),
            &mut desk.rng,
        );
        assert_eq!(slot.call_id.as_str(), "t1");
    }

    #[test]
    fn call_ids_become_threads_as_configured() {
        let mut pages = Pages::default();
        assert_eq!(pages.enter("c1", PageThread::Off), None);
        assert_eq!(pages.enter("c1", PageThread::Map), Some("c1".to_owned()));
        assert_eq!(pages.enter("c2", PageThread::Map), Some("c2".to_owned()));
        assert_eq!(pages.enter("c1", PageThread::Sticky), Some("c1".to_owned()));
        assert_eq!(pages.enter("c2", PageThread::Sticky), Some("c1".to_owned()));
    }

    #[test]
    fn the_thread_that_the_client_chose_sticks() {
        let mut desk = Desk::new();
        desk.leave(Some("t1"), PageThread::Sticky);

        let thread = desk.pages.enter("c9", PageThread::Sticky);

        assert_eq!(thread.as_deref(), Some("t1"));
    }

    #[test]
    fn without_threads_messages_share_a_call_id_until_idle() {
        let mut desk = Desk::new();

        let first = desk.leave(None, PageThread::Sticky);
        let second = desk.leave(Some("t1"), PageThread::Off);

        assert_eq!(first.call_id, second.call_id);
        assert_eq!(second.cseq, first.cseq + 1);
    }

    #[test]
    fn few_threads_are_remembered_per_pair() {
        let mut desk = Desk::new();
        for number in 0..100 {
            desk.leave(Some(&format!("t{number}")), PageThread::Sticky);
        }

        assert_eq!(desk.pages.pages.len(), limits::THREADS_PER_PAIR);
        assert_eq!(desk.owned.0.len(), limits::THREADS_PER_PAIR);
    }
}
