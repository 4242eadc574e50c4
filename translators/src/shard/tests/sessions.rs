//! Conversations in INVITE dialogs: how they begin, go on and end.

use std::time::Duration;

use super::lab::{AFTER_TIMER_F, seconds, text_of};
use super::session_lab::{ROUTE, Talk, tag_of, value};
use crate::limits;
use crate::shard::{Fate, ImState, Lapse};

#[test]
fn the_first_message_waits_for_the_dialog_and_goes_into_it() {
    let mut talk = Talk::new();
    talk.alice_writes("m1", "one");
    talk.alice_writes("m2", "two");

    let invite = talk.next_sip("INVITE sip:bob@sip.example SIP/2.0\r\n");
    talk.nothing();
    assert_eq!(talk.states(), [ImState::Waiting, ImState::Waiting]);
    let text = text_of(&invite);
    assert!(text.contains("\r\nm=message 5060 sip null\r\n"), "{text}");
    assert!(text.contains("a=accept-types:text/plain text/html multipart/alternative\r\n"));
    assert!(text.contains("\r\nMs-Conversation-ID: "), "{text}");
    assert!(value(&invite, "From").contains(";epid="), "{text}");
    assert!(
        !text.contains(";gr="),
        "the user is called for, not a device of his"
    );

    talk.hand_over(&invite);
    talk.answers(&invite, 101, "b1", None);
    talk.answers(&invite, 183, "b1", None);
    talk.pass(seconds(35));
    talk.nothing();
    talk.takes(&invite, "b1");

    let ack = talk.next_sip("ACK sip:bob@sip.example;opaque=user:epid:xyz;gruu SIP/2.0\r\n");
    assert_eq!(value(&ack, "Route"), ROUTE);
    assert_eq!(value(&ack, "CSeq"), "1 ACK");
    let message =
        talk.next_sip("MESSAGE sip:bob@sip.example;opaque=user:epid:xyz;gruu SIP/2.0\r\n");
    assert_eq!(value(&message, "Route"), ROUTE);
    assert_eq!(value(&message, "To"), "<sip:bob@sip.example>;tag=b1");
    assert_eq!(value(&message, "From"), value(&invite, "From"));
    assert_eq!(value(&message, "Call-ID"), value(&invite, "Call-ID"));
    assert!(
        !text_of(&message).contains("Contact:"),
        "RFC 3428 section 4"
    );
    assert!(text_of(&message).ends_with("\r\n\r\none"));
    talk.nothing();
    assert_eq!(talk.states(), [ImState::Sent, ImState::Waiting]);
    talk.hand_over(&message);
    talk.answer(&message, 200);
    talk.bob_gets("two");
    assert_eq!(talk.fates(), [Fate::Delivered, Fate::Delivered]);
    talk.nothing();
}

#[test]
fn nobody_answers_for_ninety_seconds() {
    let mut talk = Talk::new();
    talk.alice_writes("m1", "one");
    let invite = talk.next_sip("INVITE ");
    talk.hand_over(&invite);
    talk.answers(&invite, 180, "b1", None);
    talk.pass(seconds(40));
    talk.alice_writes("m2", "two");
    talk.pass(seconds(49));
    talk.nothing();

    talk.pass(seconds(1));

    talk.next_stanza(&["id=\"m1\"", "<recipient-unavailable", "did not answer"]);
    let cancel = talk.next_sip("CANCEL sip:bob@sip.example SIP/2.0\r\n");
    assert_eq!(value(&cancel, "Via"), value(&invite, "Via"));
    assert_eq!(value(&cancel, "CSeq"), "1 CANCEL");
    talk.next_stanza(&["id=\"m2\"", "<recipient-unavailable", "did not answer"]);
    talk.answers(&invite, 487, "b1", None);
    let ack = talk.next_sip("ACK sip:bob@sip.example SIP/2.0\r\n");
    assert_eq!(value(&ack, "Via"), value(&invite, "Via"));
    talk.nothing();
}

#[test]
fn a_cancel_waits_for_the_first_answer_and_a_late_200_is_ended() {
    let mut talk = Talk::new();
    talk.alice_writes("m1", "one");
    let invite = talk.next_sip("INVITE ");
    talk.hand_over(&invite);

    talk.pass(limits::RING_TIME);
    talk.next_stanza(&["id=\"m1\"", "<remote-server-timeout"]);
    talk.nothing();
    talk.answers(&invite, 100, "b1", None);
    talk.next_sip("CANCEL ");
    talk.takes(&invite, "b1");
    let ack = talk.next_sip("ACK ");
    let bye = talk.next_sip("BYE ");

    assert_eq!(value(&ack, "To"), "<sip:bob@sip.example>;tag=b1");
    assert_eq!(value(&bye, "To"), "<sip:bob@sip.example>;tag=b1");
    talk.hand_over(&bye);
    talk.answer(&bye, 200);
    talk.pass(seconds(200));
    talk.nothing();
}

#[test]
fn each_further_endpoint_that_answers_is_thanked_and_sent_away() {
    let mut talk = Talk::new();
    talk.alice_writes("m1", "one");
    let invite = talk.next_sip("INVITE ");
    talk.hand_over(&invite);
    talk.answers(&invite, 180, "b1", None);
    talk.answers(&invite, 180, "b2", None);

    talk.takes(&invite, "b2");
    talk.next_sip("ACK ");
    talk.bob_gets("one");
    talk.takes(&invite, "b1");

    assert_eq!(tag_of(&value(&talk.next_sip("ACK "), "To")), "b1");
    assert_eq!(tag_of(&value(&talk.next_sip("BYE "), "To")), "b1");
    talk.takes(&invite, "b2");
    assert_eq!(tag_of(&value(&talk.next_sip("ACK "), "To")), "b2");
    talk.alice_writes("m2", "two");
    talk.bob_gets("two");
    talk.nothing();
}

#[test]
fn a_refused_call_returns_everything_that_waits() {
    let mut talk = Talk::new();
    for (status, error) in [
        (403, "<forbidden"),
        (404, "<item-not-found"),
        (480, "<recipient-unavailable"),
        (486, "<recipient-unavailable"),
        (488, "<not-acceptable"),
        (504, "<remote-server-timeout"),
    ] {
        talk.alice_writes("m1", "one");
        let invite = talk.next_sip("INVITE ");
        talk.hand_over(&invite);
        talk.alice_writes("m2", "two");

        talk.answers(&invite, status, "b1", None);

        talk.next_sip("ACK ");
        for id in ["id=\"m1\"", "id=\"m2\""] {
            let bounce = talk.next_stanza(&[id, error, "type=\"error\""]);
            talk.hand_over(&bounce);
        }
        talk.nothing();
    }
    assert!(
        talk.fates()
            .iter()
            .all(|fate| matches!(fate, Fate::Bounced(_)))
    );
}

#[test]
fn a_call_that_503_answers_goes_to_another_address_once() {
    let mut talk = Talk::new();
    talk.alice_writes("m1", "one");
    let first = talk.next_sip("INVITE ");
    talk.hand_over(&first);
    talk.answers(&first, 503, "b1", None);
    talk.next_sip("ACK ");

    let second = talk.next_sip("INVITE ");
    assert!(second.elsewhere && !first.elsewhere);
    assert_eq!(value(&second, "Call-ID"), value(&first, "Call-ID"));
    assert_eq!(value(&second, "CSeq"), "2 INVITE");
    talk.hand_over(&second);
    talk.answers(&second, 503, "b1", None);

    talk.next_sip("ACK ");
    talk.next_stanza(&["id=\"m1\"", "type=\"error\""]);
    talk.nothing();
}

#[test]
fn a_call_behind_which_the_link_broke_is_made_again_once() {
    let mut talk = Talk::new();
    talk.alice_writes("m1", "one");
    let first = talk.next_sip("INVITE ");
    talk.hand_over(&first);

    talk.lose(&first);

    let second = talk.next_sip("INVITE ");
    assert_ne!(value(&second, "Call-ID"), value(&first, "Call-ID"));
    assert_ne!(
        value(&second, "Ms-Conversation-ID"),
        value(&first, "Ms-Conversation-ID")
    );
    talk.hand_over(&second);
    talk.takes(&second, "b2");
    talk.next_sip("ACK ");
    talk.bob_gets("one");
    talk.takes(&first, "b1");
    talk.next_sip("ACK ");
    assert_eq!(tag_of(&value(&talk.next_sip("BYE "), "To")), "b1");

    let mut talk = Talk::new();
    talk.alice_writes("m1", "one");
    for _ in 0..2 {
        let invite = talk.next_sip("INVITE ");
        talk.hand_over(&invite);
        talk.lose(&invite);
    }
    talk.next_stanza(&["id=\"m1\"", "<remote-server-timeout"]);
    talk.nothing();
}

#[test]
fn a_call_that_cannot_go_out_returns_its_messages() {
    let mut talk = Talk::new();
    talk.alice_writes("m1", "one");
    let invite = talk.next_sip("INVITE ");

    talk.give_back(&invite, Lapse::LinkDown);

    talk.next_stanza(&["id=\"m1\"", "<remote-server-timeout"]);
    talk.nothing();
    talk.alice_writes("m2", "two");
    talk.next_sip("INVITE ");
}

#[test]
fn an_invitation_of_bob_is_answered_at_once_and_his_messages_arrive() {
    let mut talk = Talk::new();
    let mut far = talk.invited("1", None);
    talk.nothing();

    let number = talk.bob_says(&mut far, "Hello \u{1f600}");
    let stanza = talk.next_stanza(&[
        "from=\"bob@sip.example\"",
        "to=\"alice@xmpp.example\"",
        "type=\"chat\"",
        "<thread>call-1</thread>",
        "<body>Hello \u{1f600}</body>",
    ]);
    assert!(!talk.is_settled(number));
    talk.hand_over(&stanza);

    let answer = talk.next_sip("SIP/2.0 200 ");
    assert_eq!(tag_of(&value(&answer, "To")), far.ours);
    talk.alice_writes("m1", "Hi");
    talk.bob_gets("Hi");
    talk.nothing();
    assert_eq!(talk.fates(), [Fate::Delivered, Fate::Delivered]);
}

#[test]
fn a_message_is_answered_by_what_becomes_of_it() {
    let mut talk = Talk::new();
    let mut far = talk.invited("1", None);
    for (condition, status) in [
        ("service-unavailable", 480),
        ("recipient-unavailable", 480),
        ("item-not-found", 404),
        ("forbidden", 403),
        ("policy-violation", 403),
        ("remote-server-timeout", 504),
    ] {
        talk.bob_says(&mut far, "Hello");
        let stanza = talk.next_stanza(&["<body>Hello</body>"]);
        let (_, id) = text_of(&stanza)
            .split_once("id=\"")
            .map(|(a, b)| (a.len(), b.to_owned()))
            .unwrap();
        let id = id.split('"').next().unwrap().to_owned();
        talk.stanza(&format!(
            "<message from='alice@xmpp.example' to='bob@sip.example' type='error' id='{id}'>\
             <error type='cancel'><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>\
             </message>"
        ));

        let answer = talk.next_sip(&format!("SIP/2.0 {status} "));
        assert!(text_of(&answer).contains(" MESSAGE\r\n"));
        talk.nothing();
    }

    talk.bob_says(&mut far, "Hello");
    talk.next_stanza(&["<body>Hello</body>"]);
    talk.pass(limits::TRYING_AFTER);
    talk.next_sip("SIP/2.0 100 ");
    talk.pass(limits::ANSWER_TIME);
    talk.next_sip("SIP/2.0 504 ");
}

#[test]
fn the_dialog_that_the_peer_forgot_is_replaced_and_the_message_sent_once_more() {
    for status in [480, 481] {
        let mut talk = Talk::new();
        talk.begun();
        talk.alice_writes("m1", "one");
        talk.alice_writes("m2", "two");
        let message = talk.next_sip("MESSAGE ");
        talk.hand_over(&message);

        talk.answer(&message, status);

        let bye = talk.next_sip("BYE ");
        let invite = talk.next_sip("INVITE sip:bob@sip.example SIP/2.0\r\n");
        assert_ne!(value(&bye, "Call-ID"), value(&invite, "Call-ID"));
        talk.hand_over(&invite);
        talk.takes(&invite, "b2");
        talk.next_sip("ACK ");
        let again = talk.next_sip("MESSAGE ");
        assert!(text_of(&again).ends_with("one"));
        talk.hand_over(&again);
        talk.answer(&again, status);
        talk.next_stanza(&["id=\"m1\"", "type=\"error\""]);

        talk.next_sip("BYE ");
        let invite = talk.next_sip("INVITE ");
        talk.hand_over(&invite);
        talk.takes(&invite, "b3");
        talk.next_sip("ACK ");
        talk.bob_gets("two");
        talk.nothing();
    }
}

#[test]
fn what_may_have_arrived_is_never_sent_again() {
    let mut talk = Talk::new();
    talk.begun();
    talk.alice_writes("m1", "one");
    let message = talk.next_sip("MESSAGE ");
    talk.hand_over(&message);
    talk.answer(&message, 408);
    talk.next_stanza(&["id=\"m1\"", "<remote-server-timeout"]);
    let bye = talk.next_sip("BYE ");
    talk.hand_over(&bye);
    talk.answer(&bye, 481);
    talk.nothing();

    talk.begun();
    talk.alice_writes("m2", "two");
    talk.alice_writes("m3", "three");
    let message = talk.next_sip("MESSAGE ");
    talk.hand_over(&message);
    talk.pass(AFTER_TIMER_F);
    talk.next_stanza(&["id=\"m2\"", "may have arrived"]);
    let rest = [talk.next(), talk.next()].map(|sent| text_of(&sent));
    assert!(rest.iter().any(|text| text.starts_with("BYE ")), "{rest:?}");
    assert!(
        rest.iter().any(|text| text.contains("id=\"m3\"")),
        "{rest:?}"
    );

    let mut talk = Talk::new();
    talk.begun();
    talk.alice_writes("m4", "four");
    let message = talk.next_sip("MESSAGE ");
    talk.hand_over(&message);
    talk.lose(&message);
    talk.next_stanza(&["id=\"m4\"", "may have arrived"]);
    talk.alice_writes("m5", "five");
    talk.bob_gets("five");
}

#[test]
fn another_refusal_says_nothing_of_the_dialog() {
    let mut talk = Talk::new();
    talk.begun();
    for status in [403, 415, 486, 488, 500, 606] {
        talk.alice_writes("m1", "one");
        let message = talk.next_sip("MESSAGE ");
        talk.hand_over(&message);
        talk.answer(&message, status);
        let error = talk.next_stanza(&["id=\"m1\"", "type=\"error\""]);
        talk.hand_over(&error);
        talk.nothing();
    }
    talk.alice_writes("m2", "two");
    talk.bob_gets("two");
}

#[test]
fn an_end_that_is_gone_is_called_anew_by_the_next_message() {
    for status in [404, 410, 482, 502, 604] {
        let mut talk = Talk::new();
        talk.begun();
        talk.alice_writes("m1", "one");
        let message = talk.next_sip("MESSAGE ");
        talk.hand_over(&message);
        talk.answer(&message, status);
        talk.next_stanza(&["id=\"m1\"", "type=\"error\""]);
        talk.next_sip("BYE ");
        talk.nothing();
        talk.alice_writes("m2", "two");
        talk.next_sip("INVITE ");
    }
}

#[test]
fn a_message_that_503_answers_goes_to_another_address_in_the_same_dialog() {
    let mut talk = Talk::new();
    let far = talk.begun();
    talk.alice_writes("m1", "one");
    let message = talk.next_sip("MESSAGE ");
    talk.hand_over(&message);
    talk.answer(&message, 503);

    let again = talk.next_sip("MESSAGE ");
    assert!(again.elsewhere);
    assert_eq!(value(&again, "Call-ID"), far.call_id);
    talk.hand_over(&again);
    talk.answer(&again, 200);
    talk.nothing();
}

#[test]
fn invitations_that_cross_leave_one_dialog() {
    let mut talk = Talk::new();
    talk.alice_writes("m1", "one");
    let invite = talk.next_sip("INVITE ");
    talk.hand_over(&invite);
    talk.answers(&invite, 100, "b9", None);

    let mut far = talk.invites("1", None);
    talk.next_sip("CANCEL ");
    talk.nothing();
    talk.acks(&far);
    talk.bob_gets("one");
    talk.takes(&invite, "b9");
    talk.next_sip("ACK ");
    let bye = talk.next_sip("BYE ");
    talk.hand_over(&bye);
    talk.answer(&bye, 200);

    talk.bob_says_and_alice_has(&mut far, "two");
    talk.alice_writes("m2", "three");
    talk.bob_gets("three");
    talk.nothing();
}

#[test]
fn an_invitation_that_waits_while_another_comes_is_ended_however_late_it_goes_out() {
    let mut talk = Talk::new();
    talk.alice_writes("m1", "one");
    let invite = talk.next_sip("INVITE ");
    let far = talk.invites("1", None);
    talk.acks(&far);
    talk.bob_gets("one");
    talk.pass(seconds(50));
    talk.nothing();

    talk.hand_over(&invite);
    talk.takes(&invite, "b9");
    talk.next_sip("ACK ");
    talk.next_sip("BYE ");
    talk.nothing();
}

#[test]
fn a_second_invitation_takes_the_place_of_the_dialog() {
    let mut talk = Talk::new();
    let old = talk.begun();
    talk.alice_writes("m1", "one");
    let message = talk.next_sip("MESSAGE ");
    talk.hand_over(&message);
    talk.alice_writes("m2", "two");

    let mut far = talk.invites("1", None);
    assert_eq!(value(&talk.next_sip("BYE "), "Call-ID"), old.call_id);
    talk.acks(&far);
    talk.nothing();
    talk.answer(&message, 481);

    for text in ["one", "two"] {
        talk.bob_gets(text);
    }
    talk.bob_says_and_alice_has(&mut far, "three");
    talk.nothing();
}

#[test]
fn the_end_of_a_dialog_is_told_only_to_clients_that_tell_themselves() {
    let mut talk = Talk::new();
    let mut far = talk.begun();
    talk.inside(&mut far, "BYE", "", "");
    talk.next_sip("SIP/2.0 200 ");
    talk.nothing();
    talk.inside(&mut far, "BYE", "", "");
    talk.next_sip("SIP/2.0 481 ");

    talk.stanza(
        "<message from='alice@xmpp.example/balcony' to='bob@sip.example' id='m1' type='chat'>\
         <body>one</body><active xmlns='http://jabber.org/protocol/chatstates'/></message>",
    );
    let invite = talk.next_sip("INVITE ");
    talk.hand_over(&invite);
    let mut far = talk.takes(&invite, "b1");
    talk.next_sip("ACK ");
    talk.bob_gets("one");
    talk.inside(&mut far, "BYE", "", "");
    talk.next_sip("SIP/2.0 200 ");
    talk.next_stanza(&["<gone", "to=\"alice@xmpp.example/balcony\""]);
    talk.nothing();
}

#[test]
fn whoever_leaves_ends_the_dialog_when_his_messages_have_arrived() {
    let mut talk = Talk::new();
    talk.begun();
    talk.alice_writes("m1", "one");
    let message = talk.next_sip("MESSAGE ");
    talk.hand_over(&message);
    talk.stanza(
        "<message from='alice@xmpp.example/balcony' to='bob@sip.example' type='chat'>\
         <gone xmlns='http://jabber.org/protocol/chatstates'/></message>",
    );
    talk.nothing();

    talk.answer(&message, 200);

    let bye = talk.next_sip("BYE ");
    talk.hand_over(&bye);
    talk.answer(&bye, 200);
    talk.nothing();
    talk.alice_writes("m2", "two");
    talk.next_sip("INVITE ");
}

#[test]
fn a_silent_dialog_is_ended() {
    let mut talk = Talk::new();
    talk.begun();
    talk.pass(limits::IDLE_BYE - seconds(1));
    talk.nothing();
    talk.pass(seconds(1));
    let bye = talk.next_sip("BYE ");
    talk.hand_over(&bye);
    talk.pass(AFTER_TIMER_F);
    talk.nothing();
    talk.alice_writes("m2", "two");
    talk.next_sip("INVITE ");
}

#[test]
fn a_200_without_ack_is_repeated_and_then_given_up() {
    let mut talk = Talk::new();
    talk.invites("1", None);
    talk.alice_writes("m1", "one");
    talk.nothing();

    talk.pass(Duration::from_millis(31_900));
    let mut repeats = 0;
    while let Some(sent) = talk.try_next() {
        assert!(text_of(&sent).starts_with("SIP/2.0 200 "));
        repeats += 1;
    }
    assert_eq!(repeats, 10);
    talk.pass(Duration::from_millis(100));

    talk.next_sip("BYE ");
    talk.next_sip("INVITE ");
    talk.nothing();
}
