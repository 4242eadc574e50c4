//! A SIP user watches an XMPP user: we are the notifier (RFC 6665, RFC 8048 section 5.3).
//!
//! [`Notifier`] is the relation of one pair. The authorization of the XMPP user outlives the
//! subscriptions of the SIP user, of which there is one for each of his endpoints. The machine has
//! a method for each event; it knows no clock, no policy and no document, and answers with the
//! [`Action`]s that follow and what is to be kept ([`Keep`]). What a watcher is shown follows from
//! the state at any time ([`Show`]), so that a NOTIFY that was lost needs no memory: what he was
//! shown last is not what he is to be shown.
//!
//! Rows in comments are those of `tables/s2x.tsv`.

mod action;
mod answers;
mod attempts;
mod endpoint;
mod machine;
mod orders;
mod pace;
mod presentity;
mod probe;
mod record;
mod scene;
mod seen;
mod subscribing;
mod ticking;
mod verdict;

pub use action::{Action, Asking, Body, Ended, Keep, Reply, Step};
pub use answers::Outcome;
pub use endpoint::{Endpoint, Show, Subscribe};
pub use machine::{Notifier, Phase};
pub use presentity::Refusal;
pub use record::Damaged;
pub use scene::{Link, Scene};
pub use subscribing::Refresh;

#[cfg(test)]
mod tests;
