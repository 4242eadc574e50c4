//! Every state of an INVITE server transaction (RFC 3261 sections 9.2 and 17.2.1, RFC 6026 section
//! 7.1).

use bytes::Bytes;

use crate::limits;
use crate::model::{Mono, PeerId};
use crate::sip::tests::invite::{INVITE, at, peer, read};
use crate::sip::tests::with;
use crate::sip::{Arrival, Cancelled, ServerKey, ServerTransactions};

fn arrive(known: &mut ServerTransactions, text: &str, now: Mono) -> Arrival {
    known.arrive(&peer(), &read(text), now).unwrap()
}

fn new(known: &mut ServerTransactions, text: &str) -> ServerKey {
    let arrival = arrive(known, text, at(0));
    let Arrival::New(key) = arrival else {
        panic!("{arrival:?}");
    };
    key
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// The same request under another method.
fn under(method: &str, text: &str) -> String {
    let text = with(text, "INVITE sip", &format!("{method} sip"));
    with(&text, "CSeq: 7 INVITE", &format!("CSeq: 7 {method}"))
}

fn tagged(text: &str, tag: &str) -> String {
    with(
        text,
        "To: <sip:alice@xmpp.example>",
        &format!("To: <sip:alice@xmpp.example>;tag={tag}"),
    )
}

/// The ACK of a refusal.
fn ack() -> String {
    tagged(&under("ACK", INVITE), "t")
}

#[test]
fn proceeding_repeats_the_1xx() {
    let mut known = ServerTransactions::new();
    let key = new(&mut known, INVITE);
    assert_eq!(arrive(&mut known, INVITE, at(1)), Arrival::Repeated(None));

    known.answer(&key, 100, bytes("100"), at(2));
    let repeated = arrive(&mut known, INVITE, at(3));
    assert_eq!(repeated, Arrival::Repeated(Some(bytes("100"))));
}

#[test]
fn completed_repeats_the_refusal_until_its_ack() {
    let mut known = ServerTransactions::new();
    let key = new(&mut known, INVITE);
    known.answer(&key, 486, bytes("486"), at(0));

    let repeated = arrive(&mut known, INVITE, at(500));
    assert_eq!(repeated, Arrival::Repeated(Some(bytes("486"))));
    for _ in 0..2 {
        assert_eq!(arrive(&mut known, &ack(), at(600)), Arrival::Acknowledged);
    }
    assert_eq!(arrive(&mut known, INVITE, at(700)), Arrival::Repeated(None));

    // Timer H is over.
    let later = at(0) + limits::TIMER_F;
    assert_eq!(arrive(&mut known, &ack(), later), Arrival::Ack);
    assert!(known.is_empty());
}

#[test]
fn accepted_absorbs_repetitions_and_passes_acks_on() {
    let mut known = ServerTransactions::new();
    let key = new(&mut known, INVITE);
    known.answer(&key, 100, bytes("100"), at(0));
    known.answer(&key, 200, bytes("200"), at(0));

    assert_eq!(arrive(&mut known, INVITE, at(500)), Arrival::Repeated(None));
    assert_eq!(arrive(&mut known, &ack(), at(600)), Arrival::Ack);
    let own_branch = with(&ack(), "z9hG4bK2DA3892F.D0", "z9hG4bK2DA3892F.D1");
    assert_eq!(arrive(&mut known, &own_branch, at(600)), Arrival::Ack);
    // A later answer changes nothing.
    known.answer(&key, 487, bytes("487"), at(700));
    assert_eq!(arrive(&mut known, INVITE, at(800)), Arrival::Repeated(None));
    assert_eq!(known.len(), 1);
}

#[test]
fn an_ack_makes_no_transaction() {
    let mut known = ServerTransactions::new();
    assert_eq!(arrive(&mut known, &ack(), at(0)), Arrival::Ack);
    assert!(known.is_empty());
}

#[test]
fn another_peer_acknowledges_nothing() {
    let mut known = ServerTransactions::new();
    let key = new(&mut known, INVITE);
    known.answer(&key, 486, bytes("486"), at(0));
    let eve = PeerId::new("eve");
    let arrival = known.arrive(&eve, &read(&ack()), at(1)).unwrap();
    assert_eq!(arrival, Arrival::Ack);
}

#[test]
fn cancel_finds_an_invite_without_a_final_answer() {
    let cancel = under("CANCEL", INVITE);
    let cancelled = |known: &mut ServerTransactions| {
        let arrival = arrive(known, &cancel, at(1));
        let Arrival::Cancel(_, cancelled) = arrival else {
            panic!("{arrival:?}");
        };
        cancelled
    };

    let mut known = ServerTransactions::new();
    assert_eq!(cancelled(&mut known), Cancelled::Unknown);

    for answer in [None, Some(100)] {
        let mut known = ServerTransactions::new();
        let key = new(&mut known, INVITE);
        if let Some(status) = answer {
            known.answer(&key, status, bytes("1xx"), at(0));
        }
        assert_eq!(cancelled(&mut known), Cancelled::Open(key.clone()));
        known.answer(&key, 487, bytes("487"), at(1));
        let repeated = arrive(&mut known, INVITE, at(2));
        assert_eq!(repeated, Arrival::Repeated(Some(bytes("487"))));
    }
    for status in [200, 486] {
        let mut known = ServerTransactions::new();
        let key = new(&mut known, INVITE);
        known.answer(&key, status, bytes("final"), at(0));
        if status != 200 {
            arrive(&mut known, &ack(), at(0));
        }
        assert_eq!(cancelled(&mut known), Cancelled::TooLate, "{status}");
    }
}

#[test]
fn a_repeated_cancel_gets_the_same_answer() {
    let mut known = ServerTransactions::new();
    new(&mut known, INVITE);
    let cancel = under("CANCEL", INVITE);
    let Arrival::Cancel(key, _) = arrive(&mut known, &cancel, at(0)) else {
        panic!("no CANCEL");
    };
    known.answer(&key, 200, bytes("200"), at(0));

    let repeated = arrive(&mut known, &cancel, at(1));
    assert_eq!(repeated, Arrival::Repeated(Some(bytes("200"))));
}

#[test]
fn cancel_of_another_branch_or_sender_finds_nothing() {
    let mut known = ServerTransactions::new();
    new(&mut known, INVITE);
    for (old, new) in [
        ("z9hG4bK2DA3892F", "z9hG4bK2DA3892E"),
        ("192.0.2.7:5061", "192.0.2.8:5061"),
    ] {
        let cancel = with(&under("CANCEL", INVITE), old, new);
        let cancel = with(&cancel, "ce878a8bc0ca4c76", new);
        let arrival = arrive(&mut known, &cancel, at(1));
        assert!(
            matches!(arrival, Arrival::Cancel(_, Cancelled::Unknown)),
            "{arrival:?}"
        );
    }
}

#[test]
fn cancel_without_a_branch_is_matched_as_in_rfc_2543() {
    let bare = with(INVITE, ";branch=z9hG4bK2DA3892F.D0429AA14DA5C5DB", "");
    let mut known = ServerTransactions::new();
    let key = new(&mut known, &bare);

    let arrival = arrive(&mut known, &under("CANCEL", &bare), at(1));
    let Arrival::Cancel(_, cancelled) = arrival else {
        panic!("{arrival:?}");
    };
    assert_eq!(cancelled, Cancelled::Open(key));
}

#[test]
fn a_fork_of_one_invite_is_merged() {
    let mut known = ServerTransactions::new();
    new(&mut known, INVITE);
    let fork = with(INVITE, "z9hG4bK2DA3892F", "z9hG4bKother");
    assert_eq!(arrive(&mut known, &fork, at(1)), Arrival::Merged);
    // In its dialog nothing is.
    let again = tagged(&with(&fork, "CSeq: 7", "CSeq: 8"), "t");
    assert!(matches!(arrive(&mut known, &again, at(1)), Arrival::New(_)));
}

#[test]
fn a_success_that_was_not_sent_is_taken_back() {
    let mut known = ServerTransactions::new();
    let key = new(&mut known, INVITE);
    known.answer(&key, 200, bytes("200"), at(0));
    known.take_back(&key);
    known.answer(&key, 503, bytes("503"), at(0));
    let repeated = arrive(&mut known, INVITE, at(1));
    assert_eq!(repeated, Arrival::Repeated(Some(bytes("503"))));
}
