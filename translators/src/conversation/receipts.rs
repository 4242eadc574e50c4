//! Which receipts were asked for, and by whom (XEP-0184, XEP-0333, RFC 5438).

use std::collections::BTreeMap;

use crate::limits;
use crate::model::{Direction, Mono, Pair, ReceiptKind};
use crate::timers::Timers;

/// Messages whose senders asked for receipts, for [`limits::RECEIPT_MEMORY`].
#[derive(Debug, Default)]
pub struct Receipts {
    asked: BTreeMap<Whose, Asked>,
    ages: Timers<Whose>,
}

/// The message that a receipt is about, as its recipient knows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Whose {
    /// The two users.
    pub pair: Pair,
    /// The way the message went; its receipt goes the other way.
    pub direction: Direction,
    /// The identifier under which it was sent on: Message-ID (SIP) or stanza id (XMPP).
    pub id: String,
}

/// What its sender wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The identifier that its sender gave it.
    pub id: String,
    /// The sender's device.
    pub instance: Option<String>,
    /// The receipts still wanted.
    pub kinds: Vec<ReceiptKind>,
}

impl Receipts {
    /// Remembers that receipts were asked for; the oldest is forgotten when there are too many.
    pub fn ask(&mut self, whose: Whose, asked: Asked, now: Mono) {
        if self.asked.len() >= limits::RECEIPTS {
            let oldest = self.ages.next().map(|(_, whose)| whose.clone());
            if let Some(oldest) = oldest {
                self.forget(&oldest);
            }
        }
        self.ages.set(whose.clone(), now + limits::RECEIPT_MEMORY);
        self.asked.insert(whose, asked);
    }

    /// Finds who asked for a receipt of that kind, once for each kind ("one notification per type
    /// and message", RFC 5438 section 7.2.1).
    pub fn take(&mut self, whose: &Whose, kind: ReceiptKind, now: Mono) -> Option<Asked> {
        while let Some(old) = self.ages.pop_due(now) {
            self.asked.remove(&old);
        }
        let asked = self.asked.get_mut(whose)?;
        let at = asked.kinds.iter().position(|wanted| *wanted == kind)?;
        asked.kinds.remove(at);
        let found = asked.clone();
        if found.kinds.is_empty() {
            self.forget(whose);
        }
        Some(found)
    }

    fn forget(&mut self, whose: &Whose) {
        self.ages.cancel(whose);
        self.asked.remove(whose);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jid::BareJid;

    use super::*;
    use crate::model::Aor;

    fn whose(direction: Direction, id: &str) -> Whose {
        Whose {
            pair: Pair::new(
                BareJid::new("alice@xmpp.example").unwrap(),
                Aor::from_image(BareJid::new("bob@sip.example").unwrap()),
            ),
            direction,
            id: id.to_owned(),
        }
    }

    fn asked(kinds: &[ReceiptKind]) -> Asked {
        Asked {
            id: "m1".to_owned(),
            instance: Some("balcony".to_owned()),
            kinds: kinds.to_vec(),
        }
    }

    const START: Mono = Mono::from_start(Duration::ZERO);

    #[test]
    fn each_receipt_is_given_once_and_only_if_asked_for() {
        let mut receipts = Receipts::default();
        let one = whose(Direction::ToSip, "x");
        let kinds = [ReceiptKind::Delivered, ReceiptKind::Displayed];
        receipts.ask(one.clone(), asked(&kinds), START);

        assert!(
            receipts
                .take(&one, ReceiptKind::Delivered, START)
                .is_some_and(|asked| asked.id == "m1")
        );
        assert_eq!(receipts.take(&one, ReceiptKind::Delivered, START), None);
        assert_eq!(receipts.take(&one, ReceiptKind::Failed, START), None);
        let other_way = whose(Direction::ToXmpp, "x");
        assert_eq!(
            receipts.take(&other_way, ReceiptKind::Displayed, START),
            None
        );
        assert!(receipts.take(&one, ReceiptKind::Displayed, START).is_some());
        assert_eq!(receipts.ages.next(), None);
    }

    #[test]
    fn receipts_are_forgotten_after_a_week() {
        let mut receipts = Receipts::default();
        let one = whose(Direction::ToSip, "x");
        receipts.ask(one.clone(), asked(&[ReceiptKind::Delivered]), START);

        let late = START + limits::RECEIPT_MEMORY;

        assert_eq!(receipts.take(&one, ReceiptKind::Delivered, late), None);
        assert!(receipts.asked.is_empty());
    }

    #[test]
    fn the_oldest_is_forgotten_when_there_are_too_many() {
        let mut receipts = Receipts::default();
        for number in 0..=limits::RECEIPTS {
            let one = whose(Direction::ToSip, &number.to_string());
            let now = START + Duration::from_millis(u64::try_from(number).unwrap());
            receipts.ask(one, asked(&[ReceiptKind::Delivered]), now);
        }

        assert_eq!(receipts.asked.len(), limits::RECEIPTS);
        let oldest = whose(Direction::ToSip, "0");
        assert_eq!(receipts.take(&oldest, ReceiptKind::Delivered, START), None);
    }
}
