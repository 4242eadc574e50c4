//! What a connection of a Microsoft server is answered without asking anybody.

use crate::model::Microsoft;
use crate::model::microsoft::Negotiate;
use crate::sip::sdp::{Media, Offer};
use crate::sip::tests::hop::{Lab, method};
use crate::sip::tests::{MESSAGE, crlf, with};
use crate::sip::{HeaderName, HopEvent, Response, judge};

const NEGOTIATE: &str = "NEGOTIATE sip:192.0.2.1:5061 SIP/2.0\n\
    Via: SIP/2.0/TLS 192.0.2.2:2616\n\
    CSeq: 1 NEGOTIATE\n\
    Call-ID: 8d8b20f87c9c4221a732f3a70f57e9b8\n\
    From: <sip:192.0.2.2>;tag=984721fb59b64e45b469c91aba8a9f8f\n\
    To: <sip:192.0.2.1>\n\
    Compression: LZ77-8K\n\
    Max-Forwards: 0\n\
    Content-Length: 0\n\n";

fn lab() -> Lab {
    Lab::microsoft(Microsoft::default())
}

fn value(response: &Response, id: HeaderName) -> Option<String> {
    response.header(id).map(|header| header.text())
}

#[test]
fn compression_is_declined_at_once_and_the_connection_goes_on() {
    let plain = Microsoft {
        negotiate: Negotiate::Plain,
        ..Microsoft::default()
    };
    for (switches, status) in [(Microsoft::default(), 405), (plain, 200)] {
        let mut lab = Lab::microsoft(switches);
        let response = lab.answer(NEGOTIATE);

        assert_eq!(response.status(), status);
        assert_eq!(response.validate(), Ok(()));
        assert!(response.extension("Compression").is_none());
        assert_eq!(value(&response, HeaderName::Allow).is_some(), status == 405);
        let next = lab.receive(MESSAGE).events;
        assert!(
            matches!(next.as_slice(), [HopEvent::Request(_)]),
            "{next:?}"
        );
    }
}

#[test]
fn options_of_a_host_or_address_are_answered_whatever_their_from_says() {
    let options = with(&method("OPTIONS"), "Max-Forwards: 70", "Max-Forwards: 0");
    for from in [
        "<sip:edge.elsewhere.example>;tag=1",
        "<sip:192.0.2.2>;tag=1",
        "sip:edge:5061",
    ] {
        let options = with(&options, "\"Bob\" <sip:bob@sip.example>;tag=b1", from);
        let options = with(&options, ";branch=z9hG4bK77a1", "");

        let response = lab().answer(&options);
        assert_eq!(response.status(), 200, "{from}");
        let offer = Offer::read(response.body());
        assert!(offer.has(Media::Message) && !offer.has_more(), "{from}");
    }
}

#[test]
fn two_extensions_are_refused_and_no_other() {
    let requiring = |method_name: &str, tags: &str| {
        let require = format!("Max-Forwards: 70\nRequire: {tags}");
        with(&method(method_name), "Max-Forwards: 70", &require)
    };
    for tags in ["adhoclist", "categoryList, AdHocList"] {
        let response = lab().answer(&requiring("MESSAGE", tags));
        assert_eq!(response.status(), 420);
        let unsupported = value(&response, HeaderName::Unsupported).unwrap();
        assert!(
            unsupported.eq_ignore_ascii_case("adhoclist"),
            "{unsupported}"
        );
    }
    let multiparty = "com.microsoft.rtc-multiparty";
    assert_eq!(
        lab().answer(&requiring("MESSAGE", multiparty)).status(),
        420
    );
    for (name, tags) in [
        ("MESSAGE", "eventlist, categoryList"),
        ("MESSAGE", "ms-something-new"),
        // The user is told of such an invitation.
        ("INVITE", multiparty),
    ] {
        let events = lab().receive(&requiring(name, tags)).events;
        assert!(
            matches!(events.as_slice(), [HopEvent::Request(_)]),
            "{tags}"
        );
    }
    // A peer that keeps to the standards requires what it says.
    assert_eq!(
        Lab::new()
            .answer(&requiring("MESSAGE", "eventlist"))
            .status(),
        420
    );
}

#[test]
fn a_body_of_what_an_edge_may_send_is_read_or_refused_and_the_connection_goes_on() {
    let with_body = |octets: usize| {
        let message = with(
            MESSAGE,
            "Content-Length: 5",
            &format!("Content-Length: {octets}"),
        );
        with(&message, "hello", &"x".repeat(octets))
    };
    let taken = lab().receive(&with_body(256 * 1_024)).events;
    assert!(matches!(taken.as_slice(), [HopEvent::Request(_)]));

    for (mut lab, status) in [(lab(), 413), (Lab::new(), 513)] {
        assert_eq!(lab.answer(&with_body(5_000 * 1_024)).status(), status);
        let next = lab.receive(MESSAGE).events;
        assert!(matches!(next.as_slice(), [HopEvent::Request(_)]));
    }
}

#[test]
fn a_method_that_is_not_taken_is_no_fault_of_ours() {
    assert_eq!(lab().answer(&method("SERVICE")).status(), 405);
    assert_eq!(lab().answer(&method("REGISTER")).status(), 405);
    assert_eq!(Lab::new().answer(&method("SERVICE")).status(), 501);
}

#[test]
fn what_an_edge_says_of_the_sender_is_taken_off() {
    let headers = "Max-Forwards: 70\n\
        ms-edge-proxy-message-trust: ms-source-type=AuthorizedServer;ms-ep-fqdn=x\n\
        MS-Split-Domain-Info: ms-traffic-type=SplitIntra\n\
        ms-user-data: ms-publiccloud=true;ms-federation=true\n\
        ms-asserted-verification-level: ms-source-verified-user=verified\n\
        ms-keep-alive: UAC;hop-hop=yes";
    let request = with(MESSAGE, "Max-Forwards: 70", headers);

    let events = lab().receive(&request).events;

    let [HopEvent::Request(request)] = events.as_slice() else {
        panic!("{events:?}");
    };
    let names: Vec<&str> = request.headers().map(|header| header.name).collect();
    assert!(names.contains(&"ms-keep-alive"));
    assert_eq!(names.len(), 9, "{names:?}");
    let answer = lab().answer(&with(&method("REFER"), "Max-Forwards: 70", headers));
    let leaked = answer
        .headers()
        .find(|header| header.name.starts_with("ms-") && header.id != HeaderName::MsDiagnostics);
    assert!(leaked.is_none(), "{leaked:?}");
}

#[test]
fn a_first_message_in_three_forms_may_make_a_head_long() {
    let header = |octets: usize| format!("ms-im-format: text/rtf; ms-body={}", "e".repeat(octets));
    let of = |octets: usize| with(MESSAGE, "Max-Forwards: 70", &header(octets));
    for octets in [9_000, 25_000, 45_000] {
        let events = lab().receive(&of(octets)).events;
        assert!(
            matches!(events.as_slice(), [HopEvent::Request(_)]),
            "{octets}: {events:?}"
        );
        assert!(Lab::new().receive(&of(octets)).close.is_some());
    }
    let halves = [header(25_000), header(25_000)].join("\n");
    let events = lab().receive(&with(MESSAGE, "Max-Forwards: 70", &halves));
    assert!(matches!(events.events.as_slice(), [HopEvent::Request(_)]));
    assert!(lab().receive(&of(50_000)).close.is_some());
    let endless = vec![header(25_000); 3].join("\n");
    let lost = lab().receive(&with(MESSAGE, "Max-Forwards: 70", &endless));
    assert!(lost.close.is_some());
}

/// A SUBSCRIBE as a client sends it through its servers (W 07, 08, 10, 13).
const SUBSCRIBE: &str = include_str!("../../../shapes/subscribe-through-an-edge.sip");

#[test]
fn nothing_that_a_client_writes_into_a_subscribe_makes_it_a_bad_request() {
    let shapes = [
        include_str!("../../../shapes/subscribe-behind-maddr.sip"),
        include_str!("../../../shapes/subscribe-to-a-list.sip"),
        SUBSCRIBE,
    ];
    let spoken = [
        ("Event: presence", "EVENT:presence"),
        ("Event: presence", "o: presence"),
        ("Event: presence", "Event :\tpresence "),
        ("Event: presence", "Event:\n presence"),
        ("Event: presence", "Event: presence;"),
        ("Event: presence", "Event: presence ; id=\"1\"; x"),
        ("Event: presence", "Event: presence;id=1,2"),
        ("Event: presence", "Event: presence;id="),
        ("Expires: 28800", "EXPIRES:0"),
        ("Expires: 28800", "Expires:"),
        ("Expires: 28800\n", ""),
        ("Max-Forwards: 68\n", ""),
        ("Accept: ", "Accept: */*;q=0.1,,"),
        (
            "Supported: ms-benotify\n",
            "Supported:\nk: ms-benotify, ,x\n",
        ),
        ("Proxy-Require: ms-benotify", "Proxy-Require: ms-benotify,"),
        ("Require: categoryList", "Require:"),
        (
            ";gruu>",
            ";gruu>;proxy=replace;+sip.instance=\"<urn:uuid:1>\"",
        ),
        ("Contact: <sip:", "m: \"\" <SIP:"),
        ("\"Romeo Montague\"<", "<"),
        ("\"Romeo Montague\"<", "\"Romeo, \\\"R\\\" \u{df}\"<"),
        (
            ";tag=3fa9c1d20b;epid=9c0ffee1aa",
            ";epid=9c0ffee1aa;tag=3fa9c1d20b",
        ),
        (";branch=z9hG4bK1F2E3D4C.A1B2C3D4", ""),
    ];
    let crlf = |text: &str| text.replace("\r\n", "\n");
    for shape in shapes {
        let events = lab().receive(&crlf(shape)).events;
        assert!(
            matches!(events.as_slice(), [HopEvent::Request(_)]) || shape.contains("adhoclist"),
            "{shape}: {events:?}"
        );
    }
    for (old, new) in spoken {
        let events = lab().receive(&with(&crlf(SUBSCRIBE), old, new)).events;
        let [HopEvent::Request(request)] = events.as_slice() else {
            panic!("{new}: {events:?}");
        };
        assert!(request.event().unwrap().unwrap().is_presence(), "{new}");
    }
}

#[test]
fn a_refresh_without_a_package_is_for_that_of_its_dialog() {
    let ours = "To: <sip:juliet@xmpp.example>;tag=0123456789abcdef0123456789abcdef";
    let subscribe = SUBSCRIBE.replace("\r\n", "\n");
    let inside = with(&subscribe, "To: <sip:juliet@xmpp.example>", ours);
    for event in ["", "Event:\n"] {
        let inside = with(&inside, "Event: presence\n", event);
        let events = lab().receive(&inside).events;
        assert!(
            matches!(events.as_slice(), [HopEvent::Request(_)]),
            "{events:?}"
        );
        assert_eq!(Lab::new().answer(&inside).status(), 489);
        let outside = with(&subscribe, "Event: presence\n", event);
        assert_eq!(lab().answer(&outside).status(), 489);
    }
}

#[test]
fn a_subscribe_that_cannot_be_read_is_refused_with_our_reason() {
    let subscribe = SUBSCRIBE.replace("\r\n", "\n");
    for (old, new) in [
        ("Event: presence", "Event: ;id=1"),
        ("Event: presence", "Event: presence presence"),
        ("Event: presence", "Event: presence\nEvent: presence"),
        ("CSeq: 1 SUBSCRIBE", "CSeq: 1 NOTIFY"),
        ("Expires: 28800", "Expires: soon"),
        ("Call-ID: ", "Call-ID: a\nCall-ID: "),
        ("From: ", "From: <sip:a@b.example>;tag=1\nFrom: "),
        (";gruu>", ";gruu"),
    ] {
        let refused = lab().answer(&with(&subscribe, old, new));
        assert_eq!(refused.status(), 400, "{new}");
        let reason = value(&refused, HeaderName::MsDiagnostics);
        assert!(
            reason.is_some_and(|reason| reason.starts_with("65001;reason=")),
            "{new}"
        );
    }
}

#[test]
fn what_a_server_leaves_empty_it_did_not_say() {
    for (old, new) in [
        ("Max-Forwards: 70", "Max-Forwards:"),
        ("Max-Forwards: 70", "Max-Forwards: 70\nContact:\nDate: "),
        ("Max-Forwards: 70", "P-Asserted-Identity: \r\n \nExpires:"),
        ("Max-Forwards: 70", "Record-Route:\nRoute:\nSubject:"),
        ("Max-Forwards: 70", "Content-Type:\nSupported:\nRequire:"),
        (";tag=b1", ";epid=;tag=b1"),
        (";tag=b1", ";tag=b1;epid="),
        (
            ";branch=z9hG4bK77a1",
            ";received=;branch=z9hG4bK77a1;ms-received-port=",
        ),
    ] {
        let message = with(MESSAGE, old, new).replace("\r\n", "\n");
        let message = match new.contains("Content-Type") {
            true => message.replace("Content-Type: text/plain\n", ""),
            false => message,
        };
        let events = lab().receive(&message).events;
        let [HopEvent::Request(request)] = events.as_slice() else {
            panic!("{new}: {events:?}");
        };
        assert!(
            request.contact().is_ok_and(|contact| contact.is_none()),
            "{new}"
        );
        assert_eq!(request.from().unwrap().tag().unwrap().as_str(), "b1");
    }
    for (old, new) in [
        ("Call-ID: c1@sip.example", "Call-ID:"),
        (";tag=b1", ";tag="),
        (";branch=z9hG4bK77a1", ";branch="),
        ("CSeq: 7 MESSAGE", "CSeq: "),
    ] {
        assert_eq!(
            lab().answer(&with(MESSAGE, old, new)).status(),
            400,
            "{new}"
        );
    }
}

#[test]
fn parameters_of_routes_hold_what_servers_put_into_them() {
    for route in [
        "<sip:edge.sip.example:5061;transport=tls;ms-identity=bob@sip.example;lr>",
        "<sip:pool@edge.sip.example;ms-identity=bob@sip.example;lr;x={1F0F-6D11}>;tag=1",
        "<sip:edge.sip.example;grid=7dab^6e#34`;lr;ms-role-rs-to;ms-ent-dest>;ms-rrsig=Z@z.9;tag=1",
    ] {
        let new = format!("Max-Forwards: 70\nRecord-Route: {route}");
        let events = lab()
            .receive(&with(MESSAGE, "Max-Forwards: 70", &new))
            .events;
        let [HopEvent::Request(request)] = events.as_slice() else {
            panic!("{route}: {events:?}");
        };
        assert_eq!(request.record_routes().unwrap(), [route]);
    }
}

#[test]
fn an_answer_is_not_lost_for_a_header_that_nobody_reads() {
    for odd in [
        "Date: Sun, 29 Nov 2026 01:02:03 +0100",
        "P-Asserted-Identity: Bob (sales) <sip:bob@sip.example>",
        "Max-Forwards: many",
        "Warning: what?",
        "Retry-After: soon",
    ] {
        let text = format!(
            "SIP/2.0 200 OK\nVia: SIP/2.0/TLS gw.example;branch=z9hG4bK1\nFrom: <sip:a@b>;tag=1\n\
             To: <sip:c@d>;tag=2\nCall-ID: c\nCSeq: 1 MESSAGE\n{odd}\nContent-Length: 0\n\n"
        );
        assert_eq!(judge(&crlf(&text)), Ok(()), "{odd}");
        let broken = text.replace("To: <sip:c@d>", "To: Dan (sales) <sip:c@d>");
        assert!(judge(&crlf(&broken)).is_err());
    }
}
