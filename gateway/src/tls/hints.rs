//! What an operator can do about a handshake that failed, where that depends on the peer's settings.

use translators::model::Side;

use super::handshake::TlsFailure;
use crate::config::{Engine, Peer};

/// Adds the remedy to the failure of a handshake with `peer` that we began.
pub(super) fn dialled(failure: TlsFailure, peer: &Peer) -> TlsFailure {
    let hint = match (failure.id, peer.side(), peer.tls.engine) {
        (NO_COMMON_CIPHER, Side::Sip, Engine::Rustls) => ENGINE,
        (NO_COMMON_VERSION, Side::Sip, Engine::Rustls) => OLD_ENGINE,
        (NO_COMMON_VERSION, Side::Sip, Engine::Compat) if !peer.tls.legacy => LEGACY,
        _ => return failure,
    };
    // It will fail like this until somebody does that, so nobody is kept waiting.
    TlsFailure {
        lasting: true,
        hint,
        ..failure
    }
}

/// Adds the remedy to the failure of a handshake that some SIP client began; `compat` says whether the listener has
/// that engine.
pub(super) fn dialling(failure: TlsFailure, compat: bool) -> TlsFailure {
    let hint = match (failure.id, compat) {
        (NO_COMMON_CIPHER, false) => ENGINE,
        (NO_COMMON_VERSION, false) => OLD_ENGINE,
        (NO_COMMON_VERSION, true) => LEGACY,
        _ => return failure,
    };
    failure.with_hint(hint)
}

/// What to say where a peer proved itself and what was negotiated is not for it.
pub(super) const NOT_ALLOWED: &str = "If that is what the peer is limited to, give it tls = { engine = \"compat\" }, and \
    below TLS 1.2 legacy_tls = true; else have a newer TLS switched on there.";

const NO_COMMON_CIPHER: &str = "tls-no-common-cipher";
const NO_COMMON_VERSION: &str = "tls-no-common-version";

const ENGINE: &str = "If it is an edge on Windows Server 2012 R2 or older, give the peer tls = { engine = \"compat\" }, or \
    both sides certificates with ECDSA keys.";
const OLD_ENGINE: &str = "If it is an edge on Windows Server 2008 R2 or older, have TLS 1.2 switched on there and give the \
    peer tls = { engine = \"compat\" }; where that is impossible also legacy_tls = true.";
const LEGACY: &str = "Have TLS 1.2 switched on at the peer. OCS 2007 R2 and an edge on Windows Server 2008 cannot: set \
    legacy_tls = true, and see that the connection comes from an address of the peer.";
