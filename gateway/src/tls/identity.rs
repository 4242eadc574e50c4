//! Whom a certificate speaks for.

use std::collections::BTreeMap;
use std::sync::Arc;

use certs::credentials::Identity;
use certs::identity;
use certs::reason::{Reason, Role, Verdict};
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, UnixTime};
use translators::model::{Domain, PeerId, Side};

use super::handshake::TlsFailure;
use super::sip::Refused;
use super::terms::Negotiated;
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
) -> Result<(), Reason> {
    let first = proven_by(config, chain, now).next();
    match first {
        Some(Ok(_)) => Ok(()),
        Some(Err(reason)) => Err(reason),
        None => Err(Reason::NoCertificate),
    }
}

/// Finds the SIP peer that a client's chain proves and that may have what was negotiated; if there are only others,
/// says which.
pub(super) fn admit_sip_client(
    config: &Config,
    chain: &[CertificateDer<'_>],
    negotiated: Negotiated,
    now: UnixTime,
) -> Result<Proof, Refused> {
    let mut refused = None;
    for proof in proven_by(config, chain, now) {
        match proof {
            Ok((peer, proof)) if negotiated.is_allowed_to(peer) => return Ok(proof),
            Ok((peer, _)) => {
                refused.get_or_insert_with(|| Refused::not_allowed(peer, negotiated));
            }
            Err(reason) => {
                refused.get_or_insert_with(|| TlsFailure::from(&reason).into());
            }
        }
    }
    Err(refused.unwrap_or_else(|| TlsFailure::from(&Reason::NoCertificate).into()))
}

/// What a client's chain proves by the policy of each SIP peer, those that it proves something by first; of the
/// refusals only the one that says most.
fn proven_by<'a>(
    config: &'a Config,
    chain: &[CertificateDer<'_>],
    now: UnixTime,
) -> impl Iterator<Item = Result<(&'a Peer, Proof), Reason>> {
    let mut proofs = Vec::new();
    let mut refusal = None;
    for peer in config.peers_on(Side::Sip) {
        match judge(peer, chain, Role::Client, now) {
            Ok(proof) => proofs.push(Ok((&**peer, proof))),
            // That one policy does not know the issuer says little: another may.
            Err(Reason::UnknownIssuer { .. }) if refusal.is_some() => {}
            Err(reason) => refusal = Some(reason),
        }
    }
    proofs.into_iter().chain(refusal.map(Err))
}

/// The side in the words of `certs`.
pub(super) const fn side(peer: &Peer) -> identity::Side {
    match peer.side() {
        Side::Sip => identity::Side::Sip,
        Side::Xmpp => identity::Side::Xmpp,
    }
}

/// For each of our domains towards SIP, the first one that is served with the same certificates: such domains can
/// share a connection.
pub fn sip_certificates(config: &Config) -> BTreeMap<Domain, Domain> {
    let mut firsts: Vec<(Domain, Vec<&Arc<CertifiedKey>>)> = Vec::new();
    let mut same = BTreeMap::new();
    for domain in config.directory.local_domains(Side::Sip) {
        let shown = config.sip.certificates(domain);
        let shown: Vec<_> = shown.into_iter().map(Identity::certified).collect();
        let alike = |(_, other): &&(Domain, Vec<&Arc<CertifiedKey>>)| {
            let mut pairs = shown.iter().zip(other);
            other.len() == shown.len() && pairs.all(|(one, other)| Arc::ptr_eq(one, other))
        };
        let first = firsts.iter().find(alike).map(|(first, _)| first.clone());
        if first.is_none() {
            firsts.push((domain.clone(), shown));
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
