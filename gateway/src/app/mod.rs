//! The composition root: builds every part in order, starts, reloads, drains.

mod drain;
mod reload;
mod start;

pub use start::{App, Instruments, StartFault};
