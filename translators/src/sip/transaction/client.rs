//! Client transactions.

use std::collections::HashMap;
use std::sync::Arc;

use rand::Rng;

use crate::model::PeerId;
use crate::sip::transaction::invite::{Answered, InviteClient, Step};
use crate::sip::{Branch, Draft, Mark, Method, Response};

/// The requests of one shard that wait for a final answer. `C` is what the caller wants back with
/// the answer.
#[derive(Debug)]
pub struct ClientTransactions<C> {
    mark: Mark,
    shard: u16,
    open: HashMap<Branch, Client<C>>,
    invites: HashMap<Branch, InviteClient<C>>,
}

/// A request other than INVITE that waits.
#[derive(Debug)]
struct Client<C> {
    peer: PeerId,
    method: Method,
    context: C,
}

/// What a response means.
#[derive(Debug, PartialEq, Eq)]
pub enum Finished<C> {
    /// The final answer to a request other than INVITE.
    Final(C),
    /// An answer to an INVITE.
    Invite(C, Answered),
    /// The transaction goes on.
    Provisional,
    /// No open request asked this peer for it; it is to be ignored.
    Stray,
}

impl<C: Clone> ClientTransactions<C> {
    /// Starts without requests.
    pub fn new(mark: Mark, shard: u16) -> Self {
        Self {
            mark,
            shard,
            open: HashMap::new(),
            invites: HashMap::new(),
        }
    }

    /// Opens a transaction with `peer` and returns the branch for its Via. INVITE and ACK have their
    /// own ways: [`ClientTransactions::invite`] and [`ClientTransactions::branch`].
    pub fn start(
        &mut self,
        peer: PeerId,
        method: Method,
        context: C,
        rng: &mut impl Rng,
    ) -> Branch {
        let branch = self.branch(rng);
        let client = Client {
            peer,
            method,
            context,
        };
        self.open.insert(branch, client);
        branch
    }

    /// Opens an INVITE transaction with `peer` and returns the branch for its Via. The request is kept
    /// for its ACK and CANCEL.
    pub fn invite(
        &mut self,
        peer: PeerId,
        draft: Arc<Draft>,
        context: C,
        rng: &mut impl Rng,
    ) -> Branch {
        let branch = self.branch(rng);
        self.invites
            .insert(branch, InviteClient::new(peer, draft, context));
        branch
    }

    /// A branch of its own for the ACK of a 2xx, which nothing answers (RFC 3261 section 13.2.2.4).
    pub fn branch(&self, rng: &mut impl Rng) -> Branch {
        Branch::draw(self.mark, self.shard, rng)
    }

    /// Wants an INVITE cancelled. Returns the CANCEL, which goes out with the branch of the INVITE,
    /// if it may go out now; else it comes with the first 1xx.
    pub fn cancel(&mut self, branch: Branch) -> Option<Draft> {
        self.invites.get_mut(&branch)?.cancel()
    }

    /// Takes a response that came from `peer`. Only the peer that was asked is believed, and only
    /// with the method that it was asked (RFC 3261 section 17.1.3).
    pub fn finish(&mut self, peer: &PeerId, response: &Response) -> Finished<C> {
        let Some(branch) = response.branch() else {
            return Finished::Stray;
        };
        if let Some(invite) = self.invites.get_mut(&branch) {
            if invite.peer != *peer {
                return Finished::Stray;
            }
            return match invite.on_response(response) {
                Step::Goes(answered) => Finished::Invite(invite.context.clone(), answered),
                Step::Over(answered) => {
                    let context = invite.context.clone();
                    self.invites.remove(&branch);
                    Finished::Invite(context, answered)
                }
                Step::Quiet => Finished::Provisional,
                Step::Stray => Finished::Stray,
            };
        }
        let same_method = |client: &Client<C>| {
            response
                .cseq()
                .is_ok_and(|cseq| cseq.method == client.method.as_str())
        };
        match self.open.get(&branch) {
            Some(client) if client.peer == *peer && same_method(client) => {}
            Some(_) | None => return Finished::Stray,
        }
        if response.is_provisional() {
            return Finished::Provisional;
        }
        match self.expire(branch) {
            Some(context) => Finished::Final(context),
            None => Finished::Stray,
        }
    }

    /// Ends a transaction without an answer: Timer B, F or M, or a request that was not sent.
    pub fn expire(&mut self, branch: Branch) -> Option<C> {
        let invite = self.invites.remove(&branch).map(|invite| invite.context);
        invite.or_else(|| self.open.remove(&branch).map(|client| client.context))
    }

    /// How many requests wait.
    pub fn len(&self) -> usize {
        self.open.len() + self.invites.len()
    }

    /// Whether no request waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
