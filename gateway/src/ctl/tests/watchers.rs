//! Watchers, deleted users, peers that are released, backups.

use serde_json::{Value, json};
use translators::shard::{Change, ChangeId, Fate, ImState};

use super::{ask, text};
use crate::admin::testing::{Daemon, record};
use crate::config::testing::{WORKING, write};
use crate::ctl::Exit;

#[tokio::test(flavor = "multi_thread")]
async fn relations_are_listed_and_what_is_not_there_is_a_problem() {
    let daemon = Daemon::start();

    let all = ask(&daemon, &["watcher", "list"]).await;
    let none = ask(&daemon, &["watcher", "show", "juliet@one.example.net"]).await;
    let json = ask(&daemon, &["--json", "watcher", "list", "--most", "5"]).await;
    let dropped = [
        "watcher",
        "drop",
        "sip:romeo@two.example.net",
        "juliet@one.example.net",
        "--watcher",
        "sip",
    ];
    let dropped = ask(&daemon, &dropped).await;
    let stranger = ask(&daemon, &["watcher", "resync", "nobody@nowhere.example"]).await;

    assert_eq!(
        (all.exit, all.out.as_str()),
        (Exit::Fine, "Nobody watches anybody there.\n")
    );
    assert_eq!(none.exit, Exit::Problem);
    let json: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(json, json!({ "ok": true, "relations": [], "more": false }));
    assert_eq!(dropped.exit, Exit::Problem);
    assert_eq!(dropped.out, "There is no such relation.\n");
    assert_eq!(stranger.exit, Exit::Problem);
    assert!(
        stranger.err.contains("no peer has the domain"),
        "{}",
        stranger.err
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_user_is_forgotten_with_what_was_decided_and_said() {
    let daemon = Daemon::start();
    let record = record("id-1", ImState::Settled(Fate::Delivered)).into();
    let id = ChangeId {
        shard: 0,
        number: 1,
    };
    let durable = true;
    let change = Change {
        id,
        durable,
        record,
    };
    daemon.store.commit(vec![change]).await.unwrap();
    ask(&daemon, &["acl", "set", "juliet@one.example.net", "block"]).await;

    let forgotten = ask(&daemon, &["user", "forget", "juliet@one.example.net"]).await;

    assert_eq!(forgotten.exit, Exit::Fine, "{}", forgotten.err);
    let told = "Forgotten: 0 relations, 1 decisions, 1 rows of the journal.\n";
    assert_eq!(forgotten.out, told);
    assert_eq!(
        ask(&daemon, &["message", "find", "id-1"]).await.exit,
        Exit::Problem
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_is_released_by_name_or_domain() {
    let daemon = Daemon::start();

    let known = ask(&daemon, &["peer", "release", "two.example.net"]).await;
    let unknown = ask(&daemon, &["peer", "release", "nobody"]).await;

    assert_eq!(
        (known.exit, known.out.as_str()),
        (Exit::Fine, "kamailio was believed all the time.\n")
    );
    assert_eq!(unknown.exit, Exit::Problem);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_is_backed_up_under_a_daemon_and_put_back_without_one() {
    let daemon = Daemon::start();
    let config = text(&daemon.folder.path().join("isthmus.toml"));
    write(&daemon.folder, "isthmus.toml", WORKING, 0o644);
    let file = text(&daemon.folder.path().join("backup.db"));

    let made = ask(&daemon, &["--config", &config, "backup", &file]).await;
    let again = ask(&daemon, &["--config", &config, "backup", &file]).await;
    let busy = ask(&daemon, &["--config", &config, "restore", &file]).await;
    daemon.store.close().await.unwrap();
    let back = ask(&daemon, &["--json", "--config", &config, "restore", &file]).await;
    let lost = ask(&daemon, &["--config", "/nowhere.toml", "restore", &file]).await;

    assert_eq!(made.exit, Exit::Fine, "{}", made.err);
    let holds = "The backup holds 0 relations, 0 decisions and 0 messages as of ";
    assert!(made.out.starts_with(holds), "{}", made.out);
    assert_eq!(again.exit, Exit::Problem, "nothing is written over");
    assert_eq!(busy.exit, Exit::Problem);
    assert!(
        busy.err.contains("another isthmusd works on the journal"),
        "{}",
        busy.err
    );
    assert_eq!(back.exit, Exit::Fine, "{}", back.out);
    assert!(back.out.contains("\"relations\":0"), "{}", back.out);
    assert_eq!(lost.exit, Exit::Problem);
}
