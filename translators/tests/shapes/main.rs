//! Messages in the shapes of Microsoft's servers, `shapes/*.sip`: each is read, explained, and echoed
//! octet by octet, as it stands and in every other way that means the same. `SHAPES=FOLDER` adds the
//! messages of a folder, such as captures that may not be passed on.
#![allow(clippy::unwrap_used)]

#[path = "../runner/mod.rs"]
#[allow(dead_code, reason = "vectors use the rest of it")]
mod runner;
mod taken;

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use jid::BareJid;
use translators::explain::explain;
use translators::model::{Directory, Microsoft, Now, Wall};
use translators::sip::dialog::RouteSet;
use translators::sip::subscription::SubscriptionState;
use translators::sip::{
    Answer, Branch, Dialog, Hop, HopConfig, HopEvent, HopInput, Hosts, Ignored, Mark, Message,
    Method, Request, SentBy, Tag, judge, write_request, write_response,
};
use translators::text::{Line, SipToken};

/// A message as text: start line, headers, body.
#[derive(Clone)]
struct Raw {
    line: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Raw {
    fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let mut lines = head.split("\r\n");
        let line = lines.next().unwrap().to_owned();
        let mut headers: Vec<(String, String)> = Vec::new();
        for line in lines {
            if line.starts_with([' ', '\t']) {
                headers.last_mut().unwrap().1 += &format!("\r\n{line}");
                continue;
            }
            let (name, value) = line.split_once(':').unwrap();
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
        Self {
            line,
            headers,
            body: body.to_owned(),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut text = format!("{}\r\n", self.line);
        for (name, value) in &self.headers {
            text += &format!("{name}: {value}\r\n");
        }
        text += "\r\n";
        text += &self.body;
        text.into_bytes()
    }

    fn map(&self, change: impl Fn(&(String, String)) -> Vec<(String, String)>) -> Self {
        let headers = self.headers.iter().flat_map(change).collect();
        Self {
            headers,
            ..self.clone()
        }
    }

    /// Every value under a name, in any of its forms.
    fn values(&self, name: &str) -> Vec<String> {
        let same = self.headers.iter().filter(|(one, _)| long(one) == name);
        let values = same.flat_map(|(_, value)| match name {
            "via" | "record-route" | "route" => parts(value),
            _ => vec![value.clone()],
        });
        values.map(|value| unfold(&value)).collect()
    }
}

/// The long form of a name in lower case.
fn long(name: &str) -> String {
    let name = name.trim().to_ascii_lowercase();
    let found = COMPACT.iter().find(|(short, _)| *short == name);
    found.map_or(name, |(_, long)| (*long).to_owned())
}

const COMPACT: [(&str, &str); 9] = [
    ("c", "content-type"),
    ("f", "from"),
    ("i", "call-id"),
    ("k", "supported"),
    ("l", "content-length"),
    ("m", "contact"),
    ("o", "event"),
    ("t", "to"),
    ("v", "via"),
];

/// Headers that are lists.
const LISTS: [&str; 6] = [
    "accept",
    "allow",
    "record-route",
    "route",
    "supported",
    "via",
];

/// The values of a list: commas outside quotes and brackets part them.
fn parts(value: &str) -> Vec<String> {
    let (mut quoted, mut bracketed) = (false, false);
    let split = value.split(|c: char| {
        match c {
            '"' => quoted = !quoted,
            '<' if !quoted => bracketed = true,
            '>' if !quoted => bracketed = false,
            _ => {}
        }
        c == ',' && !quoted && !bracketed
    });
    split.map(|part| part.trim().to_owned()).collect()
}

fn unfold(value: &str) -> String {
    let lines = value.split("\r\n").map(str::trim);
    lines.collect::<Vec<_>>().join(" ").trim().to_owned()
}

/// The same message written in other ways.
fn variants(raw: &Raw) -> Vec<(&'static str, Raw)> {
    let is_list = |name: &str| LISTS.contains(&long(name).as_str());
    let short = |name: &str| {
        let name = long(name);
        let found = COMPACT.iter().find(|(_, long)| *long == name);
        found.map_or(name, |(short, _)| (*short).to_owned())
    };
    let mut variants = vec![
        ("as it stands", raw.clone()),
        (
            "upper-case names",
            raw.map(|(name, value)| vec![(long(name).to_ascii_uppercase(), value.clone())]),
        ),
        (
            "compact names",
            raw.map(|(name, value)| vec![(short(name), value.clone())]),
        ),
        (
            "folded",
            raw.map(|(name, value)| {
                let value = if is_list(name) && !value.contains('"') {
                    value.replace(", ", ",\r\n\t")
                } else {
                    value.clone()
                };
                vec![(name.clone(), format!("\r\n  {value}"))]
            }),
        ),
        (
            "split",
            raw.map(|(name, value)| {
                let values = if is_list(name) {
                    parts(value)
                } else {
                    vec![value.clone()]
                };
                let named = values.into_iter().map(|value| (name.clone(), value));
                named.collect()
            }),
        ),
        ("joined", joined(raw)),
    ];
    for seed in 1..=8 {
        variants.push(("in another order", shuffled(raw, seed)));
    }
    variants
}

/// Lists in one line each, where the first of them stood.
fn joined(raw: &Raw) -> Raw {
    let mut headers: Vec<(String, String)> = Vec::new();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for (name, value) in &raw.headers {
        let key = long(name);
        match seen.get(&key).and_then(|place| headers.get_mut(*place)) {
            Some((_, line)) if LISTS.contains(&key.as_str()) => *line += &format!(" , {value}"),
            Some(_) | None => {
                seen.insert(key, headers.len());
                headers.push((name.clone(), value.clone()));
            }
        }
    }
    Raw {
        headers,
        ..raw.clone()
    }
}

/// The headers in another order; those that tell a way keep theirs among themselves.
fn shuffled(raw: &Raw, seed: u64) -> Raw {
    let mut state = seed;
    let mut draw = |bound: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(99);
        usize::try_from(state >> 33).unwrap() % bound
    };
    let mut headers = raw.headers.clone();
    for place in (1..headers.len()).rev() {
        headers.swap(place, draw(place + 1));
    }
    for name in ["via", "route", "record-route"] {
        let of_name = |(one, _): &&(String, String)| long(one) == name;
        let mut in_order = raw.headers.iter().filter(of_name);
        for header in headers.iter_mut().filter(|header| of_name(&&**header)) {
            *header = in_order.next().unwrap().clone();
        }
    }
    Raw {
        headers,
        ..raw.clone()
    }
}

fn files() -> Vec<(String, Raw)> {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("shapes")];
    folders.extend(env::var_os("SHAPES").map(PathBuf::from));
    let mut found = Vec::new();
    for folder in folders {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "sip") {
                continue;
            }
            let mut text = String::from_utf8(fs::read(&path).unwrap()).unwrap();
            if !text.contains("\r\n") {
                text = text.replace('\n', "\r\n");
            }
            // Without an end of its head it is a fragment.
            if text.contains("\r\n\r\n") {
                found.push((path.display().to_string(), Raw::parse(&text)));
            }
        }
    }
    found.sort_by(|one, other| one.0.cmp(&other.0));
    assert!(found.len() >= 16);
    found
}

fn hop() -> Hop {
    let config = HopConfig {
        mark: Mark(1),
        hosts: Hosts::new(5061),
        microsoft: Some(Microsoft::default()),
        accept: Line::fold("text/plain"),
        source: None,
        probe: None,
        keepalive: Duration::from_secs(120),
        probe_after: Duration::from_secs(300),
        idle: None,
    };
    Hop::new(config, Now::default(), 1)
}

/// What a request is answered with on its link, or would be by a shard.
fn answer(bytes: &[u8], about: &str) -> Option<Raw> {
    let effects = hop().handle(HopInput::Bytes(bytes), Now::default());
    assert!(effects.close.is_none(), "{about}");
    let written = match effects.events.as_slice() {
        [HopEvent::Request(request)] if request.method() == Some(Method::Benotify) => return None,
        [HopEvent::Request(request)] => {
            let answer = Answer::new(200).record_route();
            let answer = answer.to_tag(SipToken::parse("ours").unwrap());
            write_response(request, &answer).to_vec()
        }
        [HopEvent::Answered { status, why, .. }] => {
            assert!(
                why.is_none() && ![400, 500, 501, 503].contains(status),
                "{about}: {status}"
            );
            effects.write.to_vec()
        }
        [HopEvent::Response(_) | HopEvent::Alive | HopEvent::Ignored(_)] => return None,
        events => panic!("{about}: {events:?}"),
    };
    Some(Raw::parse(&String::from_utf8(written).unwrap()))
}

/// The NOTIFY in the dialog of a SUBSCRIBE.
fn notify(request: &Request) -> Raw {
    let jid = BareJid::new("juliet@xmpp.example").unwrap();
    let mut dialog = Dialog::accepting(request, Tag::new(&jid, 7)).unwrap();
    let sent_by = SentBy::new("gw.xmpp.example", 5061).unwrap();
    let state = SubscriptionState::active(60);
    let (draft, _) = dialog.notify(&state, Vec::new(), None, &sent_by).unwrap();
    let branch = Branch::parse("z9hG4bK0000000900030000000000000001").unwrap();
    let bytes = write_request(&draft, &sent_by, branch);
    Raw::parse(std::str::from_utf8(&bytes).unwrap())
}

fn read(bytes: &[u8], about: &str) -> Message {
    assert_eq!(judge(bytes), Ok(()), "{about}");
    Message::parse(Bytes::copy_from_slice(bytes)).unwrap()
}

#[test]
fn what_is_echoed_is_the_same_however_a_message_is_written() {
    for (file, raw) in files() {
        for (way, variant) in variants(&raw) {
            let about = format!("{file}, {way}");
            let bytes = variant.bytes();
            let routes = variant.values("record-route");
            match read(&bytes, &about) {
                Message::Request(request) => taken(&raw, &request, &bytes, &about),
                Message::Response(response) => {
                    let set = RouteSet::of_response(&response).unwrap();
                    let mut reversed = routes.clone();
                    reversed.reverse();
                    assert!(set.routes().eq(reversed), "{about}");
                    assert_eq!(routes, raw.values("record-route"), "{about}");
                    assert_eq!(response.vias().unwrap().len(), raw.values("via").len());
                }
            }
        }
    }
}

/// A request is answered, and what we send back in the dialog that it makes goes where it came from.
fn taken(raw: &Raw, request: &Request, bytes: &[u8], about: &str) {
    let set = RouteSet::of_request(request).unwrap();
    let routes = raw.values("record-route");
    assert!(set.routes().eq(&routes), "{about}");
    if let Some(answer) = answer(bytes, about) {
        echoes(raw, &answer, about);
    }
    let initial = request.to().unwrap().tag().is_none();
    if request.method() == Some(Method::Subscribe) && initial {
        let notify = notify(request);
        assert_eq!(notify.values("route"), routes, "{about}");
        goes_back(raw, &notify, about);
    }
}

/// Via, From, To, Call-ID, CSeq and Record-Route of an answer are those of its request.
fn echoes(request: &Raw, answer: &Raw, about: &str) {
    for name in ["via", "from", "call-id", "cseq"] {
        assert_eq!(answer.values(name), request.values(name), "{about}: {name}");
    }
    let (was, is) = (request.values("to"), answer.values("to"));
    let kept = was.iter().zip(&is).all(|(was, is)| is.starts_with(was));
    assert!(kept && was.len() == is.len(), "{about}: {is:?}");
    if answer.line == "SIP/2.0 200 OK" && !answer.values("record-route").is_empty() {
        let routes = request.values("record-route");
        assert_eq!(answer.values("record-route"), routes, "{about}");
    }
}

/// A request of ours in the dialog goes to the Contact, and to the endpoint of From.
fn goes_back(request: &Raw, ours: &Raw, about: &str) {
    let contact = request.values("contact").remove(0);
    let uri = contact
        .split_once('<')
        .unwrap()
        .1
        .split_once('>')
        .unwrap()
        .0;
    assert_eq!(ours.line, format!("NOTIFY {uri} SIP/2.0"), "{about}");
    let from = request.values("from").remove(0);
    let to = ours.values("to").remove(0);
    for param in from.rsplit_once('>').unwrap().1.split(';').skip(1) {
        assert!(to.contains(&format!(";{param}")), "{about}: {to}");
    }
}

#[test]
fn a_doubled_header_that_says_who_or_how_long_is_refused() {
    for (file, raw) in files() {
        for name in ["from", "call-id", "content-length"] {
            let doubled = raw.map(|header| {
                let doubled = usize::from(long(&header.0) == name);
                vec![header.clone(); 1 + doubled]
            });
            assert!(
                doubled.headers.len() > raw.headers.len(),
                "{file} has no {name}"
            );
            assert!(judge(&doubled.bytes()).is_err(), "{file}: {name}");
        }
    }
}

#[test]
fn each_is_explained() {
    let now = Wall::parse_rfc3339("2026-11-28T12:00:00Z").unwrap();
    for (file, raw) in files() {
        let story = explain(&raw.bytes(), &Directory::default(), now).unwrap();
        let lines = story.lines();
        assert!(lines.len() > 1, "{file}");
        for bad in ["cannot be read", "not whole", "SIP/2.0 400", "SIP/2.0 50"] {
            let found = lines.iter().find(|line| line.contains(bad));
            let is_its_own = |line: &&String| line.contains(&raw.line);
            assert!(
                found.filter(|line| !is_its_own(line)).is_none(),
                "{file}: {found:?}"
            );
        }
    }
}

/// White space and parameters that mean nothing, as the grammar lets them stand (RFC 3261 section
/// 25.1): of the ways and ends of a message.
fn oddities(raw: &Raw) -> Vec<(String, Raw)> {
    let told = |name: &str, of: &[&str]| of.contains(&long(name).as_str());
    let ends: [&str; 3] = ["from", "to", "contact"];
    let ways: [&str; 3] = ["via", "record-route", "route"];
    let mut odd = Vec::new();
    for blank in ["", "\t", "   ", "\r\n ", "\r\n\t \r\n  "] {
        let spaced =
            raw.map(|(name, value)| vec![(format!("{name} "), format!("{blank}{value} "))]);
        odd.push((format!("{blank:?} before values"), spaced));
    }
    for more in [
        ";x",
        ";x=",
        ";x=\"\"",
        ";x=y",
        " ; x = y",
        "\r\n ;x\r\n =\r\n y",
        ";x=\"a;b,c<d>\\\"e\\\\\"",
        ";x=[2001:db8::9]:5061",
        ";x=2001:db8::9",
        ";x={1F-0F}",
        ";x=\"\u{416}\u{1f339}\"",
        ";x=a@b.c",
        ";x=+49(30)/!~*'%20",
        ";ms-received-port=5061;ms-received-cid=FFFFFFFF00",
    ] {
        for (which, names) in [("ends", ends), ("ways", ways)] {
            let longer = raw.map(|(name, value)| {
                let tail = [more].repeat(usize::from(told(name, &names))).concat();
                vec![(name.clone(), format!("{value}{tail}"))]
            });
            odd.push((format!("{more:?} behind {which}"), longer));
        }
    }
    for display in [
        "\"\"",
        "\"a, b\"",
        "\"<sip:eve@evil.example>\"",
        "\"\\\"\\\\\"",
        "Romeo Montague",
        "\u{416}",
        "\"=?utf-8?b?0JY=?=\"",
        "\"\u{202e}\u{1f339}\"",
        "\"+49 (30) 1234 ext. 5\"",
    ] {
        let named = raw.map(|(name, value)| {
            let address = value
                .split_once('<')
                .filter(|_| told(name, &["from", "to"]));
            let value = address.map_or_else(
                || value.clone(),
                |(_, address)| format!("{display}<{address}"),
            );
            vec![(name.clone(), value)]
        });
        odd.push((format!("named {display}"), named));
    }
    odd
}

#[test]
fn odd_spaces_parameters_and_names_are_read_and_echoed() {
    for (file, raw) in files() {
        for (way, variant) in oddities(&raw) {
            let about = format!("{file}, {way}");
            let bytes = variant.bytes();
            let message = read(&bytes, &about);
            let Message::Request(_) = message else {
                let events = hop().handle(HopInput::Bytes(&bytes), Now::default()).events;
                let unread =
                    |event: &HopEvent| matches!(event, HopEvent::Ignored(Ignored::Unreadable(_)));
                assert!(!events.iter().any(unread), "{about}");
                continue;
            };
            let plain =
                |raw: &Raw| raw.map(|(name, value)| vec![(name.trim().to_owned(), unfold(value))]);
            if let Some(answer) = answer(&bytes, &about) {
                echoes(&plain(&variant), &plain(&answer), &about);
            }
        }
    }
}
