//! Messages and what policy decides.

use std::time::Duration;

use jid::BareJid;

use super::lab::{Lab, seconds, text_of};
use crate::limits;
use crate::model::{Accept, Aor, Condition, LinkId, Pair, SipProfile};
use crate::policy::{Subject, Verdict};
use crate::shard::{Fate, ImState, Input, Lapse};

fn aor(user: &str) -> Aor {
    Aor::from_image(BareJid::new(user).unwrap())
}

fn both() -> Subject {
    let alice = BareJid::new("alice@xmpp.example").unwrap();
    Subject::Pair(Pair::new(alice, aor("bob@sip.example")))
}

#[test]
fn a_polite_refusal_comes_as_late_as_the_last_answer_of_the_peer() {
    let mut lab = Lab::new();
    let after = Duration::from_millis(1_700);
    let (soonest, latest) = (after.mul_f64(0.79), after.mul_f64(1.21));
    lab.alice_writes("m1", "to one who is there");
    let sent = lab.next();
    lab.hand_over(&sent);
    lab.pass(after);
    lab.answer(&sent, 480);
    lab.next_stanza(&["id=\"m1\"", "<recipient-unavailable"]);
    lab.bob_writes("1", "to one who is there");
    let sent = lab.next();
    lab.pass(after);
    lab.hand_over(&sent);
    lab.next_sip("SIP/2.0 200 ");

    lab.decides(both(), Verdict::PoliteBlock);
    let from_xmpp = lab.alice_writes("m2", "Hello");
    let from_sip = lab.bob_writes("2", "Hello");
    // The request comes again meanwhile.
    lab.bob_writes("2", "Hello");
    lab.pass(soonest);
    lab.nothing();
    assert!(!lab.is_settled(from_xmpp) && !lab.is_settled(from_sip));
    assert!(lab.shard.is_busy());
    lab.pass(latest - soonest);

    let mut told = [text_of(&lab.next()), text_of(&lab.next())];
    told.sort();
    assert!(told[0].contains("id=\"m2\"") && told[0].contains("<recipient-unavailable"));
    assert!(told[0].contains("Temporarily Unavailable"));
    assert!(told[1].starts_with("SIP/2.0 480 Temporarily Unavailable\r\n"));
    lab.nothing();
    assert!(lab.is_settled(from_sip));
}

#[test]
fn refusals_of_a_block_come_at_once() {
    for verdict in [Verdict::Block, Verdict::Confirm] {
        let mut lab = Lab::new();
        lab.decides(Subject::Sip(aor("bob@sip.example")), verdict);

        lab.alice_writes("m1", "Hello");
        lab.next_stanza(&["id=\"m1\"", "<forbidden"]);
        lab.bob_writes("1", "Hello");
        lab.next_sip("SIP/2.0 403 ");

        lab.nothing();
    }
}

#[test]
fn where_requests_are_answered_at_once_a_polite_block_shows_nothing() {
    let mut lab = Lab::with(Accept::Immediate, SipProfile::default());
    lab.decides(both(), Verdict::PoliteBlock);

    lab.bob_writes("1", "Hello");

    lab.next_sip("SIP/2.0 200 ");
    lab.pass(seconds(100));
    lab.nothing();
    let [Fate::Untold(failure)] = &lab.fates()[..] else {
        panic!("{:?}", lab.fates());
    };
    assert_eq!(failure.condition, Condition::RecipientUnavailable);
}

#[test]
fn a_block_calls_back_what_waits_on_both_sides() {
    let mut lab = Lab::new();
    lab.alice_writes("m1", "in flight, not written");
    lab.alice_writes("m2", "waits");
    lab.bob_writes("1", "waits");

    lab.decides(both(), Verdict::Block);

    let mut told = Vec::from_iter(std::iter::from_fn(|| lab.try_next()));
    told.sort_by_key(text_of);
    let told: Vec<_> = told.iter().map(text_of).collect();
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[0].contains("id=\"m1\"") && told[0].contains("<forbidden"));
    assert!(told[1].contains("id=\"m2\"") && told[1].contains("<forbidden"));
    assert!(told[2].starts_with("SIP/2.0 403 "));
}

#[test]
fn what_was_written_before_a_block_keeps_its_answer() {
    let mut lab = Lab::new();
    lab.alice_writes("m1", "written");
    let sent = lab.next();
    lab.hand_over(&sent);
    lab.bob_writes("1", "written");
    let stanza = lab.next();

    lab.decides(both(), Verdict::Block);
    lab.answer(&sent, 200);
    lab.hand_over(&stanza);

    lab.next_sip("SIP/2.0 200 ");
    lab.nothing();
    assert_eq!(lab.fates(), [Fate::Delivered, Fate::Delivered]);
}

#[test]
fn a_block_of_another_pair_calls_nothing_back() {
    let mut lab = Lab::new();
    lab.alice_writes("m1", "waits");

    lab.decides(Subject::Sip(aor("eve@sip.example")), Verdict::Block);

    lab.next_sip("MESSAGE sip:bob@sip.example");
    lab.nothing();
}

#[test]
fn what_was_accepted_is_not_sent_again_after_a_block() {
    let mut lab = Lab::with(Accept::Immediate, SipProfile::default());
    lab.bob_writes("1", "waits in the queue");
    lab.next_sip("SIP/2.0 200 ");
    lab.bob_writes("2", "waits to be sent again");
    let (first, answer, second) = (lab.next(), lab.next(), lab.next());
    assert!(text_of(&answer).starts_with("SIP/2.0 200 "));
    lab.give_back(&second, Lapse::LinkDown);

    lab.decides(both(), Verdict::Block);
    lab.give_back(&first, Lapse::Recalled);
    lab.pass(seconds(100));

    lab.nothing();
    assert!(
        lab.fates()
            .iter()
            .all(|fate| matches!(fate, Fate::Untold(_)))
    );
    assert_eq!(lab.fates().len(), 2);
}

#[test]
fn what_could_not_be_stored_is_not_sent_after_a_block() {
    let mut lab = Lab::new();
    lab.alice_writes("m1", "in flight");
    let sent = lab.next();
    lab.hand_over(&sent);
    lab.alice_writes("m2", "waits");
    lab.disk_full = true;
    // The second is launched, but cannot be stored, so it does not go out.
    lab.answer(&sent, 200);
    lab.nothing();

    lab.decides(both(), Verdict::Block);
    lab.disk_full = false;
    lab.pass(limits::STORE_PAUSE);

    let error = lab.next_stanza(&["id=\"m2\"", "<forbidden"]);
    lab.hand_over(&error);
    lab.nothing();
    let [_, ImState::Settled(Fate::Bounced(_))] = &lab.states()[..] else {
        panic!("{:?}", lab.states());
    };
}

#[test]
fn a_verdict_holds_for_what_a_restart_takes_up() {
    let mut lab = Lab::new();
    lab.alice_writes("m1", "in flight");
    lab.alice_writes("m2", "waits");
    assert_eq!(lab.states(), [ImState::Sent, ImState::Waiting]);
    lab.shard_is_killed_while_the_operator_decides(both(), Verdict::Block);

    lab.restart();

    lab.next_stanza(&["id=\"m1\"", "<remote-server-timeout"]);
    lab.next_stanza(&["id=\"m2\"", "<forbidden"]);
    lab.nothing();
}

#[test]
fn a_repetition_of_what_was_accepted_before_a_block_is_not_refused() {
    let mut lab = Lab::new();
    lab.alice_writes("m1", "one");
    let sent = lab.next();
    lab.hand_over(&sent);
    lab.input(Input::StreamBroken(lab.stream));
    lab.stream = LinkId(lab.stream.0 + 10);
    lab.decides(both(), Verdict::Block);

    let again = lab.alice_writes("m1", "one");

    assert!(lab.is_settled(again));
    lab.nothing();
    lab.alice_writes("m2", "two");
    lab.next_stanza(&["id=\"m2\"", "<forbidden"]);
}
