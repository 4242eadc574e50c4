//! The gateway between XMPP servers and the simulator of Microsoft's: what every release and every
//! server is tested for; `lync_suite!` makes the tests.

mod callers;
mod edge;
mod link;
mod located;
mod person;
mod presence;
mod refusing;
mod silence;
mod stage;
mod talking;

pub use callers::{invitations_taken_back, rich_text_alone};
pub use edge::{the_cap_of_a_discovered_partner, tls_of_each_windows};
pub use link::{connections_and_headers, no_trust_headers, signed_routes_come_back};
pub use located::{found_by_records, names_of_the_partner};
pub use person::Person;
pub use presence::{
    blocked_and_allowed, demanding_watchers, dialogs_survive_a_restart, every_state_is_shown,
    removed_and_added_again, watched_by_a_partner, watching_from_every_endpoint,
};
pub use refusing::{refusals_reach_the_sender, the_same_domain_on_both_sides};
pub use silence::{LONGEST, asked_when_silent};
pub use stage::{DOMAIN, FQDN, Stage, Wishes, With, run};
pub use talking::{
    a_very_late_answer, contents_of_a_conversation, conversation_of_a_lync_user,
    conversation_of_an_xmpp_user, glare, meetings_are_refused,
};

use anyhow::Result;

/// Everything that needs a stage of its own for no other reason than its length.
pub async fn everything(stage: &mut Stage) -> Result<()> {
    tls_of_each_windows(stage).await?;
    connections_and_headers(stage).await?;
    signed_routes_come_back(stage).await?;
    no_trust_headers(stage).await?;
    watching_from_every_endpoint(stage).await?;
    watched_by_a_partner(stage).await?;
    every_state_is_shown(stage).await?;
    blocked_and_allowed(stage).await?;
    removed_and_added_again(stage).await?;
    conversation_of_a_lync_user(stage).await?;
    conversation_of_an_xmpp_user(stage).await?;
    contents_of_a_conversation(stage).await?;
    rich_text_alone(stage).await?;
    invitations_taken_back(stage).await?;
    meetings_are_refused(stage).await?;
    refusals_reach_the_sender(stage).await?;
    dialogs_survive_a_restart(stage).await
}
