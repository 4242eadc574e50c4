//! TLS on a connection: accept and connect, with the verdict of `certs` on the other end.

#[cfg(feature = "compat-tls")]
mod compat;
#[cfg(not(feature = "compat-tls"))]
#[path = "no_compat.rs"]
mod compat;
#[cfg(feature = "compat-tls")]
mod compat_errors;
mod connection;
mod engine;
mod handshake;
mod hello;
mod hints;
mod identity;
mod settings;
mod sip;
mod stream;
mod terms;

#[cfg(test)]
mod tests;

pub use handshake::{Secured, TlsFailure};
pub use identity::{Proof, shown_to, sip_certificates};
pub use settings::{Tls, Wish};
pub use sip::{Arrival, Refused};
pub use stream::Stream;
pub use terms::{Negotiated, Version};
