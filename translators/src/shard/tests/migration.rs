//! The way from an administrative watcher to watchers who are themselves.

use jid::BareJid;

use super::lab::{Lab, text_of};
use crate::model::{Aor, Pair};
use crate::policy::{Subject, Verdict};
use crate::shard::{Answered, Command, CommandId, Input, Lapse};

fn pair(user: &str, address: &str) -> Pair {
    let aor = Aor::from_image(BareJid::new(address).unwrap());
    Pair::new(BareJid::new(user).unwrap(), aor)
}

fn give_up(lab: &mut Lab, number: u64, user: &str) {
    let command = Command::GiveUp(pair(user, "presence@sip.example"));
    lab.input(Input::Command(CommandId(number), command));
}

#[test]
fn an_old_address_takes_leave_and_the_operator_hears_when_it_is_taken() {
    let mut lab = Lab::new();

    give_up(&mut lab, 7, "alice@xmpp.example");

    let (first, second) = (lab.next(), lab.next());
    for (sent, kind) in [(&first, "unsubscribe"), (&second, "unsubscribed")] {
        let text = text_of(sent);
        assert!(text.starts_with("<presence"), "{text}");
        for part in [
            "from=\"presence@sip.example\"",
            "to=\"alice@xmpp.example\"",
            &format!("type=\"{kind}\""),
        ] {
            assert!(text.contains(part), "{part} expected: {text}");
        }
    }
    lab.nothing();
    lab.hand_over(&first);
    assert_eq!(lab.answers, []);
    lab.hand_over(&second);
    assert_eq!(lab.answers, [(CommandId(7), Answered::Changed(1))]);
    assert!(!lab.shard.is_busy());
}

#[test]
fn a_leave_that_was_not_taken_is_told_too() {
    let mut lab = Lab::new();
    give_up(&mut lab, 1, "alice@xmpp.example");
    let (_, last) = (lab.next(), lab.next());
    lab.give_back(&last, Lapse::Expired);
    give_up(&mut lab, 2, "alice@xmpp.example");
    let (_, last) = (lab.next(), lab.next());
    lab.lose(&last);
    // Nobody serves this one.
    give_up(&mut lab, 3, "alice@elsewhere.example");

    lab.nothing();
    let nothing = (1..=3).map(|number| (CommandId(number), Answered::Changed(0)));
    assert_eq!(lab.answers, nothing.collect::<Vec<_>>());
}

#[test]
fn an_xmpp_user_is_let_in_once() {
    let mut lab = Lab::new();
    let watch = || Command::Watch(pair("alice@xmpp.example", "bob@sip.example"));

    lab.input(Input::Command(CommandId(1), watch()));
    let subscribe = lab.next_sip("SUBSCRIBE sip:bob@sip.example");
    assert!(text_of(&subscribe).contains("sip:alice@xmpp.example"));
    lab.input(Input::Command(CommandId(2), watch()));

    lab.nothing();
    let answers = [(1, 1), (2, 0)].map(|(id, done)| (CommandId(id), Answered::Changed(done)));
    assert_eq!(lab.answers, answers);
}

#[test]
fn nobody_is_let_in_against_a_verdict() {
    let mut lab = Lab::new();
    let both = pair("alice@xmpp.example", "bob@sip.example");
    lab.decides(Subject::Pair(both.clone()), Verdict::Confirm);

    lab.input(Input::Command(CommandId(1), Command::Watch(both)));

    assert!(
        std::iter::from_fn(|| lab.try_next()).all(|sent| text_of(&sent).starts_with("<presence"))
    );
    assert_eq!(lab.answers, [(CommandId(1), Answered::Changed(0))]);
}
