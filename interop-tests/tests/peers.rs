//! The equipment itself: the real servers of a lab federate with each other without the gateway.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use anyhow::Result;
use interop_tests::authority::Wish;
use interop_tests::kamailio::Kamailio;
use interop_tests::lab::{Host, S2S, SIPS, run};
use interop_tests::sip_agent::{Place, SipAgent, Transport};
use interop_tests::tls::{TlsSettings, Trust, Versions};
use interop_tests::xml::{Look, PING};
use interop_tests::xmpp_peer::XmppPeer;
use interop_tests::xmpp_server::{Kind, Options, Reach, XmppServer};

const LIMIT: Duration = Duration::from_secs(120);

#[tokio::test]
async fn prosody_and_ejabberd_federate() -> Result<()> {
    run("federate", LIMIT, async |lab| {
        let options = Options {
            versions: Versions::Only13,
            reach: Reach::StartTls,
            ..Options::default()
        };
        let prosody = XmppServer::start(lab, Kind::Prosody, &options).await?;
        let ejabberd = XmppServer::start(lab, Kind::Ejabberd, &options).await?;
        let (alice, bob) = (prosody.user("alice").await?, ejabberd.user("bob").await?);
        alice.say(bob.jid(), "m1", "over & <there>").await?;
        bob.expect_text("over & <there>").await?;
        bob.say(alice.jid(), "m2", "back").await?;
        alice.expect_text("back").await?;
        alice.say("nobody@ejabberd.example", "m3", "hello?").await?;
        alice.expect_error("m3").await?;
        Ok(())
    })
    .await
}

/// The agent plays the gateway: what Kamailio sends and takes is what the gateway will meet.
#[tokio::test]
async fn kamailio_relays_both_ways() -> Result<()> {
    run("kamailio", LIMIT, async |lab| {
        let kamailio = Kamailio::start(lab, Host::Gateway).await?;
        let users = kamailio.agent(lab, &["alice", "bob"]).await?;
        let identity = lab.issue(&Wish::sip("gateway", &["xmpp.example"]))?;
        let mut settings = TlsSettings::new(&identity);
        settings.trust = Trust::in_authority(lab.authority());
        let gateway = SipAgent::start(Place {
            domain: "xmpp.example".to_owned(),
            local: lab.at(Host::Gateway, SIPS),
            route: lab.at(Host::Kamailio, SIPS),
            route_name: "kamailio.example".to_owned(),
            transport: Transport::Tls(Box::new(settings)),
        })
        .await?;
        assert_eq!(
            gateway.say("romeo", "alice@kamailio.example", "in").await?,
            200
        );
        let received = users.expect_text("in").await?;
        assert_eq!(
            received.header("From").unwrap().split(';').next().unwrap(),
            "<sip:romeo@xmpp.example>"
        );
        assert_eq!(users.say("bob", "romeo@xmpp.example", "out").await?, 200);
        gateway.expect_text("out").await?;
        assert_eq!(
            gateway
                .say("romeo", "carol@kamailio.example", "offline")
                .await?,
            480
        );
        assert_eq!(
            gateway
                .say("romeo", "nobody@kamailio.example", "unknown")
                .await?,
            404
        );
        Ok(())
    })
    .await
}

/// Streams of the scripted peer are good enough for real servers, in both roles.
#[tokio::test]
async fn the_scripted_peer_federates() -> Result<()> {
    run("scripted", LIMIT, async |lab| {
        for (kind, host) in [
            (Kind::Prosody, Host::Prosody),
            (Kind::Ejabberd, Host::Ejabberd),
        ] {
            let server = XmppServer::start(lab, kind, &Options::default()).await?;
            let identity = lab.issue(&Wish::xmpp("peer", &["peer.example"]))?;
            let mut settings = TlsSettings::new(&identity);
            settings.trust = Trust::in_authority(lab.authority());
            let peer = XmppPeer::start(lab, settings, Reach::Both, lab.at(host, S2S)).await?;
            let alice = server.user("alice").await?;
            peer.say("romeo", alice.jid(), "m1", "in").await?;
            alice.expect_text("in").await?;
            alice.say("romeo@peer.example", "m2", "out").await?;
            peer.expect_text("out").await?;
            peer.bounce("nobody", "item-not-found");
            alice.say("nobody@peer.example", "m3", "hello?").await?;
            assert_eq!(
                alice.expect_error("m3").await?.condition().unwrap(),
                "item-not-found"
            );
        }
        Ok(())
    })
    .await
}

/// The gateway's barrier rests on this: once a stream back is open, an error for a stanza comes
/// before the answer to a ping that was sent behind it. While the stream back is being opened
/// Prosody breaks the rule: it sends what it has queued after what comes a moment later.
#[tokio::test]
async fn errors_come_before_the_answer_to_a_later_ping() -> Result<()> {
    run("order", LIMIT, async |lab| {
        for (kind, host) in [
            (Kind::Prosody, Host::Prosody),
            (Kind::Ejabberd, Host::Ejabberd),
        ] {
            let _server = XmppServer::start(lab, kind, &Options::default()).await?;
            let settings = TlsSettings::new(&lab.issue(&Wish::xmpp("peer", &["peer.example"]))?);
            let peer = XmppPeer::start(lab, settings, Reach::Both, lab.at(host, S2S)).await?;
            ping(&peer, kind, "opener").await?;
            write_to_nobodies(&peer, kind, 50).await?;
            ping(&peer, kind, "barrier").await?;
            let stanzas = peer.received().all();
            let before = stanzas
                .iter()
                .take_while(|stanza| stanza.at("id") != "barrier");
            let errors = before.filter(|stanza| stanza.at("type") == "error").count();
            assert_eq!(errors, 50, "{kind:?}");
        }
        Ok(())
    })
    .await
}

/// Sends messages to users that do not exist.
async fn write_to_nobodies(peer: &XmppPeer, kind: Kind, count: usize) -> Result<()> {
    for index in 0..count {
        let nobody = format!("nobody{index}@{}", kind.domain());
        peer.say("romeo", &nobody, &format!("m{index}"), "hello?")
            .await?;
    }
    Ok(())
}

/// Pings a server's domain and waits for the answer.
async fn ping(peer: &XmppPeer, kind: Kind, id: &str) -> Result<()> {
    let domain = kind.domain();
    let ping = format!("<ping xmlns='{PING}'/>");
    let request = format!("<iq type='get' id='{id}' from='peer.example' to='{domain}'>{ping}</iq>");
    peer.send(domain, &request).await?;
    peer.received()
        .wait("answer to a ping", |stanza| stanza.at("id") == id)
        .await?;
    Ok(())
}
