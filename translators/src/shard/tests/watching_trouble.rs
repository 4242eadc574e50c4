//! An XMPP user watches a SIP user: what goes wrong, and what nobody notices of it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::limits;
use crate::shard::tests::lab::{Lab, seconds, text_of};
use crate::shard::tests::presence_lab::{AWAY, PHONE, Theirs, cseq, sip_request};
use crate::shard::{Event, Input, Lapse};

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
        // A peer that is slow is not asked more and more.
        lab.nothing();
        let mut later = Vec::new();
        for refresh in under_way {
            let asked = Theirs::of(&refresh);
            let dialog = dialogs.get_mut(&asked.call_id).expect("a dialog of before");
            assert_eq!(lab.notify(dialog, "active;expires=3600", Some(PHONE)), 200);
            lab.next_presence(&["/phone\""]);
            lab.nothing();
            lab.answer_subscribe(&refresh, 200, "Expires: 3600\r\n");
            refreshed += 1;
            later.extend(std::iter::from_fn(|| lab.try_next()));
        }
        lab.put_back(later);
        lab.pass(limits::RECOVERY_PAUSE);
    }
    assert!(!lab.shard.is_busy());
    lab.pass(seconds(60));
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

#[test]
fn after_503_another_address_is_asked_once() {
    let mut lab = Lab::new();
    lab.alice("subscribe");
    let first = lab.next_subscribe(3_600);
    assert!(!first.elsewhere);

    lab.answer_subscribe(&first, 503, "Retry-After: 60\r\n");
    let second = lab.next_subscribe(3_600);

    assert!(second.elsewhere);
    assert_eq!(cseq(&second), cseq(&first));
    lab.answer_subscribe(&second, 503, "Retry-After: 60\r\n");
    lab.pass(seconds(59));
    lab.nothing();
    lab.pass(seconds(14));
    assert!(!lab.next_subscribe(3_600).elsewhere);
}

#[test]
fn what_was_to_be_taken_back_is_after_a_crash() {
    let mut lab = Lab::new();
    let mut dialog = lab.watched_bob();
    lab.peer("xmpp-peer", false);
    assert_eq!(lab.notify(&mut dialog, "pending;expires=3600", None), 200);
    lab.next();

    lab.restart_with_peers();

    let mut told = Vec::new();
    while let Some(transmit) = lab.try_next() {
        told.push(text_of(&transmit));
    }
    let gone = |text: &String| text.contains("unavailable") && text.contains("/phone");
    assert!(told.iter().any(gone), "{told:?}");
}
