//! Conversations for the benchmark: one XMPP peer and one Microsoft SIP peer, as cheap as they can
//! be, around a running gateway. The SIP peer opens every dialog; texts go both ways in them.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustls::pki_types::ServerName;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};

use crate::bridge::SIP_DOMAIN;
use crate::inbox::{locked, until};
use crate::lab::{Host, Lab, S2S, SIPS};
use crate::load::{open_stream, pong};
use crate::s2s::{Dial, SERVER, Stage};
use crate::sip::SipMessage;
use crate::sip_wire::{Takes, serve, take_frames, write};
use crate::tls::TlsSettings;
use crate::xml::{Cutter, Text};
use crate::xmpp_peer;
use crate::xmpp_server::{Reach, publish};

/// Requests on their way at saturation.
const WINDOW: usize = 256;
/// How long the last answers may take.
const LIMIT: Duration = Duration::from_secs(60);
/// What a text says besides its number, to make it an ordinary one.
const FILLING: &str =
    "Shall I compare thee to a summer's day? Thou art more lovely and more temperate.";

/// What becomes of each step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// INVITE, 200, ACK.
    Open,
    /// MESSAGE of the SIP peer, until its 200.
    ToXmpp,
    /// A text of the XMPP peer, until its MESSAGE has come.
    ToSip,
    /// BYE, until its 200.
    Close,
}

/// Both peers with all their dialogs.
#[derive(Debug)]
pub struct SessionLoad {
    shared: Arc<Shared>,
    xmpp: mpsc::Sender<Vec<u8>>,
    sip: mpsc::Sender<Vec<u8>>,
    local: SocketAddr,
}

#[derive(Debug)]
struct Shared {
    window: Semaphore,
    settled: AtomicU64,
    refusals: Mutex<Vec<String>>,
    /// To with its tag and the target, by number.
    dialogs: Mutex<HashMap<u64, (String, String)>>,
    local: SocketAddr,
}

impl SessionLoad {
    /// Starts both peers; the gateway must already run with entries for both.
    pub async fn start(lab: &Lab, xmpp: TlsSettings, sip: TlsSettings) -> Result<Self> {
        let local = lab.at(Host::SipAgent, SIPS);
        let shared = Arc::new(Shared {
            window: Semaphore::new(WINDOW),
            settled: AtomicU64::new(0),
            refusals: Mutex::default(),
            dialogs: Mutex::default(),
            local,
        });
        publish(lab, xmpp_peer::DOMAIN, Host::XmppPeer, Reach::StartTls);
        let streams = TcpListener::bind(lab.at(Host::XmppPeer, S2S)).await?;
        let requests = TcpListener::bind(local).await?;
        let (xmpp_queue, xmpp_writes) = mpsc::channel(1024);
        let (sip_queue, sip_writes) = mpsc::channel(1024);
        tokio::spawn(serve_streams(streams, xmpp.clone(), xmpp_queue.clone()));
        tokio::spawn(serve(requests, sip.clone(), Arc::clone(&shared)));
        let dial = Dial {
            address: lab.at(Host::Gateway, S2S),
            source: None,
            direct: false,
            from: xmpp_peer::DOMAIN,
            to: SIP_DOMAIN,
            tls: &xmpp,
            authzid: None,
        };
        let stream = dial.reach(Stage::Open).await?;
        tokio::spawn(write(stream.into_inner(), xmpp_writes));
        let socket = TcpStream::connect(lab.at(Host::Gateway, SIPS)).await?;
        socket.set_nodelay(true)?;
        let name = ServerName::try_from(xmpp_peer::DOMAIN)?;
        let connection = sip.connector()?.connect(name, socket).await?;
        let (reading, writing) = tokio::io::split(connection);
        tokio::spawn(write(writing, sip_writes));
        tokio::spawn(take_frames(reading, sip_queue.clone(), Arc::clone(&shared)));
        Ok(Self {
            shared,
            xmpp: xmpp_queue,
            sip: sip_queue,
            local,
        })
    }

    /// Takes one step in each of the conversations `from..to`; `round` numbers the texts. Tells how
    /// long it took until all were settled.
    pub async fn each(&self, step: Step, from: u64, to: u64, round: u64) -> Result<Duration> {
        let begun = Instant::now();
        self.shared.settled.store(0, Ordering::Relaxed);
        for number in from..to {
            self.shared.window.acquire().await?.forget();
            let (queue, bytes) = match step {
                Step::ToSip => (&self.xmpp, stanza(number, round)),
                Step::Open | Step::ToXmpp | Step::Close => {
                    (&self.sip, self.request(step, number, round)?)
                }
            };
            queue
                .send(bytes)
                .await
                .context("a peer has lost its connection")?;
        }
        let wanted = to - from;
        let settled = until(LIMIT, "all is settled", || async {
            self.shared.settled.load(Ordering::Relaxed) >= wanted
        });
        settled.await.with_context(|| {
            let refusals = locked(&self.shared.refusals);
            let settled = self.shared.settled.load(Ordering::Relaxed);
            format!(
                "{step:?}: {settled} of {wanted}; {} refused: {:?}",
                refusals.len(),
                refusals.first()
            )
        })?;
        Ok(begun.elapsed())
    }

    fn request(&self, step: Step, number: u64, round: u64) -> Result<Vec<u8>> {
        let peer = xmpp_peer::DOMAIN;
        let (method, cseq) = match step {
            Step::Open => ("INVITE", 1),
            Step::ToXmpp | Step::ToSip => ("MESSAGE", round + 2),
            Step::Close => ("BYE", round + 2),
        };
        let known = locked(&self.shared.dialogs).get(&number).cloned();
        let (to, target) = match step {
            Step::Open => (
                format!("<sip:juliet{number}@{peer}>"),
                format!("sip:juliet{number}@{peer}"),
            ),
            Step::ToXmpp | Step::ToSip | Step::Close => known.context("no such dialog")?,
        };
        let body = match step {
            Step::Open => {
                "v=0\r\no=- 0 0 IN IP4 10.0.0.1\r\ns=session\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\n\
                m=message 5060 sip null\r\na=accept-types:text/plain text/html\r\n"
                    .to_owned()
            }
            Step::ToXmpp | Step::ToSip => format!("{number} {round} {FILLING}"),
            Step::Close => String::new(),
        };
        let media = match step {
            Step::Open => "Content-Type: application/sdp\r\n",
            Step::ToXmpp | Step::ToSip => "Content-Type: text/plain; charset=UTF-8\r\n",
            Step::Close => "",
        };
        Ok(format!(
            "{method} {target} SIP/2.0\r\n{}{media}Content-Length: {}\r\n\r\n{body}",
            self.shared.head(method, number, cseq, &to),
            body.len()
        )
        .into_bytes())
    }

    /// Where the SIP peer listens.
    pub fn local(&self) -> SocketAddr {
        self.local
    }
}

fn stanza(number: u64, round: u64) -> Vec<u8> {
    let peer = xmpp_peer::DOMAIN;
    format!(
        "<message type=\"chat\" from=\"juliet{number}@{peer}/balcony\" \
         to=\"romeo{number}@{SIP_DOMAIN}\" id=\"{number:x}.{round}\"><body>{number} {round} \
         {FILLING}</body></message>"
    )
    .into_bytes()
}

impl Shared {
    /// Via to Contact of a request.
    fn head(&self, method: &str, number: u64, cseq: u64, to: &str) -> String {
        let local = self.local;
        format!(
            "Via: SIP/2.0/TLS {local};branch=z9hG4bK{number:08X}.{cseq:08X}{method}\r\n\
             Max-Forwards: 70\r\nFrom: \"Romeo\"<sip:romeo{number}@{SIP_DOMAIN}>;tag=a{number:x};epid=0123456789\r\n\
             To: {to}\r\nCall-ID: {number:032x}\r\nCSeq: {cseq} {method}\r\n\
             Contact: <sip:romeo{number}@{SIP_DOMAIN};opaque=user:epid:AAAAAAAAAAAAAAAAAAAAAAAA;gruu>\r\n\
             Ms-Conversation-ID: {number:x}\r\n"
        )
    }

    fn opened(&self, answer: &SipMessage) -> Vec<u8> {
        let call_id = answer.header("Call-ID").unwrap_or_default();
        let number = u64::from_str_radix(call_id.trim_start_matches('0'), 16).unwrap_or_default();
        let to = answer.header("To").unwrap_or_default().to_owned();
        let target = crate::sip::uri_of(answer.header("Contact").unwrap_or_default()).to_owned();
        let head = self.head("ACK", number, 1, &to);
        locked(&self.dialogs).insert(number, (to, target.clone()));
        self.settle();
        format!("ACK {target} SIP/2.0\r\n{head}Content-Length: 0\r\n\r\n").into_bytes()
    }

    fn settle(&self) {
        self.settled.fetch_add(1, Ordering::Relaxed);
        self.window.add_permits(1);
    }
}

async fn serve_streams(listener: TcpListener, tls: TlsSettings, answers: mpsc::Sender<Vec<u8>>) {
    while let Ok((socket, _)) = listener.accept().await {
        tokio::spawn(take_stanzas(socket, tls.clone(), answers.clone()));
    }
}

async fn take_stanzas(
    socket: TcpStream,
    tls: TlsSettings,
    answers: mpsc::Sender<Vec<u8>>,
) -> Result<()> {
    let mut wire = open_stream(socket, &tls).await?;
    let mut cutter = Cutter::new(SERVER);
    cutter.push(b"<stream:stream>");
    let mut buffer = vec![0; 64 * 1024];
    loop {
        while let Some(text) = cutter.next_text()? {
            if let Text::Stanza(stanza) = text
                && stanza.starts_with("<iq")
            {
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

impl Takes for Arc<Shared> {
    fn take(&self, message: &SipMessage) -> Vec<u8> {
        let method = message.header("CSeq").unwrap_or_default();
        let method = method.split(' ').nth(1).unwrap_or_default();
        match message.status() {
            Some(100..=199) => Vec::new(),
            Some(200) if method == "INVITE" => self.opened(message),
            Some(200) => {
                self.settle();
                Vec::new()
            }
            Some(_) => {
                locked(&self.refusals).push(message.start.clone());
                Vec::new()
            }
            None => {
                if message.method() == "MESSAGE" {
                    self.settle();
                }
                message.response(200).to_bytes()
            }
        }
    }
}
