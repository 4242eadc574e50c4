//! Everything that is worth telling: one variant per event, whose `emit` writes the log line, moves
//! the counters and raises or clears the alarm.

mod decision;
mod link;
mod message;
mod peer;
mod process;
mod traffic;
mod user;
mod what;

pub use decision::DecisionEvent;
pub use link::{Ending, LinkEvent, On, UNLISTED, Way};
pub use message::{MessageEvent, direction_word, fate_words, side_word};
pub use peer::{PeerEvent, Step};
pub use process::{ProcessEvent, Rows};
pub use traffic::TrafficEvent;
pub use user::User;
pub use what::What;
