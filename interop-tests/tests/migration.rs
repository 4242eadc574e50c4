//! From one administrative watcher to watchers who are themselves, with scripted peers.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use interop_tests::bridge::ScriptedBridge;
use interop_tests::lab::run;
use interop_tests::process::Output;
use interop_tests::sip_agent::Consent;
use interop_tests::xml::Look;
use minidom::Element;
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(120);
const LIST: &str = "admin-watcher 1
admin xmpp presence@sip.example
admin sip sip:presence@peer.example
watch juliet@peer.example sip:romeo@sip.example
watch sip:tybalt@sip.example juliet@peer.example
watch nurse@peer.example sip:peter@sip.example
watched lady@peer.example
";
/// Exit code of a run that leaves something to be done.
const PROBLEM: i32 = 2;

fn words(list: &Path, more: &[&'static str]) -> Vec<String> {
    let list = list.to_string_lossy().into_owned();
    let mut words: Vec<String> = ["--json", "migrate", "admin-watcher", "--input"]
        .map(str::to_owned)
        .to_vec();
    words.push(list);
    words.extend(more.iter().map(|word| (*word).to_owned()));
    words
}

async fn migrate(
    bridge: &ScriptedBridge,
    list: &Path,
    more: &[&'static str],
) -> Result<(Output, Value)> {
    let words = words(list, more);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let output = bridge.gateway.control(&words).await?;
    let report = serde_json::from_str(&output.stdout)?;
    Ok((output, report))
}

/// What the old address told the users of the XMPP peer.
fn leaves(bridge: &ScriptedBridge) -> Vec<(String, String)> {
    let stanzas = bridge.peer.received().all();
    let of_admin = |stanza: &Element| stanza.at("from") == "presence@sip.example";
    let leaves = stanzas.iter().filter(|stanza| of_admin(stanza));
    leaves
        .map(|stanza| (stanza.at("to").to_owned(), stanza.at("type").to_owned()))
        .collect()
}

/// The old address is given up towards a user when everything of hers works, and towards nobody
/// else; what is left is taken up by a later run, and nothing is done twice.
#[tokio::test]
async fn the_old_address_goes_when_its_users_watch_as_themselves() -> Result<()> {
    run("migration", LIMIT, async |lab| {
        let mut bridge = ScriptedBridge::start(lab, |peer| peer).await?;
        let list = lab.path("list");
        std::fs::write(&list, LIST)?;
        bridge.agent.presentity("romeo").consents(Consent::Active);
        bridge.agent.presentity("peter").consents(Consent::Pending);

        let (output, report) = migrate(&bridge, &list, &["--dry-run"]).await?;
        ensure!(
            output.status.success(),
            "{}{}",
            output.stdout,
            output.stderr
        );
        ensure!(report["counts"]["to be mapped"] == 2, "{report}");
        let waits = "waiting for the SIP user's own client";
        ensure!(report["counts"][waits] == 1, "{report}");
        ensure!(report["orphaned"][0] == "lady@peer.example", "{report}");
        ensure!(bridge.agent.watchers().is_empty(), "a dry run asks nobody");

        let (output, report) = migrate(&bridge, &list, &["--run", "--wait", "8s"]).await?;
        ensure!(output.status.code() == Some(PROBLEM), "{report}");
        ensure!(report["counts"]["mapped"] == 1, "{report}");
        ensure!(
            report["given_up"] == 0,
            "tybalt's client has not come: {report}"
        );
        ensure!(
            report["still_seen_by"][0] == "romeo@sip.example",
            "{report}"
        );
        ensure!(leaves(&bridge).is_empty(), "{:?}", leaves(&bridge));
        let watchers = bridge.agent.watchers();
        ensure!(watchers.len() == 2, "{watchers:?}");
        ensure!(
            watchers
                .iter()
                .any(|one| one.watcher.contains("juliet@peer.example"))
        );

        bridge.gateway.kill().await?;
        bridge.gateway.start_again().await?;
        bridge.peer.hang_up().await;
        let watch = bridge.agent.watch("tybalt", "juliet@peer.example").await?;
        bridge.peer.expect_presence("subscribe").await?;
        let granted =
            r#"<presence type="subscribed" from="juliet@peer.example" to="tybalt@sip.example"/>"#;
        bridge.peer.send("sip.example", granted).await?;
        watch.expect("active", |one| one.state == "active").await?;

        let (_, report) = migrate(&bridge, &list, &["--run", "--wait", "8s"]).await?;
        ensure!(report["given_up"] == 1, "{report}");
        let kept = report["kept"].as_array().map(Vec::len);
        ensure!(kept == Some(1), "the nurse's is kept: {report}");
        let told = [
            ("juliet@peer.example", "unsubscribe"),
            ("juliet@peer.example", "unsubscribed"),
        ];
        let told = told.map(|(to, kind)| (to.to_owned(), kind.to_owned()));
        ensure!(leaves(&bridge) == told, "{:?}", leaves(&bridge));

        bridge.agent.presentity("peter").approve().await?;
        let (_, report) = migrate(&bridge, &list, &["--run", "--wait", "8s"]).await?;
        ensure!(report["given_up"] == 2, "{report}");
        ensure!(report["counts"]["already per user"] == 3, "{report}");
        let (_, again) = migrate(&bridge, &list, &["--run", "--wait", "8s"]).await?;
        ensure!(again["given_up"] == 2, "{again}");
        ensure!(leaves(&bridge).len() == 4, "{:?}", leaves(&bridge));
        bridge.gateway.is_sound()
    })
    .await
}

/// What makes no list is explained, line by line.
#[tokio::test]
async fn a_list_that_makes_no_sense_is_explained() -> Result<()> {
    run("no-list", LIMIT, async |lab| {
        let mut bridge = ScriptedBridge::start(lab, |peer| peer).await?;
        let list = lab.path("list");
        std::fs::write(&list, "admin-watcher 1\nwatch juliet@peer.example\n")?;
        let (output, report) = migrate(&bridge, &list, &["--dry-run"]).await?;
        ensure!(output.status.code() == Some(PROBLEM), "{report}");
        let sentence = report["error"].as_str().unwrap_or_default();
        ensure!(sentence.contains("line 2"), "{sentence}");

        let unclear = "admin-watcher 1\nwatch juliet@peer.example nurse@peer.example\n";
        std::fs::write(&list, unclear)?;
        let (output, report) = migrate(&bridge, &list, &["--dry-run"]).await?;
        ensure!(output.status.code() == Some(PROBLEM), "{report}");
        let why = report["unclear"][0]["why"].as_str().unwrap_or_default();
        ensure!(why.contains("the same side"), "{report}");
        bridge.gateway.is_sound()
    })
    .await
}
