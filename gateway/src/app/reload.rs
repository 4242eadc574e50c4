//! A new configuration: applied whole or not at all.

use std::sync::Arc;

use certs::Finding;

use super::start::{App, configure_peers};
use crate::admin::Reloaded;
use crate::config::{self, Config, Fault};
use crate::resolve::Overridden;
use crate::telemetry::alarms::Alarm;
use crate::telemetry::events::ProcessEvent;

impl App {
    /// Reads the configuration again. With an error in it the old one stays in use, whole.
    pub(super) async fn reload(&self) -> Reloaded {
        let (loaded, mut findings) = config::load(&self.file, self.clock.unix_time());
        let Some(fresh) = loaded else {
            let errors = findings.iter().filter(|finding| finding.is_error());
            if let Some(first) = errors.clone().next() {
                ProcessEvent::ReloadRejected {
                    cause: first,
                    errors: errors.count(),
                }
                .emit();
            }
            return Reloaded {
                applied: false,
                findings,
            };
        };
        let resolver = match Overridden::from_config(&fresh.dns) {
            Ok(resolver) => resolver,
            Err(error) => {
                ProcessEvent::ReloadRejected {
                    cause: &error,
                    errors: 1,
                }
                .emit();
                return Reloaded {
                    applied: false,
                    findings,
                };
            }
        };
        findings.extend(takes_a_restart(&self.config.load(), &fresh));
        self.resolver.store(Arc::new(resolver));
        if let Some(logging) = &self.logging {
            // The filter can only be missing while the process ends.
            logging.show(fresh.process.log.level).ok();
        }
        let (directory, policy) = (Arc::clone(&fresh.directory), Arc::clone(&fresh.policy));
        self.config.store(Arc::new(fresh));
        configure_peers(&self.peers, &self.config.load());
        self.egress.configure(&directory);
        self.decisions.configure(&directory, &policy).await;
        self.peers.review_links();
        for peer in self.config.load().peers.keys() {
            // Whether it still is one, its next stream will tell.
            Alarm::SubdomainRefused.clear(peer.as_str());
        }
        ProcessEvent::Reloaded.emit();
        Reloaded {
            applied: true,
            findings,
        }
    }
}

/// What stays as it was until the daemon is started again.
fn takes_a_restart(old: &Config, new: &Config) -> Option<Finding> {
    let process = |config: &Config| {
        let process = &config.process;
        (
            process.state_dir.clone(),
            process.admin_socket.clone(),
            process.http,
            process.shards,
        )
    };
    let sockets = |config: &Config| {
        let (xmpp, sip) = (&config.xmpp, &config.sip);
        (
            xmpp.listen.clone(),
            xmpp.listen_direct.clone(),
            sip.listen.clone(),
            sip.hosts.clone(),
        )
    };
    let same = process(old) == process(new) && sockets(old) == sockets(new);
    (!same).then(|| {
        Finding::warning(
            Fault::TakesARestart.as_str(),
            "configuration",
            "Listeners, sip.host, sip.hosts, shards, folders or the admin socket changed; the old ones stay in use.",
            "Restart the daemon when it suits.",
        )
    })
}
