//! What both sides mean, free of either side's syntax.

mod failure;
mod identity;
mod im;
pub mod microsoft;
mod outcome;
pub mod packed;
mod peers;
mod presence;
mod time;

pub use failure::{Blame, Condition, Failure};
pub use identity::{
    Aor, Direction, Domain, LinkId, Pair, PeerId, Role, Side, digest, shard_of_spread, spread,
};
pub use im::{ChatState, InstantMessage, Invitation, MessageStyle, Payload, Receipt, ReceiptKind};
pub use microsoft::Microsoft;
pub use outcome::{Lapse, Reason};
pub use peers::{Accept, Dialect, Directory, PageThread, Profile, SipProfile, XmppProfile};
pub use presence::{Note, PresenceState, Show, Tuple};
pub use time::{Mono, Now, Wall};
