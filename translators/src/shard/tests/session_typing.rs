//! Typing in dialogs.

use super::lab::{seconds, text_of};
use super::session_lab::{Talk, value};
use crate::limits;
use crate::model::Microsoft;
use crate::model::microsoft::Typing;

const TYPES: &str = "<?xml version=\"1.0\"?><KeyboardActivity><status status=\"type\" />\
                     </KeyboardActivity>";
const IDLES: &str = "<KeyboardActivity><status status='idle'/></KeyboardActivity>";

/// Alice's client tells a state, or a text with one.
fn alice(talk: &mut Talk, state: &str, body: &str) {
    let body = if body.is_empty() {
        String::new()
    } else {
        format!("<body>{body}</body>")
    };
    talk.stanza(&format!(
        "<message from='alice@xmpp.example/balcony' to='bob@sip.example' type='chat' id='m'>{body}\
         <{state} xmlns='http://jabber.org/protocol/chatstates'/></message>"
    ));
}

#[test]
fn typing_of_alice_is_told_by_info_every_five_seconds_at_most() {
    let mut talk = Talk::new();
    talk.begun();
    alice(&mut talk, "composing", "");
    let info = talk.next_sip("INFO sip:bob@sip.example;opaque=user:epid:xyz;gruu SIP/2.0\r\n");
    assert_eq!(value(&info, "Content-Type"), "application/xml");
    assert!(text_of(&info).contains("<status status=\"type\""));
    talk.hand_over(&info);
    talk.answer(&info, 200);

    alice(&mut talk, "paused", "");
    talk.nothing();
    talk.pass(limits::KEYBOARD_SPACING);

    let info = talk.next_sip("INFO ");
    assert!(text_of(&info).contains("<status status=\"idle\""));
    talk.hand_over(&info);
    talk.answer(&info, 200);
    talk.pass(seconds(60));
    talk.nothing();
}

#[test]
fn typing_is_told_again_while_it_lasts_and_a_text_ends_it() {
    let mut talk = Talk::new();
    talk.begun();
    alice(&mut talk, "composing", "");
    for _ in 0..3 {
        let info = talk.next_sip("INFO ");
        assert!(text_of(&info).contains("type"));
        talk.hand_over(&info);
        talk.answer(&info, 200);
        talk.nothing();
        talk.pass(limits::KEYBOARD_REFRESH);
    }
    let info = talk.next_sip("INFO ");
    talk.hand_over(&info);
    talk.answer(&info, 200);

    alice(&mut talk, "active", "Hello");
    talk.bob_gets("Hello");
    talk.pass(seconds(100));
    talk.nothing();
}

#[test]
fn typing_needs_a_dialog_and_never_makes_one() {
    let mut talk = Talk::new();
    alice(&mut talk, "composing", "");
    talk.nothing();
    talk.alice_writes("m1", "one");
    talk.next_sip("INVITE ");
    alice(&mut talk, "composing", "");
    talk.pass(seconds(30));
    talk.nothing();
}

#[test]
fn typing_by_message_is_a_switch() {
    let mut talk = Talk::with(Microsoft {
        typing: Typing::Message,
        ..Microsoft::default()
    });
    let mut far = talk.begun();
    alice(&mut talk, "composing", "");
    let sent = talk.next_sip("MESSAGE sip:bob@sip.example;opaque=user:epid:xyz;gruu SIP/2.0\r\n");
    assert_eq!(
        value(&sent, "Content-Type"),
        "application/im-iscomposing+xml"
    );
    talk.hand_over(&sent);
    talk.answer(&sent, 415);
    alice(&mut talk, "paused", "");
    alice(&mut talk, "composing", "");
    talk.nothing();

    talk.inside(&mut far, "INFO", "application/xml", TYPES);
    talk.next_sip("SIP/2.0 200 ");
    talk.next_stanza(&["<composing", "<thread>"]);
}

#[test]
fn typing_of_bob_is_told_until_he_writes_stops_or_falls_silent() {
    let mut talk = Talk::new();
    let mut far = talk.begun();
    alice(&mut talk, "active", "Hi");
    talk.bob_gets("Hi");
    let types = |talk: &mut Talk, far: &mut super::session_lab::Far| {
        talk.inside(far, "INFO", "application/xml", TYPES);
        talk.next_sip("SIP/2.0 200 ");
    };

    types(&mut talk, &mut far);
    talk.next_stanza(&["<composing", "type=\"chat\"", "balcony"]);
    types(&mut talk, &mut far);
    talk.nothing();
    talk.inside(&mut far, "INFO", "application/xml", IDLES);
    talk.next_sip("SIP/2.0 200 ");
    talk.next_stanza(&["<active"]);

    types(&mut talk, &mut far);
    talk.next_stanza(&["<composing"]);
    talk.pass(limits::KEYBOARD_LAPSE - seconds(1));
    types(&mut talk, &mut far);
    talk.nothing();
    talk.pass(limits::KEYBOARD_LAPSE);
    talk.next_stanza(&["<active"]);

    types(&mut talk, &mut far);
    talk.next_stanza(&["<composing"]);
    talk.bob_says(&mut far, "Hello");
    let stanza = talk.next_stanza(&["<active", "<body>Hello</body>"]);
    talk.hand_over(&stanza);
    talk.next_sip("SIP/2.0 200 ");

    types(&mut talk, &mut far);
    talk.next_stanza(&["<composing"]);
    talk.inside(&mut far, "BYE", "", "");
    talk.next_sip("SIP/2.0 200 ");
    talk.next_stanza(&["<gone"]);
    talk.pass(seconds(60));
    talk.nothing();
}

#[test]
fn whatever_else_comes_by_info_is_answered_and_says_nothing() {
    let mut talk = Talk::new();
    let mut far = talk.begun();
    alice(&mut talk, "active", "Hi");
    talk.bob_gets("Hi");
    for (kind, body, status) in [
        (
            "application/xml+conversationinfo",
            "<conversationinfo/>",
            200,
        ),
        ("application/xml", "<action name='x'/>", 200),
        ("application/xml", "no XML", 200),
        ("", "", 200),
        ("application/x-ms-mim", "RequestRM", 415),
        ("text/plain", "Hello", 415),
    ] {
        talk.inside(&mut far, "INFO", kind, body);
        talk.next_sip(&format!("SIP/2.0 {status} "));
        talk.nothing();
    }
}

#[test]
fn a_dialog_that_is_found_lost_by_typing_is_ended() {
    for status in [408, 480, 481] {
        let mut talk = Talk::new();
        talk.begun();
        alice(&mut talk, "composing", "");
        let info = talk.next_sip("INFO ");
        talk.hand_over(&info);
        talk.answer(&info, status);

        talk.next_sip("BYE ");
        talk.nothing();
        talk.alice_writes("m1", "one");
        talk.next_sip("INVITE ");
    }
}
