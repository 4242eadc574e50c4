//! What an Edge finds out about its partner, and what it takes from him.

use anyhow::{Context, Result, ensure};

use super::stage::Stage;
use crate::authority::Key;
use crate::inbox::until;
use crate::lync_sim::{CAP, Federation, Refusal, Windows};
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
    let wishes = stage.wishes();
    for dialled in [true, false] {
        let mut same = settled.iter().filter(|one| one.dialled == dialled);
        let some = same.next().with_context(|| format!("dialled: {dialled}"))?;
        for one in same.chain([some]) {
            let theirs = one.key.context("a certificate")?;
            ensure!(wishes.gateway_keys.contains(&theirs), "{one:?}");
            // The suite is about the certificate of whoever was dialled.
            let server = if dialled { theirs } else { wishes.key };
            ensure!(
                one.suite.contains("ECDSA") == (server == Key::Ecdsa),
                "{one:?}"
            );
        }
    }
    stage.shown(&["E1", "E2"])
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
    failures_of_a_discovered_partner(stage).await?;
    stage.shown(&["E19"])
}

/// Users that do not exist, and users who may not write to us.
const NOBODIES: usize = 8;
/// How often an XMPP user tries with each of them.
const TRIES: usize = 6;

/// Too many of our requests that fail would cut us down to one message a second: whoever writes to
/// users that do not exist, again and again, is answered by the gateway from its memory.
async fn failures_of_a_discovered_partner(stage: &Stage) -> Result<()> {
    let alice = stage.xmpp("alice").await?;
    let user = stage.sim.sign_in("ratio", 1);
    let mut nobodies = Vec::new();
    for number in 0..NOBODIES {
        let name = format!("nobody{number}");
        if number.is_multiple_of(4) {
            let reason = "1002;reason=\"From URI not authorized\";source=\"sip.lync.example\"";
            let refusal = Refusal::of(403).line("ms-diagnostics", reason);
            let contact = stage.sim.sign_in(&name, 1);
            contact.refuses("INVITE", Some(refusal));
            nobodies.push((contact.aor(), "forbidden"));
        } else {
            nobodies.push((format!("{name}@lync.example"), "item-not-found"));
        }
    }
    stage.sim.meter().clear();
    for round in 0..TRIES {
        for (number, (contact, wanted)) in nobodies.iter().enumerate() {
            let id = format!("f{round}-{number}");
            alice.say(contact, &id, "anybody there?").await?;
            let error = alice.expect_error(contact, &id).await?;
            let condition = error.condition().unwrap_or_default();
            ensure!(
                condition == *wanted,
                "{contact} in round {round}: {condition}"
            );
        }
        let text = format!("round {round}");
        alice.say(&user.aor(), &text, &text).await?;
        user.expect_text(&text).await?;
    }
    for number in 0..20 {
        let text = format!("good {number}");
        alice.say(&user.aor(), &text, &text).await?;
        user.expect_text(&text).await?;
    }
    for number in NOBODIES..2 * NOBODIES {
        alice
            .subscribe(&format!("nobody{number}@lync.example"))
            .await?;
    }
    let asked = |(_, message): &(u64, crate::lync_sim::message::Message)| {
        message.method() == "SUBSCRIBE" && message.uri().contains(":nobody")
    };
    until(crate::inbox::PATIENCE, "all are asked for", || {
        std::future::ready(stage.sim.received().count(asked) == NOBODIES)
    })
    .await?;
    let conduct = stage.sim.conduct();
    let ratio = stage.sim.meter().ratio();
    ensure!(
        ratio.failed <= 2 * NOBODIES as u64,
        "more failures than users who do not exist: {ratio:?}"
    );
    ensure!(
        ratio.succeeded() * 100 >= ratio.answered * conduct.least_success,
        "{ratio:?}"
    );
    ensure!(ratio.answered >= conduct.judged_from, "{ratio:?}");
    Ok(())
}
