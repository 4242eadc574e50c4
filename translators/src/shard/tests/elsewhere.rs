//! A second attempt after 503.

use super::lab::{AFTER_TIMER_F, Lab, seconds, text_of};
use crate::limits;
use crate::model::{Blame, Condition, Failure};
use crate::shard::{Fate, ImState, Lapse, Transmit};

/// A lab whose SIP peer has answered the message `m1` with 503, and the second attempt at it.
fn refused() -> (Lab, Transmit, Transmit) {
    let mut lab = Lab::new();
    lab.alice_writes("m1", "one");
    let first = lab.next_sip("MESSAGE");
    lab.hand_over(&first);
    lab.answer(&first, 503);
    let second = lab.next_sip("MESSAGE");
    (lab, first, second)
}

fn no_other_address() -> Lapse {
    let failure = Failure::new(Condition::RemoteServerNotFound, Blame::Peer);
    Lapse::Unreachable(failure)
}

#[test]
fn after_503_the_same_request_goes_elsewhere_in_a_transaction_of_its_own() {
    let (lab, first, second) = refused();

    assert!(!first.elsewhere && second.elsewhere);
    assert_eq!(second.key, first.key);
    assert_eq!(second.give_up_at, first.give_up_at, "its time goes on");
    let (first, second) = (text_of(&first), text_of(&second));
    let differs: Vec<_> = first
        .lines()
        .zip(second.lines())
        .filter(|(one, other)| one != other)
        .collect();
    assert_eq!(differs.len(), 1, "{differs:?}");
    assert!(differs[0].0.starts_with("Via:"), "{differs:?}");
    assert_eq!(lab.states(), [ImState::Sent]);
    lab.nothing();
}

#[test]
fn what_another_address_takes_is_delivered() {
    let (mut lab, _, second) = refused();
    lab.alice_writes("m2", "two");
    lab.nothing();
    lab.hand_over(&second);

    lab.answer(&second, 200);

    let next = lab.next_sip("MESSAGE");
    assert!(text_of(&next).ends_with("two"));
    assert!(!next.elsewhere, "each message begins at the usual address");
    assert_eq!(lab.fates(), [Fate::Delivered]);
}

#[test]
fn a_second_503_is_final() {
    let (mut lab, _, second) = refused();
    lab.hand_over(&second);

    lab.answer(&second, 503);

    lab.next_stanza(&["id=\"m1\"", "<internal-server-error"]);
    lab.nothing();
}

#[test]
fn without_another_address_the_503_is_final() {
    let (mut lab, _, second) = refused();

    lab.give_back(&second, no_other_address());

    let error = lab.next_stanza(&["id=\"m1\"", "<internal-server-error", "Whatever"]);
    lab.hand_over(&error);
    lab.pass(AFTER_TIMER_F);
    lab.nothing();
    assert!(!lab.shard.is_busy());
}

#[test]
fn a_second_attempt_without_an_answer_may_have_arrived() {
    let (mut lab, _, second) = refused();
    lab.pass(seconds(10));
    lab.hand_over(&second);

    lab.pass(seconds(31));
    lab.nothing();
    lab.pass(seconds(2));

    let error = lab.next_stanza(&["id=\"m1\"", "may have arrived"]);
    lab.hand_over(&error);
    assert!(!lab.shard.is_busy());
}

#[test]
fn a_second_attempt_on_a_link_that_breaks_may_have_arrived() {
    let (mut lab, _, second) = refused();
    lab.hand_over(&second);

    lab.lose(&second);

    lab.next_stanza(&["id=\"m1\"", "may have arrived"]);
}

#[test]
fn other_answers_are_final_at_the_first_address() {
    for status in [500, 502, 504, 603] {
        let mut lab = Lab::new();
        lab.alice_writes("m1", "one");
        let first = lab.next_sip("MESSAGE");

        lab.answer(&first, status);

        lab.next_stanza(&["id=\"m1\"", "type=\"error\""]);
        lab.nothing();
    }
}

#[test]
fn what_a_new_policy_denies_does_not_go_elsewhere() {
    let mut lab = Lab::new();
    lab.alice_writes("m1", "one");
    let first = lab.next_sip("MESSAGE");
    lab.hand_over(&first);
    lab.denies("bob@sip.example");

    lab.answer(&first, 503);

    let error = lab.next_stanza(&["id=\"m1\"", "type=\"error\""]);
    lab.hand_over(&error);
    lab.pass(AFTER_TIMER_F);
    lab.nothing();
    assert!(!lab.shard.is_busy());
}

#[test]
fn a_recalled_second_attempt_is_denied() {
    let (mut lab, _, second) = refused();
    lab.denies("bob@sip.example");
    lab.give_back(&second, Lapse::Recalled);

    lab.next_stanza(&["id=\"m1\"", "<not-allowed"]);
}

#[test]
fn a_503_that_comes_when_the_time_is_over_is_final() {
    let mut lab = Lab::new();
    lab.alice_writes("m1", "one");
    let first = lab.next_sip("MESSAGE");
    lab.pass(limits::DELIVERY_TIME);
    lab.hand_over(&first);

    lab.answer(&first, 503);

    lab.next_stanza(&["id=\"m1\"", "<internal-server-error"]);
}

#[test]
fn a_restart_during_the_second_attempt_bounces() {
    let (mut lab, _, second) = refused();
    lab.hand_over(&second);

    lab.restart();

    lab.next_stanza(&["id=\"m1\"", "may have arrived"]);
    lab.nothing();
}
