use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use certs::Finding;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use translators::shard::{Change, ChangeId, Fate, ImState};

use super::testing::{Daemon, ask, record, socket};
use super::{Order, Reloaded, bind};

#[tokio::test]
async fn only_owner_and_group_may_use_the_socket() {
    let daemon = Daemon::start();
    let mode = socket(&daemon.folder)
        .metadata()
        .unwrap()
        .permissions()
        .mode();

    assert_eq!(mode & 0o777, 0o660);
}

#[tokio::test]
async fn a_socket_in_use_is_left_alone_and_a_dead_one_replaced() {
    let folder = TempDir::new().unwrap();
    let path = socket(&folder);

    let first = bind(&path).unwrap();
    assert!(bind(&path).is_err());
    drop(first);
    assert!(bind(&path).is_ok());
}

#[tokio::test]
async fn a_file_in_the_place_of_the_socket_is_not_removed() {
    let folder = TempDir::new().unwrap();
    std::fs::write(socket(&folder), "precious").unwrap();

    assert!(bind(&socket(&folder)).is_err());
    assert_eq!(
        std::fs::read_to_string(socket(&folder)).unwrap(),
        "precious"
    );
}

#[tokio::test]
async fn status_tells_peers_and_certificates() {
    let daemon = Daemon::start();
    let status = daemon.ask(&json!({ "command": "status" })).await;

    assert_eq!(status["ok"], true);
    assert_eq!(status["ready"], false);
    assert_eq!(status["journal_writable"], true);
    assert_eq!(status["certificates"][0]["file"], "xmpp.pem");
    let names = status["peers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|peer| &peer["name"]);
    assert_eq!(names.collect::<Vec<_>>(), ["kamailio", "prosody"]);
    assert_eq!(status["peers"][1]["state"], "idle");
}

#[tokio::test]
async fn a_peer_is_found_by_name_and_by_domain() {
    let daemon = Daemon::start();
    for peer in ["prosody", "one.example.net", "conference.one.example.net"] {
        let why = daemon
            .ask(&json!({ "command": "peer-why", "peer": peer }))
            .await;
        assert_eq!(why["peer"]["name"], "prosody", "{why}");
    }
    let why = daemon
        .ask(&json!({ "command": "peer-why", "peer": "nobody" }))
        .await;

    assert_eq!(why["ok"], false);
    assert_eq!(why["error"], "no peer has the name or domain nobody");
}

#[tokio::test]
async fn messages_are_found_by_id_and_user() {
    let daemon = Daemon::start();
    let change = Change {
        id: ChangeId {
            shard: 0,
            number: 1,
        },
        durable: true,
        record: record("id@with-at", ImState::Settled(Fate::Delivered)).into(),
    };
    daemon.store.commit(vec![change]).await.unwrap();

    let key = "07".repeat(16);
    for wanted in [
        "id@with-at",
        "Juliet@one.example.net",
        "sip:romeo@two.example.net",
        &key,
    ] {
        let found = daemon
            .ask(&json!({ "command": "message-find", "wanted": wanted }))
            .await;
        assert_eq!(
            found["messages"][0]["state"], "delivered",
            "{wanted}: {found}"
        );
        assert_eq!(found["messages"][0]["id"], key);
    }
    let found = daemon
        .ask(&json!({ "command": "message-find", "wanted": "other" }))
        .await;
    assert_eq!(found["messages"], json!([]));
}

#[tokio::test]
async fn a_reload_is_ordered_and_answers_with_its_findings() {
    let mut daemon = Daemon::start();
    let path = socket(&daemon.folder);
    let asking = tokio::spawn(async move { ask(&path, "{\"command\":\"reload\"}\n").await });

    let Some(Order::Reload(reply)) = daemon.orders.recv().await else {
        panic!("no reload was ordered");
    };
    let findings = vec![Finding::error(
        "config-syntax",
        "f:1",
        "It is broken.",
        "Mend it.",
    )];
    let applied = false;
    reply.send(Reloaded { applied, findings }).unwrap();

    let answer = asking.await.unwrap();
    assert_eq!(answer["applied"], false);
    assert_eq!(answer["findings"][0]["fix"], "Mend it.");
}

#[tokio::test]
async fn a_drain_answers_when_it_is_over() {
    let mut daemon = Daemon::start();
    let path = socket(&daemon.folder);
    let line = "{\"command\":\"drain\",\"timeout_seconds\":5}\n";
    let asking = tokio::spawn(async move { ask(&path, line).await });

    let Some(Order::Drain { grace, done, .. }) = daemon.orders.recv().await else {
        panic!("no drain was ordered");
    };
    assert_eq!(grace, Duration::from_secs(5));
    done.send(true).unwrap();

    assert_eq!(asking.await.unwrap()["clean"], true);
}

#[tokio::test]
async fn nonsense_is_answered_and_does_not_end_the_conversation() {
    let daemon = Daemon::start();
    let mut client = BufReader::new(UnixStream::connect(socket(&daemon.folder)).await.unwrap());
    for nonsense in [
        "",
        "null",
        "{\"command\":\"dance\"}",
        "{\"command\":\"peer-why\"}",
        "\u{0}",
    ] {
        client
            .write_all(format!("{nonsense}\n").as_bytes())
            .await
            .unwrap();
        let mut answer = String::new();
        client.read_line(&mut answer).await.unwrap();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["ok"], false, "{nonsense}");
    }
}

#[tokio::test]
async fn a_line_without_end_is_cut_off() {
    let daemon = Daemon::start();
    let mut client = UnixStream::connect(socket(&daemon.folder)).await.unwrap();
    // The daemon may close before it took everything.
    drop(client.write_all(&[b'x'; 10_000]).await);
    let mut answer = Vec::new();
    drop(client.read_to_end(&mut answer).await);

    assert!(answer.is_empty());
    let version = daemon.ask(&json!({ "command": "version" })).await;
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
}

#[tokio::test]
async fn clients_beyond_the_limit_wait_and_are_served_when_one_goes() {
    let daemon = Daemon::start();
    let path = socket(&daemon.folder);
    let mut crowd = Vec::new();
    for _ in 0..32 {
        crowd.push(UnixStream::connect(&path).await.unwrap());
    }
    let late = tokio::spawn(async move { ask(&path, "{\"command\":\"version\"}\n").await });
    drop(crowd);

    assert_eq!(late.await.unwrap()["ok"], true);
}
