//! SIP users watch XMPP users.

use anyhow::{Result, ensure};

use super::scene::{ROMEO, is, run};
use crate::sip_agent::{Notification, Wish};
use crate::xmpp_clients::Mood;
use crate::xmpp_server::Kind;

/// Asks, waits, is let in, and sees all resources in every document.
pub async fn a_sip_user_watches(kind: Kind) -> Result<()> {
    run(kind, async |_, scene| {
        let alice = scene.user("alice", "desk").await?;
        let agent = &scene.bridge.agent;
        let watch = agent.watch("romeo", alice.jid()).await?;
        watch.expect("pending", |n| n.state == "pending").await?;
        alice.expect(ROMEO, "subscribe", is("subscribe")).await?;
        alice.approve(ROMEO).await?;
        let first = watch.expect("her state", Notification::is_open).await?;
        let entity = first.document.map(|document| document.entity);
        let expected = alice.jid().to_owned();
        ensure!(
            entity
                .as_ref()
                .is_some_and(|entity| entity.ends_with(&expected)),
            "a document about {entity:?}"
        );
        scene.roster_says(&alice, "from").await?;

        let lunch = Mood {
            show: "away",
            status: "at lunch",
            priority: 5,
        };
        alice.shows(lunch).await?;
        let seen = watch.expect("at lunch", |n| n.says("at lunch")).await?;
        let tuples = seen.document.map(|document| document.tuples);
        let tuple = tuples.iter().flatten().find(|tuple| tuple.open);
        ensure!(tuple.is_some_and(|tuple| tuple.show == "away"), "{tuple:?}");

        let mobile = scene.login("alice", "mobile").await?;
        let busy = Mood {
            show: "dnd",
            status: "on the phone",
            priority: 1,
        };
        mobile.shows(busy).await?;
        let both = |n: &Notification| n.says("at lunch") && n.says("on the phone");
        watch.expect("both devices", both).await?;
        let second = agent.watch("romeo", alice.jid()).await?;
        second.expect("both at a second phone", both).await?;

        let mark = watch.mark();
        mobile.hides().await?;
        let one = |n: &Notification| n.says("at lunch") && !n.says("on the phone");
        watch.expect_behind(mark, "one device", one).await?;
        second.expect("one device at the second phone", one).await?;
        ensure!(second.end().await?.status() == Some(200));
        second.expect("the end", |n| n.reason == "timeout").await?;

        let mark = watch.mark();
        let refreshed = watch.refresh(Some(600)).await?;
        ensure!(refreshed.status() == Some(200), "{}", refreshed.start);
        watch.expect_behind(mark, "the state again", one).await?;
        let old = watch.refresh_as(watch.cseq() - 1).await?;
        ensure!(old.status() == Some(500), "an old number: {}", old.start);

        let fetch = Wish {
            expires: Some(0),
            ..Wish::default()
        };
        let (look, answer) = agent.subscribe("romeo", alice.jid(), fetch).await?;
        ensure!(answer.status() == Some(200), "a fetch: {}", answer.start);
        let one_look = |n: &Notification| {
            let document = n.document.as_ref();
            n.state == "terminated" && document.is_some_and(|document| document.says("at lunch"))
        };
        look.expect("a look", one_look).await?;

        alice.logout().await?;
        watch.expect("closed", Notification::is_closed).await?;
        Ok(())
    })
    .await
}

/// Is refused, may not ask again at once, and what cannot be subscribed to says so.
pub async fn a_sip_user_is_refused(kind: Kind) -> Result<()> {
    run(kind, async |_, scene| {
        let alice = scene.user("alice", "desk").await?;
        let agent = &scene.bridge.agent;
        let watch = agent.watch("romeo", alice.jid()).await?;
        alice.expect(ROMEO, "subscribe", is("subscribe")).await?;
        // An answer within five seconds of a probe could be the server's; this one is the user's.
        alice.deny(ROMEO).await?;
        watch.expect("rejected", |n| n.reason == "rejected").await?;
        let (_, again) = agent
            .subscribe("romeo", alice.jid(), Wish::default())
            .await?;
        ensure!(again.status() == Some(403), "asked again: {}", again.start);
        let wishes = [
            (
                Wish {
                    event: "dialog",
                    ..Wish::default()
                },
                489,
            ),
            (
                Wish {
                    accept: "application/cpim-pidf+xml",
                    ..Wish::default()
                },
                406,
            ),
            (
                Wish {
                    expires: Some(5),
                    ..Wish::default()
                },
                423,
            ),
        ];
        for (wish, status) in wishes {
            let words = format!("{wish:?}");
            let (_, answer) = agent.subscribe("mercutio", alice.jid(), wish).await?;
            ensure!(answer.status() == Some(status), "{words}: {}", answer.start);
        }
        let everything = watch.notifications().all();
        ensure!(
            everything
                .iter()
                .all(|n| n.document.as_ref().is_none_or(|d| !d.is_open()))
        );
        scene.roster_says(&alice, "none").await
    })
    .await
}
