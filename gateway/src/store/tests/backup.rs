use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use tempfile::TempDir;
use translators::model::{Role, Wall};
use translators::shard::{ImState, Restored};

use super::{messages, relations};
use crate::clock::Clock;
use crate::store::{BackupFault, Copied, Store, StoreError, back_up, open, put_back};

const MADE: Wall = Wall::from_unix_millis(1_800_000_000_000);

/// A journal with a relation and a message that is under way, in use.
async fn in_use() -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = open(folder.path(), Clock::start()).unwrap();
    let rows = vec![
        relations::relation(1, "alice", Role::Subscriber, "then"),
        messages::change(2, ImState::Sent, true),
    ];
    store.commit(rows).await.unwrap();
    (folder, store)
}

#[tokio::test]
async fn a_running_journal_is_copied_and_the_copy_comes_back_marked() {
    let (folder, store) = in_use().await;
    let file = folder.path().join("copy.db");

    let copied = back_up(folder.path(), &file, MADE).unwrap();

    let held = Copied {
        made: MADE,
        relations: 1,
        decisions: 0,
        messages: 1,
    };
    assert_eq!(copied, held);
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let later = vec![relations::relation(3, "alice", Role::Subscriber, "now")];
    store.commit(later).await.unwrap();
    assert!(matches!(
        put_back(folder.path(), &file),
        Err(BackupFault::Store(StoreError::InUse(_)))
    ));
    store.close().await.unwrap();

    assert_eq!(put_back(folder.path(), &file).unwrap(), held);

    let fate: String = {
        let journal = rusqlite::Connection::open(folder.path().join("isthmus.db")).unwrap();
        let row = |row: &rusqlite::Row<'_>| row.get(0);
        journal
            .query_row("SELECT state || fate FROM im", [], row)
            .unwrap()
    };
    assert_eq!(fate, r#"settled{"dropped":"expired"}"#);
    let (_store, kept) = open(folder.path(), Clock::start()).unwrap();
    assert_eq!(kept.from_backup, Some(MADE));
    let restored = kept.restored();
    assert_eq!(relations::body(&restored.subscriptions[0]), "then");
    assert_eq!(restored.ims, [], "nothing is sent again");
    assert!(folder.path().join("isthmus.db.replaced").exists());
}

#[tokio::test]
async fn a_backup_is_put_into_an_empty_folder() {
    let (folder, store) = in_use().await;
    let file = folder.path().join("copy.db");
    back_up(folder.path(), &file, MADE).unwrap();
    store.close().await.unwrap();
    let elsewhere = tempfile::tempdir().unwrap();

    put_back(elsewhere.path(), &file).unwrap();

    let (_store, kept) = open(elsewhere.path(), Clock::start()).unwrap();
    assert_eq!(kept.from_backup, Some(MADE));
    assert_eq!(kept.restored().subscriptions.len(), 1);
}

#[tokio::test]
async fn a_log_that_was_not_written_back_does_not_come_into_the_restored_journal() {
    let (folder, store) = in_use().await;
    let file = folder.path().join("copy.db");
    back_up(folder.path(), &file, MADE).unwrap();
    store.close().await.unwrap();
    // As after a crash: changes that are in the log only.
    let crashed = rusqlite::Connection::open(folder.path().join("isthmus.db")).unwrap();
    crashed
        .pragma_update(None, "wal_autocheckpoint", 0)
        .unwrap();
    crashed.execute("DELETE FROM relation", []).unwrap();
    std::mem::forget(crashed);
    assert!(folder.path().join("isthmus.db-wal").exists());

    put_back(folder.path(), &file).unwrap();

    let (_store, kept) = open(folder.path(), Clock::start()).unwrap();
    assert_eq!(kept.restored().subscriptions.len(), 1);
}

#[tokio::test]
async fn only_backups_are_put_back_and_nothing_is_written_over() {
    let (folder, store) = in_use().await;
    store.close().await.unwrap();
    let own = folder.path().join("isthmus.db");
    let broken = folder.path().join("broken.db");
    let mut octets = std::fs::read(&own).unwrap();
    octets.truncate(octets.len() / 2);
    std::fs::write(&broken, octets).unwrap();

    let existing = back_up(folder.path(), &broken, MADE);
    let foreign = put_back(folder.path(), &own);
    let damaged = put_back(folder.path(), &broken);
    let missing = put_back(folder.path(), &folder.path().join("nothing.db"));

    assert!(
        matches!(existing, Err(BackupFault::File { .. })),
        "{existing:?}"
    );
    assert!(
        matches!(foreign, Err(BackupFault::NoBackup(_))),
        "{foreign:?}"
    );
    assert!(
        matches!(damaged, Err(BackupFault::Damaged { .. })),
        "{damaged:?}"
    );
    assert!(missing.is_err());
    let (_store, kept) = open(folder.path(), Clock::start()).unwrap();
    assert_ne!(kept.restored(), Restored::default());
}

#[tokio::test]
async fn a_copy_under_load_is_whole() {
    let (folder, store) = in_use().await;
    let (path, writer) = (folder.path().to_owned(), store.clone());
    let load = tokio::spawn(async move {
        let both = |number: u64| {
            let name = format!("u{number}");
            vec![
                relations::relation(2 * number, &name, Role::Subscriber, "1"),
                relations::relation(2 * number + 1, &name, Role::Notifier, "2"),
            ]
        };
        let mut number = 10;
        while writer.commit(both(number)).await.is_ok() {
            number += 1;
        }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    let file = path.join("copy.db");

    let to = file.clone();
    let copied = tokio::task::spawn_blocking(move || back_up(&path, &to, MADE)).await;
    let copied = copied.unwrap().unwrap();

    store.close().await.unwrap();
    load.await.unwrap();
    assert!(copied.relations > 1);
    assert_eq!(copied.relations % 2, 1, "both of one commit, or none");
}
