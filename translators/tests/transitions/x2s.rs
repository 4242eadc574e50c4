//! Table X2S: an XMPP user watches a SIP user.

use std::collections::BTreeSet;

use crate::table::{self, Row};
use crate::x2s_lab::{Lab, STATES};

/// Events of the table.
const EVENTS: usize = 37;

fn rows() -> Vec<Row> {
    table::read(include_str!("../../tables/x2s.tsv"))
}

/// Row 35 is no event of this machine: the shard leads it to the other one.
fn is_driven(row: &Row) -> bool {
    row.id != "35"
}

#[test]
fn every_row_happens() {
    for row in rows().iter().filter(|row| is_driven(row)) {
        for state in STATES.iter().filter(|state| row.is_about(state)) {
            drive(row, state);
        }
    }
}

fn drive(row: &Row, state: &str) {
    let mut lab = Lab::new(7);
    lab.put(state, &row.conditions);
    let granted = lab.machine.is_granted();

    let outcome = lab.event(&row.event, &row.conditions);

    let what = format!("row {} in {state}: {row:?}", row.id);
    assert_eq!(outcome.sip, row.sip, "sip_out of {what}");
    assert_eq!(outcome.xmpp, row.xmpp, "xmpp_out of {what}");
    let mut next = row.next.split(' ');
    match next.next().unwrap() {
        "same" => {
            assert_eq!(outcome.next, state, "next of {what}");
            assert_eq!(lab.machine.is_granted(), granted, "grant of {what}");
        }
        next => assert_eq!(outcome.next, next, "next of {what}"),
    }
    if next.next() == Some("granted") {
        assert!(lab.machine.is_granted(), "grant of {what}");
    }
}

#[test]
fn every_row_has_code_and_every_arm_a_row() {
    let in_table: BTreeSet<String> = rows().into_iter().map(|row| row.id).collect();
    let in_code = table::named_in(&["presence/subscriber", "shard/presence.rs"]);

    let without_code: Vec<_> = in_table.difference(&in_code).collect();
    assert!(
        without_code.is_empty(),
        "rows without code: {without_code:?}"
    );
    let without_row: Vec<_> = in_code.difference(&in_table).collect();
    assert!(
        without_row.is_empty(),
        "arms without a row: {without_row:?}"
    );
}

/// What cannot happen in a state: no timer of that name runs, no such request is open.
fn is_possible(state: &str, event: &str) -> bool {
    let refreshes = ["Pending", "Active"].contains(&state);
    match event {
        "NOTIFY active" | "NOTIFY pending" | "NOTIFY terminated" => {
            refreshes || ["AwaitingNotify", "Closing"].contains(&state)
        }
        "NOTIFY again" => refreshes,
        "NOTIFY old" => refreshes || state == "Closing",
        "doubt time" | "peer suspect" | "retry time" => state == "BackingOff",
        "end accepted" | "end refused" => state == "Closing",
        "expiry" | "refresh accepted" | "refresh refused" | "refresh time" => refreshes,
        "first accepted" | "first refused" => {
            refreshes || ["AwaitingNotify", "Closing"].contains(&state)
        }
        "grace" => ["Active", "BackingOff"].contains(&state),
        "lost unsubscribed" => state == "Denied",
        "peer down" => refreshes,
        "peer up" => ["AwaitingNotify", "Active", "BackingOff"].contains(&state),
        "timer F" => refreshes || state == "Closing",
        "timer N" => ["AwaitingNotify", "Active", "Closing"].contains(&state),
        "no room" | "unsent" => refreshes || ["AwaitingNotify", "Closing"].contains(&state),
        _ => true,
    }
}

#[test]
fn whatever_can_happen_has_a_row() {
    let rows = rows();
    let events: BTreeSet<&str> = rows.iter().map(|row| row.event.as_str()).collect();
    assert_eq!(events.len(), EVENTS);
    for state in STATES {
        for event in events.iter().filter(|event| is_possible(state, event)) {
            let mut of_event = rows.iter().filter(|row| row.event == *event);
            assert!(
                of_event.any(|row| row.is_about(state)),
                "{event} in {state}"
            );
        }
    }
}

/// Every row of the reference is there.
#[test]
fn no_row_of_the_reference_is_missing() {
    let in_table: BTreeSet<String> = rows().into_iter().map(|row| row.id).collect();
    let numbers = (1..=37).map(|number| number.to_string());
    let further = ["30a", "33a", "34a", "34b"].map(str::to_owned);

    for row in numbers.chain(further) {
        assert!(in_table.contains(&row), "row {row}");
    }
}
