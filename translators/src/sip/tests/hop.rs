//! One connection, driven with virtual time.

use std::time::Duration;

use crate::limits;
use crate::model::{Microsoft, Mono, Now, Wall};
use crate::sip::offer::ALLOW;
use crate::sip::tests::{MESSAGE, crlf, response_to, with};
use crate::sip::{
    Answer, Branch, Defect, HeaderName, Hop, HopClose, HopConfig, HopEffects, HopEvent, HopInput,
    Hosts, Ignored, Mark, Message, Method, Probe, Response, SentBy, SipUri, Tag, write_response,
};
use crate::text::{Line, SipToken};

const KEEPALIVE: Duration = Duration::from_secs(120);
const PROBE_AFTER: Duration = Duration::from_secs(300);
const IDLE: Duration = Duration::from_secs(1_800);

pub(super) struct Lab {
    pub(super) hop: Hop,
    pub(super) now: Now,
}

impl Lab {
    pub(super) fn new() -> Self {
        Self::with_seed(7)
    }

    fn with_seed(seed: u64) -> Self {
        Self::with(seed, None)
    }

    fn with(seed: u64, microsoft: Option<Microsoft>) -> Self {
        let probe = Probe {
            from: SipUri::parse("sip:xmpp.example").unwrap(),
            to: SipUri::parse("sip:sip.example").unwrap(),
            sent_by: SentBy::new("gw.example", 5061).unwrap(),
        };
        let config = HopConfig {
            mark: Mark(9),
            hosts: Hosts::only("gw.example", 5061).unwrap(),
            microsoft,
            accept: Line::fold("text/plain, message/cpim"),
            source: Some("192.0.2.7:40000".parse().unwrap()),
            probe: Some(probe),
            keepalive: KEEPALIVE,
            probe_after: PROBE_AFTER,
            idle: Some(IDLE),
        };
        let now = Now {
            mono: Mono::from_start(Duration::from_secs(1_000)),
            wall: Wall::default(),
        };
        let hop = Hop::new(config, now, seed);
        Self { hop, now }
    }

    /// A connection of a peer with these switches.
    pub(super) fn microsoft(switches: Microsoft) -> Self {
        let lab = Self::new();
        let config = HopConfig {
            mark: Mark(9),
            hosts: Hosts::only("gw.example", 5061).unwrap(),
            microsoft: Some(switches),
            accept: Line::fold("text/plain"),
            source: None,
            probe: None,
            keepalive: KEEPALIVE,
            probe_after: PROBE_AFTER,
            idle: None,
        };
        let hop = Hop::new(config, lab.now, 7);
        Self { hop, ..lab }
    }

    pub(super) fn receive(&mut self, text: &str) -> HopEffects {
        self.hop.handle(HopInput::Bytes(&crlf(text)), self.now)
    }

    /// Lets time pass to the next deadline.
    fn wait(&mut self) -> HopEffects {
        let idle = self
            .hop
            .handle(HopInput::Send(bytes::Bytes::new()), self.now);
        self.now.mono = idle.wake_at.unwrap().max(self.now.mono);
        self.hop.handle(HopInput::Timeout, self.now)
    }

    /// The answer to one request.
    pub(super) fn answer(&mut self, text: &str) -> Response {
        let effects = self.receive(text);
        assert!(effects.close.is_none());
        answer(&effects)
    }
}

fn answer(effects: &HopEffects) -> Response {
    match Message::parse(effects.write.clone().freeze()).unwrap() {
        Message::Response(response) => response,
        Message::Request(_) => panic!("a request"),
    }
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    let mut headers = response.headers();
    let found = headers.find(|header| header.name == name);
    found.map_or("", |header| header.raw)
}

pub(super) fn method(name: &str) -> String {
    MESSAGE.replace("MESSAGE", name)
}

#[test]
fn a_message_goes_to_its_shard_unanswered() {
    let effects = Lab::new().receive(MESSAGE);

    assert!(effects.write.is_empty());
    let [HopEvent::Request(request)] = effects.events.as_slice() else {
        panic!("{:?}", effects.events);
    };
    assert_eq!(request.body().as_ref(), b"hello");
    assert!(request.received().is_some());
}

#[test]
fn options_are_answered_with_what_the_gateway_takes() {
    let options = method("OPTIONS");
    for request in [
        options.clone(),
        with(&options, "Max-Forwards: 70", "Max-Forwards: 0"),
    ] {
        let response = Lab::new().answer(&request);

        assert_eq!(response.validate(), Ok(()));
        assert_eq!(response.status(), 200);
        assert_eq!(header(&response, "Allow"), ALLOW);
        assert_eq!(header(&response, "Accept"), "text/plain, message/cpim");
        assert_eq!(header(&response, "Accept-Encoding"), "identity");
        assert_eq!(header(&response, "Allow-Events"), "presence");
        assert!(response.headers().any(|header| header.name == "Supported"));
        assert!(response.to().unwrap().tag().is_some());
        assert_eq!(response.top_via().unwrap().received, Some("192.0.2.7"));
    }
}

#[test]
fn what_is_not_taken_is_answered_and_the_connection_goes_on() {
    let mut lab = Lab::new();
    let cases = [
        ("PRACK", 405),
        ("REFER", 405),
        ("REGISTER", 405),
        ("NEGOTIATE", 405),
        ("PUBLISH", 405),
        ("INFO", 481),
        ("UPDATE", 481),
        ("SERVICE", 501),
        ("!odd-Method_*+`.%'~", 501),
        ("message", 501),
        ("SUBSCRIBE", 489),
        ("NOTIFY", 481),
        ("BYE", 481),
    ];
    for (name, status) in cases {
        let response = lab.answer(&method(name));
        assert_eq!(response.status(), status, "{name}");
        let allow = header(&response, "Allow");
        let named = matches!(status, 405 | 501);
        assert_eq!(allow == ALLOW, named, "{name}");
    }
    let effects = lab.receive(MESSAGE);
    assert!(matches!(effects.events[..], [HopEvent::Request(_)]));
}

#[test]
fn subscriptions_go_to_a_shard_and_foreign_dialogs_do_not() {
    let ours = "To: <sip:alice@xmpp.example>;tag=00000000000000010000000000000002\n";
    let to = "To: <sip:alice@xmpp.example>\n";
    let subscribe = with(&method("SUBSCRIBE"), to, &format!("{to}Event: presence\n"));
    let notify = with(&method("NOTIFY"), to, &format!("{ours}Event: presence\n"));
    let in_dialog = with(&subscribe, to, ours);
    let other_target = "tel:+4712345 SIP/2.0";
    let alice = "sip:alice@xmpp.example SIP/2.0";
    for taken in [
        subscribe.clone(),
        notify.clone(),
        in_dialog.clone(),
        with(&notify, "Event: presence\n", ""),
        with(&in_dialog, alice, other_target),
    ] {
        let effects = Lab::new().receive(&taken);
        assert!(effects.write.is_empty(), "{taken}");
        assert!(matches!(effects.events[..], [HopEvent::Request(_)]));
    }
    let foreign = "To: <sip:alice@xmpp.example>;tag=ffd2\n";
    let winfo = "Event: presence.winfo";
    for (refused, status) in [
        (with(&subscribe, to, foreign), 481),
        (with(&notify, ours, foreign), 481),
        (with(&notify, ours, to), 481),
        (with(&subscribe, "Event: presence", winfo), 489),
        (with(&in_dialog, "Event: presence\n", ""), 489),
        (with(&notify, "Event: presence", winfo), 489),
        (with(&subscribe, "presence\n", "presence x\n"), 400),
        (with(&subscribe, alice, other_target), 416),
        (with(&subscribe, "Event", "Require: adhoclist\nEvent"), 420),
        (with(&notify, "Max-Forwards: 70", "Max-Forwards: 0"), 483),
    ] {
        let response = Lab::new().answer(&refused);
        assert_eq!(response.status(), status, "{refused}");
        let events = header(&response, "Allow-Events");
        assert_eq!(events == "presence", status == 489, "{refused}");
    }
}

#[test]
fn what_needs_no_user_is_refused() {
    let cases = [
        ("Max-Forwards: 70", "Max-Forwards: 0", 483),
        (
            "To: <sip:alice@xmpp.example>",
            "To: <sip:alice@xmpp.example>;tag=t",
            481,
        ),
        ("MESSAGE sip:alice@xmpp.example", "MESSAGE tel:+1555", 416),
        ("Max-Forwards: 70", "Require: a, b\nRequire: c", 420),
    ];
    for (old, new, status) in cases {
        let response = Lab::new().answer(&with(MESSAGE, old, new));
        assert_eq!(response.status(), status, "{new}");
        let unsupported = header(&response, "Unsupported");
        assert_eq!(unsupported == "a, b, c", status == 420, "{new}");
    }
    let for_proxies = with(MESSAGE, "Max-Forwards: 70", "Proxy-Require: ms-benotify");
    let effects = Lab::new().receive(&for_proxies);
    assert!(matches!(effects.events[..], [HopEvent::Request(_)]));
}

#[test]
fn malformed_requests_are_told_what_is_wrong() {
    let cases = [
        ("From: \"Bob\"", "From: \"Bob", 400, "Bad From header"),
        (
            "Call-ID: c1@sip.example\n",
            "",
            400,
            "Missing Call-ID header",
        ),
        (
            "CSeq: 7 MESSAGE",
            "CSeq: 7 INFO",
            400,
            "CSeq method mismatch",
        ),
        ("MESSAGE sip:", "MESSAGE  sip:", 400, "Bad start line"),
        (" SIP/2.0\n", " SIP/7.0\n", 505, "Version not supported"),
        (
            "Max-Forwards: 70",
            "Subject: \u{1}",
            400,
            "Control character in a header",
        ),
    ];
    for (old, new, status, reason) in cases {
        let mut lab = Lab::new();
        let response = lab.answer(&with(MESSAGE, old, new));
        assert_eq!((response.status(), response.reason()), (status, reason));
        assert!(lab.receive(MESSAGE).write.is_empty());
    }
}

#[test]
fn lost_framing_is_answered_and_ends_the_connection() {
    let doubtful = with(MESSAGE, "Content-Length: 5", "Content-Length: 5\nl: 7");

    let effects = Lab::new().receive(&format!("{doubtful}{MESSAGE}"));

    assert_eq!(answer(&effects).status(), 400);
    assert!(matches!(effects.close, Some(HopClose::Framing(_))));
    let requests = effects.events.iter();
    assert_eq!(
        requests
            .filter(|event| matches!(event, HopEvent::Request(_)))
            .count(),
        0
    );

    let mut lab = Lab::new();
    lab.receive(&doubtful);
    let effects = lab.receive(MESSAGE);
    assert!(effects.events.is_empty() && effects.wake_at.is_none());

    let effects = Lab::new().receive("GET / HTTP/1.1\nHost: gw.example\n\n");
    assert!(effects.write.is_empty());
    assert!(matches!(effects.close, Some(HopClose::Framing(_))));
}

#[test]
fn a_body_over_the_limit_is_answered_513() {
    let octets = limits::SIP_BODY + 1;
    let long = with(MESSAGE, "Content-Length: 5", &format!("l: {octets}"));
    let long = with(&long, "hello", &"x".repeat(octets));
    let mut lab = Lab::new();

    assert_eq!(lab.answer(&long).status(), 513);
    assert!(matches!(
        lab.receive(MESSAGE).events[..],
        [HopEvent::Request(_)]
    ));
}

#[test]
fn responses_and_acks_are_never_answered() {
    let ours = "z9hG4bK0000000900030000000000000001";
    let response = String::from_utf8(response_to(ours, "200 OK").bytes().to_vec()).unwrap();
    let response = response.replace("\r\n", "\n");
    let cases = [
        method("ACK"),
        with(&method("ACK"), "ACK sip:", "ACK  sip:"),
        with(&response, "200 OK", "4294967301 OK"),
        with(
            &response,
            "CSeq: 1 MESSAGE",
            "CSeq: 9292394834772304023312 MESSAGE",
        ),
        with(&response, "SIP/2.0 200", "SIP/7.0 200"),
        with(&response, "gw.example:5061", "other.example:5061"),
        with(&response, ours, "z9hG4bK-of-somebody-else"),
        with(
            &response,
            "From:",
            "Via: SIP/2.0/UDP 255.255.255.255;branch=z9hG4bK1\nFrom:",
        ),
    ];
    for text in cases {
        let effects = Lab::new().receive(&text);
        assert!(effects.write.is_empty(), "{text}");
        assert!(
            matches!(effects.events[..], [HopEvent::Ignored(_)]),
            "{text}"
        );
    }
    let effects = Lab::new().receive(&response);
    assert!(matches!(effects.events[..], [HopEvent::Response(_)]));

    let multiple = with(&response, "Content-Length: 0", "l: 0\nl: 0");
    let effects = Lab::new().receive(&multiple);
    assert!(effects.write.is_empty());
    assert!(matches!(effects.close, Some(HopClose::Framing(_))));
}

#[test]
fn a_request_that_went_through_us_is_a_loop() {
    let below = |branch: &str| {
        let via = format!("Via: SIP/2.0/TLS gw.example:5061;x=y ;branch={branch} , SIP/2.0/TCP c");
        with(MESSAGE, "Max-Forwards: 70", &via)
    };

    let own = Lab::new().answer(&below("z9hG4bK0000000900030000000000000001"));
    assert_eq!(own.status(), 482);

    for other in ["z9hG4bK0000000800030000000000000001", "z9hG4bK77a1", "9"] {
        let effects = Lab::new().receive(&below(other));
        assert!(
            matches!(effects.events[..], [HopEvent::Request(_)]),
            "{other}"
        );
    }
}

#[test]
fn repetitions_get_the_same_tag_and_others_another() {
    let tag = |lab: &mut Lab, text: &str| {
        let to = lab.answer(text).to().unwrap();
        to.tag().map(SipToken::as_str).map(str::to_owned).unwrap()
    };
    let mut lab = Lab::new();
    let first = tag(&mut lab, &method("OPTIONS"));

    assert_eq!(tag(&mut lab, &method("OPTIONS")), first);
    let other = with(&method("OPTIONS"), "z9hG4bK77a1", "z9hG4bK77a2");
    assert_ne!(tag(&mut lab, &other), first);
    assert_ne!(tag(&mut Lab::with_seed(8), &method("OPTIONS")), first);
}

#[test]
fn keep_alives_go_both_ways() {
    let mut lab = Lab::new();
    assert_eq!(lab.receive("\n\n").write.as_ref(), b"\r\n");
    assert!(lab.receive("\n").write.is_empty());

    let start = lab.now.mono;
    let effects = lab.wait();

    assert_eq!(effects.write.as_ref(), b"\r\n\r\n");
    assert_eq!(lab.now.mono, start + KEEPALIVE);
}

#[test]
fn a_silent_peer_is_asked_and_then_given_up() {
    let mut lab = Lab::new();
    let start = lab.now.mono;
    let mut effects = lab.wait();
    while effects.write.as_ref() == b"\r\n\r\n" {
        effects = lab.wait();
    }
    assert_eq!(lab.now.mono, start + PROBE_AFTER);
    let Ok(Message::Request(options)) = Message::parse(effects.write.clone().freeze()) else {
        panic!("{effects:?}");
    };
    assert_eq!(options.validate(), Ok(()));
    assert_eq!(options.method(), Some(Method::Options));
    assert_eq!(options.uri().unwrap().as_str(), "sip:sip.example");

    let effects = lab.wait();
    assert_eq!(effects.close, Some(HopClose::Silent));
    assert_eq!(lab.now.mono, start + PROBE_AFTER + limits::TIMER_F);
}

#[test]
fn any_answer_to_our_options_shows_life() {
    let mut lab = Lab::new();
    let options = loop {
        let effects = lab.wait();
        if let Ok(Message::Request(options)) = Message::parse(effects.write.freeze()) {
            break options;
        }
    };
    let refusal = write_response(&options, &Answer::new(405));

    let effects = lab.hop.handle(HopInput::Bytes(&refusal), lab.now);

    assert!(matches!(effects.events[..], [HopEvent::Alive]));
    let branch = Branch::parse(options.top_via().unwrap().branch.unwrap()).unwrap();
    assert_eq!(branch.mark(), Mark(9));
    assert!(lab.wait().close.is_none());
}

#[test]
fn silence_does_not_count_while_we_do_not_read() {
    let mut lab = Lab::new();
    lab.hop.handle(HopInput::Reading(false), lab.now);
    lab.now.mono = lab.now.mono + PROBE_AFTER * 3;
    let effects = lab.hop.handle(HopInput::Timeout, lab.now);
    assert_eq!(effects.write.as_ref(), b"\r\n\r\n");

    let effects = lab.hop.handle(HopInput::Reading(true), lab.now);
    assert!(effects.close.is_none());
    let effects = lab.hop.handle(HopInput::Timeout, lab.now);
    assert!(effects.close.is_none() && effects.write.is_empty());
}

#[test]
fn a_connection_without_messages_is_closed() {
    let mut lab = Lab::new();
    let start = lab.now.mono;
    lab.now.mono = start + IDLE;
    lab.receive("\n\n");

    let effects = lab.hop.handle(HopInput::Timeout, lab.now);
    assert_eq!(effects.close, Some(HopClose::Idle));

    let mut lab = Lab::new();
    let effects = lab.hop.handle(HopInput::Ended, lab.now);
    assert_eq!(effects.close, Some(HopClose::Ended));
}

#[test]
fn a_benotify_goes_to_its_dialog_and_is_never_answered() {
    let tag = Tag::new(&jid::BareJid::new("alice@xmpp.example").unwrap(), 7).token();
    let outside = with(
        &method("BENOTIFY"),
        "Content-Type",
        "Event: presence\nContent-Type",
    );
    let inside = with(
        &outside,
        "To: <sip:alice@xmpp.example>",
        &format!("To: <sip:alice@xmpp.example>;tag={}", tag.as_str()),
    );
    let is_silent = |effects: &HopEffects| effects.write.is_empty() && effects.close.is_none();

    let effects = Lab::new().receive(&inside);
    assert!(is_silent(&effects));
    let [HopEvent::Request(request)] = &effects.events[..] else {
        panic!("{:?}", effects.events);
    };
    let refusal = HopInput::Answer(request, Answer::new(403));
    let mut lab = Lab::new();
    assert!(is_silent(&lab.hop.handle(refusal, lab.now)));

    let broken = [
        outside,
        with(&inside, "Event: presence", "Event: dialog"),
        with(&inside, "CSeq: 7 ", "CSeq: x "),
        with(&inside, "BENOTIFY sip:", "BENOTIFY  sip:"),
    ];
    for text in broken {
        let effects = Lab::new().receive(&text);
        assert!(is_silent(&effects), "{text}");
        assert!(
            matches!(effects.events[..], [HopEvent::Ignored(_)]),
            "{text}"
        );
    }
}

#[test]
fn what_is_ignored_says_why() {
    let effects = Lab::new().receive(&method("ACK"));
    assert!(matches!(
        effects.events[..],
        [HopEvent::Ignored(Ignored::Ack)]
    ));

    let no_via = with(
        MESSAGE,
        "Via: SIP/2.0/TLS edge.sip.example:5061;branch=z9hG4bK77a1\n",
        "",
    );
    let two_spaces = with(&no_via, "MESSAGE sip:", "MESSAGE  sip:");
    let missing = Defect::Missing(HeaderName::Via);
    for (text, defect) in [(no_via, missing), (two_spaces, Defect::StartLine)] {
        let effects = Lab::new().receive(&text);
        let [HopEvent::Ignored(Ignored::Unreadable(why))] = effects.events[..] else {
            panic!("{effects:?}");
        };
        assert_eq!(why.defect, defect);
        assert!(effects.write.is_empty());
    }
}

#[test]
fn routes_of_a_message_do_not_matter_here() {
    let routed = with(
        MESSAGE,
        "Max-Forwards: 70",
        "Route: <sip:gw.example;lr>\nRecord-Route: <sip:edge.sip.example;lr;ms-route-sig=aZ_9>",
    );

    let effects = Lab::new().receive(&routed);

    assert!(matches!(effects.events[..], [HopEvent::Request(_)]));
}

#[test]
fn heads_over_a_limit_are_answered_and_end_the_connection() {
    let via = "Via: SIP/2.0/TLS inner.sip.example;branch=z9hG4bK1";
    let floods = [
        vec!["X: y"; 10_000].join("\n"),
        format!("X: {}", "y".repeat(64 * 1024)),
        vec![via; 1_000].join("\n"),
    ];
    for flood in floods {
        let effects = Lab::new().receive(&with(MESSAGE, "Max-Forwards: 70", &flood));

        let mut answers = effects.write.clone();
        answers.truncate(11);
        assert_eq!(answers.as_ref(), b"SIP/2.0 400");
        assert!(matches!(effects.close, Some(HopClose::Framing(_))));
    }
}

#[test]
fn a_microsoft_peer_is_told_why_and_others_are_not() {
    let diagnosed = |microsoft, text: &str| {
        let mut lab = Lab::with(7, microsoft);
        let answer = lab.answer(text);
        let header = answer.header(HeaderName::MsDiagnostics);
        (answer.status(), header.map(|header| header.text()))
    };
    let refer = MESSAGE.replace("MESSAGE", "REFER");
    let broken = MESSAGE.replace("CSeq: ", "CSeq: x");
    let microsoft = Some(Microsoft::default());

    assert_eq!(diagnosed(None, &refer), (405, None));
    let (status, why) = diagnosed(microsoft, &refer);
    assert_eq!(status, 405);
    let wanted = "65003;reason=\"This type of SIP request is not supported\";source=\"gw.example\"";
    assert_eq!(why.as_deref(), Some(wanted));
    let (status, why) = diagnosed(microsoft, &broken);
    assert_eq!(status, 400);
    assert!(why.unwrap().starts_with("65001;"));
    let options = MESSAGE.replace("MESSAGE", "OPTIONS");
    assert_eq!(diagnosed(microsoft, &options), (200, None));
}
