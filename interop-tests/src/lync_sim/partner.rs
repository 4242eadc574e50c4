//! Where the partner is: by the records of its domain, or where one was told.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use tokio::net::TcpSocket;

use super::edge::Why;
use super::link::Link;
use super::message::{Message, domain, uri_in};
use super::sim::{Federation, Shared};
use crate::inbox::locked;

/// How long what a record has said is believed: the records of a lab live that long.
const TTL: Duration = Duration::from_secs(1);

/// What the records of a domain have said: the hosts, or why they could not be read.
#[derive(Clone, Debug)]
pub(super) struct Located {
    at: Instant,
    found: Result<Vec<String>, String>,
}

/// Somewhere to dial.
struct Place {
    address: SocketAddr,
    /// The name that the certificate there has to have, where one is known.
    name: Option<String>,
}

/// The record by which Microsoft's servers find each other.
fn record(domain: &str) -> String {
    format!("_sipfederationtls._tcp.{domain}")
}

impl Shared {
    /// Looks up the records of a sender's domain before his request is judged, unless that was done
    /// a moment ago.
    pub(super) async fn look_up(&self, message: &Message) {
        let Some(directory) = &self.setup.directory else {
            return;
        };
        let is_direct = matches!(locked(&self.conduct).federation, Federation::Direct(_));
        if message.status().is_some() || is_direct {
            return;
        }
        let partner = domain(uri_in(message.value("From")));
        let is_fresh = |known: &Located| known.at.elapsed() < TTL;
        if locked(&self.located).get(&partner).is_some_and(is_fresh) {
            return;
        }
        let found = directory.services(&record(&partner)).await;
        let found = found
            .map(|found| found.into_iter().map(|srv| srv.target).collect())
            .map_err(|error| format!("{error:#}"));
        let at = Instant::now();
        locked(&self.located).insert(partner, Located { at, found });
    }

    /// The name that the partner's records give it, if it lies in exactly its domain; none without
    /// a directory; otherwise what a request is refused with.
    pub(super) fn located<'a>(&self, partner: &str) -> Result<Option<String>, (u16, Why<'a>)> {
        if self.setup.directory.is_none() {
            return Ok(None);
        }
        let known = locked(&self.located).get(partner).cloned();
        let targets = match known.map(|known| known.found) {
            Some(Ok(targets)) => targets,
            Some(Err(error)) => {
                self.diary.push(error);
                let why = Why::new(1008, "Unable to resolve DNS SRV record");
                return Err((504, why.and(format!("domain=\"{partner}\";"))));
            }
            None => Vec::new(),
        };
        let fits = |target: &&String| {
            target
                .split_once('.')
                .is_some_and(|(_, rest)| rest == partner)
        };
        match targets.iter().find(fits) {
            Some(name) => Ok(Some(name.clone())),
            None => {
                let found = targets.first().map(String::as_str).unwrap_or_default();
                let more = format!("domain=\"{partner}\";fqdn1=\"{found}:5061\";");
                let why = Why::new(1009, "No match for domain in DNS SRV results");
                Err((504, why.and(more)))
            }
        }
    }

    /// Connects to the first of the partner's addresses that takes it.
    pub(super) async fn dial(self: &Arc<Self>) -> Result<Link> {
        let mut last = anyhow!("the partner has no address");
        for place in self.places().await? {
            match self.dial_at(&place).await {
                Ok(link) => return Ok(link),
                Err(error) => {
                    last = error.context(format!("the partner at {}", place.address));
                    self.diary.push(format!("{last:#}"));
                }
            }
        }
        Err(last)
    }

    async fn dial_at(self: &Arc<Self>, place: &Place) -> Result<Link> {
        // From its own address: whoever speaks old TLS is known by nothing else.
        let socket = TcpSocket::new_v4()?;
        socket.bind((self.setup.listen.ip(), 0).into())?;
        let socket = socket.connect(place.address).await?;
        socket.set_nodelay(true)?;
        let link = self.adopt(self.tls.connect(socket).await?, true);
        if let Some(name) = &place.name
            && !link.settled.names.contains(name)
        {
            link.close();
            let found = link.settled.names.join(", ");
            anyhow::bail!("the certificate names {found} and not {name}");
        }
        Ok(link)
    }

    /// Where to dial, those of its records first that say so.
    async fn places(&self) -> Result<Vec<Place>> {
        let (Some(domain), Some(directory)) = (&self.setup.partner_domain, &self.setup.directory)
        else {
            let address = self.setup.partner;
            return Ok(vec![Place {
                address,
                name: None,
            }]);
        };
        let record = record(domain);
        let found = directory.services(&record).await;
        let found = found.with_context(|| format!("{record} cannot be looked up"))?;
        ensure!(!found.is_empty(), "there is no record {record}");
        let mut places = Vec::new();
        for srv in found {
            let addresses = directory.addresses(&srv.target).await?;
            places.extend(addresses.into_iter().map(|address| Place {
                address: (address, srv.port).into(),
                name: Some(srv.target.clone()),
            }));
        }
        Ok(places)
    }
}
