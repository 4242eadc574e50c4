//! Presence between Kamailio's presence server and each XMPP server, with real clients.

use std::time::Duration;

use anyhow::{Result, ensure};
use interop_tests::gateway::{Gateway, Peer, Settings};
use interop_tests::kamailio::{self, Kamailio, Memory, Rule};
use interop_tests::lab::{Host, Lab, run};
use interop_tests::openfire;
use interop_tests::pidf::{Document, Tuple};
use interop_tests::presence::{is, says};
use interop_tests::sip_agent::{Notification, SipAgent};
use interop_tests::xml::Look;
use interop_tests::xmpp_clients::{Client, Mood, XmppClients};
use interop_tests::xmpp_server::{Kind, Options, XmppServer};

const LIMIT: Duration = Duration::from_secs(240);
const BOB: &str = "bob@kamailio.example";
/// How long anything may take after a restart of Kamailio: attempts come every 15 s.
const BACK: Duration = Duration::from_secs(60);

/// An XMPP server, the gateway, and Kamailio with a user agent behind it.
struct Road {
    gateway: Gateway,
    kamailio: Kamailio,
    users: SipAgent,
    alice: Client,
    _clients: XmppClients,
    _server: XmppServer,
}

impl Road {
    async fn start(lab: &Lab, kind: Kind, memory: Memory) -> Result<Self> {
        let server = XmppServer::start(lab, kind, &Options::default()).await?;
        let kamailio = Kamailio::start_with(lab, Host::Gateway, memory).await?;
        let users = kamailio.agent(lab, &["bob"]).await?;
        let sip = Peer::sip(lab, "kamailio", kamailio::DOMAIN, Host::Kamailio);
        let xmpp = Peer::xmpp(lab, "xmpp", kind.domain());
        let gateway = Gateway::start(lab, &Settings::new([xmpp, sip])).await?;
        let clients = XmppClients::start(lab).await?;
        let jid = format!("{}/desk", server.jid("alice"));
        let alice = clients.login(server.clients(), &jid).await?;
        alice.shows(Mood::default()).await?;
        Ok(Self {
            gateway,
            kamailio,
            users,
            alice,
            _clients: clients,
            _server: server,
        })
    }

    async fn decides(&self, rule: Rule) -> Result<()> {
        let alice = self.alice.jid();
        self.kamailio.decides("bob", alice, rule).await
    }
}

fn bob(device: &str, show: &str, note: &str) -> Document {
    Document::of(&format!("pres:{BOB}"), Tuple::open(device, show, note))
}

async fn with(kind: Kind) -> Result<()> {
    if kind == Kind::Openfire && !openfire::is_available() {
        eprintln!("{}", openfire::SKIPPED);
        return Ok(());
    }
    run("kamailio-presence", LIMIT, async |lab| {
        let mut road = Road::start(lab, kind, Memory::Lasting).await?;
        bob_is_watched(&road).await?;
        bob_watches(&road).await?;
        kamailio_restarts(lab, &mut road).await?;
        let mark = road.alice.mark();
        road.decides(Rule::Block).await?;
        road.alice
            .expect_behind(mark, BOB, "thrown out", is("unsubscribed"))
            .await?;
        let faults = road.users.faults().all();
        ensure!(faults.is_empty(), "in dialogs: {faults:?}");
        road.gateway.is_sound()
    })
    .await
}

/// Bob's phone publishes, Bob decides, and Alice sees what Kamailio makes of it.
async fn bob_is_watched(road: &Road) -> Result<()> {
    let Road { users, alice, .. } = road;
    let mut phone = users
        .publish("bob", &bob("phone", "", "at my desk"))
        .await?;
    alice.subscribe(BOB).await?;
    road.kamailio.holds_request("bob", alice.jid()).await?;
    ensure!(alice.roster(BOB).await? == "none+ask");
    road.decides(Rule::Allow).await?;
    alice.expect(BOB, "subscribed", is("subscribed")).await?;
    alice.expect(BOB, "at my desk", says("at my desk")).await?;
    phone
        .update(users, &bob("phone", "away", "at lunch"))
        .await?;
    let lunch = alice.expect(BOB, "at lunch", says("at lunch")).await?;
    ensure!(lunch.text_of("show") == "away", "{lunch:?}");

    let laptop = users
        .publish("bob", &bob("laptop", "dnd", "in a call"))
        .await?;
    let call = alice.expect(BOB, "in a call", says("in a call")).await?;
    ensure!(call.at("from") != lunch.at("from"), "two devices: {call:?}");
    let mark = alice.mark();
    laptop.end(users).await?;
    let off = alice
        .expect_behind(mark, BOB, "one device less", is("unavailable"))
        .await?;
    ensure!(off.at("from") == call.at("from"), "{off:?}");

    // Kamailio's polite block is an active NOTIFY without a document: the last state stays.
    let mark = alice.mark();
    road.decides(Rule::PoliteBlock).await?;
    road.decides(Rule::Allow).await?;
    phone.update(users, &bob("phone", "", "back")).await?;
    alice.expect_behind(mark, BOB, "back", says("back")).await?;
    let told = alice.presences_of(mark, BOB);
    ensure!(told.iter().all(Look::is_available), "{told:?}");
    Ok(())
}

/// Bob's phone watches Alice through Kamailio.
async fn bob_watches(road: &Road) -> Result<()> {
    let Road { users, alice, .. } = road;
    let mark = alice.mark();
    let watch = users.watch("bob", alice.jid()).await?;
    watch.expect("pending", |n| n.state == "pending").await?;
    alice
        .expect_behind(mark, BOB, "subscribe", is("subscribe"))
        .await?;
    alice.approve(BOB).await?;
    watch.expect("her state", Notification::is_open).await?;
    let busy = Mood {
        show: "dnd",
        status: "do not call",
        priority: 3,
    };
    alice.shows(busy).await?;
    watch
        .expect("do not call", |n| n.says("do not call"))
        .await?;
    ensure!(watch.refresh(Some(600)).await?.status() == Some(200));
    ensure!(watch.end().await?.status() == Some(200));
    watch.expect("the end", |n| n.reason == "timeout").await?;
    Ok(())
}

/// Kamailio is killed and comes back with its subscriptions, and Bob's phone publishes again.
async fn kamailio_restarts(lab: &Lab, road: &mut Road) -> Result<()> {
    let mark = road.alice.mark();
    road.kamailio.kill(lab).await?;
    road.kamailio.start_again(lab).await?;
    road.users.hang_up().await;
    let again = bob("phone", "", "after the restart");
    if let Err(cut) = road.users.publish("bob", &again).await {
        // The phone used a connection of the Kamailio that was killed, and connects anew.
        eprintln!("published in vain: {cut:#}");
        road.users.hang_up().await;
        road.users.publish("bob", &again).await?;
    }
    let words = "after the restart";
    road.alice
        .expect_within(BACK, mark, BOB, words, says(words))
        .await?;
    let told = road.alice.presences_of(mark, BOB);
    ensure!(!told.iter().any(is("unsubscribed")), "{told:?}");
    Ok(())
}

/// A Kamailio that has its subscriptions in memory only forgets them when it is restarted: the next refresh is answered
/// 481 and a new subscription set up, and Alice sees neither. Bob's own stands with the gateway, and goes on when his
/// phone is back.
#[tokio::test]
async fn a_kamailio_that_forgets() -> Result<()> {
    run("kamailio-forgets", LIMIT, async |lab| {
        let mut road = Road::start(lab, Kind::Prosody, Memory::UntilItEnds).await?;
        let phone = road
            .users
            .publish("bob", &bob("phone", "", "before"))
            .await?;
        road.alice.subscribe(BOB).await?;
        road.decides(Rule::Allow).await?;
        road.alice.expect(BOB, "before", says("before")).await?;
        let mark = road.alice.mark();
        road.kamailio.kill(lab).await?;
        road.kamailio.start_again(lab).await?;
        road.users.hang_up().await;
        drop(phone);

        let resync = ["watcher", "resync", road.alice.jid()];
        road.gateway.control(&resync).await?.success()?;
        // Rules are in a table that lasts, so she is let in again at once.
        let anew = bob("phone", "", "anew");
        if let Err(cut) = road.users.publish("bob", &anew).await {
            eprintln!("published in vain: {cut:#}");
            road.users.hang_up().await;
            road.users.publish("bob", &anew).await?;
        }
        road.alice
            .expect_within(BACK, mark, BOB, "anew", says("anew"))
            .await?;
        let told = road.alice.presences_of(mark, BOB);
        let lost = told
            .iter()
            .any(|p| is("unsubscribed")(p) || is("unavailable")(p));
        ensure!(!lost, "{told:?}");
        ensure!(!told.iter().any(is("subscribed")), "a second yes: {told:?}");
        ensure!(road.alice.roster(BOB).await? == "to");
        // This is how Kamailio says that it answers 481.
        let forgotten = "record not found in hash_table";
        road.kamailio.process().logs(BACK, forgotten).await?;
        road.gateway.is_sound()
    })
    .await
}

#[tokio::test]
async fn with_prosody() -> Result<()> {
    with(Kind::Prosody).await
}

#[tokio::test]
async fn with_ejabberd() -> Result<()> {
    with(Kind::Ejabberd).await
}

#[tokio::test]
async fn with_openfire() -> Result<()> {
    with(Kind::Openfire).await
}
