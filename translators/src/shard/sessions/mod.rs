//! Session mode: INVITE dialogs around the machine of [`crate::conversation::session`].
//!
//! `table` has the dialogs, each under its number, which is the random half of our tag. `converse`
//! tells the machine what happened and carries out what it wants. `calling` is what goes out to make
//! a dialog, `invited` what comes in; `inside` are the requests of the peer in a dialog, `sending`
//! ours. `first` keeps the texts inside INVITEs, `remarks` says in words what could not be carried.
//!
//! Dialogs live in memory only. One that the peer still has after a restart of ours ends with the 481
//! to its next request, and messages of ours begin a new one, which replaces it at the peer.

mod calling;
mod converse;
mod first;
mod inside;
mod invited;
mod remarks;
mod sending;
mod table;
mod typing;

pub(super) use converse::Occasion;
pub(super) use table::Sessions;
pub(super) use typing::Carrier;
