//! Typing and receipts.

use super::lab::{AFTER_TIMER_F, Lab, message, seconds, text_of};
use crate::model::{Accept, SipProfile};
use crate::shard::{Class, Lapse};

const COMPOSING: &str = "application/im-iscomposing+xml";

fn cpim() -> Lab {
    let sip = SipProfile {
        cpim: true,
        page_limit: 4_000,
        ..SipProfile::default()
    };
    Lab::with(Accept::Barrier, sip)
}

fn chat_state(lab: &mut Lab, state: &str) -> u64 {
    lab.stanza(&format!(
        "<message from='alice@xmpp.example/balcony' to='bob@sip.example' type='chat'>\
         <{state} xmlns='http://jabber.org/protocol/chatstates'/></message>"
    ))
}

/// A chat message with a chat state, delivered.
fn chat(lab: &mut Lab, id: &str) {
    lab.stanza(&format!(
        "<message from='alice@xmpp.example/balcony' to='bob@sip.example' type='chat' id='{id}'>\
         <body>Hi</body><active xmlns='http://jabber.org/protocol/chatstates'/></message>"
    ));
    let sent = lab.next_sip("MESSAGE");
    lab.answer(&sent, 200);
}

fn bob_types(lab: &mut Lab, branch: &str, state: &str) {
    let body = format!(
        "<isComposing xmlns='urn:ietf:params:xml:ns:im-iscomposing'><state>{state}</state>\
         <refresh>90</refresh></isComposing>"
    );
    lab.request(&message(branch, "alice@xmpp.example", COMPOSING, &body));
    lab.next_sip("SIP/2.0 200 ");
}

#[test]
fn typing_is_told_only_in_an_open_conversation() {
    let mut lab = Lab::new();
    let number = chat_state(&mut lab, "composing");
    lab.nothing();
    assert!(lab.is_settled(number));

    chat(&mut lab, "m1");
    chat_state(&mut lab, "composing");

    let typing = lab.next_sip("MESSAGE");
    assert_eq!(typing.class, Class::Typing);
    assert!(text_of(&typing).contains("<state>active</state>"));
    lab.answer(&typing, 200);
    chat_state(&mut lab, "composing");
    lab.nothing();
    chat_state(&mut lab, "paused");
    assert!(text_of(&lab.next()).contains("<state>idle</state>"));
}

#[test]
fn typing_never_delays_content() {
    let mut lab = Lab::new();
    chat(&mut lab, "m1");
    chat_state(&mut lab, "composing");
    let typing = lab.next_sip("MESSAGE");

    lab.alice_writes("m2", "content");

    let content = lab.next_sip("MESSAGE");
    assert!(text_of(&content).ends_with("content"));
    chat_state(&mut lab, "composing");
    chat_state(&mut lab, "paused");
    lab.answer(&typing, 200);
    lab.answer(&content, 200);
    lab.nothing();
}

#[test]
fn superseded_typing_is_dropped_and_the_last_state_sent() {
    let mut lab = Lab::new();
    chat(&mut lab, "m1");
    lab.alice_writes("m2", "content");
    let content = lab.next_sip("MESSAGE");
    for state in ["composing", "paused", "composing"] {
        chat_state(&mut lab, state);
    }
    lab.nothing();

    lab.answer(&content, 200);

    assert!(text_of(&lab.next()).contains("<state>active</state>"));
    lab.nothing();
}

#[test]
fn typing_is_repeated_every_minute_five_times() {
    let mut lab = Lab::new();
    chat(&mut lab, "m1");
    chat_state(&mut lab, "composing");
    let mut told = 0;
    for _ in 0..8 {
        if let Some(typing) = lab.try_next() {
            told += 1;
            lab.answer(&typing, 200);
        }
        lab.pass(seconds(60));
    }

    assert_eq!(told, 6);
}

#[test]
fn typing_is_never_bounced() {
    let mut lab = Lab::new();
    chat(&mut lab, "m1");
    for outcome in 0..4 {
        chat_state(&mut lab, "composing");
        let typing = lab.next_sip("MESSAGE");
        match outcome {
            0 => lab.answer(&typing, 404),
            1 => lab.give_back(&typing, Lapse::Replaced),
            2 => lab.lose(&typing),
            _ => {
                lab.hand_over(&typing);
                lab.pass(AFTER_TIMER_F);
            }
        }
        lab.nothing();
        chat(&mut lab, &format!("more-{outcome}"));
    }
}

#[test]
fn a_415_ends_typing_for_the_user() {
    let mut lab = Lab::new();
    chat(&mut lab, "m1");
    chat_state(&mut lab, "composing");
    let typing = lab.next();
    lab.answer(&typing, 415);

    chat_state(&mut lab, "paused");
    chat_state(&mut lab, "composing");

    lab.nothing();
}

#[test]
fn is_composing_reaches_only_clients_that_send_chat_states() {
    let mut lab = Lab::new();
    bob_types(&mut lab, "1", "active");
    lab.nothing();
    lab.alice_writes("m1", "no state");
    let sent = lab.next();
    lab.answer(&sent, 200);
    bob_types(&mut lab, "2", "active");
    lab.nothing();

    chat(&mut lab, "m2");
    bob_types(&mut lab, "3", "active");

    lab.next_stanza(&[
        "<composing",
        "to=\"alice@xmpp.example/balcony\"",
        "type=\"chat\"",
    ]);
    bob_types(&mut lab, "4", "active");
    lab.nothing();
    bob_types(&mut lab, "5", "idle");
    lab.next_stanza(&["<active"]);
}

#[test]
fn is_composing_lapses_after_its_refresh() {
    let mut lab = Lab::new();
    chat(&mut lab, "m1");
    bob_types(&mut lab, "1", "active");
    lab.next_stanza(&["<composing"]);

    lab.pass(seconds(60));
    bob_types(&mut lab, "2", "active");
    lab.pass(seconds(60));
    lab.nothing();
    lab.pass(seconds(31));

    lab.next_stanza(&["<active"]);
    lab.nothing();
}

#[test]
fn content_ends_typing_of_the_sip_user() {
    let mut lab = Lab::new();
    chat(&mut lab, "m1");
    bob_types(&mut lab, "1", "active");
    lab.next_stanza(&["<composing"]);

    lab.bob_writes("2", "Hello");

    lab.next_stanza(&["<body>Hello</body>", "<active"]);
    lab.pass(seconds(6));
    lab.next_sip("SIP/2.0 100 ");
    lab.nothing();
}

#[test]
fn receipts_of_the_sip_user_reach_the_device_that_asked() {
    let mut lab = cpim();
    lab.stanza(
        "<message from='alice@xmpp.example/pda' to='bob@sip.example' id='orig-1'>\
         <body>Hello</body><request xmlns='urn:xmpp:receipts'/></message>",
    );
    let sent = lab.next_sip("MESSAGE");
    lab.answer(&sent, 200);
    lab.nothing();
    let text = text_of(&sent);
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("imdn.Message-ID: "));
    let id = line.unwrap().to_owned();

    let receipt = |id: &str| {
        format!(
            "From: <sip:bob@sip.example>\r\nTo: <sip:alice@xmpp.example>\r\n\
             NS: imdn <urn:ietf:params:imdn>\r\nimdn.Message-ID: r-1\r\n\r\n\
             Content-Type: message/imdn+xml\r\nContent-Disposition: notification\r\n\r\n\
             <imdn xmlns='urn:ietf:params:xml:ns:imdn'><message-id>{id}</message-id>\
             <datetime>2027-01-15T08:00:00Z</datetime><delivery-notification><status><delivered/>\
             </status></delivery-notification></imdn>"
        )
    };
    lab.request(&message(
        "1",
        "alice@xmpp.example",
        "message/cpim",
        &receipt(&id),
    ));
    lab.next_sip("SIP/2.0 200 ");
    lab.next_stanza(&[
        "to=\"alice@xmpp.example/pda\"",
        "<received",
        "id=\"orig-1\"",
    ]);
    lab.request(&message(
        "2",
        "alice@xmpp.example",
        "message/cpim",
        &receipt(&id),
    ));
    lab.next_sip("SIP/2.0 200 ");
    lab.request(&message(
        "3",
        "alice@xmpp.example",
        "message/cpim",
        &receipt("other"),
    ));
    lab.next_sip("SIP/2.0 200 ");
    lab.nothing();
}

#[test]
fn receipts_of_the_xmpp_user_are_given_where_asked_for_and_only_if_he_wrote() {
    let mut lab = cpim();
    let body = "From: <sip:bob@sip.example>\r\nTo: <sip:alice@xmpp.example>\r\n\
         NS: imdn <urn:ietf:params:imdn>\r\nimdn.Message-ID: id-1\r\n\
         DateTime: 2027-01-15T08:00:00Z\r\n\
         imdn.Disposition-Notification: positive-delivery, display\r\n\r\n\
         Content-Type: text/plain\r\n\r\nHello";
    lab.request(&message("1", "alice@xmpp.example", "message/cpim", body));
    let stanza = lab.next_stanza(&["id=\"id-1\"", "<request", "<markable"]);
    lab.hand_over(&stanza);
    lab.next_sip("SIP/2.0 200 ");
    let received = "<message from='alice@xmpp.example/balcony' to='bob@sip.example'>\
         <received xmlns='urn:xmpp:receipts' id='id-1'/></message>";
    lab.stanza(received);
    lab.nothing();

    lab.alice_writes("m1", "Hi");
    let sent = lab.next();
    lab.answer(&sent, 200);
    lab.stanza(received);

    let report = text_of(&lab.next_sip("MESSAGE"));
    assert!(report.contains("<message-id>id-1</message-id>"), "{report}");
    assert!(report.contains("<delivered/>"), "{report}");
    lab.stanza(received);
    lab.nothing();
}
