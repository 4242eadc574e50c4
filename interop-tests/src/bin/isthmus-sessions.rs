//! Benchmark of conversations inside INVITE dialogs: set-ups, texts in them, memory of open ones.
//! `isthmus-sessions [CONVERSATIONS]`, 20,000 if not said otherwise.

use std::io::Write;
use std::time::Duration;

use anyhow::Result;
use interop_tests::authority::Wish;
use interop_tests::bridge::{SIP_DOMAIN, sip_entry, xmpp_entry, xmpp_identity};
use interop_tests::gateway::{Gateway, Settings};
use interop_tests::lab::Lab;
use interop_tests::session_load::{SessionLoad, Step};
use interop_tests::tls::TlsSettings;

/// Conversations before anything is measured.
const FIRST: u64 = 500;
/// Conversations that are opened and measured.
const MANY: u64 = 20_000;
/// Texts in each fifth of them, and of each direction.
const ROUNDS: u64 = 10;

#[tokio::main]
async fn main() -> Result<()> {
    let many = std::env::args()
        .nth(1)
        .map_or(Ok(MANY), |text| text.parse())?;
    let busy = many / 5;
    let lab = Lab::start("sessions").await?;
    let sip = sip_entry(&lab)
        .set("profile", "microsoft")
        .set("allow_listed", true)
        .set("pace", 0);
    let mut settings = Settings::new([xmpp_entry(&lab), sip]);
    settings.log_level = "info";
    let mut gateway = Gateway::start(&lab, &settings).await?;
    let xmpp = TlsSettings::new(&xmpp_identity(&lab)?);
    let sip = TlsSettings::new(&lab.issue(&Wish::sip("agent", &[SIP_DOMAIN]))?);
    let load = SessionLoad::start(&lab, xmpp, sip).await?;
    let others = std::fs::read_to_string("/proc/loadavg")?;
    let others = others.split(' ').next().unwrap_or_default().to_owned();
    let cores = std::thread::available_parallelism()?;
    say(&format!("{cores} cores; load average before: {others}"))?;

    load.each(Step::Open, 0, FIRST, 0).await?;
    load.each(Step::ToXmpp, 0, FIRST, 0).await?;
    let before = gateway.process().memory("VmRSS")?;
    let mut watch = Watch::start(&gateway)?;
    let took = load.each(Step::Open, FIRST, FIRST + many, 0).await?;
    watch.say(
        &gateway,
        "conversations opened (INVITE, 200, ACK)",
        many,
        took,
    )?;
    let each = |memory: u64| memory.saturating_sub(before) as f64 / many as f64;
    let opened = gateway.process().memory("VmRSS")?;
    // Timers of the set-up are over then.
    tokio::time::sleep(Duration::from_secs(40)).await;
    let after = gateway.process().memory("VmRSS")?;
    say(&format!(
        "memory of an open, idle conversation: {:.2} KiB, {:.2} KiB with what is remembered of its \
         beginning ({before} KiB before, {after} and {opened} KiB with {many} more)",
        each(after),
        each(opened),
    ))?;
    for (step, name) in [
        (Step::ToXmpp, "texts SIP to XMPP in conversations"),
        (Step::ToSip, "texts XMPP to SIP in conversations"),
    ] {
        let mut took = Duration::ZERO;
        watch = Watch::start(&gateway)?;
        for round in 1..=ROUNDS {
            took += load.each(step, 0, busy, round).await?;
        }
        watch.say(&gateway, name, ROUNDS * busy, took)?;
    }
    watch = Watch::start(&gateway)?;
    let took = load.each(Step::Close, 0, many, ROUNDS + 1).await?;
    watch.say(&gateway, "conversations closed (BYE, 200)", many, took)?;
    gateway.is_sound()?;
    gateway.process().stop().await?;
    Ok(())
}

/// Processor time of the daemon from here on.
struct Watch(Duration);

impl Watch {
    fn start(gateway: &Gateway) -> Result<Self> {
        Ok(Self(gateway.processor_time()?))
    }

    fn say(&self, gateway: &Gateway, what: &str, count: u64, took: Duration) -> Result<()> {
        let spent = gateway.processor_time()?.saturating_sub(self.0);
        say(&format!(
            "{count} {what} in {:.2} s: {:.0}/s, {:.1} us of daemon CPU each",
            took.as_secs_f64(),
            count as f64 / took.as_secs_f64(),
            spent.as_secs_f64() * 1e6 / count as f64
        ))
    }
}

fn say(line: &str) -> Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}
