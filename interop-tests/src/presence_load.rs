//! Presence for the benchmark: an XMPP peer and a SIP peer that grant, show and answer everything,
//! as cheaply as they can, and count what reaches them.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustls::pki_types::ServerName;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::bridge::SIP_DOMAIN;
use crate::inbox::locked;
use crate::lab::{Host, Lab, S2S, SIPS};
use crate::load::{open_stream, pong};
use crate::s2s::{Dial, SERVER, Stage};
use crate::sip::{SipMessage, uri_of};
use crate::sip_wire::{Takes, serve, take_frames, write};
use crate::tls::TlsSettings;
use crate::xml::{Cutter, Text};
use crate::xmpp_peer;
use crate::xmpp_server::{Reach, publish};

/// The route set of a dialog: 200 octets.
const ROUTES: &str = "<sip:edge-a.sip.example:5061;transport=tls;lr;ms-fe=frontend-01.sip.example;\
    opaque=state:Rp:Sq.7f3a9c>,<sip:pool.sip.example:5061;transport=tls;lr;\
    ms-key-info=AAEAAQx7f3a9c0d1e2;ms-route-sig=bLx7f3a9c0d1e2f3>";
/// What makes a document one of 600 octets.
const NOTE: &str = "In a meeting until four, then on the train; for anything urgent please call the \
    desk on the second floor, where somebody will find me or take a note of it for tomorrow.";

/// What reached the two peers.
#[derive(Debug, Default)]
pub struct Tally {
    /// NOTIFYs at the SIP peer.
    pub notified: AtomicU64,
    /// NOTIFYs there with a document that shows somebody.
    pub documents: AtomicU64,
    /// SUBSCRIBEs there.
    pub subscribes: AtomicU64,
    /// Available presence at the XMPP peer.
    pub shown: AtomicU64,
    /// Unavailable presence there.
    pub hidden: AtomicU64,
    /// Probes there.
    pub probes: AtomicU64,
    /// Anything that has no place here.
    troubles: Mutex<Option<String>>,
    refused: AtomicU64,
    /// When something was counted last, in milliseconds since the start of the peers.
    moved: AtomicU64,
}

/// Both peers, around a gateway that may be restarted.
#[derive(Debug)]
pub struct PresenceLoad {
    tally: Arc<Tally>,
    begun: Instant,
    xmpp: mpsc::Sender<Vec<u8>>,
    sip: mpsc::Sender<Vec<u8>>,
    local: SocketAddr,
}

/// What the tasks of the peers share.
#[derive(Clone, Debug)]
struct Peers {
    tally: Arc<Tally>,
    begun: Instant,
    /// CSeq of NOTIFYs: one row of numbers for all dialogs.
    cseq: Arc<AtomicU64>,
    /// The way to the gateway's domain.
    stanzas: Arc<Mutex<Option<mpsc::Sender<Vec<u8>>>>>,
}

/// The listeners of both peers, before there is a gateway.
#[derive(Debug)]
pub struct Listening {
    peers: Peers,
    xmpp: TlsSettings,
    sip: TlsSettings,
}

impl Listening {
    /// Starts listening: a gateway that starts finds its peers.
    pub async fn start(lab: &Lab, xmpp: TlsSettings, sip: TlsSettings) -> Result<Self> {
        let seconds = std::time::SystemTime::UNIX_EPOCH.elapsed()?.as_secs();
        let peers = Peers {
            tally: Arc::default(),
            begun: Instant::now(),
            cseq: Arc::new(AtomicU64::new(seconds)),
            stanzas: Arc::default(),
        };
        publish(lab, xmpp_peer::DOMAIN, Host::XmppPeer, Reach::StartTls);
        let streams = TcpListener::bind(lab.at(Host::XmppPeer, S2S)).await?;
        let requests = TcpListener::bind(lab.at(Host::SipAgent, SIPS)).await?;
        tokio::spawn(serve_streams(streams, xmpp.clone(), peers.clone()));
        tokio::spawn(serve(requests, sip.clone(), peers.clone()));
        Ok(Self { peers, xmpp, sip })
    }

    /// What was counted so far.
    pub fn tally(&self) -> &Tally {
        &self.peers.tally
    }

    /// Takes note that the gateway has ended: what it is answered waits for a new link to it.
    pub fn hang_up(&self) {
        *locked(&self.peers.stanzas) = None;
    }

    /// Opens the peers' own links to the gateway, which must listen.
    pub async fn connect(&self, lab: &Lab) -> Result<PresenceLoad> {
        let dial = Dial {
            address: lab.at(Host::Gateway, S2S),
            source: None,
            direct: false,
            from: xmpp_peer::DOMAIN,
            to: SIP_DOMAIN,
            tls: &self.xmpp,
            authzid: None,
        };
        let (xmpp, stanzas) = mpsc::channel(4096);
        let stream = dial.reach(Stage::Open).await?;
        tokio::spawn(write(stream.into_inner(), stanzas));
        *locked(&self.peers.stanzas) = Some(xmpp.clone());
        let socket = TcpStream::connect(lab.at(Host::Gateway, SIPS)).await?;
        socket.set_nodelay(true)?;
        let name = ServerName::try_from(xmpp_peer::DOMAIN)?;
        let connection = self.sip.connector()?.connect(name, socket).await?;
        let (reading, writing) = tokio::io::split(connection);
        let (sip, requests) = mpsc::channel(4096);
        tokio::spawn(write(writing, requests));
        tokio::spawn(take_frames(reading, sip.clone(), self.peers.clone()));
        Ok(PresenceLoad {
            tally: Arc::clone(&self.peers.tally),
            begun: self.peers.begun,
            xmpp,
            sip,
            local: lab.at(Host::SipAgent, SIPS),
        })
    }
}

impl Tally {
    /// Forgets everything.
    pub fn clear(&self) {
        for count in [
            &self.notified,
            &self.documents,
            &self.subscribes,
            &self.shown,
            &self.hidden,
            &self.probes,
            &self.refused,
        ] {
            count.store(0, Ordering::Relaxed);
        }
        *locked(&self.troubles) = None;
    }

    fn complain(&self, of: &str) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        locked(&self.troubles).get_or_insert_with(|| of.to_owned());
    }

    /// The first of what has no place here, and how many there were.
    pub fn trouble(&self) -> Option<(String, u64)> {
        let first = locked(&self.troubles).clone()?;
        Some((first, self.refused.load(Ordering::Relaxed)))
    }

    fn count(&self, what: &AtomicU64, begun: Instant) {
        what.fetch_add(1, Ordering::Relaxed);
        let now = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.moved.store(now, Ordering::Relaxed);
    }
}

impl PresenceLoad {
    /// Lets an XMPP user ask to see a SIP user.
    pub async fn watch(&self, user: u64, contact: u64) -> Result<()> {
        let peer = xmpp_peer::DOMAIN;
        let stanza = format!(
            "<presence type=\"subscribe\" from=\"user{user}@{peer}\" \
             to=\"contact{contact}.{user}@{SIP_DOMAIN}\"/>"
        );
        Ok(self.xmpp.send(stanza.into_bytes()).await?)
    }

    /// Lets a SIP user ask to see an XMPP user.
    pub async fn subscribe(&self, user: u64, contact: u64) -> Result<()> {
        let (peer, local) = (xmpp_peer::DOMAIN, self.local);
        let request = format!(
            "SUBSCRIBE sip:user{user}@{peer} SIP/2.0\r\n\
             Via: SIP/2.0/TLS {local};branch=z9hG4bK{user}.{contact}\r\nMax-Forwards: 70\r\n\
             Record-Route: {ROUTES}\r\n\
             From: <sip:contact{contact}.{user}@{SIP_DOMAIN}>;tag=w{contact}.{user}\r\n\
             To: <sip:user{user}@{peer}>\r\nCall-ID: {user}.{contact}@{SIP_DOMAIN}\r\n\
             CSeq: 1 SUBSCRIBE\r\nContact: <sip:{local};transport=tls>\r\nEvent: presence\r\n\
             Accept: application/pidf+xml\r\nExpires: 3600\r\nContent-Length: 0\r\n\r\n"
        );
        Ok(self.sip.send(request.into_bytes()).await?)
    }

    /// Shows one SIP user that an XMPP user is in another state.
    pub async fn change(&self, user: u64, contact: u64, show: &str) -> Result<()> {
        let aor = format!("contact{contact}.{user}@{SIP_DOMAIN}");
        let jid = format!("user{user}@{}", xmpp_peer::DOMAIN);
        Ok(self.xmpp.send(available(&jid, &aor, show)).await?)
    }

    /// Waits until at most `window` of `started` are not done.
    pub async fn keeps_up(
        &self,
        started: u64,
        window: u64,
        done: impl Fn(&Tally) -> u64,
    ) -> Result<()> {
        let has_room = |tally: &Tally| started.saturating_sub(done(tally)) <= window;
        let start = Instant::now();
        while !has_room(&self.tally) {
            self.is_alive(start)?;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(())
    }

    /// Waits until `done`; returns the time from `start` to what was counted last. Gives up when
    /// nothing was counted for a while.
    pub async fn reaches(&self, start: Instant, done: impl Fn(&Tally) -> bool) -> Result<Duration> {
        loop {
            let moved = Duration::from_millis(self.tally.moved.load(Ordering::Relaxed));
            if done(&self.tally) {
                return Ok((self.begun + moved).saturating_duration_since(start));
            }
            self.is_alive(start)?;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Fails when nothing was counted for a while.
    fn is_alive(&self, start: Instant) -> Result<()> {
        let moved = Duration::from_millis(self.tally.moved.load(Ordering::Relaxed));
        let quiet = self.begun.elapsed().saturating_sub(moved);
        ensure!(
            quiet <= QUIET || start.elapsed() <= QUIET,
            "nothing moves any more: {:?}, {:?}",
            self.tally,
            self.tally.trouble()
        );
        Ok(())
    }
}

fn available(jid: &str, aor: &str, show: &str) -> Vec<u8> {
    format!(
        "<presence from=\"{jid}/balcony\" to=\"{aor}\"><show>{show}</show>\
         <status>{NOTE}</status><priority>5</priority></presence>"
    )
    .into_bytes()
}

/// Takes the gateway's streams.
async fn serve_streams(listener: TcpListener, tls: TlsSettings, peers: Peers) {
    while let Ok((socket, _)) = listener.accept().await {
        let (tls, peers) = (tls.clone(), peers.clone());
        tokio::spawn(async move { peers.take_stanzas(socket, &tls).await });
    }
}

impl Peers {
    async fn take_stanzas(&self, socket: TcpStream, tls: &TlsSettings) -> Result<()> {
        let mut wire = open_stream(socket, tls).await?;
        let mut cutter = Cutter::new(SERVER);
        cutter.push(b"<stream:stream>");
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let mut answers = Vec::new();
            while let Some(text) = cutter.next_text()? {
                self.take_text(text, &mut answers);
            }
            if !answers.is_empty() {
                let way = self.way().await;
                way.send(answers).await.context("the stream has ended")?;
            }
            let count = wire.read(&mut buffer).await?;
            if count == 0 {
                bail!("closed");
            }
            cutter.push(buffer.get(..count).unwrap_or_default());
        }
    }

    /// The way to the gateway, which may ask before there is one.
    async fn way(&self) -> mpsc::Sender<Vec<u8>> {
        loop {
            if let Some(way) = locked(&self.stanzas).clone() {
                return way;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn take_text(&self, text: Text, answers: &mut Vec<u8>) {
        let Text::Stanza(stanza) = &text else {
            return;
        };
        if stanza.starts_with("<iq") {
            return answers.extend(pong(stanza));
        }
        let head = stanza.split('>').next().unwrap_or_default();
        let attribute = |name: &str| {
            let rest = head.split_once(&format!(" {name}=\""));
            rest.map_or("", |(_, rest)| rest.split('"').next().unwrap_or_default())
        };
        let (jid, aor) = (attribute("to"), attribute("from"));
        let (tally, begun) = (&self.tally, self.begun);
        match attribute("type") {
            "" => tally.count(&tally.shown, begun),
            "unavailable" => tally.count(&tally.hidden, begun),
            "probe" => {
                tally.count(&tally.probes, begun);
                answers.extend(available(jid, aor, "away"));
            }
            "subscribe" => {
                let granted =
                    format!("<presence type=\"subscribed\" from=\"{jid}\" to=\"{aor}\"/>");
                answers.extend(granted.into_bytes());
                answers.extend(available(jid, aor, "away"));
            }
            "subscribed" => {}
            _ => tally.complain(stanza),
        }
    }

    /// Grants a SUBSCRIBE and sends the document.
    fn grant(&self, request: &SipMessage, answers: &mut Vec<u8>) {
        let mut granted = request.response(200);
        let to = request.header("To").unwrap_or_default();
        let tag = if to.contains(";tag=") { "" } else { ";tag=p1" };
        let to = format!("{to}{tag}");
        granted.set("To", to.as_str());
        granted.add("Record-Route", ROUTES);
        granted.add("Expires", "3600");
        granted.add("Contact", "<sip:presence.sip.example;transport=tls>");
        answers.extend(granted.to_bytes());
        let value = |name| request.header(name).unwrap_or_default();
        let mut notify = SipMessage {
            start: format!("NOTIFY {} SIP/2.0", uri_of(value("Contact"))),
            ..SipMessage::default()
        };
        let cseq = self.cseq.fetch_add(1, Ordering::Relaxed);
        for (name, content) in [
            (
                "Via",
                &*format!("SIP/2.0/TLS edge-a.sip.example;branch=z9hG4bKn{cseq}"),
            ),
            ("Max-Forwards", "70"),
            ("Record-Route", ROUTES),
            ("From", &to),
            ("To", value("From")),
            ("Call-ID", value("Call-ID")),
            ("CSeq", &format!("{cseq} NOTIFY")),
            ("Contact", "<sip:presence.sip.example;transport=tls>"),
            ("Event", "presence"),
            ("Subscription-State", "active;expires=3600"),
            ("Content-Type", "application/pidf+xml"),
        ] {
            notify.add(name, content);
        }
        notify.body = document(uri_of(&to)).into_bytes();
        answers.extend(notify.to_bytes());
    }
}

/// A document of 600 octets.
fn document(uri: &str) -> String {
    let user = uri.trim_start_matches("sip:");
    format!(
        "<?xml version='1.0' encoding='UTF-8'?>\n<presence xmlns='urn:ietf:params:xml:ns:pidf' \
         xmlns:rpid='urn:ietf:params:xml:ns:pidf:rpid' xmlns:dm='urn:ietf:params:xml:ns:pidf:data-model' \
         entity='pres:{user}'><tuple id='phone'><status><basic>open</basic></status>\
         <note>{NOTE}</note></tuple><dm:person id='p'><rpid:activities><rpid:away/></rpid:activities>\
         </dm:person></presence>"
    )
}

/// A run in which nothing moves for this long has failed.
const QUIET: Duration = Duration::from_secs(30);

impl Takes for Peers {
    fn take(&self, message: &SipMessage) -> Vec<u8> {
        let mut answers = Vec::new();
        let (tally, begun) = (&self.tally, self.begun);
        match (message.method(), message.status()) {
            (_, Some(200)) => {}
            (_, Some(_)) => tally.complain(&message.start),
            ("SUBSCRIBE", None) => {
                tally.count(&tally.subscribes, begun);
                self.grant(message, &mut answers);
            }
            ("NOTIFY", None) => {
                tally.count(&tally.notified, begun);
                if message.body.windows(4).any(|word| word == b"open") {
                    tally.count(&tally.documents, begun);
                }
                answers.extend(message.response(200).to_bytes());
            }
            (_, None) => answers.extend(message.response(200).to_bytes()),
        }
        answers
    }
}
