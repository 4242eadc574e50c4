//! Bob of a Microsoft peer watches Alice of XMPP.

use std::time::Duration;

use crate::limits;
use crate::model::microsoft::{AskOn, Benotify, Undecided};
use crate::model::{Accept, Microsoft, SipProfile};
use crate::policy::{Subject, Verdict};
use crate::shard::tests::lab::{Lab, seconds, text_of};
use crate::shard::tests::presence_lab::pair;
use crate::shard::tests::watched_lab::{PRESENCE, Watch, subscribe};
use crate::shard::{Event, Filter, Lapse};

/// What a client of Microsoft's asks for.
const ASKED: &str = "Event: presence\r\nAccept: application/xpidf+xml, application/pidf+xml\r\n\
    Supported: com.microsoft.autoextend\r\nSupported: ms-benotify, MS-Piggyback-First-Notify\r\n\
    Proxy-Require: ms-benotify\r\n";
/// The same to shorten what comes again and again.
const CLOSED: &str = "<basic>closed</basic>";
const OPEN: &str = "<basic>open</basic>";

fn lab(microsoft: Microsoft) -> Lab {
    let profile = SipProfile {
        microsoft: Some(microsoft),
        ..SipProfile::default()
    };
    Lab::with(Accept::Barrier, profile)
}

/// Bob sees Alice, who granted it, on her balcony.
fn shown(lab: &mut Lab) -> Watch {
    let mut watch = lab.watch_carried("c1", ASKED, &["Expires: 3600\r\n", CLOSED]);
    lab.asked(&["type=\"subscribe\""]);
    lab.pass(seconds(60));
    lab.alice_is("", "subscribed", "");
    lab.alice_is("balcony", "", "");
    lab.pass(seconds(1));
    lab.notified(&mut watch, &["active", OPEN]);
    lab.pass(seconds(10));
    lab.nothing();
    watch
}

fn block(lab: &mut Lab, verdict: Verdict) {
    lab.decides(Subject::Pair(pair()), verdict);
}

#[test]
fn the_answer_carries_the_document_and_the_next_notify_comes_with_a_change() {
    let mut lab = lab(Microsoft::default());

    let words = [
        "\r\nEvent: presence\r\n",
        "\r\nSubscription-State: active;expires=3600\r\n",
        "\r\nms-piggyback-cseq: 1\r\n",
        "\r\nSupported: ms-piggyback-first-notify\r\n",
        "\r\nContent-Type: application/pidf+xml\r\n",
        CLOSED,
    ];
    let mut watch = lab.watch_carried("c1", ASKED, &words);

    lab.asked(&["type=\"subscribe\""]);
    lab.nothing();
    lab.pass(seconds(60));
    lab.alice_is("", "subscribed", "");
    lab.pass(seconds(10));
    lab.nothing();
    lab.alice_is("balcony", "", "<show>away</show>");
    lab.pass(seconds(1));
    lab.notified(&mut watch, &["CSeq: 2 NOTIFY", "active", OPEN]);
    lab.alice_is("desk", "", "<show>away</show>");
    lab.pass(seconds(10));
    lab.nothing();
}

#[test]
fn a_refresh_is_answered_by_the_document_and_may_change_its_format() {
    let mut lab = lab(Microsoft::default());
    let mut watch = shown(&mut lab);

    let headers = "Expires: 300\r\nSupported: ms-piggyback-first-notify\r\n";
    let answer = lab.in_dialog(&mut watch, headers, 200);

    assert!(answer.contains("Expires: 300\r\n"), "{answer}");
    assert!(answer.contains(OPEN), "{answer}");
    watch.carried(&answer);
    lab.nothing();
    lab.in_dialog(&mut watch, "Expires: 300\r\n", 200);
    lab.notified(&mut watch, &["active;expires=300", OPEN]);
    let headers = "Expires: 300\r\nAccept: text/xml+msrtc.pidf\r\n";
    lab.in_dialog(&mut watch, headers, 200);
    let notify = lab.notified(&mut watch, &["Content-Type: text/xml+msrtc.pidf\r\n"]);
    assert!(notify.contains("aggregate=\"300\""), "{notify}");
    lab.nothing();

    lab.restart_with_peers();
    lab.asked(&["type=\"probe\""]);
    lab.alice_is("balcony", "", "<show>dnd</show>");
    lab.pass(seconds(1));
    lab.notified(
        &mut watch,
        &["Content-Type: text/xml+msrtc.pidf\r\n", "9500"],
    );
}

#[test]
fn a_refresh_without_a_package_or_with_strange_parameters_goes_on() {
    let mut lab = lab(Microsoft::default());
    let mut watch = shown(&mut lab);
    for event in ["", "Event: presence;\r\n", "Event: presence;id=\"x\"\r\n"] {
        lab.refreshes_with(&mut watch, &format!("{event}Expires: 300\r\n"));
        lab.notified(&mut watch, &["active", OPEN]);
    }
}

/// How many more Alices Bob's endpoints watch, by what was told since the last look.
fn told(lab: &mut Lab) -> i64 {
    let events = std::mem::take(&mut lab.events).into_iter();
    let watches = events.filter_map(|event| {
        let Event::Watches { watcher, by, .. } = event else {
            return None;
        };
        assert_eq!(watcher, pair().aor);
        Some(by)
    });
    watches.sum()
}

#[test]
fn an_endpoint_that_watches_as_many_as_it_may_takes_no_further_one() {
    let mut lab = lab(Microsoft::default());
    let from = |text: &str, epid: &str| text.replace(";tag=b", &format!(";epid={epid};tag=b"));

    lab.request_of_many(&from(&subscribe("c1", ASKED), "01"));

    let answer = text_of(&lab.next_sip("SIP/2.0 403 "));
    assert!(
        answer.contains("\r\nms-diagnostics: 65029;reason="),
        "{answer}"
    );
    assert_eq!(told(&mut lab), 0);
    lab.nothing();
    // What it watches already it may watch anew, and it may fetch.
    lab.request(&from(&subscribe("c2", ASKED), "01"));
    let answer = text_of(&lab.next_sip("SIP/2.0 200 "));
    let watch = Watch::of("c2", &answer);
    lab.asked(&["type=\"subscribe\""]);
    assert_eq!(told(&mut lab), 1);
    lab.request_of_many(&from(&subscribe("c3", ASKED), "01"));
    lab.next_sip("SIP/2.0 200 ");
    assert_eq!(told(&mut lab), 0, "made anew, as after a crash of its own");
    lab.request_of_many(&from(&subscribe("c4", ASKED), "02"));
    lab.next_sip("SIP/2.0 403 ");

    lab.restart_with_peers();
    assert_eq!(told(&mut lab), 1, "taken up from the journal");
    while lab.try_next().is_some() {}
    let end = subscribe("c2", "Event: presence\r\nExpires: 0\r\n");
    lab.request(&watch.within(&from(&end, "01")));
    lab.next_sip("SIP/2.0 200 ");
    while lab.try_next().is_some() {}
    assert_eq!(told(&mut lab), 0, "the other dialog of the endpoint stands");
    lab.pass(seconds(4_000));
    assert_eq!(told(&mut lab), -1);
}

#[test]
fn a_dialog_keeps_its_format_where_nothing_is_said_of_it() {
    let mut lab = lab(Microsoft::default());
    let asked = ASKED.replace("application/xpidf+xml", "text/xml+msrtc.pidf");
    let mut watch = lab.watch_carried("c1", &asked, &["Content-Type: text/xml+msrtc.pidf\r\n"]);
    lab.asked(&["type=\"subscribe\""]);
    lab.pass(seconds(60));
    lab.alice_is("", "subscribed", "");
    lab.alice_is("balcony", "", "");
    lab.pass(seconds(1));
    lab.notified(&mut watch, &["Content-Type: text/xml+msrtc.pidf\r\n"]);

    lab.in_dialog(&mut watch, "Event: presence\r\nExpires: 300\r\n", 200);
    lab.notified(
        &mut watch,
        &["Content-Type: text/xml+msrtc.pidf\r\n", "\"300\""],
    );
    lab.in_dialog(&mut watch, "Event: presence\r\nExpires: 0\r\n", 200);
    lab.notified(
        &mut watch,
        &["Content-Type: text/xml+msrtc.pidf\r\n", "aggregate=\"0\""],
    );
}

#[test]
fn a_dialog_whose_route_set_is_not_valid_any_more_is_over() {
    let mut lab = lab(Microsoft::default());
    let mut watch = shown(&mut lab);
    lab.alice_is("balcony", "", "<show>dnd</show>");
    lab.pass(seconds(1));
    let notify = lab.notification(&mut watch, &["active"]);
    lab.hand_over(&notify);

    lab.answer_with(&notify, 504, "ms-diagnostics: 1004;source=\"edge\"\r\n", "");

    lab.asked(&["type=\"unavailable\""]);
    lab.in_dialog(&mut watch, "Expires: 300\r\n", 481);
}

#[test]
fn notifications_take_the_routes_of_the_last_refresh_where_the_peer_says_so() {
    let says = "Supported: ms-dialog-route-set-update\r\n";
    for (words, route) in [(says, "\r\nRoute: <sip:b;lr>;x=y\r\n"), ("", "NOTIFY")] {
        let mut lab = lab(Microsoft::default());
        let mut watch = shown(&mut lab);
        let headers = format!("Expires: 300\r\n{words}Record-Route: <sip:b;lr>;x=y\r\n");

        lab.in_dialog(&mut watch, &headers, 200);

        let notify = lab.notified(&mut watch, &[route]);
        assert_eq!(notify.contains("Route:"), !words.is_empty(), "{notify}");
        lab.restart_with_peers();
        lab.asked(&["type=\"probe\""]);
        lab.alice_is("balcony", "", "<show>dnd</show>");
        lab.pass(seconds(1));
        lab.notified(&mut watch, &[route]);
    }
}

#[test]
fn nothing_is_carried_where_it_is_not_offered_or_switched_off() {
    let mut generous = lab(Microsoft::default());
    let answer = text_of(&generous.bob_subscribes("c1", PRESENCE, 200));
    assert!(
        !answer.contains("piggyback") && !answer.contains("Subscription-State"),
        "{answer}"
    );
    generous.next_sip("NOTIFY ");

    let mut off = lab(Microsoft {
        piggyback: false,
        ..Microsoft::default()
    });
    let answer = text_of(&off.bob_subscribes("c1", ASKED, 200));
    assert!(!answer.contains("piggyback"), "{answer}");
    assert!(
        !answer.contains("benotify") && !answer.contains("autoextend"),
        "{answer}"
    );
    let notify = text_of(&off.next_sip("NOTIFY "));
    assert!(
        notify.contains("active") && notify.contains(CLOSED),
        "{notify}"
    );
}

#[test]
fn what_is_asked_for_is_granted_however_short() {
    let mut lab = lab(Microsoft::default());
    let asked = format!("{ASKED}Expires: 20\r\n");
    lab.watch_carried(
        "c1",
        &asked,
        &["\r\nExpires: 20\r\n", "active;expires=20\r\n"],
    );
    let asked = format!("{ASKED}Expires: 28800\r\n");
    lab.asked(&["type=\"subscribe\""]);
    lab.watch_carried("c2", &asked, &["\r\nExpires: 3600\r\n"]);
}

/// The headers and the body of a SUBSCRIBE for Alice, alone, with this in its resource.
fn batch(content: &str) -> String {
    let body = format!(
        "<batchSub xmlns=\"http://schemas.microsoft.com/2006/01/sip/batch-subscribe\" \
         uri=\"sip:bob@sip.example\" name=\"\"><action name=\"subscribe\" id=\"1\"><adhocList>\
         <resource uri=\"sip:alice@xmpp.example\">{content}</resource></adhocList></action></batchSub>"
    );
    format!(
        "{ASKED}Content-Type: application/msrtc-adrl-categorylist+xml\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// The same as the end of a request.
fn look(lab: &mut Lab, call: &str, content: &str) -> Watch {
    let text = subscribe(call, &batch(content));
    let text = text.strip_suffix("Content-Length: 0\r\n\r\n").unwrap();
    lab.request(text);
    let answer = lab.next_sip("SIP/2.0 200 ");
    lab.hand_over(&answer);
    Watch::of(call, &text_of(&answer))
}

#[test]
fn a_look_asks_nobody_before_it_has_lived_for_a_while() {
    let mut lab = lab(Microsoft::default());
    let mut watch = look(&mut lab, "c1", "");
    lab.asked(&["type=\"probe\""]);
    lab.nothing();
    let everybody = Filter {
        most: 10,
        ..Filter::default()
    };
    let listed = lab.list(&everybody);
    assert_eq!((listed[0].looks, listed[0].state), (1, "absent"));

    lab.pass(seconds(30));
    lab.in_dialog(&mut watch, "Expires: 0\r\n", 200);
    lab.next_sip("NOTIFY ");
    lab.pass(seconds(1));
    look(&mut lab, "c2", "");
    lab.asked(&["type=\"probe\""]);
    lab.pass(seconds(59));
    lab.nothing();
    lab.pass(seconds(1));
    lab.asked(&["type=\"subscribe\""]);
    assert_eq!(lab.list(&everybody)[0].looks, 0);
}

#[test]
fn a_context_asks_at_once_and_where_the_operator_wants_it_a_look_does() {
    let mut contact = lab(Microsoft::default());
    look(&mut contact, "c1", "<context/>");
    contact.asked(&["type=\"subscribe\""]);

    let mut always = lab(Microsoft {
        ask_on: AskOn::Always,
        ..Microsoft::default()
    });
    look(&mut always, "c1", "");
    always.asked(&["type=\"subscribe\""]);

    let mut soon = lab(Microsoft {
        ask_after: seconds(5),
        ..Microsoft::default()
    });
    look(&mut soon, "c1", "");
    soon.asked(&["type=\"probe\""]);
    soon.pass(seconds(5));
    soon.asked(&["type=\"subscribe\""]);
}

#[test]
fn a_look_at_somebody_who_has_granted_it_shows_him() {
    let mut lab = lab(Microsoft::default());
    let mut watch = shown(&mut lab);
    look(&mut lab, "c2", "");
    lab.nothing();
    lab.in_dialog(&mut watch, "Expires: 0\r\n", 200);
    lab.notified(&mut watch, &["terminated", CLOSED]);
    lab.nothing();
}

#[test]
fn benotify_is_refused_where_the_operator_wants_it() {
    let mut lab = lab(Microsoft {
        benotify: Benotify::Refuse,
        ..Microsoft::default()
    });

    let answer = text_of(&lab.bob_subscribes("c1", ASKED, 420));

    assert!(
        answer.contains("\r\nUnsupported: ms-benotify\r\n"),
        "{answer}"
    );
    lab.nothing();
    let without = ASKED.replace("Proxy-Require: ms-benotify\r\n", "");
    lab.watch_carried("c2", &without, &[CLOSED]);
}

#[test]
fn what_is_undecided_may_be_told_as_pending_with_a_document() {
    let mut lab = lab(Microsoft {
        undecided: Undecided::Pending,
        ..Microsoft::default()
    });
    lab.watch_carried(
        "c1",
        ASKED,
        &["Subscription-State: pending;expires=3600", CLOSED],
    );
}

#[test]
fn whatever_ends_presence_carries_a_closed_document() {
    let mut denied = lab(Microsoft::default());
    let mut watch = shown(&mut denied);
    denied.alice_is("", "unsubscribed", "");
    denied.notified(&mut watch, &["terminated;reason=rejected", CLOSED]);

    let mut blocked = lab(Microsoft::default());
    let mut watch = shown(&mut blocked);
    for verdict in [Verdict::Block, Verdict::Confirm, Verdict::PoliteBlock] {
        block(&mut blocked, verdict);
        blocked.notified(&mut watch, &["active;", CLOSED]);
        block(&mut blocked, Verdict::Allow);
        blocked.notified(&mut watch, &["active;", OPEN]);
        blocked.pass(seconds(10));
    }
    block(&mut blocked, Verdict::Block);
    blocked.notified(&mut watch, &["active;", CLOSED]);
    blocked.watch_carried("c2", ASKED, &["active;", CLOSED]);
    blocked.nothing();

    let mut silent = lab(Microsoft::default());
    silent.watch_carried("c1", ASKED, &[CLOSED]);
    silent.asked(&["type=\"subscribe\""]);
    silent.pass(seconds(60));
    silent.alice_is("", "subscribed", "");
    let fetch = format!("{ASKED}Expires: 0\r\n");
    let answer = silent.bob_subscribes("c2", &fetch, 200);
    assert!(text_of(&answer).contains("\r\nExpires: 0\r\n"));
    let notify = text_of(&silent.next_sip("NOTIFY "));
    assert!(
        notify.contains("terminated;reason=timeout") && notify.contains(CLOSED),
        "{notify}"
    );

    let mut unknown = lab(Microsoft::default());
    block(&mut unknown, Verdict::Block);
    unknown.bob_subscribes("c1", ASKED, 403);
    unknown.nothing();
}

#[test]
fn no_subscription_is_answered_400() {
    let mut lab = lab(Microsoft::default());
    let nobody =
        subscribe("c9", ASKED).replace("sip:alice@xmpp.example SIP", "sip:%ff@xmpp.example SIP");
    lab.request(&nobody);
    lab.next_sip("SIP/2.0 404 ");

    let mut watch = shown(&mut lab);
    lab.in_dialog(&mut watch, "Expires: soon\r\n", 481);
}

#[test]
fn an_answer_that_waits_is_called_back_and_goes_out_closed() {
    let mut lab = lab(Microsoft::default());
    let mut watch = shown(&mut lab);
    let answer = lab.bob_subscribes("c2", ASKED, 200);
    assert!(text_of(&answer).contains(OPEN));

    block(&mut lab, Verdict::Block);
    assert!(lab.recalled.contains(&answer.key.as_ref().unwrap().lane));
    lab.give_back(&answer, Lapse::Recalled);

    lab.notified(&mut watch, &[CLOSED]);
    let notify = text_of(&lab.next_sip("NOTIFY "));
    assert!(notify.contains(CLOSED), "{notify}");
    let answer = text_of(&lab.next_sip("SIP/2.0 200 "));
    assert!(
        answer.contains(CLOSED) && answer.contains("ms-piggyback-cseq: 1\r\n"),
        "{answer}"
    );
    lab.nothing();
}

#[test]
fn a_repeated_subscribe_is_not_shown_again_what_its_answer_showed() {
    let mut lab = lab(Microsoft::default());
    shown(&mut lab);
    let answer = lab.bob_subscribes("c2", ASKED, 200);
    assert!(text_of(&answer).contains(OPEN));
    lab.hand_over(&answer);

    let repeated = text_of(&lab.bob_subscribes("c2", ASKED, 200));

    assert!(repeated.contains("\r\nContent-Length: 0\r\n"), "{repeated}");
    lab.nothing();
}

#[test]
fn an_answer_that_was_not_sent_is_made_good_by_a_notify() {
    let mut lab = lab(Microsoft::default());
    let mut watch = shown(&mut lab);
    let headers = "Supported: ms-piggyback-first-notify\r\n";
    lab.refresh_in_vain(&mut watch, headers);

    lab.pass(seconds(1));

    lab.notified(&mut watch, &["active;", OPEN]);
    lab.nothing();
}

#[test]
fn dialogs_survive_a_restart_and_show_what_changed_meanwhile() {
    let mut lab = lab(Microsoft::default());
    let mut watch = shown(&mut lab);

    lab.restart_with_peers();

    lab.asked(&["type=\"probe\""]);
    lab.alice_is("balcony", "", "<show>away</show>");
    lab.pass(Duration::from_secs(1));
    let notify = lab.notified(&mut watch, &["active;", OPEN]);
    assert!(notify.contains("away"), "{notify}");
    lab.pass(limits::PROBE_ANSWER_TIME);
    lab.nothing();
}
