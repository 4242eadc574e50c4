//! Addresses that answer 503, and the way around them.

use std::time::Duration;

use translators::model::{LinkId, Side};
use translators::shard::{Lapse, Transmit};

use super::lab::{Lab, path};
use crate::peers::path::{End, PathKey};
use crate::peers::refusals::Standing;
use crate::peers::testing::im;
use crate::telemetry::events::Way;

/// Link 1 leads to the first address of the peer, link 2 to the second one.
const FIRST: u16 = 5061;
const SECOND: u16 = 5062;

fn lab() -> Lab {
    let mut lab = Lab::new(Side::Sip);
    lab.try_up_at(1, Way::Out, FIRST).unwrap();
    lab
}

fn again(number: u64) -> Transmit {
    Transmit {
        elsewhere: true,
        ..im(number, "alice")
    }
}

fn detour() -> PathKey {
    PathKey {
        elsewhere: true,
        ..path()
    }
}

#[test]
fn what_was_refused_goes_out_over_a_link_to_another_address() {
    let mut lab = lab();
    lab.refuse(1, None, 0);

    lab.submit(again(1));
    assert_eq!(lab.wanted_paths(), [detour()]);
    assert_eq!(lab.take(1), 0, "not there again");
    lab.try_up_at(2, Way::Out, SECOND).unwrap();
    assert_eq!(lab.take(2), 1);

    lab.submit(im(2, "carol"));
    assert_eq!(
        (lab.take(1), lab.take(2)),
        (1, 0),
        "the next begins at the first"
    );
    assert_eq!(lab.ends(), []);
}

#[test]
fn a_link_to_another_address_that_is_up_takes_it_at_once() {
    let mut lab = lab();
    lab.try_up_at(2, Way::Out, SECOND).unwrap();
    lab.refuse(1, None, 0);

    lab.submit(again(1));

    assert_eq!((lab.take(1), lab.take(2)), (0, 1));
    assert_eq!(lab.wanted(), 0);
}

#[test]
fn where_every_address_refuses_it_comes_back_at_once() {
    let mut lab = lab();
    lab.try_up_at(2, Way::Out, SECOND).unwrap();
    lab.refuse(1, None, 0);
    lab.refuse(2, None, 0);

    lab.submit(again(1));
    assert_eq!(lab.wanted_paths(), [detour()]);
    lab.fail_path(&detour(), true, 0);
    lab.submit(again(2));

    let ends = lab.ends();
    assert_eq!(ends.len(), 2, "{ends:?}");
    let unsent = |end: &End| matches!(end, End::Undelivered(_, Lapse::Unreachable(_)));
    assert!(ends.iter().all(unsent), "{ends:?}");
    lab.submit(im(3, "carol"));
    assert_eq!(lab.take(1), 1, "the usual path is as before");
}

#[test]
fn an_address_that_gives_a_time_gets_nothing_while_there_is_another() {
    let mut lab = lab();
    lab.refuse(1, Some(30), 0);
    lab.submit(im(1, "alice"));
    assert_eq!(lab.take(1), 1, "there is no other link");

    lab.submit(again(2));
    lab.try_up_at(2, Way::Out, SECOND).unwrap();
    lab.submit(im(3, "carol"));

    assert_eq!((lab.take(1), lab.take(2)), (0, 2));
}

#[test]
fn what_waits_moves_away_from_an_address_that_wants_to_rest() {
    let mut lab = lab();
    lab.try_up_at(2, Way::Out, SECOND).unwrap();
    lab.submit(im(1, "alice"));

    lab.refuse(1, Some(30), 0);

    assert_eq!((lab.take(1), lab.take(2)), (0, 1));
}

#[test]
fn an_address_is_used_again_after_its_time() {
    let mut lab = lab();
    lab.refuse(1, Some(30), 0);
    let first = ([127, 0, 0, 1], FIRST).into();
    assert_eq!(lab.peer.standing(first), Standing::Resting);

    lab.tick(30);

    assert_eq!(lab.peer.standing(first), Standing::Serving);
    lab.submit(again(1));
    assert_eq!(lab.take(1), 1);
}

#[test]
fn a_host_that_opened_the_link_and_refuses_is_passed_over_with_all_its_ports() {
    let mut lab = Lab::new(Side::Sip);
    lab.try_up_at(1, Way::In, 40_000).unwrap();
    lab.out(|peer, out| peer.reuse(LinkId(1), crate::peers::testing::at(0), out));
    lab.refuse(1, None, 0);

    let port = ([127, 0, 0, 1], FIRST).into();
    assert_eq!(lab.peer.standing(port), Standing::Refusing);
}

#[test]
fn what_was_dialled_for_it_and_refuses_meanwhile_gives_it_back() {
    let mut lab = lab();
    lab.try_up_at(2, Way::Out, SECOND).unwrap();
    lab.refuse(1, None, 0);
    lab.refuse(2, None, 0);
    lab.submit(again(1));
    assert_eq!(lab.wanted(), 1);

    lab.try_up_at(3, Way::Out, SECOND).unwrap();

    assert!(matches!(
        lab.ends().as_slice(),
        [End::Undelivered(_, Lapse::LinkDown)]
    ));
    lab.submit_at(again(2), 1);
    assert_eq!(lab.wanted(), 1, "a new try");
}

#[test]
fn a_failed_way_around_is_no_recovery_of_the_peer() {
    let mut lab = lab();
    lab.refuse(1, None, 0);
    lab.submit(again(1));
    lab.fail_path(&detour(), true, 0);

    let begun = lab.try_up_at(2, Way::Out, SECOND).unwrap();

    assert!(!begun.recovered);
}

impl Lab {
    fn refuse(&mut self, link: u64, seconds: Option<u64>, now: u64) {
        let after = seconds.map(Duration::from_secs);
        let now = crate::peers::testing::at(now);
        self.out(|peer, out| {
            peer.refused(LinkId(link), after, now, out);
        });
    }
}
