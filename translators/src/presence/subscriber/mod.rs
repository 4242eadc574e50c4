//! An XMPP user watches a SIP user: we are the subscriber (RFC 6665, RFC 8048 section 5.2).
//!
//! The authorization is long-lived, the dialog that carries presence is not: whatever happens to
//! the dialog, the authorization ends only if the watcher takes it back, or the presentity's side
//! says one of few things for good. Every arm names its row in `tables/x2s.tsv`, which the tests
//! hold against this code.

mod answers;
mod closing;
mod failures;
mod form;
mod launching;
mod machine;
mod notify;
mod orders;
mod screen;
mod stanzas;
mod state;
mod stored;
mod times;

pub use answers::Answered;
pub use failures::{Failure, is_fault, judge};
pub use launching::Outfit;
pub use machine::{
    Action, Asking, Keep, Launch, Moment, Purpose, Refusal, Steps, Subscriber, Terms, Word,
};
pub use notify::{Said, Unfit};
pub use stored::Damaged;
