//! What OpenSSL says about a failed handshake, in the words that rustls' failures have.

use std::ffi::c_int;

use certs::explain as words;
use certs::reason::Reason;
use openssl::ssl::Error;
use rustls::AlertDescription;

use super::handshake::TlsFailure;

/// Explains an error of a connection in its handshake or behind it.
pub(super) fn explain(error: &Error) -> TlsFailure {
    if let Some(error) = error.io_error() {
        return TlsFailure::explain(error);
    }
    let Some(stack) = error.ssl_error().filter(|stack| !stack.errors().is_empty()) else {
        return TlsFailure::closed();
    };
    let of_tls = |error: &&openssl::error::Error| error.library_code() == LIBRARY;
    let mut errors = stack.errors().iter().filter(of_tls);
    let known = errors.find_map(|error| known(error.reason_code()));
    known.unwrap_or_else(|| {
        let reasons = stack
            .errors()
            .iter()
            .filter_map(openssl::error::Error::reason);
        let reasons: Vec<&str> = reasons.collect();
        let sentence = format!("The TLS handshake failed ({}).", reasons.join(", "));
        TlsFailure::passing("tls-failed", sentence)
    })
}

/// The reasons that say something to an operator (openssl/sslerr.h).
fn known(reason: c_int) -> Option<TlsFailure> {
    let alert = reason.checked_sub(ALERT).map(u8::try_from);
    if let Some(Ok(alert)) = alert {
        let alert = rustls::Error::AlertReceived(AlertDescription::from(alert));
        return Some(words::explain(&alert).into());
    }
    let failure = match reason {
        NO_SHARED_CIPHER
        | NO_SHARED_SIGNATURE
        | NO_SUITABLE_SIGNATURE
        | WRONG_SIGNATURE_TYPE
        | WRONG_CURVE => TlsFailure::passing(
            "tls-no-common-cipher",
            "The peer and we have no common cipher suite, key exchange or signature.",
        ),
        UNSUPPORTED_PROTOCOL | NO_PROTOCOLS | VERSION_TOO_LOW => TlsFailure::passing(
            "tls-no-common-version",
            "The peer does not speak the TLS versions that are set for it.",
        ),
        WRONG_VERSION_NUMBER | HTTP_REQUEST | PACKET_LENGTH => TlsFailure::passing(
            "tls-not-tls",
            "The peer sent something that is not TLS; is the port right?",
        ),
        NO_CERTIFICATE => (&Reason::NoCertificate).into(),
        UNSAFE_RENEGOTIATION => TlsFailure::passing(
            "tls-incompatible",
            "The peer's TLS lacks secure renegotiation (RFC 5746); Windows got it by an update in 2010.",
        ),
        UNEXPECTED_EOF => TlsFailure::closed(),
        _ => return None,
    };
    Some(failure)
}

/// The part of OpenSSL that speaks TLS.
const LIBRARY: c_int = 20;
/// An alert of the peer is this and its number.
const ALERT: c_int = 1_000;
const NO_SUITABLE_SIGNATURE: c_int = 118;
const PACKET_LENGTH: c_int = 198;
const HTTP_REQUEST: c_int = 156;
const NO_PROTOCOLS: c_int = 191;
const NO_SHARED_CIPHER: c_int = 193;
const NO_CERTIFICATE: c_int = 199;
const UNSUPPORTED_PROTOCOL: c_int = 258;
const WRONG_VERSION_NUMBER: c_int = 267;
const UNEXPECTED_EOF: c_int = 294;
const UNSAFE_RENEGOTIATION: c_int = 338;
const WRONG_SIGNATURE_TYPE: c_int = 370;
const NO_SHARED_SIGNATURE: c_int = 376;
const WRONG_CURVE: c_int = 378;
const VERSION_TOO_LOW: c_int = 396;
