//! Connections, headers and what is echoed of them.

use anyhow::{Context, Result, ensure};

use super::stage::Stage;
use super::talking::texts_of;
use crate::lync_sim::News;
use crate::lync_sim::message::{Message, parameter};

/// E4 to E6: NEGOTIATE first on each of several connections, requests of a dialog on all of them,
/// odd headers echoed, OPTIONS answered.
pub async fn connections_and_headers(stage: &Stage) -> Result<()> {
    let sim = &stage.sim;
    sim.connect().await?;
    let known = sim.received().len();
    let wanted = stage.profile().connections();
    let opened = sim.handshakes().len();
    ensure!(opened >= wanted, "{opened} connections");
    if stage.profile().negotiates() {
        let negotiated = |(_, message): &(u64, Message)| message.cseq().1 == "NEGOTIATE";
        let answers = sim.received().count(negotiated);
        ensure!(answers >= wanted, "{answers} answers to NEGOTIATE");
    }
    let answer = sim.probe().await?;
    ensure!(answer.status() == Some(200), "OPTIONS: {}", answer.start);
    ensure!(
        answer.has("Allow"),
        "OPTIONS without Allow: {:?}",
        answer.headers
    );
    // One dialog over all connections: the Vias of every answer are held against those sent.
    let user = sim.sign_in("linkuser", 1);
    let contact = format!("alice@{}", stage.domain());
    user.look_at(&contact).await?;
    for _ in 0..4 {
        sim.refresh("linkuser").await?;
    }
    let answers = sim.received().since(known);
    let links: std::collections::BTreeSet<u64> = answers
        .iter()
        .filter(|(_, message)| message.cseq().1 == "SUBSCRIBE")
        .map(|(link, _)| *link)
        .collect();
    ensure!(links.len() >= wanted.min(3), "answers came over {links:?}");
    let (_, last) = answers.last().context("there are answers")?;
    let epid = user.endpoints().first().map(|one| one.epid.clone());
    let echoed = [last.value("From"), last.value("To")]
        .iter()
        .any(|value| parameter(value, "epid").map(str::to_owned) == epid);
    ensure!(echoed, "the epid is lost: {:?}", last.headers);
    stage.shown(&["E4", "E5", "E6"])
}

/// E7: what the gateway sends within a dialog carries the routes as they were signed.
pub async fn signed_routes_come_back(stage: &Stage) -> Result<()> {
    let user = stage.sim.sign_in("routeuser", 1);
    let alice = stage.xmpp("alice").await?;
    let known = stage.sim.received().len();
    user.add(alice.jid()).await?;
    alice.approve(&user.aor()).await?;
    alice.shows("", "on the way").await?;
    let wanted = |(_, message): &(u64, Message)| {
        message.method() == "NOTIFY" && message.lines("Route").len() == 2
    };
    let limit = crate::inbox::PATIENCE;
    let found = stage
        .sim
        .received()
        .wait_behind(known, limit, "a NOTIFY with its Route", wanted)
        .await?;
    ensure!(
        found
            .1
            .lines("Route")
            .iter()
            .all(|route| route.contains("ms-route-sig="))
    );

    // An Edge that was set up anew refuses the routes of before with 1004: another conversation
    // takes the text, once.
    let open = user.start(alice.jid(), "with the old key").await?;
    alice.say(&user.aor(), "k1", "in it").await?;
    user.expect_text("in it").await?;
    let mark = user.news().len();
    stage.sim.renew_key()?;
    alice.say(&user.aor(), "k2", "with the new key").await?;
    user.expect_text("with the new key").await?;
    let news = user.news().since(mark);
    let invited = news.iter().filter(|one| matches!(one, News::Invited(_)));
    ensure!(invited.count() == 1, "{news:?}");
    ensure!(texts_of(&news) == ["with the new key"], "{news:?}");
    let refused = stage.sim.diary().all().join("\n");
    ensure!(refused.contains("481 1004"), "{refused}");
    open.forget();
    stage.shown(&["E7"])
}

/// E8: trust headers of a forger do not reach the other side, and none comes from there.
pub async fn no_trust_headers(stage: &Stage) -> Result<()> {
    let user = stage.sim.sign_in("trustuser", 1);
    let alice = stage.xmpp("alice").await?;
    let mut request = user.request(0, "SUBSCRIBE", alice.jid())?;
    request.put(
        "ms-edge-proxy-message-trust",
        "ms-source-type=AutoFederation;ms-ep-fqdn=x;ms-source-verified-user=verified",
    );
    request.put("ms-split-domain-info", "ms-traffic-type=SplitIntra");
    request.put("Event", "presence");
    request.put("Accept", "text/xml+msrtc.pidf, application/pidf+xml");
    request.put("Expires", "0");
    let answer = stage.sim.send(request).await?;
    ensure!(answer.status() == Some(200), "{}", answer.start);
    for name in ["ms-edge-proxy-message-trust", "ms-split-domain-info"] {
        ensure!(!answer.has(name), "{name} comes back");
    }
    // What comes from there is a fault that `shown` finds.
    stage.shown(&["E8"])
}
