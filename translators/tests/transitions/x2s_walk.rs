//! Random stories of one watcher: whatever comes about has a row, and nothing but what may take a
//! contact from a roster does.

use std::collections::BTreeSet;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::table;
use crate::x2s_lab::Lab;

/// What may happen at any time: an event and its conditions.
const ANY: [(&str, &str); 16] = [
    ("subscribe", ""),
    ("unsubscribe", ""),
    ("probe", ""),
    ("online", ""),
    ("verdict", "allow"),
    ("verdict", "allow"),
    ("verdict", "block"),
    ("verdict", "polite-block"),
    ("verdict", "confirm"),
    ("NOTIFY foreign", ""),
    ("stale answer", ""),
    ("peer suspect", ""),
    ("resync", ""),
    ("drop", ""),
    ("lost presence", ""),
    ("lost subscribed", ""),
];

/// What the peer may say while it has a subscription of ours.
const NOTIFIES: [(&str, &str); 8] = [
    ("NOTIFY active", "document"),
    ("NOTIFY active", "document"),
    ("NOTIFY active", ""),
    ("NOTIFY pending", ""),
    ("NOTIFY terminated", "rejected"),
    ("NOTIFY terminated", "giveup"),
    ("NOTIFY terminated", "deactivated"),
    ("NOTIFY terminated", "timeout"),
];

/// How a SUBSCRIBE may end.
const OUTCOMES: [(&str, &str); 12] = [
    ("accepted", "document"),
    ("accepted", "over"),
    ("accepted", ""),
    ("accepted", ""),
    ("accepted", ""),
    ("refused", "403"),
    ("refused", "404"),
    ("refused", "423"),
    ("refused", "480"),
    ("refused", "481"),
    ("refused", "500"),
    ("refused", "603"),
];

fn pick<'a>(from: &[(&'a str, &'a str)], rng: &mut StdRng) -> (&'a str, &'a str) {
    from[rng.random_range(0..from.len())]
}

/// The next event, if time does not pass instead.
fn choose(lab: &mut Lab, rng: &mut StdRng) -> Option<(String, String)> {
    let open = ["first", "refresh", "end"]
        .into_iter()
        .filter(|one| lab.is_open(one));
    let open: Vec<_> = open.collect();
    let (event, conditions) = match rng.random_range(0..10) {
        0..4 => pick(&ANY, rng),
        4..7 if lab.machine.tag().is_some() => pick(&NOTIFIES, rng),
        7..9 if !open.is_empty() => {
            let purpose = open[rng.random_range(0..open.len())];
            lab.close(purpose);
            let (how, status) = pick(&OUTCOMES, rng);
            return Some((format!("{purpose} {how}"), status.to_owned()));
        }
        _ => return None,
    };
    Some((event.to_owned(), conditions.to_owned()))
}

#[test]
fn random_stories_stay_in_the_table() {
    let rows = table::read(include_str!("../../tables/x2s.tsv"));
    let mut seen = BTreeSet::new();
    for seed in 0..400 {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut lab = Lab::new(seed);
        lab.terms.microsoft = seed % 2 == 1;
        for _ in 0..200 {
            let state = lab.state();
            let granted = lab.machine.is_granted();
            let Some((event, conditions)) = choose(&mut lab, &mut rng) else {
                lab.let_time_pass();
                continue;
            };
            let words: Vec<String> = conditions.split_whitespace().map(str::to_owned).collect();
            let what = format!("seed {seed}: {event} ({conditions}) in {state}");

            let outcome = lab.event(&event, &words);

            let mut of_event = rows.iter().filter(|row| row.event == event);
            // An answer to what is over is row 38 whatever it says, and only a doubt heeds a suspicion.
            let idle = outcome.sip.is_empty() && outcome.xmpp.is_empty() && outcome.next == state;
            let late = idle && (event.ends_with("ed") || event == "peer suspect");
            assert!(
                late || of_event.any(|row| row.is_about(state)),
                "{what}: {outcome:?}"
            );
            if granted && outcome.xmpp.iter().any(|word| word == "unsubscribed") {
                assert!(
                    ["unsubscribe", "forget"].contains(&event.as_str()),
                    "{what}"
                );
            }
            seen.insert((state, event));
        }
    }
    assert!(seen.len() > 100, "{}", seen.len());
}
