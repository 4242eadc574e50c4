//! Two stream machines back to back: the whole life of a pair of streams.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod stream_lab;

use std::time::Duration;

use stream_lab::{Machine, OURS, PEER, domain, incoming, outgoing, proven, unproven};
use translators::xmpp::acks::PING_PREFIX;
use translators::xmpp::stanza::Stanza;
use translators::xmpp::stream::{
    CloseReason, LinkInput, OutgoingSettings, Stage, Stream, StreamEvent, Terms, TlsVersion,
    Verdict,
};

/// The peer dials us: its outgoing machine against our incoming one.
struct Pair {
    peer: Machine,
    ours: Machine,
    verdict: Verdict,
}

/// What the peer's machine is told: the names are the other way round.
fn peer_settings() -> OutgoingSettings {
    OutgoingSettings {
        local: domain(PEER),
        remote: domain(OURS),
        domains: vec![domain(OURS)],
        ..outgoing()
    }
}

impl Pair {
    fn new(verdict: Verdict, piece: usize) -> Self {
        let mut peer = Machine::new(Stream::outgoing(peer_settings()));
        let mut ours = Machine::new(Stream::incoming(incoming()));
        (peer.piece, ours.piece) = (piece, piece);
        Self {
            peer,
            ours,
            verdict,
        }
    }

    fn starttls(verdict: Verdict, piece: usize) -> Self {
        let mut pair = Self::new(verdict, piece);
        pair.ours.input(LinkInput::Connected);
        pair.peer.input(LinkInput::Connected);
        pair.drive();
        pair
    }

    fn direct_tls(verdict: Verdict) -> Self {
        let mut pair = Self::new(verdict, usize::MAX);
        pair.ours.input(LinkInput::Tls(TlsVersion::Tls12));
        pair.peer.input(LinkInput::Tls(TlsVersion::Tls12));
        pair.drive();
        pair
    }

    /// Moves bytes, handshakes and verdicts until nothing moves any more.
    fn drive(&mut self) {
        loop {
            let judged = self.judge();
            let handshake = self.handshake();
            let (to_ours, to_peer) = (self.peer.take_written(), self.ours.take_written());
            if to_ours.is_empty() && to_peer.is_empty() && !judged && !handshake {
                return;
            }
            self.ours.feed(to_ours.as_bytes());
            self.peer.feed(to_peer.as_bytes());
        }
    }

    fn judge(&mut self) -> bool {
        let asks = |event: &StreamEvent| matches!(event, StreamEvent::JudgeCertificate { .. });
        let Some(index) = self.ours.events.iter().position(asks) else {
            return false;
        };
        assert_eq!(
            self.ours.events.remove(index),
            StreamEvent::JudgeCertificate {
                from: domain(PEER),
                to: domain(OURS)
            }
        );
        self.ours.input(LinkInput::Verdict(self.verdict.clone()));
        true
    }

    /// TLS starts when both sides want it and everything in clear text has arrived.
    fn handshake(&mut self) -> bool {
        let idle = self.peer.written.is_empty() && self.ours.written.is_empty();
        if !idle || self.peer.start_tls.is_none() || self.ours.start_tls.is_none() {
            return false;
        }
        let server = self.ours.start_tls.take().unwrap();
        let client = self.peer.start_tls.take().unwrap();
        assert_eq!((server.local, server.remote), (domain(OURS), None));
        assert_eq!(
            (client.local, client.remote),
            (domain(PEER), Some(domain(OURS)))
        );
        assert!(!server.only_tls12 && !client.only_tls12);
        self.ours.input(LinkInput::Tls(TlsVersion::Tls13));
        self.peer.input(LinkInput::Tls(TlsVersion::Tls13));
        true
    }

    /// The peer sends a message.
    fn send(&mut self, id: &str, barrier: bool) {
        self.peer.input(LinkInput::Send {
            bytes: message(id).into(),
            barrier,
        });
    }

    fn pass(&mut self, span: Duration) {
        self.ours.pass(span);
        self.peer.pass(span);
        self.drive();
    }
}

fn message(id: &str) -> String {
    format!(
        "<message from=\"alice@{PEER}/r\" to=\"bob@{OURS}\" id=\"{id}\"><body>hi</body></message>"
    )
}

fn established(local: &str, remote: &str) -> StreamEvent {
    StreamEvent::Established {
        local: domain(local),
        remote: domain(remote),
    }
}

/// Numbers and identifiers of the stanzas among events.
fn stanzas(events: &[StreamEvent]) -> Vec<(u64, String)> {
    let mut found = Vec::new();
    for event in events {
        if let StreamEvent::Stanza { n, stanza } = event {
            let id = match &**stanza {
                Stanza::Iq(iq) => Some(iq.id.clone()),
                Stanza::Message(message) => message.id.clone(),
                Stanza::Presence(presence) => presence.id.clone(),
            };
            found.push((*n, id.unwrap()));
        }
    }
    found
}

#[test]
fn streams_come_up_with_starttls_and_direct_tls() {
    for mut pair in [
        Pair::starttls(proven(), usize::MAX),
        Pair::starttls(proven(), 1),
        Pair::direct_tls(proven()),
    ] {
        assert_eq!(pair.ours.stream.stage(), Stage::Established);
        assert_eq!(pair.ours.take_events(), [established(OURS, PEER)]);
        assert_eq!(pair.peer.take_events(), [established(PEER, OURS)]);
        assert!(pair.peer.stream.accepts() && !pair.ours.stream.accepts());
    }
}

#[test]
fn a_peer_that_is_not_proven_gets_no_further() {
    for verdict in [
        unproven(),
        Verdict::Proven {
            domains: vec![domain("other.example")],
            terms: Terms::default(),
        },
    ] {
        let pair = Pair::starttls(verdict, usize::MAX);

        assert_eq!(pair.peer.closed, Some(CloseReason::ExternalNotOffered));
        assert_eq!(pair.ours.closed, Some(CloseReason::PeerNotAuthenticated));
        assert!(
            matches!(pair.ours.events.as_slice(), [StreamEvent::Unproven { from, .. }] if *from == domain(PEER))
        );
    }
}

#[test]
fn stanzas_flow_and_are_acknowledged_once_settled() {
    for piece in [usize::MAX, 1, 5] {
        let mut pair = Pair::starttls(proven(), piece);
        pair.peer.take_events();
        for id in ["m1", "m2", "m3"] {
            pair.send(id, false);
        }
        pair.drive();
        let expected = ["m1", "m2", "m3"].map(str::to_owned);
        let numbers: Vec<_> = stanzas(&pair.ours.events);
        assert_eq!(numbers, (1..).zip(expected).collect::<Vec<_>>(), "{piece}");
    }
}

#[test]
fn acknowledgements_follow_what_is_settled() {
    let mut pair = Pair::starttls(proven(), usize::MAX);
    pair.peer.take_events();
    for id in ["m1", "m2", "m3"] {
        pair.send(id, false);
    }
    pair.drive();
    assert_eq!(pair.peer.take_events(), [], "nothing is settled");

    for n in [2, 1] {
        pair.ours.input(LinkInput::Settled(n));
        pair.drive();
        assert_eq!(pair.peer.take_events(), [], "the last request is open");
    }
    pair.ours.input(LinkInput::Settled(3));
    pair.drive();
    assert_eq!(pair.peer.take_events(), [StreamEvent::Acked(3)]);

    pair.send("m4", false);
    pair.drive();
    pair.ours.input(LinkInput::Settled(4));
    pair.drive();
    assert_eq!(pair.peer.take_events(), [StreamEvent::Acked(4)]);
}

#[test]
fn a_barrier_confirms_what_lies_before_it() {
    let mut pair = Pair::starttls(proven(), usize::MAX);
    pair.peer.take_events();
    pair.ours.take_events();
    for id in ["m1", "m2"] {
        pair.send(id, true);
    }
    pair.drive();

    let received = stanzas(&pair.ours.take_events());
    let [(1, m1), (2, ping), (3, m2)] = received.as_slice() else {
        panic!("{received:?}");
    };
    assert_eq!((m1.as_str(), m2.as_str()), ("m1", "m2"));
    assert!(ping.starts_with(PING_PREFIX));
    pair.peer.input(LinkInput::Answered(ping));
    pair.drive();
    assert_eq!(pair.peer.take_events(), [StreamEvent::Confirmed(1)]);

    let received = stanzas(&pair.ours.take_events());
    let [(4, second)] = received.as_slice() else {
        panic!("a second ping covers the second message: {received:?}");
    };
    pair.peer.input(LinkInput::Answered(second));
    pair.drive();
    assert_eq!(pair.peer.take_events(), [StreamEvent::Confirmed(2)]);
    assert!(pair.ours.take_events().is_empty(), "nobody waits any more");
}

#[test]
fn the_return_path_is_down_after_two_missing_answers() {
    let mut pair = Pair::starttls(proven(), usize::MAX);
    pair.peer.take_events();
    pair.send("m1", true);
    pair.pass(Duration::from_secs(9));
    assert_eq!(pair.peer.take_events(), [], "one answer may be lost");
    pair.pass(Duration::from_secs(8));
    assert_eq!(pair.peer.take_events(), [StreamEvent::ReturnPathDown]);
    pair.pass(Duration::from_secs(60));
    assert_eq!(pair.peer.take_events(), [], "said once, tried on");

    let received = stanzas(&pair.ours.take_events());
    let (_, last) = received.last().unwrap();
    pair.peer.input(LinkInput::Answered(last));
    assert_eq!(
        pair.peer.take_events(),
        [StreamEvent::ReturnPathUp, StreamEvent::Confirmed(1)]
    );
}

#[test]
fn both_sides_can_end_in_order() {
    let mut pair = Pair::starttls(proven(), usize::MAX);
    pair.peer.input(LinkInput::Shutdown);
    assert!(!pair.peer.stream.accepts());
    pair.drive();
    assert_eq!(pair.peer.closed, Some(CloseReason::Completed));
    assert_eq!(
        pair.ours.closed,
        Some(CloseReason::PeerClosed(Stage::Established))
    );

    let mut pair = Pair::starttls(proven(), usize::MAX);
    pair.ours.input(LinkInput::Shutdown);
    pair.send("late", false);
    pair.drive();
    assert_eq!(
        stanzas(&pair.ours.take_events()),
        [(1, "late".to_owned())],
        "what was in flight still counts"
    );
    assert_eq!(pair.ours.closed, Some(CloseReason::Completed));
    assert_eq!(
        pair.peer.closed,
        Some(CloseReason::PeerClosed(Stage::Established))
    );
}

#[test]
fn an_idle_pair_stays_up_for_a_day() {
    let mut pair = Pair::starttls(proven(), usize::MAX);
    pair.peer.take_events();
    let mut pings = 0;
    for _ in 0..24 * 60 {
        pair.pass(Duration::from_secs(60));
        let received = stanzas(&pair.ours.take_events());
        pings += received.len();
        for (_, id) in received {
            pair.peer.input(LinkInput::Answered(&id));
        }
    }
    assert_eq!((&pair.ours.closed, &pair.peer.closed), (&None, &None));
    assert_eq!(pair.peer.take_events(), []);
    assert!(
        (90..=96).contains(&pings),
        "a ping a quarter of an hour: {pings}"
    );
}
