//! What presence costs without a shard: documents read and written, stanzas told.
//!
//! Prints nanoseconds for one, the best of several rounds, and octets kept; asserts nothing.

use std::hint::black_box;
use std::time::Instant;

use jid::BareJid;
use translators::documents::presence::{Format, Reading, read};
use translators::mapping::presence::{Occasion, changes, document, from_xmpp};
use translators::model::{Aor, Domain, Microsoft, Pair, PresenceState, SipProfile, Wall};
use translators::policy::{Disclosure, Policy};
use translators::presence::{Composition, Resources};
use translators::xmpp::reader::{Frame, Reader, ReaderLimits};
use translators::xmpp::{Presence, Stanza};

const ROUNDS: u32 = 5;
const RUNS: u32 = 20_000;
const NOW: Wall = Wall::from_unix_millis(1_800_000_000_000);

/// A document of the size that real servers send: one device, a person and a device.
const DOCUMENT: &str = "<?xml version='1.0' encoding='UTF-8'?>\
    <presence xmlns='urn:ietf:params:xml:ns:pidf' xmlns:dm='urn:ietf:params:xml:ns:pidf:data-model' \
    xmlns:rpid='urn:ietf:params:xml:ns:pidf:rpid' entity='pres:romeo@example.net'>\
    <tuple id='ID-dr4hcr0st3lup4c'><status><basic>open</basic></status>\
    <contact priority='0.8'>sip:romeo@example.net;gr=dr4hcr0st3lup4c</contact>\
    <note xml:lang='en'>In a meeting until four</note><timestamp>2026-01-01T10:00:00Z</timestamp></tuple>\
    <dm:person id='p1'><rpid:activities><rpid:busy/></rpid:activities></dm:person></presence>";

/// The same of a Microsoft server.
const MSRTC: &str = "<presentity uri=\"romeo@example.net\" \
    xmlns=\"http://schemas.microsoft.com/2002/09/sip/presence\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\">\
    <availability aggregate=\"300\" description=\"\"/><activity aggregate=\"600\" description=\"\"/>\
    <displayName displayName=\"Romeo\"/><userInfo><note>In a meeting until four</note><states><state avail=\"9500\" \
    since=\"2026-01-01T10:00:00Z\" validWith=\"any-device\" set=\"manual\" xsi:type=\"userState\">do-not-disturb</state>\
    </states></userInfo><devices><devicePresence epid=\"0123456789\" ageOfPresence=\"0\">\
    <availability aggregate=\"300\" description=\"online\"/><activity aggregate=\"600\" description=\"Busy\"/>\
    </devicePresence></devices></presentity>";

const STANZA: &str = "<presence from='juliet@example.com/balcony' to='romeo@example.net' xml:lang='en'>\
    <show>away</show><status>In a meeting until four</status><priority>5</priority>\
    <c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='https://client.example' ver='QgayPKawpkPSDYmwT/WM94uAlu0='/>\
    </presence>";

#[expect(clippy::print_stdout, reason = "printing is what this program is for")]
fn main() {
    let Some(desk) = Desk::new() else {
        return println!("the samples cannot be read");
    };
    let from_sip: Way = Desk::is_told;
    let from_xmpp: Way = Desk::tells;
    for (name, way) in [
        ("document read, stanzas written", from_sip),
        ("stanza heard, document written", from_xmpp),
        (
            "msrtc.pidf read, stanzas written",
            Desk::is_told_by_microsoft,
        ),
        ("stanza heard, msrtc.pidf written", Desk::tells_microsoft),
    ] {
        println!("{name:<34} {:>7.0} ns", best(&desk, way));
    }
    println!(
        "{:<34} {:>7} octets",
        "a state kept",
        desk.state.pack().len()
    );
}

/// Makes what leaves.
type Way = fn(&Desk) -> usize;

/// Nanoseconds of one, in the best round.
#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
fn best(desk: &Desk, way: Way) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..RUNS {
            black_box(way(black_box(desk)));
        }
        best = best.min(start.elapsed().as_secs_f64() / f64::from(RUNS) * 1e9);
    }
    best
}

struct Desk {
    disclosure: Disclosure,
    presence: Presence,
    state: PresenceState,
}

impl Desk {
    fn new() -> Option<Self> {
        let user = |jid| BareJid::new(jid).ok();
        let pair = Pair::new(
            user("juliet@example.com")?,
            Aor::from_image(user("romeo@example.net")?),
        );
        let mut reader = Reader::new(ReaderLimits::default());
        let header = "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>";
        reader.next(&mut header.as_bytes()).ok()?;
        let Ok(Some(Frame::Stanza(element))) = reader.next(&mut STANZA.as_bytes()) else {
            return None;
        };
        let Ok(Stanza::Presence(presence)) =
            Stanza::read(element, &[Domain::parse("example.com")?])
        else {
            return None;
        };
        Some(Self {
            disclosure: Policy::default().may_see(&pair).ok()?,
            presence,
            state: read(DOCUMENT.as_bytes(), Reading::default()).ok()??,
        })
    }

    /// What a NOTIFY costs: its document against the state before, which is kept packed.
    fn is_told(&self) -> usize {
        self.is_told_by(DOCUMENT, Format::Pidf)
    }

    fn is_told_by_microsoft(&self) -> usize {
        self.is_told_by(MSRTC, Format::Msrtc)
    }

    fn is_told_by(&self, document: &str, format: Format) -> usize {
        let before = PresenceState::default();
        let how = Reading {
            content_type: Some(format.content_type()),
            ..Reading::default()
        };
        let read = read(document.as_bytes(), how);
        let Ok(Some(state)) = read else {
            return 0;
        };
        let stanzas = changes(&self.disclosure, &before, &state);
        let written = stanzas.iter().filter_map(|one| one.write(65_536).ok());
        written.map(|bytes| bytes.len()).sum::<usize>() + state.pack().len()
    }

    /// What a presence stanza costs: gathered with the other devices, and written as a document.
    fn tells(&self) -> usize {
        self.tells_in(Format::Pidf, &SipProfile::default())
    }

    fn tells_microsoft(&self) -> usize {
        let peer = SipProfile {
            microsoft: Some(Microsoft::default()),
            ..SipProfile::default()
        };
        self.tells_in(Format::Msrtc, &peer)
    }

    fn tells_in(&self, format: Format, peer: &SipProfile) -> usize {
        let mut resources = Resources::default();
        if let Some(report) = from_xmpp(&self.presence, NOW) {
            resources.hear(report);
        }
        let state = resources.state(Composition::Tuples);
        let occasion = Occasion {
            now: NOW,
            last_sent: None,
        };
        let written = document(&self.disclosure, format, peer, &state, occasion);
        written.map_or(0, |document| document.body.len())
    }
}
