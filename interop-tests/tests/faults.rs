//! Links that break and peers that hang: nothing accepted is lost, and every sender is told.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use interop_tests::bridge::{
    SIP_DOMAIN, ScriptedBridge, expect_status, sip_entry, sip_peer, takes_again, xmpp_entry,
    xmpp_identity,
};
use interop_tests::fault_proxy::{FaultProxy, Faults, Flow};
use interop_tests::gateway::{Gateway, Settings};
use interop_tests::history::History;
use interop_tests::inbox::until;
use interop_tests::lab::{Host, Lab, S2S, run};
use interop_tests::sip_agent::Answer;
use interop_tests::tls::TlsSettings;
use interop_tests::xml::Look;
use interop_tests::xmpp_peer::XmppPeer;
use interop_tests::xmpp_server::Reach;

const LIMIT: Duration = Duration::from_secs(180);
const LOG_LIMIT: Duration = Duration::from_secs(15);
/// A SIP request is answered after 8 s at the latest.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);
/// A message to SIP has 60 s, and its error a moment more.
const BOUNCED_WITHIN: Duration = Duration::from_secs(75);
const JULIET: &str = "juliet@peer.example";
const ROMEO: &str = "romeo@sip.example";

/// A scripted XMPP peer that the gateway reaches through a fault proxy only.
async fn behind_proxy(lab: &Lab) -> Result<(ScriptedBridge, FaultProxy)> {
    let proxy = FaultProxy::start(lab.at(Host::Proxy, S2S), lab.at(Host::XmppPeer, S2S)).await?;
    let route = lab.at(Host::Proxy, S2S).to_string();
    let bridge = ScriptedBridge::start(lab, |peer| {
        peer.set("route", vec![route]).set("connect", "starttls")
    })
    .await?;
    Ok((bridge, proxy))
}

/// A request that was written and not answered is not sent again: it may have arrived.
#[tokio::test]
async fn a_sip_peer_that_hangs_up() -> Result<()> {
    run("sip-hangs-up", LIMIT, async |lab| {
        let bridge = ScriptedBridge::start(lab, |peer| peer).await?;
        bridge.agent.answer("romeo", Answer::HangUp);
        bridge.peer.say("juliet", ROMEO, "m1", "in flight").await?;
        let error = bridge
            .peer
            .expect_error_within(BOUNCED_WITHIN, "m1")
            .await?;
        ensure!(error.is_error("m1", "remote-server-timeout"), "{error:?}");
        bridge.agent.answer("romeo", Answer::Status(200));
        bridge.peer.say("juliet", ROMEO, "m2", "afterwards").await?;
        bridge.agent.expect_text("afterwards").await?;
        let sent = bridge
            .agent
            .requests()
            .count(|request| request.text() == "in flight");
        ensure!(sent == 1, "sent {sent} times");
        Ok(())
    })
    .await
}

/// Timer F: no answer within 32 s; what waits behind the message for the pair goes back with it.
#[tokio::test]
async fn a_sip_peer_that_is_silent() -> Result<()> {
    run("sip-silent", LIMIT, async |lab| {
        let bridge = ScriptedBridge::start(lab, |peer| peer).await?;
        bridge.agent.answer("romeo", Answer::Silence);
        bridge.peer.say("juliet", ROMEO, "m1", "first").await?;
        bridge.agent.expect_text("first").await?;
        let asked = Instant::now();
        bridge.peer.say("juliet", ROMEO, "m2", "second").await?;
        for id in ["m1", "m2"] {
            let error = bridge.peer.expect_error_within(BOUNCED_WITHIN, id).await?;
            ensure!(error.is_error(id, "remote-server-timeout"), "{error:?}");
        }
        let waited = asked.elapsed();
        let allowed = Duration::from_secs(30)..Duration::from_secs(40);
        ensure!(allowed.contains(&waited), "bounced after {waited:?}");
        ensure!(
            bridge
                .agent
                .requests()
                .count(|request| request.text() == "second")
                == 0
        );
        Ok(())
    })
    .await
}

/// Messages wait for a SIP peer that is down and comes back in time; in order, each once.
#[tokio::test]
async fn a_sip_peer_that_comes_back() -> Result<()> {
    run("sip-back", LIMIT, async |lab| {
        let tls = TlsSettings::new(&xmpp_identity(lab)?);
        let peer = XmppPeer::start(lab, tls, Reach::Both, lab.at(Host::Gateway, S2S)).await?;
        let settings = Settings::new([xmpp_entry(lab), sip_entry(lab)]);
        let mut gateway = Gateway::start(lab, &settings).await?;
        for index in 0..5 {
            peer.say("juliet", ROMEO, &format!("m{index}"), &format!("{index}"))
                .await?;
        }
        gateway.process().logs(LOG_LIMIT, SIP_DOMAIN).await?;
        let agent = sip_peer(lab, "peer.example").await?;
        let last = |request: &interop_tests::sip::SipMessage| request.text() == "4";
        agent
            .requests()
            .wait_within(BOUNCED_WITHIN, "the last message", last)
            .await?;
        let texts: Vec<String> = agent.requests().all().iter().map(|r| r.text()).collect();
        let texts: Vec<&str> = texts
            .iter()
            .map(String::as_str)
            .filter(|t| !t.is_empty())
            .collect();
        ensure!(texts == ["0", "1", "2", "3", "4"], "{texts:?}");
        gateway.is_sound()
    })
    .await
}

/// A SIP peer that stays down: every message is bounced within its time.
#[tokio::test]
async fn a_sip_peer_that_stays_away() -> Result<()> {
    run("sip-away", LIMIT, async |lab| {
        let tls = TlsSettings::new(&xmpp_identity(lab)?);
        let peer = XmppPeer::start(lab, tls, Reach::Both, lab.at(Host::Gateway, S2S)).await?;
        let settings = Settings::new([xmpp_entry(lab), sip_entry(lab)]);
        let _gateway = Gateway::start(lab, &settings).await?;
        for id in ["m1", "m2"] {
            peer.say("juliet", ROMEO, id, id).await?;
        }
        for id in ["m1", "m2"] {
            let error = peer.expect_error_within(BOUNCED_WITHIN, id).await?;
            let condition = error.condition().unwrap_or_default();
            ensure!(condition.starts_with("remote-server-"), "{condition}");
        }
        Ok(())
    })
    .await
}

/// The XMPP peer hears us and cannot reach us: 504, then at once without sending, until a ping
/// is answered again.
#[tokio::test]
async fn return_path_down() -> Result<()> {
    run("return-path", LIMIT, async |lab| {
        let mut bridge = ScriptedBridge::start(lab, |peer| peer).await?;
        bridge.peer.change(|script| script.answers_pings = false);
        for text in ["first", "second"] {
            let asked = Instant::now();
            expect_status(text, bridge.agent.say("romeo", JULIET, text).await?, 504)?;
            ensure!(
                asked.elapsed() < ANSWERED_WITHIN,
                "answered after {:?}",
                asked.elapsed()
            );
        }
        bridge
            .gateway
            .process()
            .logs(Duration::from_secs(60), "return_path_down")
            .await?;
        let asked = Instant::now();
        expect_status(
            "unsent",
            bridge.agent.say("romeo", JULIET, "unsent").await?,
            504,
        )?;
        ensure!(
            asked.elapsed() < Duration::from_secs(2),
            "waited {:?}",
            asked.elapsed()
        );
        ensure!(
            bridge
                .peer
                .received()
                .count(|s| s.body().as_deref() == Some("unsent"))
                == 0
        );
        bridge.peer.change(|script| script.answers_pings = true);
        takes_again(&bridge.agent, JULIET).await
    })
    .await
}

/// An error before the barrier's answer is the answer; one behind it comes too late, unless the
/// peer has a settle time.
#[tokio::test]
async fn late_errors() -> Result<()> {
    let late = Some(Duration::from_millis(300));
    for (late, settle, wanted) in [(None, "0s", 404), (late, "0s", 200), (late, "1s", 404)] {
        run("late-errors", LIMIT, async |lab| {
            let bridge = ScriptedBridge::start(lab, |peer| peer.set("settle", settle)).await?;
            bridge.peer.bounce("nobody", "remote-server-not-found");
            bridge.peer.change(|script| script.bounces_late = late);
            let status = bridge
                .agent
                .say("romeo", "nobody@peer.example", "hello")
                .await?;
            expect_status(&format!("late {late:?}, settle {settle}"), status, wanted)
        })
        .await?;
    }
    Ok(())
}

/// Cuts and resets of the link to the XMPP peer while messages flow: what was answered 200 has
/// arrived, what was not has not been repeated without cause.
#[tokio::test]
async fn cut_links() -> Result<()> {
    run("cut", LIMIT, async |lab| {
        let (mut bridge, proxy) = behind_proxy(lab).await?;
        let history = History::default();
        expect_status(
            "before",
            bridge.agent.say("romeo", JULIET, "before").await?,
            200,
        )?;
        for round in 0..6 {
            let texts: Vec<String> = (0..10).map(|index| format!("{round}-{index}")).collect();
            texts.iter().for_each(|text| history.sent(text));
            let sending = send_all(&bridge, &texts, &history);
            let cutting = cut_after(&bridge, &proxy, round, &history);
            tokio::try_join!(sending, cutting)?;
        }
        for stanza in bridge.peer.received().all() {
            let body = stanza.body().filter(|body| body.contains('-'));
            body.iter().for_each(|body| history.delivered(body));
        }
        let sums = history.check()?;
        ensure!(sums.delivered > 40, "{sums:?}");
        bridge.gateway.is_sound()
    })
    .await
}

/// Sends each text from a user of its own and notes the answers.
async fn send_all(bridge: &ScriptedBridge, texts: &[String], history: &History) -> Result<()> {
    for text in texts {
        match bridge.agent.say(text, JULIET, text).await? {
            200 | 202 => history.accepted(text),
            _ => history.disturb(),
        }
    }
    Ok(())
}

/// Breaks the link as soon as the first message of a round has arrived.
async fn cut_after(
    bridge: &ScriptedBridge,
    proxy: &FaultProxy,
    round: usize,
    history: &History,
) -> Result<()> {
    bridge.peer.expect_text(&format!("{round}-0")).await?;
    history.disturb();
    if round.is_multiple_of(2) {
        proxy.cut()
    } else {
        proxy.reset()
    }
    Ok(())
}

/// A link that swallows everything, a peer that stops reading, a very slow one: the message is
/// answered in time, other traffic is not held up, and the link recovers.
#[tokio::test]
async fn half_open_deaf_and_slow_links() -> Result<()> {
    let cases = [
        ("half-open", Flow::Swallowed),
        ("deaf", Flow::Stopped),
        ("slow", Flow::Slow(16)),
    ];
    for (name, there) in cases {
        run(name, LIMIT, async |lab| {
            let (bridge, proxy) = behind_proxy(lab).await?;
            expect_status(
                "before",
                bridge.agent.say("romeo", JULIET, "before").await?,
                200,
            )?;
            proxy.set(Faults {
                there,
                ..Faults::default()
            });
            let asked = Instant::now();
            expect_status(
                name,
                bridge.agent.say("romeo", JULIET, "meanwhile").await?,
                504,
            )?;
            ensure!(
                asked.elapsed() < ANSWERED_WITHIN,
                "answered after {:?}",
                asked.elapsed()
            );
            // The other direction has its own streams and does not suffer.
            bridge.peer.say("juliet", ROMEO, "m1", "other way").await?;
            bridge.agent.expect_text("other way").await?;
            proxy.set(Faults::default());
            takes_again(&bridge.agent, JULIET).await
        })
        .await?;
    }
    Ok(())
}

/// Delay is no fault: messages pass, only later.
#[tokio::test]
async fn a_long_way() -> Result<()> {
    run("long-way", LIMIT, async |lab| {
        let (bridge, proxy) = behind_proxy(lab).await?;
        let slow = Flow::Delayed(Duration::from_millis(300));
        proxy.set(Faults {
            there: slow,
            back: slow,
            refusing: false,
        });
        expect_status(
            "over a long way",
            bridge.agent.say("romeo", JULIET, "slowly").await?,
            200,
        )
    })
    .await
}

/// A drain under load: everything that was taken is finished, and the daemon ends with 0.
#[tokio::test]
async fn an_orderly_end() -> Result<()> {
    run("drain", LIMIT, async |lab| {
        let mut bridge = ScriptedBridge::start(lab, |peer| peer).await?;
        bridge
            .agent
            .answer("romeo", Answer::Later(Duration::from_millis(800), 404));
        bridge.peer.say("juliet", ROMEO, "m1", "last words").await?;
        bridge.agent.expect_text("last words").await?;
        let status = bridge.gateway.process().stop().await?;
        ensure!(status.success(), "ended with {status}");
        let error = bridge.peer.expect_error("m1").await?;
        ensure!(error.is_error("m1", "item-not-found"), "{error:?}");
        Ok(())
    })
    .await
}

/// A journal that cannot be written: nothing is accepted, both sides are told to come again, and
/// all is well once there is room.
#[tokio::test]
async fn a_full_disk() -> Result<()> {
    run("full-disk", LIMIT, async |lab| {
        let tls = TlsSettings::new(&xmpp_identity(lab)?);
        let peer = XmppPeer::start(lab, tls, Reach::Both, lab.at(Host::Gateway, S2S)).await?;
        let agent = sip_peer(lab, "peer.example").await?;
        let mut settings = Settings::new([xmpp_entry(lab), sip_entry(lab)]);
        settings.state_size = Some("2m");
        let mut gateway = Gateway::start(lab, &settings).await?;
        peer.say("juliet", ROMEO, "m1", "with room").await?;
        agent.expect_text("with room").await?;
        let filler = gateway.state_folder().join("filler");
        fill(&filler)?;
        let refused = |stanza: &minidom::Element| {
            stanza.condition().as_deref() == Some("resource-constraint")
        };
        until(Duration::from_secs(30), "messages are refused", || async {
            let id = interop_tests::sip::token();
            peer.say("juliet", ROMEO, &id, &"x".repeat(300))
                .await
                .is_ok()
                && peer.received().count(refused) > 0
        })
        .await?;
        let status = agent.say("romeo", JULIET, "no room either").await?;
        ensure!([200, 503].contains(&status), "from SIP: {status}");
        std::fs::remove_file(&filler)?;
        until(
            Duration::from_secs(30),
            "messages are taken again",
            || async {
                let text = interop_tests::sip::token();
                let arrives = |request: &interop_tests::sip::SipMessage| request.text() == text;
                let requests = agent.requests();
                peer.say("juliet", ROMEO, &text, &text).await.is_ok()
                    && requests
                        .wait_within(Duration::from_secs(2), "it", arrives)
                        .await
                        .is_ok()
            },
        )
        .await?;
        ensure!(gateway.process().ended()?.is_none(), "the daemon has ended");
        Ok(())
    })
    .await
}

/// Writes until nothing fits any more.
fn fill(path: &std::path::Path) -> Result<()> {
    use std::io::Write;
    let mut file = std::fs::File::create(path)?;
    for size in [4096, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
    Ok(())
}
