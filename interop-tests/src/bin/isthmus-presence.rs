//! Benchmark of subscriptions through real TLS sockets: what they cost in memory, how long a start
//! with them takes, how fast they are set up and notified.
//!
//! `isthmus-presence USERS...`: for each number a journal of so many XMPP users with 25 contacts is
//! filled, and the daemon killed and started on it.

use std::io::Write;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use interop_tests::authority::Wish;
use interop_tests::bridge::{SIP_DOMAIN, sip_entry, xmpp_entry, xmpp_identity};
use interop_tests::gateway::{Gateway, Settings, binary};
use interop_tests::lab::Lab;
use interop_tests::presence_load::{Listening, PresenceLoad, Tally};
use interop_tests::process::output;
use interop_tests::tls::TlsSettings;

/// Contacts of one user.
const CONTACTS: u64 = 25;
/// Subscriptions that are set up one after the other.
const SET_UP: u64 = 20_000;
/// Subscriptions that are under way at a time while they are set up.
const SET_UP_WINDOW: u64 = 1_000;
/// Changes that are under way at a time: each waits a quarter of a second for others.
const CHANGE_WINDOW: u64 = 20_000;
/// Time for the generator.
const FILLING: Duration = Duration::from_secs(3_600);
/// Time after which the answers of a start need not be remembered any more (64 * T1), and some.
const REST: Duration = Duration::from_secs(45);

#[tokio::main]
async fn main() -> Result<()> {
    let sizes: Vec<u64> = std::env::args()
        .skip(1)
        .map(|users| users.parse().context("a number of users"))
        .collect::<Result<_>>()?;
    say(&format!(
        "{} cores; load average before: {}",
        std::thread::available_parallelism()?,
        std::fs::read_to_string("/proc/loadavg")?.trim()
    ))?;
    set_up().await?;
    for users in sizes {
        restart(users).await?;
    }
    Ok(())
}

/// New subscriptions, half per direction.
async fn set_up() -> Result<()> {
    let lab = Lab::start("presence").await?;
    let listening = listen(&lab).await?;
    let mut gateway = start(&lab).await?;
    let load = listening.connect(&lab).await?;
    let before = gateway.process().processor_time()?;
    let written = records(&gateway).await?;
    let begun = Instant::now();
    let half = SET_UP / 2;
    for number in 0..half {
        let (user, contact) = (number % (SET_UP / CONTACTS), number / (SET_UP / CONTACTS));
        load.keeps_up(number * 2, SET_UP_WINDOW, |tally| {
            tally.shown.load(Ordering::Relaxed) + tally.documents.load(Ordering::Relaxed)
        })
        .await?;
        load.watch(user, contact * 2).await?;
        load.subscribe(user, contact * 2 + 1).await?;
    }
    let took = load
        .reaches(begun, |tally| at_least(tally, half, half))
        .await?;
    let spent = gateway.process().processor_time()?.saturating_sub(before);
    let written = records(&gateway).await? - written;
    let seconds = took.as_secs_f64();
    say(&format!(
        "set up: {SET_UP} subscriptions in {seconds:.1} s: {:.0}/s, {:.0} us of daemon CPU each, {:.0} records/s written",
        SET_UP as f64 / seconds,
        spent.as_secs_f64() * 1e6 / SET_UP as f64,
        written / seconds,
    ))?;
    healthy(listening.tally())?;
    gateway.process().stop().await?;
    Ok(())
}

/// A start on a journal with relations, and a change of every presentity's state behind it.
async fn restart(users: u64) -> Result<()> {
    let lab = Lab::start("presence").await?;
    let listening = listen(&lab).await?;
    let mut gateway = start(&lab).await?;
    let empty = gateway.process().memory("VmRSS")?;
    gateway.process().stop().await?;
    let filling = Instant::now();
    fill(&lab, users).await?;
    let filled = filling.elapsed();
    let count = users * CONTACTS;

    let (load, served, fresh, loaded) = come_back(&lab, &mut gateway, &listening, users).await?;
    let after = gateway.process().memory("VmRSS")?;
    let each = |memory: u64| memory.saturating_sub(empty) as f64 * 1024.0 / count as f64;
    say(&format!(
        "{count} subscriptions ({users} users; filled in {:.0} s): served after {:.2} s, all fresh after {:.2} s ({:.0}/s, unpaced)",
        filled.as_secs_f64(),
        served.as_secs_f64(),
        fresh.as_secs_f64(),
        count as f64 / fresh.as_secs_f64(),
    ))?;
    tokio::time::sleep(REST).await;
    let resting = gateway.process().memory("VmRSS")?;
    say(&format!(
        "{count} subscriptions: {:.0} octets each when served, {:.0} when fresh, {:.0} at rest (resident {}, {} and {} MiB, {} MiB without any)",
        each(loaded),
        each(after),
        each(resting),
        loaded / 1024,
        after / 1024,
        resting / 1024,
        empty / 1024,
    ))?;
    healthy(listening.tally())?;
    notify(&mut gateway, &load, listening.tally(), users).await?;
    healthy(listening.tally())?;
    drop(load);

    gateway.kill().await?;
    listening.tally().clear();
    let (_load, served, fresh, _) = come_back(&lab, &mut gateway, &listening, users).await?;
    say(&format!(
        "{count} subscriptions over kill -9: served after {:.2} s, all fresh after {:.2} s",
        served.as_secs_f64(),
        fresh.as_secs_f64(),
    ))?;
    healthy(listening.tally())?;
    gateway.kill().await?;
    Ok(())
}

/// Starts the daemon on its journal: the time until it serves, that until all is fresh, and its
/// resident memory in KiB between the two.
async fn come_back(
    lab: &Lab,
    gateway: &mut Gateway,
    listening: &Listening,
    users: u64,
) -> Result<(PresenceLoad, Duration, Duration, u64)> {
    let (x2s, s2x) = (users * CONTACTS.div_ceil(2), users * (CONTACTS / 2));
    listening.hang_up();
    let begun = Instant::now();
    gateway.start_again().await?;
    let served = begun.elapsed();
    let load = listening.connect(lab).await?;
    let loaded = gateway.process().memory("VmRSS")?;
    let fresh = load
        .reaches(begun, |tally| at_least(tally, x2s, s2x))
        .await?;
    Ok((load, served, fresh, loaded))
}

/// Every XMPP user changes his state for every watcher.
async fn notify(
    gateway: &mut Gateway,
    load: &PresenceLoad,
    tally: &Tally,
    users: u64,
) -> Result<()> {
    tally.clear();
    let before = gateway.process().processor_time()?;
    let begun = Instant::now();
    let expected = users * (CONTACTS / 2);
    for number in 0..expected {
        let (user, contact) = (number % users, number / users * 2 + 1);
        load.keeps_up(number, CHANGE_WINDOW, |tally| {
            tally.notified.load(Ordering::Relaxed)
        })
        .await?;
        load.change(user, contact, "dnd").await?;
    }
    let took = load
        .reaches(begun, |tally| {
            tally.notified.load(Ordering::Relaxed) >= expected
        })
        .await?;
    let spent = gateway.process().processor_time()?.saturating_sub(before);
    say(&format!(
        "{expected} NOTIFYs in {:.2} s: {:.0}/s, {:.0} us of daemon CPU each",
        took.as_secs_f64(),
        expected as f64 / took.as_secs_f64(),
        spent.as_secs_f64() * 1e6 / expected as f64,
    ))
}

async fn listen(lab: &Lab) -> Result<Listening> {
    let xmpp = TlsSettings::new(&xmpp_identity(lab)?);
    let sip = TlsSettings::new(&lab.issue(&Wish::sip("agent", &[SIP_DOMAIN]))?);
    Listening::start(lab, xmpp, sip).await
}

/// The gateway without a pace: what is measured is itself.
async fn start(lab: &Lab) -> Result<Gateway> {
    let mut settings = Settings::new([xmpp_entry(lab), sip_entry(lab).set("pace", 0)]);
    settings.log_level = "info";
    Gateway::start(lab, &settings).await
}

async fn fill(lab: &Lab, users: u64) -> Result<()> {
    let generator = binary("examples/presence_store")?;
    let folder = lab.path("state");
    let folder = folder.to_string_lossy();
    let arguments = [&*folder, &users.to_string(), &CONTACTS.to_string()];
    let generator = Path::new(&generator).to_string_lossy().into_owned();
    output(&generator, &arguments, FILLING).await?.success()?;
    Ok(())
}

/// Whether so many were shown to XMPP users and to SIP users.
fn at_least(tally: &Tally, xmpp: u64, sip: u64) -> bool {
    tally.shown.load(Ordering::Relaxed) >= xmpp && tally.documents.load(Ordering::Relaxed) >= sip
}

/// Records written to the journal so far.
async fn records(gateway: &Gateway) -> Result<f64> {
    let metrics = gateway.metrics().await?;
    let name = "isthmus_store_commit_records_sum";
    let line = metrics.lines().find_map(|line| line.strip_prefix(name));
    Ok(line.map_or(Ok(0.0), |figure| figure.trim().parse())?)
}

/// Says what should not have happened: that somebody was shown as gone, or refused.
fn healthy(tally: &Tally) -> Result<()> {
    if let Some((first, count)) = tally.trouble() {
        say(&format!("WRONG: {count} refusals, the first: {first}"))?;
    }
    let hidden = tally.hidden.load(Ordering::Relaxed);
    if hidden > 0 {
        say(&format!("WRONG: {hidden} times somebody was shown as gone"))?;
    }
    Ok(())
}

fn say(line: &str) -> Result<()> {
    writeln!(std::io::stdout(), "{line}")?;
    Ok(())
}
