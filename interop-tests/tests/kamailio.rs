//! Kamailio and the gateway, from socket to socket; the XMPP side is a real Prosody.

use std::time::Duration;

use anyhow::{Result, ensure};
use interop_tests::bridge::expect_status;
use interop_tests::gateway::{Gateway, Peer, Settings};
use interop_tests::inbox::until;
use interop_tests::kamailio::{self, Kamailio};
use interop_tests::lab::{Host, Lab, run};
use interop_tests::sip_agent::{Answer, SipAgent};
use interop_tests::tls::Versions;
use interop_tests::xml::Look;
use interop_tests::xmpp_server::{Kind, Options, XmppServer};

const LIMIT: Duration = Duration::from_secs(180);

/// Prosody, the gateway, Kamailio and a user agent behind it.
struct Road {
    prosody: XmppServer,
    gateway: Gateway,
    kamailio: Kamailio,
    users: SipAgent,
}

impl Road {
    async fn start(lab: &Lab, versions: Versions) -> Result<Self> {
        let prosody = XmppServer::start(lab, Kind::Prosody, &Options::default()).await?;
        let kamailio = Kamailio::start(lab, Host::Gateway).await?;
        let users = kamailio.agent(lab, &["alice", "bob"]).await?;
        let sip = Peer::sip(lab, "kamailio", kamailio::DOMAIN, Host::Kamailio)
            .set("page_limit", 32768)
            .set("tls", versions.setting());
        let xmpp = Peer::xmpp(lab, "prosody", prosody.domain());
        let gateway = Gateway::start(lab, &Settings::new([xmpp, sip])).await?;
        Ok(Self {
            prosody,
            gateway,
            kamailio,
            users,
        })
    }
}

async fn messages(versions: Versions) -> Result<()> {
    run("kamailio", LIMIT, async |lab| {
        let mut road = Road::start(lab, versions).await?;
        let alice = road.prosody.user("alice").await?;
        alice.say("bob@kamailio.example", "m1", "to SIP").await?;
        let request = road.users.expect_text("to SIP").await?;
        let from = request.header("From").unwrap_or_default();
        ensure!(from.contains("sip:alice@prosody.example"), "From {from}");
        let status = road.users.say("bob", alice.jid(), "to XMPP").await?;
        expect_status("a message to XMPP", status, 200)?;
        let stanza = alice.expect_text("to XMPP").await?;
        ensure!(
            stanza.at("from").starts_with("bob@kamailio.example"),
            "{stanza:?}"
        );
        road.gateway.is_sound()
    })
    .await
}

#[tokio::test]
async fn messages_over_tls12() -> Result<()> {
    messages(Versions::Only12).await
}

#[tokio::test]
async fn messages_over_tls13() -> Result<()> {
    messages(Versions::Only13).await
}

/// What Kamailio and the users behind it answer reaches the XMPP user in XMPP's terms.
#[tokio::test]
async fn refusals() -> Result<()> {
    run("kamailio-refusals", LIMIT, async |lab| {
        let road = Road::start(lab, Versions::Any).await?;
        let alice = road.prosody.user("alice").await?;
        road.users.answer("bob", Answer::Status(486));
        let cases = [
            ("nobody", "item-not-found"),       // 404 of Kamailio
            ("carol", "recipient-unavailable"), // 480 of Kamailio: not registered
            ("bob", "recipient-unavailable"),   // 486 of the user agent
        ];
        for (user, condition) in cases {
            alice
                .say(&format!("{user}@kamailio.example"), user, "hello")
                .await?;
            let error = alice.expect_error(user).await?;
            ensure!(error.is_error(user, condition), "{user}: {error:?}");
        }
        let status = road
            .users
            .say("bob", "nobody@prosody.example", "hello")
            .await?;
        expect_status("a message to an unknown XMPP user", status, 403)
    })
    .await
}

/// A long text passes as one MESSAGE where the operator has raised the limit for this peer.
#[tokio::test]
async fn long_messages() -> Result<()> {
    run("kamailio-long", LIMIT, async |lab| {
        let road = Road::start(lab, Versions::Any).await?;
        let alice = road.prosody.user("alice").await?;
        let text = "long ".repeat(6000);
        alice.say("bob@kamailio.example", "m1", &text).await?;
        road.users.expect_text(&text).await?;
        let too_long = "long ".repeat(7000);
        alice.say("bob@kamailio.example", "m2", &too_long).await?;
        let error = alice.expect_error("m2").await?;
        ensure!(error.is_error("m2", "policy-violation"), "{error:?}");
        Ok(())
    })
    .await
}

/// Kamailio is killed with a message on its way, comes back without its registrations, and
/// messages flow again.
#[tokio::test]
async fn dies_in_the_middle() -> Result<()> {
    run("kamailio-dies", LIMIT, async |lab| {
        let mut road = Road::start(lab, Versions::Any).await?;
        let alice = road.prosody.user("alice").await?;
        road.users.answer("bob", Answer::Silence);
        alice.say("bob@kamailio.example", "m1", "in flight").await?;
        road.users.expect_text("in flight").await?;
        road.kamailio.kill(lab).await?;
        // Written and not answered: it may have arrived, so it is not sent again.
        let error = alice
            .expect_error_within(Duration::from_secs(60), "m1")
            .await?;
        ensure!(error.is_error("m1", "remote-server-timeout"), "{error:?}");

        road.kamailio.start_again(lab).await?;
        road.users.stop().await;
        let users = road.kamailio.agent(lab, &["alice", "bob"]).await?;
        alice
            .say("bob@kamailio.example", "m2", "afterwards")
            .await?;
        users.expect_text("afterwards").await?;
        ensure!(
            users
                .requests()
                .count(|request| request.text() == "in flight")
                == 0
        );
        until(
            Duration::from_secs(60),
            "messages to XMPP are taken again",
            || async { matches!(users.say("bob", alice.jid(), "back").await, Ok(200)) },
        )
        .await
    })
    .await
}
