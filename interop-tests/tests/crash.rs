//! `kill -9` at random moments under load both ways: every accepted message has an outcome.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use interop_tests::bridge::{SIP_DOMAIN, ScriptedBridge, takes_again};
use interop_tests::gateway::Gateway;
use interop_tests::history::History;
use interop_tests::inbox::until;
use interop_tests::lab::run;
use interop_tests::s2s::{Stage, Stream};
use interop_tests::sip_agent::SipAgent;
use interop_tests::xml::Look;
use interop_tests::xmpp_peer::{DOMAIN, XmppPeer};

const LIMIT: Duration = Duration::from_secs(420);
const KILLS: usize = 100;
/// The longest life of the daemon between two kills, counted from its readiness.
const LONGEST_LIFE: u64 = 400;
/// Senders of each side; each waits for an answer before it sends again.
const SENDERS: usize = 4;
/// An accepted message has 60 s for its outcome, and its error a moment more.
const OUTCOME_WITHIN: Duration = Duration::from_secs(90);
const ACKS: &str = "urn:xmpp:sm:3";

/// Both directions of the test and what has been accounted for so far.
#[derive(Default)]
struct Accounts {
    to_sip: History,
    to_xmpp: History,
    next: AtomicU64,
    stop: AtomicBool,
    requests_seen: AtomicUsize,
    stanzas_seen: AtomicUsize,
}

impl Accounts {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    fn text(&self, side: &str) -> String {
        format!("{side}-{}", self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// Enters what both ends have received since the last time; tells how many are owed yet.
    fn absorb(&self, peer: &XmppPeer, agent: &SipAgent) -> usize {
        let requests = agent
            .requests()
            .since(self.requests_seen.load(Ordering::Relaxed));
        let stanzas = peer
            .received()
            .since(self.stanzas_seen.load(Ordering::Relaxed));
        self.requests_seen
            .fetch_add(requests.len(), Ordering::Relaxed);
        self.stanzas_seen
            .fetch_add(stanzas.len(), Ordering::Relaxed);
        for request in requests
            .iter()
            .filter(|request| request.method() == "MESSAGE")
        {
            self.to_sip.delivered(&request.text());
        }
        for stanza in stanzas.iter().filter(|stanza| stanza.name() == "message") {
            let condition = stanza.condition().unwrap_or_default();
            match (stanza.at("type"), stanza.body()) {
                ("error", _) if condition == "remote-server-timeout" => {
                    self.to_sip.doubted(stanza.at("id"));
                }
                ("error", _) => self.to_sip.refused(stanza.at("id")),
                (_, Some(text)) => self.to_xmpp.delivered(&text),
                (_, None) => {}
            }
        }
        self.to_sip.lost().len() + self.to_xmpp.lost().len()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_kills_lose_nothing() -> Result<()> {
    run("crash", LIMIT, async |lab| {
        let bridge = ScriptedBridge::start(lab, |peer| peer).await?;
        let ScriptedBridge {
            peer,
            agent,
            mut gateway,
        } = bridge;
        let accounts = Accounts::default();
        let killing = kill_often(&mut gateway, &peer, &agent, &accounts);
        let (killed, ()) = tokio::join!(killing, load(&peer, &agent, &accounts));
        killed?;
        takes_again(&agent, &format!("juliet@{DOMAIN}")).await?;
        let settled = until(
            OUTCOME_WITHIN,
            "every accepted message has an outcome",
            || std::future::ready(accounts.absorb(&peer, &agent) == 0),
        )
        .await;
        let (to_sip, to_xmpp) = (accounts.to_sip.sums(), accounts.to_xmpp.sums());
        eprintln!("to SIP {to_sip:?}\nto XMPP {to_xmpp:?}");
        settled?;
        accounts.to_sip.check()?;
        accounts.to_xmpp.check()?;
        ensure!(
            to_sip.delivered > KILLS && to_xmpp.delivered > KILLS,
            "too little load"
        );
        gateway.is_sound()
    })
    .await
}

async fn kill_often(
    gateway: &mut Gateway,
    peer: &XmppPeer,
    agent: &SipAgent,
    accounts: &Accounts,
) -> Result<()> {
    for _ in 0..KILLS {
        let life = rand::random_range(0..LONGEST_LIFE);
        tokio::time::sleep(Duration::from_millis(life)).await;
        accounts.absorb(peer, agent);
        accounts.to_sip.disturb();
        accounts.to_xmpp.disturb();
        gateway.kill().await?;
        gateway.start_again().await?;
    }
    accounts.stop.store(true, Ordering::Relaxed);
    Ok(())
}

/// Sends from both sides until told to stop.
async fn load(peer: &XmppPeer, agent: &SipAgent, accounts: &Accounts) {
    let xmpp = (0..SENDERS).map(|user| send_from_xmpp(peer, user, accounts));
    let sip = (0..SENDERS).map(|user| send_from_sip(agent, user, accounts));
    tokio::join!(all(xmpp), all(sip));
}

async fn all(futures: impl Iterator<Item = impl Future<Output = ()>>) {
    let mut tasks: Vec<_> = futures.map(Box::pin).collect();
    std::future::poll_fn(|context| {
        tasks.retain_mut(|task| task.as_mut().poll(context).is_pending());
        if tasks.is_empty() {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
}

/// Sends on an acknowledged stream (XEP-0198): what the gateway has acknowledged it owes.
async fn send_from_xmpp(peer: &XmppPeer, user: usize, accounts: &Accounts) {
    while accounts.goes_on() {
        // A broken stream is what this test is about; the next round opens another.
        let sent = send_until_broken(peer, user, accounts).await;
        if sent.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn send_until_broken(peer: &XmppPeer, user: usize, accounts: &Accounts) -> Result<()> {
    let mut stream = peer.dial(SIP_DOMAIN).reach(Stage::Open).await?;
    stream.write(&format!("<enable xmlns='{ACKS}'/>")).await?;
    let enabled = stream.expect_stanza().await?;
    ensure!(enabled.is("enabled", ACKS), "no acks: {enabled:?}");
    for count in 1_u32.. {
        if !accounts.goes_on() {
            break;
        }
        let text = accounts.text("x");
        accounts.to_sip.sent(&text);
        stream
            .write(&format!(
                "<message type='chat' from='juliet{user}@{DOMAIN}/lab' \
                 to='romeo{user}@{SIP_DOMAIN}' id='{text}'><body>{text}</body></message>\
                 <r xmlns='{ACKS}'/>"
            ))
            .await?;
        acknowledged(&mut stream, count).await?;
        accounts.to_sip.accepted(&text);
    }
    Ok(())
}

async fn acknowledged(stream: &mut Stream, count: u32) -> Result<()> {
    loop {
        let answer = stream.expect_stanza().await?;
        if answer.is("a", ACKS) && answer.at("h").parse::<u32>()? >= count {
            return Ok(());
        }
        if answer.name() == "error" {
            bail!("stream error {answer:?}");
        }
    }
}

/// Sends requests: what was answered 2xx is owed, in fact it has arrived already.
async fn send_from_sip(agent: &SipAgent, user: usize, accounts: &Accounts) {
    while accounts.goes_on() {
        let text = accounts.text("s");
        accounts.to_xmpp.sent(&text);
        let (from, to) = (format!("romeo{user}"), format!("juliet{user}@{DOMAIN}"));
        match agent.say(&from, &to, &text).await {
            Ok(200 | 202) => accounts.to_xmpp.accepted(&text),
            Ok(504) => accounts.to_xmpp.doubted(&text),
            Ok(_) => accounts.to_xmpp.refused(&text),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}
