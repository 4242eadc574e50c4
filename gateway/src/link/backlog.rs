//! What a link has read and could not pass on yet.

use std::collections::VecDeque;

use translators::model::PeerId;
use translators::shard::Input;

use crate::ingress::Ingress;
use crate::peers::{PathKey, Peers};
use crate::shards::Inputs;

/// What was read and waits for room in the channel of a shard, in its order. While anything is in
/// here, nothing more is read.
#[derive(Debug)]
pub(super) struct Backlog {
    inputs: Inputs,
    peers: Peers,
    waiting: VecDeque<Item>,
}

#[derive(Debug)]
enum Item {
    /// The answer to a ping of ours; it says something about everything that was read before it.
    Answer(PeerId, PathKey, String),
    Input(u16, Input),
}

impl Backlog {
    pub(super) fn new(ingress: &Ingress, peers: &Peers) -> Self {
        Self {
            inputs: ingress.inputs().clone(),
            peers: peers.clone(),
            waiting: VecDeque::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Hands an input to its shard, or lets it wait behind others.
    pub(super) fn input(&mut self, shard: u16, input: Input) {
        let input = if self.waiting.is_empty() {
            self.inputs.try_send(shard, input).err()
        } else {
            Some(input)
        };
        self.waiting
            .extend(input.map(|input| Item::Input(shard, input)));
    }

    /// Passes on the answer to a ping, behind what was read before it.
    pub(super) fn answer(&mut self, peer: &PeerId, key: PathKey, ping: String) {
        if self.waiting.is_empty() {
            self.peers.answered(peer, &key, ping);
        } else {
            self.waiting
                .push_back(Item::Answer(peer.clone(), key, ping));
        }
    }

    /// Waits until the first of what waits can be passed on. Nothing is lost if this is dropped.
    pub(super) async fn hand_in(&mut self) {
        let Some(Item::Input(shard, _)) = self.waiting.front() else {
            return self.pass_on_answer();
        };
        let Some(permit) = self.inputs.reserve(*shard).await else {
            // The shards have ended: what comes now is for the next run, if it is sent again.
            return self.waiting.clear();
        };
        if let Some(Item::Input(shard, input)) = self.waiting.pop_front() {
            permit.send(shard, input);
        }
    }

    /// Passes everything on.
    pub(super) async fn empty(&mut self) {
        while !self.waiting.is_empty() {
            self.hand_in().await;
        }
    }

    fn pass_on_answer(&mut self) {
        if let Some(Item::Answer(peer, key, ping)) = self.waiting.pop_front() {
            self.peers.answered(&peer, &key, ping);
        }
    }
}
