//! The limits on what a peer may present, one constant each.

/// Certificates in a presented chain: twice what any real chain has.
///
/// Path building visits them all, so more would only buy an attacker time.
pub const MAX_CHAIN: usize = 10;

/// Names looked at in one certificate; the rest is not read.
pub const MAX_NAMES: usize = 512;

/// Bytes of one certificate: room for [`MAX_NAMES`] names of usual length.
pub const MAX_CERTIFICATE: usize = 32 * 1024;

/// Characters of a name that are kept for an operator's eyes.
pub(crate) const MAX_SHOWN: usize = 200;

/// Names listed in one sentence before it says how many more there are.
pub(crate) const MAX_LISTED: usize = 8;
