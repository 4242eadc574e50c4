//! The first message inside an INVITE arrives once, whichever way its caller behaves.

use super::lab::{seconds, text_of};
use super::session_lab::{Far, Talk, invite, media, tag_of, value};
use crate::model::Microsoft;
use crate::model::microsoft::Embedded;
use crate::shard::{Fate, ImState, Input, Reason};

/// Real texts inside INVITEs end in blanks and line ends.
const INSIDE: &str = "Hello Alice \r\n\r\n";

#[test]
fn a_message_that_repeats_it_takes_its_place() {
    let mut talk = Talk::new();
    let mut far = talk.invites("1", Some(INSIDE));
    assert_eq!(talk.states(), [ImState::Waiting], "the 200 promises it");
    talk.acks(&far);
    talk.pass(seconds(2));

    talk.bob_says(&mut far, "Hello Alice");
    let stanza = talk.next_stanza(&["<body>Hello Alice</body>"]);
    talk.hand_over(&stanza);
    talk.next_sip("SIP/2.0 200 ");
    talk.pass(seconds(100));
    talk.nothing();
    assert_eq!(
        talk.fates(),
        [Fate::Dropped(Reason::Duplicate), Fate::Delivered]
    );

    talk.bob_says_and_alice_has(&mut far, "Hello Alice");
}

#[test]
fn what_is_not_repeated_is_delivered_after_four_seconds() {
    let mut talk = Talk::new();
    let mut far = talk.invited("1", Some(INSIDE));
    talk.pass(seconds(3));
    talk.nothing();
    talk.pass(seconds(1));

    let stanza = talk.next_stanza(&[
        "<body>Hello Alice \n\n</body>",
        "type=\"chat\"",
        "<thread>call-1</thread>",
        ">Bob</nick>",
    ]);
    talk.hand_over(&stanza);
    assert_eq!(talk.fates(), [Fate::Delivered]);
    talk.bob_says(&mut far, "Hello Alice");
    talk.next_sip("SIP/2.0 200 ");
    talk.nothing();
    talk.bob_says_and_alice_has(&mut far, "Hello Alice");
    talk.pass(seconds(100));
    talk.nothing();
}

#[test]
fn a_repetition_after_a_minute_is_a_text_of_its_own() {
    let mut talk = Talk::new();
    let mut far = talk.invited("1", Some(INSIDE));
    talk.pass(seconds(4));
    let stanza = talk.next_stanza(&["<body>Hello Alice"]);
    talk.hand_over(&stanza);
    talk.pass(seconds(61));

    talk.bob_says_and_alice_has(&mut far, "Hello Alice");
}

#[test]
fn another_text_comes_behind_it() {
    let mut talk = Talk::new();
    let mut far = talk.invited("1", Some(INSIDE));

    talk.bob_says(&mut far, "How are you?");

    let stanzas = [
        talk.next_stanza(&["<body>Hello Alice"]),
        talk.next_stanza(&["<body>How are you?</body>"]),
    ];
    for stanza in stanzas {
        talk.hand_over(&stanza);
    }
    talk.next_sip("SIP/2.0 200 ");
    talk.pass(seconds(100));
    talk.nothing();
}

#[test]
fn the_end_of_the_dialog_delivers_it() {
    let mut talk = Talk::new();
    let mut far = talk.invited("1", Some(INSIDE));
    talk.inside(&mut far, "BYE", "", "");
    talk.next_sip("SIP/2.0 200 ");
    talk.next_stanza(&["<body>Hello Alice"]);
    talk.nothing();

    // Without an ACK there was no dialog at the caller's end; the text is not lost all the same.
    let mut talk = Talk::new();
    talk.invites("1", Some(INSIDE));
    talk.pass(seconds(33));
    let sent: Vec<_> = std::iter::from_fn(|| talk.try_next()).collect();
    let bodies = sent
        .iter()
        .filter(|one| text_of(one).contains("<body>Hello Alice"));
    assert_eq!(bodies.count(), 1);
}

#[test]
fn an_invitation_that_comes_again_brings_it_once() {
    let mut talk = Talk::new();
    talk.invites("1", Some(INSIDE));
    let mut far = talk.invited("2", Some(INSIDE));
    talk.bob_says_and_alice_has(&mut far, "Hello Alice");
    talk.pass(seconds(20));
    let rest: Vec<_> = std::iter::from_fn(|| talk.try_next()).collect();
    assert!(
        rest.iter()
            .all(|one| text_of(one).starts_with("SIP/2.0 200 "))
    );

    let mut talk = Talk::new();
    talk.invited("1", Some("one"));
    talk.invites("2", Some("two"));
    talk.next_stanza(&["<body>one</body>"]);
    talk.next_sip("BYE ");
}

#[test]
fn by_switch_it_is_announced_as_taken_and_delivered_at_once() {
    let mut talk = Talk::with(Microsoft {
        embedded: Embedded::Consume,
        ..Microsoft::default()
    });
    talk.request(&invite(
        "1",
        &super::session_lab::embedded(INSIDE),
        &media("m=message 5060 sip null"),
    ));
    let answer = talk.next_sip("SIP/2.0 200 ");
    assert!(text_of(&answer).contains("\r\nSupported: ms-text-format"));
    let stanza = talk.next_stanza(&["<body>Hello Alice"]);
    talk.hand_over(&stanza);

    let mut talk = Talk::with(Microsoft {
        embedded: Embedded::Consume,
        ..Microsoft::default()
    });
    talk.request(&invite("1", "", &media("m=message 5060 sip null")));
    let answer = talk.next_sip("SIP/2.0 200 ");
    assert!(
        !text_of(&answer).contains("ms-text-format"),
        "there is none"
    );
    talk.nothing();
}

#[test]
fn a_restart_delivers_it() {
    let mut talk = Talk::new();
    talk.invited("1", Some(INSIDE));

    talk.restart();

    let stanza = talk.next_stanza(&["<body>Hello Alice"]);
    talk.hand_over(&stanza);
    assert_eq!(talk.states(), [ImState::Settled(Fate::Delivered)]);
}

#[test]
fn what_cannot_be_kept_is_refused_with_its_invitation() {
    let mut talk = Talk::new();
    talk.disk_full = true;
    let text = invite(
        "1",
        &super::session_lab::embedded(INSIDE),
        &media("m=message 5060 sip null"),
    );
    let number = talk.request(&text);

    let answer = talk.next_sip("SIP/2.0 503 ");
    assert!(text_of(&answer).contains("\r\nRetry-After: "));
    talk.nothing();
    assert!(talk.is_settled(number));
    talk.disk_full = false;
    talk.pass(seconds(60));
    talk.nothing();
    assert!(
        talk.journal
            .iter()
            .all(|row| matches!(row.state, ImState::Settled(_)))
    );

    talk.input(Input::StoreReadOnly(true));
    talk.request(&invite("2", "", &media("m=message 5060 sip null")));
    talk.next_sip("SIP/2.0 503 ");
    talk.input(Input::StoreReadOnly(false));
    let mut far = talk.invited("3", None);
    talk.bob_says_and_alice_has(&mut far, "Hello");
}

#[test]
fn its_failure_is_told_even_when_the_conversation_is_over() {
    let mut talk = Talk::new();
    let mut far = talk.invited("1", Some(INSIDE));
    talk.inside(&mut far, "BYE", "", "");
    talk.next_sip("SIP/2.0 200 ");
    let stanza = text_of(&talk.next_stanza(&["<body>Hello Alice"]));
    let id = stanza
        .split_once("id=\"")
        .unwrap()
        .1
        .split('"')
        .next()
        .unwrap();
    talk.stanza(&format!(
        "<message from='alice@xmpp.example' to='bob@sip.example' type='error' id='{id}'>\
         <error type='wait'><remote-server-timeout \
         xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>"
    ));

    let invite = talk.next_sip("INVITE ");
    talk.hand_over(&invite);
    talk.takes(&invite, "b1");
    talk.next_sip("ACK ");
    talk.bob_gets(
        "[Your last message could not be delivered: the recipient's server cannot be reached.]",
    );
    talk.nothing();
}

#[test]
fn its_failure_is_told_in_the_conversation() {
    let mut talk = Talk::new();
    talk.invited("1", Some(INSIDE));
    talk.pass(seconds(4));
    let stanza = talk.next_stanza(&["<body>Hello Alice"]);
    let id = text_of(&stanza);
    let id = id.split_once("id=\"").unwrap().1.split('"').next().unwrap();
    talk.stanza(&format!(
        "<message from='alice@xmpp.example' to='bob@sip.example' type='error' id='{id}'>\
         <error type='cancel'><service-unavailable \
         xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>"
    ));

    talk.bob_gets("[Your last message could not be delivered: the recipient cannot be reached.]");
    talk.nothing();
    assert!(matches!(talk.fates().as_slice(), [Fate::Bounced(_)]));
}

/// The header with a first message in rich text alone.
fn rich() -> String {
    "ms-im-format: text/rtf; charset=UTF-8; ms-body=e1xydGYxIGhlbGxvfQ==\r\n".to_owned()
}

/// Bob's INVITE with rich text alone, and its ACK.
fn invited_richly(talk: &mut Talk) -> (Far, String) {
    talk.request(&invite("1", &rich(), &media("m=message 5060 sip null")));
    let answer = talk.next_sip("SIP/2.0 200 ");
    let far = Far {
        call_id: value(&answer, "Call-ID"),
        ours: tag_of(&value(&answer, "To")),
        his: "b1".to_owned(),
        contact: value(&answer, "Contact")
            .trim_matches(['<', '>'])
            .to_owned(),
        cseq: 1,
    };
    talk.acks(&far);
    (far, text_of(&answer))
}

const LOST: &str =
    "<body>[I wrote in rich text; only plain text can be carried between our networks.]</body>";

#[test]
fn rich_text_is_refused_when_it_is_repeated_and_the_dialog_stands() {
    for embedded in [Embedded::Wait, Embedded::Consume] {
        let mut talk = Talk::with(Microsoft {
            embedded,
            ..Microsoft::default()
        });
        let (mut far, answer) = invited_richly(&mut talk);
        // It is never announced as taken: its sender has to learn.
        assert!(!answer.contains("ms-embedded-first-message"), "{answer}");
        assert!(!answer.contains("ms-text-format"), "{answer}");
        if embedded == Embedded::Consume {
            let line = talk.next_stanza(&[LOST]);
            talk.hand_over(&line);
        }

        talk.inside(&mut far, "MESSAGE", "text/rtf", "{\\rtf1 hello}");

        let refused = talk.next_sip("SIP/2.0 415 ");
        assert!(value(&refused, "Accept").contains("text/plain"));
        let reason = value(&refused, "ms-diagnostics");
        assert!(
            reason.starts_with("65028;reason=\"Rich text (RTF) cannot be delivered"),
            "{reason}"
        );
        assert!(reason.contains("DisableRTFIM"), "{reason}");
        if embedded == Embedded::Wait {
            talk.pass(seconds(4));
            let line = talk.next_stanza(&[LOST]);
            talk.hand_over(&line);
        }
        talk.bob_says_and_alice_has(&mut far, "hello");
        talk.alice_writes("m1", "hello yourself");
        talk.bob_gets("hello yourself");
        talk.nothing();
    }
}

#[test]
fn rich_text_that_is_not_repeated_is_told_to_its_reader() {
    let mut talk = Talk::new();
    let (mut far, _) = invited_richly(&mut talk);

    talk.inside(&mut far, "BYE", "", "");

    let sent = [talk.next(), talk.next()].map(|one| text_of(&one));
    assert!(sent.iter().any(|one| one.contains(LOST)), "{sent:?}");
    assert!(sent.iter().any(|one| one.starts_with("SIP/2.0 200 ")));
}
