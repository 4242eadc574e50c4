//! A daemon that has nothing but its admin socket, for tests.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use translators::model::{Aor, Direction, Pair, PeerId, Wall};
use translators::shard::{ImKey, ImRecord, ImState, Place, Shard};
use translators::sip::{Hosts, Mark};

use crate::admin::{Answers, Gateway, Order, bind, serve};
use crate::clock::Clock;
use crate::config::testing::{NOW, WORKING, folder};
use crate::config::{Config, load_text};
use crate::decisions::Decisions;
use crate::egress::Egress;
use crate::peers::{PathDomains, Peers};
use crate::resolve::Overridden;
use crate::shards::{self, Inputs};
use crate::store::{self, Kept, Store};
use crate::telemetry::http::Readiness;

/// The daemon.
pub(crate) struct Daemon {
    pub(crate) folder: TempDir,
    pub(crate) store: Store,
    pub(crate) peers: Peers,
    pub(crate) orders: mpsc::Receiver<Order>,
}

impl Daemon {
    pub(crate) fn start() -> Self {
        Self::start_with(WORKING)
    }

    /// Starts with another configuration.
    pub(crate) fn start_with(text: &str) -> Self {
        let folder = folder();
        let clock = Clock::start();
        let file = folder.path().join("isthmus.toml");
        let config = load_text(&file, text, NOW).0.unwrap();
        std::fs::create_dir(&config.process.state_dir).unwrap();
        let (store, kept) = store::open(&config.process.state_dir, clock).unwrap();
        let (orders, taken) = mpsc::channel(1);
        let peers = peers(&config, clock);
        let directory = Arc::clone(&config.directory);
        let egress = Egress::new(peers.clone(), store.clone(), directory, clock);
        let inputs = shards(kept, &config, &egress, &store, clock);
        let policy = Arc::new(config.policy.with_acl(store.acl().unwrap()));
        let gateway = Gateway {
            clock,
            started: clock.now().wall,
            file,
            decisions: Decisions::new(policy, store.clone(), inputs.clone(), clock),
            inputs,
            resolver: Arc::new(ArcSwap::from_pointee(Overridden::only(BTreeMap::new()))),
            egress,
            peers: peers.clone(),
            config: Arc::new(ArcSwap::from_pointee(config)),
            store: store.clone(),
            readiness: Readiness::default(),
            orders,
            answers: Answers::default(),
        };
        let listener = bind(&socket(&folder)).unwrap();
        tokio::spawn(serve(listener, gateway));
        Self {
            folder,
            store,
            peers,
            orders: taken,
        }
    }

    pub(crate) async fn ask(&self, request: &Value) -> Value {
        ask(&socket(&self.folder), &format!("{request}\n")).await
    }
}

pub(crate) fn socket(folder: &TempDir) -> PathBuf {
    folder.path().join("admin.sock")
}

pub(crate) async fn ask(socket: &Path, line: &str) -> Value {
    let mut client = BufReader::new(UnixStream::connect(socket).await.unwrap());
    client.write_all(line.as_bytes()).await.unwrap();
    let mut answer = String::new();
    client.read_line(&mut answer).await.unwrap();
    serde_json::from_str(&answer).unwrap()
}

pub(crate) fn record(sender_id: &str, state: ImState) -> ImRecord {
    let user = |jid: &str| jid.parse().unwrap();
    ImRecord {
        key: ImKey([7; 16]),
        direction: Direction::ToSip,
        pair: Pair::new(
            user("juliet@one.example.net"),
            Aor::from_image(user("romeo@two.example.net")),
        ),
        from_peer: PeerId::new("prosody"),
        sender_id: Some(sender_id.to_owned()),
        fingerprint: 0,
        message: None,
        accepted_at: Wall::from_unix_millis(1_800_000_000_000),
        deadline: Wall::from_unix_millis(1_800_000_060_000),
        state,
    }
}

/// Shards that run, and have nothing to do.
fn shards(kept: Kept, config: &Config, egress: &Egress, store: &Store, clock: Clock) -> Inputs {
    let place = |number| Place {
        number,
        mark: Mark(0),
        hosts: Hosts::only("gw.example", 5061).unwrap(),
    };
    let shard = |number| {
        let (directory, policy) = (Arc::clone(&config.directory), Arc::clone(&config.policy));
        Shard::new(place(number), 1, directory, policy)
    };
    let shards = (0..2).map(shard).collect();
    let (inputs, groups) = shards::deal(shards, 1, egress, store, clock);
    tokio::spawn(shards::load(kept, 2, groups));
    inputs
}

fn peers(config: &Config, clock: Clock) -> Peers {
    let peers = Peers::new(1, 2, clock);
    peers.configure(config.peers.values(), PathDomains::default());
    peers
}
