//! An Edge of Office Communications Server, Lync or Skype for Business with a pool and its users
//! behind it, as far as traces and specifications tell how they behave.
//!
//! It reads and writes SIP by itself, does TLS on OpenSSL with the cipher lists of Windows, and
//! shares nothing with what it tests. What it plays stands in [`rules`], each rule with its
//! evidence; what a partner must never do is written down as a fault.

mod callee;
pub mod console;
mod conversation;
mod dialog;
mod documents;
mod edge;
mod invitation;
mod link;
pub mod message;
mod meter;
mod notifier;
mod partner;
mod profile;
mod render;
mod routes;
pub mod rules;
mod sim;
pub mod tls;
mod user;
mod watching;

pub use conversation::{Attempt, Conversation};
pub use documents::{Form, State};
pub use meter::{CAP, Meter, Ratio};
pub use notifier::Watched;
pub use profile::{Assumptions, FirstMessage, Profile, Windows};
pub use render::{Light, Rendered, render};
pub use sim::{Conduct, Federation, OnNegotiate, Setup, Sim};
pub use user::{Endpoint, News, Refusal, Reply, User};
pub use watching::Subscription;
