//! Bob watches Alice while nothing can be stored.

use crate::shard::tests::lab::{Lab, seconds, text_of};
use crate::shard::tests::presence_lab::pair;
use crate::shard::tests::watched_lab::PRESENCE;
use crate::shard::{Command, CommandId, Input};

#[test]
fn a_subscription_that_cannot_be_stored_is_refused_and_forgotten() {
    let mut lab = Lab::new();
    lab.disk_full = true;
    let answer = text_of(&lab.bob_subscribes("c1", PRESENCE, 503));
    assert!(answer.contains("Retry-After: "), "{answer}");
    lab.nothing();
    assert!(lab.relations.is_empty());
    lab.disk_full = false;
    lab.pass(seconds(60));
    lab.nothing();
    assert!(lab.relations.is_empty());

    lab.watch("c2", &["pending"]);
    lab.asked(&["type=\"subscribe\""]);
}

#[test]
fn what_lives_goes_on_when_nothing_can_be_stored() {
    let mut lab = Lab::new();
    let mut watch = lab.shown("c1");
    lab.input(Input::StoreReadOnly(true));
    lab.bob_subscribes("c2", PRESENCE, 503);
    lab.in_dialog(&mut watch, "", 200);
    lab.notified(&mut watch, &["active;expires=3600", "open"]);
    lab.alice_is("balcony", "", "<show>away</show>");
    lab.pass(seconds(1));
    lab.notified(&mut watch, &["away"]);
    lab.input(Input::StoreReadOnly(false));
    lab.nothing();
    lab.watch("c3", &["active", "away"]);
}

#[test]
fn a_refresh_is_answered_although_what_it_grants_cannot_be_stored() {
    let mut lab = Lab::new();
    let mut watch = lab.shown("c1");
    lab.disk_full = true;
    lab.in_dialog(&mut watch, "", 200);
    lab.notified(&mut watch, &["active;expires=3600", "open"]);
    let before = lab.relations.clone();

    lab.disk_full = false;
    lab.pass(seconds(60));
    assert_ne!(lab.relations, before, "it is stored when there is room");
}

#[test]
fn a_decision_of_alice_holds_whatever_can_be_stored() {
    let mut lab = Lab::new();
    let mut watch = lab.watch("c1", &["pending"]);
    lab.asked(&["type=\"subscribe\""]);
    lab.pass(seconds(60));
    let before = lab.relations.clone();
    lab.disk_full = true;
    lab.alice_is("", "unsubscribed", "");
    lab.notified(&mut watch, &["terminated;reason=rejected"]);
    lab.bob_subscribes("c2", PRESENCE, 403);
    lab.pass(seconds(60));
    assert_eq!(lab.relations, before, "nothing could be written");

    lab.disk_full = false;
    lab.pass(seconds(5));
    assert_ne!(lab.relations, before);
    lab.restart_with_peers();
    lab.bob_subscribes("c3", PRESENCE, 403);
}

#[test]
fn numbers_grow_while_nothing_can_be_stored() {
    let mut lab = Lab::new();
    let mut watch = lab.shown("c1");
    lab.restart_with_peers();
    lab.disk_full = true;
    // The first number behind a restart begins a block that cannot be stored.
    lab.input(Input::Command(CommandId(1), Command::Resync(pair())));
    lab.asked(&["type=\"probe\""]);
    lab.notified(&mut watch, &["open"]);
    lab.alice_is("balcony", "", "");
    for show in ["away", "dnd"] {
        lab.pass(seconds(10));
        lab.alice_is("balcony", "", &format!("<show>{show}</show>"));
        lab.pass(seconds(1));
        lab.notified(&mut watch, &[show]);
    }
    lab.nothing();
}
