//! Which addresses are tried, and in which order.

use std::collections::BTreeMap;
use std::net::IpAddr;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use translators::model::Domain;

use super::{Nowhere, Target, locate};
use crate::config::testing::{NOW, WORKING, folder};
use crate::config::{self, Connect, Dialect, Srv};
use crate::resolve::{Lookup, Naptr, Resolve, Unresolved};

/// The domain of the peer `prosody`, and of `kamailio`.
const XMPP: &str = "one.example.net";
const SIP: &str = "two.example.net";

/// A name server by heart. What is not in it does not exist.
#[derive(Debug, Default)]
struct Zone {
    srv: BTreeMap<String, Vec<Srv>>,
    naptr: BTreeMap<String, Vec<Naptr>>,
    addresses: BTreeMap<String, Vec<IpAddr>>,
    broken: Vec<String>,
}

impl Zone {
    fn srv(mut self, name: &str, priority: u16, target: &str, port: u16) -> Self {
        self.srv.entry(name.to_owned()).or_default().push(Srv {
            priority,
            weight: 0,
            target: target.to_owned(),
            port,
        });
        self
    }

    fn naptr(mut self, order: (u16, u16), flags: &str, service: &str, next: &str) -> Self {
        self.naptr.entry(SIP.to_owned()).or_default().push(Naptr {
            order: order.0,
            preference: order.1,
            flags: flags.to_owned(),
            service: service.to_owned(),
            replacement: next.to_owned(),
        });
        self
    }

    fn host(mut self, name: &str, last: &[u8]) -> Self {
        let addresses = last.iter().map(|last| IpAddr::from([192, 0, 2, *last]));
        self.addresses.insert(name.to_owned(), addresses.collect());
        self
    }

    fn broken(mut self, name: &str) -> Self {
        self.broken.push(name.to_owned());
        self
    }

    fn answer<T: Clone + Send + 'static>(
        &self,
        table: &BTreeMap<String, Vec<T>>,
        name: &str,
    ) -> Lookup<'static, Vec<T>> {
        let answer = if self.broken.iter().any(|broken| broken == name) {
            Err(Unresolved::Failed)
        } else {
            Ok(table.get(name).cloned().unwrap_or_default())
        };
        Box::pin(std::future::ready(answer))
    }
}

impl Resolve for Zone {
    fn srv<'a>(&'a self, name: &'a str) -> Lookup<'a, Vec<Srv>> {
        self.answer(&self.srv, name)
    }

    fn naptr<'a>(&'a self, name: &'a str) -> Lookup<'a, Vec<Naptr>> {
        self.answer(&self.naptr, name)
    }

    fn addresses<'a>(&'a self, name: &'a str) -> Lookup<'a, Vec<IpAddr>> {
        self.answer(&self.addresses, name)
    }
}

/// The peer that serves `domain` and has to be looked up.
fn peer(domain: &str, connect: Connect) -> config::Peer {
    let folder = folder();
    let path = folder.path().join("isthmus.toml");
    let text = WORKING.replace("route = [\"127.0.0.1:5269\"]\n", "");
    let (config, findings) = config::load_text(&path, &text, NOW);
    let config = config.unwrap_or_else(|| panic!("{findings:?}"));
    let domain = Domain::parse(domain).unwrap();
    let mut peers = config.peers.values();
    let found = peers.find(|peer| peer.domains.contains(&domain)).unwrap();
    let mut peer = config::Peer::clone(found);
    if let Dialect::Xmpp(xmpp) = &mut peer.dialect {
        xmpp.connect = connect;
    }
    peer
}

/// Where `domain` is tried: `HOST:PORT`, a star behind those with TLS from the first octet.
async fn tried(zone: &Zone, domain: &str, connect: Connect) -> Result<Vec<String>, Nowhere> {
    let (peer, remote) = (peer(domain, connect), Domain::parse(domain).unwrap());
    let mut rng = StdRng::seed_from_u64(1);
    let targets = locate(zone, &peer, &remote, &mut rng).await?;
    let text = |target: Target| {
        let star = if target.direct { "*" } else { "" };
        let last = target.address.to_string().replace("192.0.2.", "");
        format!("{last}{star}")
    };
    Ok(targets.into_iter().map(text).collect())
}

async fn xmpp(zone: &Zone) -> Result<Vec<String>, Nowhere> {
    tried(zone, XMPP, Connect::Auto).await
}

/// Where a Microsoft server is tried.
async fn microsoft(zone: &Zone) -> Result<Vec<String>, Nowhere> {
    let (mut peer, remote) = (peer(SIP, Connect::Auto), Domain::parse(SIP).unwrap());
    if let Dialect::Sip(sip) = &mut peer.dialect {
        sip.microsoft = true;
    }
    let mut rng = StdRng::seed_from_u64(1);
    let targets = locate(zone, &peer, &remote, &mut rng).await?;
    let last = |target: Target| target.address.to_string().replace("192.0.2.", "");
    Ok(targets.into_iter().map(last).collect())
}

async fn sip(zone: &Zone) -> Result<Vec<String>, Nowhere> {
    tried(zone, SIP, Connect::Auto).await
}

/// Four hosts with the last octets 1 to 4.
fn hosts() -> Zone {
    let zone = Zone::default();
    let zone = zone.host("h1", &[1]).host("h2", &[2]).host("h3", &[3]);
    zone.host("h4", &[4])
}

fn is_unknown(found: Result<Vec<String>, Nowhere>) -> bool {
    matches!(found, Err(Nowhere::Unknown(_)))
}

fn is_not_found(found: Result<Vec<String>, Nowhere>) -> bool {
    matches!(found, Err(Nowhere::NotFound(reason)) if reason.lasting)
}

const DIRECT: &str = "_xmpps-server._tcp.one.example.net";
const STARTTLS: &str = "_xmpp-server._tcp.one.example.net";
const SIPS: &str = "_sips._tcp.two.example.net";

#[tokio::test]
async fn priorities_of_both_services_are_mixed_and_direct_tls_is_first_among_equals() {
    let zone = hosts()
        .srv(DIRECT, 20, "h1", 5270)
        .srv(DIRECT, 10, "h2", 443)
        .srv(STARTTLS, 10, "h3", 5269)
        .srv(STARTTLS, 15, "h4", 5269);

    let found = xmpp(&zone).await;

    assert_eq!(found.unwrap(), ["2:443*", "3:5269", "4:5269", "1:5270*"]);
}

#[tokio::test]
async fn a_peer_may_be_bound_to_one_way_of_connecting() {
    let zone = hosts()
        .srv(DIRECT, 10, "h1", 5270)
        .srv(STARTTLS, 5, "h2", 5269);

    let direct = tried(&zone, XMPP, Connect::Direct).await;
    let starttls = tried(&zone, XMPP, Connect::Starttls).await;

    assert_eq!(direct.unwrap(), ["1:5270*"]);
    assert_eq!(starttls.unwrap(), ["2:5269"]);
}

#[tokio::test]
async fn a_service_that_is_not_there_leaves_the_other() {
    let zone = hosts().srv(DIRECT, 0, "", 0).srv(STARTTLS, 5, "h2", 5269);
    assert_eq!(xmpp(&zone).await.unwrap(), ["2:5269"]);

    let zone = hosts().srv(DIRECT, 0, "", 0).srv(STARTTLS, 0, "", 0);
    assert!(is_not_found(xmpp(&zone).await));
    let zone = hosts().srv(STARTTLS, 0, "", 0).host(XMPP, &[9]);
    assert!(
        is_not_found(xmpp(&zone).await),
        "the domain itself is no way"
    );
}

#[tokio::test]
async fn without_records_the_domain_itself_is_the_host() {
    let zone = Zone::default().host(XMPP, &[7, 8]).host(SIP, &[9]);

    assert_eq!(xmpp(&zone).await.unwrap(), ["7:5269", "8:5269"]);
    let direct = tried(&zone, XMPP, Connect::Direct).await;
    assert_eq!(direct.unwrap(), ["7:5270*", "8:5270*"]);
    assert_eq!(sip(&zone).await.unwrap(), ["9:5061*"]);
    assert!(is_not_found(xmpp(&Zone::default()).await));
    assert!(is_not_found(sip(&Zone::default()).await));
}

#[tokio::test]
async fn what_one_service_does_not_say_matters_only_without_the_other() {
    let zone = hosts().broken(DIRECT).srv(STARTTLS, 5, "h2", 5269);
    assert_eq!(xmpp(&zone).await.unwrap(), ["2:5269"]);

    let zone = hosts().broken(DIRECT).host(XMPP, &[7]);
    assert!(
        is_unknown(xmpp(&zone).await),
        "the domain itself may be wrong"
    );
    assert!(is_unknown(
        xmpp(&hosts().broken(DIRECT).broken(STARTTLS)).await
    ));
}

#[tokio::test]
async fn a_host_that_cannot_be_looked_up_leaves_the_others() {
    let zone = hosts()
        .srv(STARTTLS, 1, "h9", 5269)
        .srv(STARTTLS, 2, "h8", 5269)
        .srv(STARTTLS, 3, "h1", 5269)
        .broken("h9");
    assert_eq!(xmpp(&zone).await.unwrap(), ["1:5269"]);

    let zone = hosts().srv(STARTTLS, 1, "h9", 5269).broken("h9");
    assert!(is_unknown(xmpp(&zone).await));
    let zone = hosts().srv(STARTTLS, 1, "h9", 5269);
    assert!(is_not_found(xmpp(&zone).await));
}

#[tokio::test]
async fn sip_follows_the_first_naptr_for_tls() {
    let zone = hosts()
        .naptr((10, 1), "s", "SIP+D2T", "_sip._tcp.elsewhere.example")
        .naptr((20, 9), "s", "SIPS+D2T", "_sips._tcp.third.example")
        .naptr((20, 2), "s", "SIPS+D2T", "_sips._tcp.second.example")
        .srv("_sips._tcp.second.example", 1, "h2", 5062)
        .srv("_sips._tcp.second.example", 0, "h1", 5061)
        .srv("_sips._tcp.third.example", 0, "h3", 5061)
        .srv(SIPS, 0, "h4", 5061);

    assert_eq!(sip(&zone).await.unwrap(), ["1:5061*", "2:5062*"]);
}

#[tokio::test]
async fn naptr_of_other_kinds_is_passed_over() {
    let zone = hosts()
        .naptr((1, 1), "s", "SIP+D2U", "_sip._udp.two.example.net")
        .naptr((2, 1), "u", "SIPS+D2T", "nothing.example")
        .naptr((3, 1), "", "E2U+SIP", "nothing.example")
        .srv(SIPS, 0, "h4", 5061);

    assert_eq!(sip(&zone).await.unwrap(), ["4:5061*"]);
}

#[tokio::test]
async fn sip_goes_by_the_usual_name_without_naptr_and_knows_when_there_is_no_service() {
    let zone = hosts().srv(SIPS, 7, "h1", 5061).srv(SIPS, 3, "h2", 5063);
    assert_eq!(sip(&zone).await.unwrap(), ["2:5063*", "1:5061*"]);

    let zone = hosts().srv(SIPS, 0, "", 0).host(SIP, &[9]);
    assert!(is_not_found(sip(&zone).await));
    assert!(is_unknown(sip(&hosts().broken(SIP)).await), "NAPTR");
    assert!(is_unknown(sip(&hosts().broken(SIPS)).await), "SRV");
}

#[tokio::test]
async fn microsofts_servers_are_found_by_their_own_record_with_every_address() {
    let federation = "_sipfederationtls._tcp.two.example.net";
    let published = || hosts().srv(SIPS, 0, "h4", 5061).host("edge", &[5, 6]);
    let zone = published().srv(federation, 0, "edge", 5061);
    assert_eq!(microsoft(&zone).await.unwrap(), ["5:5061", "6:5061"]);
    assert_eq!(sip(&zone).await.unwrap(), ["4:5061*"], "a generic peer");

    assert_eq!(microsoft(&published()).await.unwrap(), ["4:5061"]);
    assert!(is_not_found(
        microsoft(&published().srv(federation, 0, "", 0)).await
    ));
    assert!(is_unknown(microsoft(&published().broken(federation)).await));
}

#[tokio::test]
async fn a_static_route_asks_only_for_its_hosts() {
    let zone = hosts().broken(XMPP).broken(STARTTLS).broken(DIRECT);
    let mut peer = peer(XMPP, Connect::Auto);
    let host = |name: &str, port| config::Route {
        host: name.to_owned(),
        port,
    };
    peer.route = vec![host("h3", 5271), host("h1", 5269)];
    let remote = Domain::parse(XMPP).unwrap();
    let mut rng = StdRng::seed_from_u64(1);

    let found = locate(&zone, &peer, &remote, &mut rng).await.unwrap();

    let ports: Vec<u16> = found.iter().map(|target| target.address.port()).collect();
    assert_eq!(ports, [5271, 5269]);
    assert!(found.iter().all(|target| !target.direct));
}
