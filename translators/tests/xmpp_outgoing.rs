//! Rules of a stream that we open, one by one.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod stream_lab;

use std::time::Duration;

use stream_lab::{
    FEATURES_EXTERNAL, FEATURES_TLS, Machine, OURS, PEER, PROCEED, SUCCESS, authenticating, domain,
    header, outgoing, sending, sending_with,
};
use translators::xmpp::acks::PING_PREFIX;
use translators::xmpp::faults::{StreamCondition, StreamFault};
use translators::xmpp::sasl::SaslFailure;
use translators::xmpp::stream::{
    Acks, CloseReason, LinkInput, OutgoingSettings, Stage, StartTls, Stream, StreamEvent, Terms,
    TlsVersion,
};

const OWN_HEADER: &str = "<?xml version=\"1.0\"?><stream:stream xmlns=\"jabber:server\" \
    xmlns:stream=\"http://etherx.jabber.org/streams\" from=\"sip.example\" to=\"xmpp.example\" \
    xml:lang=\"en\" version=\"1.0\">";
const OWN_AUTH: &str = "<auth xmlns=\"urn:ietf:params:xml:ns:xmpp-sasl\" mechanism=\"EXTERNAL\">c2lwLmV4YW1wbGU=</auth>";
const OWN_STARTTLS: &str = "<starttls xmlns=\"urn:ietf:params:xml:ns:xmpp-tls\"/>";
const ENABLE: &str = "<enable xmlns=\"urn:xmpp:sm:3\"/>";
const END: &str = "</stream:stream>";
const SM: &str = "<sm xmlns='urn:xmpp:sm:3'/>";

fn message(id: &str) -> String {
    format!(
        "<message from=\"bob@{OURS}\" to=\"alice@{PEER}\" id=\"{id}\"><body>hi</body></message>"
    )
}

/// Cuts the ping off the end of what was written and returns its identifier.
fn ping_of(written: &str) -> (String, String) {
    let (before, ping) = written
        .split_once("<iq ")
        .unwrap_or_else(|| panic!("{written}"));
    let id = ping
        .split("id=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    assert_eq!(
        ping.split_once("/></iq>").unwrap().0,
        format!(
            "from=\"{OURS}\" to=\"{PEER}\" type=\"get\" id=\"{id}\"><ping xmlns=\"urn:xmpp:ping\""
        )
    );
    assert!(id.starts_with(PING_PREFIX));
    (before.to_owned(), id.to_owned())
}

#[test]
fn the_negotiation_is_written_to_the_letter() {
    let mut machine = Machine::new(Stream::outgoing(outgoing()));
    machine.input(LinkInput::Connected);
    assert_eq!(machine.take_written(), OWN_HEADER);
    assert_eq!(machine.read(header(PEER, OURS)), "");
    assert_eq!(machine.read(FEATURES_TLS), OWN_STARTTLS);
    machine.read(PROCEED);
    assert_eq!(
        machine.start_tls,
        Some(StartTls {
            local: domain(OURS),
            remote: Some(domain(PEER)),
            claimed: None,
            only_tls12: false
        })
    );
    assert_eq!(machine.tls(), OWN_HEADER);
    assert_eq!(machine.read(header(PEER, OURS)), "");
    assert_eq!(machine.read(FEATURES_EXTERNAL), OWN_AUTH);
    assert_eq!(machine.read(SUCCESS), OWN_HEADER);
    assert_eq!(machine.read(header(PEER, OURS)), "");
    assert!(!machine.stream.accepts());
    assert_eq!(machine.read("<stream:features/>"), "");
    assert_eq!(
        machine.take_events(),
        [StreamEvent::Established {
            local: domain(OURS),
            remote: domain(PEER)
        }]
    );
    assert!(machine.stream.accepts());
}

#[test]
fn direct_tls_starts_behind_the_handshake() {
    let mut machine = Machine::new(Stream::outgoing(outgoing()));
    machine.input(LinkInput::Tls(TlsVersion::Tls12));
    assert_eq!(machine.take_written(), OWN_HEADER);
    machine.read(header(PEER, OURS));
    assert_eq!(machine.read(FEATURES_EXTERNAL), OWN_AUTH);
}

#[test]
fn starttls_is_tried_even_if_it_is_not_offered() {
    for (header, features) in [
        (header(PEER, OURS), "<stream:features/>"),
        (header(PEER, OURS).replace(" version='1.0'>", ">"), ""),
    ] {
        let mut machine = Machine::dialled(outgoing());
        machine.take_written();
        assert_eq!(machine.read(format!("{header}{features}")), OWN_STARTTLS);
        machine.read(PROCEED);
        assert!(machine.start_tls.is_some());
    }
    let mut machine = Machine::dialled(outgoing());
    machine.read(format!("{}<stream:features/>", header(PEER, OURS)));
    assert_eq!(
        machine.read("<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"),
        END
    );
    assert_eq!(machine.closed, Some(CloseReason::StartTlsRefused));
}

#[test]
fn an_old_openfire_is_met_with_tls_1_2() {
    let mut machine = Machine::dialled(outgoing());
    machine.read(header(PEER, OURS).replace("<?xml version='1.0'?>", ""));
    machine.read(FEATURES_TLS);
    machine.read(PROCEED);
    assert!(machine.start_tls.unwrap().only_tls12);
}

#[test]
fn what_follows_proceed_in_clear_text_is_dropped() {
    let mut machine = Machine::dialled(outgoing());
    machine.read(header(PEER, OURS));
    machine.read(FEATURES_TLS);
    let injected = format!("{}{FEATURES_EXTERNAL}{SUCCESS}", header(PEER, OURS));
    assert_eq!(machine.read(format!("{PROCEED}{injected}")), "");
    assert_eq!(machine.tls(), OWN_HEADER);
    assert_eq!(machine.stream.stage(), Stage::Authentication);
    assert_eq!(machine.read(header(PEER, OURS)), "");
    assert_eq!(machine.read(FEATURES_EXTERNAL), OWN_AUTH);
}

#[test]
fn odd_headers_of_the_peer_are_borne() {
    for header in [
        header("conference.xmpp.example", OURS),
        header(PEER, OURS).replace(" to='sip.example'", ""),
        header(PEER, OURS).replace(" from='xmpp.example'", ""),
        header(PEER, OURS).replace(
            " from=",
            " id='x' xml:lang='en' xmlns:db='jabber:server:dialback' from=",
        ),
    ] {
        let mut machine = Machine::new(Stream::outgoing(outgoing()));
        machine.input(LinkInput::Tls(TlsVersion::Tls13));
        machine.take_written();
        assert_eq!(
            machine.read(format!("{header}{FEATURES_EXTERNAL}")),
            OWN_AUTH,
            "{header}"
        );
    }
}

#[test]
fn a_peer_without_external_does_not_accept_our_certificate() {
    let mechanisms = |inner: &str| {
        format!(
            "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{inner}</mechanisms></stream:features>"
        )
    };
    for features in [
        "<stream:features/>".to_owned(),
        mechanisms(""),
        mechanisms("<mechanism>PLAIN</mechanism>"),
        "<stream:features><dialback xmlns='urn:xmpp:features:dialback'/></stream:features>"
            .to_owned(),
    ] {
        let mut machine = Machine::new(Stream::outgoing(outgoing()));
        machine.input(LinkInput::Tls(TlsVersion::Tls13));
        machine.take_written();
        machine.read(header(PEER, OURS));
        assert_eq!(machine.read(&features), END, "{features}");
        assert_eq!(machine.closed, Some(CloseReason::ExternalNotOffered));
    }
    let mut machine = Machine::new(Stream::outgoing(outgoing()));
    machine.input(LinkInput::Tls(TlsVersion::Tls13));
    machine.read(header(PEER, OURS).replace(" version='1.0'>", ">"));
    assert_eq!(machine.closed, Some(CloseReason::ExternalNotOffered));
}

#[test]
fn the_authzid_is_sent_and_sent_again_when_asked() {
    let mut machine = authenticating(outgoing());
    let written = machine.read("<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>=</challenge>");
    assert_eq!(
        written,
        "<response xmlns=\"urn:ietf:params:xml:ns:xmpp-sasl\">c2lwLmV4YW1wbGU=</response>"
    );
    assert_eq!(machine.read(SUCCESS), OWN_HEADER);

    let mut machine = Machine::new(Stream::outgoing(OutgoingSettings {
        authzid: false,
        ..outgoing()
    }));
    machine.input(LinkInput::Tls(TlsVersion::Tls13));
    machine.read(header(PEER, OURS));
    let written = machine.read(FEATURES_EXTERNAL);
    assert!(
        written.ends_with(" mechanism=\"EXTERNAL\">=</auth>"),
        "{written}"
    );
}

#[test]
fn a_refused_attempt_is_the_last() {
    for (name, failure) in [
        ("not-authorized", SaslFailure::NotAuthorized),
        ("temporary-auth-failure", SaslFailure::Temporary),
        ("account-disabled", SaslFailure::Other),
    ] {
        let mut machine = authenticating(outgoing());
        let told = format!(
            "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><{name}/><text>no</text></failure>"
        );
        assert_eq!(machine.read(told), END);
        assert_eq!(
            machine.closed,
            Some(CloseReason::AuthenticationRefused(failure))
        );
    }
}

#[test]
fn stream_errors_of_the_peer_are_reported() {
    let told = |condition: &str| {
        format!(
            "<stream:error><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>"
        )
    };
    for (told, expected) in [
        (told("host-unknown"), StreamCondition::HostUnknown),
        (told("see-other-host"), StreamCondition::SeeOtherHost),
        (told("brand-new"), StreamCondition::UndefinedCondition),
        (
            "<stream:error/>".to_owned(),
            StreamCondition::UndefinedCondition,
        ),
    ] {
        let mut machine = Machine::dialled(outgoing());
        machine.take_written();
        machine.read(header(PEER, OURS));
        assert_eq!(machine.read(told), END);
        let Some(CloseReason::PeerError(error, Stage::Plain)) = machine.closed else {
            panic!("{:?}", machine.closed);
        };
        assert_eq!(error.condition, expected);
    }
}

#[test]
fn a_silent_peer_is_given_up() {
    let mut machine = Machine::dialled(outgoing());
    machine.pass_seconds(10);
    assert_eq!(machine.closed, Some(CloseReason::Stalled(Stage::Plain)));
    assert!(machine.written.ends_with(END));

    let mut machine = authenticating(outgoing());
    machine.pass_seconds(10);
    assert_eq!(
        machine.closed,
        Some(CloseReason::Stalled(Stage::Authentication))
    );

    let mut machine = Machine::dialled(outgoing());
    machine.read(header(PEER, OURS));
    machine.read(FEATURES_TLS);
    machine.read(PROCEED);
    machine.take_written();
    machine.pass_seconds(10);
    assert_eq!(machine.closed, Some(CloseReason::Stalled(Stage::Handshake)));
    assert_eq!(machine.written, "", "no clear text into a handshake");
}

#[test]
fn silence_behind_tls_1_3_has_its_own_name() {
    for (version, reason) in [
        (TlsVersion::Tls13, Some(CloseReason::SilentAfterTls13)),
        (TlsVersion::Tls12, None),
    ] {
        let mut machine = Machine::new(Stream::outgoing(outgoing()));
        machine.input(LinkInput::Tls(version));
        machine.pass_seconds(5);
        assert_eq!(machine.closed, reason);
    }
}

#[test]
fn management_is_asked_for_where_it_is_answered() {
    let limits = "<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>1048576</max-bytes></limits>";
    for (acks, features, asked) in [
        (Acks::Auto, "", false),
        (Acks::Auto, SM, true),
        (Acks::Auto, "<sm xmlns='urn:xmpp:sm:2'/>", false),
        (Acks::Auto, limits, true),
        (Acks::Off, SM, false),
        (Acks::On, "", true),
    ] {
        let settings = OutgoingSettings { acks, ..outgoing() };
        let mut machine = authenticating(settings);
        machine.read(SUCCESS);
        machine.read(header(PEER, OURS));
        let written = machine.read(format!("<stream:features>{features}</stream:features>"));
        assert_eq!(
            written,
            if asked { ENABLE } else { "" },
            "{acks:?} {features}"
        );
    }
}

#[test]
fn acknowledgements_are_asked_for_and_taken() {
    let request = "<r xmlns=\"urn:xmpp:sm:3\"/>";
    let mut machine = sending_with(outgoing(), SM);
    assert_eq!(
        machine.send(&message("1"), false),
        message("1"),
        "not enabled yet"
    );
    assert_eq!(machine.read("<enabled xmlns='urn:xmpp:sm:3'/>"), request);
    assert_eq!(
        machine.send(&message("2"), false),
        message("2"),
        "one request at a time"
    );
    assert_eq!(machine.read("<a xmlns='urn:xmpp:sm:3' h='1'/>"), request);
    assert_eq!(machine.read("<a h='2' xmlns='urn:xmpp:sm:3'/>"), "");
    assert_eq!(
        machine.take_events(),
        [StreamEvent::Acked(1), StreamEvent::Acked(2)]
    );

    let written = machine.send(&message("3"), true);
    let (before, _) = ping_of(&written);
    assert_eq!(before, message("3"));
    assert!(written.ends_with(request), "{written}");
    machine.read("<a h='4' xmlns='urn:xmpp:sm:3'/>");
    assert_eq!(
        machine.take_events(),
        [StreamEvent::Acked(3)],
        "pings count and have no number"
    );
    let written = machine.read("<a h='9' xmlns='urn:xmpp:sm:3'/>");
    assert!(
        written.contains("<undefined-condition xmlns=\"urn:ietf:params:xml:ns:xmpp-streams\"/>")
            && written.contains(
                "<handled-count-too-high xmlns=\"urn:xmpp:sm:3\" h=\"9\" send-count=\"4\"/>"
            ),
        "{written}"
    );
    assert_eq!(
        machine.closed,
        Some(CloseReason::Fault(StreamFault::HandledTooHigh {
            handled: 9,
            sent: 4
        }))
    );
}

#[test]
fn a_peer_may_refuse_management() {
    let mut machine = sending_with(outgoing(), SM);
    assert_eq!(machine.read("<failed xmlns='urn:xmpp:sm:3'/>"), "");
    assert_eq!(machine.send(&message("1"), false), message("1"));
    assert_eq!(machine.closed, None);
}

#[test]
fn a_barrier_lies_behind_the_messages() {
    let mut machine = sending();
    assert_eq!(
        machine.send(&message("1"), false),
        message("1"),
        "nobody waits"
    );
    let written = machine.send(&message("2"), true);
    let (before, id) = ping_of(&written);
    assert_eq!(before, message("2"));
    assert_eq!(
        machine.send(&message("3"), true),
        message("3"),
        "one ping at a time"
    );

    machine.input(LinkInput::Answered("barrier-0000000000000000-1"));
    assert_eq!(machine.take_events(), []);
    machine.input(LinkInput::Answered(&id));
    assert_eq!(machine.take_events(), [StreamEvent::Confirmed(2)]);
    let (before, second) = ping_of(&machine.take_written());
    assert_eq!(before, "");
    machine.input(LinkInput::Answered(&second));
    assert_eq!(machine.take_events(), [StreamEvent::Confirmed(3)]);
}

#[test]
fn late_errors_have_their_time() {
    let mut machine = sending_with(
        OutgoingSettings {
            settle: Duration::from_millis(400),
            ..outgoing()
        },
        "",
    );
    let (_, id) = ping_of(&machine.send(&message("1"), true));
    machine.input(LinkInput::Answered(&id));
    machine.pass(Duration::from_millis(399));
    assert_eq!(machine.take_events(), []);
    machine.pass(Duration::from_millis(1));
    assert_eq!(machine.take_events(), [StreamEvent::Confirmed(1)]);
}

#[test]
fn only_errors_of_the_peer_come_back_on_our_stream() {
    let bounce = |from: &str, kind: &str| {
        format!(
            "<message from='{from}' to='bob@{OURS}' type='{kind}' id='1'><body>echo</body><error/></message>"
        )
    };
    for from in [
        "alice@xmpp.example",
        "xmpp.example",
        "room@conference.xmpp.example/x",
    ] {
        let mut machine = sending();
        machine.read(bounce(from, "error"));
        let events = machine.take_events();
        assert!(
            matches!(events.as_slice(), [StreamEvent::Stanza { n: 1, stanza }] if stanza.is_error()),
            "{events:?}"
        );
        assert!(machine.stream.accepts());
    }
    for (text, fault) in [
        (
            bounce("alice@xmpp.example", "chat"),
            StreamFault::NotAuthorized,
        ),
        (
            bounce("alice@evil.example", "error"),
            StreamFault::InvalidFrom,
        ),
        (
            "<presence from='alice@xmpp.example' to='bob@sip.example'/>".to_owned(),
            StreamFault::NotAuthorized,
        ),
        (
            "<foo xmlns='urn:x'/>".to_owned(),
            StreamFault::UnsupportedStanzaType,
        ),
        (
            FEATURES_EXTERNAL.to_owned(),
            StreamFault::UnsupportedStanzaType,
        ),
    ] {
        let mut machine = sending();
        machine.read(&text);
        assert_eq!(machine.closed, Some(CloseReason::Fault(fault)), "{text}");
        assert_eq!(machine.events, []);
    }
}

#[test]
fn spaces_and_pings_keep_a_stream_open() {
    let mut machine = sending();
    for minutes in [5, 10] {
        machine.pass_seconds(300);
        assert_eq!(machine.take_written(), " ", "{minutes}");
    }
    machine.pass_seconds(300);
    let (before, id) = ping_of(&machine.take_written());
    assert_eq!(before, "", "a quarter of an hour without a stanza");
    machine.input(LinkInput::Answered(&id));
    assert_eq!(machine.take_events(), []);
    machine.send(&message("1"), false);
    machine.pass_seconds(299);
    assert_eq!(machine.take_written(), "");
    machine.pass_seconds(1);
    assert_eq!(machine.take_written(), " ");
}

#[test]
fn the_peers_own_patience_shortens_the_interval() {
    for (idle, interval) in [(1_800, 300), (600, 200), (30, 10), (1, 1)] {
        let features = format!(
            "<limits xmlns='urn:xmpp:stream-limits:0'><idle-seconds>{idle}</idle-seconds></limits>"
        );
        let settings = OutgoingSettings {
            acks: Acks::Off,
            ..outgoing()
        };
        let mut machine = sending_with(settings, &features);
        machine.pass(Duration::from_secs(interval) - Duration::from_millis(1));
        assert_eq!(machine.take_written(), "", "{idle}");
        machine.pass(Duration::from_millis(1));
        assert_eq!(machine.take_written(), " ", "{idle}");
    }
}

#[test]
fn the_interval_can_be_set() {
    let settings = OutgoingSettings {
        terms: Terms {
            keepalive: Duration::from_secs(60),
            ..Terms::default()
        },
        ..outgoing()
    };
    let mut machine = sending_with(settings, "");
    machine.pass_seconds(60);
    assert_eq!(machine.take_written(), " ");
}

#[test]
fn nothing_is_sent_behind_the_closing_tag() {
    let mut machine = sending();
    let (_, id) = ping_of(&machine.send(&message("1"), true));
    machine.send(&message("2"), true);
    machine.input(LinkInput::Shutdown);
    assert_eq!(machine.take_written(), END);
    assert!(!machine.stream.accepts());
    assert_eq!(machine.send(&message("3"), true), "");
    machine.input(LinkInput::Answered(&id));
    assert_eq!(
        machine.take_events(),
        [StreamEvent::Confirmed(1)],
        "still told"
    );
    machine.pass_seconds(5);
    assert_eq!(machine.take_written(), "");
    assert_eq!(machine.closed, Some(CloseReason::Completed));
}

#[test]
fn the_end_of_the_connection_says_where_it_came() {
    let mut machine = Machine::dialled(outgoing());
    machine.input(LinkInput::Eof);
    assert_eq!(machine.closed, Some(CloseReason::Eof(Stage::Plain)));

    let mut machine = authenticating(outgoing());
    machine.input(LinkInput::Eof);
    assert_eq!(
        machine.closed,
        Some(CloseReason::Eof(Stage::Authentication))
    );

    let mut machine = sending();
    assert_eq!(machine.read("</stream:stream>garbage\0"), END);
    assert_eq!(
        machine.closed,
        Some(CloseReason::PeerClosed(Stage::Established))
    );

    let mut machine = sending();
    machine.input(LinkInput::Shutdown);
    machine.input(LinkInput::Eof);
    assert_eq!(machine.closed, Some(CloseReason::Completed));
}

#[test]
fn dialback_and_stanzas_during_setup_are_refused() {
    let mut machine = Machine::dialled(outgoing());
    machine.read(header(PEER, OURS));
    let written =
        machine.read("<db:result xmlns:db='jabber:server:dialback' from='a' to='b'>k</db:result>");
    assert!(
        written.contains(
            "<db:result xmlns:db=\"jabber:server:dialback\" from=\"b\" to=\"a\" type=\"error\">"
        ),
        "{written}"
    );
    assert_eq!(machine.take_events(), [StreamEvent::Dialback]);

    for early in [
        "<message from='a@xmpp.example' to='b@sip.example'/>",
        SUCCESS,
        PROCEED,
    ] {
        let mut machine = Machine::dialled(outgoing());
        machine.read(header(PEER, OURS));
        machine.read(early);
        assert_eq!(
            machine.closed,
            Some(CloseReason::Fault(StreamFault::UnsupportedStanzaType)),
            "{early}"
        );
        assert_eq!(machine.events, []);
    }
}
