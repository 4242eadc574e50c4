//! XMPP to SIP.

use super::lab::{AFTER_TIMER_F, Lab, STREAM, seconds, text_of};
use crate::limits;
use crate::model::Accept;
use crate::model::{Blame, Condition, Failure, LinkId, SipProfile};
use crate::shard::{Event, Fate, ImState, Input, Lapse, Reason};

#[test]
fn accepted_means_committed_and_then_the_input_is_settled() {
    let mut lab = Lab::new();

    let number = lab.alice_writes("m1", "Hello");

    assert_eq!(lab.states(), [ImState::Sent]);
    assert_eq!(lab.settled, [(STREAM, number)]);
    assert!(matches!(lab.events.as_slice(), [Event::ImAccepted { .. }]));
    let sent = lab.next_sip("MESSAGE sip:bob@sip.example SIP/2.0\r\n");
    assert!(text_of(&sent).contains("From: <sip:alice@xmpp.example;gr=balcony>;tag="));
    assert!(!text_of(&sent).contains("Contact:"), "RFC 3428 section 4");
    assert!(text_of(&sent).ends_with("\r\n\r\nHello"));
}

#[test]
fn the_sender_of_a_delivered_message_gets_nothing() {
    let mut lab = Lab::new();
    lab.alice_writes("m1", "Hello");
    let sent = lab.next();
    lab.hand_over(&sent);

    lab.answer(&sent, 200);
    lab.pass(seconds(200));

    lab.nothing();
    assert_eq!(lab.states(), [ImState::Settled(Fate::Delivered)]);
    assert_eq!(lab.journal[0].message, None, "nobody needs the text");
    assert_eq!(lab.fates(), [Fate::Delivered]);
}

#[test]
fn one_message_is_in_flight_and_the_order_is_kept() {
    let mut lab = Lab::new();
    for text in ["one", "two", "three"] {
        lab.alice_writes(text, text);
    }

    for text in ["one", "two", "three"] {
        let sent = lab.next_sip("MESSAGE");
        assert!(text_of(&sent).ends_with(text));
        lab.nothing();
        lab.hand_over(&sent);
        lab.answer(&sent, 200);
    }
}

#[test]
fn a_final_failure_becomes_one_error_to_the_full_jid_with_the_id() {
    let mut lab = Lab::new();
    lab.alice_writes("m1", "Hello");
    let sent = lab.next();
    lab.hand_over(&sent);

    lab.answer(&sent, 100);
    lab.nothing();
    lab.answer(&sent, 404);

    let error = lab.next_stanza(&[
        "from=\"bob@sip.example\"",
        "to=\"alice@xmpp.example/balcony\"",
        "id=\"m1\"",
        "type=\"error\"",
        "<item-not-found",
    ]);
    assert!(matches!(lab.states()[0], ImState::Failing(_)));
    lab.hand_over(&error);
    assert!(matches!(
        lab.states()[0],
        ImState::Settled(Fate::Bounced(_))
    ));
    lab.answer(&sent, 200);
    lab.pass(seconds(200));
    lab.nothing();
}

#[test]
fn only_the_peer_that_was_asked_is_believed() {
    let mut lab = Lab::new();
    lab.alice_writes("m1", "Hello");
    let sent = lab.next();

    lab.answer_from("xmpp-peer", &sent, 200);

    assert_eq!(lab.states(), [ImState::Sent]);
    assert!(
        lab.events
            .iter()
            .any(|event| matches!(event, Event::StrayResponse(_)))
    );
}

#[test]
fn no_error_before_the_transmit_came_back_or_its_outcome_is_final() {
    let mut lab = Lab::new();
    lab.alice_writes("m1", "Hello");
    let sent = lab.next();
    assert_eq!(sent.give_up_at, lab.now.mono + limits::DELIVERY_TIME);

    lab.pass(limits::DELIVERY_TIME + seconds(1));
    lab.nothing();
    lab.give_back(&sent, Lapse::Expired);

    lab.next_stanza(&["<remote-server-timeout", "id=\"m1\""]);
    lab.nothing();
}

#[test]
fn timer_f_runs_from_the_hand_over() {
    let mut lab = Lab::new();
    lab.alice_writes("m1", "Hello");
    let sent = lab.next();
    lab.pass(seconds(20));

    lab.hand_over(&sent);
    lab.pass(seconds(31));
    lab.nothing();
    lab.pass(seconds(2));

    lab.next_stanza(&["<remote-server-timeout", "may have arrived"]);
}

#[test]
fn timer_f_bounces_the_message_and_what_waits_behind_it_for_the_pair() {
    let mut lab = Lab::new();
    lab.alice_writes("m1", "one");
    lab.alice_writes("m2", "two");
    lab.stanza(
        "<message from='alice@xmpp.example/balcony' to='eve@sip.example' id='m3'>\
         <body>other</body></message>",
    );
    let (first, other) = (lab.next(), lab.next());
    lab.hand_over(&first);

    lab.pass(AFTER_TIMER_F);

    lab.next_stanza(&["id=\"m1\"", "<remote-server-timeout"]);
    lab.next_stanza(&["id=\"m2\"", "<remote-server-timeout"]);
    lab.nothing();
    lab.answer(&other, 200);
    assert_eq!(lab.fates(), [Fate::Delivered]);
}

#[test]
fn what_waits_behind_a_slow_message_has_60_seconds() {
    let mut lab = Lab::new();
    lab.alice_writes("m1", "one");
    let sent = lab.next();
    lab.pass(seconds(40));
    lab.hand_over(&sent);
    lab.alice_writes("m2", "two");
    lab.pass(seconds(25));
    lab.answer(&sent, 200);
    let second = lab.next_sip("MESSAGE");

    assert_eq!(second.give_up_at.since(lab.now.mono), seconds(35));
}

#[test]
fn what_waits_too_long_behind_another_is_returned() {
    let mut lab = Lab::new();
    lab.alice_writes("m1", "one");
    lab.alice_writes("m2", "two");
    lab.next();

    lab.pass(seconds(61));

    lab.next_stanza(&["id=\"m2\"", "<remote-server-timeout", "Not sent in time"]);
    lab.nothing();
}

#[test]
fn a_link_lost_after_the_writing_bounces_since_the_message_may_have_arrived() {
    let mut lab = Lab::new();
    lab.alice_writes("m1", "one");
    lab.alice_writes("m2", "two");
    let sent = lab.next();
    lab.hand_over(&sent);

    lab.lose(&sent);

    lab.next_stanza(&["id=\"m1\"", "may have arrived"]);
    lab.next_sip("MESSAGE");
}

#[test]
fn a_peer_that_cannot_be_reached_is_told_with_its_failure() {
    let mut lab = Lab::new();
    lab.alice_writes("m1", "one");
    let sent = lab.next();

    let failure = Failure::new(Condition::RemoteServerNotFound, Blame::Peer);
    lab.give_back(&sent, Lapse::Unreachable(failure));

    lab.next_stanza(&["id=\"m1\"", "<remote-server-not-found"]);
}

#[test]
fn at_most_50_messages_wait_for_a_pair() {
    let mut lab = Lab::new();
    for number in 0..=limits::WAITING_PER_PAIR {
        lab.alice_writes(&format!("m{number}"), "x");
    }
    lab.next_sip("MESSAGE");
    lab.nothing();

    let number = lab.alice_writes("over", "x");

    let error = lab.next_stanza(&["id=\"over\"", "<resource-constraint"]);
    assert!(!lab.is_settled(number), "until the sender knows");
    lab.hand_over(&error);
    assert!(lab.is_settled(number));
    assert_eq!(lab.fates().len(), 1);
}

#[test]
fn nothing_is_accepted_while_the_journal_is_read_only() {
    let mut lab = Lab::new();
    lab.input(Input::StoreReadOnly(true));

    lab.alice_writes("m1", "one");
    lab.next_stanza(&["id=\"m1\"", "<resource-constraint"]);

    lab.input(Input::StoreReadOnly(false));
    lab.alice_writes("m2", "two");
    lab.next_sip("MESSAGE");
}

#[test]
fn a_message_over_the_page_limit_is_refused_with_limit_and_setting() {
    let mut lab = Lab::new();

    lab.alice_writes("big", &"x".repeat(1300));

    lab.next_stanza(&["id=\"big\"", "<policy-violation", "1300", "page_limit"]);
    assert!(
        !lab.events
            .iter()
            .any(|event| matches!(event, Event::ImAccepted { .. }))
    );
}

#[test]
fn policy_applies_to_messages() {
    let mut lab = Lab::new();
    lab.denies("bob@sip.example");

    lab.alice_writes("m1", "Hello");

    lab.next_stanza(&["id=\"m1\"", "type=\"error\"", "<not-allowed"]);
}

#[test]
fn a_new_policy_returns_what_waits() {
    let mut lab = Lab::new();
    lab.alice_writes("m1", "one");
    lab.alice_writes("m2", "two");

    lab.denies("bob@sip.example");

    let mut errors = [text_of(&lab.next()), text_of(&lab.next())];
    errors.sort();
    assert!(errors[0].contains("id=\"m1\"") && errors[0].contains("<not-allowed"));
    assert!(errors[1].contains("id=\"m2\"") && errors[1].contains("<not-allowed"));
    lab.nothing();
}

#[test]
fn an_error_that_comes_back_is_sent_again_until_the_sender_has_it() {
    let mut lab = Lab::new();
    lab.alice_writes("m1", "Hello");
    let sent = lab.next();
    lab.answer(&sent, 404);

    for _ in 0..3 {
        let error = lab.next_stanza(&["id=\"m1\"", "<item-not-found"]);
        lab.give_back(&error, Lapse::ReturnPathDown);
        lab.nothing();
        lab.pass(limits::BOUNCE_PAUSE);
    }
    let error = lab.next();
    lab.hand_over(&error);
    lab.pass(seconds(100));

    lab.nothing();
    assert!(matches!(
        lab.states()[0],
        ImState::Settled(Fate::Bounced(_))
    ));
}

#[test]
fn a_sender_who_cannot_be_told_is_given_up_after_an_hour() {
    let mut lab = Lab::new();
    lab.alice_writes("m1", "Hello");
    let sent = lab.next();
    lab.answer(&sent, 404);
    for _ in 0..1_000 {
        lab.pass(limits::BOUNCE_PAUSE);
        if lab.fates().is_empty() {
            let error = lab.next();
            lab.give_back(&error, Lapse::LinkDown);
        }
    }

    assert!(matches!(lab.states()[0], ImState::Settled(Fate::Untold(_))));
}

#[test]
fn a_repetition_after_a_broken_stream_is_dropped() {
    let mut lab = Lab::new();
    lab.alice_writes("m1", "Hello");
    let sent = lab.next();
    lab.input(Input::StreamBroken(STREAM));
    lab.stream = LinkId(9);

    let again = lab.alice_writes("m1", "Hello");

    lab.nothing();
    assert!(lab.is_settled(again));
    assert_eq!(lab.fates(), [Fate::Dropped(Reason::Duplicate)]);
    lab.answer(&sent, 200);
    assert_eq!(lab.fates().last(), Some(&Fate::Delivered));
}

#[test]
fn the_same_id_is_no_repetition_on_a_live_stream_or_with_another_text() {
    let mut lab = Lab::new();
    lab.alice_writes("m1", "Hello");
    lab.next();
    lab.stream = LinkId(9);
    lab.alice_writes("m1", "Hello");
    lab.input(Input::StreamBroken(STREAM));
    lab.alice_writes("m1", "Hello again");

    let accepted = |event: &&Event| matches!(event, Event::ImAccepted { .. });
    assert_eq!(lab.events.iter().filter(accepted).count(), 3);
}

#[test]
fn errors_and_unmatched_things_are_never_answered() {
    let mut lab = Lab::new();

    let number = lab.stanza(
        "<message from='alice@xmpp.example/balcony' to='bob@sip.example' id='x' type='error'>\
         <error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>",
    );

    lab.nothing();
    assert!(lab.is_settled(number));
}

#[test]
fn a_thread_becomes_the_call_id_with_growing_cseq() {
    let mut lab = Lab::new();
    let write = |lab: &mut Lab, id: &str| {
        lab.stanza(&format!(
            "<message from='alice@xmpp.example/balcony' to='bob@sip.example' id='{id}'>\
             <thread>t-1</thread><body>x</body></message>"
        ));
        let sent = lab.next_sip("MESSAGE");
        lab.answer(&sent, 200);
        text_of(&sent)
    };

    let (first, second) = (write(&mut lab, "m1"), write(&mut lab, "m2"));

    let line = |text: &str, name: &str| {
        let found = text.lines().find(|line| line.starts_with(name));
        found.unwrap().to_owned()
    };
    assert_eq!(line(&first, "Call-ID"), "Call-ID: t-1");
    assert_eq!(line(&second, "Call-ID"), "Call-ID: t-1");
    assert_eq!(line(&first, "From"), line(&second, "From"));
    assert_ne!(line(&first, "CSeq"), line(&second, "CSeq"));
}

#[test]
fn an_invitation_is_told_once_and_the_room_hears_that_nobody_comes() {
    let mut lab = Lab::with(Accept::Barrier, SipProfile::default());
    lab.stanza(
        "<message from='cave@xmpp.example' to='bob@sip.example' id='i1'>\
         <x xmlns='http://jabber.org/protocol/muc#user'>\
         <invite from='alice@xmpp.example/balcony'><reason>Come</reason></invite>\
         <password>secret</password></x></message>",
    );

    lab.next_stanza(&["to=\"cave@xmpp.example\"", "<decline", "alice@xmpp.example"]);
    let sent = lab.next_sip("MESSAGE");
    let text = text_of(&sent);
    assert!(text.contains("From: <sip:alice@xmpp.example"), "{text}");
    assert!(
        text.contains("cave@xmpp.example") && text.contains("Come"),
        "{text}"
    );
    assert!(!text.contains("secret"));
    lab.answer(&sent, 200);
    lab.stanza(
        "<message from='alice@xmpp.example/balcony' to='bob@sip.example'>\
         <x xmlns='jabber:x:conference' jid='cave@xmpp.example'/></message>",
    );
    lab.nothing();
}
