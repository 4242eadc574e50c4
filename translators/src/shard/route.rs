//! Which shard an input belongs to.

use jid::BareJid;

use crate::model::{shard_of_spread, spread};

/// The number of the shard that owns the XMPP user `jid`, below `shards`.
///
/// Both directions have exactly one XMPP user: [`crate::mapping::parties`] finds him. A response
/// belongs to the shard that its branch names, a request in a dialog to the one that our tag names.
pub fn shard_of(jid: &BareJid, shards: u16) -> u16 {
    shard_of_spread(spread(jid), shards)
}
