//! A scripted XMPP server: takes streams and opens them, with any certificate and any manners.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use minidom::Element;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::inbox::{Inbox, PATIENCE, locked};
use crate::lab::{Host, Lab, S2S, S2S_DIRECT};
use crate::s2s::{Dial, SERVER, Stage, Stream, Wire, welcome};
use crate::sip_agent::is_free;
use crate::tls::TlsSettings;
use crate::xml::{Item, Look, PING, SASL, STANZA_ERRORS, START_TLS, escape};
use crate::xmpp_server::{Reach, publish};

/// The domain the peer plays.
pub const DOMAIN: &str = "peer.example";

/// How the peer answers EXTERNAL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sasl {
    /// Success.
    #[default]
    Accept,
    /// EXTERNAL is not offered at all: how Openfire and Prosody refuse a certificate.
    NotOffered,
    /// A SASL failure with this condition: how ejabberd refuses one.
    Refuse(&'static str),
}

/// What the peer does; tests may change it while it runs.
#[derive(Clone, Debug)]
pub struct Script {
    /// Its answer to EXTERNAL.
    pub sasl: Sasl,
    /// Whether it answers pings; a peer that does not looks like one without a return path.
    pub answers_pings: bool,
    /// Child elements of its last stream features.
    pub features: String,
    /// Users whose messages bounce with a condition.
    pub bounces: HashMap<String, &'static str>,
    /// Bounces go out so long after the next ping's answer, instead of at once.
    pub bounces_late: Option<Duration>,
    /// Whether the peer reads what it is sent.
    pub deaf: bool,
    /// Whether it completes handshakes of TLS 1.3 and then says nothing, as old Openfire servers.
    pub silent_after_tls13: bool,
    /// Whether its users let everyone in who asks, and answer probes with their state.
    pub lets_in: bool,
    /// Whether its users answer probes with their state though nobody was let in by a script.
    pub answers_probes: bool,
    /// Child elements of the presence of its users; none where a user is not named.
    pub moods: HashMap<String, String>,
}

/// The running peer.
#[derive(Debug)]
pub struct XmppPeer {
    shared: Arc<Shared>,
    listeners: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    server: SocketAddr,
    /// Where it listens, with STARTTLS and with direct TLS.
    local: [SocketAddr; 2],
    tls: TlsSettings,
    script: Mutex<Script>,
    received: Inbox<Element>,
    /// Stream errors, failed handshakes and ends of incoming streams, as text.
    troubles: Inbox<String>,
    opened: AtomicUsize,
    accepted: AtomicUsize,
    outgoing: tokio::sync::Mutex<HashMap<String, Stream>>,
    held_back: Mutex<Vec<(Element, &'static str)>>,
    serving: Mutex<Vec<JoinHandle<()>>>,
}

impl XmppPeer {
    /// Starts listening on both ports and publishes the domain; dials `server` for all domains.
    pub async fn start(
        lab: &Lab,
        tls: TlsSettings,
        reach: Reach,
        server: SocketAddr,
    ) -> Result<Self> {
        publish(lab, DOMAIN, Host::XmppPeer, reach);
        let shared = Arc::new(Shared {
            server,
            local: [S2S, S2S_DIRECT].map(|port| lab.at(Host::XmppPeer, port)),
            tls,
            script: Mutex::new(Script {
                sasl: Sasl::Accept,
                answers_pings: true,
                features: String::new(),
                bounces: HashMap::new(),
                bounces_late: None,
                deaf: false,
                silent_after_tls13: false,
                lets_in: false,
                answers_probes: false,
                moods: HashMap::new(),
            }),
            received: Inbox::default(),
            troubles: Inbox::default(),
            opened: AtomicUsize::new(0),
            accepted: AtomicUsize::new(0),
            outgoing: tokio::sync::Mutex::default(),
            held_back: Mutex::default(),
            serving: Mutex::default(),
        });
        let listeners = Mutex::new(shared.listen().await?);
        Ok(Self { shared, listeners })
    }

    /// Cannot be reached any more; all streams are cut.
    pub async fn goes_down(&self) {
        locked(&self.listeners)
            .drain(..)
            .for_each(|task| task.abort());
        for address in self.shared.local {
            is_free(address).await;
        }
        self.hang_up().await;
    }

    /// Can be reached again.
    pub async fn comes_back(&self) -> Result<()> {
        let listeners = self.shared.listen().await?;
        locked(&self.listeners).extend(listeners);
        Ok(())
    }

    /// Changes what the peer does.
    pub fn change(&self, change: impl FnOnce(&mut Script)) {
        change(&mut locked(&self.shared.script));
    }

    /// From now on messages for that user come back with this condition.
    pub fn bounce(&self, user: &str, condition: &'static str) {
        self.change(|script| script.bounces.extend([(user.to_owned(), condition)]));
    }

    /// The stanzas received so far.
    pub fn received(&self) -> &Inbox<Element> {
        &self.shared.received
    }

    /// What went wrong on incoming streams so far, in words.
    pub fn troubles(&self) -> &Inbox<String> {
        &self.shared.troubles
    }

    /// Waits for a message with this text.
    pub async fn expect_text(&self, text: &str) -> Result<Element> {
        self.received()
            .wait(&format!("message \"{text}\""), |stanza| {
                stanza.at("type") != "error" && stanza.body().as_deref() == Some(text)
            })
            .await
    }

    /// Waits for a presence of this type, from anyone.
    pub async fn expect_presence(&self, kind: &str) -> Result<Element> {
        self.expect_from("", |stanza| {
            stanza.name() == "presence" && stanza.at("type") == kind
        })
        .await
    }

    /// Waits for a stanza whose sender ends with these words.
    pub async fn expect_from(
        &self,
        ending: &str,
        wanted: impl Fn(&Element) -> bool,
    ) -> Result<Element> {
        let what = format!("stanza from ...{ending}");
        self.received()
            .wait(&what, |stanza| {
                stanza.at("from").ends_with(ending) && wanted(stanza)
            })
            .await
    }

    /// Waits for the error of a message that was sent with this id.
    pub async fn expect_error(&self, id: &str) -> Result<Element> {
        self.expect_error_within(PATIENCE, id).await
    }

    /// As `expect_error`, with a limit of its own.
    pub async fn expect_error_within(&self, limit: Duration, id: &str) -> Result<Element> {
        let wanted = |stanza: &Element| stanza.at("type") == "error" && stanza.at("id") == id;
        self.received()
            .wait_within(limit, &format!("error of {id}"), wanted)
            .await
    }

    /// How to dial the server as this peer.
    pub fn dial<'a>(&'a self, to: &'a str) -> Dial<'a> {
        self.shared.dial(to)
    }

    /// Sends a stanza on the stream to that domain, opening it if need be.
    pub async fn send(&self, to: &str, stanza: &str) -> Result<()> {
        self.shared.send(to, stanza).await
    }

    /// Sends a chat message from one of the peer's users.
    pub async fn say(&self, user: &str, to: &str, id: &str, text: &str) -> Result<()> {
        let domain = to.split_once('@').map_or(to, |(_, domain)| domain);
        let stanza = format!(
            r#"<message type="chat" from="{user}@{DOMAIN}/lab" to="{to}" id="{id}"><body>{}</body></message>"#,
            escape(text)
        );
        self.send(domain, &stanza).await
    }

    /// Sends a presence from one of the peer's users: from its device where the type is empty or
    /// `unavailable`, else from the user.
    pub async fn presence(&self, user: &str, to: &str, kind: &str, children: &str) -> Result<()> {
        self.shared.presence(user, to, kind, children).await
    }

    /// The presences that have come from there to there after the first `known` stanzas.
    pub fn presences(&self, known: usize, from: &str, to: &str) -> Vec<Element> {
        let stanzas = self.received().since(known).into_iter();
        let bare = |jid: &str| jid.split('/').next().map(str::to_owned);
        stanzas
            .filter(|stanza| stanza.name() == "presence")
            .filter(|stanza| bare(stanza.at("from")).as_deref() == Some(from))
            .filter(|stanza| bare(stanza.at("to")).as_deref() == Some(to))
            .collect()
    }

    /// How many streams the peer has opened for `send`.
    pub fn streams_opened(&self) -> usize {
        self.shared.opened.load(Ordering::Relaxed)
    }

    /// How many streams of others have authenticated so far.
    pub fn streams_accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::Relaxed)
    }

    /// Cuts all streams in both directions.
    pub async fn hang_up(&self) {
        self.shared.outgoing.lock().await.clear();
        locked(&self.shared.serving)
            .drain(..)
            .for_each(|task| task.abort());
    }
}

impl Drop for XmppPeer {
    fn drop(&mut self) {
        let serving: Vec<_> = locked(&self.shared.serving).drain(..).collect();
        let listeners: Vec<_> = locked(&self.listeners).drain(..).collect();
        listeners.iter().chain(&serving).for_each(JoinHandle::abort);
    }
}

impl Shared {
    async fn listen(self: &Arc<Self>) -> Result<Vec<JoinHandle<()>>> {
        let mut listeners = Vec::new();
        for (address, direct) in self.local.iter().zip([false, true]) {
            let listener = TcpListener::bind(address).await?;
            listeners.push(tokio::spawn(Arc::clone(self).accept(listener, direct)));
        }
        Ok(listeners)
    }

    fn dial<'a>(&'a self, to: &'a str) -> Dial<'a> {
        Dial {
            address: self.server,
            source: None,
            direct: false,
            from: DOMAIN,
            to,
            tls: &self.tls,
            authzid: None,
        }
    }

    async fn send(&self, to: &str, stanza: &str) -> Result<()> {
        let mut streams = self.outgoing.lock().await;
        if let Some(stream) = streams.get_mut(to)
            && stream.write(stanza).await.is_ok()
        {
            return Ok(());
        }
        let mut stream = self.dial(to).reach(Stage::Open).await?;
        self.opened.fetch_add(1, Ordering::Relaxed);
        stream.write(stanza).await?;
        streams.insert(to.to_owned(), stream);
        Ok(())
    }

    async fn accept(self: Arc<Self>, listener: TcpListener, direct: bool) {
        while let Ok((socket, _)) = listener.accept().await {
            socket.set_nodelay(true).ok();
            let task = tokio::spawn(Arc::clone(&self).serve_to_end(socket, direct));
            locked(&self.serving).push(task);
        }
    }

    async fn serve_to_end(self: Arc<Self>, socket: TcpStream, direct: bool) {
        if let Err(trouble) = self.serve(socket, direct).await {
            self.troubles.push(format!("{trouble:#}"));
        }
    }

    /// One incoming stream from its first byte to its end.
    async fn serve(&self, socket: TcpStream, direct: bool) -> Result<()> {
        let plain: Box<dyn Wire> = Box::new(socket);
        let mut stream = Stream::new(plain, SERVER);
        if !direct {
            welcome(
                &mut stream,
                &format!("<starttls xmlns='{START_TLS}'><required/></starttls>"),
            )
            .await?;
            let request = stream.expect_stanza().await?;
            ensure!(
                request.is("starttls", START_TLS),
                "no STARTTLS: {request:?}"
            );
            stream
                .write(&format!("<proceed xmlns='{START_TLS}'/>"))
                .await?;
        }
        let acceptor = self.tls.acceptor()?;
        let secured = acceptor
            .accept(stream.into_inner())
            .await
            .context("TLS handshake")?;
        let version = secured.get_ref().1.protocol_version();
        let silent = locked(&self.script).silent_after_tls13;
        if silent && version == Some(rustls::ProtocolVersion::TLSv1_3) {
            self.troubles.push("silent after TLS 1.3".to_owned());
            std::future::pending::<()>().await;
        }
        let wire: Box<dyn Wire> = Box::new(secured);
        let mut stream = Stream::new(wire, SERVER);
        self.authenticate(&mut stream).await?;
        self.accepted.fetch_add(1, Ordering::Relaxed);
        let features = locked(&self.script).features.clone();
        welcome(&mut stream, &features).await?;
        loop {
            let deaf = locked(&self.script).deaf;
            if deaf {
                // Never reads again, and never lets go of the connection by itself.
                std::future::pending::<()>().await;
            }
            match stream.read().await? {
                Some(Item::Stanza(stanza)) => self.take(&mut stream, *stanza).await?,
                Some(Item::Header(_)) => bail!("a second header"),
                Some(Item::Close) => {
                    stream.write("</stream:stream>").await?;
                    return Ok(());
                }
                None => bail!("closed without an end of the stream"),
            }
        }
    }

    async fn authenticate(&self, stream: &mut Stream) -> Result<()> {
        let sasl = locked(&self.script).sasl;
        let mechanisms = match sasl {
            Sasl::NotOffered => String::new(),
            Sasl::Accept | Sasl::Refuse(_) => {
                format!("<mechanisms xmlns='{SASL}'><mechanism>EXTERNAL</mechanism></mechanisms>")
            }
        };
        welcome(stream, &mechanisms).await?;
        let auth = stream.expect_stanza().await?;
        ensure!(auth.is("auth", SASL), "no EXTERNAL: {auth:?}");
        match sasl {
            Sasl::Refuse(condition) => {
                stream
                    .write(&format!("<failure xmlns='{SASL}'><{condition}/></failure>"))
                    .await?;
                bail!("EXTERNAL refused as told")
            }
            Sasl::Accept | Sasl::NotOffered => {
                stream.write(&format!("<success xmlns='{SASL}'/>")).await?;
                stream.restart();
                Ok(())
            }
        }
    }

    async fn take(&self, stream: &mut Stream, stanza: Element) -> Result<()> {
        self.received.push(stanza.clone());
        if stanza.name() == "error" {
            bail!("stream error: {stanza:?}");
        }
        let to = stanza.at("to");
        let user = to.split_once('@').map_or("", |(user, _)| user).to_owned();
        let (bounce, late, answers) = {
            let script = locked(&self.script);
            let bounce = script.bounces.get(&user).copied();
            (bounce, script.bounces_late, script.answers_pings)
        };
        if stanza.has_child("ping", PING) && stanza.at("type") == "get" {
            if answers {
                self.reply(&stanza, "result", "").await?;
            }
            let held_back: Vec<_> = locked(&self.held_back).drain(..).collect();
            if let (Some(delay), false) = (late, held_back.is_empty()) {
                tokio::time::sleep(delay).await;
            }
            for (message, condition) in held_back {
                self.bounce(&message, condition).await?;
            }
        } else if let Some(condition) = bounce.filter(|_| stanza.name() == "message") {
            if late.is_some() {
                locked(&self.held_back).push((stanza, condition));
            } else {
                self.bounce(&stanza, condition).await?;
            }
        } else if stanza.is("r", "urn:xmpp:sm:3") {
            let count = self.received.count(|element| element.ns() == SERVER);
            stream
                .write(&format!("<a xmlns='urn:xmpp:sm:3' h='{count}'/>"))
                .await?;
        } else if stanza.name() == "presence" {
            self.take_presence(&user, &stanza).await?;
        }
        Ok(())
    }

    /// What a user who lets everyone in answers: yes to a request, the state to a probe.
    async fn take_presence(&self, user: &str, stanza: &Element) -> Result<()> {
        let kind = stanza.at("type");
        let (answers, mood) = {
            let script = locked(&self.script);
            let answers = match kind {
                "subscribe" => script.lets_in,
                "probe" => script.lets_in || script.answers_probes,
                _ => false,
            };
            (answers, script.moods.get(user).cloned())
        };
        if !answers {
            return Ok(());
        }
        let from = stanza.at("from");
        if kind == "subscribe" {
            self.presence(user, from, "subscribed", "").await?;
        }
        self.presence(user, from, "", &mood.unwrap_or_default())
            .await
    }

    async fn presence(&self, user: &str, to: &str, kind: &str, children: &str) -> Result<()> {
        let (from, kind) = match kind {
            "" => (format!("{user}@{DOMAIN}/lab"), String::new()),
            "unavailable" => (format!("{user}@{DOMAIN}/lab"), format!("type='{kind}'")),
            _ => (format!("{user}@{DOMAIN}"), format!("type='{kind}'")),
        };
        let domain = to.split('/').next().unwrap_or(to);
        let domain = domain.rsplit('@').next().unwrap_or(domain);
        let text = format!("<presence from='{from}' to='{to}' {kind}>{children}</presence>");
        self.send(domain, &text).await
    }

    async fn bounce(&self, stanza: &Element, condition: &str) -> Result<()> {
        let error = format!("<error type='cancel'><{condition} xmlns='{STANZA_ERRORS}'/></error>");
        self.reply(stanza, "error", &error).await
    }

    async fn reply(&self, stanza: &Element, kind: &str, content: &str) -> Result<()> {
        let (from, to, id) = (stanza.at("to"), stanza.at("from"), stanza.at("id"));
        let domain = to.split('/').next().unwrap_or(to);
        let domain = domain.rsplit('@').next().unwrap_or(domain);
        let name = stanza.name();
        let (from, to_address, id) = (escape(from), escape(to), escape(id));
        let reply = format!(
            "<{name} type='{kind}' from='{from}' to='{to_address}' id='{id}'>{content}</{name}>"
        );
        self.send(domain, &reply).await
    }
}
