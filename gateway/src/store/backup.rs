//! Copies of the journal: made beside a running daemon, put back for one that does not run.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, chown};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, params};
use translators::model::{Reason, Wall};
use translators::shard::{Fate, ImState};

use super::mark::{self, Mark};
use super::{StoreError, row, sqlite};

/// Why no copy is made, or none is put back.
#[derive(Debug, thiserror::Error)]
pub enum BackupFault {
    /// A file cannot be used.
    #[error("{} cannot be used: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// SQLite finds it damaged.
    #[error("{} is damaged: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The first thing that is wrong.
        what: String,
    },
    /// It was made by something else.
    #[error("{} is no backup that isthmusctl backup made", .0.display())]
    NoBackup(PathBuf),
    /// The daemon of this version has not run yet.
    #[error(
        "the journal has schema {0}: start this version of isthmusd once, then make the backup"
    )]
    Older(usize),
    /// The journal.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for BackupFault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

/// What a copy holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied {
    /// When it was made.
    pub made: Wall,
    /// Relations of users.
    pub relations: i64,
    /// Decisions on pairs and users.
    pub decisions: i64,
    /// Messages.
    pub messages: i64,
}

/// Copies the journal in `folder` as it is now into the new file `to`, and checks the copy.
pub fn back_up(folder: &Path, to: &Path, now: Wall) -> Result<Copied, BackupFault> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let journal = Connection::open_with_flags(sqlite::path(folder), flags)?;
    let (found, known) = (sqlite::schema_of(&journal)?, sqlite::SCHEMAS.len());
    if found > known {
        return Err(StoreError::Newer { found, known }.into());
    }
    if found < known {
        return Err(BackupFault::Older(found));
    }
    let unusable = unusable(to);
    // It has texts of messages: nobody else reads it.
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(to);
    let file = file.map_err(&unusable)?;
    let copied = copy(&journal, to, now).and_then(|copied| {
        file.sync_all().map_err(&unusable)?;
        Ok(copied)
    });
    if copied.is_err() {
        // A file that cannot be removed either is told by its being there.
        fs::remove_file(to).ok();
    }
    copied
}

fn copy(journal: &Connection, to: &Path, now: Wall) -> Result<Copied, BackupFault> {
    journal.execute("VACUUM INTO ?1", [to.to_string_lossy()])?;
    let copy = Connection::open(to)?;
    mark::set(&copy, &Mark::Backup, Some(&now.unix_millis().to_string()))?;
    check(&copy, to)
}

/// Puts the backup `from` in the place of the journal in `folder`, which stays beside it as
/// `isthmus.db.replaced`. No daemon may work on it.
///
/// What was under way when the backup was made has been finished since, or its sender was told: such
/// messages are not sent again.
pub fn put_back(folder: &Path, from: &Path) -> Result<Copied, BackupFault> {
    let _lock = sqlite::lock(folder)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let backup = Connection::open_with_flags(from, flags)?;
    check(&backup, from)?;
    drop(backup);
    let fresh = folder.join("isthmus.db.restoring");
    let copied = prepare(folder, from, &fresh);
    let replaced = copied.and_then(|copied| {
        replace(folder, &fresh)?;
        Ok(copied)
    });
    if replaced.is_err() {
        // It is written over by the next attempt.
        fs::remove_file(&fresh).ok();
    }
    replaced
}

fn prepare(folder: &Path, from: &Path, fresh: &Path) -> Result<Copied, BackupFault> {
    let unusable = unusable(fresh);
    fs::copy(from, fresh).map_err(&unusable)?;
    let owner = fs::metadata(folder).map_err(&unusable)?;
    let own = fs::metadata(fresh).map_err(&unusable)?;
    if (own.uid(), own.gid()) != (owner.uid(), owner.gid()) {
        chown(fresh, Some(owner.uid()), Some(owner.gid())).map_err(&unusable)?;
    }
    let copy = Connection::open(fresh)?;
    let done = ImState::Settled(Fate::Dropped(Reason::Expired));
    let (state, fate) = row::state_columns(&done)?;
    let sql = "UPDATE im SET state = ?1, fate = ?2, body = NULL WHERE state <> 'settled'";
    copy.execute(sql, params![state, fate])?;
    let copied = check(&copy, fresh)?;
    drop(copy);
    let file = File::open(fresh).map_err(&unusable)?;
    file.sync_all().map_err(&unusable)?;
    Ok(copied)
}

/// Moves the old journal aside and the new one to its place. At every moment there is one of them,
/// whole.
fn replace(folder: &Path, fresh: &Path) -> Result<(), BackupFault> {
    let place = sqlite::path(folder);
    let beside = |end: &str| {
        let mut name = place.clone().into_os_string();
        name.push(end);
        PathBuf::from(name)
    };
    let old = beside(".replaced");
    let unusable = unusable(&place);
    if place.exists() {
        // A journal that cannot be opened any more keeps its log beside it.
        let whole = Connection::open(&place)
            .and_then(|journal| journal.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)"))
            .is_ok();
        for end in ["-wal", "-shm"] {
            let (log, kept) = (beside(end), beside(&format!(".replaced{end}")));
            if log.exists() && whole {
                fs::remove_file(&log).map_err(&unusable)?;
            } else if log.exists() {
                fs::rename(&log, &kept).map_err(&unusable)?;
            }
        }
        if old.exists() {
            fs::remove_file(&old).map_err(&unusable)?;
        }
        fs::hard_link(&place, &old).map_err(&unusable)?;
    }
    fs::rename(fresh, &place).map_err(&unusable)?;
    let folder = File::open(folder).map_err(&unusable)?;
    folder.sync_all().map_err(&unusable)
}

/// Checks that a copy is whole, and counts what it holds.
fn check(copy: &Connection, path: &Path) -> Result<Copied, BackupFault> {
    let damaged = |what: String| BackupFault::Damaged {
        path: path.to_owned(),
        what,
    };
    let sound: String = copy
        .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
        .map_err(|error| damaged(error.to_string()))?;
    if sound != "ok" {
        return Err(damaged(sound));
    }
    let (found, known) = (sqlite::schema_of(copy)?, sqlite::SCHEMAS.len());
    if found > known {
        return Err(StoreError::Newer { found, known }.into());
    }
    let no_backup = || BackupFault::NoBackup(path.to_owned());
    let made = mark::backup(copy).map_err(|_| no_backup())?;
    let count = |table: &str| {
        let sql = format!("SELECT count(*) FROM {table}");
        copy.query_row(&sql, [], |row| row.get::<_, i64>(0))
    };
    Ok(Copied {
        made: made.ok_or_else(no_backup)?,
        relations: count("relation")?,
        decisions: count("acl")?,
        messages: count("im")?,
    })
}

fn unusable(path: &Path) -> impl Fn(io::Error) -> BackupFault {
    let path = path.to_owned();
    move |source| BackupFault::File {
        path: path.clone(),
        source,
    }
}
