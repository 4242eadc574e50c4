//! Every row of the mapping tables against the code.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use jid::{BareJid, Jid};
use translators::address::{self, Reject, Spelling};
use translators::documents::iscomposing::{self, State};
use translators::documents::presence::{self, Draft, Format, Reading};
use translators::documents::{pidf, rpid};
use translators::mapping::chat_state;
use translators::mapping::failure::{self, Addressee, Own};
use translators::model::{
    Aor, ChatState, Condition, Domain, Pair, PresenceState, Show, SipProfile, Tuple, Wall,
};
use translators::policy::Policy;
use translators::sip::{HeaderName, Message, Response, SipUri, write_response};
use translators::xmpp::StanzaError;
use translators::xmpp::stanza::ErrorKind;

/// The rows of a table, without its heading.
fn rows(table: &'static str) -> Vec<Vec<&'static str>> {
    let lines = table.lines().skip(1).filter(|line| !line.is_empty());
    lines.map(|line| line.split('\t').collect()).collect()
}

fn response(text: &str) -> Response {
    match Message::parse(Bytes::from(text.to_owned())).unwrap() {
        Message::Response(response) => response,
        Message::Request(_) => unreachable!("a status line"),
    }
}

#[test]
fn addresses() {
    let rows = rows(include_str!("../tables/addresses.tsv"));
    assert_eq!(rows.len(), 33);
    for row in rows {
        let (input, expected) = (row[1], row[2]);
        match row[0] {
            "s2x" => {
                let uri = SipUri::parse(input).unwrap();
                let jid = address::to_jid(&uri, uri.param("gr"));
                match expected.strip_prefix("(reject ") {
                    None => assert_eq!(jid.unwrap().as_str(), expected, "{input}"),
                    Some(what) => assert_rejected(jid.unwrap_err(), what),
                }
            }
            "x2s" => {
                let uri = address::to_sip(&Jid::new(input).unwrap(), Spelling::Plain).unwrap();
                assert_eq!(uri.as_str(), expected, "{input}");
            }
            other => panic!("unknown direction {other}"),
        }
    }
}

/// The row says `400: why)` or `480 + Warning 380)`.
fn assert_rejected(reject: Reject, what: &str) {
    let request = "MESSAGE sip:a@example.net SIP/2.0\r\nVia: SIP/2.0/TLS h;branch=z9hG4bK1\r\n\
        From: <sip:b@example.com>;tag=1\r\nTo: <sip:a@example.net>\r\nCall-ID: 1\r\n\
        CSeq: 1 MESSAGE\r\nContent-Length: 0\r\n\r\n";
    let Message::Request(request) = Message::parse(Bytes::from(request)).unwrap() else {
        unreachable!("a request line");
    };
    let refusal = Own::Rejected(reject).refusal();
    let written = write_response(&request, &refusal.answer);
    let written = response(std::str::from_utf8(&written).unwrap());

    let (status, rest) = what.split_at(3);
    assert_eq!(written.status().to_string(), status, "{what}");
    let warning = written.header(HeaderName::Warning).map(|one| one.text());
    let wanted = rest
        .strip_prefix(" + Warning ")
        .map(|code| code.trim_end_matches(')'));
    assert_eq!(
        warning.as_deref().and_then(|text| text.get(..3)),
        wanted,
        "{what}"
    );
}

#[test]
fn sip_status_to_xmpp_condition() {
    for row in rows(include_str!("../tables/errors_sip_to_xmpp.tsv")) {
        // A class stands for a code of it that no row names.
        let status = row[0].replace("xx", "99");
        let contact = "Contact: <sip:new@example.net>\r\n";
        let response = response(&format!(
            "SIP/2.0 {status} Words\r\n{contact}Content-Length: 0\r\n\r\n"
        ));

        let domain = Domain::parse("example.net");
        let failure = failure::from_sip(&response, &SipProfile::default());
        let error = failure::to_xmpp(&failure, domain.as_ref());

        assert_eq!(error.condition.as_str(), row[1], "{status}");
        assert_eq!(error.kind.as_str(), row[2], "{status}");
        assert_eq!(error.text.as_deref(), Some("Words"), "{status}");
        let address = error.new_address.as_deref();
        match status.as_str() {
            "301" | "302" => assert_eq!(address, Some("xmpp:new@example.net"), "{status}"),
            _ => assert_eq!(address, None, "{status}"),
        }
    }
}

#[test]
fn xmpp_condition_to_sip_status() {
    let rows = rows(include_str!("../tables/errors_xmpp_to_sip.tsv"));
    assert_eq!(rows.len(), Condition::ALL.len());
    for row in rows {
        let condition = Condition::parse(row[0]).unwrap();
        if row[1] != "any" {
            let kind = ErrorKind::usual(condition).as_str();
            assert!(row[1].split('|').any(|one| one == kind), "{condition:?}");
        }
        for (addressee, column) in [(Addressee::Device, row[2]), (Addressee::User, row[3])] {
            let plain = StanzaError::new(condition);
            let mut moved = plain.clone();
            moved.new_address = Some("xmpp:new@example.com".to_owned());
            let status = |error| failure::to_sip(&failure::from_xmpp(error), addressee).status();
            // What the notes of the rows say about the wire.
            let expected: Vec<u16> = match row[0] {
                "gone" => vec![410, 301],
                "redirect" => vec![480, 302],
                "not-authorized" | "registration-required" | "service-unavailable" => vec![403; 2],
                "remote-server-not-found" => vec![404; 2],
                "unexpected-request" => vec![400; 2],
                _ => vec![column.parse().unwrap(); 2],
            };
            assert_eq!(
                vec![status(&plain), status(&moved)],
                expected,
                "{condition:?}"
            );
        }
    }
}

#[test]
fn conditions_become_what_microsoft_users_understand() {
    let rows = rows(include_str!("../tables/errors_xmpp_to_microsoft.tsv"));
    assert_eq!(rows.len(), Condition::ALL.len());
    for row in rows {
        let condition = Condition::parse(row[0]).unwrap();
        let mut error = StanzaError::new(condition);
        error.new_address = Some("xmpp:new@example.com".to_owned());
        let answer = failure::to_microsoft(&failure::from_xmpp(&error));
        assert_eq!(answer.status().to_string(), row[1], "{condition:?}");
    }
}

#[test]
fn chat_states() {
    // Sessions and timers are no field of a message.
    let elsewhere = [
        "BYE",
        "refresh timeout (or 120 s)",
        "content message received",
    ];
    for row in rows(include_str!("../tables/chatstates.tsv")) {
        match (row[0], row[1]) {
            ("x2s", input) => {
                let state = chat_state::to_sip(named(input));
                let written = state.map(|state| match state {
                    State::Active { .. } => "active",
                    State::Idle => "idle",
                });
                assert_eq!(written.unwrap_or("BYE (no isComposing)"), row[2], "{input}");
            }
            ("s2x", input) if elsewhere.contains(&input) => {}
            ("s2x", input) => {
                let document = format!(
                    "<isComposing xmlns='urn:ietf:params:xml:ns:im-iscomposing'><state>{input}</state></isComposing>"
                );
                let state = iscomposing::read(document.as_bytes()).unwrap();
                assert_eq!(chat_state::from_sip(state), named(row[2]), "{input}");
            }
            other => panic!("unknown row {other:?}"),
        }
    }
}

fn named(state: &str) -> ChatState {
    match state {
        "active" => ChatState::Active,
        "composing" => ChatState::Composing,
        "gone" => ChatState::Gone,
        "inactive" => ChatState::Inactive,
        "paused" => ChatState::Paused,
        other => panic!("unknown state {other}"),
    }
}

#[test]
fn priorities() {
    let rows = rows(include_str!("../tables/priority.tsv"));
    assert_eq!(rows.len(), 256);
    for row in rows {
        let priority: i8 = row[0].parse().unwrap();
        let state = PresenceState::new([Tuple {
            priority: Some(priority),
            ..Tuple::available("a")
        }]);
        let document = written(&state);
        let contact = document.split("<contact priority=\"").nth(1);
        let contact = contact.and_then(|rest| rest.split('"').next());
        let expected = Some(row[1]).filter(|_| row[1] != "(not mapped)");
        assert_eq!(contact, expected, "{priority}");

        let back = read(&document).tuples()[0].priority;
        assert_eq!(
            back,
            Some(priority).filter(|_| expected.is_some()),
            "{priority}"
        );
        let thousandths = pidf::contact_priority(priority);
        assert_eq!(thousandths.map(pidf::resource_priority), back);
    }
}

#[test]
fn activities() {
    let rows = rows(include_str!("../tables/rpid_to_show.tsv"));
    assert_eq!(rows.len(), 27);
    for row in rows {
        let show = Show::parse(row[1]);
        assert_eq!(show.is_none(), row[1].is_empty());
        assert_eq!(rpid::to_show(row[0]), show, "{}", row[0]);
    }
}

#[test]
fn shows() {
    let rows = rows(include_str!("../tables/show_to_pidf.tsv"));
    assert_eq!(rows.len(), 6);
    for row in rows {
        let state = PresenceState::new([Tuple {
            open: row[0] != "unavailable",
            show: Show::parse(row[0]),
            ..Tuple::closed("a")
        }]);
        let document = written(&state);
        let basic = format!("<basic>{}</basic>", row[1]);
        assert!(document.contains(&basic), "{document}");
        let show = format!("<show xmlns=\"jabber:client\">{}</show>", row[2]);
        assert_eq!(document.contains("<show"), !row[2].is_empty(), "{document}");
        assert!(row[2].is_empty() || document.contains(&show), "{document}");
        let activity = format!("<rpid:{}/>", row[3]);
        assert_eq!(document.contains("<rpid:activities>"), !row[3].is_empty());
        assert!(
            row[3].is_empty() || document.contains(&activity),
            "{document}"
        );

        let name = |state: &PresenceState| match &state.tuples()[0] {
            tuple if !tuple.open => "unavailable",
            tuple => tuple.show.map_or("available", Show::as_str),
        };
        assert_eq!(name(&read(&document)), row[4], "{document}");
        let rich_only = document.replace(&show, "");
        assert_eq!(name(&read(&rich_only)), row[5], "{rich_only}");
    }
}

fn written(state: &PresenceState) -> String {
    let user = |jid| BareJid::new(jid).unwrap();
    let pair = Pair::new(
        user("a@example.com"),
        Aor::from_image(user("b@example.net")),
    );
    let disclosure = Policy::default().may_see(&pair).unwrap();
    let draft = Draft {
        entity: "pres:a@example.com",
        contact: "sip:a@example.com",
        state,
        now: Wall::default(),
        last_sent: None,
        epid: None,
    };
    let bytes = presence::write(&disclosure, Format::Pidf, &draft);
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn read(document: &str) -> PresenceState {
    let state = presence::read(document.as_bytes(), Reading::default());
    state.unwrap().unwrap()
}
