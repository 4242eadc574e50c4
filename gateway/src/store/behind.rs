//! What is written behind: messages in their order, of every other row only the newest state.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use translators::model::{Mono, Pair, Role};
use translators::shard::{Change, Record};

/// Names a row of relations or documents, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct RowName {
    document: bool,
    pair: Pair,
    role: Role,
}

/// Rows by name, each with the number of the change that made it: those of one row come from one
/// shard, so the higher number is the newer state.
type Rows = BTreeMap<RowName, (u64, Record)>;

/// Changes that wait to be written.
#[derive(Debug, Default)]
pub(super) struct Behind {
    ims: Vec<Record>,
    ims_due: Option<Mono>,
    rows: Rows,
    rows_due: Option<Mono>,
    /// Rows whose time has come, being written a few at a time.
    due: Rows,
}

impl Behind {
    /// Adds changes. Without room, the history of messages and new rows are let go.
    pub(super) fn add(&mut self, changes: Vec<Change>, now: Mono) {
        for change in changes {
            let (number, record) = (change.id.number, change.record);
            match name_of(&record) {
                Some(name) => self.add_row(name, number, record),
                None if self.ims.len() < MOST => self.ims.push(record),
                None => {}
            }
        }
        if !self.ims.is_empty() && self.ims_due.is_none() {
            self.ims_due = Some(now + IMS_BEHIND);
        }
        if !self.rows.is_empty() && self.rows_due.is_none() {
            self.rows_due = Some(now + ROWS_BEHIND);
        }
    }

    fn add_row(&mut self, name: RowName, number: u64, record: Record) {
        let known = self.rows.get(&name).map(|(known, _)| *known);
        let newer = known.map_or(self.rows.len() < MOST, |known| known < number);
        if newer {
            self.rows.insert(name, (number, record));
        }
    }

    /// When something has to be written.
    pub(super) fn next(&self) -> Option<Mono> {
        if !self.due.is_empty() {
            return Some(Mono::default());
        }
        [self.ims_due, self.rows_due].into_iter().flatten().min()
    }

    /// Whether messages wait.
    pub(super) const fn has_ims(&self) -> bool {
        !self.ims.is_empty()
    }

    /// Takes the messages, which go in front of whatever else is written.
    pub(super) fn take_ims(&mut self) -> Vec<Record> {
        self.ims_due = None;
        std::mem::take(&mut self.ims)
    }

    /// Whether messages have waited for long enough, or are many.
    pub(super) fn ims_are_due(&self, now: Mono) -> bool {
        self.ims.len() >= MANY_IMS || self.ims_due.is_some_and(|at| at <= now)
    }

    /// Takes some of the rows whose time has come.
    pub(super) fn take_due(&mut self, now: Mono) -> Vec<Written> {
        if self.due.is_empty() && self.rows_due.is_some_and(|at| at <= now) {
            self.hurry();
        }
        std::iter::from_fn(|| self.due.pop_first())
            .take(ROWS_AT_ONCE)
            .map(|(name, (number, record))| Written {
                name,
                number,
                record,
            })
            .collect()
    }

    /// Lets the time of all rows have come.
    pub(super) fn hurry(&mut self) {
        self.rows_due = None;
        self.due.append(&mut self.rows);
    }

    /// Puts back what could not be written, unless there is something newer by now.
    pub(super) fn put_back(&mut self, ims: Vec<Record>, rows: Vec<Written>, now: Mono) {
        let newer = std::mem::replace(&mut self.ims, ims);
        self.ims.extend(newer);
        for row in rows {
            self.add_row(row.name, row.number, row.record);
        }
        self.add(Vec::new(), now);
    }

    /// The record to write in place of a durable one: the same, or a newer state of the row that
    /// waits already.
    pub(super) fn newest<'a>(&self, change: &'a Change) -> Cow<'a, Record> {
        let waiting = name_of(&change.record).and_then(|name| {
            let waiting = [self.rows.get(&name), self.due.get(&name)];
            waiting
                .into_iter()
                .flatten()
                .max_by_key(|(number, _)| *number)
        });
        match waiting {
            Some((number, record)) if *number > change.id.number => Cow::Owned(record.clone()),
            _ => Cow::Borrowed(&change.record),
        }
    }

    /// A row was written in its newest state: what waits of it needs no writing.
    pub(super) fn written(&mut self, change: &Change) {
        if let Some(name) = name_of(&change.record) {
            self.rows.remove(&name);
            self.due.remove(&name);
        }
    }
}

/// A row taken to be written.
#[derive(Debug)]
pub(super) struct Written {
    name: RowName,
    number: u64,
    pub(super) record: Record,
}

fn name_of(record: &Record) -> Option<RowName> {
    let (document, pair, role) = match record {
        Record::Document(record) => (true, &record.pair, record.role),
        Record::Im(_) => return None,
        Record::Subscription(record) => (false, &record.pair, record.role),
    };
    Some(RowName {
        document,
        pair: pair.clone(),
        role,
    })
}

/// Messages wait this long for a commit that takes them along: under load there is one, and without
/// load a commit of its own costs little. A crash meanwhile makes a delivered message bounce as one
/// that "may have arrived".
const IMS_BEHIND: Duration = Duration::from_millis(5);
/// As many messages are written at once.
const MANY_IMS: usize = 256;
/// Rows wait this long for a newer state of themselves: presence changes often, and a document that
/// a crash loses is told again by the far side. They are on the disk within two seconds.
const ROWS_BEHIND: Duration = Duration::from_millis(1_500);
/// Rows in one commit, some milliseconds' work: messages wait for it.
const ROWS_AT_ONCE: usize = 500;
/// Messages, and rows, that wait while nothing can be written.
const MOST: usize = 100_000;
