//! What a crash leaves behind.

use super::lab::{Lab, seconds, text_of};
use crate::limits;
use crate::model::{Accept, SipProfile};
use crate::shard::{Fate, ImState, Input};

#[test]
fn what_was_not_sent_is_sent_and_what_was_sent_bounces() {
    let mut lab = Lab::new();
    lab.alice_writes("m1", "one");
    lab.alice_writes("m2", "two");
    lab.alice_writes("m3", "three");
    lab.next();

    lab.restart();

    lab.next_stanza(&["id=\"m1\"", "<remote-server-timeout", "may have arrived"]);
    let second = lab.next_sip("MESSAGE");
    assert!(text_of(&second).ends_with("two"));
    lab.answer(&second, 200);
    let third = lab.next_sip("MESSAGE");
    assert!(text_of(&third).ends_with("three"));
    lab.answer(&third, 200);
    lab.nothing();
}

#[test]
fn the_deadline_counts_over_restarts() {
    let mut lab = Lab::new();
    lab.alice_writes("m1", "one");
    lab.alice_writes("m2", "two");
    lab.pass(seconds(50));
    lab.restart();
    lab.next_stanza(&["id=\"m1\""]);
    let sent = lab.next_sip("MESSAGE");
    assert_eq!(sent.give_up_at.since(lab.now.mono), seconds(10));

    let mut late = Lab::new();
    late.alice_writes("m1", "one");
    late.alice_writes("m2", "two");
    late.now.wall = late.now.wall + seconds(100);
    late.restart();
    late.next_stanza(&["id=\"m1\"", "may have arrived"]);
    late.next_stanza(&["id=\"m2\"", "Not sent in time"]);
    late.nothing();
}

#[test]
fn an_error_that_its_sender_does_not_have_survives() {
    let mut lab = Lab::new();
    lab.alice_writes("m1", "one");
    let sent = lab.next();
    lab.answer(&sent, 404);
    lab.next_stanza(&["id=\"m1\"", "<item-not-found"]);

    lab.restart();

    let error = lab.next_stanza(&[
        "id=\"m1\"",
        "to=\"alice@xmpp.example/balcony\"",
        "<item-not-found",
    ]);
    lab.hand_over(&error);
    assert!(matches!(
        lab.states()[0],
        ImState::Settled(Fate::Bounced(_))
    ));
    lab.restart();
    lab.nothing();
}

#[test]
fn what_was_settled_stays_settled() {
    let mut lab = Lab::new();
    lab.alice_writes("m1", "one");
    let sent = lab.next();
    lab.answer(&sent, 200);
    lab.bob_writes("1", "Hello");

    lab.restart();

    lab.nothing();
}

#[test]
fn a_message_that_comes_again_after_the_crash_is_recognised() {
    let mut lab = Lab::new();
    lab.alice_writes("m1", "one");
    let sent = lab.next();
    lab.answer(&sent, 200);
    lab.restart();

    lab.alice_writes("m1", "one");
    lab.nothing();
    lab.alice_writes("m2", "one");
    lab.next_sip("MESSAGE");
}

#[test]
fn a_message_that_was_refused_before_the_crash_may_come_again() {
    let mut lab = Lab::new();
    lab.input(Input::StoreReadOnly(true));
    lab.alice_writes("m1", "one");
    let error = lab.next_stanza(&["<resource-constraint"]);
    lab.hand_over(&error);
    lab.restart();

    lab.alice_writes("m1", "one");

    lab.next_sip("MESSAGE");
}

#[test]
fn accept_immediate_sends_again_with_the_same_id() {
    let mut lab = Lab::with(Accept::Immediate, SipProfile::default());
    lab.bob_writes("1", "Hello");
    lab.next_sip("SIP/2.0 200 ");
    let first = lab.next();

    lab.restart();

    let again = lab.next_stanza(&["id=\"z9hG4bK1\"", "<body>Hello</body>"]);
    assert_eq!(again.bytes, first.bytes);
    lab.hand_over(&again);
    assert_eq!(lab.states(), [ImState::Settled(Fate::Delivered)]);
}

#[test]
fn accept_immediate_gives_up_when_the_deadline_passed_meanwhile() {
    let mut lab = Lab::with(Accept::Immediate, SipProfile::default());
    lab.bob_writes("1", "Hello");
    lab.now.wall = lab.now.wall + limits::DELIVERY_TIME;

    lab.restart();

    lab.nothing();
    assert!(matches!(lab.states()[0], ImState::Settled(Fate::Untold(_))));
}
