//! Instant messages between one pair of users, in page mode and in dialogs: order, threads, typing,
//! receipts.

mod memory;
mod page;
mod pair;
mod queue;
mod receipts;
mod typing;

pub mod session;

pub use memory::Memory;
pub use page::{CallIds, Pages, Slot};
pub use pair::{Conversation, Delivered};
pub use queue::{Full, Queue};
pub use receipts::{Asked, Receipts, Whose};
pub use typing::{Composer, Indicator, REFRESH, lapse_after};
