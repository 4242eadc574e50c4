//! The IO shell around the pure core.

pub mod admin;
pub mod clock;
pub mod config;
pub mod ctl;
mod names;
pub mod peers;
pub mod resolve;
pub mod store;
pub mod telemetry;
