//! Which answer belongs to which request, and which request was seen before.

use std::time::Duration;

use bytes::Bytes;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use crate::limits;
use crate::model::{Mono, PeerId};
use crate::sip::tests::{MESSAGE, request, response, response_to, with};
use crate::sip::{
    Arrival, Branch, ClientTransactions, Finished, Mark, Method, ServerKey, ServerTransactions,
};

fn peer() -> PeerId {
    PeerId::new("kamailio")
}

fn at(seconds: u64) -> Mono {
    Mono::from_start(Duration::from_secs(seconds))
}

fn arrive(known: &mut ServerTransactions, text: &str, now: Mono) -> Arrival {
    known.arrive(&peer(), &request(text), now).unwrap()
}

fn new(known: &mut ServerTransactions, text: &str, now: Mono) -> ServerKey {
    let arrival = arrive(known, text, now);
    let Arrival::New(key) = arrival else {
        panic!("{arrival:?}");
    };
    key
}

fn clients() -> (ClientTransactions<&'static str>, Branch) {
    let mut clients = ClientTransactions::new(Mark(9), 3);
    let mut rng = StdRng::seed_from_u64(1);
    let branch = clients.start(peer(), Method::Message, "first", &mut rng);
    clients.start(peer(), Method::Message, "second", &mut rng);
    (clients, branch)
}

#[test]
fn an_answer_finds_its_request_once() {
    let (mut clients, branch) = clients();
    let (branch, shard) = (branch.to_string(), branch.shard());
    assert_eq!(shard, 3);

    let trying = response_to(&branch, "100 Trying");
    let ok = response_to(&branch, "200 OK");

    assert_eq!(clients.finish(&peer(), &trying), Finished::Provisional);
    assert_eq!(clients.finish(&peer(), &ok), Finished::Final("first"));
    assert_eq!(clients.finish(&peer(), &ok), Finished::Stray);
    assert_eq!(clients.len(), 1);
}

#[test]
fn only_the_peer_that_was_asked_is_believed() {
    let (mut clients, branch) = clients();
    let ok = response_to(&branch.to_string(), "200 OK");

    assert_eq!(clients.finish(&PeerId::new("eve"), &ok), Finished::Stray);
    assert_eq!(clients.finish(&peer(), &ok), Finished::Final("first"));
}

#[test]
fn an_answer_to_another_method_or_branch_is_stray() {
    let (mut clients, branch) = clients();
    let head = "SIP/2.0 200 OK\nFrom: <sip:a@x.example>\nTo: <sip:b@y.example>\nCall-ID: c\n\
                Content-Length: 0\n";
    let other_method =
        format!("{head}Via: SIP/2.0/TLS gw.example;branch={branch}\nCSeq: 1 OPTIONS\n\n");
    let other_branch =
        format!("{head}Via: SIP/2.0/TLS gw.example;branch=z9hG4bK1\nCSeq: 1 MESSAGE\n\n");

    for text in [other_method, other_branch] {
        assert_eq!(clients.finish(&peer(), &response(&text)), Finished::Stray);
    }
    assert_eq!(clients.expire(branch), Some("first"));
    assert_eq!(clients.expire(branch), None);
    assert!(!clients.is_empty());
}

#[test]
fn a_repeated_request_gets_the_same_answer() {
    let mut known = ServerTransactions::new();
    let key = new(&mut known, MESSAGE, at(0));
    assert_eq!(arrive(&mut known, MESSAGE, at(1)), Arrival::Repeated(None));

    let trying = Bytes::from_static(b"trying");
    known.answer(&key, 100, trying.clone(), at(4));
    let repeated = arrive(&mut known, MESSAGE, at(5));
    assert_eq!(repeated, Arrival::Repeated(Some(trying)));

    let ok = Bytes::from_static(b"ok");
    known.answer(&key, 200, ok.clone(), at(6));
    known.answer(&key, 504, Bytes::from_static(b"late"), at(7));
    let repeated = arrive(&mut known, MESSAGE, at(37));
    assert_eq!(repeated, Arrival::Repeated(Some(ok)));

    assert!(matches!(
        arrive(&mut known, MESSAGE, at(38)),
        Arrival::New(_)
    ));
}

#[test]
fn an_unanswered_request_is_not_forgotten() {
    let mut known = ServerTransactions::new();
    new(&mut known, MESSAGE, at(0));

    assert_eq!(
        arrive(&mut known, MESSAGE, at(999)),
        Arrival::Repeated(None)
    );
}

#[test]
fn another_sender_or_method_is_another_transaction() {
    let mut known = ServerTransactions::new();
    new(&mut known, MESSAGE, at(0));

    let port = with(MESSAGE, "example:5061", "example:5062");
    new(&mut known, &with(&port, "c1@", "c2@"), at(0));
    let options = MESSAGE.replace("MESSAGE", "OPTIONS");
    new(&mut known, &options, at(0));
    let other = known.arrive(&PeerId::new("eve"), &request(MESSAGE), at(0));
    assert!(matches!(other, Ok(Arrival::New(_))));
    assert_eq!(known.len(), 4);
}

#[test]
fn a_copy_on_another_path_is_merged() {
    let other_path = with(MESSAGE, "z9hG4bK77a1", "z9hG4bK77a2");
    let mut known = ServerTransactions::new();
    let key = new(&mut known, MESSAGE, at(0));

    assert_eq!(arrive(&mut known, &other_path, at(1)), Arrival::Merged);
    known.answer(&key, 200, Bytes::new(), at(2));
    assert_eq!(arrive(&mut known, &other_path, at(3)), Arrival::Merged);

    for (old, new_value) in [("c1@", "c3@"), ("CSeq: 7", "CSeq: 8"), ("tag=b1", "tag=b2")] {
        let branch = format!("z9hG4bK{}", new_value.len() * 7 + old.len());
        let other = with(&with(&other_path, old, new_value), "z9hG4bK77a2", &branch);
        new(&mut known, &other, at(3));
    }
    assert!(matches!(
        arrive(&mut known, &other_path, at(35)),
        Arrival::New(_)
    ));
}

#[test]
fn after_503_another_path_may_be_tried() {
    let mut known = ServerTransactions::new();
    let key = new(&mut known, MESSAGE, at(0));
    known.answer(&key, 503, Bytes::new(), at(1));

    let other_path = with(MESSAGE, "z9hG4bK77a1", "z9hG4bK77a2");
    new(&mut known, &other_path, at(2));
}

#[test]
fn requests_without_a_unique_branch_compare_as_in_rfc_2543() {
    for branch in ["", ";branch=z9hG4bK", ";branch=7"] {
        let old = with(MESSAGE, ";branch=z9hG4bK77a1", branch);
        let mut known = ServerTransactions::new();
        new(&mut known, &old, at(0));

        assert_eq!(arrive(&mut known, &old, at(0)), Arrival::Repeated(None));
        new(&mut known, &with(&old, "CSeq: 7", "CSeq: 8"), at(0));
        new(&mut known, &with(&old, "c1@", "c2@"), at(0));
    }
}

#[test]
fn memory_is_bounded() {
    let mut known = ServerTransactions::new();
    let text = |number: usize| {
        let text = with(MESSAGE, "z9hG4bK77a1", &format!("z9hG4bK{number}"));
        with(&text, "c1@", &format!("c{number}@"))
    };
    let keys: Vec<_> = (0..limits::SERVER_TRANSACTIONS)
        .map(|number| new(&mut known, &text(number), at(0)))
        .collect();
    let next = text(limits::SERVER_TRANSACTIONS);
    assert_eq!(arrive(&mut known, &next, at(1)), Arrival::Full);

    known.answer(&keys[5], 200, Bytes::new(), at(1));
    new(&mut known, &next, at(2));

    assert_eq!(known.len(), limits::SERVER_TRANSACTIONS);
    assert_eq!(arrive(&mut known, &text(5), at(2)), Arrival::Full);
}
