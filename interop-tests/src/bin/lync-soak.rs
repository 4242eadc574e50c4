//! The soak at a partner's cap, in real time: `lync-soak [MINUTES]`, ten if not said otherwise.

use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use interop_tests::lab::Lab;
use interop_tests::lync_sim::CAP;
use interop_tests::soak::Soak;

/// Within which every watcher is fresh after a kill.
const FRESH: Duration = Duration::from_secs(300);
/// Within which 99 of 100 texts arrive.
const LATENCY: Duration = Duration::from_secs(1);

#[tokio::main]
async fn main() -> ExitCode {
    match soak().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to do about an error stream that does not take this.
            writeln!(std::io::stderr(), "soak failed: {error:#}").ok();
            ExitCode::FAILURE
        }
    }
}

async fn soak() -> Result<()> {
    let minutes = std::env::args()
        .nth(1)
        .map_or(Ok(10), |text| text.parse())?;
    let lab = Lab::start("soak").await?;
    let begun = Instant::now();
    let mut soak = Soak::start(&lab).await?;
    let took = begun.elapsed().as_secs();
    say(&format!(
        "2500 subscriptions and 40 conversations after {took} s, unpaced"
    ))?;
    soak.pace().await?;
    let run = soak.run(Duration::from_secs(60 * minutes)).await;
    if run.is_err() {
        lab.show_logs();
    }
    let found = run?;
    say(&format!(
        "{minutes} minutes: {} texts, p99 {:.3} s, slowest {:.3} s; refreshed {} of 1250 subscriptions of ours, {} of 1250 of theirs",
        found.texts[0],
        found.p99[0].as_secs_f64(),
        found.slowest[0].as_secs_f64(),
        found.refreshed[0],
        found.refreshed[1],
    ))?;
    say(&format!(
        "after kill -9: 2500 watchers fresh within {:.0} s; meanwhile {} texts, p99 {:.3} s, slowest {:.3} s",
        found.fresh.as_secs_f64(),
        found.texts[1],
        found.p99[1].as_secs_f64(),
        found.slowest[1].as_secs_f64(),
    ))?;
    for (when, kinds) in ["in these minutes", "until all were fresh"]
        .iter()
        .zip(&found.messages)
    {
        let all: u64 = kinds.values().sum();
        let kinds: Vec<String> = kinds
            .iter()
            .map(|(kind, count)| format!("{count} {kind}"))
            .collect();
        say(&format!(
            "messages of the gateway {when}: {all}, of these {}",
            kinds.join(", ")
        ))?;
    }
    say(&format!(
        "at most {} of them in a second (cap {CAP})",
        found.most
    ))?;
    ensure!(
        found.faults.is_empty(),
        "towards an Edge: {:?}",
        found.faults
    );
    ensure!(found.most <= CAP, "over the cap");
    ensure!(found.p99.iter().all(|p99| *p99 < LATENCY), "texts are late");
    ensure!(found.fresh <= FRESH, "watchers are stale for too long");
    ensure!(
        minutes < 10 || found.refreshed == [1250, 1250],
        "not all were refreshed"
    );
    say("every promise was kept")
}

fn say(line: &str) -> Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}
