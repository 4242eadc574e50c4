//! The pages that go through the habits of XMPP servers point by point name tests that exist.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use interop_tests::lync_sim::rules::{RULES, Rule};

/// The pages and the number of their points.
const PAGES: [(&str, usize); 2] = [
    ("docs/howto/points-openfire.md", 29),
    ("docs/howto/points-xmpp.md", 28),
];

#[test]
fn every_point_has_a_row_with_a_proof_or_a_reason() {
    for (page, points) in PAGES {
        let text = read(page);
        let rows: Vec<Vec<&str>> = text.lines().filter_map(cells).collect();
        let numbers: Vec<String> = rows.iter().map(|row| number(row)).collect();
        let expected: Vec<String> = (1..=points).map(|point| point.to_string()).collect();
        assert_eq!(numbers, expected, "{page}");
        for row in rows {
            let [point, does, proof] = row.as_slice() else {
                panic!("{page}: {row:?}");
            };
            let reason = *does == "with presence" || does.ends_with("that is text, not behaviour");
            assert_eq!(proof.is_empty(), reason, "{page}: point {point}");
        }
    }
}

#[test]
fn every_test_that_is_named_exists() {
    for (page, _) in PAGES {
        let text = read(page);
        let named: Vec<(&str, &str)> = text
            .split('`')
            .skip(1)
            .step_by(2)
            .filter_map(|name| name.split_once(".rs::"))
            .collect();
        assert!(!named.is_empty(), "{page}");
        for (file, test) in named {
            let code = read(&format!("{file}.rs"));
            assert!(
                code.contains(&format!("fn {test}(")),
                "{page} names {file}.rs::{test}"
            );
        }
    }
}

/// Every rule of the simulator of Microsoft's names a scenario that shows it: one that every release
/// plays, and that says so in the end.
#[test]
fn every_rule_of_the_simulator_is_exercised() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut code = String::new();
    for entry in fs::read_dir(root.join("interop-tests/src/lync_scenes")).unwrap() {
        code += &fs::read_to_string(entry.unwrap().path()).unwrap();
        code += "\n\n";
    }
    let played = read("interop-tests/tests/lync.rs");
    let numbers: Vec<&str> = RULES.iter().map(|rule| rule.id).collect();
    let expected: Vec<String> = (1..=22).map(|number| format!("E{number}")).collect();
    assert_eq!(numbers, expected);
    for rule in RULES {
        let Rule { id, test, .. } = rule;
        let scenario = code.split("\npub async fn ").find_map(|rest| {
            let body = rest.strip_prefix(test)?.strip_prefix('(')?;
            body.split("\n}\n").next()
        });
        let scenario = scenario.unwrap_or_else(|| panic!("{id} names {test}"));
        let shown = scenario.split(".shown(").nth(1).unwrap_or_default();
        assert!(
            shown.contains(&format!("\"{id}\"")),
            "{test} does not say that it shows {id}"
        );
        assert!(played.contains(&format!("scenes::{test}(")), "{test}");
    }
}

/// The cells of a row of the table, without its head.
fn cells(line: &str) -> Option<Vec<&str>> {
    let row = line.strip_prefix("| ")?.strip_suffix('|')?;
    let cells: Vec<&str> = row.split(" |").map(str::trim).collect();
    let first = cells.first()?.chars().next()?;
    first.is_ascii_digit().then_some(cells)
}

/// The number that a row begins with.
fn number(row: &[&str]) -> String {
    let digits = |c: &char| c.is_ascii_digit();
    row.first().unwrap().chars().take_while(digits).collect()
}

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}
