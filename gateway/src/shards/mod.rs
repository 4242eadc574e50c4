//! The loop around the shards: inputs in, changes to the journal, effects out.

mod group;
mod inputs;
mod load;
mod turn;

pub use group::{Group, deal};
pub use inputs::{Inputs, Permit, Unanswered};
pub use load::{LoadFault, load};
