//! Client and server transactions (RFC 3261 section 17, RFC 6026).
//!
//! On a reliable transport no request is sent again, nor any answer but the 2xx to an INVITE, which
//! is [`crate::sip::invite::Confirming`]'s: Timers A, D, E, G, I, J and K do not run. Timers B, F and M
//! are the caller's, since they begin when the request is written to the link or answered. What is
//! left is to know which answer belongs to which request, and to recognise a request that was seen
//! before.

mod client;
mod invite;
mod keys;
mod server;

pub use client::{ClientTransactions, Finished};
pub use invite::Answered;
pub use keys::ServerKey;
pub use server::{Arrival, Cancelled, ServerTransactions};
