//! The peers: who is linked, what waits for whom, what is on its way.

mod answers;
mod backoff;
mod batch;
mod link;
mod load;
mod mailbox;
mod notices;
mod pace;
mod path;
mod peer;
mod queue;
mod refusals;
mod registry;
mod status;
mod told;
mod unknown;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use backoff::DialFailure;
pub use batch::Outgoing;
pub use link::{Begun, NewLink, TooManyLinks};
pub use load::Load;
pub use mailbox::{Mail, Mailbox};
pub use notices::{News, Stamp, Stamps};
pub use path::PathKey;
pub use refusals::Standing;
pub use registry::{PathDomains, Peers, Wanted};
pub use status::{Attempt, LinkStatus, PathStatus, PeerStatus, Skew, Why};
pub use told::Told;
pub use unknown::Refusal;

/// The shard number in transmits that no shard made; nobody is told what becomes of them.
pub const NO_SHARD: u16 = u16::MAX;
