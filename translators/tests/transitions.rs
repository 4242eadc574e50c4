//! The transition tables against the machines of presence: every row is driven, every arm of the
//! code names its row, and whatever can happen in a state has a row.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

#[path = "transitions/s2x.rs"]
mod s2x;
#[path = "transitions/s2x_case.rs"]
mod s2x_case;
#[path = "transitions/s2x_lab.rs"]
mod s2x_lab;
