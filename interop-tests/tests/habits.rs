//! Habits of XMPP servers that only sockets show.

use std::time::Duration;

use anyhow::{Result, ensure};
use interop_tests::bridge::{
    SIP_DOMAIN, ScriptedBridge, expect_status, sip_entry, sip_peer, takes_again, xmpp_entry,
    xmpp_identity,
};
use interop_tests::gateway::{Gateway, Settings};
use interop_tests::inbox::until;
use interop_tests::lab::{Host, S2S, S2S_DIRECT, run};
use interop_tests::s2s::{Stage, header};
use interop_tests::tls::{TlsSettings, Trust, Versions};
use interop_tests::xml::START_TLS;
use interop_tests::xmpp_peer::{self, XmppPeer};
use interop_tests::xmpp_server::Reach;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(120);
const LOG_LIMIT: Duration = Duration::from_secs(15);
const JULIET: &str = "juliet@peer.example";

/// A peer that does not trust our CA says so in the handshake of TLS 1.2, and behind that of TLS
/// 1.3, when our header is on its way: the log has the same words for both.
#[tokio::test]
async fn a_peer_that_does_not_trust_our_authority() -> Result<()> {
    for versions in [Versions::Only12, Versions::Only13] {
        run("untrusted", LIMIT, async |lab| {
            let mut tls = TlsSettings::new(&xmpp_identity(lab)?);
            tls.versions = versions;
            tls.trust = Trust::in_authority(lab.stranger());
            let server = lab.at(Host::Gateway, S2S);
            let _peer = XmppPeer::start(lab, tls, Reach::Both, server).await?;
            let agent = sip_peer(lab, xmpp_peer::DOMAIN).await?;
            let settings = Settings::new([xmpp_entry(lab), sip_entry(lab)]);
            let mut gateway = Gateway::start(lab, &settings).await?;
            let status = agent.say("romeo", JULIET, "hello").await?;
            expect_status(&format!("{versions:?}"), status, 504)?;
            let words = "does not trust the CA of our certificate";
            gateway.process().logs(LOG_LIMIT, words).await
        })
        .await?;
    }
    Ok(())
}

/// Messages to all domains of a peer travel on one stream.
#[tokio::test]
async fn one_stream_for_a_peer_with_sub_domains() -> Result<()> {
    run("sub-domains", LIMIT, async |lab| {
        let bridge = ScriptedBridge::start(lab, |peer| {
            peer.set("subdomains", vec!["conference.peer.example"])
        })
        .await?;
        for to in [JULIET, "room@conference.peer.example", JULIET] {
            expect_status(to, bridge.agent.say("romeo", to, to).await?, 200)?;
            bridge.peer.expect_text(to).await?;
        }
        let streams = bridge.peer.streams_accepted();
        ensure!(streams == 1, "{streams} streams");
        Ok(())
    })
    .await
}

/// Connections without a byte, with which Openfire tries an address, are no trouble to anybody.
#[tokio::test]
async fn connections_without_a_byte() -> Result<()> {
    run("probes", LIMIT, async |lab| {
        let mut bridge = ScriptedBridge::start(lab, |peer| peer).await?;
        for port in [S2S, S2S_DIRECT].repeat(20) {
            let mut probe = TcpStream::connect(lab.at(Host::Gateway, port)).await?;
            probe.shutdown().await?;
            // The gateway has seen the end when it closes, too.
            timeout(LOG_LIMIT, probe.read_to_end(&mut Vec::new())).await??;
        }
        let romeo = format!("romeo@{SIP_DOMAIN}");
        bridge
            .peer
            .say("juliet", &romeo, "m1", "after them")
            .await?;
        bridge.agent.expect_text("after them").await?;
        let log = bridge.gateway.process().log();
        let complaints: Vec<_> = log
            .lines()
            .filter(|line| line.contains("refused"))
            .collect();
        ensure!(complaints.is_empty(), "{complaints:?}");
        bridge.gateway.is_sound()
    })
    .await
}

/// Header and features leave in one piece: a peer that delays its acknowledgements would slow down
/// every step otherwise.
#[tokio::test]
async fn header_and_features_come_in_one_piece() -> Result<()> {
    run("one-piece", LIMIT, async |lab| {
        let bridge = ScriptedBridge::start(lab, |peer| peer).await?;
        let dial = bridge.peer.dial(SIP_DOMAIN);
        let mut stream = dial.reach(Stage::Greeted).await?;
        stream
            .write(&format!("<starttls xmlns='{START_TLS}'/>"))
            .await?;
        stream.expect_stanza().await?;
        let mut wire = dial.secure(stream).await?.into_inner();
        wire.write_all(header(xmpp_peer::DOMAIN, SIP_DOMAIN).as_bytes())
            .await?;
        wire.flush().await?;
        let mut buffer = vec![0; 16 * 1_024];
        let length = timeout(LOG_LIMIT, wire.read(&mut buffer)).await??;
        let piece = String::from_utf8_lossy(&buffer[..length]);
        ensure!(
            piece.contains("<stream:stream ") && piece.contains("</stream:features>"),
            "{piece}"
        );
        Ok(())
    })
    .await
}

/// The TLS version that is set for a peer counts when it dials us, too, although its name is not
/// proven yet.
#[tokio::test]
async fn the_tls_version_of_a_peer_counts_when_it_dials() -> Result<()> {
    run("tls-version", LIMIT, async |lab| {
        let bridge =
            ScriptedBridge::start(lab, |peer| peer.set("tls", Versions::Only12.setting())).await?;
        for (versions, accepted) in [(Versions::Only12, true), (Versions::Only13, false)] {
            let mut tls = TlsSettings::new(&xmpp_identity(lab)?);
            tls.versions = versions;
            let mut dial = bridge.peer.dial(SIP_DOMAIN);
            dial.tls = &tls;
            let opened = dial.reach(Stage::Open).await;
            ensure!(
                opened.is_ok() == accepted,
                "{versions:?}: {:?}",
                opened.err()
            );
        }
        Ok(())
    })
    .await
}

/// COMPAT(openfire): before 4.8 it bears no TLS 1.3. The gateway finds that out by itself, once, and
/// keeps to TLS 1.2 with that peer, either way of connecting.
#[tokio::test]
async fn a_peer_that_is_silent_after_tls_13() -> Result<()> {
    for connect in ["direct", "starttls"] {
        run("silent", LIMIT, async |lab| {
            let mut bridge =
                ScriptedBridge::start(lab, |peer| peer.set("connect", connect)).await?;
            bridge
                .peer
                .change(|script| script.silent_after_tls13 = true);
            let status = bridge.agent.say("romeo", JULIET, "first").await?;
            expect_status(connect, status, 200)?;
            bridge.peer.hang_up().await;
            takes_again(&bridge.agent, JULIET).await?;
            let silences = bridge
                .peer
                .troubles()
                .count(|trouble| trouble == "silent after TLS 1.3");
            ensure!(silences == 1, "{connect}: tried TLS 1.3 {silences} times");
            // The line of the second link may come after the message that it carried.
            let process = bridge.gateway.process();
            let ups = || links_over_12(&process.log());
            let both = || std::future::ready(ups() >= 2);
            until(LOG_LIMIT, "the second link over TLS 1.2", both).await?;
            ensure!(ups() == 2, "{connect}: {} links over TLS 1.2", ups());
            Ok(())
        })
        .await?;
    }
    Ok(())
}

fn links_over_12(log: &str) -> usize {
    let words = ["link_up", "way=\"out\"", "side=xmpp", "tls=\"1.2\""];
    let is_one = |line: &&str| words.iter().all(|word| line.contains(word));
    log.lines().filter(is_one).count()
}

/// A peer whose TLS versions are set is not fallen back with: the operator decided.
#[tokio::test]
async fn a_peer_that_is_silent_after_the_tls_13_it_is_set_to() -> Result<()> {
    run("silent-13", LIMIT, async |lab| {
        let bridge =
            ScriptedBridge::start(lab, |peer| peer.set("tls", Versions::Only13.setting())).await?;
        bridge
            .peer
            .change(|script| script.silent_after_tls13 = true);
        let status = bridge.agent.say("romeo", JULIET, "first").await?;
        expect_status("silent", status, 504)?;
        ensure!(bridge.peer.streams_accepted() == 0);
        Ok(())
    })
    .await
}
