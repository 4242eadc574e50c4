//! Commands about decisions on pairs and users.

use std::path::Path;

use serde_json::Value;
use translators::policy::Verdict;

use crate::admin::protocol::{AclChanged, AclExplained, AclList, Command, Holds, PendingList};
use crate::ctl::daemon::{query, show};
use crate::ctl::table::Table;
use crate::ctl::{Console, Exit, Failure};
use crate::telemetry::logs::printable;

/// `acl get`.
pub(super) fn list(
    console: &mut Console<'_>,
    socket: &Path,
    users: &[String],
) -> Result<Exit, Failure> {
    let users = users.to_owned();
    let (answer, list): (Value, AclList) = query(socket, &Command::AclGet { users })?;
    if console.json {
        console.value(&answer)?;
        return Ok(Exit::Fine);
    }
    if list.decisions.is_empty() {
        console.line("Nothing is decided; see acl explain for what holds.")?;
        return Ok(Exit::Fine);
    }
    let mut table = Table::new(["LEVEL", "XMPP USER", "SIP USER", "VERDICT", "SINCE", "BY"]);
    for decision in &list.decisions {
        let by = decision.changed_by.map(|user| user.to_string());
        table.row([
            &decision.level,
            decision.xmpp_user.as_deref().unwrap_or("*"),
            decision.sip_user.as_deref().unwrap_or("*"),
            &decision.verdict,
            &decision.changed,
            by.as_deref().unwrap_or_default(),
        ]);
    }
    show(console, &table)?;
    if list.left_off > 0 {
        console.line(&format!("and {} more: name a user", list.left_off))?;
    }
    Ok(Exit::Fine)
}

/// `acl set`.
pub(super) fn set(
    console: &mut Console<'_>,
    socket: &Path,
    users: &[String],
    verdict: Verdict,
) -> Result<Exit, Failure> {
    let command = Command::AclSet {
        users: users.to_owned(),
        verdict: verdict.to_string(),
    };
    change(console, socket, &command)?;
    Ok(Exit::Fine)
}

/// `acl remove`.
pub(super) fn remove(
    console: &mut Console<'_>,
    socket: &Path,
    users: &[String],
) -> Result<Exit, Failure> {
    let users = users.to_owned();
    let changed = change(console, socket, &Command::AclRemove { users })?;
    Ok(match changed.before {
        Some(_) => Exit::Fine,
        None => Exit::Problem,
    })
}

/// `acl explain`.
pub(super) fn explain(
    console: &mut Console<'_>,
    socket: &Path,
    users: &[String],
) -> Result<Exit, Failure> {
    let users = users.to_owned();
    let (answer, explained): (Value, AclExplained) = query(socket, &Command::AclExplain { users })?;
    if console.json {
        console.value(&answer)?;
        return Ok(Exit::Fine);
    }
    let AclExplained {
        xmpp_user,
        sip_user,
        holds,
        said,
    } = explained;
    let Holds { verdict, level } = holds;
    let line = format!("{xmpp_user} with {sip_user}: {verdict}, decided on level {level}.");
    console.line(&printable(&line))?;
    console.line("")?;
    let mut table = Table::new(["LEVEL", "VERDICT", "DECIDES", "SAID BY"]);
    for said in &said {
        let decides = if said.decides { "yes" } else { "" };
        table.row([&said.level, &said.verdict, decides, &said.rule]);
    }
    show(console, &table)?;
    Ok(Exit::Fine)
}

/// `pending list`.
pub(super) fn pending(
    console: &mut Console<'_>,
    socket: &Path,
    user: Option<String>,
) -> Result<Exit, Failure> {
    let (answer, list): (Value, PendingList) = query(socket, &Command::PendingList { user })?;
    if console.json {
        console.value(&answer)?;
        return Ok(Exit::Fine);
    }
    if list.pending.is_empty() {
        console.line("No request waits for a decision.")?;
        return Ok(Exit::Fine);
    }
    let mut table = Table::new(["WATCHER", "WANTS TO SEE", "SIDE", "CONFIRM BY"]);
    for one in &list.pending {
        table.row([&one.watcher, &one.presentity, &one.side, &one.level]);
    }
    show(console, &table)?;
    Ok(Exit::Fine)
}

/// `pending allow` and `pending deny`.
pub(super) fn decide(
    console: &mut Console<'_>,
    socket: &Path,
    users: &[String],
    verdict: Verdict,
) -> Result<Exit, Failure> {
    let command = Command::PendingDecide {
        users: users.to_owned(),
        verdict: verdict.to_string(),
    };
    change(console, socket, &command)?;
    Ok(Exit::Fine)
}

/// Has a decision changed, and says what became of it.
fn change(
    console: &mut Console<'_>,
    socket: &Path,
    command: &Command,
) -> Result<AclChanged, Failure> {
    let (answer, changed): (Value, AclChanged) = query(socket, command)?;
    if console.json {
        console.value(&answer)?;
    } else {
        say(console, &changed)?;
    }
    Ok(changed)
}

/// Says what became of a decision.
fn say(console: &mut Console<'_>, changed: &AclChanged) -> Result<(), Failure> {
    let users = match (&changed.xmpp_user, &changed.sip_user) {
        (Some(jid), Some(aor)) => format!("{jid} with {aor}"),
        (Some(user), None) | (None, Some(user)) => format!("{user} with everybody"),
        (None, None) => String::new(),
    };
    let decided = changed.verdict.as_deref();
    let line = match (&changed.before, decided) {
        (None, None) => format!("{users}: nothing was decided."),
        (Some(before), None) => format!("{users}: nothing is decided any more (before: {before})."),
        (Some(before), Some(now)) if before == now => format!("{users}: {now}, as before."),
        (Some(before), Some(now)) => format!("{users}: {now} (before: {before})."),
        (None, Some(now)) => format!("{users}: {now} (before: nothing was decided)."),
    };
    console.line(&printable(&line))?;
    if let Some(Holds { verdict, level }) = &changed.holds
        && decided != Some(verdict)
    {
        console.line(&format!(
            "What holds is {verdict}, decided on level {level}."
        ))?;
    }
    Ok(())
}
