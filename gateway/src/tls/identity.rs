//! Whom a certificate speaks for.

use std::collections::BTreeMap;
use std::sync::Arc;

use certs::identity;
use certs::reason::{Reason, Role, Verdict};
use rustls_pki_types::{CertificateDer, UnixTime};
use translators::model::{Domain, PeerId, Side};

use crate::config::{Config, Peer};

/// What a chain proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The peer that may speak for the domains.
    pub peer: PeerId,
    /// The proven domains.
    pub domains: Vec<Domain>,
}

/// Asks the policy of `peer` what a chain proves.
pub(super) fn judge(
    peer: &Peer,
    chain: &[CertificateDer<'_>],
    role: Role,
    now: UnixTime,
) -> Result<Proof, Reason> {
    let domains = peer.domains.iter().chain(&peer.subdomains);
    let names: Vec<String> = domains.map(Domain::to_ascii).collect();
    let verdict = peer.trust.judge(chain, role, side(peer), &names, now);
    match verdict {
        Verdict::Proven(proven) => Ok(Proof {
            peer: peer.id.clone(),
            domains: proven
                .iter()
                .filter_map(|name| Domain::parse(name))
                .collect(),
        }),
        Verdict::Unproven(reason) => Err(reason),
    }
}

/// Whether a client's chain proves one name by the policy of `peer`, listed or not.
pub(super) fn proves_name(
    peer: &Peer,
    name: &Domain,
    chain: &[CertificateDer<'_>],
    now: UnixTime,
) -> bool {
    let names = [name.to_ascii()];
    let verdict = peer
        .trust
        .judge(chain, Role::Client, side(peer), &names, now);
    matches!(verdict, Verdict::Proven(_))
}

/// Asks the policies of all SIP peers what the chain of a client proves.
pub(super) fn judge_sip_client(
    config: &Config,
    chain: &[CertificateDer<'_>],
    now: UnixTime,
) -> Result<Proof, Reason> {
    let mut refusal = None;
    for peer in config.peers_on(Side::Sip) {
        match judge(peer, chain, Role::Client, now) {
            Ok(proof) => return Ok(proof),
            // That one policy does not know the issuer says little: another may.
            Err(Reason::UnknownIssuer { .. }) if refusal.is_some() => {}
            Err(reason) => refusal = Some(reason),
        }
    }
    Err(refusal.unwrap_or(Reason::NoCertificate))
}

/// The side in the words of `certs`.
pub(super) const fn side(peer: &Peer) -> identity::Side {
    match peer.side() {
        Side::Sip => identity::Side::Sip,
        Side::Xmpp => identity::Side::Xmpp,
    }
}

/// For each of our domains towards SIP, the first one that is served with the same certificate:
/// such domains can share a connection.
pub fn sip_certificates(config: &Config) -> BTreeMap<Domain, Domain> {
    let mut firsts: Vec<(Domain, _)> = Vec::new();
    let mut same = BTreeMap::new();
    for domain in config.directory.local_domains(Side::Sip) {
        let key = config.sip.certificate(domain);
        let first = firsts.iter().find(|(_, other)| Arc::ptr_eq(other, &key));
        let first = first.map(|(first, _)| first.clone());
        if first.is_none() {
            firsts.push((domain.clone(), key));
        }
        same.insert(domain.clone(), first.unwrap_or_else(|| domain.clone()));
    }
    same
}

/// Which of our domains the SIP certificate that a client was shown is for: the first one, if it
/// is for several.
pub fn shown_to(config: &Config, asked_for: Option<&str>) -> Option<Domain> {
    let asked_for = asked_for.and_then(Domain::parse);
    let same = sip_certificates(config);
    let shown = asked_for.and_then(|name| {
        let is_meant = |domain: &&Domain| {
            let host = config.sip.hosts.of(domain);
            **domain == name || host.host().eq_ignore_ascii_case(&name.to_ascii())
        };
        same.get(same.keys().find(is_meant)?).cloned()
    });
    shown.or_else(|| same.into_values().next())
}
