//! The state of the daemon in the words of the protocol.

use std::collections::BTreeMap;

use certs::credentials::Credentials;
use translators::model::{Domain, Failure, PeerId, Role, Side};
use translators::shard::{Fate, ImRecord, ImState};

use crate::admin::Gateway;
use crate::admin::protocol::{
    AlarmStatus, AttemptStatus, CertificateStatus, LinkStatus, MessageStatus, PeerState,
    PeerStatus, Status, SubscriptionCount,
};
use crate::peers::{Attempt, LinkStatus as Link, PeerStatus as Peer};
use crate::telemetry::alarms;
use crate::telemetry::events::{direction_word, fate_words, side_word};

const SECONDS_A_DAY: i64 = 24 * 3_600;

/// How everything is.
pub(super) fn status(gateway: &Gateway) -> Status {
    let now = gateway.clock.now().wall;
    let config = gateway.config.load();
    let sides = [
        (Side::Xmpp, &config.xmpp.credentials),
        (Side::Sip, &config.sip.credentials),
    ];
    let seconds = now.unix_millis() / 1_000;
    let certificates = sides.into_iter();
    Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        config: gateway.file.clone(),
        uptime_seconds: now.since(gateway.started).as_secs(),
        ready: gateway.readiness.is_ready(),
        journal_writable: !*gateway.store.read_only().borrow(),
        alarms: alarms::raised().iter().map(alarm).collect(),
        subscriptions: subscriptions(gateway),
        endpoints_full: gateway.egress.seats().crowd().full,
        certificates: certificates
            .flat_map(|(side, credentials)| certificate(side, credentials, seconds))
            .collect(),
        peers: peers(gateway),
    }
}

fn subscriptions(gateway: &Gateway) -> Vec<SubscriptionCount> {
    let standings = gateway.egress.standings().into_iter();
    let count = |(role, state, count): (Role, &str, usize)| SubscriptionCount {
        side: side_word(match role {
            Role::Subscriber => Side::Xmpp,
            Role::Notifier => Side::Sip,
        })
        .to_owned(),
        state: state.to_owned(),
        count,
    };
    standings.map(count).collect()
}

fn alarm(raised: &alarms::Raised) -> AlarmStatus {
    AlarmStatus {
        alarm: raised.alarm.as_str().to_owned(),
        severity: raised.alarm.severity().as_str().to_owned(),
        subject: raised.subject.clone(),
        cause: raised.cause.clone(),
        since: raised.since.to_rfc3339(),
    }
}

fn certificate(side: Side, credentials: &Credentials, now: i64) -> Vec<CertificateStatus> {
    let certificates = credentials.facts().map(|(file, facts)| {
        let end = i64::try_from(facts.not_after.as_secs()).unwrap_or(i64::MAX);
        CertificateStatus {
            side: side_word(side).to_owned(),
            file: file.to_owned(),
            names: facts.names.iter().map(certs::names::Name::text).collect(),
            days_left: end.saturating_sub(now).div_euclid(SECONDS_A_DAY),
        }
    });
    certificates.collect()
}

/// How the peers are, by name.
pub(super) fn peers(gateway: &Gateway) -> Vec<PeerStatus> {
    let domains = domains(gateway);
    let peers = gateway.peers.status();
    let one = |peer| one_peer(gateway, peer, &domains);
    peers.iter().map(one).collect()
}

/// The peer called `name`, or the one that has the domain `name`.
pub(super) fn peer_called(gateway: &Gateway, name: &str) -> Option<PeerId> {
    let config = gateway.config.load();
    let owner = Domain::parse(name).and_then(|domain| config.directory.owner(&domain));
    let id = owner.map_or_else(|| PeerId::new(name), |owner| owner.id.clone());
    config.peers.contains_key(&id).then_some(id)
}

pub(super) fn domains(gateway: &Gateway) -> BTreeMap<PeerId, Vec<String>> {
    let config = gateway.config.load();
    let peers = config.peers.iter();
    peers
        .map(|(id, peer)| {
            (
                id.clone(),
                peer.domains.iter().map(Domain::to_string).collect(),
            )
        })
        .collect()
}

pub(super) fn one_peer(
    gateway: &Gateway,
    peer: &Peer,
    domains: &BTreeMap<PeerId, Vec<String>>,
) -> PeerStatus {
    let failure = peer
        .attempts
        .last()
        .and_then(|attempt| attempt.failure.as_ref());
    let state = if peer.paths.iter().any(|path| path.return_path_down) {
        PeerState::ReturnPathDown
    } else if !peer.links.is_empty() {
        PeerState::Up
    } else if failure.is_some() {
        PeerState::Down
    } else {
        PeerState::Idle
    };
    PeerStatus {
        name: peer.id.to_string(),
        side: side_word(peer.side).to_owned(),
        domains: domains.get(&peer.id).cloned().unwrap_or_default(),
        state,
        links: peer.links.iter().map(link).collect(),
        waiting: peer.paths.iter().map(|path| path.waiting).sum(),
        unconfirmed: peer.paths.iter().map(|path| path.unconfirmed).sum(),
        last_error: failure.map(|why| why.cause.clone()),
        refuses_grants: gateway.egress.is_suspect(&peer.id),
    }
}

fn link(link: &Link) -> LinkStatus {
    LinkStatus {
        link: link.id.0,
        direction: link.way.as_str().to_owned(),
        local: link.local.to_string(),
        remote: link.remote.to_string(),
        proven: link.domains.iter().map(Domain::to_string).collect(),
        address: link.address.to_string(),
        tls: link.tls.to_owned(),
        since: link.since.to_rfc3339(),
    }
}

pub(super) fn attempt(attempt: &Attempt) -> AttemptStatus {
    let failure = attempt.failure.as_ref();
    AttemptStatus {
        at: attempt.at.to_rfc3339(),
        direction: attempt.way.as_str().to_owned(),
        path: attempt.path.as_ref().map(ToString::to_string),
        address: attempt.address.map(|address| address.to_string()),
        step: attempt.step.as_str().to_owned(),
        what: failure.map(|why| why.what.to_owned()),
        cause: failure.map(|why| why.cause.clone()),
        hint: failure
            .filter(|why| !why.hint.is_empty())
            .map(|why| why.hint.to_owned()),
    }
}

/// One message of the journal.
pub(super) fn message(record: &ImRecord) -> MessageStatus {
    let (state, reason, failure) = match &record.state {
        ImState::Waiting => ("waiting", None, None),
        ImState::Sent => ("sent", None, None),
        ImState::Failing(failure) => ("failing", Some(failure.condition.as_str()), Some(failure)),
        ImState::Settled(fate) => {
            let (verdict, reason) = fate_words(fate);
            (verdict, reason, failure_of(fate))
        }
    };
    MessageStatus {
        id: record.key.to_string(),
        sender_id: record.sender_id.clone(),
        from_peer: record.from_peer.to_string(),
        direction: direction_word(record.direction).to_owned(),
        xmpp_user: record.pair.jid.to_string(),
        sip_user: record.pair.aor.to_string(),
        accepted: record.accepted_at.to_rfc3339(),
        state: state.to_owned(),
        reason: reason.map(ToOwned::to_owned),
        text: failure.and_then(|failure| failure.text.clone()),
    }
}

const fn failure_of(fate: &Fate) -> Option<&Failure> {
    match fate {
        Fate::Bounced(failure) | Fate::Untold(failure) => Some(failure),
        Fate::Delivered | Fate::Dropped(_) => None,
    }
}
