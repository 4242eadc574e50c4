//! Links, and what they carry and lose.

use translators::limits;
use translators::model::{Blame, Condition, Failure, LinkId, Side};
use translators::shard::{Class, Kind, Lapse, Transmit};

use super::lab::{Lab, handed_over, lost, undelivered};
use crate::peers::path::End;
use crate::peers::testing::{at, im, key, transmit, typing};
use crate::telemetry::events::Way;

#[test]
fn a_stanza_is_handed_over_when_the_barrier_behind_it_is_answered() {
    let mut lab = Lab::new(Side::Xmpp);
    lab.up(1, Way::Out);
    lab.submit(im(1, "alice"));
    lab.submit(im(2, "alice"));
    lab.submit(typing(3, "alice"));

    assert_eq!(lab.take(1), 3);
    assert_eq!(lab.ends(), [handed_over(3)], "nobody waits for typing");
    lab.out(|peer, out| peer.confirmed(LinkId(1), 1, out));
    assert_eq!(lab.ends(), [handed_over(1)]);
    lab.out(|peer, out| peer.confirmed(LinkId(1), 3, out));
    assert_eq!(lab.ends(), [handed_over(2)]);
    assert!(!lab.peer.is_busy());
}

#[test]
fn what_a_broken_stream_swallowed_goes_out_again_once_and_first() {
    let mut lab = Lab::new(Side::Xmpp);
    lab.up(1, Way::Out);
    lab.submit(im(1, "alice"));
    lab.submit(im(2, "alice"));
    lab.take(1);
    lab.submit(im(3, "alice"));

    lab.down(1, 60);
    assert_eq!(lab.ends(), []);
    assert_eq!(lab.wanted(), 1);
    lab.up(2, Way::Out);
    assert_eq!(lab.take(2), 3);
    lab.out(|peer, out| peer.confirmed(LinkId(2), 1, out));
    assert_eq!(lab.ends(), [handed_over(1)], "still the first");

    lab.down(2, 70);
    assert_eq!(lab.ends(), [lost(2)], "written twice");
    lab.up(3, Way::Out);
    assert_eq!(lab.take(3), 1, "written once");
}

#[test]
fn what_the_server_acknowledged_waits_for_a_barrier_on_the_next_stream() {
    let mut lab = Lab::new(Side::Xmpp);
    lab.up(1, Way::Out);
    lab.submit(im(1, "alice"));
    lab.submit(im(2, "alice"));
    lab.take(1);
    lab.peer.acked(LinkId(1), 1);

    lab.down(1, 60);
    assert!(lab.up(2, Way::Out).leftovers, "a barrier is needed");
    assert_eq!(lab.take(2), 1, "only what was not acknowledged");
    lab.out(|peer, out| peer.confirmed(LinkId(2), 0, out));
    assert_eq!(lab.ends(), [handed_over(1)]);

    lab.down(2, 80);
    lab.tick(101);
    assert_eq!(lab.ends(), [lost(2)], "its time is over");
}

#[test]
fn a_silent_return_path_refuses_messages_and_lets_answers_through() {
    let mut lab = Lab::new(Side::Xmpp);
    lab.up(1, Way::Out);
    lab.submit(im(1, "alice"));
    lab.out(|peer, out| peer.return_path(LinkId(1), true, out));
    assert_eq!(
        lab.ends(),
        [undelivered(im(1, "alice"), Lapse::ReturnPathDown)]
    );

    lab.submit(im(2, "alice"));
    lab.submit(transmit(3, Class::Control));
    assert_eq!(
        lab.ends(),
        [undelivered(im(2, "alice"), Lapse::ReturnPathDown)]
    );
    assert_eq!(lab.take(1), 1);

    lab.out(|peer, out| peer.return_path(LinkId(1), false, out));
    lab.submit(im(4, "alice"));
    assert_eq!(lab.take(1), 1);
}

#[test]
fn a_path_is_dialled_once_and_again_after_a_wait() {
    let mut lab = Lab::new(Side::Xmpp);
    lab.submit(im(1, "alice"));
    lab.submit(im(2, "alice"));
    assert_eq!(lab.wanted(), 1);

    lab.fail(false, 1);
    lab.tick(1);
    assert_eq!((lab.wanted(), lab.ends().len()), (0, 0), "rests");
    lab.tick(3);
    assert_eq!(lab.wanted(), 1);
    lab.tick(101);
    let failure = Failure::new(Condition::RemoteServerTimeout, Blame::Peer);
    let unreachable = Lapse::Unreachable(failure);
    assert_eq!(
        lab.ends(),
        [
            undelivered(im(1, "alice"), unreachable.clone()),
            undelivered(im(2, "alice"), unreachable)
        ]
    );
}

#[test]
fn a_lasting_obstacle_gives_everything_back_at_once() {
    let mut lab = Lab::new(Side::Xmpp);
    lab.submit(im(1, "alice"));
    lab.fail(true, 1);
    lab.submit(im(2, "alice"));

    let ends = lab.ends();

    assert_eq!(ends.len(), 2);
    assert!(
        ends.iter()
            .all(|end| matches!(end, End::Undelivered(_, Lapse::Unreachable(_))))
    );
}

#[test]
fn a_lasting_obstacle_is_looked_at_again_after_a_wait() {
    let mut lab = Lab::new(Side::Xmpp);
    lab.submit(im(1, "alice"));
    lab.fail(true, 1);
    assert_eq!((lab.wanted(), lab.ends().len()), (1, 1));

    lab.submit_at(im(2, "alice"), 4);

    assert_eq!((lab.wanted(), lab.ends().len()), (1, 0));
}

#[test]
fn a_peer_that_throws_us_out_at_once_is_dialled_after_a_wait() {
    let mut lab = Lab::new(Side::Xmpp);
    lab.submit(im(1, "alice"));
    assert_eq!(lab.wanted(), 1);
    lab.up(1, Way::Out);

    lab.down(1, 1);
    assert_eq!(lab.wanted(), 0);
    lab.tick(4);
    assert_eq!(lab.wanted(), 1);
}

#[test]
fn a_request_is_handed_over_when_it_is_written() {
    let mut lab = Lab::new(Side::Sip);
    lab.up(1, Way::In);
    lab.submit(im(1, "alice"));
    assert_eq!(lab.wanted(), 1, "the peer's own link is not for us");
    lab.out(|peer, out| peer.reuse(LinkId(1), at(0), out));
    assert_eq!(lab.take(1), 1);
    assert_eq!(lab.ends(), []);
    lab.out(|peer, out| peer.written(LinkId(1), out));
    assert_eq!(lab.ends(), [handed_over(1)]);

    lab.submit(im(2, "alice"));
    lab.submit(im(3, "alice"));
    assert_eq!(lab.take(1), 2);
    lab.down(1, 60);
    assert_eq!(lab.ends(), [lost(2), lost(3)], "perhaps written");
}

#[test]
fn requests_move_to_another_link_if_nothing_was_written() {
    let mut lab = Lab::new(Side::Sip);
    lab.up(1, Way::Out);
    lab.up(2, Way::Out);
    lab.submit(im(1, "alice"));
    lab.down(1, 60);
    assert_eq!(lab.ends(), []);
    assert_eq!(lab.take(2), 1);
}

#[test]
fn a_response_goes_back_on_its_link_or_not_at_all() {
    let mut lab = Lab::new(Side::Sip);
    lab.up(1, Way::In);
    lab.up(2, Way::Out);
    let response = |number, link| Transmit {
        link: Some(LinkId(link)),
        ..transmit(number, Class::Control)
    };
    lab.submit(response(1, 1));
    lab.submit(response(2, 9));
    assert_eq!(lab.ends(), [undelivered(response(2, 9), Lapse::LinkDown)]);
    assert_eq!(lab.take(2), 0);

    lab.down(1, 60);
    assert_eq!(lab.ends(), [undelivered(response(1, 1), Lapse::LinkDown)]);
}

#[test]
fn a_full_line_refuses_what_comes_and_keeps_what_waits() {
    let mut lab = Lab::new(Side::Xmpp);
    let full = u64::try_from(limits::WAITING_PER_PEER).unwrap();
    for number in 0..full {
        lab.submit(transmit(number, Class::Im));
    }
    assert_eq!(lab.ends(), []);

    lab.submit(im(full, "alice"));

    assert_eq!(lab.ends(), [undelivered(im(full, "alice"), Lapse::Full)]);
}

#[test]
fn a_recall_reaches_what_came_back_from_a_broken_stream() {
    let mut lab = Lab::new(Side::Xmpp);
    lab.up(1, Way::Out);
    lab.submit(im(1, "alice"));
    lab.take(1);
    lab.submit(im(2, "alice"));
    lab.down(1, 60);

    lab.out(|peer, out| peer.recall(&key("alice", Kind::Im).lane, out));

    assert_eq!(
        lab.ends(),
        [lost(1), undelivered(im(2, "alice"), Lapse::Recalled)]
    );
}

#[test]
fn a_peer_has_so_many_links() {
    let mut lab = Lab::new(Side::Sip);
    for number in 0..64 {
        lab.up(number, Way::In);
    }

    let more = lab.try_up(64, Way::In);

    assert!(more.is_err());
    lab.down(3, 60);
    assert!(lab.try_up(64, Way::In).is_ok());
}
