//! Bob watches Alice while peers come, go and forget.

use crate::limits;
use crate::shard::tests::lab::{AFTER_TIMER_F, Lab, seconds, text_of};
use crate::shard::tests::watched_lab::{PRESENCE, subscribe};
use crate::shard::{Answered, Command, Event, Lapse};

#[test]
fn a_restart_is_not_noticed() {
    let mut lab = Lab::new();
    let mut watch = lab.shown("c1");
    lab.restart();
    lab.peer("sip-peer", false);
    lab.peer("xmpp-peer", false);
    lab.pass(seconds(20));
    lab.nothing();
    lab.peer("sip-peer", true);
    lab.nothing();
    // A refresh is answered with what was known.
    lab.in_dialog(&mut watch, "", 200);
    lab.notified(&mut watch, &["active", "ID-balcony", "open"]);
    lab.peer("xmpp-peer", true);
    lab.asked(&["type=\"probe\""]);
    lab.nothing();
    lab.alice_is("balcony", "", "");
    lab.pass(seconds(1));
    lab.nothing();
}

#[test]
fn everybody_is_shown_the_present_state_after_a_restart() {
    let mut lab = Lab::new();
    let mut watch = lab.shown("c1");
    lab.restart_with_peers();
    lab.asked(&["type=\"probe\""]);
    lab.nothing();
    lab.alice_is("balcony", "", "");
    lab.pass(seconds(1));
    // The same as before the restart; it is shown all the same.
    lab.notified(&mut watch, &["active", "ID-balcony", "open"]);
    lab.pass(seconds(60));
    lab.nothing();
}

#[test]
fn silence_after_a_restart_means_offline() {
    let mut lab = Lab::new();
    let mut watch = lab.shown("c1");
    lab.restart_with_peers();
    let probe = lab.asking(&["type=\"probe\""]);
    lab.pass(seconds(30));
    lab.nothing();
    // An answer may have been swallowed in so long a time.
    lab.hand_over(&probe);
    lab.pass(seconds(1));
    lab.asked(&["type=\"probe\""]);
    lab.nothing();
    lab.pass(limits::PROBE_ANSWER_TIME);
    lab.pass(seconds(1));
    lab.notified(&mut watch, &["active", "closed"]);
}

#[test]
fn a_request_outlives_a_restart() {
    let mut lab = Lab::new();
    let mut watch = lab.watch("c1", &["pending"]);
    // It was stored and never sent.
    lab.asking(&["type=\"subscribe\""]);
    lab.restart_with_peers();
    lab.asked(&["type=\"subscribe\""]);
    lab.notified(&mut watch, &["pending"]);
    lab.nothing();
    lab.alice_is("", "subscribed", "");
    lab.alice_is("balcony", "", "");
    lab.pass(seconds(1));
    lab.notified(&mut watch, &["active", "open"]);

    lab.restart_with_peers();
    lab.asked(&["type=\"probe\""]);
    lab.alice_is("balcony", "", "");
    lab.pass(seconds(1));
    lab.notified(&mut watch, &["active", "open"]);
}

#[test]
fn a_grant_without_watcher_and_a_denial_outlive_a_restart() {
    let mut lab = Lab::new();
    let mut watch = lab.shown("c1");
    lab.in_dialog(&mut watch, "Expires: 0\r\n", 200);
    lab.notified(&mut watch, &["terminated"]);
    lab.asked(&["type=\"unavailable\""]);
    lab.restart_with_peers();
    lab.nothing();
    let mut watch = lab.watch("c2", &["active", "ID-balcony", "open"]);
    lab.asked(&["type=\"probe\""]);
    lab.asked(&["type=\"subscribe\""]);

    lab.alice_is("", "unsubscribed", "");
    lab.notified(&mut watch, &["terminated;reason=rejected"]);
    lab.restart_with_peers();
    lab.nothing();
    lab.bob_subscribes("c3", PRESENCE, 403);
    lab.pass(limits::DENY_HOLD);
    assert!(lab.relations.is_empty(), "the hold is over");
}

#[test]
fn numbers_grow_over_restarts() {
    let mut lab = Lab::new();
    let mut watch = lab.shown("c1");
    for round in 0..250 {
        lab.pass(seconds(10));
        let show = if round % 2 == 0 { "away" } else { "xa" };
        lab.alice_is("balcony", "", &format!("<show>{show}</show>"));
        lab.pass(seconds(1));
        lab.notified(&mut watch, &[show]);
        if round % 60 == 59 {
            lab.restart_with_peers();
            lab.asked(&["type=\"probe\""]);
            lab.alice_is("balcony", "", &format!("<show>{show}</show>"));
            lab.pass(seconds(1));
            lab.notified(&mut watch, &[show]);
        }
        if round % 100 == 0 {
            lab.in_dialog(&mut watch, "", 200);
            lab.notified(&mut watch, &[show]);
        }
    }
}

#[test]
fn a_short_loss_of_the_xmpp_peer_is_not_noticed() {
    let mut lab = Lab::new();
    let mut watch = lab.shown("c1");
    lab.peer("xmpp-peer", false);
    lab.pass(limits::STALE_GRACE.saturating_sub(seconds(1)));
    lab.peer("xmpp-peer", true);
    lab.pass(seconds(60));
    lab.nothing();
    // A refresh asks, since something may have been missed.
    lab.in_dialog(&mut watch, "", 200);
    lab.notified(&mut watch, &["open"]);
    lab.asked(&["type=\"probe\""]);
}

#[test]
fn a_long_loss_of_the_xmpp_peer_is_shown_and_healed() {
    let mut lab = Lab::new();
    let mut watch = lab.shown("c1");
    lab.peer("xmpp-peer", false);
    lab.pass(limits::STALE_GRACE);
    let text = lab.notified(&mut watch, &["active", "closed"]);
    assert!(!text.contains("open"), "{text}");
    lab.pass(seconds(300));
    lab.nothing();
    lab.peer("xmpp-peer", true);
    lab.asked(&["type=\"probe\""]);
    lab.alice_is("balcony", "", "");
    lab.pass(seconds(1));
    lab.notified(&mut watch, &["active", "ID-balcony", "open"]);
}

#[test]
fn a_device_that_vanished_during_a_loss_is_found_out() {
    let mut lab = Lab::new();
    let mut watch = lab.shown("c1");
    lab.alice_is("orchard", "", "");
    lab.pass(seconds(1));
    lab.notified(&mut watch, &["ID-balcony", "ID-orchard"]);
    lab.pass(seconds(10));
    lab.peer("xmpp-peer", false);
    lab.pass(seconds(20));
    lab.peer("xmpp-peer", true);
    lab.in_dialog(&mut watch, "", 200);
    lab.notified(&mut watch, &["ID-balcony", "ID-orchard"]);
    lab.asked(&["type=\"probe\""]);
    lab.alice_is("orchard", "", "");
    lab.pass(seconds(10));
    let text = lab.notified(&mut watch, &["ID-orchard", "ID-balcony"]);
    assert_eq!(text.matches(">open<").count(), 1, "{text}");
    lab.pass(seconds(60));
    lab.nothing();

    lab.alice_is("balcony", "", "");
    lab.pass(seconds(1));
    lab.notified(&mut watch, &["ID-balcony", "ID-orchard"]);
    lab.pass(seconds(10));
    lab.peer("xmpp-peer", false);
    lab.pass(limits::STALE_GRACE);
    lab.notified(&mut watch, &["active", "closed"]);
    lab.peer("xmpp-peer", true);
    lab.asked(&["type=\"probe\""]);
    lab.alice_is("orchard", "", "");
    lab.pass(seconds(10));
    let text = lab.notified(&mut watch, &["ID-orchard"]);
    assert_eq!(text.matches(">open<").count(), 1, "{text}");
    lab.pass(seconds(60));
    lab.nothing();
}

#[test]
fn nothing_ends_while_the_sip_peer_is_away() {
    let mut lab = Lab::new();
    let mut watch = lab.shown("c1");
    lab.peer("sip-peer", false);
    lab.alice_is("balcony", "", "<show>away</show>");
    lab.pass(seconds(7_200));
    lab.nothing();
    lab.peer("sip-peer", true);
    lab.notified(&mut watch, &["active;expires=0", ">away</show>"]);
    lab.pass(limits::REFRESH_AFTER_RETURN.saturating_sub(seconds(1)));
    lab.in_dialog(&mut watch, "", 200);
    lab.notified(&mut watch, &["active;expires=3600"]);
    lab.asked(&["type=\"probe\""]);
    lab.alice_is("balcony", "", "<show>away</show>");
    lab.peer("sip-peer", false);
    lab.pass(seconds(7_200));
    lab.peer("sip-peer", true);
    lab.pass(limits::REFRESH_AFTER_RETURN);
    lab.notified(&mut watch, &["terminated;reason=timeout"]);
    lab.asked(&["type=\"unavailable\""]);
}

#[test]
fn a_notification_that_was_lost_is_made_up_for() {
    let mut lab = Lab::new();
    let mut watch = lab.shown("c1");
    lab.alice_is("balcony", "", "<show>away</show>");
    lab.pass(seconds(1));
    let notify = lab.notification(&mut watch, &[">away</show>"]);
    lab.hand_over(&notify);
    lab.lose(&notify);
    lab.peer("sip-peer", false);
    lab.pass(AFTER_TIMER_F);
    lab.nothing();
    lab.peer("sip-peer", true);
    lab.notified(&mut watch, &["active", ">away</show>"]);

    lab.pass(seconds(10));
    lab.alice_is("balcony", "", "<show>dnd</show>");
    lab.pass(seconds(1));
    let notify = lab.notification(&mut watch, &[">dnd</show>"]);
    lab.give_back(&notify, Lapse::Full);
    lab.pass(seconds(1));
    lab.notified(&mut watch, &[">dnd</show>"]);

    lab.pass(seconds(10));
    lab.alice_is("balcony", "", "<show>xa</show>");
    lab.pass(seconds(1));
    let notify = lab.notification(&mut watch, &[">xa</show>"]);
    lab.give_back(&notify, Lapse::Replaced);
    lab.pass(seconds(60));
    lab.nothing();
}

#[test]
fn a_watcher_that_forgot_its_dialog_is_forgotten() {
    for status in [481, 404, 489, 603] {
        let mut lab = Lab::new();
        let mut watch = lab.shown("c1");
        lab.alice_is("balcony", "", "<show>away</show>");
        lab.pass(seconds(1));
        let notify = lab.notification(&mut watch, &["away"]);
        lab.hand_over(&notify);
        lab.answer_as(&notify, &watch, status);
        if status == 603 {
            // It may change its mind.
            lab.pass(limits::NOTIFY_AGAIN);
            lab.notified(&mut watch, &["away"]);
            lab.nothing();
            continue;
        }
        lab.asked(&["type=\"unavailable\""]);
        lab.in_dialog(&mut watch, "", 481);
        lab.watch("c2", &["active", "away"]);
    }
}

#[test]
fn a_watcher_that_does_not_answer_is_forgotten() {
    let mut lab = Lab::new();
    let mut watch = lab.shown("c1");
    lab.alice_is("balcony", "", "<show>away</show>");
    lab.pass(seconds(1));
    let notify = lab.notification(&mut watch, &["away"]);
    lab.pass(AFTER_TIMER_F);
    lab.nothing();
    lab.hand_over(&notify);
    lab.pass(AFTER_TIMER_F);
    lab.asked(&["type=\"unavailable\""]);
    lab.in_dialog(&mut watch, "", 481);
}

#[test]
fn a_refused_notification_is_sent_once_more() {
    let mut lab = Lab::new();
    let mut watch = lab.shown("c1");
    lab.alice_is("balcony", "", "<show>away</show>");
    lab.pass(seconds(1));
    for _ in 0..2 {
        let notify = lab.notification(&mut watch, &["away"]);
        lab.hand_over(&notify);
        lab.answer_as(&notify, &watch, 500);
        lab.pass(limits::NOTIFY_AGAIN);
    }
    lab.pass(seconds(600));
    lab.nothing();
    lab.in_dialog(&mut watch, "", 200);
    lab.notified(&mut watch, &["away"]);
}

#[test]
fn a_peer_that_wants_credentials_is_reported() {
    let mut lab = Lab::new();
    let mut watch = lab.shown("c1");
    lab.alice_is("balcony", "", "<show>away</show>");
    lab.pass(seconds(1));
    let notify = lab.notification(&mut watch, &["away"]);
    lab.hand_over(&notify);
    lab.answer_as(&notify, &watch, 407);
    let told = lab
        .events
        .iter()
        .any(|event| matches!(event, Event::SubscribeFault { status: 407, .. }));
    assert!(told);
    lab.pass(seconds(60));
    lab.nothing();
    lab.in_dialog(&mut watch, "", 200);
    lab.notified(&mut watch, &["away"]);
}

#[test]
fn errors_of_the_xmpp_side_are_told_apart() {
    let error = |condition: &str, kind: &str| {
        format!(
            "<error type='{kind}'><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
        )
    };
    for (condition, reason) in [
        ("item-not-found", "noresource"),
        ("gone", "noresource"),
        ("forbidden", "rejected"),
        ("not-allowed", "rejected"),
    ] {
        let mut lab = Lab::new();
        let mut watch = lab.watch("c1", &["pending"]);
        lab.asked(&["type=\"subscribe\""]);
        lab.alice_is("", "error", &error(condition, "cancel"));
        lab.notified(&mut watch, &["terminated", reason]);
    }
    let mut lab = Lab::new();
    let mut watch = lab.watch("c1", &["pending"]);
    lab.asked(&["type=\"subscribe\""]);
    lab.alice_is("", "error", &error("remote-server-timeout", "wait"));
    lab.nothing();
    lab.pass(limits::ASK_AGAIN_FIRST);
    lab.asked(&["type=\"subscribe\""]);
    lab.alice_is("", "subscribed", "");
    lab.pass(seconds(1));
    lab.notified(&mut watch, &["active"]);
    lab.pass(limits::PRESENCE_FOLLOWS);
    lab.asked(&["type=\"probe\""]);
}

#[test]
fn a_request_that_could_not_be_sent_is_tried_again() {
    let mut lab = Lab::new();
    lab.watch("c1", &["pending"]);
    let request = lab.asking(&["type=\"subscribe\""]);
    lab.give_back(&request, Lapse::Expired);
    lab.nothing();
    lab.pass(limits::ASK_AGAIN_FIRST);
    let request = lab.asking(&["type=\"subscribe\""]);
    lab.lose(&request);
    lab.pass(limits::ASK_AGAIN_FIRST);
    lab.nothing();
    lab.pass(limits::ASK_AGAIN_FIRST);
    lab.asked(&["type=\"subscribe\""]);
}

#[test]
fn a_notification_that_goes_in_a_circle_is_reported() {
    for status in [482, 483, 484, 485] {
        let mut lab = Lab::new();
        let mut watch = lab.shown("c1");
        lab.alice_is("balcony", "", "<show>away</show>");
        lab.pass(seconds(1));
        let notify = lab.notification(&mut watch, &["away"]);
        lab.hand_over(&notify);
        lab.answer_as(&notify, &watch, status);
        let told = |event: &Event| matches!(event, Event::SubscribeFault { status: it, .. } if *it == status);
        assert!(lab.events.iter().any(told), "{status}");
    }
}

#[test]
fn an_end_for_good_comes_to_everybody_little_by_little() {
    let mut lab = Lab::new();
    let many = limits::LEAVE_STEP + 1;
    for number in 0..many {
        let text = subscribe(&format!("c{number}"), PRESENCE)
            .replace("alice@xmpp.example", &format!("user{number}@xmpp.example"));
        lab.request(&text);
    }
    while lab.try_next().is_some() {}

    let mut left = Vec::new();
    let mut told = 0;
    for _ in 0..3 {
        left.push(lab.command(Command::DropSome));
        while let Some(sent) = lab.try_next() {
            let text = text_of(&sent);
            told += usize::from(text.contains("terminated;reason=deactivated"));
        }
    }

    let step = limits::LEAVE_STEP;
    let changed = [step, 1, 0].map(Answered::Changed);
    assert_eq!(left, changed);
    assert_eq!(told, many);
}
