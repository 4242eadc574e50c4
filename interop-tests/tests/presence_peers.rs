//! The equipment for presence itself: scripted watchers and presentities, Kamailio's presence
//! server and real XMPP clients meet each other without the gateway.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use anyhow::{Result, ensure};
use interop_tests::authority::Wish as Certificate;
use interop_tests::kamailio::{self, Kamailio, Rule};
use interop_tests::lab::{Host, Lab, SIPS, run};
use interop_tests::openfire;
use interop_tests::pidf::{Document, Tuple};
use interop_tests::sip::token;
use interop_tests::sip_agent::{Consent, Place, SipAgent, Transport, Wish};
use interop_tests::tls::{TlsSettings, Trust};
use interop_tests::xml::Look;
use interop_tests::xmpp_clients::{Client, Mood, XmppClients};
use interop_tests::xmpp_peer::{self, XmppPeer};
use interop_tests::xmpp_server::{Kind, Options, Reach, XmppServer};

const LIMIT: Duration = Duration::from_secs(120);
const ROMEO: &str = "romeo@peer.example";

/// An agent that plays the gateway towards another SIP server.
async fn gateway(lab: &Lab, domain: &str, host: Host, name: &str) -> Result<SipAgent> {
    let identity = lab.issue(&Certificate::sip("gateway", &[domain]))?;
    let mut settings = TlsSettings::new(&identity);
    settings.trust = Trust::in_authority(lab.authority());
    SipAgent::start(Place {
        domain: domain.to_owned(),
        local: lab.at(Host::Gateway, SIPS),
        route: lab.at(host, SIPS),
        route_name: name.to_owned(),
        transport: Transport::Tls(Box::new(settings)),
    })
    .await
}

async fn partner(lab: &Lab) -> Result<SipAgent> {
    let identity = lab.issue(&Certificate::sip("partner", &["sip.example"]))?;
    let mut settings = TlsSettings::new(&identity);
    settings.trust = Trust::in_authority(lab.authority());
    SipAgent::start(Place {
        domain: "sip.example".to_owned(),
        local: lab.at(Host::SipAgent, SIPS),
        route: lab.at(Host::Gateway, SIPS),
        route_name: "xmpp.example".to_owned(),
        transport: Transport::Tls(Box::new(settings)),
    })
    .await
}

/// Every way in which a scripted presentity answers shows at a scripted watcher.
#[tokio::test]
async fn scripted_watchers_and_presentities() -> Result<()> {
    run("scripted-presence", LIMIT, async |lab| {
        let watching = gateway(lab, "xmpp.example", Host::SipAgent, "sip.example").await?;
        let watched = partner(lab).await?;
        let romeo = watched.presentity("romeo");
        romeo.has(Document::of(
            "pres:romeo@sip.example",
            Tuple::open("a", "", "in"),
        ));

        romeo.consents(Consent::Pending);
        let watch = watching.watch("alice", "romeo@sip.example").await?;
        watch
            .expect("pending", |n| n.state == "pending" && n.document.is_none())
            .await?;
        ensure!(romeo.approve().await? == [200]);
        watch.expect("active", |n| n.says("in")).await?;
        let away = Document::of("pres:romeo@sip.example", Tuple::open("a", "away", "out"));
        romeo.publish(away).await?;
        watch.expect("changed", |n| n.says("out")).await?;
        let refreshed = watch.refresh(Some(600)).await?;
        ensure!(refreshed.header("Expires") == Some("600"));
        ensure!(watch.refresh_as(watch.cseq()).await?.status() == Some(500));
        ensure!(watched.faults().len() == 1 && watching.faults().is_empty());
        let [seen] = romeo.watchers().try_into().unwrap();
        ensure!((seen.granted, seen.subscribes) == (600, 2) && seen.watcher.contains("alice@"));

        watch.forget();
        ensure!(romeo.approve().await? == [481]);
        romeo.consents(Consent::NotifyFirst);
        let second = watching.watch("bob", "romeo@sip.example").await?;
        second.expect("before the 200", |n| n.is_open()).await?;
        ensure!(second.end().await?.status() == Some(200));
        second.expect("the end", |n| n.reason == "timeout").await?;

        romeo.consents(Consent::Forked);
        let third = watching.watch("carol", "romeo@sip.example").await?;
        third.expect("the first dialog", |n| n.is_open()).await?;
        romeo.terminate("rejected").await?;
        third.expect("the end", |n| n.reason == "rejected").await?;

        romeo.consents(Consent::Refused(
            423,
            vec![("Min-Expires", "60".to_owned())],
        ));
        let (_, refused) = watching
            .subscribe("dan", "romeo@sip.example", Wish::default())
            .await?;
        ensure!(refused.header("Min-Expires") == Some("60"));
        romeo.consents(Consent::Active);
        let last = watching.watch("eve", "romeo@sip.example").await?;
        last.expect("active", |n| n.is_open()).await?;
        watched.forget_watchers();
        ensure!(last.refresh(Some(600)).await?.status() == Some(481));
        Ok(())
    })
    .await
}

/// Kamailio's presence server shows a gateway what its users decide and publish.
#[tokio::test]
async fn kamailio_lets_in_keeps_out_and_notifies() -> Result<()> {
    run("kamailio-presence", LIMIT, async |lab| {
        let mut kamailio = Kamailio::start(lab, Host::Gateway).await?;
        let users = kamailio.agent(lab, &["alice", "bob"]).await?;
        let gateway = gateway(lab, "xmpp.example", Host::Kamailio, kamailio::DOMAIN).await?;
        let (bob, romeo) = ("bob@kamailio.example", "romeo@xmpp.example");
        let state = |show: &str, note: &str| {
            Document::of(
                "pres:bob@kamailio.example",
                Tuple::open("phone", show, note),
            )
        };
        let mut published = users.publish("bob", &state("", "at my desk")).await?;
        let watch = gateway.watch("romeo", bob).await?;
        watch.expect("pending", |n| n.state == "pending").await?;
        kamailio.decides("bob", romeo, Rule::Allow).await?;
        watch.expect("active", |n| n.says("at my desk")).await?;
        published.update(&users, &state("away", "at lunch")).await?;
        watch.expect("changed", |n| n.says("at lunch")).await?;

        kamailio.kill(lab).await?;
        kamailio.start_again(lab).await?;
        gateway.hang_up().await;
        let mark = watch.mark();
        ensure!(watch.refresh(Some(600)).await?.status() == Some(200));
        watch
            .expect_behind(mark, "after the restart", |n| n.says("at lunch"))
            .await?;

        kamailio.decides("bob", romeo, Rule::PoliteBlock).await?;
        watch
            .expect("polite block", |n| {
                n.state == "active" && n.cseq >= 6 && n.document.is_none()
            })
            .await?;
        kamailio.decides("bob", romeo, Rule::Block).await?;
        watch.expect("block", |n| n.state == "terminated").await?;
        let (_, refused) = gateway
            .subscribe("romeo", "nobody@kamailio.example", Wish::default())
            .await?;
        ensure!(refused.status() == Some(404));
        ensure!(gateway.faults().is_empty(), "{:?}", gateway.faults().all());
        Ok(())
    })
    .await
}

/// Users of Kamailio watch through it: both ends have it in their route sets.
#[tokio::test]
async fn kamailios_users_watch_through_it() -> Result<()> {
    run("kamailio-watchers", LIMIT, async |lab| {
        let kamailio = Kamailio::start(lab, Host::Gateway).await?;
        let users = kamailio.agent(lab, &["bob"]).await?;
        let gateway = gateway(lab, "xmpp.example", Host::Kamailio, kamailio::DOMAIN).await?;
        let romeo = gateway.presentity("romeo");
        romeo.has(Document::of(
            "pres:romeo@xmpp.example",
            Tuple::open("a", "", "here"),
        ));
        let watch = users.watch("bob", "romeo@xmpp.example").await?;
        watch.expect("active", |n| n.says("here")).await?;
        ensure!(watch.refresh(Some(600)).await?.status() == Some(200));
        ensure!(watch.end().await?.status() == Some(200));
        watch.expect("the end", |n| n.reason == "timeout").await?;
        drop(kamailio);
        Ok(())
    })
    .await
}

/// A real server with real clients, and the scripted peer that plays the gateway.
struct Stage {
    server: XmppServer,
    clients: XmppClients,
    peer: XmppPeer,
    bob: Client,
}

impl Stage {
    async fn start(lab: &Lab, kind: Kind) -> Result<Self> {
        let server = XmppServer::start(lab, kind, &Options::default()).await?;
        let identity = lab.issue(&Certificate::xmpp("peer", &[xmpp_peer::DOMAIN]))?;
        let mut settings = TlsSettings::new(&identity);
        settings.trust = Trust::in_authority(lab.authority());
        let peer = XmppPeer::start(lab, settings, Reach::Both, server.streams()).await?;
        let clients = XmppClients::start(lab).await?;
        let jid = format!("{}/marker", server.jid("bob"));
        let bob = clients.login(server.clients(), &jid).await?;
        Ok(Self {
            server,
            clients,
            peer,
            bob,
        })
    }

    async fn login(&self, resource: &str, mood: Mood<'_>) -> Result<Client> {
        let jid = format!("{}/{resource}", self.server.jid("alice"));
        let client = self.clients.login(self.server.clients(), &jid).await?;
        client.shows(mood).await?;
        Ok(client)
    }

    /// Romeo sends a presence to Alice.
    async fn romeo(&self, kind: &str, children: &str) -> Result<()> {
        let to = self.server.jid("alice");
        let (from, kind) = match kind {
            "" => (format!("{ROMEO}/phone"), String::new()),
            kind => (ROMEO.to_owned(), format!("type='{kind}'")),
        };
        let text = format!("<presence from='{from}' to='{to}' {kind}>{children}</presence>");
        self.peer.send(self.server.domain(), &text).await
    }

    /// What has come from Alice since then, as `type resource`, sorted; Bob's message behind it
    /// shows that nothing more comes.
    async fn since(&self, known: usize) -> Result<Vec<String>> {
        let text = token();
        self.bob.say(ROMEO, &text, &text).await?;
        self.peer.expect_text(&text).await?;
        let stanzas = self.peer.received().since(known).into_iter();
        let mut seen: Vec<String> = stanzas
            .filter(|stanza| stanza.name() == "presence")
            .map(|stanza| {
                let (_, resource) = stanza.at("from").split_once('/').unwrap_or_default();
                let kind = stanza.attr("type").unwrap_or("available");
                format!("{kind} {resource}").trim_end().to_owned()
            })
            .collect();
        seen.sort();
        Ok(seen)
    }
}

/// What the papers say about servers, seen with real clients on each: subscribing both ways, two
/// resources, blocking, removing.
async fn habits(kind: Kind) -> Result<()> {
    if kind == Kind::Openfire && !openfire::is_available() {
        eprintln!("{}", openfire::SKIPPED);
        return Ok(());
    }
    run(kind.domain(), LIMIT, async |lab| {
        let stage = Stage::start(lab, kind).await?;
        let alice = stage.login("desk", Mood::default()).await?;
        subscribe_both_ways(&stage, &alice).await?;
        let road = Mood {
            show: "away",
            status: "on the road",
            priority: 5,
        };
        let mobile = stage.login("mobile", road).await?;
        let peer = &stage.peer;
        let seen = peer.expect_from("/mobile", |p| p.text_of("status") == "on the road");
        ensure!(seen.await?.text_of("priority") == "5");
        peer.expect_from("/mobile", |p| p.at("type") == "probe")
            .await?;

        let both = |kind: &str| vec![format!("{kind} desk"), format!("{kind} mobile")];
        let mark = peer.received().len();
        mobile.block(ROMEO).await?;
        let expected = match kind {
            Kind::Prosody => both("unavailable"),
            Kind::Ejabberd | Kind::Openfire => vec![],
        };
        ensure!(stage.since(mark).await? == expected, "at the block");

        let mark = peer.received().len();
        let busy = Mood {
            show: "dnd",
            ..road
        };
        mobile.shows(busy).await?;
        ensure!(stage.since(mark).await?.is_empty(), "while blocked");

        let mark = peer.received().len();
        mobile.unblock(ROMEO).await?;
        let expected = match kind {
            Kind::Prosody | Kind::Openfire => both("available"),
            Kind::Ejabberd => vec![],
        };
        ensure!(
            stage.since(mark).await? == expected,
            "at the end of the block"
        );

        let mark = peer.received().len();
        mobile.abort().await?;
        let gone = |p: &minidom::Element| p.at("type") == "unavailable";
        let received = peer.received();
        received.wait_behind(mark, LIMIT, "the loss", gone).await?;
        let mark = peer.received().len();
        alice.remove(ROMEO).await?;
        peer.received()
            .wait_behind(mark, LIMIT, "the end", |p| p.at("type") == "unsubscribed")
            .await?;
        let expected = match kind {
            Kind::Prosody => vec!["unsubscribe", "unsubscribed desk"],
            Kind::Ejabberd | Kind::Openfire => {
                vec!["unavailable desk", "unsubscribe", "unsubscribed"]
            }
        };
        let seen = stage.since(mark).await?;
        ensure!(seen == expected, "at the removal: {seen:?}");
        alice.logout().await
    })
    .await
}

async fn subscribe_both_ways(stage: &Stage, alice: &Client) -> Result<()> {
    alice.subscribe(ROMEO).await?;
    stage.peer.expect_presence("subscribe").await?;
    stage.romeo("subscribed", "").await?;
    stage.romeo("", "<show>dnd</show>").await?;
    let busy = |presence: &minidom::Element| presence.text_of("show") == "dnd";
    alice.expect(ROMEO, "dnd", busy).await?;
    stage.romeo("subscribe", "").await?;
    let asks = |presence: &minidom::Element| presence.at("type") == "subscribe";
    alice.expect(ROMEO, "subscribe", asks).await?;
    alice.approve(ROMEO).await?;
    stage.peer.expect_presence("subscribed").await?;
    ensure!(alice.roster(ROMEO).await? == "both");
    Ok(())
}

#[tokio::test]
async fn presence_on_prosody() -> Result<()> {
    habits(Kind::Prosody).await
}

#[tokio::test]
async fn presence_on_ejabberd() -> Result<()> {
    habits(Kind::Ejabberd).await
}

#[tokio::test]
async fn presence_on_openfire() -> Result<()> {
    habits(Kind::Openfire).await
}
