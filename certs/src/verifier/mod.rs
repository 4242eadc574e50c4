//! The rustls verifiers, and the configurations they belong in.

mod config;
mod peers;
#[cfg(test)]
mod tests;

pub use config::{Tls, TlsVersions, always};
pub use peers::{Inbound, Judge, Outbound};
