//! Every release of Microsoft's against the scripted XMPP peer.

use anyhow::Result;
use interop_tests::lync_scenes::{self as scenes, Stage, Wishes, With};
use interop_tests::lync_sim::Profile;

/// Each release on a stage of its own, all at the same time: most of what they do is to wait.
async fn on_each(body: impl AsyncFn(&mut Stage) -> Result<()>) -> Result<()> {
    let [first, second, third, fourth, fifth] = Profile::ALL;
    tokio::try_join!(
        on(first, &body),
        on(second, &body),
        on(third, &body),
        on(fourth, &body),
        on(fifth, &body),
    )?;
    Ok(())
}

async fn on(profile: Profile, body: impl AsyncFn(&mut Stage) -> Result<()>) -> Result<()> {
    scenes::run(profile, With::Peer, Wishes::default(), async |_, stage| {
        body(stage).await
    })
    .await
}

#[tokio::test]
async fn links() -> Result<()> {
    on_each(async |stage| {
        scenes::connections_and_headers(stage).await?;
        scenes::signed_routes_come_back(stage).await?;
        scenes::no_trust_headers(stage).await
    })
    .await
}

#[tokio::test]
async fn watchers() -> Result<()> {
    on_each(async |stage| {
        scenes::watching_from_every_endpoint(stage).await?;
        scenes::demanding_watchers(stage).await?;
        scenes::watched_by_a_partner(stage).await?;
        scenes::every_state_is_shown(stage).await?;
        scenes::blocked_and_allowed(stage).await?;
        scenes::removed_and_added_again(stage).await?;
        scenes::dialogs_survive_a_restart(stage).await
    })
    .await
}

#[tokio::test]
async fn conversations() -> Result<()> {
    on_each(async |stage| {
        scenes::conversation_of_a_lync_user(stage).await?;
        scenes::conversation_of_an_xmpp_user(stage).await?;
        scenes::glare(stage).await?;
        scenes::contents_of_a_conversation(stage).await?;
        scenes::meetings_are_refused(stage).await
    })
    .await
}

#[tokio::test]
async fn refusals() -> Result<()> {
    on_each(async |stage| {
        scenes::refusals_reach_the_sender(stage).await?;
        scenes::the_same_domain_on_both_sides(stage).await
    })
    .await
}
