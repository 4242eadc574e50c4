//! What is written.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;

use crate::sip::tests::{MESSAGE, crlf, request, with};
use crate::sip::{
    Answer, Branch, CallId, Draft, HeaderName, Message, Method, NameAddr, SentBy, SipUri,
    write_request, write_response,
};
use crate::text::{Line, SipToken};

pub(super) fn draft() -> Draft {
    let uri = SipUri::parse("sip:bob@sip.example").unwrap();
    let from = SipUri::parse("sip:alice@xmpp.example;gr=x").unwrap();
    Draft {
        method: Method::Message,
        uri: uri.clone(),
        from: NameAddr::new(Some("Alice \"A\""), from, SipToken::parse("a1")),
        to: NameAddr::new(None, uri, None),
        call_id: CallId::parse("c9").unwrap(),
        cseq: 3,
        max_forwards: 70,
        headers: vec![(HeaderName::Subject, Line::fold("tea\r\nVia: evil"))],
        content_type: Some(Line::fold("text/plain;charset=UTF-8")),
        body: Bytes::from_static("h\u{e9}llo".as_bytes()),
    }
}

pub(super) fn branch() -> Branch {
    Branch::parse("z9hG4bK0000000900030000000000000001").unwrap()
}

#[test]
fn a_request_is_written_whole() {
    let sent_by = SentBy::new("gw.example", 5061).unwrap();

    let bytes = write_request(&draft(), &sent_by, branch());

    let expected = "MESSAGE sip:bob@sip.example SIP/2.0\n\
        Via: SIP/2.0/TLS gw.example:5061;branch=z9hG4bK0000000900030000000000000001;alias\n\
        Max-Forwards: 70\n\
        From: \"Alice \\\"A\\\"\" <sip:alice@xmpp.example;gr=x>;tag=a1\n\
        To: <sip:bob@sip.example>\n\
        Call-ID: c9\n\
        CSeq: 3 MESSAGE\n\
        Subject: tea Via: evil\n\
        Content-Type: text/plain;charset=UTF-8\n\
        Content-Length: 6\n\n\
        h\u{e9}llo";
    assert_eq!(bytes, crlf(expected));
}

#[test]
fn a_response_copies_what_it_answers() {
    let odd = with(
        MESSAGE,
        "Max-Forwards: 70",
        "v : SIP / 2.0/TCP  inner.example ;branch= b2\nRecord-Route: <sip:edge.sip.example;lr>",
    );
    let odd = with(
        &odd,
        "To: <sip:alice@xmpp.example>",
        "t:\n  sip:alice@xmpp.example ;x=y",
    );
    let answer = Answer::new(415)
        .to_tag(SipToken::parse("g1").unwrap())
        .header(HeaderName::Accept, Line::fold("text/plain"));

    let bytes = write_response(&request(&odd), &answer);

    let expected = "SIP/2.0 415 Unsupported Media Type\n\
        Via: SIP/2.0/TLS edge.sip.example:5061;branch=z9hG4bK77a1\n\
        Via: SIP / 2.0/TCP  inner.example ;branch= b2\n\
        From: \"Bob\" <sip:bob@sip.example>;tag=b1\n\
        To: sip:alice@xmpp.example ;x=y;tag=g1\n\
        Call-ID: c1@sip.example\n\
        CSeq: 7 MESSAGE\n\
        Accept: text/plain\n\
        Content-Length: 0\n\n";
    assert_eq!(bytes, crlf(expected));
}

#[test]
fn a_tag_of_the_request_is_kept() {
    let tagged = with(
        MESSAGE,
        "To: <sip:alice@xmpp.example>",
        "To: <sip:alice@xmpp.example>;TAG=t",
    );
    let answer = Answer::new(481)
        .reason(Line::fold("No such dialog"))
        .to_tag(SipToken::parse("g1").unwrap());

    let bytes = write_response(&request(&tagged), &answer);

    let text = String::from_utf8(bytes.to_vec()).unwrap();
    assert!(text.starts_with("SIP/2.0 481 No such dialog\r\n"), "{text}");
    assert!(
        text.contains("To: <sip:alice@xmpp.example>;TAG=t\r\n"),
        "{text}"
    );
}

#[test]
fn an_endpoint_of_ours_is_named_once() {
    let answer = || Answer::new(200).epid("00a1".to_owned());
    let tagged = |request: &crate::sip::Request| {
        let answer = answer().to_tag(SipToken::parse("z9").unwrap());
        String::from_utf8(write_response(request, &answer).to_vec()).unwrap()
    };

    let to = tagged(&request(MESSAGE));
    assert!(to.contains(";epid=00a1;tag=z9\r\n"), "{to}");
    let named = with(
        MESSAGE,
        "<sip:alice@xmpp.example>",
        "<sip:alice@xmpp.example>;EPID=77",
    );
    let to = tagged(&request(&named));
    assert!(to.contains(";EPID=77;tag=z9\r\n"), "{to}");
}

#[test]
fn the_topmost_via_learns_where_the_request_came_from() {
    let via = |text: &str, source: &str| {
        let mut request = request(&with(
            MESSAGE,
            "Via: SIP/2.0/TLS edge.sip.example:5061;branch=z9hG4bK77a1",
            &format!("Via: {text}"),
        ));
        let address: IpAddr = source.parse().unwrap();
        request.set_received(Some(SocketAddr::new(address, 40_000)));
        let bytes = write_response(&request, &Answer::new(200));
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let line = text.lines().nth(1).unwrap();
        line.strip_prefix("Via: ").unwrap().to_owned()
    };
    let cases = [
        (
            "SIP/2.0/TLS a.example;branch=b",
            "SIP/2.0/TLS a.example;branch=b;received=192.0.2.7",
        ),
        (
            "SIP/2.0/TLS a.example",
            "SIP/2.0/TLS a.example;received=192.0.2.7",
        ),
        (
            "SIP/2.0/TLS 192.0.2.7:99;branch=b",
            "SIP/2.0/TLS 192.0.2.7:99;branch=b",
        ),
        (
            "SIP/2.0/TLS 192.0.2.7;rport;branch=b",
            "SIP/2.0/TLS 192.0.2.7;rport=40000;branch=b;received=192.0.2.7",
        ),
        (
            "SIP/2.0/TLS a.example;branch=b , SIP/2.0/TLS c.example",
            "SIP/2.0/TLS a.example;branch=b;received=192.0.2.7 , SIP/2.0/TLS c.example",
        ),
        (
            "SIP/2.0/TLS a.example;received=10.0.0.1",
            "SIP/2.0/TLS a.example;received=10.0.0.1",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(via(text, "192.0.2.7"), expected);
    }
    let own = "SIP/2.0/TLS [2001:db8::7];branch=b";
    assert_eq!(via(own, "2001:db8::7"), own);
}

#[test]
fn our_vias_name_a_host() {
    for bad in [
        "",
        "gw example",
        "gw.example:5061",
        "gw;lr",
        "a\r\nb",
        "[::1",
    ] {
        assert_eq!(SentBy::new(bad, 5061), None, "{bad:?}");
    }
    assert!(SentBy::new("[2001:db8::1]", 5061).is_some());
}

#[test]
fn our_own_route_stands_above_those_of_the_request() {
    let own = SentBy::new("gw.xmpp.example", 5061).unwrap();
    let routed = with(
        MESSAGE,
        "Max-Forwards",
        "Record-Route: <sip:edge.sip.example;lr;ms-route-sig=a>\nMax-Forwards",
    );
    let routes = |text: &str, answer: &Answer| {
        let written = write_response(&request(text), answer);
        let Ok(Message::Response(response)) = Message::parse(written) else {
            panic!("unreadable");
        };
        let routes = response.record_routes().unwrap();
        routes.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let edge = "<sip:edge.sip.example;lr;ms-route-sig=a>";
    let ours = "<sip:gw.xmpp.example:5061;transport=tls;lr>";
    let answer = Answer::new(200).routed(&own);
    assert_eq!(
        routes(&routed, &answer.clone().record_route()),
        [ours, edge]
    );
    assert_eq!(routes(&routed, &Answer::new(200).record_route()), [edge]);
    assert!(routes(&routed, &answer).is_empty());
    assert!(routes(MESSAGE, &answer.record_route()).is_empty());
}
