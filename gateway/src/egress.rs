//! From the shards to the peers: what a turn brought about, in its order.

use translators::shard::Effects;

use crate::peers::Peers;
use crate::telemetry::events::MessageEvent;

/// Hands out effects whose changes are permanent: what is settled, then recalls and transmits in
/// the order in which they were made, then events.
pub fn release(peers: &Peers, turn: impl IntoIterator<Item = Effects>) {
    let mut settled = Vec::new();
    let mut transmits = Vec::new();
    let mut events = Vec::new();
    for effects in turn {
        settled.extend(effects.settled);
        for lane in &effects.recalls {
            // What was made before has to be queued to be recalled.
            peers.submit(transmits.drain(..));
            peers.recall(lane);
        }
        transmits.extend(effects.transmits);
        events.extend(effects.events);
    }
    peers.settle(&settled);
    peers.submit(transmits);
    for event in &events {
        MessageEvent(event).emit();
    }
}
