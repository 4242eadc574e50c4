//! The simulator: an Edge with a pool and users behind it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::conversation::Talk;
use super::dialog::Key;
use super::link::{Link, Waiting};
use super::message::Message;
use super::meter::Meter;
use super::notifier::Watcher;
use super::partner::Located;
use super::profile::{Assumptions, Profile, Windows};
use super::routes::Seal;
use super::tls::{Certificates, Schannel, Settled};
use super::user::{Account, User};
use super::watching::Watching;
use crate::inbox::{Inbox, locked};
use crate::lookup::Directory;

/// What a simulator is from its start on.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The release.
    pub profile: Profile,
    /// The system under the Edge.
    pub windows: Windows,
    /// The SIP domain of its users.
    pub domain: String,
    /// The name of the Edge.
    pub fqdn: String,
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where the partner listens.
    pub partner: SocketAddr,
    /// The partner's domain, by whose records he is dialled instead; a directory has to know them.
    pub partner_domain: Option<String>,
    /// Its certificates.
    pub certificates: Certificates,
    /// The authority of the partner's certificate.
    pub trusted: PathBuf,
    /// Where it looks up the partner's records, if it does.
    pub directory: Option<Directory>,
}

/// How the partner got onto the list of allowed domains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Federation {
    /// Found by its records: counted, and checked against them.
    Discovered,
    /// An allowed domain: checked against its records, not counted.
    Enhanced,
    /// An allowed domain with this ProxyFqdn: only the certificate is checked.
    Direct(String),
}

/// What it does with NEGOTIATE of a partner, who has no business asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnNegotiate {
    /// Refuses it, as a server that knows no compression.
    Refuses,
    /// Agrees.
    Compresses,
    /// Says nothing.
    SaysNothing,
}

/// What tests and the console change while it runs.
#[derive(Clone, Debug)]
pub struct Conduct {
    /// How the partner is known.
    pub federation: Federation,
    /// Whether ms-diagnostics go to partners (SendToExternalNetworks).
    pub diagnoses: bool,
    /// How many connections it opens.
    pub connections: usize,
    /// Whether it asks for compression first.
    pub negotiates: bool,
    /// What it does when the partner asks for compression.
    pub on_negotiate: OnNegotiate,
    /// Whether it answers OPTIONS.
    pub answers_options: bool,
    /// Whether SUBSCRIBEs demand BENOTIFY by Proxy-Require.
    pub demands_benotify: bool,
    /// Whether its SUBSCRIBEs offer to take the first document with the answer.
    pub offers_piggyback: bool,
    /// Whether its answers carry the first document where that is offered.
    pub piggybacks: bool,
    /// Whether it notifies by BENOTIFY although nobody offered to take it.
    pub benotifies: bool,
    /// What subscriptions are granted, in seconds.
    pub grants: (u32, u32),
    /// What its own SUBSCRIBEs ask for, in seconds.
    pub asks_for: u32,
    /// What its SUBSCRIBEs list in Accept; of the release if empty.
    pub accepts: Vec<String>,
    /// Links in texts get an underscore in front.
    pub rewrites_links: bool,
    /// BlockConversationFromFederatedContacts.
    pub blocks_new_conversations: bool,
    /// The messages that the partner may send in a second, where it is counted.
    pub cap: usize,
    /// The distinct users that a discovered partner may write to or watch.
    pub most_users: usize,
    /// How much of what a discovered partner asks has to succeed, in percent: below it he may send
    /// one message a second.
    pub least_success: u64,
    /// How many answers have to be there before that is looked at.
    pub judged_from: u64,
    /// Clients write rich text alone, with no plain text beside it.
    pub writes_rtf: bool,
    /// What rests on no evidence.
    pub assumptions: Assumptions,
}

/// A running simulator.
#[derive(Debug)]
pub struct Sim {
    pub(super) shared: Arc<Shared>,
    listener: Mutex<JoinHandle<()>>,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) setup: Setup,
    pub(super) tls: Schannel,
    pub(super) seal: Seal,
    pub(super) conduct: Mutex<Conduct>,
    pub(super) meter: Meter,
    /// Every message that has come, with the link it came over.
    pub(super) received: Inbox<(u64, Message)>,
    /// Every message that has gone out.
    pub(super) sent: Inbox<(u64, Message)>,
    /// What the partner must never do, in words.
    pub(super) faults: Inbox<String>,
    /// What the Edge's own log says about refused messages.
    pub(super) diary: Inbox<String>,
    /// What handshakes have settled.
    pub(super) handshakes: Inbox<Settled>,
    pub(super) outgoing: tokio::sync::Mutex<Vec<Link>>,
    pub(super) links: Mutex<Vec<Link>>,
    pub(super) waiting: Mutex<HashMap<String, Waiting>>,
    pub(super) users: Mutex<BTreeMap<String, Account>>,
    pub(super) watchings: Mutex<HashMap<Key, Watching>>,
    pub(super) watchers: Mutex<HashMap<Key, Watcher>>,
    pub(super) talks: Mutex<HashMap<Key, Arc<Talk>>>,
    /// INVITEs of the partner without a final answer: their branch, and what ends the ringing.
    pub(super) ringing: Mutex<HashMap<String, Arc<tokio::sync::Notify>>>,
    /// Distinct users that the partner has written to or asked for.
    pub(super) known: Mutex<BTreeSet<String>>,
    /// What the records of partners' domains have said of late.
    pub(super) located: Mutex<HashMap<String, Located>>,
    next: AtomicU64,
}

impl Conduct {
    fn of(setup: &Setup) -> Self {
        Self {
            federation: Federation::Enhanced,
            diagnoses: false,
            connections: setup.profile.connections(),
            negotiates: setup.profile.negotiates(),
            on_negotiate: OnNegotiate::Refuses,
            answers_options: true,
            demands_benotify: false,
            offers_piggyback: true,
            piggybacks: true,
            benotifies: false,
            grants: (1200, 43_200),
            asks_for: 28_800,
            accepts: Vec::new(),
            rewrites_links: false,
            blocks_new_conversations: false,
            cap: super::meter::CAP,
            most_users: 1000,
            least_success: 50,
            judged_from: 20,
            writes_rtf: false,
            assumptions: Assumptions::default(),
        }
    }
}

impl Sim {
    /// Starts listening; connections to the partner are opened with the first request.
    pub async fn start(setup: Setup) -> Result<Self> {
        let tls = Schannel::new(setup.windows, &setup.certificates, &setup.trusted)?;
        let shared = Arc::new(Shared {
            seal: Seal::new(&setup.fqdn, &setup.domain)?,
            conduct: Mutex::new(Conduct::of(&setup)),
            tls,
            setup,
            meter: Meter::default(),
            received: Inbox::default(),
            sent: Inbox::default(),
            faults: Inbox::default(),
            diary: Inbox::default(),
            handshakes: Inbox::default(),
            outgoing: tokio::sync::Mutex::default(),
            links: Mutex::default(),
            waiting: Mutex::default(),
            users: Mutex::default(),
            watchings: Mutex::default(),
            watchers: Mutex::default(),
            talks: Mutex::default(),
            ringing: Mutex::default(),
            known: Mutex::default(),
            located: Mutex::default(),
            next: AtomicU64::new(1),
        });
        let listener = Mutex::new(shared.listen().await?);
        let watched = Arc::downgrade(&shared);
        tokio::spawn(async move {
            while let Some(shared) = watched.upgrade() {
                shared.meter.tick();
                drop(shared);
                tokio::time::sleep(super::meter::TICK).await;
            }
        });
        Ok(Self { shared, listener })
    }

    /// What it is.
    pub fn setup(&self) -> &Setup {
        &self.shared.setup
    }

    /// Changes what it does.
    pub fn change(&self, change: impl FnOnce(&mut Conduct)) {
        change(&mut locked(&self.shared.conduct));
    }

    /// What it does now.
    pub fn conduct(&self) -> Conduct {
        self.shared.conduct()
    }

    /// Signs a user in at so many endpoints.
    pub fn sign_in(&self, name: &str, endpoints: usize) -> User {
        self.shared.sign_in(name, endpoints)
    }

    /// What the partner must never do, in words.
    pub fn faults(&self) -> &Inbox<String> {
        &self.shared.faults
    }

    /// What the Edge's own log says about messages it refused.
    pub fn diary(&self) -> &Inbox<String> {
        &self.shared.diary
    }

    /// Every message that has come, with the number of its connection.
    pub fn received(&self) -> &Inbox<(u64, Message)> {
        &self.shared.received
    }

    /// Every message that has gone out, with the number of its connection.
    pub fn sent(&self) -> &Inbox<(u64, Message)> {
        &self.shared.sent
    }

    /// What TLS has settled on each connection, of either direction.
    pub fn handshakes(&self) -> &Inbox<Settled> {
        &self.shared.handshakes
    }

    /// How many connections there are, of either direction.
    pub fn links(&self) -> usize {
        locked(&self.shared.links).len()
    }

    /// What the partner sends in a second.
    pub fn meter(&self) -> &Meter {
        &self.shared.meter
    }

    /// Forgets what records have said, so that the next request is judged by what they say then.
    pub fn forget_records(&self) {
        locked(&self.shared.located).clear();
    }

    /// Opens its connections to the partner, as many as it has.
    pub async fn connect(&self) -> Result<()> {
        let wanted = locked(&self.shared.conduct).connections;
        for _ in 0..wanted {
            self.shared.link().await?;
        }
        Ok(())
    }

    /// Sends a request of a test's own through the Edge and waits for its final answer.
    pub async fn send(&self, request: Message) -> Result<Message> {
        self.shared.ask(request).await?.last().await
    }

    /// Sends bytes as they are.
    pub async fn send_bytes(&self, bytes: &[u8]) -> Result<()> {
        self.shared.link().await?.write(bytes.to_vec());
        Ok(())
    }

    /// Asks the partner whether it lives, from the Edge itself.
    pub async fn probe(&self) -> Result<Message> {
        self.shared.options().await
    }

    /// Closes all connections; the next request dials anew. What comes over them from now on is not
    /// read any more.
    pub async fn hang_up(&self) {
        self.shared.outgoing.lock().await.clear();
        let links: Vec<Link> = locked(&self.shared.links).drain(..).collect();
        for link in links {
            link.close();
            link.closed().await;
        }
    }

    /// The Edge is set up anew: it does not know the routes any more that it signed before.
    pub fn renew_key(&self) -> Result<()> {
        self.shared.seal.renew()
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        locked(&self.listener).abort();
        locked(&self.shared.links)
            .drain(..)
            .for_each(|link| link.close());
    }
}

impl Shared {
    async fn listen(self: &Arc<Self>) -> Result<JoinHandle<()>> {
        let address = self.setup.listen;
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("lync-sim cannot listen on {address}"))?;
        let shared = Arc::clone(self);
        Ok(tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(Arc::clone(&shared).welcome(socket));
            }
        }))
    }

    /// A number that nothing else has.
    pub(super) fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn conduct(&self) -> Conduct {
        locked(&self.conduct).clone()
    }

    pub(super) fn fault(&self, words: impl Into<String>) {
        self.faults.push(words.into());
    }
}

/// Random hexadecimal digits.
pub(super) fn hex(digits: usize) -> String {
    let random: u128 = rand::random();
    let text = format!("{random:032x}");
    text.chars().take(digits).collect()
}
