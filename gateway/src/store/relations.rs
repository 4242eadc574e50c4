//! Rows of relations and of presence documents.

use bytes::Bytes;
use jid::BareJid;
use rusqlite::{Connection, Error, Row as SqlRow, Transaction, params};
use translators::model::{Pair, Role};
use translators::presence::{DocumentRecord, SubscriptionRecord};

use super::row::unreadable;

/// Which of the two tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    Document,
    Relation,
}

/// A row as it stands in the file.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) jid: Box<str>,
    pub(super) aor: Box<str>,
    pub(super) role: Role,
    pub(super) body: Bytes,
}

/// Writes or deletes the row of a relation.
pub(super) fn write_relation(
    transaction: &Transaction<'_>,
    record: &SubscriptionRecord,
) -> Result<(), Error> {
    let body = record.body.as_ref();
    write(
        transaction,
        Table::Relation,
        &record.pair,
        record.role,
        body,
    )
}

/// Writes or deletes the row of a document.
pub(super) fn write_document(
    transaction: &Transaction<'_>,
    record: &DocumentRecord,
) -> Result<(), Error> {
    let body = record.body.as_ref();
    write(
        transaction,
        Table::Document,
        &record.pair,
        record.role,
        body,
    )
}

/// Hands out every row, in the order of the pairs, until `deliver` says that it is enough. True if
/// it came to the end.
pub(super) fn read_all(
    connection: &Connection,
    table: Table,
    mut deliver: impl FnMut(Row) -> bool,
) -> Result<bool, Error> {
    let mut statement = connection.prepare(table.select())?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if !deliver(read(row)?) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Deletes the rows of a user of either side.
pub(super) fn forget(connection: &Connection, user: &BareJid) -> Result<usize, Error> {
    let mut deleted = 0;
    for table in [Table::Document, Table::Relation] {
        deleted += connection.execute(table.forget(), [user.as_str()])?;
    }
    Ok(deleted)
}

fn write(
    transaction: &Transaction<'_>,
    table: Table,
    pair: &Pair,
    role: Role,
    body: Option<&Bytes>,
) -> Result<(), Error> {
    let (jid, aor, role) = (pair.jid.as_str(), pair.aor.as_str(), role.to_string());
    match body {
        Some(body) => transaction
            .prepare_cached(table.insert())?
            .execute(params![jid, aor, role, body.as_ref()])?,
        None => transaction
            .prepare_cached(table.delete())?
            .execute(params![jid, aor, role])?,
    };
    Ok(())
}

fn read(row: &SqlRow<'_>) -> Result<Row, Error> {
    let text = |column| {
        row.get_ref(column)?
            .as_str()
            .map_err(|error| unreadable(column, error))
    };
    let role = match text(2)? {
        "notifier" => Role::Notifier,
        "subscriber" => Role::Subscriber,
        other => return Err(unreadable(2, format!("unknown role {other}"))),
    };
    let body = row.get_ref(3)?.as_blob();
    let body = body.map_err(|error| unreadable(3, error))?;
    Ok(Row {
        jid: text(0)?.into(),
        aor: text(1)?.into(),
        role,
        body: Bytes::copy_from_slice(body),
    })
}

impl Table {
    const fn insert(self) -> &'static str {
        match self {
            Self::Document => {
                "INSERT OR REPLACE INTO document (jid, aor, role, body) VALUES (?1, ?2, ?3, ?4)"
            }
            Self::Relation => {
                "INSERT OR REPLACE INTO relation (jid, aor, role, body) VALUES (?1, ?2, ?3, ?4)"
            }
        }
    }

    const fn delete(self) -> &'static str {
        match self {
            Self::Document => "DELETE FROM document WHERE jid = ?1 AND aor = ?2 AND role = ?3",
            Self::Relation => "DELETE FROM relation WHERE jid = ?1 AND aor = ?2 AND role = ?3",
        }
    }

    const fn select(self) -> &'static str {
        match self {
            Self::Document => "SELECT jid, aor, role, body FROM document ORDER BY jid, aor, role",
            Self::Relation => "SELECT jid, aor, role, body FROM relation ORDER BY jid, aor, role",
        }
    }

    const fn forget(self) -> &'static str {
        match self {
            Self::Document => "DELETE FROM document WHERE jid = ?1 OR aor = ?1",
            Self::Relation => "DELETE FROM relation WHERE jid = ?1 OR aor = ?1",
        }
    }
}
