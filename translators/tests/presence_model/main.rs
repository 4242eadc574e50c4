//! Random runs of presence against a simple model of who may see what.
//!
//! Each run is a list of [`Transition`]s for two peers that do what they like, with broken links,
//! restarts and decisions of the operator in between, on virtual time. At every moment nobody is
//! shown what he may not see, or anything that nobody said; no contact is lost but by those who may
//! end it; numbers of dialogs grow. When everything has worked again for long, everybody who may see
//! somebody sees him as he is, and nobody else does.
//!
//! A failing run is printed with its seed, and shrunk to the shortest one that fails: as a list that
//! can stand in [`replays`].
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::expect_used,
    reason = "tests"
)]

mod replays;
mod rights;
mod shell;
mod sip_presentity;
mod sip_watcher;
mod transition;
mod wire;
mod world;
mod xmpp_server;

use std::cell::Cell;

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

use self::transition::{Transition, transitions};
use self::world::{Tally, World};
use self::xmpp_server::Flavour;

/// Runs, each of some dozen transitions.
const RUNS: u64 = 500;

const FLAVOURS: [Flavour; 3] = [Flavour::Ejabberd, Flavour::Openfire, Flavour::Prosody];

/// What the SIP peer is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Peer {
    /// As RFC 6665 wants it.
    Plain,
    /// It sends a NOTIFY before the 200.
    Hasty,
    /// A server of Microsoft's, and its clients: documents come in answers, some of what it says
    /// comes by BENOTIFY, and one endpoint of each user only looks.
    Microsoft,
}

const PEERS: [Peer; 3] = [Peer::Plain, Peer::Hasty, Peer::Microsoft];

/// Plays a run.
fn play(run: &[Transition], flavour: Flavour, peer: Peer) -> Tally {
    let mut world = World::new(flavour, peer);
    for transition in run {
        world.step(*transition);
    }
    world.settle_down();
    world.tally
}

/// Draws a run from a seed and plays it; panics with the shortest one that fails as well.
fn draw(seed: u64) -> Tally {
    let mut octets = [0; 32];
    octets[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config {
        cases: 1,
        max_shrink_iters: 4_000,
        failure_persistence: None,
        ..Config::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &octets);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let flavour = FLAVOURS[usize::try_from(seed % 3).unwrap()];
    let peer = PEERS[usize::try_from(seed / 3 % 3).unwrap()];
    let tally = Cell::new(Tally::default());
    let outcome = runner.run(&transitions(), |run| {
        tally.set(play(&run, flavour, peer));
        Ok::<(), TestCaseError>(())
    });
    if let Err(failure) = outcome {
        panic!("seed {seed}, {flavour:?}, {peer:?}: {failure:?}");
    }
    tally.get()
}

#[test]
fn nobody_sees_what_he_may_not_and_nobody_stays_blind() {
    let mut tally = Tally::default();
    for seed in 0..RUNS {
        eprintln!("seed {seed}");
        tally += draw(seed);
    }
    eprintln!("{tally:?}");
    let least = u32::try_from(RUNS / 5).unwrap();
    assert!(
        tally.shown > 10 * least && tally.refused > least,
        "{tally:?}"
    );
    assert!(tally.seeing > least && tally.blind > least, "{tally:?}");
}
