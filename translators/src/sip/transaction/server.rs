//! Server transactions.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use crate::limits;
use crate::model::{Mono, PeerId};
use crate::sip::transaction::keys::{ServerKey, merge_key};
use crate::sip::{Malformed, Method, Request};

/// The requests that one shard has received: those without a final answer, and for
/// [`limits::TIMER_F`] those that have one, so that a repetition gets the same bytes again.
#[derive(Debug, Default)]
pub struct ServerTransactions {
    known: HashMap<ServerKey, Server>,
    /// Requests by what a merged copy has in common with them.
    merges: HashMap<Arc<str>, ServerKey>,
    /// Answered requests with the time to forget them, oldest first.
    answered: VecDeque<(Mono, ServerKey)>,
}

/// A received request.
#[derive(Debug)]
struct Server {
    state: State,
    is_invite: bool,
    merge: Option<Arc<str>>,
}

/// States of a server transaction (RFC 3261 section 17.2, RFC 6026 section 7.1). Timer J, and H or L
/// for an INVITE, end those with an answer.
#[derive(Debug)]
enum State {
    Trying,
    Proceeding(Bytes),
    /// It has its final answer; an INVITE has one other than 2xx.
    Completed(Bytes),
    /// An INVITE whose refusal was acknowledged.
    Confirmed,
    /// An INVITE with a 2xx, which is sent again by who accepted it.
    Accepted,
}

/// What an arriving request is.
#[derive(Debug, PartialEq, Eq)]
pub enum Arrival {
    /// A new request; its answer is to be given under this key.
    New(ServerKey),
    /// One that was received before: send the same answer again, if there is one yet.
    Repeated(Option<Bytes>),
    /// The same request on another path: to be answered 482 (RFC 3261 section 8.2.2.2).
    Merged,
    /// No room for another unanswered request: to be answered 503.
    Full,
    /// The ACK of a 2xx, or of nothing that is known here. No ACK is answered.
    Ack,
    /// The ACK of a refusal: nothing is left to be done.
    Acknowledged,
    /// A new CANCEL; its answer is to be given under this key.
    Cancel(ServerKey, Cancelled),
}

/// What a CANCEL is about (RFC 3261 section 9.2).
#[derive(Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// This INVITE, which has no final answer: it gets 487, the CANCEL 200.
    Open(ServerKey),
    /// An INVITE that has its final answer: the CANCEL gets 200 and has no effect.
    TooLate,
    /// No INVITE that is known: the CANCEL gets 481.
    Unknown,
}

impl ServerTransactions {
    /// Starts without requests.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a request that came from `peer`. Requests of different peers are never the same.
    pub fn arrive(
        &mut self,
        peer: &PeerId,
        request: &Request,
        now: Mono,
    ) -> Result<Arrival, Malformed> {
        self.forget(now);
        let method = request.method();
        if method == Some(Method::Ack) {
            return Ok(self.acknowledge(&ServerKey::of_invite(peer, request)?));
        }
        let key = ServerKey::of(peer, request)?;
        let merge: Option<Arc<str>> = merge_key(peer, request)?.map(Into::into);
        if let Some(server) = self.known.get(&key) {
            return Ok(Arrival::Repeated(server.state.answer()));
        }
        if merge
            .as_ref()
            .is_some_and(|merge| self.merges.contains_key(merge))
        {
            return Ok(Arrival::Merged);
        }
        if self.known.len() >= limits::SERVER_TRANSACTIONS && !self.forget_oldest() {
            return Ok(Arrival::Full);
        }
        if let Some(merge) = &merge {
            self.merges.insert(merge.clone(), key.clone());
        }
        let server = Server {
            state: State::Trying,
            is_invite: method == Some(Method::Invite),
            merge,
        };
        self.known.insert(key.clone(), server);
        if method == Some(Method::Cancel) {
            let invite = ServerKey::of_invite(peer, request)?;
            return Ok(Arrival::Cancel(key, self.cancelled(invite)));
        }
        Ok(Arrival::New(key))
    }

    fn acknowledge(&mut self, invite: &ServerKey) -> Arrival {
        let Some(server) = self.known.get_mut(invite) else {
            return Arrival::Ack;
        };
        match server.state {
            State::Completed(_) => {
                server.state = State::Confirmed;
                Arrival::Acknowledged
            }
            State::Confirmed => Arrival::Acknowledged,
            // Some clients give the ACK of a 2xx the branch of the INVITE.
            State::Trying | State::Proceeding(_) | State::Accepted => Arrival::Ack,
        }
    }

    fn cancelled(&self, invite: ServerKey) -> Cancelled {
        match self.known.get(&invite).map(|server| &server.state) {
            None => Cancelled::Unknown,
            Some(State::Trying | State::Proceeding(_)) => Cancelled::Open(invite),
            Some(State::Completed(_) | State::Confirmed | State::Accepted) => Cancelled::TooLate,
        }
    }

    /// Remembers the answer to a request for its repetitions.
    pub fn answer(&mut self, key: &ServerKey, status: u16, response: Bytes, now: Mono) {
        let Some(server) = self.known.get_mut(key) else {
            return;
        };
        match server.state {
            State::Completed(_) | State::Confirmed | State::Accepted => {}
            State::Trying | State::Proceeding(_) if status < 200 => {
                server.state = State::Proceeding(response);
            }
            State::Trying | State::Proceeding(_) => {
                server.state = match status {
                    200..300 if server.is_invite => State::Accepted,
                    // It was written with room for more, and there may be many.
                    _ => State::Completed(Bytes::copy_from_slice(&response)),
                };
                self.answered
                    .push_back((now + limits::TIMER_F, key.clone()));
                if status == 503 {
                    self.allow_another_path(key);
                }
            }
        }
    }

    /// Takes an answer back that was not sent, so that another can be given.
    pub fn take_back(&mut self, key: &ServerKey) {
        if let Some(server) = self.known.get_mut(key) {
            server.state = State::Trying;
            self.answered.retain(|(_, other)| other != key);
        }
    }

    /// How many requests are remembered.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether no request is remembered.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// After 503 the sender tries the same request on another path (RFC 3263 section 4.3).
    fn allow_another_path(&mut self, key: &ServerKey) {
        let server = self.known.get_mut(key);
        if let Some(merge) = server.and_then(|server| server.merge.take()) {
            self.merges.remove(&merge);
        }
    }

    fn forget(&mut self, now: Mono) {
        while self.answered.front().is_some_and(|(at, _)| *at <= now) {
            self.forget_oldest();
        }
    }

    /// Forgets the request that was answered first; returns whether there was one.
    fn forget_oldest(&mut self) -> bool {
        let Some((_, key)) = self.answered.pop_front() else {
            return false;
        };
        self.allow_another_path(&key);
        self.known.remove(&key).is_some()
    }
}

impl State {
    /// What a repetition gets. Those of an accepted INVITE "are absorbed entirely within the server
    /// transaction" (RFC 6026 section 7.1).
    fn answer(&self) -> Option<Bytes> {
        match self {
            Self::Trying | Self::Confirmed | Self::Accepted => None,
            Self::Proceeding(response) | Self::Completed(response) => Some(response.clone()),
        }
    }
}
