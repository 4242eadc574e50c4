//! The main job, shown: a Prosody and an Edge of Lync with the gateway between them, conversations
//! and presence both ways. Stays up until Ctrl-C; with ONCE=1, or without a terminal, it ends after the
//! show.

use std::io::{IsTerminal, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail, ensure};
use interop_tests::demo::{ALICE, Cast, say};
use interop_tests::lab::Lab;
use interop_tests::lync_scenes::{Stage, Wishes, With};
use interop_tests::lync_sim::Profile;
use interop_tests::xmpp_clients::{Mood, XmppClients};
use interop_tests::xmpp_server::Kind;

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
    say(
        "Starting Prosody (prosody.example), an Edge of Lync 2013 (lync.example) and isthmusd ...",
    )?;
    let with = With::Server(Kind::Prosody);
    let stage = Stage::start(&lab, Profile::Lync2013, with, &Wishes::default()).await?;
    let (lync, gateway, prosody) = stage.into_parts();
    let prosody = prosody.context("a real server was asked for")?;
    let clients = XmppClients::start(&lab).await?;
    let jid = format!("{ALICE}/desk");
    let alice = clients.login(prosody.clients(), &jid).await?;
    alice.shows(Mood::default()).await?;
    let bob = lync.sign_in("bob", 1);
    let mut cast = Cast {
        gateway,
        lync,
        alice,
        bob,
    };
    let shown = cast.play().await;
    if shown.is_err() {
        lab.show_logs();
    }
    shown?;
    if std::env::var("ONCE").is_ok_and(|once| once == "1") || !std::io::stdout().is_terminal() {
        return Ok(());
    }
    say("\nEverything stays up until Ctrl-C. In another terminal:")?;
    for arguments in ["status", "watcher list"] {
        let line = cast.gateway.control_line(arguments)?;
        say(&format!("  {line}"))?;
    }
    let find = cast
        .gateway
        .control_line(&format!("message find {ALICE}"))?;
    say(&format!("  {find}"))?;
    tokio::signal::ctrl_c().await?;
    Ok(())
}
