//! The run itself.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;

use crate::admin::protocol::{Command, MigrationLook, MigrationStep};
use crate::clock::Clock;
use crate::ctl::args::AdminWatcher;
use crate::ctl::client::Unanswered;
use crate::ctl::daemon::query;
use crate::ctl::migrate::list::{self, List};
use crate::ctl::migrate::plan::{Plan, Task, TaskState};
use crate::ctl::migrate::progress::{Progress, Unusable};
use crate::ctl::migrate::report::Report;
use crate::ctl::{Console, Exit, Failure};

/// Watchers who were let in and have no notification yet, at most: what the peers take decides the
/// pace, and each waits for its first notification before the next begins.
const WINDOW: usize = 64;
/// Time between two looks at what waits.
const LOOK: Duration = Duration::from_millis(500);
/// Time between two looks at what waits for the clients of SIP users: they may be many, and come when
/// they like.
const LOOK_AT_CLIENTS: Duration = Duration::from_secs(10);
/// Time for the first notification of one watcher until the next may take his place in the window.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why a migration is not begun.
#[derive(Debug, thiserror::Error)]
pub(in crate::ctl) enum Fault {
    /// The list cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    Input {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The list makes no sense.
    #[error("{}: {}", path.display(), text(faults))]
    List {
        /// The file.
        path: PathBuf,
        /// Everything that is wrong with it.
        faults: Vec<list::Fault>,
    },
    /// What an earlier run did is not known.
    #[error(transparent)]
    Progress(#[from] Unusable),
    /// What was done cannot be remembered.
    #[error("the progress cannot be written: {0}")]
    Forgetful(io::Error),
}

fn text(faults: &[list::Fault]) -> String {
    let sentences: Vec<String> = faults.iter().map(ToString::to_string).collect();
    sentences.join("; ")
}

/// `migrate admin-watcher`.
pub(in crate::ctl) fn admin_watcher(
    console: &mut Console<'_>,
    socket: &Path,
    wish: &AdminWatcher,
) -> Result<Exit, Failure> {
    let list = read(&wish.input)?;
    let mut run = Run::begin(console.clock, socket, &list)?;
    let progress = if wish.run {
        let progress = run.carry_out(wish)?;
        Some(progress)
    } else {
        None
    };
    let report = Report {
        list: &list,
        plan: &run.plan,
        progress: progress.as_ref(),
    };
    let fine = report.is_complete() || (!wish.run && run.plan.unclear.is_empty());
    if console.json {
        console.value(&report.value())?;
    } else {
        for line in report.lines() {
            console.line(&line)?;
        }
    }
    Ok(if fine { Exit::Fine } else { Exit::Problem })
}

fn read(path: &Path) -> Result<List, Fault> {
    let text = fs::read_to_string(path).map_err(|source| Fault::Input {
        path: path.to_owned(),
        source,
    })?;
    List::read(&text).map_err(|faults| Fault::List {
        path: path.to_owned(),
        faults,
    })
}

struct Run<'a> {
    clock: Clock,
    socket: &'a Path,
    list: &'a List,
    plan: Plan,
}

impl<'a> Run<'a> {
    /// Asks the daemon how every entry stands.
    fn begin(clock: Clock, socket: &'a Path, list: &'a List) -> Result<Self, Failure> {
        let (mut tasks, mut unclear) = (Vec::new(), Vec::new());
        for entry in &list.entries {
            match look(socket, &entry.watcher, &entry.presentity) {
                Ok(seen) => tasks.push(Task::new(entry.clone(), seen)),
                Err(Failure::Unanswered(Unanswered::Refused(why))) => {
                    unclear.push((entry.clone(), why));
                }
                Err(other) => return Err(other),
            }
        }
        let plan = Plan { tasks, unclear };
        Ok(Self {
            clock,
            socket,
            list,
            plan,
        })
    }

    /// Maps what can be mapped within the time, giving the old address up as soon as it may be.
    fn carry_out(&mut self, wish: &AdminWatcher) -> Result<Progress, Failure> {
        let path = wish.progress.clone().unwrap_or_else(|| {
            let mut path = wish.input.clone().into_os_string();
            path.push(".progress");
            path.into()
        });
        let mut progress = Progress::open(&path).map_err(Fault::from)?;
        let end = self.clock.now().mono + wish.wait;
        let mut to_do: VecDeque<usize> = self.in_state(TaskState::ToDo).collect();
        let mut window = Vec::new();
        let mut clients_at = self.clock.now().mono;
        loop {
            let now = self.clock.now().mono;
            window.retain(|(task, begun)| self.waits(*task) && now.since(*begun) < PATIENCE);
            while window.len() < WINDOW
                && let Some(task) = to_do.pop_front()
            {
                self.let_in(task)?;
                window.push((task, now));
            }
            let clients = now >= clients_at || now >= end;
            if clients {
                clients_at = now + LOOK_AT_CLIENTS;
            }
            self.look_again(clients)?;
            self.give_up(&mut progress)?;
            let open = self.plan.tasks.iter().any(|task| {
                matches!(
                    task.state,
                    TaskState::ToDo | TaskState::Waiting | TaskState::WaitingForClient
                )
            });
            if !open || now >= end {
                return Ok(progress);
            }
            sleep(LOOK.min(end.since(now)));
        }
    }

    fn in_state(&self, state: TaskState) -> impl Iterator<Item = usize> {
        let tasks = self.plan.tasks.iter().enumerate();
        tasks
            .filter(move |(_, task)| task.state == state)
            .map(|(place, _)| place)
    }

    fn waits(&self, task: usize) -> bool {
        let task = self.plan.tasks.get(task);
        task.is_some_and(|task| task.state == TaskState::Waiting)
    }

    /// Lets an XMPP user watch as himself.
    fn let_in(&mut self, task: usize) -> Result<(), Failure> {
        let Some(task) = self.plan.tasks.get_mut(task) else {
            return Ok(());
        };
        let command = Command::MigrationWatch {
            watcher: task.entry.watcher.clone(),
            presentity: task.entry.presentity.clone(),
        };
        let (_, step): (Value, MigrationStep) = query(self.socket, &command)?;
        task.state = if step.done {
            TaskState::Waiting
        } else {
            TaskState::Refused
        };
        Ok(())
    }

    /// Looks at what waits for a notification, and on demand at what waits for clients.
    fn look_again(&mut self, clients: bool) -> Result<(), Failure> {
        for task in &mut self.plan.tasks {
            let waits = task.state == TaskState::Waiting
                || (clients && task.state == TaskState::WaitingForClient);
            if waits {
                let seen = look(self.socket, &task.entry.watcher, &task.entry.presentity)?;
                task.see(&seen);
            }
        }
        Ok(())
    }

    /// Gives the old address up towards XMPP users for whom it is needed no longer.
    fn give_up(&mut self, progress: &mut Progress) -> Result<(), Failure> {
        let Some(admin) = &self.list.xmpp_admin else {
            return Ok(());
        };
        for user in self.plan.free(self.list) {
            if progress.is_given_up(&user) {
                continue;
            }
            let command = Command::MigrationGiveUp {
                admin: admin.clone(),
                user: user.clone(),
            };
            let (_, step): (Value, MigrationStep) = query(self.socket, &command)?;
            if step.done {
                progress.give_up(&user).map_err(Fault::Forgetful)?;
            }
        }
        Ok(())
    }
}

fn look(socket: &Path, watcher: &str, presentity: &str) -> Result<MigrationLook, Failure> {
    let command = Command::MigrationLook {
        watcher: watcher.to_owned(),
        presentity: presentity.to_owned(),
    };
    let (_, look): (Value, MigrationLook) = query(socket, &command)?;
    Ok(look)
}
