//! An Edge that has nothing to say.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::stage::Stage;
use crate::inbox::until;

/// An Edge keeps silent for up to five minutes; somewhat later it is asked.
const SILENCE: Duration = Duration::from_secs(330);
/// How long a question waits for its answer, and what slow machines add.
const SLACK: Duration = Duration::from_secs(45);
/// The longest a scene of silence may take.
pub const LONGEST: Duration = Duration::from_secs(480);

/// E20: OPTIONS both ways. An Edge that keeps silent is asked on every connection; who answers
/// keeps them, who does not loses them and is reached over new ones.
pub async fn asked_when_silent(stage: &mut Stage, answers: bool) -> Result<()> {
    let sim = &stage.sim;
    sim.connect().await?;
    let user = sim.sign_in("silentuser", 1);
    let alice = stage.xmpp("alice").await?;
    alice.say(&user.aor(), "o1", "before the silence").await?;
    user.expect_text("before the silence").await?;
    let answer = sim.probe().await?;
    ensure!(answer.status() == Some(200), "OPTIONS: {}", answer.start);
    sim.change(|conduct| conduct.answers_options = answers);
    let before = sim.links();
    ensure!(before >= 2, "{before} connections");

    let known = sim.received().len();
    let asked = || {
        let since = sim.received().since(known).into_iter();
        let asked = since.filter(|(_, message)| message.method() == "OPTIONS");
        asked.map(|(link, _)| link).collect::<BTreeSet<u64>>().len()
    };
    until(SILENCE + SLACK, "OPTIONS on every connection", || {
        std::future::ready(asked() == before)
    })
    .await?;
    if answers {
        let lost = || std::future::ready(sim.links() < before);
        let lost = until(SLACK, "a connection ends", lost).await;
        ensure!(lost.is_err(), "{} of {before} left", sim.links());
    } else {
        let gone = || std::future::ready(sim.links() == 0);
        until(SLACK, "connections without an answer end", gone).await?;
        let process = stage.gateway.process();
        process.logs(SLACK, "answered no OPTIONS").await?;
    }
    alice.say(&user.aor(), "o2", "after the silence").await?;
    user.expect_text("after the silence").await?;
    stage.shown(&["E20"])
}
