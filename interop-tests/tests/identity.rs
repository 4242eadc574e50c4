//! Who may speak for a domain: certificates of peers, good and bad, and senders that lie.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use anyhow::{Result, ensure};
use interop_tests::authority::{Identity, Wish};
use interop_tests::bridge::{
    SIP_DOMAIN, ScriptedBridge, expect_status, sip_entry, sip_peer, sip_peer_with, xmpp_entry,
    xmpp_identity,
};
use interop_tests::gateway::{Gateway, Peer, Settings};
use interop_tests::inbox::until;
use interop_tests::lab::{Host, Lab, S2S, run};
use interop_tests::s2s::{Stage, Stream};
use interop_tests::tls::TlsSettings;
use interop_tests::xml::{Item, Look};
use interop_tests::xmpp_peer::{self, Sasl, XmppPeer};
use interop_tests::xmpp_server::Reach;

const LIMIT: Duration = Duration::from_secs(120);
const LOG_LIMIT: Duration = Duration::from_secs(15);

/// `Wish::xmpp` or `Wish::sip`.
type WishOf = fn(&str, &[&str]) -> Wish;

/// One way in which a peer's certificate may be wrong.
#[derive(Clone, Copy, Debug)]
enum Bad {
    WrongAuthority,
    WrongName,
    Expired,
}

impl Bad {
    const ALL: [Self; 3] = [Self::WrongAuthority, Self::WrongName, Self::Expired];

    fn identity(self, lab: &Lab, wish: WishOf, domain: &str) -> Result<Identity> {
        match self {
            Self::WrongAuthority => lab.stranger().issue(&wish("bad", &[domain])),
            Self::WrongName => lab.issue(&wish("bad", &["other.example"])),
            Self::Expired => lab.issue(&wish("bad", &[domain]).expired()),
        }
    }

    /// What the log must say.
    fn reason(self) -> &'static str {
        match self {
            Self::WrongAuthority => "not trusted for this peer",
            Self::WrongName => "is not valid for",
            Self::Expired => "expired on",
        }
    }
}

/// An XMPP peer with a bad certificate gets no EXTERNAL, and the log says why.
#[tokio::test]
async fn bad_certificates_of_a_dialling_xmpp_peer() -> Result<()> {
    for bad in Bad::ALL {
        run("xmpp-in", LIMIT, async |lab| {
            let identity = bad.identity(lab, Wish::xmpp, xmpp_peer::DOMAIN)?;
            let mut bridge = ScriptedBridge::start_as(lab, &identity, |peer| peer).await?;
            refused(&mut bridge, bad).await
        })
        .await?;
    }
    Ok(())
}

/// So does one without any certificate.
#[tokio::test]
async fn no_certificate_of_a_dialling_xmpp_peer() -> Result<()> {
    run("xmpp-in-none", LIMIT, async |lab| {
        let bridge = ScriptedBridge::start(lab, |peer| peer).await?;
        let mut tls = TlsSettings::new(&xmpp_identity(lab)?);
        tls.presents = false;
        let mut dial = bridge.peer.dial(SIP_DOMAIN);
        dial.tls = &tls;
        let error = dial.reach(Stage::Open).await.unwrap_err();
        ensure!(
            format!("{error:#}").contains("EXTERNAL is not offered"),
            "{error:#}"
        );
        let mut gateway = bridge.gateway;
        gateway
            .process()
            .logs(LOG_LIMIT, "presented no certificate")
            .await
    })
    .await
}

async fn refused(bridge: &mut ScriptedBridge, bad: Bad) -> Result<()> {
    let opened = bridge.peer.dial(SIP_DOMAIN).reach(Stage::Open).await;
    let error = opened
        .err()
        .map(|error| format!("{error:#}"))
        .unwrap_or_default();
    ensure!(
        error.contains("EXTERNAL is not offered"),
        "{bad:?}: \"{error}\""
    );
    bridge.gateway.process().logs(LOG_LIMIT, bad.reason()).await
}

/// The gateway sends nothing to an XMPP server whose certificate is bad.
#[tokio::test]
async fn bad_certificates_of_a_dialled_xmpp_peer() -> Result<()> {
    for bad in Bad::ALL {
        run("xmpp-out", LIMIT, async |lab| {
            let identity = bad.identity(lab, Wish::xmpp, xmpp_peer::DOMAIN)?;
            let mut bridge = ScriptedBridge::start_as(lab, &identity, |peer| peer).await?;
            let status = bridge
                .agent
                .say("romeo", "juliet@peer.example", "secret")
                .await?;
            expect_status(&format!("{bad:?}"), status, 504)?;
            bridge
                .gateway
                .process()
                .logs(LOG_LIMIT, bad.reason())
                .await?;
            ensure!(
                bridge.peer.received().all().is_empty(),
                "{bad:?}: something was sent"
            );
            Ok(())
        })
        .await?;
    }
    Ok(())
}

/// A SIP peer with a bad certificate, or none, cannot send, and the log says why.
#[tokio::test]
async fn bad_certificates_of_a_dialling_sip_peer() -> Result<()> {
    for bad in Bad::ALL {
        sip_refused(Some(bad)).await?;
    }
    sip_refused(None).await
}

async fn sip_refused(bad: Option<Bad>) -> Result<()> {
    run("sip-in", LIMIT, async |lab| {
        let tls = match bad {
            Some(bad) => TlsSettings::new(&bad.identity(lab, Wish::sip, SIP_DOMAIN)?),
            None => TlsSettings {
                presents: false,
                ..TlsSettings::new(&lab.issue(&Wish::sip("agent", &[SIP_DOMAIN]))?)
            },
        };
        let agent = sip_peer_with(lab, xmpp_peer::DOMAIN, tls).await?;
        let settings = Settings::new([xmpp_entry(lab), sip_entry(lab)]);
        let mut gateway = Gateway::start(lab, &settings).await?;
        let sent = agent.say("romeo", "juliet@peer.example", "let me in").await;
        ensure!(sent.is_err(), "{bad:?}: answered {sent:?}");
        gateway
            .process()
            .logs(LOG_LIMIT, bad.map_or("no certificate", Bad::reason))
            .await
    })
    .await
}

/// Who fails again and again fills no log: some lines, and every attempt is counted.
#[tokio::test]
async fn a_sip_peer_that_is_refused_all_day() -> Result<()> {
    const ATTEMPTS: usize = 25;
    run("sip-knocks", LIMIT, async |lab| {
        let identity = lab.issue(&Wish::sip("agent", &[SIP_DOMAIN]))?;
        let tls = TlsSettings {
            presents: false,
            ..TlsSettings::new(&identity)
        };
        let agent = sip_peer_with(lab, xmpp_peer::DOMAIN, tls).await?;
        let settings = Settings::new([xmpp_entry(lab), sip_entry(lab)]);
        let mut gateway = Gateway::start(lab, &settings).await?;
        for attempt in 0..ATTEMPTS {
            let sent = agent.say("romeo", "juliet@peer.example", "hello").await;
            ensure!(sent.is_err(), "{attempt}: {sent:?}");
        }
        until(LOG_LIMIT, "every attempt is counted", || async {
            refusals(&gateway).await == ATTEMPTS
        })
        .await?;
        let process = gateway.process();
        let lines = || {
            let log = process.log();
            let refused = log.lines().filter(|line| line.contains("link_refused"));
            refused.count()
        };
        let are_there = || std::future::ready(lines() >= 5);
        until(LOG_LIMIT, "five lines", are_there).await?;
        let lines = lines();
        ensure!(lines == 5, "{lines} lines for {ATTEMPTS} attempts");
        Ok(())
    })
    .await
}

async fn refusals(gateway: &Gateway) -> usize {
    let metrics = gateway.metrics().await.unwrap();
    let lines = metrics.lines();
    let counts = lines.filter(|line| line.starts_with("isthmus_links_refused_total{"));
    let counts = counts.map(|line| line.rsplit(' ').next().unwrap().parse::<usize>().unwrap());
    counts.sum()
}

/// The gateway sends nothing to a SIP server whose certificate is bad.
#[tokio::test]
async fn bad_certificates_of_a_dialled_sip_peer() -> Result<()> {
    for bad in Bad::ALL {
        run("sip-out", LIMIT, async |lab| {
            let tls = TlsSettings::new(&bad.identity(lab, Wish::sip, SIP_DOMAIN)?);
            let agent = sip_peer_with(lab, xmpp_peer::DOMAIN, tls).await?;
            let tls = TlsSettings::new(&xmpp_identity(lab)?);
            let server = lab.at(Host::Gateway, S2S);
            let peer = XmppPeer::start(lab, tls, Reach::Both, server).await?;
            let settings = Settings::new([xmpp_entry(lab), sip_entry(lab)]);
            let mut gateway = Gateway::start(lab, &settings).await?;
            peer.say("juliet", "romeo@sip.example", "m1", "secret")
                .await?;
            gateway.process().logs(LOG_LIMIT, bad.reason()).await?;
            let limit = Duration::from_secs(75);
            peer.expect_error_within(limit, "m1").await?;
            ensure!(
                agent.requests().all().is_empty(),
                "{bad:?}: something was sent"
            );
            Ok(())
        })
        .await?;
    }
    Ok(())
}

/// Certificates that are unusual, and whether the peer's settings let them pass.
#[tokio::test]
async fn settings_of_a_peer_decide() -> Result<()> {
    type Case = (&'static str, fn() -> Wish, fn(Peer) -> Peer, bool);
    let server_only = || Wish::xmpp("peer", &[xmpp_peer::DOMAIN]).server_only();
    let cluster = || Wish::xmpp("peer", &["cluster.example"]);
    let good = || Wish::xmpp("peer", &[xmpp_peer::DOMAIN]);
    let cases: [Case; 5] = [
        (
            "serverAuth only, tolerated",
            server_only,
            |peer| peer.set("eku", "server-ok"),
            true,
        ),
        (
            "serverAuth only, strict",
            server_only,
            |peer| peer.set("eku", "strict"),
            false,
        ),
        ("other name", cluster, |peer| peer, false),
        (
            "other name, expected",
            cluster,
            |peer| peer.set("expected_identity", vec!["cluster.example"]),
            true,
        ),
        (
            "another pin",
            good,
            |peer| {
                peer.set(
                    "pins",
                    vec!["sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="],
                )
            },
            false,
        ),
    ];
    for (name, wish, change, accepted) in cases {
        run("settings", LIMIT, async |lab| {
            let bridge = ScriptedBridge::start_as(lab, &lab.issue(&wish())?, change).await?;
            let opened = bridge.peer.dial(SIP_DOMAIN).reach(Stage::Open).await;
            ensure!(opened.is_ok() == accepted, "{name}: {:?}", opened.err());
            Ok(())
        })
        .await?;
    }
    Ok(())
}

/// A peer that refuses our certificate: the sender learns of it, the operator why.
#[tokio::test]
async fn refused_by_the_xmpp_peer() -> Result<()> {
    for sasl in [Sasl::NotOffered, Sasl::Refuse("not-authorized")] {
        run("external-refused", LIMIT, async |lab| {
            let mut bridge = ScriptedBridge::start(lab, |peer| peer).await?;
            bridge.peer.change(|script| script.sasl = sasl);
            let status = bridge
                .agent
                .say("romeo", "juliet@peer.example", "hello")
                .await?;
            expect_status("a message to a peer that refuses us", status, 504)?;
            bridge
                .gateway
                .process()
                .logs(LOG_LIMIT, "did not accept our certificate")
                .await
        })
        .await?;
    }
    Ok(())
}

/// A stanza from a domain that the stream is not for ends the stream and goes nowhere.
#[tokio::test]
async fn spoofed_stanzas() -> Result<()> {
    run("spoofed-xmpp", LIMIT, async |lab| {
        let bridge = ScriptedBridge::start(lab, |peer| peer).await?;
        let liars = [
            "juliet@other.example",
            "romeo@sip.example",
            "juliet@sub.peer.example",
            "juliet@peer.example.evil.example",
            "peer.example@other.example",
        ];
        for from in liars {
            let mut stream = bridge.peer.dial(SIP_DOMAIN).reach(Stage::Open).await?;
            stream
                .write(&format!(
                    "<message from='{from}' to='romeo@sip.example' id='x'><body>lie</body></message>"
                ))
                .await?;
            let condition = stream_error(&mut stream).await?;
            ensure!(condition == "invalid-from", "{from}: {condition}");
        }
        bridge.peer.say("juliet", "romeo@sip.example", "m1", "truth").await?;
        bridge.agent.expect_text("truth").await?;
        ensure!(bridge.agent.requests().count(|request| request.text() == "lie") == 0);
        Ok(())
    })
    .await
}

/// The condition of the stream error that must come next.
async fn stream_error(stream: &mut Stream) -> Result<String> {
    loop {
        if let Item::Stanza(element) = stream.expect().await?
            && element.name() == "error"
        {
            let condition = element
                .children()
                .next()
                .map(|child| child.name().to_owned());
            return Ok(condition.unwrap_or_default());
        }
    }
}

/// A stream header of a domain that is no peer of ours, or of our own, opens nothing.
#[tokio::test]
async fn spoofed_streams() -> Result<()> {
    run("spoofed-streams", LIMIT, async |lab| {
        let bridge = ScriptedBridge::start(lab, |peer| peer).await?;
        for from in ["other.example", "sip.example"] {
            let mut dial = bridge.peer.dial(SIP_DOMAIN);
            dial.from = from;
            let opened = dial.reach(Stage::Open).await;
            ensure!(opened.is_err(), "a stream from {from} was opened");
        }
        // The authorization identity may not be another's either.
        let mut dial = bridge.peer.dial(SIP_DOMAIN);
        dial.authzid = Some("b3RoZXIuZXhhbXBsZQ==");
        let error = dial.reach(Stage::Open).await.unwrap_err();
        ensure!(
            format!("{error:#}").contains("invalid-authzid"),
            "{error:#}"
        );
        Ok(())
    })
    .await
}

/// A request whose sender is not the peer's is answered 403 and goes nowhere.
#[tokio::test]
async fn spoofed_requests() -> Result<()> {
    run("spoofed-sip", LIMIT, async |lab| {
        let bridge = ScriptedBridge::start(lab, |peer| peer).await?;
        let agent = &bridge.agent;
        for from in ["other.example", "peer.example", "sub.sip.example"] {
            let mut request = agent.message("romeo", "juliet@peer.example", "lie");
            request.set("From", format!("<sip:romeo@{from}>;tag=1"));
            let response = agent.send(&request).await?;
            ensure!(
                response.status() == Some(403),
                "From {from}: {}",
                response.start
            );
        }
        let mut request = agent.message("romeo", "juliet@peer.example", "lie");
        request.add("P-Asserted-Identity", "<sip:mallory@other.example>");
        let response = agent.send(&request).await?;
        ensure!(
            response.status() == Some(403),
            "P-Asserted-Identity: {}",
            response.start
        );
        expect_status(
            "the truth",
            agent.say("romeo", "juliet@peer.example", "truth").await?,
            200,
        )?;
        ensure!(
            bridge
                .peer
                .received()
                .count(|s| s.body().as_deref() == Some("lie"))
                == 0
        );
        Ok(())
    })
    .await
}

/// With `trust_asserted` the asserted identity is the sender, if it is of the peer's domain.
#[tokio::test]
async fn asserted_identities() -> Result<()> {
    run("asserted", LIMIT, async |lab| {
        let tls = TlsSettings::new(&xmpp_identity(lab)?);
        let server = lab.at(Host::Gateway, S2S);
        let peer = XmppPeer::start(lab, tls, Reach::Both, server).await?;
        let agent = sip_peer(lab, xmpp_peer::DOMAIN).await?;
        let sip = sip_entry(lab).set("trust_asserted", true);
        let _gateway = Gateway::start(lab, &Settings::new([xmpp_entry(lab), sip])).await?;
        for (asserted, wanted) in [("tybalt@sip.example", 200), ("tybalt@other.example", 403)] {
            let mut request = agent.message("anonymous", "juliet@peer.example", asserted);
            request.add("P-Asserted-Identity", format!("<sip:{asserted}>"));
            let response = agent.send(&request).await?;
            ensure!(
                response.status() == Some(wanted),
                "{asserted}: {}",
                response.start
            );
        }
        let stanza = peer.expect_text("tybalt@sip.example").await?;
        ensure!(
            stanza.at("from").starts_with("tybalt@sip.example"),
            "{stanza:?}"
        );
        Ok(())
    })
    .await
}
