//! A failed TLS handshake in one operator sentence.
//!
//! In TLS 1.3 the peer's alert about our certificate comes with the first read after the handshake, as the
//! same error: explain that one too.

use std::fmt;

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible};

use crate::reason::Reason;

/// What went wrong, for the log and for `isthmusctl`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// Stable name of the cause.
    pub id: &'static str,
    /// One sentence with its full stop.
    pub sentence: String,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl From<&Reason> for Explanation {
    fn from(reason: &Reason) -> Self {
        because(reason.id(), reason.to_string())
    }
}

/// Explains the error that ended a handshake, or the first read behind it.
///
/// Where one of our verifiers refused, its `refusal()` says more; ask it first.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "rustls may add errors; the rest is told in its own words"
)]
pub fn explain(error: &Error) -> Explanation {
    match error {
        Error::AlertReceived(alert) => peer_alert(*alert),
        Error::InvalidCertificate(fault) => our_refusal(fault),
        Error::NoCertificatesPresented => Explanation::from(&Reason::NoCertificate),
        Error::PeerIncompatible(what) => incompatible(what),
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => because(
            "tls-not-tls",
            "The peer sent something that is not TLS; is the port right, and is TLS or STARTTLS expected there?",
        ),
        Error::InvalidMessage(_)
        | Error::InappropriateMessage { .. }
        | Error::InappropriateHandshakeMessage { .. }
        | Error::PeerMisbehaved(_)
        | Error::PeerSentOversizedRecord => because(
            "tls-broken",
            format!("The peer broke the rules of TLS ({error})."),
        ),
        Error::DecryptError => because(
            "tls-decrypt",
            "A TLS record of the peer could not be decrypted: it was damaged, or the peer changed its keys.",
        ),
        Error::NoApplicationProtocol => because(
            "tls-alpn",
            "The peer asked by ALPN for a protocol that is not served on this port.",
        ),
        other => because("tls-failed", format!("The TLS handshake failed ({other}).")),
    }
}

/// What the peer complains about, mostly our certificate.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the other alerts name no cause that the operator could mend"
)]
fn peer_alert(alert: AlertDescription) -> Explanation {
    match alert {
        AlertDescription::UnknownCA => because(
            "peer-unknown-ca",
            "The peer does not trust the CA of our certificate, or our chain lacks an intermediate certificate.",
        ),
        AlertDescription::BadCertificate | AlertDescription::CertificateUnknown => because(
            "peer-refused-certificate",
            "The peer refused our certificate: its CA must be trusted there, and it must name our domain.",
        ),
        AlertDescription::CertificateExpired => because(
            "peer-certificate-expired",
            "The peer says that our certificate is expired or not valid yet; compare its dates and the clocks.",
        ),
        AlertDescription::CertificateRevoked => because(
            "peer-certificate-revoked",
            "The peer says that our certificate is revoked.",
        ),
        AlertDescription::UnsupportedCertificate => because(
            "peer-certificate-unsupported",
            "The peer refused the kind of our certificate: its key, its signature, or its extended key usage.",
        ),
        AlertDescription::CertificateRequired | AlertDescription::NoCertificate => because(
            "peer-wants-certificate",
            "The peer demands a certificate from us and got none.",
        ),
        AlertDescription::AccessDenied => because(
            "peer-access-denied",
            "The peer accepted our certificate but does not let us in; its list of allowed domains decides.",
        ),
        AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity => because(
            "tls-no-common-cipher",
            "The peer and we have no common cipher suite, key exchange or signature, \
             or it wants another certificate.",
        ),
        AlertDescription::ProtocolVersion | AlertDescription::InappropriateFallback => because(
            "tls-no-common-version",
            "The peer does not speak the TLS versions that are set for it.",
        ),
        AlertDescription::UnrecognisedName => because(
            "peer-unrecognised-name",
            "The peer does not serve the domain that was asked for by SNI.",
        ),
        AlertDescription::NoApplicationProtocol => because(
            "tls-alpn",
            "The peer does not speak the ALPN protocol that was offered on this port.",
        ),
        AlertDescription::DecryptError => because(
            "peer-decrypt-error",
            "The peer could not verify our signature; it may not support the key of our certificate.",
        ),
        AlertDescription::InternalError => because(
            "peer-internal-error",
            "The peer failed by itself during the TLS handshake; its log knows why.",
        ),
        AlertDescription::CloseNotify | AlertDescription::UserCanceled => because(
            "peer-closed",
            "The peer gave up the TLS handshake without a complaint.",
        ),
        other => because(
            "peer-alert",
            format!("The peer ended TLS with the alert {other:?}."),
        ),
    }
}

/// Why we refused the peer's certificate, as far as rustls passes it on.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "rustls may add errors; the rest is told in its own words"
)]
fn our_refusal(fault: &CertificateError) -> Explanation {
    match fault {
        CertificateError::Other(inner) => match inner.0.downcast_ref::<Reason>() {
            Some(reason) => Explanation::from(reason),
            None => because(
                "cert-refused",
                format!("The peer's certificate was refused ({inner})."),
            ),
        },
        CertificateError::ExpiredContext { not_after, .. } => {
            Explanation::from(&Reason::Expired { since: *not_after })
        }
        CertificateError::NotValidYetContext { not_before, .. } => {
            Explanation::from(&Reason::NotYetValid { until: *not_before })
        }
        CertificateError::Revoked => Explanation::from(&Reason::Revoked),
        CertificateError::BadEncoding => Explanation::from(&Reason::Unreadable),
        CertificateError::UnknownIssuer => because(
            "cert-unknown-issuer",
            "The peer's certificate was not issued by a CA that is trusted for it, or an intermediate is missing.",
        ),
        CertificateError::NotValidForName => because(
            "cert-wrong-name",
            "The peer's certificate does not name the domain that was asked for.",
        ),
        CertificateError::InvalidPurpose => because(
            "cert-wrong-purpose",
            "The peer's certificate may not be used in this role (extended key usage).",
        ),
        CertificateError::UnknownRevocationStatus => because(
            "cert-revocation-unknown",
            "No configured CRL covers the CA of the peer's certificate.",
        ),
        CertificateError::BadSignature => because(
            "cert-bad-signature",
            "A signature of the peer, in its chain or in the handshake, is wrong.",
        ),
        other => because(
            "cert-refused",
            format!("The peer's certificate was refused ({other})."),
        ),
    }
}

/// Why peer and gateway cannot speak TLS with each other.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the other incompatibilities are told in the words of rustls"
)]
fn incompatible(what: &PeerIncompatible) -> Explanation {
    match what {
        PeerIncompatible::NoCipherSuitesInCommon => because(
            "tls-no-common-cipher",
            "The peer and we have no common cipher suite.",
        ),
        PeerIncompatible::NoKxGroupsInCommon | PeerIncompatible::NoSignatureSchemesInCommon => {
            because(
                "tls-no-common-cipher",
                "The peer and we have no common cipher suite with a key exchange and a signature for it.",
            )
        }
        PeerIncompatible::ServerDoesNotSupportTls12Or13
        | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
        // What clients of TLS 1.1 and older leave out is missed before their version is.
        | PeerIncompatible::SignatureAlgorithmsExtensionRequired
        | PeerIncompatible::SupportedVersionsExtensionRequired
        | PeerIncompatible::Tls12NotOffered
        | PeerIncompatible::Tls12NotOfferedOrEnabled => because(
            "tls-no-common-version",
            "The peer does not speak the TLS versions that are set for it.",
        ),
        other => because(
            "tls-incompatible",
            format!("The peer's TLS lacks something that is needed ({other:?})."),
        ),
    }
}

/// Shorthand for an explanation.
fn because(id: &'static str, sentence: impl Into<String>) -> Explanation {
    Explanation {
        id,
        sentence: sentence.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::OtherError;

    use super::*;
    use crate::testing::now;

    #[test]
    fn alerts_about_our_certificate_have_sentences_of_their_own() {
        use AlertDescription as Alert;
        let cases = [
            (Alert::UnknownCA, "peer-unknown-ca"),
            (Alert::BadCertificate, "peer-refused-certificate"),
            (Alert::CertificateUnknown, "peer-refused-certificate"),
            (Alert::CertificateExpired, "peer-certificate-expired"),
            (Alert::CertificateRevoked, "peer-certificate-revoked"),
            (
                Alert::UnsupportedCertificate,
                "peer-certificate-unsupported",
            ),
            (Alert::CertificateRequired, "peer-wants-certificate"),
            (Alert::AccessDenied, "peer-access-denied"),
            (Alert::HandshakeFailure, "tls-no-common-cipher"),
            (Alert::ProtocolVersion, "tls-no-common-version"),
            (Alert::UnrecognisedName, "peer-unrecognised-name"),
            (Alert::NoApplicationProtocol, "tls-alpn"),
            (Alert::DecryptError, "peer-decrypt-error"),
            (Alert::InternalError, "peer-internal-error"),
            (Alert::UserCanceled, "peer-closed"),
            (Alert::RecordOverflow, "peer-alert"),
        ];
        for (alert, id) in cases {
            let explanation = explain(&Error::AlertReceived(alert));
            assert_eq!(explanation.id, id);
            assert!(explanation.sentence.ends_with('.'), "{explanation}");
        }
    }

    #[test]
    fn our_own_refusals_keep_their_ids() {
        let mismatch = Reason::TooDeep { depth: 3 };
        let cases = [
            (
                CertificateError::Other(OtherError(Arc::new(mismatch))),
                "cert-too-deep",
            ),
            (CertificateError::UnknownIssuer, "cert-unknown-issuer"),
            (CertificateError::NotValidForName, "cert-wrong-name"),
            (CertificateError::InvalidPurpose, "cert-wrong-purpose"),
            (CertificateError::Revoked, "cert-revoked"),
            (CertificateError::BadEncoding, "cert-unreadable"),
            (
                CertificateError::UnknownRevocationStatus,
                "cert-revocation-unknown",
            ),
            (CertificateError::BadSignature, "cert-bad-signature"),
            (
                CertificateError::NotValidYetContext {
                    time: now(),
                    not_before: now(),
                },
                "cert-not-yet-valid",
            ),
            (CertificateError::UnhandledCriticalExtension, "cert-refused"),
        ];
        for (fault, id) in cases {
            assert_eq!(explain(&Error::InvalidCertificate(fault)).id, id);
        }
    }

    #[test]
    fn everything_else_is_told_too() {
        let ciphers = PeerIncompatible::NoCipherSuitesInCommon;
        let groups = PeerIncompatible::NoKxGroupsInCommon;
        let points = PeerIncompatible::NoEcPointFormatsInCommon;
        let cases = [
            (Error::PeerIncompatible(ciphers), "tls-no-common-cipher"),
            (Error::PeerIncompatible(groups), "tls-no-common-cipher"),
            (Error::PeerIncompatible(points), "tls-incompatible"),
            (Error::PeerSentOversizedRecord, "tls-broken"),
            (Error::DecryptError, "tls-decrypt"),
            (Error::NoApplicationProtocol, "tls-alpn"),
            (Error::HandshakeNotComplete, "tls-failed"),
        ];
        for (error, id) in cases {
            assert_eq!(explain(&error).id, id);
        }
    }
}
