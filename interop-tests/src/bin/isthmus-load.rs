//! Benchmark of the daemon through real TLS sockets: rates, latencies, processor time, memory.

use std::io::Write;
use std::time::Duration;

use anyhow::Result;
use interop_tests::authority::Wish;
use interop_tests::bridge::{SIP_DOMAIN, sip_entry, xmpp_entry, xmpp_identity};
use interop_tests::gateway::{Gateway, Settings};
use interop_tests::lab::Lab;
use interop_tests::load::{Direction, Load};
use interop_tests::tls::TlsSettings;

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
    settings.log_level = "info";
    let mut gateway = Gateway::start(&lab, &settings).await?;
    let daemon = gateway.process();
    let idle = daemon.memory("VmHWM")?;
    let xmpp = TlsSettings::new(&xmpp_identity(&lab)?);
    let sip = TlsSettings::new(&lab.issue(&Wish::sip("agent", &[SIP_DOMAIN]))?);
    let load = Load::start(&lab, xmpp, sip).await?;

    let mut out = std::io::stdout();
    // Whatever else runs takes its share of these figures.
    let cores = std::thread::available_parallelism()?;
    let others = std::fs::read_to_string("/proc/loadavg")?;
    let others = others.split(' ').next().unwrap_or_default();
    writeln!(out, "{cores} cores; load average before: {others}")?;
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
            let before = daemon.processor_time()?;
            let outcome = load.run(direction, rate, SPAN).await?;
            let spent = daemon.processor_time()?.saturating_sub(before);
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
        "memory: idle at most {idle} KiB, under load at most {} KiB, at the end {} KiB",
        daemon.memory("VmHWM")?,
        daemon.memory("VmRSS")?
    )?;
    daemon.stop().await?;
    Ok(())
}
