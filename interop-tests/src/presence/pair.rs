//! One XMPP user and one SIP user, both scripted, with the gateway between them: for faults that no
//! real server can be told to have.

use std::time::Duration;

use anyhow::Result;
use minidom::Element;

use super::scene::{ROMEO, is, romeo_is, says};
use crate::bridge::ScriptedBridge;
use crate::inbox::PATIENCE;
use crate::sip_agent::{Notification, Presentity, Watch};
use crate::xml::Look;

/// The XMPP user.
pub const JULIET: &str = "juliet@peer.example";

/// Both users and everything between them.
#[derive(Debug)]
pub struct ScriptedPair {
    /// The peers and the gateway.
    pub bridge: ScriptedBridge,
}

impl ScriptedPair {
    /// Juliet lets in who asks, and Romeo has a state.
    pub fn new(bridge: ScriptedBridge) -> Self {
        bridge.peer.change(|script| script.lets_in = true);
        bridge.agent.presentity("romeo").has(romeo_is("", "in"));
        Self { bridge }
    }

    /// Romeo.
    pub fn romeo(&self) -> Presentity {
        self.bridge.agent.presentity("romeo")
    }

    /// Juliet sends something to Romeo.
    pub async fn juliet(&self, kind: &str, children: &str) -> Result<()> {
        self.bridge
            .peer
            .presence("juliet", ROMEO, kind, children)
            .await
    }

    /// Juliet's state changes.
    pub async fn juliet_says(&self, status: &str) -> Result<()> {
        let children = format!("<status>{status}</status>");
        let mood = children.clone();
        self.bridge
            .peer
            .change(|script| drop(script.moods.insert("juliet".to_owned(), mood)));
        self.juliet("", &children).await
    }

    /// How many stanzas Juliet's server has received.
    pub fn mark(&self) -> usize {
        self.bridge.peer.received().len()
    }

    /// Waits for a presence of Romeo's at Juliet's behind the first `known` stanzas.
    pub async fn expect(
        &self,
        known: usize,
        what: &str,
        wanted: impl Fn(&Element) -> bool,
    ) -> Result<Element> {
        self.expect_within(PATIENCE, known, what, wanted).await
    }

    /// As `expect`, with a limit of its own.
    pub async fn expect_within(
        &self,
        limit: Duration,
        known: usize,
        what: &str,
        wanted: impl Fn(&Element) -> bool,
    ) -> Result<Element> {
        let what = format!("presence \"{what}\" from {ROMEO}");
        let is_his = |stanza: &Element| {
            let from = stanza.at("from");
            stanza.name() == "presence" && from.split('/').next() == Some(ROMEO)
        };
        self.bridge
            .peer
            .received()
            .wait_behind(known, limit, &what, |stanza| {
                is_his(stanza) && wanted(stanza)
            })
            .await
    }

    /// Romeo's presences at Juliet's behind the first `known` stanzas.
    pub fn presences(&self, known: usize) -> Vec<Element> {
        self.bridge.peer.presences(known, ROMEO, JULIET)
    }

    /// Juliet sees Romeo.
    pub async fn juliet_watches(&self) -> Result<()> {
        self.juliet("subscribe", "").await?;
        self.expect(0, "subscribed", is("subscribed")).await?;
        self.expect(0, "in", says("in")).await?;
        Ok(())
    }

    /// Romeo sees Juliet.
    pub async fn romeo_watches(&self) -> Result<Watch> {
        let watch = self.bridge.agent.watch("romeo", JULIET).await?;
        watch.expect("her state", Notification::is_open).await?;
        Ok(watch)
    }

    /// Both see each other.
    pub async fn befriended(&self) -> Result<Watch> {
        self.juliet_watches().await?;
        self.romeo_watches().await
    }

    /// A change of each reaches the other.
    pub async fn changes_flow(&self, watch: &Watch, words: &str) -> Result<()> {
        self.juliet_says(words).await?;
        self.romeo().publish(romeo_is("", words)).await?;
        watch.expect(words, |n| n.says(words)).await?;
        self.expect(0, words, says(words)).await?;
        Ok(())
    }
}
