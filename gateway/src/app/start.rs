//! From a configuration to a running daemon.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use translators::model::{Domain, Side};
use translators::policy::Policy;
use translators::shard::{ImState, Place, Shard};
use translators::sip::{Hosts, Mark};

use crate::admin::{self, Answers, Gateway, Order, SocketFault};
use crate::clock::Clock;
use crate::config::{Config, SIPS};
use crate::decisions::Decisions;
use crate::egress::Egress;
use crate::ingress::Ingress;
use crate::link::{self, Context, Door, Lines, Strangers};
use crate::peers::{PathDomains, Peers};
use crate::resolve::Overridden;
use crate::shards::{self, Group, Inputs, LoadFault};
use crate::store::{self, Kept, Mark as JournalMark, Store, StoreError};
use crate::telemetry::events::ProcessEvent;
use crate::telemetry::http::{self, Readiness};
use crate::telemetry::logs::Logging;
use crate::tls::{Tls, sip_certificates};

/// The daemon, built and started.
pub struct App {
    pub(super) file: PathBuf,
    pub(super) clock: Clock,
    pub(super) config: Arc<ArcSwap<Config>>,
    pub(super) resolver: Arc<ArcSwap<Overridden>>,
    pub(super) peers: Peers,
    pub(super) inputs: Inputs,
    pub(super) decisions: Decisions,
    pub(super) egress: Egress,
    pub(super) store: Store,
    pub(super) readiness: Readiness,
    pub(super) logging: Option<Logging>,
    pub(super) ending: watch::Sender<bool>,
    pub(super) groups: Vec<JoinHandle<()>>,
    listening: Vec<(Door, SocketAddr)>,
    pub(super) orders: mpsc::Receiver<Order>,
    asks: mpsc::Sender<Order>,
    answers: Answers,
}

/// Why the daemon does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartFault {
    /// The admin socket.
    #[error(transparent)]
    Admin(#[from] SocketFault),
    /// The state folder.
    #[error("the folder {} cannot be used: {source}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A listener.
    #[error("nothing can listen on {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The resolver.
    #[error("names cannot be resolved: {0}")]
    Resolver(Box<dyn std::error::Error + Send + Sync>),
    /// What the journal kept.
    #[error(transparent)]
    Load(#[from] LoadFault),
    /// The journal.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Everything that listens.
struct Sockets {
    doors: Vec<(Door, TcpListener)>,
    admin: UnixListener,
    http: TcpListener,
}

/// What the operator's view of the daemon needs from outside.
pub struct Instruments {
    /// What was counted.
    pub metrics: PrometheusHandle,
    /// Where the log goes; its level follows the configuration.
    pub logging: Option<Logging>,
}

impl App {
    /// Builds every part in order and starts it: the journal first, then listeners, then shards,
    /// and only then connections of our own.
    pub async fn start(
        file: PathBuf,
        config: Config,
        instruments: Instruments,
    ) -> Result<Self, StartFault> {
        ProcessEvent::Starting { config: &file }.emit();
        let clock = Clock::start();
        let folder = &config.process.state_dir;
        fs::create_dir_all(folder).map_err(|source| StartFault::Folder {
            path: folder.clone(),
            source,
        })?;
        let (store, kept) = store::open(folder, clock)?;
        let policy = Arc::new(config.policy.with_acl(store.acl()?));
        let sockets = Sockets::open(&config).await?;
        let resolver = resolver(&config)?;
        let (hosts, mark) = (hosts(&config, &sockets), Mark(rand::random()));
        let config = Arc::new(ArcSwap::from_pointee(config));
        let peers = {
            let config = config.load();
            Peers::new(groups(&config), config.process.shards, clock)
        };
        configure_peers(&peers, &config.load());
        let place = |number| Place {
            number,
            mark,
            hosts: hosts.clone(),
        };
        let directory = Arc::clone(&config.load().directory);
        let egress = Egress::new(peers.clone(), store.clone(), directory, clock);
        let (inputs, tasks) = shards(&config.load(), &policy, place, &egress, &store, clock);
        let decisions = Decisions::new(policy, store.clone(), inputs.clone(), clock);
        let groups = load(tasks, kept, &egress, &store, inputs.shards(), clock).await?;
        let (ending, end) = watch::channel(false);
        let ingress = Ingress::new(
            Arc::clone(&config),
            peers.clone(),
            inputs.clone(),
            clock,
            end.clone(),
        );
        let context = Context {
            config: Arc::clone(&config),
            clock,
            tls: Arc::new(Tls::new(Arc::clone(&config), clock)),
            peers: peers.clone(),
            ingress,
            resolver: Arc::clone(&resolver),
            mark,
            hosts,
            strangers: Strangers::default(),
            lines: Lines::default(),
            ending: end,
        };
        let (asks, orders) = mpsc::channel(ORDERS);
        let mut app = Self {
            file,
            clock,
            config,
            resolver,
            peers,
            inputs,
            decisions,
            egress,
            store,
            readiness: Readiness::default(),
            logging: instruments.logging,
            ending,
            groups,
            listening: Vec::new(),
            orders,
            asks,
            answers: Answers::default(),
        };
        app.open(sockets, &context, instruments.metrics);
        Ok(app)
    }

    /// Where to send orders, such as those of signals.
    pub fn orders(&self) -> mpsc::Sender<Order> {
        self.asks.clone()
    }

    /// Where it listens.
    pub fn listening(&self) -> &[(Door, SocketAddr)] {
        &self.listening
    }

    /// Carries out orders until one of them ends the daemon; true if everything was finished.
    pub async fn run(mut self) -> bool {
        while let Some(order) = self.orders.recv().await {
            match order {
                Order::Reload(reply) => {
                    let outcome = self.reload().await;
                    answer(reply, outcome);
                }
                Order::Drain {
                    grace,
                    for_good,
                    done,
                } => {
                    let clean = self.drain(grace, for_good).await;
                    answer(done, clean);
                    self.answers.all_given().await;
                    return clean;
                }
            }
        }
        false
    }

    fn open(&mut self, sockets: Sockets, context: &Context, metrics: PrometheusHandle) {
        for (door, listener) in sockets.doors {
            if let Ok(address) = listener.local_addr() {
                self.listening.push((door, address));
            }
            tokio::spawn(link::accept(context.clone(), listener, door));
        }
        let peers = self.peers.clone();
        tokio::spawn(async move { peers.run().await });
        tokio::spawn(link::connect_wanted(context.clone()));
        tokio::spawn(admin::serve(sockets.admin, self.gateway()));
        let (config, peers) = (Arc::clone(&self.config), self.peers.clone());
        tokio::spawn(admin::watch(config, peers, self.clock));
        tokio::spawn(http::serve(sockets.http, metrics, self.readiness.clone()));
        self.readiness.set(true);
        ProcessEvent::Ready.emit();
    }

    fn gateway(&self) -> Gateway {
        Gateway {
            clock: self.clock,
            started: self.clock.now().wall,
            file: self.file.clone(),
            config: Arc::clone(&self.config),
            peers: self.peers.clone(),
            store: self.store.clone(),
            decisions: self.decisions.clone(),
            inputs: self.inputs.clone(),
            resolver: Arc::clone(&self.resolver),
            egress: self.egress.clone(),
            readiness: self.readiness.clone(),
            orders: self.asks.clone(),
            answers: self.answers.clone(),
        }
    }
}

impl Sockets {
    async fn open(config: &Config) -> Result<Self, StartFault> {
        let doors = [
            (Door::XmppStartTls, &config.xmpp.listen),
            (Door::XmppDirect, &config.xmpp.listen_direct),
            (Door::Sip, &config.sip.listen),
        ];
        let doors = doors
            .into_iter()
            .flat_map(|(door, addresses)| addresses.iter().map(move |address| (door, *address)));
        let opened = doors.map(|(door, address)| {
            let listener = link::listen(address);
            let listener = listener.map_err(|source| StartFault::Listen { address, source });
            Ok((door, listener?))
        });
        let address = config.process.http;
        let http = TcpListener::bind(address).await;
        Ok(Self {
            doors: opened.collect::<Result<_, StartFault>>()?,
            admin: admin::bind(&config.process.admin_socket)?,
            http: http.map_err(|source| StartFault::Listen { address, source })?,
        })
    }
}

/// One group of shards for each core.
fn groups(config: &Config) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    cores.min(usize::from(config.process.shards))
}

fn shards(
    config: &Config,
    policy: &Arc<Policy>,
    place: impl Fn(u16) -> Place,
    egress: &Egress,
    store: &Store,
    clock: Clock,
) -> (Inputs, Vec<Group>) {
    let shard = |number| {
        let (directory, policy) = (Arc::clone(&config.directory), Arc::clone(policy));
        Shard::new(place(number), rand::random(), directory, policy)
    };
    let shards = (0..config.process.shards).map(shard).collect();
    shards::deal(shards, groups(config), egress, store, clock)
}

/// Starts the shards with what the journal kept for them.
async fn load(
    tasks: Vec<Group>,
    kept: Kept,
    egress: &Egress,
    store: &Store,
    shards: u16,
    clock: Clock,
) -> Result<Vec<JoinHandle<()>>, LoadFault> {
    let count = |wanted: fn(&ImState) -> bool| {
        let ims = kept.ims.iter();
        ims.filter(|record| wanted(&record.state)).count()
    };
    let waiting = count(|state| matches!(state, ImState::Waiting));
    let bounced = count(|state| matches!(state, ImState::Sent | ImState::Failing(_)));
    let from_backup = kept.from_backup;
    let begun = clock.now().mono;
    egress.peers().announce_nothing();
    egress.suspect(&kept.suspects);
    let (groups, read) = shards::load(kept, shards, tasks).await?;
    ProcessEvent::JournalReplayed {
        waiting,
        bounced,
        relations: read.relations,
        documents: read.documents,
        took: clock.now().mono.since(begun),
    }
    .emit();
    if from_backup.is_some() {
        // From now on numbers are kept as after any other start.
        store.set(JournalMark::Backup, None).await?;
    }
    egress.peers().announce();
    Ok(groups)
}

/// Makes the resolver that a configuration describes.
pub(super) fn resolver(config: &Config) -> Result<Arc<ArcSwap<Overridden>>, StartFault> {
    let resolver = Overridden::from_config(&config.dns);
    let resolver = resolver.map_err(|error| StartFault::Resolver(error.into()))?;
    Ok(Arc::new(ArcSwap::from_pointee(resolver)))
}

/// What our Vias name: the hosts of the configuration, and the port of the first listener.
fn hosts(config: &Config, sockets: &Sockets) -> Hosts {
    let first = sockets
        .doors
        .iter()
        .find(|(door, _)| door.side() == Side::Sip);
    let port = first.and_then(|(_, listener)| listener.local_addr().ok());
    let port = port.map_or(SIPS, |address| address.port());
    config.sip.hosts.clone().on_port(port)
}

/// Makes the registry hold the peers of a configuration.
pub(super) fn configure_peers(peers: &Peers, config: &Config) {
    let mut main = std::collections::BTreeMap::new();
    for peer in config.peers_on(Side::Xmpp) {
        for subdomain in &peer.subdomains {
            let above = |domain: &&Domain| {
                subdomain
                    .as_str()
                    .strip_suffix(domain.as_str())
                    .is_some_and(|rest| rest.ends_with('.'))
            };
            let nearest = peer
                .domains
                .iter()
                .filter(above)
                .max_by_key(|domain| domain.as_str().len());
            if let Some(domain) = nearest.or_else(|| peer.domains.first()) {
                main.insert(subdomain.clone(), domain.clone());
            }
        }
    }
    let sip_certificate = sip_certificates(config);
    peers.configure(
        config.peers.values(),
        PathDomains {
            main,
            sip_certificate,
        },
    );
}

fn answer<T>(reply: oneshot::Sender<T>, outcome: T) {
    // Who asked may have gone meanwhile.
    reply.send(outcome).ok();
}

/// Orders that wait.
const ORDERS: usize = 8;
