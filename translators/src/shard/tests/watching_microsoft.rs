//! Alice of XMPP watches Bob of a Microsoft peer.

use crate::limits;
use crate::model::{Accept, Microsoft, SipProfile};
use crate::shard::Event;
use crate::shard::Transmit;
use crate::shard::tests::lab::{Lab, seconds, text_of};
use crate::shard::tests::presence_lab::{AWAY, CLOSED, PHONE, Theirs, cseq, sip_request};

/// What an answer says that carries the first document.
const CARRIES: &str = "Expires: 28800\r\nContent-Type: text/xml+msrtc.pidf\r\nEvent: presence\r\n\
    subscription-state: Active;expires=28800\r\nms-piggyback-cseq: 1\r\n\
    Supported: ms-piggyback-first-notify\r\n";
const BUSY: &str = "<presentity uri=\"bob@sip.example\" \
    xmlns=\"http://schemas.microsoft.com/2002/09/sip/presence\">\
    <availability aggregate=\"300\" description=\"\"/><activity aggregate=\"600\" description=\"\"/>\
    </presentity>";

fn lab() -> Lab {
    let profile = SipProfile {
        microsoft: Some(Microsoft::default()),
        ..SipProfile::default()
    };
    Lab::with(Accept::Barrier, profile)
}

/// Alice asks to see Bob.
fn asked(lab: &mut Lab) -> Transmit {
    lab.alice("subscribe");
    lab.next_subscribe(28_800)
}

/// Alice sees Bob's phone.
fn watching(lab: &mut Lab) -> Theirs {
    let subscribe = asked(lab);
    lab.answer_subscribe(&subscribe, 200, "Expires: 28800\r\n");
    lab.nothing();
    let mut dialog = Theirs::of(&subscribe);
    assert_eq!(lab.notify(&mut dialog, "active", Some(PHONE)), 200);
    lab.next_presence(&["type=\"subscribed\""]);
    lab.next_presence(&["/phone\""]);
    lab.nothing();
    dialog
}

/// The refresh of a dialog of eight hours.
fn refresh(lab: &mut Lab) -> Transmit {
    lab.pass(seconds(28_800 * 9 / 10));
    lab.next_subscribe(28_800)
}

#[test]
fn what_is_asked_for_is_what_a_server_of_theirs_takes() {
    let mut lab = lab();

    let text = text_of(&asked(&mut lab));

    let wanted = [
        "\r\nAccept: text/xml+msrtc.pidf, application/pidf+xml\r\n",
        "\r\nExpires: 28800\r\n",
        "\r\nSupported: ms-piggyback-first-notify\r\n",
        "\r\nContent-Type: application/msrtc-adrl-categorylist+xml\r\n",
        "<resource uri=\"sip:bob@sip.example\"><context/></resource>",
        ";epid=",
    ];
    for words in wanted {
        assert!(text.contains(words), "{words} expected: {text}");
    }
    assert!(
        !text.contains("Proxy-Require") && !text.contains("benotify"),
        "{text}"
    );
}

#[test]
fn an_answer_with_the_document_is_the_first_notify() {
    let mut lab = lab();
    let subscribe = asked(&mut lab);

    lab.answer_with(&subscribe, 200, CARRIES, BUSY);

    lab.next_presence(&["type=\"subscribed\""]);
    lab.next_presence(&["<show>dnd</show>"]);
    lab.nothing();
    lab.pass(seconds(60));
    lab.nothing();
    let mut dialog = Theirs::of(&subscribe);
    lab.benotify(&mut dialog, "active;expires=28000", Some(AWAY));
    lab.next_presence(&["<show>away</show>"]);
    lab.next_presence(&["type=\"unavailable\""]);
    lab.nothing();
}

#[test]
fn a_bare_answer_is_no_word_of_bobs() {
    let mut lab = lab();
    let subscribe = asked(&mut lab);
    lab.answer_subscribe(&subscribe, 200, "Expires: 28800\r\nEvent: presence\r\n");
    lab.nothing();
    let mut dialog = Theirs::of(&subscribe);
    assert_eq!(
        lab.notify(&mut dialog, "ACTIVE;expires=28800", Some(CLOSED)),
        200
    );
    lab.next_presence(&["type=\"subscribed\""]);
    lab.next_presence(&["type=\"unavailable\""]);
    lab.nothing();
}

#[test]
fn a_refresh_is_answered_by_the_document() {
    let mut lab = lab();
    watching(&mut lab);
    let subscribe = refresh(&mut lab);
    let text = text_of(&subscribe);
    assert!(text.contains("ms-piggyback-first-notify"), "{text}");
    assert!(!text.contains("context"), "nobody is asked again: {text}");

    let carries = CARRIES.replace("cseq: 1", "cseq: 7");
    lab.answer_with(&subscribe, 200, &carries, BUSY);

    lab.next_presence(&["<show>dnd</show>"]);
    lab.next_presence(&["type=\"unavailable\"", "/phone\""]);
    lab.nothing();
    lab.pass(seconds(60));
    lab.nothing();
}

#[test]
fn an_unreadable_document_leaves_what_is_known() {
    let mut lab = lab();
    let mut dialog = watching(&mut lab);
    let broken = Some("<tuple><status></tuple>");
    assert_eq!(lab.notify(&mut dialog, "active;expires=28800", broken), 200);
    lab.nothing();
    lab.benotify(&mut dialog, "active", None);
    lab.nothing();
    lab.alice("probe");
    lab.next_presence(&["/phone\""]);
}

#[test]
fn no_refusal_takes_a_contact_from_the_roster() {
    for status in [403, 404, 405, 410, 480, 488, 489, 500, 501, 504, 603, 604] {
        let mut lab = lab();
        watching(&mut lab);
        let subscribe = refresh(&mut lab);

        lab.answer_subscribe(&subscribe, status, "");

        let mut asked = 0;
        for _ in 0..20 {
            lab.pass(seconds(200));
            asked += refuse_all(&mut lab, status);
        }
        assert!(asked > 0, "{status}");
    }
}

/// Refuses every SUBSCRIBE that was sent; returns how many those were.
fn refuse_all(lab: &mut Lab, status: u16) -> usize {
    let mut asked = 0;
    while let Some(sent) = lab.try_next() {
        let text = text_of(&sent);
        assert!(!text.contains("unsubscribed"), "{status}: {text}");
        if text.starts_with("SUBSCRIBE") {
            asked += 1;
            lab.hand_over(&sent);
            lab.answer_subscribe(&sent, status, "");
        }
    }
    asked
}

#[test]
fn one_peer_that_refuses_what_was_granted_is_reported() {
    let mut lab = lab();
    watching(&mut lab);
    let subscribe = refresh(&mut lab);
    lab.answer_subscribe(&subscribe, 403, "");
    let refused = |event: &Event| matches!(event, Event::GrantRefused { .. });
    assert!(lab.events.iter().any(refused), "{:?}", lab.events);
    lab.pass(limits::STALE_GRACE + seconds(1));
    let said = std::iter::from_fn(|| lab.try_next());
    let said: Vec<_> = said.map(|one| text_of(&one)).collect();
    assert!(
        said.iter().any(|one| one.contains("type=\"unavailable\"")),
        "{said:?}"
    );
}

#[test]
fn a_lost_dialog_is_made_anew_and_nobody_sees_it() {
    let mut lab = lab();
    watching(&mut lab);
    let lost = refresh(&mut lab);
    lab.answer_subscribe(&lost, 481, "");
    lab.nothing();

    lab.pass(seconds(5));

    let subscribe = lab.next_subscribe(28_800);
    let (lost, anew) = (sip_request(&lost), sip_request(&subscribe));
    assert_ne!(lost.call_id(), anew.call_id());
    lab.answer_with(&subscribe, 200, CARRIES, BUSY);
    lab.next_presence(&["<show>dnd</show>"]);
    lab.next_presence(&["type=\"unavailable\"", "/phone\""]);
    lab.nothing();
}

#[test]
fn a_route_set_that_is_not_valid_any_more_costs_the_dialog_whatever_the_status() {
    let reason = "ms-diagnostics: 1004;reason=\"Route set is no longer valid\";source=\"e\"\r\n";
    for status in [403, 481, 500, 504] {
        let mut lab = lab();
        watching(&mut lab);
        let lost = refresh(&mut lab);
        lab.answer_subscribe(&lost, status, reason);
        lab.nothing();

        lab.pass(seconds(5));

        let subscribe = lab.next_subscribe(28_800);
        let (lost, anew) = (sip_request(&lost), sip_request(&subscribe));
        assert_ne!(lost.call_id(), anew.call_id(), "{status}");
        lab.answer_with(&subscribe, 200, CARRIES, BUSY);
        lab.next_presence(&["<show>dnd</show>"]);
        lab.next_presence(&["type=\"unavailable\"", "/phone\""]);
        lab.nothing();
        let refused = |event: &Event| matches!(event, Event::GrantRefused { .. });
        assert!(!lab.events.iter().any(refused), "{status}");
    }
}

#[test]
fn a_route_set_is_the_last_where_the_peer_says_that_it_changes() {
    let routes = |subscribe: &Transmit| {
        let text = text_of(subscribe);
        let routes = text.lines().filter(|line| line.starts_with("Route: "));
        routes.map(str::to_owned).collect::<Vec<_>>()
    };
    let says = "Expires: 28800\r\nSupported: ms-dialog-route-set-update\r\n";
    for (words, second) in [(says, "<sip:b;lr>"), ("Expires: 28800\r\n", "<sip:a;lr>")] {
        let mut lab = lab();
        let subscribe = asked(&mut lab);
        let first = format!("{words}Record-Route: <sip:a;lr>\r\n");
        lab.answer_subscribe(&subscribe, 200, &first);
        let mut dialog = Theirs::of(&subscribe);
        lab.notify(&mut dialog, "active", Some(PHONE));
        lab.next_presence(&["type=\"subscribed\""]);
        lab.next_presence(&["/phone\""]);
        let subscribe = refresh(&mut lab);
        assert_eq!(routes(&subscribe), ["Route: <sip:a;lr>"]);

        let other = format!("{words}Record-Route: <sip:b;lr>\r\n");
        lab.answer_subscribe(&subscribe, 200, &other);

        lab.notify(&mut dialog, "active", Some(PHONE));
        let subscribe = refresh(&mut lab);
        assert_eq!(routes(&subscribe), [format!("Route: {second}")]);
    }
}

#[test]
fn a_restart_goes_on_in_the_same_dialog() {
    let mut lab = lab();
    let dialog = watching(&mut lab);

    lab.restart_with_peers();

    let subscribe = lab.next_subscribe(28_800);
    assert_eq!(
        sip_request(&subscribe).call_id(),
        Ok(dialog.call_id.as_str())
    );
    assert!(cseq(&subscribe) > 1);
    let carries = CARRIES.replace("cseq: 1", "cseq: 9");
    lab.answer_with(&subscribe, 200, &carries, BUSY);
    lab.next_presence(&["type=\"unavailable\"", "/phone\""]);
    lab.next_presence(&["<show>dnd</show>"]);
    lab.nothing();
}

#[test]
fn categories_are_asked_for_where_a_peer_has_nothing_else() {
    let mut lab = lab();
    let subscribe = asked(&mut lab);
    let accept = "Accept: application/msrtc-event-categories+xml\r\n";

    lab.answer_subscribe(&subscribe, 406, accept);

    let again = lab.next_subscribe(28_800);
    let text = text_of(&again);
    let wanted = "\r\nAccept: application/msrtc-event-categories+xml, text/xml+msrtc.pidf";
    assert!(
        text.contains(wanted) && text.contains("categoryList"),
        "{text}"
    );
    lab.answer_with(&again, 200, CARRIES, BUSY);
    lab.next_presence(&["type=\"subscribed\""]);
    lab.next_presence(&["<show>dnd</show>"]);
    lab.restart_with_peers();
    let text = text_of(&lab.next_subscribe(28_800));
    assert!(
        text.contains(wanted) && text.contains("categoryList"),
        "{text}"
    );
    assert!(!text.contains("<context/>"), "{text}");
}

#[test]
fn a_contact_that_is_removed_before_the_answer_ends_its_dialog() {
    let mut lab = lab();
    let subscribe = asked(&mut lab);
    lab.alice("unsubscribe");
    lab.next_presence(&["type=\"unsubscribed\""]);

    lab.answer_with(&subscribe, 200, CARRIES, BUSY);

    lab.next_subscribe(0);
    lab.nothing();
}

#[test]
fn a_notify_that_was_overtaken_on_another_link_is_taken_and_changes_nothing() {
    let mut lab = lab();
    let mut dialog = watching(&mut lab);
    assert_eq!(lab.notify(&mut dialog, "active", Some(PHONE)), 200);
    let late = dialog.clone();
    assert_eq!(lab.notify(&mut dialog, "active", Some(AWAY)), 200);
    lab.next_presence(&["/phone\"", "away"]);

    assert_eq!(lab.notify_again(&late, "active", Some(PHONE)), 200);
    assert_eq!(
        lab.notify_again(&late, "terminated;reason=timeout", None),
        200
    );
    lab.nothing();
    assert_eq!(lab.notify(&mut dialog, "active", Some(PHONE)), 200);
    lab.next_presence(&["/phone\""]);
    lab.nothing();
}
