//! What holds for every input.

use bytes::Bytes;
use proptest::prelude::*;

use crate::model::Now;
use crate::sip::tests::writer::{branch, draft};
use crate::sip::tests::{MESSAGE, crlf};
use crate::sip::{
    Answer, CallId, Dialog, Draft, Frame, Framer, HeaderName, Hop, HopConfig, HopInput, Hosts,
    Mark, Message, Method, NameAddr, Request, SentBy, SipUri, Tag, judge, write_request,
    write_response,
};
use crate::text::{Line, SipToken};

fn hop() -> Hop {
    let config = HopConfig {
        mark: Mark(9),
        hosts: Hosts::only("gw.example", 5061).unwrap(),
        microsoft: None,
        accept: Line::fold("text/plain"),
        source: Some("192.0.2.7:40000".parse().unwrap()),
        probe: None,
        keepalive: std::time::Duration::from_secs(120),
        probe_after: std::time::Duration::from_secs(300),
        idle: None,
    };
    Hop::new(config, Now::default(), 1)
}

fn request_of(bytes: Bytes) -> Request {
    match Message::parse(bytes).unwrap() {
        Message::Request(request) => request,
        Message::Response(_) => panic!("a response"),
    }
}

/// A message with some octets replaced, put in or taken away.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let edit = (any::<prop::sample::Index>(), any::<u8>(), 0..4_u8);
    prop::collection::vec(edit, 1..6).prop_map(|edits| {
        let mut bytes = crlf(MESSAGE).to_vec();
        for (place, octet, kind) in edits {
            let at = place.index(bytes.len());
            match kind {
                0 => bytes[at] = octet,
                1 => bytes.insert(at, octet),
                2 => bytes.insert(at, b"\r\n:;,<>\"\\@ "[usize::from(octet) % 11]),
                _ => _ = bytes.remove(at),
            }
        }
        bytes
    })
}

proptest! {
    #[test]
    fn every_header_is_kept_byte_for_byte(
        headers in prop::collection::vec(
            ("[A-Za-z0-9!%*_+`'~.-]{2,20}", " ?", "[ -~\u{a1}-\u{2fff}]{0,40}(\r\n [!-~]{1,9}){0,2}"),
            0..30,
        ),
        body in prop::collection::vec(any::<u8>(), 0..50),
    ) {
        let lines: Vec<_> = headers
            .iter()
            .map(|(name, blank, value)| format!("X-{name}{blank}:{value}\r\n"))
            .collect();
        let length = body.len();
        let head = format!("OPTIONS sip:a SIP/2.0\r\n{}l: {length}\r\n\r\n", lines.concat());
        let whole = [head.as_bytes(), &body].concat();
        let request = request_of(whole.clone().into());

        for (header, (name, _, value)) in request.headers().zip(&headers) {
            prop_assert_eq!(header.name, format!("X-{name}"));
            prop_assert_eq!(header.raw, value.trim_matches([' ', '\r', '\n']));
        }
        prop_assert_eq!(request.headers().count(), headers.len() + 1);
        prop_assert_eq!([request.bytes().as_ref(), request.body()].concat(), whole);
    }

    #[test]
    fn routes_go_back_as_they_came(
        routes in prop::collection::vec(
            "<sip:[a-zA-Z0-9.]{1,9};lr(;[a-zA-Z-]{1,9}=[A-Za-z0-9+/=]{0,9}(%2f|%2F)?){0,3}>\
             ( ?; ?[a-z-]{1,9}=(\"[ !#-Z\\[\\]-~]{0,9}\"|[a-zA-Z0-9.:]{1,9})){0,3}",
            1..9,
        ),
        together in any::<bool>(),
    ) {
        let between = if together { ", " } else { "\r\nRECORD-ROUTE:  " };
        let head = format!(
            "SUBSCRIBE sip:a@b SIP/2.0\r\nVia: SIP/2.0/TLS b;branch=z9hG4bK1\r\n\
             From: <sip:c@d>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: 1\r\nCSeq: 1 SUBSCRIBE\r\n\
             Contact: <sip:c@d>\r\nRecord-Route: {}\r\nContent-Length: 0\r\n\r\n",
            routes.join(between)
        );
        let request = request_of(head.into());
        let tag = Tag::parse("00000000000000010000000000000002").unwrap();
        let mut dialog = Dialog::accepting(&request, tag).unwrap();
        let sent_by = SentBy::new("gw.example", 5061).unwrap();

        let draft = dialog.request(Method::Notify, Vec::new(), None).unwrap().0;
        let notify = request_of(write_request(&draft, &sent_by, branch()));
        let answer = write_response(&request, &Answer::new(200).record_route());

        let sent: Vec<_> = notify.all(HeaderName::Route).map(|header| header.raw).collect();
        prop_assert_eq!(sent, routes);
        let answer = String::from_utf8(answer.to_vec()).unwrap();
        prop_assert!(answer.contains(request.header(HeaderName::RecordRoute).unwrap().raw));
    }

    #[test]
    fn a_written_request_says_what_was_meant(
        subject: String,
        display: Option<String>,
        media in "[a-z](?s:.{0,40})",
        call_id in "[A-Za-z0-9(<:\"\\[{?.-]{1,20}(@[a-z0-9]{1,9})?",
        cseq in 0..1_u32 << 31,
        body in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let meant = Draft {
            from: NameAddr::new(
                display.as_deref(),
                SipUri::parse("sip:a%40b@xmpp.example").unwrap(),
                SipToken::parse("t1"),
            ),
            call_id: CallId::parse(&call_id).unwrap(),
            cseq,
            headers: vec![(HeaderName::Subject, Line::fold(&subject))],
            content_type: Some(Line::fold(&media)),
            body: body.clone().into(),
            ..draft()
        };
        let sent_by = SentBy::new("gw.example", 5061).unwrap();
        let request = request_of(write_request(&meant, &sent_by, branch()));

        let names: Vec<_> = request.headers().map(|header| header.name.to_owned()).collect();
        let expected = [
            "Via", "Max-Forwards", "From", "To", "Call-ID", "CSeq", "Subject", "Content-Type",
            "Content-Length",
        ];
        prop_assert_eq!(names, expected);
        prop_assert_eq!(request.uri(), Ok(meant.uri));
        let from = request.from().unwrap();
        let shown = display.map(|display| Line::fold(&display).to_string());
        prop_assert_eq!(from.display(), shown.as_deref());
        prop_assert_eq!(from.uri(), meant.from.uri());
        prop_assert_eq!(from.tag(), meant.from.tag());
        prop_assert_eq!(request.to(), Ok(meant.to));
        prop_assert_eq!(request.call_id(), Ok(call_id.as_str()));
        let read = request.cseq().unwrap();
        prop_assert_eq!((read.number, read.method), (cseq, "MESSAGE"));
        let header = request.header(HeaderName::Subject).unwrap();
        prop_assert_eq!(header.text(), Line::fold(&subject).to_string());
        prop_assert_eq!(request.body().as_ref(), body);
        prop_assert!(sent_by.is_named_by(&request.top_via().unwrap()));
    }

    #[test]
    fn a_written_response_says_what_was_meant(reason: String, value: String, status in 200..700_u16) {
        let request = request_of(crlf(MESSAGE));
        let answer = Answer::new(status)
            .reason(Line::fold(&reason))
            .to_tag(SipToken::parse("g1").unwrap())
            .header(HeaderName::Warning, Line::fold(&value));

        let Ok(Message::Response(response)) = Message::parse(write_response(&request, &answer))
        else {
            return Err(TestCaseError::fail("no response"));
        };

        prop_assert_eq!(response.validate(), Ok(()));
        prop_assert_eq!(response.status(), status);
        let meant = Line::fold(&reason);
        prop_assert_eq!(response.reason(), meant.as_str());
        prop_assert_eq!(response.headers().count(), 7);
        let warning = response.header(HeaderName::Warning).unwrap();
        prop_assert_eq!(warning.text(), Line::fold(&value).to_string());
        prop_assert_eq!(response.cseq(), request.cseq());
        prop_assert_eq!(response.vias(), request.vias());
    }

    #[test]
    fn whatever_comes_the_hop_writes_whole_responses(bytes in damaged()) {
        let effects = hop().handle(HopInput::Bytes(&bytes), Now::default());

        let mut framer = Framer::new();
        framer.push(&effects.write);
        while let Some(frame) = framer.next_frame().unwrap() {
            match &frame {
                Frame::Message(Message::Response(response)) => {
                    prop_assert!(response.status() >= 200);
                    prop_assert!(response.header(HeaderName::Via).is_some());
                }
                Frame::Pong => {}
                Frame::Message(_) | Frame::Broken(_) | Frame::Ping => {
                    prop_assert!(false, "{frame:?}");
                }
            }
        }
        prop_assert_eq!(framer.finish(), Ok(()));
    }

    #[test]
    fn a_verdict_does_not_depend_on_how_bytes_arrive(
        bytes in damaged(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let mut framer = Framer::new();
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let mut outcome = None;
        for pair in cuts.windows(2) {
            framer.push(&bytes[pair[0]..pair[1]]);
            while outcome.is_none() {
                outcome = match framer.next_frame() {
                    Ok(None) => break,
                    Ok(Some(Frame::Ping | Frame::Pong)) => None,
                    Ok(Some(Frame::Message(message))) => Some(message.validate()),
                    Ok(Some(Frame::Broken(broken))) => Some(Err(broken.why)),
                    Err(broken) => Some(Err(broken.why)),
                };
            }
        }
        match outcome {
            Some(verdict) => prop_assert_eq!(verdict, judge(&bytes)),
            None => prop_assert!(judge(&bytes).is_err()),
        }
    }

    #[test]
    fn any_bytes_at_all_are_survived(bytes: Vec<u8>, text: String) {
        _ = judge(&bytes);
        _ = SipUri::parse(&text);
        _ = NameAddr::parse(&text);
        _ = Message::parse_fragment(&bytes);
        _ = hop().handle(HopInput::Bytes(&bytes), Now::default());
    }
}
