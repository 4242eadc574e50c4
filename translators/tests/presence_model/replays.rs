//! Runs that failed once, shrunk.

use translators::policy::Verdict::Confirm;

use crate::transition::Look::{Available, Away};
use crate::transition::Transition::{
    self, Adds, Appears, Consents, Cuts, Decides, DiskFull, Fetches, Paces, Passes, Restarts,
    Resyncs, Says, SipLink, Vanishes, Verdict, Watches, XmppLink,
};
use crate::transition::{Consent, FRIENDS};
use crate::{FLAVOURS, PEERS, play};

/// Plays a run with every server.
fn run(run: &[Transition]) {
    for flavour in FLAVOURS {
        for peer in PEERS {
            play(run, flavour, peer);
        }
    }
}

/// Plays a run behind the befriending of the first two users.
fn friends(rest: &[Transition]) {
    run(&[&FRIENDS, rest].concat());
}

/// The links break behind what is written next.
const fn cut(xmpp: bool) -> Transition {
    Cuts {
        xmpp,
        arrives: false,
        again: false,
    }
}

#[test]
fn a_device_that_goes_while_the_xmpp_link_is_down_is_told_later() {
    run(&[
        Says(0, 1, Some(Available)),
        Adds(0, 0),
        Says(0, 0, Some(Available)),
        XmppLink(false),
        Says(0, 0, None),
        Passes(60),
    ]);
}

#[test]
fn what_is_owed_to_an_xmpp_user_outlives_a_kill() {
    friends(&[XmppLink(false), Consents(0, 0, Consent::Pending), Restarts]);
}

#[test]
fn a_device_that_a_probe_does_not_find_is_gone() {
    let second = Appears(0, 1, Away);
    friends(&[second, XmppLink(false), Vanishes(0, 0)]);
    friends(&[second, cut(true), Says(0, 0, None), Vanishes(0, 0)]);
}

#[test]
fn the_answer_to_a_question_is_called_back_by_a_verdict() {
    friends(&[cut(false), Fetches(0, 0), Verdict(0, 0, Confirm)]);
}

#[test]
fn an_answer_that_waits_for_its_turn_is_called_back_by_a_verdict() {
    let second = Watches(0, 0, 1);
    friends(&[Paces(true), second, Verdict(0, 0, Confirm), Paces(false)]);
    friends(&[
        Passes(70),
        Paces(true),
        Passes(70),
        Verdict(0, 0, Confirm),
        Paces(false),
    ]);
}

#[test]
fn what_was_shown_ends_where_a_new_subscription_waits_for_consent() {
    friends(&[
        Consents(0, 0, Consent::Reject),
        Restarts,
        Consents(0, 0, Consent::Pending),
        Restarts,
    ]);
}

#[test]
fn what_was_shown_before_the_consent_arrived_is_shown_behind_it() {
    let mut rest = vec![cut(true), Adds(0, 0), Restarts, Says(0, 0, Some(Available))];
    run(&rest);
    rest.push(Transition::Forgets);
    run(&rest);
}

#[test]
fn nothing_overtakes_what_could_not_be_stored() {
    friends(&[Restarts, DiskFull(true), Resyncs(0, 0), Says(0, 0, None)]);
    run(&[
        Verdict(0, 0, Confirm),
        Watches(0, 0, 0),
        SipLink(false),
        Restarts,
        DiskFull(true),
        SipLink(true),
        Resyncs(0, 0),
    ]);
}

#[test]
fn a_request_that_cannot_be_kept_is_refused() {
    run(&[DiskFull(true), Adds(0, 0), Decides(0, 0, true)]);
}
