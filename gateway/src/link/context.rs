//! What every link needs of the rest of the daemon.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use tokio::sync::watch;
use translators::limits;
use translators::sip::{Hosts, Mark};

use super::lines::Lines;
use crate::clock::Clock;
use crate::config::Config;
use crate::ingress::Ingress;
use crate::peers::Peers;
use crate::resolve::Overridden;
use crate::tls::Tls;

/// What every link needs of the rest of the daemon.
#[derive(Clone)]
pub struct Context {
    /// The configuration in use.
    pub config: Arc<ArcSwap<Config>>,
    /// Reads time.
    pub clock: Clock,
    /// Accepts and opens TLS.
    pub tls: Arc<Tls>,
    /// The peers and their links.
    pub peers: Peers,
    /// Takes what peers send.
    pub ingress: Ingress,
    /// Looks up names.
    pub resolver: Arc<ArcSwap<Overridden>>,
    /// Marks the branches of this run.
    pub mark: Mark,
    /// What our Vias name.
    pub hosts: Hosts,
    /// Counts strangers.
    pub strangers: Strangers,
    /// Keeps lines about strangers few.
    pub lines: Lines,
    /// True once the daemon wants to end: links that are not up yet give up.
    pub ending: watch::Receiver<bool>,
}

impl Context {
    /// Whether a line may be written about whoever is at `address`, and how many were left out.
    pub(super) fn line_about(&self, address: SocketAddr, reason: &'static str) -> Option<u64> {
        self.lines.ask(address.ip(), reason, self.clock.now().mono)
    }
}

/// Connections of each address whose peer is not proven yet.
#[derive(Clone, Debug, Default)]
pub struct Strangers(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// One connection of a stranger, counted until this is dropped.
#[derive(Debug)]
pub(super) struct Stranger {
    address: IpAddr,
    all: Strangers,
}

impl Strangers {
    /// Counts a connection, or says that there are enough from that address.
    pub(super) fn let_in(&self, address: IpAddr) -> Option<Stranger> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_default();
        if *count >= limits::CONNECTIONS_BEFORE_AUTHENTICATION {
            return None;
        }
        *count += 1;
        let all = self.clone();
        Some(Stranger { address, all })
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let mut counts = self.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_strangers() {
        let strangers = Strangers::default();
        let (one, other) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));

        let mut inside: Vec<_> = std::iter::from_fn(|| strangers.let_in(one)).collect();

        assert_eq!(inside.len(), limits::CONNECTIONS_BEFORE_AUTHENTICATION);
        assert!(strangers.let_in(other).is_some());
        inside.pop();
        assert!(strangers.let_in(one).is_some());
        drop(inside);
        assert!(strangers.0.lock().unwrap().is_empty());
    }
}
