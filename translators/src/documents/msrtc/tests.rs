//! Microsoft's presence document, one case each.

use crate::documents::presence::{self, Draft, Reading, note};
use crate::documents::{Format, Unreadable};
use crate::limits;
use crate::model::{Note, PresenceState, Show, Tuple, Wall};

const NOW: Wall = Wall::from_unix_millis(1_800_000_000_000);

fn read(document: &str) -> Result<Option<PresenceState>, Unreadable> {
    let how = Reading {
        content_type: Some("text/xml+msrtc.pidf"),
        ..Reading::default()
    };
    presence::read(document.as_bytes(), how)
}

fn presentity(content: &str) -> String {
    format!(
        "<presentity uri=\"romeo@example.net\" xmlns=\"http://schemas.microsoft.com/2002/09/sip/presence\" \
         xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\">{content}</presentity>"
    )
}

fn numbers(availability: u32, activity: u32) -> String {
    format!(
        "<availability aggregate=\"{availability}\" description=\"\"/>\
         <activity aggregate=\"{activity}\" description=\"\"/>"
    )
}

fn only(document: &str) -> Tuple {
    let state = read(document).unwrap().unwrap();
    let [tuple] = state.tuples() else {
        panic!("{state:?}");
    };
    tuple.clone()
}

fn shown(document: &str) -> (bool, Option<Show>, Option<String>) {
    let tuple = only(document);
    let words = tuple.notes.first().map(|note| note.text.to_string());
    (tuple.open, tuple.show, words)
}

fn write(state: &PresenceState) -> String {
    let draft = Draft {
        entity: "pres:juliet@example.com",
        contact: "sip:juliet@example.com",
        state,
        now: NOW,
        last_sent: None,
        epid: Some("0123456789abcdef"),
    };
    String::from_utf8(super::write(&draft).to_vec()).unwrap()
}

fn with(show: Option<Show>, words: Option<&str>) -> PresenceState {
    PresenceState::new([Tuple {
        show,
        notes: words
            .and_then(|words| note(None, words))
            .into_iter()
            .collect(),
        ..Tuple::available("balcony")
    }])
}

#[test]
fn a_document_of_a_server_is_read() {
    let document = "<presentity uri=\"romeo@example.net\" xmlns=\"http://schemas.microsoft.com/2002/09/sip/presence\" \
        xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" ><availability aggregate=\"0\" description=\"\" />\
        <activity aggregate=\"0\" description=\"\" /><displayName displayName=\"Romeo M\" /></presentity>";
    let state = read(document).unwrap().unwrap();
    assert!(state.is_offline());
    assert_eq!(state.name(), Some("Romeo M"));
    assert_eq!(state.tuples(), [Tuple::closed("")]);
}

#[test]
fn the_namespace_and_the_declaration_do_not_matter() {
    let document = presentity(&numbers(300, 600));
    let other = document.replace("2002/09", "09/2002");
    let none = document.replace(
        "xmlns=\"http://schemas.microsoft.com/2002/09/sip/presence\"",
        "",
    );
    let declared = format!("<?xml version=\"1.0\" encoding=\"utf-16\"?>{document}");
    let busy = (true, Some(Show::Dnd), Some("Busy".to_owned()));
    for document in [&document, &other, &none, &declared] {
        assert_eq!(shown(document), busy, "{document}");
    }
    let utf16: Vec<u8> = declared.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let how = Reading {
        content_type: Some("text/xml+msrtc.pidf"),
        ..Reading::default()
    };
    let state = presence::read(&utf16, how).unwrap().unwrap();
    assert_eq!(state.tuples(), [only(&document)]);
}

#[test]
fn devices_count_where_there_is_no_word_of_all_of_them() {
    let device = |availability, activity| {
        let numbers = numbers(availability, activity);
        format!("<devicePresence epid=\"1\" ageOfPresence=\"0\">{numbers}</devicePresence>")
    };
    let devices = format!("<devices>{}{}</devices>", device(300, 600), device(0, 0));
    assert_eq!(
        shown(&presentity(&devices)),
        (true, Some(Show::Dnd), Some("Busy".to_owned()))
    );
    let gone = format!("<devices>{}</devices>", device(0, 0));
    assert!(!shown(&presentity(&gone)).0);
    let both = format!("{}{devices}", numbers(300, 400));
    assert_eq!(shown(&presentity(&both)), (true, None, None));
}

#[test]
fn the_higher_number_wins() {
    let user = |avail: u32, token: &str, since: &str| {
        format!(
            "<userInfo><states><state avail=\"{avail}\" since=\"{since}\" validWith=\"any-device\" \
             set=\"manual\" xsi:type=\"userState\">{token}</state></states></userInfo>"
        )
    };
    let device = |avail: u32, token: &str, since: &str| {
        format!(
            "<devices><devicePresence epid=\"1\"><states><state avail=\"{avail}\" since=\"{since}\" \
             xsi:type=\"deviceState\">{token}</state></states></devicePresence></devices>"
        )
    };
    let (early, late) = ("2026-01-01T10:00:00Z", "2026-01-01T11:00:00Z");
    let all = |numbers: &str, user: &str, device: &str| {
        shown(&presentity(&format!("{numbers}{user}{device}")))
    };
    let dnd = (true, Some(Show::Dnd), None);
    let available = (true, None, None);
    let busy = |words: &str| (true, Some(Show::Dnd), Some(words.to_owned()));

    let online = numbers(300, 400);
    let user_dnd = user(9_500, "do-not-disturb", early);
    assert_eq!(all(&online, &user_dnd, ""), dnd);
    // What all devices make is more than what the user set.
    let user_available = user(3_500, "available", early);
    assert_eq!(all(&numbers(300, 600), &user_available, ""), busy("Busy"));
    assert!(!all(&numbers(0, 0), &user_dnd, "").0);
    // A device counts where it changed later than the user.
    let call = |since| device(6_500, "on-the-phone", since);
    assert_eq!(
        all(&online, &user_available, &call(late)),
        busy("On the phone")
    );
    assert_eq!(all(&online, &user_available, &call(early)), available);
    assert_eq!(all(&online, "", &call(early)), busy("On the phone"));
    assert_eq!(all(&online, &user_dnd, &call(late)), dnd);
    // Of two devices the later one.
    let two = format!(
        "{}{}",
        device(12_500, "be-right-back", early),
        device(6_500, "in-a-meeting", late)
    );
    assert_eq!(all(&online, "", &two), busy("In a meeting"));
    // Of one number the state says more than the aggregate.
    let off = user(15_500, "off-work", early);
    let off_work = (true, Some(Show::Xa), Some("Off work".to_owned()));
    assert_eq!(all(&numbers(300, 100), &off, ""), off_work);
}

#[test]
fn notes_custom_words_and_telephones_are_read() {
    let info = |info: &str| {
        let numbers = numbers(300, 600);
        shown(&presentity(&format!(
            "{numbers}<userInfo>{info}</userInfo>"
        )))
        .2
    };
    let words = |text: &str| Some(text.to_owned());
    assert_eq!(
        info("<note>at desk &amp; busy</note>"),
        words("at desk & busy")
    );
    assert_eq!(
        info("<note>at desk</note><note type=\"OOF\">on leave</note>"),
        words("on leave")
    );
    assert_eq!(
        info("<note>at desk</note><note type=\"OOF\"/>"),
        words("at desk")
    );
    assert_eq!(info("<note> </note>"), words("Busy"));
    let custom = "<states><state avail=\"6500\"><activity token=\"busy\"><custom LCID=\"1033\">In the lab</custom>\
        </activity></state></states>";
    assert_eq!(info(custom), words("In the lab"));

    let device = "<devices><devicePresence epid=\"1\"><activity aggregate=\"400\" note=\"at desk\"/></devicePresence></devices>";
    let document = presentity(&format!("{}{device}", numbers(300, 400)));
    assert_eq!(shown(&document).2, words("at desk"));

    let mobile = "<devices><devicePresence epid=\"1\"><states><state avail=\"3500\"><device>Mobile</device></state></states>\
        </devicePresence></devices>";
    let document = presentity(&format!("{}{mobile}", numbers(300, 400)));
    assert_eq!(shown(&document), (true, None, words("Mobile")));
}

#[test]
fn who_is_shown_without_numbers_does_not_let_himself_be_seen() {
    for content in [
        "",
        "<displayName displayName=\"R\"/>",
        "<userInfo><note>gone</note></userInfo>",
        "<devices/>",
    ] {
        assert!(!shown(&presentity(content)).0, "{content}");
    }
    let named = read(&presentity("<displayName displayName=\"R\"/>"));
    assert_eq!(named.unwrap().unwrap().name(), Some("R"));
}

#[test]
fn what_says_nothing_or_is_no_document_changes_nothing() {
    let odd = "<availability aggregate=\"many\"/><userInfo><states><state avail=\"-1\"/></states></userInfo>";
    assert_eq!(read(&presentity(odd)), Ok(None));
    assert_eq!(read("<presence/>"), Err(Unreadable::Unexpected));
    for broken in [
        "<presentity>",
        "<presentity a=b/>",
        "<!DOCTYPE a [<!ENTITY b 'c'>]><presentity/>",
    ] {
        assert_eq!(read(broken), Err(Unreadable::NotXml), "{broken}");
    }
    // One of the two numbers is enough.
    let away = presentity("<activity aggregate=\"100\"/>");
    assert_eq!(shown(&away).1, Some(Show::Away));
    assert!(only(&presentity("<availability aggregate=\"300\"/>")).open);
    assert!(!only(&presentity("<availability aggregate=\"0\"/>")).open);
}

#[test]
fn a_state_is_written_whole() {
    let state =
        with(Some(Show::Dnd), Some("in a <meeting>")).with_name(Some("Juliet \"J\"".into()));
    let epid = "0123456789abcdef";
    let expected = format!(
        "<presentity uri=\"juliet@example.com\" xmlns=\"http://schemas.microsoft.com/2002/09/sip/presence\" \
         xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\">\
         <availability aggregate=\"300\" description=\"\" epid=\"{epid}\"/>\
         <activity aggregate=\"600\" description=\"\" epid=\"{epid}\"/>\
         <displayName displayName=\"Juliet &quot;J&quot;\"/>\
         <userInfo><note>in a &lt;meeting&gt;</note><states><state avail=\"9500\" since=\"2027-01-15T08:00:00Z\" \
         validWith=\"any-device\" deviceId=\"{epid}\" set=\"manual\" xsi:type=\"userState\">do-not-disturb</state>\
         </states></userInfo><devices><devicePresence epid=\"{epid}\" ageOfPresence=\"0\">\
         <availability aggregate=\"300\" description=\"\"/><activity aggregate=\"600\" description=\"\"/>\
         </devicePresence></devices></presentity>"
    );
    assert_eq!(write(&state), expected);
}

#[test]
fn every_show_is_written_and_read() {
    for (show, numbers, back) in [
        (None, (300, 400), None),
        (Some(Show::Chat), (300, 400), None),
        (Some(Show::Away), (300, 100), Some(Show::Away)),
        (Some(Show::Xa), (300, 100), Some(Show::Xa)),
        (Some(Show::Dnd), (300, 600), Some(Show::Dnd)),
    ] {
        let written = write(&with(show, Some("words")));
        let (availability, activity) = numbers;
        assert!(written.contains(&format!("<availability aggregate=\"{availability}\"")));
        assert!(written.contains(&format!("<activity aggregate=\"{activity}\"")));
        assert_eq!(shown(&written), (true, back, Some("words".to_owned())));
    }
}

#[test]
fn who_is_gone_is_closed_with_his_words() {
    let offline = presence::write_offline(Format::Msrtc, "pres:juliet@example.com", NOW);
    let offline = String::from_utf8(offline.to_vec()).unwrap();
    assert_eq!(
        offline,
        "<presentity uri=\"juliet@example.com\" xmlns=\"http://schemas.microsoft.com/2002/09/sip/presence\" \
         xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"><availability aggregate=\"0\" description=\"\"/>\
         <activity aggregate=\"0\" description=\"\"/></presentity>"
    );
    let named = PresenceState::new([Tuple::closed("a")]).with_name(Some("Juliet".into()));
    assert_eq!(write(&named), offline);
    let gone = PresenceState::new([Tuple {
        notes: note(None, "Bye").into_iter().collect(),
        ..Tuple::closed("a")
    }]);
    assert_eq!(shown(&write(&gone)), (false, None, Some("Bye".to_owned())));
}

#[test]
fn a_long_note_is_cut_between_words_and_never_within_a_character() {
    let info = |show, words: &str| {
        let written = write(&with(show, Some(words)));
        let (from, to) = (
            written.find("<userInfo>").unwrap(),
            written.find("</userInfo>").unwrap(),
        );
        let info = written.get(from..to).unwrap().to_owned() + "</userInfo>";
        assert!(
            info.encode_utf16().count() <= limits::USER_INFO,
            "{}",
            info.len()
        );
        shown(&written).2.unwrap()
    };
    let words = "word ".repeat(203);
    assert!(info(None, &words).ends_with("word\u{2026}") || words.trim() == info(None, &words));
    for show in [None, Some(Show::Dnd)] {
        for unit in ["x", "&", "\u{1f600}", "\u{e9}", "<a> "] {
            let words = unit.repeat(1_024);
            let kept = info(show, &words);
            let kept = kept.strip_suffix('\u{2026}').unwrap();
            assert!(words.starts_with(kept), "{unit}");
            let room = if show.is_none() { 950 } else { 700 };
            let units = crate::documents::xml::escape(kept).encode_utf16().count();
            assert!(units > room, "{unit}: {units}");
        }
    }
    // What fits is not touched.
    let fits = "x".repeat(900);
    assert_eq!(info(None, &fits), fits);
}

#[test]
fn the_most_available_device_stands_for_all() {
    let state = PresenceState::new([
        Tuple {
            show: Some(Show::Away),
            notes: [Note {
                lang: None,
                text: "away".into(),
            }]
            .into(),
            ..Tuple::available("a")
        },
        Tuple {
            show: Some(Show::Dnd),
            ..Tuple::available("b")
        },
        Tuple::closed("c"),
    ]);
    assert_eq!(shown(&write(&state)), (true, Some(Show::Dnd), None));
}
