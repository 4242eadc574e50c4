//! Microsoft's categories, one case each.

use crate::documents::presence::{self, Draft, Reading, note};
use crate::documents::{Format, Unreadable};
use crate::model::microsoft::BusyAs;
use crate::model::{PresenceState, Show, Tuple, Wall};

const NOW: Wall = Wall::from_unix_millis(1_800_000_000_012);

fn read_over(
    document: &str,
    known: Option<&PresenceState>,
) -> Result<Option<PresenceState>, Unreadable> {
    let how = Reading {
        content_type: Some("application/msrtc-event-categories+xml"),
        known,
        ..Reading::default()
    };
    presence::read(document.as_bytes(), how)
}

fn read(document: &str) -> Result<Option<PresenceState>, Unreadable> {
    read_over(document, None)
}

fn told(state: &PresenceState) -> (bool, Option<Show>, Option<String>) {
    let [tuple] = state.tuples() else {
        panic!("{state:?}");
    };
    let words = tuple.notes.first().map(|note| note.text.to_string());
    (tuple.open, tuple.show, words)
}

fn shown(content: &str) -> (bool, Option<Show>, Option<String>) {
    told(&read(&categories(content)).unwrap().unwrap())
}

fn categories(content: &str) -> String {
    format!(
        "<categories xmlns=\"http://schemas.microsoft.com/2006/09/sip/categories\" \
         uri=\"sip:romeo@example.net\">{content}</categories>"
    )
}

fn state(kind: &str, number: u32, more: &str) -> String {
    format!(
        "<category name=\"state\" instance=\"1\" publishTime=\"2026-05-05T12:00:00.000\">\
         <state xsi:type=\"{kind}\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" \
         lastActive=\"2026-05-05T11:50:00Z\" xmlns=\"http://schemas.microsoft.com/2006/09/sip/state\">\
         <availability>{number}</availability>{more}</state></category>"
    )
}

fn aggregate(number: u32, token: &str) -> String {
    state(
        "aggregateState",
        number,
        &format!("<activity token=\"{token}\"/>"),
    )
}

fn noted(bodies: &str) -> String {
    format!(
        "<category name=\"note\" instance=\"0\" publishTime=\"2026-05-05T12:00:00.000\">\
         <note xmlns=\"http://schemas.microsoft.com/2006/09/sip/note\">{bodies}</note></category>"
    )
}

const CARD: &str = "<category name=\"contactCard\" instance=\"0\"><contactCard \
    xmlns=\"http://schemas.microsoft.com/2006/09/sip/contactcard\"><identity><name><displayName>Romeo M</displayName></name>\
    <email>romeo@example.net</email></identity></contactCard></category>";

fn words(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn state_note_and_card_are_read_and_the_calendar_is_not() {
    let calendar = "<category name=\"calendarData\" instance=\"0\"><calendarData \
        xmlns=\"http://schemas.microsoft.com/2006/09/sip/calendarData\"><freeBusy>AAAA</freeBusy></calendarData></category>";
    let document = categories(&format!(
        "{calendar}{CARD}{}{}",
        noted("<body type=\"personal\">at desk</body>"),
        aggregate(6_500, "in-a-meeting"),
    ));
    let state = read(&document).unwrap().unwrap();
    assert_eq!(told(&state), (true, Some(Show::Dnd), words("at desk")));
    assert_eq!(state.name(), Some("Romeo M"));
}

#[test]
fn the_aggregate_counts_before_other_states() {
    let device = state("machineState", 15_500, "");
    let user = state("userState", 9_500, "");
    let all = format!("{device}{}{user}", aggregate(3_500, ""));
    assert_eq!(shown(&all), (true, None, None));
    let highest = format!("{user}{device}");
    assert_eq!(shown(&highest), (true, Some(Show::Away), None));
    let unknown = format!(
        "{user}{}",
        state("aggregateState", 3_500, "").replace("<availability>3500", "<availability>")
    );
    assert_eq!(shown(&unknown), (true, Some(Show::Dnd), None));
}

#[test]
fn words_come_from_notes_custom_activities_and_telephones() {
    let custom = state(
        "aggregateState",
        6_500,
        "<activity token=\"busy\"><custom LCID=\"1033\">In the lab</custom></activity>",
    );
    assert_eq!(shown(&custom).2, words("In the lab"));
    let mobile = state("aggregateState", 3_500, "<device>Mobile</device>");
    assert_eq!(shown(&mobile).2, words("Mobile"));
    let both = noted("<body type=\"personal\">at desk</body><body type=\"OOF\">on leave</body>");
    assert_eq!(shown(&format!("{custom}{both}")).2, words("on leave"));
    let enhanced =
        noted("<body type=\"personal\">at <b>the</b> desk</body>").replace("note", "enhancedNote");
    assert_eq!(
        shown(&format!("{custom}{enhanced}")).2,
        words("at the desk")
    );
    let two = noted("<body type=\"personal\">at desk</body>")
        + &noted("<body type=\"OOF\">on leave</body>");
    assert_eq!(shown(&format!("{custom}{two}")).2, words("on leave"));
    let empty = noted("<body type=\"personal\">at desk</body><body type=\"OOF\"/>");
    assert_eq!(shown(&format!("{custom}{empty}")).2, words("at desk"));
}

#[test]
fn who_does_not_show_himself_is_offline() {
    let closed = (false, None, None);
    for content in [
        "",
        "<category name=\"state\"/>",
        "<category name=\"state\"/><category name=\"note\"/><category name=\"contactCard\"/>",
        &aggregate(18_500, "offline"),
        &aggregate(0, ""),
    ] {
        assert_eq!(shown(content), closed, "{content}");
    }
}

#[test]
fn what_a_document_leaves_out_stays_as_it_is_known() {
    let first = format!(
        "{CARD}{}{}",
        aggregate(6_500, "in-a-meeting"),
        noted("<body type=\"personal\">at desk</body>")
    );
    let known = read(&categories(&first)).unwrap();
    let over = |content: &str| {
        let state = read_over(&categories(content), known.as_ref());
        let state = state.unwrap().unwrap();
        assert_eq!(state.name(), Some("Romeo M"));
        told(&state)
    };
    assert_eq!(over(&aggregate(3_500, "")), (true, None, words("at desk")));
    let other = noted("<body type=\"personal\">at home</body>");
    assert_eq!(over(&other), (true, Some(Show::Dnd), words("at home")));
    assert_eq!(over(&noted("")), (true, Some(Show::Dnd), None));

    // The words of an activity that is over do not stay.
    let meeting = read(&categories(&aggregate(6_500, "in-a-meeting"))).unwrap();
    let after = read_over(&categories(&aggregate(3_500, "")), meeting.as_ref());
    assert_eq!(told(&after.unwrap().unwrap()), (true, None, None));
    // Those of one that goes on do, where there is no note.
    let after = read_over(&categories(&noted("")), meeting.as_ref());
    let after = told(&after.unwrap().unwrap());
    assert_eq!(after, (true, Some(Show::Dnd), words("In a meeting")));

    // A note alone says nothing of somebody who is not known.
    assert_eq!(read(&categories(&other)), Ok(None));
}

#[test]
fn busy_words_leave_a_note_with_their_activity() {
    let busy = format!(
        "{}{}",
        aggregate(6_500, "in-a-meeting"),
        noted("<body type=\"personal\">at desk</body>")
    );
    let how = Reading {
        content_type: Some("application/msrtc-event-categories+xml"),
        busy_as: BusyAs::Available,
        ..Reading::default()
    };
    let known = presence::read(categories(&busy).as_bytes(), how)
        .unwrap()
        .unwrap();
    assert_eq!(told(&known), (true, None, words("In a meeting - at desk")));
    let how = Reading {
        known: Some(&known),
        ..how
    };
    let after = presence::read(categories(&aggregate(3_500, "")).as_bytes(), how);
    assert_eq!(
        told(&after.unwrap().unwrap()),
        (true, None, words("at desk"))
    );
}

#[test]
fn idle_states_tell_since_when() {
    let idle = read(&categories(&aggregate(5_000, ""))).unwrap().unwrap();
    let since = Wall::parse_rfc3339("2026-05-05T11:50:00Z");
    assert_eq!(idle.tuples()[0].idle_since, since);
    let used = read(&categories(&aggregate(3_500, ""))).unwrap().unwrap();
    assert_eq!(used.tuples()[0].idle_since, None);
}

#[test]
fn what_is_no_document_is_refused() {
    assert_eq!(read("<presence/>"), Err(Unreadable::Unexpected));
    assert_eq!(read("<categories>"), Err(Unreadable::NotXml));
    assert_eq!(
        read("<categories><a:b/></categories>"),
        Err(Unreadable::NotXml)
    );
}

fn write(state: &PresenceState) -> String {
    let written = super::write(&Draft {
        entity: "pres:juliet@example.com",
        contact: "sip:juliet@example.com",
        state,
        now: NOW,
        last_sent: None,
        epid: Some("0123456789abcdef"),
    });
    String::from_utf8(written.to_vec()).unwrap()
}

#[test]
fn a_state_is_written_whole() {
    let state = PresenceState::new([Tuple {
        show: Some(Show::Dnd),
        notes: note(None, "a <b>").into_iter().collect(),
        ..Tuple::available("balcony")
    }]);
    assert_eq!(
        write(&state.with_name(Some("Juliet".into()))),
        "<categories xmlns=\"http://schemas.microsoft.com/2006/09/sip/categories\" uri=\"sip:juliet@example.com\">\
         <category name=\"state\" instance=\"0\" publishTime=\"2027-01-15T08:00:00.012\">\
         <state xmlns=\"http://schemas.microsoft.com/2006/09/sip/state\" \
         xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"aggregateState\">\
         <availability>9500</availability>\
         <activity token=\"do-not-disturb\" minAvailability=\"9000\" maxAvailability=\"11999\"/></state></category>\
         <category name=\"note\" instance=\"0\" publishTime=\"2027-01-15T08:00:00.012\">\
         <note xmlns=\"http://schemas.microsoft.com/2006/09/sip/note\"><body type=\"personal\">a &lt;b&gt;</body></note>\
         </category><category name=\"contactCard\" instance=\"0\" publishTime=\"2027-01-15T08:00:00.012\">\
         <contactCard xmlns=\"http://schemas.microsoft.com/2006/09/sip/contactcard\"><identity><name><displayName>Juliet</displayName>\
         </name></identity></contactCard></category></categories>"
    );
}

#[test]
fn every_show_is_written_and_read() {
    for (show, number, back) in [
        (None, 3_500, None),
        (Some(Show::Chat), 3_500, None),
        (Some(Show::Away), 15_500, Some(Show::Away)),
        (Some(Show::Xa), 15_500, Some(Show::Xa)),
        (Some(Show::Dnd), 9_500, Some(Show::Dnd)),
    ] {
        let tuple = Tuple {
            show,
            notes: note(None, "words").into_iter().collect(),
            ..Tuple::available("a")
        };
        let written = write(&PresenceState::new([tuple]));
        assert!(written.contains(&format!("<availability>{number}</availability>")));
        let read = read(&written).unwrap().unwrap();
        assert_eq!(told(&read), (true, back, words("words")));
    }
}

#[test]
fn the_closed_document_is_the_same_for_all_who_are_not_there() {
    let closed = presence::write_offline(Format::Categories, "pres:juliet@example.com", NOW);
    let closed = String::from_utf8(closed.to_vec()).unwrap();
    let named = PresenceState::new([Tuple::closed("a")]).with_name(Some("Juliet".into()));
    assert_eq!(write(&named), closed);
    assert_eq!(told(&read(&closed).unwrap().unwrap()), (false, None, None));
}
