//! SIP peers behind the TLS of old Windows servers: who gets the engine for them, and who does not.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use interop_tests::authority::{Identity, Key, Wish};
use interop_tests::bridge::{
    SIP_DOMAIN, expect_status, sip_entry, sip_peer_with, xmpp_entry, xmpp_identity,
};
use interop_tests::dns::Srv;
use interop_tests::gateway::{Gateway, Peer, Settings};
use interop_tests::inbox::until;
use interop_tests::lab::{Host, Lab, S2S, SIPS, run};
use interop_tests::sip_agent::{Place, SipAgent, Transport};
use interop_tests::tls::{TlsSettings, Trust};
use interop_tests::windows::{Release, Windows};
use interop_tests::xmpp_peer::{self, XmppPeer};
use interop_tests::xmpp_server::Reach;
use toml::Table;

const LIMIT: Duration = Duration::from_secs(150);
const LOG_LIMIT: Duration = Duration::from_secs(15);
/// The domain of a second SIP peer.
const OTHER: &str = "other.example";

/// What a peer's entry says about TLS.
#[derive(Clone, Copy, Debug)]
enum Terms {
    Rustls,
    Compat,
    Legacy,
}

impl Terms {
    fn of(self, peer: Peer) -> Peer {
        let compat = || Table::from_iter([("engine".to_owned(), "compat".into())]);
        match self {
            Self::Rustls => peer,
            Self::Compat => peer.set("tls", compat()),
            Self::Legacy => peer.set("tls", compat()).set("legacy_tls", true),
        }
    }
}

/// An edge on Windows, the gateway, and the scripted XMPP peer.
struct Scene {
    edge: SipAgent,
    gateway: Gateway,
    xmpp: XmppPeer,
}

impl Scene {
    async fn start(lab: &Lab, edge: Windows, settings: &Settings) -> Result<Self> {
        let xmpp = xmpp(lab).await?;
        Ok(Self {
            edge: agent(lab, Host::SipAgent, SIP_DOMAIN, edge).await?,
            gateway: Gateway::start(lab, settings).await?,
            xmpp,
        })
    }

    /// A message each way arrives, on connections that each side opened.
    async fn both_ways(&self, what: &str) -> Result<()> {
        says(&self.edge, &self.xmpp, what).await?;
        hears(&self.edge, &self.xmpp, SIP_DOMAIN, what).await
    }

    /// The edge can send nothing, and the log says why.
    async fn refuses(&mut self, what: &str, reason: &str) -> Result<()> {
        let known = self.xmpp.received().len();
        let sent = self.edge.say("romeo", "juliet@peer.example", what).await;
        ensure!(sent.is_err(), "{what}: answered {sent:?}");
        self.gateway.process().logs(LOG_LIMIT, reason).await?;
        let heard = self.xmpp.received().since(known);
        let heard = heard.iter().filter(|stanza| stanza.name() == "message");
        ensure!(heard.count() == 0, "{what} came through");
        Ok(())
    }

    /// Nothing can be sent to the edge, and the log says why.
    async fn is_refused(&mut self, reason: &str) -> Result<()> {
        let to = format!("romeo@{SIP_DOMAIN}");
        self.xmpp.say("juliet", &to, "m1", "hello").await?;
        self.xmpp.expect_error("m1").await?;
        self.gateway.process().logs(LOG_LIMIT, reason).await?;
        let heard = self.edge.requests().all();
        ensure!(heard.is_empty(), "{reason}: {heard:?}");
        Ok(())
    }
}

async fn xmpp(lab: &Lab) -> Result<XmppPeer> {
    let tls = TlsSettings::new(&xmpp_identity(lab)?);
    XmppPeer::start(lab, tls, Reach::Both, lab.at(Host::Gateway, S2S)).await
}

async fn agent(lab: &Lab, host: Host, domain: &str, windows: Windows) -> Result<SipAgent> {
    SipAgent::start(Place {
        domain: domain.to_owned(),
        local: lab.at(host, SIPS),
        route: lab.at(Host::Gateway, SIPS),
        route_name: xmpp_peer::DOMAIN.to_owned(),
        transport: Transport::Windows(Box::new(windows)),
    })
    .await
}

async fn says(edge: &SipAgent, xmpp: &XmppPeer, what: &str) -> Result<()> {
    let text = format!("{what}, to XMPP");
    let sent = edge.say("romeo", "juliet@peer.example", &text).await;
    expect_status(&text, sent.with_context(|| text.clone())?, 200)?;
    xmpp.expect_text(&text).await?;
    Ok(())
}

async fn hears(edge: &SipAgent, xmpp: &XmppPeer, domain: &str, what: &str) -> Result<()> {
    let text = format!("{what}, to SIP");
    xmpp.say("juliet", &format!("romeo@{domain}"), "m", &text)
        .await?;
    edge.expect_text(&text).await?;
    Ok(())
}

fn identity(lab: &Lab, key: Key) -> Result<Identity> {
    lab.issue(&Wish::sip("edge", &[SIP_DOMAIN]).with_key(key))
}

fn windows(lab: &Lab, release: Release, key: Key) -> Result<Windows> {
    Ok(Windows::new(release, &identity(lab, key)?, lab.authority()))
}

fn settings(lab: &Lab, terms: Terms) -> Settings {
    Settings::new([xmpp_entry(lab), terms.of(sip_entry(lab))])
}

/// The suites of the first `count` SIP links, as soon as the log has them: its lines come a moment late.
async fn suites(gateway: &mut Gateway, count: usize) -> Result<Vec<String>> {
    let process = gateway.process();
    let read = || {
        let log = process.log();
        let up = log
            .lines()
            .filter(|line| line.contains("link_up") && line.contains("side=sip"));
        let suite = |line: &str| {
            let (_, rest) = line.split_once("cipher=")?;
            Some(rest.split(' ').next()?.trim_matches('"').to_owned())
        };
        up.filter_map(suite).collect::<Vec<_>>()
    };
    let are_there = || std::future::ready(read().len() >= count);
    until(LOG_LIMIT, &format!("{count} SIP links"), are_there).await?;
    Ok(read())
}

/// The suites of the first link of each direction.
async fn two_suites(gateway: &mut Gateway) -> Result<[String; 2]> {
    let suites = suites(gateway, 2).await?;
    let count = suites.len();
    suites
        .try_into()
        .ok()
        .with_context(|| format!("{count} links"))
}

/// With whatever keys the two sides have, messages flow both ways.
#[tokio::test]
async fn old_releases_with_keys_of_every_kind() -> Result<()> {
    for release in [Release::Server2012R2, Release::Server2016] {
        for theirs in [Key::Rsa, Key::Ecdsa] {
            with_keys(release, theirs, &[Key::Rsa]).await?;
            with_keys(release, theirs, &[Key::Ecdsa]).await?;
            with_keys(release, theirs, &[Key::Rsa, Key::Ecdsa]).await?;
        }
    }
    Ok(())
}

async fn with_keys(release: Release, theirs: Key, ours: &[Key]) -> Result<()> {
    let what = format!("{release:?}, theirs {theirs:?}, ours {ours:?}");
    run("windows-keys", LIMIT, async |lab| {
        let mut settings = settings(lab, Terms::Compat);
        settings.sip_keys = ours.to_vec();
        let edge = windows(lab, release, theirs)?;
        let mut scene = Scene::start(lab, edge, &settings).await?;
        scene.both_ways(&what).await?;
        let [to_us, from_us] = two_suites(&mut scene.gateway).await?;
        eprintln!("{what}: {to_us} when it dials, {from_us} when we dial");
        let compat_in = release == Release::Server2012R2 && ours == [Key::Rsa];
        ensure!(compat_in != to_us.starts_with("TLS_"), "{what}: {to_us}");
        ensure!(!from_us.starts_with("TLS_"), "{what}: {from_us}");
        scene.gateway.is_sound()
    })
    .await
}

/// One listener serves an edge on old Windows and a modern peer at the same time.
#[tokio::test]
async fn beside_a_modern_peer() -> Result<()> {
    run("windows-beside", LIMIT, async |lab| {
        let modern = lab.issue(&Wish::sip("modern", &[OTHER]))?;
        let mut tls = TlsSettings::new(&modern);
        tls.trust = Trust::in_authority(lab.authority());
        let modern = SipAgent::start(Place {
            domain: OTHER.to_owned(),
            local: lab.at(Host::SecondAgent, SIPS),
            route: lab.at(Host::Gateway, SIPS),
            route_name: xmpp_peer::DOMAIN.to_owned(),
            transport: Transport::Tls(Box::new(tls)),
        })
        .await?;
        let mut settings = settings(lab, Terms::Legacy);
        settings.sip_keys = vec![Key::Rsa];
        settings
            .peers
            .push(Peer::sip(lab, "modern", OTHER, Host::SecondAgent));
        let edge = windows(lab, Release::Server2012R2, Key::Rsa)?;
        let mut scene = Scene::start(lab, edge, &settings).await?;
        for round in ["first", "second"] {
            scene.both_ways(&format!("{round} with Windows")).await?;
            says(
                &modern,
                &scene.xmpp,
                &format!("{round} with the modern one"),
            )
            .await?;
            hears(
                &modern,
                &scene.xmpp,
                OTHER,
                &format!("{round} with the modern one"),
            )
            .await?;
        }
        let suites = suites(&mut scene.gateway, 4).await?;
        let modern = suites.iter().filter(|suite| suite.starts_with("TLS13_"));
        ensure!(modern.count() == 2, "{suites:?}");
        scene.gateway.is_sound()
    })
    .await
}

/// `legacy_tls` lets TLS 1.0 in, both ways, and an alarm stands; without it the link ends at the reload.
#[tokio::test]
async fn tls_1_0_by_the_switch() -> Result<()> {
    for keys in [vec![Key::Rsa], vec![Key::Rsa, Key::Ecdsa]] {
        run("windows-legacy", LIMIT, async |lab| {
            let mut settings = settings(lab, Terms::Legacy);
            settings.sip_keys.clone_from(&keys);
            let edge = windows(lab, Release::Server2008, Key::Rsa)?;
            let mut scene = Scene::start(lab, edge, &settings).await?;
            scene.both_ways("TLS 1.0").await?;
            let status = scene.gateway.control(&["status"]).await?.stdout;
            ensure!(status.contains("legacy-tls"), "{status}");
            let process = scene.gateway.process();
            process.logs(LOG_LIMIT, "tls=\"1.0\"").await?;

            let text = std::fs::read_to_string(scene.gateway.config())?;
            let text = text.replace("legacy_tls = true", "");
            std::fs::write(scene.gateway.config(), text)?;
            scene.gateway.control(&["reload"]).await?.success()?;
            until(LOG_LIMIT, "the link is closed", || scene.edge.is_cut_off()).await?;
            scene
                .refuses("TLS 1.0 without the switch", "nothing newer than TLS 1.1")
                .await?;
            scene.gateway.is_sound()
        })
        .await?;
    }
    Ok(())
}

/// Where no peer has the engine, the listener offers nothing but the usual, and says what would help.
#[tokio::test]
async fn without_the_engine_there_is_nothing_for_old_windows() -> Result<()> {
    for (release, reason) in [
        (Release::Server2012R2, "no common cipher suite"),
        (Release::Server2008, "TLS versions"),
    ] {
        run("windows-without", LIMIT, async |lab| {
            let mut settings = settings(lab, Terms::Rustls);
            settings.sip_keys = vec![Key::Rsa];
            let edge = windows(lab, release, Key::Rsa)?;
            let mut scene = Scene::start(lab, edge, &settings).await?;
            scene.refuses("let me in", reason).await?;
            scene
                .gateway
                .process()
                .logs(LOG_LIMIT, "engine = \"compat\"")
                .await?;
            scene.is_refused(reason).await?;
            let why = scene.gateway.control(&["peer", "why", "sip"]).await?.stdout;
            ensure!(why.contains("engine = \"compat\""), "{why}");
            scene.gateway.is_sound()
        })
        .await?;
    }
    Ok(())
}

/// A peer that proves itself and is not one of those that get the engine is closed before a byte is read, whatever
/// another peer of the same listener gets.
#[tokio::test]
async fn what_another_peer_gets_is_not_for_all() -> Result<()> {
    let cases = [
        (
            Release::Server2012R2,
            Terms::Rustls,
            Terms::Compat,
            "TLS 1.2 by the engine compat",
        ),
        (
            Release::Server2008,
            Terms::Rustls,
            Terms::Legacy,
            "TLS 1.0 by the engine compat",
        ),
        (
            Release::Server2008,
            Terms::Compat,
            Terms::Legacy,
            "TLS 1.0 by the engine compat",
        ),
    ];
    for (release, own, others, reason) in cases {
        run("windows-others", LIMIT, async |lab| {
            // The other peer has the same address, as far as addresses count.
            let other = Peer::sip(lab, "other", OTHER, Host::SipAgent);
            let mut settings = settings(lab, own);
            settings.peers.push(others.of(other));
            settings.sip_keys = vec![Key::Rsa];
            let edge = windows(lab, release, Key::Rsa)?;
            let mut scene = Scene::start(lab, edge, &settings).await?;
            let what = format!("{release:?} of a peer with {own:?} beside {others:?}");
            scene.refuses(&what, reason).await?;
            scene
                .gateway
                .process()
                .logs(LOG_LIMIT, "settings do not allow it")
                .await?;
            let why = scene.gateway.control(&["peer", "why", "sip"]).await?.stdout;
            ensure!(why.contains("settings do not allow it"), "{why}");
            scene.gateway.is_sound()
        })
        .await?;
    }
    Ok(())
}

/// Below TLS 1.2 the address counts before anything else: the right certificate from elsewhere is not enough.
#[tokio::test]
async fn tls_1_0_from_elsewhere() -> Result<()> {
    run("windows-elsewhere", LIMIT, async |lab| {
        let mut settings = settings(lab, Terms::Legacy);
        settings.sip_keys = vec![Key::Rsa];
        let edge = windows(lab, Release::Server2008, Key::Rsa)?;
        let elsewhere = agent(lab, Host::SecondAgent, SIP_DOMAIN, edge.clone()).await?;
        let mut scene = Scene::start(lab, edge, &settings).await?;
        let sent = elsewhere
            .say("romeo", "juliet@peer.example", "from elsewhere")
            .await;
        let error = format!("{:#}", sent.unwrap_err());
        ensure!(
            error.contains("protocol version"),
            "the alert is missing: {error}"
        );
        scene
            .gateway
            .process()
            .logs(LOG_LIMIT, "nothing newer than TLS 1.1")
            .await?;
        scene.both_ways("from the right address").await?;
        scene.gateway.is_sound()
    })
    .await
}

/// An address that DNS gives for a peer is one of its addresses.
#[tokio::test]
async fn tls_1_0_from_an_address_of_dns() -> Result<()> {
    run("windows-dns", LIMIT, async |lab| {
        lab.dns()
            .host("edge.sip.example", &[lab.ip(Host::SipAgent)]);
        lab.dns().service(
            "_sips._tcp.sip.example",
            Srv {
                priority: 0,
                port: SIPS,
                target: "edge.sip.example".to_owned(),
            },
        );
        let peer = Peer::sip_by_dns(lab, "sip", SIP_DOMAIN);
        let mut settings = Settings::new([xmpp_entry(lab), Terms::Legacy.of(peer)]);
        settings.sip_keys = vec![Key::Rsa];
        let edge = windows(lab, Release::Server2008, Key::Rsa)?;
        let mut scene = Scene::start(lab, edge, &settings).await?;
        scene.both_ways("TLS 1.0 by DNS").await?;
        scene.gateway.is_sound()
    })
    .await
}

/// We dial a peer that gets the engine and not the switch: TLS 1.0 is not spoken.
#[tokio::test]
async fn tls_1_0_is_not_dialled_without_the_switch() -> Result<()> {
    run("windows-dialled", LIMIT, async |lab| {
        let edge = windows(lab, Release::Server2008, Key::Rsa)?;
        let mut scene = Scene::start(lab, edge, &settings(lab, Terms::Compat)).await?;
        scene.is_refused("does not speak the TLS versions").await?;
        scene
            .gateway
            .process()
            .logs(LOG_LIMIT, "legacy_tls = true")
            .await?;
        scene.gateway.is_sound()
    })
    .await
}

/// The certificate of a peer is judged by the same rules whichever engine made the handshake.
#[tokio::test]
async fn bad_certificates_are_as_bad_for_this_engine() -> Result<()> {
    for (what, reason) in [
        ("stranger", "not trusted for this peer"),
        ("name", "is not valid for"),
        ("expired", "expired on"),
        ("none", "no certificate"),
    ] {
        bad(what, reason, Terms::Compat).await?;
        bad(what, reason, Terms::Legacy).await?;
    }
    Ok(())
}

async fn bad(what: &str, reason: &str, terms: Terms) -> Result<()> {
    let body = async |lab: &Lab| is_bad(lab, what, reason, terms).await;
    run("windows-bad", LIMIT, body).await
}

async fn is_bad(lab: &Lab, what: &str, reason: &str, terms: Terms) -> Result<()> {
    let wish = Wish::sip("bad", &[SIP_DOMAIN]).with_key(Key::Rsa);
    let bad = match what {
        "stranger" => lab.stranger().issue(&wish)?,
        "name" => lab.issue(&Wish::sip("bad", &[OTHER]).with_key(Key::Rsa))?,
        "expired" => lab.issue(&wish.expired())?,
        _ => lab.issue(&wish)?,
    };
    let release = match terms {
        Terms::Legacy => Release::Server2008,
        Terms::Compat | Terms::Rustls => Release::Server2012R2,
    };
    let mut edge = Windows::new(release, &bad, lab.authority());
    let presents = what != "none";
    edge.identity = edge.identity.filter(|_| presents);
    let mut settings = settings(lab, terms);
    settings.sip_keys = vec![Key::Rsa];
    let mut scene = Scene::start(lab, edge, &settings).await?;
    let tried = format!("{what} with {terms:?}");
    scene.refuses(&tried, reason).await?;
    if presents {
        scene.is_refused(reason).await?;
    }
    scene.gateway.is_sound()
}

/// Edges present certificates for TLS servers when they dial: the policy of the peer decides, for both engines.
#[tokio::test]
async fn certificates_for_servers_only() -> Result<()> {
    for (eku, terms) in [
        ("server-ok", Terms::Compat),
        ("server-ok", Terms::Rustls),
        ("strict", Terms::Compat),
        ("strict", Terms::Rustls),
    ] {
        run("windows-eku", LIMIT, async |lab| {
            let wish = Wish::sip("edge", &[SIP_DOMAIN]).with_key(Key::Rsa);
            let edge = lab.issue(&wish.server_only())?;
            let release = match terms {
                Terms::Rustls => Release::Server2016,
                Terms::Compat | Terms::Legacy => Release::Server2012R2,
            };
            let edge = Windows::new(release, &edge, lab.authority());
            let peer = terms.of(sip_entry(lab)).set("eku", eku);
            let mut settings = Settings::new([xmpp_entry(lab), peer]);
            settings.sip_keys = vec![Key::Rsa];
            let mut scene = Scene::start(lab, edge, &settings).await?;
            match eku {
                "strict" => scene.refuses("strict", "serverAuth only").await?,
                _ => scene.both_ways("servers only").await?,
            }
            scene.gateway.is_sound()
        })
        .await?;
    }
    Ok(())
}

/// A common name counts where the peer's entry says so, exactly, and never beside a subject alternative name.
#[tokio::test]
async fn a_common_name_by_policy_only() -> Result<()> {
    for (policy, common_name, works) in [
        ("cn-if-no-san", SIP_DOMAIN, true),
        ("cn-if-no-san", "edge.sip.example", false),
        ("san", SIP_DOMAIN, false),
    ] {
        run("windows-cn", LIMIT, async |lab| {
            named(lab, policy, common_name, works).await
        })
        .await?;
    }
    Ok(())
}

async fn named(lab: &Lab, policy: &str, common_name: &str, works: bool) -> Result<()> {
    let wish = Wish::sip("edge", &[]).with_key(Key::Rsa);
    let edge = lab.issue(&wish.only_common_name(common_name))?;
    let edge = Windows::new(Release::Server2012R2, &edge, lab.authority());
    let peer = Terms::Compat.of(sip_entry(lab)).set("name_policy", policy);
    let mut settings = Settings::new([xmpp_entry(lab), peer]);
    settings.sip_keys = vec![Key::Rsa];
    let mut scene = Scene::start(lab, edge, &settings).await?;
    if works {
        scene.both_ways("by common name").await?;
    } else {
        let what = format!("{common_name} with {policy}");
        scene.refuses(&what, "is not valid for").await?;
        scene.is_refused("is not valid for").await?;
    }
    scene.gateway.is_sound()
}

/// New certificates are shown after a reload, by both engines, without a restart.
#[tokio::test]
async fn certificates_are_replaced_while_running() -> Result<()> {
    run("windows-reload", LIMIT, async |lab| {
        let mut settings = settings(lab, Terms::Compat);
        settings.sip_keys = vec![Key::Rsa];
        let edge = windows(lab, Release::Server2012R2, Key::Rsa)?;
        let mut scene = Scene::start(lab, edge, &settings).await?;
        scene.both_ways("with the first certificate").await?;
        // The new one is of an authority that the edge does not trust, which shows that it is in use.
        let wish = Wish::sip("gateway-sip", &[xmpp_peer::DOMAIN]).with_key(Key::Rsa);
        lab.stranger().issue(&wish)?;
        scene.gateway.control(&["reload"]).await?.success()?;
        scene.edge.hang_up().await;
        let sent = scene
            .edge
            .say("romeo", "juliet@peer.example", "again")
            .await;
        let error = format!("{:#}", sent.unwrap_err());
        ensure!(error.contains("certificate verify failed"), "{error}");
        lab.issue(&wish)?;
        scene.gateway.control(&["reload"]).await?.success()?;
        scene.both_ways("with the third certificate").await?;
        scene.gateway.is_sound()
    })
    .await
}

/// The usual peer of other tests is not touched by any of this.
#[tokio::test]
async fn a_modern_client_of_a_peer_with_the_engine() -> Result<()> {
    run("windows-modern", LIMIT, async |lab| {
        let xmpp = xmpp(lab).await?;
        let mut tls = TlsSettings::new(&identity(lab, Key::Ecdsa)?);
        tls.trust = Trust::in_authority(lab.authority());
        let edge = sip_peer_with(lab, xmpp_peer::DOMAIN, tls).await?;
        let mut gateway = Gateway::start(lab, &settings(lab, Terms::Compat)).await?;
        says(&edge, &xmpp, "modern").await?;
        let suites = suites(&mut gateway, 1).await?;
        let is_modern = |suite: &String| suite.starts_with("TLS13_");
        ensure!(suites.iter().all(is_modern), "{suites:?}");
        hears(&edge, &xmpp, SIP_DOMAIN, "modern").await?;
        gateway.is_sound()
    })
    .await
}
