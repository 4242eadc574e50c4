//! What every real XMPP server is tested for, written once; `server_suite!` makes the tests.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::bridge::{Bridge, SIP_DOMAIN, expect_status};
use crate::lab::{self, Lab};
use crate::openfire;
use crate::sip_agent::Answer;
use crate::tls::Versions;
use crate::xml::Look;
use crate::xmpp_server::{Kind, Reach};

/// Limit of each test.
const LIMIT: Duration = Duration::from_secs(180);
/// How many messages go out back to back where order or timing matters.
const BURST: usize = 20;
/// How many messages go out around the first contact.
const FIRST_CONTACT: usize = 200;
/// A SIP request is answered within 8 s at the latest, whatever the XMPP side does.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);

/// Makes the tests of one server.
#[macro_export]
macro_rules! server_suite {
    ($kind:expr) => {
        $crate::server_suite! { $kind;
            starttls_tls12: messages($crate::tls::Versions::Only12, $crate::xmpp_server::Reach::StartTls);
            starttls_tls13: messages($crate::tls::Versions::Only13, $crate::xmpp_server::Reach::StartTls);
            direct_tls12: messages($crate::tls::Versions::Only12, $crate::xmpp_server::Reach::Direct);
            direct_tls13: messages($crate::tls::Versions::Only13, $crate::xmpp_server::Reach::Direct);
            unknown_users: unknown_users();
            offline_users: offline_users();
            dies_in_the_middle: dies_in_the_middle();
            no_error_after_the_barrier: no_error_after_the_barrier();
            no_late_error_at_first_contact: no_late_error_at_first_contact();
        }
    };
    ($kind:expr; $($name:ident: $check:ident($($argument:expr),*);)+) => {
        $(#[tokio::test]
        async fn $name() -> anyhow::Result<()> {
            $crate::suite::$check($kind, $($argument),*).await
        })+
    };
}

/// Runs one test of a server, unless the server is not at hand.
async fn run(
    kind: Kind,
    versions: Versions,
    reach: Reach,
    body: impl AsyncFnOnce(&Lab, &mut Bridge) -> Result<()>,
) -> Result<()> {
    if kind == Kind::Openfire && !openfire::is_available() {
        eprintln!("{}", openfire::SKIPPED);
        return Ok(());
    }
    lab::run(kind.domain(), LIMIT, async |lab| {
        let mut bridge = Bridge::start(lab, kind, versions, reach).await?;
        body(lab, &mut bridge).await?;
        bridge.gateway.is_sound()
    })
    .await
}

/// Messages pass in both directions, each stream opened by either side, and keep their order.
pub async fn messages(kind: Kind, versions: Versions, reach: Reach) -> Result<()> {
    run(kind, versions, reach, async |_, bridge| {
        let alice = bridge.server.user("alice").await?;
        let status = bridge
            .agent
            .say("romeo", alice.jid(), "Wherefore <art> & thou?")
            .await?;
        expect_status("the first message", status, 200)?;
        let first = alice.expect_text("Wherefore <art> & thou?").await?;
        let from = first.at("from");
        ensure!(from.starts_with("romeo@sip.example"), "from {from}");

        alice
            .say("romeo@sip.example", "m1", "Neither, \"fair\" saint & <all>")
            .await?;
        let request = bridge
            .agent
            .expect_text("Neither, \"fair\" saint & <all>")
            .await?;
        let from = request.header("From").unwrap_or_default();
        ensure!(from.contains("sip:alice@"), "From {from}");
        ensure!(
            request.uri() == "sip:romeo@sip.example",
            "Request-URI {}",
            request.uri()
        );

        for index in 0..BURST {
            alice
                .say(
                    "romeo@sip.example",
                    &format!("b{index}"),
                    &format!("{index}"),
                )
                .await?;
        }
        bridge.agent.expect_text(&format!("{}", BURST - 1)).await?;
        let texts: Vec<String> = bridge
            .agent
            .requests()
            .all()
            .iter()
            .map(|r| r.text())
            .collect();
        let numbers: Vec<usize> = texts.iter().filter_map(|text| text.parse().ok()).collect();
        ensure!(
            numbers == (0..BURST).collect::<Vec<_>>(),
            "order to SIP: {texts:?}"
        );
        Ok(())
    })
    .await
}

/// Messages to users that do not exist come back, in the terms of the sender's side.
pub async fn unknown_users(kind: Kind) -> Result<()> {
    run(kind, Versions::Any, Reach::Both, async |_, bridge| {
        let alice = bridge.server.user("alice").await?;
        let nobody = bridge.server.jid("nobody");
        let status = bridge.agent.say("romeo", &nobody, "anybody there?").await?;
        let expected = for_unknown_users(kind);
        expect_status("a message to an unknown XMPP user", status, expected)?;

        bridge.agent.answer("nobody", Answer::Status(404));
        alice
            .say("nobody@sip.example", "m1", "anybody there?")
            .await?;
        let error = alice.expect_error("m1").await?;
        ensure!(error.is_error("m1", "item-not-found"), "{error:?}");
        Ok(())
    })
    .await
}

/// What the sender of a message to a user that does not exist gets. Prosody and ejabberd say
/// service-unavailable, which is 403 (RFC 7247 table 2, note 5); Openfire drops it without a word.
fn for_unknown_users(kind: Kind) -> u16 {
    match kind {
        Kind::Ejabberd | Kind::Prosody => 403,
        Kind::Openfire => 200,
    }
}

/// Messages to users that are offline are stored by their server, or refused by it.
pub async fn offline_users(kind: Kind) -> Result<()> {
    run(kind, Versions::Any, Reach::Both, async |_, bridge| {
        let bob = bridge.server.jid("bob");
        let status = bridge.agent.say("romeo", &bob, "read this later").await?;
        expect_status("a message to an offline XMPP user", status, 200)?;
        bridge
            .server
            .user("bob")
            .await?
            .expect_text("read this later")
            .await?;

        let alice = bridge.server.user("alice").await?;
        bridge.agent.answer("romeo", Answer::Status(480));
        alice.say("romeo@sip.example", "m1", "are you in?").await?;
        let error = alice.expect_error("m1").await?;
        ensure!(error.is_error("m1", "recipient-unavailable"), "{error:?}");
        Ok(())
    })
    .await
}

/// A server that dies and comes back: nothing is answered 200 in between, and all flows afterwards.
pub async fn dies_in_the_middle(kind: Kind) -> Result<()> {
    run(kind, Versions::Any, Reach::Both, async |_, bridge| {
        let alice = bridge.server.jid("alice");
        expect_status(
            "before",
            bridge.agent.say("romeo", &alice, "before").await?,
            200,
        )?;
        bridge.server.kill().await?;
        let asked = Instant::now();
        let status = bridge.agent.say("romeo", &alice, "meanwhile").await?;
        expect_status("a message to a dead server", status, 504)?;
        ensure!(
            asked.elapsed() < ANSWERED_WITHIN,
            "answered after {:?}",
            asked.elapsed()
        );
        bridge.server.start_again().await?;
        bridge.recovers(&alice).await?;
        let user = bridge.server.user("alice").await?;
        user.say(&format!("romeo@{SIP_DOMAIN}"), "m1", "afterwards")
            .await?;
        bridge.agent.expect_text("afterwards").await?;
        Ok(())
    })
    .await
}

/// No error of the server comes after its answer to the barrier: of many messages to users that
/// do not exist, interleaved with good ones, none is answered 200.
pub async fn no_error_after_the_barrier(kind: Kind) -> Result<()> {
    run(kind, Versions::Any, Reach::Both, async |_, bridge| {
        let alice = bridge.server.user("alice").await?;
        let agent = &bridge.agent;
        let mut good = Vec::new();
        let mut bad = Vec::new();
        for index in 0..BURST {
            let nobody = bridge.server.jid(&format!("nobody{index}"));
            bad.push(agent.message("romeo", &nobody, "anybody there?"));
            good.push(agent.message(&format!("user{index}"), alice.jid(), "hello"));
        }
        let send_all = async |requests: &[crate::sip::SipMessage]| {
            let mut statuses = Vec::new();
            for request in requests {
                statuses.push(agent.send(request).await?.status());
            }
            anyhow::Ok(statuses)
        };
        let (good, bad) = tokio::try_join!(send_all(&good), send_all(&bad))?;
        ensure!(
            good.iter().all(|status| *status == Some(200)),
            "good ones: {good:?}"
        );
        ensure!(
            bad.iter()
                .all(|status| *status == Some(for_unknown_users(kind))),
            "bad ones: {bad:?}"
        );
        Ok(())
    })
    .await
}

/// The same while the server is still opening its stream back to us: messages to users that do
/// not exist, one every millisecond from the first contact on.
pub async fn no_late_error_at_first_contact(kind: Kind) -> Result<()> {
    let expected = for_unknown_users(kind);
    run(kind, Versions::Any, Reach::Both, async |_, bridge| {
        let mut pace = tokio::time::interval(Duration::from_millis(1));
        let mut answers = Vec::new();
        let agent = Arc::clone(&bridge.agent);
        for index in 0..FIRST_CONTACT {
            pace.tick().await;
            let nobody = bridge.server.jid(&format!("nobody{index}"));
            let (agent, from) = (Arc::clone(&agent), format!("user{index}"));
            answers.push(tokio::spawn(async move {
                agent.say(&from, &nobody, "hello").await
            }));
        }
        let mut wrong = Vec::new();
        for (index, answer) in answers.into_iter().enumerate() {
            let status = answer.await??;
            if status != expected {
                wrong.push((index, status));
            }
        }
        ensure!(
            wrong.is_empty(),
            "answered otherwise than {expected}: {wrong:?}"
        );
        Ok(())
    })
    .await
}
