//! Whole messages.

use bytes::Bytes;

use crate::limits;
use crate::sip::tests::{MESSAGE, crlf, request, response, with};
use crate::sip::{Defect, HeaderName, Message, Method};

#[test]
fn a_request_gives_what_it_holds() {
    let request = request(MESSAGE);

    assert_eq!(request.validate(), Ok(()));
    assert_eq!(request.method(), Some(Method::Message));
    assert_eq!(request.uri().unwrap().as_str(), "sip:alice@xmpp.example");
    assert_eq!(request.from().unwrap().display(), Some("Bob"));
    assert_eq!(request.to().unwrap().tag(), None);
    assert_eq!(request.call_id(), Ok("c1@sip.example"));
    assert_eq!(request.cseq().unwrap().number, 7);
    assert_eq!(request.max_forwards(), Ok(Some(70)));
    let media = request.content_type().unwrap().unwrap();
    assert_eq!(media.essence(), "text/plain");
    assert_eq!(request.body().as_ref(), b"hello");
    assert_eq!(request.date(), Ok(None));
    let whole = [request.bytes().as_ref(), request.body()].concat();
    assert_eq!(whole, crlf(MESSAGE));
}

#[test]
fn a_response_gives_what_it_holds() {
    let text = "SIP/2.0 503 Not = now \u{fc}\n\
                v: SIP/2.0/TLS gw.example;branch=z9hG4bK1\n\
                f: <sip:a@xmpp.example>;tag=1\nt: <sip:b@sip.example>;tag=2\n\
                i: c1\nCSEQ: 1 MESSAGE\nRETRY-AFTER: 12 (busy)\nl: 0\n\n";
    let response = response(text);

    assert_eq!(response.validate(), Ok(()));
    assert_eq!(response.status(), 503);
    assert_eq!(response.reason(), "Not = now \u{fc}");
    assert_eq!(response.retry_after(), Some(12));
    assert!(!response.is_provisional());
}

#[test]
fn start_lines_are_exact() {
    let line = |line: &str| {
        let text = with(MESSAGE, "MESSAGE sip:alice@xmpp.example SIP/2.0", line);
        Message::parse(crlf(&text)).map_err(|malformed| malformed.defect)
    };
    for bad in [
        "MESSAGE",
        "MESSAGE sip:a@x.example",
        "MESSAGE  sip:a@x.example SIP/2.0",
        "MESSAGE sip:a@x.example  SIP/2.0",
        "MESSAGE sip:a@x.example SIP/2.0 ",
        "MESSAGE sip:a@x.example; lr SIP/2.0",
        " MESSAGE sip:a@x.example SIP/2.0",
        "MESS@GE sip:a@x.example SIP/2.0",
        "MESSAGE sip:a@x.example HTTP/1.1",
        "MESSAGE sip:a@x.example SIP/two",
        "SIP/2.0",
    ] {
        assert_eq!(line(bad).unwrap_err(), Defect::StartLine, "{bad}");
    }
    assert_eq!(
        line("MESSAGE sip:a@x.example SIP/7.0").unwrap_err(),
        Defect::Version
    );
    assert_eq!(line("SIP/1.0 200 OK").unwrap_err(), Defect::Version);
    for code in ["20", "2000", "099", "700", "+20", "4294967301", ""] {
        let refused = line(&format!("SIP/2.0 {code} x")).unwrap_err();
        assert_eq!(refused, Defect::StatusCode, "{code}");
    }
    assert!(line("MESSAGE sip:a@x.example sip/2.0").is_ok());
    assert!(line("SIP/2.0 100 ").is_ok());
    assert!(line("SIP/2.0 100").is_ok());
}

#[test]
fn odd_but_legal_headers_are_read() {
    let text = with(
        MESSAGE,
        "Max-Forwards: 70",
        "mAX-fORWARDS\t :   0070\nk:\nX-Odd: ;;,,;;,;\nSubject:\n one\n   two\nS\u{40}x: \u{5927}",
    );
    let text = text.replace("S\u{40}x", "x-!.%*+_`'~");
    let request = request(&text);

    assert_eq!(request.validate(), Ok(()));
    assert_eq!(request.max_forwards(), Ok(Some(70)));
    let subject = request.header(HeaderName::Subject).unwrap();
    assert_eq!(subject.text(), "one two");
    assert_eq!(subject.name, "Subject");
    let odd = request.extension("x-odd").unwrap();
    assert_eq!(odd.raw, ";;,,;;,;");
    let extension = request.extension("X-!.%*+_`'~").unwrap();
    assert_eq!(extension.raw, "\u{5927}");
}

#[test]
fn names_are_canonical_after_reading() {
    let text = with(
        MESSAGE,
        "Max-Forwards: 70",
        "p-ASSERTED-identity\t: <sip:eve@evil.example>\nRoute :\n <sip:p.example;lr>",
    );
    let request = request(&text);

    assert!(request.header(HeaderName::PAssertedIdentity).is_some());
    assert!(request.header(HeaderName::Route).is_some());
}

#[test]
fn control_characters_stand_only_in_quoted_pairs() {
    let parse = |new: &str| {
        let text = with(MESSAGE, "\"Bob\"", new);
        Message::parse(crlf(&text)).map_err(|malformed| malformed.defect)
    };
    assert!(parse("\"BEL:\\\u{7} NUL:\\\0 DEL:\\\u{7f}\"").is_ok());
    assert!(parse("\"a\tb\"").is_ok());
    for bad in ["\"\u{7}\"", "\"\0\"", "Bob\u{1b}[31m", "Bob\\\u{7}"] {
        assert_eq!(parse(bad).unwrap_err(), Defect::Control, "{bad:?}");
    }
    let line = with(
        MESSAGE,
        "alice@xmpp.example SIP",
        "ali\tce@xmpp.example SIP",
    );
    let refused = Message::parse(crlf(&line)).unwrap_err();
    assert_eq!(refused.defect, Defect::Control);
}

#[test]
fn heads_are_utf_8() {
    let mut bytes = crlf(MESSAGE).to_vec();
    let at = MESSAGE.find("Bob").unwrap() + 3;
    bytes[at] = 0xff;
    let refused = Message::parse(bytes.into()).unwrap_err();
    assert_eq!((refused.defect, refused.at), (Defect::NotUtf8, at));

    let mut bytes = crlf(MESSAGE).to_vec();
    *bytes.last_mut().unwrap() = 0xff;
    assert!(Message::parse(bytes.into()).is_ok());
}

#[test]
fn single_headers_stand_once_and_needed_ones_stand() {
    for line in [
        "From: \"Bob\" <sip:bob@sip.example>;tag=b1\n",
        "CSeq: 7 MESSAGE\n",
    ] {
        let twice = with(MESSAGE, line, &line.repeat(2));
        let name = HeaderName::recognise(line.split(':').next().unwrap().as_bytes());
        let refused = request(&twice).validate().unwrap_err();
        assert_eq!(refused.defect, Defect::Repeated(name));
    }
    let compact = with(MESSAGE, "Max-Forwards: 70", "i: c1@sip.example");
    let refused = request(&compact).validate().unwrap_err();
    assert_eq!(refused.defect, Defect::Repeated(HeaderName::CallId));

    for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
        let prefix = format!("{name}:");
        let lines = MESSAGE.split_inclusive('\n');
        let without: String = lines.filter(|line| !line.starts_with(&prefix)).collect();
        let refused = request(&without).validate().unwrap_err();
        let id = HeaderName::recognise(name.as_bytes());
        assert_eq!(refused.defect, Defect::Missing(id));
    }
    let old = with(&with(MESSAGE, "Max-Forwards: 70\n", ""), ";tag=b1", "");
    assert_eq!(request(&old).validate(), Ok(()));
}

#[test]
fn the_request_uri_and_cseq_fit_the_request() {
    let refused = |old: &str, new: &str| request(&with(MESSAGE, old, new)).validate().unwrap_err();

    let uri = |uri: &str| refused("MESSAGE sip:alice@xmpp.example", &format!("MESSAGE {uri}"));
    for bad in [
        "<sip:a@x.example>",
        "sip:a@x.example?Route=x",
        "alice",
        "sip:",
    ] {
        assert_eq!(uri(bad).defect, Defect::RequestUri, "{bad}");
    }
    let method = refused("CSeq: 7 MESSAGE", "CSeq: 7 INVITE");
    assert_eq!(method.defect, Defect::CSeqMethod);
}

#[test]
fn limits_hold_before_anything_is_built() {
    let parse = |new: String| {
        let text = with(MESSAGE, "Max-Forwards: 70", &new);
        Message::parse(crlf(&text)).map_err(|malformed| malformed.defect)
    };
    let many = vec!["X: y"; limits::SIP_HEADERS];
    assert_eq!(parse(many.join("\n")).unwrap_err(), Defect::TooManyHeaders);
    assert!(parse(many[8..].join("\n")).is_ok());
    let long = |octets| format!("X: {}", "y".repeat(octets));
    assert!(parse(long(limits::SIP_HEADER - 3)).is_ok());
    let refused = parse(long(limits::SIP_HEADER)).unwrap_err();
    assert_eq!(refused, Defect::HeaderTooLong);
    let folded = format!("X: {}", "y\n ".repeat(limits::SIP_HEADER / 4 + 1));
    assert_eq!(parse(folded + "y").unwrap_err(), Defect::HeaderTooLong);
    let head = vec![long(limits::SIP_HEADER / 2); 8].join("\n");
    assert_eq!(parse(head).unwrap_err(), Defect::HeadTooLong);
}

#[test]
fn fragments_are_read_as_far_as_they_go() {
    for text in [
        "SIP/2.0 101 Progress Report\nms-diagnostics: 13004;reason=\"x\"\n",
        "SIP/2.0 101 Progress Report\nms-diagnostics: 13004;reason=\"x\"",
        "SIP/2.0 101 Progress Report\nms-diagnostics: 13004;reason=\"x\"\n\nbody",
    ] {
        let Message::Response(response) = Message::parse_fragment(&crlf(text)).unwrap() else {
            panic!("{text}");
        };
        assert_eq!(response.status(), 101);
        let diagnostics = response.header(HeaderName::MsDiagnostics).unwrap();
        assert_eq!(diagnostics.raw, "13004;reason=\"x\"");
    }
    assert!(Message::parse_fragment(&crlf("Server: RTC/4.0\n")).is_err());
    assert!(Message::parse_fragment(b"").is_err());
}

#[test]
fn a_whole_message_ends_where_it_says() {
    for length in [
        "4",
        "6",
        "05x",
        "",
        "-5",
        "+5",
        "0x5",
        "5, 5",
        "99999999999999999999",
    ] {
        let text = with(MESSAGE, "Content-Length: 5", &format!("l: {length}"));
        let refused = Message::parse(crlf(&text)).unwrap_err();
        assert_eq!(refused.defect, Defect::ContentLength, "{length}");
    }
    let padded = with(MESSAGE, "Content-Length: 5", "Content-Length\t:\n 0005");
    assert!(Message::parse(crlf(&padded)).is_ok());
    assert!(Message::parse(Bytes::new()).is_err());
}
