//! Random runs against a simple model: every message is delivered once or returned once.

use std::collections::{BTreeMap, BTreeSet};

use jid::BareJid;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::lab::{Lab, seconds, text_of};
use crate::limits;
use crate::model::{Accept, Aor, Blame, Condition, Direction, Failure, LinkId, Pair, SipProfile};
use crate::policy::{Subject, Verdict};
use crate::shard::{Class, Event, Fate, ImState, Input, Lapse, Transmit};

const RUNS: u64 = 150;
const STEPS: u32 = 150;

#[test]
fn nothing_is_lost_and_nothing_told_twice() {
    for seed in 0..RUNS {
        for accept in [Accept::Barrier, Accept::Immediate] {
            eprintln!("seed {seed}, {accept:?}");
            let mut world = World::new(seed, accept);
            for _ in 0..STEPS {
                world.step();
                world.check();
            }
            world.settle_down();
            world.check_end();
        }
    }
}

/// Two peers that do what they like.
struct World {
    lab: Lab,
    rng: StdRng,
    accept: Accept,
    /// What was sent and has no outcome yet.
    pending: Vec<Transmit>,
    /// Requests that were written and have no answer yet.
    unanswered: Vec<Transmit>,
    written: u32,
    /// Inputs of the current run.
    inputs: BTreeSet<u64>,
    /// How often each message of Alice's reached its SIP user, and its error reached her.
    arrived: BTreeMap<String, u32>,
    returned: BTreeMap<String, u32>,
    /// Messages whose 2xx was taken.
    answered: BTreeSet<String>,
    /// How often a stanza of Bob's was taken, by identifier.
    taken: BTreeMap<String, u32>,
    /// Final answers to Bob's requests, by branch.
    answers: BTreeMap<String, Vec<u16>>,
    restarts: u32,
    /// Users of the other side with whom Alice may not exchange.
    denied: BTreeSet<&'static str>,
}

impl World {
    fn new(seed: u64, accept: Accept) -> Self {
        Self {
            lab: Lab::with(accept, SipProfile::default()),
            rng: StdRng::seed_from_u64(seed),
            accept,
            pending: Vec::new(),
            unanswered: Vec::new(),
            written: 0,
            inputs: BTreeSet::new(),
            arrived: BTreeMap::new(),
            returned: BTreeMap::new(),
            answered: BTreeSet::new(),
            taken: BTreeMap::new(),
            answers: BTreeMap::new(),
            restarts: 0,
            denied: BTreeSet::new(),
        }
    }

    fn step(&mut self) {
        match self.rng.random_range(0..100) {
            0..25 => self.alice_writes(),
            25..40 => self.bob_writes(),
            40..70 => self.far_side(),
            70..85 => self.peer_answers(),
            85..93 => {
                let millis = self.rng.random_range(0..20_000);
                self.lab.pass(std::time::Duration::from_millis(millis));
            }
            93..95 => self.lab.disk_full = !self.lab.disk_full,
            95..97 => {
                let read_only = self.rng.random();
                self.lab.input(Input::StoreReadOnly(read_only));
            }
            97 => self.stream_breaks(),
            98 if self.rng.random() => self.alice_types(),
            98 => self.operator_decides(),
            _ => self.restart(),
        }
        while let Some(transmit) = self.lab.try_next() {
            self.note(transmit);
        }
    }

    fn alice_writes(&mut self) {
        self.written += 1;
        let user = ["bob", "eve"][self.rng.random_range(0..2)];
        let id = format!("m{}", self.written);
        let number = self.lab.stanza(&format!(
            "<message from='alice@xmpp.example/balcony' to='{user}@sip.example' id='{id}'>\
             <body>text {id}.</body></message>"
        ));
        self.inputs.insert(number);
    }

    /// A verdict on Alice and one of the two; what waits for a link is called back.
    fn operator_decides(&mut self) {
        let user = ["bob", "eve"][self.rng.random_range(0..2)];
        let verdict = Verdict::ALL[self.rng.random_range(0..4)];
        if verdict == Verdict::Allow {
            self.denied.remove(user);
        } else {
            self.denied.insert(user);
        }
        let alice = BareJid::new("alice@xmpp.example").unwrap();
        let aor = BareJid::new(&format!("{user}@sip.example")).unwrap();
        let pair = Pair::new(alice, Aor::from_image(aor));
        self.lab.decides(Subject::Pair(pair), verdict);
        while let Some(transmit) = self.lab.try_next() {
            self.note(transmit);
        }
        let lanes = std::mem::take(&mut self.lab.recalled);
        let waits = |one: &Transmit| {
            one.key
                .as_ref()
                .is_some_and(|key| lanes.contains(&key.lane))
        };
        let (recalled, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut self.pending)
            .into_iter()
            .partition(waits);
        self.pending = kept;
        for transmit in recalled {
            self.lab.give_back(&transmit, Lapse::Recalled);
        }
    }

    /// Nothing that one of the two wrote, and no typing, goes out under a verdict against it.
    fn assert_allowed(&self, transmit: &Transmit) {
        if transmit.give_up_at <= self.lab.now.mono {
            // No queue holds it any longer: it was written before.
            return;
        }
        let text = text_of(transmit);
        let is_error = text.contains("type=\"error\"") || text.starts_with("SIP/2.0");
        for user in &self.denied {
            let names = text.contains(&format!("{user}@sip.example"));
            assert!(is_error || !names, "sent after a block: {text}");
        }
    }

    fn alice_types(&mut self) {
        let number = self.lab.stanza(
            "<message from='alice@xmpp.example/balcony' to='bob@sip.example' type='chat'>\
             <composing xmlns='http://jabber.org/protocol/chatstates'/></message>",
        );
        self.inputs.insert(number);
    }

    fn bob_writes(&mut self) {
        self.written += 1;
        let branch = format!("b{}", self.written);
        let number = self.lab.bob_writes(&branch, &format!("text {branch}."));
        self.inputs.insert(number);
    }

    /// Sorts what was sent by whom it is for.
    fn note(&mut self, transmit: Transmit) {
        let text = text_of(&transmit);
        if let Some(status) = text.strip_prefix("SIP/2.0 ") {
            let status: u16 = status.split(' ').next().unwrap().parse().unwrap();
            let branch = between(&text, "branch=z9hG4bK", "\r\n");
            if status >= 200 {
                self.answers.entry(branch).or_default().push(status);
            }
            return;
        }
        if transmit.class == Class::Im && text.starts_with("MESSAGE") {
            let row = self.row(&between(&text, "\r\n\r\ntext ", "."));
            assert_eq!(
                row,
                Some(ImState::Sent),
                "the record stands before the transmit"
            );
        }
        if text.contains("type=\"error\"") {
            let row = self.row(&between(&text, "id=\"", "\""));
            let before = matches!(row, None | Some(ImState::Failing(_)));
            assert!(before, "the record stands before the error: {row:?}");
        }
        self.pending.push(transmit);
    }

    /// The state of a message of Alice's in the journal, if it was accepted.
    fn row(&self, id: &str) -> Option<ImState> {
        let mut rows = self.lab.journal.iter();
        let row = rows.find(|row| row.sender_id.as_deref() == Some(id));
        row.map(|row| row.state.clone())
    }

    /// Something happens to something that was sent.
    fn far_side(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        // Links keep the order.
        let transmit = self.pending.remove(0);
        match self.rng.random_range(0..20) {
            0 => {
                let lapse = self.lapse();
                self.lab.give_back(&transmit, lapse);
            }
            1 => self.lab.lose(&transmit),
            _ => self.hand_over(transmit),
        }
    }

    fn hand_over(&mut self, transmit: Transmit) {
        self.assert_allowed(&transmit);
        let text = text_of(&transmit);
        self.lab.hand_over(&transmit);
        if text.starts_with("MESSAGE") {
            let count = self.arrived.entry(between(&text, "\r\n\r\ntext ", "."));
            *count.or_default() += u32::from(transmit.class == Class::Im);
            self.unanswered.push(transmit);
        } else if text.contains("type=\"error\"") {
            *self
                .returned
                .entry(between(&text, "id=\"", "\""))
                .or_default() += 1;
        } else {
            *self.taken.entry(between(&text, "id=\"", "\"")).or_default() += 1;
        }
    }

    fn lapse(&mut self) -> Lapse {
        let failure = Failure::new(Condition::RemoteServerNotFound, Blame::Peer);
        match self.rng.random_range(0..4) {
            0 => Lapse::Expired,
            1 => Lapse::Full,
            2 => Lapse::ReturnPathDown,
            _ => Lapse::Unreachable(failure),
        }
    }

    /// The SIP peer answers, or a link breaks before it does; some requests are never answered.
    fn peer_answers(&mut self) {
        if self.unanswered.is_empty() {
            return;
        }
        let at = self.rng.random_range(0..self.unanswered.len());
        let request = self.unanswered.remove(at);
        let id = between(&text_of(&request), "\r\n\r\ntext ", ".");
        match self.rng.random_range(0..10) {
            0 => self.lab.lose(&request),
            1 => {}
            2 => self.lab.answer(&request, 404),
            3 => self.lab.answer(&request, 100),
            _ => {
                self.lab.answer(&request, 200);
                if self.row(&id) == Some(ImState::Settled(Fate::Delivered)) {
                    self.answered.insert(id);
                }
            }
        }
    }

    /// The stream breaks, and Alice's server sends what it has no proof of again.
    fn stream_breaks(&mut self) {
        let old = self.lab.stream;
        self.lab.input(Input::StreamBroken(old));
        self.lab.stream = LinkId(old.0 + 10);
        for number in self.written.saturating_sub(3)..self.written {
            if self.was_accepted(&format!("m{number}")) && self.rng.random() {
                let user = self.addressee(number);
                let again = self.lab.stanza(&format!(
                    "<message from='alice@xmpp.example/balcony' to='{user}@sip.example' \
                     id='m{number}'><body>text m{number}.</body></message>"
                ));
                self.inputs.insert(again);
            }
        }
    }

    fn was_accepted(&self, id: &str) -> bool {
        self.lab.events.iter().any(|event| {
            matches!(event, Event::ImAccepted { sender_id, .. } if sender_id.as_deref() == Some(id))
        })
    }

    fn addressee(&self, number: u32) -> &'static str {
        let id = format!("m{number}");
        let to_bob = self.lab.journal.iter().any(|row| {
            row.sender_id.as_deref() == Some(&id) && row.pair.aor.as_str().starts_with("bob")
        });
        if to_bob { "bob" } else { "eve" }
    }

    fn restart(&mut self) {
        // What could not be stored before a crash is lost with it; that is another test.
        self.lab.disk_full = false;
        self.lab.pass(limits::STORE_PAUSE);
        while let Some(transmit) = self.lab.try_next() {
            self.note(transmit);
        }
        self.pending.clear();
        self.unanswered.clear();
        self.inputs.clear();
        self.answers.retain(|_, answers| !answers.is_empty());
        self.restarts += 1;
        self.lab.restart();
    }

    /// Everything works again, for long.
    fn settle_down(&mut self) {
        self.lab.recalled.clear();
        self.lab.disk_full = false;
        self.lab.input(Input::StoreReadOnly(false));
        for _ in 0..200 {
            self.lab.pass(seconds(5));
            while let Some(transmit) = self.lab.try_next() {
                self.note(transmit);
            }
            for transmit in std::mem::take(&mut self.pending) {
                self.hand_over(transmit);
            }
        }
    }

    fn check(&mut self) {
        for (_, conversation) in self.lab.shard.memory.iter_mut() {
            assert!(conversation.queue.waiting().count() <= limits::WAITING_PER_PAIR);
            assert!(conversation.inbound.0 <= limits::WAITING_PER_PAIR);
        }
        for (id, count) in &self.arrived {
            assert!(*count <= 1, "{id} was sent twice");
        }
        for (branch, answers) in &self.answers {
            assert!(answers.len() <= 1, "{branch} was answered {answers:?}");
        }
    }

    fn check_end(&mut self) {
        self.check();
        let accepted = self.keys(|event| {
            let Event::ImAccepted { key, direction, .. } = event else {
                return None;
            };
            (*direction == Direction::ToSip).then_some(*key)
        });
        let settled = self.keys(|event| {
            let Event::ImSettled { key, .. } = event else {
                return None;
            };
            Some(*key)
        });
        assert_eq!(settled.iter().collect::<BTreeSet<_>>().len(), settled.len());
        for key in accepted {
            assert!(settled.contains(&key), "an accepted message has no fate");
        }
        for row in &self.lab.journal {
            assert!(matches!(row.state, ImState::Settled(_)), "{row:?}");
            if row.direction == Direction::ToSip {
                self.check_row(row.sender_id.as_deref().unwrap());
            }
        }
        for number in &self.inputs {
            assert!(
                self.lab.is_settled(*number),
                "input {number} is not settled"
            );
        }
        self.check_answers();
    }

    /// A message of Alice's that was accepted or refused.
    fn check_row(&self, id: &str) {
        let arrived = self.arrived.get(id).copied().unwrap_or(0);
        let returned = self.returned.get(id).copied().unwrap_or(0);
        let untold = self.lab.events.iter().any(|event| {
            matches!(event, Event::ImSettled { sender_id, fate: Fate::Untold(_), .. }
                if sender_id.as_deref() == Some(id))
        });
        assert!(arrived + returned > 0 || untold, "{id} is lost");
        assert!(returned <= 1, "{id} was returned {returned} times");
        if self.answered.contains(id) {
            assert_eq!(
                (arrived, returned),
                (1, 0),
                "{id} was delivered and returned"
            );
        }
    }

    /// Requests of Bob's.
    fn check_answers(&self) {
        for number in 1..=self.written {
            let branch = format!("b{number}");
            let taken = self
                .taken
                .get(&format!("z9hG4bK{branch}"))
                .copied()
                .unwrap_or(0);
            let answers = self.answers.get(&branch).cloned().unwrap_or_default();
            let success = answers.first().is_some_and(|status| *status < 300);
            match self.accept {
                Accept::Barrier => {
                    assert!(
                        !success || taken == 1,
                        "{branch} answered 2xx, taken {taken} times"
                    );
                    assert!(taken <= 1, "{branch} was taken {taken} times");
                }
                Accept::Immediate => {
                    let row = format!("call-{branch} 1");
                    assert!(
                        !success || self.row(&row).is_some(),
                        "{branch} is not recorded"
                    );
                    let fate = self.row(&row);
                    let failed = matches!(fate, Some(ImState::Settled(Fate::Untold(_))));
                    assert!(!success || taken > 0 || failed, "{branch} is lost");
                }
            }
        }
    }

    fn keys<K>(&self, key: impl Fn(&Event) -> Option<K>) -> Vec<K> {
        self.lab.events.iter().filter_map(key).collect()
    }
}

fn between(text: &str, start: &str, end: &str) -> String {
    let rest = text.split_once(start).map_or("", |(_, rest)| rest);
    rest.split_once(end)
        .map_or("", |(found, _)| found)
        .to_owned()
}
