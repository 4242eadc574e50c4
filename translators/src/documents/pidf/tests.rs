//! Documents read and written, one case each.

use super::write::{write, write_offline};
use super::{device_of, read, tuple_id};
use crate::documents::Unreadable;
use crate::documents::presence::{Draft, Reading};
use crate::model::microsoft::BusyAs;
use crate::model::{Note, PresenceState, Show, Tuple, Wall};

pub(super) const HEAD: &str = "<presence xmlns='urn:ietf:params:xml:ns:pidf' \
    xmlns:dm='urn:ietf:params:xml:ns:pidf:data-model' xmlns:r='urn:ietf:params:xml:ns:pidf:rpid' \
    xmlns:ep='urn:ietf:params:xml:ns:pidf:status:rpid-status' xmlns:im='urn:ietf:params:xml:ns:pidf:im' \
    xmlns:ci='urn:ietf:params:xml:ns:pidf:cipid' entity='pres:bob@example.net'>";

const NOW: Wall = Wall::from_unix_millis(1_800_000_000_500);

fn state(inner: &str) -> PresenceState {
    let document = format!("{HEAD}{inner}</presence>");
    read(document.as_bytes(), Reading::default())
        .unwrap()
        .unwrap()
}

/// The only tuple of a document.
pub(super) fn tuple(inner: &str) -> Tuple {
    let state = state(inner);
    assert_eq!(state.tuples().len(), 1, "{state:?}");
    state.tuples()[0].clone()
}

/// A tuple with this inside its status and this behind it.
pub(super) fn open(status: &str, behind: &str) -> String {
    format!("<tuple id='ID-a'><status><basic>open</basic>{status}</status>{behind}</tuple>")
}

pub(super) fn note(lang: Option<&str>, text: &str) -> Note {
    Note {
        lang: lang.map(Into::into),
        text: text.into(),
    }
}

fn written(state: &PresenceState, last_sent: Option<Wall>) -> String {
    written_for(false, state, last_sent)
}

fn written_for(microsoft: bool, state: &PresenceState, last_sent: Option<Wall>) -> String {
    let bytes = write(&Draft {
        entity: "pres:alice@example.com",
        contact: "sip:alice@example.com",
        state,
        now: NOW,
        last_sent,
        epid: microsoft.then_some("0123456789abcdef"),
    });
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn a_tuple_is_a_device() {
    assert_eq!(tuple(&open("", "")), Tuple::available("a"));
    assert_eq!(
        tuple("<tuple id='ID-a'><status><basic> closed </basic></status></tuple>"),
        Tuple::closed("a")
    );
    let two = state(&format!(
        "{}<tuple id='b'><status><basic>closed</basic></status></tuple>",
        open("", "")
    ));
    assert_eq!(
        two,
        PresenceState::new([Tuple::available("a"), Tuple::closed("b")])
    );
}

#[test]
fn the_show_stands_inside_the_status_or_under_the_tuple() {
    for (show, expected) in [
        ("<show xmlns='jabber:client'>dnd</show>", Some(Show::Dnd)),
        (
            "<show xmlns='jabber:client'>\n chat </show>",
            Some(Show::Chat),
        ),
        ("<show xmlns='jabber:client'/>", None),
        ("<show xmlns='jabber:client'>busy</show>", None),
        ("<show>dnd</show>", None),
    ] {
        assert_eq!(tuple(&open(show, "")).show, expected, "{show}");
        assert_eq!(tuple(&open("", show)).show, expected, "{show}");
    }
}

#[test]
fn the_more_telling_element_decides() {
    let person = "<dm:person id='p'><r:activities><r:vacation/></r:activities></dm:person>";
    let list = "<r:activities><r:playing/><r:lunch/></r:activities>";
    let microsoft = "<ep:activities><ep:activity>busy</ep:activity></ep:activities>";
    let im = "<im:im>away</im:im>";
    let show = "<show xmlns='jabber:client'>chat</show>";
    let empty = "<show xmlns='jabber:client'/>";
    for (status, expected) in [
        (String::new(), Some(Show::Xa)),
        (list.to_owned(), Some(Show::Away)),
        (format!("{list}{microsoft}"), Some(Show::Dnd)),
        (format!("{list}{microsoft}{im}"), Some(Show::Away)),
        (format!("{list}{microsoft}{im}{show}"), Some(Show::Chat)),
        (format!("{list}{microsoft}{im}{empty}"), None),
    ] {
        let document = format!("{}{person}", open(&status, ""));
        assert_eq!(tuple(&document).show, expected, "{status}");
    }
}

#[test]
fn of_several_activities_the_most_restrictive_counts() {
    let persons = "<dm:person id='p'><r:activities><r:away/><r:holiday/></r:activities></dm:person>\
        <dm:person id='q'><r:activities><r:activity>Busy</r:activity><r:playing/></r:activities></dm:person>";
    assert_eq!(
        tuple(&format!("{}{persons}", open("", ""))).show,
        Some(Show::Dnd)
    );
    let unknown = "<dm:person id='p'><r:activities><r:juggling/><r:tv/></r:activities></dm:person>";
    assert_eq!(tuple(&format!("{}{unknown}", open("", ""))).show, None);
}

#[test]
fn a_tuple_without_basic_counts_by_what_it_carries() {
    for (inner, is_open) in [
        ("", false),
        ("<status/>", false),
        ("<status><basic>maybe</basic></status>", false),
        ("<note>here</note>", false),
        ("<status><show xmlns='jabber:client'/></status>", false),
        (
            "<status><show xmlns='jabber:client'>away</show></status>",
            true,
        ),
        (
            "<status><ep:activities><ep:activity>tv</ep:activity></ep:activities></status>",
            true,
        ),
        ("<r:activities><r:away/></r:activities>", true),
        (
            "<status><basic>closed</basic></status><r:activities><r:away/></r:activities>",
            false,
        ),
    ] {
        let tuple = tuple(&format!("<tuple id='ID-a'>{inner}</tuple>"));
        assert_eq!(tuple.open, is_open, "{inner}");
        assert!(is_open || tuple.show.is_none(), "{inner}");
    }
}

#[test]
fn a_document_without_tuples_says_nothing() {
    for inner in [
        "",
        "<note>x</note>",
        "<dm:person id='p'><r:activities><r:away/></r:activities></dm:person>",
    ] {
        let document = format!("{HEAD}{inner}</presence>");
        assert_eq!(
            read(document.as_bytes(), Reading::default()),
            Ok(None),
            "{inner}"
        );
    }
}

#[test]
fn what_cannot_be_written_to_is_nobody() {
    for behind in [
        "<contact>tel:+1</contact>",
        "<contact>mailto:bob@example.net</contact>",
        "<contact>HTTP://example.net</contact>",
        "<r:relationship><r:assistant/></r:relationship>",
        "<r:relationship>family</r:relationship>",
    ] {
        assert_eq!(
            state(&open("", behind)),
            PresenceState::default(),
            "{behind}"
        );
    }
    for behind in [
        "<contact>SIP:bob@example.net;transport=tls</contact>",
        "<contact>pres:bob@example.net</contact>",
        "<contact> im:bob@example.net </contact>",
        "<contact/>",
        "<contact>bob@example.net</contact>",
        "<r:relationship><r:note>x</r:note><r:self/></r:relationship>",
        "<r:relationship/>",
    ] {
        assert_eq!(tuple(&open("", behind)), Tuple::available("a"), "{behind}");
    }
}

#[test]
fn notes_keep_their_language_and_the_nearest_ones_count() {
    let own = "<note> Here </note><note xml:lang='de'>Da</note><note xml:lang='de'>nie</note><note> </note>";
    let whole = "<note xml:lang='fr'>Ici</note>";
    let person = "<dm:person id='p'><dm:note>There</dm:note></dm:person>";
    let activity = "<dm:person id='p'><r:activities><r:note>Walk</r:note><r:other>walking</r:other></r:activities></dm:person>";
    let other =
        "<dm:person id='p'><r:activities><r:other>walking</r:other></r:activities></dm:person>";

    let with = |behind: &str, rest: &str| tuple(&format!("{}{rest}", open("", behind))).notes;
    let both = [note(None, "Here"), note(Some("de"), "Da")];
    assert_eq!(*with(own, &format!("{whole}{person}")), both);
    assert_eq!(
        *with("", &format!("{whole}{person}")),
        [note(Some("fr"), "Ici")]
    );
    assert_eq!(*with("", person), [note(None, "There")]);
    assert_eq!(*with("", activity), [note(None, "Walk")]);
    assert_eq!(*with("", other), [note(None, "walking")]);
}

#[test]
fn a_note_without_language_has_that_of_what_is_around_it() {
    let inner =
        "<tuple id='a'><note>1</note></tuple><tuple id='b' xml:lang='de'><note>2</note></tuple>";
    let how = Reading {
        lang: Some("en"),
        ..Reading::default()
    };
    let langs = |root: &str| {
        let document =
            format!("<presence xmlns='urn:ietf:params:xml:ns:pidf'{root}>{inner}</presence>");
        let state = read(document.as_bytes(), how).unwrap().unwrap();
        state
            .tuples()
            .iter()
            .map(|one| one.notes[0].lang.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(langs(""), [Some("en".into()), Some("de".into())]);
    assert_eq!(
        langs(" xml:lang='fr'"),
        [Some("fr".into()), Some("de".into())]
    );
    assert_eq!(langs(" xml:lang='no tag'"), [None, Some("de".into())]);
}

#[test]
fn priorities_are_decimals_from_0_to_1() {
    for (text, expected) in [
        ("0", Some(0)),
        ("0.8", Some(102)),
        (" .5 ", Some(64)),
        ("1", Some(127)),
        ("1.000", Some(127)),
        ("0.007999", Some(1)),
        ("", None),
        (".", None),
        ("1.1", None),
        ("2", None),
        ("-1", None),
        ("high", None),
        ("0.5e1", None),
        ("0.\u{663}", None),
    ] {
        let contact = format!("<contact priority='{text}'>sip:bob@example.net</contact>");
        assert_eq!(tuple(&open("", &contact)).priority, expected, "{text:?}");
    }
}

#[test]
fn a_device_that_nobody_uses_is_idle() {
    let since = Wall::parse_rfc3339("2026-01-01T10:00:00Z");
    let input = "<r:user-input last-input='2026-01-01T11:00:00+01:00' idle-threshold='600'>idle</r:user-input>";
    let device =
        |id| format!("<dm:device id='d'>{input}<dm:deviceID>{id}</dm:deviceID></dm:device>");
    let other = "<dm:device id='e'><dm:deviceID>urn:y</dm:deviceID></dm:device>";
    let named = "<dm:deviceID>urn:x</dm:deviceID>";
    for (behind, rest, expected) in [
        (input, String::new(), since),
        (named, format!("{other}{}", device("urn:x")), since),
        (named, device("urn:z"), None),
        ("", device("urn:z"), since),
        ("", format!("{other}{}", device("urn:z")), None),
        ("", format!("<dm:person id='p'>{input}</dm:person>"), since),
        (
            "<r:user-input last-input='2026-01-01T11:00:00Z'>active</r:user-input>",
            device("urn:x"),
            None,
        ),
        ("<r:user-input>idle</r:user-input>", String::new(), None),
    ] {
        let document = format!("{}{rest}", open("", behind));
        let tuple = tuple(&document);
        assert_eq!(
            (tuple.idle_since, tuple.show),
            (expected, None),
            "{document}"
        );
    }

    let how = Reading {
        idle_is_away: true,
        ..Reading::default()
    };
    let show = |status: &str| {
        let document = format!(
            "{HEAD}{}</presence>",
            open(status, "<r:user-input>idle</r:user-input>")
        );
        read(document.as_bytes(), how).unwrap().unwrap().tuples()[0].show
    };
    assert_eq!(show(""), Some(Show::Away));
    assert_eq!(
        show("<show xmlns='jabber:client'>chat</show>"),
        Some(Show::Chat)
    );
    assert_eq!(show("<show xmlns='jabber:client'/>"), None);
}

#[test]
fn the_display_name_is_read_wherever_it_stands() {
    let name = "<ci:display-name>\u{202e}Bob </ci:display-name>";
    for rest in [
        name.to_owned(),
        format!("<dm:person id='p'>{name}</dm:person>"),
    ] {
        assert_eq!(
            state(&format!("{}{rest}", open("", ""))).name(),
            Some("Bob")
        );
    }
}

#[test]
fn unknown_elements_are_ignored_and_other_documents_refused() {
    let odd = "<odd xmlns='urn:odd'><basic>closed</basic></odd>";
    let inner = format!("{odd}{}{odd}", open(odd, odd));
    assert_eq!(tuple(&inner), Tuple::available("a"));

    for (document, expected) in [
        ("<presence/>", Unreadable::Unexpected),
        (
            "<p xmlns='urn:ietf:params:xml:ns:pidf'/>",
            Unreadable::Unexpected,
        ),
        (
            "<pidf-diff xmlns='urn:ietf:params:xml:ns:pidf-diff'/>",
            Unreadable::Unexpected,
        ),
        (
            "<presence xmlns='urn:ietf:params:xml:ns:pidf'><tuple>",
            Unreadable::NotXml,
        ),
        (
            "<!DOCTYPE presence><presence xmlns='urn:ietf:params:xml:ns:pidf'/>",
            Unreadable::NotXml,
        ),
        ("", Unreadable::NotXml),
    ] {
        assert_eq!(
            read(document.as_bytes(), Reading::default()),
            Err(expected),
            "{document}"
        );
    }
    let deep = format!("{HEAD}{}{}</presence>", "<a>".repeat(40), "</a>".repeat(40));
    assert_eq!(
        read(deep.as_bytes(), Reading::default()),
        Err(Unreadable::TooDeep)
    );
}

#[test]
fn no_more_tuples_and_notes_are_taken_than_a_user_has() {
    let tuples: String = (0..100).map(|n| format!("<tuple id='t{n}'/>")).collect();
    assert_eq!(state(&tuples).tuples().len(), 32);
    let notes: String = (0..100)
        .map(|n| format!("<note xml:lang='x-{n}'>{}</note>", "y".repeat(100)))
        .collect();
    assert_eq!(tuple(&open("", &notes)).notes.len(), 8);
    let long = format!("<note>{}</note>", "\u{e4}".repeat(5_000));
    assert_eq!(tuple(&open("", &long)).notes[0].text.chars().count(), 1_024);
}

#[test]
fn identifiers_of_tuples_stand_for_resources_and_back() {
    for (device, id) in [
        ("yn0cl4bnw0yr3vym", "ID-yn0cl4bnw0yr3vym"),
        ("Home", "ID-Home"),
        ("a b", "IDx-612062"),
        ("B\u{fc}ro/1", "IDx-42c3bc726f2f31"),
        ("IDx-61", "ID-IDx-61"),
        ("ID-a", "ID-ID-a"),
    ] {
        assert_eq!(tuple_id(device), id);
        assert_eq!(device_of(id), device);
    }
    assert_eq!(tuple_id(""), "ID-gw");
    for (id, device) in [
        ("", "sip"),
        (" ", "sip"),
        ("t4109", "t4109"),
        ("ID-", "ID-"),
        ("IDx-6", "IDx-6"),
        ("IDx-ff", "IDx-ff"),
        ("IDx-", "IDx-"),
    ] {
        assert_eq!(device_of(id), device, "{id:?}");
    }
    for odd in ["a\u{1}b".to_owned(), "x".repeat(2_000)] {
        let device = device_of(&odd);
        assert_eq!(
            (device.len(), device.starts_with("x-")),
            (18, true),
            "{device}"
        );
        assert_eq!(device, device_of(&odd));
    }
}

#[test]
fn a_document_is_complete_and_in_order() {
    let state = PresenceState::new([
        Tuple {
            show: Some(Show::Dnd),
            notes: [note(Some("en"), "Wooing \"Romeo\" & <co>"), note(None, "x")].into(),
            priority: Some(1),
            idle_since: Wall::parse_rfc3339("2026-01-01T10:00:00Z"),
            since: Wall::parse_rfc3339("2026-01-01T09:00:00Z"),
            ..Tuple::available("a/b")
        },
        Tuple::closed("c"),
    ])
    .with_name(Some("Juliet".into()));
    let expected = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
        <presence xmlns=\"urn:ietf:params:xml:ns:pidf\" xmlns:dm=\"urn:ietf:params:xml:ns:pidf:data-model\" \
        xmlns:rpid=\"urn:ietf:params:xml:ns:pidf:rpid\" xmlns:ci=\"urn:ietf:params:xml:ns:pidf:cipid\" \
        entity=\"pres:alice@example.com\"><tuple id=\"IDx-612f62\"><status><basic>open</basic>\
        <show xmlns=\"jabber:client\">dnd</show></status>\
        <rpid:user-input last-input=\"2026-01-01T10:00:00Z\">idle</rpid:user-input>\
        <contact priority=\"0.007\">sip:alice@example.com;gr=a/b</contact>\
        <note xml:lang=\"en\">Wooing &quot;Romeo&quot; &amp; &lt;co&gt;</note><note>x</note>\
        <timestamp>2026-01-01T09:00:00Z</timestamp></tuple>\
        <tuple id=\"ID-c\"><status><basic>closed</basic></status></tuple>\
        <dm:person id=\"p1\"><rpid:activities><rpid:busy/></rpid:activities>\
        <ci:display-name>Juliet</ci:display-name></dm:person></presence>";
    assert_eq!(written(&state, None), expected);
}

#[test]
fn who_is_offline_is_closed_and_nothing_else() {
    let expected = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><presence \
        xmlns=\"urn:ietf:params:xml:ns:pidf\" entity=\"pres:alice@example.com\"><tuple id=\"ID-gw\">\
        <status><basic>closed</basic></status></tuple></presence>";
    assert_eq!(written(&PresenceState::default(), None), expected);
    assert_eq!(write_offline("pres:alice@example.com"), expected);

    let closed = Tuple {
        show: Some(Show::Away),
        priority: Some(5),
        idle_since: Some(NOW),
        notes: [note(None, "Bye")].into(),
        ..Tuple::closed("a")
    };
    let text = written(
        &PresenceState::new([closed]).with_name(Some("Alice".into())),
        None,
    );
    assert!(
        text.contains("<status><basic>closed</basic></status><note>Bye</note></tuple></presence>"),
        "{text}"
    );
}

#[test]
fn the_person_is_as_available_as_the_best_device() {
    let state = |shows: &[Option<Show>]| {
        let tuple = |(at, show): (usize, &Option<Show>)| Tuple {
            show: *show,
            ..Tuple::available(&at.to_string())
        };
        PresenceState::new(shows.iter().enumerate().map(tuple))
    };
    for (shows, activity) in [
        (&[Some(Show::Away), None][..], None),
        (&[Some(Show::Away), Some(Show::Xa)], Some("away")),
        (&[Some(Show::Away), Some(Show::Dnd)], Some("busy")),
        (&[Some(Show::Dnd), Some(Show::Chat)], None),
    ] {
        let text = written(&state(shows), None);
        let found = text.split("<rpid:activities><rpid:").nth(1);
        let found = found.and_then(|rest| rest.split('/').next());
        assert_eq!(found, activity, "{text}");
    }
}

#[test]
fn a_timestamp_is_never_repeated_nor_told_from_the_future() {
    let stamped = |since: i64, last_sent: Option<i64>| {
        let tuple = Tuple {
            since: Some(Wall::from_unix_millis(since)),
            ..Tuple::available("a")
        };
        let text = written(
            &PresenceState::new([tuple]),
            last_sent.map(Wall::from_unix_millis),
        );
        text.contains("<timestamp>")
    };
    let now = NOW.unix_millis();
    assert!(stamped(now - 3_000, None));
    assert!(stamped(now - 3_000, Some(now - 10_000)));
    assert!(!stamped(now - 3_000, Some(now - 2_000)));
    // Within one second the texts would be the same.
    assert!(!stamped(now - 2_900, Some(now - 3_100)));
    assert!(stamped(now, None));
    assert!(!stamped(now + 1_000, None));
}

#[test]
fn microsoft_software_finds_activity_and_name_where_it_looks() {
    let state = |show| {
        let tuple = Tuple {
            show,
            ..Tuple::available("")
        };
        PresenceState::new([tuple]).with_name(Some("Alice".into()))
    };
    let text = written_for(true, &state(Some(Show::Dnd)), None);
    assert!(
        text.contains(
            "<ep:activities><ep:activity>busy</ep:activity></ep:activities></status></tuple>"
        ),
        "{text}"
    );
    assert!(text.contains("xmlns:ep=\"urn:ietf:params:xml:ns:pidf:status:rpid-status\""));
    let name = "</dm:person><ci:display-name>Alice</ci:display-name></presence>";
    assert!(text.ends_with(name), "{text}");
    for show in [Show::Away, Show::Xa] {
        let text = written_for(true, &state(Some(show)), None);
        assert!(text.contains("<ep:activity>away</ep:activity>"), "{text}");
    }
    for show in [None, Some(Show::Chat)] {
        let text = written_for(true, &state(show), None);
        assert!(!text.contains("ep:") && text.ends_with(name), "{text}");
    }
    let closed = PresenceState::new([Tuple::closed("")]).with_name(Some("Alice".into()));
    assert!(!written_for(true, &closed, None).contains("Alice"));
}

#[test]
fn busy_activities_are_what_the_operator_says() {
    let how = Reading {
        busy_as: BusyAs::Available,
        ..Reading::default()
    };
    let of = |status: &str, how| {
        let document = format!("{HEAD}{}</presence>", open(status, ""));
        let state = read(document.as_bytes(), how).unwrap().unwrap();
        let tuple = state.tuples()[0].clone();
        (
            tuple.show,
            tuple.notes.first().map(|it| it.text.to_string()),
        )
    };
    let busy = "<ep:activities><ep:activity>busy</ep:activity></ep:activities>";
    assert_eq!(of(busy, how), (None, Some("Busy".to_owned())));
    assert_eq!(of(busy, Reading::default()), (Some(Show::Dnd), None));
    let away = busy.replace("busy", "away");
    assert_eq!(of(&away, how), (Some(Show::Away), None));
    let show = format!("<show xmlns='jabber:client'>dnd</show>{busy}");
    assert_eq!(of(&show, how), (Some(Show::Dnd), None));
}
