//! What answers a peer that counts.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use translators::model::{LinkId, Mono, Side};
use translators::shard::{Class, Lapse, Transmit};

use crate::peers::mailbox::Mailbox;
use crate::peers::testing::{at, im, transmit};
use crate::peers::tests::lab::{Lab, undelivered};
use crate::telemetry::events::Way;

/// An answer that only a link may carry, of that kind, which is of use for half a minute.
fn answer(number: u64, link: u64, class: Class) -> Transmit {
    Transmit {
        link: Some(LinkId(link)),
        bytes: Bytes::from(number.to_string()),
        give_up_at: at(32),
        ..transmit(number, class)
    }
}

/// A peer that takes 15 messages a second and asks over two links; a third one is ours.
fn lab() -> Lab {
    let mut lab = Lab::new(Side::Sip);
    lab.peer.set_cap(Some(15));
    lab.up(1, Way::In);
    lab.up(2, Way::In);
    lab.up(3, Way::Out);
    lab
}

fn millis(millis: u64) -> Mono {
    Mono::from_start(Duration::from_millis(millis))
}

fn mailbox(lab: &Lab, link: u64) -> Arc<Mailbox> {
    Arc::clone(&lab.peer.links[&LinkId(link)].facts.mailbox)
}

#[test]
fn answers_of_conversations_go_before_those_of_subscriptions_on_every_link() {
    let mut lab = lab();
    for number in 0..100 {
        lab.submit(answer(number, 1, Class::Control));
    }
    for number in [200, 201] {
        lab.submit(answer(number, 1, Class::Answer));
    }
    for number in 300..306 {
        lab.submit(answer(number, 2, Class::Answer));
    }

    assert_eq!(
        lab.take_at(1, 0),
        ["200", "201"],
        "the third token is not for it"
    );
    assert_eq!(lab.take_at(2, 0), ["300"]);
    assert!(
        lab.take_at(1, 200).is_empty(),
        "those of the other link first"
    );
    assert_eq!(lab.take_at(2, 200), ["301", "302", "303"]);
    assert_eq!(lab.take_at(2, 400), ["304", "305"]);
    assert_eq!(lab.take_at(1, 400), ["0"]);
}

/// An ACK is asked for again and again until it comes.
#[test]
fn what_is_urgent_of_ours_goes_before_answers_of_subscriptions() {
    let mut lab = lab();
    let ack = |number| transmit(number, Class::Answer);
    assert!(lab.take_at(3, 0).is_empty());
    lab.submit(ack(500));
    for number in 0..40 {
        lab.submit(answer(number, 1, Class::Control));
    }
    lab.submit(im(501, "alice"));

    assert_eq!(lab.take_at(1, 0), ["0", "1"], "a token is left for it");
    assert_eq!(lab.take_at(3, 0).len(), 1);
    assert!(lab.take_at(3, 100).is_empty(), "answers before messages");
    assert_eq!(lab.take_at(1, 200), ["2", "3", "4"]);
    lab.submit(ack(502));
    lab.woken();
    lab.tick(1);
    assert_eq!(lab.woken(), 2, "it need not wait for the answers");
}

#[test]
fn an_answer_that_would_come_too_late_costs_nothing() {
    let mut lab = lab();
    let late = answer(1, 1, Class::Control);
    let fresh = Transmit {
        give_up_at: at(40),
        ..answer(2, 1, Class::Control)
    };
    lab.submit(late.clone());
    lab.submit(fresh);

    assert_eq!(lab.take_at(1, 32_000), ["2"]);
    assert_eq!(lab.ends(), [undelivered(late.clone(), Lapse::Expired)]);
    lab.submit(late.clone());
    lab.tick(33);
    assert_eq!(lab.ends(), [undelivered(late, Lapse::Expired)]);
    assert!(!lab.peer.is_busy());
}

#[test]
fn a_peer_that_is_owed_too_many_answers_has_to_wait_where_it_only_asks() {
    let mut lab = lab();
    let held = |lab: &Lab, link, now| lab.peer.is_held(LinkId(link), now);
    for number in 0..100 {
        lab.submit(answer(number, 1, Class::Control));
    }
    // What was read and is not answered counts as well: 120 are 8 seconds' worth.
    for number in 0..19 {
        mailbox(&lab, 1).opens(number, at(0));
    }
    assert!(!held(&lab, 1, at(0)));

    mailbox(&lab, 1).opens(19, at(0));

    assert!(held(&lab, 1, at(0)));
    assert!(!held(&lab, 2, at(0)), "it has not had its share");
    assert!(!held(&lab, 3, at(0)), "answers to us come here");
    for number in 0..60 {
        assert!(!held(&lab, 2, at(0)), "{number}");
        mailbox(&lab, 2).opens(number, at(0));
    }
    assert!(held(&lab, 2, at(0)));
    mailbox(&lab, 2).settle([19]);
    assert!(!held(&lab, 2, at(0)));
    mailbox(&lab, 2).settle(0..60);
    mailbox(&lab, 1).settle([19]);
    assert!(!held(&lab, 1, at(0)));
    mailbox(&lab, 1).opens(40, at(1));
    assert!(held(&lab, 1, millis(1_500)));
    assert_eq!(lab.take_at(1, 2_000).len(), 3);
    assert!(!held(&lab, 1, at(2)));
}

#[test]
fn a_link_that_carries_requests_of_ours_is_read() {
    let mut lab = lab();
    lab.down(3, 0);
    for number in 0..300 {
        lab.submit(answer(number, 1, Class::Control));
    }
    assert!(lab.peer.is_held(LinkId(1), at(0)));

    lab.submit(transmit(1_000, Class::Im));
    lab.out(|peer, out| peer.reuse(LinkId(1), at(0), out));

    assert!(!lab.peer.is_held(LinkId(1), at(0)));
}

#[test]
fn nobody_waits_for_ever_for_a_request_that_is_not_answered() {
    let lab = lab();
    for number in 0..500 {
        mailbox(&lab, 1).opens(number, at(0));
    }
    assert!(lab.peer.is_held(LinkId(1), at(31)));
    assert!(!lab.peer.is_held(LinkId(1), at(32)));
}

#[test]
fn a_peer_that_has_us_on_its_list_is_always_read() {
    let mut lab = lab();
    lab.peer.set_cap(None);
    for number in 0..1_000 {
        mailbox(&lab, 1).opens(number, at(0));
        lab.submit(answer(number, 1, Class::Control));
    }
    assert!(!lab.peer.is_held(LinkId(1), at(0)));
}
