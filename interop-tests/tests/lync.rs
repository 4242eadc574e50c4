//! Every release of Microsoft's against the scripted XMPP peer.

use anyhow::Result;
use interop_tests::authority::Key;
use interop_tests::gateway::Peer;
use interop_tests::lab::Lab;
use interop_tests::lync_scenes::{self as scenes, Stage, Wishes, With};
use interop_tests::lync_sim::Profile;
use interop_tests::lync_sim::tls::Naming;

/// Each release on a stage of its own, all at the same time: most of what they do is to wait.
async fn on_each(body: impl AsyncFn(&mut Stage) -> Result<()>) -> Result<()> {
    on_each_with(&Wishes::default(), async |_, stage| body(stage).await).await
}

/// The same on stages of a kind.
async fn on_each_with(
    wishes: &Wishes,
    body: impl AsyncFn(&Lab, &mut Stage) -> Result<()>,
) -> Result<()> {
    let on = |profile: Profile| scenes::run(profile, With::Peer, wishes.clone(), &body);
    let [first, second, third, fourth, fifth] = Profile::ALL;
    tokio::try_join!(on(first), on(second), on(third), on(fourth), on(fifth))?;
    Ok(())
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
        scenes::rich_text_alone(stage).await?;
        scenes::invitations_taken_back(stage).await?;
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
    on_each_with(&Wishes::default(), async |lab, stage| {
        scenes::names_of_the_partner(lab, stage).await
    })
    .await
}

/// The gateway finds the Edge by its records, as the Edge finds the gateway everywhere.
#[tokio::test]
async fn records() -> Result<()> {
    let wishes = Wishes {
        by_records: true,
        ..Wishes::default()
    };
    on_each_with(&wishes, async |lab, stage| {
        scenes::found_by_records(lab, stage).await
    })
    .await
}

/// Certificates with other keys than the usual RSA on both sides.
#[tokio::test]
async fn keys() -> Result<()> {
    for (key, gateway_keys) in [
        (Key::Ecdsa, vec![Key::Rsa]),
        (Key::Rsa, vec![Key::Ecdsa]),
        (Key::Rsa, vec![Key::Rsa, Key::Ecdsa]),
        (Key::Ecdsa, vec![Key::Ecdsa]),
    ] {
        let wishes = Wishes {
            key,
            gateway_keys,
            ..Wishes::default()
        };
        on_each_with(&wishes, async |_, stage| {
            scenes::tls_of_each_windows(stage).await
        })
        .await?;
    }
    Ok(())
}

/// An Edge without alternative names in its certificate, as OCS had them.
#[tokio::test]
async fn a_common_name_alone() -> Result<()> {
    let wishes = Wishes {
        naming: Naming::CommonName,
        entry: |peer| peer.set("name_policy", "cn-if-no-san"),
        ..Wishes::default()
    };
    on_each_with(&wishes, async |_, stage| {
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
    on_each_with(&wishes, async |_, stage| {
        scenes::the_cap_of_a_discovered_partner(stage).await
    })
    .await
}

/// Every switch of the profile turned.
#[tokio::test]
async fn switches() -> Result<()> {
    let wishes = Wishes {
        entry: turned,
        ..Wishes::default()
    };
    on_each_with(&wishes, async |_, stage| {
        scenes::connections_and_headers(stage).await?;
        scenes::signed_routes_come_back(stage).await?;
        scenes::watching_from_every_endpoint(stage).await?;
        scenes::demanding_watchers(stage).await?;
        scenes::watched_by_a_partner(stage).await?;
        scenes::blocked_and_allowed(stage).await?;
        scenes::removed_and_added_again(stage).await?;
        scenes::conversation_of_a_lync_user(stage).await?;
        scenes::conversation_of_an_xmpp_user(stage).await?;
        scenes::contents_of_a_conversation(stage).await?;
        scenes::rich_text_alone(stage).await
    })
    .await
}

/// The other position of each switch.
fn turned(peer: Peer) -> Peer {
    let mut switches = toml::Table::new();
    for (name, value) in [
        ("negotiate", "200"),
        ("benotify", "refuse"),
        ("documents", "pidf"),
        ("embedded", "consume"),
        ("typing", "message"),
        ("undecided", "pending"),
        ("ask_on", "always"),
        ("busy_as", "available"),
    ] {
        switches.insert(name.to_owned(), value.into());
    }
    switches.insert("piggyback".to_owned(), false.into());
    switches.insert("record_route".to_owned(), true.into());
    peer.set("microsoft", switches)
}

/// A toast that nobody touches opens after half a minute.
#[tokio::test]
async fn a_very_late_answer() -> Result<()> {
    on_each(async |stage| scenes::a_very_late_answer(stage).await).await
}

/// Two releases go silent for good, the others answer when they are asked.
#[tokio::test]
async fn silence() -> Result<()> {
    let wishes = Wishes {
        limit: scenes::LONGEST,
        ..Wishes::default()
    };
    on_each_with(&wishes, async |_, stage| {
        let answers = !matches!(stage.profile(), Profile::Lync2010 | Profile::S4b2019);
        scenes::asked_when_silent(stage, answers).await
    })
    .await
}
