//! Real XMPP clients: one process of slixmpp that runs any number of sessions for a test.

use std::collections::HashMap;
use std::fs::File;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use minidom::Element;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::inbox::{Inbox, PATIENCE, locked};
use crate::lab::{Lab, write};
use crate::xml::Look;

const PROGRAM: &str = include_str!("xmpp_clients.py");
/// Debian's Python, which has Debian's slixmpp.
const PYTHON: &str = "/usr/bin/python3";
/// A little more than the limit that the program itself sets.
const COMMAND_LIMIT: Duration = Duration::from_secs(25);

/// The process that runs the clients.
#[derive(Debug)]
pub struct XmppClients {
    shared: Arc<Shared>,
    _child: Child,
    reader: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    commands: tokio::sync::Mutex<ChildStdin>,
    next: AtomicU64,
    waiting: Mutex<HashMap<u64, oneshot::Sender<Value>>>,
    inboxes: Mutex<HashMap<String, Arc<Inbox<Element>>>>,
}

/// One session of one user.
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<Shared>,
    name: String,
    bare: String,
    inbox: Arc<Inbox<Element>>,
}

/// An available presence as a user sets it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mood<'a> {
    /// `away`, `chat`, `dnd`, `xa` or nothing.
    pub show: &'a str,
    /// Words of the user's own.
    pub status: &'a str,
    /// Priority of the resource.
    pub priority: i8,
}

impl XmppClients {
    /// Starts the process and waits until it takes commands.
    pub async fn start(lab: &Lab) -> Result<Self> {
        let program = lab.path("xmpp_clients.py");
        write(&program, PROGRAM)?;
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", PYTHON, "-u"])
            .arg(&program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(lab.path("xmpp_clients.log"))?)
            .kill_on_drop(true)
            .spawn()
            .context("cannot start Python")?;
        let commands = child.stdin.take().context("standard input is a pipe")?;
        let output = child.stdout.take().context("standard output is a pipe")?;
        let mut lines = BufReader::new(output).lines();
        let first = timeout(PATIENCE, lines.next_line())
            .await
            .context("slixmpp does not start")??;
        first.context("slixmpp does not start: is python3-slixmpp installed?")?;
        let shared = Arc::new(Shared {
            commands: tokio::sync::Mutex::new(commands),
            next: AtomicU64::new(1),
            waiting: Mutex::default(),
            inboxes: Mutex::default(),
        });
        let reader = tokio::spawn(read(lines, Arc::clone(&shared)));
        Ok(Self {
            shared,
            _child: child,
            reader,
        })
    }

    /// Logs a user in, without a presence yet.
    pub async fn login(&self, server: SocketAddr, jid: &str) -> Result<Client> {
        let shared = &self.shared;
        let name = format!("{jid}#{}", shared.next.fetch_add(1, Ordering::Relaxed));
        let inbox = Arc::<Inbox<Element>>::default();
        locked(&shared.inboxes).insert(name.clone(), Arc::clone(&inbox));
        let (bare, _) = jid.split_once('/').unwrap_or((jid, ""));
        let client = Client {
            shared: Arc::clone(shared),
            name,
            bare: bare.to_owned(),
            inbox,
        };
        let (host, port) = (server.ip().to_string(), server.port());
        client
            .run("login", json!({"jid": jid, "host": host, "port": port}))
            .await?;
        Ok(client)
    }
}

impl Drop for XmppClients {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Client {
    /// The user's bare JID.
    pub fn jid(&self) -> &str {
        &self.bare
    }

    /// Everything the session has received.
    pub fn inbox(&self) -> &Inbox<Element> {
        &self.inbox
    }

    /// How many stanzas have come, to wait for what comes behind them.
    pub fn mark(&self) -> usize {
        self.inbox.len()
    }

    /// Becomes available, or changes how.
    pub async fn shows(&self, mood: Mood<'_>) -> Result<()> {
        let mut arguments = json!({"priority": mood.priority});
        for (key, value) in [("show", mood.show), ("status", mood.status)] {
            if !value.is_empty() {
                add(&mut arguments, key, value);
            }
        }
        self.run("presence", arguments).await.map(drop)
    }

    /// Sends presence to one address.
    pub async fn shows_to(&self, to: &str, status: &str) -> Result<()> {
        self.run("presence", json!({"to": to, "status": status}))
            .await
            .map(drop)
    }

    /// Becomes unavailable and stays connected.
    pub async fn hides(&self) -> Result<()> {
        self.run("presence", json!({"type": "unavailable"}))
            .await
            .map(drop)
    }

    /// Asks to see somebody.
    pub async fn subscribe(&self, to: &str) -> Result<()> {
        self.subscription(to, "subscribe").await
    }

    /// Lets somebody in.
    pub async fn approve(&self, to: &str) -> Result<()> {
        self.subscription(to, "subscribed").await
    }

    /// Keeps somebody out, or throws somebody out.
    pub async fn deny(&self, to: &str) -> Result<()> {
        self.subscription(to, "unsubscribed").await
    }

    /// Sees somebody no longer.
    pub async fn unsubscribe(&self, to: &str) -> Result<()> {
        self.subscription(to, "unsubscribe").await
    }

    async fn subscription(&self, to: &str, kind: &str) -> Result<()> {
        self.run("subscription", json!({"to": to, "type": kind}))
            .await
            .map(drop)
    }

    /// Removes somebody from the roster.
    pub async fn remove(&self, contact: &str) -> Result<()> {
        self.run("remove", json!({"to": contact})).await.map(drop)
    }

    /// The subscription of a contact in the roster on the server, `none` where there is no such
    /// contact, with `+ask` behind it while a request is on its way.
    pub async fn roster(&self, contact: &str) -> Result<String> {
        let roster = self.run("roster", json!({})).await?;
        let item = roster.get(contact);
        let text = |key: &str| {
            let value = item.and_then(|item| item.get(key)?.as_str());
            value.unwrap_or_default().to_owned()
        };
        let ask = if text("ask").is_empty() { "" } else { "+ask" };
        let subscription = item.map_or_else(|| "none".to_owned(), |_| text("subscription"));
        Ok(subscription + ask)
    }

    /// Blocks somebody (XEP-0191).
    pub async fn block(&self, jid: &str) -> Result<()> {
        self.run("block", json!({"to": jid})).await.map(drop)
    }

    /// Takes a block back.
    pub async fn unblock(&self, jid: &str) -> Result<()> {
        self.run("unblock", json!({"to": jid})).await.map(drop)
    }

    /// Sends a chat message.
    pub async fn say(&self, to: &str, id: &str, text: &str) -> Result<()> {
        self.run("say", json!({"to": to, "id": id, "text": text}))
            .await
            .map(drop)
    }

    /// Waits for a message with this body that is no error.
    pub async fn expect_text(&self, text: &str) -> Result<Element> {
        let what = format!("message \"{text}\" at {}", self.name);
        let wanted = |stanza: &Element| {
            stanza.at("type") != "error" && stanza.body().as_deref() == Some(text)
        };
        self.inbox.wait(&what, wanted).await
    }

    /// Waits for the error of a message sent with this id.
    pub async fn expect_error(&self, id: &str) -> Result<Element> {
        let what = format!("error of {id} at {}", self.name);
        let wanted = |stanza: &Element| stanza.at("type") == "error" && stanza.at("id") == id;
        self.inbox.wait(&what, wanted).await
    }

    /// Ends the session politely.
    pub async fn logout(&self) -> Result<()> {
        self.run("logout", json!({})).await.map(drop)
    }

    /// Drops the connection without a word.
    pub async fn abort(&self) -> Result<()> {
        self.run("abort", json!({})).await.map(drop)
    }

    /// Waits for a presence from a contact, whenever it came.
    pub async fn expect(
        &self,
        contact: &str,
        what: &str,
        wanted: impl Fn(&Element) -> bool,
    ) -> Result<Element> {
        self.expect_behind(0, contact, what, wanted).await
    }

    /// Waits for a presence from a contact behind the first `known` stanzas.
    pub async fn expect_behind(
        &self,
        known: usize,
        contact: &str,
        what: &str,
        wanted: impl Fn(&Element) -> bool,
    ) -> Result<Element> {
        self.expect_within(PATIENCE, known, contact, what, wanted)
            .await
    }

    /// As `expect_behind`, with a limit of its own.
    pub async fn expect_within(
        &self,
        limit: Duration,
        known: usize,
        contact: &str,
        what: &str,
        wanted: impl Fn(&Element) -> bool,
    ) -> Result<Element> {
        let words = format!("presence \"{what}\" from {contact} at {}", self.name);
        self.inbox
            .wait_behind(known, limit, &words, |stanza| {
                is_from(stanza, contact) && wanted(stanza)
            })
            .await
    }

    /// The presences from a contact behind the first `known` stanzas.
    pub fn presences_of(&self, known: usize, contact: &str) -> Vec<Element> {
        let behind = self.inbox.since(known).into_iter();
        behind.filter(|stanza| is_from(stanza, contact)).collect()
    }

    async fn run(&self, command: &str, mut arguments: Value) -> Result<Value> {
        let shared = &self.shared;
        let seq = shared.next.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        locked(&shared.waiting).insert(seq, sender);
        add(&mut arguments, "seq", seq);
        add(&mut arguments, "as", self.name.as_str());
        add(&mut arguments, "do", command);
        let mut line = arguments.to_string();
        line.push('\n');
        shared
            .commands
            .lock()
            .await
            .write_all(line.as_bytes())
            .await?;
        let answer = timeout(COMMAND_LIMIT, answer).await;
        let answer = answer
            .with_context(|| format!("{command} of {} is not answered", self.name))?
            .context("slixmpp has ended")?;
        if answer.get("ok") != Some(&Value::Bool(true)) {
            bail!("{command} of {}: {answer}", self.name);
        }
        Ok(answer.get("result").cloned().unwrap_or_default())
    }
}

fn add(arguments: &mut Value, key: &str, value: impl Into<Value>) {
    if let Some(map) = arguments.as_object_mut() {
        map.insert(key.to_owned(), value.into());
    }
}

fn is_from(stanza: &Element, contact: &str) -> bool {
    let from = stanza.at("from");
    let bare = from.split_once('/').map_or(from, |(bare, _)| bare);
    stanza.name() == "presence" && bare == contact
}

async fn read(mut lines: Lines<BufReader<ChildStdout>>, shared: Arc<Shared>) {
    while let Ok(Some(line)) = lines.next_line().await {
        let Ok(value) = serde_json::from_str::<Value>(&line) else {
            continue;
        };
        if let Some(seq) = value.get("seq").and_then(Value::as_u64) {
            let waiting = locked(&shared.waiting).remove(&seq);
            // Whoever gave the command may have given up.
            waiting.map(|waiting| waiting.send(value));
            continue;
        }
        let text = |key: &str| value.get(key)?.as_str();
        let (Some(name), Some(stanza)) = (text("as"), text("stanza")) else {
            continue;
        };
        let inbox = locked(&shared.inboxes).get(name).cloned();
        if let (Some(inbox), Ok(element)) = (inbox, stanza.parse::<Element>()) {
            inbox.push(element);
        }
    }
}
