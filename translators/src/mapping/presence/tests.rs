//! Presence each way, one case each.

use jid::BareJid;
use minidom::Element;

use super::*;
use crate::documents::presence::Format;
use crate::limits;
use crate::mapping::failure::Own;
use crate::mapping::parties;
use crate::model::{
    Accept, Aor, Dialect, Directory, Domain, Note, Pair, PeerId, PresenceState, Profile, Show,
    SipProfile, Tuple, Wall, XmppProfile,
};
use crate::policy::{Disclosure, Policy};
use crate::xmpp::{Presence, Stanza};

const NOW: Wall = Wall::from_unix_millis(1_800_000_000_000);

fn domain(name: &str) -> Domain {
    Domain::parse(name).unwrap()
}

/// A stanza of an XMPP user.
fn stanza(attributes: &str, content: &str) -> Presence {
    let text = format!("<presence xmlns='jabber:client' {attributes}>{content}</presence>");
    let element: Element = text.parse().unwrap();
    match Stanza::read(element, &[domain("example.com")]) {
        Ok(Stanza::Presence(presence)) => presence,
        other => panic!("{other:?}"),
    }
}

/// What a device of the user says.
fn report(attributes: &str, content: &str) -> Report {
    let attributes =
        format!("from='juliet@example.com/Balcony' to='romeo@example.net' {attributes}");
    from_xmpp(&stanza(&attributes, content), NOW).unwrap()
}

fn available(content: &str) -> Tuple {
    report("", content).tuple
}

fn pair() -> Pair {
    Pair::new(
        BareJid::new("juliet@example.com").unwrap(),
        Aor::from_image(BareJid::new("romeo@example.net").unwrap()),
    )
}

fn disclosure() -> Disclosure {
    Policy::default().may_see(&pair()).unwrap()
}

fn note(lang: Option<&str>, text: &str) -> Note {
    Note {
        lang: lang.map(Into::into),
        text: text.into(),
    }
}

fn written(stanzas: &[Presence]) -> Vec<String> {
    let text = |one: &Presence| String::from_utf8(one.write(limits::STANZA).unwrap().to_vec());
    stanzas.iter().map(|one| text(one).unwrap()).collect()
}

#[test]
fn a_stanza_is_a_tuple() {
    let content = "<show>dnd</show><status>Wooing Romeo</status><priority>1</priority>\
        <nick xmlns='http://jabber.org/protocol/nick'>Juliet</nick>\
        <c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='n' ver='v'/>\
        <x xmlns='vcard-temp:x:update'><photo/></x>";
    let report = report("xml:lang='en' id='1'", content);

    let expected = Tuple {
        show: Some(Show::Dnd),
        notes: [note(Some("en"), "Wooing Romeo")].into(),
        priority: Some(1),
        ..Tuple::available("Balcony")
    };
    assert_eq!(report.tuple, expected);
    assert_eq!(report.name.as_deref(), Some("Juliet"));
    assert!(!report.is_for_all());
    assert_eq!(available(""), Tuple::available("Balcony"));
}

#[test]
fn odd_values_are_left_out() {
    for content in [
        "<show/>",
        "<show>busy</show>",
        "<show xmlns='urn:x'>dnd</show>",
        "<priority>128</priority>",
        "<priority>high</priority>",
        "<priority/>",
        "<status/>",
        "<status> \n </status>",
        "<idle xmlns='urn:xmpp:idle:1'/>",
        "<idle xmlns='urn:xmpp:idle:1' since='yesterday'/>",
        "<query xmlns='jabber:iq:last' seconds='-1'/>",
        "<query xmlns='jabber:iq:last' seconds='99999999999999999999'/>",
        "<query xmlns='jabber:iq:last' seconds='18446744073709551615'/>",
        "<delay xmlns='urn:xmpp:delay' stamp='now'/>",
    ] {
        assert_eq!(available(content), Tuple::available("Balcony"), "{content}");
    }
    assert_eq!(available("<priority> -5 </priority>").priority, Some(-5));
    assert_eq!(
        available("<show>\n xa </show><show>dnd</show>").show,
        Some(Show::Xa)
    );
}

#[test]
fn each_language_of_a_status_is_kept_once() {
    let statuses = "<status>A</status><status xml:lang='de'>B</status><status xml:lang='de'>C</status>\
        <status xml:lang=''>D</status>";
    assert_eq!(
        *available(statuses).notes,
        [note(None, "A"), note(Some("de"), "B")]
    );
    let report = report("xml:lang='en'", statuses);
    assert_eq!(
        *report.tuple.notes,
        [note(Some("en"), "A"), note(Some("de"), "B")]
    );
}

#[test]
fn of_unavailable_only_the_status_counts() {
    let content = "<show>dnd</show><status>Bye</status><priority>3</priority>\
        <idle xmlns='urn:xmpp:idle:1' since='2026-01-01T00:00:00Z'/>\
        <delay xmlns='urn:xmpp:delay' stamp='2026-01-01T01:00:00Z'/>";
    let expected = Tuple {
        notes: [note(None, "Bye")].into(),
        since: Wall::parse_rfc3339("2026-01-01T01:00:00Z"),
        ..Tuple::closed("Balcony")
    };
    assert_eq!(report("type='unavailable'", content).tuple, expected);
    let bare = stanza(
        "from='juliet@example.com' to='romeo@example.net' type='unavailable'",
        "",
    );
    let bare = from_xmpp(&bare, NOW).unwrap();
    assert!(bare.is_for_all());
    assert_eq!(bare.tuple, Tuple::closed(""));
    let odd = stanza("from='juliet@example.com' to='romeo@example.net'", "");
    assert!(!from_xmpp(&odd, NOW).unwrap().is_for_all());
}

#[test]
fn idleness_is_told_in_a_new_and_an_old_way() {
    let since = Wall::parse_rfc3339("2026-01-01T10:00:00Z");
    let new = "<idle xmlns='urn:xmpp:idle:1' since='2026-01-01T12:00:00+02:00'/>";
    let old = "<query xmlns='jabber:iq:last' seconds='903'/>";
    let delay = "<delay xmlns='urn:xmpp:delay' stamp='2026-01-01T10:15:03Z'/>";
    assert_eq!(available(new).idle_since, since);
    assert_eq!(available(&format!("{old}{new}")).idle_since, since);
    assert_eq!(available(&format!("{old}{delay}")).idle_since, since);
    let before_now = Wall::from_unix_millis(NOW.unix_millis() - 903_000);
    assert_eq!(available(old).idle_since, Some(before_now));
}

#[test]
fn other_types_and_rooms_tell_no_state() {
    for kind in [
        "error",
        "probe",
        "subscribe",
        "subscribed",
        "unsubscribe",
        "unsubscribed",
    ] {
        let attributes = format!("from='juliet@example.com' to='romeo@example.net' type='{kind}'");
        assert_eq!(from_xmpp(&stanza(&attributes, ""), NOW), None, "{kind}");
    }
    let room = |content| {
        stanza(
            "from='room@example.com/nick' to='romeo@example.net'",
            content,
        )
    };
    assert!(is_room(&room(
        "<x xmlns='http://jabber.org/protocol/muc#user'/>"
    )));
    assert!(is_room(&room(
        "<x xmlns='http://jabber.org/protocol/muc'/>"
    )));
    assert!(!is_room(&room("<x xmlns='vcard-temp:x:update'/>")));
}

#[test]
fn the_parties_of_presence_are_users() {
    let profile = |name, of, dialect| Profile {
        id: PeerId::new(name),
        domains: vec![domain(of)],
        accept: Accept::Barrier,
        dialect,
    };
    let directory = Directory::new([
        profile("x", "example.com", Dialect::Xmpp(XmppProfile::default())),
        profile("s", "example.net", Dialect::Sip(SipProfile::default())),
    ]);
    let of = |from: &str, to: &str| {
        let attributes = format!("from='{from}' to='{to}' type='probe'");
        parties::of_presence(&stanza(&attributes, ""), &directory)
    };
    let parties = of("juliet@example.com/\u{1d2c}", "romeo@example.net/x").unwrap();
    assert_eq!(parties.pair, pair());
    assert_eq!(parties.to_instance.as_deref(), Some("x"));
    assert!(parties.from_instance.is_some());
    assert_eq!(of("juliet@example.com", "example.net"), Err(Own::Nobody));
    assert_eq!(
        of("juliet@example.com", "a@example.org"),
        Err(Own::NotServed)
    );
    assert!(matches!(
        of("\\20a@example.com", "romeo@example.net"),
        Err(Own::Rejected(_))
    ));
    assert!(matches!(
        of("juliet@example.com", "a\\20@example.net"),
        Err(Own::Rejected(_))
    ));
}

#[test]
fn signals_go_between_bare_addresses() {
    let pair = pair();
    let head = "<presence from=\"romeo@example.net\" to=\"juliet@example.com\"";
    for (stanza, rest) in [
        (probe(&pair), " type=\"probe\"/>"),
        (subscribe(&pair, None), " type=\"subscribe\"/>"),
        (
            subscribe(&pair, Some("\u{202e}Romeo <M>")),
            " type=\"subscribe\"><nick xmlns=\"http://jabber.org/protocol/nick\">Romeo &lt;M&gt;</nick></presence>",
        ),
        (subscribed(&pair), " type=\"subscribed\"/>"),
        (unavailable(&pair), " type=\"unavailable\"/>"),
        (unsubscribe(&pair), " type=\"unsubscribe\"/>"),
        (unsubscribed(&pair), " type=\"unsubscribed\"/>"),
    ] {
        assert_eq!(written(&[stanza]), [format!("{head}{rest}")]);
    }
}

#[test]
fn every_open_device_is_a_stanza() {
    let state = PresenceState::new([
        Tuple {
            show: Some(Show::Away),
            notes: [note(Some("en"), "Here"), note(Some("de"), "Da")].into(),
            priority: Some(102),
            idle_since: Wall::parse_rfc3339("2026-01-01T10:00:00Z"),
            ..Tuple::available("orchard")
        },
        Tuple {
            notes: [note(Some("fr"), "Ici")].into(),
            ..Tuple::available("")
        },
        Tuple::closed("gone"),
    ])
    .with_name(Some("Romeo".into()));
    let nick = "<nick xmlns=\"http://jabber.org/protocol/nick\">Romeo</nick>";

    assert_eq!(
        written(&full(&disclosure(), &state, Some("balcony"), Some(NOW))),
        [
            format!(
                "<presence from=\"romeo@example.net/sip\" to=\"juliet@example.com/balcony\" xml:lang=\"fr\">\
                 <status>Ici</status>{nick}</presence>"
            ),
            format!(
                "<presence from=\"romeo@example.net/orchard\" to=\"juliet@example.com/balcony\">\
                 <show>away</show><status xml:lang=\"en\">Here</status><status xml:lang=\"de\">Da</status>\
                 <priority>102</priority><idle xmlns=\"urn:xmpp:idle:1\" since=\"2026-01-01T10:00:00Z\"/>\
                 {nick}</presence>"
            ),
        ]
    );
}

#[test]
fn who_has_no_open_device_is_unavailable_since_the_last_change() {
    let gone = Tuple {
        notes: [note(None, "Bye")].into(),
        ..Tuple::closed("orchard")
    };
    let head =
        "<presence from=\"romeo@example.net\" to=\"juliet@example.com\" type=\"unavailable\"";
    let told = |state: &PresenceState, at| written(&full(&disclosure(), state, None, at));
    assert_eq!(told(&PresenceState::default(), None), [format!("{head}/>")]);
    assert_eq!(
        told(
            &PresenceState::new([gone]),
            Wall::parse_rfc3339("2026-01-01T10:00:00Z")
        ),
        [format!(
            "{head}><status>Bye</status><delay xmlns=\"urn:xmpp:delay\" from=\"example.net\" \
             stamp=\"2026-01-01T10:00:00Z\"/></presence>"
        )]
    );
}

#[test]
fn only_differences_are_told() {
    let away = Tuple {
        show: Some(Show::Away),
        ..Tuple::available("a")
    };
    let bye = Tuple {
        notes: [note(None, "Bye")].into(),
        ..Tuple::closed("b")
    };
    let before = PresenceState::new([
        Tuple::available("a"),
        Tuple::available("b"),
        Tuple::available("c"),
    ]);
    let after = PresenceState::new([
        away.clone(),
        bye.clone(),
        Tuple::available("c"),
        Tuple::available("d"),
    ]);
    let told = |before: &PresenceState, after: &PresenceState| {
        written(&changes(&disclosure(), before, after))
    };
    let from = |device: &str, rest: &str| {
        format!("<presence from=\"romeo@example.net/{device}\" to=\"juliet@example.com\"{rest}")
    };

    assert_eq!(
        told(&before, &after),
        [
            from("a", "><show>away</show></presence>"),
            from("d", "/>"),
            from("b", " type=\"unavailable\"><status>Bye</status></presence>"),
        ]
    );
    let closed = PresenceState::new([bye]);
    assert_eq!(
        told(&before, &closed),
        [
            from("a", " type=\"unavailable\"/>"),
            from("b", " type=\"unavailable\"><status>Bye</status></presence>"),
            from("c", " type=\"unavailable\"/>"),
        ]
    );
    let nothing: [String; 0] = [];
    assert_eq!(told(&closed, &PresenceState::default()), nothing);
    assert_eq!(told(&before, &before), nothing);
    assert_eq!(told(&closed, &PresenceState::new([away])).len(), 1);
    let named = before.clone().with_name(Some("Romeo".into()));
    assert_eq!(told(&before, &named).len(), 3);
}

#[test]
fn what_was_told_is_taken_back_device_by_device() {
    let state = PresenceState::new([
        Tuple::available("a"),
        Tuple::closed("b"),
        Tuple::available(""),
    ]);
    assert_eq!(
        written(&withdraw(&pair(), &state)),
        [
            "<presence from=\"romeo@example.net/sip\" to=\"juliet@example.com\" type=\"unavailable\"/>",
            "<presence from=\"romeo@example.net/a\" to=\"juliet@example.com\" type=\"unavailable\"/>",
        ]
    );
}

#[test]
fn the_document_of_a_user_names_him_and_his_language() {
    let occasion = Occasion {
        now: NOW,
        last_sent: None,
    };
    let report = report(
        "xml:lang='en'",
        "<show>dnd</show><status>Wooing Romeo</status><priority>1</priority>",
    );
    let state = PresenceState::new([report.tuple]);
    let peer = SipProfile::default();
    let document = document(&disclosure(), Format::Pidf, &peer, &state, occasion).unwrap();

    assert_eq!(document.content_type.as_str(), "application/pidf+xml");
    assert_eq!(document.language.unwrap().as_str(), "en");
    let body = String::from_utf8(document.body.to_vec()).unwrap();
    let inside = "entity=\"pres:juliet@example.com\"><tuple id=\"ID-Balcony\"><status><basic>open</basic>\
        <show xmlns=\"jabber:client\">dnd</show></status>\
        <contact priority=\"0.007\">sip:juliet@example.com;gr=Balcony</contact>\
        <note xml:lang=\"en\">Wooing Romeo</note></tuple>";
    assert!(body.contains(inside), "{body}");

    let offline = offline_document(&pair(), Format::Pidf, &SipProfile::default(), NOW).unwrap();
    let body = String::from_utf8(offline.body.to_vec()).unwrap();
    assert!(
        body.contains("<basic>closed</basic>") && !body.contains("open"),
        "{body}"
    );
    assert!(
        body.contains("entity=\"pres:juliet@example.com\""),
        "{body}"
    );
}
