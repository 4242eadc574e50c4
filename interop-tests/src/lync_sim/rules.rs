//! What the simulator plays: each rule with its evidence and with what exercises it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::profile::Profile;

/// One rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its number.
    pub id: &'static str,
    /// What the simulator does, or holds its partner to.
    pub what: &'static str,
    /// Where that was seen or read: `W 09` a wire trace, otherwise a specification or source; none
    /// if the rule as a whole is assumed.
    pub evidence: Option<&'static str>,
    /// What of it rests on no evidence.
    pub assumed: &'static str,
    /// The test or scenario that exercises it.
    pub test: &'static str,
}

/// All rules in their order.
pub const RULES: [Rule; 22] = [
    Rule {
        id: "E1",
        what: "mutual TLS in both directions with the suites of its Windows and an RSA certificate, or ECDSA",
        evidence: Some("win32"),
        assumed: "OpenSSL stands in for Schannel; TLS 1.0 alone on Windows 2008",
        test: "tls_of_each_windows",
    },
    Rule {
        id: "E2",
        what: "its certificate is for servers only and names a place for revocation lists",
        evidence: Some("gg398066"),
        assumed: "",
        test: "tls_of_each_windows",
    },
    Rule {
        id: "E3",
        what: "a partner whose record or certificate does not fit gets a bare 504, with diagnostics 1009 or 1010",
        evidence: Some("W01"),
        assumed: "",
        test: "names_of_the_partner",
    },
    Rule {
        id: "E4",
        what: "NEGOTIATE before anything else on each connection it opens, which ends after 5 s without an answer",
        evidence: Some("W19"),
        assumed: "it goes on uncompressed after an error answer",
        test: "connections_and_headers",
    },
    Rule {
        id: "E5",
        what: "one to four connections, requests of a dialog on any of them, CRLF keep-alives",
        evidence: Some("ps"),
        assumed: "",
        test: "connections_and_headers",
    },
    Rule {
        id: "E6",
        what: "split Vias, capitals, branch-less Vias, epid before tag, no rport",
        evidence: Some("W21"),
        assumed: "",
        test: "connections_and_headers",
    },
    Rule {
        id: "E7",
        what: "signed Record-Route has to come back byte for byte and in order",
        evidence: Some("W09"),
        assumed: "a changed one is refused with 481",
        test: "signed_routes_come_back",
    },
    Rule {
        id: "E8",
        what: "trust headers from a partner are refused, and found in his answers",
        evidence: Some("MS-SIPRE"),
        assumed: "",
        test: "no_trust_headers",
    },
    Rule {
        id: "E9",
        what: "a SUBSCRIBE per endpoint and contact, with the categories it wants, with or without BENOTIFY",
        evidence: Some("W07"),
        assumed: "releases after OCS 2007 list the same formats across an Edge; when a refresh that reached nobody is tried again",
        test: "watching_from_every_endpoint",
    },
    Rule {
        id: "E10",
        what: "formats in a fixed order, piggyback where offered, BENOTIFY without answers, clamped grants",
        evidence: Some("MS-PRES"),
        assumed: "BENOTIFY to a partner that has not offered to take it",
        test: "watched_by_a_partner",
    },
    Rule {
        id: "E11",
        what: "a blocked watcher keeps his subscription and sees an offline user; questions need a context",
        evidence: Some("bb878984"),
        assumed: "no question without a context",
        test: "blocked_and_allowed",
    },
    Rule {
        id: "E12",
        what: "shows documents as SIPE does and ignores Subscription-State",
        evidence: Some("SIPE"),
        assumed: "",
        test: "every_state_is_shown",
    },
    Rule {
        id: "E13",
        what: "does not subscribe again by itself after the partner's restart",
        evidence: Some("MS-SIP"),
        assumed: "",
        test: "dialogs_survive_a_restart",
    },
    Rule {
        id: "E14",
        what: "the first text in the INVITE, and again as a MESSAGE unless it was announced as taken",
        evidence: Some("W21"),
        assumed: "the tag that announces it; of several conversations a user writes in the newest",
        test: "conversation_of_a_lync_user",
    },
    Rule {
        id: "E15",
        what: "progress, delayed and forked answers, the wait for ACK, fresh conversation numbers",
        evidence: Some("W35"),
        assumed: "",
        test: "conversation_of_an_xmpp_user",
    },
    Rule {
        id: "E16",
        what: "texts of every media type, rich text alone, typing both ways, other INFOs, other media, CANCEL",
        evidence: Some("SIPE"),
        assumed: "",
        test: "contents_of_a_conversation",
    },
    Rule {
        id: "E17",
        what: "links changed on the way, conversations blocked, refusals with and without diagnostics",
        evidence: Some("MS-OCER"),
        assumed: "the status beside some of the numbers",
        test: "refusals_reach_the_sender",
    },
    Rule {
        id: "E18",
        what: "escalation to a meeting and old multiparty are refused, the conversation goes on",
        evidence: Some("SIPE"),
        assumed: "the body of the invitation to a meeting",
        test: "meetings_are_refused",
    },
    Rule {
        id: "E19",
        what: "20 messages a second of a discovered partner, 1 if too many requests fail, 1000 users",
        evidence: Some("bb663635"),
        assumed: "what a partner over them is answered, and that half of his requests may fail",
        test: "the_cap_of_a_discovered_partner",
    },
    Rule {
        id: "E20",
        what: "OPTIONS to the partner, and an answer to his after silence",
        evidence: Some("RFC3261"),
        assumed: "what Test-CsFederatedPartner sends",
        test: "asked_when_silent",
    },
    Rule {
        id: "E21",
        what: "a contact that was removed and added again gets a full document",
        evidence: Some("MS-SIP"),
        assumed: "",
        test: "removed_and_added_again",
    },
    Rule {
        id: "E22",
        what: "a sender of its own domain from outside is refused with 1017",
        evidence: Some("MS-OCER"),
        assumed: "the status beside the number",
        test: "the_same_domain_on_both_sides",
    },
];

/// What no simulator can show.
pub const NEEDS_A_REAL_EDGE: [&str; 7] = [
    "Schannel itself: RC4 and 3DES, renegotiation, how it picks its certificate",
    "what it does after each answer to NEGOTIATE, and compression",
    "what a client of Lync 2010 or newer really draws",
    "how it refuses a partner that is over its cap",
    "whether it asks its user about a watcher without a context",
    "by which tag a 2xx says that the text of the INVITE was taken",
    "whether it demands the client purpose of our certificate, and takes one with ECDSA alone",
];

/// One line per rule: its number, `evidence` with the source or `assumption`, the test.
pub fn lines() -> String {
    let mut out = String::new();
    for rule in RULES {
        let Rule { id, test, .. } = rule;
        let mark = match rule.evidence {
            Some(source) => format!("evidence {source}"),
            None => "assumption -".to_owned(),
        };
        let assumed = match rule.assumed {
            "" => String::new(),
            assumed => format!(" # assumes: {assumed}"),
        };
        // Writing into a string does not fail.
        writeln!(out, "{id} {mark} {test}{assumed}").ok();
    }
    out.pop();
    out
}

/// What a scenario prints when it has shown a rule: `rule E7 shown by lync2013 with prosody`.
pub fn shown(id: &str, profile: &str, with: &str) -> String {
    format!("rule {id} shown by {profile} with {with}")
}

/// The releases that have not shown a rule.
fn missing(shown: &[&str]) -> Vec<&'static str> {
    let names = Profile::ALL.map(Profile::name).into_iter();
    names
        .filter(|name| !shown.iter().any(|one| one.split(' ').next() == Some(*name)))
        .collect()
}

/// `lync2013 with a, lync2013 with b, s4b2019 with a` by what was on the other side.
fn together(shown: &[&str]) -> String {
    let mut with: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for one in shown {
        if let Some((profile, other)) = one.split_once(" with ") {
            with.entry(other).or_default().insert(profile);
        }
    }
    let parts = with.into_iter().map(|(other, profiles)| {
        let profiles: Vec<&str> = profiles.into_iter().collect();
        format!("{} with {other}", profiles.join(" "))
    });
    parts.collect::<Vec<_>>().join("; ")
}

/// Whether a report says that something was not shown.
pub fn is_complete(report: &str) -> bool {
    !report.contains("NOT SHOWN")
}

/// What a run of the scenarios, as they have printed it, says about each rule.
pub fn report(log: &str) -> String {
    let mut out = String::new();
    for rule in RULES {
        let Rule { id, what, .. } = rule;
        let start = format!("rule {id} shown by ");
        let shown: Vec<&str> = log
            .lines()
            .filter_map(|line| line.trim().strip_prefix(&start))
            .collect();
        let missing = missing(&shown);
        let verdict = match (missing.as_slice(), rule.evidence) {
            (_, _) if shown.is_empty() => "NOT SHOWN".to_owned(),
            ([], Some(source)) => format!("passed on evidence ({source})"),
            ([], None) => "passed on assumption".to_owned(),
            (missing, _) => format!("NOT SHOWN by {}", missing.join(", ")),
        };
        // Writing into a string does not fail.
        writeln!(out, "{id:<4}{verdict}: {what}").ok();
        if !shown.is_empty() && !rule.assumed.is_empty() {
            writeln!(out, "    passed on assumption: {}", rule.assumed).ok();
        }
        let test = rule.test;
        if !shown.is_empty() {
            writeln!(out, "    {test}: {}", together(&shown)).ok();
        }
    }
    writeln!(out, "needs a real Edge:").ok();
    for words in NEEDS_A_REAL_EDGE {
        writeln!(out, "    {words}").ok();
    }
    out.pop();
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_names_who_has_not_shown_a_rule() {
        let mut log = String::new();
        for rule in RULES.iter().filter(|rule| rule.id != "E22") {
            let played = Profile::ALL.into_iter();
            let of_one = |profile: &Profile| rule.id != "E19" || *profile == Profile::S4b2019;
            for profile in played.filter(of_one) {
                log += &shown(rule.id, profile.name(), "peer.example");
                log.push('\n');
            }
        }
        log += &shown("E7", "lync2013", "prosody.example");
        let report = report(&log);
        let has = |line: &str| assert!(report.contains(line), "{line} in {report}");
        has("E6  passed on evidence (W21): ");
        has(
            "    signed_routes_come_back: lync2010 lync2013 ocs2007r2 s4b2015 s4b2019 with peer.example; lync2013 with prosody.example",
        );
        has("    passed on assumption: a changed one is refused with 481");
        has("E19 NOT SHOWN by ocs2007r2, lync2010, lync2013, s4b2015: ");
        has("E22 NOT SHOWN: ");
        assert!(!is_complete(&report));
    }
}
