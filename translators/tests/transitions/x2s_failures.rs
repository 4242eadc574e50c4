//! The tables of what a failure answer to a SUBSCRIBE and the end of a subscription mean.

use translators::presence::subscriber::{Failure, judge};

use crate::x2s_lab::{Lab, Outcome};

/// Words for the conditions of [`Lab::put`].
fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn fields(table: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    let lines = table.lines().skip(1).filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split('\t').collect())
}

/// The statuses of one row.
fn statuses(text: &str) -> Vec<u16> {
    match text.split_once('-') {
        Some((first, last)) => (first.parse().unwrap()..=last.parse().unwrap()).collect(),
        None => text.parse().into_iter().collect(),
    }
}

#[test]
fn every_failure_means_what_the_table_says() {
    let table = include_str!("../../tables/subscribe_failures.tsv");
    let mut seen = 0;
    for row in fields(table) {
        for status in statuses(row[0]) {
            assert_initial(status, row[1]);
            assert_refresh(status, row[2], row[3]);
            seen += 1;
        }
    }
    assert_eq!(seen, 23);
}

fn assert_initial(status: u16, says: &str) {
    let means = judge(status, false);
    let expected = match says {
        _ if says.starts_with("denied") => Failure::Denied,
        _ if says.starts_with("retry slow") => Failure::Slow,
        _ if says.contains("Min-Expires") => Failure::Brief,
        _ if says.contains("other URI scheme") => Failure::OtherScheme,
        _ => Failure::Ended,
    };
    assert_eq!(means, expected, "{status} at first: {says}");

    let outcome = first(status, "requested");
    let denied = expected == Failure::Denied;
    assert_eq!(outcome.next == "Denied", denied, "{status}: {outcome:?}");
    assert_eq!(outcome.xmpp == ["unsubscribed"], denied, "{status}");
    let asks = matches!(expected, Failure::Brief | Failure::OtherScheme);
    assert_eq!(!outcome.sip.is_empty(), asks, "{status}: {outcome:?}");
}

fn assert_refresh(status: u16, says: &str, dialog: &str) {
    let means = judge(status, true);
    let expected = match (says, dialog) {
        _ if says.contains("denied") => Failure::Denied,
        _ if says.contains("Min-Expires") => Failure::Brief,
        _ if says.contains("new initial") || says.contains("at once") => Failure::Forgotten,
        (_, "ended") => Failure::Ended,
        _ => Failure::Kept,
    };
    assert_eq!(means, expected, "{status} to a refresh: {says}");

    let outcome = refresh(status, "");
    // The refusal of what was granted is not believed at once.
    let next = match expected {
        Failure::Denied | Failure::Ended => "BackingOff",
        Failure::Forgotten => "AwaitingNotify",
        Failure::Brief | Failure::Kept | Failure::OtherScheme | Failure::Slow => "Active",
    };
    assert_eq!(outcome.next, next, "{status}: {outcome:?}");
    assert_eq!(outcome.xmpp, [""; 0], "{status}");
    let told = after_doubt(status);
    if expected == Failure::Denied {
        assert_eq!(told.xmpp, ["withdraw", "unsubscribed"], "{status}");
    }
}

/// Only these may ever take a contact from the roster.
#[test]
fn nothing_else_unsubscribes() {
    let listed = [403, 405, 410, 489, 501, 603, 604];
    for status in 300..700 {
        let at_first = first(status, "requested").xmpp == ["unsubscribed"];
        let listed_at_first = listed.contains(&status) || status == 406;
        assert_eq!(at_first, listed_at_first, "{status} at first");
        assert_eq!(first(status, "granted").xmpp, [""; 0], "{status} at first");
        let later = after_doubt(status)
            .xmpp
            .contains(&"unsubscribed".to_owned());
        assert_eq!(later, listed.contains(&status), "{status} to a refresh");
    }
}

/// The Microsoft profile.
#[test]
fn a_grant_stands_where_a_refusal_is_no_word_of_the_user() {
    for status in 400..700 {
        let mut lab = Lab::new(3);
        lab.terms.microsoft = true;
        lab.put("AwaitingNotify", &words("requested"));
        let outcome = lab.event("first refused", &words(&status.to_string()));
        let denied = [403, 489, 603].contains(&status);
        assert_eq!(outcome.next == "Denied", denied, "{status}: {outcome:?}");

        let mut lab = Lab::new(3);
        lab.terms.microsoft = true;
        lab.put("Active", &words("old refreshing"));
        lab.event("refresh refused", &words(&status.to_string()));
        lab.pass(std::time::Duration::from_secs(2));
        let later = lab.event("verdict", &words("allow"));
        assert!(lab.machine.is_granted(), "{status}");
        assert_eq!(later.xmpp, [""; 0], "{status}");
    }
}

#[test]
fn a_lost_dialog_is_asked_for_anew_at_once_and_not_in_one_moment() {
    let mut pauses = Vec::new();
    for seed in 0..50 {
        let mut lab = Lab::new(seed);
        lab.put("Active", &words("old refreshing microsoft"));
        lab.event("refresh refused", &words("481"));
        let before = lab.now.mono;
        lab.wait();
        pauses.push(lab.now.mono.since(before));
        let outcome = lab.act_on_time();
        assert_eq!(outcome.sip, ["SUBSCRIBE 28800"], "{seed}");
        assert_eq!(outcome.xmpp, [""; 0]);
    }
    let all = || pauses.iter();
    assert!(all().all(|pause| pause.as_millis() <= 5_000), "{pauses:?}");
    let spread = all().max().unwrap().saturating_sub(*all().min().unwrap());
    assert!(spread.as_millis() > 3_000, "{pauses:?}");
}

/// A peer that ends every dialog at once is not asked without end.
#[test]
fn a_dialog_that_is_lost_again_and_again_is_not_asked_for_without_end() {
    let mut lab = Lab::new(5);
    lab.put("Active", &words("microsoft"));
    let mut asked = 0;
    let start = lab.now.mono;
    while lab.now.mono.since(start).as_secs() < 3_600 {
        if lab.state() == "Active" {
            lab.notified("terminated", None);
        }
        lab.wait();
        asked += lab.act_on_time().sip.len();
        if lab.state() == "AwaitingNotify" {
            lab.event("first accepted", &words("document"));
        }
    }
    assert!((5..200).contains(&asked), "{asked}");
}

#[test]
fn every_reason_means_what_the_table_says() {
    let table = include_str!("../../tables/subscription_state_reasons.tsv");
    let mut seen = 0;
    for row in fields(table).filter(|row| row[0] == "terminated") {
        let reason = row[1].trim_matches(['(', ')']);
        let parameter = if reason.contains("none") {
            "terminated".to_owned()
        } else {
            format!("terminated;reason={reason}")
        };
        let mut lab = Lab::new(3);
        lab.put("Active", &words("old"));
        let mut outcome = lab.notified(&parameter, None);
        let denied = row[3] == "denied";
        if denied {
            assert_eq!(outcome.next, "BackingOff", "{reason}");
            outcome = lab.event("doubt time", &[]);
            assert_eq!(outcome.xmpp, ["withdraw", "unsubscribed"], "{reason}");
        } else {
            assert_eq!(outcome.xmpp, [""; 0], "{reason}");
            assert!(lab.machine.is_granted(), "{reason}");
        }
        let at_once = row[4].starts_with("immediately");
        assert_eq!(outcome.next == "AwaitingNotify", at_once, "{reason}");
        let waits = row[4].starts_with("after");
        assert_eq!(lab.machine.retry_at().is_some(), waits, "{reason}");
        seen += 1;
    }
    assert_eq!(seen, 8);
}

fn first(status: u16, granted: &str) -> Outcome {
    let mut lab = Lab::new(3);
    lab.put("AwaitingNotify", &words(granted));
    lab.event("first refused", &words(&status.to_string()))
}

fn refresh(status: u16, more: &str) -> Outcome {
    let mut lab = Lab::new(3);
    lab.put("Active", &words("old refreshing"));
    lab.event("refresh refused", &words(&format!("{status} {more}")))
}

/// What the watcher is told when a refusal was held for long enough.
fn after_doubt(status: u16) -> Outcome {
    let mut lab = Lab::new(3);
    lab.put("Active", &words("old refreshing"));
    let outcome = lab.event("refresh refused", &words(&status.to_string()));
    if outcome.next == "BackingOff" && lab.machine.retry_at().is_none() {
        return lab.event("doubt time", &[]);
    }
    outcome
}
