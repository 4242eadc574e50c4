//! Failures on both wires: the tables of RFC 7247 section 7 and the gateway's own conditions.
//!
//! No other module turns a failure into a status code or an error element. Two rules of the wire
//! change what the tables print: 401 and 407 promise a challenge that a gateway does not have and
//! become 403, and 408 never answers a request other than INVITE (RFC 4320 section 4.2).

mod diagnostics;
mod microsoft;
mod own;
mod tables;

#[cfg(test)]
mod tests;

pub use diagnostics::{
    Effect, Known, explain, explain_bare_504, loses_dialog, rows as known_reasons,
};
pub use microsoft::to_microsoft;
pub use own::{Own, lapsed, to_subscribe};
pub use tables::{Addressee, Refusal, bounce, condition_of, from_sip, from_xmpp, to_sip, to_xmpp};
