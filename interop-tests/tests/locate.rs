//! Peers that are found by DNS, and peers with more than one address.

use std::time::Duration;

use anyhow::{Result, ensure};
use interop_tests::authority::Wish;
use interop_tests::bridge::{SIP_DOMAIN, sip_entry, sip_peer_at, xmpp_entry, xmpp_identity};
use interop_tests::dns::{Naptr, Srv};
use interop_tests::gateway::{Gateway, Peer, Settings};
use interop_tests::lab::{Host, Lab, S2S, S2S_DIRECT, SIPS, run};
use interop_tests::sip_agent::{Answer, SipAgent};
use interop_tests::tls::{TlsSettings, Trust};
use interop_tests::xml::Look;
use interop_tests::xmpp_peer::{self, XmppPeer};
use interop_tests::xmpp_server::Reach;

const LIMIT: Duration = Duration::from_secs(90);
const ROMEO: &str = "romeo@sip.example";

/// A scripted XMPP peer, two SIP agents of one domain and the gateway.
struct Pair {
    peer: XmppPeer,
    first: SipAgent,
    second: SipAgent,
    gateway: Gateway,
}

impl Pair {
    async fn start(lab: &Lab, sip: Peer) -> Result<Self> {
        let tls = TlsSettings::new(&xmpp_identity(lab)?);
        let peer = XmppPeer::start(lab, tls, Reach::Both, lab.at(Host::Gateway, S2S)).await?;
        let first = agent(lab, Host::SipAgent).await?;
        let second = agent(lab, Host::SecondAgent).await?;
        let settings = Settings::new([xmpp_entry(lab), sip]);
        let gateway = Gateway::start(lab, &settings).await?;
        Ok(Self {
            peer,
            first,
            second,
            gateway,
        })
    }

    async fn say(&self, text: &str) -> Result<()> {
        self.peer.say("juliet", ROMEO, text, text).await
    }

    /// How often each agent got a text.
    fn times(&self, text: &str) -> (usize, usize) {
        let count = |agent: &SipAgent| agent.requests().count(|request| request.text() == text);
        (count(&self.first), count(&self.second))
    }
}

async fn agent(lab: &Lab, host: Host) -> Result<SipAgent> {
    let identity = lab.issue(&Wish::sip(&format!("agent-{host:?}"), &[SIP_DOMAIN]))?;
    let mut tls = TlsSettings::new(&identity);
    tls.trust = Trust::in_authority(lab.authority());
    sip_peer_at(lab, xmpp_peer::DOMAIN, tls, lab.at(host, SIPS)).await
}

/// Publishes both agents under a service, the first one first.
fn publish(lab: &Lab, service: &str) {
    for (priority, host) in [(1, Host::SipAgent), (2, Host::SecondAgent)] {
        let target = format!("edge{priority}.example");
        lab.dns().host(&target, &[lab.ip(host)]);
        let port = SIPS;
        lab.dns().service(
            service,
            Srv {
                priority,
                port,
                target,
            },
        );
    }
}

fn by_dns(lab: &Lab) -> Peer {
    Peer::sip_by_dns(lab, "sip", SIP_DOMAIN)
}

/// RFC 3263 section 4.3: 503 sends the request to the next address, once, and only that request.
#[tokio::test]
async fn a_sip_address_that_is_out_of_service() -> Result<()> {
    run("sip-503", LIMIT, async |lab| {
        publish(lab, "_sips._tcp.sip.example");
        let mut pair = Pair::start(lab, by_dns(lab)).await?;
        pair.first.answer("romeo", Answer::Status(503));
        pair.say("one").await?;
        pair.second.expect_text("one").await?;
        pair.say("two").await?;
        pair.second.expect_text("two").await?;
        ensure!(pair.times("one") == (1, 1) && pair.times("two") == (1, 1));

        pair.second.answer("romeo", Answer::Status(503));
        pair.say("three").await?;
        let error = pair.peer.expect_error("three").await?;
        ensure!(
            error.is_error("three", "internal-server-error"),
            "{error:?}"
        );
        ensure!(pair.times("three") == (1, 1), "{:?}", pair.times("three"));

        pair.first.answer("romeo", Answer::Status(200));
        pair.say("four").await?;
        pair.first.expect_text("four").await?;
        ensure!(pair.times("four") == (1, 0));
        let errors = pair
            .peer
            .received()
            .count(|stanza| stanza.at("type") == "error");
        ensure!(errors == 1, "{errors} errors");
        pair.gateway.is_sound()
    })
    .await
}

/// RFC 3261 section 21.5.4: an address that gives a time gets nothing for that time.
#[tokio::test]
async fn a_sip_address_that_wants_to_rest() -> Result<()> {
    run("sip-rest", LIMIT, async |lab| {
        publish(lab, "_sips._tcp.sip.example");
        let mut pair = Pair::start(lab, by_dns(lab)).await?;
        pair.first.answer("romeo", Answer::OutOfService(60));
        for text in ["one", "two", "three"] {
            pair.say(text).await?;
            pair.second.expect_text(text).await?;
        }
        ensure!(pair.times("one") == (1, 1), "{:?}", pair.times("one"));
        ensure!(pair.times("three") == (0, 1), "{:?}", pair.times("three"));
        let process = pair.gateway.process();
        process.logs(LIMIT, "address_refuses").await?;
        pair.gateway.is_sound()
    })
    .await
}

/// With one address the 503 is final at once.
#[tokio::test]
async fn a_sip_peer_with_one_address_that_is_out_of_service() -> Result<()> {
    run("sip-503-only", LIMIT, async |lab| {
        let mut pair = Pair::start(lab, sip_entry(lab)).await?;
        pair.first.answer("romeo", Answer::Status(503));
        for text in ["one", "two"] {
            pair.say(text).await?;
            let error = pair
                .peer
                .expect_error_within(Duration::from_secs(5), text)
                .await?;
            ensure!(error.is_error(text, "internal-server-error"), "{error:?}");
            ensure!(pair.times(text) == (1, 0), "{:?}", pair.times(text));
        }
        pair.gateway.is_sound()
    })
    .await
}

/// RFC 3263 section 4.1: NAPTR names the service, whatever the usual name says.
#[tokio::test]
async fn a_sip_peer_behind_naptr() -> Result<()> {
    run("naptr", LIMIT, async |lab| {
        publish(lab, "_sips._tcp.hosting.example");
        for (order, service, replacement) in [
            (1, "SIP+D2U", "_sip._udp.sip.example"),
            (2, "SIPS+D2T", "_sips._tcp.hosting.example"),
        ] {
            let (service, replacement) = (service.to_owned(), replacement.to_owned());
            lab.dns().pointer(
                SIP_DOMAIN,
                Naptr {
                    order,
                    service,
                    replacement,
                },
            );
        }
        let target = ".".to_owned();
        let (priority, port) = (0, 0);
        lab.dns().service(
            "_sips._tcp.sip.example",
            Srv {
                priority,
                port,
                target,
            },
        );
        let pair = Pair::start(lab, by_dns(lab)).await?;
        pair.say("hello").await?;
        pair.first.expect_text("hello").await?;
        Ok(())
    })
    .await
}

/// XEP-0368: the records of both services are one list by priority.
#[tokio::test]
async fn an_xmpp_peer_with_records_of_both_services() -> Result<()> {
    run("srv-mixed", LIMIT, async |lab| {
        let tls = TlsSettings::new(&xmpp_identity(lab)?);
        let _peer = XmppPeer::start(lab, tls, Reach::Both, lab.at(Host::Gateway, S2S)).await?;
        let dns = lab.dns();
        for service in ["_xmpp-server._tcp", "_xmpps-server._tcp"] {
            dns.forget_service(&format!("{service}.{}", xmpp_peer::DOMAIN));
        }
        dns.host("nobody.example", &[lab.ip(Host::Nobody)]);
        let place = |service: &str, priority, port, target: &str| {
            let target = target.to_owned();
            let name = format!("{service}._tcp.{}", xmpp_peer::DOMAIN);
            dns.service(
                &name,
                Srv {
                    priority,
                    port,
                    target,
                },
            );
        };
        let real = format!("xmpp.{}", xmpp_peer::DOMAIN);
        place("_xmpps-server", 30, S2S_DIRECT, &real);
        place("_xmpp-server", 20, 7001, "nobody.example");
        place("_xmpps-server", 10, 7002, "nobody.example");
        place("_xmpp-server", 10, 7003, "nobody.example");
        place("_xmpp-server", 40, S2S, &real);
        let agent = agent(lab, Host::SipAgent).await?;
        let settings = Settings::new([xmpp_entry(lab), sip_entry(lab)]);
        let mut gateway = Gateway::start(lab, &settings).await?;

        ensure!(agent.say("romeo", "juliet@peer.example", "hello").await? == 200);

        let direct = format!("address={}:{S2S_DIRECT}", lab.ip(Host::XmppPeer));
        gateway.process().logs(LIMIT, &direct).await?;
        let log = gateway.process().log();
        let failed: Vec<_> = log
            .lines()
            .filter(|line| line.contains("link_attempt_failed"))
            .filter_map(|line| {
                [7001, 7002, 7003]
                    .into_iter()
                    .find(|port| line.contains(&format!(":{port}")))
            })
            .collect();
        ensure!(failed == [7002, 7003, 7001], "{failed:?}");
        let up = log
            .lines()
            .any(|line| line.contains("link_up") && line.contains(&direct));
        ensure!(up, "not over direct TLS");
        Ok(())
    })
    .await
}
