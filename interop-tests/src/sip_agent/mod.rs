//! A SIP user agent and peer: sends requests, answers by a script, keeps what it receives. Its
//! users watch others ([`Watch`]) and are watched ([`Presentity`]), each dialog by itself.

mod agent;
mod dialog;
mod presentity;
mod publish;
mod watch;

pub(crate) use agent::is_free;
pub use agent::{Answer, Place, SipAgent, Transport};
pub use presentity::{Consent, Presentity, Seen};
pub use publish::Publication;
pub use watch::{Notification, Watch, Wish};
