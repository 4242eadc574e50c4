//! An XMPP user watches a SIP user: the life of a subscription.

use crate::limits;
use crate::model::Role;
use crate::policy::{Subject, Verdict};
use crate::shard::tests::lab::{Lab, seconds};
use crate::shard::tests::presence_lab::{AWAY, CLOSED, PHONE, Theirs, cseq, pair, sip_request};
use crate::shard::{Command, Filter};

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
fn a_benotify_says_what_a_notify_says_and_gets_no_answer() {
    let mut lab = Lab::new();
    let mut dialog = lab.watched_bob();

    lab.benotify(&mut dialog, "active;expires=3600", Some(AWAY));
    lab.next_presence(&["<show>away</show>"]);
    lab.nothing();

    let mut foreign = dialog.clone();
    foreign.own = "c".to_owned();
    lab.benotify(&mut foreign, "active;expires=3600", Some(CLOSED));
    lab.nothing();
    assert_eq!(lab.notify(&mut dialog, "active;expires=3600", None), 200);
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
fn the_operator_lists_resyncs_and_drops() {
    let mut lab = Lab::new();
    let mut dialog = lab.watched_bob();

    let relations = lab.list(&Filter {
        user: Some(pair().address().to_bare()),
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
    lab.command(Command::Forget(pair().address().to_bare()));
    lab.next_subscribe(0);
    lab.nothing();
}
