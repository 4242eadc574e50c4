//! From the shards to the peers, and what all shards together have to watch.

mod census;
mod guard;
mod release;

pub use release::Egress;
