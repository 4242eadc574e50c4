//! `kill -9` with 2,500 subscriptions between real users of a Prosody and a SIP peer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use interop_tests::bridge::Bridge;
use interop_tests::lab::{Lab, run};
use interop_tests::pidf::{Document, Tuple};
use interop_tests::sip_agent::{Notification, SipAgent, Watch};
use interop_tests::xml::Look;
use interop_tests::xmpp_clients::{Client, Mood, XmppClients};
use interop_tests::xmpp_server::{Kind, Options};
use minidom::Element;
use tokio::task::JoinSet;

const LIMIT: Duration = Duration::from_secs(400);
/// Users on Prosody, and contacts of each on the SIP side; both see each other.
const USERS: usize = 25;
const CONTACTS: usize = 50;
/// How long anything may take that concerns everyone.
const EVERYONE: Duration = Duration::from_secs(60);

/// One user with everything that is between it and its contacts.
struct Household {
    client: Client,
    watches: Vec<Watch>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_loses_no_subscription() -> Result<()> {
    run("presence-crash", LIMIT, async |lab| {
        let mut bridge = start(lab).await?;
        let clients = XmppClients::start(lab).await?;
        publish(&bridge.agent, "before");
        let begun = Instant::now();
        let households = everyone(&bridge, &clients).await?;
        let took = begun.elapsed();
        eprintln!("{} subscriptions set up in {took:?}", USERS * CONTACTS * 2);

        let marks: Vec<usize> = households.iter().map(|h| h.client.mark()).collect();
        let seen: Vec<Vec<usize>> = households
            .iter()
            .map(|h| h.watches.iter().map(Watch::mark).collect())
            .collect();
        bridge.gateway.kill().await?;
        publish(&bridge.agent, "after");
        for household in &households {
            household.client.shows(mood("after")).await?;
        }
        let begun = Instant::now();
        bridge.gateway.start_again().await?;
        let served = begun.elapsed();
        for (household, mark) in households.iter().zip(&marks) {
            sees_all(household, *mark, "after").await?;
        }
        for (household, marks) in households.iter().zip(&seen) {
            is_seen_by_all(household, marks, "after").await?;
        }
        let fresh = begun.elapsed();
        eprintln!("after the kill: serving in {served:?}, all fresh in {fresh:?}");
        for (household, mark) in households.iter().zip(&marks) {
            let false_ones = household.client.inbox().since(*mark).into_iter();
            let false_ones: Vec<_> = false_ones.filter(takes_away).collect();
            ensure!(false_ones.is_empty(), "to XMPP: {false_ones:?}");
        }
        for (household, marks) in households.iter().zip(&seen) {
            nothing_closed(household, marks)?;
        }
        let faults = bridge.agent.faults().all();
        ensure!(faults.is_empty(), "in dialogs: {faults:?}");
        ensure!(bridge.agent.watchers().len() == USERS * CONTACTS);
        bridge.gateway.is_sound()
    })
    .await
}

async fn start(lab: &Lab) -> Result<Bridge> {
    let options = Options {
        more_users: USERS,
        ..Options::default()
    };
    Bridge::start_with(lab, Kind::Prosody, &options).await
}

fn mood(status: &str) -> Mood<'_> {
    Mood {
        status,
        ..Mood::default()
    }
}

fn contact(index: usize) -> String {
    format!("c{index}@sip.example")
}

/// All contacts publish the same words; who is told is another matter.
fn publish(agent: &SipAgent, words: &str) {
    for index in 0..CONTACTS {
        let entity = format!("pres:{}", contact(index));
        let document = Document::of(&entity, Tuple::open("phone", "", words));
        agent.presentity(&format!("c{index}")).has(document);
    }
}

/// Logs everyone in and makes everyone see all contacts, and be seen by them.
async fn everyone(bridge: &Bridge, clients: &XmppClients) -> Result<Vec<Household>> {
    let mut tasks = JoinSet::new();
    for index in 0..USERS {
        let server = &bridge.server;
        let jid = format!("{}/lab", server.jid(&format!("user{index}")));
        let client = clients.login(server.clients(), &jid).await?;
        client.shows(mood("before")).await?;
        tasks.spawn(move_in(client, Arc::clone(&bridge.agent)));
    }
    let mut households = Vec::new();
    while let Some(household) = tasks.join_next().await {
        households.push(household??);
    }
    Ok(households)
}

async fn move_in(client: Client, agent: Arc<SipAgent>) -> Result<Household> {
    for index in 0..CONTACTS {
        client.subscribe(&contact(index)).await?;
    }
    let household = Household {
        client,
        watches: Vec::new(),
    };
    sees_all(&household, 0, "before").await?;
    let Household { client, .. } = household;
    let mut watches = Vec::new();
    for index in 0..CONTACTS {
        watches.push(agent.watch(&format!("c{index}"), client.jid()).await?);
    }
    let asks = |presence: &Element| presence.at("type") == "subscribe";
    for index in 0..CONTACTS {
        let contact = contact(index);
        client
            .expect_within(EVERYONE, 0, &contact, "subscribe", asks)
            .await?;
        client.approve(&contact).await?;
    }
    let household = Household { client, watches };
    is_seen_by_all(&household, &vec![0; CONTACTS], "before").await?;
    Ok(household)
}

async fn sees_all(household: &Household, mark: usize, words: &str) -> Result<()> {
    let says = |presence: &Element| presence.is_available() && presence.text_of("status") == words;
    for index in 0..CONTACTS {
        household
            .client
            .expect_within(EVERYONE, mark, &contact(index), words, says)
            .await?;
    }
    Ok(())
}

async fn is_seen_by_all(household: &Household, marks: &[usize], words: &str) -> Result<()> {
    for (watch, mark) in household.watches.iter().zip(marks) {
        let says = |notification: &Notification| notification.says(words);
        watch.expect_within(EVERYONE, *mark, words, says).await?;
    }
    Ok(())
}

/// Whether a presence takes something away that nobody has taken away.
fn takes_away(stanza: &Element) -> bool {
    let kind = stanza.at("type");
    stanza.name() == "presence" && ["unavailable", "unsubscribed", "unsubscribe"].contains(&kind)
}

fn nothing_closed(household: &Household, marks: &[usize]) -> Result<()> {
    for (watch, mark) in household.watches.iter().zip(marks) {
        let told = watch.notifications().since(*mark);
        ensure!(told.iter().all(Notification::is_open), "to SIP: {told:?}");
    }
    Ok(())
}
