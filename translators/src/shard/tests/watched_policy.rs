//! Bob watches Alice, and the operator decides on the two.

use crate::limits;
use crate::model::{Accept, Role, SipProfile};
use crate::policy::{Subject, Verdict};
use crate::shard::Kind;
use crate::shard::tests::lab::{Lab, seconds, text_of};
use crate::shard::tests::presence_lab::pair;
use crate::shard::tests::watched_lab::{PRESENCE, Watch};

fn decided(lab: &mut Lab, verdict: Verdict) {
    lab.decides(Subject::Pair(pair()), verdict);
}

/// Bob's side is shown an offline user, who must not be told from one who is offline.
fn looks_offline(lab: &mut Lab, watch: &mut Watch) -> String {
    let text = lab.notified(watch, &["active;expires=", "closed"]);
    assert!(
        !text.contains("open") && !text.contains("balcony"),
        "{text}"
    );
    text
}

#[test]
fn a_block_acts_at_once_and_is_reversible() {
    for verdict in [Verdict::Block, Verdict::PoliteBlock] {
        let mut lab = Lab::new();
        let mut watch = lab.shown("c1");
        decided(&mut lab, verdict);
        looks_offline(&mut lab, &mut watch);
        lab.nothing();

        // Whatever Alice does now, Bob learns nothing of it, and she nothing of the block.
        lab.alice_is("balcony", "", "<show>dnd</show><status>Secret</status>");
        lab.alice_is("orchard", "", "");
        lab.pass(seconds(60));
        lab.nothing();
        lab.in_dialog(&mut watch, "", 200);
        looks_offline(&mut lab, &mut watch);
        let mut phone = lab.watch("c2", &["active", "closed"]);
        lab.bob_subscribes("f1", &format!("{PRESENCE}Expires: 0\r\n"), 200);
        let text = text_of(&lab.next_sip("NOTIFY "));
        assert!(text.contains("closed") && !text.contains("open"), "{text}");
        lab.nothing();

        decided(&mut lab, Verdict::Allow);
        for watch in [&mut watch, &mut phone] {
            lab.notified(watch, &["active", ">dnd</show>", "Secret", "ID-orchard"]);
        }
        lab.nothing();
        assert_eq!(lab.relations.len(), 1, "the grant stands");
    }
}

#[test]
fn what_waits_for_bob_is_called_back() {
    let mut lab = Lab::new();
    let mut watch = lab.shown("c1");
    lab.alice_is("balcony", "", "<status>Secret</status>");
    lab.pass(seconds(1));
    // The NOTIFY waits in the queue of Bob's peer.
    decided(&mut lab, Verdict::Block);

    let lane = lab.recalled.last().unwrap();
    assert_eq!(
        (&lane.pair, lane.kind),
        (&pair(), Kind::Presence(Role::Notifier))
    );
    looks_offline(&mut lab, &mut watch);
    lab.nothing();
    lab.pass(seconds(60));
    lab.nothing();
}

#[test]
fn the_answer_to_a_look_is_called_back_and_written_anew() {
    let mut lab = Lab::new();
    lab.shown("c1");
    lab.bob_subscribes("f1", &format!("{PRESENCE}Expires: 0\r\n"), 200);
    // Its NOTIFY waits in the queue of Bob's peer.
    decided(&mut lab, Verdict::Block);

    let mut sent = Vec::new();
    while let Some(transmit) = lab.try_next() {
        sent.push(text_of(&transmit));
    }
    let [one, other] = &sent[..] else {
        panic!("{sent:?}");
    };
    for text in [one, other] {
        assert!(text.contains("closed") && !text.contains("open"), "{text}");
    }
    assert!(
        sent.iter()
            .any(|text| text.contains("Call-ID: f1\r\n") && text.contains("CSeq: 2 "))
    );
}

#[test]
fn a_change_that_gathers_is_not_told_behind_a_block() {
    let mut lab = Lab::new();
    let mut watch = lab.shown("c1");
    lab.alice_is("balcony", "", "<status>Secret</status>");
    decided(&mut lab, Verdict::Block);
    looks_offline(&mut lab, &mut watch);
    lab.pass(seconds(60));
    lab.nothing();
}

#[test]
fn a_block_may_end_the_subscription() {
    let terminates = SipProfile {
        terminate_on_block: true,
        ..SipProfile::default()
    };
    let mut lab = Lab::with(Accept::Barrier, terminates);
    let mut watch = lab.shown("c1");
    decided(&mut lab, Verdict::Block);
    lab.notified(&mut watch, &["terminated;reason=rejected"]);
    lab.in_dialog(&mut watch, "", 481);
    decided(&mut lab, Verdict::Allow);
    lab.nothing();
    lab.watch("c2", &["active", "ID-balcony", "open"]);
}

#[test]
fn who_was_never_let_in_is_refused_by_a_block() {
    let mut lab = Lab::new();
    decided(&mut lab, Verdict::Block);
    lab.bob_subscribes("c1", PRESENCE, 403);
    lab.bob_subscribes("f1", &format!("{PRESENCE}Expires: 0\r\n"), 403);
    lab.nothing();
    assert!(lab.relations.is_empty());
}

#[test]
fn a_polite_block_looks_like_an_offline_user() {
    let mut lab = Lab::new();
    decided(&mut lab, Verdict::PoliteBlock);
    let mut watch = lab.watch("c1", &["active", "closed"]);
    lab.nothing();
    lab.alice_is("balcony", "", "");
    lab.pass(seconds(3_000));
    lab.nothing();
    lab.in_dialog(&mut watch, "", 200);
    looks_offline(&mut lab, &mut watch);

    decided(&mut lab, Verdict::Allow);
    lab.notified(&mut watch, &["pending"]);
    lab.asked(&["type=\"subscribe\""]);
    lab.nothing();
}

#[test]
fn a_request_is_held_until_the_operator_decides() {
    for (verdict, status) in [(Verdict::Allow, 200), (Verdict::Block, 403)] {
        let mut lab = Lab::new();
        decided(&mut lab, Verdict::Confirm);
        let mut watch = lab.watch("c1", &["pending"]);
        lab.nothing();
        lab.pass(seconds(600));
        lab.in_dialog(&mut watch, "", 200);
        lab.notified(&mut watch, &["pending"]);
        decided(&mut lab, verdict);
        match verdict {
            Verdict::Allow => {
                lab.asked(&["type=\"subscribe\""]);
                lab.pass(seconds(60));
                lab.alice_is("", "subscribed", "");
                lab.pass(seconds(1));
                lab.notified(&mut watch, &["active"]);
            }
            Verdict::Block | Verdict::Confirm | Verdict::PoliteBlock => {
                looks_offline(&mut lab, &mut watch);
            }
        }
        lab.nothing();
        lab.bob_subscribes("c2", PRESENCE, status);
    }
}

#[test]
fn a_live_subscription_may_be_held() {
    let mut lab = Lab::new();
    let mut watch = lab.shown("c1");
    decided(&mut lab, Verdict::Confirm);
    lab.notified(&mut watch, &["pending", "Content-Length: 0"]);
    lab.alice_is("balcony", "", "<show>away</show>");
    lab.pass(seconds(60));
    lab.nothing();
    decided(&mut lab, Verdict::Allow);
    lab.notified(&mut watch, &["active", ">away</show>"]);
}

#[test]
fn a_decision_ends_the_hold_of_a_denial() {
    let mut lab = Lab::new();
    let mut watch = lab.watch("c1", &["pending"]);
    lab.asked(&["type=\"subscribe\""]);
    lab.alice_is("", "unsubscribed", "");
    lab.notified(&mut watch, &["terminated;reason=rejected"]);
    lab.bob_subscribes("c2", PRESENCE, 403);
    decided(&mut lab, Verdict::Allow);
    lab.watch("c3", &["pending"]);
    lab.asked(&["type=\"subscribe\""]);
}

#[test]
fn a_rule_of_the_federation_blocks_like_any_other() {
    let mut lab = Lab::new();
    let mut watch = lab.shown("c1");
    lab.denies("bob@sip.example");
    looks_offline(&mut lab, &mut watch);
    lab.pass(limits::ASK_SPACING);
    lab.nothing();
}

#[test]
fn a_block_that_came_while_the_process_was_away_holds() {
    let mut lab = Lab::new();
    let mut watch = lab.shown("c1");
    lab.shard_is_killed_while_the_operator_decides(Subject::Pair(pair()), Verdict::Block);
    lab.restart_with_peers();
    looks_offline(&mut lab, &mut watch);
    lab.alice_is("balcony", "", "<status>Secret</status>");
    lab.pass(seconds(60));
    lab.nothing();
    lab.in_dialog(&mut watch, "", 200);
    looks_offline(&mut lab, &mut watch);
}
