//! How fast a start reads. Run by hand, optimised:
//! `cargo test --release -p gateway --lib store::tests::large -- --ignored --nocapture`

#![expect(clippy::print_stdout, reason = "figures for the one who runs it")]

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};

use crate::clock::Clock;
use crate::store::open;

/// XMPP users, each with so many contacts and watchers.
const USERS: u32 = 125_000;
const EACH: u32 = 25;

#[test]
#[ignore = "fills a file with three million rows; prints figures"]
fn three_million_relations_are_read() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path(), Clock::start()).unwrap());
    let begun = Instant::now();
    fill(folder.path());
    println!("filled in {:.1?}", begun.elapsed());

    let (store, kept) = open_again(folder.path());
    let begun = Instant::now();
    let (mut making, mut made) = (Duration::ZERO, 0);
    let read = kept.read(16, |piece| {
        let begun = Instant::now();
        let restored = piece.into_restored(None).unwrap();
        made += restored.subscriptions.len() + restored.documents.len();
        making += begun.elapsed();
        true
    });
    let (read, took) = (read.unwrap(), begun.elapsed());
    println!("{read:?} in {took:.1?}, of which {making:.1?} to make records of rows");
    drop(store);

    let rows = usize::try_from(USERS * EACH).unwrap();
    assert_eq!(
        (read.relations, read.documents, made),
        (rows, rows, 2 * rows)
    );
}

/// The thread of a store that was dropped needs a moment to close the file.
fn open_again(folder: &Path) -> (crate::store::Store, crate::store::Kept) {
    loop {
        match open(folder, Clock::start()) {
            Ok(opened) => return opened,
            Err(crate::store::StoreError::InUse(_)) => std::thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    }
}

fn fill(folder: &Path) {
    let mut file = Connection::open(folder.join("isthmus.db")).unwrap();
    file.pragma_update(None, "synchronous", "OFF").unwrap();
    let transaction = file.transaction().unwrap();
    for table in ["relation", "document"] {
        let octets = if table == "relation" { 400 } else { 600 };
        let sql = format!("INSERT INTO {table} (jid, aor, role, body) VALUES (?1, ?2, ?3, ?4)");
        let mut insert = transaction.prepare(&sql).unwrap();
        let body = vec![7_u8; octets];
        for user in 0..USERS {
            let jid = format!("user{user:06}@xmpp.example");
            for contact in 0..EACH {
                let aor = format!("contact{contact:06}@sip.example");
                let role = ["notifier", "subscriber"][usize::from(contact % 2 == 0)];
                insert.execute(params![jid, aor, role, body]).unwrap();
            }
        }
    }
    transaction.commit().unwrap();
}
