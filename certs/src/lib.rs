//! Certificates without a network: everything isthmus decides about X.509.
//!
//! | module | what it is for |
//! |---|---|
//! | [`trust`] | one peer's verification policy; judges a presented chain |
//! | [`identity`] | which domains a certificate speaks for (RFC 6120 section 13.7, RFC 5922) |
//! | [`reason`] | why a chain does not prove what it should, in one operator sentence |
//! | [`verifier`] | the rustls verifiers and configurations built on [`trust`] |
//! | [`explain`] | a failed TLS handshake in one operator sentence |
//! | [`credentials`] | our own chains and keys, chosen by name, replaced while running |
//! | [`inspect`] | the facts of one certificate |
//! | [`names`] | subject alternative names, read and written |
//! | [`check`] | our own certificate against what peers are known to refuse |
//! | [`request`] | certificate wishes and signing requests |
//! | [`authority`] | the lab CA: issue, sign foreign requests, revoke |
//!
//! The crate opens no file and no socket and reads no clock: PEM and time are arguments. Only keys and
//! serial numbers come from the random generator of aws-lc, which cannot be handed in.
#![deny(missing_docs)]

pub mod authority;
pub mod check;
pub mod credentials;
mod dates;
pub mod explain;
mod finding;
pub mod identity;
pub mod inspect;
mod limits;
pub mod names;
pub mod reason;
pub mod request;
#[cfg(test)]
mod testing;
pub mod trust;
pub mod verifier;

pub use finding::{Finding, Level, Loaded};
pub use limits::{MAX_CERTIFICATE, MAX_CHAIN, MAX_NAMES};
