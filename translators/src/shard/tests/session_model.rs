//! Random interleavings of a client with whims, of Alice and of the network: every message is
//! delivered once, or its sender is told that it failed.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::lab::{seconds, text_of};
use super::session_client::Client;
use super::session_lab::Talk;
use crate::model::Microsoft;
use crate::model::microsoft::Embedded;
use crate::shard::{ImState, Lapse, Transmit};

const RUNS: u64 = 120;
const STEPS: u32 = 120;

#[test]
fn every_message_arrives_once_or_its_sender_is_told() {
    for seed in 0..RUNS {
        for embedded in [Embedded::Wait, Embedded::Consume] {
            eprintln!("seed {seed}, {embedded:?}");
            let mut world = World::new(seed, embedded);
            for _ in 0..STEPS {
                world.step();
            }
            world.calm_down();
            world.check();
        }
    }
}

struct World {
    talk: Talk,
    client: Client,
    rng: StdRng,
    /// What left the gateway and did not arrive yet.
    wire: Vec<Transmit>,
    written: u32,
    /// The inputs that brought Alice's messages.
    inputs: Vec<u64>,
    /// Errors that Alice got, by identifier: how many, and whether they leave it open.
    returned: BTreeMap<String, Vec<bool>>,
    /// Texts of Bob's that Alice's server took.
    taken: Vec<String>,
    /// Those that it refused after it had taken them.
    late: Vec<String>,
    /// Those that it refused.
    refused: Vec<String>,
    calm: bool,
    restarts: u32,
    disk_was_full: bool,
}

impl World {
    fn new(seed: u64, embedded: Embedded) -> Self {
        Self {
            talk: Talk::with(Microsoft {
                embedded,
                ..Microsoft::default()
            }),
            client: Client::default(),
            rng: StdRng::seed_from_u64(seed),
            wire: Vec::new(),
            written: 0,
            inputs: Vec::new(),
            returned: BTreeMap::new(),
            taken: Vec::new(),
            late: Vec::new(),
            refused: Vec::new(),
            calm: false,
            restarts: 0,
            disk_was_full: false,
        }
    }

    fn step(&mut self) {
        match self.rng.random_range(0..100) {
            0..15 => {
                self.written += 1;
                let text = format!("a{}", self.written);
                let input = self.talk.alice_writes(&text, &text);
                self.inputs.push(input);
            }
            15..25 => self.client.write(&mut self.rng),
            25..28 => self.client.leave(),
            28..30 => self.client.forget(),
            30..55 => self.arrives(),
            55..70 => self.client_sends(),
            70..85 => self.client_answers(),
            85..97 => {
                let millis = self.rng.random_range(0..9_000);
                self.talk.pass(Duration::from_millis(millis));
            }
            97 => {
                self.talk.disk_full = !self.talk.disk_full;
                self.disk_was_full = true;
            }
            98 if self.rng.random_bool(0.3) => self.restart(),
            _ => self.alice_leaves(),
        }
        self.collect();
    }

    fn collect(&mut self) {
        while let Some(transmit) = self.talk.try_next() {
            self.wire.push(transmit);
        }
    }

    fn alice_leaves(&mut self) {
        self.talk.stanza(
            "<message from='alice@xmpp.example/balcony' to='bob@sip.example' type='chat'>\
             <gone xmlns='http://jabber.org/protocol/chatstates'/></message>",
        );
    }

    /// Something that the gateway sent arrives, or does not.
    fn arrives(&mut self) {
        if self.wire.is_empty() {
            return;
        }
        let transmit = self.wire.remove(0);
        let text = text_of(&transmit);
        if text.starts_with("SIP/2.0 ") {
            self.client.on_answer(&transmit, &mut self.rng);
            return self.talk.hand_over(&transmit);
        }
        if text.starts_with('<') {
            return self.stanza_arrives(&transmit, &text);
        }
        let trouble = if self.calm {
            99
        } else {
            self.rng.random_range(0..100)
        };
        match trouble {
            0..3 => self.talk.give_back(&transmit, Lapse::LinkDown),
            3..6 => {
                self.talk.hand_over(&transmit);
                if self.rng.random() {
                    self.client.on_request(&transmit, false, &mut self.rng);
                }
                self.talk.lose(&transmit);
            }
            _ => {
                self.talk.hand_over(&transmit);
                let calm = self.calm;
                self.client.on_request(&transmit, calm, &mut self.rng);
            }
        }
    }

    fn stanza_arrives(&mut self, transmit: &Transmit, text: &str) {
        let after = |mark: &str| {
            Some(
                text.split_once(mark)?
                    .1
                    .split(['"', '<'])
                    .next()?
                    .to_owned(),
            )
        };
        let id = after("id=\"");
        if text.contains("type=\"error\"") {
            let open = text.contains("may have arrived") || text.contains("<remote-server-timeout");
            self.returned.entry(id.unwrap()).or_default().push(open);
            return self.talk.hand_over(transmit);
        }
        let Some(body) = after("<body>") else {
            return self.talk.hand_over(transmit);
        };
        let refused = !self.calm && self.rng.random_bool(0.1);
        let late = self.rng.random();
        if !refused || late {
            self.talk.hand_over(transmit);
        }
        if refused {
            if late {
                self.late.push(body.trim().to_owned());
            }
            self.refused.push(body.trim().to_owned());
            let id = id.unwrap();
            self.talk.stanza(&format!(
                "<message from='alice@xmpp.example' to='bob@sip.example' type='error' id='{id}'>\
                 <error type='cancel'><service-unavailable \
                 xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>"
            ));
        } else {
            self.taken.push(body.trim().to_owned());
        }
    }

    fn client_sends(&mut self) {
        if let Some(request) = self.client.outbox.pop_front() {
            self.talk.request(&request);
        }
    }

    fn client_answers(&mut self) {
        let ready = |owed: &(Transmit, u16)| owed.1 != 0;
        let ready: Vec<usize> = (0..self.client.owed.len())
            .filter(|at| ready(&self.client.owed[*at]))
            .collect();
        if ready.is_empty() {
            return;
        }
        let at = ready[self.rng.random_range(0..ready.len())];
        let (transmit, status) = self.client.owed.remove(at);
        let text = text_of(&transmit);
        if text.starts_with("INVITE ") && status == 200 {
            let tag = format!("e{}", self.rng.random_range(0..1_000_000));
            let far = self.talk.takes(&transmit, &tag);
            self.client.on_taken(far, &mut self.rng);
        } else {
            if text.starts_with("INVITE ") && self.rng.random() {
                self.talk.answers(&transmit, 180, "ringing", None);
            }
            self.talk.answers(&transmit, status, "any", None);
        }
    }

    fn restart(&mut self) {
        if self.talk.disk_full {
            return;
        }
        self.restarts += 1;
        // What was on the wire is lost with the links; errors are owed on.
        self.collect();
        self.wire.clear();
        self.client.on_restart();
        self.client.outbox.clear();
        self.talk.restart();
    }

    /// Everybody does what is expected, until nothing is left to do.
    fn calm_down(&mut self) {
        self.calm = true;
        self.talk.disk_full = false;
        for _ in 0..60 {
            for _ in 0..200 {
                self.collect();
                self.arrives();
                self.client_sends();
                self.client_answers();
            }
            self.talk.pass(seconds(5));
        }
        self.collect();
    }

    fn check(&self) {
        assert!(self.wire.is_empty() && self.client.is_idle());
        let mut rows = self.talk.journal.iter();
        let open = rows.find(|row| !matches!(row.state, ImState::Settled(_)));
        assert_eq!(open, None);
        for (number, input) in (1..=self.written).zip(&self.inputs) {
            let text = format!("a{number}");
            let shown = self.client.shown.iter().filter(|one| **one == text).count();
            let errors = self.returned.get(&text).cloned().unwrap_or_default();
            let fine = match (shown, errors.as_slice()) {
                (1, []) | (0, [_]) | (1, [true]) => true,
                // Her server sends it again, since nobody said that it came.
                (0, []) => !self.talk.is_settled(*input),
                // An error that a restart caught on its way is told again.
                (0 | 1, [..]) => self.restarts > 0 && !errors.is_empty(),
                (2.., _) => false,
            };
            assert!(fine, "{text} was shown {shown} times, errors {errors:?}");
        }
        self.check_order();
        if self.restarts == 0 {
            assert_eq!(self.client.untold(), 0, "Bob waits for an answer");
        }
        for (text, status) in &self.client.told {
            let taken = self.taken.iter().filter(|one| *one == text).count();
            let late = self.late.contains(text);
            let fine = match status {
                200 if taken == 1 || late => true,
                // He is told in a line of its failure.
                200 => self.client.inside.contains(text) && self.refused.contains(text),
                // The XMPP side took its time.
                504 => taken <= 1,
                // The dialog of an INVITE was replaced before the message that repeated its text.
                481 if self.client.inside.contains(text) => taken <= 1,
                _ => taken == 0 || late,
            };
            assert!(fine || self.restarts > 0, "{text}: {status}, {taken}");
            let most = if self.restarts == 0 { 1 } else { 2 };
            assert!(taken <= most, "{text} was delivered {taken} times");
        }
    }

    /// Alice's texts keep their order, and Bob's do within one dialog.
    fn check_order(&self) {
        let number = |text: &String| -> u32 { text.get(1..).unwrap().parse().unwrap() };
        let shown: Vec<u32> = self
            .client
            .shown
            .iter()
            .filter(|text| text.starts_with('a'))
            .map(number)
            .collect();
        assert!(shown.is_sorted(), "{shown:?}");
        let mut taken: BTreeMap<&String, Vec<u32>> = BTreeMap::new();
        for text in &self.taken {
            let dialog = &self.client.dialog_of[text];
            taken.entry(dialog).or_default().push(number(text));
        }
        let in_order = taken.values().all(|texts| texts.is_sorted());
        // What shares a turn with a record that could not be stored waits for the disk.
        let troubled = self.restarts > 0 || self.disk_was_full;
        assert!(in_order || troubled, "{taken:?}");
    }
}
