//! Requests inside dialogs, of those that are known and of others.

use super::lab::{seconds, text_of};
use super::session_lab::{Far, Talk, media, value};

#[test]
fn requests_of_unknown_dialogs_are_answered_481() {
    let mut talk = Talk::new();
    let mut far = talk.begun();
    for wrong in [
        Far {
            his: "other".to_owned(),
            ..far.clone()
        },
        Far {
            call_id: "other".to_owned(),
            ..far.clone()
        },
        Far {
            ours: "abc".to_owned(),
            ..far.clone()
        },
        Far {
            ours: far.ours.replace(|c: char| c.is_ascii_digit(), "1"),
            ..far.clone()
        },
    ] {
        for method in ["MESSAGE", "INFO", "BYE", "UPDATE", "INVITE"] {
            let mut wrong = wrong.clone();
            talk.inside(&mut wrong, method, "text/plain", "Hello");
            talk.next_sip("SIP/2.0 481 ");
            talk.nothing();
        }
    }
    far.cseq = 9;
    talk.bob_says_and_alice_has(&mut far, "Hello");
}

#[test]
fn an_open_dialog_answers_what_refreshes_it() {
    let mut talk = Talk::new();
    let mut far = talk.invited("1", None);
    let sdp = media("m=message 5060 sip null");

    talk.inside(&mut far, "UPDATE", "", "");
    talk.next_sip("SIP/2.0 200 ");
    talk.inside(&mut far, "INVITE", "application/sdp", &sdp);
    let answer = talk.next_sip("SIP/2.0 200 ");
    assert!(text_of(&answer).contains("m=message"));
    let ack = far.request("ACK", 3, "reack", "", "");
    talk.request(&ack);
    talk.pass(seconds(40));
    talk.nothing();
    let audio = media("m=message 5060 sip null\r\nm=audio 5000 RTP/AVP 0");
    talk.inside(&mut far, "INVITE", "application/sdp", &audio);
    talk.next_sip("SIP/2.0 488 ");
    talk.next_stanza(&["tried to call"]);
    talk.bob_says_and_alice_has(&mut far, "still here");
    talk.nothing();
}

#[test]
fn a_generic_peer_is_talked_to_in_its_dialogs_and_else_in_page_mode() {
    let mut talk = Talk::generic();
    talk.alice_writes("m0", "page");
    let page = talk.next_sip("MESSAGE sip:bob@sip.example SIP/2.0\r\n");
    talk.hand_over(&page);
    talk.answer(&page, 200);

    let mut far = talk.invited("1", None);
    talk.bob_says_and_alice_has(&mut far, "Hello");
    talk.alice_writes("m1", "in it");
    talk.bob_gets("in it");
    talk.alice_writes("m2", "again");
    let message = talk.next_sip("MESSAGE ");
    talk.hand_over(&message);
    talk.answer(&message, 481);
    talk.next_sip("BYE ");
    let page = talk.next_sip("MESSAGE sip:bob@sip.example SIP/2.0\r\n");
    assert!(text_of(&page).ends_with("again"));
    assert!(!value(&page, "To").contains("tag="));
    talk.hand_over(&page);
    talk.answer(&page, 200);
    talk.bob_writes("9", "page too");
    talk.next_stanza(&["<body>page too</body>"]);
}
