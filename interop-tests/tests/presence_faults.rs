//! Presence when things break: links that are down for a short or a long time, peers that forget,
//! refuse or keep silent, a peer that refuses everything at once, a store that cannot be written.
//! Nobody loses a contact, and what is seen is never wrong for longer than it has to be.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use interop_tests::bridge::ScriptedBridge;
use interop_tests::gateway::Settings;
use interop_tests::inbox::until;
use interop_tests::lab::{Lab, run};
use interop_tests::presence::{JULIET, ROMEO, ScriptedPair, is, romeo_is, says};
use interop_tests::sip::{SipMessage, token};
use interop_tests::sip_agent::{Consent, Notification, Wish};
use interop_tests::xml::Look;
use minidom::Element;

const LIMIT: Duration = Duration::from_secs(280);
/// How long a peer may be away until its users look offline, and how much later that may show.
const GRACE: Duration = Duration::from_secs(90);
const LATE: Duration = Duration::from_secs(30);
/// A link that is down for so long is a short loss.
const MOMENT: Duration = Duration::from_secs(8);
/// How long anything may take once a link is back: an attempt every 15 s, and the rest.
const BACK: Duration = Duration::from_secs(40);

async fn start(lab: &Lab) -> Result<ScriptedPair> {
    Ok(ScriptedPair::new(
        ScriptedBridge::start(lab, |peer| peer).await?,
    ))
}

/// Whether a presence takes something away.
fn takes_away(presence: &Element) -> bool {
    let kind = presence.at("type");
    ["unavailable", "unsubscribed", "unsubscribe", "error"].contains(&kind)
}

/// Nothing was taken away from Juliet behind the first `known` stanzas.
fn nothing_lost(pair: &ScriptedPair, known: usize, why: &str) -> Result<()> {
    let told = pair.presences(known);
    ensure!(!told.iter().any(takes_away), "{why}: {told:?}");
    Ok(())
}

/// What every test ends with: the gateway kept to its dialogs and logged no ERROR.
fn is_sound(pair: &mut ScriptedPair) -> Result<()> {
    let faults = pair.bridge.agent.faults().all();
    ensure!(faults.is_empty(), "in its dialogs: {faults:?}");
    pair.bridge.gateway.is_sound()
}

/// A link that is down for a moment, on either side: nobody sees anything, and what changed
/// meanwhile comes as soon as it is back.
#[tokio::test]
async fn short_losses_are_invisible() -> Result<()> {
    run("short-loss", LIMIT, async |lab| {
        let mut pair = start(lab).await?;
        let watch = pair.befriended().await?;
        let (at_juliet, at_romeo) = (pair.mark(), watch.mark());
        pair.bridge.agent.goes_down().await;
        tokio::time::sleep(MOMENT).await;
        pair.bridge.agent.comes_back().await?;
        let words = "after the SIP link";
        pair.romeo().publish(romeo_is("", words)).await?;
        pair.expect_within(BACK, at_juliet, words, says(words))
            .await?;
        pair.bridge.peer.goes_down().await;
        tokio::time::sleep(MOMENT).await;
        pair.bridge.peer.comes_back().await?;
        pair.juliet_says("after the XMPP link").await?;
        watch
            .expect_within(BACK, at_romeo, "after the XMPP link", |n| {
                n.says("after the XMPP link")
            })
            .await?;
        pair.changes_flow(&watch, "afterwards").await?;
        nothing_lost(&pair, at_juliet, "to Juliet")?;
        let told = watch.notifications().since(at_romeo);
        ensure!(told.iter().all(Notification::is_open), "to Romeo: {told:?}");
        is_sound(&mut pair)
    })
    .await
}

/// A link that stays down: `unavailable` after the time of grace, never `unsubscribed`; the state
/// when it is back, without anybody's doing.
#[tokio::test]
async fn long_losses_show_and_pass() -> Result<()> {
    let sip = run("long-sip-loss", LIMIT, long_loss_of_sip);
    let xmpp = run("long-xmpp-loss", LIMIT, long_loss_of_xmpp);
    tokio::try_join!(sip, xmpp).map(drop)
}

async fn long_loss_of_sip(lab: &Lab) -> Result<()> {
    let mut pair = start(lab).await?;
    pair.juliet_watches().await?;
    let mark = pair.mark();
    pair.bridge.agent.goes_down().await;
    let lost = Instant::now();
    pair.expect_within(GRACE + LATE, mark, "unavailable", is("unavailable"))
        .await?;
    let waited = lost.elapsed();
    ensure!(waited > GRACE, "Romeo looked offline after {waited:?}");
    pair.romeo().has(romeo_is("", "back"));
    pair.bridge.agent.comes_back().await?;
    pair.expect_within(BACK, mark, "back", says("back")).await?;
    let told = pair.presences(mark);
    ensure!(!told.iter().any(is("unsubscribed")), "{told:?}");
    ensure!(!told.iter().any(is("subscribed")), "a second yes: {told:?}");
    is_sound(&mut pair)
}

async fn long_loss_of_xmpp(lab: &Lab) -> Result<()> {
    let mut pair = start(lab).await?;
    let watch = pair.romeo_watches().await?;
    let mark = watch.mark();
    pair.bridge.peer.goes_down().await;
    let lost = Instant::now();
    watch
        .expect_within(GRACE + LATE, mark, "closed", Notification::is_closed)
        .await?;
    let waited = lost.elapsed();
    ensure!(waited > GRACE, "Juliet looked offline after {waited:?}");
    ensure!(watch.refresh(Some(600)).await?.status() == Some(200));
    let mark = watch.mark();
    pair.bridge.peer.comes_back().await?;
    watch
        .expect_within(BACK, mark, "open", Notification::is_open)
        .await?;
    let told = watch.notifications().all();
    ensure!(told.iter().all(|n| n.state != "terminated"), "{told:?}");
    is_sound(&mut pair)
}

/// What a refresh was granted holds, even if the gateway is killed as soon as that is read.
#[tokio::test]
async fn a_kill_behind_the_answer_to_a_refresh() -> Result<()> {
    run("refreshed", LIMIT, async |lab| {
        let mut pair = start(lab).await?;
        let watch = pair.romeo_watches().await?;
        ensure!(watch.refresh(Some(600)).await?.status() == Some(200));
        let granted = ends(&pair).await?;
        pair.bridge.gateway.kill().await?;
        pair.bridge.gateway.start_again().await?;
        let kept = ends(&pair).await?;
        ensure!(
            kept == granted,
            "granted until {granted}, kept until {kept}"
        );
        is_sound(&mut pair)
    })
    .await
}

/// When Romeo's subscription ends, as the operator is told.
async fn ends(pair: &ScriptedPair) -> Result<String> {
    let all = pair.bridge.gateway.ask(&["watcher", "list", ROMEO]).await?;
    let text = all.to_string();
    let ends = text
        .split("\"ends\":\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next());
    Ok(ends
        .with_context(|| format!("one dialog: {text}"))?
        .to_owned())
}

/// A peer that has forgotten its dialogs answers 481: a new one is set up, and nobody sees it.
#[tokio::test]
async fn a_peer_that_forgot_its_dialogs() -> Result<()> {
    run("forgetful", LIMIT, async |lab| {
        let mut pair = start(lab).await?;
        let watch = pair.befriended().await?;
        let mark = pair.mark();
        pair.bridge.agent.forget_watchers();
        resync(&pair).await?;
        until(BACK, "a new dialog", || {
            std::future::ready(pair.romeo().watchers().len() == 1)
        })
        .await?;
        pair.romeo().publish(romeo_is("", "anew")).await?;
        pair.expect(mark, "anew", says("anew")).await?;
        nothing_lost(&pair, mark, "to Juliet")?;

        // The other way round: Romeo's phone has forgotten, and says so to the next NOTIFY.
        watch.forget();
        pair.juliet_says("to nobody").await?;
        let forgotten = |request: &SipMessage| {
            request.method() == "NOTIFY" && request.text().contains("to nobody")
        };
        pair.bridge
            .agent
            .requests()
            .wait("NOTIFY into the void", forgotten)
            .await?;
        let again = pair.romeo_watches().await?;
        again.expect("her state", |n| n.says("to nobody")).await?;
        is_sound(&mut pair)
    })
    .await
}

/// Refusals of a refresh: transient ones change nothing for Juliet, the lasting ones of the short
/// list end what she had.
#[tokio::test]
async fn refused_refreshes() -> Result<()> {
    for status in [500, 503, 480] {
        run("refresh", LIMIT, async |lab| {
            let mut pair = start(lab).await?;
            refuses_for_a_while(&pair, status).await?;
            is_sound(&mut pair)
        })
        .await?;
    }
    for status in [403, 489] {
        run("refresh", LIMIT, async |lab| {
            let mut pair = start(lab).await?;
            refuses_for_good(&pair, status).await?;
            is_sound(&mut pair)
        })
        .await?;
    }
    Ok(())
}

async fn refuses_for_a_while(pair: &ScriptedPair, status: u16) -> Result<()> {
    pair.juliet_watches().await?;
    let mark = pair.mark();
    pair.romeo().answers_refreshes(Some(status));
    resync(pair).await?;
    let requests = pair.bridge.agent.requests();
    requests.wait("refresh", is_refresh).await?;
    pair.romeo().answers_refreshes(None);
    resync(pair).await?;
    until(BACK, "a dialog", || {
        std::future::ready(!pair.romeo().watchers().is_empty())
    })
    .await?;
    pair.romeo().publish(romeo_is("", "still here")).await?;
    pair.expect(mark, "still here", says("still here")).await?;
    nothing_lost(pair, mark, &status.to_string())?;
    Ok(())
}

async fn refuses_for_good(pair: &ScriptedPair, status: u16) -> Result<()> {
    pair.juliet_watches().await?;
    let mark = pair.mark();
    pair.romeo().answers_refreshes(Some(status));
    pair.romeo().consents(Consent::Refused(status, vec![]));
    resync(pair).await?;
    pair.expect(mark, "unsubscribed", is("unsubscribed"))
        .await?;
    let told = pair.presences(mark);
    let order: Vec<&str> = told.iter().map(|p| p.at("type")).collect();
    ensure!(
        order.ends_with(&["unavailable", "unsubscribed"]),
        "{status}: {order:?}"
    );
    Ok(())
}

fn is_refresh(request: &SipMessage) -> bool {
    let to = request.header("To").unwrap_or_default();
    request.method() == "SUBSCRIBE" && to.contains("tag=")
}

/// Odd openings of a dialog: too brief an interval, the NOTIFY before the answer, a fork, no NOTIFY
/// at all.
#[tokio::test]
async fn odd_beginnings() -> Result<()> {
    run("odd-beginnings", LIMIT, async |lab| {
        let mut pair = start(lab).await?;
        let brief = Consent::Refused(423, vec![("Min-Expires", "7200".to_owned())]);
        pair.romeo().consents(brief);
        pair.juliet("subscribe", "").await?;
        let longer = |request: &SipMessage| {
            request.method() == "SUBSCRIBE" && request.header("Expires") == Some("7200")
        };
        pair.bridge
            .agent
            .requests()
            .wait("a longer one", longer)
            .await?;

        is_seen(&pair, "early", Consent::NotifyFirst).await?;
        is_seen(&pair, "forked", Consent::Forked).await?;
        // The second branch of the fork was told that there is no such dialog.
        let forked = pair.bridge.agent.presentity("forked");
        let mut answers = forked.publish(romeo_is("", "forked again")).await?;
        answers.sort_unstable();
        ensure!(answers == [200, 481], "both branches: {answers:?}");
        is_sound(&mut pair)
    })
    .await
}

/// Juliet asks to see a user who answers so, and sees it, with one yes.
async fn is_seen(pair: &ScriptedPair, user: &str, consent: Consent) -> Result<()> {
    let contact = format!("{user}@sip.example");
    let presentity = pair.bridge.agent.presentity(user);
    presentity.has(romeo_is("", user));
    presentity.consents(consent);
    let peer = &pair.bridge.peer;
    peer.presence("juliet", &contact, "subscribe", "").await?;
    peer.expect_from("", |p| p.text_of("status") == user)
        .await?;
    let yes = peer.presences(0, &contact, JULIET);
    let count = yes.iter().filter(|p| is("subscribed")(p)).count();
    ensure!(count == 1, "{yes:?}");
    Ok(())
}

/// Why a notifier ends a subscription decides what comes next (RFC 6665 section 4.1.3).
#[tokio::test]
async fn ended_by_the_notifier() -> Result<()> {
    let comes_back = [
        "deactivated",
        "timeout",
        "probation;retry-after=1",
        "giveup;retry-after=1",
    ];
    for reason in comes_back {
        run("ended", LIMIT, async |lab| {
            let mut pair = start(lab).await?;
            let mark = ended(&pair, reason).await?;
            pair.expect_within(BACK, mark, reason, says("again"))
                .await?;
            nothing_lost(&pair, mark, reason)?;
            is_sound(&mut pair)
        })
        .await?;
    }
    for reason in ["rejected", "noresource"] {
        run("ended", LIMIT, async |lab| {
            let mut pair = start(lab).await?;
            let mark = ended(&pair, reason).await?;
            pair.expect(mark, reason, is("unsubscribed")).await?;
            is_sound(&mut pair)
        })
        .await?;
    }
    Ok(())
}

async fn ended(pair: &ScriptedPair, reason: &str) -> Result<usize> {
    pair.juliet_watches().await?;
    let mark = pair.mark();
    pair.romeo().has(romeo_is("", "again"));
    pair.romeo().terminate(reason).await?;
    Ok(mark)
}

/// How many contacts a peer refuses at once.
const CONTACTS: usize = 12;

/// A peer that refuses everything at once is broken, not its users: grants are kept and an alarm
/// stands until an operator releases it.
#[tokio::test]
async fn a_peer_that_refuses_everything() -> Result<()> {
    run("guard", LIMIT, async |lab| {
        let mut pair = start(lab).await?;
        contacts_are(&pair, None, "in");
        for index in 0..CONTACTS {
            let contact = format!("c{index}@sip.example");
            let peer = &pair.bridge.peer;
            peer.presence("juliet", &contact, "subscribe", "").await?;
        }
        all_say(&pair, 0, "in").await?;
        let mark = pair.mark();
        contacts_are(&pair, Some(403), "in");
        resync(&pair).await?;
        let gateway = &mut pair.bridge.gateway;
        gateway.process().logs(BACK, "peer_refuses_grants").await?;
        let status = gateway.control(&["status"]).await?.stdout;
        ensure!(status.contains("peer-refuses-grants"), "{status}");
        contacts_are(&pair, None, "healed");
        let release = ["peer", "release", "sip.example"];
        pair.bridge.gateway.control(&release).await?.success()?;
        all_say(&pair, mark, "healed").await?;
        let lost = pair.bridge.peer.received().since(mark).into_iter();
        let lost: Vec<_> = lost.filter(is("unsubscribed")).collect();
        ensure!(lost.is_empty(), "{lost:?}");
        is_sound(&mut pair)
    })
    .await
}

/// All contacts refuse with this status, or take everything.
fn contacts_are(pair: &ScriptedPair, refusing: Option<u16>, words: &str) {
    for index in 0..CONTACTS {
        let contact = pair.bridge.agent.presentity(&format!("c{index}"));
        contact.has(romeo_is("", words));
        contact.answers_refreshes(refusing);
        contact.consents(match refusing {
            Some(status) => Consent::Refused(status, vec![]),
            None => Consent::Active,
        });
    }
}

async fn all_say(pair: &ScriptedPair, known: usize, words: &str) -> Result<()> {
    let received = pair.bridge.peer.received();
    for index in 0..CONTACTS {
        let from = format!("c{index}@sip.example/phone");
        let wanted = |p: &Element| p.at("from") == from && says(words)(p);
        received.wait_behind(known, BACK, &from, wanted).await?;
    }
    Ok(())
}

/// A store that cannot be written: new subscriptions are refused on both sides, those that live go
/// on, and all is well once there is room.
#[tokio::test]
async fn a_full_disk() -> Result<()> {
    run("presence-full-disk", LIMIT, async |lab| {
        let small = |settings: &mut Settings| settings.state_size = Some("2m");
        let bridge = ScriptedBridge::start_with(lab, small).await?;
        let pair = ScriptedPair::new(bridge);
        let watch = pair.befriended().await?;
        let filler = pair.bridge.gateway.state_folder().join("filler");
        fill(&filler)?;
        let (peer, agent) = (&pair.bridge.peer, &pair.bridge.agent);
        until(BACK, "new watchers are refused", || async {
            let answer = agent.subscribe(&token(), JULIET, Wish::default()).await;
            answer.is_ok_and(|(_, answer)| answer.status() == Some(503))
        })
        .await?;
        let stranger = "stranger@sip.example";
        peer.presence("juliet", stranger, "subscribe", "").await?;
        let refused = peer.expect_from(stranger, is("error")).await?;
        let condition = refused.condition().unwrap_or_default();
        ensure!(condition == "resource-constraint", "{condition}");
        pair.changes_flow(&watch, "without a store").await?;
        std::fs::remove_file(&filler)?;
        until(BACK, "new watchers are taken again", || async {
            let answer = agent.subscribe(&token(), JULIET, Wish::default()).await;
            answer.is_ok_and(|(_, answer)| answer.status() == Some(200))
        })
        .await?;
        pair.changes_flow(&watch, "with a store").await?;
        let faults = pair.bridge.agent.faults().all();
        ensure!(faults.is_empty(), "in its dialogs: {faults:?}");
        Ok(())
    })
    .await
}

/// Writes until nothing fits any more.
fn fill(path: &Path) -> Result<()> {
    let mut file = File::create(path)?;
    for size in [4096, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
    Ok(())
}

/// A SIP peer that keeps silent: the request stands, and the answer counts when it comes.
#[tokio::test]
async fn a_peer_that_keeps_silent() -> Result<()> {
    run("silent", LIMIT, async |lab| {
        let mut pair = start(lab).await?;
        pair.romeo().consents(Consent::Silence);
        pair.juliet("subscribe", "").await?;
        let asks = |request: &SipMessage| request.method() == "SUBSCRIBE";
        let requests = pair.bridge.agent.requests();
        requests.wait("SUBSCRIBE", asks).await?;
        pair.romeo().consents(Consent::Active);
        // Timer F and the first step of the back-off.
        pair.expect_within(Duration::from_secs(100), 0, "in", says("in"))
            .await?;
        let told = pair.presences(0);
        ensure!(!told.iter().any(is("unsubscribed")), "{told:?}");
        is_sound(&mut pair)
    })
    .await
}

/// Asks the gateway to fetch everything anew that Juliet sees.
async fn resync(pair: &ScriptedPair) -> Result<()> {
    let arguments = ["watcher", "resync", JULIET];
    pair.bridge.gateway.control(&arguments).await?.success()?;
    Ok(())
}
