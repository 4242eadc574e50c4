//! The main job, shown: a Prosody and a Kamailio with the gateway between them, and messages
//! both ways. Stays up until Ctrl-C; with ONCE=1, or without a terminal, it ends after the show.

use std::io::{IsTerminal, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use anyhow::{Result, bail, ensure};
use interop_tests::gateway::{Gateway, Peer, Settings};
use interop_tests::kamailio::{self, Kamailio};
use interop_tests::lab::{Host, Lab};
use interop_tests::sip_agent::SipAgent;
use interop_tests::xml::Look;
use interop_tests::xmpp_server::{Kind, Options, XmppServer};
use interop_tests::xmpp_user::XmppUser;

const ALICE: &str = "alice@prosody.example";
const BOB: &str = "bob@kamailio.example";

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to do about an error stream that does not take this.
            writeln!(std::io::stderr(), "demo failed: {error:#}").ok();
            ExitCode::FAILURE
        }
    }
}

fn start() -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        return become_root_of_a_namespace();
    }
    tokio::runtime::Runtime::new()?.block_on(demo())
}

/// The lab needs ports below 1024 and mounts of its own; any user has both in a user namespace.
fn become_root_of_a_namespace() -> Result<()> {
    ensure!(
        std::env::var_os("ISTHMUS_DEMO_NAMESPACE").is_none(),
        "still not root in a namespace"
    );
    let error = Command::new("unshare")
        .args(["-Urnm", "sh", "-c", "ip link set lo up && exec \"$0\""])
        .arg(std::env::current_exe()?)
        .env("ISTHMUS_DEMO_NAMESPACE", "1")
        .exec();
    bail!("cannot make a user namespace (run as root instead): {error}")
}

async fn demo() -> Result<()> {
    let lab = Lab::start("demo").await?;
    say("Starting Prosody (prosody.example), Kamailio (kamailio.example) and isthmusd ...")?;
    let prosody = XmppServer::start(&lab, Kind::Prosody, &Options::default()).await?;
    let kamailio = Kamailio::start(&lab, Host::Gateway).await?;
    let xmpp = Peer::xmpp(&lab, "prosody", prosody.domain());
    let sip = Peer::sip(&lab, "kamailio", kamailio::DOMAIN, Host::Kamailio);
    let mut settings = Settings::new([xmpp, sip]);
    settings.log_level = "info";
    let gateway = Gateway::start(&lab, &settings).await?;
    let alice = prosody.user("alice").await?;
    let phone = kamailio.agent(&lab, &["bob"]).await?;
    let shown = transcript(&alice, &phone).await;
    if shown.is_err() {
        lab.show_logs();
    }
    shown?;
    if std::env::var("ONCE").is_ok_and(|once| once == "1") || !std::io::stdout().is_terminal() {
        return Ok(());
    }
    say("\nEverything stays up until Ctrl-C. In another terminal:")?;
    say(&format!("  {}", gateway.control_line("status")?))?;
    say(&format!(
        "  {}",
        gateway.control_line(&format!("message find {ALICE}"))?
    ))?;
    tokio::signal::ctrl_c().await?;
    Ok(())
}

/// Messages both ways, and one each way to a user that does not exist.
async fn transcript(alice: &XmppUser, phone: &SipAgent) -> Result<()> {
    let text = "Hello Bob, this is Alice on XMPP.";
    say(&format!("\n{ALICE} (XMPP) writes to {BOB}: {text}"))?;
    alice.say(BOB, "demo-1", text).await?;
    let request = phone.expect_text(text).await?;
    let from = request.header("From").unwrap_or_default();
    say(&format!(
        "{BOB} (SIP) receives from {from}: {}",
        request.text()
    ))?;

    let text = "Hello Alice, this is Bob on SIP.";
    say(&format!("\n{BOB} (SIP) writes to {ALICE}: {text}"))?;
    let status = phone.say("bob", ALICE, text).await?;
    say(&format!("{BOB} (SIP) is answered: {status}"))?;
    let stanza = alice.expect_text(text).await?;
    let (from, body) = (stanza.at("from"), stanza.body().unwrap_or_default());
    say(&format!("{ALICE} (XMPP) receives from {from}: {body}"))?;
    ensure!(status == 200, "a message that arrives is answered 200");

    let nobody = "nobody@kamailio.example";
    say(&format!(
        "\n{ALICE} (XMPP) writes to {nobody}, who does not exist"
    ))?;
    alice.say(nobody, "demo-2", "Are you there?").await?;
    let error = alice.expect_error("demo-2").await?;
    let condition = error.condition().unwrap_or_default();
    say(&format!("{ALICE} (XMPP) is told: {condition}"))?;
    ensure!(
        condition == "item-not-found",
        "a user that does not exist is not found"
    );

    let nobody = "nobody@prosody.example";
    say(&format!(
        "\n{BOB} (SIP) writes to {nobody}, who does not exist"
    ))?;
    let status = phone.say("bob", nobody, "Are you there?").await?;
    say(&format!("{BOB} (SIP) is answered: {status}"))?;
    ensure!(
        (400..700).contains(&status),
        "a message that nobody gets is refused"
    );
    Ok(())
}

fn say(line: &str) -> Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}
