use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use jid::BareJid;
use rusqlite::Connection;
use translators::model::{Aor, Pair, PeerId, Role, Wall};
use translators::presence::{DocumentRecord, SubscriptionRecord};
use translators::shard::{Change, ChangeId, Record, Restored, shard_of};

use crate::clock::Clock;
use crate::store::{Mark, Store, open};

#[tokio::test]
async fn relations_and_documents_come_back_in_the_order_of_their_pairs() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = open(folder.path(), Clock::start()).unwrap();
    let rows = vec![
        relation(1, "carol", Role::Notifier, "c"),
        relation(2, "alice", Role::Subscriber, "a"),
        relation(3, "alice", Role::Notifier, "b"),
    ];
    store.commit(rows).await.unwrap();
    store.write_behind(vec![document(4, "alice", Role::Subscriber, "open")]);
    store.close().await.unwrap();

    let restored = restored(folder.path());

    let bodies: Vec<_> = restored.subscriptions.iter().map(body).collect();
    assert_eq!(bodies, ["b", "a", "c"], "by pair, then by role");
    assert_eq!(restored.subscriptions[1].role, Role::Subscriber);
    assert_eq!(restored.subscriptions[1].pair, pair("alice"));
    let document = &restored.documents[0];
    assert_eq!(document.body.as_deref(), Some(b"open".as_slice()));
    assert_eq!(restored.documents.len(), 1);
    assert_eq!(restored.from_backup, None);
}

#[tokio::test]
async fn a_row_is_replaced_and_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = open(folder.path(), Clock::start()).unwrap();
    let role = Role::Subscriber;
    let first = vec![
        relation(1, "alice", role, "1"),
        relation(2, "carol", role, "1"),
    ];
    store.commit(first).await.unwrap();
    let second = vec![relation(3, "alice", role, "2"), gone(4, "carol", role)];
    store.commit(second).await.unwrap();
    store.close().await.unwrap();

    let restored = restored(folder.path());

    let bodies: Vec<_> = restored.subscriptions.iter().map(body).collect();
    assert_eq!(bodies, ["2"]);
}

/// A turn hands over what is written behind before it waits for its commit, so that only the number
/// tells what is newer.
#[tokio::test]
async fn the_newest_state_of_a_row_stays_whichever_way_it_comes() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = open(folder.path(), Clock::start()).unwrap();
    let role = Role::Notifier;

    store.write_behind(vec![lazy(relation(2, "alice", role, "behind"))]);
    store
        .commit(vec![relation(1, "alice", role, "durable")])
        .await
        .unwrap();
    store.write_behind(vec![lazy(relation(3, "carol", role, "behind"))]);
    store
        .commit(vec![relation(4, "carol", role, "durable")])
        .await
        .unwrap();
    store.write_behind(vec![lazy(relation(5, "dave", role, "behind"))]);
    store.commit(vec![gone(6, "dave", role)]).await.unwrap();
    store.close().await.unwrap();

    let restored = restored(folder.path());
    let bodies: Vec<_> = restored.subscriptions.iter().map(body).collect();
    assert_eq!(bodies, ["behind", "durable"]);
}

#[tokio::test]
async fn of_many_changes_of_a_document_one_is_written_within_two_seconds() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = open(folder.path(), Clock::start()).unwrap();
    let file = Connection::open(folder.path().join("isthmus.db")).unwrap();
    let watch = "CREATE TABLE writes (body BLOB); CREATE TRIGGER w AFTER INSERT ON document \
                 BEGIN INSERT INTO writes VALUES (new.body); END;";
    file.execute_batch(watch).unwrap();
    let begun = std::time::Instant::now();

    for number in 1..=1_000 {
        let text = number.to_string();
        store.write_behind(vec![document(number, "alice", Role::Subscriber, &text)]);
    }

    let written = || -> Vec<Vec<u8>> {
        let mut statement = file.prepare("SELECT body FROM writes").unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    };
    while written().is_empty() {
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "nothing is written"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let took = begun.elapsed();
    assert_eq!(written(), [b"1000"], "after {took:?}");
    assert!(took < Duration::from_secs(2), "{took:?}");
    store.close().await.unwrap();
    assert_eq!(written().len(), 1);
}

#[tokio::test]
async fn what_a_start_reads_is_dealt_out_by_user() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = open(folder.path(), Clock::start()).unwrap();
    let users: Vec<String> = (0..6_000).map(|number| format!("u{number}")).collect();
    for (number, user) in (1..).zip(&users) {
        store.write_behind(vec![lazy(relation(number, user, Role::Subscriber, user))]);
    }
    store.close().await.unwrap();

    let (_store, kept) = open(folder.path(), Clock::start()).unwrap();
    let mut dealt = 0;
    let read = kept.read(3, |piece| {
        let shard = piece.shard;
        let restored = piece.into_restored(None).unwrap();
        for record in &restored.subscriptions {
            assert_eq!(shard_of(&record.pair.jid, 3), shard);
            assert_eq!(record.pair.jid.node().unwrap().as_str(), body(record));
        }
        dealt += restored.subscriptions.len();
        true
    });

    assert_eq!((read.unwrap().relations, dealt), (6_000, 6_000));
}

#[tokio::test]
async fn a_user_who_is_forgotten_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = open(folder.path(), Clock::start()).unwrap();
    let role = Role::Subscriber;
    let rows = vec![
        relation(1, "alice", role, "1"),
        relation(2, "carol", role, "1"),
    ];
    store.commit(rows).await.unwrap();
    store.write_behind(vec![document(3, "alice", role, "1")]);

    assert_eq!(store.forget(user("alice@xmpp.example")).await.unwrap(), 2);
    assert_eq!(store.forget(user("dave@xmpp.example")).await.unwrap(), 0);
    assert_eq!(store.forget(user("bob@sip.example")).await.unwrap(), 1);
    store.close().await.unwrap();

    assert_eq!(restored(folder.path()), Restored::default());
}

#[tokio::test]
async fn marks_outlive_the_process_until_they_are_cleared() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = open(folder.path(), Clock::start()).unwrap();
    let since = Some("1700000000000".to_owned());
    for peer in ["kamailio", "lync"] {
        let mark = Mark::Suspect(PeerId::new(peer));
        store.set(mark, since.clone()).await.unwrap();
    }
    store.set(Mark::Backup, since).await.unwrap();
    store.close().await.unwrap();

    let (store, kept) = open(folder.path(), Clock::start()).unwrap();
    let at = Wall::from_unix_millis(1_700_000_000_000);
    let suspects = [PeerId::new("kamailio"), PeerId::new("lync")];
    assert_eq!(kept.suspects, suspects.map(|peer| (peer, at)));
    assert_eq!(kept.from_backup, Some(at));
    drop(kept);
    for mark in [Mark::Suspect(PeerId::new("lync")), Mark::Backup] {
        store.set(mark, None).await.unwrap();
    }
    store.close().await.unwrap();

    let (_store, kept) = open(folder.path(), Clock::start()).unwrap();
    assert_eq!(kept.suspects, [(PeerId::new("kamailio"), at)]);
    assert_eq!(kept.from_backup, None);
}

fn restored(folder: &Path) -> Restored {
    let (_store, kept): (Store, _) = open(folder, Clock::start()).unwrap();
    kept.restored()
}

pub(super) fn body(record: &SubscriptionRecord) -> &str {
    std::str::from_utf8(record.body.as_ref().unwrap()).unwrap()
}

pub(super) fn relation(number: u64, name: &str, role: Role, body: &str) -> Change {
    let record = SubscriptionRecord {
        pair: pair(name),
        role,
        body: Some(Bytes::copy_from_slice(body.as_bytes())),
    };
    change(number, record.into())
}

fn gone(number: u64, name: &str, role: Role) -> Change {
    let record = SubscriptionRecord {
        pair: pair(name),
        role,
        body: None,
    };
    change(number, record.into())
}

fn document(number: u64, name: &str, role: Role, body: &str) -> Change {
    let record = DocumentRecord {
        pair: pair(name),
        role,
        body: Some(Bytes::copy_from_slice(body.as_bytes())),
    };
    lazy(change(number, record.into()))
}

fn change(number: u64, record: Record) -> Change {
    Change {
        id: ChangeId { shard: 0, number },
        durable: true,
        record,
    }
}

fn lazy(change: Change) -> Change {
    Change {
        durable: false,
        ..change
    }
}

fn pair(name: &str) -> Pair {
    let jid = user(&format!("{name}@xmpp.example"));
    Pair::new(jid, Aor::from_image(user("bob@sip.example")))
}

fn user(jid: &str) -> BareJid {
    BareJid::new(jid).unwrap()
}
