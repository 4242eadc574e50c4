//! Frames in streams of bytes.

use crate::limits;
use crate::sip::tests::{MESSAGE, crlf, with};
use crate::sip::{Defect, Frame, Framer, HeaderName, Message, judge};

/// What came, in short.
fn frames(framer: &mut Framer) -> Vec<String> {
    let mut seen = Vec::new();
    loop {
        match framer.next_frame() {
            Ok(None) => return seen,
            Ok(Some(Frame::Ping)) => seen.push("ping".to_owned()),
            Ok(Some(Frame::Pong)) => seen.push("pong".to_owned()),
            Ok(Some(Frame::Broken(broken))) => seen.push(broken.to_string()),
            Ok(Some(Frame::Message(Message::Request(request)))) => {
                seen.push(format!(
                    "{} {}",
                    request.method_name(),
                    request.body().len()
                ));
            }
            Ok(Some(Frame::Message(Message::Response(response)))) => {
                seen.push(response.status().to_string());
            }
            Err(broken) => {
                seen.push(format!("lost: {broken}"));
                return seen;
            }
        }
    }
}

fn all(text: &str) -> Vec<String> {
    let mut framer = Framer::new();
    framer.push(&crlf(text));
    frames(&mut framer)
}

#[test]
fn frames_do_not_depend_on_how_bytes_arrive() {
    let stream = format!("{MESSAGE}{MESSAGE}\n\n{MESSAGE}\n{MESSAGE}\n\n\n");
    let expected = [
        "MESSAGE 5",
        "MESSAGE 5",
        "ping",
        "MESSAGE 5",
        "pong",
        "MESSAGE 5",
        "ping",
        "pong",
    ];
    assert_eq!(all(&stream), expected);

    let mut framer = Framer::new();
    let mut seen = Vec::new();
    for octet in crlf(&stream) {
        framer.push(&[octet]);
        seen.extend(frames(&mut framer));
    }
    let messages = seen.iter().filter(|frame| frame.starts_with('M')).count();
    let pings = seen.iter().filter(|frame| *frame == "ping").count();
    assert_eq!((messages, pings), (4, 2), "{seen:?}");
    assert_eq!(framer.finish(), Ok(()));
}

#[test]
fn halves_of_a_ping_may_come_apart() {
    let mut framer = Framer::new();
    framer.push(b"\r\n");
    assert_eq!(frames(&mut framer), ["pong"]);
    framer.push(b"\r");
    assert!(frames(&mut framer).is_empty());
    framer.push(b"\n");
    assert_eq!(frames(&mut framer), ["ping"]);
    framer.push(b"\r\n\r");
    assert!(frames(&mut framer).is_empty());
    framer.push(b"\n");
    assert_eq!(frames(&mut framer), ["ping"]);
}

#[test]
fn doubt_about_the_framing_ends_the_connection() {
    let cases = [
        ("Content-Length: 5\n", "", "Missing Content-Length"),
        (
            "Content-Length: 5\n",
            "Content-Length: 5\nl: 5\n",
            "Repeated Content-Length",
        ),
        (
            "Content-Length: 5\n",
            "Content-Length: 5\nl: 6\n",
            "Repeated Content-Length",
        ),
        (
            "Content-Length: 5",
            "Content-Length: -5",
            "Bad Content-Length",
        ),
        (
            "Content-Length: 5",
            "Content-Length: 5 5",
            "Bad Content-Length",
        ),
        (
            "Content-Length: 5",
            "Content-Length: 4294967301",
            "Bad Content-Length",
        ),
        (
            "Content-Length: 5",
            "Content-Length: \u{665}",
            "Bad Content-Length",
        ),
        (
            "Content-Length: 5",
            "Content-Length\u{b}: 5",
            "Bad header name",
        ),
        (
            "Content-Length: 5",
            "Content-Length\u{c}: 5",
            "Bad header name",
        ),
        ("Content-Length: 5", "Content-Length 5", "Bad header name"),
        ("Content-Length: 5", ": 5", "Bad header name"),
        ("SIP/2.0\n", "SIP/2.0\n folded: 1\n", "Bad header name"),
        ("Max-Forwards: 70\n", "X: a\rY: b\n", "Bad line end"),
    ];
    for (old, new, expected) in cases {
        let seen = all(&with(MESSAGE, old, new));
        assert_eq!(seen.len(), 1, "{new:?}: {seen:?}");
        assert!(
            seen[0].starts_with(&format!("lost: {expected}")),
            "{seen:?}"
        );
    }
    let mut framer = Framer::new();
    framer.push(MESSAGE.as_bytes());
    assert!(frames(&mut framer)[0].starts_with("lost: Bad line end"));
}

#[test]
fn what_is_wrong_inside_a_frame_leaves_the_next_alone() {
    let broken = with(MESSAGE, "MESSAGE sip", "MESSAGE  sip");
    let seen = all(&format!("{broken}{MESSAGE}"));

    assert_eq!(seen, ["Bad start line (octet 0)", "MESSAGE 5"]);
}

#[test]
fn a_body_over_the_limit_is_read_over() {
    let octets = limits::SIP_BODY + 1;
    let long = with(MESSAGE, "Content-Length: 5", &format!("l: {octets}"));
    let long = with(&long, "hello", &"x".repeat(octets));

    let seen = all(&format!("{long}{MESSAGE}"));

    assert!(seen[0].starts_with("Body too long"), "{seen:?}");
    assert_eq!(seen[1], "MESSAGE 5");

    let octets = limits::SIP_BODY_SKIPPED + 1;
    let endless = with(MESSAGE, "Content-Length: 5", &format!("l: {octets}"));
    assert!(all(&endless)[0].starts_with("lost: Body too long"));
}

#[test]
fn a_head_without_end_is_given_up_at_the_limit() {
    let mut framer = Framer::new();
    let head = MESSAGE.split("Content-Length").next().unwrap();
    framer.push(&crlf(head));
    assert!(frames(&mut framer).is_empty());
    framer.push(&[b'X'; limits::SIP_HEAD]);

    let broken = framer.next_frame().unwrap_err();

    assert_eq!(broken.why.defect, Defect::HeadTooLong);
    assert!(broken.head.header(HeaderName::Via).is_some());
}

#[test]
fn a_stream_ends_between_messages_or_inside_one() {
    let judged = |text: &str| judge(&crlf(text)).map_err(|malformed| malformed.defect);

    assert_eq!(judged(MESSAGE), Ok(()));
    assert_eq!(judged(&format!("\n{MESSAGE}\n\nrest")), Ok(()));
    let body = MESSAGE.strip_suffix('o').unwrap();
    let head = MESSAGE.strip_suffix("\nhello").unwrap();
    for cut in ["", "\n", body, head, "MESS"] {
        assert_eq!(judged(cut), Err(Defect::Incomplete), "{cut:?}");
    }

    let mut framer = Framer::new();
    framer.push(&crlf(body));
    assert!(frames(&mut framer).is_empty());
    assert!(framer.finish().is_err());
}
