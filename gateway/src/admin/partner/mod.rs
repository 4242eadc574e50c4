//! What stands between us and a peer.

pub mod protocol;
mod report;

pub(super) use report::{report, why};
