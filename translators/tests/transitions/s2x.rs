//! Every row of `tables/s2x.tsv` against the machine of SIP watchers, and every row and every event
//! the other way round.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::s2x_case::{self, Case};
use crate::s2x_lab;

/// The states of the table: Y0 to Y4 of the mapping, with what distinguishes them in practice: `l`
/// only looks, `p`, `c` and `b` are the verdicts polite block, confirm and block, `a` has a session
/// of the user, `w` waits without a subscription.
const STATES: [&str; 17] = [
    "Y0", "Y0l", "Y0p", "Y0c", "Y0b", "Y1", "Y1w", "Y1a", "Y2", "Y2p", "Y2c", "Y2b", "Y3", "Y3p",
    "Y3c", "Y3b", "Y4",
];

/// States without a subscription.
const IDLE: [&str; 7] = ["Y0", "Y1w", "Y3", "Y3p", "Y3c", "Y3b", "Y4"];

/// What can happen in every state.
const ANYWHERE: [(&str, &str); 19] = [
    ("subscribe", ""),
    ("refresh", "unknown"),
    ("end", "unknown"),
    ("fetch", ""),
    ("subscribed", ""),
    ("unsubscribed", ""),
    ("error-no-user", ""),
    ("error-denied", ""),
    ("error-not-now", ""),
    ("available", ""),
    ("unavailable", ""),
    ("unavailable-all", ""),
    ("lost", ""),
    ("found", ""),
    ("return", ""),
    ("reached-out", ""),
    ("leave", ""),
    ("drop", ""),
    ("resync", ""),
];

/// What can happen where there is a subscription.
const IN_DIALOG: [(&str, &str); 11] = [
    ("refresh", ""),
    ("end", ""),
    ("expiry", ""),
    ("expiry", "down"),
    ("notify", "200"),
    ("notify", "481"),
    ("notify", "timeout"),
    ("notify", "timeout, down"),
    ("notify", "unsent"),
    ("notify", "500"),
    ("notify", "401"),
];

fn cases() -> Vec<Case> {
    let table = include_str!("../../tables/s2x.tsv");
    let mut lines = table.lines();
    let heading = "row\tstate\tevent\tcondition\tsip_out\txmpp_out\tnext\tsource";
    assert_eq!(lines.next(), Some(heading));
    lines.flat_map(s2x_case::read).collect()
}

#[test]
fn every_row_is_what_the_machine_does() {
    let mut wrong = Vec::new();
    for case in cases() {
        let done = s2x_lab::drive(&case);
        if done != case.expected() {
            wrong.push(format!("{case:?}\n    did: {done:?}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} rows:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// What the table does not say otherwise of the Microsoft profile.
#[test]
fn every_row_holds_in_the_microsoft_profile() {
    let all = cases();
    let differs = |case: &Case| {
        all.iter().any(|other| {
            let same = (case.state, case.event) == (other.state, other.event);
            same && other.says("microsoft") && other.is_also(case.condition)
        })
    };
    let mut wrong = Vec::new();
    let generic = all.iter().filter(|case| !case.says("microsoft"));
    for case in generic.filter(|case| !differs(case)) {
        let (case, expected) = case.of_microsoft();
        let done = s2x_lab::drive(&case);
        if done != expected {
            wrong.push(format!("{case:?}\n    did: {done:?}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} rows:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn every_event_has_a_row_in_every_state() {
    let cases = cases();
    let has = |state: &str, event: &str, condition: &str| {
        cases.iter().any(|case| {
            let first = ["Y0"].contains(&state) && condition.is_empty();
            let same = case.condition == condition || (first && !case.condition.is_empty());
            case.state == state && case.event == event && same
        })
    };
    let mut missing = Vec::new();
    for state in STATES {
        let in_dialog = IN_DIALOG.iter().filter(|_| !IDLE.contains(&state));
        for (event, condition) in ANYWHERE.iter().chain(in_dialog) {
            if !has(state, event, condition) {
                missing.push(format!("{state} {event} {condition}"));
            }
        }
        for verdict in ["allow", "confirm", "polite-block", "block"] {
            let now = s2x_lab::verdict_of(state).as_str();
            if verdict != now && !has(state, "verdict", verdict) && !has(state, "verdict", "any") {
                missing.push(format!("{state} verdict {verdict}"));
            }
        }
    }
    assert!(missing.is_empty(), "no row:\n{}", missing.join("\n"));
}

#[test]
fn table_and_code_name_the_same_rows() {
    let in_table: BTreeSet<String> = cases().into_iter().map(|case| case.row).collect();
    let mut in_code = BTreeSet::new();
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/presence/notifier");
    for file in fs::read_dir(sources).unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        let comments = text.lines().filter_map(|line| line.split_once("//"));
        for (_, comment) in comments {
            in_code.extend(rows_of(comment));
        }
    }
    assert_eq!(in_table, in_code);
}

/// The rows that a comment names: what follows the word `row` and begins with a digit.
fn rows_of(comment: &str) -> Vec<String> {
    let words: Vec<_> = comment
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    let rows = words.windows(2).filter(|pair| pair[0] == "row");
    let rows = rows.map(|pair| pair[1].to_owned());
    rows.filter(|row| row.starts_with(|c: char| c.is_ascii_digit()))
        .collect()
}
