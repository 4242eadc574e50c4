//! A shard with a clock, a journal and two peers around it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use minidom::Element;

use crate::limits;
use crate::model::{
    Accept, Dialect, Directory, Domain, LinkId, Mono, Now, Pair, PeerId, Profile, Role, SipProfile,
    Wall, XmppProfile,
};
use crate::origin::{self, Origin, Proven};
use crate::policy::{
    Affected, Defaults, Federation, Policy, Rule, Ruling, Scope, Subject, Verdict,
};
use crate::presence::{DocumentRecord, SubscriptionRecord};
use crate::shard::{
    Answered, CommandId, Effects, Event, Fate, ImRecord, ImState, Input, Lane, Lapse, Place,
    Record, Restored, Shard, Transmit,
};
use crate::sip::{Hosts, Mark, Message as SipMessage, Request, Response};
use crate::xmpp::Stanza;

/// The stream that stanzas come on.
pub(super) const STREAM: LinkId = LinkId(1);
/// The connection that SIP messages come on.
pub(super) const CONNECTION: LinkId = LinkId(2);

pub(super) struct Lab {
    pub(super) shard: Shard,
    pub(super) now: Now,
    /// Rows in the order in which they were first stored.
    pub(super) journal: Vec<ImRecord>,
    /// Rows of relations and of documents.
    pub(super) relations: BTreeMap<(Pair, Role), Bytes>,
    pub(super) documents: BTreeMap<(Pair, Role), Bytes>,
    /// Effects whose durable changes are not stored come back.
    pub(super) disk_full: bool,
    pub(super) stream: LinkId,
    pub(super) settled: Vec<(LinkId, u64)>,
    pub(super) events: Vec<Event>,
    /// Answers for the operator.
    pub(super) answers: Vec<(CommandId, Answered)>,
    /// Lanes that were called back.
    pub(super) recalled: Vec<Lane>,
    /// Questions about users, of which most tests take no notice.
    pub(super) cards: Vec<Transmit>,
    sent: VecDeque<Transmit>,
    refused: Vec<Effects>,
    directory: Arc<Directory>,
    policy: Arc<Policy>,
    wake_at: Option<Mono>,
    inputs: u64,
    starts: u32,
}

impl Lab {
    pub(super) fn new() -> Self {
        Self::with(Accept::Barrier, SipProfile::default())
    }

    pub(super) fn with(accept: Accept, sip: SipProfile) -> Self {
        let xmpp = Dialect::Xmpp(XmppProfile::default());
        let directory = Arc::new(Directory::new([
            profile("xmpp-peer", "xmpp.example", accept, xmpp),
            profile(
                "sip-peer",
                "sip.example",
                Accept::Barrier,
                Dialect::Sip(sip),
            ),
        ]));
        let start = Duration::from_secs(1_000);
        let now = Now {
            mono: Mono::from_start(start),
            wall: Wall::from_unix_millis(1_800_000_000_000),
        };
        let policy = Arc::new(Policy::default());
        Self {
            shard: shard(&directory, &policy, 0),
            now,
            journal: Vec::new(),
            relations: BTreeMap::new(),
            documents: BTreeMap::new(),
            disk_full: false,
            stream: STREAM,
            settled: Vec::new(),
            events: Vec::new(),
            answers: Vec::new(),
            recalled: Vec::new(),
            cards: Vec::new(),
            sent: VecDeque::new(),
            refused: Vec::new(),
            directory,
            policy,
            wake_at: None,
            inputs: 0,
            starts: 0,
        }
    }

    /// Federation policy denies everything to a SIP user.
    pub(super) fn denies(&mut self, aor: &str) {
        self.change_policy(denying(aor), Affected::All);
    }

    /// The operator decides on a pair or a user.
    pub(super) fn decides(&mut self, subject: Subject, verdict: Verdict) {
        let affected = Affected::of(&subject);
        let policy = self.policy.with(subject, verdict);
        self.change_policy(policy, affected);
    }

    /// The operator decides, and the shard does not live to see it.
    pub(super) fn shard_is_killed_while_the_operator_decides(
        &mut self,
        subject: Subject,
        verdict: Verdict,
    ) {
        self.policy = Arc::new(self.policy.with(subject, verdict));
    }

    fn change_policy(&mut self, policy: Policy, affected: Affected) {
        self.policy = Arc::new(policy);
        let policy = Arc::clone(&self.policy);
        self.input(Input::PolicyChanged(policy, affected));
    }

    pub(super) fn input(&mut self, input: Input) {
        let effects = self.shard.handle(input, self.now);
        self.carry_out(effects);
        while let Some(effects) = self.refused.pop() {
            let input = Input::NotStored(Box::new(effects));
            let effects = self.shard.handle(input, self.now);
            self.carry_out(effects);
        }
    }

    /// A stanza of the XMPP peer, in which the namespace is left out; returns its number.
    pub(super) fn stanza(&mut self, xml: &str) -> u64 {
        let origin = self.origin(self.stream, "xmpp-peer", "xmpp.example");
        let number = origin.number();
        let xml = xml.replacen("<message", "<message xmlns='jabber:client'", 1);
        let element: Element = xml.parse().unwrap();
        let Stanza::Message(message) = Stanza::read(element, &[domain("xmpp.example")]).unwrap()
        else {
            panic!("no message: {xml}");
        };
        self.input(Input::Stanza(origin, Box::new(message)));
        number
    }

    /// A text of Alice's for Bob.
    pub(super) fn alice_writes(&mut self, id: &str, text: &str) -> u64 {
        self.stanza(&format!(
            "<message from='alice@xmpp.example/balcony' to='bob@sip.example' id='{id}'>\
             <body>{text}</body></message>"
        ))
    }

    /// A MESSAGE of Bob's for Alice; returns its number.
    pub(super) fn bob_writes(&mut self, branch: &str, text: &str) -> u64 {
        self.request(&message(branch, "alice@xmpp.example", "text/plain", text))
    }

    pub(super) fn request(&mut self, text: &str) -> u64 {
        let origin = self.origin(CONNECTION, "sip-peer", "sip.example");
        let number = origin.number();
        self.input(Input::Request(origin, Box::new(request(text))));
        number
    }

    /// A request of somebody who watches as many users as he may.
    pub(super) fn request_of_many(&mut self, text: &str) {
        let origin = self.origin(CONNECTION, "sip-peer", "sip.example");
        self.input(Input::RequestOfMany(origin, Box::new(request(text))));
    }

    /// The answer of the SIP peer to a request.
    pub(super) fn answer(&mut self, transmit: &Transmit, status: u16) {
        self.answer_from("sip-peer", transmit, status);
    }

    pub(super) fn answer_from(&mut self, peer: &str, transmit: &Transmit, status: u16) {
        let mut text = format!("SIP/2.0 {status} Whatever\r\n");
        for line in text_of(transmit).lines() {
            let copied = ["Via:", "From:", "Call-ID:", "CSeq:"];
            if copied.iter().any(|name| line.starts_with(name)) {
                text.extend([line, "\r\n"]);
            } else if line.starts_with("To:") {
                text.extend([line, ";tag=b\r\n"]);
            }
        }
        text.push_str("Content-Length: 0\r\n\r\n");
        let response = response(&text);
        self.input(Input::Response(PeerId::new(peer), Box::new(response)));
    }

    pub(super) fn hand_over(&mut self, transmit: &Transmit) {
        self.input(Input::HandedOver(transmit.id));
    }

    pub(super) fn give_back(&mut self, transmit: &Transmit, lapse: Lapse) {
        self.input(Input::Undelivered(Box::new(transmit.clone()), lapse));
    }

    pub(super) fn lose(&mut self, transmit: &Transmit) {
        let input = Input::LinkLost(transmit.peer.clone(), vec![transmit.id]);
        self.input(input);
    }

    /// Lets time pass; everything that is due happens on its time.
    pub(super) fn pass(&mut self, span: Duration) {
        let end = self.now.mono + span;
        while let Some(at) = self.wake_at.filter(|at| *at <= end) {
            self.advance(at.since(self.now.mono));
            self.input(Input::Timeout);
            assert!(self.wake_at.is_none_or(|next| next > at), "no progress");
        }
        self.advance(end.since(self.now.mono));
    }

    fn advance(&mut self, span: Duration) {
        self.now.mono = self.now.mono + span;
        self.now.wall = self.now.wall + span;
    }

    /// Puts what was taken back in front.
    pub(super) fn put_back(&mut self, transmits: Vec<Transmit>) {
        for transmit in transmits.into_iter().rev() {
            self.sent.push_front(transmit);
        }
    }

    /// The next thing sent, if there is one.
    pub(super) fn try_next(&mut self) -> Option<Transmit> {
        self.sent.pop_front()
    }

    /// The next thing sent.
    pub(super) fn next(&mut self) -> Transmit {
        self.try_next().expect("nothing was sent")
    }

    /// The next thing sent, which is for the SIP peer and of that kind.
    pub(super) fn next_sip(&mut self, start: &str) -> Transmit {
        let transmit = self.next();
        let text = text_of(&transmit);
        assert!(text.starts_with(start), "{start} expected: {text}");
        transmit
    }

    /// The next thing sent, which is a stanza with all these words.
    pub(super) fn next_stanza(&mut self, words: &[&str]) -> Transmit {
        let transmit = self.next();
        let text = text_of(&transmit);
        assert!(text.starts_with("<message"), "a stanza expected: {text}");
        for word in words {
            assert!(text.contains(word), "{word} expected: {text}");
        }
        transmit
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.sent.is_empty()
    }

    pub(super) fn nothing(&self) {
        let sent: Vec<_> = self.sent.iter().map(text_of).collect();
        assert!(sent.is_empty(), "nothing expected: {sent:?}");
    }

    /// Starts the process anew with what the journal holds.
    pub(super) fn restart(&mut self) {
        self.starts += 1;
        self.sent.clear();
        self.stream = LinkId(self.stream.0 + 100);
        self.shard = shard(&self.directory, &self.policy, self.starts);
        let relations = self.relations.iter();
        let subscriptions = relations.map(|((pair, role), body)| SubscriptionRecord {
            pair: pair.clone(),
            role: *role,
            body: Some(body.clone()),
        });
        let documents = self.documents.iter();
        let documents = documents.map(|((pair, role), body)| DocumentRecord {
            pair: pair.clone(),
            role: *role,
            body: Some(body.clone()),
        });
        let restored = Restored {
            from_backup: None,
            ims: self.journal.clone(),
            subscriptions: subscriptions.collect(),
            documents: documents.collect(),
        };
        let effects = self.shard.restore(restored, self.now);
        self.carry_out(effects);
    }

    /// The states of the rows, in order.
    pub(super) fn states(&self) -> Vec<ImState> {
        self.journal
            .iter()
            .map(|record| record.state.clone())
            .collect()
    }

    /// The fates told so far.
    pub(super) fn fates(&self) -> Vec<Fate> {
        let fates = self.events.iter().filter_map(|event| match event {
            Event::ImSettled { fate, .. } => Some(fate.clone()),
            Event::DocumentUnreadable(_) | Event::SubscribeFault { .. } => None,
            Event::Dropped { .. }
            | Event::GrantRefused { .. }
            | Event::ImAccepted { .. }
            | Event::LateError { .. }
            | Event::LimitHit(..)
            | Event::Moved { .. }
            | Event::PresenceDropped(_)
            | Event::RecordDamaged(_)
            | Event::Refused { .. }
            | Event::StrayResponse(_)
            | Event::Watches { .. } => None,
        });
        fates.collect()
    }

    pub(super) fn is_settled(&self, number: u64) -> bool {
        self.settled.iter().any(|(_, settled)| *settled == number)
    }

    pub(super) fn origin(&mut self, link: LinkId, peer: &str, sender: &str) -> Origin {
        self.inputs += 1;
        let proven = Proven::new(link, PeerId::new(peer), [domain(sender)]);
        origin::verify(&proven, self.inputs, &domain(sender)).unwrap()
    }

    fn keep(&mut self, record: Record) {
        match record {
            Record::Document(record) => {
                keep_row(&mut self.documents, (record.pair, record.role), record.body);
            }
            Record::Im(record) => match self.journal.iter_mut().find(|row| row.key == record.key) {
                Some(row) => *row = record,
                None => self.journal.push(record),
            },
            Record::Subscription(record) => {
                keep_row(&mut self.relations, (record.pair, record.role), record.body);
            }
        }
    }

    /// Does what the shell does, in its order.
    fn carry_out(&mut self, effects: Effects) {
        self.wake_at = effects.wake_at;
        if self.disk_full && effects.changes.iter().any(|change| change.durable) {
            self.refused.push(effects);
            return;
        }
        for change in effects.changes {
            self.keep(change.record);
        }
        for input in effects.settled {
            assert!(!self.settled.contains(&input), "{input:?} settled twice");
            self.settled.push(input);
        }
        self.recalled.extend(effects.recalls.iter().cloned());
        for lane in effects.recalls {
            let waits = |one: &Transmit| one.key.as_ref().is_some_and(|key| key.lane == lane);
            let recalled: Vec<_> = self.sent.iter().filter(|one| waits(one)).cloned().collect();
            self.sent.retain(|one| !waits(one));
            for transmit in recalled {
                self.give_back(&transmit, Lapse::Recalled);
            }
        }
        let is_question = |one: &Transmit| one.bytes.starts_with(b"<iq ");
        let (cards, sent): (Vec<_>, Vec<_>) = effects.transmits.into_iter().partition(is_question);
        self.cards.extend(cards);
        self.sent.extend(sent);
        self.events.extend(effects.events);
        self.answers.extend(effects.answers);
    }
}

fn keep_row(rows: &mut BTreeMap<(Pair, Role), Bytes>, key: (Pair, Role), body: Option<Bytes>) {
    match body {
        Some(body) => rows.insert(key, body),
        None => rows.remove(&key),
    };
}

fn shard(directory: &Arc<Directory>, policy: &Arc<Policy>, start: u32) -> Shard {
    let place = Place {
        number: 3,
        mark: Mark(start),
        hosts: Hosts::only("gw.example", 5061).unwrap(),
    };
    let seed = u64::from(start) + 7;
    Shard::new(place, seed, Arc::clone(directory), Arc::clone(policy))
}

/// A policy that denies everything to a SIP user.
fn denying(aor: &str) -> Policy {
    let rule = Rule {
        ruling: Ruling::Deny,
        xmpp: Scope::Any,
        sip: Scope::parse(aor).unwrap(),
    };
    Policy::new(
        Federation::new(Ruling::Allow, vec![rule]),
        Defaults::default(),
    )
}

fn profile(name: &str, served: &str, accept: Accept, dialect: Dialect) -> Profile {
    Profile {
        id: PeerId::new(name),
        domains: vec![domain(served)],
        accept,
        dialect,
    }
}

pub(super) fn domain(name: &str) -> Domain {
    Domain::parse(name).unwrap()
}

pub(super) fn text_of(transmit: &Transmit) -> String {
    String::from_utf8(transmit.bytes.to_vec()).unwrap()
}

/// A MESSAGE of Bob's.
pub(super) fn message(branch: &str, to: &str, kind: &str, body: &str) -> String {
    format!(
        "MESSAGE sip:{to} SIP/2.0\r\n\
         Via: SIP/2.0/TLS edge.sip.example;branch=z9hG4bK{branch}\r\n\
         Max-Forwards: 70\r\n\
         From: <sip:bob@sip.example>;tag=b\r\n\
         To: <sip:{to}>\r\n\
         Call-ID: call-{branch}\r\n\
         CSeq: 1 MESSAGE\r\n\
         Content-Type: {kind}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

pub(super) fn request(text: &str) -> Request {
    match SipMessage::parse(text.to_owned().into()).unwrap() {
        SipMessage::Request(request) => request,
        SipMessage::Response(_) => panic!("no request: {text}"),
    }
}

pub(super) fn response(text: &str) -> Response {
    match SipMessage::parse(text.to_owned().into()).unwrap() {
        SipMessage::Response(response) => response,
        SipMessage::Request(_) => panic!("no response: {text}"),
    }
}

pub(super) const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// A little more than Timer F.
pub(super) const AFTER_TIMER_F: Duration =
    Duration::from_millis(limits::TIMER_F.as_millis() as u64 + 100);
