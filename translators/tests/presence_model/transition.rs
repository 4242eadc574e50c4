//! What can happen, in any order and in any state: what makes no sense then does nothing.

use proptest::collection::vec;
use proptest::prelude::*;
use translators::policy::Verdict;

/// How a device looks to a watcher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Look {
    Available,
    Away,
    Dnd,
}

impl Look {
    /// The show of XMPP; empty for plainly available.
    pub(crate) const fn show(self) -> &'static str {
        match self {
            Self::Available => "",
            Self::Away => "away",
            Self::Dnd => "dnd",
        }
    }

    pub(crate) fn of_show(show: &str) -> Self {
        match show {
            "" => Self::Available,
            "away" => Self::Away,
            "dnd" => Self::Dnd,
            other => panic!("nobody said {other}"),
        }
    }
}

/// Whether a SIP user lets an XMPP user see him.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Consent {
    Allow,
    Pending,
    Reject,
}

/// How the SIP peer takes the next SUBSCRIBEs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Well,
    /// It refuses all of them.
    Refuses(u16),
    /// It does not answer.
    Silent,
}

/// One step. Users, contacts and devices are numbers into the lists of the world.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Transition {
    /// An XMPP user adds a contact to his roster.
    Adds(usize, usize),
    /// He takes him off again, and takes back what he let him see.
    Removes(usize, usize),
    /// He answers a request, or changes his mind later.
    Decides(usize, usize, bool),
    /// A device of his appears or changes.
    Appears(usize, usize, Look),
    /// A device of his goes.
    Vanishes(usize, usize),
    /// A SIP user starts to watch an XMPP user, at one of his endpoints.
    Watches(usize, usize, usize),
    /// He stops.
    StopsWatching(usize, usize, usize),
    /// He asks for the state once.
    Fetches(usize, usize),
    /// A device of a SIP user appears, changes, or goes.
    Says(usize, usize, Option<Look>),
    /// A SIP user decides about a watcher.
    Consents(usize, usize, Consent),
    /// The SIP peer starts anew and forgets its subscriptions.
    Forgets,
    /// The operator has everything asked again about a pair.
    Resyncs(usize, usize),
    /// The SIP peer is not believed when it ends what it granted, or is again.
    Doubts(bool),
    /// The SIP peer behaves otherwise.
    Feels(Mood),
    /// The links to the XMPP server break, or come back.
    XmppLink(bool),
    /// The links to the SIP peer break, or come back.
    SipLink(bool),
    /// The links of the XMPP server (or the SIP peer) break when the next thing has been written to
    /// them; whether that arrives, and whether it is written again later.
    Cuts {
        xmpp: bool,
        arrives: bool,
        again: bool,
    },
    /// What is for the SIP peer waits although it has links, as under a cap, or goes out again.
    Paces(bool),
    /// The operator decides about a pair.
    Verdict(usize, usize, Verdict),
    /// The gateway is killed and starts again.
    Restarts,
    /// The disk is full, or has room again.
    DiskFull(bool),
    /// So many seconds pass.
    Passes(u64),
}

pub(crate) const USERS: [&str; 2] = ["alice", "carol"];
pub(crate) const CONTACTS: [&str; 2] = ["bob", "eve"];
pub(crate) const DEVICES: [&str; 2] = ["desk", "phone"];
pub(crate) const ENDPOINTS: usize = 2;

fn look() -> impl Strategy<Value = Look> {
    prop::sample::select(vec![Look::Available, Look::Away, Look::Dnd])
}

fn mood() -> impl Strategy<Value = Mood> {
    let status = prop::sample::select(vec![403, 404, 423, 480, 481, 489, 500, 503, 603]);
    prop_oneof![
        3 => Just(Mood::Well),
        3 => status.prop_map(Mood::Refuses),
        1 => Just(Mood::Silent),
    ]
}

fn verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![
        3 => Just(Verdict::Allow),
        1 => Just(Verdict::Confirm),
        1 => Just(Verdict::PoliteBlock),
        2 => Just(Verdict::Block),
    ]
}

fn consent() -> impl Strategy<Value = Consent> {
    prop_oneof![
        4 => Just(Consent::Allow),
        2 => Just(Consent::Pending),
        1 => Just(Consent::Reject),
    ]
}

fn transition() -> impl Strategy<Value = Transition> {
    // Most of it happens to one pair, the rest beside it.
    let one_of = |count: usize| prop_oneof![4 => Just(0), 1 => 0..count];
    let (user, contact) = (one_of(USERS.len()), one_of(CONTACTS.len()));
    let pair = || (user.clone(), contact.clone());
    let device = || 0..DEVICES.len();
    prop_oneof![
        6 => pair().prop_map(|(u, c)| Transition::Adds(u, c)),
        2 => pair().prop_map(|(u, c)| Transition::Removes(u, c)),
        6 => (pair(), prop::bool::weighted(0.8)).prop_map(|((u, c), yes)| Transition::Decides(u, c, yes)),
        8 => (user.clone(), device(), look()).prop_map(|(u, d, l)| Transition::Appears(u, d, l)),
        4 => (user.clone(), device()).prop_map(|(u, d)| Transition::Vanishes(u, d)),
        6 => (pair(), 0..ENDPOINTS).prop_map(|((u, c), e)| Transition::Watches(c, u, e)),
        2 => (pair(), 0..ENDPOINTS).prop_map(|((u, c), e)| Transition::StopsWatching(c, u, e)),
        1 => pair().prop_map(|(u, c)| Transition::Fetches(c, u)),
        8 => (contact.clone(), device(), prop::option::weighted(0.7, look()))
            .prop_map(|(c, d, l)| Transition::Says(c, d, l)),
        4 => (pair(), consent()).prop_map(|((u, c), consent)| Transition::Consents(c, u, consent)),
        1 => Just(Transition::Forgets),
        1 => pair().prop_map(|(u, c)| Transition::Resyncs(u, c)),
        1 => any::<bool>().prop_map(Transition::Doubts),
        2 => mood().prop_map(Transition::Feels),
        3 => prop::bool::weighted(0.6).prop_map(Transition::XmppLink),
        3 => prop::bool::weighted(0.6).prop_map(Transition::SipLink),
        2 => any::<(bool, bool, bool)>()
            .prop_map(|(xmpp, arrives, again)| Transition::Cuts { xmpp, arrives, again }),
        3 => prop::bool::weighted(0.6).prop_map(Transition::Paces),
        4 => (pair(), verdict()).prop_map(|((u, c), v)| Transition::Verdict(u, c, v)),
        2 => Just(Transition::Restarts),
        1 => prop::bool::weighted(0.4).prop_map(Transition::DiskFull),
        12 => prop_oneof![3 => 0_u64..2, 4 => 2_u64..100, 2 => 100_u64..4_000, 1 => 4_000_u64..90_000]
            .prop_map(Transition::Passes),
    ]
}

/// Two users who see each other.
pub(crate) const FRIENDS: [Transition; 5] = [
    Transition::Says(0, 0, Some(Look::Available)),
    Transition::Adds(0, 0),
    Transition::Appears(0, 0, Look::Away),
    Transition::Watches(0, 0, 0),
    Transition::Decides(0, 0, true),
];

/// A run.
pub(crate) fn transitions() -> impl Strategy<Value = Vec<Transition>> {
    let start = prop_oneof![Just(Vec::new()), Just(FRIENDS.to_vec())];
    (start, vec(transition(), 1..60)).prop_map(|(start, rest)| [start, rest].concat())
}
