//! A gateway in this process, with a SIP peer made of sockets.

use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use certs::authority::{Authority, CaRequest};
use certs::names::Name;
use certs::request::{BOTH, KeyKind, Request};
use gateway::admin::{Order, Reloaded};
use gateway::app::{App, Instruments, StartFault};
use gateway::link::Door;
use jid::BareJid;
use metrics_exporter_prometheus::PrometheusBuilder;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};
use translators::model::{
    Aor, Direction, InstantMessage, MessageStyle, Pair, Payload, PeerId, Wall,
};
use translators::shard::{ImKey, ImRecord, ImState};

pub(crate) const XMPP_DOMAIN: &str = "xmpp.example";
pub(crate) const SIP_DOMAIN: &str = "sip.example";

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(10);

/// A folder with certificates and a configuration, and a SIP peer that listens.
pub(crate) struct Lab {
    pub(crate) folder: TempDir,
    ca: Authority,
    peer: TcpListener,
}

/// A daemon that runs.
pub(crate) struct Daemon {
    orders: mpsc::Sender<Order>,
    running: JoinHandle<bool>,
    listening: Vec<(Door, SocketAddr)>,
}

/// A connection of the SIP peer.
pub(crate) struct Connection {
    stream: TlsStream<TcpStream>,
    received: BytesMut,
}

impl Lab {
    pub(crate) async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let ca = Authority::init(&CaRequest {
            common_name: "test CA".to_owned(),
            key_kind: KeyKind::P256,
            not_before: UnixTime::now(),
            days: 100,
        });
        let lab = Self {
            folder,
            ca: ca.unwrap(),
            peer: TcpListener::bind("127.0.0.1:0").await.unwrap(),
        };
        lab.write("ca.pem", &lab.ca.certificate_pem());
        lab.issue("xmpp", SIP_DOMAIN);
        lab.issue("sip", XMPP_DOMAIN);
        lab.issue("peer", SIP_DOMAIN);
        let route = lab.peer.local_addr().unwrap();
        lab.write(
            "isthmus.toml",
            &format!(
                r#"
[gateway]
state_dir = "state"
admin_socket = "admin.sock"
http = "127.0.0.1:0"
shards = 4

[xmpp]
listen = ["127.0.0.1:0"]
listen_direct = []
[[xmpp.identity]]
certificate = "xmpp.pem"
key = "xmpp.key"

[sip]
listen = ["127.0.0.1:0"]
host = "gateway.example"
[[sip.identity]]
certificate = "sip.pem"
key = "sip.key"

[[peer]]
name = "xmpp"
side = "xmpp"
domains = ["{XMPP_DOMAIN}"]
ca = "ca.pem"
route = ["127.0.0.1:1"]

[[peer]]
name = "sip"
side = "sip"
domains = ["{SIP_DOMAIN}"]
ca = "ca.pem"
route = ["{route}"]
"#
            ),
        );
        lab
    }

    /// Starts the daemon in this process.
    pub(crate) async fn start(&self) -> Result<Daemon, StartFault> {
        let file = self.folder.path().join("isthmus.toml");
        let (config, findings) = gateway::config::load(&file, UnixTime::now());
        let config = config.unwrap_or_else(|| panic!("{findings:?}"));
        let instruments = Instruments {
            metrics: PrometheusBuilder::new().build_recorder().handle(),
            logging: None,
        };
        let app = App::start(file, config, instruments).await?;
        Ok(Daemon {
            orders: app.orders(),
            listening: app.listening().to_vec(),
            running: tokio::spawn(app.run()),
        })
    }

    /// Takes the next connection of the gateway to the SIP peer.
    pub(crate) async fn accept(&self) -> Connection {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificates("ca.pem").remove(0)).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(
            Arc::new(roots),
            Arc::new(rustls::crypto::aws_lc_rs::default_provider()),
        );
        let config = ServerConfig::builder_with_provider(Arc::new(
            rustls::crypto::aws_lc_rs::default_provider(),
        ))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(self.certificates("peer.pem"), self.key("peer.key"))
        .unwrap();
        let (socket, _) = in_time(self.peer.accept()).await.unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let stream = in_time(acceptor.accept(socket)).await.unwrap();
        Connection::new(stream.into())
    }

    /// Connects to the gateway as the SIP peer.
    pub(crate) async fn connect(&self, daemon: &Daemon) -> Connection {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificates("ca.pem").remove(0)).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(
            rustls::crypto::aws_lc_rs::default_provider(),
        ))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(self.certificates("peer.pem"), self.key("peer.key"))
        .unwrap();
        let socket = TcpStream::connect(daemon.address(Door::Sip)).await.unwrap();
        let name = ServerName::try_from(XMPP_DOMAIN).unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        let stream = in_time(connector.connect(name, socket)).await.unwrap();
        Connection::new(stream.into())
    }

    /// Makes a certificate of the CA, in place of an earlier one of that name.
    pub(crate) fn issue(&self, name: &str, domain: &str) {
        let issued = self.ca.issue(&Request {
            common_name: domain.to_owned(),
            names: vec![Name::Dns(domain.to_owned())],
            eku: BOTH.to_vec(),
            key_kind: KeyKind::P256,
            not_before: UnixTime::now(),
            days: 90,
        });
        let issued = issued.unwrap();
        self.write(&format!("{name}.pem"), &issued.chain_pem);
        self.write(&format!("{name}.key"), &issued.key_pem);
    }

    /// Writes a file of the folder that only its owner may read.
    pub(crate) fn write(&self, name: &str, content: &str) {
        let path = self.folder.path().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    }

    fn certificates(&self, name: &str) -> Vec<CertificateDer<'static>> {
        let pem = fs::read(self.folder.path().join(name)).unwrap();
        let chain = CertificateDer::pem_slice_iter(&pem);
        chain.map(Result::unwrap).collect()
    }

    fn key(&self, name: &str) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_file(self.folder.path().join(name)).unwrap()
    }
}

impl Daemon {
    pub(crate) fn address(&self, door: Door) -> SocketAddr {
        let listener = self.listening.iter().find(|(known, _)| *known == door);
        listener.unwrap().1
    }

    /// Has the configuration read again.
    pub(crate) async fn reload(&self) -> Reloaded {
        let (reply, outcome) = oneshot::channel();
        self.orders.send(Order::Reload(reply)).await.unwrap();
        in_time(outcome).await.unwrap()
    }

    /// Asks for an orderly end; the answer says whether everything was finished.
    pub(crate) async fn drain(&self, grace: Duration) -> oneshot::Receiver<bool> {
        self.end(grace, false).await
    }

    /// The same, with every dialog ended before if it is `for_good`.
    pub(crate) async fn end(&self, grace: Duration, for_good: bool) -> oneshot::Receiver<bool> {
        let (done, answer) = oneshot::channel();
        let order = Order::Drain {
            grace,
            for_good,
            done,
        };
        self.orders.send(order).await.unwrap();
        answer
    }

    /// Waits for the end.
    pub(crate) async fn ended(self) -> bool {
        in_time(self.running).await.unwrap()
    }
}

impl Connection {
    fn new(stream: TlsStream<TcpStream>) -> Self {
        let received = BytesMut::new();
        Self { stream, received }
    }

    /// The certificate that the gateway shows.
    pub(crate) fn shown(&self) -> CertificateDer<'static> {
        let (_, session) = self.stream.get_ref();
        let chain = session.peer_certificates().unwrap();
        chain.first().unwrap().clone().into_owned()
    }

    /// The next message, head and body; nothing once the other end has closed in order.
    pub(crate) async fn message(&mut self) -> Option<String> {
        loop {
            if let Some(message) = self.cut() {
                return Some(message);
            }
            let read = in_time(self.stream.read_buf(&mut self.received)).await;
            if read.unwrap() == 0 {
                return None;
            }
        }
    }

    pub(crate) async fn send(&mut self, text: &str) {
        in_time(self.stream.write_all(text.as_bytes()))
            .await
            .unwrap();
        in_time(self.stream.flush()).await.unwrap();
    }

    /// Answers a request.
    pub(crate) async fn answer(&mut self, request: &str, status: &str) {
        let kept = ["Via:", "From:", "To:", "Call-ID:", "CSeq:"];
        let headers = request
            .lines()
            .filter(|line| kept.iter().any(|name| line.starts_with(name)));
        let headers: String = headers.map(|line| format!("{line}\r\n")).collect();
        let headers = headers.replace("\r\nCall-ID", ";tag=peer\r\nCall-ID");
        self.send(&format!(
            "SIP/2.0 {status}\r\n{headers}Content-Length: 0\r\n\r\n"
        ))
        .await;
    }

    fn cut(&mut self) -> Option<String> {
        let text = String::from_utf8_lossy(&self.received).into_owned();
        let blank = text.len() - text.trim_start_matches("\r\n").len();
        let head = text.get(blank..)?.find("\r\n\r\n")? + blank + 4;
        let length = text
            .get(blank..head)?
            .lines()
            .find_map(|line| line.strip_prefix("Content-Length: "));
        let end = head + length?.trim().parse::<usize>().ok()?;
        let message = text.get(blank..end)?.to_owned();
        self.received = self.received.split_off(end);
        Some(message)
    }
}

/// Waits, but not for ever.
pub(crate) async fn in_time<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.unwrap()
}

/// A message of alice for bob as a journal keeps it.
pub(crate) fn accepted(state: ImState, now: Wall) -> ImRecord {
    let text = Payload::Text {
        text: "before the crash".to_owned(),
        html: None,
        subject: None,
        chat_state: None,
        receipts: Vec::new(),
    };
    let message = InstantMessage {
        id: Some("m1".to_owned()),
        from_instance: None,
        to_instance: None,
        payload: text,
        lang: None,
        thread: None,
        sent_at: None,
        display_name: None,
        style: MessageStyle::Chat,
    };
    let user = |text: &str| BareJid::new(text).unwrap();
    ImRecord {
        key: ImKey([7; 16]),
        direction: Direction::ToSip,
        pair: Pair::new(
            user("alice@xmpp.example"),
            Aor::from_image(user("bob@sip.example")),
        ),
        from_peer: PeerId::new("xmpp"),
        sender_id: Some("m1".to_owned()),
        fingerprint: 7,
        message: Some(Arc::new(message)),
        accepted_at: now,
        deadline: now + Duration::from_secs(60),
        state,
    }
}

/// A request of the SIP peer.
pub(crate) fn request(method: &str, number: &str) -> String {
    format!(
        "{method} sip:alice@{XMPP_DOMAIN} SIP/2.0\r\n\
         Via: SIP/2.0/TLS 127.0.0.1;branch=z9hG4bKtest{number}\r\n\
         Max-Forwards: 70\r\n\
         From: <sip:bob@{SIP_DOMAIN}>;tag=f{number}\r\n\
         To: <sip:alice@{XMPP_DOMAIN}>\r\n\
         Call-ID: c{number}\r\n\
         CSeq: 1 {method}\r\n\
         Content-Length: 0\r\n\r\n"
    )
}

/// Waits until `done`.
pub(crate) async fn until(mut done: impl AsyncFnMut() -> bool) {
    in_time(async {
        while !done().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}
