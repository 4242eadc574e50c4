//! The transition tables against the machines of presence and of session mode: every row is driven, every arm of the
//! code names its row, and whatever can happen in a state has a row.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

#[path = "transitions/s2x.rs"]
mod s2x;
#[path = "transitions/s2x_case.rs"]
mod s2x_case;
#[path = "transitions/s2x_lab.rs"]
mod s2x_lab;
#[path = "transitions/s2x_words.rs"]
mod s2x_words;
#[path = "transitions/session.rs"]
mod session;
#[path = "transitions/table.rs"]
mod table;
#[path = "transitions/x2s.rs"]
mod x2s;
#[path = "transitions/x2s_failures.rs"]
mod x2s_failures;
#[path = "transitions/x2s_lab.rs"]
mod x2s_lab;
#[path = "transitions/x2s_texts.rs"]
mod x2s_texts;
#[path = "transitions/x2s_walk.rs"]
mod x2s_walk;
