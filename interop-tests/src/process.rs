//! Child processes of a lab: captured logs, readiness by condition, no survivors.

use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Pid, SysconfVar, sysconf};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::inbox::until;

/// How long a server may take to start on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(120);
/// How long a server may take to stop before it is killed.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// How a program is started.
#[derive(Clone, Debug)]
pub struct Launch {
    /// What messages call it.
    pub name: String,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Additional environment variables.
    pub variables: Vec<(&'static str, String)>,
    /// The working folder.
    pub folder: PathBuf,
    /// Both output streams go to the end of this file.
    pub log: PathBuf,
}

/// A running child in a process group of its own, killed with all of its children on drop.
///
/// Start it from the task of the test itself: the kernel kills it as well when the thread that
/// started it ends, so that an interrupted test run leaves nothing behind.
#[derive(Debug)]
pub struct Process {
    launch: Launch,
    child: Child,
    group: Pid,
}

impl Process {
    /// Starts a program.
    pub fn start(launch: Launch) -> Result<Self> {
        let child = spawn(&launch)?;
        let id = child
            .id()
            .context("a child that has just started has an id")?;
        Ok(Self {
            launch,
            child,
            group: Pid::from_raw(id.try_into()?),
        })
    }

    /// Starts the program again after `stop` or `kill`.
    pub fn start_again(&mut self) -> Result<()> {
        *self = Self::start(self.launch.clone())?;
        Ok(())
    }

    /// The process id; `setpriv` and `unshare` replace themselves, so it is the server's own.
    pub fn id(&self) -> Pid {
        self.group
    }

    /// Everything the process has printed so far.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(&self.launch.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until something listens on the address, or the process has died.
    pub async fn listens(&mut self, address: SocketAddr) -> Result<()> {
        let what = format!("{} listens on {address}", self.launch.name);
        until(START_LIMIT, &what, || {
            let has_ended = !matches!(self.child.try_wait(), Ok(None));
            async move { has_ended || TcpStream::connect(address).await.is_ok() }
        })
        .await?;
        match self.child.try_wait()? {
            Some(status) => bail!(
                "{} ended with {status}:\n{}",
                self.launch.name,
                tail(&self.log(), 30)
            ),
            None => Ok(()),
        }
    }

    /// Waits until the log holds the text.
    pub async fn logs(&self, limit: Duration, text: &str) -> Result<()> {
        let what = format!("\"{text}\" in the log of {}", self.launch.name);
        until(limit, &what, || async { self.log().contains(text) })
            .await
            .with_context(|| tail(&self.log(), 30))
    }

    /// Sends a signal to the process itself.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill(self.group, signal).with_context(|| format!("cannot signal {}", self.launch.name))
    }

    /// Asks the process to end and waits for it; kills it when it does not obey.
    pub async fn stop(&mut self) -> Result<ExitStatus> {
        self.signal(Signal::SIGTERM)?;
        match timeout(STOP_LIMIT, self.child.wait()).await {
            Ok(status) => Ok(status?),
            Err(_) => {
                self.kill().await?;
                bail!(
                    "{} did not end within {STOP_LIMIT:?} of SIGTERM",
                    self.launch.name
                )
            }
        }
    }

    /// Waits for the process to end by itself.
    pub async fn end(&mut self, limit: Duration) -> Result<ExitStatus> {
        let ended = timeout(limit, self.child.wait()).await;
        Ok(ended.with_context(|| format!("{} does not end", self.launch.name))??)
    }

    /// `kill -9` of the whole group.
    pub async fn kill(&mut self) -> Result<()> {
        killpg(self.group, Signal::SIGKILL)?;
        self.child.wait().await?;
        Ok(())
    }

    /// Whether the process has ended, and how.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }
}

impl Process {
    /// Processor time so far, user and system.
    pub fn processor_time(&self) -> Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.group))?;
        // The name in parentheses may hold anything; fields are counted behind it.
        let (_, fields) = stat.rsplit_once(')').context("a stat line has a name")?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let ticks = |index: usize| -> Result<u64> {
            Ok(fields
                .get(index)
                .context("a stat line has 52 fields")?
                .parse()?)
        };
        let per_second = sysconf(SysconfVar::CLK_TCK)?.context("the kernel counts ticks")?;
        Ok(Duration::from_secs_f64(
            (ticks(11)? + ticks(12)?) as f64 / per_second as f64,
        ))
    }

    /// A line of `/proc/PID/status` in KiB, for example `VmRSS` or `VmHWM`.
    pub fn memory(&self, line: &str) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.group))?;
        let found = status
            .lines()
            .find(|found| found.starts_with(line))
            .context("no such line")?;
        Ok(found
            .split_whitespace()
            .nth(1)
            .context("a line has a value")?
            .parse()?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The leader may be gone already while a helper of its group still runs.
        killpg(self.group, Signal::SIGKILL).ok();
    }
}

fn spawn(launch: &Launch) -> Result<Child> {
    let output = File::options()
        .create(true)
        .append(true)
        .open(&launch.log)?;
    let mut command = Command::new("setpriv");
    command
        .args(["--pdeathsig", "KILL"])
        .args(&launch.command)
        .envs(launch.variables.iter().map(|(name, value)| (name, value)))
        .current_dir(&launch.folder)
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .process_group(0)
        .kill_on_drop(true);
    command
        .spawn()
        .with_context(|| format!("cannot start {}", launch.name))
}

/// Runs a program to its end and returns what it printed.
pub async fn output(program: &str, arguments: &[&str], limit: Duration) -> Result<Output> {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = timeout(limit, command.output())
        .await
        .with_context(|| format!("{program} {arguments:?} did not end within {limit:?}"))?
        .with_context(|| format!("cannot run {program}"))?;
    Ok(Output {
        status: output.status,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// What a finished program left.
#[derive(Clone, Debug)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Output {
    /// The standard output of a program that must have succeeded.
    pub fn success(self) -> Result<String> {
        if !self.status.success() {
            bail!("{}: {}{}", self.status, self.stdout, self.stderr);
        }
        Ok(self.stdout)
    }
}

/// The last lines of a log, for messages of failed tests.
pub fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    let skipped = all.len().saturating_sub(lines);
    all.into_iter().skip(skipped).collect::<Vec<_>>().join("\n")
}
