//! The journal in an SQLite file.

use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jid::BareJid;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior, params};
use translators::model::Wall;
use translators::shard::{ImKey, ImRecord, ImState, Record};

use super::acl::{self, AclChange};
use super::checkpoint::Checkpointer;
use super::kept::Kept;
use super::mark::{self, Mark};
use super::relations;
use super::row;
use super::{Query, StoreError};
use crate::telemetry::events::Rows;

/// One connection that writes, held by the store thread alone.
#[derive(Debug)]
pub(super) struct Journal {
    connection: Connection,
    /// Rows of messages that are not settled.
    open: HashMap<ImKey, i64>,
    next_seq: i64,
    rows_since_prune: usize,
    checkpointer: Checkpointer,
    /// Held as long as the journal is open, so that no second daemon works on it.
    _lock: File,
}

impl Journal {
    /// Opens or creates the journal in `folder` and reads what a start needs, oldest first: what is
    /// not settled, and what was settled of late, since a peer may send it again.
    pub(super) fn open(folder: &Path, now: Wall) -> Result<(Self, Kept), StoreError> {
        let lock = lock(folder)?;
        let connection = Connection::open(path(folder))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        connection.set_prepared_statement_cache_capacity(16);
        migrate(&connection)?;
        let restored = restored(&connection, now)?;
        let last: i64 =
            connection.query_row("SELECT coalesce(max(seq), 0) FROM im", [], |row| row.get(0))?;
        let journal = Self {
            connection,
            open: restored
                .iter()
                .filter(|(_, record)| !matches!(record.state, ImState::Settled(_)))
                .map(|(seq, record)| (record.key, *seq))
                .collect(),
            next_seq: last.saturating_add(1),
            rows_since_prune: ROWS_BETWEEN_PRUNES,
            checkpointer: Checkpointer::start(&path(folder))?,
            _lock: lock,
        };
        let kept = Kept {
            from_backup: mark::backup(&journal.connection)?,
            ims: restored.into_iter().map(|(_, record)| record).collect(),
            suspects: mark::suspects(&journal.connection)?,
            reader: reader(folder)?,
        };
        Ok((journal, kept))
    }

    /// Writes `records` in one transaction: all of them are on the disk then, or none. Returns how
    /// many rows of which kind.
    pub(super) fn write<'a>(
        &mut self,
        records: impl IntoIterator<Item = &'a Record>,
    ) -> Result<Rows, rusqlite::Error> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut batch = Batch {
            known: &self.open,
            next_seq: self.next_seq,
            fresh: HashMap::new(),
            settled: Vec::new(),
            rows: Rows::default(),
        };
        batch.write(&transaction, records)?;
        transaction.commit()?;
        let Batch {
            next_seq,
            fresh,
            settled,
            rows,
            ..
        } = batch;
        self.next_seq = next_seq;
        self.rows_since_prune = self.rows_since_prune.saturating_add(fresh.len());
        self.open.extend(fresh);
        for key in settled {
            self.open.remove(&key);
        }
        Ok(rows)
    }

    /// Sets or clears a mark.
    pub(super) fn set(&self, mark: &Mark, value: Option<&str>) -> Result<(), rusqlite::Error> {
        mark::set(&self.connection, mark, value)
    }

    /// Deletes what belongs to a user of either side, except messages that have no fate.
    pub(super) fn forget(&mut self, user: &BareJid) -> Result<usize, rusqlite::Error> {
        let transaction = self.connection.transaction()?;
        let relations = relations::forget(&transaction, user)?;
        let sql = "DELETE FROM im WHERE state = 'settled' AND (jid = ?1 OR aor = ?1)";
        let messages = transaction.execute(sql, [user.as_str()])?;
        transaction.commit()?;
        Ok(relations.saturating_add(messages))
    }

    /// Writes decisions of the operator: all of them are on the disk then, or none.
    pub(super) fn decide(&mut self, changes: &[AclChange]) -> Result<(), rusqlite::Error> {
        acl::write(&mut self.connection, changes)
    }

    /// Whether enough was written since the last [`Self::prune`].
    pub(super) fn wants_pruning(&self) -> bool {
        self.rows_since_prune >= ROWS_BETWEEN_PRUNES
    }

    /// Deletes settled messages that are too old or too many, oldest first and a few at a time.
    pub(super) fn prune(&mut self, now: Wall, keep_rows: i64) -> Result<usize, rusqlite::Error> {
        self.rows_since_prune = 0;
        let last_to_go = self.next_seq.saturating_sub(1).saturating_sub(keep_rows);
        let oldest = before(now, HISTORY_AGE);
        self.connection
            .prepare_cached(PRUNE)?
            .execute(params![last_to_go, oldest, ROWS_PER_PRUNE])
    }

    /// Finds out whether the disk takes writes: a probe that is larger than what a turn writes
    /// goes in and out again.
    pub(super) fn probe(&self) -> Result<(), rusqlite::Error> {
        let sql = "INSERT OR REPLACE INTO probe (id, padding) VALUES (1, zeroblob(?1))";
        self.connection.execute(sql, [PROBE_OCTETS])?;
        self.connection.execute("DELETE FROM probe", [])?;
        Ok(())
    }

    /// Makes the file full at this size.
    #[cfg(test)]
    pub(super) fn limit_pages(&self, pages: u32) {
        self.connection
            .pragma_update(None, "max_page_count", pages)
            .unwrap();
    }

    /// Writes the log of changes back into the file.
    pub(super) fn close(self) {
        drop(self.checkpointer);
        // A journal that cannot be closed cleanly is recovered from its log at the next start.
        drop(self.connection.close());
    }
}

/// What one transaction changes in the picture that the journal has of its rows.
struct Batch<'a> {
    known: &'a HashMap<ImKey, i64>,
    next_seq: i64,
    fresh: HashMap<ImKey, i64>,
    settled: Vec<ImKey>,
    rows: Rows,
}

impl Batch<'_> {
    fn write<'a>(
        &mut self,
        transaction: &Transaction<'_>,
        records: impl IntoIterator<Item = &'a Record>,
    ) -> Result<(), rusqlite::Error> {
        let mut insert = transaction.prepare_cached(row::INSERT)?;
        let mut update = transaction.prepare_cached(row::UPDATE)?;
        for record in records {
            let record = match record {
                Record::Document(record) => {
                    relations::write_document(transaction, record)?;
                    self.rows.documents += 1;
                    continue;
                }
                Record::Im(record) => record,
                Record::Subscription(record) => {
                    relations::write_relation(transaction, record)?;
                    self.rows.relations += 1;
                    continue;
                }
            };
            let known = self
                .fresh
                .get(&record.key)
                .or_else(|| self.known.get(&record.key));
            if let Some(seq) = known {
                row::update(&mut update, *seq, record)?;
            } else {
                row::insert(&mut insert, self.next_seq, record)?;
                self.fresh.insert(record.key, self.next_seq);
                self.next_seq = self.next_seq.saturating_add(1);
            }
            self.rows.messages += 1;
            if matches!(record.state, ImState::Settled(_)) {
                self.settled.push(record.key);
            }
        }
        Ok(())
    }
}

/// A connection that sees the journal as it is now, whatever is written later.
fn reader(folder: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path(folder), flags)?;
    connection.execute_batch("BEGIN; SELECT count(*) FROM mark;")?;
    Ok(connection)
}

/// Reads messages from the journal in `folder`, newest first, beside the thread that writes it.
pub(super) fn find(folder: &Path, query: &Query) -> Result<Vec<ImRecord>, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path(folder), flags)?;
    let (condition, value) = match query {
        Query::Id(id) => ("sender_id = ?1 OR lower(hex(key)) = lower(?1)", id),
        Query::User(user) => ("jid = ?1 OR aor = ?1", user),
    };
    let columns = row::COLUMNS;
    let sql = format!("SELECT {columns} FROM im WHERE {condition} ORDER BY seq DESC LIMIT ?2");
    let mut statement = connection.prepare(&sql)?;
    let rows = statement.query_map(params![value, FOUND], row::read)?;
    let found = rows.collect::<Result<Vec<_>, _>>()?;
    Ok(found.into_iter().map(|(_, record)| record).collect())
}

fn restored(connection: &Connection, now: Wall) -> Result<Vec<(i64, ImRecord)>, StoreError> {
    let columns = row::COLUMNS;
    let sql = format!(
        "SELECT {columns} FROM im WHERE state <> 'settled' \
         OR (seq > (SELECT max(seq) FROM im) - ?1 AND accepted_at >= ?2) ORDER BY seq"
    );
    let mut statement = connection.prepare(&sql)?;
    let since = before(now, REPEATED_WITHIN);
    let rows = statement.query_map(params![REPEATED, since], row::read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The time `span` before `now`, as it stands in rows.
fn before(now: Wall, span: Duration) -> i64 {
    let span = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    now.unix_millis().saturating_sub(span)
}

/// The schema of a file, counted from 1.
pub(super) fn schema_of(connection: &Connection) -> Result<usize, rusqlite::Error> {
    let found: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    Ok(usize::try_from(found).unwrap_or(usize::MAX))
}

/// Brings an older file to the schema of this version; a newer one is refused.
fn migrate(connection: &Connection) -> Result<(), StoreError> {
    let found = schema_of(connection)?;
    let Some(missing) = SCHEMAS.get(found..) else {
        let known = SCHEMAS.len();
        return Err(StoreError::Newer { found, known });
    };
    for (number, schema) in missing.iter().enumerate() {
        let version = found.saturating_add(number).saturating_add(1);
        let batch = format!("BEGIN; {schema} PRAGMA user_version = {version}; COMMIT;");
        connection.execute_batch(&batch)?;
    }
    Ok(())
}

/// Keeps every other daemon, and `isthmusctl restore`, away from the journal in `folder`.
pub(super) fn lock(folder: &Path) -> Result<File, StoreError> {
    let path = folder.join("isthmus.lock");
    let unusable = |source| StoreError::Folder {
        path: path.clone(),
        source,
    };
    let mut options = OpenOptions::new();
    let file = options
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse(folder.to_owned())),
        Err(TryLockError::Error(source)) => Err(unusable(source)),
    }
}

/// The file of the journal in `folder`.
pub(super) fn path(folder: &Path) -> PathBuf {
    folder.join("isthmus.db")
}

/// Each brings the file from the version before to its own, which is its place counted from 1.
pub(super) const SCHEMAS: [&str; 2] = [include_str!("schema/1.sql"), include_str!("schema/2.sql")];

/// Settled messages are kept for a week.
const HISTORY_AGE: Duration = Duration::from_secs(7 * 24 * 3_600);
/// Pages of the log after which a commit writes it back into the file after all: under full load
/// the log would grow without end, since there is always more than the checkpointer has seen.
const CHECKPOINT_PAGES: i64 = 16_000;
/// A peer sends again what it cannot know to have arrived as soon as it is back.
const REPEATED_WITHIN: Duration = Duration::from_secs(15 * 60);
/// Settled messages looked at for that.
const REPEATED: i64 = 20_000;
/// New rows after which old ones are deleted: few, since commits wait for it.
const ROWS_BETWEEN_PRUNES: usize = 200;
/// Oldest rows looked at by one deletion, about a millisecond's work: more than come in between, so
/// that it keeps up.
const ROWS_PER_PRUNE: i64 = 400;
/// Size of the probe.
const PROBE_OCTETS: i64 = 64 * 1_024;
/// Most rows that a search returns.
const FOUND: i64 = 100;

const PRUNE: &str = "DELETE FROM im WHERE seq IN (SELECT seq FROM \
     (SELECT seq, state, accepted_at FROM im ORDER BY seq LIMIT ?3) \
     WHERE state = 'settled' AND (seq <= ?1 OR accepted_at < ?2))";
