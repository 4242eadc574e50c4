//! Blocks: by the gateway's policy, and by the XMPP user.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::scene::{ROMEO, Scene, is, romeo_is, run, says};
use crate::bridge::expect_status;
use crate::inbox::{PATIENCE, until};
use crate::sip_agent::{Notification, Watch};
use crate::xmpp_clients::{Client, Mood};
use crate::xmpp_server::Kind;

/// A change of policy acts within one second on both sides; the rest is the busy machine's.
const AT_ONCE: Duration = Duration::from_secs(2);

/// Closes both directions within a second, lets nothing through, keeps both grants, and shows the
/// current state at once when it ends.
pub async fn blocked_by_policy(kind: Kind) -> Result<()> {
    run(kind, async |_, scene| {
        let romeo = scene.romeo();
        romeo.has(romeo_is("", "in"));
        let alice = scene.user("alice", "desk").await?;
        let watch = scene.befriend(&alice).await?;
        for verdict in ["block", "polite-block"] {
            closes_and_opens(scene, &alice, &watch, verdict).await?;
        }
        scene.roster_says(&alice, "both").await?;
        scene.romeo_has_watchers(1).await
    })
    .await
}

async fn closes_and_opens(
    scene: &Scene,
    alice: &Client,
    watch: &Watch,
    verdict: &str,
) -> Result<()> {
    let (at_alice, at_romeo) = (alice.mark(), watch.mark());
    scene.rules("alice", verdict).await?;
    let set = Instant::now();
    let closed = watch.expect_within(AT_ONCE, at_romeo, "closed", Notification::is_closed);
    let gone = alice.expect_within(AT_ONCE, at_alice, ROMEO, "gone", is("unavailable"));
    tokio::try_join!(closed, gone)?;
    eprintln!(
        "{verdict}: both sides closed {:?} after the command",
        set.elapsed()
    );

    let (at_alice, at_romeo) = (alice.mark(), watch.mark());
    let hidden = Mood {
        status: "hidden",
        ..Mood::default()
    };
    alice.shows(hidden).await?;
    scene.romeo().has(romeo_is("", "hidden"));
    let refreshed = watch.refresh(Some(600)).await?;
    ensure!(refreshed.status() == Some(200), "{}", refreshed.start);
    watch
        .expect_behind(at_romeo, "still closed", Notification::is_closed)
        .await?;
    let refused = scene
        .bridge
        .agent
        .say("romeo", alice.jid(), "hello?")
        .await?;
    let status = if verdict == "block" { 403 } else { 480 };
    expect_status("a message while blocked", refused, status)?;

    scene.rules("alice", "allow").await?;
    let set = Instant::now();
    let open = watch.expect_within(AT_ONCE, at_romeo, "open", |n| n.says("hidden"));
    let back = alice.expect_within(AT_ONCE, at_alice, ROMEO, "back", says("hidden"));
    tokio::try_join!(open, back)?;
    eprintln!(
        "allow: both sides open {:?} after the command",
        set.elapsed()
    );
    let leaked = alice.presences_of(at_alice, ROMEO);
    ensure!(!leaked.iter().any(is("unsubscribed")), "{leaked:?}");
    Ok(())
}

/// Confirm holds requests of both sides, tells nobody, and lists them until the operator decides.
pub async fn held_until_confirmed(kind: Kind) -> Result<()> {
    run(kind, async |_, scene| {
        let romeo = scene.romeo();
        romeo.has(romeo_is("", "in"));
        let alice = scene.user("alice", "desk").await?;
        let gateway = &scene.bridge.gateway;
        scene.rules("alice", "confirm").await?;
        let explained = gateway
            .control(&["acl", "explain", alice.jid(), ROMEO])
            .await?;
        let explained = explained.success()?;
        ensure!(
            explained.contains("confirm") && explained.contains("pair"),
            "{explained}"
        );

        alice.subscribe(ROMEO).await?;
        let agent = &scene.bridge.agent;
        let watch = agent.watch("romeo", alice.jid()).await?;
        watch.expect("pending", |n| n.state == "pending").await?;
        until(PATIENCE, "both requests are held", || async {
            let held = gateway.control(&["pending", "list"]).await;
            held.is_ok_and(|held| held.stdout.matches(ROMEO).count() == 2)
        })
        .await?;
        ensure!(romeo.watchers().is_empty(), "Romeo's server was asked");
        ensure!(alice.presences_of(0, ROMEO).is_empty(), "Alice was asked");

        let allow = ["pending", "allow", alice.jid(), ROMEO];
        gateway.control(&allow).await?.success()?;
        alice.expect(ROMEO, "subscribed", is("subscribed")).await?;
        alice.expect(ROMEO, "in", says("in")).await?;
        alice.expect(ROMEO, "subscribe", is("subscribe")).await?;
        alice.approve(ROMEO).await?;
        watch.expect("her state", Notification::is_open).await?;
        let held = gateway.control(&["pending", "list"]).await?.success()?;
        ensure!(!held.contains(ROMEO), "still held: {held}");
        Ok(())
    })
    .await
}

/// A block by the user (XEP-0191): Prosody says `unavailable` for every resource and the present
/// state at the end; ejabberd and Openfire say nothing, so the last state stays until the next one.
pub async fn blocked_by_its_user(kind: Kind) -> Result<()> {
    run(kind, async |_, scene| {
        scene.romeo().has(romeo_is("", "in"));
        let alice = scene.user("alice", "desk").await?;
        let watch = scene.befriend(&alice).await?;
        let mark = watch.mark();
        alice.block(ROMEO).await?;
        if kind == Kind::Prosody {
            watch
                .expect_behind(mark, "closed", Notification::is_closed)
                .await?;
        }
        let secret = Mood {
            status: "secret",
            ..Mood::default()
        };
        let agent = &scene.bridge.agent;
        let status = agent.say("romeo", alice.jid(), "hello?").await?;
        // ejabberd swallows it; a session of Openfire that runs at its user's first block gets it.
        let expected = if kind == Kind::Prosody { 403 } else { 200 };
        expect_status("a message while blocked", status, expected)?;
        alice.shows(secret).await?;
        alice.unblock(ROMEO).await?;
        let open = Mood {
            status: "open again",
            ..Mood::default()
        };
        alice.shows(open).await?;
        watch.expect("open again", |n| n.says("open again")).await?;
        let everything = watch.notifications().all();
        ensure!(everything.iter().all(|n| n.state != "terminated"));
        scene.roster_says(&alice, "both").await
    })
    .await
}
