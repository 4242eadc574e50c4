//! What a start does, and what it refuses to do.
#![allow(clippy::unwrap_used)]

#[allow(dead_code, reason = "each file uses its part")]
mod common;

use std::time::Duration;

use common::{Lab, accepted};
use gateway::app::StartFault;
use gateway::clock::Clock;
use gateway::link::Door;
use gateway::store::{self, Query, StoreError};
use tokio::net::TcpListener;
use translators::shard::{Change, ChangeId, Fate, ImState};

/// A message that was accepted and not sent before a crash is sent, and its outcome is known.
#[tokio::test]
async fn the_journal_is_taken_up() {
    let lab = Lab::new().await;
    let state = lab.folder.path().join("state");
    std::fs::create_dir(&state).unwrap();
    let clock = Clock::start();
    let (store, _) = store::open(&state, clock).unwrap();
    let change = Change {
        id: ChangeId {
            shard: 0,
            number: 1,
        },
        durable: true,
        record: accepted(ImState::Waiting, clock.now().wall).into(),
    };
    store.commit(vec![change]).await.unwrap();
    store.close().await.unwrap();

    let daemon = lab.start().await.unwrap();
    let mut peer = lab.accept().await;
    let request = peer.message().await.unwrap();
    assert!(
        request.starts_with("MESSAGE sip:bob@sip.example SIP/2.0"),
        "{request}"
    );
    assert!(request.ends_with("before the crash"), "{request}");
    peer.answer(&request, "200 OK").await;

    let clean = daemon.drain(Duration::from_secs(5)).await;
    assert!(clean.await.unwrap());
    assert!(daemon.ended().await);
    let (store, _) = store::open(&state, clock).unwrap();
    let found = store.find(Query::Id("m1".to_owned())).await.unwrap();
    let states: Vec<_> = found.into_iter().map(|record| record.state).collect();
    assert_eq!(states, [ImState::Settled(Fate::Delivered)]);
}

/// Two daemons on one journal would undo each other's work.
#[tokio::test]
async fn a_second_daemon_does_not_start() {
    let lab = Lab::new().await;
    let _daemon = lab.start().await.unwrap();

    let refusal = lab.start().await.err().unwrap();

    assert!(
        matches!(refusal, StartFault::Store(StoreError::InUse(_))),
        "{refusal}"
    );
}

/// A port that is taken is named.
#[tokio::test]
async fn a_taken_port_is_named() {
    let lab = Lab::new().await;
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    let file = lab.folder.path().join("isthmus.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let text = text.replace(
        "listen_direct = []",
        &format!("listen_direct = [\"{address}\"]"),
    );
    std::fs::write(&file, text).unwrap();

    let refusal = lab.start().await.err().unwrap();

    let words = format!("nothing can listen on {address}");
    assert!(refusal.to_string().starts_with(&words), "{refusal}");
}

/// A peer that is proven by its certificate is heard, and told what the gateway takes.
#[tokio::test]
async fn options_are_answered() {
    let lab = Lab::new().await;
    let daemon = lab.start().await.unwrap();
    assert_ne!(daemon.address(Door::XmppStartTls).port(), 0);
    let mut peer = lab.connect(&daemon).await;

    peer.send(&common::request("OPTIONS", "1")).await;

    let response = peer.message().await.unwrap();
    assert!(response.starts_with("SIP/2.0 200"), "{response}");
    assert!(
        response.contains(
            "Allow: ACK, BYE, CANCEL, INFO, INVITE, MESSAGE, NOTIFY, OPTIONS, SUBSCRIBE, UPDATE"
        ),
        "{response}"
    );
}
