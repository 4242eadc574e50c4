//! Backups of the journal.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::admin::protocol::Command;
use crate::config;
use crate::ctl::client::{PROMPT, Unanswered, ask};
use crate::ctl::{Console, Exit, Failure};
use crate::store::{self, Copied};

/// `backup`: the tool copies the file itself, with the rights of who asks; a daemon that runs only
/// writes before what it has in memory.
pub(super) fn backup(
    console: &mut Console<'_>,
    config: &Path,
    socket: &Path,
    file: &Path,
) -> Result<Exit, Failure> {
    let folder = folder(config)?;
    match ask(socket, &Command::Flush, PROMPT) {
        Ok(_) | Err(Unanswered::Unreachable { .. }) => {}
        Err(other) => return Err(other.into()),
    }
    let copied = store::back_up(&folder, file, console.clock.now().wall)?;
    tell(console, "The backup holds", &copied)
}

/// `restore`.
pub(super) fn restore(
    console: &mut Console<'_>,
    config: &Path,
    file: &Path,
) -> Result<Exit, Failure> {
    let copied = store::put_back(&folder(config)?, file)?;
    tell(console, "The journal now holds", &copied)
}

fn folder(config: &Path) -> Result<PathBuf, Failure> {
    config::state_folder(config).ok_or_else(|| Failure::NoFolder(config.to_owned()))
}

fn tell(console: &mut Console<'_>, what: &str, copied: &Copied) -> Result<Exit, Failure> {
    let Copied {
        made,
        relations,
        decisions,
        messages,
    } = copied;
    let made = made.to_rfc3339();
    if console.json {
        console.value(&json!({
            "ok": true,
            "made": made,
            "relations": relations,
            "decisions": decisions,
            "messages": messages,
        }))?;
        return Ok(Exit::Fine);
    }
    console.line(&format!(
        "{what} {relations} relations, {decisions} decisions and {messages} messages as of {made}."
    ))?;
    Ok(Exit::Fine)
}
