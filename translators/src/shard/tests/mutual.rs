//! Alice and Bob watch each other: two relations, two dialogs, one pair.

use crate::policy::{Subject, Verdict};
use crate::shard::tests::lab::{Lab, seconds, text_of};
use crate::shard::tests::presence_lab::{PHONE, pair};

#[test]
fn who_stops_watching_is_not_shown_as_gone_to_whom_watches_him() {
    let mut lab = Lab::new();
    let mut watch = lab.shown("c1");
    let mut dialog = lab.watched_bob();
    lab.in_dialog(&mut watch, "Expires: 0\r\n", 200);
    lab.notified(&mut watch, &["terminated;reason=timeout", "closed"]);
    lab.nothing();
    assert_eq!(
        lab.notify(&mut dialog, "active;expires=3000", Some(PHONE)),
        200
    );
}

#[test]
fn requests_that_cross_are_two() {
    let mut lab = Lab::new();
    let mut watch = lab.watch("c1", &["pending"]);
    lab.asked(&["type=\"subscribe\""]);
    lab.alice("subscribe");
    let subscribe = text_of(&lab.next_subscribe(3_600));
    assert!(!subscribe.contains("Call-ID: c1"), "{subscribe}");
    lab.nothing();
    lab.alice_is("", "subscribed", "");
    lab.alice_is("balcony", "", "");
    lab.pass(seconds(1));
    lab.notified(&mut watch, &["active", "ID-balcony"]);
    assert_eq!(lab.relations.len(), 2);
}

#[test]
fn a_block_holds_both_ways_and_both_come_back() {
    let mut lab = Lab::new();
    let mut watch = lab.shown("c1");
    let mut dialog = lab.watched_bob();
    lab.decides(Subject::Pair(pair()), Verdict::Block);
    let mut sent = Vec::new();
    while let Some(transmit) = lab.try_next() {
        sent.push(text_of(&transmit));
    }
    let has = |words: &[&str]| {
        sent.iter()
            .any(|text| words.iter().all(|word| text.contains(word)))
    };
    assert!(has(&["NOTIFY ", "Call-ID: c1", "closed"]), "{sent:?}");
    assert!(
        has(&["<presence", "bob@sip.example/phone", "unavailable"]),
        "{sent:?}"
    );
    assert!(has(&["SUBSCRIBE ", "Expires: 0"]), "{sent:?}");
    assert_eq!(sent.len(), 3, "{sent:?}");
    // What crosses the block goes nowhere.
    assert_eq!(
        lab.notify(&mut dialog, "active;expires=3000", Some(PHONE)),
        200
    );
    lab.alice_is("balcony", "", "<show>dnd</show>");
    lab.pass(seconds(10));
    lab.nothing();

    assert_eq!(
        lab.notify(&mut dialog, "terminated;reason=timeout", None),
        200
    );
    lab.nothing();
    lab.decides(Subject::Pair(pair()), Verdict::Allow);
    lab.next_subscribe(3_600);
    lab.notified(&mut watch, &["active", ">dnd</show>"]);
    lab.nothing();
}

#[test]
fn a_contact_that_is_taken_off_the_roster_ends_both() {
    let mut lab = Lab::new();
    let mut watch = lab.shown("c1");
    lab.watched_bob();
    // Openfire: `unsubscribe`, then `unsubscribed`, then unavailable from each session.
    lab.alice("unsubscribe");
    lab.next_subscribe(0);
    lab.alice("unsubscribed");
    lab.notified(&mut watch, &["terminated;reason=rejected"]);
    lab.alice_is("balcony", "unavailable", "");
    lab.pass(seconds(1));
    lab.nothing();
}
