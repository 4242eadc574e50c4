//! Ten minutes at a partner's cap: subscriptions that all refresh, texts and changes of presence
//! all the while, then `kill -9` and the time until every watcher is fresh.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::time::{MissedTickBehavior, interval};

use crate::inbox::{locked, until};
use crate::lync_scenes::{Stage, Wishes, With};
use crate::lync_sim::{Conversation, Profile, Rendered, State, User};
use crate::xml::Look;
use crate::xmpp_peer::{self, XmppPeer};

/// Subscriptions of each direction.
const EACH: usize = 1250;
/// Users who write to each other.
const TALKERS: usize = 40;
/// Texts a second that are offered, of both directions together.
const TEXTS: u64 = 4;
/// Changes of presence a second that are offered.
const CHANGES: u64 = 10;
/// How long the set-up may take.
const PATIENCE: Duration = Duration::from_secs(900);

/// What a soak has shown.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// The most messages of the gateway within any second.
    pub most: usize,
    /// Messages of the gateway by kind, while it ran and after the start.
    pub messages: [BTreeMap<String, u64>; 2],
    /// Texts offered while it ran, and after the start.
    pub texts: [usize; 2],
    /// Their p99 latency.
    pub p99: [Duration; 2],
    /// The slowest of them.
    pub slowest: [Duration; 2],
    /// Subscriptions that were refreshed, of each direction.
    pub refreshed: [usize; 2],
    /// From the kill to the last fresh watcher.
    pub fresh: Duration,
    /// What the gateway did wrong towards an Edge.
    pub faults: Vec<String>,
}

/// The stage of a soak.
#[derive(Debug)]
pub struct Soak {
    stage: Stage,
    traffic: Arc<Traffic>,
}

/// What runs in the background.
#[derive(Debug)]
struct Traffic {
    peer: Arc<XmppPeer>,
    conversations: Vec<Conversation>,
    talkers: Vec<User>,
    latencies: Mutex<Vec<Duration>>,
    failures: Mutex<Vec<String>>,
    pending: AtomicU64,
    /// While the gateway is down nobody writes.
    pause: AtomicBool,
    number: AtomicU64,
    changes: AtomicU64,
}

fn watched(number: usize) -> String {
    format!("presentity{number}")
}

fn watching(number: usize) -> String {
    format!("watcher{number}")
}

fn jid(user: &str) -> String {
    format!("{user}@{}", xmpp_peer::DOMAIN)
}

impl Soak {
    /// Starts a gateway that is not held to a pace yet, and fills it with subscriptions of both
    /// directions and conversations.
    pub async fn start(lab: &crate::lab::Lab) -> Result<Self> {
        let stage = Stage::start(lab, Profile::S4b2019, With::Peer, &Wishes::default()).await?;
        let peer = stage.shared_peer().context("the scripted peer")?;
        peer.change(|script| script.lets_in = true);
        stage.sim.change(|conduct| conduct.grants = (300, 600));
        for number in 0..EACH {
            // An XMPP user watches a Lync user.
            let user = stage.sim.sign_in(&watched(number), 1);
            user.publish(State::new(3500, "", "begin")).await;
            let from = watching(number);
            peer.presence(&from, &user.aor(), "subscribe", "").await?;
        }
        slowly("all XMPP users watch", || {
            stage.sim.everyone_watched().len() >= EACH
        })
        .await?;
        for number in 0..EACH {
            // A Lync user watches an XMPP user.
            let user = stage.sim.sign_in(&watching(number), 1);
            let asks = rand::random_range(300..=600);
            stage.sim.change(|conduct| conduct.asks_for = asks);
            user.add(&jid(&watched(number))).await?;
        }
        slowly("all Lync users watch", || {
            let seen = stage.sim.everything_seen();
            let online = |one: &Option<Rendered>| one.as_ref().is_some_and(Rendered::is_online);
            seen.iter().filter(|(.., one)| online(one)).count() >= EACH
        })
        .await?;
        let mut conversations = Vec::new();
        let mut talkers = Vec::new();
        for number in 0..TALKERS {
            let user = stage.sim.sign_in(&format!("talker{number}"), 1);
            conversations.push(
                user.start(&jid(&format!("talker{number}")), "begin")
                    .await?,
            );
            talkers.push(user);
        }
        let traffic = Arc::new(Traffic {
            peer,
            conversations,
            talkers,
            latencies: Mutex::default(),
            failures: Mutex::default(),
            pending: AtomicU64::new(0),
            pause: AtomicBool::new(false),
            number: AtomicU64::new(0),
            changes: AtomicU64::new(0),
        });
        Ok(Self { stage, traffic })
    }

    /// Holds the gateway to the pace of a partner who is not allow-listed, by a reload.
    pub async fn pace(&mut self) -> Result<()> {
        let config = self.stage.gateway.config().to_owned();
        let text = std::fs::read_to_string(&config)?;
        ensure!(text.contains("allow_listed = true"));
        std::fs::write(
            &config,
            text.replace("allow_listed = true", "allow_listed = false"),
        )?;
        self.stage.gateway.control(&["reload"]).await?.success()?;
        // What was written before has to be over.
        tokio::time::sleep(Duration::from_secs(5)).await;
        self.stage.sim.meter().clear();
        Ok(())
    }

    /// The load for that long, then the kill, and the time until all are fresh.
    pub async fn run(mut self, span: Duration) -> Result<Findings> {
        let mut findings = Findings::default();
        let before = self.subscribes();
        let driver = tokio::spawn(Arc::clone(&self.traffic).drive());
        tokio::time::sleep(span).await;
        let after = self.subscribes();
        let grown = |which: usize| {
            let (before, after) = (before.get(which), after.get(which));
            let before = |user: &String| before.and_then(|before| before.get(user)).copied();
            let after = after.into_iter().flatten();
            after
                .filter(|(user, count)| Some(**count) > before(user))
                .count()
        };
        findings.refreshed = [grown(0), grown(1)];
        self.account(&mut findings, 0).await?;

        self.traffic.pause.store(true, Ordering::Relaxed);
        self.traffic.settled().await?;
        let kinds = self.stage.sim.meter().kinds();
        let fresh = self.restart().await;
        let later = self.stage.sim.meter().kinds().into_iter();
        let grown = later.map(|(kind, count)| {
            let before = kinds.get(&kind).copied().unwrap_or_default();
            (kind, count - before)
        });
        findings.messages = [kinds.clone(), grown.collect()];
        if fresh.is_err() {
            // What the time went into is worth knowing then most of all.
            eprintln!(
                "messages of the gateway until then: {:?}",
                findings.messages
            );
        }
        findings.fresh = fresh?;
        self.account(&mut findings, 1).await?;
        driver.abort();
        findings.most = self.stage.sim.meter().most();
        findings.faults = self.stage.sim.faults().all();
        self.stage.gateway.is_sound()?;
        Ok(findings)
    }

    /// SUBSCRIBEs so far of each user: those of the gateway, those of the simulator.
    fn subscribes(&self) -> [BTreeMap<String, u64>; 2] {
        let sim = &self.stage.sim;
        let ours = sim.everyone_watched().into_iter().collect();
        let seen = sim.everything_seen().into_iter();
        [
            ours,
            seen.map(|(user, _, count, _)| (user, count)).collect(),
        ]
    }

    async fn account(&self, findings: &mut Findings, which: usize) -> Result<()> {
        self.traffic.settled().await?;
        let mut latencies = std::mem::take(&mut *locked(&self.traffic.latencies));
        latencies.sort_unstable();
        let at = latencies.len().saturating_sub(1) * 99 / 100;
        let p99 = latencies.get(at).copied().unwrap_or_default();
        let slowest = latencies.last().copied().unwrap_or_default();
        for (slot, value) in [(&mut findings.p99, p99), (&mut findings.slowest, slowest)] {
            if let Some(slot) = slot.get_mut(which) {
                *slot = value;
            }
        }
        if let Some(slot) = findings.texts.get_mut(which) {
            *slot = latencies.len();
        }
        Ok(())
    }

    /// Kills the gateway, changes everybody's state, starts it and waits until all are fresh.
    async fn restart(&mut self) -> Result<Duration> {
        let Self { stage, traffic } = self;
        stage.gateway.kill().await?;
        let killed = Instant::now();
        let mark = traffic.peer.received().len();
        let since = traffic.changes.load(Ordering::Relaxed);
        traffic.peer.change(|script| {
            for number in 0..EACH {
                let mood = "<show>dnd</show><status>meanwhile</status>".to_owned();
                script.moods.insert(watched(number), mood);
            }
        });
        for number in 0..EACH {
            if let Some(user) = stage.sim.user(&watched(number)) {
                user.publish(State::new(15_500, "", "meanwhile")).await;
            }
        }
        // An Edge does not keep what it could not deliver.
        slowly("all were notified in vain", || !stage.sim.is_notifying()).await?;
        // What is written to a stream that has ended is lost without a word.
        traffic.peer.hang_up().await;
        stage.gateway.start_again().await?;
        traffic.pause.store(false, Ordering::Relaxed);
        slowly("all watchers are fresh", || {
            are_fresh(stage, traffic, mark, since)
        })
        .await?;
        Ok(killed.elapsed())
    }
}

/// Whether every watcher of either side has seen what changed while the gateway was down.
fn are_fresh(stage: &Stage, traffic: &Traffic, mark: usize, since: u64) -> bool {
    let seen = traffic.peer.received().since(mark).into_iter();
    let fresh = seen
        .filter(|stanza| stanza.name() == "presence" && stanza.text_of("status") == "meanwhile");
    let users: BTreeSet<String> = fresh.map(|stanza| stanza.at("from").to_owned()).collect();
    let seen = stage.sim.everything_seen();
    let told = |one: &Option<Rendered>| one.as_ref().is_some_and(|one| is_new(&one.note, since));
    let theirs = seen.iter().filter(|(.., one)| told(one)).count();
    theirs >= EACH && users.len() >= EACH
}

/// Whether a note is from the time while the gateway was down, or from a change behind that.
fn is_new(note: &str, since: u64) -> bool {
    let number = note.strip_prefix("change ");
    let number = number.and_then(|number| number.parse::<u64>().ok());
    note == "meanwhile" || number.is_some_and(|number| number >= since)
}

/// Asks every second: what is asked takes its time.
async fn slowly(what: &str, mut holds: impl FnMut() -> bool) -> Result<()> {
    let begun = Instant::now();
    while !holds() {
        ensure!(
            begun.elapsed() < PATIENCE,
            "{what}: not so within {PATIENCE:?}"
        );
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Ok(())
}

impl Traffic {
    /// Offers texts and changes for as long as it is let.
    async fn drive(self: Arc<Self>) {
        let mut ticks = interval(Duration::from_millis(1000 / (TEXTS + CHANGES)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut turn = 0_u64;
        loop {
            ticks.tick().await;
            if self.pause.load(Ordering::Relaxed) {
                continue;
            }
            turn += 1;
            let traffic = Arc::clone(&self);
            if turn % (TEXTS + CHANGES) < TEXTS {
                self.pending.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(traffic.timed());
            } else {
                tokio::spawn(traffic.change());
            }
        }
    }

    /// One text with its latency. A text that fails never counts as settled, and the soak says so.
    async fn timed(self: Arc<Self>) {
        match self.write().await {
            Ok(took) => {
                locked(&self.latencies).push(took);
                self.pending.fetch_sub(1, Ordering::Relaxed);
            }
            Err(error) => locked(&self.failures).push(format!("{error:#}")),
        }
    }

    /// One text, in turn of either direction, from when it is written to when it is read.
    async fn write(&self) -> Result<Duration> {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        // Who is written to answers ten seconds later: both of a pair do not begin in one moment.
        let turn = usize::try_from(number)?;
        let pair = (turn / 2 + turn % 2 * TALKERS / 2) % TALKERS;
        let text = format!("text {number}");
        let user = self.talkers.get(pair).context("a talker")?;
        let contact = jid(&format!("talker{pair}"));
        let begun = Instant::now();
        if number.is_multiple_of(2) {
            let name = format!("talker{pair}");
            self.peer
                .say(&name, &user.aor(), &format!("id{number}"), &text)
                .await?;
            user.expect_text(&text).await?;
            return Ok(begun.elapsed());
        }
        let open = user.conversation(&contact);
        let open = open.or_else(|| self.conversations.get(pair).cloned());
        let open = open.context("a conversation")?;
        if !open.is_open() || open.say(&text).await? != 200 {
            user.start(&contact, &text).await?;
        }
        Ok(begun.elapsed())
    }

    async fn change(self: Arc<Self>) {
        let number = self.changes.fetch_add(1, Ordering::Relaxed);
        let user = watched(rand::random_range(0..EACH));
        let children = format!("<status>change {number}</status>");
        let to = user.replace("presentity", "watcher");
        let to = format!("{to}@{}", crate::lync_scenes::DOMAIN);
        // A stream that ends right now loses it, as everything on it.
        self.peer.presence(&user, &to, "", &children).await.ok();
    }

    async fn settled(&self) -> Result<()> {
        until(Duration::from_secs(90), "every text is settled", || {
            std::future::ready(self.pending.load(Ordering::Relaxed) == 0)
        })
        .await
        .with_context(|| format!("{:?}", locked(&self.failures)))
    }
}
