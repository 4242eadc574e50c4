//! The policy itself: loading it, judging with it.

use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};

use super::revocation::Crls;
use crate::dates;
use crate::finding::{Finding, Loaded, unless_error};
use crate::identity::{Matching, NamePolicy, Reach, Side};
use crate::inspect::{Facts, Pin, Purpose, chain_from_pem};
use crate::limits::{MAX_CERTIFICATE, MAX_CHAIN};
use crate::reason::{Reason, Role, Verdict};

/// Which extended key usage a peer needs in the client role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Eku {
    /// clientAuth, or no limit.
    Strict,
    /// Also serverAuth: public CAs stop issuing clientAuth, and Lync edges never had it.
    #[default]
    ServerOk,
}

/// What one peer's policy is made from; see [`Trust::load`].
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// Who or what the findings are about, such as the peer's name.
    pub subject: &'a str,
    /// Trust anchors as PEM; may be empty if there are pins.
    pub anchors: &'a [u8],
    /// Revocation lists, PEM or one in DER. With them, every certificate of a path needs one that covers it.
    pub crls: Option<&'a [u8]>,
    /// Which extended key usage suffices in the client role.
    pub eku: Eku,
    /// How many intermediate CAs may stand between certificate and anchor; more than six are never tried.
    pub depth: u8,
    /// Hashes of public keys, one of which must be in the chain: the leaf's, or a CA's of its path.
    pub pins: &'a [String],
    /// Which names count.
    pub names: NamePolicy,
    /// Exact certificate names that stand for all domains of the peer.
    pub expected: &'a [String],
}

/// One peer's verification policy.
///
/// The anchors are the peer's own; there are no public roots unless they are listed.
#[derive(Debug)]
pub struct Trust {
    /// What findings are about.
    subject: String,
    /// What paths end at.
    pub(super) anchors: Vec<TrustAnchor<'static>>,
    /// The anchors once more, for their ends.
    anchor_facts: Vec<Facts>,
    /// What paths are checked against; empty means no revocation.
    pub(super) crls: Crls,
    /// See [`Source::eku`].
    eku: Eku,
    /// See [`Source::depth`].
    pub(super) depth: u8,
    /// See [`Source::pins`].
    pub(super) pins: Vec<Pin>,
    /// How names become domains.
    matching: Matching,
}

impl Trust {
    /// Builds the policy and says everything that is wrong or doubtful about it.
    pub fn load(source: &Source<'_>, now: UnixTime) -> Loaded<Self> {
        let mut findings = Vec::new();
        let anchors = anchors(source, &mut findings);
        let pins = pins(source, &mut findings);
        if anchors.is_empty() && pins.is_empty() && findings.is_empty() {
            findings.push(Finding::error(
                "trust-empty",
                source.subject,
                "There is neither a trust anchor nor a pin, so no certificate can be accepted.",
                "Name the CA certificate of the peer (ca).",
            ));
        }
        let crls = source.crls.map_or_else(Crls::default, |bytes| {
            Crls::load(source.subject, bytes, &anchors, &mut findings)
        });
        if source.depth > DEEPEST {
            findings.push(Finding::note(
                "trust-depth",
                source.subject,
                format!(
                    "verify_depth is {}, but paths have at most {DEEPEST} intermediates.",
                    source.depth
                ),
                format!("Set verify_depth to {DEEPEST} or less."),
            ));
        }
        let trust = Self {
            subject: source.subject.to_owned(),
            anchor_facts: anchors
                .iter()
                .filter_map(|der| Facts::read(der).ok())
                .collect(),
            anchors: anchors
                .iter()
                .filter_map(|der| webpki::anchor_from_trusted_cert(der).ok())
                .map(|anchor| anchor.to_owned())
                .collect(),
            crls,
            eku: source.eku,
            depth: source.depth,
            pins,
            matching: Matching {
                policy: source.names,
                expected: source.expected.to_vec(),
            },
        };
        findings.extend(trust.review(now));
        unless_error(trust, findings)
    }

    /// What has become doubtful with time: anchors and CRLs past their end. They stay in use.
    pub fn review(&self, now: UnixTime) -> Vec<Finding> {
        let mut findings: Vec<Finding> = self
            .anchor_facts
            .iter()
            .filter(|anchor| anchor.not_after < now)
            .map(|anchor| {
                Finding::warning(
                    "trust-anchor-expired",
                    &self.subject,
                    format!(
                        "The trust anchor \"{}\" expired on {}; it is still used.",
                        anchor.subject,
                        dates::shown(anchor.not_after)
                    ),
                    "Ask the peer for its current CA certificate.",
                )
            })
            .collect();
        findings.extend(self.crls.stale(&self.subject, now));
        findings
    }

    /// Judges the chain that a peer presented on a link, leaf first.
    ///
    /// `domains` are the peer's; the verdict proves those of them that the certificate speaks for.
    pub fn judge(
        &self,
        chain: &[CertificateDer<'_>],
        role: Role,
        side: Side,
        domains: &[String],
        now: UnixTime,
    ) -> Verdict {
        let proof = self.read_leaf(chain).and_then(|facts| {
            let reach = self.accept(chain, &facts, role, now)?;
            let proven = self.matching.proven(&facts, side, reach, domains);
            if proven.is_empty() {
                return Err(Reason::wrong_name(&facts, domains));
            }
            Ok(proven)
        });
        match proof {
            Ok(domains) => Verdict::Proven(domains),
            Err(reason) => Verdict::Unproven(reason),
        }
    }

    /// Reads the leaf, within the limits on chains.
    fn read_leaf(&self, chain: &[CertificateDer<'_>]) -> Result<Facts, Reason> {
        let leaf = chain.first().ok_or(Reason::NoCertificate)?;
        if chain.len() > MAX_CHAIN {
            return Err(Reason::ChainTooLong {
                certificates: chain.len(),
            });
        }
        let largest = chain.iter().map(|der| der.len()).max().unwrap_or(0);
        if largest > MAX_CERTIFICATE {
            return Err(Reason::CertificateTooLarge { bytes: largest });
        }
        Facts::read(leaf).map_err(|_| Reason::Unreadable)
    }

    /// Accepts the certificate itself, whatever its names: by its path, or by a pin of its own key where no
    /// path is possible or none can be believed, since a signature or a key of it is too weak. This counts for
    /// every engine of TLS, whatever that engine itself would let pass.
    fn accept(
        &self,
        chain: &[CertificateDer<'_>],
        facts: &Facts,
        role: Role,
        now: UnixTime,
    ) -> Result<Reach, Reason> {
        let pinned = self.pins.contains(&facts.pin);
        let has_no_path = facts.self_issued || facts.is_ca;
        let is_weak = facts.has_weak_key() || facts.has_weak_signature();
        if pinned && (has_no_path || is_weak) {
            return self.accept_pinned(facts, role, now);
        }
        let mut verdict = Err(Reason::Unreadable);
        for usage in self.sufficient(role) {
            verdict = self.verify_path(chain, facts, role, *usage, now);
            if !matches!(verdict, Err(Reason::WrongPurpose { .. })) {
                break;
            }
        }
        match verdict {
            Err(Reason::WeakAlgorithm) if pinned => self.accept_pinned(facts, role, now),
            Ok(_) if is_weak => Err(Reason::WeakAlgorithm),
            verdict => verdict,
        }
    }

    /// Accepts a certificate without its path, because its key is pinned.
    fn accept_pinned(&self, facts: &Facts, role: Role, now: UnixTime) -> Result<Reach, Reason> {
        if now > facts.not_after {
            return Err(Reason::Expired {
                since: facts.not_after,
            });
        }
        if now < facts.not_before {
            return Err(Reason::NotYetValid {
                until: facts.not_before,
            });
        }
        let allowed = |usage: &Role| {
            facts.purposes.contains(&match usage {
                Role::Client => Purpose::ClientAuth,
                Role::Server => Purpose::ServerAuth,
            })
        };
        if !facts.purposes.is_empty() && !self.sufficient(role).iter().any(allowed) {
            return Err(Reason::WrongPurpose {
                role,
                presented: facts.purposes.clone(),
            });
        }
        Ok(Reach::AllNames)
    }

    /// The roles of which it suffices that the extended key usage allows one.
    fn sufficient(&self, role: Role) -> &'static [Role] {
        match (role, self.eku) {
            (Role::Server, Eku::Strict | Eku::ServerOk) => &[Role::Server],
            (Role::Client, Eku::Strict) => &[Role::Client],
            (Role::Client, Eku::ServerOk) => &[Role::Client, Role::Server],
        }
    }
}

/// Reads the trust anchors; what cannot be one is a finding.
fn anchors(source: &Source<'_>, findings: &mut Vec<Finding>) -> Vec<CertificateDer<'static>> {
    if source.anchors.is_empty() {
        return Vec::new();
    }
    let fix = "Give a PEM file with the CA certificates of the peer.";
    let ders = chain_from_pem(source.anchors).unwrap_or_else(|fault| {
        let sentence = format!("The trust anchors cannot be used: {fault}.");
        findings.push(Finding::error(
            "trust-anchor-unreadable",
            source.subject,
            sentence,
            fix,
        ));
        Vec::new()
    });
    for der in &ders {
        match Facts::read(der).map(|facts| (facts, webpki::anchor_from_trusted_cert(der))) {
            Ok((facts, Ok(_))) if facts.is_ca => {}
            Ok((facts, Ok(_))) => findings.push(Finding::warning(
                "trust-anchor-not-ca",
                source.subject,
                format!("The trust anchor \"{}\" is not a CA certificate.", facts.subject),
                "Give the certificate of the CA; to accept one certificate of the peer itself, pin it.",
            )),
            Ok((_, Err(_))) | Err(_) => findings.push(Finding::error(
                "trust-anchor-unreadable",
                source.subject,
                "A certificate among the trust anchors cannot be read.",
                fix,
            )),
        }
    }
    ders
}

/// Reads the pins; what is none is a finding.
fn pins(source: &Source<'_>, findings: &mut Vec<Finding>) -> Vec<Pin> {
    let mut pins = Vec::new();
    for text in source.pins {
        match text.parse() {
            Ok(pin) => pins.push(pin),
            Err(fault) => findings.push(Finding::error(
                "trust-pin-unreadable",
                source.subject,
                format!("\"{text}\" is not a pin: {fault}."),
                "Copy the line \"pin\" that `isthmusctl cert inspect` prints for the peer's certificate.",
            )),
        }
    }
    pins
}

/// Intermediate CAs that path building tries at most.
const DEEPEST: u8 = 6;
