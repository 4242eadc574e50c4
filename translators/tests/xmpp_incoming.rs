//! Rules of a stream that a peer opens, one by one.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod stream_lab;

use stream_lab::{
    AUTH, Machine, OURS, PEER, STARTTLS, before_auth, domain, header, incoming, proven, receiving,
    unproven,
};
use translators::model::Condition;
use translators::xmpp::faults::{StreamCondition, StreamFault};
use translators::xmpp::sasl::SaslFailure;
use translators::xmpp::stream::{
    Cause, CloseReason, IncomingSettings, LinkInput, Stage, StartTls, Stream, StreamEvent, Terms,
    TlsVersion, Verdict,
};

/// Our header in answer to one from `PEER`, without what stands behind it.
fn answered(written: &str) -> &str {
    let start = format!(
        "<?xml version=\"1.0\"?><stream:stream xmlns=\"jabber:server\" \
         xmlns:stream=\"http://etherx.jabber.org/streams\" from=\"{OURS}\" to=\"{PEER}\" id=\""
    );
    let rest = written
        .strip_prefix(&start)
        .unwrap_or_else(|| panic!("{written}"));
    let (id, rest) = rest
        .split_once("\" xml:lang=\"en\" version=\"1.0\">")
        .unwrap();
    assert!(!id.is_empty());
    rest
}

fn ends_with(machine: &Machine, fault: StreamFault) {
    assert_eq!(machine.closed, Some(CloseReason::Fault(fault)));
}

fn error(condition: &str) -> String {
    format!("<stream:error><{condition} xmlns=\"urn:ietf:params:xml:ns:xmpp-streams\"/>")
}

fn assert_error(written: &str, condition: &str) {
    assert!(written.contains(&error(condition)), "{written}");
    assert!(
        written.ends_with("</stream:error></stream:stream>"),
        "{written}"
    );
}

const NO_EXTERNAL: &str = "<stream:features/>";
const EXTERNAL: &str = "<stream:features><mechanisms xmlns=\"urn:ietf:params:xml:ns:xmpp-sasl\">\
    <mechanism>EXTERNAL</mechanism></mechanisms></stream:features>";

#[test]
fn the_negotiation_is_written_to_the_letter() {
    let mut machine = Machine::accepted();
    let mut ids = Vec::new();
    let mut id_of = |written: &str| {
        let id = written
            .split("id=\"")
            .nth(1)
            .unwrap()
            .split('"')
            .next()
            .unwrap()
            .to_owned();
        assert!(!ids.contains(&id), "{id} used twice");
        ids.push(id);
    };

    let written = machine.read(header(PEER, OURS));
    id_of(&written);
    assert_eq!(
        answered(&written),
        "<stream:features><starttls xmlns=\"urn:ietf:params:xml:ns:xmpp-tls\"><required/></starttls></stream:features>"
    );
    assert_eq!(
        machine.read(STARTTLS),
        "<proceed xmlns=\"urn:ietf:params:xml:ns:xmpp-tls\"/>"
    );
    assert_eq!(
        machine.start_tls,
        Some(StartTls {
            local: domain(OURS),
            remote: None,
            only_tls12: false
        })
    );
    assert_eq!(machine.tls(), "");
    assert_eq!(machine.stream.stage(), Stage::Authentication);
    let written = machine.read(header(PEER, OURS));
    id_of(&written);
    assert_eq!(answered(&written), "", "features wait for the verdict");
    assert_eq!(machine.verdict(proven()), EXTERNAL);
    assert_eq!(
        machine.read(AUTH),
        "<success xmlns=\"urn:ietf:params:xml:ns:xmpp-sasl\"/>"
    );
    let written = machine.read(header(PEER, OURS));
    id_of(&written);
    assert_eq!(
        answered(&written),
        "<stream:features><sm xmlns=\"urn:xmpp:sm:3\"/></stream:features>"
    );
    assert_eq!(machine.stream.stage(), Stage::Established);
    let mut without = Machine::new(Stream::incoming(IncomingSettings {
        management: false,
        ..incoming()
    }));
    without.input(LinkInput::Tls(TlsVersion::Tls13));
    without.read(header(PEER, OURS));
    without.verdict(proven());
    without.read(AUTH);
    assert_eq!(answered(&without.read(header(PEER, OURS))), NO_EXTERNAL);
}

#[test]
fn headers_are_held_against_the_rules() {
    let peer = header(PEER, OURS);
    for (header, condition) in [
        (header(PEER, "unknown.example"), "host-unknown"),
        (header(PEER, "sub.sip.example"), "host-unknown"),
        (header(PEER, ""), "improper-addressing"),
        (peer.replace(" to='sip.example'", ""), "improper-addressing"),
        (header("not a domain", OURS), "improper-addressing"),
        (header("user@xmpp.example", OURS), "improper-addressing"),
        (header(OURS, OURS), "invalid-from"),
        (header("sip2.example", OURS), "invalid-from"),
        (peer.replace(" version='1.0'>", ">"), "unsupported-version"),
        (peer.replace("'1.0'>", "'0.9'>"), "unsupported-version"),
        (
            peer.replace("'jabber:server'", "'jabber:client'"),
            "invalid-namespace",
        ),
        (peer.replace("etherx", "other"), "invalid-namespace"),
        ("<html>".to_owned(), "bad-format"),
        ("GET / HTTP/1.1".to_owned(), "not-well-formed"),
        ("\u{0}".to_owned(), "unsupported-encoding"),
        ("<!DOCTYPE x>".to_owned(), "restricted-xml"),
    ] {
        let mut machine = Machine::accepted();
        let written = machine.read(&header);
        assert!(
            written.starts_with("<?xml version=\"1.0\"?><stream:stream "),
            "{written}"
        );
        assert_error(&written, condition);
        assert!(
            matches!(machine.closed, Some(CloseReason::Fault(_))),
            "{header}"
        );
    }
}

#[test]
fn headers_of_real_peers_are_borne() {
    for header in [
        header(PEER, OURS).replace(" from=", " id='' from="),
        header(PEER, OURS).replace("from='xmpp.example' ", ""),
        header("XMPP.Example", "SIP.Example."),
        header(PEER, "sip2.example"),
        header(PEER, OURS).replace("<?xml version='1.0'?>", ""),
    ] {
        let mut machine = Machine::accepted();
        let written = machine.read(&header);
        assert!(
            written.ends_with("</starttls></stream:features>"),
            "{header}: {written}"
        );
        assert_eq!(machine.closed, None);
    }
}

#[test]
fn an_old_openfire_gets_tls_1_2() {
    let mut machine = Machine::accepted();
    machine.read(header(PEER, "sip2.example").replace("<?xml version='1.0'?>", ""));
    machine.read(STARTTLS);

    let start = machine.start_tls.unwrap();
    assert!(start.only_tls12);
    assert_eq!(
        start.local,
        domain("sip2.example"),
        "our certificate is the one asked for"
    );
}

#[test]
fn nothing_is_done_in_clear_text() {
    for (text, fault) in [
        (
            "<message from='a@xmpp.example' to='b@sip.example'/>",
            StreamFault::StartTlsRequired,
        ),
        (AUTH, StreamFault::StartTlsRequired),
        ("<foo xmlns='urn:x'/>", StreamFault::StartTlsRequired),
    ] {
        let mut machine = Machine::accepted();
        machine.read(header(PEER, OURS));
        assert_error(&machine.read(text), "policy-violation");
        ends_with(&machine, fault);
        assert_eq!(machine.events, []);
    }
}

#[test]
fn what_follows_starttls_in_clear_text_is_dropped() {
    let injected = format!(
        "{}{AUTH}<message from='a@xmpp.example' to='b@sip.example'/></stream:stream>",
        header("evil.example", OURS)
    );
    let mut machine = Machine::accepted();
    machine.read(header(PEER, OURS));
    assert_eq!(
        machine.read(format!("{STARTTLS}{injected}")),
        "<proceed xmlns=\"urn:ietf:params:xml:ns:xmpp-tls\"/>"
    );
    assert_eq!(
        machine.read(&injected),
        "",
        "the handshake has not happened yet"
    );
    machine.tls();
    machine.read(header(PEER, OURS));

    assert_eq!(
        machine.take_events(),
        [StreamEvent::JudgeCertificate {
            from: domain(PEER),
            to: domain(OURS)
        }]
    );
    assert_eq!(machine.verdict(proven()), EXTERNAL);
    assert_eq!(machine.closed, None);
}

#[test]
fn starttls_is_started_once() {
    let mut machine = before_auth(proven());
    assert_error(&machine.read(STARTTLS), "unsupported-stanza-type");
    let mut machine = receiving();
    assert_error(&machine.read(STARTTLS), "unsupported-stanza-type");
    assert_eq!(machine.start_tls, None);
}

#[test]
fn the_identity_cannot_change_over_a_restart() {
    for (from, to) in [("evil.example", OURS), (PEER, "sip2.example")] {
        let mut machine = Machine::accepted();
        machine.read(header(PEER, OURS));
        machine.read(STARTTLS);
        machine.tls();
        assert_error(&machine.read(header(from, to)), "improper-addressing");
        ends_with(&machine, StreamFault::RestartedDifferently);

        let mut machine = before_auth(proven());
        machine.read(AUTH);
        assert_error(&machine.read(header(from, to)), "improper-addressing");
        ends_with(&machine, StreamFault::RestartedDifferently);
    }
    let mut machine = Machine::accepted();
    machine.read(header(PEER, OURS).replace("from='xmpp.example' ", ""));
    machine.read(STARTTLS);
    machine.tls();
    let anonymous = header(PEER, OURS).replace("from='xmpp.example' ", "");
    assert_error(&machine.read(anonymous), "improper-addressing");
}

#[test]
fn external_is_offered_to_proven_peers_only() {
    let other = Verdict::Proven {
        domains: vec![domain("other.example")],
        terms: Terms::default(),
    };
    for (verdict, id) in [
        (unproven(), "certificate-expired"),
        (other, "name-not-proven"),
    ] {
        let mut machine = Machine::accepted();
        machine.read(header(PEER, OURS));
        machine.read(STARTTLS);
        machine.tls();
        machine.read(header(PEER, OURS));
        machine.take_events();

        assert_eq!(machine.verdict(verdict), NO_EXTERNAL);
        let events = machine.take_events();
        assert!(
            matches!(events.as_slice(), [StreamEvent::Unproven { cause: Cause { id: named, .. }, .. }] if *named == id),
            "{events:?}"
        );
        assert!(
            machine.read(AUTH).contains("<not-authorized/>"),
            "and not taken all the same"
        );
        assert_eq!(machine.closed, None);
        machine.input(LinkInput::Eof);
        assert_eq!(machine.closed, Some(CloseReason::PeerNotAuthenticated));
    }
}

#[test]
fn three_attempts_are_enough() {
    let auth = |mechanism: &str, text: &str| {
        format!(
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='{mechanism}'>{text}</auth>"
        )
    };
    let mut machine = before_auth(proven());
    for (text, failure) in [
        (auth("PLAIN", "="), "invalid-mechanism"),
        (auth("EXTERNAL", "!!"), "incorrect-encoding"),
        (auth("EXTERNAL", "ZXZpbC5leGFtcGxl"), "invalid-authzid"),
    ] {
        let written = machine.read(text);
        let expected =
            format!("<failure xmlns=\"urn:ietf:params:xml:ns:xmpp-sasl\"><{failure}/></failure>");
        assert!(written.starts_with(&expected), "{written}");
    }
    ends_with(&machine, StreamFault::NotAuthorized);
    assert_eq!(machine.take_events().len(), 3);

    let mut machine = before_auth(proven());
    for bad in [
        "<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
        "<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
    ] {
        assert!(machine.read(bad).starts_with("<failure"), "{bad}");
    }
    assert!(
        machine.read(AUTH).starts_with("<success"),
        "one attempt is left"
    );
}

#[test]
fn stanzas_before_authentication_end_the_stream() {
    for verdict in [proven(), unproven()] {
        let mut machine = before_auth(verdict);
        let written = machine
            .read("<message from='a@xmpp.example' to='b@sip.example'><body>x</body></message>");
        assert_error(&written, "not-authorized");
        assert!(
            !machine
                .events
                .iter()
                .any(|event| matches!(event, StreamEvent::Stanza { .. }))
        );
    }
    let mut machine = before_auth(proven());
    machine.read(AUTH);
    assert_error(&machine.read("<message/>"), "bad-format");
}

#[test]
fn dialback_is_refused_at_once() {
    let request = "<db:result xmlns:db='jabber:server:dialback' from='xmpp.example' to='sip.example'>KEY</db:result>";
    let refused = "<db:result xmlns:db=\"jabber:server:dialback\" from=\"sip.example\" to=\"xmpp.example\" type=\"error\">\
        <error type=\"cancel\"><policy-violation xmlns=\"urn:ietf:params:xml:ns:xmpp-stanzas\"/></error></db:result>";
    for verdict in [proven(), unproven()] {
        let mut machine = before_auth(verdict);
        machine.take_events();
        assert_eq!(machine.read(request), refused);
        assert_eq!(machine.take_events(), [StreamEvent::Dialback]);
        assert_eq!(machine.closed, None, "the peer ends the stream");
        machine.pass_seconds(4);
        assert_eq!(machine.closed, None);
        machine.pass_seconds(1);
        assert_eq!(machine.take_written(), "</stream:stream>");
        assert_eq!(machine.closed, Some(CloseReason::PeerNotAuthenticated));
    }
    let mut machine = before_auth(unproven());
    machine.read(request);
    assert_eq!(machine.read("</stream:stream>"), "</stream:stream>");
    assert_eq!(machine.closed, Some(CloseReason::PeerNotAuthenticated));

    let mut machine = receiving();
    let verify = request
        .replace("result", "verify")
        .replace("from=", "id='v1' from=");
    assert_eq!(
        machine.read(verify),
        refused
            .replace("result", "verify")
            .replace(" type=\"error\"><error", " id=\"v1\" type=\"error\"><error")
    );
    assert_eq!(machine.closed, None, "an authenticated stream goes on");
}

#[test]
fn ten_kibibytes_come_before_authentication() {
    let mut machine = Machine::accepted();
    machine.read(header(PEER, OURS));
    machine.read(" ".repeat(9_000));
    assert_eq!(machine.closed, None);
    assert_error(&machine.read(" ".repeat(2_000)), "policy-violation");
    ends_with(&machine, StreamFault::BeforeAuthentication);

    let mut machine = before_auth(proven());
    let long = format!(
        "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>{}</auth>",
        "QUJD".repeat(4_000)
    );
    machine.read(long);
    ends_with(&machine, StreamFault::BeforeAuthentication);

    let mut machine = Machine::accepted();
    machine.read(header(PEER, OURS));
    machine.read(STARTTLS);
    machine.tls();
    machine.read(header(PEER, OURS));
    machine.read("x".repeat(11_000));
    ends_with(&machine, StreamFault::BeforeAuthentication);
}

#[test]
fn what_waits_for_the_verdict_is_read_behind_it() {
    let mut machine = Machine::accepted();
    machine.read(header(PEER, OURS));
    machine.read(STARTTLS);
    machine.tls();
    let (first, second) = AUTH.split_at(20);
    machine.read(format!("{}{first}", header(PEER, OURS)));
    machine.read(second);

    assert_eq!(
        machine.verdict(proven()),
        format!("{EXTERNAL}<success xmlns=\"urn:ietf:params:xml:ns:xmpp-sasl\"/>")
    );
}

#[test]
fn patience_with_strangers_is_short() {
    let mut machine = Machine::accepted();
    machine.pass_seconds(5);
    assert_eq!(machine.closed, Some(CloseReason::Stalled(Stage::Plain)));
    assert_eq!(machine.written, "", "who says nothing is told nothing");

    let mut machine = Machine::accepted();
    machine.read("<?xml");
    machine.pass_seconds(5);
    assert_error(&machine.take_written(), "connection-timeout");

    let steps: [&dyn Fn(&mut Machine); 3] = [
        &|machine| drop(machine.read(header(PEER, OURS))),
        &|machine| drop(machine.read(STARTTLS)),
        &|machine| drop(machine.tls()),
    ];
    for taken in 1..=steps.len() {
        let mut machine = Machine::accepted();
        for step in &steps[..taken] {
            step(&mut machine);
        }
        machine.take_written();
        machine.pass_seconds(9);
        assert_eq!(machine.closed, None);
        machine.pass_seconds(1);
        assert!(machine.closed.is_some(), "after step {taken}");
    }
    let mut machine = before_auth(proven());
    machine.read(AUTH);
    machine.pass_seconds(10);
    ends_with(&machine, StreamFault::ConnectionTimeout);
}

#[test]
fn a_connection_without_a_byte_is_no_fault() {
    let mut machine = Machine::accepted();
    machine.input(LinkInput::Eof);
    assert_eq!(machine.closed, Some(CloseReason::Unused));
    assert_eq!(machine.events, []);
}

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
fn a_failure_that_is_refused_is_reported() {
    let mut machine = before_auth(proven());
    machine.read(AUTH.replace("EXTERNAL", "SCRAM-SHA-1"));
    assert_eq!(
        machine.take_events(),
        [StreamEvent::SaslRefused(SaslFailure::InvalidMechanism)]
    );
}
