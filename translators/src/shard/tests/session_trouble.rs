//! Conversations in dialogs: refusals, policy, restarts, and what is told in words.

use super::lab::{seconds, text_of};
use super::session_lab::{Talk, invite, media, value};
use crate::limits;
use crate::model::{Aor, Pair};
use crate::policy::{Subject, Verdict};
use crate::shard::{Fate, ImState};

fn pair() -> Pair {
    let jid = jid::BareJid::new("alice@xmpp.example").unwrap();
    Pair::new(
        jid,
        Aor::from_image(jid::BareJid::new("bob@sip.example").unwrap()),
    )
}

#[test]
fn what_is_no_conversation_is_refused_and_told_to_alice_once() {
    for (line, headers, status, words) in [
        ("m=audio 5000 RTP/AVP 0", "", 488, "tried to call"),
        (
            "m=audio 5000 RTP/AVP 0\r\nm=video 5002 RTP/AVP 34",
            "",
            488,
            "video call",
        ),
        (
            "m=applicationsharing 5004 TCP/RTP/AVP 127",
            "",
            488,
            "share my screen",
        ),
        (
            "m=message 5060 sip null",
            "ms-text-format: text/x-msmsgsinvite; charset=UTF-8;ms-body=SW52aXRhdGlvbg==\r\n",
            488,
            "send a file",
        ),
        (
            "m=message 5060 sip null",
            "Require: com.microsoft.rtc-multiparty\r\n",
            420,
            "several people",
        ),
        (
            "m=message 5060 sip null",
            "EndPoints: <sip:a@x>, <sip:b@x>, <sip:c@x>\r\n",
            420,
            "several people",
        ),
    ] {
        let mut talk = Talk::new();
        let mut far = talk.begun();
        talk.request(&invite("1", headers, &media(line)));
        let answer = talk.next_sip(&format!("SIP/2.0 {status} "));
        assert!(text_of(&answer).contains(" INVITE\r\n"));
        let words = [
            words,
            "type=\"chat\"",
            "from=\"bob@sip.example\"",
            "balcony",
        ];
        talk.next_stanza(&words);
        talk.request(&invite("2", headers, &media(line)));
        talk.next_sip(&format!("SIP/2.0 {status} "));
        talk.nothing();
        talk.bob_says_and_alice_has(&mut far, "still here");
        talk.alice_writes("m9", "me too");
        talk.bob_gets("me too");
    }
}

#[test]
fn a_meeting_is_refused_and_the_conversation_stays() {
    let mut talk = Talk::new();
    let mut far = talk.begun();
    let text = invite("1", "", "<Conferencing/>")
        .replace("application/sdp", "application/ms-conf-invite+xml");
    talk.request(&text);

    talk.next_sip("SIP/2.0 488 ");
    talk.next_stanza(&["meeting", "could not be delivered"]);
    talk.bob_says_and_alice_has(&mut far, "still here");
    talk.request(&invite("2", "", ""));
    talk.next_sip("SIP/2.0 488 ");
    talk.nothing();
}

#[test]
fn contents_of_all_kinds_are_taken_or_refused_with_415() {
    let mut talk = Talk::new();
    let mut far = talk.invited("1", None);
    let alternative = "--x\r\nContent-Type: text/html\r\n\r\n<b>hi</b>\r\n--x\r\n\
                       Content-Type: text/plain; charset=UTF-8\r\n\r\nhi \u{1f44b}\u{10ffff}\r\n--x--";
    for (kind, body, text) in [
        (
            "text/plain; charset=UTF-8",
            "_http://example.org/a?b=c",
            "_http://example.org/a?b=c",
        ),
        (
            "text/plain;msgr=WAA=",
            "\u{e9}\u{4e2d}\u{1f600}\u{1d11e}",
            "\u{e9}\u{4e2d}\u{1f600}\u{1d11e}",
        ),
        (
            "text/html; charset=UTF-8",
            "<DIV>one<BR>two &amp; three</DIV>",
            "one\ntwo &amp; three",
        ),
        (
            "multipart/alternative; boundary=x",
            alternative,
            "hi \u{1f44b}\u{10ffff}",
        ),
    ] {
        talk.inside(&mut far, "MESSAGE", kind, body);
        let stanza = talk.next_stanza(&[&format!("<body>{text}</body>")]);
        talk.hand_over(&stanza);
        talk.next_sip("SIP/2.0 200 ");
    }
    for kind in [
        "text/rtf",
        "application/x-ms-ink",
        "image/gif",
        "text/x-msmsgsinvite",
        "x",
    ] {
        talk.inside(&mut far, "MESSAGE", kind, "{\\rtf1 hi}");
        let answer = talk.next();
        let text = text_of(&answer);
        let expected = if kind == "x" {
            "SIP/2.0 4"
        } else {
            "SIP/2.0 415 "
        };
        assert!(text.starts_with(expected), "{kind}: {text}");
        if kind == "text/x-msmsgsinvite" {
            assert!(text.contains("ms-diagnostics: 65010;"), "{text}");
            talk.next_stanza(&["tried to send a file"]);
        }
    }
    talk.nothing();
    let long = "\u{1f600}".repeat(8_000);
    talk.bob_says_and_alice_has(&mut far, &long);
    talk.alice_writes("m1", &long);
    talk.bob_gets(&long);
}

#[test]
fn what_is_added_to_a_conversation_is_refused_and_told_to_alice() {
    let call = media("m=message 5060 sip null\r\nm=audio 5000 RTP/AVP 0");
    let film = media("m=video 5002 RTP/AVP 34");
    for (method, kind, body, status, cause, words) in [
        (
            "INVITE",
            "application/sdp",
            &*call,
            488,
            "65009",
            "tried to call",
        ),
        (
            "UPDATE",
            "application/sdp",
            &*film,
            488,
            "65009",
            "video call",
        ),
        (
            "INVITE",
            "application/ms-conf-invite+xml",
            "<Conferencing/>",
            488,
            "65011",
            "meeting",
        ),
    ] {
        let mut talk = Talk::new();
        let mut far = talk.begun();
        talk.inside(&mut far, method, kind, body);
        let answer = text_of(&talk.next_sip(&format!("SIP/2.0 {status} ")));
        let cause = format!("\r\nms-diagnostics: {cause};");
        assert!(answer.contains(&cause), "{answer}");
        talk.next_stanza(&[words, "type=\"chat\"", "balcony"]);
        talk.inside(&mut far, method, kind, body);
        talk.next_sip(&format!("SIP/2.0 {status} "));
        talk.nothing();
        talk.bob_says_and_alice_has(&mut far, "still here");
        talk.alice_writes("m9", "me too");
        talk.bob_gets("me too");
    }
}

#[test]
fn an_error_after_the_200_is_a_line_in_the_conversation() {
    let mut talk = Talk::new();
    let mut far = talk.begun();
    talk.bob_says(&mut far, "Hello");
    let stanza = talk.next_stanza(&["<body>Hello</body>"]);
    talk.hand_over(&stanza);
    talk.next_sip("SIP/2.0 200 ");
    let id = text_of(&stanza);
    let id = id.split_once("id=\"").unwrap().1.split('"').next().unwrap();
    let error = format!(
        "<message from='alice@xmpp.example' to='bob@sip.example' type='error' id='{id}'>\
         <error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>\
         </message>"
    );
    talk.stanza(&error);

    let line = talk.next_sip("MESSAGE ");
    assert!(
        text_of(&line)
            .ends_with("[Your last message could not be delivered: the recipient does not exist.]")
    );
    talk.stanza(&error);
    talk.hand_over(&line);
    talk.answer(&line, 480);
    // It is nobody's message: it is not sent again in another dialog, and no error is told.
    let rest: Vec<_> = std::iter::from_fn(|| talk.try_next()).collect();
    assert!(
        rest.iter().all(|one| !text_of(one).starts_with("<message")),
        "{rest:?}"
    );
}

#[test]
fn a_block_ends_the_dialog_at_once() {
    let mut talk = Talk::new();
    let mut far = talk.begun();
    talk.alice_writes("m1", "one");
    let message = talk.next_sip("MESSAGE ");
    talk.hand_over(&message);
    talk.alice_writes("m2", "two");

    talk.decides(Subject::Pair(pair()), Verdict::Block);

    let sent = [talk.next(), talk.next()].map(|one| text_of(&one));
    assert!(sent.iter().any(|text| text.starts_with("BYE ")), "{sent:?}");
    assert!(
        sent.iter().any(|text| text.contains("id=\"m2\"")),
        "{sent:?}"
    );
    talk.bob_says(&mut far, "Hello");
    talk.next_sip("SIP/2.0 481 ");
    talk.request(&invite("1", "", &media("m=message 5060 sip null")));
    talk.next_sip("SIP/2.0 403 ");
    talk.nothing();
}

#[test]
fn a_block_calls_off_what_rings() {
    let mut talk = Talk::new();
    talk.alice_writes("m1", "one");
    let invite = talk.next_sip("INVITE ");
    talk.hand_over(&invite);
    talk.answers(&invite, 180, "b1", None);

    talk.decides(Subject::Pair(pair()), Verdict::Block);

    let sent = [talk.next(), talk.next()].map(|one| text_of(&one));
    assert!(
        sent.iter().any(|text| text.starts_with("CANCEL ")),
        "{sent:?}"
    );
    assert!(
        sent.iter().any(|text| text.contains("id=\"m1\"")),
        "{sent:?}"
    );
    talk.nothing();
}

#[test]
fn a_polite_block_refuses_invitations_late_and_may_be_cancelled() {
    let mut talk = Talk::new();
    talk.decides(Subject::Pair(pair()), Verdict::PoliteBlock);
    let text = invite("1", "", &media("m=message 5060 sip null"));
    talk.request(&text);
    talk.nothing();
    talk.pass(limits::POLITE_REFUSAL_MAX);
    talk.next_sip("SIP/2.0 480 ");

    talk.request(&invite("2", "", &media("m=message 5060 sip null")));
    let cancel = invite("2", "", "")
        .replace("INVITE sip", "CANCEL sip")
        .replace("1 INVITE", "1 CANCEL");
    talk.request(&cancel);
    talk.next_sip("SIP/2.0 200 ");
    let answer = talk.next_sip("SIP/2.0 487 ");
    assert!(value(&answer, "CSeq").ends_with("INVITE"));
    talk.pass(limits::POLITE_REFUSAL_MAX);
    talk.nothing();
}

#[test]
fn after_a_restart_what_was_sent_bounces_and_what_waited_calls_again() {
    let mut talk = Talk::new();
    let mut far = talk.begun();
    talk.alice_writes("m1", "one");
    let message = talk.next_sip("MESSAGE ");
    talk.hand_over(&message);
    talk.alice_writes("m2", "two");

    talk.restart();

    talk.next_stanza(&["id=\"m1\"", "may have arrived"]);
    let invite = talk.next_sip("INVITE ");
    talk.bob_says(&mut far, "Are you there?");
    talk.next_sip("SIP/2.0 481 ");
    talk.hand_over(&invite);
    talk.takes(&invite, "b2");
    talk.next_sip("ACK ");
    talk.bob_gets("two");

    let mut talk = Talk::new();
    talk.alice_writes("m1", "one");
    let invite = talk.next_sip("INVITE ");
    talk.hand_over(&invite);
    talk.pass(seconds(20));
    talk.restart();
    let invite = talk.next_sip("INVITE ");
    talk.hand_over(&invite);
    talk.takes(&invite, "b1");
    talk.next_sip("ACK ");
    talk.bob_gets("one");
    assert_eq!(talk.states(), [ImState::Settled(Fate::Delivered)]);
}

#[test]
fn a_message_that_cannot_be_stored_calls_nobody() {
    let mut talk = Talk::new();
    talk.disk_full = true;
    talk.alice_writes("m1", "one");

    talk.next_stanza(&["id=\"m1\"", "<resource-constraint"]);
    talk.nothing();
    talk.disk_full = false;
    talk.pass(seconds(200));
    talk.nothing();
    talk.alice_writes("m2", "two");
    talk.next_sip("INVITE ");
}

#[test]
fn fifty_messages_wait_while_it_rings() {
    let mut talk = Talk::new();
    for number in 0..limits::WAITING_PER_PAIR {
        talk.alice_writes(&format!("m{number}"), "one");
    }
    let invite = talk.next_sip("INVITE ");
    talk.nothing();

    talk.alice_writes("more", "one");

    talk.next_stanza(&["id=\"more\"", "<resource-constraint"]);
    talk.hand_over(&invite);
    talk.takes(&invite, "b1");
    talk.next_sip("ACK ");
    for _ in 0..limits::WAITING_PER_PAIR {
        talk.bob_gets("one");
    }
    talk.nothing();
}
