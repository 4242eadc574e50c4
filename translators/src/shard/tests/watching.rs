//! An XMPP user watches a SIP user: the stories of a subscription.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::limits;
use crate::model::Role;
use crate::policy::{Subject, Verdict};
use crate::shard::tests::lab::{Lab, seconds, text_of};
use crate::shard::tests::presence_lab::{PHONE, Theirs, cseq, pair, sip_request};
use crate::shard::{Command, Event, Filter, Input, Lapse};

const AWAY: &str = "<tuple id='ID-phone'><status><basic>open</basic>\
    <show xmlns='jabber:client'>away</show></status></tuple>";
const CLOSED: &str = "<tuple id='ID-phone'><status><basic>closed</basic></status></tuple>";

#[test]
fn a_contact_is_added_and_approved() {
    let mut lab = Lab::new();

    let number = lab.alice("subscribe");

    assert!(lab.is_settled(number));
    assert!(lab.relations.contains_key(&(pair(), Role::Subscriber)));
    let subscribe = lab.next_subscribe(3_600);
    let request = sip_request(&subscribe);
    assert_eq!(request.uri().unwrap().as_str(), "sip:bob@sip.example");
    assert_eq!(
        request.from().unwrap().uri().as_str(),
        "sip:alice@xmpp.example"
    );
    lab.answer_subscribe(&subscribe, 200, "Expires: 3600\r\n");
    let mut dialog = Theirs::of(&subscribe);
    assert_eq!(lab.notify(&mut dialog, "pending;expires=3600", None), 200);
    lab.nothing();
    assert_eq!(
        lab.notify(&mut dialog, "active;expires=3600", Some(PHONE)),
        200
    );
    lab.next_presence(&["type=\"subscribed\""]);
    lab.next_presence(&["from=\"bob@sip.example/phone\""]);
    lab.nothing();

    assert_eq!(
        lab.notify(&mut dialog, "active;expires=3600", Some(PHONE)),
        200
    );
    lab.nothing();
    assert_eq!(
        lab.notify(&mut dialog, "active;expires=3600", Some(AWAY)),
        200
    );
    lab.next_presence(&["<show>away</show>"]);
    assert_eq!(
        lab.notify(&mut dialog, "active;expires=3600", Some(CLOSED)),
        200
    );
    lab.next_presence(&["type=\"unavailable\"", "/phone\""]);
    lab.nothing();
}

#[test]
fn a_request_is_refused() {
    let mut lab = Lab::new();
    lab.alice("subscribe");
    let subscribe = lab.next_subscribe(3_600);

    lab.answer_subscribe(&subscribe, 403, "");

    lab.next_presence(&["type=\"unsubscribed\""]);
    lab.nothing();
    lab.alice("subscribe");
    lab.next_presence(&["type=\"unsubscribed\""]);
    lab.nothing();
    lab.pass(seconds(61));
    lab.alice("subscribe");
    lab.next_subscribe(3_600);
}

#[test]
fn a_notification_comes_before_the_answer() {
    let mut lab = Lab::new();
    lab.alice("subscribe");
    let subscribe = lab.next_subscribe(3_600);
    let mut dialog = Theirs::of(&subscribe);

    assert_eq!(
        lab.notify(&mut dialog, "active;expires=3600", Some(PHONE)),
        200
    );

    lab.next_presence(&["type=\"subscribed\""]);
    lab.next_presence(&["/phone\""]);
    lab.answer_subscribe(&subscribe, 200, "Expires: 3600\r\n");
    lab.nothing();
    assert!(!lab.shard.is_busy());
}

#[test]
fn another_branch_of_a_forked_subscription_is_refused() {
    let mut lab = Lab::new();
    let mut dialog = lab.watched_bob();

    let mut fork = dialog.clone();
    fork.own = "c".to_owned();
    assert_eq!(
        lab.notify(&mut fork, "active;expires=3600", Some(AWAY)),
        481
    );
    lab.nothing();
    assert_eq!(
        lab.notify(&mut dialog, "active;expires=3600", Some(AWAY)),
        200
    );
    lab.next_presence(&["<show>away</show>"]);
}

#[test]
fn notifications_out_of_order_change_nothing() {
    let mut lab = Lab::new();
    let mut dialog = lab.watched_bob();
    let late = dialog.clone();
    assert_eq!(
        lab.notify(&mut dialog, "active;expires=3600", Some(AWAY)),
        200
    );
    lab.next_presence(&["<show>away</show>"]);

    lab.pass(seconds(1));
    assert_eq!(
        lab.notify_again(&dialog, "active;expires=3600", Some(CLOSED)),
        200
    );
    assert_eq!(
        lab.notify_again(&late, "active;expires=3600", Some(CLOSED)),
        500
    );
    lab.nothing();
}

#[test]
fn a_subscription_is_refreshed_in_its_dialog() {
    let mut lab = Lab::new();
    let mut dialog = lab.watched_bob();
    let mut last = 1;
    for _ in 0..30 {
        lab.pass(seconds(3_240));
        let refresh = lab.next_subscribe(3_600);
        assert_eq!(Theirs::of(&refresh).call_id, dialog.call_id);
        assert!(cseq(&refresh) > last);
        last = cseq(&refresh);
        lab.answer_subscribe(&refresh, 200, "Expires: 3600\r\n");
        assert_eq!(
            lab.notify(&mut dialog, "active;expires=3600", Some(PHONE)),
            200
        );
        lab.nothing();
    }
}

#[test]
fn a_peer_that_forgot_a_dialog_gets_another_in_silence() {
    let mut lab = Lab::new();
    lab.watched_bob();
    lab.pass(seconds(3_240));
    let refresh = lab.next_subscribe(3_600);

    lab.answer_subscribe(&refresh, 481, "");

    let subscribe = lab.next_subscribe(3_600);
    assert_ne!(
        sip_request(&subscribe).call_id(),
        sip_request(&refresh).call_id()
    );
    let mut dialog = Theirs::of(&subscribe);
    assert_eq!(
        lab.notify(&mut dialog, "active;expires=3600", Some(PHONE)),
        200
    );
    lab.nothing();
}

#[test]
fn a_subscription_expires_and_what_was_shown_a_little_later() {
    let mut lab = Lab::new();
    let mut dialog = lab.watched_bob();
    assert_eq!(
        lab.notify(&mut dialog, "active;expires=100", Some(PHONE)),
        200
    );
    let end = lab.now.mono + seconds(100);
    while lab.now.mono < end {
        lab.pass(seconds(1));
        while let Some(refresh) = lab.try_next() {
            lab.hand_over(&refresh);
            lab.answer_subscribe(&refresh, 500, "");
        }
    }
    lab.pass(limits::STALE_GRACE + seconds(5));

    // The next attempts come while what is shown is still believed.
    let mut shown = Vec::new();
    while let Some(transmit) = lab.try_next() {
        shown.push(text_of(&transmit));
    }
    let gone = shown.iter().filter(|text| text.contains("unavailable"));
    assert_eq!(gone.count(), 1, "{shown:?}");
    assert!(!shown.iter().any(|text| text.contains("unsubscribed")));
}

#[test]
fn a_contact_is_removed() {
    let mut lab = Lab::new();
    let mut dialog = lab.watched_bob();

    lab.alice("unsubscribe");

    let end = lab.next_subscribe(0);
    lab.nothing();
    assert_eq!(
        lab.notify(&mut dialog, "active;expires=3600", Some(AWAY)),
        200
    );
    lab.nothing();
    lab.answer_subscribe(&end, 200, "Expires: 0\r\n");
    lab.next_presence(&["type=\"unavailable\"", "/phone\""]);
    lab.next_presence(&["type=\"unsubscribed\""]);
    assert_eq!(
        lab.notify(&mut dialog, "terminated;reason=timeout", None),
        200
    );
    lab.nothing();
    assert!(lab.relations.is_empty() && lab.documents.is_empty());
    assert_eq!(
        lab.notify(&mut dialog, "active;expires=3600", Some(AWAY)),
        481
    );
}

#[test]
fn a_contact_is_removed_before_anything_came() {
    let mut lab = Lab::new();
    lab.alice("subscribe");
    let subscribe = lab.next_subscribe(3_600);

    lab.alice("unsubscribe");

    lab.next_presence(&["type=\"unsubscribed\""]);
    lab.nothing();
    let mut dialog = Theirs::of(&subscribe);
    assert_eq!(
        lab.notify(&mut dialog, "active;expires=3600", Some(PHONE)),
        200
    );
    let end = lab.next_subscribe(0);
    lab.answer_subscribe(&end, 200, "Expires: 0\r\n");
    lab.pass(limits::TIMER_F + seconds(1));
    lab.nothing();
    assert!(lab.relations.is_empty());
}

/// The predecessor's contact that shows nothing when it is added again.
#[test]
fn a_contact_is_removed_and_added_a_thousand_times() {
    let mut lab = Lab::new();
    let mut dialog = lab.watched_bob();
    for round in 0..1_000 {
        lab.pass(seconds(1));
        lab.alice("unsubscribe");
        let end = lab.next_subscribe(0);
        let early = round % 3 == 0;
        if early {
            lab.alice("subscribe");
        }
        lab.answer_subscribe(&end, 200, "Expires: 0\r\n");
        lab.next_presence(&["type=\"unavailable\"", "/phone\""]);
        if !early {
            lab.next_presence(&["type=\"unsubscribed\""]);
            lab.alice("subscribe");
        }
        lab.nothing();
        assert_eq!(
            lab.notify(&mut dialog, "terminated;reason=timeout", None),
            200
        );
        let subscribe = lab.next_subscribe(3_600);
        let fresh = Theirs::of(&subscribe);
        assert_ne!(fresh.call_id, dialog.call_id);
        dialog = fresh;
        lab.answer_subscribe(&subscribe, 200, "Expires: 3600\r\n");
        assert_eq!(
            lab.notify(&mut dialog, "active;expires=3600", Some(PHONE)),
            200
        );
        lab.next_presence(&["type=\"subscribed\""]);
        lab.next_presence(&["/phone\""]);
        lab.nothing();
    }
}

/// The watcher's server forgot the contact and asks again while we still have it.
#[test]
fn a_repeated_request_is_answered_with_all_there_is() {
    let mut lab = Lab::new();
    lab.watched_bob();
    for _ in 0..1_000 {
        lab.alice("subscribe");
        lab.next_presence(&["type=\"subscribed\""]);
        lab.next_presence(&["/phone\""]);
        lab.nothing();
    }
}

#[test]
fn a_probe_is_answered_where_it_came_from() {
    let mut lab = Lab::new();
    lab.watched_bob();

    lab.presence("alice@xmpp.example/balcony", "bob@sip.example", "probe");

    lab.next_presence(&["to=\"alice@xmpp.example/balcony\"", "/phone\""]);
    lab.nothing();
}

#[test]
fn a_probe_heals_what_was_lost() {
    let mut lab = Lab::new();

    lab.presence("alice@xmpp.example/balcony", "bob@sip.example", "probe");

    let subscribe = lab.next_subscribe(3_600);
    let mut dialog = Theirs::of(&subscribe);
    assert_eq!(
        lab.notify(&mut dialog, "active;expires=3600", Some(PHONE)),
        200
    );
    lab.next_presence(&["/phone\""]);
    lab.nothing();
}

#[test]
fn a_restart_keeps_dialogs_and_shows_the_current_state() {
    let mut lab = Lab::new();
    let mut dialog = lab.watched_bob();
    lab.pass(seconds(10));

    lab.restart_with_peers();

    let refresh = lab.next_subscribe(3_600);
    assert_eq!(Theirs::of(&refresh).call_id, dialog.call_id);
    assert_eq!(cseq(&refresh), 101, "a new block");
    lab.nothing();
    lab.answer_subscribe(&refresh, 200, "Expires: 3600\r\n");
    assert_eq!(
        lab.notify(&mut dialog, "active;expires=3600", Some(PHONE)),
        200
    );
    lab.next_presence(&["/phone\""]);
    lab.nothing();
}

#[test]
fn a_restart_after_which_a_dialog_is_unknown_shows_nothing_wrong() {
    let mut lab = Lab::new();
    lab.watched_bob();

    lab.restart_with_peers();

    let refresh = lab.next_subscribe(3_600);
    lab.answer_subscribe(&refresh, 481, "");
    let subscribe = lab.next_subscribe(3_600);
    let mut dialog = Theirs::of(&subscribe);
    let desk = PHONE.replace("ID-phone", "ID-desk");
    assert_eq!(
        lab.notify(&mut dialog, "active;expires=3600", Some(&desk)),
        200
    );
    lab.next_presence(&["type=\"unavailable\"", "/phone\""]);
    lab.next_presence(&["/desk\""]);
    lab.nothing();
}

#[test]
fn a_short_loss_of_the_link_is_not_seen() {
    let mut lab = Lab::new();
    lab.watched_bob();

    lab.peer("sip-peer", false);
    lab.pass(seconds(20));
    lab.peer("sip-peer", true);
    lab.pass(seconds(600));

    lab.nothing();
}

#[test]
fn a_long_loss_of_the_link_takes_the_state_and_nothing_else() {
    let mut lab = Lab::new();
    let mut dialog = lab.watched_bob();

    lab.peer("sip-peer", false);
    lab.pass(limits::STALE_GRACE - seconds(1));
    lab.nothing();
    lab.pass(seconds(2));
    lab.next_presence(&["type=\"unavailable\"", "/phone\""]);
    lab.pass(seconds(2 * 3_600));
    lab.nothing();

    lab.peer("sip-peer", true);
    let refresh = lab.next_subscribe(3_600);
    assert_eq!(Theirs::of(&refresh).call_id, dialog.call_id);
    lab.answer_subscribe(&refresh, 200, "Expires: 3600\r\n");
    assert_eq!(lab.notify(&mut dialog, "active;expires=3600", None), 200);
    lab.next_presence(&["/phone\""]);
    lab.nothing();
}

#[test]
fn a_block_takes_the_state_back_and_keeps_the_grant() {
    let mut lab = Lab::new();
    let mut dialog = lab.watched_bob();

    lab.decides(Subject::Pair(pair()), Verdict::Block);

    lab.next_presence(&["type=\"unavailable\"", "/phone\""]);
    let end = lab.next_subscribe(0);
    lab.answer_subscribe(&end, 200, "Expires: 0\r\n");
    assert_eq!(
        lab.notify(&mut dialog, "terminated;reason=timeout", Some(AWAY)),
        200
    );
    lab.nothing();
    lab.pass(seconds(24 * 3_600));
    lab.nothing();

    lab.decides(Subject::Pair(pair()), Verdict::Allow);
    let subscribe = lab.next_subscribe(3_600);
    let mut dialog = Theirs::of(&subscribe);
    assert_eq!(
        lab.notify(&mut dialog, "active;expires=3600", Some(PHONE)),
        200
    );
    lab.next_presence(&["/phone\""]);
    lab.nothing();
}

#[test]
fn what_waits_when_a_block_comes_is_not_shown() {
    let mut lab = Lab::new();
    let mut dialog = lab.watched_bob();
    assert_eq!(
        lab.notify(&mut dialog, "active;expires=3600", Some(AWAY)),
        200
    );

    lab.decides(Subject::Pair(pair()), Verdict::PoliteBlock);

    lab.next_presence(&["type=\"unavailable\"", "/phone\""]);
    lab.next_subscribe(0);
    lab.nothing();
}

#[test]
fn a_request_is_held_until_the_operator_decides() {
    let mut lab = Lab::new();
    lab.decides(Subject::Pair(pair()), Verdict::Confirm);

    lab.alice("subscribe");
    lab.nothing();
    lab.restart_with_peers();
    lab.nothing();
    lab.decides(Subject::Pair(pair()), Verdict::Allow);

    lab.next_subscribe(3_600);
}

#[test]
fn a_grant_is_taken_back_by_a_peer_that_is_believed() {
    let mut lab = Lab::new();
    lab.watched_bob();
    lab.pass(seconds(3_240));
    let refresh = lab.next_subscribe(3_600);

    lab.answer_subscribe(&refresh, 403, "");

    lab.nothing();
    assert!(
        lab.events
            .iter()
            .any(|event| matches!(event, Event::GrantRefused { .. }))
    );
    lab.pass(limits::REFUSAL_HELD);
    lab.next_presence(&["type=\"unavailable\"", "/phone\""]);
    lab.next_presence(&["type=\"unsubscribed\""]);
    lab.nothing();
}

#[test]
fn a_peer_that_refuses_everybody_is_not_believed() {
    let mut lab = Lab::new();
    lab.watched_bob();
    lab.pass(seconds(3_240));
    let refresh = lab.next_subscribe(3_600);
    lab.answer_subscribe(&refresh, 403, "");

    let suspect = Input::PeerSuspect(refresh.peer.clone(), true);
    lab.input(suspect);
    lab.pass(seconds(5));

    lab.nothing();
    lab.pass(seconds(40));
    let subscribe = lab.next_subscribe(3_600);
    let mut dialog = Theirs::of(&subscribe);
    assert_eq!(
        lab.notify(&mut dialog, "active;expires=3600", Some(PHONE)),
        200
    );
    lab.nothing();
}

#[test]
fn a_longer_interval_is_asked_for_once() {
    let mut lab = Lab::new();
    lab.alice("subscribe");
    let subscribe = lab.next_subscribe(3_600);

    lab.answer_subscribe(&subscribe, 423, "Min-Expires: 7200\r\n");

    let again = lab.next_subscribe(7_200);
    assert_eq!(cseq(&again), 2);
    assert_eq!(
        sip_request(&again).call_id(),
        sip_request(&subscribe).call_id()
    );
    lab.answer_subscribe(&again, 423, "Min-Expires: 9000\r\n");
    lab.nothing();
}

#[test]
fn a_peer_that_cannot_be_reached_is_asked_again() {
    let mut lab = Lab::new();
    lab.alice("subscribe");
    let mut pauses = Vec::new();
    for _ in 0..8 {
        let subscribe = lab.next_sip("SUBSCRIBE ");
        lab.unreachable(&subscribe);
        let before = lab.now.mono;
        while lab.is_quiet() {
            lab.pass(Duration::from_secs(1));
        }
        pauses.push(lab.now.mono.since(before).as_secs());
    }
    let expected = [30, 60, 120, 300, 900, 1_800, 3_600, 3_600];
    for (pause, expected) in pauses.iter().zip(expected) {
        let around = expected * 8 / 10..=expected * 12 / 10 + 1;
        assert!(around.contains(pause), "{pause} for {expected}");
    }
}

#[test]
fn more_contacts_than_allowed_are_refused_with_an_error() {
    let mut lab = Lab::new();
    for number in 0..limits::CONTACTS_AND_WATCHERS {
        let contact = format!("user{number}@sip.example");
        lab.presence("alice@xmpp.example", &contact, "subscribe");
        lab.next_sip("SUBSCRIBE ");
    }

    lab.alice("subscribe");

    lab.next_presence(&["type=\"error\"", "policy-violation", "150 contacts"]);
    lab.next_presence(&["type=\"unsubscribed\""]);
    lab.nothing();
}

#[test]
fn a_full_store_takes_no_new_contact_and_lets_the_others_be() {
    let mut lab = Lab::new();
    let mut dialog = lab.watched_bob();

    lab.input(Input::StoreReadOnly(true));
    lab.presence("alice@xmpp.example", "carol@sip.example", "subscribe");
    lab.next_presence(&["type=\"error\"", "resource-constraint"]);
    lab.next_presence(&["type=\"unsubscribed\""]);
    assert_eq!(
        lab.notify(&mut dialog, "active;expires=3600", Some(AWAY)),
        200
    );
    lab.next_presence(&["<show>away</show>"]);
    lab.disk_full = true;
    assert_eq!(lab.notify(&mut dialog, "pending;expires=3600", None), 200);
    lab.next_presence(&["type=\"unavailable\""]);
    lab.nothing();

    lab.disk_full = false;
    lab.input(Input::StoreReadOnly(false));
    lab.restart_with_peers();
    lab.next_subscribe(3_600);
    lab.nothing();
}

#[test]
fn a_stanza_that_got_lost_is_said_again() {
    let mut lab = Lab::new();
    lab.alice("subscribe");
    let subscribe = lab.next_subscribe(3_600);
    let mut dialog = Theirs::of(&subscribe);
    assert_eq!(
        lab.notify(&mut dialog, "active;expires=3600", Some(PHONE)),
        200
    );
    let subscribed = lab.next();
    let presence = lab.next();

    lab.unreachable(&subscribed);
    lab.unreachable(&presence);
    lab.nothing();
    lab.pass(limits::TELL_AGAIN + seconds(13));

    lab.next_presence(&["type=\"subscribed\""]);
    lab.next_presence(&["/phone\""]);
    lab.nothing();
}

#[test]
fn a_full_queue_makes_a_subscription_wait_for_its_turn() {
    let mut lab = Lab::new();
    lab.watched_bob();
    lab.pass(seconds(3_240));
    for _ in 0..3 {
        let refresh = lab.next_sip("SUBSCRIBE ");
        lab.give_back(&refresh, Lapse::Full);
        lab.nothing();
        lab.pass(seconds(1));
    }

    let refresh = lab.next_subscribe(3_600);
    lab.answer_subscribe(&refresh, 200, "Expires: 3600\r\n");
    lab.nothing();
}

/// Everybody's state after a start, with no peer or user doing anything, and no more than a window
/// of it under way.
#[test]
fn many_subscriptions_are_fresh_after_a_start() {
    let mut lab = Lab::new();
    let mut dialogs = BTreeMap::new();
    for number in 0..2_500 {
        let user = format!("user{number}@xmpp.example");
        lab.presence(&user, "bob@sip.example", "subscribe");
        let subscribe = lab.next_subscribe(3_600);
        let mut dialog = Theirs::of(&subscribe);
        assert_eq!(
            lab.notify(&mut dialog, "active;expires=3600", Some(PHONE)),
            200
        );
        lab.next_presence(&["type=\"subscribed\""]);
        lab.next_presence(&["/phone\""]);
        lab.answer_subscribe(&subscribe, 200, "Expires: 3600\r\n");
        dialogs.insert(dialog.call_id.clone(), dialog);
    }
    lab.pass(seconds(60));

    lab.restart_with_peers();

    let mut refreshed = 0;
    while refreshed < dialogs.len() {
        let under_way: Vec<_> = std::iter::from_fn(|| lab.try_next()).collect();
        assert!(
            under_way.len() <= limits::RECOVERY_UNDER_WAY,
            "{}",
            under_way.len()
        );
        for refresh in &under_way {
            lab.hand_over(refresh);
        }
        for refresh in under_way {
            let asked = Theirs::of(&refresh);
            let later: Vec<_> = std::iter::from_fn(|| lab.try_next()).collect();
            assert!(
                later
                    .iter()
                    .all(|one| text_of(one).starts_with("SUBSCRIBE"))
            );
            let dialog = dialogs.get_mut(&asked.call_id).expect("a dialog of before");
            assert_eq!(lab.notify(dialog, "active;expires=3600", Some(PHONE)), 200);
            lab.next_presence(&["/phone\""]);
            lab.nothing();
            lab.answer_subscribe(&refresh, 200, "Expires: 3600\r\n");
            refreshed += 1;
            lab.put_back(later);
        }
        lab.pass(limits::RECOVERY_PAUSE);
    }
    assert!(!lab.shard.is_busy());
    lab.pass(seconds(60));
    lab.nothing();
}

#[test]
fn the_operator_lists_resyncs_and_drops() {
    let mut lab = Lab::new();
    let mut dialog = lab.watched_bob();

    let relations = lab.list(&Filter {
        user: Some(pair().jid.clone()),
        most: 10,
        ..Filter::default()
    });
    let [relation] = relations.as_slice() else {
        panic!("{relations:?}");
    };
    assert_eq!(
        (relation.state, relation.granted, relation.available),
        ("Active", true, 1)
    );
    assert_eq!(relation.dialogs.len(), 1);

    lab.command(Command::Resync(pair()));
    lab.next_presence(&["/phone\""]);
    let refresh = lab.next_subscribe(3_600);
    lab.answer_subscribe(&refresh, 200, "Expires: 3600\r\n");
    assert_eq!(
        lab.notify(&mut dialog, "active;expires=3600", Some(PHONE)),
        200
    );
    lab.nothing();

    lab.command(Command::Drop(pair(), None));
    lab.next_presence(&["type=\"unavailable\"", "/phone\""]);
    let end = lab.next_subscribe(0);
    lab.answer_subscribe(&end, 200, "Expires: 0\r\n");
    assert_eq!(
        lab.notify(&mut dialog, "terminated;reason=timeout", None),
        200
    );
    lab.nothing();
    assert!(lab.relations.is_empty());
}

#[test]
fn a_deleted_presentity_is_forgotten_aloud_and_a_deleted_watcher_in_silence() {
    let mut lab = Lab::new();
    lab.watched_bob();
    lab.command(Command::Forget(pair().aor.image().clone()));
    lab.next_presence(&["type=\"unavailable\"", "/phone\""]);
    lab.next_presence(&["type=\"unsubscribed\""]);
    lab.next_subscribe(0);
    lab.nothing();

    let mut lab = Lab::new();
    lab.watched_bob();
    lab.command(Command::Forget(pair().jid.clone()));
    lab.next_subscribe(0);
    lab.nothing();
}

/// A peer that comes back is asked once, however often its queue was full meanwhile.
#[test]
fn a_short_wait_for_room_asks_nobody_else_again() {
    let mut lab = Lab::new();
    let mut dialog = lab.watched_bob();
    lab.peer("sip-peer", false);
    lab.pass(seconds(60));
    lab.peer("sip-peer", true);
    let refresh = lab.next_subscribe(3_600);
    lab.answer_subscribe(&refresh, 200, "Expires: 3600\r\n");
    assert_eq!(
        lab.notify(&mut dialog, "active;expires=3600", Some(PHONE)),
        200
    );
    lab.nothing();

    lab.presence("carol@xmpp.example", "bob@sip.example", "subscribe");
    let subscribe = lab.next_sip("SUBSCRIBE ");
    lab.give_back(&subscribe, Lapse::Full);
    lab.pass(seconds(1));

    let subscribe = lab.next_subscribe(3_600);
    let from = sip_request(&subscribe).from().unwrap();
    assert_eq!(from.uri().as_str(), "sip:carol@xmpp.example");
    lab.nothing();
}

#[test]
fn a_device_whose_end_got_lost_is_taken_back_later() {
    let mut lab = Lab::new();
    let mut dialog = lab.watched_bob();
    let both = format!("{PHONE}{}", PHONE.replace("ID-phone", "ID-desk"));
    assert_eq!(
        lab.notify(&mut dialog, "active;expires=3600", Some(&both)),
        200
    );
    lab.next_presence(&["/desk\""]);

    lab.peer("xmpp-peer", false);
    assert_eq!(
        lab.notify(&mut dialog, "active;expires=3600", Some(PHONE)),
        200
    );
    let lost = lab.next();
    lab.unreachable(&lost);
    lab.nothing();
    lab.peer("xmpp-peer", true);

    lab.next_presence(&["type=\"unavailable\"", "/desk\""]);
    lab.next_presence(&["/phone\""]);
    lab.nothing();
}
