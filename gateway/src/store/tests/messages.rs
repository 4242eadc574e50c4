use std::sync::Arc;
use std::time::Duration;

use jid::BareJid;
use translators::model::{
    Aor, Blame, Condition, Direction, Failure, InstantMessage, MessageStyle, Pair, Payload, PeerId,
    Wall,
};
use translators::shard::{Change, ChangeId, Fate, ImKey, ImRecord, ImState, Record, Restored};

use crate::clock::Clock;
use crate::store::sqlite::Journal;
use crate::store::{NotStored, Query, StoreError, open, thread};

#[test]
fn what_is_not_settled_comes_back_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let (mut journal, kept) = Journal::open(folder.path(), late()).unwrap();
    assert_eq!(kept.restored(), Restored::default());
    let failing = ImState::Failing(Failure::new(Condition::Gone, Blame::Peer));
    let first = record(1, ImState::Waiting);
    let second = record(2, failing);
    journal
        .write(&rows([
            first.clone(),
            second.clone(),
            record(3, ImState::Sent),
        ]))
        .unwrap();
    journal
        .write(&rows([settled(3), record(4, ImState::Waiting)]))
        .unwrap();
    journal.write(&rows([record(4, ImState::Sent)])).unwrap();
    journal.close();

    let (_journal, kept) = Journal::open(folder.path(), late()).unwrap();

    assert_eq!(kept.ims, [first, second, record(4, ImState::Sent)]);
}

#[test]
fn what_was_settled_of_late_comes_back_too() {
    let folder = tempfile::tempdir().unwrap();
    let (mut journal, _) = Journal::open(folder.path(), late()).unwrap();
    journal.write(&rows([settled(1)])).unwrap();
    journal.close();

    let soon = at(Duration::from_secs(60));
    let (mut journal, kept) = Journal::open(folder.path(), soon).unwrap();

    assert_eq!(kept.ims, [settled(1)]);
    journal.write(&rows([record(2, ImState::Waiting)])).unwrap();
    journal.close();
    let (_journal, kept) = Journal::open(folder.path(), late()).unwrap();
    assert_eq!(kept.ims, [record(2, ImState::Waiting)]);
}

#[test]
fn a_journal_has_one_daemon() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(folder.path(), late()).unwrap();

    let second = Journal::open(folder.path(), late());

    assert!(matches!(second, Err(StoreError::InUse(_))));
    journal.close();
    assert!(Journal::open(folder.path(), late()).is_ok());
}

#[test]
fn a_newer_schema_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    Journal::open(folder.path(), late()).unwrap().0.close();
    let file = rusqlite::Connection::open(folder.path().join("isthmus.db")).unwrap();
    file.pragma_update(None, "user_version", 3).unwrap();
    drop(file);

    let refusal = Journal::open(folder.path(), late()).unwrap_err();

    assert!(
        refusal
            .to_string()
            .contains("schema 3, this version knows up to 2"),
        "{refusal}"
    );
}

#[test]
fn a_file_of_the_first_schema_is_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let file = rusqlite::Connection::open(folder.path().join("isthmus.db")).unwrap();
    file.execute_batch(include_str!("../schema/1.sql")).unwrap();
    file.pragma_update(None, "user_version", 1).unwrap();
    drop(file);
    let (mut journal, kept) = Journal::open(folder.path(), late()).unwrap();
    assert_eq!(kept.restored(), Restored::default());
    journal.write(&rows([record(1, ImState::Sent)])).unwrap();
    journal.close();

    let (_journal, kept) = Journal::open(folder.path(), late()).unwrap();

    assert_eq!(kept.ims, [record(1, ImState::Sent)]);
}

#[test]
fn history_goes_by_number_and_by_age_and_what_is_open_stays() {
    let folder = tempfile::tempdir().unwrap();
    let (mut journal, _) = Journal::open(folder.path(), late()).unwrap();
    let open = record(1, ImState::Sent);
    let all = std::iter::once(open.clone()).chain((2..=10).map(settled));
    journal.write(&rows(all)).unwrap();

    let young = at(Duration::from_secs(3_600));
    assert_eq!(journal.prune(young, 4).unwrap(), 5, "rows 2 to 6");
    let old = at(Duration::from_secs(8 * 24 * 3_600));
    assert_eq!(journal.prune(old, 4).unwrap(), 4);

    journal.close();
    let (_journal, kept) = Journal::open(folder.path(), late()).unwrap();
    assert_eq!(kept.ims, [open]);
}

#[tokio::test]
async fn messages_are_found_by_id_and_by_user() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = open(folder.path(), Clock::start()).unwrap();
    store
        .commit(vec![change(1, ImState::Sent, true)])
        .await
        .unwrap();
    store.write_behind(vec![change(2, settled(2).state, false)]);

    let by_id = store.find(Query::Id("id-2".to_owned())).await.unwrap();
    let by_key = store.find(Query::Id(format!("{:032x}", 1))).await.unwrap();
    let by_user = store
        .find(Query::User("bob@sip.example".to_owned()))
        .await
        .unwrap();
    let nobody = store
        .find(Query::User("eve@sip.example".to_owned()))
        .await
        .unwrap();

    assert_eq!(by_id, [settled(2)]);
    assert_eq!(by_key, [record(1, ImState::Sent)]);
    assert_eq!(by_user, [settled(2), record(1, ImState::Sent)]);
    assert_eq!(nobody, []);
}

#[tokio::test]
async fn what_is_written_behind_never_overtakes() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = open(folder.path(), Clock::start()).unwrap();
    store
        .commit(vec![change(1, ImState::Waiting, true)])
        .await
        .unwrap();
    store.write_behind(vec![change(1, ImState::Sent, false)]);
    store
        .commit(vec![change(1, settled(1).state, true)])
        .await
        .unwrap();

    let found = store.find(Query::Id("id-1".to_owned())).await.unwrap();

    assert_eq!(found, [settled(1)]);
}

#[tokio::test]
async fn a_full_disk_stops_acceptance_and_ends_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(folder.path(), late()).unwrap();
    journal.limit_pages(60);
    let store = thread::start(journal, folder.path(), Clock::start());
    let mut read_only = store.read_only();
    let mut written = 0;
    while store
        .commit(vec![change(written + 1, ImState::Waiting, true)])
        .await
        == Ok(())
    {
        written += 1;
        assert!(written < 10_000, "the limit does not hold");
    }

    assert!(*read_only.borrow_and_update());
    let refused = store
        .commit(vec![change(20_000, ImState::Waiting, true)])
        .await;
    assert_eq!(
        refused,
        Err(NotStored(vec![change(20_000, ImState::Waiting, true)]))
    );
    let found = store
        .find(Query::User("bob@sip.example".to_owned()))
        .await
        .unwrap();
    assert_eq!(found.len(), usize::try_from(written).unwrap().min(100));

    let other = rusqlite::Connection::open(folder.path().join("isthmus.db")).unwrap();
    other.execute("DELETE FROM im", []).unwrap();
    read_only.changed().await.unwrap();
    assert!(!*read_only.borrow_and_update());
    assert_eq!(
        store
            .commit(vec![change(20_001, ImState::Waiting, true)])
            .await,
        Ok(())
    );
}

pub(super) fn change(number: u64, state: ImState, durable: bool) -> Change {
    Change {
        id: ChangeId { shard: 0, number },
        durable,
        record: record(number, state).into(),
    }
}

fn rows(records: impl IntoIterator<Item = ImRecord>) -> Vec<Record> {
    records.into_iter().map(Record::Im).collect()
}

fn settled(number: u64) -> ImRecord {
    record(number, ImState::Settled(Fate::Delivered))
}

fn record(number: u64, state: ImState) -> ImRecord {
    let message = InstantMessage {
        id: Some(format!("id-{number}")),
        from_instance: None,
        to_instance: None,
        payload: Payload::Text {
            text: "hello ".repeat(20),
            html: None,
            subject: None,
            chat_state: None,
            receipts: Vec::new(),
        },
        lang: None,
        thread: None,
        sent_at: None,
        display_name: None,
        style: MessageStyle::Chat,
    };
    let done = matches!(state, ImState::Settled(_));
    ImRecord {
        key: ImKey(u128::from(number).to_be_bytes()),
        direction: Direction::ToSip,
        pair: Pair::new(
            BareJid::new("alice@xmpp.example").unwrap(),
            Aor::from_image(BareJid::new("bob@sip.example").unwrap()),
        ),
        from_peer: PeerId::new("xmpp"),
        sender_id: Some(format!("id-{number}")),
        fingerprint: u64::MAX - number,
        message: (!done).then(|| Arc::new(message)),
        accepted_at: at(Duration::ZERO),
        deadline: at(Duration::from_secs(60)),
        state,
    }
}

/// Long after every record of these tests.
fn late() -> Wall {
    at(Duration::from_secs(24 * 3_600))
}

fn at(since: Duration) -> Wall {
    Wall::from_unix_millis(1_700_000_000_000) + since
}
