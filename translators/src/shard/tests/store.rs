//! A journal that cannot be written.

use super::lab::{Lab, STREAM, seconds};
use crate::limits;
use crate::model::{Accept, LinkId, SipProfile};
use crate::shard::{Event, Fate, ImState, Input};

fn accepted(lab: &Lab) -> usize {
    let accepted = |event: &&Event| matches!(event, Event::ImAccepted { .. });
    lab.events.iter().filter(accepted).count()
}

#[test]
fn a_message_that_could_not_be_stored_is_refused() {
    let mut lab = Lab::new();
    lab.disk_full = true;

    let number = lab.alice_writes("m1", "one");

    let error = lab.next_stanza(&["id=\"m1\"", "<resource-constraint"]);
    lab.nothing();
    assert_eq!((lab.states(), accepted(&lab)), (vec![], 0));
    assert!(!lab.is_settled(number));
    lab.hand_over(&error);
    assert!(lab.is_settled(number));
    lab.disk_full = false;
    lab.pass(seconds(100));
    lab.nothing();
}

#[test]
fn a_refused_message_may_come_again() {
    let mut lab = Lab::new();
    lab.disk_full = true;
    lab.alice_writes("m1", "one");
    lab.next_stanza(&["<resource-constraint"]);
    lab.disk_full = false;
    lab.input(Input::StreamBroken(STREAM));
    lab.stream = LinkId(9);

    lab.alice_writes("m1", "one");

    lab.next_sip("MESSAGE");
}

#[test]
fn what_waits_behind_a_message_in_flight_is_refused_alone() {
    let mut lab = Lab::new();
    lab.alice_writes("m1", "one");
    let sent = lab.next();
    lab.disk_full = true;
    lab.alice_writes("m2", "two");
    lab.next_stanza(&["id=\"m2\"", "<resource-constraint"]);
    lab.disk_full = false;

    lab.answer(&sent, 200);

    lab.pass(seconds(2));
    lab.nothing();
    assert_eq!(lab.states()[0], ImState::Settled(Fate::Delivered));
}

#[test]
fn an_outcome_that_could_not_be_stored_is_stored_later() {
    let mut lab = Lab::new();
    lab.alice_writes("m1", "one");
    lab.alice_writes("m2", "two");
    let sent = lab.next();
    lab.disk_full = true;

    lab.answer(&sent, 200);
    lab.nothing();
    lab.disk_full = false;
    lab.pass(limits::STORE_PAUSE);

    lab.next_sip("MESSAGE");
    lab.nothing();
    assert_eq!(
        lab.states(),
        [ImState::Settled(Fate::Delivered), ImState::Sent]
    );
}

#[test]
fn an_error_goes_out_only_when_the_failure_is_stored() {
    let mut lab = Lab::new();
    lab.alice_writes("m1", "one");
    let sent = lab.next();
    lab.disk_full = true;
    lab.answer(&sent, 404);
    lab.pass(seconds(5));
    lab.nothing();

    lab.disk_full = false;
    lab.input(Input::StoreReadOnly(false));

    lab.next_stanza(&["id=\"m1\"", "<item-not-found"]);
    lab.nothing();
}

#[test]
fn accept_immediate_answers_503_when_the_message_could_not_be_stored() {
    let mut lab = Lab::with(Accept::Immediate, SipProfile::default());
    lab.disk_full = true;

    let number = lab.bob_writes("1", "Hello");

    let answer = lab.next_sip("SIP/2.0 503 ");
    lab.nothing();
    assert!(lab.is_settled(number));
    lab.bob_writes("1", "Hello");
    assert_eq!(lab.next().bytes, answer.bytes, "repetitions get the same");
    lab.disk_full = false;
    lab.pass(seconds(100));
    lab.nothing();
}
