//! What changes with time alone: certificates and revocation lists that expire, and what waits.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use certs::check::validity;
use rustls_pki_types::UnixTime;
use translators::model::{PeerId, Side, Wall};

use crate::clock::Clock;
use crate::config::Config;
use crate::peers::Peers;
use crate::telemetry::alarms::{self, Alarm};
use crate::telemetry::events::side_word;
use crate::telemetry::metrics::Metric;

/// Time between two looks; a reload shows after as much.
const LOOK: Duration = Duration::from_secs(60);

/// Time between two counts of what waits.
const COUNT: Duration = Duration::from_secs(5);

/// Looks for ever, and shows what it sees in alarms and metrics.
pub async fn watch(config: Arc<ArcSwap<Config>>, peers: Peers, clock: Clock) {
    let mut looks = tokio::time::interval(LOOK);
    let mut counts = tokio::time::interval(COUNT);
    loop {
        tokio::select! {
            _ = looks.tick() => {
                let config = config.load();
                look(&config, clock.unix_time());
                forget_strangers(&config);
                forget_faults(clock.now().wall);
            }
            _ = counts.tick() => count(&peers),
        }
    }
}

fn count(peers: &Peers) {
    for peer in peers.status() {
        let name = peer.id.as_str();
        let load = peer.load;
        let kinds = [
            ("message", load.messages),
            ("presence", load.presence),
            ("typing", load.typing),
        ];
        for (kind, held) in kinds {
            let shown = u32::try_from(held).unwrap_or(u32::MAX);
            let labels = [("peer", name), ("kind", kind)];
            Metric::QueueDepth.set(f64::from(shown), &labels);
        }
        let cause = "what comes for the peer is refused until its line gets shorter";
        Alarm::QueueFull.follow(load.is_full_of_what_counts(), name, &cause);
    }
}

fn look(config: &Config, now: UnixTime) {
    let sides = [
        (Side::Xmpp, &config.xmpp.credentials),
        (Side::Sip, &config.sip.credentials),
    ];
    for (side, credentials) in sides {
        for (file, facts) in credentials.facts() {
            let left = facts.not_after.as_secs().saturating_sub(now.as_secs());
            let left = u32::try_from(left).unwrap_or(u32::MAX);
            let labels = [("side", side_word(side)), ("certificate", file)];
            Metric::CertificateExpiry.set(f64::from(left), &labels);
            let finding = validity(file, facts, now);
            let cause = finding.as_ref().map_or("", |finding| &finding.sentence);
            Alarm::CertificateExpires.follow(finding.is_some(), file, &cause);
        }
    }
    for peer in config.peers.values() {
        let findings = peer.trust.review(now);
        let stale = findings.iter().find(|finding| finding.id == STALE);
        let cause = stale.map_or("", |finding| &finding.sentence);
        Alarm::CrlStale.follow(stale.is_some(), peer.id.as_str(), &cause);
        let cause = "TLS 1.0 and 1.1 are spoken with this peer, as legacy_tls says";
        Alarm::LegacyTls.follow(peer.tls.legacy, peer.id.as_str(), &cause);
    }
}

/// Clears the alarms about certificates and peers that the configuration no longer names.
fn forget_strangers(config: &Config) {
    let credentials = [&config.xmpp.credentials, &config.sip.credentials];
    let files = credentials
        .into_iter()
        .flat_map(|credentials| credentials.facts());
    let mut known: BTreeSet<&str> = files.map(|(file, _)| file).collect();
    known.extend(config.peers.keys().map(PeerId::as_str));
    for raised in alarms::raised() {
        let named = match raised.alarm {
            Alarm::ReloadRejected | Alarm::StoreReadOnly => true,
            Alarm::CertificateExpires
            | Alarm::CrlStale
            | Alarm::LegacyTls
            | Alarm::PeerAuthFails
            | Alarm::PeerDown
            | Alarm::PeerRefusesGrants
            | Alarm::QueueFull
            | Alarm::ReturnPathDown
            | Alarm::SubdomainRefused
            | Alarm::SubscribeFault => known.contains(raised.subject.as_str()),
        };
        if !named {
            raised.alarm.clear(&raised.subject);
        }
    }
}

/// Clears alarms about faults that did not come again: what fails so is tried at least once an hour.
fn forget_faults(now: Wall) {
    let faults = alarms::raised().into_iter();
    let faults = faults.filter(|raised| raised.alarm == Alarm::SubscribeFault);
    for over in faults.filter(|raised| now.since(raised.renewed) >= FAULT_LASTS) {
        over.alarm.clear(&over.subject);
    }
}

/// Time without a fault after which it counts as mended.
const FAULT_LASTS: Duration = Duration::from_secs(2 * 3_600);

/// How `certs` calls a revocation list that is past its next update.
const STALE: &str = "crl-stale";

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, MutexGuard, PoisonError};

    use certs::authority::Authority;
    use translators::shard::Event;

    use super::*;
    use crate::config::load_text;
    use crate::config::testing::{NOW, WORKING, folder, write};
    use crate::telemetry::events::MessageEvent;

    const DAY: u64 = 86_400;

    fn later(days: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(NOW.as_secs() + days * DAY))
    }

    /// Alarms are the process's: tests that look at them take turns.
    fn turn() -> MutexGuard<'static, ()> {
        static TURN: Mutex<()> = Mutex::new(());
        TURN.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn alarms_about(subject: &str) -> usize {
        let raised = alarms::raised();
        raised
            .iter()
            .filter(|raised| raised.subject == subject)
            .count()
    }

    #[test]
    fn what_the_configuration_no_longer_names_is_forgotten() {
        let _turn = turn();
        let folder = folder();
        let file = folder.path().join("isthmus.toml");
        let config = load_text(&file, WORKING, NOW).0.unwrap();
        for peer in ["prosody", "was-removed"] {
            Alarm::PeerDown.raise(peer, &"refused");
        }

        forget_strangers(&config);

        assert_eq!(alarms_about("prosody"), 1);
        assert_eq!(alarms_about("was-removed"), 0);
        Alarm::PeerDown.clear("prosody");
    }

    #[test]
    fn a_certificate_is_alarmed_from_30_days_on_until_it_is_renewed() {
        let _turn = turn();
        let folder = folder();
        for (old, new) in [("xmpp.pem", "expiring.pem"), ("xmpp.key", "expiring.key")] {
            std::fs::rename(folder.path().join(old), folder.path().join(new)).unwrap();
        }
        let text = WORKING
            .replace("xmpp.pem", "expiring.pem")
            .replace("xmpp.key", "expiring.key");
        let config = load_text(&folder.path().join("isthmus.toml"), &text, NOW)
            .0
            .unwrap();

        look(&config, later(269));
        assert_eq!(alarms_about("expiring.pem"), 0);
        look(&config, later(271));
        look(&config, later(301));
        assert_eq!(alarms_about("expiring.pem"), 1);
        look(&config, later(0));
        assert_eq!(alarms_about("expiring.pem"), 0);
    }

    #[test]
    fn a_fault_is_alarmed_until_it_has_not_come_for_two_hours() {
        let _turn = turn();
        let peer = PeerId::new("faulty");
        let fault = Event::SubscribeFault { peer, status: 407 };
        MessageEvent(&fault).emit();
        MessageEvent(&fault).emit();
        let raised = alarms::raised();
        let raised = raised.iter().find(|raised| raised.subject == "faulty");
        let raised = raised.unwrap();
        assert!(raised.cause.starts_with("407 "), "{}", raised.cause);

        forget_faults(raised.renewed + (FAULT_LASTS - Duration::from_secs(1)));
        assert_eq!(alarms_about("faulty"), 1);
        forget_faults(raised.renewed + FAULT_LASTS);
        assert_eq!(alarms_about("faulty"), 0);
    }

    #[cfg(feature = "compat-tls")]
    #[test]
    fn a_peer_that_gets_old_tls_is_alarmed_until_it_does_not() {
        let _turn = turn();
        let folder = folder();
        let old = "tls = { engine = \"compat\" }\nlegacy_tls = true\npage_limit";
        let text = WORKING.replace("\"kamailio\"", "\"ocs\"");
        let load = |text: &str| load_text(&folder.path().join("isthmus.toml"), text, NOW).0;

        look(&load(&text.replace("page_limit", old)).unwrap(), NOW);
        assert_eq!(alarms_about("ocs"), 1);
        look(&load(&text).unwrap(), NOW);
        assert_eq!(alarms_about("ocs"), 0);
    }

    #[test]
    fn a_revocation_list_past_its_next_update_is_alarmed() {
        let _turn = turn();
        let folder = folder();
        let read = |name| std::fs::read(folder.path().join(name)).unwrap();
        let ca = Authority::load(&read("ca.pem"), &read("ca.key")).unwrap();
        write(&folder, "crl.pem", &ca.crl(&[], 1, NOW, 30).unwrap(), 0o644);
        let text = WORKING
            .replace("\"kamailio\"", "\"with-crl\"")
            .replace("page_limit", "crl = \"crl.pem\"\npage_limit");
        let config = load_text(&folder.path().join("isthmus.toml"), &text, NOW)
            .0
            .unwrap();

        look(&config, later(29));
        assert_eq!(alarms_about("with-crl"), 0);
        look(&config, later(31));
        assert_eq!(alarms_about("with-crl"), 1);
    }
}
