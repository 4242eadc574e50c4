//! What a verdict costs: 100,000 decisions on pairs, and one change of them.
//!
//! Prints nanoseconds for one operation, the best of several rounds; asserts nothing.

use std::hint::black_box;
use std::time::Instant;

use jid::BareJid;
use translators::model::{Aor, Domain, Pair};
use translators::policy::{Acl, Defaults, Federation, Policy, Subject, Verdict};

const ROUNDS: u32 = 7;
const PAIRS: u32 = 100_000;
const CHANGES: u32 = 1_000;

#[expect(clippy::print_stdout, reason = "printing is what this program is for")]
fn main() {
    let decided: Vec<Pair> = (0..PAIRS)
        .filter_map(|number| pair(number, "sip"))
        .collect();
    let others: Vec<Pair> = (0..PAIRS)
        .filter_map(|number| pair(number, "other"))
        .collect();
    let rows = decided.iter().cloned().map(Subject::Pair);
    let acl: Acl = rows.map(|subject| (subject, Verdict::Block)).collect();
    let domains = Defaults::new(Verdict::Allow).with_domains(
        Domain::parse("xmpp.example"),
        None,
        Verdict::Confirm,
    );
    let plain = Policy::default().with_acl(acl.clone());
    let by_domain = Policy::new(Federation::default(), domains).with_acl(acl);
    println!("policy with {} decisions", plain.acl().len());
    for (what, nanoseconds) in [
        (
            "decided on the pair",
            best(&decided, |pair| plain.decide(pair)),
        ),
        (
            "decided by the system",
            best(&others, |pair| plain.decide(pair)),
        ),
        (
            "decided on domains",
            best(&others, |pair| by_domain.decide(pair)),
        ),
        (
            "changed",
            best(few(&others), |pair| {
                plain.with(Subject::Pair(pair.clone()), Verdict::Allow)
            }),
        ),
    ] {
        println!("  {what:<24} {nanoseconds:>7.0} ns");
    }
}

fn few(pairs: &[Pair]) -> &[Pair] {
    pairs.get(..CHANGES as usize).unwrap_or_default()
}

fn pair(number: u32, domain: &str) -> Option<Pair> {
    let jid = BareJid::new(&format!("user{}@xmpp.example", number % 16_000)).ok()?;
    let aor = BareJid::new(&format!("contact{number}@{domain}.example")).ok()?;
    Some(Pair::new(jid, Aor::from_image(aor)))
}

/// Nanoseconds for one pair, in the best round.
#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
fn best<T>(pairs: &[Pair], mut run: impl FnMut(&Pair) -> T) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for pair in pairs {
            black_box(run(pair));
        }
        best = best.min(start.elapsed().as_secs_f64() / pairs.len() as f64 * 1e9);
    }
    best
}
