//! Client and server transactions of requests other than INVITE (RFC 3261 section 17).
//!
//! On a reliable transport nothing is sent again: Timers E, J and K do not run. Timer F is the
//! caller's, since it begins when the request is written to the link. What is left is to know
//! which answer belongs to which request, and to recognise a request that was seen before.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use rand::Rng;

use crate::limits;
use crate::model::{Mono, PeerId};
use crate::sip::branch::COOKIE;
use crate::sip::{Branch, HeaderName, Malformed, Mark, Method, Request, Response};

/// The requests of one shard that wait for a final answer. `C` is what the caller wants back with
/// the answer.
#[derive(Debug)]
pub struct ClientTransactions<C> {
    mark: Mark,
    shard: u16,
    open: HashMap<Branch, Client<C>>,
}

/// A request that waits.
#[derive(Debug)]
struct Client<C> {
    peer: PeerId,
    method: Method,
    context: C,
}

/// What a response means.
#[derive(Debug, PartialEq, Eq)]
pub enum Finished<C> {
    /// The final answer.
    Final(C),
    /// The transaction goes on.
    Provisional,
    /// No open request asked this peer for it; it is to be ignored.
    Stray,
}

impl<C> ClientTransactions<C> {
    /// Starts without requests.
    pub fn new(mark: Mark, shard: u16) -> Self {
        Self {
            mark,
            shard,
            open: HashMap::new(),
        }
    }

    /// Opens a transaction with `peer` and returns the branch for its Via.
    pub fn start(
        &mut self,
        peer: PeerId,
        method: Method,
        context: C,
        rng: &mut impl Rng,
    ) -> Branch {
        let branch = Branch::draw(self.mark, self.shard, rng);
        let client = Client {
            peer,
            method,
            context,
        };
        self.open.insert(branch, client);
        branch
    }

    /// Takes a response that came from `peer`. Only the peer that was asked is believed, and only
    /// with the method that it was asked (RFC 3261 section 17.1.3).
    pub fn finish(&mut self, peer: &PeerId, response: &Response) -> Finished<C> {
        let Some((branch, client)) = self.asked(response) else {
            return Finished::Stray;
        };
        let same_method = |client: &Client<C>| {
            response
                .cseq()
                .is_ok_and(|cseq| cseq.method == client.method.as_str())
        };
        if client.peer != *peer || !same_method(client) {
            return Finished::Stray;
        }
        if response.is_provisional() {
            return Finished::Provisional;
        }
        match self.expire(branch) {
            Some(context) => Finished::Final(context),
            None => Finished::Stray,
        }
    }

    /// Ends a transaction without an answer: Timer F, or a request that was not sent.
    pub fn expire(&mut self, branch: Branch) -> Option<C> {
        self.open.remove(&branch).map(|client| client.context)
    }

    /// How many requests wait.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether no request waits.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    fn asked(&self, response: &Response) -> Option<(Branch, &Client<C>)> {
        let branch = response.branch()?;
        Some((branch, self.open.get(&branch)?))
    }
}

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

/// Names a received request (RFC 3261 section 17.2.3).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServerKey(Arc<str>);

/// A received request.
#[derive(Debug)]
struct Server {
    state: State,
    merge: Option<Arc<str>>,
}

/// States of a non-INVITE server transaction (RFC 3261 section 17.2.2).
#[derive(Debug)]
enum State {
    Trying,
    Proceeding(Bytes),
    Completed(Bytes),
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
        let key = ServerKey(transaction_key(peer, request)?.into());
        let merge: Option<Arc<str>> = merge_key(peer, request)?.map(Into::into);
        self.forget(now);
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
        let state = State::Trying;
        self.known.insert(key.clone(), Server { state, merge });
        Ok(Arrival::New(key))
    }

    /// Remembers the answer to a request for its repetitions.
    pub fn answer(&mut self, key: &ServerKey, status: u16, response: Bytes, now: Mono) {
        let Some(server) = self.known.get_mut(key) else {
            return;
        };
        match server.state {
            State::Completed(_) => {}
            State::Trying | State::Proceeding(_) if status < 200 => {
                server.state = State::Proceeding(response);
            }
            State::Trying | State::Proceeding(_) => {
                server.state = State::Completed(response);
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
    fn answer(&self) -> Option<Bytes> {
        match self {
            Self::Trying => None,
            Self::Proceeding(response) | Self::Completed(response) => Some(response.clone()),
        }
    }
}

/// What two copies of one request have in common: the branch, who sent it and the method; where
/// the branch is not of RFC 3261, everything that RFC 2543 compared. Inner clients of Lync send no
/// branch at all.
fn transaction_key(peer: &PeerId, request: &Request) -> Result<String, Malformed> {
    let via = request.top_via()?;
    let method = request.method_name();
    let branch = via.branch.filter(|branch| is_unique(branch));
    if let Some(branch) = branch {
        let host = via.host.to_ascii_lowercase();
        let port = via.port.unwrap_or(0);
        return Ok(format!("{peer}\n{branch}\n{host}:{port}\n{method}"));
    }
    let (from, to) = (request.from()?, request.to()?);
    Ok(format!(
        "{peer}\n{}\n{:?}\n{:?}\n{}\n{} {method}\n{}",
        request.raw_uri(),
        from.tag(),
        to.tag(),
        request.call_id()?,
        request.cseq()?.number,
        request.required(HeaderName::Via)?.raw,
    ))
}

/// Whether a branch has the cookie and anything behind it (RFC 4475 section 3.2.1 has one that
/// has not).
fn is_unique(branch: &str) -> bool {
    branch
        .strip_prefix(COOKIE)
        .is_some_and(|rest| !rest.is_empty())
}

/// What merged copies of one request have in common; none for a request in a dialog, or without
/// a From tag as in RFC 2543.
fn merge_key(peer: &PeerId, request: &Request) -> Result<Option<String>, Malformed> {
    let (from, to) = (request.from()?, request.to()?);
    let Some(tag) = from.tag().filter(|_| to.tag().is_none()) else {
        return Ok(None);
    };
    let (call_id, cseq, tag) = (request.call_id()?, request.cseq()?, tag.as_str());
    let (number, method) = (cseq.number, cseq.method);
    Ok(Some(format!("{peer}\n{call_id}\n{number} {method}\n{tag}")))
}
