//! How one peer is, and what stands between it and us.

use std::path::Path;

use serde_json::Value;

use crate::admin::partner::protocol::{
    CheckStatus, PeerReport, PeerWhy, ReasonStatus, RefusalStatus,
};
use crate::admin::protocol::{Command, PeerState, PeerStatus};
use crate::ctl::daemon::{link_table, peer_table, query, show};
use crate::ctl::table::Table;
use crate::ctl::{Console, Exit, Failure};
use crate::telemetry::logs::printable;

/// `peer status`: one peer, its links, and what it said of late.
pub(super) fn status(
    console: &mut Console<'_>,
    socket: &Path,
    peer: &str,
) -> Result<Exit, Failure> {
    let peer = peer.to_owned();
    let (answer, report): (Value, PeerReport) = query(socket, &Command::PeerStatus { peer })?;
    let exit = exit_of(&report);
    if console.json {
        console.value(&answer)?;
        return Ok(exit);
    }
    let peers = std::slice::from_ref(&report.peer);
    peer_table(console, peers)?;
    console.line("")?;
    link_table(console, peers)?;
    console.line("")?;
    console.line(&match report.cap {
        Some(cap) => format!(
            "Profile {}; at most {cap} messages a second go to it, answers among them, until it lists this gateway (allow_listed).",
            report.profile
        ),
        None => format!("Profile {}.", report.profile),
    })?;
    if let Some(seconds) = report.clock_ahead_seconds.filter(|seconds| *seconds != 0) {
        let (span, way) = (seconds.unsigned_abs(), side_of(seconds));
        console.line("")?;
        console.line(&format!("Its clock is {span} s {way} ours."))?;
    }
    refusals(console, &report)?;
    Ok(exit)
}

/// `peer why`: what hinders a peer, and what to do.
pub(super) fn why(console: &mut Console<'_>, socket: &Path, peer: &str) -> Result<Exit, Failure> {
    let peer = peer.to_owned();
    let (answer, why): (Value, PeerWhy) = query(socket, &Command::PeerWhy { peer })?;
    let wrong = why.checks.iter().any(|check| check.outcome == WRONG);
    let exit = if wrong {
        Exit::Problem
    } else {
        exit_of(&why.report)
    };
    if console.json {
        console.value(&answer)?;
        return Ok(exit);
    }
    for line in verdict(&why) {
        console.line(&printable(&line))?;
    }
    attempts(console, &why)?;
    refusals(console, &why.report)?;
    checks(console, &why)?;
    Ok(exit)
}

const fn exit_of(report: &PeerReport) -> Exit {
    match report.peer.state {
        PeerState::Up | PeerState::Idle => Exit::Fine,
        PeerState::Down | PeerState::ReturnPathDown => Exit::Problem,
    }
}

const fn side_of(seconds: i64) -> &'static str {
    if seconds > 0 { "ahead of" } else { "behind" }
}

fn attempts(console: &mut Console<'_>, why: &PeerWhy) -> Result<(), Failure> {
    if why.attempts.is_empty() {
        console.line("No link was tried yet.")?;
        return Ok(());
    }
    console.line("")?;
    let mut table = Table::new(["WHEN", "WAY", "PATH", "ADDRESS", "STEP", "RESULT"]);
    for attempt in &why.attempts {
        table.row([
            &attempt.at,
            &attempt.direction,
            attempt.path.as_deref().unwrap_or_default(),
            attempt.address.as_deref().unwrap_or_default(),
            &attempt.step,
            attempt.cause.as_deref().unwrap_or("link established"),
        ]);
    }
    show(console, &table)
}

/// What the peer said when it refused something, and what that means.
fn refusals(console: &mut Console<'_>, report: &PeerReport) -> Result<(), Failure> {
    if report.refusals.is_empty() {
        return Ok(());
    }
    console.line("")?;
    console
        .line("What it refused of late, or had to say before it answered, as far as that is about servers and not about users:")?;
    let mut table = Table::new(["LAST", "TIMES", "REQUEST", "ANSWER", "ID", "MEANING"]);
    for refusal in &report.refusals {
        for reason in &refusal.reasons {
            let id = reason.id.map(|id| id.to_string());
            table.row([
                &refusal.at,
                &refusal.count.to_string(),
                &refusal.method,
                &refusal.status.to_string(),
                id.as_deref().unwrap_or("none"),
                meaning(refusal, reason),
            ]);
        }
    }
    show(console, &table)?;
    for (said, remedy) in advice(report) {
        console.line("")?;
        if let Some(said) = said {
            console.line(&printable(&format!("It said: {said}")))?;
        }
        if let Some(remedy) = remedy {
            console.line(&printable(&format!("What to do: {remedy}.")))?;
        }
    }
    Ok(())
}

fn meaning<'a>(refusal: &RefusalStatus, reason: &'a ReasonStatus) -> &'a str {
    let known = reason.meaning.as_deref();
    known.unwrap_or(match (reason.id, refusal.status) {
        (None, 403) => {
            "Refused without a reason: mostly a policy of the other side, or too many requests"
        }
        (None, 606) => "Refused without a reason: mostly a filter of the other side",
        (None, _) => "Refused without a reason",
        (Some(_), _) => "Nothing more is known of this number",
    })
}

/// What was said and what to do about it, each once, of the last refusals.
fn advice(report: &PeerReport) -> Vec<(Option<String>, Option<String>)> {
    let mut told = Vec::new();
    let reasons = report.refusals.iter().flat_map(|refusal| &refusal.reasons);
    for reason in reasons {
        let pair = (reason.said.clone(), reason.remedy.clone());
        if pair != (None, None) && !told.contains(&pair) && told.len() < MOST {
            told.push(pair);
        }
    }
    told
}

/// Why an edge may refuse us, with what is found of each cause.
fn checks(console: &mut Console<'_>, why: &PeerWhy) -> Result<(), Failure> {
    if why.checks.is_empty() {
        return Ok(());
    }
    console.line("")?;
    console.line(
        "Why an edge may refuse us, mostly with a 504 and not a word more, and what is found here:",
    )?;
    for CheckStatus {
        check,
        subject,
        outcome,
        sentence,
        fix,
    } in &why.checks
    {
        let outcome = if outcome == WRONG { "WRONG" } else { outcome };
        let line = format!("{outcome:<8}{check:<19}{subject}: {sentence}");
        console.line(&printable(&line))?;
        if let Some(fix) = fix {
            console.line(&printable(&format!("{:27}What to do: {fix}", "")))?;
        }
    }
    Ok(())
}

fn verdict(why: &PeerWhy) -> Vec<String> {
    let PeerStatus {
        name,
        side,
        state,
        domains,
        ..
    } = &why.report.peer;
    let domains = domains.join(", ");
    let mut lines = vec![format!("{name} ({side}; {domains}) is {}.", state.as_str())];
    if *state == PeerState::ReturnPathDown {
        lines.push("It takes what we send, and its answers do not come back.".to_owned());
        let hint = "What to do: look on the peer for why its own link to us fails (DNS, port, certificate).";
        lines.push(hint.to_owned());
    }
    if why.report.peer.refuses_grants {
        let line =
            "It refused so many of the subscriptions that it granted that it is not believed.";
        lines.push(line.to_owned());
        let hint = format!(
            "What to do: see the runbook peer-refuses-grants, then isthmusctl peer release {name}."
        );
        lines.push(hint);
    }
    let failed = why.attempts.iter().find(|attempt| attempt.cause.is_some());
    if let (PeerState::Down, Some(attempt)) = (state, failed) {
        let cause = attempt.cause.as_deref().unwrap_or_default();
        lines.push(format!(
            "The last attempt ended at step {}: {cause}",
            attempt.step
        ));
        lines.extend(
            attempt
                .hint
                .iter()
                .map(|hint| format!("What to do: {hint}")),
        );
    }
    lines
}

/// Outcome of a check that found something wrong.
const WRONG: &str = "wrong";
/// Pieces of advice in one answer.
const MOST: usize = 64;
