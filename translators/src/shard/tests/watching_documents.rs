//! Alice watches Bob of a Microsoft peer, who is told in each of its formats.

use crate::model::microsoft::BusyAs;
use crate::model::{Accept, Microsoft, SipProfile};
use crate::shard::tests::lab::{Lab, text_of};
use crate::shard::tests::presence_lab::Theirs;

const MSRTC: &str = "text/xml+msrtc.pidf";
const XPIDF: &str = "application/xpidf+xml";
const CATEGORIES: &str = "application/msrtc-event-categories+xml";

fn lab(microsoft: Microsoft) -> (Lab, Theirs) {
    let profile = SipProfile {
        microsoft: Some(microsoft),
        ..SipProfile::default()
    };
    let mut lab = Lab::with(Accept::Barrier, profile);
    lab.alice("subscribe");
    let subscribe = lab.next_sip("SUBSCRIBE ");
    assert!(text_of(&subscribe).contains("Accept: text/xml+msrtc.pidf, application/pidf+xml\r\n"));
    lab.answer_subscribe(&subscribe, 200, "Expires: 3600\r\n");
    let dialog = Theirs::of(&subscribe);
    (lab, dialog)
}

fn msrtc(availability: u32, activity: u32, rest: &str) -> String {
    format!(
        "<presentity uri='bob@sip.example'><availability aggregate='{availability}'/>\
         <activity aggregate='{activity}'/>{rest}</presentity>"
    )
}

fn category(name: &str, content: &str) -> String {
    format!("<category name='{name}'>{content}</category>")
}

fn state(number: u32, token: &str) -> String {
    let activity = format!("<activity token='{token}'/>");
    let state = format!("<state><availability>{number}</availability>{activity}</state>");
    category("state", &state)
}

fn categories(content: &str) -> String {
    format!("<categories uri='sip:bob@sip.example'>{content}</categories>")
}

#[test]
fn do_not_disturb_note_and_name_come_through() {
    let (mut lab, mut dialog) = lab(Microsoft::default());
    let rest = "<displayName displayName='Bob B'/><userInfo><note>in a meeting</note><states>\
        <state avail='9500'>do-not-disturb</state></states></userInfo>";
    lab.notify_document(&mut dialog, MSRTC, &msrtc(300, 600, rest));
    lab.next_presence(&["type=\"subscribed\""]);
    lab.next_presence(&[
        "from=\"bob@sip.example/sip\"",
        "<show>dnd</show><status>in a meeting</status>",
        "<nick xmlns=\"http://jabber.org/protocol/nick\">Bob B</nick>",
    ]);
    lab.notify_document(&mut dialog, MSRTC, &msrtc(0, 0, ""));
    lab.next_presence(&["type=\"unavailable\"", "/sip"]);
    lab.nothing();
}

#[test]
fn a_format_may_change_and_what_is_broken_changes_nothing() {
    let (mut lab, mut dialog) = lab(Microsoft::default());
    lab.notify_document(&mut dialog, MSRTC, &msrtc(300, 100, ""));
    lab.next_presence(&["type=\"subscribed\""]);
    lab.next_presence(&["<show>away</show>"]);
    for (kind, body) in [
        (MSRTC, "<presentity".to_owned()),
        (
            XPIDF,
            "<!DOCTYPE presence PUBLIC \"x \"y\"><presence/>".to_owned(),
        ),
        (CATEGORIES, "<other/>".to_owned()),
        ("application/rlmi+xml", "<list/>".to_owned()),
        (MSRTC, msrtc(300, 149, "")),
    ] {
        lab.notify_document(&mut dialog, kind, &body);
        lab.nothing();
    }
    let atom = "<presence><atom><address><status status='inuse'/></address></atom></presence>";
    lab.notify_document(&mut dialog, XPIDF, atom);
    lab.next_presence(&["<show>dnd</show><status>Busy</status>"]);
    lab.nothing();
}

#[test]
fn categories_that_are_left_out_stay_as_they_are_known() {
    let (mut lab, mut dialog) = lab(Microsoft::default());
    let note = category("note", "<note><body type='personal'>at desk</body></note>");
    let first = categories(&format!("{}{note}", state(6_500, "in-a-meeting")));
    lab.notify_document(&mut dialog, CATEGORIES, &first);
    lab.next_presence(&["type=\"subscribed\""]);
    lab.next_presence(&["<show>dnd</show><status>at desk</status>"]);
    let free = state(3_500, "");
    lab.notify_document(&mut dialog, CATEGORIES, &categories(&free));
    let told = text_of(&lab.next());
    assert!(
        told.contains("<status>at desk</status>") && !told.contains("<show>"),
        "{told}"
    );
    let empty = category("note", "");
    lab.notify_document(&mut dialog, CATEGORIES, &categories(&empty));
    let told = text_of(&lab.next());
    assert!(!told.contains("<status>"), "{told}");
    lab.nothing();
    // Blocked: he looks as if he were offline.
    lab.notify_document(
        &mut dialog,
        CATEGORIES,
        &categories("<category name='state'/>"),
    );
    lab.next_presence(&["type=\"unavailable\""]);
    lab.nothing();
}

#[test]
fn busy_is_what_the_operator_says() {
    let (mut lab, mut dialog) = lab(Microsoft {
        busy_as: BusyAs::Available,
        ..Microsoft::default()
    });
    lab.notify_document(&mut dialog, MSRTC, &msrtc(300, 500, ""));
    lab.next_presence(&["type=\"subscribed\""]);
    let told = text_of(&lab.next());
    assert!(told.contains("<status>On the phone</status>"), "{told}");
    assert!(!told.contains("<show>"), "{told}");
}
