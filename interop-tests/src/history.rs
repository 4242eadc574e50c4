//! Accounts for every message of a test: what was sent, what arrived, what came back.

use std::collections::BTreeMap;
use std::sync::Mutex;

use anyhow::{Result, ensure};

use crate::inbox::locked;

/// The fate of one message as its two ends have seen it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fate {
    /// The sender's server has handed it to the gateway for certain.
    pub accepted: bool,
    /// How often it has arrived.
    pub delivered: u32,
    /// How often the sender was told that it has failed.
    pub refused: u32,
    /// How often the sender was told that it may have arrived or not.
    pub doubted: u32,
    /// It was on its way while something broke, so that a repetition is allowed.
    pub disturbed: bool,
}

/// All messages of one direction of a test, by their text, which is unique.
#[derive(Debug, Default)]
pub struct History {
    fates: Mutex<BTreeMap<String, Fate>>,
}

/// Sums over a history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Messages sent.
    pub sent: usize,
    /// Messages that arrived at least once.
    pub delivered: usize,
    /// Messages whose sender was told of a failure, and that never arrived.
    pub bounced: usize,
    /// Messages that arrived more than once.
    pub repeated: usize,
    /// Messages that both arrived and were reported as failed ("may have arrived").
    pub both: usize,
}

impl Fate {
    fn is_settled(&self) -> bool {
        self.delivered + self.refused + self.doubted > 0
    }

    /// One outcome, or a doubt that may go with a delivery; more only after a disturbance. A doubt
    /// may be told again: the teller did not get to note that it was.
    fn is_plausible(&self) -> bool {
        let is_certain = self.doubted == 0 || self.refused == 0;
        self.disturbed || (self.delivered + self.refused <= 1 && is_certain)
    }
}

impl History {
    /// The message is about to be sent.
    pub fn sent(&self, text: &str) {
        locked(&self.fates).entry(text.to_owned()).or_default();
    }

    /// The gateway owes this message an outcome from now on.
    pub fn accepted(&self, text: &str) {
        self.change(text, |fate| fate.accepted = true);
    }

    /// The message has arrived.
    pub fn delivered(&self, text: &str) {
        self.change(text, |fate| fate.delivered += 1);
    }

    /// The sender was told of a failure.
    pub fn refused(&self, text: &str) {
        self.change(text, |fate| fate.refused += 1);
    }

    /// The sender was told that nobody knows.
    pub fn doubted(&self, text: &str) {
        self.change(text, |fate| fate.doubted += 1);
    }

    /// Something breaks now: whatever has no outcome yet may be repeated.
    pub fn disturb(&self) {
        for fate in locked(&self.fates).values_mut() {
            fate.disturbed |= !fate.is_settled();
        }
    }

    fn change(&self, text: &str, change: impl FnOnce(&mut Fate)) {
        change(locked(&self.fates).entry(text.to_owned()).or_default());
    }

    /// The messages that are owed an outcome and have none.
    pub fn lost(&self) -> Vec<String> {
        let fates = locked(&self.fates);
        let lost = fates
            .iter()
            .filter(|(_, fate)| fate.accepted && !fate.is_settled());
        lost.map(|(text, _)| text.clone()).collect()
    }

    /// The sums.
    pub fn sums(&self) -> Sums {
        let fates = locked(&self.fates);
        let count = |wanted: fn(&Fate) -> bool| fates.values().filter(|fate| wanted(fate)).count();
        Sums {
            sent: fates.len(),
            delivered: count(|fate| fate.delivered > 0),
            bounced: count(|fate| fate.delivered == 0 && fate.is_settled()),
            repeated: count(|fate| fate.delivered > 1),
            both: count(|fate| fate.delivered > 0 && fate.refused + fate.doubted > 0),
        }
    }

    /// Every accepted message has an outcome, and nothing is repeated that was not disturbed.
    pub fn check(&self) -> Result<Sums> {
        let lost = self.lost();
        ensure!(
            lost.is_empty(),
            "{} messages lost, among them {:?}",
            lost.len(),
            lost.first()
        );
        let fates = locked(&self.fates);
        for (text, fate) in fates.iter() {
            ensure!(fate.is_plausible(), "{text} without cause: {fate:?}");
        }
        drop(fates);
        Ok(self.sums())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_without_an_outcome_is_lost() {
        let history = History::default();
        history.sent("a");
        assert!(
            history.check().is_ok(),
            "never accepted, so nothing is owed"
        );
        history.accepted("a");
        assert_eq!(history.lost(), ["a"]);
        history.refused("a");
        assert_eq!(history.check().unwrap().bounced, 1);
    }

    #[test]
    fn only_a_disturbed_message_may_arrive_twice() {
        let history = History::default();
        for text in ["calm", "disturbed"] {
            history.sent(text);
        }
        history.delivered("calm");
        history.disturb();
        history.delivered("disturbed");
        history.delivered("disturbed");
        assert_eq!(history.check().unwrap().repeated, 1);
        history.delivered("calm");
        assert!(history.check().is_err());
    }

    #[test]
    fn a_doubt_may_go_with_a_delivery_and_a_failure_may_not() {
        for (failure, fits) in [
            (History::doubted as fn(&History, &str), true),
            (History::refused, false),
        ] {
            let history = History::default();
            history.delivered("a");
            failure(&history, "a");
            assert_eq!(history.check().is_ok(), fits);
            assert_eq!(history.sums().both, 1);
        }
    }
}
