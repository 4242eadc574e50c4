//! What the gateway does around a shard: a disk, a queue for each peer, and time.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jid::BareJid;
use translators::model::{
    Accept, Aor, Blame, Condition, Dialect, Directory, Domain, Failure, LinkId, Microsoft, Mono,
    Now, Pair, PeerId, Profile, Role, Side, SipProfile, Wall, XmppProfile,
};
use translators::origin::{self, Origin, Proven};
use translators::policy::{Affected, Policy, Subject, Verdict};
use translators::presence::{DocumentRecord, SubscriptionRecord};
use translators::shard::{
    Command, CommandId, Effects, Event, Input, Kind, Lapse, Place, Record, Restored, Shard,
    Transmit,
};
use translators::sip::{Hosts, Mark, Message};
use translators::xmpp::Stanza;

use crate::transition::{CONTACTS, USERS};

const XMPP: &str = "xmpp.example";
const SIP: &str = "sip.example";

/// How long a change waits that is written behind.
const BEHIND: Duration = Duration::from_secs(2);

/// How long what is for the SIP peer waits for its turn: its watchers do not ask again meanwhile.
const TURN: Duration = Duration::from_secs(20);

/// How a link breaks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut {
    /// Whether what was written last arrives.
    pub(crate) arrives: bool,
    /// Whether it is written again when there is a link.
    pub(crate) again: bool,
}

type Rows<R> = BTreeMap<(Pair, Role), R>;

pub(crate) struct Shell {
    shard: Shard,
    pub(crate) now: Now,
    policy: Arc<Policy>,
    directory: Arc<Directory>,
    relations: Rows<SubscriptionRecord>,
    documents: Rows<DocumentRecord>,
    /// Changes that are not on the disk, and since when.
    behind: Vec<(Mono, Record)>,
    pub(crate) disk_full: bool,
    pub(crate) is_doubted: bool,
    refused: VecDeque<Effects>,
    /// What waits for each side, and whether it has a link.
    queues: BTreeMap<Side, (bool, VecDeque<Transmit>)>,
    /// The side whose links break when the next thing is written to them.
    cut: BTreeMap<Side, Cut>,
    /// Until when what is for the SIP peer waits for its turn, on the links that it has.
    paced: Option<Mono>,
    /// What a shard made since it was last looked at.
    pub(crate) made: Vec<Transmit>,
    wake_at: Option<Mono>,
    links: u64,
    inputs: u64,
    starts: u32,
}

impl Shell {
    pub(crate) fn new(kind: crate::Peer) -> Self {
        let sip = SipProfile {
            microsoft: (kind == crate::Peer::Microsoft).then(Microsoft::default),
            ..SipProfile::default()
        };
        let directory = Arc::new(Directory::new([
            profile(XMPP, Dialect::Xmpp(XmppProfile::default())),
            profile(SIP, Dialect::Sip(sip)),
        ]));
        let policy = Arc::new(Policy::default());
        let sides = [Side::Sip, Side::Xmpp];
        let mut shell = Self {
            shard: shard(&directory, &policy, 0),
            now: Now {
                mono: Mono::from_start(Duration::from_secs(1_000)),
                wall: Wall::from_unix_millis(1_800_000_000_000),
            },
            policy,
            directory,
            relations: Rows::new(),
            documents: Rows::new(),
            behind: Vec::new(),
            disk_full: false,
            is_doubted: false,
            refused: VecDeque::new(),
            queues: sides.map(|side| (side, (false, VecDeque::new()))).into(),
            cut: BTreeMap::new(),
            paced: None,
            made: Vec::new(),
            wake_at: None,
            links: 1,
            inputs: 0,
            starts: 0,
        };
        shell.link(Side::Xmpp, true);
        shell.link(Side::Sip, true);
        shell
    }

    pub(crate) fn seconds(&self) -> u64 {
        self.now.mono.since_start().as_secs()
    }

    pub(crate) fn is_up(&self, side: Side) -> bool {
        self.queues[&side].0
    }

    /// The links of a peer break or come back; says whether that changed anything.
    pub(crate) fn link(&mut self, side: Side, up: bool) -> bool {
        let (is_up, waiting) = self.queues.get_mut(&side).unwrap();
        if *is_up == up {
            return false;
        }
        *is_up = up;
        // Answers have to use the link that their question came on.
        let bound: Vec<Transmit> = waiting
            .iter()
            .filter(|one| one.link.is_some())
            .cloned()
            .collect();
        waiting.retain(|one| one.link.is_none());
        self.links += 1;
        for transmit in bound {
            self.input(Input::Undelivered(Box::new(transmit), Lapse::LinkDown));
        }
        self.input(match up {
            true => Input::PeerUp(peer(side)),
            false => Input::PeerDown(peer(side)),
        });
        true
    }

    pub(crate) fn verdict(&self, pair: (usize, usize)) -> Verdict {
        self.policy.decide(&users(pair)).verdict
    }

    pub(crate) fn decides(&mut self, pair: (usize, usize), verdict: Verdict) {
        let subject = Subject::Pair(users(pair));
        let affected = Affected::of(&subject);
        self.policy = Arc::new(self.policy.with(subject, verdict));
        self.input(Input::PolicyChanged(Arc::clone(&self.policy), affected));
    }

    /// A stanza of the XMPP server, with its namespace left out.
    pub(crate) fn stanza(&mut self, xml: &str) {
        let xml = xml.replacen("<presence", "<presence xmlns='jabber:client'", 1);
        let element = xml.parse().unwrap();
        let stanza = Stanza::read(element, &[domain(XMPP)]).unwrap();
        let Stanza::Presence(presence) = stanza else {
            panic!("no presence: {xml}");
        };
        let origin = self.origin(Side::Xmpp);
        self.input(Input::Presence(origin, Box::new(presence)));
    }

    /// A request or response of the SIP peer.
    pub(crate) fn message(&mut self, text: &str) {
        match Message::parse(text.to_owned().into()).unwrap() {
            Message::Request(request) => {
                let origin = self.origin(Side::Sip);
                self.input(Input::Request(origin, Box::new(request)));
            }
            Message::Response(response) => {
                self.input(Input::Response(peer(Side::Sip), Box::new(response)));
            }
        }
    }

    fn origin(&mut self, side: Side) -> Origin {
        self.inputs += 1;
        let sender = domain(name(side));
        let link = LinkId(self.links * 2 + u64::from(side == Side::Sip));
        let proven = Proven::new(link, peer(side), [sender.clone()]);
        origin::verify(&proven, self.inputs, &sender).unwrap()
    }

    /// No link breaks any more.
    pub(crate) fn mends(&mut self) {
        self.cut.clear();
    }

    /// Nothing goes to the SIP peer for a while although it has links, as under a cap; or it does again.
    pub(crate) fn paces(&mut self, paced: bool) {
        self.paced = paced.then(|| self.now.mono + TURN);
    }

    pub(crate) fn cuts(&mut self, side: Side, cut: Cut) {
        self.cut.insert(side, cut);
    }

    /// The next thing that a peer gets, if its link is up. With it the link may break.
    pub(crate) fn deliver(&mut self) -> Option<(Side, Transmit)> {
        loop {
            let (side, transmit) = self.write()?;
            let Some(cut) = self.cut.remove(&side) else {
                self.input(Input::HandedOver(transmit.id));
                return Some((side, transmit));
            };
            self.break_off(side, &transmit, cut);
            if cut.arrives {
                return Some((side, transmit));
            }
        }
    }

    /// A link breaks behind something that was written to it.
    fn break_off(&mut self, side: Side, transmit: &Transmit, cut: Cut) {
        match side {
            // Written is all that is ever known of a request.
            Side::Sip => self.input(Input::HandedOver(transmit.id)),
            Side::Xmpp if cut.again => {
                let (_, waiting) = self.queues.get_mut(&side).unwrap();
                waiting.push_front(transmit.clone());
            }
            Side::Xmpp => self.input(Input::LinkLost(peer(side), vec![transmit.id])),
        }
        self.link(side, false);
    }

    fn write(&mut self) -> Option<(Side, Transmit)> {
        let paced = self.paced.is_some();
        let waits = |side: Side| paced && side == Side::Sip;
        let mut ready = self
            .queues
            .iter_mut()
            .filter(|(side, (up, _))| *up && !waits(**side));
        ready.find_map(|(side, (_, waiting))| Some((*side, waiting.pop_front()?)))
    }

    /// Goes on to `end`, or to what is due before; says whether that was all.
    pub(crate) fn advance(&mut self, end: Mono) -> bool {
        let due = self.wake_at.filter(|at| *at <= end);
        let waiting = self.queues.values().flat_map(|(_, waiting)| waiting);
        let given_up = waiting.map(|one| one.give_up_at).min();
        let given_up = given_up.filter(|at| *at <= end);
        let turn = self.paced.filter(|at| *at <= end);
        let next = [due, given_up, turn].into_iter().flatten().min();
        let at = next.unwrap_or(end).max(self.now.mono);
        let span = at.since(self.now.mono);
        self.now.mono = at;
        self.now.wall = self.now.wall + span;
        self.write_behind(BEHIND);
        self.paced = self.paced.filter(|turn| *turn > at);
        if given_up.is_some_and(|given_up| given_up <= at) {
            self.give_up();
        } else if due.is_some_and(|due| due <= at) {
            self.input(Input::Timeout);
            let next = self.wake_at;
            assert!(next.is_none_or(|next| next > at), "no progress at {at:?}");
        }
        next.is_none()
    }

    fn give_up(&mut self) {
        let now = self.now.mono;
        let mut expired = Vec::new();
        for (_, waiting) in self.queues.values_mut() {
            expired.extend(waiting.iter().filter(|one| one.give_up_at <= now).cloned());
            waiting.retain(|one| one.give_up_at > now);
        }
        for transmit in expired {
            self.input(Input::Undelivered(Box::new(transmit), Lapse::Expired));
        }
    }

    /// What the shell says once too many grants were refused, and once the operator says otherwise.
    pub(crate) fn doubts(&mut self, doubted: bool) {
        if self.is_doubted != doubted {
            self.is_doubted = doubted;
            self.input(Input::PeerSuspect(peer(Side::Sip), doubted));
        }
    }

    pub(crate) fn resyncs(&mut self, pair: (usize, usize)) {
        self.inputs += 1;
        let command = Command::Resync(users(pair));
        self.input(Input::Command(CommandId(self.inputs), command));
    }

    pub(crate) fn set_disk_full(&mut self, full: bool) {
        if self.disk_full != full {
            self.disk_full = full;
            self.input(Input::StoreReadOnly(full));
        }
    }

    /// Kills the process and starts it again; changes that were to be written behind are lost.
    pub(crate) fn restart(&mut self) {
        self.behind.clear();
        self.cut.clear();
        self.paced = None;
        self.refused.clear();
        self.made.clear();
        self.starts += 1;
        self.links += 1;
        let up: Vec<Side> = self
            .queues
            .keys()
            .copied()
            .filter(|side| self.is_up(*side))
            .collect();
        for (is_up, waiting) in self.queues.values_mut() {
            *is_up = false;
            waiting.clear();
        }
        self.shard = shard(&self.directory, &self.policy, self.starts);
        let restored = Restored {
            subscriptions: self.relations.values().cloned().collect(),
            documents: self.documents.values().cloned().collect(),
            ..Restored::default()
        };
        let effects = self.shard.restore(restored, self.now);
        self.carry_out(effects);
        if self.disk_full {
            self.input(Input::StoreReadOnly(true));
        }
        if self.is_doubted {
            self.input(Input::PeerSuspect(peer(Side::Sip), true));
        }
        for side in up {
            self.link(side, true);
        }
    }

    pub(crate) fn input(&mut self, input: Input) {
        let effects = self.shard.handle(input, self.now);
        self.carry_out(effects);
        while let Some(effects) = self.refused.pop_front() {
            let input = Input::NotStored(Box::new(effects));
            let effects = self.shard.handle(input, self.now);
            self.carry_out(effects);
        }
    }

    /// Does what a shell does, in its order.
    fn carry_out(&mut self, effects: Effects) {
        self.wake_at = effects.wake_at;
        if self.disk_full && effects.changes.iter().any(|change| change.durable) {
            self.refused.push_back(effects);
            return;
        }
        for change in effects.changes {
            if change.durable {
                let newer = change.record;
                self.behind.retain(|(_, older)| !is_row(older, &newer));
                self.store(newer);
            } else {
                self.behind.push((self.now.mono, change.record));
            }
        }
        for lane in effects.recalls {
            let waits = |one: &Transmit| one.key.as_ref().is_some_and(|key| key.lane == lane);
            self.take_back(waits, Lapse::Recalled);
        }
        for transmit in effects.transmits {
            self.queue(transmit);
        }
        for event in effects.events {
            assert!(!is_failure(&event), "{event:?}");
        }
    }

    fn queue(&mut self, transmit: Transmit) {
        if transmit.elsewhere {
            // The peer has one address.
            let failure = Failure::new(Condition::RemoteServerTimeout, Blame::Peer);
            let lapse = Lapse::Unreachable(failure);
            return self.take_in(Input::Undelivered(Box::new(transmit), lapse));
        }
        let presence = transmit
            .key
            .clone()
            .filter(|key| matches!(key.lane.kind, Kind::Presence(_)));
        if let Some(key) = presence {
            self.take_back(|one| one.key.as_ref() == Some(&key), Lapse::Replaced);
        }
        self.made.push(transmit.clone());
        let side = if transmit.peer == peer(Side::Sip) {
            Side::Sip
        } else {
            Side::Xmpp
        };
        let (_, waiting) = self.queues.get_mut(&side).unwrap();
        waiting.push_back(transmit);
    }

    /// Takes out of the queues what is meant; the shard is told.
    fn take_back(&mut self, meant: impl Fn(&Transmit) -> bool, lapse: Lapse) {
        let mut taken = Vec::new();
        for (_, waiting) in self.queues.values_mut() {
            taken.extend(waiting.iter().filter(|one| meant(one)).cloned());
            waiting.retain(|one| !meant(one));
        }
        for transmit in taken {
            self.take_in(Input::Undelivered(Box::new(transmit), lapse.clone()));
        }
    }

    /// Hands in what comes up while effects are carried out.
    fn take_in(&mut self, input: Input) {
        let effects = self.shard.handle(input, self.now);
        self.carry_out(effects);
    }

    /// Writes what waited for so long.
    fn write_behind(&mut self, age: Duration) {
        let now = self.now.mono;
        let full = self.disk_full;
        let due = |at: &Mono| now.since(*at) >= age && !full;
        let (write, keep) = std::mem::take(&mut self.behind)
            .into_iter()
            .partition(|(at, _)| due(at));
        self.behind = keep;
        let write: Vec<(Mono, Record)> = write;
        for (_, record) in write {
            self.store(record);
        }
    }

    fn store(&mut self, record: Record) {
        match record {
            Record::Document(row) => {
                keep(
                    &mut self.documents,
                    (row.pair.clone(), row.role),
                    row.body.is_some(),
                    row,
                );
            }
            Record::Subscription(row) => {
                keep(
                    &mut self.relations,
                    (row.pair.clone(), row.role),
                    row.body.is_some(),
                    row,
                );
            }
            Record::Im(row) => panic!("nobody writes messages: {row:?}"),
        }
    }
}

fn keep<R>(rows: &mut Rows<R>, key: (Pair, Role), stays: bool, row: R) {
    match stays {
        true => rows.insert(key, row),
        false => rows.remove(&key),
    };
}

/// Whether two changes are of one row.
fn is_row(one: &Record, other: &Record) -> bool {
    match (one, other) {
        (Record::Document(one), Record::Document(other)) => {
            (&one.pair, one.role) == (&other.pair, other.role)
        }
        (Record::Subscription(one), Record::Subscription(other)) => {
            (&one.pair, one.role) == (&other.pair, other.role)
        }
        _ => false,
    }
}

/// Whether an event says that the gateway itself is broken.
fn is_failure(event: &Event) -> bool {
    format!("{event:?}").starts_with("RecordDamaged")
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

fn profile(served: &str, dialect: Dialect) -> Profile {
    Profile {
        id: PeerId::new(served),
        domains: vec![domain(served)],
        accept: Accept::Barrier,
        dialect,
    }
}

const fn name(side: Side) -> &'static str {
    match side {
        Side::Sip => SIP,
        Side::Xmpp => XMPP,
    }
}

fn peer(side: Side) -> PeerId {
    PeerId::new(name(side))
}

fn domain(name: &str) -> Domain {
    Domain::parse(name).unwrap()
}

fn users((user, contact): (usize, usize)) -> Pair {
    let jid = |name: &str, domain: &str| BareJid::new(&format!("{name}@{domain}")).unwrap();
    let aor = Aor::from_image(jid(CONTACTS[contact], SIP));
    Pair::new(jid(USERS[user], XMPP), aor)
}
