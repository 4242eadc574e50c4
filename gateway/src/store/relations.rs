//! Rows of relations and of presence documents.

use bytes::Bytes;
use rusqlite::{Connection, Error, Row, Transaction, params};
use translators::model::{Aor, Pair, Role};
use translators::presence::{DocumentRecord, SubscriptionRecord};

use super::row::{read_jid, unreadable};

/// Which of the two tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Table {
    Document,
    Relation,
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

/// Every relation, in the order of the pairs.
pub(super) fn relations(connection: &Connection) -> Result<Vec<SubscriptionRecord>, Error> {
    let record = |(pair, role, body)| SubscriptionRecord {
        pair,
        role,
        body: Some(body),
    };
    let rows = all(connection, Table::Relation)?;
    Ok(rows.into_iter().map(record).collect())
}

/// Every document, in the order of the pairs.
pub(super) fn documents(connection: &Connection) -> Result<Vec<DocumentRecord>, Error> {
    let record = |(pair, role, body)| DocumentRecord {
        pair,
        role,
        body: Some(body),
    };
    let rows = all(connection, Table::Document)?;
    Ok(rows.into_iter().map(record).collect())
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

fn all(connection: &Connection, table: Table) -> Result<Vec<(Pair, Role, Bytes)>, Error> {
    let mut statement = connection.prepare(table.select())?;
    let rows = statement.query_map([], read)?;
    rows.collect()
}

fn read(row: &Row<'_>) -> Result<(Pair, Role, Bytes), Error> {
    let (jid, aor): (String, String) = (row.get(0)?, row.get(1)?);
    let role = match row.get::<_, String>(2)?.as_str() {
        "notifier" => Role::Notifier,
        "subscriber" => Role::Subscriber,
        other => return Err(unreadable(2, format!("unknown role {other}"))),
    };
    let body: Vec<u8> = row.get(3)?;
    let pair = Pair::new(read_jid(0, &jid)?, Aor::from_image(read_jid(1, &aor)?));
    Ok((pair, role, body.into()))
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
}
