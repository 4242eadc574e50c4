//! Rows of the journal: records to SQL and back.

use jid::BareJid;
use rusqlite::types::Type;
use rusqlite::{Error, Row, Statement, params};
use serde::Serialize;
use serde::de::DeserializeOwned;
use translators::model::{Aor, Direction, Pair, PeerId, Wall};
use translators::shard::{ImKey, ImRecord, ImState};

/// Columns in the order in which [`read`] takes them.
pub(super) const COLUMNS: &str = "seq, key, direction, jid, aor, sender_id, from_peer, state, fate, accepted_at, deadline, body, \
     fingerprint";

/// A new row.
pub(super) const INSERT: &str = "INSERT INTO im (seq, key, direction, jid, aor, sender_id, \
     from_peer, state, fate, accepted_at, deadline, body, fingerprint) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";

/// What can change in a row.
pub(super) const UPDATE: &str =
    "UPDATE im SET state = ?2, fate = ?3, deadline = ?4, body = ?5 WHERE seq = ?1";

/// Fills [`INSERT`] and runs it.
pub(super) fn insert(
    statement: &mut Statement<'_>,
    seq: i64,
    record: &ImRecord,
) -> Result<(), Error> {
    let (state, fate) = state_columns(&record.state)?;
    statement.execute(params![
        seq,
        record.key.0.as_slice(),
        direction_column(record.direction),
        record.pair.jid.as_str(),
        record.pair.aor.as_str(),
        record.sender_id,
        record.from_peer.as_str(),
        state,
        fate,
        record.accepted_at.unix_millis(),
        record.deadline.unix_millis(),
        body_column(record)?,
        record.fingerprint.cast_signed(),
    ])?;
    Ok(())
}

/// Fills [`UPDATE`] and runs it.
pub(super) fn update(
    statement: &mut Statement<'_>,
    seq: i64,
    record: &ImRecord,
) -> Result<(), Error> {
    let (state, fate) = state_columns(&record.state)?;
    let deadline = record.deadline.unix_millis();
    statement.execute(params![seq, state, fate, deadline, body_column(record)?])?;
    Ok(())
}

/// Reads a row selected by [`COLUMNS`]: its number and the record.
pub(super) fn read(row: &Row<'_>) -> Result<(i64, ImRecord), Error> {
    let key: [u8; 16] = row.get(1)?;
    let jid: String = row.get(3)?;
    let aor: String = row.get(4)?;
    let from_peer: String = row.get(6)?;
    let body: Option<String> = row.get(11)?;
    let record = ImRecord {
        key: ImKey(key),
        direction: read_direction(2, &row.get::<_, String>(2)?)?,
        pair: Pair::new(read_jid(3, &jid)?, Aor::from_image(read_jid(4, &aor)?)),
        from_peer: PeerId::new(&from_peer),
        sender_id: row.get(5)?,
        fingerprint: row.get::<_, i64>(12)?.cast_unsigned(),
        message: body.map(|body| from_json(11, &body)).transpose()?,
        accepted_at: Wall::from_unix_millis(row.get(9)?),
        deadline: Wall::from_unix_millis(row.get(10)?),
        state: read_state(&row.get::<_, String>(7)?, row.get(8)?)?,
    };
    Ok((row.get(0)?, record))
}

fn direction_column(direction: Direction) -> &'static str {
    match direction {
        Direction::ToSip => "to-sip",
        Direction::ToXmpp => "to-xmpp",
    }
}

fn read_direction(column: usize, text: &str) -> Result<Direction, Error> {
    match text {
        "to-sip" => Ok(Direction::ToSip),
        "to-xmpp" => Ok(Direction::ToXmpp),
        other => Err(unreadable(column, format!("unknown direction {other}"))),
    }
}

/// The two columns of a state.
pub(super) fn state_columns(state: &ImState) -> Result<(&'static str, Option<String>), Error> {
    match state {
        ImState::Waiting => Ok(("waiting", None)),
        ImState::Sent => Ok(("sent", None)),
        ImState::Failing(failure) => Ok(("failing", Some(to_json(failure)?))),
        ImState::Settled(fate) => Ok(("settled", Some(to_json(fate)?))),
    }
}

fn read_state(state: &str, fate: Option<String>) -> Result<ImState, Error> {
    let fate = fate.unwrap_or_default();
    match state {
        "waiting" => Ok(ImState::Waiting),
        "sent" => Ok(ImState::Sent),
        "failing" => from_json(8, &fate).map(ImState::Failing),
        "settled" => from_json(8, &fate).map(ImState::Settled),
        other => Err(unreadable(7, format!("unknown state {other}"))),
    }
}

fn body_column(record: &ImRecord) -> Result<Option<String>, Error> {
    record.message.as_deref().map(to_json).transpose()
}

pub(super) fn read_jid(column: usize, text: &str) -> Result<BareJid, Error> {
    BareJid::new(text).map_err(|error| unreadable(column, error))
}

fn to_json(value: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| Error::ToSqlConversionFailure(error.into()))
}

fn from_json<T: DeserializeOwned>(column: usize, text: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|error| unreadable(column, error))
}

pub(super) fn unreadable(
    column: usize,
    cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Error {
    Error::FromSqlConversionFailure(column, Type::Text, cause.into())
}
