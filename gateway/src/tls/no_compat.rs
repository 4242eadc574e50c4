//! What stands in for the engine "compat" where it was left out; no configuration leads here.

use certs::credentials::Identity;

use super::connection::Connection;
use super::handshake::{Secured, TlsFailure};

/// How far down the engine goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Depth {
    /// TLS 1.2 at security level 2.
    Usual,
    /// TLS 1.0 at security level 0.
    Legacy,
}

/// Fails.
pub(super) async fn accept(
    _connection: Connection,
    _identities: &[&Identity],
    _depth: Depth,
    _asked_for: Option<String>,
) -> Result<Secured, TlsFailure> {
    Err(left_out())
}

/// Fails.
pub(super) async fn connect(
    _connection: Connection,
    _identities: &[&Identity],
    _depth: Depth,
    _name: &str,
) -> Result<Secured, TlsFailure> {
    Err(left_out())
}

fn left_out() -> TlsFailure {
    let sentence = "This program was built without the engine compat.";
    TlsFailure::lasting("tls-unsupported", sentence)
}
