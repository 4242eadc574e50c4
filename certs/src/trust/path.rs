//! From the presented certificate up to an anchor, over webpki (RFC 5280 section 6).

use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{
    EndEntityCert, Error, ExpirationPolicy, KeyUsage, RevocationCheckDepth,
    RevocationOptionsBuilder, UnknownStatusPolicy, VerifiedPath,
};

use super::Trust;
use crate::identity::Reach;
use crate::inspect::{Facts, Pin};
use crate::reason::{Reason, Role};

impl Trust {
    /// Finds a path that satisfies depth, CRLs, pins and the extended key usage of
    /// `usage`, and says which names it can vouch for.
    pub(super) fn verify_path(
        &self,
        chain: &[CertificateDer<'_>],
        facts: &Facts,
        role: Role,
        usage: Role,
        now: UnixTime,
    ) -> Result<Reach, Reason> {
        let (leaf, issuers) = chain.split_first().ok_or(Reason::NoCertificate)?;
        let explain = |error| self.reason(&error, issuers, facts, role);
        let leaf = EndEntityCert::try_from(leaf).map_err(explain)?;
        let crls = self.crls.lists();
        let revocation = RevocationOptionsBuilder::new(&crls).ok().map(|builder| {
            builder
                .with_depth(RevocationCheckDepth::Chain)
                .with_status_policy(UnknownStatusPolicy::Deny)
                .with_expiration_policy(ExpirationPolicy::Ignore)
                .build()
        });
        let usage = match usage {
            Role::Client => KeyUsage::client_auth(),
            Role::Server => KeyUsage::server_auth(),
        };
        let path = leaf
            .verify_for_usage(
                webpki::ALL_VERIFICATION_ALGS,
                &self.anchors,
                issuers,
                now,
                usage,
                revocation,
                Some(&|path| self.admit_path(path, facts)),
            )
            .map_err(explain)?;
        Ok(reach(&path))
    }

    /// Applies our own rules to a path that is otherwise good; refusing it lets webpki look for another.
    fn admit_path(&self, path: &VerifiedPath<'_>, facts: &Facts) -> Result<(), Error> {
        let anchor = Pin::of(&webpki::spki_for_anchor(path.anchor()));
        if anchor == facts.pin {
            return Err(Error::CaUsedAsEndEntity);
        }
        if path.intermediate_certificates().count() > usize::from(self.depth) {
            return Err(Error::MaximumPathDepthExceeded);
        }
        let pinned = |key: &[u8]| self.pins.contains(&Pin::of(key));
        let admitted = self.pins.is_empty()
            || self.pins.contains(&facts.pin)
            || self.pins.contains(&anchor)
            || path
                .intermediate_certificates()
                .any(|issuer| pinned(&issuer.subject_public_key_info()));
        if admitted {
            Ok(())
        } else {
            Err(Error::CertDistrusted)
        }
    }

    /// Says for the operator what webpki found.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "webpki may add errors; what we do not know is unreadable to us"
    )]
    fn reason(
        &self,
        error: &Error,
        issuers: &[CertificateDer<'_>],
        facts: &Facts,
        role: Role,
    ) -> Reason {
        let issuer = || facts.issuer.clone();
        let pin = facts.pin;
        match error {
            Error::CaUsedAsEndEntity | Error::UnknownIssuer if facts.self_issued => {
                Reason::SelfSigned { pin }
            }
            Error::CaUsedAsEndEntity => Reason::CaCertificate { pin },
            Error::CertExpired { not_after, .. } if *not_after == facts.not_after => {
                Reason::Expired { since: *not_after }
            }
            Error::CertNotValidYet { not_before, .. } if *not_before == facts.not_before => {
                Reason::NotYetValid { until: *not_before }
            }
            Error::CertExpired { .. } | Error::CertNotValidYet { .. } => Reason::IssuerOutOfTime,
            Error::CertDistrusted if self.pins.is_empty() => Reason::Distrusted,
            Error::CertDistrusted => Reason::PinMismatch { pin },
            Error::CertRevoked => Reason::Revoked,
            Error::UnknownRevocationStatus => Reason::RevocationUnknown { issuer: issuer() },
            Error::InvalidCrlSignatureForPublicKey
            | Error::IssuerNotCrlSigner
            | Error::UnsupportedCrlSignatureAlgorithmContext(_)
            | Error::UnsupportedCrlSignatureAlgorithmForPublicKeyContext(_) => {
                Reason::CrlUnusable { issuer: issuer() }
            }
            Error::InvalidSignatureForPublicKey => Reason::BadSignature {
                issuer: last_issuer(issuers, facts),
            },
            Error::RequiredEkuNotFoundContext(_) | Error::EmptyEkuExtension => {
                Reason::WrongPurpose {
                    role,
                    presented: facts.purposes.clone(),
                }
            }
            Error::NameConstraintViolation => Reason::NameConstraints,
            Error::EndEntityUsedAsCa | Error::PathLenConstraintViolated => {
                Reason::IssuerNotEntitled
            }
            Error::UnsupportedSignatureAlgorithmContext(_)
            | Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => Reason::WeakAlgorithm,
            Error::UnsupportedCriticalExtension => Reason::CriticalExtension,
            Error::MaximumPathDepthExceeded => Reason::TooDeep { depth: self.depth },
            Error::MaximumSignatureChecksExceeded
            | Error::MaximumPathBuildCallsExceeded
            | Error::MaximumNameConstraintComparisonsExceeded => Reason::TooComplex,
            Error::UnknownIssuer => Reason::UnknownIssuer {
                issuer: last_issuer(issuers, facts),
            },
            _ => Reason::Unreadable,
        }
    }
}

/// Which names the CAs of a path can vouch for.
fn reach(path: &VerifiedPath<'_>) -> Reach {
    let constrained = path.anchor().name_constraints.is_some()
        || path.intermediate_certificates().any(|issuer| {
            Facts::read(&issuer.der()).map_or(true, |facts| facts.has_name_constraints)
        });
    if constrained {
        Reach::DnsNamesOnly
    } else {
        Reach::AllNames
    }
}

/// The issuer at which the presented chain ends: the one that would have to be trusted.
fn last_issuer(issuers: &[CertificateDer<'_>], facts: &Facts) -> String {
    let issuers: Vec<Facts> = issuers
        .iter()
        .filter_map(|der| Facts::read(der).ok())
        .collect();
    let mut wanted = facts.issuer.clone();
    for _ in &issuers {
        let next = issuers
            .iter()
            .find(|issuer| issuer.subject == wanted && !issuer.self_issued);
        match next {
            Some(issuer) => wanted = issuer.issuer.clone(),
            None => break,
        }
    }
    wanted
}
