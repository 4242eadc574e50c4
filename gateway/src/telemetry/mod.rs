//! What the daemon tells about itself: log lines, metrics and alarms under stable names.
//!
//! Code elsewhere emits events; only this module decides what each one logs, counts and raises.

pub mod alarms;
pub mod events;
pub mod http;
pub mod logs;
pub mod metrics;
