//! The stream machine against peers that write like the real servers.
//!
//! The messages are our own; their shape (quotes, order of attributes, declarations, identifiers, features, what comes
//! in which order) was recorded from Prosody 0.12.3, ejabberd 23.01 and Openfire 4.7.5, 4.9.2 and 5.1.1.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod stream_lab;

use proptest::prelude::*;
use stream_lab::servers::{LIMITS, SERVERS, Server};
use stream_lab::{Machine, OURS, PEER, STARTTLS, domain, incoming, outgoing, proven, unproven};
use translators::model::Condition;
use translators::xmpp::faults::StreamCondition;
use translators::xmpp::sasl::SaslFailure;
use translators::xmpp::stanza::{Stanza, StanzaError};
use translators::xmpp::stream::{
    CloseReason, LinkInput, Stage, Stream, StreamEvent, TlsVersion, Verdict,
};

/// One thing that happens to the machine under test.
#[derive(Clone, Debug)]
enum Step {
    /// The peer writes.
    Peer(String),
    /// STARTTLS has led to TLS.
    Tls,
    /// The certificate is judged.
    Verdict(Verdict),
    /// A message of ours is sent, with a barrier.
    Send,
}

/// What the machine did.
#[derive(Debug, PartialEq)]
struct Outcome {
    written: Vec<String>,
    events: Vec<StreamEvent>,
    only_tls12: Option<bool>,
    closed: Option<CloseReason>,
}

#[derive(Clone, Copy, Debug)]
enum Role {
    /// The peer dials us.
    Incoming,
    /// We dial.
    Outgoing,
}

fn run(role: Role, steps: &[Step], piece: usize) -> Outcome {
    let mut machine = Machine::new(match role {
        Role::Incoming => Stream::incoming(incoming()),
        Role::Outgoing => Stream::outgoing(outgoing()),
    });
    machine.piece = piece;
    machine.input(LinkInput::Connected);
    let mut written = vec![machine.take_written()];
    let mut only_tls12 = None;
    for step in steps {
        match step {
            Step::Peer(text) => written.push(machine.read(text)),
            Step::Tls => {
                only_tls12 = machine.start_tls.as_ref().map(|start| start.only_tls12);
                written.push(machine.tls());
            }
            Step::Verdict(verdict) => written.push(machine.verdict(verdict.clone())),
            Step::Send => written.push(machine.send(
                &format!("<message from=\"bob@{OURS}\" to=\"alice@{PEER}\" id=\"s1\"><body>hi</body></message>"),
                true,
            )),
        }
    }
    Outcome {
        written,
        events: machine.take_events(),
        only_tls12,
        closed: machine.closed,
    }
}

/// It dials us and writes; `behind_success`: what it writes behind our success in one piece.
fn dials(server: Server, verdict: Verdict, behind_success: &str) -> Vec<Step> {
    let mut steps = vec![
        Step::Peer(server.initial(1)),
        Step::Peer(STARTTLS.to_owned()),
        Step::Tls,
        Step::Peer(server.initial(2)),
        Step::Verdict(verdict),
        Step::Peer(server.auth().to_owned()),
    ];
    if !behind_success.is_empty() {
        steps.push(Step::Peer(format!("{}{behind_success}", server.initial(3))));
    }
    steps
}

/// We dial it; `last` follows its last features.
fn is_dialled(server: Server, last: &[Step]) -> Vec<Step> {
    let mut steps = vec![
        Step::Peer(server.response(1)),
        Step::Peer(server.features(1)),
        Step::Peer("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>".to_owned()),
        Step::Tls,
        Step::Peer(format!("{}{}", server.response(2), server.features(2))),
        Step::Peer("<success xmlns=\"urn:ietf:params:xml:ns:xmpp-sasl\"/>".to_owned()),
        Step::Peer(format!("{}{}", server.response(3), server.features(3))),
    ];
    steps.extend_from_slice(last);
    steps
}

fn established(events: &[StreamEvent]) -> bool {
    let expected = StreamEvent::Established {
        local: domain(OURS),
        remote: domain(PEER),
    };
    events.contains(&expected)
}

fn messages(events: &[StreamEvent]) -> Vec<Option<String>> {
    let mut found = Vec::new();
    for event in events {
        if let StreamEvent::Stanza { stanza, .. } = event
            && let Stanza::Message(message) = &**stanza
        {
            found.push(message.id.clone());
        }
    }
    found
}

#[test]
fn each_server_reaches_us() {
    for server in SERVERS {
        let outcome = run(
            Role::Incoming,
            &dials(server, proven(), &server.stanzas()),
            usize::MAX,
        );

        assert!(established(&outcome.events), "{server:?}: {outcome:?}");
        assert_eq!(
            messages(&outcome.events),
            [Some("p2".to_owned())],
            "{server:?}"
        );
        assert_eq!(outcome.closed, None, "{server:?}");
        assert_eq!(
            outcome.only_tls12,
            Some(server == Server::Openfire47),
            "{server:?}"
        );
    }
}

#[test]
fn each_server_is_reached() {
    for server in SERVERS {
        let outcome = run(
            Role::Outgoing,
            &is_dialled(server, &[Step::Send]),
            usize::MAX,
        );

        assert!(established(&outcome.events), "{server:?}: {outcome:?}");
        assert_eq!(outcome.closed, None);
        assert_eq!(
            outcome.only_tls12,
            Some(server == Server::Openfire47),
            "{server:?}"
        );
        let asked = outcome.written[7].as_str();
        let expected = match server {
            Server::Openfire49 | Server::Openfire51 | Server::Prosody => {
                "<enable xmlns=\"urn:xmpp:sm:3\"/>"
            }
            Server::Ejabberd | Server::Openfire47 => "",
        };
        assert_eq!(asked, expected, "{server:?}");
        assert!(outcome.written[8].contains("<ping xmlns=\"urn:xmpp:ping\"/>"));
    }
}

/// A header has everything that one server or another insists on.
fn assert_complete(header: &str) {
    for attribute in [
        "xmlns=",
        "xmlns:stream=",
        "from=",
        "to=",
        "version=\"1.0\"",
        "xml:lang=",
    ] {
        assert!(header.contains(attribute), "{header}");
    }
}

#[test]
fn what_we_write_is_plain() {
    for server in SERVERS {
        for (role, steps) in [
            (Role::Incoming, dials(server, proven(), &server.stanzas())),
            (Role::Incoming, dials(server, unproven(), "")),
            (Role::Outgoing, is_dialled(server, &[Step::Send])),
        ] {
            let written = run(role, &steps, usize::MAX).written.concat();
            assert!(!written.contains('\''), "{written}");
            assert!(
                !written.contains("<!--") && !written.contains(" >"),
                "{written}"
            );
            for header in written.split("<stream:stream ").skip(1) {
                assert_complete(header.split('>').next().unwrap());
            }
            let after_tls = written.split("urn:ietf:params:xml:ns:xmpp-tls").count();
            assert!(after_tls <= 3, "STARTTLS is never repeated: {written}");
        }
    }
}

#[test]
fn a_refused_server_falls_back_to_dialback() {
    let request = |server: Server| {
        if server.is_openfire() {
            format!("<db:result from=\"{PEER}\" to=\"{OURS}\">fa6521c2</db:result>")
        } else {
            format!("<db:result to='{OURS}' from='{PEER}'>fa6521c2</db:result>")
        }
    };
    for server in [Server::Ejabberd, Server::Openfire47] {
        let mut steps = dials(server, unproven(), "");
        steps.push(Step::Peer(request(server)));
        steps.push(Step::Peer("</stream:stream>".to_owned()));
        let outcome = run(Role::Incoming, &steps, usize::MAX);

        assert!(
            outcome.events.contains(&StreamEvent::Dialback),
            "{outcome:?}"
        );
        assert!(
            outcome
                .events
                .contains(&StreamEvent::SaslRefused(SaslFailure::NotAuthorized))
        );
        assert_eq!(outcome.closed, Some(CloseReason::PeerNotAuthenticated));
        assert_eq!(outcome.written.last().unwrap(), "</stream:stream>");
    }
}

#[test]
fn a_refused_certificate_of_ours_has_a_name() {
    let empty = format!(
        "<stream:features><mechanisms xmlns=\"urn:ietf:params:xml:ns:xmpp-sasl\"/>{LIMITS}</stream:features>"
    );
    let told = "<stream:error><not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>\
        <text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>Your server&apos;s certificate is not trusted</text>\
        </stream:error></stream:stream>";
    let until_tls = |server: Server| is_dialled(server, &[])[..4].to_vec();

    let mut steps = until_tls(Server::Openfire51);
    steps.push(Step::Peer(format!(
        "{}{empty}",
        Server::Openfire51.response(2)
    )));
    let outcome = run(Role::Outgoing, &steps, usize::MAX);
    assert_eq!(outcome.closed, Some(CloseReason::ExternalNotOffered));

    let mut steps = until_tls(Server::Prosody);
    steps.push(Step::Peer(format!("{}{told}", Server::Prosody.response(2))));
    let outcome = run(Role::Outgoing, &steps, usize::MAX);
    let Some(CloseReason::PeerError(error, Stage::Authentication)) = outcome.closed else {
        panic!("{outcome:?}");
    };
    assert_eq!(error.condition, StreamCondition::NotAuthorized);
    assert_eq!(
        error.text.as_deref(),
        Some("Your server's certificate is not trusted")
    );

    let mut steps = until_tls(Server::Ejabberd);
    steps.push(Step::Peer(format!(
        "{}{}",
        Server::Ejabberd.response(2),
        Server::Ejabberd.features(2)
    )));
    steps.push(Step::Peer(
        "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/>\
         <text xml:lang='en'>unsupported certificate purpose</text></failure>"
            .to_owned(),
    ));
    let outcome = run(Role::Outgoing, &steps, usize::MAX);
    assert_eq!(
        outcome.closed,
        Some(CloseReason::AuthenticationRefused(
            SaslFailure::NotAuthorized
        ))
    );
}

#[test]
fn errors_are_understood_wherever_they_come() {
    let error = "<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>";
    let with_text = "<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>\
        <text xml:lang='en' xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>User session not found</text></error>";
    let legacy = "<error code=\"503\" type=\"cancel\"><service-unavailable xmlns=\"urn:ietf:params:xml:ns:xmpp-stanzas\"/></error>";
    for (server, content) in [
        (Server::Prosody, error.to_owned()),
        (Server::Ejabberd, format!("{with_text}<body>hi</body>")),
        (Server::Openfire51, format!("<body>hi</body>{legacy}")),
    ] {
        let bounce = format!(
            "<message type='error' id='m1' to='bob@{OURS}' from='nouser@{PEER}'>{content}</message>"
        );
        let incoming = run(
            Role::Incoming,
            &dials(server, proven(), &bounce),
            usize::MAX,
        );
        let steps = is_dialled(server, &[Step::Peer(bounce)]);
        let outgoing = run(Role::Outgoing, &steps, usize::MAX);
        for outcome in [incoming, outgoing] {
            let Some(StreamEvent::Stanza { stanza, .. }) = outcome.events.last() else {
                panic!("{server:?}: {outcome:?}");
            };
            let Stanza::Message(message) = &**stanza else {
                panic!("{stanza:?}");
            };
            let expected = StanzaError::new(Condition::ServiceUnavailable);
            let mut found = message.error().unwrap();
            found.text = None;
            assert_eq!(found, expected, "{server:?}");
        }
    }
}

#[test]
fn streams_end_the_way_servers_end_them() {
    let idle = "<stream:error xmlns:stream=\"http://etherx.jabber.org/streams\">\
        <connection-timeout xmlns=\"urn:ietf:params:xml:ns:xmpp-streams\"/>\
        <text xmlns=\"urn:ietf:params:xml:ns:xmpp-streams\">Connection has been idle.</text></stream:error></stream:stream>";
    let terminated = "<stream:error><system-shutdown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>\
        <text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>Received SIGTERM</text></stream:error></stream:stream>";
    for (server, end, condition) in [
        (Server::Openfire51, idle, StreamCondition::ConnectionTimeout),
        (Server::Prosody, terminated, StreamCondition::SystemShutdown),
    ] {
        let steps = is_dialled(server, &[Step::Peer(end.to_owned())]);
        let outcome = run(Role::Outgoing, &steps, usize::MAX);
        let Some(CloseReason::PeerError(error, Stage::Established)) = outcome.closed else {
            panic!("{outcome:?}");
        };
        assert_eq!(error.condition, condition);
        assert!(error.is_orderly());
    }
    let steps = is_dialled(
        Server::Openfire47,
        &[Step::Peer("</stream:stream>".to_owned())],
    );
    let outcome = run(Role::Outgoing, &steps, usize::MAX);
    assert_eq!(
        outcome.closed,
        Some(CloseReason::PeerClosed(Stage::Established))
    );
    assert_eq!(outcome.written.last().unwrap(), "</stream:stream>");
}

#[test]
fn prosody_asks_for_management_behind_its_first_stanzas() {
    let first = Server::Prosody.stanzas();
    let behind = format!("{first}<enable xmlns='urn:xmpp:sm:3'/>{first}<r xmlns='urn:xmpp:sm:3'/>");
    let outcome = run(
        Role::Incoming,
        &dials(Server::Prosody, proven(), &behind),
        usize::MAX,
    );

    let last = outcome.written.last().unwrap();
    assert!(
        last.ends_with("<enabled xmlns=\"urn:xmpp:sm:3\"/><a xmlns=\"urn:xmpp:sm:3\" h=\"0\"/>"),
        "nothing is settled yet: {last}"
    );
    assert_eq!(messages(&outcome.events).len(), 2);
}

#[test]
fn direct_tls_is_the_same_without_the_first_stream() {
    for server in SERVERS {
        let mut machine = Machine::new(Stream::incoming(incoming()));
        machine.input(LinkInput::Tls(TlsVersion::Tls12));
        machine.read(server.initial(2));
        machine.verdict(proven());
        machine.read(server.auth());
        machine.read(format!("{}{}", server.initial(3), server.stanzas()));
        assert!(established(&machine.events), "{server:?}");
    }
}

/// Every script of this file, with its role.
fn scripts() -> Vec<(Role, Vec<Step>)> {
    let mut scripts = Vec::new();
    for server in SERVERS {
        let ends = [
            server.stanzas(),
            format!("{}</stream:stream>", server.stanzas()),
            format!("{}<message><!-- --></message>", server.stanzas()),
            "<message from='evil.example' to='sip.example'/>".to_owned(),
            "<enable xmlns='urn:xmpp:sm:3'/> <r xmlns='urn:xmpp:sm:3'/>\n<a xmlns='urn:xmpp:sm:3' h='7'/>".to_owned(),
        ];
        for end in ends {
            scripts.push((Role::Incoming, dials(server, proven(), &end)));
            scripts.push((
                Role::Outgoing,
                is_dialled(server, &[Step::Send, Step::Peer(end)]),
            ));
        }
        let mut refused = dials(server, unproven(), "");
        refused.push(Step::Peer(
            "<db:result xmlns:db='jabber:server:dialback'>k</db:result>".to_owned(),
        ));
        scripts.push((Role::Incoming, refused));
    }
    scripts
}

#[test]
fn bytes_one_by_one_give_the_same() {
    for (role, steps) in scripts() {
        assert_eq!(
            run(role, &steps, 1),
            run(role, &steps, usize::MAX),
            "{role:?} {steps:?}"
        );
    }
}

proptest! {
    /// However the bytes are cut, the machine does the same.
    #[test]
    fn pieces_of_any_size_give_the_same(index in any::<prop::sample::Index>(), piece in 1usize..200) {
        let scripts = scripts();
        let (role, steps) = index.get(&scripts);
        prop_assert_eq!(run(*role, steps, piece), run(*role, steps, usize::MAX));
    }

    /// Whatever a stranger writes and in whatever order things happen, nothing of his is believed and nothing panics.
    #[test]
    fn strangers_are_never_believed(
        pieces in prop::collection::vec(prop_oneof![
            Just(Server::Prosody.initial(1)),
            Just(Server::Openfire51.initial(1)),
            Just(STARTTLS.to_owned()),
            Just(Server::Prosody.auth().to_owned()),
            Just(Server::Prosody.stanzas()),
            Just("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>".to_owned()),
            Just("<enable xmlns='urn:xmpp:sm:3'/><r xmlns='urn:xmpp:sm:3'/>".to_owned()),
            Just("</stream:stream>".to_owned()),
            "\\PC{0,20}",
        ], 0..12),
        tls in prop::collection::vec(any::<bool>(), 12),
    ) {
        let mut machine = Machine::new(Stream::incoming(incoming()));
        machine.input(LinkInput::Connected);
        for (piece, tls) in pieces.iter().zip(tls) {
            machine.read(piece);
            if tls && machine.start_tls.is_some() {
                machine.tls();
            }
            machine.verdict(unproven());
        }
        machine.pass_seconds(60);
        let believed = machine.events.iter().any(|event| {
            matches!(event, StreamEvent::Stanza { .. } | StreamEvent::Established { .. })
        });
        prop_assert!(!believed, "{:?}", machine.events);
        prop_assert!(machine.closed.is_some());
    }
}
