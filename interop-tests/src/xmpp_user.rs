//! A raw XMPP client: logs in with a password over plaintext loopback and keeps what it receives.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use minidom::Element;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::inbox::{Inbox, PATIENCE};
use crate::xml::{Cutter, Item, Look, SASL, XmlStream, escape};

/// The password of every account in a lab.
pub const PASSWORD: &str = "secret";

/// A logged-in user.
#[derive(Debug)]
pub struct XmppUser {
    bare: String,
    writer: Mutex<OwnedWriteHalf>,
    inbox: Arc<Inbox<Element>>,
    reader: JoinHandle<()>,
}

impl XmppUser {
    /// Logs in and sends the initial presence, so that messages are not stored for later.
    pub async fn login(address: SocketAddr, user: &str, domain: &str) -> Result<Self> {
        let negotiation = negotiate(address, user, domain);
        let (stream, early) = timeout(PATIENCE, negotiation)
            .await
            .with_context(|| format!("{user}@{domain} cannot log in in time"))??;
        let (socket, mut cutter) = stream.into_parts();
        let (mut reading, mut writing) = socket.into_split();
        writing.write_all(b"<presence/>").await?;
        let inbox = Arc::<Inbox<Element>>::default();
        early.into_iter().for_each(|stanza| inbox.push(stanza));
        let received = Arc::clone(&inbox);
        let reader = tokio::spawn(async move {
            // An end of the connection is an end of what the user receives, nothing more.
            forward(&mut reading, &mut cutter, &received).await.ok();
        });
        Ok(Self {
            bare: format!("{user}@{domain}"),
            writer: Mutex::new(writing),
            inbox,
            reader,
        })
    }

    /// The user's bare JID.
    pub fn jid(&self) -> &str {
        &self.bare
    }

    /// Sends a stanza as it is.
    pub async fn send(&self, stanza: &str) -> Result<()> {
        self.writer
            .lock()
            .await
            .write_all(stanza.as_bytes())
            .await?;
        Ok(())
    }

    /// Sends a chat message.
    pub async fn say(&self, to: &str, id: &str, text: &str) -> Result<()> {
        let (to, id, text) = (escape(to), escape(id), escape(text));
        self.send(&format!(
            r#"<message type="chat" to="{to}" id="{id}"><body>{text}</body></message>"#
        ))
        .await
    }

    /// What the user has received.
    pub fn inbox(&self) -> &Inbox<Element> {
        &self.inbox
    }

    /// Waits for a message with this body that is no error.
    pub async fn expect_text(&self, text: &str) -> Result<Element> {
        self.inbox
            .wait(&format!("message \"{text}\" at {}", self.bare), |stanza| {
                stanza.at("type") != "error" && stanza.body().as_deref() == Some(text)
            })
            .await
    }

    /// Waits for the error of a message sent with this id, and returns it whatever the condition.
    pub async fn expect_error(&self, id: &str) -> Result<Element> {
        self.expect_error_within(PATIENCE, id).await
    }

    /// As `expect_error`, with a limit of its own.
    pub async fn expect_error_within(&self, limit: Duration, id: &str) -> Result<Element> {
        self.inbox
            .wait_within(
                limit,
                &format!("error of {id} at {}", self.bare),
                |stanza| stanza.at("type") == "error" && stanza.at("id") == id,
            )
            .await
    }
}

impl Drop for XmppUser {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

async fn forward(
    socket: &mut (impl tokio::io::AsyncRead + Unpin),
    cutter: &mut Cutter,
    inbox: &Inbox<Element>,
) -> Result<()> {
    use tokio::io::AsyncReadExt;
    let mut buffer = vec![0; 16 * 1024];
    loop {
        while let Some(item) = cutter.next_item()? {
            match item {
                Item::Stanza(stanza) => inbox.push(*stanza),
                Item::Header(_) | Item::Close => {}
            }
        }
        let count = socket.read(&mut buffer).await?;
        ensure!(count > 0, "the server has closed the connection");
        cutter.push(buffer.get(..count).unwrap_or_default());
    }
}

/// Header, PLAIN, header, resource (RFC 6120 sections 6 and 7). Returns also what came for the resource
/// before it said that it is there.
async fn negotiate(
    address: SocketAddr,
    user: &str,
    domain: &str,
) -> Result<(XmlStream<TcpStream>, Vec<Element>)> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    let mut stream = XmlStream::new(socket, "jabber:client");
    let header = format!(
        "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' \
         to='{domain}' version='1.0'>"
    );
    stream.write(&header).await?;
    stream.expect_stanza().await?;
    let secret = BASE64.encode(format!("\0{user}\0{PASSWORD}"));
    let auth = format!("<auth xmlns='{SASL}' mechanism='PLAIN'>{secret}</auth>");
    stream.write(&auth).await?;
    let answer = stream.expect_stanza().await?;
    ensure!(answer.name() == "success", "{user} was refused: {answer:?}");
    stream.restart();
    stream.write(&header).await?;
    stream.expect_stanza().await?;
    stream
        .write(
            "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>\
             <resource>lab</resource></bind></iq>",
        )
        .await?;
    let mut early = Vec::new();
    let bound = reply_to(&mut stream, "bind", &mut early).await?;
    ensure!(bound.at("type") == "result", "no resource: {bound:?}");
    // Servers of RFC 3921's days want a session; the others answer it or do not mind.
    stream
        .write("<iq type='set' id='session'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>")
        .await?;
    reply_to(&mut stream, "session", &mut early).await?;
    Ok((stream, early))
}

/// Waits for the answer to a request; puts what comes before it aside.
async fn reply_to(
    stream: &mut XmlStream<TcpStream>,
    id: &str,
    early: &mut Vec<Element>,
) -> Result<Element> {
    loop {
        let stanza = stream.expect_stanza().await?;
        if stanza.name() == "iq" && stanza.at("id") == id {
            return Ok(stanza);
        }
        early.push(stanza);
    }
}
