//! Names to places: SRV, NAPTR and address lookups with static answers in front.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use rand::{Rng, RngExt};

use crate::config::{Dns, Override};

pub use crate::config::Srv;

/// Longest time a record is believed.
const LONGEST_TTL: Duration = Duration::from_secs(3_600);
/// Longest time that "there is none" is believed: an operator who adds a record should not wait.
const LONGEST_NEGATIVE_TTL: Duration = Duration::from_secs(60);
/// Names in the cache.
const CACHED_NAMES: u64 = 4_096;

/// Looks names up. "There is none" is an empty list; an error means that nobody knows.
pub trait Resolve: Send + Sync {
    /// SRV records of `name`, as they came.
    fn srv<'a>(&'a self, name: &'a str) -> Lookup<'a, Vec<Srv>>;

    /// NAPTR records of `name`, as they came.
    fn naptr<'a>(&'a self, name: &'a str) -> Lookup<'a, Vec<Naptr>>;

    /// Addresses of `name`; an address in text form is its own answer.
    fn addresses<'a>(&'a self, name: &'a str) -> Lookup<'a, Vec<IpAddr>>;
}

/// A lookup under way.
pub type Lookup<'a, T> = Pin<Box<dyn Future<Output = Result<T, Unresolved>> + Send + 'a>>;

/// Why a lookup failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unresolved {
    /// It is no name.
    #[error("not a domain name")]
    BadName,
    /// The server answered with an error.
    #[error("the name server answered with an error")]
    Failed,
    /// Nobody answered in time.
    #[error("no name server answered in time")]
    Timeout,
    /// The name server cannot be reached.
    #[error("no name server can be reached")]
    Unreachable,
}

/// A NAPTR record without its expression (RFC 3263 section 4.1 uses only replacements).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Naptr {
    /// Lower comes first.
    pub order: u16,
    /// Lower comes first within an order.
    pub preference: u16,
    /// Flags, lower case: `s` leads to SRV.
    pub flags: String,
    /// Service, upper case: `SIPS+D2T` is ours.
    pub service: String,
    /// The next name to ask, without final dot.
    pub replacement: String,
}

/// What SRV records say about a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Service {
    /// The domain says that it does not offer the service.
    Absent,
    /// The domain says nothing.
    Unpublished,
    /// Where it is, in the order to try.
    At(Vec<Srv>),
}

/// Puts SRV records in the order to try: by priority, by chance according to weight within one
/// (RFC 2782 "Usage rules").
pub fn arrange(mut records: Vec<Srv>, random: &mut impl Rng) -> Service {
    if records.is_empty() {
        return Service::Unpublished;
    }
    records.retain(|record| !record.target.is_empty());
    if records.is_empty() {
        return Service::Absent;
    }
    // "place all those with weight 0 at the beginning of the list"
    records.sort_by_key(|record| (record.priority, record.weight));
    let mut arranged = Vec::with_capacity(records.len());
    while let Some(priority) = records.first().map(|record| record.priority) {
        let group = records
            .iter()
            .take_while(|record| record.priority == priority);
        let total: u32 = group.clone().map(|record| u32::from(record.weight)).sum();
        let chosen = random.random_range(0..=total);
        let mut sum = 0;
        let mut sums = group.map(|record| {
            sum += u32::from(record.weight);
            sum
        });
        let place = sums.position(|sum| sum >= chosen).unwrap_or(0);
        arranged.push(records.remove(place));
    }
    Service::At(arranged)
}

/// Static answers in front of another resolver; without one, what is not listed does not exist.
pub struct Overridden {
    answers: BTreeMap<String, Override>,
    next: Option<Box<dyn Resolve>>,
}

impl Overridden {
    /// The resolver that the configuration describes.
    pub fn from_config(dns: &Dns) -> Result<Self, NetError> {
        let next = Hickory::new(&dns.servers, dns.timeout)?;
        Ok(Self {
            answers: dns.overrides.clone(),
            next: Some(Box::new(next)),
        })
    }

    /// A resolver that knows nothing else.
    pub const fn only(answers: BTreeMap<String, Override>) -> Self {
        Self {
            answers,
            next: None,
        }
    }

    fn answer(&self, name: &str) -> Option<&Override> {
        let name = name.strip_suffix('.').unwrap_or(name);
        self.answers.get(&name.to_ascii_lowercase())
    }
}

impl Resolve for Overridden {
    fn srv<'a>(&'a self, name: &'a str) -> Lookup<'a, Vec<Srv>> {
        match (self.answer(name), &self.next) {
            (Some(answer), _) => ready(answer.srv.clone()),
            (None, Some(next)) => next.srv(name),
            (None, None) => ready(Vec::new()),
        }
    }

    fn naptr<'a>(&'a self, name: &'a str) -> Lookup<'a, Vec<Naptr>> {
        match (self.answer(name), &self.next) {
            (None, Some(next)) => next.naptr(name),
            (Some(_) | None, _) => ready(Vec::new()),
        }
    }

    fn addresses<'a>(&'a self, name: &'a str) -> Lookup<'a, Vec<IpAddr>> {
        if let Ok(address) = name.parse() {
            return ready(vec![address]);
        }
        match (self.answer(name), &self.next) {
            (Some(answer), _) => ready(answer.addresses.clone()),
            (None, Some(next)) => next.addresses(name),
            (None, None) => ready(Vec::new()),
        }
    }
}

fn ready<'a, T: Send + 'a>(answer: T) -> Lookup<'a, T> {
    Box::pin(std::future::ready(Ok(answer)))
}

/// Name servers, asked with a cache. Neither the hosts file nor search domains play a part: what
/// a peer's name means must not depend on this machine's habits.
pub struct Hickory {
    resolver: TokioResolver,
}

impl Hickory {
    /// Asks `servers`, or those of the system where none are named.
    pub fn new(servers: &[SocketAddr], timeout: Duration) -> Result<Self, NetError> {
        let provider = TokioRuntimeProvider::default();
        let config = if servers.is_empty() {
            let (system, _) = hickory_resolver::system_conf::read_system_conf()?;
            ResolverConfig::from_name_servers(system.name_servers().to_vec())
        } else {
            let servers = servers.iter().map(name_server).collect();
            ResolverConfig::from_name_servers(servers)
        };
        let mut builder = TokioResolver::builder_with_config(config, provider);
        *builder.options_mut() = options(timeout);
        Ok(Self {
            resolver: builder.build()?,
        })
    }
}

fn name_server(address: &SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = address.port();
        connection
    });
    NameServerConfig::new(address.ip(), true, connections.to_vec())
}

fn options(timeout: Duration) -> ResolverOpts {
    let mut options = ResolverOpts::default();
    options.ndots = 0;
    options.timeout = timeout;
    options.attempts = 1;
    options.cache_size = CACHED_NAMES;
    options.use_hosts_file = ResolveHosts::Never;
    options.positive_max_ttl = Some(LONGEST_TTL);
    options.negative_max_ttl = Some(LONGEST_NEGATIVE_TTL);
    options.try_tcp_on_error = true;
    options
}

impl Resolve for Hickory {
    fn srv<'a>(&'a self, name: &'a str) -> Lookup<'a, Vec<Srv>> {
        Box::pin(async move {
            let found = self.records(name, RecordType::SRV).await?;
            Ok(found.iter().filter_map(srv).collect())
        })
    }

    fn naptr<'a>(&'a self, name: &'a str) -> Lookup<'a, Vec<Naptr>> {
        Box::pin(async move {
            let found = self.records(name, RecordType::NAPTR).await?;
            Ok(found.iter().filter_map(naptr).collect())
        })
    }

    fn addresses<'a>(&'a self, name: &'a str) -> Lookup<'a, Vec<IpAddr>> {
        Box::pin(async move {
            let (six, four) = tokio::join!(
                self.records(name, RecordType::AAAA),
                self.records(name, RecordType::A)
            );
            let found = match (six, four) {
                (Ok(mut six), Ok(four)) => {
                    six.extend(four);
                    six
                }
                (Ok(found), Err(_)) | (Err(_), Ok(found)) if !found.is_empty() => found,
                (Err(cause), _) | (_, Err(cause)) => return Err(cause),
            };
            Ok(found.iter().filter_map(RData::ip_addr).collect())
        })
    }
}

impl Hickory {
    /// The records of one type; none is an empty list.
    async fn records(&self, name: &str, kind: RecordType) -> Result<Vec<RData>, Unresolved> {
        let mut name = Name::from_utf8(name).map_err(|_| Unresolved::BadName)?;
        name.set_fqdn(true);
        match self.resolver.lookup(name, kind).await {
            Ok(found) => {
                let records = found.answers().iter();
                Ok(records.map(|record| record.data.clone()).collect())
            }
            Err(cause) if cause.is_no_records_found() => Ok(Vec::new()),
            Err(cause) => Err(Unresolved::from(&cause)),
        }
    }
}

impl From<&NetError> for Unresolved {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "a foreign non-exhaustive enum"
    )]
    fn from(cause: &NetError) -> Self {
        match cause {
            NetError::Timeout => Self::Timeout,
            NetError::Io(_) | NetError::NoConnections => Self::Unreachable,
            _ => Self::Failed,
        }
    }
}

fn srv(record: &RData) -> Option<Srv> {
    let RData::SRV(record) = record else {
        return None;
    };
    Some(Srv {
        priority: record.priority,
        weight: record.weight,
        target: plain(&record.target),
        port: record.port,
    })
}

fn naptr(record: &RData) -> Option<Naptr> {
    let RData::NAPTR(record) = record else {
        return None;
    };
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    Some(Naptr {
        order: record.order,
        preference: record.preference,
        flags: text(&record.flags).to_ascii_lowercase(),
        service: text(&record.services).to_ascii_uppercase(),
        replacement: plain(&record.replacement),
    })
}

/// The name in lower case without final dot; the root is empty.
fn plain(name: &Name) -> String {
    let text = name.to_ascii().to_ascii_lowercase();
    text.strip_suffix('.').unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn record(priority: u16, weight: u16, target: &str) -> Srv {
        Srv {
            priority,
            weight,
            target: target.to_owned(),
            port: 5269,
        }
    }

    fn order(records: &[Srv], seed: u64) -> Vec<String> {
        match arrange(records.to_vec(), &mut StdRng::seed_from_u64(seed)) {
            Service::At(records) => records.into_iter().map(|record| record.target).collect(),
            Service::Absent | Service::Unpublished => Vec::new(),
        }
    }

    #[test]
    fn lower_priority_comes_first_whatever_its_weight() {
        let records = [record(20, 100, "late"), record(10, 0, "early")];

        for seed in 0..50 {
            assert_eq!(order(&records, seed), ["early", "late"]);
        }
    }

    #[test]
    fn weight_is_the_share_of_first_places() {
        let records = [
            record(0, 30, "three"),
            record(0, 10, "one"),
            record(0, 0, "zero"),
        ];
        let mut firsts = BTreeMap::new();

        for seed in 0..4_000 {
            let order = order(&records, seed);
            assert_eq!(order.len(), 3);
            *firsts.entry(order[0].clone()).or_insert(0) += 1;
        }

        assert!((2_700..=3_150).contains(&firsts["three"]), "{firsts:?}");
        assert!((800..=1_150).contains(&firsts["one"]), "{firsts:?}");
        assert!((1..=200).contains(&firsts["zero"]), "{firsts:?}");
    }

    #[test]
    fn a_dot_says_that_the_service_is_not_there() {
        let random = &mut StdRng::seed_from_u64(1);

        assert_eq!(arrange(vec![record(0, 0, "")], random), Service::Absent);
        assert_eq!(arrange(Vec::new(), random), Service::Unpublished);
    }

    #[tokio::test]
    async fn static_answers_stand_before_dns_and_names_are_compared_without_case() {
        let answer = Override {
            srv: vec![record(0, 0, "host.example")],
            addresses: vec!["192.0.2.1".parse().unwrap()],
        };
        let names = Overridden::only(BTreeMap::from([("xmpp.example".to_owned(), answer)]));

        assert_eq!(names.srv("XMPP.example.").await.unwrap()[0].port, 5269);
        let found = names.addresses("xmpp.example").await.unwrap();
        assert_eq!(found, ["192.0.2.1".parse::<IpAddr>().unwrap()]);
        assert!(names.addresses("other.example").await.unwrap().is_empty());
        let literal = names.addresses("2001:db8::1").await.unwrap();
        assert_eq!(literal, ["2001:db8::1".parse::<IpAddr>().unwrap()]);
    }
}
