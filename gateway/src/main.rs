//! isthmusd: the federation gateway.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use certs::Finding;
use clap::Parser;
use gateway::admin::{Signals, keep_systemd_informed};
use gateway::app::{App, Instruments};
use gateway::clock::Clock;
use gateway::config::{self, Config};
use gateway::telemetry::events::ProcessEvent;
use gateway::telemetry::{logs, metrics};
use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// The command line makes no sense, the daemon cannot start, or its end was not clean.
const FAILED: u8 = 1;
/// The configuration cannot be used, so starting again is no use.
const MISCONFIGURED: u8 = 2;

/// Federation gateway between XMPP servers and SIP/SIMPLE servers.
#[derive(Parser)]
#[command(name = "isthmusd", version)]
struct Arguments {
    /// The configuration.
    #[arg(long, value_name = "FILE", default_value = "/etc/isthmus/isthmus.toml")]
    config: PathBuf,
    /// Check the configuration and end.
    #[arg(long)]
    check: bool,
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(told) => {
            let asked = !told.use_stderr();
            let printed = told.print().is_ok();
            return if asked && printed {
                ExitCode::SUCCESS
            } else {
                FAILED.into()
            };
        }
    };
    let (config, findings) = config::load(&arguments.config, Clock::start().unix_time());
    let Some(config) = config else {
        tell(&findings);
        return MISCONFIGURED.into();
    };
    if arguments.check {
        tell(&findings);
        return ExitCode::SUCCESS;
    }
    match run(arguments.config, config, &findings) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => FAILED.into(),
        Err(failure) => {
            // If standard error is gone too, the exit code has to say it.
            writeln!(std::io::stderr(), "isthmusd: {failure:#}").ok();
            FAILED.into()
        }
    }
}

fn tell(findings: &[Finding]) {
    for finding in findings {
        writeln!(std::io::stderr(), "{finding}").ok();
    }
}

/// Runs the daemon to its end; true if everything under way was finished.
fn run(file: PathBuf, config: Config, findings: &[Finding]) -> anyhow::Result<bool> {
    let logging = logs::start(&config.process.log)?;
    let instruments = Instruments {
        metrics: metrics::install()?,
        logging: Some(logging.clone()),
    };
    std::panic::set_hook(Box::new(|cause| ProcessEvent::OurFault { cause }.emit()));
    for finding in findings {
        ProcessEvent::Finding(finding).emit();
    }
    let runtime = tokio::runtime::Runtime::new().context("no threads can be started")?;
    let clean = runtime.block_on(async {
        let app = App::start(file, config, instruments).await?;
        let signals = Signals::listen().context("signals cannot be received")?;
        tokio::spawn(keep_systemd_informed());
        let orders = app.orders();
        tokio::select! {
            clean = app.run() => Ok(clean),
            () = signals.obey(orders) => Ok(false),
        }
    });
    runtime.shutdown_background();
    logging.flush();
    clean
}
