//! Every release of Microsoft's against the scripted XMPP peer.

use anyhow::Result;
use interop_tests::lync_scenes::{self as scenes, Stage, Wishes, With};
use interop_tests::lync_sim::Profile;
use interop_tests::lync_sim::tls::Naming;

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
        scenes::tls_of_each_windows(stage).await?;
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

#[tokio::test]
async fn names() -> Result<()> {
    let profile = Profile::S4b2015;
    scenes::run(
        profile,
        With::Peer,
        Wishes::default(),
        async |lab, stage| scenes::names_of_the_partner(lab, stage).await,
    )
    .await
}

/// An Edge without alternative names in its certificate, as OCS had them.
#[tokio::test]
async fn a_common_name_alone() -> Result<()> {
    let wishes = Wishes {
        naming: Naming::CommonName,
        entry: |peer| peer.set("name_policy", "cn-if-no-san"),
        ..Wishes::default()
    };
    scenes::run(Profile::Lync2013, With::Peer, wishes, async |_, stage| {
        scenes::tls_of_each_windows(stage).await
    })
    .await
}

#[tokio::test]
async fn the_cap() -> Result<()> {
    let wishes = Wishes {
        entry: |peer| peer.set("allow_listed", false),
        ..Wishes::default()
    };
    scenes::run(Profile::S4b2019, With::Peer, wishes, async |_, stage| {
        scenes::the_cap_of_a_discovered_partner(stage).await
    })
    .await
}

/// A toast that nobody touches opens after half a minute.
#[tokio::test]
async fn a_very_late_answer() -> Result<()> {
    let profile = Profile::Lync2013;
    scenes::run(profile, With::Peer, Wishes::default(), async |_, stage| {
        scenes::a_very_late_answer(stage).await
    })
    .await
}
