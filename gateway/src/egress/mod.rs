//! From the shards to the peers, and what all shards together have to watch.

mod census;
mod guard;
mod release;
mod seats;

pub use release::Egress;
pub use seats::{Crowd, Seats};
