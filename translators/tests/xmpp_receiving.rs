//! Rules of an established stream of a peer, one by one.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod stream_lab;

use stream_lab::{
    AUTH, OURS, PEER, assert_error, before_auth, domain, ends_with, header, proven, receiving,
};
use translators::model::Condition;
use translators::xmpp::faults::{StreamCondition, StreamFault};
use translators::xmpp::stanza::Stanza;
use translators::xmpp::stream::{CloseReason, LinkInput, Stage, StreamEvent, Terms, Verdict};

#[test]
fn stanzas_pipelined_behind_the_last_header_are_read() {
    let mut machine = before_auth(proven());
    machine.read(AUTH);
    let stanza = "<message from='a@xmpp.example' to='b@sip.example' id='1'/>";
    machine.read(format!("{}{stanza}{stanza}", header(PEER, OURS)));

    let events = machine.take_events();
    assert!(
        matches!(
            events.as_slice(),
            [
                StreamEvent::Established { .. },
                StreamEvent::Stanza { n: 1, .. },
                StreamEvent::Stanza { n: 2, .. }
            ]
        ),
        "{events:?}"
    );
}

#[test]
fn spoofed_senders_end_the_stream() {
    for from in [
        "a@evil.example",
        "a@sip.example",
        "a@sub.xmpp.example",
        "a@notxmpp.example",
        "a@xmpp.example.evil.example",
        "evil.example/xmpp.example",
        "a@xmpр.example",
    ] {
        let mut machine = receiving();
        let written = machine.read(format!("<message from='{from}' to='b@sip.example'/>"));
        assert_error(&written, "invalid-from");
        assert_eq!(machine.events, [], "{from}");
    }
    let mut machine = receiving();
    assert_error(
        &machine.read("<message to='b@sip.example'/>"),
        "improper-addressing",
    );
}

#[test]
fn more_domains_may_speak_if_the_verdict_says_so() {
    let mut machine = before_auth(Verdict::Proven {
        domains: vec![domain(PEER), domain("conference.xmpp.example")],
        terms: Terms::default(),
    });
    machine.read(AUTH);
    machine.read(header(PEER, OURS));
    machine.take_events();
    machine.read("<message from='room@conference.xmpp.example' to='b@sip.example'/>");
    assert!(matches!(
        machine.events.as_slice(),
        [StreamEvent::Stanza { n: 1, .. }]
    ));
}

#[test]
fn a_refused_stanza_counts_and_the_stream_goes_on() {
    let mut machine = before_auth(Verdict::Proven {
        domains: vec![domain(PEER)],
        terms: Terms {
            max_stanza: 10_000,
            ..Terms::default()
        },
    });
    machine.read(AUTH);
    machine.read(header(PEER, OURS));
    machine.read("<enable xmlns='urn:xmpp:sm:3'/>");
    machine.take_events();
    let large = format!(
        "<message from='a@xmpp.example' to='b@sip.example' id='l'><body>{}</body></message>",
        "x".repeat(10_000)
    );
    machine.read(large);
    machine.read("<message from='a@xmpp.example' to='b b@sip.example'/>");

    let events = machine.take_events();
    let [
        StreamEvent::Refused {
            condition: large,
            reply: Some(reply),
        },
        StreamEvent::Refused {
            condition: malformed,
            reply: Some(_),
        },
    ] = events.as_slice()
    else {
        panic!("{events:?}");
    };
    assert_eq!(
        (*large, *malformed),
        (Condition::PolicyViolation, Condition::JidMalformed)
    );
    assert_eq!(
        (reply.local.clone(), reply.remote.clone()),
        (domain(OURS), domain(PEER))
    );
    assert_eq!(
        machine.read("<r xmlns='urn:xmpp:sm:3'/>"),
        "<a xmlns=\"urn:xmpp:sm:3\" h=\"2\"/>"
    );
    assert_eq!(machine.closed, None);
}

#[test]
fn management_is_ours_to_offer() {
    let mut machine = receiving();
    assert_eq!(
        machine.read("<r xmlns='urn:xmpp:sm:3'/>"),
        "",
        "not enabled"
    );
    assert_eq!(
        machine.read("<enable xmlns='urn:xmpp:sm:3' resume='true'/>"),
        "<enabled xmlns=\"urn:xmpp:sm:3\"/>"
    );
    assert_eq!(
        machine.read("<r xmlns='urn:xmpp:sm:3'/>"),
        "<a xmlns=\"urn:xmpp:sm:3\" h=\"0\"/>"
    );
    assert!(
        machine
            .read("<enable xmlns='urn:xmpp:sm:3'/>")
            .contains("unexpected-request")
    );
    assert!(
        machine
            .read("<resume xmlns='urn:xmpp:sm:3' h='0' previd='x'/>")
            .contains("item-not-found")
    );
    assert_eq!(machine.read("<a xmlns='urn:xmpp:sm:3' h='0'/>"), "");
    let written = machine.read("<a xmlns='urn:xmpp:sm:3' h='5'/>");
    assert_error(
        &written.replace(
            "<handled-count-too-high xmlns=\"urn:xmpp:sm:3\" h=\"5\" send-count=\"0\"/>",
            "",
        ),
        "undefined-condition",
    );
    ends_with(
        &machine,
        StreamFault::HandledTooHigh {
            handled: 5,
            sent: 0,
        },
    );
}

#[test]
fn answers_to_barriers_are_told_apart() {
    let mut machine = receiving();
    machine.read("<enable xmlns='urn:xmpp:sm:3'/>");
    machine.read("<iq type='result' id='barrier-x-1' from='xmpp.example' to='sip.example'/>");
    machine.read(
        "<iq type='error' id='barrier-x-2' from='xmpp.example' to='sip2.example'><error/></iq>",
    );
    let answer = |local: &str, id: &str| StreamEvent::PingAnswered {
        local: domain(local),
        remote: domain(PEER),
        id: id.to_owned(),
    };
    assert_eq!(
        machine.take_events(),
        [
            answer(OURS, "barrier-x-1"),
            answer("sip2.example", "barrier-x-2")
        ]
    );
    assert_eq!(
        machine.read("<r xmlns='urn:xmpp:sm:3'/>"),
        "<a xmlns=\"urn:xmpp:sm:3\" h=\"2\"/>",
        "they need nothing more"
    );

    for other in [
        "<iq type='result' id='barrier-x-1' from='mallory@xmpp.example/r' to='sip.example'/>",
        "<iq type='get' id='barrier-x-1' from='xmpp.example' to='sip.example'><ping xmlns='urn:xmpp:ping'/></iq>",
        "<iq type='result' id='x' from='xmpp.example' to='sip.example'/>",
    ] {
        machine.read(other);
        assert!(
            matches!(
                machine.take_events().as_slice(),
                [StreamEvent::Stanza { .. }]
            ),
            "{other}"
        );
    }
}

#[test]
fn an_established_stream_ends_in_many_ways() {
    let mut machine = receiving();
    assert_eq!(
        machine.read("</stream:stream><message from='a@xmpp.example' to='b@sip.example'/>"),
        "</stream:stream>"
    );
    assert_eq!(
        machine.closed,
        Some(CloseReason::PeerClosed(Stage::Established))
    );
    assert_eq!(machine.events, [], "nothing behind the closing tag is read");

    let mut machine = receiving();
    machine.input(LinkInput::Eof);
    assert_eq!(machine.closed, Some(CloseReason::Eof(Stage::Established)));

    let mut machine = receiving();
    let told = "<stream:error><connection-timeout xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>\
        <text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>Idle connection</text></stream:error></stream:stream>";
    assert_eq!(machine.read(told), "</stream:stream>");
    let Some(CloseReason::PeerError(error, Stage::Established)) = &machine.closed else {
        panic!("{:?}", machine.closed);
    };
    assert_eq!(error.condition, StreamCondition::ConnectionTimeout);
    assert_eq!(error.text.as_deref(), Some("Idle connection"));
    assert!(error.is_orderly());

    let mut machine = receiving();
    machine.input(LinkInput::Shutdown);
    assert_eq!(machine.take_written(), "</stream:stream>");
    machine.pass_seconds(4);
    assert_eq!(machine.closed, None);
    machine.pass_seconds(1);
    assert_eq!(machine.closed, Some(CloseReason::Completed));
    assert_eq!(machine.written, "", "nothing follows the closing tag");

    let mut machine = before_auth(proven());
    machine.input(LinkInput::Shutdown);
    assert_error(&machine.take_written(), "system-shutdown");
}

#[test]
fn unknown_elements_end_the_stream() {
    for unknown in [
        "<foo xmlns='urn:x'/>",
        "<bidi xmlns='urn:xmpp:bidi'/>",
        "<foo/>",
        AUTH,
    ] {
        let mut machine = receiving();
        assert_error(&machine.read(unknown), "unsupported-stanza-type");
    }
    let mut machine = receiving();
    assert_error(
        &machine.read("<message><!-- --></message>"),
        "restricted-xml",
    );
    let mut machine = receiving();
    assert_error(&machine.read("text<presence/>"), "bad-format");
}

#[test]
fn white_space_keeps_a_stream_alive() {
    let mut machine = receiving();
    for _ in 0..12 {
        machine.pass_seconds(300);
        assert_eq!(machine.take_written(), " ");
        machine.read(" ");
    }
    machine.pass_seconds(200);
    machine.read("<enable xmlns='urn:xmpp:sm:3'/>");
    machine.pass_seconds(299);
    assert_eq!(machine.take_written(), "", "what was written counts");
    machine.pass_seconds(1);
    assert_eq!(machine.take_written(), " ");
    assert_eq!(machine.events, []);
}

#[test]
fn nothing_of_ours_travels_on_a_stream_of_the_peer() {
    let mut machine = receiving();
    let stanza = "<message from='b@sip.example' to='a@xmpp.example'/>";
    assert!(!machine.stream.accepts());
    assert_eq!(machine.send(stanza, true), "");
    machine.input(LinkInput::Answered("barrier-x-1"));
    machine.pass_seconds(3_600);

    let spaces = machine.take_written();
    assert_eq!(spaces, " ".repeat(12), "white space only");
}

#[test]
fn a_last_acknowledgement_goes_before_the_closing_tag() {
    let mut machine = receiving();
    machine.read("<enable xmlns='urn:xmpp:sm:3'/>");
    machine.read("<message from='a@xmpp.example' to='b@sip.example' id='1'/>");
    machine.input(LinkInput::Settled(1));
    machine.input(LinkInput::Shutdown);

    assert_eq!(
        machine.take_written(),
        "<a xmlns=\"urn:xmpp:sm:3\" h=\"1\"/></stream:stream>"
    );
}

#[test]
fn an_error_too_large_to_be_read_is_still_an_error() {
    let mut machine = receiving();
    let echo = format!(
        "<message from='a@xmpp.example' to='b@sip.example' type='error' id='m1'><body>{}</body>\
         <error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>",
        "x".repeat(600_000)
    );
    machine.read(echo);

    let events = machine.take_events();
    let [StreamEvent::Stanza { n: 1, stanza }] = events.as_slice() else {
        panic!("{events:?}");
    };
    let Stanza::Message(message) = stanza.as_ref() else {
        panic!("{stanza:?}");
    };
    assert_eq!(message.id.as_deref(), Some("m1"));
    assert!(message.error().is_some());
    assert_eq!(machine.closed, None);
}
