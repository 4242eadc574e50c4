//! A client as Microsoft's are, with whims: what it has heard and said, and what it still owes.

use std::collections::{BTreeMap, VecDeque};

use rand::RngExt as _;
use rand::rngs::StdRng;

use super::lab::text_of;
use super::session_lab::{Far, embedded, invite, media, tag_of, value};
use crate::shard::Transmit;

/// Bob's client.
#[derive(Default)]
pub(super) struct Client {
    /// Dialogs that it knows, by Call-ID; it writes in the last one.
    pub(super) dialogs: Vec<Far>,
    /// Texts that it showed, in order.
    pub(super) shown: Vec<String>,
    /// Status that Bob was told of each text of his.
    pub(super) told: BTreeMap<String, u16>,
    /// Requests on their way to the gateway.
    pub(super) outbox: VecDeque<String>,
    /// Requests of the gateway that it has not answered yet, with the answer.
    pub(super) owed: Vec<(Transmit, u16)>,
    /// Its INVITEs without final answer: Call-ID to the text inside, and whether it repeats it.
    inviting: BTreeMap<String, (Option<String>, bool)>,
    /// Its messages without final answer: Call-ID and CSeq to the text.
    sending: BTreeMap<(String, u32), String>,
    /// Texts that it wrote inside an INVITE.
    pub(super) inside: Vec<String>,
    /// The dialog of each text.
    pub(super) dialog_of: BTreeMap<String, String>,
    count: u32,
}

impl Client {
    /// Bob writes: in a dialog, else inside an INVITE.
    pub(super) fn write(&mut self, rng: &mut StdRng) {
        self.count += 1;
        let text = format!("b{}", self.count);
        if self.dialogs.is_empty() || rng.random_bool(0.1) {
            return self.invite(Some(text), rng);
        }
        self.say(text, rng);
    }

    fn invite(&mut self, text: Option<String>, rng: &mut StdRng) {
        self.count += 1;
        let branch = format!("i{}", self.count);
        let header = text
            .as_deref()
            .map(|text| embedded(&format!("{text} \r\n")));
        let sdp = media("m=message 5060 sip null");
        self.outbox
            .push_back(invite(&branch, &header.unwrap_or_default(), &sdp));
        self.inside.extend(text.clone());
        let call_id = format!("call-{branch}");
        self.dialog_of
            .extend(text.clone().map(|text| (text, call_id)));
        self.inviting
            .insert(format!("call-{branch}"), (text, rng.random()));
    }

    /// Says it, in one of the forms that clients have for the same text.
    fn say(&mut self, text: String, rng: &mut StdRng) {
        let (kind, body) = match rng.random_range(0..4) {
            0 => (
                "text/html; charset=UTF-8",
                format!("<DIV><B>{text}</B><BR></DIV>\r\n"),
            ),
            1 => (
                "multipart/alternative;boundary=x",
                format!(
                    "--x\r\nContent-Type: text/html\r\n\r\n<p>{text}\r\n--x\r\n\r\n{text}\r\n--x--"
                ),
            ),
            _ => ("text/plain; charset=UTF-8", text.clone()),
        };
        let Some(far) = self.dialogs.last_mut() else {
            return;
        };
        far.cseq += 1;
        let branch = format!("{}x{}", far.his, self.count);
        self.outbox
            .push_back(far.request("MESSAGE", far.cseq, &branch, kind, &body));
        self.dialog_of.insert(text.clone(), far.call_id.clone());
        self.sending.insert((far.call_id.clone(), far.cseq), text);
    }

    /// Bob closes the window.
    pub(super) fn leave(&mut self) {
        if let Some(mut far) = self.dialogs.pop() {
            far.cseq += 1;
            let branch = format!("{}bye", far.his);
            self.outbox
                .push_back(far.request("BYE", far.cseq, &branch, "", ""));
        }
    }

    /// Bob's client starts anew and knows nothing.
    pub(super) fn forget(&mut self) {
        self.dialogs.clear();
    }

    /// Takes an answer of the gateway.
    pub(super) fn on_answer(&mut self, transmit: &Transmit, rng: &mut StdRng) {
        let text = text_of(transmit);
        let status: u16 = text.get(8..11).unwrap().parse().unwrap();
        let (call_id, cseq) = (value(transmit, "Call-ID"), value(transmit, "CSeq"));
        let (number, method) = cseq.split_once(' ').unwrap();
        if status < 200 {
            return;
        }
        match method {
            "INVITE" => self.on_invite_answered(transmit, status, call_id, rng),
            "MESSAGE" => {
                let key = (call_id.clone(), number.parse().unwrap());
                if let Some(text) = self.sending.remove(&key) {
                    self.told.insert(text, status);
                }
                if matches!(status, 408 | 480 | 481) {
                    self.dialogs.retain(|far| far.call_id != call_id);
                }
            }
            _ => {}
        }
    }

    fn on_invite_answered(
        &mut self,
        transmit: &Transmit,
        status: u16,
        call_id: String,
        rng: &mut StdRng,
    ) {
        let Some((text, repeats)) = self.inviting.remove(&call_id) else {
            return;
        };
        if status >= 300 {
            self.told.extend(text.map(|text| (text, status)));
            return;
        }
        let far = Far {
            ours: tag_of(&value(transmit, "To")),
            his: format!("b{}", call_id.trim_start_matches("call-")),
            contact: value(transmit, "Contact")
                .trim_matches(['<', '>'])
                .to_owned(),
            cseq: 1,
            call_id,
        };
        self.outbox
            .push_back(far.request("ACK", 1, &format!("{}ack", far.his), "", ""));
        if rng.random_bool(0.5) {
            self.dialogs.clear();
        }
        self.dialogs.push(far);
        match text {
            Some(text) if repeats => self.say(text, rng),
            Some(text) => {
                self.told.insert(text, 200);
            }
            None => {}
        }
    }

    /// Takes a request of the gateway.
    pub(super) fn on_request(&mut self, transmit: &Transmit, calm: bool, rng: &mut StdRng) {
        let text = text_of(transmit);
        let method = text.split(' ').next().unwrap();
        let call_id = value(transmit, "Call-ID");
        let whim = if calm { 0 } else { rng.random_range(0..100) };
        let known = self.dialogs.iter().any(|far| far.call_id == call_id);
        let status = match (method, whim) {
            ("ACK", _) => return,
            ("BYE", _) => {
                self.dialogs.retain(|far| far.call_id != call_id);
                if known { 200 } else { 481 }
            }
            ("CANCEL", _) => {
                let called = |owed: &&mut (Transmit, u16)| value(&owed.0, "Call-ID") == call_id;
                if let Some((_, status)) = self.owed.iter_mut().find(called) {
                    *status = 487;
                }
                200
            }
            ("INVITE", 0..70) => 200,
            ("INVITE", 70..80) => 480,
            ("INVITE", 80..85) => 603,
            // Nobody looks at the screen.
            ("INVITE", _) => 0,
            ("INFO", _) => {
                if known {
                    200
                } else {
                    481
                }
            }
            ("MESSAGE", _) if !known => 481,
            ("MESSAGE", 0..80) => {
                let (_, body) = text.split_once("\r\n\r\n").unwrap();
                self.shown.push(body.to_owned());
                // Now and then its answer does not come.
                if whim > 75 { 0 } else { 200 }
            }
            ("MESSAGE", 80..85) => 480,
            ("MESSAGE", 85..90) => 486,
            ("MESSAGE", 90..95) => 408,
            ("MESSAGE", 95..97) => 404,
            ("MESSAGE", _) => 500,
            other => panic!("{other:?}"),
        };
        self.owed.push((transmit.clone(), status));
    }

    /// An INVITE of the gateway's is taken on this end.
    pub(super) fn on_taken(&mut self, far: Far, rng: &mut StdRng) {
        if rng.random_bool(0.7) {
            self.dialogs.clear();
        }
        self.dialogs.push(far);
    }

    /// Whether nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.outbox.is_empty() && self.owed.iter().all(|(_, status)| *status == 0)
    }

    /// How many texts Bob wrote of whose fate he was told nothing.
    pub(super) fn untold(&self) -> usize {
        self.sending.len() + self.inviting.len()
    }

    /// The gateway was started anew: it answers nothing that was asked before.
    pub(super) fn on_restart(&mut self) {
        self.sending.clear();
        self.inviting.clear();
        self.owed.clear();
    }
}
