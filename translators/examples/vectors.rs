//! Runs every vector of a folder and prints a line for each: `pass ID`, `FAIL ID: difference`,
//! `skip ID: reason`; last `N passed, N failed, N skipped`. The exit code is 1 if one failed.

use std::path::Path;
use std::process::ExitCode;

#[path = "../tests/runner/mod.rs"]
mod runner;

use runner::Outcome;

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1) else {
        eprintln!("usage: vectors FOLDER");
        return ExitCode::from(2);
    };
    match runner::run_all(Path::new(&folder)) {
        Ok(reports) if !reports.is_empty() => print(&reports),
        Ok(_) => {
            eprintln!("no vectors in {}", Path::new(&folder).display());
            ExitCode::from(2)
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

#[expect(clippy::print_stdout, reason = "printing is what this program is for")]
fn print(reports: &[runner::Report]) -> ExitCode {
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for report in reports {
        let id = &report.id;
        for name in &report.unknown {
            println!("note {id}: volatile name {name:?} is unknown, nothing is ignored for it");
        }
        match &report.outcome {
            Outcome::Passed => {
                passed += 1;
                println!("pass {id}");
            }
            Outcome::Failed(differences) => {
                failed += 1;
                println!("FAIL {id}: {}", differences.join("; "));
            }
            Outcome::Skipped(reason) => {
                skipped += 1;
                println!("skip {id}: {reason}");
            }
        }
    }
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    ExitCode::from(u8::from(failed > 0))
}
