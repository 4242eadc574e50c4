//! What the operator decides acts at once on live presence, both ways, with scripted peers.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use interop_tests::bridge::ScriptedBridge;
use interop_tests::lab::{Lab, run};
use interop_tests::pidf::{Document, Tuple};
use interop_tests::sip_agent::{Consent, Notification, Watch};
use interop_tests::xml::Look;
use minidom::Element;

const LIMIT: Duration = Duration::from_secs(120);
/// From the operator's command to its effect on the wire.
const AT_ONCE: Duration = Duration::from_secs(1);
const JULIET: &str = "juliet@peer.example";
const ROMEO: &str = "romeo@sip.example";

/// Juliet and Romeo watch each other and are available.
async fn befriended(lab: &Lab) -> Result<(ScriptedBridge, Watch)> {
    let bridge = ScriptedBridge::start(lab, |peer| peer).await?;
    let romeo = bridge.agent.presentity("romeo");
    romeo.consents(Consent::Active);
    romeo.has(shows("here"));
    let subscribe = presence("subscribe", "");
    bridge.peer.send("sip.example", &subscribe).await?;
    bridge.peer.expect_presence("subscribed").await?;
    bridge
        .peer
        .expect_from("/romeo-phone", Look::is_available)
        .await?;
    let watch = bridge.agent.watch("romeo", JULIET).await?;
    bridge.peer.expect_presence("subscribe").await?;
    bridge
        .peer
        .send("sip.example", &presence("subscribed", ""))
        .await?;
    bridge
        .peer
        .send("sip.example", &presence("", "<status>here</status>"))
        .await?;
    watch.expect("open", Notification::is_open).await?;
    Ok((bridge, watch))
}

/// Romeo on his phone.
fn shows(note: &str) -> Document {
    Document::of(
        "pres:romeo@sip.example",
        Tuple::open("romeo-phone", "", note),
    )
}

/// A stanza of Juliet's for Romeo.
fn presence(kind: &str, content: &str) -> String {
    let (device, kind) = match kind {
        "" => ("/balcony", String::new()),
        kind => ("", format!(" type=\"{kind}\"")),
    };
    format!(r#"<presence from="{JULIET}{device}" to="{ROMEO}"{kind}>{content}</presence>"#)
}

/// Fails unless something came within the time since the operator gave his command.
fn was_at_once(since: Instant, what: &str) -> Result<()> {
    let took = since.elapsed();
    ensure!(took <= AT_ONCE, "{what} after {took:?}");
    Ok(())
}

async fn decide(bridge: &ScriptedBridge, verdict: &str) -> Result<()> {
    let set = ["acl", "set", JULIET, ROMEO, verdict];
    let output = bridge.gateway.control(&set).await?;
    ensure!(output.status.success(), "{}", output.stderr);
    Ok(())
}

async fn disappears(bridge: &ScriptedBridge, watch: &Watch, verdict: &str) -> Result<()> {
    let (known, seen) = (watch.mark(), bridge.peer.received().len());
    let since = Instant::now();
    decide(bridge, verdict).await?;
    let gone = |one: &Element| one.at("type") == "unavailable";
    let stanzas = bridge.peer.received();
    stanzas
        .wait_behind(seen, AT_ONCE, "unavailable", gone)
        .await?;
    let gone = |one: &Notification| one.is_closed() || one.state == "pending";
    watch.expect_behind(known, "nothing", gone).await?;
    was_at_once(since, verdict)
}

/// What both are meanwhile, the other does not see.
async fn nothing_leaks(
    bridge: &ScriptedBridge,
    watch: &Watch,
    (known, seen): (usize, usize),
    verdict: &str,
) -> Result<()> {
    let secret = presence("", "<status>secret</status>");
    bridge.peer.send("sip.example", &secret).await?;
    bridge
        .agent
        .presentity("romeo")
        .publish(shows("secret"))
        .await?;
    // Longer than changes are gathered for.
    tokio::time::sleep(Duration::from_secs(7)).await;
    let shown = watch.notifications().since(known);
    ensure!(
        !shown.iter().any(Notification::is_open),
        "{verdict}: {shown:?}"
    );
    let shown = bridge.peer.received().since(seen);
    ensure!(
        !shown.iter().any(Look::is_available),
        "{verdict}: {shown:?}"
    );
    Ok(())
}

async fn comes_back(bridge: &ScriptedBridge, watch: &Watch) -> Result<()> {
    let (known, seen) = (watch.mark(), bridge.peer.received().len());
    let since = Instant::now();
    decide(bridge, "allow").await?;
    watch
        .expect_behind(known, "secret", |one| one.says("secret"))
        .await?;
    let back = |one: &Element| one.is_available() && one.text_of("status") == "secret";
    let stanzas = bridge.peer.received();
    stanzas
        .wait_behind(seen, AT_ONCE, "available", back)
        .await?;
    was_at_once(since, "allow")
}

/// A block takes the presence of both away within a second, nothing leaks meanwhile, and unblocking
/// brings all of it back; neither loses the other as a contact.
#[tokio::test]
async fn a_verdict_acts_at_once_on_both_sides() -> Result<()> {
    run("verdict-live", LIMIT, async |lab| {
        let (mut bridge, watch) = befriended(lab).await?;
        for verdict in ["block", "polite-block", "confirm"] {
            let (known, seen) = (watch.mark(), bridge.peer.received().len());
            disappears(&bridge, &watch, verdict).await?;
            nothing_leaks(&bridge, &watch, (known, seen), verdict).await?;
            comes_back(&bridge, &watch).await?;
        }
        let all = bridge.peer.received().all();
        let lost = |one: &Element| ["unsubscribe", "unsubscribed"].contains(&one.at("type"));
        ensure!(!all.iter().any(lost), "a contact was lost");
        bridge.gateway.is_sound()
    })
    .await
}

/// Requests of both sides are held where the verdict is confirm, listed, and go on or end as the
/// operator decides.
#[tokio::test]
async fn held_requests_are_listed_and_decided() -> Result<()> {
    run("verdict-held", LIMIT, async |lab| {
        let mut bridge = ScriptedBridge::start(lab, |peer| peer).await?;
        bridge.agent.presentity("romeo").consents(Consent::Active);
        let confirm = ["acl", "set", JULIET, "confirm"];
        ensure!(bridge.gateway.control(&confirm).await?.status.success());
        let watch = bridge.agent.watch("tybalt", JULIET).await?;
        watch
            .expect("pending", |one| one.state == "pending")
            .await?;
        bridge
            .peer
            .send("sip.example", &presence("subscribe", ""))
            .await?;
        let held = async |bridge: &ScriptedBridge| -> Result<Vec<(String, String)>> {
            let list = bridge.gateway.ask(&["pending", "list"]).await?;
            let list = list["pending"].as_array().cloned().unwrap_or_default();
            let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
            Ok(list
                .iter()
                .map(|one| (text(&one["watcher"]), text(&one["presentity"])))
                .collect())
        };
        let limit = Instant::now() + Duration::from_secs(10);
        while held(&bridge).await?.len() < 2 {
            ensure!(Instant::now() < limit, "{:?}", held(&bridge).await?);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let both = [(JULIET, ROMEO), ("tybalt@sip.example", JULIET)];
        let both = both.map(|(one, other)| (one.to_owned(), other.to_owned()));
        ensure!(held(&bridge).await? == both, "{:?}", held(&bridge).await?);
        ensure!(
            bridge.agent.watchers().is_empty(),
            "nobody is asked meanwhile"
        );

        bridge.gateway.kill().await?;
        bridge.gateway.start_again().await?;
        bridge.peer.hang_up().await;
        ensure!(held(&bridge).await? == both, "{:?}", held(&bridge).await?);

        let allow = ["pending", "allow", "sip:tybalt@sip.example", JULIET];
        ensure!(bridge.gateway.control(&allow).await?.status.success());
        let asked = bridge.peer.expect_presence("subscribe").await?;
        ensure!(asked.at("from") == "tybalt@sip.example", "{asked:?}");
        let deny = ["pending", "deny", JULIET, ROMEO];
        ensure!(bridge.gateway.control(&deny).await?.status.success());
        let refused = bridge.peer.expect_presence("unsubscribed").await?;
        ensure!(refused.at("from") == ROMEO, "{refused:?}");
        ensure!(
            held(&bridge).await?.is_empty(),
            "{:?}",
            held(&bridge).await?
        );
        let again = bridge.gateway.control(&deny).await?;
        ensure!(again.status.code() == Some(2), "{}", again.stderr);
        bridge.gateway.is_sound()
    })
    .await
}
