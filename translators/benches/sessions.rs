//! What a conversation in an INVITE dialog costs one shard: to begin it from either side, a message in
//! it each way, and the memory of one that is idle: what stays as long as it is open, and with it what
//! is remembered of its beginning for 32 seconds.
//!
//! Prints microseconds and octets; asserts nothing.

use std::fs;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use translators::model::{
    Accept, Dialect, Directory, Domain, LinkId, Microsoft, Mono, Now, PeerId, Profile, SipProfile,
    Wall, XmppProfile,
};
use translators::origin::{self, Proven};
use translators::policy::Policy;
use translators::shard::{Effects, Input, Place, Shard, Transmit};
use translators::sip::{Hosts, Mark, Message};
use translators::xmpp::Stanza;
use translators::xmpp::reader::{Frame, Reader, ReaderLimits};

/// Conversations of one shard, as many as it remembers at most.
const PAIRS: u32 = 8_000;
const RUNS: u32 = 40_000;
/// Time between two conversations, of which few are remembered then.
const SPACING: Duration = Duration::from_millis(100);
const XMPP: &str = "xmpp.example";
const SIP: &str = "sip.example";
const HEADER: &str = "<stream:stream xmlns='jabber:server' version='1.0' \
                      xmlns:stream='http://etherx.jabber.org/streams'>";
const ROUTES: &str = "Record-Route: <sip:sipfed.sip.example:5061;transport=tls;lr;\
    ms-key-info=jAAB2F;ms-route-sig=daf_MA>;tag=33080DF1\r\n";
const SDP: &str = "v=0\r\no=- 0 0 IN IP4 198.51.100.57\r\ns=session\r\n\
    c=IN IP4 198.51.100.57\r\nt=0 0\r\nm=message 5060 sip null\r\n\
    a=accept-types:text/plain multipart/alternative image/gif text/rtf text/html\r\n";
const TEXT: &str = "Shall we have tea at five in the garden house?";

#[expect(clippy::print_stdout, reason = "printing is what this program is for")]
fn main() {
    match measured() {
        Some(lines) => lines.iter().for_each(|line| println!("{line}")),
        None => println!("did not work"),
    }
}

fn measured() -> Option<Vec<String>> {
    let sides: [(&str, Begin); 2] = [
        ("we begin", Desk::begin),
        ("the peer begins", Desk::invited),
    ];
    let mut lines = Vec::new();
    // What one leaves to the allocator is not to be the next one's.
    let mut desks = Vec::new();
    for (who, begin) in sides {
        let (desk, _, octets) = opened(begin, SPACING)?;
        desks.push(desk);
        lines.push(size(&format!("an open conversation that {who}"), octets));
        let (desk, span, octets) = opened(begin, Duration::ZERO)?;
        desks.push(desk);
        lines.push(size("  with what is remembered of its beginning", octets));
        lines.push(rate(&format!("conversations that {who}"), span, PAIRS));
    }
    let desk = desks.get_mut(1)?;
    desk.rest();
    let sent = timed(RUNS, |run| desk.alice_writes(run % PAIRS))?;
    lines.push(cost("a message in it, XMPP to SIP", sent, RUNS));
    let heard = timed(RUNS, |run| desk.bob_writes(run % PAIRS))?;
    lines.push(cost("a message in it, SIP to XMPP", heard, RUNS));
    Some(lines)
}

/// Begins the conversation of a pair.
type Begin = fn(&mut Desk, u32) -> Option<()>;

/// A shard with conversations that began one after the other with time in between, how long that took,
/// and octets for each.
fn opened(begin: Begin, spacing: Duration) -> Option<(Desk, Duration, u64)> {
    let before = resident()?;
    let mut desk = Desk::new()?;
    let span = timed(PAIRS, |pair| {
        begin(&mut desk, pair)?;
        desk.pass(spacing);
        Some(())
    })?;
    let octets = resident()?.saturating_sub(before) / u64::from(PAIRS);
    Some((desk, span, octets))
}

#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
fn timed(count: u32, mut act: impl FnMut(u32) -> Option<()>) -> Option<Duration> {
    let start = Instant::now();
    for run in 0..count {
        act(run)?;
    }
    Some(start.elapsed())
}

fn rate(what: &str, span: Duration, count: u32) -> String {
    let seconds = span.as_secs_f64();
    let each = seconds / f64::from(count) * 1e6;
    let rate = f64::from(count) / seconds;
    format!("{what:<42} {rate:>8.0} /s, {each:.1} us each")
}

fn size(what: &str, octets: u64) -> String {
    format!("{what:<42} {octets:>8} octets")
}

fn cost(what: &str, span: Duration, count: u32) -> String {
    let each = span.as_secs_f64() / f64::from(count) * 1e6;
    format!("{what:<42} {each:>8.1} us")
}

/// Octets of memory of this process.
fn resident() -> Option<u64> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * 4_096)
}

/// What Bob's client knows of a dialog.
struct Far {
    call_id: String,
    ours: String,
    contact: String,
    cseq: u32,
}

struct Desk {
    shard: Shard,
    reader: Reader,
    sip: Proven,
    xmpp: Proven,
    now: Now,
    inputs: u64,
    far: Vec<Far>,
}

impl Desk {
    fn new() -> Option<Self> {
        let sip = SipProfile {
            microsoft: Some(Microsoft::default()),
            chat: true,
            page_limit: 128 * 1024,
            ..SipProfile::default()
        };
        let directory = Directory::new([
            profile(XMPP, Dialect::Xmpp(XmppProfile::default()))?,
            profile(SIP, Dialect::Sip(sip))?,
        ]);
        let place = Place {
            number: 0,
            mark: Mark(0),
            hosts: Hosts::only("gw.xmpp.example", 5061)?,
        };
        let mut reader = Reader::new(ReaderLimits::default());
        reader.next(&mut HEADER.as_bytes()).ok()?;
        let proven = |name| {
            let domains = [Domain::parse(name)?];
            Some(Proven::new(LinkId(1), PeerId::new(name), domains))
        };
        Some(Self {
            shard: Shard::new(place, 1, Arc::new(directory), Arc::new(Policy::default())),
            reader,
            sip: proven(SIP)?,
            xmpp: proven(XMPP)?,
            now: Now {
                mono: Mono::from_start(Duration::from_secs(1)),
                wall: Wall::from_unix_millis(1_800_000_000_000),
            },
            inputs: 0,
            far: Vec::new(),
        })
    }

    /// A first message: INVITE, 200, ACK, MESSAGE, 200.
    fn begin(&mut self, pair: u32) -> Option<()> {
        let effects = self.writes(pair)?;
        let invite = find(&effects, "INVITE ")?;
        self.take(Input::HandedOver(invite.id));
        let rest = format!(
            "{ROUTES}Contact: <sip:bob{pair}@{SIP};opaque=user:epid:hYnsEUpJhlGc0T;gruu>\r\n\
             Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{SDP}",
            SDP.len()
        );
        let effects = self.answer(invite, ";tag=b;epid=0a1b2c3d", &rest)?;
        self.take(Input::HandedOver(find(&effects, "ACK ")?.id));
        self.delivered(find(&effects, "MESSAGE ")?)?;
        let text = str::from_utf8(&invite.bytes).ok()?;
        let far = Far {
            call_id: value(text, "Call-ID: ")?.to_owned(),
            ours: tag_of(value(text, "From: ")?)?.to_owned(),
            contact: value(text, "Contact: ")?
                .trim_matches(['<', '>'])
                .to_owned(),
            cseq: 0,
        };
        self.far.push(far);
        Some(())
    }

    /// The same from the other side: INVITE, 200, ACK and the first message.
    fn invited(&mut self, pair: u32) -> Option<()> {
        let text = format!(
            "INVITE sip:user{pair}@{XMPP} SIP/2.0\r\n\
             Via: SIP/2.0/TLS edge.{SIP}:5061;branch=z9hG4bK{pair:016x}\r\nMax-Forwards: 70\r\n\
             {ROUTES}From: \"Bob\" <sip:bob{pair}@{SIP}>;tag=b;epid=0a1b2c3d\r\n\
             To: <sip:user{pair}@{XMPP}>\r\nCall-ID: {pair:032x}\r\nCSeq: 1 INVITE\r\n\
             Contact: <sip:bob{pair}@{SIP};opaque=user:epid:hYnsEUpJhlGc0T;gruu>\r\n\
             Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{SDP}",
            SDP.len()
        );
        let effects = self.request(text)?;
        let answer = str::from_utf8(&find(&effects, "SIP/2.0 200 ")?.bytes).ok()?;
        let mut far = Far {
            call_id: format!("{pair:032x}"),
            ours: tag_of(value(answer, "To: ")?)?.to_owned(),
            contact: value(answer, "Contact: ")?
                .trim_matches(['<', '>'])
                .to_owned(),
            cseq: 1,
        };
        let ack = far.request(pair, "ACK", 1, "");
        self.request(ack)?;
        far.cseq = 2;
        let message = far.request(pair, "MESSAGE", 2, TEXT);
        self.far.push(far);
        self.heard(message)
    }

    /// A message in an open dialog, and its 200.
    fn alice_writes(&mut self, pair: u32) -> Option<()> {
        let effects = self.writes(pair)?;
        self.delivered(find(&effects, "MESSAGE ")?)
    }

    /// The same of Bob's.
    fn bob_writes(&mut self, pair: u32) -> Option<()> {
        let far = self.far.get_mut(usize::try_from(pair).ok()?)?;
        far.cseq += 1;
        let message = far.request(pair, "MESSAGE", far.cseq, TEXT);
        self.heard(message)
    }

    /// Time goes by until nothing but the dialogs is remembered.
    fn rest(&mut self) {
        for _ in 0..60 {
            self.pass(Duration::from_secs(1));
        }
    }

    fn pass(&mut self, span: Duration) {
        self.now.mono = self.now.mono + span;
        self.now.wall = self.now.wall + span;
        self.take(Input::Timeout);
    }

    fn heard(&mut self, message: String) -> Option<()> {
        let effects = self.request(message)?;
        let stanza = find(&effects, "<message")?;
        let answered = self.take(Input::HandedOver(stanza.id));
        find(&answered, "SIP/2.0 200 ").map(|_| ())
    }

    fn delivered(&mut self, message: &Transmit) -> Option<()> {
        self.take(Input::HandedOver(message.id));
        self.answer(message, "", "Content-Length: 0\r\n\r\n")?;
        Some(())
    }

    fn writes(&mut self, pair: u32) -> Option<Effects> {
        let text = format!(
            "<message from='user{pair}@{XMPP}/desk' to='bob{pair}@{SIP}' id='m{}' type='chat'>\
             <body>{TEXT}</body><active xmlns='http://jabber.org/protocol/chatstates'/></message>",
            self.inputs
        );
        let Ok(Some(Frame::Stanza(element))) = self.reader.next(&mut text.as_bytes()) else {
            return None;
        };
        let Ok(Stanza::Message(message)) = Stanza::read(element, self.xmpp.domains()) else {
            return None;
        };
        self.inputs += 1;
        let origin = origin::verify(&self.xmpp, self.inputs, self.xmpp.domains().first()?);
        Some(self.take(Input::Stanza(origin.ok()?, Box::new(message))))
    }

    fn request(&mut self, text: String) -> Option<Effects> {
        let Ok(Message::Request(request)) = Message::parse(text.into()) else {
            return None;
        };
        self.inputs += 1;
        let origin = origin::verify(&self.sip, self.inputs, self.sip.domains().first()?);
        Some(self.take(Input::Request(origin.ok()?, Box::new(request))))
    }

    fn answer(&mut self, transmit: &Transmit, tag: &str, rest: &str) -> Option<Effects> {
        let request = str::from_utf8(&transmit.bytes).ok()?;
        let mut answer = "SIP/2.0 200 OK\r\n".to_owned();
        for line in request.split("\r\n").take_while(|line| !line.is_empty()) {
            let copied = ["Via:", "From:", "To:", "Call-ID:", "CSeq:"];
            let tag = Some(tag).filter(|_| line.starts_with("To:"));
            if copied.iter().any(|name| line.starts_with(name)) {
                answer.extend([line, tag.unwrap_or_default(), "\r\n"]);
            }
        }
        answer.push_str(rest);
        let Ok(Message::Response(response)) = Message::parse(answer.into()) else {
            return None;
        };
        let peer = self.sip.peer().clone();
        Some(self.take(Input::Response(peer, Box::new(response))))
    }

    /// Time goes on by a tenth of a millisecond with each input.
    fn take(&mut self, input: Input) -> Effects {
        self.now.mono = self.now.mono + Duration::from_micros(100);
        self.now.wall = self.now.wall + Duration::from_micros(100);
        black_box(self.shard.handle(input, self.now))
    }
}

impl Far {
    fn request(&self, pair: u32, method: &str, cseq: u32, body: &str) -> String {
        format!(
            "{method} {} SIP/2.0\r\n\
             Via: SIP/2.0/TLS edge.{SIP}:5061;branch=z9hG4bK{pair:08x}{cseq:08x}{method}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:bob{pair}@{SIP}>;tag=b;epid=0a1b2c3d\r\n\
             To: <sip:user{pair}@{XMPP}>;tag={}\r\nCall-ID: {}\r\nCSeq: {cseq} {method}\r\n\
             Content-Type: text/plain; charset=UTF-8\r\nContent-Length: {}\r\n\r\n{body}",
            self.contact,
            self.ours,
            self.call_id,
            body.len()
        )
    }
}

/// What leaves and begins like this.
fn find<'a>(effects: &'a Effects, start: &str) -> Option<&'a Transmit> {
    let mut transmits = effects.transmits.iter();
    transmits.find(|transmit| transmit.bytes.starts_with(start.as_bytes()))
}

fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name))
}

fn tag_of(address: &str) -> Option<&str> {
    address.split_once(";tag=")?.1.split(';').next()
}

fn profile(name: &str, dialect: Dialect) -> Option<Profile> {
    Some(Profile {
        id: PeerId::new(name),
        domains: vec![Domain::parse(name)?],
        accept: Accept::Barrier,
        dialect,
    })
}
