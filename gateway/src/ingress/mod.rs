//! From a link to a shard: proof of the sender, choice of the shard, and what needs neither.

mod budgets;
mod entry;
#[cfg(test)]
mod tests;

pub use entry::{Ingress, RequestVerdict, StanzaVerdict};
