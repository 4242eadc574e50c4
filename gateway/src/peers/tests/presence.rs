//! Subscriptions and presence: their order, their pace, and links that are kept up for them.

use bytes::Bytes;
use translators::limits;
use translators::model::{Blame, Condition, Failure, LinkId, Role, Side};
use translators::shard::{Class, Key, Kind, Lapse, Transmit};

use super::lab::{Lab, lost, path, undelivered};
use crate::peers::Refusal;
use crate::peers::testing::{at, im, key, transmit, typing};
use crate::telemetry::events::Way;

const ROLE: Role = Role::Subscriber;

/// Presence of one of alice's devices, or of dialogs towards her.
fn presence(number: u64, item: u64) -> Transmit {
    Transmit {
        key: Some(Key {
            item,
            ..key("alice", Kind::Presence(ROLE))
        }),
        bytes: Bytes::from(number.to_string()),
        ..transmit(number, Class::Presence)
    }
}

/// What makes or ends a subscription of hers.
fn subscription(number: u64) -> Transmit {
    Transmit {
        key: Some(key("alice", Kind::Subscription(ROLE))),
        bytes: Bytes::from(number.to_string()),
        ..transmit(number, Class::Subscription)
    }
}

#[test]
fn what_comes_back_keeps_its_order_although_its_class_is_less_urgent() {
    let mut lab = Lab::new(Side::Xmpp);
    lab.up(1, Way::Out);
    lab.submit(presence(1, 1));
    assert_eq!(lab.take_at(1, 0), ["1"]);
    lab.submit(subscription(2));
    assert_eq!(lab.take_at(1, 0), ["2"]);
    lab.submit(presence(3, 2));

    lab.down(1, 60);
    lab.up(2, Way::Out);

    assert_eq!(lab.take_at(2, 60_000), ["1", "2", "3"]);
    lab.down(2, 61);
    assert_eq!(lab.ends(), [lost(1), lost(2)], "written twice");
}

#[test]
fn presence_that_comes_back_stays_in_front_of_what_ends_its_subscription() {
    let mut lab = Lab::new(Side::Xmpp);
    lab.up(1, Way::Out);
    lab.submit(presence(1, 1));
    assert_eq!(lab.take_at(1, 0), ["1"]);
    lab.submit(subscription(2));
    lab.submit(presence(3, 2));

    lab.down(1, 60);
    lab.up(2, Way::Out);

    assert_eq!(lab.take_at(2, 60_000), ["1", "2", "3"]);
}

#[test]
fn presence_that_is_out_of_date_does_not_go_out_again() {
    let mut lab = Lab::new(Side::Xmpp);
    lab.up(1, Way::Out);
    lab.submit(presence(1, 1));
    lab.take(1);
    lab.submit(presence(2, 1));

    lab.down(1, 60);

    assert_eq!(lab.ends(), [undelivered(presence(1, 1), Lapse::Replaced)]);
    lab.up(2, Way::Out);
    assert_eq!(lab.take_at(2, 60_000), ["2"]);
}

#[test]
fn what_was_recalled_after_it_was_written_never_goes_out_again() {
    let mut lab = Lab::new(Side::Xmpp);
    lab.up(1, Way::Out);
    lab.submit(presence(1, 1));
    lab.submit(im(2, "alice"));
    lab.take(1);
    let lane = key("alice", Kind::Presence(ROLE)).lane;

    lab.out(|peer, out| peer.recall(&lane, out));
    assert_eq!(lab.ends(), [], "its fate is open");
    lab.down(1, 60);

    assert_eq!(lab.ends(), [lost(1)]);
    lab.up(2, Way::Out);
    assert_eq!(lab.take_at(2, 60_000), ["<message/>"]);
}

#[test]
fn an_answer_that_shows_presence_is_called_back_too() {
    let mut lab = Lab::new(Side::Sip);
    lab.up(1, Way::In);
    let on_link = |transmit| Transmit {
        link: Some(LinkId(1)),
        ..transmit
    };
    let showing = on_link(presence(1, 1));
    lab.submit(showing.clone());
    lab.submit(on_link(subscription(2)));

    let lane = key("alice", Kind::Presence(ROLE)).lane;
    lab.out(|peer, out| peer.recall(&lane, out));

    assert_eq!(lab.ends(), [undelivered(showing, Lapse::Recalled)]);
    assert_eq!(lab.take_at(1, 0), ["2"]);
}

#[test]
fn an_answer_that_shows_presence_replaces_what_waits_to_show_it() {
    let mut lab = Lab::new(Side::Sip);
    lab.up(1, Way::In);
    lab.submit(presence(1, 1));
    lab.submit(presence(2, 2));
    let showing = Transmit {
        link: Some(LinkId(1)),
        class: Class::Control,
        ..presence(3, 1)
    };

    lab.submit(showing);

    assert_eq!(lab.ends(), [undelivered(presence(1, 1), Lapse::Replaced)]);
    lab.submit(presence(4, 1));
    lab.up(2, Way::Out);
    assert_eq!(lab.take_at(1, 0), ["3"], "nothing takes an answer's place");
    assert_eq!(lab.take_at(2, 0), ["2", "4"]);
}

#[test]
fn presence_goes_to_a_sip_peer_at_its_pace_and_messages_do_not_wait() {
    let mut lab = Lab::new(Side::Sip);
    lab.peer.set_pace(Some(40));
    lab.up(1, Way::Out);
    for number in 0..30 {
        lab.submit(presence(number, number));
    }
    lab.submit(im(100, "alice"));
    lab.submit(typing(101, "carol"));

    assert_eq!(lab.take_at(1, 0).len(), 12, "ten, the message and typing");
    lab.woken();
    lab.submit(im(102, "alice"));
    assert_eq!(lab.take_at(1, 0), ["<message/>"]);
    lab.woken();
    lab.out(|peer, out| peer.tick(at(0), out));
    assert_eq!(lab.woken(), 0, "nothing that could go");
    lab.out(|peer, out| peer.tick(at(1), out));
    assert_eq!(lab.woken(), 1);
    assert_eq!(lab.take_at(1, 1_000).len(), 10);
    lab.peer.set_pace(None);
    assert_eq!(lab.take_at(1, 1_000).len(), 10);
}

#[test]
fn presence_never_takes_the_place_of_messages() {
    let mut lab = Lab::new(Side::Sip);
    let full = u64::try_from(limits::PRESENCE_PER_PEER).unwrap();
    for number in 0..full {
        lab.submit(Transmit {
            key: Some(key(&format!("user{number}"), Kind::Presence(ROLE))),
            ..presence(number, 0)
        });
    }
    assert_eq!(lab.ends(), []);

    lab.submit(presence(full, full));
    lab.submit(subscription(full));
    lab.submit(im(1, "alice"));

    let refused = [presence(full, full), subscription(full)];
    assert_eq!(
        lab.ends(),
        refused.map(|transmit| undelivered(transmit, Lapse::Full))
    );
    lab.up(1, Way::Out);
    assert!(lab.take_at(1, 0).contains(&"<message/>".to_owned()));
}

#[test]
fn the_oldest_typing_makes_room_for_newer() {
    let mut lab = Lab::new(Side::Sip);
    let full = u64::try_from(limits::TYPING_PER_PEER).unwrap();
    for number in 0..=full {
        lab.submit(typing(number, &format!("user{number}")));
    }

    assert_eq!(lab.ends(), [undelivered(typing(0, "user0"), Lapse::Full)]);
}

#[test]
fn a_path_with_relations_is_dialled_again_without_anything_to_send() {
    let mut lab = Lab::new(Side::Xmpp);
    lab.out(|peer, out| peer.hold(&path(), true, at(0), out));
    assert_eq!(lab.wanted(), 1);
    lab.fail(true, 0);
    lab.tick(0);
    assert_eq!(lab.wanted(), 0, "rests");
    lab.tick(3);
    assert_eq!(lab.wanted(), 1);
    lab.up(1, Way::Out);
    assert!(!lab.peer.is_busy(), "a drain does not wait for it");

    lab.down(1, 60);
    assert_eq!(lab.wanted(), 1);
    lab.up(2, Way::Out);
    lab.out(|peer, out| peer.hold(&path(), false, at(70), out));
    lab.down(2, 80);
    lab.tick(90);
    assert_eq!(lab.wanted(), 0);
}

#[test]
fn a_peer_is_up_while_something_sent_to_it_can_arrive_and_be_heard_of() {
    let mut lab = Lab::new(Side::Xmpp);
    assert_eq!(lab.peer.news(), Some(true), "nobody needs a link");
    lab.out(|peer, out| peer.hold(&path(), true, at(0), out));
    assert_eq!(lab.peer.news(), Some(false));
    lab.up(1, Way::In);
    assert_eq!(lab.peer.news(), None, "stanzas go on streams of our own");
    lab.up(2, Way::Out);
    assert_eq!(lab.peer.news(), Some(true));
    assert_eq!(lab.peer.news(), None, "told once");

    lab.out(|peer, out| peer.return_path(LinkId(2), true, out));
    assert_eq!(lab.peer.news(), Some(false));
    lab.out(|peer, out| peer.return_path(LinkId(2), false, out));
    assert_eq!(lab.peer.news(), Some(true));
    lab.up(3, Way::Out);
    lab.down(2, 60);
    assert_eq!(lab.peer.news(), None, "another link took over");
    lab.down(3, 60);
    assert_eq!(lab.peer.news(), Some(false));
}

#[test]
fn a_sip_peer_that_lets_us_use_its_link_is_up() {
    let mut lab = Lab::new(Side::Sip);
    lab.out(|peer, out| peer.hold(&path(), true, at(0), out));
    lab.up(1, Way::In);
    assert_eq!(lab.peer.news(), None);
    lab.out(|peer, out| peer.reuse(LinkId(1), at(0), out));
    assert_eq!(lab.peer.news(), Some(true));
}

#[test]
fn what_is_sent_after_a_recall_goes_out_again_like_everything_else() {
    let mut lab = Lab::new(Side::Xmpp);
    lab.up(1, Way::Out);
    lab.submit(presence(1, 1));
    lab.take(1);
    let lane = key("alice", Kind::Presence(ROLE)).lane;
    lab.out(|peer, out| peer.recall(&lane, out));
    lab.submit(presence(2, 1));
    lab.take(1);

    lab.down(1, 60);

    assert_eq!(lab.ends(), [lost(1)]);
    lab.up(2, Way::Out);
    assert_eq!(lab.take_at(2, 60_000), ["2"]);
}

/// An answer that only a link may carry.
fn answer(number: u64, link: u64) -> Transmit {
    Transmit {
        link: Some(LinkId(link)),
        bytes: Bytes::from_static(b"200"),
        ..transmit(number, Class::Control)
    }
}

#[test]
fn everything_to_a_peer_that_counts_is_capped_with_answers_first() {
    let mut lab = Lab::new(Side::Sip);
    lab.peer.set_cap(Some(15));
    lab.up(1, Way::Out);
    lab.up(2, Way::In);
    for number in 0..40 {
        lab.submit(presence(number, number));
        lab.submit(answer(100 + number, 2));
    }
    lab.submit(typing(200, "alice"));
    lab.submit(im(201, "alice"));

    assert!(lab.take_at(1, 0).is_empty(), "answers of the other link");
    let mut sent = [Vec::new(), Vec::new()];
    for tenth in 0..=60 {
        sent[1].extend(lab.take_at(2, tenth * 100));
        sent[0].extend(lab.take_at(1, tenth * 100));
    }

    let [requests, answers] = sent;
    assert_eq!(answers.len(), 40);
    assert_eq!(requests.len(), 42, "nothing is left over");
    assert_eq!(requests[0], "<message/>", "before presence and typing");
}

#[test]
fn no_second_sees_more_than_a_few_messages_above_the_cap() {
    let mut lab = Lab::new(Side::Sip);
    lab.peer.set_cap(Some(15));
    lab.up(1, Way::Out);
    for number in 0..400 {
        lab.submit(presence(number, number));
    }

    let looks = (0..200).map(|tenth| lab.take_at(1, tenth * 100).len());
    let looks: Vec<usize> = looks.collect();

    let worst = looks.windows(10).map(|second| second.iter().sum::<usize>());
    assert!(worst.clone().max() <= Some(18), "{looks:?}");
    let all: usize = looks.iter().sum();
    assert!((298..=303).contains(&all), "{looks:?}");
}

#[test]
fn a_link_that_waits_for_the_cap_is_woken_when_it_may_write() {
    let mut lab = Lab::new(Side::Sip);
    lab.peer.set_cap(Some(15));
    lab.up(1, Way::Out);
    lab.out(|peer, _| peer.spent(18));
    lab.submit(answer(1, 1));
    lab.submit(im(2, "alice"));
    lab.woken();

    assert!(lab.take_at(1, 900).is_empty(), "15 were owed");
    lab.out(|peer, out| peer.tick(at(0), out));
    assert_eq!(lab.woken(), 0);
    lab.out(|peer, out| peer.tick(at(2), out));
    assert_eq!(lab.woken(), 2, "for the answer and for the message");
    assert_eq!(lab.take_at(1, 2_000), ["200", "<message/>"]);
}

#[test]
fn the_last_state_of_a_restless_user_keeps_its_place_in_the_line() {
    let mut lab = Lab::new(Side::Sip);
    lab.up(1, Way::Out);
    lab.submit(presence(1, 1));
    lab.submit(presence(2, 2));
    lab.submit(presence(3, 1));

    assert_eq!(lab.take_at(1, 0), ["3", "2"]);
    assert_eq!(lab.ends(), [undelivered(presence(1, 1), Lapse::Replaced)]);
}

#[test]
fn nobody_new_is_sent_to_a_user_whom_the_peer_does_not_have() {
    let to_bob = |number: u64, tag: &str| Transmit {
        bytes: Bytes::from(format!(
            "MESSAGE sip:bob@sip.example SIP/2.0\r\nTo: <sip:bob@sip.example>{tag}\r\n\r\n"
        )),
        ..im(number, "alice")
    };
    let pair = key("alice", Kind::Im).lane.pair;
    let failure = Failure::new(Condition::ItemNotFound, Blame::Peer);
    let mut lab = Lab::new(Side::Sip);
    lab.up(1, Way::Out);
    let refused = Refusal {
        method: "SUBSCRIBE",
        status: 404,
    };
    lab.peer.refuses(refused, &pair, failure.clone(), at(0));
    lab.submit(to_bob(1, ""));
    assert_eq!(lab.take_at(1, 0).len(), 1, "nobody counts");

    lab.peer.set_cap(Some(15));
    let refused = Refusal {
        method: "SUBSCRIBE",
        status: 404,
    };
    lab.peer.refuses(refused, &pair, failure.clone(), at(0));
    lab.submit(to_bob(2, ""));
    lab.submit(to_bob(3, ";tag=b1"));

    assert_eq!(lab.take_at(1, 0).len(), 1, "what goes on goes on");
    let lapse = Lapse::Unreachable(failure);
    assert_eq!(lab.ends(), [undelivered(to_bob(2, ""), lapse)]);
    lab.peer.heard(&pair.aor);
    lab.submit(to_bob(4, ""));
    assert_eq!(lab.take_at(1, 100).len(), 1);
}

#[test]
fn answers_on_a_link_that_is_not_read_hold_nothing_up_for_long() {
    let mut lab = Lab::new(Side::Sip);
    lab.peer.set_cap(Some(15));
    lab.up(1, Way::Out);
    lab.up(2, Way::In);
    for number in 0..5 {
        lab.submit(answer(number, 2));
    }
    lab.submit(im(100, "alice"));

    assert!(lab.take_at(1, 9_900).is_empty());
    assert_eq!(lab.take_at(1, 10_000), ["<message/>"]);
}
