//! Refusals of either side and what they become on the other.

use anyhow::{Result, ensure};

use super::stage::Stage;
use crate::lync_sim::message::Message;
use crate::lync_sim::{Conduct, Refusal, State};
use crate::xml::Look;

/// What a Lync server may answer to a conversation, and what the sender is told.
fn table() -> Vec<(Refusal, &'static str)> {
    let diagnosed = |status: u16, id: u32, reason: &str| {
        let line = format!("{id};reason=\"{reason}\";source=\"sip.lync.example\"");
        Refusal::of(status).line("ms-diagnostics", &line)
    };
    let federated = diagnosed(
        403,
        1002,
        "From URI not authorized to communicate with federated partners",
    );
    let fault = Refusal {
        body: Some((
            "application/msrtc-fault+xml".to_owned(),
            "<Fault xmlns=\"http://schemas.microsoft.com/2006/09/sip/fault\"><Faultcode>Client\
             </Faultcode></Fault>"
                .to_owned(),
        )),
        ..diagnosed(403, 4268, "Delegate check failed")
    };
    let filtered = Refusal::of(606).line(
        "Warning",
        "309 lcs.microsoft.com \"Message contents not allowed by policy\"",
    );
    let twice = diagnosed(504, 1008, "Unable to resolve DNS SRV record").line(
        "ms-diagnostics-public",
        "1034;reason=\"Previous hop federated peer did not report diagnostic information\"",
    );
    vec![
        (federated, "forbidden"),
        (
            diagnosed(404, 1003, "User does not exist"),
            "item-not-found",
        ),
        (Refusal::of(415), "not-acceptable"),
        (Refusal::of(480), "recipient-unavailable"),
        (Refusal::of(486), "recipient-unavailable"),
        (Refusal::of(488), "not-acceptable"),
        (Refusal::of(500), "internal-server-error"),
        (Refusal::of(603), "recipient-unavailable"),
        (Refusal::of(606), "not-acceptable"),
        (
            diagnosed(504, 1005, "Cannot route to destination domain"),
            "remote-server-not-found",
        ),
        (twice, "remote-server-not-found"),
        (Refusal::of(504), "remote-server-timeout"),
        (filtered, "not-acceptable"),
        (fault, "forbidden"),
    ]
}

/// E17: every refusal reaches the sender in his terms; links that were changed on the way are
/// texts; who may not start a conversation may go on with one.
pub async fn refusals_reach_the_sender(stage: &Stage) -> Result<()> {
    let user = stage.sim.sign_in("seventeenth", 1);
    let alice = stage.xmpp("alice").await?;
    for (number, (refusal, wanted)) in table().into_iter().enumerate() {
        let id = format!("r{number}");
        user.refuses("INVITE", Some(refusal.clone()));
        alice.say(&user.aor(), &id, "knock knock").await?;
        let error = alice.expect_error(&user.aor(), &id).await?;
        let condition = error.condition().unwrap_or_default();
        ensure!(
            condition == wanted,
            "{refusal:?} became {condition}, not {wanted}"
        );
    }
    user.refuses("INVITE", None);

    stage.sim.change(|conduct| conduct.rewrites_links = true);
    let mark = alice.mark();
    let open = user.start(alice.jid(), "hello").await?;
    ensure!(open.say("see http://x.example/").await? == 200);
    alice
        .expect_text(mark, &user.aor(), "see _http://x.example/")
        .await?;
    stage.sim.change(|conduct| conduct.rewrites_links = false);

    stage
        .sim
        .change(|conduct| conduct.blocks_new_conversations = true);
    alice.say(&user.aor(), "open", "in the open one").await?;
    user.expect_text("in the open one").await?;
    stage
        .sim
        .change(|conduct| conduct.blocks_new_conversations = false);
    open.leave().await?;
    closed_to_strangers(stage).await?;
    diagnosed(stage).await?;
    operator(stage).await?;
    stage.shown(&["E17"])
}

/// Whoever may not start a conversation is refused, which says nothing about presence; and he may
/// answer in the conversation that the Lync user starts.
async fn closed_to_strangers(stage: &Stage) -> Result<()> {
    let user = stage.sim.sign_in("closed", 1);
    let alice = stage.xmpp("alice").await?;
    user.publish(State::new(3500, "", "before")).await;
    let mark = alice.mark();
    alice.subscribe(&user.aor()).await?;
    alice.sees(mark, &user.aor(), "before").await?;
    let blocks = |on| move |conduct: &mut Conduct| conduct.blocks_new_conversations = on;
    stage.sim.change(blocks(true));
    alice.say(&user.aor(), "strange", "knock knock").await?;
    let error = alice.expect_error(&user.aor(), "strange").await?;
    let condition = error.condition().unwrap_or_default();
    ensure!(condition == "forbidden", "a closed user: {condition}");
    let mark = alice.mark();
    user.publish(State::new(3500, "", "after")).await;
    alice.sees(mark, &user.aor(), "after").await?;
    let open = user.start(alice.jid(), "I begin").await?;
    alice.expect_text(mark, &user.aor(), "I begin").await?;
    alice.say(&user.aor(), "answer", "I answer").await?;
    user.expect_text("I answer").await?;
    ensure!(open.is_open());
    stage.sim.change(blocks(false));
    let lost = alice.stanzas(0, &user.aor());
    let lost = lost.iter().any(|one| one.at("type") == "unsubscribed");
    ensure!(!lost, "a refused conversation is no refused subscription");
    Ok(())
}

/// The operator sees what the Edge said, by its numbers, and what stands in the way of ours.
async fn operator(stage: &Stage) -> Result<()> {
    let status = stage.told("status").await?;
    for part in [
        "Profile microsoft",
        "1002 The user may not talk to federated partners",
        "1003 The user does not exist",
        "1008 The SRV record cannot be found",
        "1034 The federated server before gave no reason",
        "4268 A delegate could not do what was asked",
        "none The other side gave up and sent no reason",
        "It said: 1005;reason=\"Cannot route to destination domain\";source=\"sip.lync.example\"",
    ] {
        ensure!(status.contains(part), "{part} is not in\n{status}");
    }
    let why = stage.told("why").await?;
    for part in [
        "certificate-name",
        "record-host",
        "certificate-crl",
        "one-side",
    ] {
        ensure!(why.contains(part), "{part} is not in\n{why}");
    }
    Ok(())
}

/// What the gateway refuses has a reason of its own for the log of the other side.
async fn diagnosed(stage: &Stage) -> Result<()> {
    let user = stage.sim.sign_in("stranger", 1);
    let request = user.invitation(0, "alice@nowhere.example", "")?;
    let answer = stage.sim.invite(request).await?.outcome().await?;
    let status = answer.status().unwrap_or_default();
    ensure!(
        matches!(status, 403 | 404),
        "an unknown domain: {}",
        answer.start
    );
    let reason = answer.value("ms-diagnostics");
    let id: u32 = reason.split(';').next().unwrap_or_default().parse()?;
    ensure!((65_000..65_100).contains(&id), "{reason:?}");
    Ok(())
}

/// E22: a sender of our own domain from outside.
pub async fn the_same_domain_on_both_sides(stage: &Stage) -> Result<()> {
    let user = stage.sim.sign_in("twentysecond", 1);
    let contact = format!("alice@{}", stage.domain());
    let mut request: Message = user.invitation(0, &contact, "")?;
    let forged = request
        .value("From")
        .replace("lync.example", stage.domain());
    request.set("From", forged);
    let answer = stage.sim.invite(request).await?.outcome().await?;
    ensure!(answer.status() == Some(403), "{}", answer.start);

    // What the Edge says of the same on its side, and what a configuration with it is told.
    let said = "1017;reason=\"Cannot route From and To domains in this combination\";\
                source=\"sip.lync.example\"";
    let refusal = Refusal::of(403).line("ms-diagnostics", said);
    user.refuses("INVITE", Some(refusal));
    let alice = stage.xmpp("alice").await?;
    alice.say(&user.aor(), "same", "hello?").await?;
    let error = alice.expect_error(&user.aor(), "same").await?;
    let condition = error.condition().unwrap_or_default();
    ensure!(condition == "not-allowed", "1017 became {condition}");
    let status = stage.told("status").await?;
    ensure!(
        status.contains("1017 From and To have domains that may not be together"),
        "{status}"
    );
    let text = std::fs::read_to_string(stage.gateway.config())?;
    let both = text.replace("\"lync.example\"", &format!("\"{}\"", stage.domain()));
    let file = stage.gateway.config().with_file_name("same-domain.toml");
    std::fs::write(&file, both)?;
    let file = file.to_string_lossy();
    let checked = crate::gateway::control(&["check", "config", &file]).await?;
    let told = format!("{}{}", checked.stdout, checked.stderr);
    ensure!(
        !checked.status.success() && told.contains(stage.domain()),
        "{told}"
    );
    stage.shown(&["E22"])
}
