//! The table of verdicts against the shard: messages, requests, and what was granted before.

use super::lab::{Lab, message, seconds, text_of};
use super::presence_lab::{Theirs, pair};
use super::watched_lab::{PRESENCE, subscribe};
use crate::policy::{Subject, Verdict};
use crate::shard::Transmit;

const COMPOSING: &str = "<message from='alice@xmpp.example/balcony' to='bob@sip.example' id='c' \
    type='chat'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>";
const IS_COMPOSING: &str = "<?xml version=\"1.0\"?>\
    <isComposing xmlns=\"urn:ietf:params:xml:ns:im-iscomposing\"><state>active</state></isComposing>";

#[test]
fn every_verdict_is_as_the_table_says() {
    let table = include_str!("../../../tables/verdicts.tsv");
    let mut cases = 0;
    for row in table.lines().skip(1) {
        let [verdict, case, sip, xmpp, _] = row.split('\t').collect::<Vec<_>>()[..] else {
            panic!("five columns: {row}");
        };
        let verdict = Verdict::parse(verdict).unwrap();
        let mut lab = Lab::new();
        match case.strip_prefix("granted, ") {
            Some(case) => granted(&mut lab, case, verdict),
            None => decides(&mut lab, verdict),
        }

        match case {
            "message from sip" => _ = lab.bob_writes("1", "Hello"),
            "message from xmpp" => _ = lab.alice_writes("m1", "Hello"),
            "typing from sip" => _ = lab.request(&is_composing("1")),
            "typing from xmpp" => {
                let number = lab.stanza(COMPOSING);
                assert!(lab.is_settled(number), "{row}");
            }
            "subscribe from sip" => _ = lab.request(&subscribe("c1", PRESENCE)),
            "subscribe from xmpp" => _ = lab.alice("subscribe"),
            _ => assert!(case.starts_with("granted, "), "unknown case {case}"),
        }

        assert_eq!(
            outcome(&mut lab),
            (sip.to_owned(), xmpp.to_owned()),
            "{row}"
        );
        cases += 1;
    }
    assert_eq!(cases, 4 * 8);
}

fn decides(lab: &mut Lab, verdict: Verdict) {
    lab.decides(Subject::Pair(pair()), verdict);
}

/// One watches and is shown presence when the verdict changes; to allow, after a block.
fn granted(lab: &mut Lab, case: &str, verdict: Verdict) {
    match case {
        "sip watches" => {
            let mut watch = lab.shown("c1");
            if verdict == Verdict::Allow {
                decides(lab, Verdict::Block);
                lab.notified(&mut watch, &["closed"]);
            }
        }
        "xmpp watches" => {
            let mut dialog = lab.watched_bob();
            if verdict == Verdict::Allow {
                decides(lab, Verdict::Block);
                lab.next_presence(&["unavailable"]);
                end(lab, &mut dialog);
            }
        }
        other => panic!("unknown case {other}"),
    }
    lab.nothing();
    decides(lab, verdict);
}

/// A subscription ends as both sides want it.
fn end(lab: &mut Lab, dialog: &mut Theirs) {
    let end = lab.next_subscribe(0);
    lab.answer_subscribe(&end, 200, "Expires: 0\r\n");
    lab.notify(dialog, "terminated;reason=timeout", None);
}

fn is_composing(branch: &str) -> String {
    let kind = "application/im-iscomposing+xml";
    message(branch, "alice@xmpp.example", kind, IS_COMPOSING)
}

/// What goes out on both sides within a time that every refusal takes, in the words of the table.
fn outcome(lab: &mut Lab) -> (String, String) {
    let (mut sip, mut xmpp) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        while let Some(sent) = lab.try_next() {
            let text = text_of(&sent);
            if text.starts_with('<') {
                xmpp.push(stanza(&text));
                lab.hand_over(&sent);
            } else {
                sip.push(signal(&sent));
            }
        }
        lab.pass(seconds(3));
    }
    let words = |said: Vec<String>| match said.is_empty() {
        true => "-".to_owned(),
        false => said.join("; "),
    };
    (words(sip), words(xmpp))
}

fn signal(sent: &Transmit) -> String {
    let text = text_of(sent);
    let start = text.split(' ').next().unwrap();
    match start {
        "SIP/2.0" => text.get(8..11).unwrap().to_owned(),
        "NOTIFY" => {
            let state = between(&text, "Subscription-State: ", [';', '\r']);
            let (_, body) = text.split_once("\r\n\r\n").unwrap();
            let shows = match (body.is_empty(), body.contains(">open<")) {
                (true, _) => "empty",
                (false, true) => "open",
                (false, false) => "closed",
            };
            format!("NOTIFY {state} {shows}")
        }
        "SUBSCRIBE" if text.contains("Expires: 0\r\n") => "SUBSCRIBE 0".to_owned(),
        method => method.to_owned(),
    }
}

fn stanza(text: &str) -> String {
    if let Some((_, error)) = text.split_once("<error ") {
        let kind = between(error, "type=\"", ['"', '"']);
        let condition = between(error, "<", [' ', '/']);
        format!("error {condition} {kind}")
    } else if text.starts_with("<message") {
        "message".to_owned()
    } else if text.contains(" type=\"") {
        between(text, " type=\"", ['"', '"'])
    } else {
        "available".to_owned()
    }
}

fn between(text: &str, start: &str, ends: [char; 2]) -> String {
    let (_, rest) = text.split_once(start).unwrap();
    rest.split(ends).next().unwrap().to_owned()
}
