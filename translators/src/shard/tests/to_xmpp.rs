//! SIP to XMPP.

use super::lab::{CONNECTION, Lab, message, seconds, text_of};
use crate::limits;
use crate::model::{Accept, Blame, Condition, Failure, SipProfile};
use crate::shard::{Event, Fate, ImState, Input, Lapse, Reason};

/// An error of Alice's server for the stanza with that id.
fn error(from: &str, id: &str, condition: &str) -> String {
    format!(
        "<message from='{from}' to='bob@sip.example' id='{id}' type='error'><error type='cancel'>\
         <{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>"
    )
}

#[test]
fn the_request_is_answered_when_the_stanza_was_taken() {
    let mut lab = Lab::new();

    let number = lab.bob_writes("1", "Hello");
    let stanza = lab.next_stanza(&[
        "from=\"bob@sip.example\"",
        "to=\"alice@xmpp.example\"",
        "id=\"z9hG4bK1\"",
        "<body>Hello</body>",
        "<thread>call-1</thread>",
    ]);
    lab.nothing();
    assert!(!lab.is_settled(number));
    lab.hand_over(&stanza);

    let answer = lab.next_sip("SIP/2.0 200 OK\r\n");
    assert_eq!(answer.link, Some(CONNECTION));
    assert_eq!(answer.key, None, "responses wait for nothing");
    assert!(!text_of(&answer).contains("Contact:"));
    assert!(lab.is_settled(number));
    assert_eq!(lab.fates(), [Fate::Delivered]);
    assert_eq!(lab.states(), [ImState::Settled(Fate::Delivered)]);
    lab.pass(seconds(60));
    lab.nothing();
}

#[test]
fn success_may_be_202() {
    let sip = SipProfile {
        success: 202,
        ..SipProfile::default()
    };
    let mut lab = Lab::with(Accept::Barrier, sip);
    lab.bob_writes("1", "Hello");
    let stanza = lab.next();
    lab.hand_over(&stanza);

    lab.next_sip("SIP/2.0 202 ");
}

#[test]
fn an_error_with_that_id_before_the_barrier_is_the_answer() {
    for (from, condition, status) in [
        ("alice@xmpp.example", "service-unavailable", 403),
        ("alice@xmpp.example", "forbidden", 603),
        ("alice@xmpp.example/balcony", "forbidden", 403),
        ("alice@xmpp.example/balcony", "recipient-unavailable", 480),
        ("alice@xmpp.example", "recipient-unavailable", 600),
        ("alice@xmpp.example", "item-not-found", 604),
        ("alice@xmpp.example/balcony", "feature-not-implemented", 405),
    ] {
        let mut lab = Lab::new();
        lab.bob_writes("1", "Hello");
        let stanza = lab.next();

        lab.stanza(&error(from, "z9hG4bK1", condition));

        lab.next_sip(&format!("SIP/2.0 {status} "));
        lab.hand_over(&stanza);
        lab.pass(seconds(60));
        lab.nothing();
        assert!(matches!(lab.fates().as_slice(), [Fate::Bounced(_)]));
    }
}

#[test]
fn an_error_for_another_pair_or_id_changes_nothing() {
    let mut lab = Lab::new();
    lab.bob_writes("1", "Hello");
    let stanza = lab.next();

    lab.stanza(&error("mallory@xmpp.example", "z9hG4bK1", "forbidden"));
    lab.stanza(&error("alice@xmpp.example", "z9hG4bK2", "forbidden"));

    lab.nothing();
    lab.hand_over(&stanza);
    lab.next_sip("SIP/2.0 200 ");
}

#[test]
fn trying_comes_after_3_and_a_half_seconds_and_504_after_8() {
    let mut lab = Lab::new();
    let number = lab.bob_writes("1", "Hello");
    let stanza = lab.next();
    assert_eq!(stanza.give_up_at, lab.now.mono + limits::ANSWER_TIME);

    lab.pass(seconds(3));
    lab.nothing();
    lab.pass(seconds(1));
    lab.next_sip("SIP/2.0 100 ");
    lab.pass(seconds(3));
    lab.nothing();
    lab.pass(seconds(2));
    lab.next_sip("SIP/2.0 504 ");

    assert!(lab.is_settled(number));
    lab.hand_over(&stanza);
    lab.pass(seconds(60));
    lab.nothing();
}

#[test]
fn a_repeated_request_is_answered_from_memory() {
    let mut lab = Lab::new();
    lab.bob_writes("1", "Hello");
    let stanza = lab.next();
    let waiting = lab.bob_writes("1", "Hello");
    lab.nothing();
    assert!(lab.is_settled(waiting));

    lab.hand_over(&stanza);
    let answer = lab.next();
    lab.bob_writes("1", "Hello");

    assert_eq!(lab.next().bytes, answer.bytes);
    lab.nothing();
}

#[test]
fn a_merged_request_is_answered_482() {
    let mut lab = Lab::new();
    let first = message("1", "alice@xmpp.example", "text/plain", "Hello");
    lab.request(&first);
    let stanza = lab.next();

    lab.request(&first.replace("branch=z9hG4bK1", "branch=z9hG4bKother"));

    lab.next_sip("SIP/2.0 482 ");
    lab.hand_over(&stanza);
    lab.next_sip("SIP/2.0 200 ");
    lab.nothing();
}

#[test]
fn a_stanza_that_comes_back_is_answered_by_its_reason() {
    let gone = Failure::new(Condition::RemoteServerNotFound, Blame::Peer);
    for (lapse, status) in [
        (Lapse::Expired, 504),
        (Lapse::Full, 503),
        (Lapse::LinkDown, 504),
        (Lapse::ReturnPathDown, 504),
        (Lapse::Unreachable(gone), 404),
    ] {
        let mut lab = Lab::new();
        lab.bob_writes("1", "Hello");
        let stanza = lab.next();

        lab.give_back(&stanza, lapse);

        let answer = lab.next_sip(&format!("SIP/2.0 {status} "));
        assert_eq!(text_of(&answer).contains("Retry-After:"), status == 503);
        lab.pass(seconds(60));
        lab.nothing();
    }
}

#[test]
fn a_stanza_lost_with_its_link_is_answered_504() {
    let mut lab = Lab::new();
    lab.bob_writes("1", "Hello");
    let stanza = lab.next();

    lab.lose(&stanza);

    lab.next_sip("SIP/2.0 504 ");
}

#[test]
fn nothing_is_taken_while_the_journal_is_read_only() {
    let mut lab = Lab::new();
    lab.input(Input::StoreReadOnly(true));

    lab.bob_writes("1", "Hello");

    let answer = lab.next_sip("SIP/2.0 503 ");
    assert!(text_of(&answer).contains("Retry-After:"));
    lab.nothing();
}

#[test]
fn at_most_50_requests_of_a_pair_wait() {
    let mut lab = Lab::new();
    for number in 0..limits::WAITING_PER_PAIR {
        lab.bob_writes(&number.to_string(), "x");
        lab.next_stanza(&[]);
    }

    lab.bob_writes("over", "x");

    lab.next_sip("SIP/2.0 503 ");
    lab.nothing();
}

#[test]
fn policy_applies_to_requests() {
    let mut lab = Lab::new();
    lab.denies("bob@sip.example");

    lab.bob_writes("1", "Hello");

    lab.next_sip("SIP/2.0 403 ");
    lab.nothing();
}

#[test]
fn an_expired_message_is_dropped_and_an_unknown_body_refused() {
    let mut lab = Lab::new();
    let old = message("1", "alice@xmpp.example", "text/plain", "x").replace(
        "CSeq:",
        "Date: Thu, 21 Feb 2002 13:02:03 GMT\r\nExpires: 60\r\nCSeq:",
    );
    lab.request(&old);
    lab.next_sip("SIP/2.0 200 ");

    lab.request(&message("2", "alice@xmpp.example", "image/gif", "x"));
    let answer = lab.next_sip("SIP/2.0 415 ");
    assert!(text_of(&answer).contains("Accept:"));
    lab.nothing();
    assert!(matches!(
        lab.fates().as_slice(),
        [Fate::Dropped(Reason::Expired), Fate::Bounced(_)]
    ));
}

#[test]
fn answers_go_to_the_resource_that_wrote_until_it_is_gone() {
    let mut lab = Lab::new();
    lab.alice_writes("m1", "Hi");
    let sent = lab.next();
    lab.answer(&sent, 200);
    lab.bob_writes("1", "Hello");
    let first = lab.next_stanza(&["to=\"alice@xmpp.example/balcony\""]);

    lab.stanza(&error(
        "alice@xmpp.example/balcony",
        "z9hG4bK1",
        "service-unavailable",
    ));

    let again = lab.next_stanza(&["to=\"alice@xmpp.example\"", "id=\"z9hG4bK1\""]);
    lab.hand_over(&first);
    lab.nothing();
    lab.hand_over(&again);
    lab.next_sip("SIP/2.0 200 ");
    lab.bob_writes("2", "Hello");
    lab.next_stanza(&["to=\"alice@xmpp.example\""]);
}

#[test]
fn chats_are_not_tried_again_since_the_server_routes_them() {
    let sip = SipProfile {
        chat: true,
        ..SipProfile::default()
    };
    let mut lab = Lab::with(Accept::Barrier, sip);
    lab.alice_writes("m1", "Hi");
    let sent = lab.next();
    lab.answer(&sent, 200);
    lab.bob_writes("1", "Hello");
    lab.next_stanza(&["to=\"alice@xmpp.example/balcony\"", "type=\"chat\""]);

    lab.stanza(&error(
        "alice@xmpp.example/balcony",
        "z9hG4bK1",
        "service-unavailable",
    ));

    lab.next_sip("SIP/2.0 403 ");
}

#[test]
fn a_conversation_is_forgotten_after_ten_minutes() {
    let mut lab = Lab::new();
    lab.alice_writes("m1", "Hi");
    let sent = lab.next();
    lab.answer(&sent, 200);

    lab.pass(limits::CONVERSATION_IDLE + seconds(1));
    lab.bob_writes("1", "Hello");

    lab.next_stanza(&["to=\"alice@xmpp.example\"", "<thread>call-1</thread>"]);
}

#[test]
fn one_thread_sticks_to_a_pair() {
    let mut lab = Lab::new();
    lab.bob_writes("1", "Hello");
    lab.next_stanza(&["<thread>call-1</thread>"]);
    lab.bob_writes("2", "Hello");
    lab.next_stanza(&["<thread>call-1</thread>"]);
}

#[test]
fn a_late_error_is_an_event_and_a_notification_where_one_was_asked_for() {
    let sip = SipProfile {
        cpim: true,
        page_limit: 4_000,
        ..SipProfile::default()
    };
    let mut lab = Lab::with(Accept::Barrier, sip);
    let body = "From: <sip:bob@sip.example>\r\nTo: <sip:alice@xmpp.example>\r\n\
         NS: imdn <urn:ietf:params:imdn>\r\nimdn.Message-ID: id-1\r\n\
         DateTime: 2027-01-15T08:00:00Z\r\n\
         imdn.Disposition-Notification: negative-delivery\r\n\r\n\
         Content-Type: text/plain\r\n\r\nHello";
    lab.request(&message("1", "alice@xmpp.example", "message/cpim", body));
    let stanza = lab.next_stanza(&["id=\"id-1\""]);
    lab.hand_over(&stanza);
    lab.next_sip("SIP/2.0 200 ");

    lab.stanza(&error(
        "alice@xmpp.example",
        "id-1",
        "recipient-unavailable",
    ));

    let report = text_of(&lab.next_sip("MESSAGE sip:bob@sip.example SIP/2.0"));
    assert!(report.contains("<message-id>id-1</message-id>"), "{report}");
    assert!(
        report.contains("<failed/>") || report.contains("<failed"),
        "{report}"
    );
    assert!(
        lab.events
            .iter()
            .any(|event| matches!(event, Event::LateError { .. }))
    );
    lab.stanza(&error(
        "alice@xmpp.example",
        "id-1",
        "recipient-unavailable",
    ));
    lab.nothing();
}

#[test]
fn accept_immediate_answers_when_the_message_is_in_the_journal() {
    let mut lab = Lab::with(Accept::Immediate, SipProfile::default());

    lab.bob_writes("1", "Hello");

    assert_eq!(lab.states(), [ImState::Sent]);
    lab.next_sip("SIP/2.0 200 ");
    let stanza = lab.next_stanza(&["id=\"z9hG4bK1\""]);
    lab.hand_over(&stanza);
    lab.nothing();
    assert_eq!(lab.states(), [ImState::Settled(Fate::Delivered)]);
}

#[test]
fn accept_immediate_sends_again_with_the_same_id_until_the_deadline() {
    let mut lab = Lab::with(Accept::Immediate, SipProfile::default());
    lab.bob_writes("1", "Hello");
    lab.next_sip("SIP/2.0 200 ");
    let first = lab.next_stanza(&["id=\"z9hG4bK1\""]);

    lab.lose(&first);
    lab.pass(limits::RESEND_PAUSE);
    let second = lab.next_stanza(&["id=\"z9hG4bK1\""]);
    assert_eq!(second.bytes, first.bytes);
    lab.pass(limits::DELIVERY_TIME);
    lab.give_back(&second, Lapse::Expired);

    lab.nothing();
    assert!(
        lab.events
            .iter()
            .any(|event| matches!(event, Event::LateError { .. }))
    );
    assert!(matches!(lab.states()[0], ImState::Settled(Fate::Untold(_))));
}

#[test]
fn accept_immediate_tells_an_error_stanza_as_a_late_error() {
    let mut lab = Lab::with(Accept::Immediate, SipProfile::default());
    lab.bob_writes("1", "Hello");
    lab.next_sip("SIP/2.0 200 ");
    let stanza = lab.next();

    lab.stanza(&error(
        "alice@xmpp.example",
        "z9hG4bK1",
        "service-unavailable",
    ));

    lab.nothing();
    assert!(
        lab.events
            .iter()
            .any(|event| matches!(event, Event::LateError { .. }))
    );
    lab.hand_over(&stanza);
    assert_eq!(lab.fates().len(), 1);
}
