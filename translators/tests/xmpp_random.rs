//! Anything in any order: what holds for a stream machine whatever happens to it.

mod stream_lab;

use std::time::Duration;

use proptest::prelude::*;
use stream_lab::servers::{SERVERS, Server};
use stream_lab::{
    AUTH, FEATURES_EXTERNAL, FEATURES_TLS, Machine, OURS, PEER, PROCEED, STARTTLS, SUCCESS,
    incoming, outgoing, proven, unproven,
};
use translators::xmpp::stream::{LinkInput, Stream, StreamEvent, TlsVersion};

/// One thing that may happen.
#[derive(Clone, Debug)]
enum Step {
    Answered(u64),
    Connected,
    Eof,
    Pass(u64),
    Peer(String),
    Send(bool),
    Settled(u64),
    Shutdown,
    Tls,
    Unproven,
}

fn written_by_peers() -> impl Strategy<Value = String> {
    let server = prop::sample::select(SERVERS.to_vec());
    prop_oneof![
        6 => server.clone().prop_map(|server| server.initial(1)),
        6 => (server, 1u8..=3).prop_map(|(server, n)| server.response(n) + &server.features(n)),
        2 => Just(FEATURES_TLS.to_owned()),
        2 => Just(FEATURES_EXTERNAL.to_owned()),
        4 => Just(STARTTLS.to_owned()),
        4 => Just(PROCEED.to_owned()),
        4 => Just(AUTH.to_owned()),
        4 => Just(SUCCESS.to_owned()),
        6 => Just(Server::Openfire51.stanzas()),
        2 => Just(format!("<message type='error' from='{PEER}' to='{OURS}'/>")),
        2 => Just("<enable xmlns='urn:xmpp:sm:3'/>".to_owned()),
        2 => Just("<enabled xmlns='urn:xmpp:sm:3'/>".to_owned()),
        2 => Just("<r xmlns='urn:xmpp:sm:3'/>".to_owned()),
        2 => (0u32..4).prop_map(|h| format!("<a xmlns='urn:xmpp:sm:3' h='{h}'/>")),
        1 => Just("</stream:stream>".to_owned()),
        1 => "\\PC{0,10}",
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        30 => written_by_peers().prop_map(Step::Peer),
        8 => Just(Step::Tls),
        6 => any::<bool>().prop_map(Step::Send),
        4 => (1u64..5).prop_map(Step::Answered),
        4 => (0u64..6).prop_map(Step::Settled),
        4 => prop::sample::select(vec![1u64, 6, 9, 400, 1_000]).prop_map(Step::Pass),
        1 => Just(Step::Connected),
        1 => Just(Step::Shutdown),
        1 => Just(Step::Eof),
        1 => Just(Step::Unproven),
    ];
    prop::collection::vec(step, 0..25)
}

/// Lets the steps happen and holds the machine against the rules after each.
fn play(mut machine: Machine, steps: &[Step]) -> Result<(), TestCaseError> {
    for step in steps {
        let closed = machine.closed.is_some();
        match step {
            Step::Answered(n) => {
                machine.input(LinkInput::Answered(&format!("barrier-{:016x}-{n}", 2)));
            }
            Step::Connected => machine.input(LinkInput::Connected),
            Step::Eof => machine.input(LinkInput::Eof),
            Step::Pass(seconds) => machine.pass(Duration::from_secs(*seconds)),
            Step::Peer(text) => {
                machine.input(LinkInput::Bytes(text.as_bytes()));
                machine.input(LinkInput::Verdict(proven()));
            }
            Step::Send(barrier) => machine.input(LinkInput::Send {
                bytes: "<message/>".into(),
                barrier: *barrier,
            }),
            Step::Settled(n) => machine.input(LinkInput::Settled(*n)),
            Step::Shutdown => machine.input(LinkInput::Shutdown),
            Step::Tls => machine.input(LinkInput::Tls(TlsVersion::Tls13)),
            Step::Unproven => machine.input(LinkInput::Verdict(unproven())),
        }
        let written = machine.take_written();
        if closed {
            prop_assert_eq!(written, "", "nothing is written after the end");
            prop_assert_eq!(machine.wake_at, None);
        }
    }
    numbers_grow(&machine.events)
}

/// Stanzas are numbered without gap as far as they are handed on, and nothing is confirmed twice; the
/// first confirmation may be of what earlier streams left behind, which is number 0.
fn numbers_grow(events: &[StreamEvent]) -> Result<(), TestCaseError> {
    let (mut stanzas, mut acked, mut confirmed, mut up) = (1, 1, 0, false);
    for event in events {
        let (next, number) = match event {
            StreamEvent::Stanza { n, .. } => (&mut stanzas, *n),
            StreamEvent::Acked(n) => (&mut acked, *n),
            StreamEvent::Confirmed(n) => (&mut confirmed, *n),
            StreamEvent::Established { .. } => {
                prop_assert!(!up, "established twice");
                up = true;
                continue;
            }
            StreamEvent::Dialback
            | StreamEvent::JudgeCertificate { .. }
            | StreamEvent::PingAnswered { .. }
            | StreamEvent::Refused { .. }
            | StreamEvent::ReturnPathDown
            | StreamEvent::ReturnPathUp
            | StreamEvent::SaslRefused(_)
            | StreamEvent::Unproven { .. } => continue,
        };
        prop_assert!(up, "before the stream is established: {event:?}");
        prop_assert!(number >= *next, "{events:?}");
        *next = number + 1;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn an_incoming_machine_keeps_its_rules(steps in steps()) {
        play(Machine::new(Stream::incoming(incoming())), &steps)?;
        play(Machine::accepted(), &steps)?;
        play(established(stream_lab::receiving()), &steps)?;
    }

    #[test]
    fn an_outgoing_machine_keeps_its_rules(steps in steps()) {
        play(Machine::new(Stream::outgoing(outgoing())), &steps)?;
        play(Machine::dialled(outgoing()), &steps)?;
        play(established(stream_lab::sending_with(outgoing(), "<sm xmlns='urn:xmpp:sm:3'/>")), &steps)?;
    }
}

/// Puts back the event that the lab has taken.
fn established(mut machine: Machine) -> Machine {
    machine.take_written();
    machine.events.push(StreamEvent::Established {
        local: stream_lab::domain(OURS),
        remote: stream_lab::domain(PEER),
    });
    machine
}
