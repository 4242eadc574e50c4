//! Drives the machine of SIP watchers through the rows of its table.

use std::time::Duration;

use bytes::Bytes;
use jid::BareJid;
use translators::documents::presence::Format;
use translators::limits;
use translators::mapping::presence::Report;
use translators::model::microsoft::Undecided;
use translators::model::{Mono, Now, Side, Tuple, Wall};
use translators::policy::Verdict;
use translators::presence::Composition;
use translators::presence::notifier::{
    Action, Asking, Keep, Link, Notifier, Outcome, Phase, Refresh, Refusal, Scene, Step, Subscribe,
};
use translators::sip::subscription::EventReason;
use translators::sip::{Dialog, Message, Tag};

use crate::s2x_case::{Case, Done};
use crate::s2x_words::words;

/// A relation with a clock, and what it did.
struct Lab {
    notifier: Notifier,
    scene: Scene,
    sip: Vec<String>,
    xmpp: Vec<String>,
    dialogs: u64,
    /// Whether answers carry documents.
    piggyback: bool,
}

/// What policy says of the pair in a state.
pub(crate) fn verdict_of(state: &str) -> Verdict {
    match state.chars().last().unwrap() {
        'b' => Verdict::Block,
        'c' => Verdict::Confirm,
        'p' => Verdict::PoliteBlock,
        _ => Verdict::Allow,
    }
}

/// Does what a row says and tells what came of it.
pub(crate) fn drive(case: &Case) -> Done {
    let mut lab = Lab::in_state(case);
    lab.before(case);
    lab.sip.clear();
    lab.xmpp.clear();
    lab.happens(case);
    lab.after(case);
    lab.pass_later();
    Done {
        next: lab.state(),
        sip: lab.sip,
        xmpp: lab.xmpp,
    }
}

impl Lab {
    fn new(verdict: Verdict) -> Self {
        let now = Now {
            mono: Mono::from_start(Duration::from_secs(100_000)),
            wall: Wall::from_unix_millis(1_800_000_000_000),
        };
        let long_ago = Now {
            mono: Mono::default(),
            wall: Wall::from_unix_millis(1_700_000_000_000),
        };
        Self {
            notifier: Notifier::new(verdict),
            scene: Scene {
                now,
                sip: Link::Up(long_ago),
                xmpp: Link::Up(long_ago),
                terminates: false,
                watched_back: false,
                ask_after: limits::ASK_AFTER,
                composition: Composition::Tuples,
                closes: None,
            },
            sip: Vec::new(),
            xmpp: Vec::new(),
            dialogs: 0,
            piggyback: false,
        }
    }

    /// Brings a new relation into a state by what happens to it.
    fn in_state(case: &Case) -> Self {
        let state = case.state;
        let word = case.condition.split(", ").next().unwrap_or_default();
        let named = Verdict::parse(word).filter(|_| state == "Y0");
        let mut lab = Self::new(match state {
            "Y0" if case.event != "verdict" => named.unwrap_or_default(),
            "Y0p" => Verdict::PoliteBlock,
            "Y0c" => Verdict::Confirm,
            _ => Verdict::Allow,
        });
        lab.dialect(case);
        match state {
            "Y0" => {}
            "Y0l" => lab.subscribe(true),
            "Y0p" | "Y0b" | "Y0c" if case.says("looked") => lab.subscribe(true),
            _ => lab.subscribe(false),
        }
        if state == "Y1a" || state.starts_with("Y2") || state.starts_with("Y3") {
            lab.available("a");
        }
        if state.starts_with("Y2") || state.starts_with("Y3") {
            lab.act(|notifier, scene| notifier.on_subscribed(scene));
        }
        if state.starts_with("Y3") || state == "Y1w" {
            lab.end();
        }
        if state == "Y4" {
            lab.act(|notifier, scene| notifier.on_unsubscribed(scene));
        }
        if state == "Y0b" || state.starts_with("Y2") || state.starts_with("Y3") {
            let verdict = verdict_of(state);
            lab.act(|notifier, scene| notifier.on_verdict(verdict, scene));
        }
        if case.says("10 min later") {
            lab.pass(limits::ASK_SPACING);
        }
        // What is asked for was taken, what was shown was accepted, changes were told.
        lab.act(|notifier, scene| notifier.on_handed_over(Asking::Subscribe, scene));
        lab.act(|notifier, scene| notifier.on_handed_over(Asking::Probe, scene));
        lab.pass(Duration::from_secs(20));
        assert_eq!(lab.state(), state);
        if case.event == "subscribe" && case.says("24 h later") {
            lab.advance(limits::DENY_HOLD);
        }
        lab
    }

    /// The dialect of the watcher's peer.
    fn dialect(&mut self, case: &Case) {
        if case.says("microsoft") {
            self.scene.closes = Some(Undecided::Active);
            self.scene.composition = Composition::Single;
        }
        if case.says("tells pending") {
            self.scene.closes = Some(Undecided::Pending);
        }
    }

    /// What is to be so before the event.
    fn before(&mut self, case: &Case) {
        let now = self.scene.now;
        self.piggyback = case.says("piggyback");
        if case.says("probe") || case.says("probe silent") || case.says("probe not handed over") {
            self.probe_anyhow();
        }
        if case.says("probe 5 s ago") {
            self.probe_anyhow();
            self.act(|notifier, scene| notifier.on_handed_over(Asking::Probe, scene));
            self.advance(Duration::from_secs(5));
        }
        if case.says("watched back") {
            self.scene.watched_back = true;
        }
        if case.says("not the last") {
            self.subscribe(false);
        }
        if case.says("terminates") {
            self.scene.terminates = true;
        }
        if case.says("down") {
            self.scene.sip = Link::Down(now);
        }
        if case.says("stale") {
            self.scene.xmpp = Link::Up(now);
        }
        if case.says("after a restart") {
            self.restart();
        }
        if case.says("other resource") {
            self.advance(Duration::from_secs(20));
        }
        if case.says("automatic") {
            *self = Self::new(Verdict::Allow);
            self.dialect(case);
            self.subscribe(false);
        }
        if case.says("request not handed over") {
            let endpoints = case.state == "Y1";
            *self = Self::new(Verdict::Allow);
            self.dialect(case);
            self.subscribe(false);
            if !endpoints {
                self.end();
            }
        }
    }

    /// Makes the relation probe, whatever it is in.
    fn probe_anyhow(&mut self) {
        match self.notifier.phase() {
            Phase::Watched | Phase::Dormant if self.notifier.verdict() != Verdict::Allow => {
                let verdict = self.notifier.verdict();
                self.act(|notifier, scene| notifier.on_verdict(Verdict::Allow, scene));
                self.act(|notifier, scene| notifier.on_resync(scene));
                self.act(|notifier, scene| notifier.on_verdict(verdict, scene));
            }
            Phase::Watched | Phase::Dormant => {
                self.act(|notifier, scene| notifier.on_resync(scene))
            }
            Phase::Absent | Phase::Denied => self.fetch(),
            Phase::Requested => self.request_behind_a_probe(),
        }
        assert!(
            self.xmpp.iter().any(|one| one == "probe"),
            "{:?}",
            self.xmpp
        );
    }

    /// A fetch, and then a request: the probe is still on its way.
    fn request_behind_a_probe(&mut self) {
        let state = self.state();
        let (closes, composition) = (self.scene.closes, self.scene.composition);
        *self = Self::new(Verdict::Allow);
        (self.scene.closes, self.scene.composition) = (closes, composition);
        self.fetch();
        self.subscribe(false);
        match state.as_str() {
            "Y1a" => {
                self.available("a");
                self.pass_later();
            }
            "Y1w" => self.end(),
            _ => {}
        }
        assert_eq!(self.state(), state);
    }

    fn happens(&mut self, case: &Case) {
        let tag = self.tag();
        let refresh = |unchanged| Refresh {
            tag,
            expires: 3_600,
            unchanged,
            format: Format::Pidf,
            adds: case.says("adds"),
            piggyback: self.piggyback,
        };
        let strange = Tag::new(&jid(), 99);
        match case.event {
            "subscribe" => self.subscribe(case.says("look")),
            "refresh" if case.says("unknown") => {
                let refresh = Refresh {
                    tag: strange,
                    ..refresh(false)
                };
                self.act(|notifier, scene| notifier.on_refresh(refresh, scene));
            }
            "refresh" => {
                let refresh = refresh(case.says("unchanged"));
                self.act(|notifier, scene| notifier.on_refresh(refresh, scene));
            }
            "end" if case.says("unknown") => {
                self.act(|notifier, scene| notifier.on_end(strange, scene));
            }
            "end" => self.act(|notifier, scene| notifier.on_end(tag, scene)),
            "expiry" => self.expire(case),
            "fetch" => self.fetch(),
            "subscribed" => self.act(|notifier, scene| notifier.on_subscribed(scene)),
            "unsubscribed" => self.act(|notifier, scene| notifier.on_unsubscribed(scene)),
            "error-no-user" => {
                self.act(|notifier, scene| notifier.on_error(Refusal::NoUser, scene))
            }
            "error-denied" => self.act(|notifier, scene| notifier.on_error(Refusal::Denied, scene)),
            "error-not-now" => {
                self.act(|notifier, scene| notifier.on_error(Refusal::NotNow, scene))
            }
            "available" if case.state == "Y1a" && !case.says("other resource") => {
                self.available("a");
            }
            "available" if case.says("same again") => self.available("a"),
            "available" => self.available("b"),
            "unavailable" => self.unavailable("a"),
            "unavailable-all" => self.unavailable(""),
            "verdict" => self.verdicts(case),
            "notify" => self.outcome(case, tag),
            "time" => self.time(case),
            "lost" => self.act(|notifier, scene| notifier.on_lost(scene)),
            "found" => self.act(|notifier, scene| notifier.on_found(scene)),
            "return" => self.act(|notifier, scene| notifier.on_return(scene)),
            "reached-out" => self.act(|notifier, _| notifier.on_reached_out()),
            "leave" => self.act(|notifier, scene| notifier.on_leave(scene)),
            "drop" => {
                self.act(|notifier, scene| notifier.on_drop(EventReason::NoResource, scene));
            }
            "resync" => self.act(|notifier, scene| notifier.on_resync(scene)),
            "undelivered-subscribe" => self.undelivered(Asking::Subscribe),
            "undelivered-probe" => {
                self.probe_anyhow();
                self.clear();
                self.undelivered(Asking::Probe);
            }
            other => panic!("unknown event {other}"),
        }
    }

    fn undelivered(&mut self, asking: Asking) {
        self.act(|notifier, scene| notifier.on_undelivered(asking, scene));
    }

    fn verdicts(&mut self, case: &Case) {
        let verdicts = match case.condition.split(", ").next() {
            Some("any") => Verdict::ALL.into_iter().rev().collect(),
            word => vec![Verdict::parse(word.unwrap()).unwrap()],
        };
        for verdict in verdicts {
            self.act(|notifier, scene| notifier.on_verdict(verdict, scene));
        }
    }

    fn expire(&mut self, case: &Case) {
        self.advance(Duration::from_secs(3_600));
        if case.says("returned") {
            self.scene.sip = Link::Up(self.scene.now);
            self.advance(limits::REFRESH_AFTER_RETURN - Duration::from_secs(1));
        }
        self.act(|notifier, scene| notifier.on_time(scene));
    }

    fn outcome(&mut self, case: &Case, tag: Tag) {
        let outcome = match case.condition.split(", ").next().unwrap() {
            "timeout" => Outcome::TimedOut,
            "no room" => Outcome::NoRoom,
            "unsent" => Outcome::Unsent,
            status => Outcome::of(status.split(' ').next().unwrap().parse().unwrap(), None),
        };
        self.act(|notifier, scene| notifier.on_outcome(tag, outcome, scene));
        if case.says("500 twice") {
            self.pass(limits::NOTIFY_AGAIN);
            self.clear();
            self.act(|notifier, scene| notifier.on_outcome(tag, outcome, scene));
        }
    }

    fn time(&mut self, case: &Case) {
        if case.says("60 s") {
            self.pass(limits::ASK_AFTER);
        } else if case.says("24 h") {
            self.pass(limits::DENY_HOLD);
        } else if case.says("probe silent") {
            let devices = ["a", "b"].into_iter();
            for device in devices.filter(|device| case.says(&format!("heard {device}"))) {
                self.available(device);
            }
            self.act(|notifier, scene| notifier.on_handed_over(Asking::Probe, scene));
            let time = limits::PROBE_ANSWER_TIME;
            self.pass(time - Duration::from_millis(1));
            assert!(self.sip.is_empty() || case.says("heard b"));
            self.advance(Duration::from_millis(1));
            self.act(|notifier, scene| notifier.on_time(scene));
        } else {
            self.pass(Duration::from_secs(60));
        }
    }

    /// What happens behind the event.
    fn after(&mut self, case: &Case) {
        if case.says("1 min later") {
            self.pass(Duration::from_secs(60));
        }
        if case.event.starts_with("error") && case.says("24 h later") {
            while self.tries_again() {
                self.act(|notifier, scene| notifier.on_error(Refusal::NotNow, scene));
            }
        }
        if case.says("30 s later") {
            self.pass(limits::NOTIFY_AGAIN);
        }
        if case.says("return") {
            self.scene.sip = Link::Up(self.scene.now);
            self.act(|notifier, scene| notifier.on_return(scene));
        }
        if case.says("found") {
            self.act(|notifier, scene| notifier.on_found(scene));
        }
        if case.says("available") || case.says("answered") {
            self.available("a");
        }
        if case.says("after 1 s") {
            self.pass(limits::FETCH_WAITS);
        }
        if case.says("silent") {
            self.act(|notifier, scene| notifier.on_found(scene));
            self.act(|notifier, scene| notifier.on_handed_over(Asking::Probe, scene));
            self.advance(limits::PROBE_ANSWER_TIME);
            self.act(|notifier, scene| notifier.on_time(scene));
        }
        if case.says("automatic") {
            self.pass_later();
            self.advance(limits::PRESENCE_FOLLOWS);
            let before = self.xmpp.len();
            self.act(|notifier, scene| notifier.on_time(scene));
            for asked in &mut self.xmpp[before..] {
                *asked = format!("after 2 s {asked}");
            }
        }
    }

    /// Waits for the next attempt, while the watcher refreshes; tells whether there was one.
    fn tries_again(&mut self) -> bool {
        let (asked, said) = (self.xmpp.len(), self.sip.len());
        let refresh = Refresh {
            tag: self.tag(),
            expires: 7_200,
            unchanged: true,
            format: Format::Pidf,
            adds: false,
            piggyback: false,
        };
        self.act(|notifier, scene| notifier.on_refresh(refresh, scene));
        self.sip.truncate(said);
        self.pass(limits::ASK_AGAIN_LAST);
        self.xmpp.len() > asked
    }

    /// The NOTIFYs about changes that have gathered.
    fn pass_later(&mut self) {
        let before = self.sip.len();
        self.advance(limits::NOTIFY_GATHERS);
        self.act(|notifier, scene| notifier.on_time(scene));
        for told in &mut self.sip[before..] {
            *told = format!("later {told}");
        }
    }

    fn restart(&mut self) {
        let record = self.notifier.record().unwrap();
        let seen = self.notifier.seen_record().map(<[u8]>::to_vec);
        let verdict = self.notifier.verdict();
        let now = self.scene.now.wall;
        self.notifier = Notifier::restore(&record, verdict, now).unwrap();
        if let Some(seen) = seen {
            self.notifier.restore_seen(&seen);
        }
    }

    fn subscribe(&mut self, look: bool) {
        let subscribe = self.asked(3_600, look);
        self.act(|notifier, scene| notifier.on_subscribe(subscribe, scene));
    }

    fn fetch(&mut self) {
        let subscribe = self.asked(0, false);
        self.act(|notifier, scene| notifier.on_fetch(subscribe, scene));
    }

    fn asked(&mut self, expires: u32, look: bool) -> Subscribe {
        self.dialogs += 1;
        let text = format!(
            "SUBSCRIBE sip:alice@xmpp.example SIP/2.0\r\n\
             Via: SIP/2.0/TLS edge.sip.example;branch=z9hG4bK{0}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:bob@sip.example>;tag=b\r\n\
             To: <sip:alice@xmpp.example>\r\nCall-ID: call{0}\r\nCSeq: 1 SUBSCRIBE\r\n\
             Contact: <sip:bob@10.0.0.1>\r\nEvent: presence\r\nContent-Length: 0\r\n\r\n",
            self.dialogs
        );
        let Message::Request(request) = Message::parse(Bytes::from(text)).unwrap() else {
            unreachable!("a request line");
        };
        Subscribe {
            dialog: Dialog::accepting(&request, Tag::new(&jid(), self.dialogs)).unwrap(),
            format: Format::Pidf,
            expires,
            look,
            piggyback: self.piggyback,
        }
    }

    fn end(&mut self) {
        let tag = self.tag();
        self.act(|notifier, scene| notifier.on_end(tag, scene));
    }

    fn available(&mut self, resource: &str) {
        self.report(Tuple::available(resource));
    }

    fn unavailable(&mut self, resource: &str) {
        self.report(Tuple::closed(resource));
    }

    fn report(&mut self, tuple: Tuple) {
        let report = Report { tuple, name: None };
        self.act(|notifier, scene| notifier.on_presence(report, scene));
    }

    /// The first subscription's tag.
    fn tag(&self) -> Tag {
        let first = self.notifier.endpoints().first();
        first.map_or_else(|| Tag::new(&jid(), 0), |endpoint| endpoint.tag())
    }

    fn clear(&mut self) {
        self.sip.clear();
        self.xmpp.clear();
    }

    fn advance(&mut self, span: Duration) {
        self.scene.now.mono = self.scene.now.mono + span;
        self.scene.now.wall = self.scene.now.wall + span;
    }

    /// Lets time pass; everything that is due happens on its time.
    fn pass(&mut self, span: Duration) {
        let end = self.scene.now.mono + span;
        while let Some(at) = self.notifier.deadline(&self.scene).filter(|at| *at <= end) {
            self.advance(at.since(self.scene.now.mono));
            self.act(|notifier, scene| notifier.on_time(scene));
            let next = self.notifier.deadline(&self.scene);
            assert!(next.is_none_or(|next| next > at), "no progress");
        }
        self.advance(end.since(self.scene.now.mono));
    }

    fn act(&mut self, event: impl FnOnce(&mut Notifier, &Scene) -> Step) {
        let before = (self.state(), self.tags(), self.notifier.record());
        let step = event(&mut self.notifier, &self.scene);
        self.notifier.on_written(&self.scene);
        let after = (self.state(), self.tags(), self.notifier.record());
        let kept = step.keep;
        if before.2 != after.2 {
            assert!(kept >= Keep::Lazy, "{before:?} {after:?} {kept:?}");
        }
        let durable = before.1 != after.1 || before.2.is_some() != after.2.is_some();
        assert!(
            !durable || kept >= Keep::Durable,
            "{before:?} {after:?} {kept:?}"
        );
        assert_eq!(
            kept == Keep::Gone,
            after.2.is_none() && kept != Keep::Same,
            "{after:?}"
        );
        for action in step.actions {
            self.note(&action);
        }
    }

    fn tags(&self) -> Vec<Tag> {
        self.notifier
            .endpoints()
            .iter()
            .map(|endpoint| endpoint.tag())
            .collect()
    }

    fn note(&mut self, action: &Action) {
        match words(action) {
            (Side::Sip, words) => self.sip.push(words),
            (Side::Xmpp, words) => self.xmpp.push(words),
        }
    }

    fn state(&self) -> String {
        let verdict = match self.notifier.verdict() {
            Verdict::Allow => "",
            Verdict::Block => "b",
            Verdict::Confirm => "c",
            Verdict::PoliteBlock => "p",
        };
        let watched = !self.notifier.endpoints().is_empty();
        let known = self.notifier.known(&self.scene);
        match self.notifier.phase() {
            Phase::Absent if !watched => "Y0".to_owned(),
            Phase::Absent if verdict.is_empty() => "Y0l".to_owned(),
            Phase::Absent => format!("Y0{verdict}"),
            Phase::Requested if known.is_some_and(|known| !known.is_offline()) => "Y1a".to_owned(),
            Phase::Requested if !watched => "Y1w".to_owned(),
            Phase::Requested => "Y1".to_owned(),
            Phase::Watched => format!("Y2{verdict}"),
            Phase::Dormant => format!("Y3{verdict}"),
            Phase::Denied => "Y4".to_owned(),
        }
    }
}

fn jid() -> BareJid {
    BareJid::new("alice@xmpp.example").unwrap()
}
