//! All exchanges of a share of the XMPP users, as one state machine.
//!
//! The caller hands in one [`Input`] with the time and gets [`Effects`] back. It makes the durable
//! `changes` permanent in one commit, then reports `settled`, carries out `recalls` and hands the
//! `transmits` on in order, emits the `events`, and calls again with [`Input::Timeout`] at
//! `wake_at`. When the commit fails, nothing that depends on it goes out and the shard is told by
//! [`Input::NotStored`].

mod contract;
mod route;

pub use contract::{
    Change, ChangeId, Class, Effects, Event, Fate, ImKey, ImRecord, ImState, Input, Key, Kind,
    Lapse, Reason, Transmit, TransmitId,
};
pub use route::shard_of;
