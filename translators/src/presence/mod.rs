//! Presence between one pair of users: who may watch whom, the subscriptions that carry it, and what
//! outlives a restart.

mod aggregate;
pub mod notifier;
mod record;
pub mod subscriber;

pub use aggregate::{Composition, Resources};
pub use notifier::Notifier;
pub use record::{DocumentRecord, SubscriptionRecord};
pub use subscriber::Subscriber;
