//! Checks that need no daemon.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::json;
use translators::model::Side;

use crate::admin::protocol::FindingStatus;
use crate::config::{self, Config};
use crate::ctl::{Console, Exit, Failure};
use crate::telemetry::logs::printable;

/// A file cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be used: {source}", path.display())]
pub(super) struct FileFault {
    /// Which.
    path: PathBuf,
    /// What the system says.
    source: io::Error,
}

impl FileFault {
    /// The fault of `path`.
    pub(super) fn new(path: &Path, source: io::Error) -> Self {
        Self {
            path: path.to_owned(),
            source,
        }
    }
}

/// `check config`: every finding, or what the configuration holds.
pub(super) fn config(console: &mut Console<'_>, file: &Path) -> Result<Exit, Failure> {
    let (config, findings) = config::load(file, console.clock.unix_time());
    let exit = if config.is_some() {
        Exit::Fine
    } else {
        Exit::Problem
    };
    if console.json {
        let findings: Vec<FindingStatus> = findings.iter().map(Into::into).collect();
        console.value(&json!({ "ok": config.is_some(), "findings": findings }))?;
        return Ok(exit);
    }
    for finding in &findings {
        console.line(&printable(&finding.to_string()))?;
    }
    let name = file.display();
    match config {
        Some(config) => console.line(&format!("{name} can be used: {}.", contents(&config)))?,
        None => {
            let errors = findings.iter().filter(|finding| finding.is_error()).count();
            console.line(&format!(
                "{name} cannot be used: {}.",
                count(errors, "error")
            ))?;
        }
    }
    Ok(exit)
}

fn contents(config: &Config) -> String {
    let xmpp = count(config.peers_on(Side::Xmpp).count(), "XMPP peer");
    let sip = count(config.peers_on(Side::Sip).count(), "SIP peer");
    format!("{xmpp}, {sip}")
}

/// `3 errors`, `1 error`.
fn count(number: usize, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

/// `schema`: what the documentation is made from.
pub(super) fn schema(console: &mut Console<'_>, markdown: bool) -> Result<Exit, Failure> {
    let schema = config::schema::json_schema();
    if markdown {
        console
            .out
            .write_all(config::reference_page(&schema).as_bytes())?;
    } else {
        console.line(&serde_json::to_string_pretty(&schema)?)?;
    }
    Ok(Exit::Fine)
}
