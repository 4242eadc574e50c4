//! Why a chain does not prove what it should.

use rustls_pki_types::UnixTime;

use crate::dates::shown;
use crate::inspect::{Facts, Pin, Purpose, listed};
use crate::limits::{MAX_CERTIFICATE, MAX_CHAIN};

/// What a chain proves.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// It speaks for these of the domains that were asked about; at least one.
    Proven(Vec<String>),
    /// It speaks for none of them.
    Unproven(Reason),
}

impl Verdict {
    /// The proven domains, or why there are none.
    ///
    /// # Errors
    /// The reason of an unproven verdict.
    pub fn into_result(self) -> Result<Vec<String>, Reason> {
        match self {
            Self::Proven(domains) => Ok(domains),
            Self::Unproven(reason) => Err(reason),
        }
    }
}

/// Why a presented chain is refused. Prints as one sentence for the operator, about the peer's certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// A signature in the chain does not fit the key of the CA that has the issuer's name.
    #[error(
        "The certificate names \"{issuer}\" as its issuer, but the key of that CA did not sign it."
    )]
    BadSignature {
        /// The issuer named by the certificate that could not be verified.
        issuer: String,
    },
    /// A CA certificate presented as a server's own, and not pinned.
    #[error("The certificate is a CA certificate, which is accepted only if pinned ({pin}).")]
    CaCertificate {
        /// The pin that would let it in.
        pin: Pin,
    },
    /// A certificate of the chain is larger than [`crate::MAX_CERTIFICATE`].
    #[error("The chain holds a certificate of {bytes} bytes; at most {MAX_CERTIFICATE} are read.")]
    CertificateTooLarge {
        /// Its size.
        bytes: usize,
    },
    /// More than [`crate::MAX_CHAIN`] certificates.
    #[error("The chain holds {certificates} certificates; at most {MAX_CHAIN} are read.")]
    ChainTooLong {
        /// How many there are.
        certificates: usize,
    },
    /// An extension marked critical that is not understood.
    #[error("The certificate carries a critical extension that is not understood.")]
    CriticalExtension,
    /// A CRL that cannot be used for the issuer it names.
    #[error(
        "A CRL for the chain up from \"{issuer}\" is not signed by its CA, or is of an unsupported kind."
    )]
    CrlUnusable {
        /// The issuer of the leaf.
        issuer: String,
    },
    /// A key that is publicly known to be compromised.
    #[error("The chain contains a key that is known to be compromised.")]
    Distrusted,
    /// The certificate is past its end.
    #[error("The certificate expired on {}.", shown(*.since))]
    Expired {
        /// Its last second.
        since: UnixTime,
    },
    /// A CA certificate of the chain is not valid now.
    #[error("The certificate of an intermediate CA is not valid at this time.")]
    IssuerOutOfTime,
    /// A certificate of the chain was issued by one that is no CA, or has fewer levels left.
    #[error("A certificate of the chain was issued by one that may not issue it.")]
    IssuerNotEntitled,
    /// The issuing CA may not speak for the names in the certificate.
    #[error("The certificate holds names that its CA may not issue (name constraints).")]
    NameConstraints,
    /// No certificate at all.
    #[error("The peer presented no certificate.")]
    NoCertificate,
    /// The certificate is not valid yet.
    #[error("The certificate is not valid before {}.", shown(*.until))]
    NotYetValid {
        /// Its first second.
        until: UnixTime,
    },
    /// No pinned key in the chain.
    #[error("None of the pinned keys is in the chain; the certificate's own key is {pin}.")]
    PinMismatch {
        /// The pin of the leaf.
        pin: Pin,
    },
    /// CRLs are configured, but they leave out a CA of the chain.
    #[error(
        "The configured CRLs do not cover the whole chain of the certificate issued by \"{issuer}\"."
    )]
    RevocationUnknown {
        /// The issuer of the leaf.
        issuer: String,
    },
    /// The certificate or a CA of its chain is on a CRL.
    #[error("The certificate, or a CA of its chain, is revoked.")]
    Revoked,
    /// A self-signed certificate that is neither an anchor's child nor pinned.
    #[error("The certificate is self-signed, which is accepted only if pinned ({pin}).")]
    SelfSigned {
        /// The pin that would let it in.
        pin: Pin,
    },
    /// The chain makes path building too expensive.
    #[error("The chain is too tangled to be verified.")]
    TooComplex,
    /// More intermediate CAs than the policy allows.
    #[error("There are more than {depth} intermediate CAs above the certificate (verify_depth).")]
    TooDeep {
        /// The limit.
        depth: u8,
    },
    /// The chain ends at a CA that is not trusted for this peer.
    #[error(
        "The certificate was issued by \"{issuer}\", which is not trusted for this peer; \
         or an intermediate certificate is missing."
    )]
    UnknownIssuer {
        /// The issuer at which the search ended.
        issuer: String,
    },
    /// Not X.509, or broken.
    #[error("The certificate cannot be read.")]
    Unreadable,
    /// A signature algorithm or key size that is not accepted.
    #[error(
        "The chain uses an algorithm that is not accepted (SHA-1, or RSA below 2048 or above 8192 bits)."
    )]
    WeakAlgorithm,
    /// No name of the certificate is one of the peer's domains.
    #[error("The certificate is not valid for {}; it names {}.", listed(.wanted), listed(.presented))]
    WrongName {
        /// The domains that were asked about.
        wanted: Vec<String>,
        /// What the certificate names.
        presented: Vec<String>,
    },
    /// The extended key usages do not allow this role.
    #[error("The certificate may be used for {} only, but the peer is the TLS {role} here.", uses(.presented))]
    WrongPurpose {
        /// The role the peer plays.
        role: Role,
        /// The usages in the certificate.
        presented: Vec<Purpose>,
    },
}

/// Which part of the TLS handshake the peer plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The peer dialled us.
    Client,
    /// We dialled the peer.
    Server,
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Client => "client",
            Self::Server => "server",
        })
    }
}

impl Reason {
    /// The stable name of the reason, for logs and documentation.
    pub fn id(&self) -> &'static str {
        match self {
            Self::BadSignature { .. } => "cert-bad-signature",
            Self::CaCertificate { .. } => "cert-is-ca",
            Self::CertificateTooLarge { .. } => "cert-too-large",
            Self::ChainTooLong { .. } => "cert-chain-too-long",
            Self::CriticalExtension => "cert-critical-extension",
            Self::CrlUnusable { .. } => "cert-crl-unusable",
            Self::Distrusted => "cert-distrusted",
            Self::Expired { .. } => "cert-expired",
            Self::IssuerOutOfTime => "cert-issuer-out-of-time",
            Self::IssuerNotEntitled => "cert-issuer-not-entitled",
            Self::NameConstraints => "cert-name-constraints",
            Self::NoCertificate => "cert-none",
            Self::NotYetValid { .. } => "cert-not-yet-valid",
            Self::PinMismatch { .. } => "cert-pin-mismatch",
            Self::RevocationUnknown { .. } => "cert-revocation-unknown",
            Self::Revoked => "cert-revoked",
            Self::SelfSigned { .. } => "cert-self-signed",
            Self::TooComplex => "cert-too-complex",
            Self::TooDeep { .. } => "cert-too-deep",
            Self::UnknownIssuer { .. } => "cert-unknown-issuer",
            Self::Unreadable => "cert-unreadable",
            Self::WeakAlgorithm => "cert-weak-algorithm",
            Self::WrongName { .. } => "cert-wrong-name",
            Self::WrongPurpose { .. } => "cert-wrong-purpose",
        }
    }

    /// The reason for a certificate that proves none of `wanted`.
    pub(crate) fn wrong_name(facts: &Facts, wanted: &[String]) -> Self {
        let names = facts.names.iter().map(ToString::to_string);
        let common = facts.common_names.iter().map(|name| format!("cn:{name}"));
        Self::WrongName {
            wanted: wanted.to_vec(),
            presented: if facts.has_san {
                names.collect()
            } else {
                common.collect()
            },
        }
    }
}

/// Lists purposes for a sentence.
fn uses(purposes: &[Purpose]) -> String {
    let names: Vec<String> = purposes.iter().map(ToString::to_string).collect();
    names.join(" and ")
}
