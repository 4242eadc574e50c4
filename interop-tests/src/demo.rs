//! The acts of the demonstration: each shows what both ends see, and fails if they see otherwise.

use std::io::Write;

use anyhow::{Context, Result, ensure};
use minidom::Element;

use crate::gateway::Gateway;
use crate::lync_sim::{Light, News, Rendered, Sim, State, User};
use crate::presence::{is, says};
use crate::xml::Look;
use crate::xmpp_clients::{Client, Mood};

/// The user on the XMPP side.
pub const ALICE: &str = "alice@prosody.example";
/// The user on the SIP side.
pub const BOB: &str = "bob@lync.example";

/// Everyone on the stage.
#[derive(Debug)]
pub struct Cast {
    /// The gateway.
    pub gateway: Gateway,
    /// Bob's servers: an Edge of Lync 2013 with a pool behind it.
    pub lync: Sim,
    /// Alice's client.
    pub alice: Client,
    /// Bob's client.
    pub bob: User,
}

/// Prints a line of the transcript.
pub fn say(line: &str) -> Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

impl Cast {
    /// All acts.
    pub async fn play(&mut self) -> Result<()> {
        self.conversation().await?;
        self.messages_to_nobody().await?;
        say("\n--- presence ---")?;
        self.add_each_other().await?;
        self.change().await?;
        self.block().await?;
        self.restart().await?;
        let faults = self.lync.faults().all();
        ensure!(
            faults.is_empty(),
            "the gateway towards the Edge: {faults:?}"
        );
        Ok(())
    }

    /// Alice opens a conversation, Bob answers in it and leaves; then Bob opens one.
    async fn conversation(&self) -> Result<()> {
        let Self { alice, bob, .. } = self;
        let text = "Hello Bob, this is Alice on XMPP.";
        say(&format!("\n{ALICE} (XMPP) writes to {BOB}: {text}"))?;
        alice.say(BOB, "demo-1", text).await?;
        bob.expect_text(text).await?;
        say("  Bob's client opens a window (INVITE) and shows the text")?;
        let window = bob
            .conversation(ALICE)
            .context("Bob's client shows a window")?;
        ensure!(window.types(true).await? == 200);
        let text = "Hello Alice, this is Bob on Lync.";
        say(&format!(
            "\n{BOB} (SIP) types, then writes in the window: {text}"
        ))?;
        let status = window.say(text).await?;
        say(&format!("{BOB} (SIP) is answered: {status}"))?;
        let stanza = alice.expect_text(text).await?;
        let (from, body) = (stanza.at("from"), stanza.body().unwrap_or_default());
        say(&format!("{ALICE} (XMPP) receives from {from}: {body}"))?;
        ensure!(status == 200, "a message that arrives is answered 200");
        ensure!(window.leave().await? == 200);
        say(&format!("{BOB} (SIP) closes the window (BYE)"))?;

        let text = "One more thing, with an emoji \u{1F600}.";
        say(&format!("\n{BOB} (SIP) opens a new window: {text}"))?;
        let window = bob.start(ALICE, text).await?;
        alice.expect_text(text).await?;
        say(&format!("{ALICE} (XMPP) receives it, once"))?;
        window.leave().await?;
        Ok(())
    }

    /// One message each way to a user that does not exist.
    async fn messages_to_nobody(&self) -> Result<()> {
        let Self { alice, bob, .. } = self;
        let nobody = "nobody@lync.example";
        say(&format!(
            "\n{ALICE} (XMPP) writes to {nobody}, who does not exist"
        ))?;
        alice.say(nobody, "demo-2", "Are you there?").await?;
        let error = alice.expect_error("demo-2").await?;
        let condition = error.condition().unwrap_or_default();
        say(&format!("{ALICE} (XMPP) is told: {condition}"))?;
        ensure!(
            condition == "item-not-found",
            "a user that does not exist is not found"
        );

        let nobody = "nobody@prosody.example";
        say(&format!(
            "\n{BOB} (SIP) writes to {nobody}, who does not exist"
        ))?;
        let refused = bob.start(nobody, "Are you there?").await;
        let words = match &refused {
            Ok(_) => "taken".to_owned(),
            Err(error) => format!("{error:#}"),
        };
        say(&format!("{BOB} (SIP) is told: {words}"))?;
        ensure!(refused.is_err(), "a message that nobody gets is refused");
        Ok(())
    }

    /// Each adds the other.
    async fn add_each_other(&self) -> Result<()> {
        let Self { alice, bob, .. } = self;
        bob.publish(State::new(3500, "", "at my desk")).await;
        say(&format!("\n{ALICE} adds {BOB}"))?;
        alice.subscribe(BOB).await?;
        alice.expect(BOB, "subscribed", is("subscribed")).await?;
        let seen = alice.expect(BOB, "at my desk", says("at my desk")).await?;
        say(&format!("{ALICE} sees {BOB}: {}", words_of(&seen)))?;
        let asks = |news: &News| matches!(news, News::Asks { .. });
        if let News::Asks { watcher, name } = bob.news().wait("question", asks).await? {
            say(&format!(
                "  Bob's client says: \"{name}\" <{watcher}> added you"
            ))?;
        }

        say(&format!("\n{BOB} adds {ALICE}"))?;
        bob.add(ALICE).await?;
        say(&format!("{BOB} sees {ALICE}: {}", self.seen()))?;
        alice.expect(BOB, "subscribe", is("subscribe")).await?;
        say("  Alice's client shows the request; she says yes")?;
        alice.approve(BOB).await?;
        bob.expect_sees(ALICE, "online", Rendered::is_online)
            .await?;
        say(&format!("{BOB} sees {ALICE}: {}", self.seen()))
    }

    /// Each changes his state.
    async fn change(&self) -> Result<()> {
        let Self { alice, bob, .. } = self;
        let quiet = Mood {
            show: "dnd",
            status: "please, not now",
            priority: 5,
        };
        say(&format!(
            "\n{ALICE} does not want to be disturbed: \"please, not now\""
        ))?;
        alice.shows(quiet).await?;
        bob.expect_sees(ALICE, "do not disturb", is_quiet).await?;
        say(&format!("{BOB} sees {ALICE}: {}", self.seen()))?;

        say(&format!("\n{BOB} is busy: \"in a call\""))?;
        bob.publish(State::new(6500, "on-the-phone", "in a call"))
            .await;
        let seen = alice.expect(BOB, "in a call", says("in a call")).await?;
        say(&format!("{ALICE} sees {BOB}: {}", words_of(&seen)))
    }

    /// The operator blocks the two, and takes it back.
    async fn block(&self) -> Result<()> {
        let Self { alice, bob, .. } = self;
        let mark = alice.mark();
        self.operator("block").await?;
        bob.expect_sees(ALICE, "offline", |seen| !seen.is_online())
            .await?;
        let gone = alice
            .expect_behind(mark, BOB, "unavailable", is("unavailable"))
            .await?;
        say(&format!("{BOB} sees {ALICE}: {}", self.seen()))?;
        say(&format!("{ALICE} sees {BOB}: {}", words_of(&gone)))?;
        let mark = alice.mark();
        self.operator("allow").await?;
        bob.expect_sees(ALICE, "do not disturb", is_quiet).await?;
        let back = alice
            .expect_behind(mark, BOB, "in a call", says("in a call"))
            .await?;
        say(&format!("{BOB} sees {ALICE}: {}", self.seen()))?;
        say(&format!("{ALICE} sees {BOB}: {}", words_of(&back)))
    }

    async fn operator(&self, verdict: &str) -> Result<()> {
        let bob = format!("sip:{BOB}");
        let arguments = ["acl", "set", ALICE, &bob, verdict];
        say(&format!(
            "\nThe operator: isthmusctl {}",
            arguments.join(" ")
        ))?;
        self.gateway.control(&arguments).await?.success()?;
        Ok(())
    }

    /// The gateway is killed and started again, and nobody notices.
    async fn restart(&mut self) -> Result<()> {
        let mark = self.alice.mark();
        let known = self.bob.news().len();
        say("\nisthmusd is killed (kill -9) and started again")?;
        self.gateway.kill().await?;
        self.gateway.start_again().await?;
        let Self { alice, bob, .. } = &*self;
        let here = Mood {
            show: "",
            status: "all ears again",
            priority: 5,
        };
        say(&format!("\n{ALICE} is back: \"all ears again\""))?;
        alice.shows(here).await?;
        bob.expect_sees(ALICE, "back", |seen| seen.note == "all ears again")
            .await?;
        say(&format!("{BOB} sees {ALICE}: {}", self.seen()))?;
        say(&format!("\n{BOB} is free again: \"back at my desk\""))?;
        let desk = State::new(3500, "", "back at my desk");
        bob.publish(desk).await;
        let seen = alice.expect(BOB, "back", says("back at my desk")).await?;
        say(&format!("{ALICE} sees {BOB}: {}", words_of(&seen)))?;
        let to_alice = alice.presences_of(mark, BOB);
        ensure!(to_alice.iter().all(Look::is_available), "{to_alice:?}");
        let off = |news: &News| match news {
            News::Sees { rendered, .. } => !rendered.is_online(),
            News::Asks { .. }
            | News::Invited(_)
            | News::Text { .. }
            | News::Types(..)
            | News::Left(_) => false,
        };
        let to_bob = bob.news().since(known);
        ensure!(!to_bob.iter().any(off), "{to_bob:?}");
        say("Neither saw the other go offline in between.")
    }

    /// What Bob's client shows of Alice.
    fn seen(&self) -> String {
        let seen = self.bob.sees(ALICE).into_iter().flatten().next();
        let seen = seen.unwrap_or_default();
        let note = match seen.note.as_str() {
            "" => String::new(),
            note => format!(", \"{note}\""),
        };
        let light = match seen.light {
            Light::Offline => "offline",
            Light::Available => "available",
            Light::Idle => "inactive",
            Light::Busy => "busy",
            Light::DoNotDisturb => "do not disturb",
            Light::BeRightBack => "be right back",
            Light::Away => "away",
        };
        format!("{light}{note}")
    }
}

fn is_quiet(seen: &Rendered) -> bool {
    seen.light == Light::DoNotDisturb
}

/// What a presence stanza says, for people.
fn words_of(presence: &Element) -> String {
    if !presence.is_available() {
        return "offline".to_owned();
    }
    let (show, note) = (presence.text_of("show"), presence.text_of("status"));
    let show = if show.is_empty() { "available" } else { &show };
    match note.as_str() {
        "" => show.to_owned(),
        note => format!("{show}, \"{note}\""),
    }
}
