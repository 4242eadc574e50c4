//! What an Edge finds out about its partner, and what it takes from him.

use anyhow::{Result, ensure};

use super::stage::{Stage, publish_federation};
use crate::inbox::until;
use crate::lab::Lab;
use crate::lync_sim::{CAP, Federation, Windows};
use crate::xml::Look;

/// E1 and E2: TLS of the Windows under the Edge, in both directions, with an RSA certificate that
/// is for servers only.
pub async fn tls_of_each_windows(stage: &Stage) -> Result<()> {
    let user = stage.sim.sign_in("first", 1);
    let alice = stage.xmpp("alice").await?;
    // One connection of each direction at least.
    user.start(alice.jid(), "hello").await?.leave().await?;
    alice.say(&user.aor(), "tls", "hello back").await?;
    user.expect_text("hello back").await?;
    let settled = stage.sim.handshakes().all();
    let wanted = match stage.sim.setup().windows {
        Windows::Server2008 => "TLSv1",
        Windows::Server2012R2 | Windows::Server2016 => "TLSv1.2",
    };
    ensure!(
        settled.iter().all(|one| one.version == wanted),
        "{settled:?}"
    );
    ensure!(
        settled
            .iter()
            .any(|one| one.suite.contains("RSA") || one.suite.starts_with("AES")),
        "no connection with the RSA certificate: {settled:?}"
    );
    stage.shown(&["E1", "E2"])
}

/// E3: a record outside the sender's domain or a certificate without the name is a bare 504; with
/// diagnostics it is explained.
pub async fn names_of_the_partner(lab: &Lab, stage: &Stage) -> Result<()> {
    let user = stage.sim.sign_in("third", 1);
    let alice = stage.xmpp("alice").await?;
    alice.say(&user.aor(), "n0", "before").await?;
    user.expect_text("before").await?;
    let domain = stage.domain();
    let service = format!("_sipfederationtls._tcp.{domain}");
    let refused = async |id: &str, wanted: &str| {
        let contact = stage.sim.sign_in(&format!("third{id}"), 1);
        alice.say(&contact.aor(), id, "hello?").await?;
        let error = alice.expect_error(&contact.aor(), id).await?;
        let condition = error.condition().unwrap_or_default();
        ensure!(condition == wanted, "{id}: {condition} instead of {wanted}");
        anyhow::Ok(())
    };
    lab.dns().forget_service(&service);
    publish_federation(lab, domain, &format!("sip.sub.{domain}"));
    refused("n1", "remote-server-timeout").await?;
    let why = stage.gateway.control(&["peer", "why", "lync"]).await?;
    ensure!(
        why.stdout.contains("504"),
        "peer why does not speak of the 504: {}{}",
        why.stdout,
        why.stderr
    );
    stage.sim.change(|conduct| conduct.diagnoses = true);
    refused("n2", "remote-server-not-found").await?;
    lab.dns().forget_service(&service);
    publish_federation(lab, domain, &format!("gw.{domain}"));
    refused("n3", "remote-server-timeout").await?;
    let proxy = Federation::Direct(format!("sip.{domain}"));
    stage.sim.change(|conduct| conduct.federation = proxy);
    let contact = stage.sim.sign_in("thirdn4", 1);
    alice.say(&contact.aor(), "n4", "by its ProxyFqdn").await?;
    contact.expect_text("by its ProxyFqdn").await?;
    stage.shown(&["E3"])
}

/// E19: a burst of everything stays below the cap of a discovered partner, and no text is lost.
pub async fn the_cap_of_a_discovered_partner(stage: &Stage) -> Result<()> {
    stage
        .sim
        .change(|conduct| conduct.federation = Federation::Discovered);
    let user = stage.sim.sign_in("nineteenth", 3);
    let alice = stage.xmpp("alice").await?;
    user.add(alice.jid()).await?;
    alice.approve(&user.aor()).await?;
    for number in 0..40 {
        let friend = stage.sim.sign_in(&format!("friend{number}"), 1);
        alice.subscribe(&friend.aor()).await?;
    }
    for number in 0..20 {
        alice.shows("away", &format!("state {number}")).await?;
        alice
            .say(
                &user.aor(),
                &format!("c{number}"),
                &format!("text {number}"),
            )
            .await?;
    }
    user.expect_text("text 19").await?;
    let limit = std::time::Duration::from_secs(30);
    until(limit, "all are watched", || {
        let watched = |number: &u32| !stage.sim.watchers(&format!("friend{number}")).is_empty();
        std::future::ready((0..40).all(|number| watched(&number)))
    })
    .await?;
    let most = stage.sim.meter().most();
    ensure!(most <= CAP, "{most} messages within a second");
    stage.shown(&["E19"])
}
