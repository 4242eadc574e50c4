//! The equipment itself: the real servers of a lab federate with each other without the gateway.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use anyhow::Result;
use interop_tests::lab::run;
use interop_tests::tls::Versions;
use interop_tests::xmpp_server::{Kind, Options, Reach, XmppServer};

const LIMIT: Duration = Duration::from_secs(120);

#[tokio::test]
async fn prosody_and_ejabberd_federate() -> Result<()> {
    run("federate", LIMIT, async |lab| {
        let options = Options {
            versions: Versions::Only13,
            reach: Reach::StartTls,
            ..Options::default()
        };
        let prosody = XmppServer::start(lab, Kind::Prosody, &options).await?;
        let ejabberd = XmppServer::start(lab, Kind::Ejabberd, &options).await?;
        let (alice, bob) = (prosody.user("alice").await?, ejabberd.user("bob").await?);
        alice.say(bob.jid(), "m1", "over & <there>").await?;
        bob.expect_text("over & <there>").await?;
        bob.say(alice.jid(), "m2", "back").await?;
        alice.expect_text("back").await?;
        alice.say("nobody@ejabberd.example", "m3", "hello?").await?;
        alice.expect_error("m3").await?;
        Ok(())
    })
    .await
}
