//! Callers with habits: who writes rich text alone, and who thinks better of it.

use anyhow::{Context, Result, ensure};

use super::stage::Stage;
use crate::lync_sim::FirstMessage;
use crate::lync_sim::message::Message;

/// What the XMPP user reads in place of rich text.
const LOST: &str = "[I wrote in rich text; only plain text can be carried between our networks.]";

/// E16: a client that writes rich text alone is refused with the reason and the remedy; its
/// conversation goes on, and the reader hears of a text that was not sent again.
pub async fn rich_text_alone(stage: &Stage) -> Result<()> {
    let user = stage.sim.sign_in("colourful", 1);
    let alice = stage.xmpp("alice").await?;
    let mark = alice.mark();
    stage.sim.change(|conduct| conduct.writes_rtf = true);
    let known = stage.sim.received().len();
    let refused = user.start(alice.jid(), "in colours").await;
    let words = refused.map(|_| String::new());
    let words = words.unwrap_or_else(|error| error.to_string());
    ensure!(words.contains("415"), "rich text: {words:?}");
    let answers = stage.sim.received().since(known);
    let answer = answers.iter().find(|(_, one)| one.status() == Some(415));
    let (_, answer) = answer.context("a refusal")?;
    explains_rich_text(answer)?;

    // It is still there, in both directions.
    let open = user.conversation(alice.jid()).context("a conversation")?;
    ensure!(open.say("still in colours").await? == 415 && open.is_open());
    stage.sim.change(|conduct| conduct.writes_rtf = false);
    ensure!(open.say("in black").await? == 200);
    alice.expect_text(mark, &user.aor(), "in black").await?;
    alice.say(&user.aor(), "rich1", "readable").await?;
    user.expect_text("readable").await?;
    let has_text = stage.profile().first_message() != FirstMessage::Message;
    if has_text {
        // The dialog's first text was in the INVITE as well, and took four seconds.
        alice.expect_text(mark, &user.aor(), LOST).await?;
    }
    ensure!(open.leave().await? == 200);

    // Whoever says it once only and leaves.
    stage.sim.change(|conduct| conduct.writes_rtf = true);
    let mark = alice.mark();
    let request = user.invitation(0, alice.jid(), "in passing")?;
    let conversation = user.accepted(request, alice.jid()).await?;
    ensure!(conversation.leave().await? == 200);
    stage.sim.change(|conduct| conduct.writes_rtf = false);
    if has_text {
        alice.expect_text(mark, &user.aor(), LOST).await?;
    }
    let texts = alice.texts(mark, &user.aor());
    ensure!(texts.len() == usize::from(has_text), "{texts:?}");
    stage.shown(&["E14", "E16"])
}

fn explains_rich_text(answer: &Message) -> Result<()> {
    let accept = answer.value("Accept");
    ensure!(accept.contains("text/plain"), "Accept: {accept}");
    let reason = answer.value("ms-diagnostics");
    ensure!(
        reason.starts_with("65028;") && reason.contains("DisableRTFIM"),
        "{reason}"
    );
    Ok(())
}

/// E16: a caller who takes the INVITE back before the final answer gets 487, and one who does it
/// too late has a conversation to leave.
pub async fn invitations_taken_back(stage: &Stage) -> Result<()> {
    let user = stage.sim.sign_in("hesitant", 1);
    let alice = stage.xmpp("alice").await?;
    let mark = alice.mark();
    // Who is politely blocked waits for an answer, as if somebody were looked for.
    stage
        .rules(alice.jid(), &user.aor(), "polite-block")
        .await?;
    let request = user.invitation(0, alice.jid(), "never mind")?;
    let (mut attempt, answer) = stage.sim.invite_and_cancel(request).await?;
    ensure!(answer.status() == Some(200), "CANCEL: {}", answer.start);
    let outcome = attempt.outcome().await?;
    ensure!(outcome.status() == Some(487), "INVITE: {}", outcome.start);
    let reason = outcome.value("ms-diagnostics");
    ensure!(reason.starts_with("65027;"), "{reason}");
    stage.rules(alice.jid(), &user.aor(), "allow").await?;

    let request = user.invitation(0, alice.jid(), "")?;
    let mut attempt = stage.sim.invite(request).await?;
    let accepted = attempt.outcome().await?;
    ensure!(accepted.status() == Some(200), "{}", accepted.start);
    let answer = attempt.cancel().await?;
    ensure!(
        answer.status() == Some(200),
        "late CANCEL: {}",
        answer.start
    );
    let open = attempt.established(&user, alice.jid(), &accepted).await?;
    ensure!(open.say("after all").await? == 200);
    alice.expect_text(mark, &user.aor(), "after all").await?;
    ensure!(open.leave().await? == 200);
    let texts = alice.texts(mark, &user.aor());
    ensure!(texts == ["after all"], "{texts:?}");
    stage.shown(&["E16"])
}
