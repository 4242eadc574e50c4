//! Openfire and the gateway, from socket to socket.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use anyhow::Result;
use interop_tests::bridge::{Bridge, expect_status};
use interop_tests::inbox::until;
use interop_tests::lab;
use interop_tests::openfire;
use interop_tests::tls::Versions;
use interop_tests::xmpp_server::{Kind, Reach};

interop_tests::server_suite!(Kind::Openfire);

/// A changed store of certificates makes Openfire take TLS off every stream of ours: what it
/// swallowed then is sent again, and nothing is lost.
#[tokio::test]
async fn a_changed_store_loses_nothing() -> Result<()> {
    if !openfire::is_available() {
        eprintln!("{}", openfire::SKIPPED);
        return Ok(());
    }
    lab::run("store", Duration::from_secs(180), async |lab| {
        let mut bridge = Bridge::start(lab, Kind::Openfire, Versions::Any, Reach::StartTls).await?;
        let alice = bridge.server.user("alice").await?;
        let say = async |text: &str| {
            let status = bridge.agent.say("romeo", alice.jid(), text).await?;
            expect_status(text, status, 200)?;
            alice.expect_text(text).await
        };
        say("before").await?;
        let store = lab.path("openfire/resources/security/truststore");
        let bytes = std::fs::read(&store)?;
        std::fs::write(&store, bytes)?;
        let log = lab.path("openfire/logs/openfire.log");
        until(
            Duration::from_secs(30),
            "Openfire uses the store",
            || async {
                std::fs::read_to_string(&log)
                    .is_ok_and(|log| log.contains("[socket_s2s] - Reconfigured"))
            },
        )
        .await?;
        for index in 0..5 {
            say(&format!("after {index}")).await?;
        }
        let words = "as Openfire does when its certificates change";
        let log = bridge.gateway.process();
        log.logs(Duration::from_secs(5), words).await?;
        bridge.gateway.is_sound()
    })
    .await
}
