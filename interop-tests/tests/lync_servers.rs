//! Lync 2013 and Skype for Business 2019 against real XMPP servers.

use anyhow::Result;
use interop_tests::lync_scenes::{self as scenes, Wishes, With};
use interop_tests::lync_sim::Profile;
use interop_tests::xmpp_server::Kind;

async fn everything(kind: Kind) -> Result<()> {
    for profile in [Profile::Lync2013, Profile::S4b2019] {
        let with = With::Server(kind);
        scenes::run(profile, with, Wishes::default(), async |_, stage| {
            scenes::everything(stage).await
        })
        .await?;
    }
    Ok(())
}

#[tokio::test]
async fn prosody() -> Result<()> {
    everything(Kind::Prosody).await
}

#[tokio::test]
async fn ejabberd() -> Result<()> {
    everything(Kind::Ejabberd).await
}

#[tokio::test]
async fn openfire() -> Result<()> {
    everything(Kind::Openfire).await
}
