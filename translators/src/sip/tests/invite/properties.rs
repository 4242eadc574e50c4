//! What holds whatever peers send in whatever order.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use crate::limits;
use crate::model::Mono;
use crate::sip::invite::{Confirming, Inside, Invited, Inviting, Progress, Repeat};
use crate::sip::sdp::{Media, Offer, TYPES_GENERIC, write_answer};
use crate::sip::tests::invite::{INVITE, answer_to, caller, peer, read, sent_by, tag, terms};
use crate::sip::tests::with;
use crate::sip::{Answered, ClientTransactions, Finished, Mark, SipUri};

const METHODS: [&str; 4] = ["MESSAGE", "INFO", "INVITE", "UPDATE"];

/// A request inside the dialog, with a number near that of the INVITE.
fn requests() -> impl Strategy<Value = Vec<(usize, u32)>> {
    prop::collection::vec((0..METHODS.len(), 1_u32..120), 0..40)
}

/// Answers to an INVITE: a status and the endpoint that gives it.
fn answers() -> impl Strategy<Value = Vec<(u16, u8)>> {
    let statuses =
        prop::sample::select(vec![100, 101, 180, 183, 200, 202, 302, 404, 486, 487, 603]);
    prop::collection::vec((statuses, 0_u8..3), 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// No number is taken twice; a re-INVITE only goes forward, and everything else is at most 32 numbers behind and never before the INVITE.
    #[test]
    fn every_number_is_taken_once(requests in requests()) {
        let sent_by = sent_by();
        let terms = terms(&sent_by);
        let (mut session, _) = Invited::accept(&read(INVITE), tag(1), &terms).unwrap();
        let (mut taken, mut last) = (BTreeSet::from([7]), 7);
        for (method, number) in requests {
            let method = METHODS[method];
            let text = with(INVITE, "INVITE sip", &format!("{method} sip"));
            let text = with(&text, "CSeq: 7 INVITE", &format!("CSeq: {number} {method}"));
            let inside = session.on_request(&read(&text), &terms);
            let is_taken = match inside {
                Inside::Accepted(_) | Inside::Info | Inside::Message => true,
                Inside::Answer(answer) => answer.status() != 500,
                Inside::Ack | Inside::Bye | Inside::Ignored => false,
            };
            let carries = method != "INVITE";
            let fits = number > last || (carries && number > 7 && number + 32 >= last);
            prop_assert_eq!(is_taken, fits && !taken.contains(&number), "{} {}", method, number);
            if is_taken {
                taken.insert(number);
                last = last.max(number);
            }
        }
    }

    /// Whatever comes back for an INVITE: at most one conversation, an ACK for every final answer that
    /// counts, and nothing behind a refusal.
    #[test]
    fn at_most_one_conversation_comes_of_an_invite(
        answers in answers(),
        cancel_at in prop::option::of(0_usize..12),
    ) {
        let sent_by = sent_by();
        let mut inviting = Inviting::new(caller());
        let invite = inviting.request(&terms(&sent_by));
        let mut clients = ClientTransactions::new(Mark(9), 3);
        let mut rng = StdRng::seed_from_u64(1);
        let branch = clients.invite(peer(), Arc::new(invite.clone()), (), &mut rng);
        let (mut conversations, mut cancels, mut over, mut cancelled) = (0, 0, false, false);
        for (place, (status, endpoint)) in answers.into_iter().enumerate() {
            if cancel_at == Some(place) {
                inviting.cancel();
                cancelled = true;
                cancels += usize::from(clients.cancel(branch).is_some());
            }
            let tag = format!("b{endpoint}");
            let response = answer_to(&invite, &branch.to_string(), &format!("{status} x"), &tag, "");
            let answered = match clients.finish(&peer(), &response) {
                Finished::Invite((), answered) => answered,
                Finished::Final(()) => panic!("not an INVITE"),
                Finished::Provisional | Finished::Stray => continue,
            };
            prop_assert!(!over, "{} behind the end", status);
            match answered {
                Answered::Provisional(cancel) => {
                    prop_assert!(status < 200);
                    cancels += usize::from(cancel.is_some());
                }
                Answered::Refused(ack) => {
                    prop_assert_eq!(inviting.on_response(&response), Progress::Refused);
                    prop_assert_eq!(ack.cseq, invite.cseq);
                    over = true;
                }
                Answered::Success => match inviting.on_response(&response) {
                    Progress::Established(_, ack) => {
                        prop_assert!(!cancelled);
                        prop_assert_eq!(ack.cseq, invite.cseq);
                        conversations += 1;
                    }
                    Progress::Again(ack) | Progress::Unwanted(ack, _) => {
                        prop_assert_eq!(ack.to.tag().unwrap().as_str(), tag);
                    }
                    other @ (Progress::Ringing | Progress::Refused | Progress::Unusable(_)) => {
                        panic!("{other:?}")
                    }
                },
            }
        }
        prop_assert!(conversations <= 1 && cancels <= 1);
        prop_assert_eq!(clients.is_empty(), over);
    }

    /// However late one looks, a 2xx goes out at intervals of at least T1 and not behind the end.
    #[test]
    fn repetitions_keep_their_distance(steps in prop::collection::vec(1_u64..5_000, 1..60)) {
        let at = |millis| Mono::from_start(Duration::from_millis(millis));
        let mut confirming = Confirming::new(at(0));
        let (mut now, mut last) = (0, 0);
        for step in steps {
            now += step;
            match confirming.on_time(at(now)) {
                Repeat::Wait => prop_assert!(confirming.next() > at(now)),
                Repeat::Again => {
                    prop_assert!(at(now).since(at(last)) >= limits::TIMER_T1);
                    prop_assert!(confirming.next() > at(now));
                    last = now;
                }
                Repeat::GiveUp => prop_assert!(at(now) >= at(0) + limits::TIMER_F),
            }
        }
    }

    /// Whatever a description says, its answer names as many media and reads back.
    #[test]
    fn an_answer_fits_its_offer(
        lines in prop::collection::vec("(m=(message|audio|x-ms-message|video|data)[ 0-9a-zA-Z/]{0,20}|[a-z]=[ -~]{0,20}|v=0)", 0..20),
    ) {
        let body = lines.join("\r\n");
        let offer = Offer::read(body.as_bytes());
        let own = SipUri::parse("sip:alice@xmpp.example").unwrap();
        let (_, answer) = write_answer(&offer, &own, TYPES_GENERIC);
        let read = Offer::read(&answer);
        prop_assert!(read.has(Media::Message) && !read.has_more());
    }

    /// Nothing in a body or header of the first message can hurt.
    #[test]
    fn any_first_message_is_survived(value in "[ -:<-~;=]{0,200}", body in prop::collection::vec(any::<u8>(), 0..200)) {
        let text = with(INVITE, "ms-text-format: text/plain; charset=UTF-8; ms-body=SGVsbG8NCg==",
            &format!("ms-text-format: {value}"));
        let request = read(&text);
        let invited = Invited::read(&request);
        prop_assert!(invited.first_message().is_none_or(|first| !first.text().trim().is_empty()));
        _ = Offer::read(&body).has(Media::Message);
    }
}
