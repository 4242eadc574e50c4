//! What became of a migration, for people and for programs.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use crate::ctl::migrate::list::List;
use crate::ctl::migrate::plan::{Plan, TaskState};
use crate::ctl::migrate::progress::Progress;
use crate::ctl::table::Table;
use crate::telemetry::logs::printable;

/// Everything that is told at the end.
pub(super) struct Report<'a> {
    /// What was read.
    pub(super) list: &'a List,
    /// What became of it.
    pub(super) plan: &'a Plan,
    /// What was done for good; nothing in a dry run.
    pub(super) progress: Option<&'a Progress>,
}

/// One entry, for programs.
#[derive(Serialize)]
struct EntryReport<'a> {
    watcher: &'a str,
    presentity: &'a str,
    state: TaskState,
}

impl Report<'_> {
    /// Whether nothing is left to be done.
    pub(super) fn is_complete(&self) -> bool {
        let works = self.plan.tasks.iter().all(|task| task.state.works());
        let kept = self.list.xmpp_admin.is_some() && !self.kept().is_empty();
        works && self.plan.unclear.is_empty() && !kept && self.list.orphans.is_empty()
    }

    /// XMPP users of the list towards whom the old address was not given up.
    fn kept(&self) -> Vec<&str> {
        let users = self.plan.tasks.iter().map(|task| task.xmpp_user.as_str());
        let given_up = |user: &str| self.progress.is_some_and(|done| done.is_given_up(user));
        let mut kept: Vec<&str> = users.filter(|user| !given_up(user)).collect();
        kept.sort_unstable();
        kept.dedup();
        kept
    }

    /// For programs.
    pub(super) fn value(&self) -> Value {
        let counts = self.plan.counts();
        let counts: BTreeMap<_, _> = counts
            .iter()
            .map(|(state, count)| (state.as_str(), count))
            .collect();
        let entries = self.plan.tasks.iter().map(|task| EntryReport {
            watcher: &task.entry.watcher,
            presentity: &task.entry.presentity,
            state: task.state,
        });
        let unclear = self.plan.unclear.iter().map(|(entry, why)| {
            json!({ "watcher": entry.watcher, "presentity": entry.presentity, "why": why })
        });
        json!({
            "ok": true,
            "complete": self.is_complete(),
            "counts": counts,
            "entries": entries.collect::<Vec<_>>(),
            "unclear": unclear.collect::<Vec<_>>(),
            "orphaned": self.list.orphans,
            "given_up": self.progress.map_or(0, Progress::given_up),
            "kept": self.kept(),
            "still_seen_by": self.still_seen_by(),
        })
    }

    /// For people.
    pub(super) fn lines(&self) -> Vec<String> {
        let plan = self.plan;
        let mut lines = vec![format!("{} entries", plan.tasks.len() + plan.unclear.len())];
        for (state, count) in plan.counts() {
            lines.push(format!("{count:>8}  {}", state.as_str()));
        }
        if !plan.unclear.is_empty() {
            lines.push(format!("{:>8}  unclear", plan.unclear.len()));
        }
        if !self.list.orphans.is_empty() {
            lines.push(format!(
                "{:>8}  orphaned: watched by nobody who is known",
                self.list.orphans.len()
            ));
        }
        lines.extend(self.table());
        for (entry, why) in &plan.unclear {
            let line = format!("{} watches {}: {why}", entry.watcher, entry.presentity);
            lines.push(printable(&line).into_owned());
        }
        for orphan in &self.list.orphans {
            lines.push(printable(&format!("orphaned: {orphan}")).into_owned());
        }
        if let (Some(admin), Some(progress)) = (&self.list.xmpp_admin, self.progress) {
            let (done, kept) = (progress.given_up(), self.kept().len());
            let line =
                format!("{admin} was given up towards {done} XMPP users, and is kept for {kept}.");
            lines.push(printable(&line).into_owned());
        }
        lines.extend(self.sentences());
        lines
    }

    /// What does not work yet.
    fn table(&self) -> Vec<String> {
        let open = self.plan.tasks.iter().filter(|task| !task.state.works());
        let mut table = Table::new(["WATCHER", "WATCHES", "STATE"]);
        let mut rows = 0_usize;
        for task in open {
            table.row([
                &task.entry.watcher,
                &task.entry.presentity,
                task.state.as_str(),
            ]);
            rows += 1;
        }
        if rows == 0 {
            Vec::new()
        } else {
            table.lines().collect()
        }
    }

    fn still_seen_by(&self) -> Vec<&str> {
        match self.list.sip_admin {
            Some(_) => self.plan.sip_presentities(),
            None => Vec::new(),
        }
    }

    /// What SIP users may still see, in words that can be sent to them.
    fn sentences(&self) -> Vec<String> {
        let Some(admin) = &self.list.sip_admin else {
            return Vec::new();
        };
        let users = self.still_seen_by();
        let Some(first) = users.first() else {
            return Vec::new();
        };
        let to = match users.len() {
            1 => (*first).to_owned(),
            many => format!("{first} and {} others (--json names them)", many - 1),
        };
        let lines = [
            format!("To {to}:"),
            format!(
                "  \"{admin} may stay in your contact list for some days, and be shown as unknown. Nobody watches"
            ),
            "  you through it any longer; you can remove it.\"".to_owned(),
        ];
        lines
            .iter()
            .map(|line| printable(line).into_owned())
            .collect()
    }
}
