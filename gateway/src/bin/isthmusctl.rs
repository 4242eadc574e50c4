//! The operator's tool.

use std::io::{stderr, stdout};
use std::process::ExitCode;

use gateway::clock::Clock;
use gateway::ctl;

fn main() -> ExitCode {
    let exit = ctl::run(
        std::env::args_os(),
        &mut stdout().lock(),
        &mut stderr().lock(),
        Clock::start(),
    );
    ExitCode::from(exit as u8)
}
