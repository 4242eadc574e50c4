//! Load for the benchmark: one XMPP peer and one SIP peer, as cheap as they can be, around a
//! running gateway, with real TLS sockets on both sides.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustls::pki_types::ServerName;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{MissedTickBehavior, interval};

use crate::bridge::SIP_DOMAIN;
use crate::inbox::locked;
use crate::lab::{Host, Lab, S2S, SIPS};
use crate::s2s::{Dial, SERVER, Stage, Stream, Wire, welcome};
use crate::sip::SipMessage;
use crate::sip_wire::{Takes, serve, take_frames, write};
use crate::tls::TlsSettings;
use crate::xml::{Cutter, SASL, START_TLS, Text};
use crate::xmpp_peer;
use crate::xmpp_server::{Reach, publish};

/// Pairs of users; a gateway has one message in flight per pair.
const PAIRS: u64 = 4000;
/// Messages on their way at saturation.
const WINDOW: usize = 512;
/// What a message says besides its number and time, to make it an ordinary one.
const FILLING: &str =
    "Shall I compare thee to a summer's day? Thou art more lovely and more temperate.";

/// A direction of travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the XMPP peer to the SIP peer.
    ToSip,
    /// From the SIP peer to the XMPP peer.
    ToXmpp,
}

/// What one run has shown.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// Messages that arrived.
    pub arrived: u64,
    /// From the first message sent to the last one settled.
    pub took: Duration,
    /// Half of the messages took at most this long.
    pub p50: Duration,
    /// 99 of 100 took at most this long.
    pub p99: Duration,
}

impl Outcome {
    /// Messages per second.
    pub fn rate(&self) -> f64 {
        self.arrived as f64 / self.took.as_secs_f64()
    }
}

/// Both peers, connected to the gateway.
#[derive(Debug)]
pub struct Load {
    begun: Instant,
    to_sip: Arc<Meter>,
    to_xmpp: Arc<Meter>,
    xmpp: mpsc::Sender<Vec<u8>>,
    sip: mpsc::Sender<Vec<u8>>,
    local: std::net::SocketAddr,
    next: AtomicU64,
}

/// Latencies of one direction, and how many more messages may be on their way.
#[derive(Debug)]
struct Meter {
    latencies: Mutex<Vec<u64>>,
    settled: AtomicU64,
    /// Anything but a 200; it spoils the run.
    refusals: Mutex<Vec<String>>,
    window: Semaphore,
}

impl Meter {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            latencies: Mutex::default(),
            settled: AtomicU64::new(0),
            refusals: Mutex::default(),
            window: Semaphore::new(WINDOW),
        })
    }

    fn arrived(&self, begun: Instant, text: &str) {
        let sent: Option<u64> = text.split(' ').nth(1).and_then(|nanos| nanos.parse().ok());
        if let Some(sent) = sent {
            locked(&self.latencies).push(nanos_since(begun).saturating_sub(sent));
        }
    }

    fn settle(&self) {
        self.settled.fetch_add(1, Ordering::Relaxed);
        self.window.add_permits(1);
    }
}

impl Load {
    /// Starts both peers; the gateway must already run with entries for both.
    pub async fn start(lab: &Lab, xmpp: TlsSettings, sip: TlsSettings) -> Result<Self> {
        let begun = Instant::now();
        let (to_sip, to_xmpp) = (Meter::new(), Meter::new());
        let dial = Dial {
            address: lab.at(Host::Gateway, S2S),
            source: None,
            direct: false,
            from: xmpp_peer::DOMAIN,
            to: SIP_DOMAIN,
            tls: &xmpp,
            authzid: None,
        };
        publish(lab, xmpp_peer::DOMAIN, Host::XmppPeer, Reach::StartTls);
        // Listen first: the gateway's answers may want a way back at once.
        let streams = TcpListener::bind(lab.at(Host::XmppPeer, S2S)).await?;
        let requests = TcpListener::bind(lab.at(Host::SipAgent, SIPS)).await?;
        let (xmpp_queue, xmpp_writes) = mpsc::channel(1024);
        let (sip_queue, sip_writes) = mpsc::channel(1024);
        let meter = Arc::clone(&to_xmpp);
        tokio::spawn(serve_streams(
            streams,
            xmpp.clone(),
            meter,
            xmpp_queue.clone(),
            begun,
        ));
        let ends = SipEnds {
            to_sip: Arc::clone(&to_sip),
            to_xmpp: Arc::clone(&to_xmpp),
            begun,
        };
        tokio::spawn(serve(requests, sip.clone(), ends.clone()));

        let stream = dial.reach(Stage::Open).await?;
        tokio::spawn(write(stream.into_inner(), xmpp_writes));
        let socket = TcpStream::connect(lab.at(Host::Gateway, SIPS)).await?;
        socket.set_nodelay(true)?;
        let name = ServerName::try_from(xmpp_peer::DOMAIN)?;
        let connection = sip.connector()?.connect(name, socket).await?;
        let (reading, writing) = tokio::io::split(connection);
        tokio::spawn(write(writing, sip_writes));
        tokio::spawn(take_frames(reading, sip_queue.clone(), ends));
        Ok(Self {
            begun,
            to_sip,
            to_xmpp,
            xmpp: xmpp_queue,
            sip: sip_queue,
            local: lab.at(Host::SipAgent, SIPS),
            next: AtomicU64::new(0),
        })
    }

    /// Sends for a while, at a rate or as fast as the window allows, and waits for the rest.
    pub async fn run(
        &self,
        direction: Direction,
        rate: Option<u32>,
        span: Duration,
    ) -> Result<Outcome> {
        self.run_while(direction, rate, |elapsed| elapsed < span)
            .await
    }

    /// As `run`, for as long as it is said to go on.
    pub async fn run_while(
        &self,
        direction: Direction,
        rate: Option<u32>,
        goes_on: impl Fn(Duration) -> bool,
    ) -> Result<Outcome> {
        let meter = match direction {
            Direction::ToSip => &self.to_sip,
            Direction::ToXmpp => &self.to_xmpp,
        };
        locked(&meter.latencies).clear();
        meter.settled.store(0, Ordering::Relaxed);
        let started = Instant::now();
        let mut sent = 0;
        let mut ticks = interval(Duration::from_millis(1));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        while goes_on(started.elapsed()) {
            let due = match rate {
                None => sent + 1,
                Some(rate) => {
                    ticks.tick().await;
                    (started.elapsed().as_secs_f64() * f64::from(rate)) as u64
                }
            };
            while sent < due {
                meter.window.acquire().await?.forget();
                self.send(direction).await?;
                sent += 1;
            }
        }
        let settled = crate::inbox::until(Duration::from_secs(30), "all is settled", || async {
            meter.settled.load(Ordering::Relaxed) >= sent
        });
        settled.await.with_context(|| {
            let refusals = locked(&meter.refusals);
            format!(
                "of {sent} sent, {} were refused: {:?}",
                refusals.len(),
                refusals.first()
            )
        })?;
        outcome(meter, started.elapsed())
    }

    async fn send(&self, direction: Direction) -> Result<()> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let pair = number % PAIRS;
        let text = format!("{number} {} {FILLING}", nanos_since(self.begun));
        let (queue, bytes) = match direction {
            Direction::ToSip => (&self.xmpp, stanza(number, pair, &text)),
            Direction::ToXmpp => (&self.sip, self.request(number, pair, &text)),
        };
        queue
            .send(bytes)
            .await
            .context("a peer has lost its connection to the gateway")
    }

    fn request(&self, number: u64, pair: u64, text: &str) -> Vec<u8> {
        let (local, peer) = (self.local, xmpp_peer::DOMAIN);
        format!(
            "MESSAGE sip:juliet{pair}@{peer} SIP/2.0\r\n\
             Via: SIP/2.0/TLS {local};branch=z9hG4bK{number:016x}\r\nMax-Forwards: 70\r\n\
             From: <sip:romeo{pair}@{SIP_DOMAIN}>;tag={number:08x}\r\n\
             To: <sip:juliet{pair}@{peer}>\r\nCall-ID: {number:016x}@{SIP_DOMAIN}\r\n\
             CSeq: 1 MESSAGE\r\nContent-Type: text/plain;charset=UTF-8\r\n\
             Content-Length: {}\r\n\r\n{text}",
            text.len()
        )
        .into_bytes()
    }
}

fn stanza(number: u64, pair: u64, text: &str) -> Vec<u8> {
    let peer = xmpp_peer::DOMAIN;
    format!(
        "<message type=\"chat\" from=\"juliet{pair}@{peer}/balcony\" \
         to=\"romeo{pair}@{SIP_DOMAIN}\" id=\"{number:x}\"><body>{text}</body></message>"
    )
    .into_bytes()
}

fn nanos_since(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

fn outcome(meter: &Meter, took: Duration) -> Result<Outcome> {
    let mut latencies = locked(&meter.latencies).clone();
    latencies.sort_unstable();
    let at = |share: usize| latencies.get(latencies.len() * share / 100).copied();
    let (p50, p99) = at(50).zip(at(99)).context("nothing has arrived")?;
    Ok(Outcome {
        arrived: latencies.len() as u64,
        took,
        p50: Duration::from_nanos(p50),
        p99: Duration::from_nanos(p99),
    })
}

/// Takes the gateway's streams.
async fn serve_streams(
    listener: TcpListener,
    tls: TlsSettings,
    meter: Arc<Meter>,
    answers: mpsc::Sender<Vec<u8>>,
    begun: Instant,
) {
    while let Ok((socket, _)) = listener.accept().await {
        let (tls, meter, answers) = (tls.clone(), Arc::clone(&meter), answers.clone());
        tokio::spawn(async move { take_stanzas(socket, &tls, &meter, &answers, begun).await });
    }
}

/// Takes a stream of the gateway's to the point where stanzas may come.
pub(crate) async fn open_stream(socket: TcpStream, tls: &TlsSettings) -> Result<Box<dyn Wire>> {
    socket.set_nodelay(true)?;
    let plain: Box<dyn Wire> = Box::new(socket);
    let mut stream = Stream::new(plain, SERVER);
    welcome(
        &mut stream,
        &format!("<starttls xmlns='{START_TLS}'><required/></starttls>"),
    )
    .await?;
    stream.expect_stanza().await?;
    stream
        .write(&format!("<proceed xmlns='{START_TLS}'/>"))
        .await?;
    let secured = tls.acceptor()?.accept(stream.into_inner()).await?;
    let wire: Box<dyn Wire> = Box::new(secured);
    let mut stream = Stream::new(wire, SERVER);
    let external = "<mechanism>EXTERNAL</mechanism>";
    welcome(
        &mut stream,
        &format!("<mechanisms xmlns='{SASL}'>{external}</mechanisms>"),
    )
    .await?;
    stream.expect_stanza().await?;
    stream.write(&format!("<success xmlns='{SASL}'/>")).await?;
    stream.restart();
    welcome(&mut stream, "").await?;
    Ok(stream.into_inner())
}

async fn take_stanzas(
    socket: TcpStream,
    tls: &TlsSettings,
    meter: &Meter,
    answers: &mpsc::Sender<Vec<u8>>,
    begun: Instant,
) -> Result<()> {
    let mut wire = open_stream(socket, tls).await?;
    let mut cutter = Cutter::new(SERVER);
    cutter.push(b"<stream:stream>");
    let mut buffer = vec![0; 64 * 1024];
    loop {
        while let Some(text) = cutter.next_text()? {
            let Text::Stanza(stanza) = text else {
                continue;
            };
            if let Some((_, body)) = stanza.split_once("<body>") {
                meter.arrived(begun, body);
            } else if stanza.starts_with("<iq") {
                answers.send(pong(&stanza)).await?;
            }
        }
        let count = wire.read(&mut buffer).await?;
        if count == 0 {
            bail!("closed");
        }
        cutter.push(buffer.get(..count).unwrap_or_default());
    }
}

/// The answer to a ping.
pub(crate) fn pong(ping: &str) -> Vec<u8> {
    let attribute = |name: &str| {
        let (_, rest) = ping.split_once(&format!(" {name}=\"")).unwrap_or_default();
        rest.split('"').next().unwrap_or_default()
    };
    let (id, from, to) = (attribute("id"), attribute("to"), attribute("from"));
    format!("<iq type=\"result\" id=\"{id}\" from=\"{from}\" to=\"{to}\"/>").into_bytes()
}

/// What a SIP connection needs, whoever opened it: requests come on both kinds, and so do answers.
#[derive(Clone, Debug)]
struct SipEnds {
    to_sip: Arc<Meter>,
    to_xmpp: Arc<Meter>,
    begun: Instant,
}

impl Takes for SipEnds {
    /// Takes a request or a response; returns what there is to answer.
    fn take(&self, message: &SipMessage) -> Vec<u8> {
        match message.status() {
            Some(200) => self.to_xmpp.settle(),
            Some(100) => {}
            Some(_) => locked(&self.to_xmpp.refusals).push(message.start.clone()),
            None => {
                if message.method() == "MESSAGE" {
                    self.to_sip.arrived(self.begun, &message.text());
                    self.to_sip.settle();
                }
                return message.response(200).to_bytes();
            }
        }
        Vec::new()
    }
}
