//! INVITEs of every shape that peers send, and some that they do not.

use crate::sip::invite::{Invited, Purpose};
use crate::sip::tests::invite::{INVITE, read, sent_by, tag, terms};
use crate::sip::tests::with;
use crate::sip::{HeaderName, write_response};

fn invited(text: &str) -> Invited {
    let request = read(text);
    assert_eq!(request.validate(), Ok(()), "{text}");
    Invited::read(&request)
}

fn status(text: &str) -> Option<u16> {
    invited(text).refusal().map(|answer| answer.status())
}

/// The INVITE with another body of this type.
fn offering(content_type: &str, body: &str) -> String {
    let (head, _) = INVITE.split_once("\n\n").unwrap();
    let head = with(head, "application/sdp;call-type=im", content_type);
    format!("{head}\n\n{body}")
}

fn with_header(header: &str) -> String {
    with(
        INVITE,
        "Max-Forwards: 69",
        &format!("Max-Forwards: 69\n{header}"),
    )
}

#[test]
fn a_conversation_is_taken_with_its_first_message() {
    let invited = invited(INVITE);
    assert_eq!(invited.purpose(), Purpose::Conversation);
    assert!(invited.refusal().is_none());
    let first = invited.first_message().unwrap();
    assert_eq!((first.essence(), first.text()), ("text/plain", "Hello\r\n"));
    assert_eq!(invited.subject(), None);

    let subject = with_header("s: Lunch\n  today");
    assert_eq!(self::invited(&subject).subject(), Some("Lunch today"));
}

/// An INVITE with this description alone.
fn describing(body: &str) -> String {
    offering("application/sdp", body)
}

/// INVITEs for other media, what they are for, and their answers.
fn other_media() -> Vec<(String, Purpose, u16)> {
    let av = "v=0\nm=audio 4000 RTP/SAVP 0\nm=video 4002 RTP/SAVP 34\n";
    let alternatives = format!(
        "--b\nContent-Type: application/sdp\nContent-Disposition: session;handling=optional;ms-proxy-2007fallback\n\n\
         v=0\nm=audio 1 RTP/AVP 0\n--b\nContent-Type: application/sdp\n\n{av}--b--\n"
    );
    let sharing = "v=0\nm=applicationsharing 1 TCP/RTP/SAVP 127\n";
    let untyped = with(&describing(""), "Content-Type: application/sdp\n", "");
    vec![
        (
            describing("v=0\nm=audio 4000 RTP/AVP 0\n"),
            Purpose::Audio,
            488,
        ),
        (describing(av), Purpose::Video, 488),
        (
            offering("multipart/alternative;boundary=b", &alternatives),
            Purpose::Video,
            488,
        ),
        (describing(sharing), Purpose::Sharing, 488),
        (
            describing("v=0\nm=data 6891 TCP/TLS 1\n"),
            Purpose::File,
            488,
        ),
        (
            describing("v=0\nm=message 7394 TCP/MSRP *\n"),
            Purpose::Unknown,
            488,
        ),
        (describing("hello"), Purpose::Unknown, 488),
        (
            offering("text/plain", "m=message 5060 sip null\n"),
            Purpose::Unknown,
            488,
        ),
        (describing(""), Purpose::Unknown, 488),
        (untyped, Purpose::Unknown, 488),
    ]
}

/// INVITEs for something else by their headers, what they are for, and their answers.
fn others() -> Vec<(String, Purpose, u16)> {
    let file = with(
        INVITE,
        "text/plain; charset",
        "text/x-msmsgsinvite; charset",
    );
    let focus = with(INVITE, ";gruu>", ";gruu>;isfocus");
    let endpoints = with(
        INVITE,
        "EndPoints: ",
        "EndPoints: <sip:carol@sip.example>, ",
    );
    let conference = "<Conferencing version=\"2.0\"/>";
    let meeting = offering("application/ms-conf-invite+xml", conference);
    let required = with_header("Require: com.microsoft.rtc-multiparty");
    let triggered = with_header("TriggeredInvite: TRUE");
    vec![
        (file, Purpose::File, 488),
        (meeting, Purpose::Meeting, 488),
        (focus, Purpose::Meeting, 488),
        (required, Purpose::Multiparty, 420),
        (triggered, Purpose::Multiparty, 420),
        (endpoints, Purpose::Multiparty, 420),
    ]
}

#[test]
fn commas_in_names_of_two_endpoints_make_no_third() {
    for endpoints in [
        r#""Montague, Bob" <sip:bob@sip.example>, "Capulet, Alice"<sip:alice@xmpp.example>;epid=eb1"#,
        r#""Montague, \"B\", of Verona" <sip:bob@sip.example>"#,
        "<sip:bob@sip.example>",
    ] {
        let text = with(
            INVITE,
            "<sip:bob@sip.example>, <sip:alice@xmpp.example>\n",
            &format!("{endpoints}\n"),
        );
        assert_eq!(invited(&text).purpose(), Purpose::Conversation, "{text}");
    }
    let three = with_header("EndPoints: \"C, C\" <sip:carol@sip.example>");
    assert_eq!(invited(&three).purpose(), Purpose::Multiparty);
}

#[test]
fn what_is_not_a_conversation_is_refused_by_what_it_is() {
    for (text, purpose, expected) in other_media().into_iter().chain(others()) {
        let invited = invited(&text);
        assert_eq!(invited.purpose(), purpose, "{text}");
        assert_eq!(status(&text), Some(expected), "{text}");
        let request = read(&text);
        let bytes = write_response(&request, &invited.refusal().unwrap());
        let answer = String::from_utf8(bytes.to_vec()).unwrap();
        let unsupported = answer.contains("Unsupported: com.microsoft.rtc-multiparty\r\n");
        assert_eq!(unsupported, expected == 420, "{answer}");
    }
}

#[test]
fn odd_conversations_are_taken() {
    for text in [
        with(
            INVITE,
            "m=message 5060 sip null",
            "m=x-ms-message 5060 sip null",
        ),
        with(
            INVITE,
            "m=message 5060 sip null",
            "m=message 0 sip sip:bob@sip.example",
        ),
        with(INVITE, "application/sdp;call-type=im", "APPLICATION/SDP"),
        with(INVITE, "v=0\n", "v=0\na=x\nm=audio 0 RTP/AVP 0\n"),
        offering("application/sdp", "m=message"),
        offering(
            "multipart/alternative;boundary=b",
            "--b\n\nv=0\nm=message 1 sip null\n--b--",
        ),
        with_header("Require: timer"),
        with_header("Session-Expires: 90;refresher=uac\nMin-SE: 90"),
        with_header("TriggeredInvite: FALSE"),
        with_header(&format!(
            "ms-im-format: text/rtf; ms-body={}",
            "e1xydGYx".repeat(800)
        )),
        with(INVITE, "ms-body=SGVsbG8NCg==", "ms-body=%%"),
    ] {
        assert_eq!(status(&text), None, "{text}");
        let sent_by = sent_by();
        let request = read(&text);
        let (_, answer) = Invited::accept(&request, tag(1), &terms(&sent_by)).unwrap();
        assert_eq!(answer.status(), 200);
    }
}

#[test]
fn an_invite_without_contact_makes_no_dialog() {
    let line = "Contact: <sip:bob@sip.example;opaque=user:epid:hYnsEUpJhlGc0T-xd_I7vAAA;gruu>\n";
    let sent_by = sent_by();
    for other in ["", "Contact: <tel:+1555>\n", "Contact: *\n"] {
        let request = read(&with(INVITE, line, other));
        assert!(
            Invited::accept(&request, tag(1), &terms(&sent_by)).is_err(),
            "{other}"
        );
    }
    let long = with(INVITE, "hYnsEUpJhlGc0T", &"x".repeat(3_000));
    assert!(Invited::accept(&read(&long), tag(1), &terms(&sent_by)).is_err());
}

#[test]
fn names_and_folds_do_not_matter() {
    let shouted: String = INVITE
        .lines()
        .map(|line| match line.split_once(": ") {
            Some((name, value)) if !line.starts_with("INVITE") => {
                format!("{}:\t{value}\n", name.to_ascii_uppercase())
            }
            _ => format!("{line}\n"),
        })
        .collect();
    let folded = with(
        INVITE,
        "; charset=UTF-8; ms-body=",
        ";\n charset=UTF-8;\n\tms-body=",
    );
    for text in [shouted, folded] {
        let invited = invited(&text);
        assert_eq!(invited.purpose(), Purpose::Conversation, "{text}");
        assert_eq!(invited.first_message().unwrap().text(), "Hello\r\n");
        let request = read(&text);
        assert_eq!(request.all(HeaderName::RecordRoute).count(), 2);
    }
}
