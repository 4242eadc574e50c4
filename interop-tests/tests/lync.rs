//! Every release of Microsoft's against the scripted XMPP peer.

use anyhow::Result;
use interop_tests::lync_scenes::{self as scenes, Stage, Wishes, With};
use interop_tests::lync_sim::Profile;

async fn on(profile: Profile, body: impl AsyncFnOnce(&mut Stage) -> Result<()>) -> Result<()> {
    scenes::run(profile, With::Peer, Wishes::default(), async |_, stage| {
        body(stage).await
    })
    .await
}

#[tokio::test]
async fn links() -> Result<()> {
    for profile in Profile::ALL {
        on(profile, async |stage| {
            scenes::connections_and_headers(stage).await?;
            scenes::signed_routes_come_back(stage).await?;
            scenes::no_trust_headers(stage).await
        })
        .await?;
    }
    Ok(())
}

#[tokio::test]
async fn watchers() -> Result<()> {
    for profile in Profile::ALL {
        on(profile, async |stage| {
            scenes::watching_from_every_endpoint(stage).await?;
            scenes::watched_by_a_partner(stage).await?;
            scenes::blocked_and_allowed(stage).await?;
            scenes::removed_and_added_again(stage).await?;
            scenes::dialogs_survive_a_restart(stage).await
        })
        .await?;
    }
    Ok(())
}

#[tokio::test]
async fn conversations() -> Result<()> {
    for profile in Profile::ALL {
        on(profile, async |stage| {
            scenes::conversation_of_a_lync_user(stage).await?;
            scenes::conversation_of_an_xmpp_user(stage).await?;
            scenes::glare(stage).await?;
            scenes::contents_of_a_conversation(stage).await?;
            scenes::meetings_are_refused(stage).await
        })
        .await?;
    }
    Ok(())
}

#[tokio::test]
async fn refusals() -> Result<()> {
    for profile in Profile::ALL {
        on(profile, async |stage| {
            scenes::refusals_reach_the_sender(stage).await?;
            scenes::the_same_domain_on_both_sides(stage).await
        })
        .await?;
    }
    Ok(())
}
