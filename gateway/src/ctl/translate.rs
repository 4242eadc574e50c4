//! `translate`: what a message becomes on the other side.

use std::fs;
use std::path::Path;

use serde_json::json;
use translators::explain::explain;
use translators::model::Directory;

use crate::config;
use crate::ctl::check::FileFault;
use crate::ctl::{Console, Exit, Failure};
use crate::telemetry::logs::printable;

/// Explains `file` with the peers of `config`, if there is one that can be used.
pub(super) fn file(console: &mut Console<'_>, file: &Path, config: &Path) -> Result<Exit, Failure> {
    let input = fs::read(file).map_err(|source| FileFault::new(file, source))?;
    let (config, _) = config::load(config, console.clock.unix_time());
    let none = Directory::default();
    let directory = config.as_ref().map_or(&none, |config| &config.directory);
    let Some(story) = explain(&input, directory, console.clock.now().wall) else {
        let sentence = format!("{} is neither SIP nor XML.", file.display());
        if console.json {
            console.value(&json!({ "ok": false, "error": sentence }))?;
        } else {
            console.line(&sentence)?;
        }
        return Ok(Exit::Problem);
    };
    if console.json {
        console.value(&json!({ "ok": true, "lines": story.lines() }))?;
        return Ok(Exit::Fine);
    }
    for line in story.lines() {
        console.line(printable(line).trim_end())?;
    }
    Ok(Exit::Fine)
}
