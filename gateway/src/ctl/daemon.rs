//! Commands that ask the daemon.

use std::path::Path;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::admin::protocol::{
    Command, Drained, Found, PeerList, PeerStatus, ReloadStatus, Status, Version,
};
use crate::ctl::client::{PROMPT, Unanswered, ask};
use crate::ctl::table::Table;
use crate::ctl::{Console, Exit, Failure};
use crate::telemetry::logs::printable;

/// Time a daemon may take beyond what it was given, to close its links.
const MARGIN: Duration = Duration::from_secs(30);

/// `version`: of the tool, and of the daemon if one runs.
pub(super) fn version(console: &mut Console<'_>, socket: &Path) -> Result<Exit, Failure> {
    let own = env!("CARGO_PKG_VERSION");
    let daemon = match ask(socket, &Command::Version, PROMPT) {
        Ok(answer) => Some(serde_json::from_value::<Version>(answer)?.version),
        Err(Unanswered::Unreachable { .. }) => None,
        Err(other) => return Err(other.into()),
    };
    if console.json {
        console.value(&json!({ "ok": true, "version": own, "daemon": daemon }))?;
        return Ok(Exit::Fine);
    }
    console.line(&format!("isthmusctl {own}"))?;
    match daemon {
        Some(daemon) => console.line(&format!("isthmusd {daemon}, running"))?,
        None => console.line(&format!("no isthmusd answers at {}", socket.display()))?,
    }
    Ok(Exit::Fine)
}

/// `status`.
pub(super) fn status(console: &mut Console<'_>, socket: &Path) -> Result<Exit, Failure> {
    let (answer, status): (Value, Status) = query(socket, &Command::Status)?;
    let fine = status.ready && status.alarms.is_empty();
    let exit = if fine { Exit::Fine } else { Exit::Problem };
    if console.json {
        console.value(&answer)?;
        return Ok(exit);
    }
    let ready = if status.ready { "ready" } else { "not ready" };
    let uptime = span(status.uptime_seconds);
    console.line(&format!(
        "isthmusd {}, up {uptime}, {ready}",
        status.version
    ))?;
    console.line(&format!("configuration: {}", status.config.display()))?;
    let journal = if status.journal_writable {
        "writable"
    } else {
        "NOT WRITABLE"
    };
    console.line(&format!("journal: {journal}"))?;
    alarms(console, &status)?;
    if !status.subscriptions.is_empty() {
        console.line("")?;
        subscriptions(console, &status)?;
    }
    if status.endpoints_full > 0 {
        let full = status.endpoints_full;
        console.line(&format!(
            "endpoints that watch as many users as they may: {full}"
        ))?;
    }
    console.line("")?;
    certificates(console, &status)?;
    console.line("")?;
    peer_table(console, &status.peers)?;
    Ok(exit)
}

fn alarms(console: &mut Console<'_>, status: &Status) -> Result<(), Failure> {
    if status.alarms.is_empty() {
        console.line("alarms: none")?;
        return Ok(());
    }
    console.line("")?;
    let mut table = Table::new(["ALARM", "SEVERITY", "ABOUT", "SINCE", "WHY"]);
    for raised in &status.alarms {
        table.row([
            &raised.alarm,
            &raised.severity,
            &raised.subject,
            &raised.since,
            &raised.cause,
        ]);
    }
    show(console, &table)
}

fn subscriptions(console: &mut Console<'_>, status: &Status) -> Result<(), Failure> {
    let mut table = Table::new(["SUBSCRIPTIONS", "WATCHERS", "STATE"]);
    for counted in &status.subscriptions {
        table.row([&counted.count.to_string(), &counted.side, &counted.state]);
    }
    show(console, &table)
}

fn certificates(console: &mut Console<'_>, status: &Status) -> Result<(), Failure> {
    let mut table = Table::new(["CERTIFICATE", "SIDE", "EXPIRES IN", "NAMES"]);
    for certificate in &status.certificates {
        let days = format!("{} days", certificate.days_left);
        let names = certificate.names.join(", ");
        table.row([&certificate.file, &certificate.side, &days, &names]);
    }
    show(console, &table)
}

/// `peer list`.
pub(super) fn peers(console: &mut Console<'_>, socket: &Path) -> Result<Exit, Failure> {
    let (answer, list): (Value, PeerList) = query(socket, &Command::PeerList)?;
    if console.json {
        console.value(&answer)?;
        return Ok(Exit::Fine);
    }
    peer_table(console, &list.peers)?;
    console.line("")?;
    link_table(console, &list.peers)?;
    Ok(Exit::Fine)
}

pub(super) fn peer_table(console: &mut Console<'_>, peers: &[PeerStatus]) -> Result<(), Failure> {
    let mut table = Table::new([
        "PEER",
        "SIDE",
        "STATE",
        "LINKS",
        "WAITING",
        "SENT",
        "DOMAINS",
        "LAST ERROR",
    ]);
    for peer in peers {
        let links = peer.links.len().to_string();
        let (waiting, sent) = (peer.waiting.to_string(), peer.unconfirmed.to_string());
        table.row([
            &peer.name,
            &peer.side,
            peer.state.as_str(),
            &links,
            &waiting,
            &sent,
            &peer.domains.join(", "),
            peer.last_error.as_deref().unwrap_or_default(),
        ]);
    }
    show(console, &table)
}

pub(super) fn link_table(console: &mut Console<'_>, peers: &[PeerStatus]) -> Result<(), Failure> {
    if peers.iter().all(|peer| peer.links.is_empty()) {
        console.line("There are no links: they are made when there is something to send.")?;
        return Ok(());
    }
    let mut table = Table::new([
        "LINK",
        "PEER",
        "WAY",
        "OUR DOMAIN",
        "THEIR DOMAIN",
        "TLS",
        "PROVEN",
        "ADDRESS",
        "SINCE",
    ]);
    for peer in peers {
        for link in &peer.links {
            table.row([
                &link.link.to_string(),
                &peer.name,
                &link.direction,
                &link.local,
                &link.remote,
                &link.tls,
                &link.proven.join(", "),
                &link.address,
                &link.since,
            ]);
        }
    }
    show(console, &table)
}

/// `message find`.
pub(super) fn find(
    console: &mut Console<'_>,
    socket: &Path,
    wanted: &str,
) -> Result<Exit, Failure> {
    let command = Command::MessageFind {
        wanted: wanted.to_owned(),
    };
    let (answer, found): (Value, Found) = query(socket, &command)?;
    let exit = if found.messages.is_empty() {
        Exit::Problem
    } else {
        Exit::Fine
    };
    if console.json {
        console.value(&answer)?;
        return Ok(exit);
    }
    if found.messages.is_empty() {
        console.line(&format!(
            "The journal knows no message {}.",
            printable(wanted)
        ))?;
        return Ok(exit);
    }
    let mut table = Table::new(["ACCEPTED", "FROM", "TO", "SENDER'S ID", "FATE", "WHY", "ID"]);
    for message in &found.messages {
        let users = [message.xmpp_user.as_str(), message.sip_user.as_str()];
        let [from, to] = match message.direction.as_str() {
            "to-sip" => users,
            _ => [users[1], users[0]],
        };
        let why = [&message.reason, &message.text].map(|part| part.as_deref().unwrap_or_default());
        table.row([
            &message.accepted,
            from,
            to,
            message.sender_id.as_deref().unwrap_or_default(),
            &message.state,
            why.join(" ").trim(),
            &message.id,
        ]);
    }
    show(console, &table)?;
    Ok(exit)
}

/// `reload`.
pub(super) fn reload(console: &mut Console<'_>, socket: &Path) -> Result<Exit, Failure> {
    let (answer, outcome): (Value, ReloadStatus) = query(socket, &Command::Reload)?;
    let exit = if outcome.applied {
        Exit::Fine
    } else {
        Exit::Problem
    };
    if console.json {
        console.value(&answer)?;
        return Ok(exit);
    }
    for finding in &outcome.findings {
        let (level, id, subject) = (&finding.level, &finding.id, &finding.subject);
        let (sentence, fix) = (&finding.sentence, &finding.fix);
        let line = format!("{level} {id} {subject}: {sentence} Fix: {fix}");
        console.line(&printable(&line))?;
    }
    console.line(if outcome.applied {
        "The new configuration is in use."
    } else {
        "The new configuration cannot be used; the old one stays in use."
    })?;
    Ok(exit)
}

/// `drain`.
pub(super) fn drain(
    console: &mut Console<'_>,
    socket: &Path,
    timeout: Duration,
    for_good: bool,
) -> Result<Exit, Failure> {
    let command = Command::Drain {
        timeout_seconds: timeout.as_secs(),
        for_good,
    };
    let answer = ask(socket, &command, timeout + MARGIN)?;
    let Drained { clean } = serde_json::from_value(answer.clone())?;
    let exit = if clean { Exit::Fine } else { Exit::Problem };
    if console.json {
        console.value(&answer)?;
        return Ok(exit);
    }
    console.line(if clean {
        "Everything under way was finished; the daemon ends."
    } else {
        "The time is over; the daemon ends. The journal keeps what was not finished."
    })?;
    Ok(exit)
}

/// Asks the daemon; returns the answer as it came and as it is meant.
pub(super) fn query<T: DeserializeOwned>(
    socket: &Path,
    command: &Command,
) -> Result<(Value, T), Failure> {
    let answer = ask(socket, command, PROMPT)?;
    let meaning = serde_json::from_value(answer.clone())?;
    Ok((answer, meaning))
}

/// Writes a table.
pub(super) fn show(console: &mut Console<'_>, table: &Table) -> Result<(), Failure> {
    for line in table.lines() {
        console.line(&line)?;
    }
    Ok(())
}

/// A span of time with its two largest units.
fn span(seconds: u64) -> String {
    let (days, hours) = (seconds / 86_400, seconds / 3_600 % 24);
    let (minutes, seconds) = (seconds / 60 % 60, seconds % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {seconds} s"),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}
