//! `isthmusctl`, the operator's tool: a client of the admin socket, and what works without one.

mod acl;
mod args;
mod backup;
mod cert;
mod check;
mod client;
mod daemon;
mod lync_setup;
mod migrate;
mod peer;
mod table;
mod translate;
mod watchers;

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::Parser;
use clap::error::ErrorKind;
use serde_json::{Value, json};
use translators::policy::Verdict;

use crate::clock::Clock;
use crate::ctl::args::{Arguments, Cert, Check, Task};
use crate::ctl::client::Unanswered;
use crate::store::BackupFault;

/// How the tool ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All is well.
    Fine = 0,
    /// The command line makes no sense.
    Usage = 1,
    /// Something is wrong, and the output says what.
    Problem = 2,
    /// No daemon answers.
    Unreachable = 3,
}

/// Where the tool writes, and in which form.
struct Console<'a> {
    out: &'a mut dyn Write,
    err: &'a mut dyn Write,
    json: bool,
    clock: Clock,
}

/// Why a command gives up; it ends with [`Exit::Problem`] unless nobody answers.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// The daemon does not answer, or refuses.
    #[error(transparent)]
    Unanswered(#[from] Unanswered),
    /// A certificate or key cannot be made or read.
    #[error(transparent)]
    Cert(#[from] cert::CertFault),
    /// A migration cannot be begun or go on.
    #[error("{0}")]
    Migration(#[from] migrate::Fault),
    /// A backup cannot be made or put back.
    #[error(transparent)]
    Backup(#[from] BackupFault),
    /// The configuration does not say where the journal is.
    #[error("{} cannot be read, so nobody knows where the journal is: give --config", .0.display())]
    NoFolder(PathBuf),
    /// No Microsoft peer is there, or none of that name.
    #[error("{}", no_edge(.0.as_deref()))]
    NoEdge(Option<String>),
    /// The configuration cannot be used.
    #[error("{} has {} errors: isthmusctl check config names them", .0.display(), .1)]
    Unusable(PathBuf, usize),
    /// A file cannot be read.
    #[error("{0}")]
    File(#[from] check::FileFault),
    /// Nobody reads the output any more.
    #[error("the output cannot be written: {0}")]
    Output(#[from] io::Error),
    /// The answer of the daemon does not fit this version of the tool.
    #[error("the daemon answers in another version's words: {0}")]
    Answer(#[from] serde_json::Error),
}

impl Failure {
    const fn exit(&self) -> Exit {
        match self {
            Self::Unanswered(Unanswered::Unreachable { .. }) => Exit::Unreachable,
            Self::Unanswered(Unanswered::Refused(_) | Unanswered::Lost(_))
            | Self::Backup(_)
            | Self::Cert(_)
            | Self::NoEdge(_)
            | Self::NoFolder(_)
            | Self::Unusable(..)
            | Self::File(_)
            | Self::Migration(_)
            | Self::Output(_)
            | Self::Answer(_) => Exit::Problem,
        }
    }
}

/// Why there is nobody to print steps for.
fn no_edge(wanted: Option<&str>) -> String {
    match wanted {
        Some(name) => format!("no SIP peer has the name or domain {name}"),
        None => "no peer has profile = \"microsoft\": name one with --peer".to_owned(),
    }
}

/// Runs the tool with the words of a command line.
pub fn run(
    words: impl IntoIterator<Item = OsString>,
    out: &mut dyn Write,
    err: &mut dyn Write,
    clock: Clock,
) -> Exit {
    let arguments = match Arguments::try_parse_from(words) {
        Ok(arguments) => arguments,
        Err(told) => return tell_usage(&told, out, err),
    };
    let mut console = Console {
        out,
        err,
        json: arguments.json,
        clock,
    };
    match carry_out(&arguments, &mut console) {
        Ok(exit) => exit,
        Err(failure) => {
            let exit = failure.exit();
            // Where even this cannot be written, the exit code has to say it.
            console.fail(&failure).map_or(exit, |()| exit)
        }
    }
}

fn tell_usage(told: &clap::Error, out: &mut dyn Write, err: &mut dyn Write) -> Exit {
    let asked = matches!(
        told.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    );
    let (to, exit): (&mut dyn Write, Exit) = if asked {
        (out, Exit::Fine)
    } else {
        (err, Exit::Usage)
    };
    write!(to, "{told}").map_or(exit, |()| exit)
}

fn carry_out(arguments: &Arguments, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let socket = arguments.socket();
    match &arguments.task {
        Task::Version => daemon::version(console, &socket),
        Task::Status => daemon::status(console, &socket),
        Task::Peer(args::Peer::List) => daemon::peers(console, &socket),
        Task::Peer(args::Peer::Status { peer }) => peer::status(console, &socket, peer),
        Task::Peer(args::Peer::Why { peer }) => peer::why(console, &socket, peer),
        Task::Peer(args::Peer::Release { peer }) => watchers::release(console, &socket, peer),
        Task::Watcher(task) => watchers::watcher(console, &socket, task),
        Task::User(args::User::Forget { user }) => watchers::forget(console, &socket, user),
        Task::Backup { file } => backup::backup(console, &arguments.config, &socket, file),
        Task::Restore { file } => backup::restore(console, &arguments.config, file),
        Task::Message(args::Message::Find { wanted }) => daemon::find(console, &socket, wanted),
        Task::Acl(args::Acl::Get { users }) => acl::list(console, &socket, users),
        Task::Acl(args::Acl::Set { users, verdict }) => {
            acl::set(console, &socket, users, (*verdict).into())
        }
        Task::Acl(args::Acl::Remove { users }) => acl::remove(console, &socket, users),
        Task::Acl(args::Acl::Explain { users }) => acl::explain(console, &socket, users),
        Task::Pending(args::Pending::List { user }) => acl::pending(console, &socket, user.clone()),
        Task::Pending(args::Pending::Allow { users }) => {
            acl::decide(console, &socket, users, Verdict::Allow)
        }
        Task::Pending(args::Pending::Deny { users, polite }) => {
            let verdict = if *polite {
                Verdict::PoliteBlock
            } else {
                Verdict::Block
            };
            acl::decide(console, &socket, users, verdict)
        }
        Task::Migrate(args::Migrate::AdminWatcher(wish)) => {
            migrate::admin_watcher(console, &socket, wish)
        }
        Task::Reload => daemon::reload(console, &socket),
        Task::Drain { timeout, for_good } => daemon::drain(console, &socket, *timeout, *for_good),
        Task::Check(Check::Config { file }) => {
            let file = file.as_ref().unwrap_or(&arguments.config);
            check::config(console, file)
        }
        Task::Cert(Cert::InitCa(wish)) => cert::init_ca(console, wish),
        Task::Cert(Cert::Issue(wish)) => cert::issue(console, wish),
        Task::Cert(Cert::Inspect { file }) => cert::inspect(console, file),

        Task::LyncSetup { release, peer } => {
            lync_setup::lync_setup(console, &arguments.config, *release, peer.as_deref())
        }
        Task::Translate { file } => translate::file(console, file, &arguments.config),
        Task::Schema { markdown } => check::schema(console, *markdown),
    }
}

impl Console<'_> {
    /// Writes one line.
    fn line(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{text}")
    }

    /// Writes an answer for programs.
    fn value(&mut self, value: &Value) -> io::Result<()> {
        writeln!(self.out, "{value}")
    }

    /// Says why nothing was done.
    fn fail(&mut self, failure: &Failure) -> io::Result<()> {
        if self.json {
            let value = json!({ "ok": false, "error": failure.to_string() });
            return self.value(&value);
        }
        writeln!(self.err, "isthmusctl: {failure}")
    }
}
