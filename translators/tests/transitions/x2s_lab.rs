//! One watcher in a state of the table, and what can happen to him.

use std::time::Duration;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use translators::model::{Microsoft, Mono, Now, PresenceState, Wall};
use translators::policy::Verdict;
use translators::presence::subscriber::{
    Action, Answered, Asking, Moment, Outfit, Purpose, Steps, Subscriber, Terms, Unfit, Word,
};
use translators::sip::HeaderName;
use translators::sip::{Branch, Message, NameAddr, Request, SentBy, SipUri, Tag, write_request};

use crate::x2s_texts::{alice, min_expires, notify, open, response};

pub(crate) const STATES: [&str; 8] = [
    "Absent",
    "Held",
    "AwaitingNotify",
    "Pending",
    "Active",
    "BackingOff",
    "Closing",
    "Denied",
];

/// What an event brought about, in the words of the table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) sip: Vec<String>,
    pub(crate) xmpp: Vec<String>,
    pub(crate) next: String,
}

pub(crate) struct Lab {
    pub(crate) machine: Subscriber,
    pub(crate) now: Now,
    pub(crate) verdict: Verdict,
    pub(crate) down: bool,
    pub(crate) terms: Terms,
    rng: StdRng,
    /// The last SUBSCRIBE of each purpose, and its Call-ID.
    asked: [Option<Asking>; 3],
    /// Which of them have no outcome yet.
    open: [bool; 3],
    call_id: String,
    notifies: u32,
    tags: u64,
}

const FIRST: usize = 0;
const REFRESH: usize = 1;
const END: usize = 2;

impl Lab {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            machine: Subscriber::new(),
            now: Now {
                mono: Mono::from_start(Duration::from_secs(10_000)),
                wall: Wall::from_unix_millis(1_800_000_000_000),
            },
            verdict: Verdict::Allow,
            down: false,
            terms: Terms::default(),
            rng: StdRng::seed_from_u64(seed),
            asked: [None; 3],
            open: [false; 3],
            call_id: "none".to_owned(),
            notifies: 100,
            tags: 0,
        }
    }

    /// The state in the words of the table.
    pub(crate) fn state(&self) -> &'static str {
        if self.machine.is_held() {
            return "Held";
        }
        self.machine.state_name()
    }

    pub(crate) fn pass(&mut self, span: Duration) {
        self.now = Now {
            mono: self.now.mono + span,
            wall: self.now.wall + span,
        };
    }

    /// Lets time pass until something is due.
    pub(crate) fn wait(&mut self) {
        let at = self.machine.next(self.down).expect("nothing is due");
        self.pass(at.since(self.now.mono));
    }

    /// Lets time pass until something is due, or for a while, and does it.
    pub(crate) fn let_time_pass(&mut self) {
        match self.machine.next(self.down) {
            Some(at) => self.pass(at.since(self.now.mono)),
            None => self.pass(Duration::from_secs(40)),
        }
        self.quietly(Subscriber::on_time);
    }

    /// Does what is due.
    pub(crate) fn act_on_time(&mut self) -> Outcome {
        self.act(Subscriber::on_time)
    }

    pub(crate) fn on<R>(&mut self, event: impl FnOnce(&mut Subscriber, &mut Moment<'_>) -> R) -> R {
        let mut moment = Moment {
            now: self.now,
            verdict: self.verdict,
            down: self.down,
            terms: self.terms,
            rng: &mut self.rng,
        };
        event(&mut self.machine, &mut moment)
    }

    /// Brings a new watcher into a state; the conditions that are about it tell it apart.
    pub(crate) fn put(&mut self, state: &str, conditions: &[String]) {
        let has = |word: &str| conditions.iter().any(|one| one == word);
        self.terms.microsoft |= has("microsoft");
        match state {
            "Absent" => {}
            "Held" => {
                self.verdict = Verdict::Confirm;
                self.quietly(|machine, moment| machine.on_subscribe(moment));
                self.verdict = Verdict::Allow;
            }
            "AwaitingNotify" => self.awaiting(has("granted"), !has("unsent")),
            "Pending" if has("granted") => {
                self.active();
                self.notify("pending;expires=3600", None).unwrap();
            }
            "Pending" => {
                self.awaiting(false, true);
                self.notify("pending;expires=3600", None).unwrap();
            }
            "Active" => self.active(),
            "BackingOff" => self.backing_off(&has),
            "Closing" => self.closing(&has),
            "Denied" if has("policy") => {
                self.put("Held", &[]);
                self.verdict = Verdict::Block;
                self.quietly(|machine, moment| machine.on_verdict(moment));
                self.verdict = Verdict::Allow;
            }
            "Denied" => {
                self.awaiting(false, true);
                self.answer(FIRST, 403, "");
            }
            other => panic!("unknown state {other}"),
        }
        assert_eq!(self.state(), state, "{conditions:?}");
        self.age(&has);
    }

    /// What is about the time that has passed, or about a refresh.
    fn age(&mut self, has: &impl Fn(&str) -> bool) {
        if has("old") || has("later") {
            self.pass(Duration::from_secs(61));
        }
        if has("refreshing") || has("refreshed") || has("failing") {
            self.wait();
            self.quietly(Subscriber::on_time);
        }
        if has("refreshed") {
            self.answer(REFRESH, 200, "Expires: 3600\r\n");
        }
        if has("failing") {
            self.answer(REFRESH, 500, "");
        }
        if has("hidden") || has("flapped") {
            self.down = true;
            self.quietly(|machine, moment| machine.on_peer_down(moment));
            self.pass(Duration::from_secs(if has("hidden") { 91 } else { 5 }));
            self.quietly(Subscriber::on_time);
            self.down = false;
        }
    }

    fn awaiting(&mut self, granted: bool, sent: bool) {
        let steps = if granted {
            self.on(|machine, moment| machine.on_probe(None, moment))
        } else {
            self.on(|machine, moment| machine.on_subscribe(moment))
        };
        if sent {
            self.outcome(Vec::new(), &steps);
            let asking = self.asked[FIRST].unwrap();
            self.on(|machine, moment| machine.on_written(asking, moment));
        }
    }

    fn active(&mut self) {
        self.awaiting(false, true);
        self.notify("active;expires=3600", Some("phone")).unwrap();
        self.machine.on_confirmed();
    }

    fn backing_off(&mut self, has: &impl Fn(&str) -> bool) {
        if has("never") {
            self.active();
            self.notify("terminated;reason=invariant", None).unwrap();
        } else if has("doubted") {
            self.active();
            self.age(&|word| word == "refreshing");
            self.answer(REFRESH, 403, "");
        } else if has("shown") {
            self.active();
            self.age(&|word| word == "refreshing");
            self.answer(REFRESH, 480, "Retry-After: 3600\r\n");
        } else if has("unreached") {
            self.awaiting(false, true);
            let asking = self.asked[FIRST].unwrap();
            self.quietly(|machine, moment| machine.on_unsent(asking, moment));
        } else {
            self.awaiting(has("granted"), true);
            let status = if has("rested") { 404 } else { 480 };
            self.answer(FIRST, status, "");
        }
        if has("rested") {
            self.pass(Duration::from_secs(31));
        }
        if has("forbidden") {
            self.verdict = Verdict::Block;
            self.quietly(|machine, moment| machine.on_verdict(moment));
            self.verdict = Verdict::Allow;
        }
    }

    fn closing(&mut self, has: &impl Fn(&str) -> bool) {
        let by_policy = [
            ("keeps", Verdict::Block),
            ("denies", Verdict::Block),
            ("holds", Verdict::Confirm),
        ];
        if let Some((word, verdict)) = by_policy.into_iter().find(|(word, _)| has(word)) {
            if word == "keeps" {
                self.active();
            } else {
                self.put("Pending", &[]);
            }
            self.verdict = verdict;
            self.quietly(|machine, moment| machine.on_verdict(moment));
            self.verdict = Verdict::Allow;
        } else if has("asked") {
            self.awaiting(false, true);
            self.quietly(|machine, _| machine.on_unsubscribe());
        } else {
            self.active();
            self.quietly(|machine, _| machine.on_unsubscribe());
        }
        if has("dialog") {
            self.notify("pending;expires=3600", None).unwrap();
        }
        if let Some(asking) = self.asked[END] {
            self.on(|machine, moment| machine.on_written(asking, moment));
        }
        if has("paid") {
            self.answer(END, 200, "Expires: 0\r\n");
        }
        if has("again") {
            self.quietly(|machine, moment| machine.on_subscribe(moment));
        }
    }

    /// An event of the table; none if it says nothing to the machine.
    pub(crate) fn event(&mut self, event: &str, conditions: &[String]) -> Outcome {
        let has = |word: &str| conditions.iter().any(|one| one == word);
        if let Some(verdict) = conditions.iter().find_map(|word| Verdict::parse(word)) {
            self.verdict = verdict;
        }
        self.down = has("down");
        self.terms.suspect = has("suspect");
        match event {
            "subscribe" => self.act(|machine, moment| machine.on_subscribe(moment)),
            "unsubscribe" => self.act(|machine, _| machine.on_unsubscribe()),
            "probe" => self.act(|machine, moment| machine.on_probe(Some("r".into()), moment)),
            "online" => self.act(|machine, moment| machine.on_online(moment.now)),
            "verdict" => self.act(|machine, moment| machine.on_verdict(moment)),
            "drop" => self.act(|machine, _| machine.on_drop()),
            "forget" => self.act(|machine, _| machine.on_forget(!has("watcher"))),
            "resync" => self.act(|machine, moment| machine.on_resync(moment)),
            "peer down" => self.act(|machine, moment| machine.on_peer_down(moment)),
            "peer up" => {
                let away = Duration::from_secs(if has("hidden") { 100 } else { 5 });
                if has("failing") {
                    let (_, end) = self.machine.dialog().unwrap();
                    self.pass(end.unwrap().since(self.now.mono));
                }
                self.quietly(|machine, moment| machine.on_peer_up(away, moment));
                self.act(|machine, _| machine.on_return())
            }
            "peer suspect" => {
                self.terms.suspect = true;
                self.act(Subscriber::on_suspect)
            }
            "stale answer" => {
                let tag = Tag::new(&alice(), 0);
                let purpose = Purpose::First;
                self.answered(Asking { tag, purpose }, 403, "", None)
            }
            "lost presence" | "lost subscribed" | "lost unsubscribed" => self.lost(event),
            _ if event.starts_with("NOTIFY") => self.event_notify(event, conditions),
            _ => self.event_time_or_answer(event, conditions),
        }
    }

    /// Timers, and what becomes of a SUBSCRIBE.
    fn event_time_or_answer(&mut self, event: &str, conditions: &[String]) -> Outcome {
        let has = |word: &str| conditions.iter().any(|one| one == word);
        let status = conditions.iter().find_map(|word| word.parse().ok());
        let document = has("document");
        match event {
            "timer N" => {
                self.pass(Duration::from_secs(33));
                self.act(Subscriber::on_time)
            }
            "expiry" => {
                let (_, end) = self.machine.dialog().unwrap();
                self.pass(end.unwrap().since(self.now.mono));
                self.act(Subscriber::on_time)
            }
            "grace" => {
                if self.down {
                    self.quietly(|machine, moment| machine.on_peer_down(moment));
                }
                self.wait();
                self.act(Subscriber::on_time)
            }
            "refresh time" | "retry time" | "doubt time" => {
                self.wait();
                self.act(Subscriber::on_time)
            }
            "no room" => {
                let asking = self.latest();
                let outcome = self.act(|machine, _| machine.on_no_room(asking));
                assert_eq!(self.machine.wants(), Some(asking.purpose));
                outcome
            }
            "unsent" => {
                let asking = self.latest();
                self.act(|machine, moment| machine.on_unsent(asking, moment))
            }
            "timer F" => {
                let asking = self.latest();
                self.act(|machine, moment| machine.on_timer_f(asking, moment))
            }
            "first accepted" => {
                let said = document.then(|| Some(open("laptop")));
                let asking = self.asked[FIRST].unwrap();
                let headers = if has("undecided") {
                    "subscription-state: PENDING\r\nExpires: 3600\r\n"
                } else {
                    "Expires: 3600\r\n"
                };
                self.answered(asking, 200, headers, said)
            }
            "first refused" if has("categories") => {
                let accept = "Accept: application/msrtc-event-categories+xml\r\n";
                self.answer(FIRST, status.unwrap(), accept)
            }
            "first refused" => self.answer(FIRST, status.unwrap(), min_expires(status)),
            "refresh accepted" if has("over") => {
                let over = "Subscription-State: terminated;expires=0\r\n";
                self.answer(REFRESH, 200, over)
            }
            "refresh accepted" => {
                let said = document.then(|| Some(open("laptop")));
                let asking = self.asked[REFRESH].unwrap();
                let number = if has("late") { 1 } else { 1_000 };
                let headers = format!("Expires: 3600\r\nms-piggyback-cseq: {number}\r\n");
                self.answered(asking, 200, &headers, said)
            }
            "refresh refused" => self.answer(REFRESH, status.unwrap(), min_expires(status)),
            "end accepted" if has("over") => {
                let over = "Expires: 0\r\nsubscription-state: terminated;expires=0\r\n";
                self.answer(END, 200, over)
            }
            "end accepted" => self.answer(END, 200, "Expires: 0\r\n"),
            "end refused" => self.answer(END, status.unwrap(), ""),
            other => panic!("unknown event {other}"),
        }
    }

    fn event_notify(&mut self, event: &str, conditions: &[String]) -> Outcome {
        let has = |word: &str| conditions.iter().any(|one| one == word);
        let device = has("document").then_some("laptop");
        match event {
            "NOTIFY active" => self.notified("active;expires=3600", device),
            "NOTIFY pending" => self.notified("pending;expires=3600", device),
            "NOTIFY terminated" => {
                let reasons = ["rejected", "giveup", "deactivated", "timeout"];
                match reasons.into_iter().find(|reason| has(reason)) {
                    Some(reason) => self.notified(&format!("terminated;reason={reason}"), None),
                    None => self.notified("terminated", None),
                }
            }
            "NOTIFY again" => {
                self.notifies -= 1;
                self.notified("active;expires=3600", Some("other"))
            }
            "NOTIFY old" => {
                self.notifies = 1;
                self.notified("active;expires=3600", Some("other"))
            }
            "NOTIFY foreign" => {
                let notify = self.request("active;expires=3600", "another");
                self.taken(&notify, None)
            }
            other => panic!("unknown event {other}"),
        }
    }

    fn lost(&mut self, event: &str) -> Outcome {
        let word = match event {
            "lost presence" => Word::Presence,
            "lost subscribed" => Word::Subscribed,
            _ => Word::Unsubscribed,
        };
        self.on(|machine, moment| machine.on_untold(word, moment));
        self.act(|machine, moment| machine.on_reachable(moment))
    }

    /// Whether a SUBSCRIBE that can be answered so is open: `first`, `refresh` or `end`.
    pub(crate) fn is_open(&self, purpose: &str) -> bool {
        let which = ["first", "refresh", "end"]
            .iter()
            .position(|one| *one == purpose);
        self.open[which.unwrap()]
    }

    /// Takes note that a SUBSCRIBE has its outcome.
    pub(crate) fn close(&mut self, purpose: &str) {
        let which = ["first", "refresh", "end"]
            .iter()
            .position(|one| *one == purpose);
        self.open[which.unwrap()] = false;
    }

    fn latest(&self) -> Asking {
        let tag = self.machine.tag();
        let latest = self.asked.iter().rev().flatten();
        *latest
            .clone()
            .find(|asking| Some(asking.tag) == tag)
            .unwrap()
    }

    fn act(&mut self, event: impl FnOnce(&mut Subscriber, &mut Moment<'_>) -> Steps) -> Outcome {
        let steps = self.on(event);
        self.outcome(Vec::new(), &steps)
    }

    fn quietly(&mut self, event: impl FnOnce(&mut Subscriber, &mut Moment<'_>) -> Steps) {
        self.act(event);
    }

    fn answer(&mut self, which: usize, status: u16, headers: &str) -> Outcome {
        let asking = self.asked[which].unwrap();
        self.answered(asking, status, headers, None)
    }

    fn answered(
        &mut self,
        asking: Asking,
        status: u16,
        headers: &str,
        said: Option<Option<PresenceState>>,
    ) -> Outcome {
        let response = response(&self.call_id, asking, status, headers);
        let answered = Answered {
            response: &response,
            said,
        };
        self.act(|machine, moment| machine.on_answer(asking, &answered, moment))
    }

    fn notify(&mut self, state: &str, device: Option<&str>) -> Result<Outcome, Unfit> {
        let notify = self.request(state, "b");
        let said = device.map(open);
        let steps = self.on(|machine, moment| machine.on_notify(&notify, said, moment))?;
        Ok(self.outcome(Vec::new(), &steps))
    }

    pub(crate) fn notified(&mut self, state: &str, device: Option<&str>) -> Outcome {
        let notify = self.request(state, "b");
        self.taken(&notify, device.map(open))
    }

    fn taken(&mut self, notify: &Request, said: Option<PresenceState>) -> Outcome {
        match self.on(|machine, moment| machine.on_notify(notify, said, moment)) {
            Ok(steps) => self.outcome(vec!["200".to_owned()], &steps),
            Err(unfit) => {
                let status = match unfit {
                    Unfit::Foreign => "481",
                    Unfit::Malformed => "400",
                    Unfit::Overtaken => "500",
                };
                self.outcome(vec![status.to_owned()], &Steps::default())
            }
        }
    }

    fn request(&mut self, state: &str, from: &str) -> Request {
        self.notifies += 1;
        let tag = self.machine.tag().unwrap_or_else(|| Tag::new(&alice(), 99));
        let call_id = if from == "b" || self.state() != "AwaitingNotify" {
            self.call_id.clone()
        } else {
            "another".to_owned()
        };
        notify(tag, from, &call_id, (self.notifies, state))
    }

    /// Does what the shard does; a SUBSCRIBE has its turn at once.
    fn outcome(&mut self, mut sip: Vec<String>, steps: &Steps) -> Outcome {
        let mut xmpp = Vec::new();
        for action in &steps.actions {
            let word = match action {
                Action::Ask => {
                    sip.extend(self.launch());
                    continue;
                }
                Action::Refusal(_) | Action::Recall | Action::Untag(_) => continue,
                Action::Replay { .. } | Action::Show { .. } => "full",
                Action::Subscribed => "subscribed",
                Action::Unavailable { .. } => "unavailable",
                Action::Unsubscribed => "unsubscribed",
                Action::Update { .. } => "changes",
                Action::Withdraw { .. } => "withdraw",
            };
            xmpp.push(word.to_owned());
        }
        let next = self.state().to_owned();
        Outcome { sip, xmpp, next }
    }

    /// Seconds that are usually asked for.
    const fn usual(&self) -> u32 {
        if self.terms.microsoft { 28_800 } else { 3_600 }
    }

    fn launch(&mut self) -> Option<String> {
        self.tags += 1;
        let uri = |text| SipUri::parse(text).unwrap();
        let sent_by = SentBy::new("gw.example", 5061).unwrap();
        let microsoft = self.terms.microsoft.then(Microsoft::default);
        let outfit = Outfit {
            from: NameAddr::new(None, uri("sip:alice@xmpp.example"), None),
            to: uri("sip:bob@sip.example"),
            to_pres: uri("pres:bob@sip.example"),
            tag: Tag::new(&alice(), self.tags),
            call_id: self.tags.into(),
            microsoft: microsoft.as_ref(),
            sent_by: &sent_by,
        };
        let launch = self.machine.launch(outfit)?;
        let branch = Branch::parse("z9hG4bK000000ab00070000000000000001").unwrap();
        let bytes = write_request(&launch.draft, &sent_by, branch);
        let Message::Request(request) = Message::parse(bytes).unwrap() else {
            unreachable!("a request");
        };
        self.call_id = request.call_id().unwrap().to_owned();
        let expires = request.expires().unwrap().unwrap();
        let introduces = request
            .body()
            .windows(8)
            .any(|octets| octets == b"<context");
        let accept = request.header(HeaderName::Accept).unwrap().raw;
        let form = match (introduces, accept.contains("categories")) {
            (false, false) => "",
            (true, false) => " context",
            (false, true) => " categories",
            (true, true) => " context categories",
        };
        let (which, word) = match launch.asking.purpose {
            Purpose::First => (FIRST, format!("SUBSCRIBE {expires}{form}")),
            Purpose::Refresh if expires == self.usual() => (REFRESH, "refresh".to_owned()),
            Purpose::Refresh => (REFRESH, format!("refresh {expires}")),
            Purpose::End => (END, format!("SUBSCRIBE {expires}")),
        };
        self.asked[which] = Some(launch.asking);
        self.open[which] = true;
        Some(word)
    }
}
