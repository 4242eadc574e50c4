//! Benchmark of the daemon through real TLS sockets: rates, latencies, processor time, memory.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, Result};
use interop_tests::authority::Wish;
use interop_tests::bridge::{SIP_DOMAIN, sip_entry, xmpp_entry, xmpp_identity};
use interop_tests::gateway::{Gateway, Settings};
use interop_tests::lab::Lab;
use interop_tests::load::{Direction, Load};
use interop_tests::tls::TlsSettings;
use nix::unistd::{Pid, SysconfVar, sysconf};

/// How long each measurement lasts.
const SPAN: Duration = Duration::from_secs(10);
/// Before the first measurement: links come up, caches fill.
const WARM_UP: Duration = Duration::from_secs(2);
/// The fixed rate at which latency is judged.
const RATE: u32 = 2000;

#[tokio::main]
async fn main() -> Result<()> {
    let lab = Lab::start("load").await?;
    let mut settings = Settings::new([xmpp_entry(&lab), sip_entry(&lab)]);
    settings.log_level = "warn";
    let mut gateway = Gateway::start(&lab, &settings).await?;
    let daemon = gateway.process().id();
    let idle = memory(daemon, "VmRSS")?;
    let xmpp = TlsSettings::new(&xmpp_identity(&lab)?);
    let sip = TlsSettings::new(&lab.issue(&Wish::sip("agent", &[SIP_DOMAIN]))?);
    let load = Load::start(&lab, xmpp, sip).await?;

    let mut out = std::io::stdout();
    writeln!(
        out,
        "direction      load        messages/s     p50 ms     p99 ms  cpu us/message"
    )?;
    for (direction, name) in [
        (Direction::ToSip, "XMPP to SIP"),
        (Direction::ToXmpp, "SIP to XMPP"),
    ] {
        load.run(direction, Some(RATE / 10), WARM_UP).await?;
        for (rate, title) in [(None, "saturation"), (Some(RATE), "2000/s")] {
            let before = processor_time(daemon)?;
            let outcome = load.run(direction, rate, SPAN).await?;
            let spent = processor_time(daemon)?.saturating_sub(before);
            writeln!(
                out,
                "{name:<14} {title:<10} {:>11.0} {:>10.2} {:>10.2} {:>15.1}",
                outcome.rate(),
                outcome.p50.as_secs_f64() * 1e3,
                outcome.p99.as_secs_f64() * 1e3,
                spent.as_secs_f64() * 1e6 / outcome.arrived as f64,
            )?;
        }
    }
    writeln!(
        out,
        "memory idle {idle} KiB, at the end {} KiB",
        memory(daemon, "VmRSS")?
    )?;
    writeln!(out, "memory peak {} KiB", memory(daemon, "VmHWM")?)?;
    gateway.process().stop().await?;
    Ok(())
}

/// Processor time of a process so far, user and system.
fn processor_time(process: Pid) -> Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name in parentheses may hold anything; fields are counted behind it.
    let (_, fields) = stat.rsplit_once(')').context("a stat line has a name")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = |index: usize| -> Result<u64> {
        Ok(fields
            .get(index)
            .context("a stat line has 52 fields")?
            .parse()?)
    };
    let per_second = sysconf(SysconfVar::CLK_TCK)?.context("the kernel counts ticks")?;
    Ok(Duration::from_secs_f64(
        (ticks(11)? + ticks(12)?) as f64 / per_second as f64,
    ))
}

/// A line of `/proc/PID/status`, in KiB.
fn memory(process: Pid, name: &str) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status
        .lines()
        .find(|line| line.starts_with(name))
        .context("no such line")?;
    let value = line
        .split_whitespace()
        .nth(1)
        .context("a line has a value")?;
    Ok(value.parse()?)
}
