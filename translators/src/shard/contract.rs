//! The values a shard exchanges with the shell.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::model::{
    Direction, Directory, Domain, Failure, InstantMessage, Lapse, LinkId, Mono, Pair, PeerId,
    Reason, Side, Wall,
};
use crate::origin::Origin;
use crate::policy::Policy;
use crate::sip::{Mark, Request, Response, SentBy};
use crate::xmpp::Message;

/// What a shard is told once: its place among the shards and the name of the gateway on SIP.
#[derive(Clone, Debug)]
pub struct Place {
    /// Its number, counted from 0.
    pub number: u16,
    /// Marks the branches of this run of the gateway.
    pub mark: Mark,
    /// What its Vias name.
    pub sent_by: SentBy,
}

/// What can happen to a shard.
#[derive(Debug)]
pub enum Input {
    /// A transmit reached the peer: on SIP it was written to the link, on XMPP the barrier behind
    /// it was answered.
    HandedOver(TransmitId),
    /// These transmits were written to a link that broke, and will not be sent again.
    LinkLost(PeerId, Vec<TransmitId>),
    /// These effects were not carried out, since their durable changes could not be made
    /// permanent: all of an [`Effects`] that had any, those of one turn together, in order.
    NotStored(Box<Effects>),
    /// The peers of the configuration changed.
    PeersChanged(Arc<Directory>),
    /// Federation policy changed.
    PolicyChanged(Arc<Policy>),
    /// A SIP request whose origin is proven.
    Request(Origin, Box<Request>),
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
    /// Keys whose waiting transmits are to be dropped.
    pub recalls: Vec<Key>,
    /// What to send.
    pub transmits: Vec<Transmit>,
    /// What happened, for log, counters and alarms.
    pub events: Vec<Event>,
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
    /// Responses, stanza errors and answers: wait for nothing.
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

/// What waits for a peer under one name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The two users.
    pub pair: Pair,
    /// Which of their lanes.
    pub kind: Kind,
}

/// Lanes of a pair; the order within {Im, Typing} is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Messages.
    Im,
    /// Typing: a newer one replaces a waiting one.
    Typing,
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
    /// What it is.
    pub class: Class,
    /// Under which key it waits; without one it waits for nothing.
    pub key: Option<Key>,
    /// The message or stanza, complete.
    pub bytes: Bytes,
    /// When to give it back if it could not be sent.
    pub give_up_at: Mono,
}

/// A change of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Names it in logs.
    pub id: ChangeId,
    /// Whether what goes out with it depends on it; else it is written behind.
    pub durable: bool,
    /// The new row.
    pub record: ImRecord,
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
    /// An error came after the answer was given: `im_late_error`.
    LateError {
        /// The sender's identifier.
        sender_id: Option<String>,
        /// The two users.
        pair: Pair,
        /// What the far side said.
        failure: Failure,
    },
    /// A presence stanza came; presence is not translated yet: `presence_dropped`.
    PresenceDropped(PeerId),
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
}
