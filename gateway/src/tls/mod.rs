//! TLS on a connection: accept and connect, with the verdict of `certs` on the other end.

mod handshake;
mod identity;
mod settings;

#[cfg(test)]
mod tests;

pub use handshake::{Secured, TlsFailure};
pub use identity::{Proof, shown_to, sip_certificates};
pub use settings::{Tls, Wish};
