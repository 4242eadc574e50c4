//! What reading and writing SIP costs: a MESSAGE of 600 octets and a NOTIFY of 2.4 KB.
//!
//! Prints nanoseconds for one operation, the best of several rounds; asserts nothing.

use std::hint::black_box;
use std::time::Instant;

use bytes::Bytes;
use translators::sip::{
    Branch, CallId, Draft, Frame, Framer, HeaderName, Message, Method, NameAddr, SentBy, SipUri,
    write_request,
};
use translators::text::{Line, SipToken};

const ROUNDS: u32 = 7;
const RUNS: u32 = 100_000;

#[expect(clippy::print_stdout, reason = "printing is what this program is for")]
fn main() {
    for (name, draft) in [("MESSAGE", message()), ("NOTIFY", notify())] {
        let (Some(sent_by), Some(branch)) = (SentBy::new("gw.xmpp.example", 5061), branch()) else {
            return;
        };
        let bytes = write_request(&draft, &sent_by, branch);
        println!("{name} of {} octets", bytes.len());
        let parse = || Message::parse(bytes.clone());
        let write = || write_request(&draft, &sent_by, branch);
        let measured = [
            ("parse", best(parse)),
            ("parse and validate", best(|| validate(&bytes))),
            ("frame and parse", best(|| frame(&bytes))),
            ("write", best(write)),
            ("parse and write", best(|| (parse(), write()))),
        ];
        for (what, nanoseconds) in measured {
            println!("  {what:<20} {nanoseconds:>7.0} ns");
        }
    }
}

fn validate(bytes: &Bytes) -> bool {
    Message::parse(bytes.clone()).is_ok_and(|message| message.validate().is_ok())
}

fn frame(bytes: &Bytes) -> Option<Frame> {
    let mut framer = Framer::new();
    framer.push(bytes);
    framer.next_frame().ok().flatten()
}

/// Nanoseconds of one run, in the best round.
#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
fn best<T>(mut run: impl FnMut() -> T) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..RUNS {
            black_box(run());
        }
        best = best.min(start.elapsed().as_secs_f64() / f64::from(RUNS) * 1e9);
    }
    best
}

fn message() -> Draft {
    let headers = [
        (HeaderName::Date, "Sat, 13 Nov 2010 23:29:00 GMT"),
        (HeaderName::Subject, "tea at five"),
        (HeaderName::ContentLanguage, "en"),
        (HeaderName::UserAgent, "isthmus"),
    ];
    draft(
        Method::Message,
        &headers,
        "text/plain;charset=UTF-8",
        &"tea? ".repeat(18),
    )
}

fn notify() -> Draft {
    let route =
        "<sip:edge.sip.example:5061;transport=tls;lr;ms-key-info=AAEAAdj8wQ;ms-route-sig=hG7p>";
    let headers = [
        (HeaderName::RecordRoute, route),
        (HeaderName::RecordRoute, route),
        (
            HeaderName::Contact,
            "<sip:gw.xmpp.example:5061;transport=tls>",
        ),
        (HeaderName::Event, "presence"),
        (HeaderName::Allow, "MESSAGE, NOTIFY, OPTIONS, SUBSCRIBE"),
        (HeaderName::Supported, "eventlist, gruu"),
        (HeaderName::Require, "eventlist"),
        (HeaderName::UserAgent, "isthmus"),
    ];
    let tuple =
        "<tuple id=\"t1\"><status><basic>open</basic></status><note>at sea</note></tuple>\r\n";
    draft(
        Method::Notify,
        &headers,
        "application/pidf+xml",
        &tuple.repeat(20),
    )
}

fn draft(method: Method, headers: &[(HeaderName, &str)], media: &str, body: &str) -> Draft {
    let uri = |text| SipUri::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"));
    let headers = headers.iter();
    Draft {
        method,
        uri: uri("sip:juliet@sip.example"),
        from: NameAddr::new(
            Some("Romeo Montague"),
            uri("sip:romeo@xmpp.example;gr=orchard"),
            SipToken::parse("5f0c1a7be2d94c38"),
        ),
        to: NameAddr::new(None, uri("sip:juliet@sip.example"), None),
        call_id: CallId::from_number(0x1d3f_5b79_0246_8ace),
        cseq: 17,
        max_forwards: 70,
        headers: headers
            .map(|(name, value)| (*name, Line::fold(value)))
            .collect(),
        content_type: Some(Line::fold(media)),
        body: body.to_owned().into(),
    }
}

fn branch() -> Option<Branch> {
    Branch::parse("z9hG4bK0badcafe00030123456789abcdef")
}
