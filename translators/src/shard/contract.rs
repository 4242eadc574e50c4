//! The values a shard exchanges with the shell.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use jid::BareJid;
use serde::{Deserialize, Serialize};

use crate::model::{
    Aor, Direction, Directory, Domain, Failure, InstantMessage, Lapse, LinkId, Mono, Pair, PeerId,
    Reason, Role, Side, Wall,
};
use crate::origin::Origin;
use crate::policy::{Affected, Policy, Verdict};
use crate::presence::{DocumentRecord, SubscriptionRecord};
use crate::sip::dialog::EndpointId;
use crate::sip::{Hosts, Mark, Request, Response};
use crate::xmpp::{Iq, Message, Presence};

/// What a shard is told once: its place among the shards and the name of the gateway on SIP.
#[derive(Clone, Debug)]
pub struct Place {
    /// Its number, counted from 0.
    pub number: u16,
    /// Marks the branches of this run of the gateway.
    pub mark: Mark,
    /// The names under which our domains are reached, for Via and Contact.
    pub hosts: Hosts,
}

/// What can happen to a shard.
#[derive(Debug)]
pub enum Input {
    /// The operator asks for something; the answer comes in [`Effects::answers`].
    Command(CommandId, Command),
    /// A transmit reached the peer: on SIP it was written to the link, on XMPP the barrier behind
    /// it was answered.
    HandedOver(TransmitId),
    /// The answer to an IQ of ours, from an XMPP user whose origin is proven.
    Iq(Origin, Box<Iq>),
    /// These transmits were written to a link that broke, and will not be sent again.
    LinkLost(PeerId, Vec<TransmitId>),
    /// These effects were not carried out, since their durable changes could not be made
    /// permanent: all of an [`Effects`] that had any, those of one turn together, in order.
    NotStored(Box<Effects>),
    /// The last link of a peer is gone: timers that need its answers rest.
    PeerDown(PeerId),
    /// A peer refuses what it granted, on a large scale (`true`), or the operator believes it again.
    PeerSuspect(PeerId, bool),
    /// A peer without links has one again.
    PeerUp(PeerId),
    /// The peers of the configuration changed.
    PeersChanged(Arc<Directory>),
    /// Policy changed, for those.
    PolicyChanged(Arc<Policy>, Affected),
    /// A presence stanza whose origin is proven, errors among them.
    Presence(Origin, Box<Presence>),
    /// A SIP request whose origin is proven, in a dialog or not.
    Request(Origin, Box<Request>),
    /// The same of a SIP user who watches as many XMPP users as he may: it is refused if it is for one
    /// more.
    RequestOfMany(Origin, Box<Request>),
    /// A SIP response that came from this peer.
    Response(PeerId, Box<Response>),
    /// A message stanza whose origin is proven, errors among them.
    Stanza(Origin, Box<Message>),
    /// The journal went read-only or came back; nothing is accepted meanwhile.
    StoreReadOnly(bool),
    /// An incoming stream broke without its closing tags: what it brought may come again.
    StreamBroken(LinkId),
    /// The time asked for in [`Effects::wake_at`] has come.
    Timeout,
    /// A transmit came back unsent.
    Undelivered(Box<Transmit>, Lapse),
}

/// What a shard wants done, in this order.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// Records to make permanent; the durable ones before anything below.
    pub changes: Vec<Change>,
    /// Inputs that need nothing more, by link and number.
    pub settled: Vec<(LinkId, u64)>,
    /// Lanes whose waiting transmits are to be dropped.
    pub recalls: Vec<Lane>,
    /// What to send.
    pub transmits: Vec<Transmit>,
    /// What happened, for log, counters and alarms.
    pub events: Vec<Event>,
    /// Answers for the operator.
    pub answers: Vec<(CommandId, Answered)>,
    /// When to call again if nothing happens before.
    pub wake_at: Option<Mono>,
}

/// Identifies a transmit for the life of the process: shard number and counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransmitId {
    /// The shard that made it.
    pub shard: u16,
    /// Its number there.
    pub number: u64,
}

/// What a transmit is, most urgent first: classes order what waits between keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Responses to messages and whatever else is of a conversation, and the ACKs of its INVITEs: go
    /// before other responses.
    Answer,
    /// Other responses, stanza errors and answers: wait for nothing else.
    Control,
    /// Instant messages.
    Im,
    /// Requests that make, change or end a subscription.
    Subscription,
    /// Presence.
    Presence,
    /// Typing; dropped first.
    Typing,
}

/// Transmits of one pair and one kind, in order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane {
    /// The two users.
    pub pair: Pair,
    /// What they are.
    pub kind: Kind,
}

/// What waits for a peer under one name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Where it keeps its order.
    pub lane: Lane,
    /// What of the lane it speaks of, a dialog or a resource; 0 where there is only one thing.
    pub item: u64,
}

impl Key {
    /// The key of the only thing in a lane.
    pub const fn of(pair: Pair, kind: Kind) -> Self {
        Self {
            lane: Lane { pair, kind },
            item: 0,
        }
    }
}

/// Lanes of a pair; the order within {Im, Typing} is kept, and within {Subscription, Presence} of
/// one role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Messages.
    Im,
    /// Typing: a newer one replaces a waiting one.
    Typing,
    /// What makes, changes or ends a subscription: never replaced.
    Subscription(Role),
    /// Presence: a newer one of the same key replaces a waiting one.
    Presence(Role),
}

/// One thing to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Its identifier.
    pub id: TransmitId,
    /// Where to.
    pub peer: PeerId,
    /// In the name of which of our domains: stream `from`, host of the From URI.
    pub local: Domain,
    /// For which of the peer's domains: stanza `to`, host of the Request-URI.
    pub remote: Domain,
    /// The only link that may carry it (responses).
    pub link: Option<LinkId>,
    /// Whether it is for another address of the peer than those that refused a request of late
    /// (RFC 3263 section 4.3); if there is none, it comes back.
    pub elsewhere: bool,
    /// What it is.
    pub class: Class,
    /// Under which key it waits; without one it waits for nothing. An answer with a key takes the
    /// place of what waits under it, and nothing takes its own.
    pub key: Option<Key>,
    /// The message or stanza, complete.
    pub bytes: Bytes,
    /// When to give it back if it could not be sent.
    pub give_up_at: Mono,
}

/// A change of what is kept on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Names it in logs.
    pub id: ChangeId,
    /// Whether what goes out with it depends on it; else it is written behind.
    pub durable: bool,
    /// The new row.
    pub record: Record,
}

/// A row of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// The last known presence of a relation.
    Document(DocumentRecord),
    /// A message.
    Im(ImRecord),
    /// A relation.
    Subscription(SubscriptionRecord),
}

impl Record {
    /// The message, if it is one.
    pub const fn im(&self) -> Option<&ImRecord> {
        match self {
            Self::Im(record) => Some(record),
            Self::Document(_) | Self::Subscription(_) => None,
        }
    }

    /// The pair it belongs to.
    pub const fn pair(&self) -> &Pair {
        match self {
            Self::Document(record) => &record.pair,
            Self::Im(record) => &record.pair,
            Self::Subscription(record) => &record.pair,
        }
    }
}

impl From<DocumentRecord> for Record {
    fn from(record: DocumentRecord) -> Self {
        Self::Document(record)
    }
}

impl From<ImRecord> for Record {
    fn from(record: ImRecord) -> Self {
        Self::Im(record)
    }
}

impl From<SubscriptionRecord> for Record {
    fn from(record: SubscriptionRecord) -> Self {
        Self::Subscription(record)
    }
}

/// What a start finds on the disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// When the backup was made that the file was put back from: numbers of dialogs may have been
    /// used since. `None` after an ordinary end or a crash.
    pub from_backup: Option<Wall>,
    /// Messages without a fate, and those that were settled of late, oldest first.
    pub ims: Vec<ImRecord>,
    /// Relations.
    pub subscriptions: Vec<SubscriptionRecord>,
    /// Documents.
    pub documents: Vec<DocumentRecord>,
}

/// Identifies a request of the operator for the life of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(pub u64);

/// What an operator may ask a shard for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Ends and forgets relations of a pair, without a word of `unsubscribed` to a granted watcher
    /// unless the other side is told so by its own protocol.
    Drop(Pair, Option<Role>),
    /// Ends the dialogs of a number of relations, and of others each time, so that nothing of this
    /// gateway is left (before it is taken away). The answer is how many those were: none at the end.
    DropSome,
    /// Forgets a deleted user of either side, a SIP user by the JID image of his AOR.
    Forget(BareJid),
    /// Takes leave of an XMPP user under an address of the SIP side that is given up: it watches him
    /// no longer, and is watched by him no longer. Answered when his server has taken it, or with
    /// nothing changed if that cannot be.
    GiveUp(Pair),
    /// Lists relations.
    List(Filter),
    /// Asks both sides for the current state of a pair again.
    Resync(Pair),
    /// Lets the XMPP user of the pair watch the SIP user, as one whom he was granted to see.
    Watch(Pair),
}

/// Which relations to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this pair only.
    pub pair: Option<Pair>,
    /// Of this user of either side only.
    pub user: Option<BareJid>,
    /// Only requests that wait for the operator.
    pub held: bool,
    /// At most so many.
    pub most: usize,
}

/// What a shard answers the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answered {
    /// So many relations were changed.
    Changed(usize),
    /// Relations, in the order of their pairs.
    Relations(Vec<Relation>),
}

/// One relation as the operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relation {
    /// The two users.
    pub pair: Pair,
    /// Which of them watches.
    pub role: Role,
    /// The state's name in the tables, in words.
    pub state: &'static str,
    /// What policy says.
    pub verdict: Verdict,
    /// Whether the authorization is granted.
    pub granted: bool,
    /// Whether a request waits for the operator.
    pub held: bool,
    /// Dialogs on SIP: Call-ID and when each ends.
    pub dialogs: Vec<(String, Wall)>,
    /// How many of them only look, so that the presentity was not asked on their behalf.
    pub looks: usize,
    /// Resources or tuples that are known to be available.
    pub available: usize,
    /// When the last presence came.
    pub fresh_at: Option<Wall>,
    /// When the next attempt is made, after failures.
    pub retry_at: Option<Wall>,
}

/// How a relation stands, as far as it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Standing {
    /// Which of the two users watches.
    pub role: Role,
    /// The state's name in the tables, in words.
    pub state: &'static str,
    /// Whether the authorization is granted.
    pub granted: bool,
}

/// Identifies a change for the life of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChangeId {
    /// The shard that made it.
    pub shard: u16,
    /// Its number there.
    pub number: u64,
}

/// Identifies a message in the journal, over restarts: 16 random octets, shown to people and taken
/// from them as hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImKey(pub [u8; 16]);

impl fmt::Display for ImKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// One message in the journal: what is waiting, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImRecord {
    /// Its key.
    pub key: ImKey,
    /// Which way it goes.
    pub direction: Direction,
    /// The two users.
    pub pair: Pair,
    /// The peer it came from.
    pub from_peer: PeerId,
    /// The sender's identifier of it: stanza id, or Call-ID and CSeq.
    pub sender_id: Option<String>,
    /// Digest of identifier, addresses and text, the same in every process; zero without an
    /// identifier. A peer that repeats the message after a crash is found out by it.
    pub fingerprint: u64,
    /// The message; `None` once it is settled, since nobody needs the text any more.
    pub message: Option<Arc<InstantMessage>>,
    /// When it was accepted, or for messages that are not journalled, when it came.
    pub accepted_at: Wall,
    /// When it bounces.
    pub deadline: Wall,
    /// Where it is.
    pub state: ImState,
}

/// Where a message of the journal is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImState {
    /// Accepted, not sent.
    Waiting,
    /// Sent, no final answer yet.
    Sent,
    /// Failed; its sender has to be told.
    Failing(Failure),
    /// Done.
    Settled(Fate),
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// The far side has it.
    Delivered,
    /// Its sender got an error.
    Bounced(Failure),
    /// Neither was promised (chat states, errors, empty messages).
    Dropped(Reason),
    /// It failed, and its sender could not be told.
    Untold(Failure),
}

/// What happened, for log, counters and alarms. Identities are for DEBUG only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Something that is no message was dropped on purpose: `input_dropped`.
    Dropped {
        /// From which side.
        side: Side,
        /// From which peer.
        peer: PeerId,
        /// Why.
        reason: Reason,
    },
    /// A SIP peer refuses for good what it had granted, which the shell counts (peer fault guard):
    /// `grant_refused`.
    GrantRefused {
        /// The SIP peer.
        peer: PeerId,
    },
    /// A message was accepted: `im_accepted`.
    ImAccepted {
        /// Its key.
        key: ImKey,
        /// The sender's identifier.
        sender_id: Option<String>,
        /// The two users.
        pair: Pair,
        /// Which way.
        direction: Direction,
    },
    /// The fate of a message is known: `im_settled`.
    ImSettled {
        /// Its key.
        key: ImKey,
        /// The sender's identifier.
        sender_id: Option<String>,
        /// The two users.
        pair: Pair,
        /// Which way.
        direction: Direction,
        /// What became of it.
        fate: Fate,
        /// Milliseconds from its arrival.
        after_millis: u64,
    },
    /// The document of a peer could not be read; the last state is kept: `document_unreadable`.
    DocumentUnreadable(PeerId),
    /// An error came after the answer was given: `im_late_error`.
    LateError {
        /// The sender's identifier.
        sender_id: Option<String>,
        /// The two users.
        pair: Pair,
        /// What the far side said.
        failure: Failure,
    },
    /// A limit of this name refuses something to users of a peer; told once in a while: `limit_hit`.
    LimitHit(PeerId, &'static str),
    /// So many relations more, or fewer, between users of two domains stand like this. Counted, not
    /// logged.
    Moved {
        /// Domain of the XMPP users.
        xmpp: Domain,
        /// Domain of the SIP users.
        sip: Domain,
        /// How they stand.
        standing: Standing,
        /// How many more; negative if fewer.
        by: i64,
    },
    /// An endpoint of a SIP user watches so many XMPP users more, or fewer. Counted, not logged.
    Watches {
        /// The SIP user.
        watcher: Aor,
        /// His endpoint.
        endpoint: EndpointId,
        /// How many more; negative if fewer.
        by: i64,
    },
    /// Presence that is for no user of the other side was dropped: `presence_dropped`.
    PresenceDropped(PeerId),
    /// The record of a relation cannot be read, and the relation is gone: `record_damaged`.
    RecordDamaged(Role),
    /// Something was refused before it reached a conversation: `input_refused`.
    Refused {
        /// From which side.
        side: Side,
        /// From which peer.
        peer: PeerId,
        /// What its sender was told.
        failure: Failure,
    },
    /// A response came that no open transaction waits for, or from another peer: `stray_response`.
    StrayResponse(PeerId),
    /// A peer refuses subscriptions for a fault of configuration, such as missing credentials or a
    /// loop: `subscribe_fault`.
    SubscribeFault {
        /// The SIP peer.
        peer: PeerId,
        /// Its status.
        status: u16,
    },
}
