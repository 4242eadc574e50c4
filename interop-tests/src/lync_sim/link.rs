//! Connections: opened with NEGOTIATE, several at a time, with requests spread over them.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::time::timeout;
use tokio_openssl::SslStream;

use super::edge::TRUST;
use super::message::{Frame, Message, Reader};
use super::sim::{Shared, hex};
use super::tls::Settled;
use crate::inbox::locked;

/// How long a partner may take to answer NEGOTIATE (E4).
const NEGOTIATE_LIMIT: Duration = Duration::from_secs(5);
/// How long a request waits for its final answer: a client's timer for MESSAGE is 60 s.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// What keeps a connection open; it comes between messages now and then.
const KEEP_ALIVE: &[u8] = b"\r\n\r\n";

/// One connection; what is sent to it is written by a task of its own.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) id: u64,
    pub(super) settled: Arc<Settled>,
    to_wire: UnboundedSender<Vec<u8>>,
}

impl Link {
    /// Sends bytes. A link that ends right now loses them, as any connection may.
    pub(super) fn write(&self, bytes: Vec<u8>) {
        self.to_wire.send(bytes).ok();
    }

    /// Ends the connection once everything is written.
    pub(super) fn close(&self) {
        self.write(Vec::new());
    }

    /// Waits until everything is written and the connection is over.
    pub(super) async fn closed(&self) {
        self.to_wire.closed().await;
    }

    fn is_open(&self) -> bool {
        !self.to_wire.is_closed()
    }
}

/// Who waits for answers with a branch.
#[derive(Debug)]
pub(super) enum Waiting {
    /// A transaction; the Vias it was sent with have to come back.
    Answers(Vec<String>, UnboundedSender<Message>),
    /// Nobody: BENOTIFY has no answer.
    Nobody,
}

/// Answers to one request, provisional ones first.
#[derive(Debug)]
pub(super) struct Answers {
    /// The request as it went out.
    pub(super) request: Message,
    pub(super) link: Link,
    receiver: UnboundedReceiver<Message>,
}

impl Answers {
    /// The next answer.
    pub(super) async fn next(&mut self) -> Result<Message> {
        let answer = timeout(ANSWER_LIMIT, self.receiver.recv()).await;
        answer
            .with_context(|| format!("no answer to {}", self.request.start))?
            .context("the simulator has ended")
    }

    /// The final answer.
    pub(super) async fn last(mut self) -> Result<Message> {
        self.last_of().await
    }

    /// The next final answer; a forked INVITE may have several.
    pub(super) async fn last_of(&mut self) -> Result<Message> {
        loop {
            let answer = self.next().await?;
            if answer.status().is_none_or(|status| status >= 200) {
                return Ok(answer);
            }
        }
    }
}

impl Shared {
    /// Takes a connection of the partner's.
    pub(super) async fn welcome(self: Arc<Self>, socket: TcpStream) {
        socket.set_nodelay(true).ok();
        match self.tls.accept(socket).await {
            Ok(stream) => drop(self.adopt(stream, false)),
            Err(error) => self.diary.push(format!("inbound {error:#}")),
        }
    }

    pub(super) fn adopt(self: &Arc<Self>, stream: SslStream<TcpStream>, dialled: bool) -> Link {
        let settled = Settled::read(stream.ssl(), dialled);
        self.handshakes.push(settled.clone());
        let (reading, writing) = tokio::io::split(stream);
        let (to_wire, wire) = mpsc::unbounded_channel();
        let link = Link {
            id: self.number(),
            settled: Arc::new(settled),
            to_wire,
        };
        locked(&self.links).push(link.clone());
        tokio::spawn(write(writing, wire));
        tokio::spawn(Arc::clone(self).read(reading, link.clone()));
        link
    }

    async fn read(self: Arc<Self>, mut reading: ReadHalf<SslStream<TcpStream>>, link: Link) {
        let mut reader = Reader::default();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            // An end of the connection is an end, however it comes about.
            let count = reading.read(&mut buffer).await.unwrap_or_default();
            if count == 0 || !link.is_open() {
                break;
            }
            reader.push(buffer.get(..count).unwrap_or_default());
            if let Err(error) = self.take_all(&link, &mut reader).await {
                self.fault(format!("unreadable: {error:#}"));
                break;
            }
        }
        locked(&self.links).retain(|open| open.id != link.id);
        self.outgoing.lock().await.retain(|open| open.id != link.id);
    }

    async fn take_all(self: &Arc<Self>, link: &Link, reader: &mut Reader) -> Result<()> {
        while let Some(frame) = reader.next_frame()? {
            if let Frame::Message(message) = frame {
                self.look_up(&message).await;
                self.take(link, *message);
            }
        }
        Ok(())
    }

    fn take(self: &Arc<Self>, link: &Link, message: Message) {
        let recent = self.meter.count(message.kind());
        self.received.push((link.id, message.clone()));
        if message.status().is_none() {
            return self.on_request(link, message, recent);
        }
        for name in TRUST {
            if message.has(name) {
                self.fault(format!(
                    "{name} in {} {}",
                    message.start,
                    message.value("CSeq")
                ));
            }
        }
        if message.cseq().1 == "CANCEL" {
            // It has the branch of its INVITE, and whoever sent it looks for it himself.
            return;
        }
        let mut waiting = locked(&self.waiting);
        match waiting.get(message.branch()) {
            Some(Waiting::Answers(vias, sender)) => {
                let found = message.values("Via");
                let same = vias.len() == found.len()
                    && vias
                        .iter()
                        .zip(&found)
                        .all(|(sent, back)| back.starts_with(sent.as_str()));
                if !same {
                    self.fault(format!("Via {vias:?} came back as {found:?}"));
                }
                let is_last = message.status() >= Some(200) && message.cseq().1 != "INVITE";
                if sender.send(message.clone()).is_err() || is_last {
                    waiting.remove(message.branch());
                }
            }
            Some(Waiting::Nobody) => {
                self.fault(format!("an answer to BENOTIFY: {}", message.start))
            }
            // A late answer to a request that nobody waits for any more.
            None => {}
        }
    }

    /// A connection to the partner: the next of those there are, or a new one while there are
    /// fewer than the Edge keeps.
    pub(super) async fn link(self: &Arc<Self>) -> Result<Link> {
        let mut outgoing = self.outgoing.lock().await;
        outgoing.retain(Link::is_open);
        if outgoing.len() >= locked(&self.conduct).connections.max(1) {
            outgoing.rotate_left(1);
            return outgoing.last().cloned().context("there is one");
        }
        let link = self.dial().await?;
        let negotiates = locked(&self.conduct).negotiates;
        if negotiates && let Err(error) = self.negotiate(&link).await {
            link.close();
            return Err(error);
        }
        link.write(KEEP_ALIVE.to_vec());
        outgoing.push(link.clone());
        Ok(link)
    }

    /// Asks for compression before anything else (W 19): an error answer is fine, silence is not,
    /// and an agreement would make the stream binary.
    async fn negotiate(self: &Arc<Self>, link: &Link) -> Result<()> {
        let (own, partner) = (self.setup.listen.ip(), self.setup.partner);
        let mut request = Message::request("NEGOTIATE", &format!("sip:{partner}"));
        request.put(
            "Via",
            format!("SIP/2.0/TLS {own}:{}", 1024 + link.id % 60_000),
        );
        request.put("CSeq", "1 NEGOTIATE");
        request.put("Call-ID", hex(32));
        request.put("From", format!("<sip:{own}>;tag={}", hex(32)));
        request.put("To", format!("<sip:{}>", partner.ip()));
        request.put("Compression", "LZ77-8K");
        request.put("Max-Forwards", "0");
        request.put("Content-Length", "0");
        let answer = self.hop(link, request).last();
        let Ok(answer) = timeout(NEGOTIATE_LIMIT, answer).await else {
            self.fault("NEGOTIATE is not answered within 5 s");
            return Err(anyhow::anyhow!("NEGOTIATE is not answered"));
        };
        let answer = answer?;
        if answer.status() == Some(200) && answer.has("Compression") {
            self.fault("compression was agreed to, which nobody speaks");
        }
        let goes_on = locked(&self.conduct)
            .assumptions
            .goes_on_after_refused_negotiate;
        ensure!(
            answer.status() == Some(200) || goes_on,
            "the partner refuses NEGOTIATE with {}",
            answer.start
        );
        Ok(())
    }

    /// OPTIONS of the Edge itself.
    pub(super) async fn options(self: &Arc<Self>) -> Result<Message> {
        let partner = self.setup.partner;
        let mut request = Message::request("OPTIONS", &format!("sip:{partner};transport=tls"));
        request.put("Via", self.top_via());
        request.put("Max-Forwards", "0");
        request.put("From", format!("<sip:{}>;tag={}", self.setup.fqdn, hex(32)));
        request.put("To", format!("<sip:{partner}>"));
        request.put("Call-ID", hex(32));
        request.put("CSeq", "1 OPTIONS");
        request.put("Content-Length", "0");
        let link = self.link().await?;
        self.hop(&link, request).last().await
    }

    /// Sends a message as it is on that link and waits for answers to its branch.
    pub(super) fn hop(self: &Arc<Self>, link: &Link, request: Message) -> Answers {
        let answers = self.await_answers(link, request);
        self.put_on(link, &answers.request);
        answers
    }

    /// Waits for answers to the branch of a request that is about to be sent.
    pub(super) fn await_answers(&self, link: &Link, request: Message) -> Answers {
        let (sender, receiver) = mpsc::unbounded_channel();
        let vias = request.values("Via").into_iter().map(str::to_owned);
        let waiting = Waiting::Answers(vias.collect(), sender);
        locked(&self.waiting).insert(request.branch().to_owned(), waiting);
        Answers {
            request,
            link: link.clone(),
            receiver,
        }
    }

    /// Writes a message to a link.
    pub(super) fn put_on(&self, link: &Link, message: &Message) {
        self.sent.push((link.id, message.clone()));
        if self.number().is_multiple_of(5) {
            link.write(KEEP_ALIVE.to_vec());
        }
        link.write(message.bytes());
    }

    /// Sends a request of a user through the Edge.
    pub(super) async fn ask(self: &Arc<Self>, request: Message) -> Result<Answers> {
        let request = self.outward(request);
        let link = self.link().await?;
        Ok(self.hop(&link, request))
    }

    /// Sends a request that has no answer: ACK or BENOTIFY.
    pub(super) async fn tell(self: &Arc<Self>, request: Message) -> Result<()> {
        let request = self.outward(request);
        if request.method() == "BENOTIFY" {
            locked(&self.waiting).insert(request.branch().to_owned(), Waiting::Nobody);
        }
        let link = self.link().await?;
        self.put_on(&link, &request);
        Ok(())
    }
}

async fn write(mut wire: WriteHalf<SslStream<TcpStream>>, mut queue: UnboundedReceiver<Vec<u8>>) {
    while let Some(bytes) = queue.recv().await {
        if bytes.is_empty() {
            break;
        }
        if wire.write_all(&bytes).await.is_err() || wire.flush().await.is_err() {
            return;
        }
    }
    // The other end may be gone already.
    wire.shutdown().await.ok();
}
