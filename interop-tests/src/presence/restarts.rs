//! Each of the three processes ends and comes back while two users see each other.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::scene::{ROMEO, Scene, is, romeo_is, run, says};
use crate::bridge::{RECOVERY, sip_peer};
use crate::sip_agent::{Notification, Watch};
use crate::xmpp_clients::{Client, Mood};
use crate::xmpp_server::Kind;

/// The gateway (`kill -9`), the SIP peer (which forgets all its dialogs) and the XMPP server, one
/// after the other: nobody loses a contact, and changes flow again without anybody's doing.
pub async fn restarts_in_turn(kind: Kind) -> Result<()> {
    run(kind, async |lab, scene| {
        scene.romeo().has(romeo_is("", "in"));
        // What a peer has forgotten shows at the next refresh, here after half a minute.
        scene.romeo().grants_at_most(60);
        let alice = scene.user("alice", "desk").await?;
        let mut watch = scene.befriend(&alice).await?;

        let (at_alice, at_romeo) = (alice.mark(), watch.mark());
        scene.bridge.gateway.kill().await?;
        // Nobody hears of this while the gateway is down.
        scene.romeo().has(romeo_is("dnd", "meanwhile"));
        // What ejabberd cannot deliver begins its back-off, in which it would swallow the answer to
        // the gateway's probe as well.
        let changes = kind != Kind::Ejabberd;
        if changes {
            alice.shows(mood("meanwhile")).await?;
        }
        let begun = Instant::now();
        scene.bridge.gateway.start_again().await?;
        let fresh = alice.expect_within(RECOVERY, at_alice, ROMEO, "meanwhile", says("meanwhile"));
        let too = watch.expect_within(RECOVERY, at_romeo, "meanwhile", |n| {
            n.is_open() && n.says("meanwhile") == changes
        });
        tokio::try_join!(fresh, too)?;
        eprintln!(
            "gateway killed: both fresh {:?} after the start",
            begun.elapsed()
        );
        let told = alice.presences_of(at_alice, ROMEO);
        ensure!(!told.iter().any(is("unavailable")), "false: {told:?}");
        let told = watch.notifications().since(at_romeo);
        ensure!(told.iter().all(Notification::is_open), "false: {told:?}");
        changes_flow(scene, &alice, &watch, "after the gateway").await?;

        let at_alice = alice.mark();
        restart_the_sip_peer(lab, scene).await?;
        alice
            .expect_within(RECOVERY, at_alice, ROMEO, "fresh", says("new process"))
            .await?;
        let told = alice.presences_of(at_alice, ROMEO);
        ensure!(!told.iter().any(is("unavailable")), "false: {told:?}");
        // Its watchers are gone as well; Romeo's phone subscribes anew and is let in silently.
        watch = scene.bridge.agent.watch("romeo", alice.jid()).await?;
        watch.expect("her state", Notification::is_open).await?;
        changes_flow(scene, &alice, &watch, "after the SIP peer").await?;

        scene.bridge.server.kill().await?;
        scene.bridge.server.start_again().await?;
        let at_romeo = watch.mark();
        let alice = scene.user("alice", "desk").await?;
        alice
            .expect_within(RECOVERY, 0, ROMEO, "his state", says("after the SIP peer"))
            .await?;
        changes_flow(scene, &alice, &watch, "after the server").await?;
        let told = watch.notifications().since(at_romeo);
        ensure!(told.iter().all(|n| n.state == "active"), "{told:?}");
        scene.roster_says(&alice, "both").await
    })
    .await
}

async fn restart_the_sip_peer(lab: &crate::lab::Lab, scene: &mut Scene) -> Result<()> {
    let server = scene.bridge.server.domain();
    scene.bridge.agent.goes_down().await;
    let agent = std::sync::Arc::new(sip_peer(lab, server).await?);
    scene.bridge.agent = agent;
    scene.romeo().has(romeo_is("", "new process"));
    scene.romeo().grants_at_most(60);
    Ok(())
}

/// A change of each reaches the other.
async fn changes_flow(scene: &Scene, alice: &Client, watch: &Watch, words: &str) -> Result<()> {
    const LIMIT: Duration = Duration::from_secs(30);
    alice.shows(mood(words)).await?;
    scene.romeo().publish(romeo_is("", words)).await?;
    watch
        .expect_within(LIMIT, 0, words, |n| n.says(words))
        .await?;
    alice
        .expect_within(LIMIT, 0, ROMEO, words, says(words))
        .await?;
    Ok(())
}

fn mood(status: &str) -> Mood<'_> {
    Mood {
        status,
        ..Mood::default()
    }
}
