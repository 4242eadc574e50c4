//! Presence when the ways between the servers break without either of them: no name server, and an XMPP server
//! that hears us and does not reach us.

use std::time::Duration;

use anyhow::{Result, ensure};
use interop_tests::bridge::{SIP_DOMAIN, ScriptedBridge, expect_status, takes_again, xmpp_entry};
use interop_tests::dns::{Mood, Srv};
use interop_tests::gateway::{Peer, Settings};
use interop_tests::lab::{Host, Lab, SIPS, run};
use interop_tests::presence::{JULIET, ScriptedPair, is, romeo_is, says};
use interop_tests::sip_agent::Notification;
use interop_tests::xml::Look;
use minidom::Element;

const LIMIT: Duration = Duration::from_secs(240);
/// How long names are not answered while links are down.
const MOMENT: Duration = Duration::from_secs(12);
/// How long anything may take once the way is back.
const BACK: Duration = Duration::from_secs(40);
/// How long two missing answers to pings take to be noticed.
const NOTICED: Duration = Duration::from_secs(60);

/// Whether a presence takes something away.
fn takes_away(presence: &Element) -> bool {
    let kind = presence.at("type");
    ["unavailable", "unsubscribed", "unsubscribe", "error"].contains(&kind)
}

/// Both peers are found by DNS alone.
async fn found_by_dns(lab: &Lab) -> Result<ScriptedPair> {
    lab.dns()
        .host("edge.sip.example", &[lab.ip(Host::SipAgent)]);
    lab.dns().service(
        "_sips._tcp.sip.example",
        Srv {
            priority: 0,
            port: SIPS,
            target: "edge.sip.example".to_owned(),
        },
    );
    let by_dns = |settings: &mut Settings| {
        settings.peers = vec![xmpp_entry(lab), Peer::sip_by_dns(lab, "sip", SIP_DOMAIN)];
    };
    let bridge = ScriptedBridge::start_with(lab, by_dns).await?;
    Ok(ScriptedPair::new(bridge))
}

/// Without a name server what stands goes on, a link that is lost meanwhile takes nothing away from anybody, and what
/// changed comes as soon as names are answered again.
#[tokio::test]
async fn no_name_server() -> Result<()> {
    for mood in [Mood::Failing, Mood::Silent] {
        run("presence-dns", LIMIT, async |lab| {
            let mut pair = found_by_dns(lab).await?;
            let watch = pair.befriended().await?;
            let (at_juliet, at_romeo) = (pair.mark(), watch.mark());
            lab.dns().set_mood(mood);
            pair.changes_flow(&watch, "on the links that stand").await?;

            pair.bridge.peer.goes_down().await;
            pair.bridge.agent.goes_down().await;
            tokio::time::sleep(MOMENT).await;
            pair.bridge.agent.comes_back().await?;
            pair.bridge.peer.comes_back().await?;
            pair.romeo().has(romeo_is("", "meanwhile"));
            lab.dns().set_mood(Mood::Answering);
            let words = "names are answered again";
            pair.romeo().publish(romeo_is("", words)).await?;
            pair.expect_within(BACK, at_juliet, words, says(words))
                .await?;
            pair.juliet_says(words).await?;
            watch
                .expect_within(BACK, at_romeo, words, |n| n.says(words))
                .await?;
            pair.changes_flow(&watch, "afterwards").await?;

            let told = pair.presences(at_juliet);
            ensure!(!told.iter().any(takes_away), "to Juliet: {told:?}");
            let told = watch.notifications().since(at_romeo);
            ensure!(told.iter().all(Notification::is_open), "to Romeo: {told:?}");
            is_sound(&mut pair)
        })
        .await?;
    }
    Ok(())
}

/// The XMPP server takes what we send and answers nothing. Nobody loses anything by that, new requests of SIP users are
/// not lost in it, and the states are those of the day once its answers come again.
#[tokio::test]
async fn return_path_down() -> Result<()> {
    run("presence-return-path", LIMIT, async |lab| {
        let mut pair = ScriptedPair::new(ScriptedBridge::start(lab, |peer| peer).await?);
        let watch = pair.befriended().await?;
        let (at_juliet, at_romeo) = (pair.mark(), watch.mark());
        pair.bridge.peer.change(|script| {
            script.answers_pings = false;
            script.lets_in = false;
        });
        for text in ["first", "second"] {
            let status = pair.bridge.agent.say("romeo", JULIET, text).await?;
            expect_status(text, status, 504)?;
        }
        let gateway = &mut pair.bridge.gateway;
        gateway.process().logs(NOTICED, "return_path_down").await?;
        let status = gateway.control(&["status"]).await?.stdout;
        ensure!(status.contains("return-path-down"), "{status}");

        // Romeo's phone goes on publishing, and a second SIP user asks for Juliet.
        let answers = pair
            .romeo()
            .publish(romeo_is("away", "into the void"))
            .await?;
        ensure!(answers.iter().all(|status| *status == 200), "{answers:?}");
        let mercutio = pair.bridge.agent.watch("mercutio", JULIET).await?;
        ensure!(watch.refresh(Some(600)).await?.status() == Some(200));

        pair.bridge.peer.change(|script| {
            script.answers_pings = true;
            script.lets_in = true;
        });
        takes_again(&pair.bridge.agent, JULIET).await?;
        pair.expect_within(BACK, at_juliet, "into the void", says("into the void"))
            .await?;
        mercutio
            .expect_within(BACK, 0, "her state", Notification::is_open)
            .await?;
        pair.changes_flow(&watch, "heard again").await?;

        let told = pair.presences(at_juliet);
        ensure!(!told.iter().any(takes_away), "to Juliet: {told:?}");
        ensure!(!told.iter().any(is("subscribed")), "a second yes: {told:?}");
        let told = watch.notifications().since(at_romeo);
        ensure!(told.iter().all(Notification::is_open), "to Romeo: {told:?}");
        is_sound(&mut pair)
    })
    .await
}

/// What every test ends with: the gateway kept to its dialogs and logged no ERROR.
fn is_sound(pair: &mut ScriptedPair) -> Result<()> {
    let faults = pair.bridge.agent.faults().all();
    ensure!(faults.is_empty(), "in its dialogs: {faults:?}");
    pair.bridge.gateway.is_sound()
}
