//! The IO shell around the pure core.

pub mod admin;
pub mod app;
pub mod clock;
pub mod config;
pub mod ctl;
pub mod decisions;
pub mod egress;
pub mod ingress;
pub mod link;
mod names;
pub mod peers;
pub mod reach;
pub mod resolve;
pub mod shards;
pub mod store;
pub mod telemetry;
pub mod tls;
