//! Reports of peers, in the words of the protocol.

use translators::model::Profile;

use crate::admin::Gateway;
use crate::admin::partner::protocol::{
    CheckStatus, PeerReport, PeerWhy, ReasonStatus, RefusalStatus,
};
use crate::admin::status::{attempt, domains, one_peer, peer_called};
use crate::peers::{PeerStatus, Told};
use crate::reach::{self, Check};

/// The name of the profile that switches on what a Microsoft peer needs.
const MICROSOFT: &str = "microsoft";

/// The peer called `name`, or the one that has the domain `name`.
pub(crate) fn report(gateway: &Gateway, name: &str) -> Option<PeerReport> {
    Some(report_of(gateway, &found(gateway, name)?))
}

/// The same with its last attempts, and of a Microsoft peer with what we know of why it may refuse us.
pub(crate) async fn why(gateway: &Gateway, name: &str) -> Option<PeerWhy> {
    let peer = found(gateway, name)?;
    let report = report_of(gateway, &peer);
    let mut checks = Vec::new();
    if report.profile == MICROSOFT {
        let (config, resolver) = (gateway.config.load_full(), gateway.resolver.load_full());
        let now = gateway.clock.unix_time();
        checks = reach::checks(&config, &*resolver, now, peer.skew).await;
    }
    Some(PeerWhy {
        report,
        attempts: peer.attempts.iter().rev().map(attempt).collect(),
        checks: checks.into_iter().map(check).collect(),
    })
}

fn found(gateway: &Gateway, name: &str) -> Option<PeerStatus> {
    let id = peer_called(gateway, name)?;
    let peers = gateway.peers.status();
    peers.into_iter().find(|peer| peer.id == id)
}

fn report_of(gateway: &Gateway, peer: &PeerStatus) -> PeerReport {
    let config = gateway.config.load();
    let profile = config.directory.peer(&peer.id);
    let profile = match profile.map(Profile::sip) {
        Some(Some(sip)) if sip.microsoft.is_some() => MICROSOFT,
        Some(Some(_)) => "generic",
        Some(None) | None => "xmpp",
    };
    PeerReport {
        peer: one_peer(gateway, peer, &domains(gateway)),
        profile: profile.to_owned(),
        cap: config.peers.get(&peer.id).and_then(|peer| peer.cap()),
        refusals: peer.told.iter().rev().map(refusal).collect(),
        clock_ahead_seconds: peer.skew.map(|skew| skew.seconds),
    }
}

fn refusal(told: &Told) -> RefusalStatus {
    let said = told.diagnostics.iter().map(|one| Some(one.to_string()));
    let said = said.chain([None]);
    let reasons = told.known().into_iter().zip(said);
    RefusalStatus {
        at: told.last.to_rfc3339(),
        first: told.first.to_rfc3339(),
        count: told.count,
        method: told.method.clone(),
        status: told.status,
        reasons: reasons
            .map(|((id, known), said)| ReasonStatus {
                id,
                said,
                meaning: known.map(|known| known.meaning.to_owned()),
                remedy: known.map(|known| known.remedy.to_owned()),
            })
            .collect(),
    }
}

fn check(check: Check) -> CheckStatus {
    CheckStatus {
        check: check.id.to_owned(),
        subject: check.subject,
        outcome: check.outcome.as_str().to_owned(),
        sentence: check.sentence,
        fix: Some(check.fix).filter(|fix| !fix.is_empty()),
    }
}
