//! The agent itself: connections, transactions and the answers to MESSAGE.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, WriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::presentity::Presentities;
use super::watch::Watches;
use crate::inbox::{Inbox, locked};
use crate::sip::{Frame, Framer, SipMessage, token};
use crate::tls::TlsSettings;
use crate::windows::Windows;

/// How long a UAC waits for a final answer (RFC 3261 timer F, and a little).
const ANSWER_LIMIT: Duration = Duration::from_secs(40);

/// How the agent reaches others and is reached.
#[derive(Clone, Debug)]
pub enum Transport {
    /// SIP over TLS, as between domains.
    Tls(Box<TlsSettings>),
    /// The same with the TLS of a Windows server.
    Windows(Box<Windows>),
    /// SIP over TCP, as between Kamailio and its own users in the lab.
    Tcp,
}

/// What the agent does with a MESSAGE for a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Answers at once with this status.
    Status(u16),
    /// Answers 503 at once and asks for a rest of so many seconds.
    OutOfService(u32),
    /// Answers with this status after a while.
    Later(Duration, u16),
    /// Never answers.
    Silence,
    /// Closes the connection without an answer.
    HangUp,
}

/// The agent.
#[derive(Debug)]
pub struct SipAgent {
    pub(super) shared: Arc<Shared>,
    listener: Mutex<JoinHandle<()>>,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) place: Place,
    requests: Inbox<SipMessage>,
    responses: Inbox<SipMessage>,
    /// What the other end must never do in a dialog, in words.
    pub(super) faults: Inbox<String>,
    pub(super) watches: Watches,
    pub(super) presentities: Presentities,
    /// The connection that requests go out on.
    outgoing: tokio::sync::Mutex<Option<Link>>,
    /// Who waits for the answer to a branch, and on which link.
    waiting: Mutex<HashMap<String, (LinkId, oneshot::Sender<SipMessage>)>>,
    script: Mutex<HashMap<String, Answer>>,
    links: Mutex<Vec<Link>>,
}

/// What answers a connection.
#[derive(Clone)]
enum Acceptor {
    Tls(TlsAcceptor),
    Windows(Box<Windows>),
    Tcp,
}

/// Tells connections apart.
type LinkId = u64;

/// One connection; what is sent to it is written by a task of its own.
#[derive(Clone, Debug)]
struct Link {
    id: LinkId,
    to_wire: mpsc::UnboundedSender<Vec<u8>>,
}

/// Where an agent lives and what it speaks for.
#[derive(Clone, Debug)]
pub struct Place {
    /// The SIP domain of its users.
    pub domain: String,
    /// Where it listens.
    pub local: SocketAddr,
    /// Where its requests go.
    pub route: SocketAddr,
    /// The name that the certificate there must carry.
    pub route_name: String,
    /// How.
    pub transport: Transport,
}

impl SipAgent {
    /// Starts listening.
    pub async fn start(place: Place) -> Result<Self> {
        let shared = Arc::new(Shared {
            place,
            requests: Inbox::default(),
            responses: Inbox::default(),
            faults: Inbox::default(),
            watches: Watches::default(),
            presentities: Presentities::default(),
            outgoing: tokio::sync::Mutex::default(),
            waiting: Mutex::default(),
            script: Mutex::default(),
            links: Mutex::default(),
        });
        Ok(Self {
            listener: Mutex::new(shared.listen().await?),
            shared,
        })
    }

    /// Decides what happens to a MESSAGE for this user; the default is 200 at once.
    pub fn answer(&self, user: &str, answer: Answer) {
        locked(&self.shared.script).insert(user.to_owned(), answer);
    }

    /// The requests received so far.
    pub fn requests(&self) -> &Inbox<SipMessage> {
        &self.shared.requests
    }

    /// The responses received so far, provisional ones too.
    pub fn responses(&self) -> &Inbox<SipMessage> {
        &self.shared.responses
    }

    /// What the other end did in a dialog that it must not do, in words.
    pub fn faults(&self) -> &Inbox<String> {
        &self.shared.faults
    }

    /// Waits for a MESSAGE with this text.
    pub async fn expect_text(&self, text: &str) -> Result<SipMessage> {
        self.requests()
            .wait(&format!("MESSAGE \"{text}\""), |request| {
                request.method() == "MESSAGE" && request.text() == text
            })
            .await
    }

    /// A MESSAGE from one of the agent's users, ready to be changed and sent.
    pub fn message(&self, user: &str, to: &str, text: &str) -> SipMessage {
        let from = format!("<sip:{user}@{}>;tag={}", self.shared.place.domain, token());
        let mut request = self.request("MESSAGE", &from, to);
        request.add("Content-Type", "text/plain;charset=UTF-8");
        request.body = text.as_bytes().to_vec();
        request
    }

    /// A request without a body.
    pub fn request(&self, method: &str, from: &str, to: &str) -> SipMessage {
        let mut request = self.shared.begin(method, &format!("sip:{to}"));
        request.add("From", from);
        request.add("To", format!("<sip:{to}>"));
        request.add(
            "Call-ID",
            format!("{}@{}", token(), self.shared.place.domain),
        );
        request.add("CSeq", format!("1 {method}"));
        request
    }

    /// Sends a MESSAGE and returns the final status.
    pub async fn say(&self, user: &str, to: &str, text: &str) -> Result<u16> {
        let response = self.send(&self.message(user, to, text)).await?;
        response.status().context("a response has a status")
    }

    /// Registers one of the agent's users at the registrar behind the route.
    pub async fn register(&self, user: &str) -> Result<()> {
        let shared = &self.shared;
        let aor = format!("<sip:{user}@{}>", shared.place.domain);
        let mut request = self.request(
            "REGISTER",
            &format!("{aor};tag={}", token()),
            &shared.place.domain,
        );
        request.set("To", aor);
        request.add("Contact", shared.contact(user));
        request.add("Expires", "600");
        let response = self.send(&request).await?;
        match response.status() {
            Some(200) => Ok(()),
            _ => bail!("{user} cannot register: {}", response.start),
        }
    }

    /// Sends a request and waits for its final response.
    pub async fn send(&self, request: &SipMessage) -> Result<SipMessage> {
        self.shared.send(request).await
    }

    /// Sends bytes as they are.
    pub async fn send_bytes(&self, bytes: &[u8]) -> Result<()> {
        // A link that ends right now loses the bytes, as any connection may.
        self.shared.link().await?.to_wire.send(bytes.to_vec()).ok();
        Ok(())
    }

    /// Whether the connection that requests go out on has ended.
    pub async fn is_cut_off(&self) -> bool {
        let outgoing = self.shared.outgoing.lock().await;
        outgoing
            .as_ref()
            .is_none_or(|link| link.to_wire.is_closed())
    }

    /// Ends the agent; its address is free afterwards.
    pub async fn stop(self) {
        let local = self.shared.place.local;
        drop(self);
        is_free(local).await;
    }

    /// Cannot be reached any more, with all its dialogs in its memory.
    pub async fn goes_down(&self) {
        locked(&self.listener).abort();
        is_free(self.shared.place.local).await;
        self.hang_up().await;
    }

    /// Can be reached again.
    pub async fn comes_back(&self) -> Result<()> {
        let listener = self.shared.listen().await?;
        *locked(&self.listener) = listener;
        Ok(())
    }

    /// Closes all connections; the next request dials anew.
    pub async fn hang_up(&self) {
        self.shared.outgoing.lock().await.take();
        locked(&self.shared.links).clear();
    }
}

impl Drop for SipAgent {
    fn drop(&mut self) {
        locked(&self.listener).abort();
        locked(&self.shared.links).clear();
    }
}

impl Shared {
    async fn listen(self: &Arc<Self>) -> Result<JoinHandle<()>> {
        let acceptor = match &self.place.transport {
            Transport::Tls(settings) => Acceptor::Tls(settings.acceptor()?),
            Transport::Windows(windows) => Acceptor::Windows(windows.clone()),
            Transport::Tcp => Acceptor::Tcp,
        };
        let local = self.place.local;
        let listener = TcpListener::bind(local)
            .await
            .with_context(|| format!("SIP agent cannot listen on {local}"))?;
        Ok(tokio::spawn(Arc::clone(self).accept(listener, acceptor)))
    }

    /// The start of a request to `uri`: request line, Via and Max-Forwards.
    pub(super) fn begin(&self, method: &str, uri: &str) -> SipMessage {
        let mut request = SipMessage {
            start: format!("{method} {uri} SIP/2.0"),
            ..SipMessage::default()
        };
        let transport = match self.place.transport {
            Transport::Tls(_) | Transport::Windows(_) => "TLS",
            Transport::Tcp => "TCP",
        };
        let (local, branch) = (self.place.local, token());
        request.add(
            "Via",
            format!("SIP/2.0/{transport} {local};branch=z9hG4bK{branch}"),
        );
        request.add("Max-Forwards", "70");
        request
    }

    /// The Contact of one of the agent's users.
    pub(super) fn contact(&self, user: &str) -> String {
        let transport = match self.place.transport {
            Transport::Tls(_) | Transport::Windows(_) => "tls",
            Transport::Tcp => "tcp",
        };
        format!("<sip:{user}@{};transport={transport}>", self.place.local)
    }

    /// Sends a request and waits for its final response.
    pub(super) async fn send(self: &Arc<Self>, request: &SipMessage) -> Result<SipMessage> {
        let branch = request
            .branch()
            .context("a request has a branch")?
            .to_owned();
        let (sender, answer) = oneshot::channel();
        let link = self.link().await?;
        locked(&self.waiting).insert(branch, (link.id, sender));
        link.to_wire.send(request.to_bytes()).ok();
        let response = timeout(ANSWER_LIMIT, answer).await;
        response
            .with_context(|| format!("no final answer to {}", request.start))?
            .context("the connection ended before the answer")
    }

    /// The connection that requests go out on, dialled if there is none.
    async fn link(self: &Arc<Self>) -> Result<Link> {
        let mut outgoing = self.outgoing.lock().await;
        let usable = outgoing.take().filter(|link| !link.to_wire.is_closed());
        let link = match usable {
            Some(link) => link,
            None => self.dial().await?,
        };
        *outgoing = Some(link.clone());
        Ok(link)
    }

    async fn accept(self: Arc<Self>, listener: TcpListener, acceptor: Acceptor) {
        while let Ok((socket, _)) = listener.accept().await {
            socket.set_nodelay(true).ok();
            match &acceptor {
                Acceptor::Tcp => drop(self.adopt(socket)),
                Acceptor::Tls(_) | Acceptor::Windows(_) => {
                    tokio::spawn(Arc::clone(&self).shake_hands(socket, acceptor.clone()));
                }
            }
        }
    }

    async fn shake_hands(self: Arc<Self>, socket: TcpStream, acceptor: Acceptor) {
        // A failed handshake is the other end's affair; tests look at that end.
        match acceptor {
            Acceptor::Tls(acceptor) => {
                let stream = acceptor.accept(socket).await;
                stream.ok().map(|stream| self.adopt(stream));
            }
            Acceptor::Windows(windows) => {
                let stream = windows.accept(socket).await;
                stream.ok().map(|stream| self.adopt(stream));
            }
            Acceptor::Tcp => {}
        }
    }

    async fn dial(self: &Arc<Self>) -> Result<Link> {
        let route = self.place.route;
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(self.place.local.ip(), 0))?;
        let socket = socket.connect(route).await;
        let socket = socket.with_context(|| format!("SIP agent cannot reach {route}"))?;
        socket.set_nodelay(true)?;
        match &self.place.transport {
            Transport::Tcp => Ok(self.adopt(socket)),
            Transport::Tls(settings) => {
                let name = ServerName::try_from(self.place.route_name.clone())?;
                let stream = settings.connector()?.connect(name, socket).await?;
                Ok(self.adopt(stream))
            }
            Transport::Windows(windows) => {
                Ok(self.adopt(windows.connect(socket, &self.place.route_name).await?))
            }
        }
    }

    /// Takes a connection over: one task writes, one reads; the link ends when either does.
    fn adopt<S>(self: &Arc<Self>, stream: S) -> Link
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let (reading, writing) = tokio::io::split(stream);
        let (to_wire, from_agent) = mpsc::unbounded_channel();
        let id = rand::random();
        let link = Link { id, to_wire };
        let writer = tokio::spawn(write(writing, from_agent));
        let shared = Arc::clone(self);
        let weak = link.to_wire.downgrade();
        locked(&self.links).push(link.clone());
        tokio::spawn(async move {
            // The end of a connection, for whatever reason, is the end of the link.
            shared.read(reading, &weak).await.ok();
            writer.abort();
            locked(&shared.waiting).retain(|_, (link, _)| *link != id);
        });
        link
    }

    async fn read(
        self: &Arc<Self>,
        mut reading: impl AsyncRead + Unpin,
        to_wire: &mpsc::WeakUnboundedSender<Vec<u8>>,
    ) -> Result<()> {
        let mut framer = Framer::default();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let count = reading.read(&mut buffer).await?;
            if count == 0 {
                bail!("closed");
            }
            framer.push(buffer.get(..count).unwrap_or_default());
            while let Some(frame) = framer.next_frame()? {
                let link = to_wire.upgrade().context("hung up")?;
                self.take(frame, &link)?;
            }
        }
    }

    fn take(self: &Arc<Self>, frame: Frame, link: &mpsc::UnboundedSender<Vec<u8>>) -> Result<()> {
        match frame {
            Frame::Ping => link.send(b"\r\n".to_vec())?,
            Frame::Pong => {}
            Frame::Message(message) if message.status().is_some() => self.take_response(*message),
            Frame::Message(message) => self.take_request(*message, link)?,
        }
        Ok(())
    }

    fn take_response(&self, response: SipMessage) {
        self.responses.push(response.clone());
        if response.status().is_some_and(|status| status >= 200) {
            let branch = response.branch().unwrap_or_default();
            let waiting = locked(&self.waiting).remove(branch);
            // Whoever sent the request may have given up.
            waiting.map(|(_, waiting)| waiting.send(response));
        }
    }

    fn take_request(
        self: &Arc<Self>,
        request: SipMessage,
        link: &mpsc::UnboundedSender<Vec<u8>>,
    ) -> Result<()> {
        self.requests.push(request.clone());
        let answer = match request.method() {
            "ACK" => Answer::Silence,
            "NOTIFY" => {
                let response = self.on_notify(&request);
                response.map_or(Ok(()), |response| link.send(response.to_bytes()))?;
                return Ok(());
            }
            "SUBSCRIBE" => {
                self.on_subscribe(&request, link);
                return Ok(());
            }
            "MESSAGE" => {
                let script = locked(&self.script);
                script
                    .get(request.user())
                    .copied()
                    .unwrap_or(Answer::Status(200))
            }
            _ => Answer::Status(200),
        };
        match answer {
            Answer::Status(status) => link.send(request.response(status).to_bytes())?,
            Answer::OutOfService(seconds) => {
                let mut response = request.response(503);
                response.add("Retry-After", seconds.to_string());
                link.send(response.to_bytes())?;
            }
            Answer::Silence => {}
            Answer::HangUp => bail!("hung up as told"),
            Answer::Later(delay, status) => {
                let link = link.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(delay).await;
                    // The connection may be gone by then.
                    link.send(request.response(status).to_bytes()).ok();
                });
            }
        }
        Ok(())
    }
}

/// Waits until a listener that was told to end has ended.
pub(crate) async fn is_free(address: SocketAddr) {
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

async fn write<S: AsyncWrite>(
    mut writing: WriteHalf<S>,
    mut from_agent: mpsc::UnboundedReceiver<Vec<u8>>,
) {
    while let Some(bytes) = from_agent.recv().await {
        let sent = async {
            writing.write_all(&bytes).await?;
            writing.flush().await
        };
        if sent.await.is_err() {
            return;
        }
    }
    // All senders are gone: the agent hangs up, as politely as the other end lets it.
    writing.shutdown().await.ok();
}
