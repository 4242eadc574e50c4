//! Commands about who watches whom.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::admin::protocol::{
    Command, Forgotten, RelationStatus, Released, WatcherList, WatchersChanged,
};
use crate::ctl::args::{CertSide, Watcher};
use crate::ctl::client::ask;
use crate::ctl::daemon::{query, show};
use crate::ctl::table::Table;
use crate::ctl::{Console, Exit, Failure};
use crate::telemetry::logs::printable;

/// Time for what concerns many relations.
const PATIENCE: Duration = Duration::from_secs(120);
/// Relations shown of one user: more than he may have.
const OF_ONE_USER: usize = 10_000;

/// `watcher`.
pub(super) fn watcher(
    console: &mut Console<'_>,
    socket: &Path,
    task: &Watcher,
) -> Result<Exit, Failure> {
    match task {
        Watcher::List { user, most } => {
            let users = user.iter().cloned().collect();
            list(console, socket, users, *most)
        }
        Watcher::Show { users } => details(console, socket, users.clone()),
        Watcher::Resync { users } => {
            let users = users.clone();
            change(
                console,
                socket,
                &Command::WatcherResync { users },
                "asked for again",
            )
        }
        Watcher::Drop { users, watcher } => {
            let side = watcher.map(|side| match side {
                CertSide::Sip => "sip".to_owned(),
                CertSide::Xmpp => "xmpp".to_owned(),
            });
            let users = users.clone();
            change(
                console,
                socket,
                &Command::WatcherDrop { users, side },
                "dropped",
            )
        }
    }
}

fn list(
    console: &mut Console<'_>,
    socket: &Path,
    users: Vec<String>,
    most: usize,
) -> Result<Exit, Failure> {
    let (answer, list): (Value, WatcherList) =
        query(socket, &Command::WatcherList { users, most })?;
    if console.json {
        console.value(&answer)?;
        return Ok(Exit::Fine);
    }
    if list.relations.is_empty() {
        console.line("Nobody watches anybody there.")?;
        return Ok(Exit::Fine);
    }
    let mut table = Table::new([
        "WATCHER",
        "PRESENTITY",
        "SIDE",
        "STATE",
        "VERDICT",
        "GRANTED",
        "DIALOGS",
        "LOOKS",
        "AVAILABLE",
    ]);
    for relation in &list.relations {
        table.row([
            &relation.watcher,
            &relation.presentity,
            &relation.side,
            &relation.state,
            &relation.verdict,
            yes_or_no(relation.granted),
            &relation.dialogs.len().to_string(),
            &relation.looks.to_string(),
            &relation.available.to_string(),
        ]);
    }
    show(console, &table)?;
    if list.more {
        console.line("There are more: name a user, or give --most.")?;
    }
    Ok(Exit::Fine)
}

fn details(console: &mut Console<'_>, socket: &Path, users: Vec<String>) -> Result<Exit, Failure> {
    let most = OF_ONE_USER;
    let (answer, list): (Value, WatcherList) =
        query(socket, &Command::WatcherList { users, most })?;
    let exit = if list.relations.is_empty() {
        Exit::Problem
    } else {
        Exit::Fine
    };
    if console.json {
        console.value(&answer)?;
        return Ok(exit);
    }
    if list.relations.is_empty() {
        console.line("Neither watches the other.")?;
    }
    for relation in &list.relations {
        for line in paragraph(relation) {
            console.line(&printable(&line))?;
        }
    }
    Ok(exit)
}

fn paragraph(relation: &RelationStatus) -> Vec<String> {
    let RelationStatus {
        watcher,
        presentity,
        side,
        state,
        verdict,
        ..
    } = relation;
    let granted = if relation.granted {
        "granted"
    } else {
        "not granted"
    };
    let mut lines = vec![
        format!("{watcher} ({side}) watches {presentity}: {state}"),
        format!("  authorization: {granted}; policy: {verdict}"),
        format!("  devices available: {}", relation.available),
    ];
    if relation.held {
        lines.push("  waits for your decision: isthmusctl pending".to_owned());
    }
    if relation.looks > 0 {
        let looks = relation.looks;
        lines.push(format!(
            "  dialogs that only look: {looks}; nobody is asked yet"
        ));
    }
    let fresh = relation.fresh.iter();
    lines.extend(fresh.map(|at| format!("  last presence: {at}")));
    let retry = relation.retry.iter();
    lines.extend(retry.map(|at| format!("  next attempt: {at}")));
    let dialogs = relation.dialogs.iter();
    lines.extend(dialogs.map(|dialog| {
        let (id, ends) = (&dialog.call_id, &dialog.ends);
        format!("  dialog {id}, until {ends} unless refreshed")
    }));
    lines
}

fn change(
    console: &mut Console<'_>,
    socket: &Path,
    command: &Command,
    done: &str,
) -> Result<Exit, Failure> {
    let answer = ask(socket, command, PATIENCE)?;
    let WatchersChanged { relations } = serde_json::from_value(answer.clone())?;
    let exit = if relations == 0 {
        Exit::Problem
    } else {
        Exit::Fine
    };
    if console.json {
        console.value(&answer)?;
        return Ok(exit);
    }
    console.line(&match relations {
        0 => "There is no such relation.".to_owned(),
        1 => format!("One relation was {done}."),
        many => format!("{many} relations were {done}."),
    })?;
    Ok(exit)
}

/// `user forget`.
pub(super) fn forget(
    console: &mut Console<'_>,
    socket: &Path,
    user: &str,
) -> Result<Exit, Failure> {
    let user = user.to_owned();
    let answer = ask(socket, &Command::UserForget { user }, PATIENCE)?;
    let forgotten: Forgotten = serde_json::from_value(answer.clone())?;
    if console.json {
        console.value(&answer)?;
        return Ok(Exit::Fine);
    }
    let Forgotten {
        relations,
        decisions,
        rows,
    } = forgotten;
    console.line(&format!(
        "Forgotten: {relations} relations, {decisions} decisions, {rows} rows of the journal."
    ))?;
    Ok(Exit::Fine)
}

/// `peer release`.
pub(super) fn release(
    console: &mut Console<'_>,
    socket: &Path,
    peer: &str,
) -> Result<Exit, Failure> {
    let peer = peer.to_owned();
    let (answer, outcome): (Value, Released) = query(socket, &Command::PeerRelease { peer })?;
    if console.json {
        console.value(&answer)?;
        return Ok(Exit::Fine);
    }
    let name = printable(&outcome.peer).into_owned();
    console.line(&if outcome.released {
        format!("{name} is believed again when it refuses what it granted.")
    } else {
        format!("{name} was believed all the time.")
    })?;
    Ok(Exit::Fine)
}

const fn yes_or_no(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}
