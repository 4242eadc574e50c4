//! The IO shell around the pure core.

pub mod clock;
pub mod config;
pub mod resolve;
pub mod telemetry;
