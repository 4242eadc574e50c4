//! Callers who take their INVITE back, before its final answer and after it.

use super::lab::{seconds, text_of};
use super::presence_lab::pair;
use super::session_lab::{Far, Talk, embedded, invite, media, value};
use crate::limits;
use crate::policy::{Subject, Verdict};
use crate::shard::Fate;

const SDP: &str = "m=message 5060 sip null";

/// The CANCEL of the INVITE with that branch: its hop, its numbers, no tag in To.
fn cancel(branch: &str) -> String {
    let text = invite(branch, "", "");
    let text = text.replace("INVITE sip", "CANCEL sip");
    text.replace("1 INVITE", "1 CANCEL")
}

/// A talk in which an INVITE of Bob's has no final answer for a while: only who is politely blocked
/// waits, as if Alice's client rang.
fn late() -> Talk {
    let mut talk = Talk::new();
    talk.decides(Subject::Pair(pair()), Verdict::PoliteBlock);
    talk
}

#[test]
fn before_the_final_answer_the_invite_gets_487() {
    let mut talk = late();
    let text = invite("1", &embedded("never mind"), &media(SDP));
    talk.request(&text);
    talk.nothing();

    talk.request(&cancel("1"));

    let taken = talk.next_sip("SIP/2.0 200 ");
    assert_eq!(value(&taken, "CSeq"), "1 CANCEL");
    let gone = talk.next_sip("SIP/2.0 487 ");
    assert_eq!(value(&gone, "CSeq"), "1 INVITE");
    assert!(
        value(&gone, "ms-diagnostics").starts_with("65027;reason=\"The request was taken back\"")
    );
    assert!(value(&gone, "To").contains(";tag="));

    // Repetitions bring the same answers, and the ACK ends it.
    talk.request(&cancel("1"));
    assert_eq!(text_of(&talk.next()), text_of(&taken));
    talk.request(&text);
    assert_eq!(text_of(&talk.next()), text_of(&gone));
    let ack = invite("1", "", "").replace("INVITE", "ACK");
    talk.request(&ack);
    talk.pass(limits::POLITE_REFUSAL_MAX + seconds(100));
    talk.nothing();
    assert!(talk.fates().iter().all(|fate| *fate != Fate::Delivered));
}

#[test]
fn after_the_final_answer_it_changes_nothing() {
    let mut talk = Talk::new();
    let mut far = talk.invites("1", None);

    talk.request(&cancel("1"));

    let taken = talk.next_sip("SIP/2.0 200 ");
    assert_eq!(value(&taken, "CSeq"), "1 CANCEL");
    talk.nothing();
    talk.acks(&far);
    talk.bob_says_and_alice_has(&mut far, "I changed my mind");
    leaves(&mut talk, &mut far);
}

/// A client whose CANCEL crossed our 200 acknowledges it and leaves (RFC 3261 section 15).
fn leaves(talk: &mut Talk, far: &mut Far) {
    talk.inside(far, "BYE", "", "");
    talk.next_sip("SIP/2.0 200 ");
    talk.pass(seconds(100));
    talk.nothing();
}

#[test]
fn after_the_final_answer_a_caller_who_says_no_more_is_left() {
    let mut talk = Talk::new();
    talk.invites("1", None);
    talk.request(&cancel("1"));
    talk.next_sip("SIP/2.0 200 ");

    talk.pass(limits::TIMER_F + seconds(1));

    let sent: Vec<String> = std::iter::from_fn(|| talk.try_next())
        .map(|one| text_of(&one))
        .collect();
    let (last, repeated) = sent.split_last().unwrap();
    assert!(last.starts_with("BYE "), "{last}");
    assert!(
        repeated.iter().all(|one| one.starts_with("SIP/2.0 200 ")),
        "{repeated:?}"
    );
}

#[test]
fn after_a_refusal_it_changes_nothing() {
    let mut talk = Talk::new();
    talk.request(&invite("1", "", &media("m=audio 5000 RTP/AVP 0")));
    talk.next_sip("SIP/2.0 488 ");
    talk.next_stanza(&["[I tried to call you"]);

    talk.request(&cancel("1"));

    let taken = talk.next_sip("SIP/2.0 200 ");
    assert_eq!(value(&taken, "CSeq"), "1 CANCEL");
    talk.nothing();
}

#[test]
fn of_an_unknown_invite_it_is_answered_481() {
    let mut talk = Talk::new();
    talk.request(&cancel("9"));
    talk.next_sip("SIP/2.0 481 ");
    talk.nothing();
}
