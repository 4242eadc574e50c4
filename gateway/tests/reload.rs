//! A running daemon takes a new configuration whole, or not at all, and drops no link for it.
#![allow(clippy::unwrap_used)]

use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use certs::authority::{Authority, CaRequest};
use certs::credentials::{Credentials, Source};
use certs::identity::{NamePolicy, Side};
use certs::names::Name;
use certs::request::{BOTH, KeyKind, Request};
use certs::trust::{self, Eku, Trust};
use certs::verifier::{Outbound, Tls};
use gateway::admin::{Order, Reloaded};
use gateway::app::{App, Instruments};
use gateway::clock::Clock;
use gateway::config;
use gateway::link::Door;
use gateway::telemetry::metrics;
use metrics_exporter_prometheus::PrometheusHandle;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

const LIMIT: Duration = Duration::from_secs(20);
const CONFIG: &str = r#"
[gateway]
state_dir = "state"
admin_socket = "admin.sock"
http = "127.0.0.1:0"
shards = 2
[xmpp]
listen = ["127.0.0.1:0"]
listen_direct = ["127.0.0.1:0"]
[[xmpp.identity]]
certificate = "xmpp.pem"
key = "xmpp.key"
[sip]
listen = ["127.0.0.1:0"]
[[sip.identity]]
certificate = "sip.pem"
key = "sip.key"
[[peer]]
name = "xmpp"
side = "xmpp"
domains = ["one.example.net"]
ca = "ca.pem"
route = ["127.0.0.1:9"]
[[peer]]
name = "sip"
side = "sip"
domains = ["two.example.net"]
ca = "ca.pem"
route = ["127.0.0.1:9"]
"#;

/// A daemon in this process.
struct Daemon {
    folder: TempDir,
    ca: Authority,
    orders: mpsc::Sender<Order>,
    listening: Vec<(Door, SocketAddr)>,
}

impl Daemon {
    async fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let ca = Authority::init(&CaRequest {
            common_name: "test CA".to_owned(),
            key_kind: KeyKind::P256,
            not_before: started(),
            days: 100,
        });
        let ca = ca.unwrap();
        write(folder.path(), "ca.pem", &ca.certificate_pem());
        write(folder.path(), "isthmus.toml", CONFIG);
        issue(&ca, folder.path(), "xmpp", "two.example.net");
        issue(&ca, folder.path(), "sip", "one.example.net");
        let file = folder.path().join("isthmus.toml");
        let (config, findings) = config::load(&file, Clock::start().unix_time());
        let config = config.unwrap_or_else(|| panic!("{findings:#?}"));
        let instruments = Instruments {
            metrics: recorder(),
            logging: None,
        };
        let app = App::start(file, config, instruments).await.unwrap();
        let (orders, listening) = (app.orders(), app.listening().to_vec());
        tokio::spawn(app.run());
        Self {
            folder,
            ca,
            orders,
            listening,
        }
    }

    fn at(&self, door: Door) -> SocketAddr {
        let mut open = self.listening.iter();
        open.find(|(one, _)| *one == door).unwrap().1
    }

    async fn reload(&self) -> Reloaded {
        let (reply, outcome) = oneshot::channel();
        self.orders.send(Order::Reload(reply)).await.unwrap();
        timeout(LIMIT, outcome).await.unwrap().unwrap()
    }

    fn issue(&self, side: &str, domain: &str) {
        issue(&self.ca, self.folder.path(), side, domain);
    }

    fn write(&self, name: &str, content: &str) {
        write(self.folder.path(), name, content);
    }

    /// The certificate that a new connection is shown.
    async fn shown(&self) -> CertificateDer<'static> {
        let now = Clock::start().unix_time();
        let read = |name| fs::read(self.folder.path().join(name)).unwrap();
        let anchors = self.ca.certificate_pem();
        let source = trust::Source {
            subject: "test",
            anchors: anchors.as_bytes(),
            crls: None,
            eku: Eku::ServerOk,
            depth: 1,
            pins: &[],
            names: NamePolicy::San,
            expected: &[],
        };
        let trust = Arc::new(Trust::load(&source, now).0.unwrap());
        let (chain, key) = (read("sip.pem"), read("sip.key"));
        let source = Source {
            subject: "test",
            chain: &chain,
            key: &key,
        };
        let own = Credentials::load(&[source], now).0.unwrap().for_name("");
        let verifier = Arc::new(Outbound::new(trust, Side::Xmpp, "two.example.net"));
        let tls = Tls::new(Arc::new(Clock::start())).client_config(verifier, own);
        let tcp = TcpStream::connect(self.at(Door::XmppDirect)).await.unwrap();
        let name = ServerName::try_from("two.example.net").unwrap();
        let connecting = TlsConnector::from(Arc::new(tls.unwrap())).connect(name, tcp);
        let stream = timeout(LIMIT, connecting).await.unwrap().unwrap();
        let (_, session) = stream.get_ref();
        let chain = session.peer_certificates().unwrap();
        chain.first().unwrap().clone().into_owned()
    }
}

/// A minute ago: validity must have begun.
fn started() -> UnixTime {
    let now = Clock::start().unix_time().as_secs();
    UnixTime::since_unix_epoch(Duration::from_secs(now - 60))
}

fn write(folder: &Path, name: &str, content: &str) {
    let path = folder.join(name);
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
}

fn issue(ca: &Authority, folder: &Path, name: &str, domain: &str) {
    let issued = ca.issue(&Request {
        common_name: domain.to_owned(),
        names: vec![Name::Dns(domain.to_owned())],
        eku: BOTH.to_vec(),
        key_kind: KeyKind::P256,
        not_before: started(),
        days: 90,
    });
    let issued = issued.unwrap();
    write(folder, &format!("{name}.pem"), &issued.chain_pem);
    write(folder, &format!("{name}.key"), &issued.key_pem);
}

/// One recorder serves every daemon of the process.
fn recorder() -> PrometheusHandle {
    static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
    RECORDER.get_or_init(|| metrics::install().unwrap()).clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_is_shown_at_once_and_a_bad_one_never() {
    let daemon = Daemon::start().await;
    let first = daemon.shown().await;

    daemon.issue("xmpp", "two.example.net");
    assert_eq!(daemon.shown().await, first, "it takes a reload");
    assert!(daemon.reload().await.applied);
    let second = daemon.shown().await;
    assert_ne!(second, first);

    let key = fs::read_to_string(daemon.folder.path().join("sip.key")).unwrap();
    for (name, content, id) in [
        ("xmpp.key", key.as_str(), "own-cert-key-mismatch"),
        ("xmpp.pem", "nothing", "own-cert-unreadable"),
    ] {
        daemon.write(name, content);
        let outcome = daemon.reload().await;
        assert!(!outcome.applied);
        assert!(
            outcome.findings.iter().any(|finding| finding.id == id),
            "{outcome:?}"
        );
        assert_eq!(daemon.shown().await, second);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_others_may_read_is_refused_whole() {
    let daemon = Daemon::start().await;
    let first = daemon.shown().await;

    daemon.issue("xmpp", "two.example.net");
    let key = daemon.folder.path().join("xmpp.key");
    fs::set_permissions(key, Permissions::from_mode(0o644)).unwrap();
    let outcome = daemon.reload().await;

    assert!(!outcome.applied);
    assert_eq!(outcome.findings.first().unwrap().id, "config-key-exposed");
    assert_eq!(daemon.shown().await, first);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_under_way_survives_reloads() {
    let daemon = Daemon::start().await;
    let mut link = TcpStream::connect(daemon.at(Door::XmppStartTls))
        .await
        .unwrap();

    daemon.issue("xmpp", "two.example.net");
    assert!(daemon.reload().await.applied);
    daemon.write("isthmus.toml", "nonsense");
    assert!(!daemon.reload().await.applied);

    let header = "<stream:stream xmlns='jabber:server' \
                  xmlns:stream='http://etherx.jabber.org/streams' version='1.0' \
                  from='one.example.net' to='two.example.net'>";
    link.write_all(header.as_bytes()).await.unwrap();
    let mut answer = String::new();
    while !answer.contains("starttls") {
        let mut part = [0; 1024];
        let read = timeout(LIMIT, link.read(&mut part)).await.unwrap().unwrap();
        assert_ne!(read, 0, "the link was closed: {answer}");
        answer.push_str(std::str::from_utf8(part.get(..read).unwrap()).unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_a_restart_is_said() {
    let daemon = Daemon::start().await;

    daemon.write("isthmus.toml", &CONFIG.replace("shards = 2", "shards = 3"));
    let outcome = daemon.reload().await;

    assert!(outcome.applied);
    let ids: Vec<_> = outcome.findings.iter().map(|finding| finding.id).collect();
    assert_eq!(ids, ["config-takes-a-restart"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_daemon_ends_clean() {
    let daemon = Daemon::start().await;
    let (done, clean) = oneshot::channel();
    let grace = Duration::from_secs(5);
    daemon
        .orders
        .send(Order::Drain { grace, done })
        .await
        .unwrap();

    assert!(timeout(LIMIT, clean).await.unwrap().unwrap());
}
