//! Every state of an INVITE client transaction (RFC 3261 section 17.1.1, RFC 6026 section 8.4).

use std::sync::Arc;

use rand::SeedableRng as _;
use rand::rngs::StdRng;

use crate::model::PeerId;
use crate::sip::invite::Inviting;
use crate::sip::tests::invite::{answer_to, caller, peer, sent_by, terms};
use crate::sip::{
    Answered, Branch, ClientTransactions, Draft, Finished, HeaderName, Mark, Method, Response,
};
use crate::text::Line;

struct Lab {
    clients: ClientTransactions<&'static str>,
    invite: Arc<Draft>,
    branch: Branch,
}

impl Lab {
    fn new() -> Self {
        let mut clients = ClientTransactions::new(Mark(9), 3);
        let mut rng = StdRng::seed_from_u64(1);
        let sent_by = sent_by();
        let mut invite = Inviting::new(caller()).request(&terms(&sent_by));
        let route = Line::fold("<sip:edge.sip.example;lr>");
        invite.headers.push((HeaderName::Route, route));
        let invite = Arc::new(invite);
        let branch = clients.invite(peer(), Arc::clone(&invite), "call", &mut rng);
        Self {
            clients,
            invite,
            branch,
        }
    }

    fn response(&self, status: &str, tag: &str) -> Response {
        answer_to(&self.invite, &self.branch.to_string(), status, tag, "")
    }

    fn hears(&mut self, status: &str, tag: &str) -> Finished<&'static str> {
        let response = self.response(status, tag);
        self.clients.finish(&peer(), &response)
    }

    /// Hears an answer to the CANCEL.
    fn hears_of_cancel(&mut self, status: &str) -> Finished<&'static str> {
        let cancel = Draft {
            method: Method::Cancel,
            ..(*self.invite).clone()
        };
        let response = answer_to(&cancel, &self.branch.to_string(), status, "c", "");
        self.clients.finish(&peer(), &response)
    }
}

fn provisional() -> Finished<&'static str> {
    Finished::Invite("call", Answered::Provisional(None))
}

fn success() -> Finished<&'static str> {
    Finished::Invite("call", Answered::Success)
}

/// What ACK and CANCEL have in common with their INVITE.
fn assert_same(draft: &Draft, invite: &Draft) {
    assert_eq!(draft.uri, invite.uri);
    assert_eq!(draft.from, invite.from);
    assert_eq!(draft.call_id, invite.call_id);
    assert_eq!(draft.cseq, invite.cseq);
    let route = (HeaderName::Route, Line::fold("<sip:edge.sip.example;lr>"));
    assert_eq!(draft.headers, [route]);
    assert!(draft.body.is_empty() && draft.content_type.is_none());
}

#[test]
fn an_invite_is_kept_no_longer_than_ack_or_cancel_may_be_made_of_it() {
    let mut lab = Lab::new();
    lab.hears("180 Ringing", "b1");
    assert_eq!(Arc::strong_count(&lab.invite), 2);
    assert_eq!(lab.hears("200 OK", "b1"), success());
    assert_eq!(Arc::strong_count(&lab.invite), 1);
}

#[test]
fn every_1xx_is_told_and_the_transaction_goes_on() {
    let mut lab = Lab::new();
    for status in ["100 Trying", "101 Progress Report", "180 Ringing", "183 x"] {
        assert_eq!(lab.hears(status, "b"), provisional(), "{status}");
    }
    assert_eq!(lab.clients.len(), 1);
    assert_eq!(lab.hears("200 OK", "b"), success());
}

#[test]
fn a_refusal_ends_it_with_an_ack_of_the_same_branch() {
    for ringing in [false, true] {
        for status in ["302 Moved", "404 Not Found", "486 Busy", "603 Decline"] {
            let mut lab = Lab::new();
            if ringing {
                lab.hears("180 Ringing", "b");
            }
            let refused = lab.hears(status, "b");
            let Finished::Invite("call", Answered::Refused(ack)) = refused else {
                panic!("{refused:?}");
            };
            assert_eq!(ack.method, Method::Ack);
            assert_same(&ack, &lab.invite);
            assert_eq!(ack.to.tag().unwrap().as_str(), "b");
            assert!(lab.clients.is_empty());
            assert_eq!(lab.hears(status, "b"), Finished::Stray);
        }
    }
}

#[test]
fn every_2xx_is_told_until_timer_m() {
    let mut lab = Lab::new();
    for tag in ["b1", "b1", "b2"] {
        assert_eq!(lab.hears("200 OK", tag), success(), "{tag}");
    }
    // What comes late from a branch that lost says nothing.
    assert_eq!(lab.hears("180 Ringing", "b3"), Finished::Provisional);
    assert_eq!(lab.hears("486 Busy Here", "b3"), Finished::Stray);
    assert_eq!(lab.clients.expire(lab.branch), Some("call"));
    assert_eq!(lab.hears("200 OK", "b1"), Finished::Stray);
}

#[test]
fn cancel_waits_for_the_first_1xx() {
    let mut lab = Lab::new();
    assert_eq!(lab.clients.cancel(lab.branch), None);
    assert_eq!(lab.clients.cancel(lab.branch), None);

    let ringing = lab.hears("100 Trying", "");
    let Finished::Invite("call", Answered::Provisional(Some(cancel))) = ringing else {
        panic!("{ringing:?}");
    };
    assert_eq!(cancel.method, Method::Cancel);
    assert_same(&cancel, &lab.invite);
    assert_eq!(cancel.to, lab.invite.to);
    assert_eq!(lab.hears("180 Ringing", "b"), Finished::Provisional);

    assert_eq!(lab.hears_of_cancel("200 OK"), Finished::Provisional);
    let over = lab.hears("487 Request Terminated", "b");
    assert!(matches!(
        over,
        Finished::Invite("call", Answered::Refused(_))
    ));
    assert!(lab.clients.is_empty());
}

#[test]
fn cancel_goes_out_at_once_behind_a_1xx_and_only_once() {
    let mut lab = Lab::new();
    lab.hears("180 Ringing", "b");
    let cancel = lab.clients.cancel(lab.branch).unwrap();
    assert_eq!(cancel.method, Method::Cancel);
    assert_eq!(lab.clients.cancel(lab.branch), None);

    // A peer that does not know it any more may still answer the INVITE.
    assert_eq!(lab.hears_of_cancel("481 Gone"), Finished::Provisional);
    assert_eq!(lab.hears("200 OK", "b"), success());
    assert_eq!(lab.clients.cancel(lab.branch), None);
}

#[test]
fn a_refusal_before_any_1xx_makes_the_cancel_needless() {
    let mut lab = Lab::new();
    lab.clients.cancel(lab.branch);
    let over = lab.hears("404 Not Found", "b");
    assert!(matches!(
        over,
        Finished::Invite("call", Answered::Refused(_))
    ));
}

#[test]
fn without_an_answer_the_caller_ends_it() {
    let mut lab = Lab::new();
    assert_eq!(lab.clients.expire(lab.branch), Some("call"));
    assert_eq!(lab.clients.expire(lab.branch), None);
    assert_eq!(lab.hears("200 OK", "b"), Finished::Stray);
    assert_eq!(lab.clients.cancel(lab.branch), None);
}

#[test]
fn others_and_other_methods_are_not_believed() {
    let mut lab = Lab::new();
    let ok = lab.response("200 OK", "b");
    assert_eq!(
        lab.clients.finish(&PeerId::new("eve"), &ok),
        Finished::Stray
    );
    // Nothing was cancelled.
    assert_eq!(lab.hears_of_cancel("200 OK"), Finished::Stray);
    let bye = Draft {
        method: Method::Bye,
        ..(*lab.invite).clone()
    };
    let response = answer_to(&bye, &lab.branch.to_string(), "200 OK", "b", "");
    assert_eq!(lab.clients.finish(&peer(), &response), Finished::Stray);
    assert_eq!(lab.hears("200 OK", "b"), success());
}

#[test]
fn an_ack_has_a_branch_of_its_own() {
    let lab = Lab::new();
    let mut rng = StdRng::seed_from_u64(2);
    let branch = lab.clients.branch(&mut rng);
    assert_ne!(branch, lab.branch);
    assert_eq!((branch.shard(), branch.mark()), (3, Mark(9)));
    assert_eq!(lab.clients.len(), 1);
}
