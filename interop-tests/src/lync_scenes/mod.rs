//! The gateway between XMPP servers and the simulator of Microsoft's: what every release and every
//! server is tested for; `lync_suite!` makes the tests.

mod link;
mod person;
mod presence;
mod refusing;
mod stage;
mod talking;

pub use link::{connections_and_headers, no_trust_headers, signed_routes_come_back};
pub use person::Person;
pub use presence::{
    blocked_and_allowed, dialogs_survive_a_restart, removed_and_added_again, watched_by_a_partner,
    watching_from_every_endpoint,
};
pub use refusing::{refusals_reach_the_sender, the_same_domain_on_both_sides};
pub use stage::{DOMAIN, FQDN, Stage, Wishes, With, run};
pub use talking::{
    contents_of_a_conversation, conversation_of_a_lync_user, conversation_of_an_xmpp_user, glare,
    meetings_are_refused,
};
