//! XMPP users watch SIP users.

use anyhow::{Result, ensure};

use super::scene::{ROMEO, Scene, is, is_from_device, romeo_is, run, says};
use crate::pidf::{Document, PIDF_TYPE, Tuple};
use crate::sip_agent::Consent;
use crate::xml::Look;
use crate::xmpp_clients::Client;
use crate::xmpp_server::Kind;

/// Asks, waits, is let in, sees every device and every change, and a new session sees it at once.
pub async fn an_xmpp_user_watches(kind: Kind) -> Result<()> {
    run(kind, async |_, scene| {
        let alice = scene.user("alice", "desk").await?;
        asks_and_is_let_in(scene, &alice).await?;
        sees_every_device(scene, &alice).await?;
        sees_through_odd_documents(scene, &alice).await?;
        alice.unsubscribe(ROMEO).await?;
        scene.romeo_has_watchers(0).await?;
        scene.roster_says(&alice, "none").await
    })
    .await
}

async fn asks_and_is_let_in(scene: &Scene, alice: &Client) -> Result<()> {
    let romeo = scene.romeo();
    romeo.consents(Consent::Pending);
    romeo.has(romeo_is("", "in"));
    alice.subscribe(ROMEO).await?;
    scene.romeo_has_watchers(1).await?;
    let watchers = romeo.watchers();
    let watcher = watchers.first().map(|seen| seen.watcher.clone());
    ensure!(watcher == Some(scene.uri("alice")), "{watcher:?} watches");
    scene.roster_says(alice, "none+ask").await?;
    ensure!(romeo.approve().await? == [200]);
    alice.expect(ROMEO, "in", says("in")).await?;
    let first: Vec<_> = alice.presences_of(0, ROMEO);
    let yes = first.iter().position(is("subscribed"));
    let state = first.iter().position(says("in"));
    ensure!(
        yes.is_some() && yes < state,
        "the answer comes first: {first:?}"
    );
    scene.roster_says(alice, "to").await
}

async fn sees_every_device(scene: &Scene, alice: &Client) -> Result<()> {
    let romeo = scene.romeo();
    let devices = |tuples: &[Tuple]| Document {
        entity: format!("pres:{ROMEO}"),
        tuples: tuples.to_vec(),
    };
    let phone = Tuple::open("phone", "away", "on the road");
    let laptop = Tuple::open("laptop", "dnd", "at work");
    let both = devices(&[phone, laptop.clone()]);
    ensure!(romeo.publish(both).await? == [200]);
    let away = alice.expect(ROMEO, "phone", says("on the road")).await?;
    ensure!(is_from_device(&away, "phone") && away.text_of("show") == "away");
    let busy = alice.expect(ROMEO, "laptop", says("at work")).await?;
    ensure!(is_from_device(&busy, "laptop") && busy.text_of("show") == "dnd");

    let mark = alice.mark();
    romeo.publish(devices(&[laptop])).await?;
    let off = alice
        .expect_behind(mark, ROMEO, "the phone is off", is("unavailable"))
        .await?;
    ensure!(is_from_device(&off, "phone"), "{off:?}");
    let mobile = scene.user("alice", "mobile").await?;
    mobile.expect(ROMEO, "at work", says("at work")).await?;

    let mark = alice.mark();
    romeo.publish(devices(&[Tuple::closed("laptop")])).await?;
    alice
        .expect_behind(mark, ROMEO, "all is off", is("unavailable"))
        .await?;
    romeo.publish(romeo_is("", "again")).await?;
    alice.expect(ROMEO, "again", says("again")).await?;
    Ok(())
}

/// A broken document and one of an unknown kind keep the last state.
async fn sees_through_odd_documents(scene: &Scene, alice: &Client) -> Result<()> {
    const ACTIVE: &str = "active;expires=600";
    let (romeo, mark) = (scene.romeo(), alice.mark());
    let broken = romeo.notify_with(ACTIVE, PIDF_TYPE, b"<presence").await?;
    ensure!(broken == [200] || broken == [400], "broken: {broken:?}");
    let unknown = romeo
        .notify_with(ACTIVE, "text/html", b"<p>out</p>")
        .await?;
    ensure!(unknown == [200], "of an unknown kind: {unknown:?}");
    romeo.publish(romeo_is("chat", "still here")).await?;
    alice
        .expect(ROMEO, "still here", says("still here"))
        .await?;
    let between = alice.presences_of(mark, ROMEO);
    ensure!(!between.iter().any(is("unavailable")), "{between:?}");
    Ok(())
}

/// Is refused in every way, and may ask again.
pub async fn an_xmpp_user_is_refused(kind: Kind) -> Result<()> {
    run(kind, async |_, scene| {
        let alice = scene.user("alice", "desk").await?;
        for (user, status) in [("first", 403), ("second", 603), ("third", 489)] {
            let contact = format!("{user}@sip.example");
            let refusal = Consent::Refused(status, vec![]);
            scene.sip_user(user).consents(refusal);
            alice.subscribe(&contact).await?;
            alice
                .expect(&contact, "unsubscribed", is("unsubscribed"))
                .await?;
            let shown = alice.presences_of(0, &contact);
            ensure!(!shown.iter().any(Look::is_available), "{shown:?}");
        }
        let romeo = scene.romeo();
        romeo.consents(Consent::Pending);
        alice.subscribe(ROMEO).await?;
        scene.romeo_has_watchers(1).await?;
        romeo.terminate("rejected").await?;
        alice
            .expect(ROMEO, "unsubscribed", is("unsubscribed"))
            .await?;
        scene.roster_says(&alice, "none").await?;

        // What is no refusal is invisible: it is tried again later.
        for (user, status) in [("fourth", 480), ("fifth", 503)] {
            let contact = format!("{user}@sip.example");
            scene
                .sip_user(user)
                .consents(Consent::Refused(status, vec![]));
            alice.subscribe(&contact).await?;
            let asked = |request: &crate::sip::SipMessage| {
                request.method() == "SUBSCRIBE" && request.user() == user
            };
            scene.bridge.agent.requests().wait(user, asked).await?;
            ensure!(alice.roster(&contact).await? == "none+ask", "{status}");
        }
        Ok(())
    })
    .await
}
