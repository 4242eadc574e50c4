//! Conversations from the first INVITE to BYE.

use crate::sip::invite::{Inside, Invited, Inviting, Progress, Session};
use crate::sip::tests::invite::{INVITE, answer_to, caller, read, sent_by, tag, terms};
use crate::sip::tests::with;
use crate::sip::{
    Answer, Branch, Draft, HeaderName, Message, Method, Request, Response, write_request,
    write_response,
};
use crate::text::Line;

const CONTACT: &str = "Contact: <sip:bob@sip.example;opaque=user:epid:X_1;gruu>\n";
const ROUTES: &str = "Record-Route: <sip:edge.sip.example;lr;ms-route-sig=aB%2f>;tag=1\n\
    Record-Route: <sip:pool.sip.example;lr>\n";

fn line(text: &str) -> Line {
    Line::parse(text).unwrap()
}

fn headers(draft: &Draft, name: HeaderName) -> Vec<&str> {
    let same = draft.headers.iter().filter(|(one, _)| *one == name);
    same.map(|(_, line)| line.as_str()).collect()
}

fn text() -> (Line, bytes::Bytes) {
    (line("text/plain;charset=UTF-8"), "hello".into())
}

/// An INVITE of ours and its 200.
fn calling() -> (Inviting, Draft) {
    let mut inviting = Inviting::new(caller());
    let sent_by = sent_by();
    let invite = inviting.request(&terms(&sent_by));
    (inviting, invite)
}

fn ok(invite: &Draft, tag: &str) -> Response {
    answer_to(
        invite,
        "z9hG4bK1",
        "200 OK",
        tag,
        &format!("{CONTACT}{ROUTES}"),
    )
}

fn established(inviting: &mut Inviting, invite: &Draft) -> (Session, Draft) {
    let progress = inviting.on_response(&ok(invite, "b1"));
    let Progress::Established(session, ack) = progress else {
        panic!("{progress:?}");
    };
    (*session, *ack)
}

/// The conversation that the INVITE makes, with its 200.
fn accepted(invite: &str) -> (Session, Response) {
    let sent_by = sent_by();
    let request = read(invite);
    let (session, answer) = Invited::accept(&request, tag(1), &terms(&sent_by)).unwrap();
    (session, written(&request, &answer))
}

fn written(request: &Request, answer: &Answer) -> Response {
    match Message::parse(write_response(request, answer)).unwrap() {
        Message::Response(response) => response,
        Message::Request(_) => panic!("a request"),
    }
}

/// A request of the peer in the dialog that the INVITE makes.
fn inside(method: &str, number: u32) -> String {
    let to = format!("To: <sip:alice@xmpp.example>;tag={}", tag(1));
    let text = with(
        INVITE,
        "INVITE sip:alice@xmpp.example",
        &format!("{method} sip:x@gw.xmpp.example"),
    );
    let text = with(&text, "CSeq: 7 INVITE", &format!("CSeq: {number} {method}"));
    with(&text, "To: <sip:alice@xmpp.example>", &to)
}

fn on(session: &mut Session, text: &str) -> Inside {
    let sent_by = sent_by();
    let request = read(text);
    assert!(session.is_for(&request), "{text}");
    session.on_request(&request, &terms(&sent_by))
}

fn status(inside: &Inside) -> u16 {
    match inside {
        Inside::Accepted(answer) | Inside::Answer(answer) => answer.status(),
        Inside::Ack | Inside::Bye | Inside::Ignored | Inside::Info | Inside::Message => 0,
    }
}

#[test]
fn an_invite_of_ours_says_who_asks_and_for_what() {
    let (_, invite) = calling();
    assert_eq!(invite.method, Method::Invite);
    assert_eq!(invite.uri.as_str(), "sip:bob@sip.example");
    let from = invite.from.to_string();
    let (tag, epid) = (tag(1), tag(1).epid());
    assert_eq!(
        from,
        format!("\"Alice\" <sip:alice@xmpp.example>;tag={tag};epid={epid}")
    );
    assert_eq!(invite.to.to_string(), "<sip:bob@sip.example>");
    let id = format!("{:032x}", 0x17);
    assert_eq!(
        headers(&invite, HeaderName::MsConversationId),
        [id.as_str()]
    );
    let contact = format!("<sip:{tag}@gw.xmpp.example:5061;transport=tls>");
    assert_eq!(headers(&invite, HeaderName::Contact), [contact.as_str()]);
    let body = str::from_utf8(&invite.body).unwrap();
    assert!(body.contains("m=message 5060 sip null\r\n"), "{body}");
    assert!(headers(&invite, HeaderName::Allow)[0].contains("UPDATE"));

    let branch = Branch::parse("z9hG4bK000000ab00070000000000000001").unwrap();
    let bytes = write_request(&invite, &sent_by(), branch);
    assert_eq!(Message::parse(bytes).unwrap().validate(), Ok(()));
}

#[test]
fn the_first_2xx_makes_the_conversation() {
    let (mut inviting, invite) = calling();
    for ringing in ["100 Trying", "101 Progress Report", "180 Ringing"] {
        let response = answer_to(&invite, "z9hG4bK1", ringing, "early", "");
        assert_eq!(inviting.on_response(&response), Progress::Ringing);
    }
    let (mut session, ack) = established(&mut inviting, &invite);

    let routes = [
        "<sip:pool.sip.example;lr>",
        "<sip:edge.sip.example;lr;ms-route-sig=aB%2f>;tag=1",
    ];
    assert_eq!((ack.method, ack.cseq), (Method::Ack, invite.cseq));
    assert_eq!(
        ack.uri.as_str(),
        "sip:bob@sip.example;opaque=user:epid:X_1;gruu"
    );
    assert_eq!(headers(&ack, HeaderName::Route), routes);
    assert!(ack.body.is_empty());

    let message = session.message(Vec::new(), text()).unwrap();
    assert_eq!(
        (message.method, message.cseq),
        (Method::Message, invite.cseq + 1)
    );
    assert_eq!(headers(&message, HeaderName::Route), routes);
    assert_eq!(headers(&message, HeaderName::Contact).len(), 0);
    assert_eq!(message.to.tag().unwrap().as_str(), "b1");
    assert_eq!(message.to.param("epid"), Some("46c4b2d3ac"));
    assert_eq!(message.from.param("epid"), Some(tag(1).epid().as_str()));
    assert_eq!(message.from, invite.from);
    assert_eq!(message.call_id, invite.call_id);
    let info = session.info(text()).unwrap();
    let bye = session.bye().unwrap();
    assert_eq!((info.method, info.cseq), (Method::Info, message.cseq + 1));
    assert_eq!((bye.method, bye.cseq), (Method::Bye, info.cseq + 1));
}

#[test]
fn a_repeated_2xx_gets_its_ack_again() {
    let (mut inviting, invite) = calling();
    let (_, ack) = established(&mut inviting, &invite);
    for _ in 0..3 {
        let again = inviting.on_response(&ok(&invite, "b1"));
        assert_eq!(again, Progress::Again(Box::new(ack.clone())));
    }
}

#[test]
fn another_endpoint_gets_ack_and_bye() {
    let (mut inviting, invite) = calling();
    established(&mut inviting, &invite);

    let other = inviting.on_response(&ok(&invite, "b2"));
    let Progress::Unwanted(ack, bye) = other else {
        panic!("{other:?}");
    };
    assert_eq!((ack.method, ack.cseq), (Method::Ack, invite.cseq));
    assert_eq!((bye.method, bye.cseq), (Method::Bye, invite.cseq + 1));
    for draft in [&ack, &bye] {
        assert_eq!(draft.to.tag().unwrap().as_str(), "b2");
        assert_eq!(headers(draft, HeaderName::Route).len(), 2);
    }
    // The first one goes on.
    let again = inviting.on_response(&ok(&invite, "b1"));
    assert!(matches!(again, Progress::Again(_)));
}

#[test]
fn a_2xx_that_crosses_cancel_is_not_wanted() {
    let (mut inviting, invite) = calling();
    inviting.cancel();
    assert!(matches!(
        inviting.on_response(&ok(&invite, "b1")),
        Progress::Unwanted(..)
    ));
    let gone = answer_to(&invite, "z9hG4bK1", "487 Request Terminated", "b1", "");
    assert_eq!(inviting.on_response(&gone), Progress::Refused);

    let (mut inviting, invite) = calling();
    established(&mut inviting, &invite);
    inviting.cancel();
    assert!(matches!(
        inviting.on_response(&ok(&invite, "b1")),
        Progress::Again(_)
    ));
}

#[test]
fn a_peer_of_rfc_2543_answers_without_a_tag() {
    let (mut inviting, invite) = calling();
    let progress = inviting.on_response(&ok(&invite, ""));
    let Progress::Established(_, ack) = progress else {
        panic!("{progress:?}");
    };
    assert_eq!(ack.to.tag(), None);
    assert!(matches!(
        inviting.on_response(&ok(&invite, "")),
        Progress::Again(_)
    ));
}

#[test]
fn a_2xx_without_a_usable_end_is_unusable() {
    let (mut inviting, invite) = calling();
    let odd = answer_to(
        &invite,
        "z9hG4bK1",
        "200 OK",
        "b1",
        "Contact: <tel:+1555>\n",
    );
    assert!(matches!(inviting.on_response(&odd), Progress::Unusable(_)));
    // Without Contact the address of the user is the target.
    let bare = answer_to(&invite, "z9hG4bK1", "200 OK", "b1", "");
    let Progress::Established(session, _) = inviting.on_response(&bare) else {
        panic!("not established");
    };
    assert_eq!(session.dialog().remote_target(), "sip:bob@sip.example");
}

#[test]
fn another_try_has_the_next_number() {
    let (mut inviting, first) = calling();
    let sent_by = sent_by();
    let second = inviting.request(&terms(&sent_by));
    assert_eq!((first.cseq, second.cseq), (1, 2));
    let (_, ack) = established(&mut inviting, &second);
    assert_eq!(ack.cseq, 2);
}

#[test]
fn an_invite_is_accepted_with_everything_it_needs() {
    let (mut session, ok) = accepted(INVITE);

    assert_eq!((ok.status(), ok.validate()), (200, Ok(())));
    let copied: Vec<_> = ok
        .all(HeaderName::RecordRoute)
        .map(|header| header.raw)
        .collect();
    let invite = read(INVITE);
    let came: Vec<_> = invite
        .all(HeaderName::RecordRoute)
        .map(|header| header.raw)
        .collect();
    assert_eq!(copied, came);
    let tag_text = tag(1).to_string();
    assert_eq!(ok.to().unwrap().tag().unwrap().as_str(), tag_text);
    assert_eq!(ok.to().unwrap().param("epid"), Some(tag(1).epid().as_str()));
    let contact = ok.contact().unwrap().unwrap();
    assert_eq!(contact.uri().host(), "gw.xmpp.example");
    assert!(ok.header(HeaderName::Allow).unwrap().raw.contains("INFO"));
    assert_eq!(ok.header(HeaderName::Supported), None);
    assert_eq!(
        ok.content_type().unwrap().unwrap().essence(),
        "application/sdp"
    );
    let body = str::from_utf8(ok.body()).unwrap();
    assert!(
        body.contains("m=message 5060 sip sip:alice@xmpp.example\r\n"),
        "{body}"
    );

    let message = session.message(Vec::new(), text()).unwrap();
    assert_eq!(
        headers(&message, HeaderName::Route),
        [
            "<sip:edge.sip.example:5061;transport=tls;opaque=state:T:F:Ci.R3f;lr;ms-route-sig=daf_MA>;tag=33080DF1",
            "<sip:pool.sip.example:5061;transport=tls;lr>",
            "<sip:fe.sip.example;lr>"
        ]
    );
    assert_eq!(message.to.tag().unwrap().as_str(), "9d5c2a38ba");
    assert_eq!(message.to.param("epid"), Some("b84a59c035"));
    assert_eq!(message.from.param("epid"), Some(tag(1).epid().as_str()));
    assert_eq!(message.call_id.as_str(), "ce878a8bc0ca4c76");
    assert!(session.accepts().takes("text/html"));
}

#[test]
fn an_endpoint_that_the_peer_names_is_kept() {
    let named = with(
        INVITE,
        "To: <sip:alice@xmpp.example>",
        "To: <sip:alice@xmpp.example>;epid=46c4b2d3ac",
    );
    let (mut session, ok) = accepted(&named);
    assert_eq!(ok.to().unwrap().param("epid"), Some("46c4b2d3ac"));
    let bye = session.bye().unwrap();
    assert_eq!(bye.from.param("epid"), Some("46c4b2d3ac"));
}

#[test]
fn consuming_the_first_message_is_announced() {
    let sent_by = sent_by();
    let mut terms = terms(&sent_by);
    terms.took_first = true;
    terms.epid = false;
    let request = read(INVITE);
    let (_, answer) = Invited::accept(&request, tag(1), &terms).unwrap();
    let ok = written(&request, &answer);
    let supported: Vec<_> = ok.values(HeaderName::Supported).collect();
    assert_eq!(supported, ["ms-text-format", "ms-embedded-first-message"]);
    assert_eq!(ok.to().unwrap().param("epid"), None);
}

#[test]
fn requests_of_the_peer_are_told_apart() {
    let (mut session, _) = accepted(INVITE);
    assert_eq!(on(&mut session, &inside("ACK", 7)), Inside::Ack);
    assert_eq!(on(&mut session, &inside("ACK", 6)), Inside::Ignored);
    assert_eq!(on(&mut session, &inside("MESSAGE", 8)), Inside::Message);
    assert_eq!(on(&mut session, &inside("INFO", 9)), Inside::Info);
    for (method, number, expected) in [
        ("OPTIONS", 10, 200),
        ("PRACK", 11, 481),
        ("CANCEL", 11, 481),
        ("REFER", 12, 405),
        ("SUBSCRIBE", 13, 405),
        ("SERVICE", 14, 405),
    ] {
        let inside = on(&mut session, &inside(method, number));
        assert_eq!(status(&inside), expected, "{method}");
    }
    assert_eq!(on(&mut session, &inside("BENOTIFY", 15)), Inside::Ignored);
    assert_eq!(on(&mut session, &inside("BYE", 16)), Inside::Bye);
}

#[test]
fn an_overtaken_message_is_taken_once_and_a_repeated_number_never() {
    let (mut session, _) = accepted(INVITE);
    let mut message = |number| match on(&mut session, &inside("MESSAGE", number)) {
        Inside::Message => 200,
        Inside::Answer(answer) => answer.status(),
        Inside::Accepted(_) | Inside::Ack | Inside::Bye | Inside::Ignored | Inside::Info => 0,
    };
    let heard = [10, 9, 9, 8, 10, 7, 6, 12, 11, 11, 60, 59, 13, 28, 27].map(&mut message);
    assert_eq!(
        heard,
        [
            200, 200, 500, 200, 500, 500, 500, 200, 200, 500, 200, 200, 500, 200, 500
        ]
    );
    // What would refresh the dialog says nothing any more.
    let target = session.remote_target();
    let late = with(
        &inside("UPDATE", 58),
        "<sip:bob@sip.example;opaque",
        "<sip:old@sip.example;opaque",
    );
    assert_eq!(status(&on(&mut session, &late)), 200);
    assert_eq!(session.remote_target(), target);
    assert_eq!(status(&on(&mut session, &late)), 500);
    assert_eq!(status(&on(&mut session, &inside("INVITE", 57))), 500);
    // The end is the end.
    assert_eq!(on(&mut session, &inside("BYE", 3)), Inside::Bye);
}

#[test]
fn a_re_invite_gets_the_same_description() {
    let (mut session, first) = accepted(INVITE);
    let again = inside("INVITE", 8);
    let Inside::Accepted(answer) = on(&mut session, &again) else {
        panic!("not accepted");
    };
    let second = written(&read(&again), &answer);
    assert_eq!((second.status(), second.body()), (200, first.body()));
    assert_eq!(on(&mut session, &inside("ACK", 7)), Inside::Ignored);
    assert_eq!(on(&mut session, &inside("ACK", 8)), Inside::Ack);

    let (head, _) = again.split_once("\n\n").unwrap();
    let bare = with(&format!("{head}\n\n"), "CSeq: 8", "CSeq: 9");
    let bare = with(&bare, "Content-Type: application/sdp;call-type=im\n", "");
    let Inside::Accepted(answer) = on(&mut session, &bare) else {
        panic!("not accepted");
    };
    let offer = written(&read(&bare), &answer);
    assert!(
        str::from_utf8(offer.body())
            .unwrap()
            .contains("m=message 5060 sip null")
    );
}

#[test]
fn media_that_are_added_are_refused_and_the_conversation_goes_on() {
    let (mut session, _) = accepted(INVITE);
    let call = |method, number| {
        let text = inside(method, number);
        with(
            &text,
            "m=message 5060 sip null",
            "m=message 5060 sip null\nm=audio 4000 RTP/AVP 0",
        )
    };
    assert_eq!(status(&on(&mut session, &call("INVITE", 8))), 488);
    assert_eq!(status(&on(&mut session, &call("UPDATE", 9))), 488);
    let only = with(
        &inside("INVITE", 10),
        "m=message 5060 sip null",
        "m=audio 4000 RTP/AVP 0",
    );
    assert_eq!(status(&on(&mut session, &only)), 488);
    assert_eq!(on(&mut session, &inside("ACK", 7)), Inside::Ack);
    assert_eq!(on(&mut session, &inside("MESSAGE", 11)), Inside::Message);
    // A stream that is off adds nothing.
    let off = with(
        &inside("INVITE", 12),
        "m=message 5060 sip null",
        "m=audio 0 RTP/AVP 0\nm=message 5060 sip null",
    );
    assert_eq!(status(&on(&mut session, &off)), 200);
}

#[test]
fn update_is_answered_with_or_without_a_description() {
    let (mut session, first) = accepted(INVITE);
    let update = inside("UPDATE", 8);
    let Inside::Answer(answer) = on(&mut session, &update) else {
        panic!("no answer");
    };
    let with_sdp = written(&read(&update), &answer);
    assert_eq!((with_sdp.status(), with_sdp.body()), (200, first.body()));

    let (head, _) = update.split_once("\n\n").unwrap();
    let bare = with(&format!("{head}\n\n"), "CSeq: 8", "CSeq: 9");
    let bare = with(&bare, "Content-Type: application/sdp;call-type=im\n", "");
    let Inside::Answer(answer) = on(&mut session, &bare) else {
        panic!("no answer");
    };
    let without = written(&read(&bare), &answer);
    assert_eq!((without.status(), without.body().len()), (200, 0));
    assert!(without.contact().unwrap().is_some());
}

#[test]
fn session_timers_are_the_peers_affair() {
    let (mut session, _) = accepted(INVITE);
    for (method, number) in [("INVITE", 8), ("UPDATE", 9)] {
        let expires = |require: &str| {
            let more = format!("Max-Forwards: 69\nSession-Expires: 1800;refresher=uas{require}");
            with(&inside(method, number), "Max-Forwards: 69", &more)
        };
        let text = expires("");
        let taken = on(&mut session, &text);
        let (Inside::Accepted(answer) | Inside::Answer(answer)) = taken else {
            panic!("{taken:?}");
        };
        let ok = written(&read(&text), &answer);
        assert_eq!(
            (ok.status(), ok.header(HeaderName::SessionExpires)),
            (200, None)
        );
    }
    let required = with(
        &inside("UPDATE", 10),
        "Max-Forwards: 69",
        "Max-Forwards: 69\nx: 1800\nRequire: timer",
    );
    let Inside::Answer(answer) = on(&mut session, &required) else {
        panic!("no answer");
    };
    let ok = written(&read(&required), &answer);
    let expires = ok.header(HeaderName::SessionExpires).unwrap();
    assert_eq!(expires.raw, "1800;refresher=uac");
    assert!(ok.values(HeaderName::Require).eq(["timer"]));
}

#[test]
fn target_and_routes_follow_the_peer() {
    let moved = |text: &str| {
        let text = with(
            text,
            "opaque=user:epid:hYnsEUpJhlGc0T-xd_I7vAAA",
            "opaque=user:epid:moved",
        );
        with(
            &text,
            "<sip:pool.sip.example:5061;transport=tls;lr>",
            "<sip:pool2.sip.example;lr>",
        )
    };
    let route = |session: &mut Session| {
        let bye = session.bye().unwrap();
        let routes = headers(&bye, HeaderName::Route).join(" ");
        (bye.uri.as_str().contains("moved"), routes.contains("pool2"))
    };
    for (method, target, routes) in [
        ("INVITE", true, true),
        ("UPDATE", true, true),
        ("MESSAGE", false, false),
    ] {
        let (mut session, _) = accepted(INVITE);
        on(&mut session, &moved(&inside(method, 8)));
        assert_eq!(route(&mut session), (target, routes), "{method}");
    }
    // Who does not say so keeps the route set (RFC 3261 section 12.2).
    let plain = |text: &str| with(text, "Supported: ms-dialog-route-set-update\n", "");
    let (mut session, _) = accepted(&plain(INVITE));
    on(&mut session, &moved(&plain(&inside("INVITE", 8))));
    assert_eq!(route(&mut session), (true, false));
}

#[test]
fn a_dialog_is_its_call_id_and_tags() {
    let (session, _) = accepted(INVITE);
    let ours = inside("MESSAGE", 8);
    assert!(session.is_for(&read(&ours)));
    let moved = with(
        &ours,
        "<sip:bob@sip.example>;tag",
        "<sip:bob@other.example>;tag",
    );
    assert!(session.is_for(&read(&moved)));
    for (old, new) in [
        ("ce878a8bc0ca4c76", "other"),
        ("tag=9d5c2a38ba", "tag=9d5c2a38bb"),
    ] {
        assert!(!session.is_for(&read(&with(&ours, old, new))), "{new}");
    }
}
