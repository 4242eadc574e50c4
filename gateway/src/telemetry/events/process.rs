//! Events of the process: start and end, configuration, journal, admin.

use std::fmt::Display;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use certs::{Finding, Level};
use tracing::{error, info, warn};
use translators::model::Side;

use crate::telemetry::alarms::Alarm;
use crate::telemetry::events::What;
use crate::telemetry::metrics::Metric;

/// What happened to the process.
pub enum ProcessEvent<'a> {
    /// A listener could not take a connection.
    AcceptFailed {
        /// What the system says.
        cause: &'a dyn Display,
    },
    /// The daemon starts.
    Starting {
        /// The configuration file.
        config: &'a Path,
    },
    /// A listener takes connections.
    Listening {
        /// Its side.
        side: Side,
        /// Where.
        address: SocketAddr,
        /// Whether TLS starts with the first octet.
        direct_tls: bool,
    },
    /// Everything is started.
    Ready,
    /// The daemon stops accepting and finishes what it has.
    Draining {
        /// Who asked.
        cause: &'a str,
        /// Time until what is left is cut off.
        grace: Duration,
    },
    /// The daemon has ended.
    Stopped {
        /// Whether everything was finished before.
        clean: bool,
    },
    /// The configuration in use has a weakness.
    Finding(&'a Finding),
    /// A new configuration is in use.
    Reloaded,
    /// A new configuration was refused; the old one stays.
    ReloadRejected {
        /// The first error.
        cause: &'a dyn Display,
        /// How many errors there are.
        errors: usize,
    },
    /// The journal of the last run was read.
    JournalReplayed {
        /// Messages that are sent now.
        waiting: usize,
        /// Messages that bounce, since they may have arrived.
        bounced: usize,
        /// Relations of users.
        relations: usize,
        /// What is known of their presence.
        documents: usize,
        /// How long it took until the shards had taken it up.
        took: Duration,
    },
    /// The journal could not be written; nothing is accepted.
    StoreFailed {
        /// Why.
        cause: &'a dyn Display,
    },
    /// The journal takes records again.
    StoreRecovered,
    /// One commit of the journal.
    Committed {
        /// What it wrote.
        rows: Rows,
        /// How long it took.
        took: Duration,
    },
    /// An operator changes something.
    AdminCommand {
        /// What he asks for.
        command: &'a str,
        /// The user who asks, by number.
        user: Option<u32>,
    },
    /// Something happened that must not: a defect of the daemon.
    OurFault {
        /// What.
        cause: &'a dyn Display,
    },
}

/// Rows of the journal by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// Last known presence of relations.
    pub documents: u32,
    /// Messages.
    pub messages: u32,
    /// Relations.
    pub relations: u32,
}

impl Rows {
    fn count(&self) {
        let tables = [
            ("document", self.documents),
            ("im", self.messages),
            ("relation", self.relations),
        ];
        for (table, rows) in tables.into_iter().filter(|(_, rows)| *rows > 0) {
            Metric::StoreRows.add(rows.into(), &[("table", table)]);
        }
        let all = tables.iter().map(|(_, rows)| f64::from(*rows)).sum();
        Metric::StoreCommitRecords.observe(all, &[]);
    }
}

impl ProcessEvent<'_> {
    /// Writes the log line, counts, and raises or clears the alarm.
    pub fn emit(&self) {
        match self {
            Self::AcceptFailed { cause } => {
                warn!(what = What::AcceptFailed.as_str(), %cause);
                Metric::LimitHits.count(&[("limit", "open-files")]);
            }
            Self::Starting { config } => {
                let (what, version) = (What::Starting.as_str(), env!("CARGO_PKG_VERSION"));
                info!(what, version, config = %config.display());
            }
            Self::Listening {
                side,
                address,
                direct_tls,
            } => {
                info!(what = What::Listening.as_str(), %side, %address, direct_tls);
            }
            Self::Ready => info!(what = What::Ready.as_str()),
            Self::Draining { cause, grace } => {
                let seconds = grace.as_secs();
                info!(
                    what = What::Draining.as_str(),
                    cause,
                    grace_seconds = seconds
                );
            }
            Self::Stopped { clean } => info!(what = What::Stopped.as_str(), clean),
            Self::Finding(finding) => tell(finding),
            Self::Reloaded => {
                info!(what = What::Reloaded.as_str());
                Metric::ConfigReloads.count(&[("result", "applied")]);
                Alarm::ReloadRejected.clear("configuration");
            }
            Self::ReloadRejected { cause, errors } => {
                warn!(what = What::ReloadRejected.as_str(), errors, %cause);
                Metric::ConfigReloads.count(&[("result", "rejected")]);
                Alarm::ReloadRejected.raise("configuration", cause);
            }
            Self::JournalReplayed {
                waiting,
                bounced,
                relations,
                documents,
                took,
            } => {
                let (what, millis) = (What::JournalReplayed.as_str(), took.as_millis());
                info!(what, waiting, bounced, relations, documents, millis);
            }
            Self::StoreFailed { cause } => {
                warn!(what = What::StoreFailed.as_str(), %cause);
                Alarm::StoreReadOnly.raise("journal", cause);
            }
            Self::StoreRecovered => {
                info!(what = What::StoreRecovered.as_str());
                Alarm::StoreReadOnly.clear("journal");
            }
            Self::Committed { rows, took } => {
                rows.count();
                Metric::StoreCommitSeconds.observe(took.as_secs_f64(), &[]);
            }
            Self::AdminCommand { command, user } => {
                info!(what = What::AdminCommand.as_str(), command, user);
            }
            Self::OurFault { cause } => error!(what = What::OurFault.as_str(), %cause),
        }
    }
}

fn tell(finding: &Finding) {
    let Finding {
        id,
        level,
        subject,
        sentence,
        fix,
    } = finding;
    let what = What::ConfigFinding.as_str();
    match level {
        Level::Note => info!(what, id, subject, sentence, fix),
        Level::Warning | Level::Error => warn!(what, id, subject, sentence, fix),
    }
}
