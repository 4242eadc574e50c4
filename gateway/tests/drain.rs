//! The orderly end.
#![allow(clippy::unwrap_used)]

#[allow(dead_code, reason = "each file uses its part")]
mod common;

use std::time::Duration;

use common::{Daemon, Lab, accepted, request};
use gateway::clock::Clock;
use gateway::link::Door;
use gateway::store;
use tokio::net::TcpStream;
use translators::shard::{Change, ChangeId, ImState};

/// Starts a daemon that has a message for the SIP peer on its way.
async fn with_a_message_under_way() -> (Lab, Daemon, common::Connection, String) {
    let lab = Lab::new().await;
    let state = lab.folder.path().join("state");
    std::fs::create_dir(&state).unwrap();
    let clock = Clock::start();
    let (store, _) = store::open(&state, clock).unwrap();
    let record = accepted(ImState::Waiting, clock.now().wall);
    let id = ChangeId {
        shard: 0,
        number: 1,
    };
    let durable = true;
    store
        .commit(vec![Change {
            id,
            durable,
            record: record.into(),
        }])
        .await
        .unwrap();
    store.close().await.unwrap();
    let daemon = lab.start().await.unwrap();
    let mut peer = lab.accept().await;
    let request = peer.message().await.unwrap();
    (lab, daemon, peer, request)
}

/// What is under way is finished, then the links end in order; nobody new is let in meanwhile.
#[tokio::test]
async fn what_is_under_way_is_finished() {
    let (lab, daemon, mut peer, message) = with_a_message_under_way().await;
    let mut other = lab.connect(&daemon).await;

    let mut clean = daemon.drain(Duration::from_secs(8)).await;
    let sip = daemon.address(Door::Sip);
    common::until(async || TcpStream::connect(sip).await.is_err()).await;
    other.send(&request("MESSAGE", "1")).await;
    let refusal = other.message().await.unwrap();
    assert!(refusal.starts_with("SIP/2.0 503"), "{refusal}");
    assert!(refusal.contains("Retry-After:"), "{refusal}");
    assert!(clean.try_recv().is_err(), "a response is awaited");

    peer.answer(&message, "200 OK").await;

    assert!(common::in_time(clean).await.unwrap());
    assert_eq!(peer.message().await, None, "closed in order");
    assert_eq!(other.message().await, None, "closed in order");
    assert!(daemon.ended().await);
}

/// A peer that never answers holds the end up for the grace time and no longer.
#[tokio::test]
async fn the_grace_time_is_the_limit() {
    let (_lab, daemon, mut peer, _message) = with_a_message_under_way().await;

    let clean = daemon.drain(Duration::from_millis(300)).await;

    assert!(!common::in_time(clean).await.unwrap());
    assert_eq!(peer.message().await, None, "closed in order");
    assert!(!daemon.ended().await);
}

/// Nothing holds up the end of a daemon that has nothing to do.
#[tokio::test]
async fn an_idle_daemon_ends_clean() {
    let lab = Lab::new().await;
    let daemon = lab.start().await.unwrap();

    let clean = daemon.drain(Duration::from_secs(5)).await;

    assert!(common::in_time(clean).await.unwrap());
}
