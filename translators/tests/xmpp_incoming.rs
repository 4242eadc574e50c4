//! Rules of a stream that a peer opens, one by one.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod stream_lab;

use stream_lab::{
    AUTH, Machine, OURS, PEER, STARTTLS, assert_error, before_auth, domain, ends_with, header,
    incoming, proven, receiving, unproven,
};
use translators::xmpp::faults::StreamFault;
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
            claimed: Some(domain(PEER)),
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
    ends_with(&machine, StreamFault::TooManyAttempts);
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
}

#[test]
fn dialback_on_an_authenticated_stream_is_refused_too() {
    let key = |kind: &str| {
        format!(
            "<db:{kind} xmlns:db='jabber:server:dialback' id='v1' from='xmpp.example' to='sip.example'>KEY</db:{kind}>"
        )
    };
    let refused = |kind: &str| {
        format!(
            "<db:{kind} xmlns:db=\"jabber:server:dialback\" from=\"sip.example\" to=\"xmpp.example\" id=\"v1\" type=\"error\">\
             <error type=\"cancel\"><policy-violation xmlns=\"urn:ietf:params:xml:ns:xmpp-stanzas\"/></error></db:{kind}>"
        )
    };
    let mut machine = receiving();
    assert_eq!(machine.read(key("verify")), refused("verify"));
    assert_eq!(machine.closed, None, "others must not be able to end it");

    let written = machine.read(key("result"));
    assert!(written.starts_with(&refused("result")), "{written}");
    assert_error(&written, "unsupported-stanza-type");
    assert_eq!(
        machine.take_events(),
        [StreamEvent::Dialback, StreamEvent::Dialback]
    );
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
fn a_failure_that_is_refused_is_reported() {
    let mut machine = before_auth(proven());
    machine.read(AUTH.replace("EXTERNAL", "SCRAM-SHA-1"));
    assert_eq!(
        machine.take_events(),
        [StreamEvent::SaslRefused(SaslFailure::InvalidMechanism)]
    );
}
