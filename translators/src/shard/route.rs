//! Which shard an input belongs to.

use jid::BareJid;

/// The number of the shard that owns the XMPP user `jid`, below `shards`.
///
/// The hash is FNV-1a over the bare JID: the same for both directions and in every process. Both
/// directions have exactly one XMPP user: [`crate::mapping::parties`] finds him. A response
/// belongs to the shard that its branch names.
pub fn shard_of(jid: &BareJid, shards: u16) -> u16 {
    let start = 0xcbf2_9ce4_8422_2325_u64;
    let hash = jid.as_str().bytes().fold(start, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    u16::try_from(hash % u64::from(shards.max(1))).unwrap_or(0)
}
