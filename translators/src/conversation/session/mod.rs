//! Session mode: the INVITE dialogs of one pair (mapping 4.5).
//!
//! A pair has one dialog at a time. [`Session`] is its machine: it has a method for each event, names
//! dialogs by their [`DialogNumber`] and answers with the [`Action`]s that follow, in order. It knows
//! no SIP, no message but whether some wait, and no clock but the time that it is told. What else
//! remains of dialogs that were given up follows from one rule: whatever comes of them ends them.
//!
//! Rows in comments are those of `tables/session.tsv`.

mod action;
mod first;
mod machine;
mod outcome;

pub use action::{Action, DialogNumber, Scene};
pub use first::{Embedding, First};
pub use machine::{Phase, Session};
pub use outcome::Outcome;

#[cfg(test)]
mod tests;
