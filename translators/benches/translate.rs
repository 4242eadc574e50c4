//! What translating one message costs, each way through a shard, with everything that it keeps.
//!
//! Prints nanoseconds for one message, the best of several rounds; asserts nothing.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use translators::model::{
    Accept, Dialect, Directory, Domain, LinkId, Mono, Now, PeerId, Profile, SipProfile, Wall,
    XmppProfile,
};
use translators::origin::{self, Proven};
use translators::policy::Policy;
use translators::shard::{Effects, Input, Place, Shard};
use translators::sip::{Hosts, Mark, Message};
use translators::xmpp::Stanza;
use translators::xmpp::reader::{Frame, Reader, ReaderLimits};

const ROUNDS: u32 = 5;
const RUNS: u32 = 20_000;
const PAIRS: u32 = 500;
const XMPP: &str = "xmpp.example";
const SIP: &str = "sip.example";
const HEADER: &str = "<stream:stream xmlns='jabber:server' version='1.0' \
                      xmlns:stream='http://etherx.jabber.org/streams'>";

#[expect(clippy::print_stdout, reason = "printing is what this program is for")]
fn main() {
    let from_xmpp: Way = Desk::alice_writes;
    let from_sip: Way = Desk::bob_writes;
    for (name, way) in [
        ("XMPP to SIP: stanza, 200 to it", from_xmpp),
        ("SIP to XMPP: request, hand-over", from_sip),
    ] {
        match best(way) {
            Some(nanoseconds) => println!("{name:<34} {nanoseconds:>7.0} ns"),
            None => println!("{name:<34} did not work"),
        }
    }
}

/// Message number so and so; nothing if it did not get through.
type Way = fn(&mut Desk, u32) -> Option<()>;

/// Nanoseconds of one message, in the best round.
#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
fn best(way: Way) -> Option<f64> {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let mut desk = Desk::new()?;
        let start = Instant::now();
        for run in 0..RUNS {
            way(&mut desk, run)?;
        }
        best = best.min(start.elapsed().as_secs_f64() / f64::from(RUNS) * 1e9);
    }
    Some(best)
}

/// A shard between two peers, and the stream that stanzas come on.
struct Desk {
    shard: Shard,
    reader: Reader,
    sip: Proven,
    xmpp: Proven,
    now: Now,
}

impl Desk {
    fn new() -> Option<Self> {
        let directory = Directory::new([
            profile(XMPP, Dialect::Xmpp(XmppProfile::default()))?,
            profile(SIP, Dialect::Sip(SipProfile::default()))?,
        ]);
        let place = Place {
            number: 0,
            mark: Mark(0),
            hosts: Hosts::only("gw.example", 5061)?,
        };
        let (directory, policy) = (Arc::new(directory), Arc::new(Policy::default()));
        let mut reader = Reader::new(ReaderLimits::default());
        reader.next(&mut HEADER.as_bytes()).ok()?;
        let proven = |name| {
            let domains = [Domain::parse(name)?];
            Some(Proven::new(LinkId(1), PeerId::new(name), domains))
        };
        Some(Self {
            shard: Shard::new(place, 1, directory, policy),
            reader,
            sip: proven(SIP)?,
            xmpp: proven(XMPP)?,
            now: Now {
                mono: Mono::from_start(Duration::from_secs(1)),
                wall: Wall::from_unix_millis(1_800_000_000_000),
            },
        })
    }

    /// A stanza is read, accepted and sent, and the 200 to its request is taken.
    fn alice_writes(&mut self, run: u32) -> Option<()> {
        let pair = run % PAIRS;
        let text = format!(
            "<message from='user{pair}@{XMPP}/desk' to='bob{pair}@{SIP}' id='m{run}' type='chat'>\
             <body>Shall we have tea at five in the garden house?</body>\
             <active xmlns='http://jabber.org/protocol/chatstates'/></message>"
        );
        let Ok(Some(Frame::Stanza(element))) = self.reader.next(&mut text.as_bytes()) else {
            return None;
        };
        let Ok(Stanza::Message(message)) = Stanza::read(element, self.xmpp.domains()) else {
            return None;
        };
        let origin = origin::verify(&self.xmpp, u64::from(run), self.xmpp.domains().first()?);
        let effects = self.take(Input::Stanza(origin.ok()?, Box::new(message)));
        let sent = effects.transmits.first()?;
        self.take(Input::HandedOver(sent.id));
        let request = str::from_utf8(&sent.bytes).ok()?;
        let copied = ["Via:", "From:", "To:", "Call-ID:", "CSeq:"];
        let mut answer = "SIP/2.0 200 OK\r\n".to_owned();
        for line in request.split_inclusive("\r\n") {
            if copied.iter().any(|name| line.starts_with(name)) {
                answer.push_str(line);
            }
        }
        answer.push_str("Content-Length: 0\r\n\r\n");
        let Ok(Message::Response(response)) = Message::parse(answer.into()) else {
            return None;
        };
        let peer = self.sip.peer().clone();
        self.take(Input::Response(peer, Box::new(response)));
        Some(())
    }

    /// A request is read and handed on, and answered when the stanza is taken.
    fn bob_writes(&mut self, run: u32) -> Option<()> {
        let pair = run % PAIRS;
        let body = "Shall we have tea at five in the garden house?";
        let text = format!(
            "MESSAGE sip:user{pair}@{XMPP} SIP/2.0\r\n\
             Via: SIP/2.0/TLS edge.{SIP}:5061;branch=z9hG4bK{run:016x}\r\nMax-Forwards: 70\r\n\
             From: \"Bob\" <sip:bob{pair}@{SIP}>;tag=b{run}\r\nTo: <sip:user{pair}@{XMPP}>\r\n\
             Call-ID: {run:032x}\r\nCSeq: 1 MESSAGE\r\n\
             Content-Type: text/plain;charset=UTF-8\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let Ok(Message::Request(request)) = Message::parse(text.into()) else {
            return None;
        };
        let origin = origin::verify(&self.sip, u64::from(run), self.sip.domains().first()?);
        let effects = self.take(Input::Request(origin.ok()?, Box::new(request)));
        let sent = effects.transmits.first()?;
        let answered = self.take(Input::HandedOver(sent.id));
        answered.transmits.first().map(|_| ())
    }

    /// Time goes on by a millisecond with each input.
    fn take(&mut self, input: Input) -> Effects {
        self.now.mono = self.now.mono + Duration::from_millis(1);
        self.now.wall = self.now.wall + Duration::from_millis(1);
        black_box(self.shard.handle(input, self.now))
    }
}

fn profile(name: &str, dialect: Dialect) -> Option<Profile> {
    Some(Profile {
        id: PeerId::new(name),
        domains: vec![Domain::parse(name)?],
        accept: Accept::Barrier,
        dialect,
    })
}
