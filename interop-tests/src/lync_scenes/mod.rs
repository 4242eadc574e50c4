//! The gateway between XMPP servers and the simulator of Microsoft's: what every release and every
//! server is tested for; `lync_suite!` makes the tests.

mod link;
mod person;
mod presence;
mod stage;

pub use link::{connections_and_headers, no_trust_headers, signed_routes_come_back};
pub use person::Person;
pub use presence::{
    blocked_and_allowed, dialogs_survive_a_restart, removed_and_added_again, watched_by_a_partner,
    watching_from_every_endpoint,
};
pub use stage::{DOMAIN, FQDN, Stage, Wishes, With, run};
