//! Habits of real servers that our outgoing streams have to bear.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod stream_lab;

use stream_lab::{
    FEATURES_EXTERNAL, FEATURES_TLS, Machine, OURS, PEER, PROCEED, SUCCESS, domain, header,
    outgoing, sending, sending_with,
};
use translators::xmpp::stanza::Stanza;
use translators::xmpp::stream::{
    CloseReason, LinkInput, OutgoingSettings, Stage, Stream, StreamEvent, TlsVersion,
};

const LIMITS: &str =
    "<limits xmlns='urn:xmpp:stream-limits:0'><idle-seconds>1800</idle-seconds></limits>";

/// Openfire and ejabberd compare names letter by letter.
#[test]
fn names_are_written_as_lower_case_a_labels_without_a_dot() {
    let mut machine = Machine::dialled(OutgoingSettings {
        local: domain("Sip.Ex\u{e4}mple."),
        remote: domain("XMPP.Example."),
        ..outgoing()
    });
    let written = machine.take_written();
    assert!(
        written.contains(" from=\"sip.xn--exmple-cua\" to=\"xmpp.example\" "),
        "{written}"
    );
}

/// Openfire 4.7 sends an empty feature list, knows no stream management and breaks on it.
#[test]
fn an_old_openfire_is_not_asked_for_acknowledgements() {
    let mut machine = sending();
    assert_eq!(machine.send("<message/>", false), "<message/>");
    machine.pass_seconds(600);
    assert!(!machine.take_written().contains("urn:xmpp:sm"));
}

/// Openfire breaks on an acknowledgement of stanzas that it never sent.
#[test]
fn we_acknowledge_nothing_on_a_stream_of_ours() {
    let mut machine = sending_with(outgoing(), LIMITS);
    machine.read("<enabled xmlns='urn:xmpp:sm:3'/>");
    machine.input(LinkInput::Shutdown);
    assert!(machine.written.ends_with("</stream:stream>"));
    assert!(!machine.written.contains("<a "), "{}", machine.written);
}

/// Openfire 4.8 and newer takes TLS off our streams when a store of certificates changes, and talks
/// in clear text behind it or just closes.
#[test]
fn what_follows_the_end_of_a_stream_is_not_read() {
    let lie = "<message from='alice@xmpp.example' to='bob@sip.example' type='error' id='1'/>";
    let error = "<stream:error><internal-server-error xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>";
    for end in ["</stream:stream>", error, "HTTP/1.1 400 Bad Request\r\n"] {
        let mut machine = sending();
        machine.read(format!("{end}{lie}"));
        machine.read(lie);
        assert!(machine.closed.is_some(), "{end}");
        assert_eq!(machine.events, [], "{end}");
    }
}

/// Openfire ends a broken stream with two errors in a row.
#[test]
fn the_first_of_two_stream_errors_counts() {
    let error = |condition: &str| {
        format!(
            "<stream:error xmlns:stream='http://etherx.jabber.org/streams'>\
             <{condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"
        )
    };
    let mut machine = sending();
    let both = error("improper-addressing") + &error("internal-server-error") + "</stream:stream>";
    assert_eq!(machine.read(both), "</stream:stream>");
    let Some(CloseReason::PeerError(told, Stage::Established)) = machine.closed else {
        panic!("{:?}", machine.closed);
    };
    assert_eq!(told.condition.name(), "improper-addressing");
}

/// ejabberd echoes what we sent, so that its error is larger than the largest stanza of ours.
#[test]
fn an_echo_larger_than_a_stanza_is_an_error_all_the_same() {
    let mut machine = sending();
    machine.read(format!(
        "<message from='alice@xmpp.example' to='bob@{OURS}' type='error' id='m1'><body>{}</body><error/></message>",
        "x".repeat(66_000)
    ));
    let events = machine.take_events();
    assert!(
        matches!(events.as_slice(), [StreamEvent::Stanza { stanza, .. }]
            if matches!(stanza.as_ref(), Stanza::Message(error) if error.id.as_deref() == Some("m1"))),
        "{events:?}"
    );
    assert!(machine.stream.accepts());
}

/// Every stage of a stream of ours ends by itself; Prosody for one may wait for ever.
#[test]
fn no_stage_lasts_longer_than_half_a_minute() {
    let (first, then) = (header(PEER, OURS), header(PEER, OURS));
    let before_tls = [first.as_str(), FEATURES_TLS, PROCEED];
    let behind_tls = [then.as_str(), FEATURES_EXTERNAL, SUCCESS, first.as_str()];
    for taken in 0..=before_tls.len() {
        let mut machine = Machine::dialled(outgoing());
        for step in &before_tls[..taken] {
            machine.read(step);
        }
        ends_by_itself(machine);
    }
    for taken in 0..=behind_tls.len() {
        let mut machine = Machine::new(Stream::outgoing(outgoing()));
        machine.input(LinkInput::Tls(TlsVersion::Tls12));
        for step in &behind_tls[..taken] {
            machine.read(step);
        }
        ends_by_itself(machine);
    }
}

fn ends_by_itself(mut machine: Machine) {
    let stage = machine.stream.stage();
    assert_eq!(machine.closed, None, "{stage:?}");
    machine.pass_seconds(30);
    assert!(machine.closed.is_some(), "{stage:?}");
}

/// Openfire's main domain answers for its sub-domains behind TLS and SASL.
#[test]
fn a_header_from_the_main_domain_is_borne_at_every_restart() {
    let mut machine = Machine::new(Stream::outgoing(OutgoingSettings {
        remote: domain("conference.xmpp.example"),
        ..outgoing()
    }));
    machine.input(LinkInput::Tls(TlsVersion::Tls13));
    machine.read(header(PEER, OURS));
    machine.read(FEATURES_EXTERNAL);
    machine.read(SUCCESS);
    machine.read(header(PEER, OURS) + "<stream:features/>");
    assert_eq!(
        machine.take_events(),
        [StreamEvent::Established {
            local: domain(OURS),
            remote: domain("conference.xmpp.example")
        }]
    );
}
