//! What a start finds in the journal. Relations and documents may be millions: they are read piece
//! by piece beside the shards that take them up, and the shards make their addresses out of text.

use std::sync::Arc;

use jid::BareJid;
use rusqlite::Connection;
use translators::model::{Aor, Pair, PeerId, Role, Wall, digest, shard_of_spread};
use translators::presence::{DocumentRecord, SubscriptionRecord};
use translators::shard::{ImRecord, Restored};

use super::StoreError;
use super::relations::{self, Row, Table};

/// What the journal kept.
#[derive(Debug)]
pub struct Kept {
    /// When the backup was made that the journal was put back from.
    pub from_backup: Option<Wall>,
    /// Messages without a fate, and those that were settled of late, oldest first.
    pub ims: Vec<ImRecord>,
    /// Peers that are not believed when they refuse what they granted, and since when.
    pub suspects: Vec<(PeerId, Wall)>,
    /// Sees the journal as it was when it was opened.
    pub(super) reader: Connection,
}

/// Some rows for one shard.
#[derive(Debug)]
pub struct Piece {
    /// Which shard.
    pub shard: u16,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Ims(Vec<ImRecord>),
    Rows(Table, Vec<Row>),
}

/// A row names something that is no address; only a damaged file has such rows.
#[derive(Debug, thiserror::Error)]
#[error("a row of the journal names {0}, which is no address")]
pub struct NoAddress(String);

/// How much was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Read {
    /// Relations.
    pub relations: usize,
    /// Documents.
    pub documents: usize,
}

impl Kept {
    /// Hands everything out by shard: messages, then relations, then documents, in pieces of a few
    /// hundred. Ends early when `deliver` says that nobody takes them any more.
    pub fn read(
        self,
        shards: u16,
        mut deliver: impl FnMut(Piece) -> bool,
    ) -> Result<Read, StoreError> {
        let mut ims: Vec<Vec<ImRecord>> = vec![Vec::new(); usize::from(shards.max(1))];
        for record in self.ims {
            let shard = shard_of_spread(digest(record.pair.jid.as_str().bytes()), shards);
            if let Some(own) = ims.get_mut(usize::from(shard)) {
                own.push(record);
            }
        }
        for (shard, ims) in (0..).zip(ims).filter(|(_, ims)| !ims.is_empty()) {
            let content = Content::Ims(ims);
            if !deliver(Piece { shard, content }) {
                return Ok(Read::default());
            }
        }
        let mut read = |table| read_table(&self.reader, table, shards, &mut deliver);
        Ok(Read {
            relations: read(Table::Relation)?,
            documents: read(Table::Document)?,
        })
    }

    /// Everything, as one shard would get it.
    #[cfg(test)]
    pub(super) fn restored(self) -> Restored {
        let from_backup = self.from_backup;
        let mut all = Restored {
            from_backup,
            ..Restored::default()
        };
        let mut add = |piece: Piece| {
            let piece = piece.into_restored(from_backup).unwrap();
            all.ims.extend(piece.ims);
            all.subscriptions.extend(piece.subscriptions);
            all.documents.extend(piece.documents);
            true
        };
        self.read(1, &mut add).unwrap();
        all
    }
}

fn read_table(
    reader: &Connection,
    table: Table,
    shards: u16,
    deliver: &mut impl FnMut(Piece) -> bool,
) -> Result<usize, StoreError> {
    let mut gathered: Vec<Vec<Row>> = (0..shards.max(1)).map(|_| Vec::new()).collect();
    let mut count = 0_usize;
    let mut give = |shard, rows| {
        let content = Content::Rows(table, rows);
        deliver(Piece { shard, content })
    };
    let complete = relations::read_all(reader, table, |row| {
        count = count.saturating_add(1);
        let shard = shard_of_spread(digest(row.jid.bytes()), shards);
        let Some(rows) = gathered.get_mut(usize::from(shard)) else {
            return true;
        };
        rows.push(row);
        rows.len() < PIECE || give(shard, std::mem::replace(rows, Vec::with_capacity(PIECE)))
    })?;
    if complete {
        for (shard, rows) in (0..).zip(gathered).filter(|(_, rows)| !rows.is_empty()) {
            if !give(shard, rows) {
                break;
            }
        }
    }
    Ok(count)
}

impl Piece {
    /// Makes records of the rows.
    pub fn into_restored(self, from_backup: Option<Wall>) -> Result<Restored, NoAddress> {
        let mut restored = Restored {
            from_backup,
            ..Restored::default()
        };
        match self.content {
            Content::Ims(ims) => restored.ims = ims,
            Content::Rows(Table::Document, rows) => {
                let record = |(pair, role, body)| DocumentRecord {
                    pair,
                    role,
                    body: Some(body),
                };
                restored.documents = records(rows, record)?;
            }
            Content::Rows(Table::Relation, rows) => {
                let record = |(pair, role, body)| SubscriptionRecord {
                    pair,
                    role,
                    body: Some(body),
                };
                restored.subscriptions = records(rows, record)?;
            }
        }
        Ok(restored)
    }
}

/// Rows come in the order of their users, so that those of one user share his address, and the two
/// of one pair share the pair.
fn records<T>(
    rows: Vec<Row>,
    record: impl Fn((Pair, Role, bytes::Bytes)) -> T,
) -> Result<Vec<T>, NoAddress> {
    let mut records = Vec::with_capacity(rows.len());
    let mut last: Option<Pair> = None;
    for row in rows {
        let same_user = last.as_ref().filter(|last| last.jid.as_str() == &*row.jid);
        let same_pair = same_user.filter(|last| last.aor.as_str() == &*row.aor);
        let pair = match (same_pair, same_user) {
            (Some(pair), _) => pair.clone(),
            (None, Some(same)) => {
                Pair::new(Arc::clone(&same.jid), Aor::from_image(address(&row.aor)?))
            }
            (None, None) => Pair::new(address(&row.jid)?, Aor::from_image(address(&row.aor)?)),
        };
        last = Some(pair.clone());
        records.push(record((pair, row.role, row.body)));
    }
    Ok(records)
}

fn address(text: &str) -> Result<BareJid, NoAddress> {
    BareJid::new(text).map_err(|_| NoAddress(text.to_owned()))
}

/// Rows in one piece: a turn of a shard of about a millisecond. For each shard so many are gathered, and
/// their room stays with the process.
const PIECE: usize = 200;
