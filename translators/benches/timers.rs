//! What a timer costs when there are as many as a shard, or sixteen of them, may hold.
//!
//! Prints nanoseconds for one call, the best of several rounds, and octets of memory for one timer;
//! asserts nothing.

use std::hint::black_box;
use std::time::{Duration, Instant};

use jid::BareJid;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use translators::model::{Aor, Mono, Pair};
use translators::timers::Timers;

const ROUNDS: u32 = 3;
const CALLS: usize = 100_000;
/// Refreshes lie within an hour.
const SPAN: u64 = 3_600_000;

/// A key as large as those of a shard.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Key {
    Watching(Pair),
    Named(u16, u64, u32),
}

#[expect(clippy::print_stdout, reason = "printing is what this program is for")]
fn main() {
    for count in [25_000, 195_313, 3_125_000] {
        let keys = keys(count);
        let before = resident();
        let mut timers = filled(&keys);
        let octets = resident().saturating_sub(before) / count;
        println!("{count:>9} timers: {octets} octets each");
        for (name, call) in CALLS_OF {
            let nanoseconds = best(&mut timers, &keys, call);
            println!("{name:>36} {nanoseconds:>6.0} ns");
        }
    }
}

type Call = fn(&mut Timers<Key>, &[Key], &mut StdRng) -> usize;

const CALLS_OF: [(&str, Call); 3] = [
    ("moved", |timers, keys, rng| {
        let at = rng.random_range(0..keys.len());
        if let Some(key) = keys.get(at) {
            timers.set(key.clone(), somewhen(rng));
        }
        at
    }),
    ("armed and disarmed", |timers, _, rng| {
        let key = Key::Named(1, rng.random(), 0);
        timers.set(key.clone(), somewhen(rng));
        usize::from(timers.cancel(&key))
    }),
    ("popped and armed again, and asked", |timers, _, rng| {
        let due = timers.next().map(|(at, _)| at);
        if let Some(key) = due.and_then(|at| timers.pop_due(at)) {
            timers.set(key, somewhen(rng));
        }
        usize::from(due.is_some())
    }),
];

/// Nanoseconds of one call, in the best round.
#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
fn best(timers: &mut Timers<Key>, keys: &[Key], call: Call) -> f64 {
    let mut rng = StdRng::seed_from_u64(1);
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..CALLS {
            black_box(call(timers, keys, &mut rng));
        }
        let calls = u32::try_from(CALLS).unwrap_or(u32::MAX);
        best = best.min(start.elapsed().as_secs_f64() / f64::from(calls) * 1e9);
    }
    best
}

fn keys(count: usize) -> Vec<Key> {
    let key = |number: usize| {
        let (user, contact) = (number / 25, number % 25);
        let jid = BareJid::new(&format!("user{user}@xmpp.example")).ok()?;
        let aor = BareJid::new(&format!("contact{contact}.{user}@sip.example")).ok()?;
        Some(Key::Watching(Pair::new(jid, Aor::from_image(aor))))
    };
    (0..count).filter_map(key).collect()
}

fn filled(keys: &[Key]) -> Timers<Key> {
    let mut rng = StdRng::seed_from_u64(7);
    let mut timers = Timers::new();
    for key in keys {
        timers.set(key.clone(), somewhen(&mut rng));
    }
    timers
}

fn somewhen(rng: &mut StdRng) -> Mono {
    Mono::from_start(Duration::from_millis(rng.random_range(0..SPAN)))
}

/// Octets of memory that this process holds.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let figure = line.and_then(|line| line.split_whitespace().next());
    figure.and_then(|figure| figure.parse().ok()).unwrap_or(0) * 1_024
}
