//! What is to be done for each entry of a list, and what became of it.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::admin::protocol::{MigrationLook, MigrationStands};
use crate::ctl::migrate::list::{Entry, List};

/// Everything that is to be done.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// The entries that can be carried out.
    pub(super) tasks: Vec<Task>,
    /// Entries that make no sense here, each with the reason.
    pub(super) unclear: Vec<(Entry, String)>,
}

/// One watcher and one presentity.
#[derive(Clone, Debug)]
pub(super) struct Task {
    /// As the list says it.
    pub(super) entry: Entry,
    /// The XMPP user of the two.
    pub(super) xmpp_user: String,
    /// The SIP user of the two, in JID form.
    pub(super) sip_user: String,
    /// Whether the XMPP user is the watcher.
    pub(super) xmpp_watches: bool,
    /// How far it is.
    pub(super) state: TaskState,
}

/// How far an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum TaskState {
    /// The watcher was shown presence as himself before.
    AlreadyPerUser,
    /// Policy does not let the two exchange.
    Denied,
    /// The watcher is shown presence as himself now.
    Mapped,
    /// It was not begun: the XMPP user is at his limit of contacts and watchers.
    Refused,
    /// It is to be begun.
    ToDo,
    /// It was begun, and no notification came yet.
    Waiting,
    /// The client of the SIP user has not subscribed yet.
    WaitingForClient,
}

impl TaskState {
    /// In words.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::AlreadyPerUser => "already per user",
            Self::Denied => "denied by policy",
            Self::Mapped => "mapped",
            Self::Refused => "refused: at the limit of contacts and watchers",
            Self::ToDo => "to be mapped",
            Self::Waiting => "waiting for the first notification",
            Self::WaitingForClient => "waiting for the SIP user's own client",
        }
    }

    /// Whether the old address is needed for it no longer.
    pub(super) const fn works(self) -> bool {
        matches!(self, Self::AlreadyPerUser | Self::Mapped)
    }
}

impl Task {
    /// The task of an entry, by how it stands at the beginning.
    pub(super) fn new(entry: Entry, look: MigrationLook) -> Self {
        let state = if look.stands == MigrationStands::Works {
            TaskState::AlreadyPerUser
        } else if look.verdict != "allow" {
            TaskState::Denied
        } else {
            match (look.xmpp_watches, look.stands) {
                (false, _) => TaskState::WaitingForClient,
                (true, MigrationStands::Absent) => TaskState::ToDo,
                (true, MigrationStands::Asked | MigrationStands::Works) => TaskState::Waiting,
            }
        };
        Self {
            entry,
            xmpp_user: look.xmpp_user,
            sip_user: look.sip_user,
            xmpp_watches: look.xmpp_watches,
            state,
        }
    }

    /// Takes note of how it stands now.
    pub(super) fn see(&mut self, look: &MigrationLook) {
        if look.stands == MigrationStands::Works && !self.state.works() {
            self.state = TaskState::Mapped;
        }
    }
}

impl Plan {
    /// How many entries are in each state.
    pub(super) fn counts(&self) -> BTreeMap<TaskState, usize> {
        let mut counts = BTreeMap::new();
        for task in &self.tasks {
            *counts.entry(task.state).or_default() += 1;
        }
        counts
    }

    /// The XMPP users for whom the old address is needed no longer: all that the list says of them
    /// works. Whoever else was watched by nobody known is none of them.
    pub(super) fn free(&self, list: &List) -> Vec<String> {
        let mut users: BTreeMap<&str, bool> = BTreeMap::new();
        for task in &self.tasks {
            let free = users.entry(&task.xmpp_user).or_insert(true);
            *free &= task.state.works();
        }
        for (entry, _) in &self.unclear {
            for user in [&entry.watcher, &entry.presentity] {
                users.insert(user, false);
            }
        }
        let orphaned = |user: &str| list.orphans.iter().any(|orphan| orphan == user);
        let free = users
            .into_iter()
            .filter(|(user, free)| *free && !orphaned(user));
        free.map(|(user, _)| user.to_owned()).collect()
    }

    /// SIP users whom the old address watched: what they may still see of it.
    pub(super) fn sip_presentities(&self) -> Vec<&str> {
        let watched = self
            .tasks
            .iter()
            .filter(|task| task.xmpp_watches && task.state.works());
        let mut users: Vec<&str> = watched.map(|task| task.sip_user.as_str()).collect();
        users.sort_unstable();
        users.dedup();
        users
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(watcher: &str, presentity: &str, stands: MigrationStands, verdict: &str) -> Task {
        let entry = Entry {
            watcher: watcher.to_owned(),
            presentity: presentity.to_owned(),
        };
        let xmpp_watches = watcher.ends_with("xmpp.example");
        let (xmpp, sip) = if xmpp_watches {
            (watcher, presentity)
        } else {
            (presentity, watcher)
        };
        let look = MigrationLook {
            xmpp_user: xmpp.to_owned(),
            sip_user: sip.to_owned(),
            xmpp_watches,
            stands,
            verdict: verdict.to_owned(),
            level: "system".to_owned(),
        };
        Task::new(entry, look)
    }

    #[test]
    fn a_task_begins_as_it_stands() {
        let (juliet, romeo) = ("juliet@xmpp.example", "romeo@sip.example");
        for (watcher, presentity, stands, verdict, state) in [
            (
                juliet,
                romeo,
                MigrationStands::Absent,
                "allow",
                TaskState::ToDo,
            ),
            (
                juliet,
                romeo,
                MigrationStands::Asked,
                "allow",
                TaskState::Waiting,
            ),
            (
                juliet,
                romeo,
                MigrationStands::Works,
                "allow",
                TaskState::AlreadyPerUser,
            ),
            (
                juliet,
                romeo,
                MigrationStands::Absent,
                "confirm",
                TaskState::Denied,
            ),
            (
                romeo,
                juliet,
                MigrationStands::Absent,
                "allow",
                TaskState::WaitingForClient,
            ),
            (
                romeo,
                juliet,
                MigrationStands::Asked,
                "allow",
                TaskState::WaitingForClient,
            ),
            (
                romeo,
                juliet,
                MigrationStands::Works,
                "allow",
                TaskState::AlreadyPerUser,
            ),
        ] {
            assert_eq!(task(watcher, presentity, stands, verdict).state, state);
        }
    }

    #[test]
    fn the_old_address_is_kept_until_everything_of_a_user_works() {
        let works = MigrationStands::Works;
        let plan = Plan {
            tasks: vec![
                task("juliet@xmpp.example", "romeo@sip.example", works, "allow"),
                task("tybalt@sip.example", "juliet@xmpp.example", works, "allow"),
                task("nurse@xmpp.example", "romeo@sip.example", works, "allow"),
                task(
                    "tybalt@sip.example",
                    "nurse@xmpp.example",
                    MigrationStands::Asked,
                    "allow",
                ),
                task("romeo@sip.example", "lady@xmpp.example", works, "allow"),
            ],
            unclear: Vec::new(),
        };
        let list = List {
            orphans: vec!["lady@xmpp.example".to_owned()],
            ..List::default()
        };

        assert_eq!(plan.free(&list), ["juliet@xmpp.example"]);
        assert_eq!(plan.sip_presentities(), ["romeo@sip.example"]);
        assert_eq!(plan.counts()[&TaskState::AlreadyPerUser], 4);
    }
}
