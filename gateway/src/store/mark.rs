//! Marks of the journal as a whole.

use rusqlite::{Connection, Error, OptionalExtension as _, params};
use translators::model::{PeerId, Wall};

/// What can be marked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// The file is a copy, made at the time that the mark has in milliseconds since 1970: numbers of
    /// dialogs were used since.
    Backup,
    /// A peer is not believed when it refuses what it granted, since the time that the mark has.
    Suspect(PeerId),
}

impl Mark {
    fn name(&self) -> String {
        match self {
            Self::Backup => BACKUP.to_owned(),
            Self::Suspect(peer) => format!("{SUSPECT}{peer}"),
        }
    }
}

/// Sets or clears a mark.
pub(super) fn set(connection: &Connection, mark: &Mark, value: Option<&str>) -> Result<(), Error> {
    let name = mark.name();
    match value {
        Some(value) => {
            let sql = "INSERT OR REPLACE INTO mark (name, value) VALUES (?1, ?2)";
            connection.execute(sql, params![name, value])?
        }
        None => connection.execute("DELETE FROM mark WHERE name = ?1", [name])?,
    };
    Ok(())
}

/// When the backup was made that the file is, if it is one.
pub(super) fn backup(connection: &Connection) -> Result<Option<Wall>, Error> {
    let sql = "SELECT CAST(value AS INTEGER) FROM mark WHERE name = ?1";
    let made = connection.query_row(sql, [BACKUP], |row| row.get(0));
    Ok(made.optional()?.map(Wall::from_unix_millis))
}

/// The peers that are not believed, and since when.
pub(super) fn suspects(connection: &Connection) -> Result<Vec<(PeerId, Wall)>, Error> {
    let sql = "SELECT substr(name, 1 + length(?1)), CAST(value AS INTEGER) FROM mark \
               WHERE name LIKE ?1 || '%' ORDER BY name";
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([SUSPECT], |row| {
        let (name, since): (String, i64) = (row.get(0)?, row.get(1)?);
        Ok((PeerId::new(&name), Wall::from_unix_millis(since)))
    })?;
    rows.collect()
}

const BACKUP: &str = "backup";
const SUSPECT: &str = "suspect ";
