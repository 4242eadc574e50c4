//! Where a peer can be reached: static routes, else DNS.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng as _};
use tokio::time::timeout;
use translators::limits;
use translators::model::{Domain, Side};

use super::context::Context;
use super::reason::Reason;
use crate::config::{Connect, Peer, Route, SIPS, Srv};
use crate::resolve::{Resolve, Service, Unresolved, arrange};
use crate::telemetry::events::{PeerEvent, Step};

/// One address to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) address: SocketAddr,
    /// TLS from the first octet; always so on SIP.
    pub(super) direct: bool,
}

/// A host to look up.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Host {
    name: String,
    port: u16,
    direct: bool,
}

/// Nothing to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Nowhere {
    /// DNS says that there is no such domain or service.
    NotFound(Reason),
    /// DNS does not say.
    Unknown(Reason),
}

/// Finds the addresses of `peer` for its domain `remote`, in the order to try.
pub(super) async fn locate(
    resolver: &dyn Resolve,
    peer: &Peer,
    remote: &Domain,
    rng: &mut (impl Rng + Send),
) -> Result<Vec<Target>, Nowhere> {
    let hosts = if peer.route.is_empty() {
        match peer.xmpp() {
            Some(xmpp) => xmpp_hosts(resolver, remote, xmpp.connect, rng).await?,
            None => sip_hosts(resolver, remote, peer.is_microsoft(), rng).await?,
        }
    } else {
        static_hosts(peer)
    };
    let mut targets = Vec::new();
    let mut unresolved = None;
    for host in hosts {
        match resolver.addresses(&host.name).await {
            Ok(addresses) => targets.extend(addresses.into_iter().map(|address| Target {
                address: SocketAddr::new(address, host.port),
                direct: host.direct,
            })),
            Err(error) => unresolved = Some(unknown(&host.name, error)),
        }
    }
    if targets.is_empty() {
        return Err(unresolved.unwrap_or_else(|| not_found(remote, "no address is found for it")));
    }
    Ok(targets)
}

/// Whether a connection from `address` comes from where one of `peers` can be reached, as far as that is found in the
/// time of a handshake.
pub(super) async fn is_address_of(context: &Context, peers: &[Arc<Peer>], address: IpAddr) -> bool {
    let search = is_found(context, peers, address);
    timeout(limits::HANDSHAKE_TIME, search)
        .await
        .unwrap_or(false)
}

async fn is_found(context: &Context, peers: &[Arc<Peer>], address: IpAddr) -> bool {
    let resolver = context.resolver.load_full();
    let mut rng = StdRng::from_rng(&mut rand::rng());
    for peer in peers {
        for domain in &peer.domains {
            let targets = locate(&*resolver, peer, domain, &mut rng).await;
            let mut found = targets.iter().flatten();
            if found.any(|target| target.address.ip().to_canonical() == address) {
                return true;
            }
        }
    }
    false
}

fn static_hosts(peer: &Peer) -> Vec<Host> {
    let direct = match peer.side() {
        Side::Sip => true,
        Side::Xmpp => peer
            .xmpp()
            .is_some_and(|xmpp| xmpp.connect == Connect::Direct),
    };
    let host = |route: &Route| Host {
        name: route.host.clone(),
        port: route.port,
        direct,
    };
    peer.route.iter().map(host).collect()
}

/// RFC 6120 section 3.2 and XEP-0368: both services by priority, direct TLS first among equals;
/// without any record, the domain itself.
async fn xmpp_hosts(
    resolver: &dyn Resolve,
    remote: &Domain,
    connect: Connect,
    rng: &mut (impl Rng + Send),
) -> Result<Vec<Host>, Nowhere> {
    let domain = remote.to_ascii();
    let (direct, starttls) = tokio::join!(
        service(
            resolver,
            "_xmpps-server._tcp",
            &domain,
            connect != Connect::Starttls
        ),
        service(
            resolver,
            "_xmpp-server._tcp",
            &domain,
            connect != Connect::Direct
        ),
    );
    // That one of both cannot be looked up matters only if the other gives nothing.
    let (direct, starttls, failure) = match (direct, starttls) {
        (Ok(direct), Ok(starttls)) => (direct, starttls, None),
        (Ok(direct), Err(failure)) => (direct, Vec::new(), Some(failure)),
        (Err(failure), Ok(starttls)) => (Vec::new(), starttls, Some(failure)),
        (Err(failure), Err(_)) => return Err(failure),
    };
    let services = [
        (arrange(direct, rng), true),
        (arrange(starttls, rng), false),
    ];
    let mut hosts: Vec<(u16, Host)> = Vec::new();
    let mut absent = false;
    for (service, direct) in services {
        match service {
            Service::Absent => absent = true,
            Service::Unpublished => {}
            Service::At(records) => {
                hosts.extend(
                    records
                        .into_iter()
                        .map(|record| (record.priority, host(record, direct))),
                );
            }
        }
    }
    hosts.sort_by_key(|(priority, _)| *priority);
    match (hosts.is_empty(), failure) {
        (false, _) => Ok(hosts.into_iter().map(|(_, host)| host).collect()),
        (true, Some(failure)) => Err(failure),
        (true, None) if absent => Err(not_found(remote, "DNS says that it has no such service")),
        (true, None) => Ok(vec![Host {
            name: domain,
            port: if connect == Connect::Direct {
                XMPP_DIRECT
            } else {
                XMPP
            },
            direct: connect == Connect::Direct,
        }]),
    }
}

async fn service(
    resolver: &dyn Resolve,
    prefix: &str,
    domain: &str,
    wanted: bool,
) -> Result<Vec<Srv>, Nowhere> {
    if !wanted {
        return Ok(Vec::new());
    }
    let name = format!("{prefix}.{domain}");
    let records = resolver.srv(&name).await;
    records.map_err(|error| unknown(&name, error))
}

/// The record by which Microsoft's servers find each other, where the peer is one of them and has
/// it; else RFC 3263 section 4.1 for TLS: NAPTR, else the usual SRV name, else the domain itself.
async fn sip_hosts(
    resolver: &dyn Resolve,
    remote: &Domain,
    microsoft: bool,
    rng: &mut (impl Rng + Send),
) -> Result<Vec<Host>, Nowhere> {
    let domain = remote.to_ascii();
    if microsoft {
        let name = format!("_sipfederationtls._tcp.{domain}");
        match sip_service(resolver, &name, rng).await? {
            Service::At(records) => return Ok(sip_targets(records)),
            Service::Absent => return Err(not_found(remote, "DNS says that it federates nowhere")),
            Service::Unpublished => {}
        }
    }
    let pointers = resolver
        .naptr(&domain)
        .await
        .map_err(|error| unknown(&domain, error))?;
    let secure = pointers
        .into_iter()
        .filter(|pointer| pointer.service == "SIPS+D2T" && pointer.flags == "s")
        .min_by_key(|pointer| (pointer.order, pointer.preference));
    let name = match secure {
        Some(pointer) => pointer.replacement,
        None => format!("_sips._tcp.{domain}"),
    };
    match sip_service(resolver, &name, rng).await? {
        Service::Absent => Err(not_found(remote, "DNS says that it has no SIP over TLS")),
        Service::At(records) => Ok(sip_targets(records)),
        Service::Unpublished => Ok(vec![Host {
            name: domain,
            port: SIPS,
            direct: true,
        }]),
    }
}

async fn sip_service(
    resolver: &dyn Resolve,
    name: &str,
    rng: &mut (impl Rng + Send),
) -> Result<Service, Nowhere> {
    let records = resolver.srv(name).await;
    let records = records.map_err(|error| unknown(name, error))?;
    Ok(arrange(records, rng))
}

fn sip_targets(records: Vec<Srv>) -> Vec<Host> {
    records
        .into_iter()
        .map(|record| host(record, true))
        .collect()
}

fn host(record: Srv, direct: bool) -> Host {
    Host {
        name: record.target,
        port: record.port,
        direct,
    }
}

fn not_found(remote: &Domain, why: &str) -> Nowhere {
    let cause = format!("There is no way to {remote}: {why}.");
    Nowhere::NotFound(Reason {
        lasting: true,
        ..Reason::passing(Step::Dns, "dns-not-found", cause)
    })
}

fn unknown(name: &str, error: Unresolved) -> Nowhere {
    PeerEvent::ResolveFailed {
        name,
        cause: &error,
    }
    .emit();
    let cause = format!("{name} cannot be looked up: {error}.");
    Nowhere::Unknown(Reason::passing(Step::Dns, "dns-failed", cause))
}

/// Ports without SRV record.
const XMPP: u16 = 5269;
const XMPP_DIRECT: u16 = 5270;

#[cfg(test)]
mod tests;
