//! Rows of the operator's decisions on pairs and users.

use std::path::Path;

use rusqlite::{Connection, Error, OpenFlags, Row, TransactionBehavior, params};
use translators::model::{Aor, Pair, Wall};
use translators::policy::{Acl, Subject, Verdict};

use super::StoreError;
use super::row::{read_jid, unreadable};
use super::sqlite::path;

/// One decision, with who made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AclRow {
    /// Whom it is about.
    pub subject: Subject,
    /// What is decided.
    pub verdict: Verdict,
    /// When.
    pub changed_at: Wall,
    /// By which user of this machine, as far as known.
    pub changed_by: Option<u32>,
}

/// What is to become of the decision on one subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AclChange {
    /// It is taken back.
    Remove(Subject),
    /// It is this.
    Set(AclRow),
}

/// Writes changes in one transaction: all of them are on the disk then, or none.
pub(super) fn write(connection: &mut Connection, changes: &[AclChange]) -> Result<(), Error> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for change in changes {
        match change {
            AclChange::Remove(subject) => {
                let (jid, aor) = columns(subject);
                transaction
                    .prepare_cached("DELETE FROM acl WHERE jid = ?1 AND aor = ?2")?
                    .execute(params![jid, aor])?;
            }
            AclChange::Set(row) => {
                let (jid, aor) = columns(&row.subject);
                let (verdict, at) = (row.verdict.as_str(), row.changed_at.unix_millis());
                transaction.prepare_cached(SET)?.execute(params![
                    jid,
                    aor,
                    verdict,
                    at,
                    row.changed_by
                ])?;
            }
        }
    }
    transaction.commit()
}

/// Every decision, read beside the thread that writes.
pub(super) fn all(folder: &Path) -> Result<Acl, StoreError> {
    let connection = reader(folder)?;
    let mut statement = connection.prepare(&format!("SELECT {COLUMNS} FROM acl"))?;
    let rows = statement.query_map([], read)?;
    let decisions = rows.map(|row| row.map(|row| (row.subject, row.verdict)));
    Ok(decisions.collect::<Result<Acl, Error>>()?)
}

/// The decisions on these subjects with who made them, read beside the thread that writes.
pub(super) fn find(folder: &Path, subjects: &[Subject]) -> Result<Vec<AclRow>, StoreError> {
    let connection = reader(folder)?;
    let sql = format!("SELECT {COLUMNS} FROM acl WHERE jid = ?1 AND aor = ?2");
    let mut statement = connection.prepare(&sql)?;
    let mut found = Vec::new();
    for subject in subjects {
        let (jid, aor) = columns(subject);
        let rows = statement.query_map(params![jid, aor], read)?;
        found.extend(rows.collect::<Result<Vec<_>, _>>()?);
    }
    Ok(found)
}

fn reader(folder: &Path) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(path(folder), flags)
}

fn columns(subject: &Subject) -> (&str, &str) {
    match subject {
        Subject::Pair(pair) => (pair.jid.as_str(), pair.aor.as_str()),
        Subject::Sip(aor) => ("", aor.as_str()),
        Subject::Xmpp(jid) => (jid.as_str(), ""),
    }
}

fn read(row: &Row<'_>) -> Result<AclRow, Error> {
    let (jid, aor): (String, String) = (row.get(0)?, row.get(1)?);
    let user = |column, text: &str| {
        let named = (!text.is_empty()).then(|| read_jid(column, text));
        named.transpose()
    };
    let subject = match (user(0, &jid)?, user(1, &aor)?) {
        (Some(jid), Some(aor)) => Subject::Pair(Pair::new(jid, Aor::from_image(aor))),
        (Some(jid), None) => Subject::Xmpp(jid),
        (None, Some(aor)) => Subject::Sip(Aor::from_image(aor)),
        (None, None) => return Err(unreadable(0, "a decision on nobody")),
    };
    let verdict: String = row.get(2)?;
    let unknown = || unreadable(2, format!("unknown verdict {verdict}"));
    Ok(AclRow {
        subject,
        verdict: Verdict::parse(&verdict).ok_or_else(unknown)?,
        changed_at: Wall::from_unix_millis(row.get(3)?),
        changed_by: row.get(4)?,
    })
}

/// In the order in which [`read`] takes them.
const COLUMNS: &str = "jid, aor, verdict, changed_at, changed_by";
const SET: &str = "INSERT OR REPLACE INTO acl (jid, aor, verdict, changed_at, changed_by) \
     VALUES (?1, ?2, ?3, ?4, ?5)";

#[cfg(test)]
mod tests {
    use jid::BareJid;

    use super::*;
    use crate::clock::Clock;
    use crate::store::open;
    use crate::store::sqlite::Journal;
    use crate::store::thread;

    fn user(jid: &str) -> BareJid {
        BareJid::new(jid).unwrap()
    }

    fn subjects() -> [Subject; 3] {
        let aor = Aor::from_image(user("bob@sip.example"));
        [
            Subject::Pair(Pair::new(user("alice@xmpp.example"), aor.clone())),
            Subject::Sip(aor),
            Subject::Xmpp(user("alice@xmpp.example")),
        ]
    }

    fn set(subject: &Subject, verdict: Verdict, changed_by: Option<u32>) -> AclChange {
        AclChange::Set(AclRow {
            subject: subject.clone(),
            verdict,
            changed_at: Wall::from_unix_millis(7),
            changed_by,
        })
    }

    #[tokio::test]
    async fn decisions_outlive_the_daemon() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = open(folder.path(), Clock::start()).unwrap();
        assert!(store.acl().unwrap().is_empty());
        let [pair, sip, xmpp] = subjects();
        let first = vec![
            set(&pair, Verdict::Block, Some(1000)),
            set(&sip, Verdict::Confirm, None),
            set(&xmpp, Verdict::Allow, None),
        ];
        store.decide(first).await.unwrap();
        let second = vec![
            set(&pair, Verdict::PoliteBlock, Some(1001)),
            AclChange::Remove(xmpp.clone()),
        ];
        store.decide(second).await.unwrap();
        store.close().await.unwrap();

        let (store, _) = open(folder.path(), Clock::start()).unwrap();

        let decided = [
            (pair.clone(), Verdict::PoliteBlock),
            (sip, Verdict::Confirm),
        ];
        assert_eq!(store.acl().unwrap().rows(), decided);
        let found = store.decisions(vec![pair.clone(), xmpp]).await.unwrap();
        let row = AclRow {
            subject: pair,
            verdict: Verdict::PoliteBlock,
            changed_at: Wall::from_unix_millis(7),
            changed_by: Some(1001),
        };
        assert_eq!(found, [row]);
    }

    #[tokio::test]
    async fn a_full_disk_takes_no_decision() {
        let folder = tempfile::tempdir().unwrap();
        let (journal, _) = Journal::open(folder.path(), Wall::from_unix_millis(0)).unwrap();
        journal.limit_pages(1);
        let store = thread::start(journal, folder.path(), Clock::start());
        let [pair, ..] = subjects();
        let many = (0..2_000).map(|number| user(&format!("user{number}@xmpp.example")));
        let many = many.map(|jid| set(&Subject::Xmpp(jid), Verdict::Block, None));

        let refused = store.decide(many.collect()).await;
        assert!(matches!(refused, Err(StoreError::ReadOnly)), "{refused:?}");
        assert!(*store.read_only().borrow());
        let refused = store.decide(vec![set(&pair, Verdict::Block, None)]).await;

        assert!(matches!(refused, Err(StoreError::ReadOnly)), "{refused:?}");
        assert!(store.acl().unwrap().is_empty());
    }
}
