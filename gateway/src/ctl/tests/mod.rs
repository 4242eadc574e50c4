//! The tool as it is called.

mod lync_setup;
mod partner;
mod tasks;
mod watchers;

use std::ffi::OsString;
use std::path::Path;

use super::{Exit, run};
use crate::admin::testing::{Daemon, socket};
use crate::clock::Clock;

/// What a run of the tool printed, and how it ended.
pub(super) struct Run {
    pub(super) exit: Exit,
    pub(super) out: String,
    pub(super) err: String,
}

pub(super) fn tool(words: &[&str]) -> Run {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let words = ["isthmusctl"].iter().chain(words).map(OsString::from);
    let exit = run(words, &mut out, &mut err, Clock::start());
    Run {
        exit,
        out: String::from_utf8(out).unwrap(),
        err: String::from_utf8(err).unwrap(),
    }
}

/// Runs the tool against a daemon.
pub(super) async fn ask(daemon: &Daemon, words: &[&str]) -> Run {
    let socket = text(&socket(&daemon.folder));
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    let run = tokio::task::spawn_blocking(move || {
        let mut all = vec!["--socket", &socket];
        all.extend(words.iter().map(String::as_str));
        tool(&all)
    });
    run.await.unwrap()
}

pub(super) fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}
