//! Both directions at once: users that come and go, contacts that are removed and added again.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use tokio::task::JoinSet;

use super::scene::{ROMEO, is, romeo_is, run, says};
use crate::bridge::{SIP_DOMAIN, expect_status};
use crate::inbox::{PATIENCE, until};
use crate::pidf::{Document, Tuple};
use crate::sip::token;
use crate::sip_agent::{Notification, SipAgent, Watch};
use crate::xml::Look;
use crate::xmpp_clients::Client;
use crate::xmpp_server::Kind;

/// Either user goes offline and comes back; who logs in sees the other at once.
pub async fn offline_and_back(kind: Kind) -> Result<()> {
    run(kind, async |_, scene| {
        let romeo = scene.romeo();
        romeo.has(romeo_is("", "in"));
        let alice = scene.user("alice", "desk").await?;
        let watch = scene.befriend(&alice).await?;

        let mark = watch.mark();
        alice.abort().await?;
        watch
            .expect_behind(mark, "she is gone", Notification::is_closed)
            .await?;
        romeo.publish(romeo_is("away", "meanwhile")).await?;
        let mark = watch.mark();
        let alice = scene.user("alice", "other").await?;
        alice.expect(ROMEO, "meanwhile", says("meanwhile")).await?;
        watch
            .expect_behind(mark, "she is back", Notification::is_open)
            .await?;

        let mark = alice.mark();
        let closed = Document::of(&format!("pres:{ROMEO}"), Tuple::closed("phone"));
        romeo.publish(closed).await?;
        alice
            .expect_behind(mark, ROMEO, "he is gone", is("unavailable"))
            .await?;
        romeo.publish(romeo_is("", "back")).await?;
        alice.expect(ROMEO, "he is back", says("back")).await?;
        let answers = alice.presences_of(0, ROMEO);
        ensure!(!answers.iter().any(is("unsubscribed")), "{answers:?}");
        Ok(())
    })
    .await
}

/// Contacts that are removed and added again at the same time.
const CONTACTS: usize = 10;

/// Each of ten contacts is removed and added again so often: every time both see each other again,
/// and nothing is left behind.
pub async fn removed_and_added_again(kind: Kind, rounds: usize) -> Result<()> {
    run(kind, async |_, scene| {
        let alice = scene.user("alice", "desk").await?;
        let begun = Instant::now();
        let mut tasks = JoinSet::new();
        for index in 0..CONTACTS {
            let user = format!("c{index}");
            scene.sip_user(&user).has(romeo_is("", "in"));
            let friendship = Friendship {
                alice: alice.clone(),
                agent: Arc::clone(&scene.bridge.agent),
                contact: format!("{user}@{SIP_DOMAIN}"),
                user,
            };
            tasks.spawn(async move { friendship.ends_and_begins(rounds).await });
        }
        while let Some(outcome) = tasks.join_next().await {
            outcome??;
        }
        let took = begun.elapsed();
        let (count, domain) = (CONTACTS * rounds, kind.domain());
        eprintln!("{count} contacts removed and added again on {domain} in {took:?}");
        let watchers = scene.bridge.agent.watchers().len();
        ensure!(
            watchers == CONTACTS,
            "{watchers} dialogs watch the contacts"
        );
        let arguments = ["watcher", "list", alice.jid()];
        let listed = scene.bridge.gateway.ask(&arguments).await?;
        let count = listed
            .get("relations")
            .and_then(|all| all.as_array())
            .map_or(0, Vec::len);
        ensure!(count == CONTACTS * 2, "one relation each way: {listed}");
        Ok(())
    })
    .await
}

/// Alice and one of her contacts.
struct Friendship {
    alice: Client,
    agent: Arc<SipAgent>,
    user: String,
    contact: String,
}

impl Friendship {
    async fn ends_and_begins(&self, rounds: usize) -> Result<()> {
        let mut watch = self.begin().await?;
        for round in 0..rounds {
            let next = async {
                self.end(&watch).await?;
                self.begin().await
            };
            let words = || format!("{} in round {round}", self.contact);
            watch = next.await.with_context(words)?;
        }
        Ok(())
    }

    /// Both add each other.
    async fn begin(&self) -> Result<Watch> {
        let Self { alice, contact, .. } = self;
        let mark = alice.mark();
        alice.subscribe(contact).await?;
        alice
            .expect_behind(mark, contact, "subscribed", is("subscribed"))
            .await?;
        alice
            .expect_behind(mark, contact, "his state", Look::is_available)
            .await?;
        let mark = alice.mark();
        let watch = self.agent.watch(&self.user, alice.jid()).await?;
        alice
            .expect_behind(mark, contact, "subscribe", is("subscribe"))
            .await?;
        alice.approve(contact).await?;
        watch.expect("her state", Notification::is_open).await?;
        Ok(watch)
    }

    /// Alice removes her contact.
    async fn end(&self, watch: &Watch) -> Result<()> {
        let Self { alice, contact, .. } = self;
        alice.remove(contact).await?;
        watch
            .expect("she has removed him", |n| n.state == "terminated")
            .await?;
        watch.forget();
        let presentity = self.agent.presentity(&self.user);
        until(PATIENCE, "nobody watches him", || {
            std::future::ready(presentity.watchers().is_empty())
        })
        .await?;
        // The end of the old subscription is answered `unsubscribed`, which would take back a
        // request that her server gets in the same moment; a message shows that it has passed.
        let text = token();
        let sent = self.agent.say(&self.user, alice.jid(), &text).await?;
        expect_status("a message of somebody removed", sent, 200)?;
        alice.expect_text(&text).await?;
        Ok(())
    }
}
