//! A peer that sends and does not read hinders nobody else.
#![allow(clippy::unwrap_used)]

#[allow(dead_code, reason = "each file uses its part")]
mod common;

use std::time::{Duration, Instant};

use common::{Lab, request};
use tokio::time::timeout;

/// The gateway stops reading from a peer that takes no answers, and others do not notice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_does_not_read_is_not_read() {
    let lab = Lab::new().await;
    let daemon = lab.start().await.unwrap();
    let mut deaf = lab.connect(&daemon).await;
    let burst: String = (0..200)
        .map(|number| request("OPTIONS", &number.to_string()))
        .collect();

    let mut sent = 0;
    let stopped = loop {
        if timeout(Duration::from_secs(2), deaf.send(&burst))
            .await
            .is_err()
        {
            break true;
        }
        sent += burst.len();
        if sent > MUCH {
            break false;
        }
    };

    assert!(
        stopped,
        "{sent} octets of a peer that reads nothing were taken"
    );
    let mut good = lab.connect(&daemon).await;
    for number in 0..50 {
        let asked = Instant::now();
        good.send(&request("OPTIONS", &number.to_string())).await;
        let response = good.message().await.unwrap();
        assert!(response.starts_with("SIP/2.0 200"), "{response}");
        assert!(
            asked.elapsed() < Duration::from_secs(1),
            "{:?}",
            asked.elapsed()
        );
    }
}

/// More than the buffers of both ends can hold.
const MUCH: usize = 256 << 20;
