//! Alarms: states that an operator has to end, each with a runbook.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use tracing::{info, warn};
use translators::model::Wall;

use crate::clock::Clock;
use crate::names::names;
use crate::telemetry::events::What;
use crate::telemetry::metrics::Metric;

names! {
    /// Every alarm; docs/runbooks has a page for each.
    pub enum Alarm {
        /// A certificate of ours expires within 30 days, or has expired.
        CertificateExpires = "certificate-expires",
        /// A revocation list is older than its own next update.
        CrlStale = "crl-stale",
        /// A peer gets TLS below 1.2.
        LegacyTls = "legacy-tls",
        /// A peer cannot prove who it is, or does not believe us.
        PeerAuthFails = "peer-auth-fails",
        /// No link to a peer can be made.
        PeerDown = "peer-down",
        /// A SIP peer refuses so much of what it granted that it is not believed.
        PeerRefusesGrants = "peer-refuses-grants",
        /// The line of messages for a peer is full.
        QueueFull = "queue-full",
        /// A new configuration was refused; the old one is in use.
        ReloadRejected = "reload-rejected",
        /// A peer hears us and its answers do not reach us.
        ReturnPathDown = "return-path-down",
        /// The journal cannot be written; nothing is accepted.
        StoreReadOnly = "store-read-only",
        /// A peer came with a sub-domain that is not listed for it.
        SubdomainRefused = "subdomain-refused",
        /// A SIP peer answers subscriptions or notifications of ours with a fault of configuration.
        SubscribeFault = "subscribe-fault",
    }
}

/// How urgent an alarm is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Something will fail.
    Warning,
    /// Something fails.
    Major,
    /// Nothing works.
    Critical,
}

impl Severity {
    /// In one word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Major => "major",
            Self::Critical => "critical",
        }
    }
}

/// One alarm that is raised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raised {
    /// Which.
    pub alarm: Alarm,
    /// About what: a peer, a file.
    pub subject: String,
    /// What is wrong, in an operator's words.
    pub cause: String,
    /// Since when.
    pub since: Wall,
    /// When it was last found to be so.
    pub renewed: Wall,
}

impl Alarm {
    /// How urgent it is.
    pub const fn severity(self) -> Severity {
        match self {
            Self::CertificateExpires
            | Self::CrlStale
            | Self::LegacyTls
            | Self::ReloadRejected
            | Self::SubdomainRefused
            | Self::SubscribeFault => Severity::Warning,
            Self::PeerAuthFails
            | Self::PeerDown
            | Self::PeerRefusesGrants
            | Self::QueueFull
            | Self::ReturnPathDown => Severity::Major,
            Self::StoreReadOnly => Severity::Critical,
        }
    }

    /// Raises the alarm about `subject`; one that is raised already only takes the new cause.
    pub fn raise(self, subject: &str, cause: &dyn Display) {
        let cause = cause.to_string();
        if BOARD.raise(self, subject, &cause) {
            let (what, severity) = (What::AlarmRaised.as_str(), self.severity().as_str());
            warn!(what, alarm = self.as_str(), severity, subject, cause);
        }
    }

    /// Clears the alarm about `subject`, if it is raised.
    pub fn clear(self, subject: &str) {
        if BOARD.clear(self, subject) {
            info!(
                what = What::AlarmCleared.as_str(),
                alarm = self.as_str(),
                subject
            );
        }
    }

    /// Raises or clears the alarm about `subject`.
    pub fn follow(self, on: bool, subject: &str, cause: &dyn Display) {
        if on {
            self.raise(subject, cause);
        } else {
            self.clear(subject);
        }
    }
}

/// The alarms that are raised, most urgent first.
pub fn raised() -> Vec<Raised> {
    let mut raised: Vec<Raised> = BOARD.lock().values().cloned().collect();
    raised.sort_by_key(|raised| (Reverse(raised.alarm.severity()), raised.since));
    raised
}

/// The alarms of the process; like log and metrics there is one.
static BOARD: LazyLock<Board> = LazyLock::new(|| Board::new(Clock::start()));

/// What is raised, by alarm and subject.
struct Board {
    clock: Clock,
    raised: Mutex<BTreeMap<(Alarm, String), Raised>>,
}

impl Board {
    const fn new(clock: Clock) -> Self {
        Self {
            clock,
            raised: Mutex::new(BTreeMap::new()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(Alarm, String), Raised>> {
        self.raised.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says whether that is news.
    fn raise(&self, alarm: Alarm, subject: &str, cause: &str) -> bool {
        let mut board = self.lock();
        let key = (alarm, subject.to_owned());
        let now = self.clock.now().wall;
        if let Some(known) = board.get_mut(&key) {
            cause.clone_into(&mut known.cause);
            known.renewed = now;
            return false;
        }
        let raised = Raised {
            alarm,
            subject: subject.to_owned(),
            cause: cause.to_owned(),
            since: now,
            renewed: now,
        };
        board.insert(key, raised);
        show(alarm, &board);
        true
    }

    /// Says whether it was raised.
    fn clear(&self, alarm: Alarm, subject: &str) -> bool {
        let mut board = self.lock();
        let cleared = board.remove(&(alarm, subject.to_owned())).is_some();
        if cleared {
            show(alarm, &board);
        }
        cleared
    }
}

fn show(alarm: Alarm, board: &BTreeMap<(Alarm, String), Raised>) {
    let raised = board.keys().filter(|(other, _)| *other == alarm).count();
    let raised = u32::try_from(raised).unwrap_or(u32::MAX);
    Metric::Alarms.set(f64::from(raised), &[("alarm", alarm.as_str())]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_is_raised_once_and_takes_the_newest_cause() {
        let board = Board::new(Clock::start());

        assert!(board.raise(Alarm::PeerDown, "prosody", "refused"));
        assert!(!board.raise(Alarm::PeerDown, "prosody", "timed out"));
        assert!(board.raise(Alarm::PeerDown, "kamailio", "refused"));

        let key = (Alarm::PeerDown, "prosody".to_owned());
        assert_eq!(board.lock()[&key].cause, "timed out");
        assert_eq!(board.lock().len(), 2);
    }

    #[test]
    fn clearing_is_news_only_once() {
        let board = Board::new(Clock::start());
        board.raise(Alarm::StoreReadOnly, "journal", "disk full");

        assert!(!board.clear(Alarm::StoreReadOnly, "other"));
        assert!(board.clear(Alarm::StoreReadOnly, "journal"));
        assert!(!board.clear(Alarm::StoreReadOnly, "journal"));
        assert!(board.lock().is_empty());
    }
}
