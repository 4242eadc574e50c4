//! The acts of the demonstration: each shows what both ends see, and fails if they see otherwise.

use std::io::Write;

use anyhow::{Result, ensure};
use minidom::Element;

use crate::gateway::Gateway;
use crate::kamailio::{Kamailio, Rule};
use crate::pidf::{Document, Tuple};
use crate::presence::{is, says};
use crate::sip_agent::{Notification, Publication, SipAgent, Watch};
use crate::xml::Look;
use crate::xmpp_clients::{Client, Mood};

/// The user on the XMPP side.
pub const ALICE: &str = "alice@prosody.example";
/// The user on the SIP side.
pub const BOB: &str = "bob@kamailio.example";

/// Everyone on the stage.
#[derive(Debug)]
pub struct Cast {
    /// The gateway.
    pub gateway: Gateway,
    /// Bob's server.
    pub kamailio: Kamailio,
    /// Alice's client.
    pub alice: Client,
    /// Bob's phone.
    pub phone: SipAgent,
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
        self.messages().await?;
        self.messages_to_nobody().await?;
        say("\n--- presence ---")?;
        let (watch, mut publication) = self.add_each_other().await?;
        self.change(&watch, &mut publication).await?;
        self.block(&watch).await?;
        self.restart(&watch, &mut publication).await
    }

    /// Messages both ways.
    async fn messages(&self) -> Result<()> {
        let Self { alice, phone, .. } = self;
        let text = "Hello Bob, this is Alice on XMPP.";
        say(&format!("\n{ALICE} (XMPP) writes to {BOB}: {text}"))?;
        alice.say(BOB, "demo-1", text).await?;
        let request = phone.expect_text(text).await?;
        let from = request.header("From").unwrap_or_default();
        let text = request.text();
        say(&format!("{BOB} (SIP) receives from {from}: {text}"))?;

        let text = "Hello Alice, this is Bob on SIP.";
        say(&format!("\n{BOB} (SIP) writes to {ALICE}: {text}"))?;
        let status = phone.say("bob", ALICE, text).await?;
        say(&format!("{BOB} (SIP) is answered: {status}"))?;
        let stanza = alice.expect_text(text).await?;
        let (from, body) = (stanza.at("from"), stanza.body().unwrap_or_default());
        say(&format!("{ALICE} (XMPP) receives from {from}: {body}"))?;
        ensure!(status == 200, "a message that arrives is answered 200");
        Ok(())
    }

    /// One message each way to a user that does not exist.
    async fn messages_to_nobody(&self) -> Result<()> {
        let Self { alice, phone, .. } = self;
        let nobody = "nobody@kamailio.example";
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
        let status = phone.say("bob", nobody, "Are you there?").await?;
        say(&format!("{BOB} (SIP) is answered: {status}"))?;
        ensure!(
            (400..700).contains(&status),
            "a message that nobody gets is refused"
        );
        Ok(())
    }

    /// Each adds the other and is let in.
    async fn add_each_other(&self) -> Result<(Watch, Publication)> {
        let Self { alice, phone, .. } = self;
        let desk = state("", "at my desk");
        let publication = phone.publish("bob", &desk).await?;
        say(&format!("\n{ALICE} adds {BOB}"))?;
        alice.subscribe(BOB).await?;
        self.kamailio.holds_request("bob", ALICE).await?;
        say("  Bob's presence server has the request and waits for Bob; he says yes")?;
        self.kamailio.decides("bob", ALICE, Rule::Allow).await?;
        alice.expect(BOB, "subscribed", is("subscribed")).await?;
        let seen = alice.expect(BOB, "at my desk", says("at my desk")).await?;
        say(&format!("{ALICE} sees {BOB}: {}", words_of(&seen)))?;

        say(&format!("\n{BOB} adds {ALICE}"))?;
        let watch = phone.watch("bob", ALICE).await?;
        let answer = watch.expect("pending", |n| n.state == "pending").await?;
        say(&format!("{BOB} sees {ALICE}: {}", state_of(&answer)))?;
        alice.expect(BOB, "subscribe", is("subscribe")).await?;
        say("  Alice's client shows the request; she says yes")?;
        alice.approve(BOB).await?;
        let seen = watch.expect("her state", Notification::is_open).await?;
        say(&format!("{BOB} sees {ALICE}: {}", state_of(&seen)))?;
        Ok((watch, publication))
    }

    /// Each changes his state.
    async fn change(&self, watch: &Watch, publication: &mut Publication) -> Result<()> {
        let Self { alice, phone, .. } = self;
        let lunch = Mood {
            show: "away",
            status: "at lunch",
            priority: 5,
        };
        say(&format!("\n{ALICE} goes away: \"at lunch\""))?;
        alice.shows(lunch).await?;
        let seen = watch.expect("at lunch", |n| n.says("at lunch")).await?;
        say(&format!("{BOB} sees {ALICE}: {}", state_of(&seen)))?;

        say(&format!("\n{BOB} is busy: \"in a call\""))?;
        publication
            .update(phone, &state("dnd", "in a call"))
            .await?;
        let seen = alice.expect(BOB, "in a call", says("in a call")).await?;
        say(&format!("{ALICE} sees {BOB}: {}", words_of(&seen)))
    }

    /// The operator blocks the two, and takes it back.
    async fn block(&self, watch: &Watch) -> Result<()> {
        let (at_alice, at_bob) = (self.alice.mark(), watch.mark());
        self.operator("block").await?;
        let closed = watch
            .expect_behind(at_bob, "closed", Notification::is_closed)
            .await?;
        let gone = self
            .alice
            .expect_behind(at_alice, BOB, "unavailable", is("unavailable"))
            .await?;
        say(&format!("{BOB} sees {ALICE}: {}", state_of(&closed)))?;
        say(&format!("{ALICE} sees {BOB}: {}", words_of(&gone)))?;
        let (at_alice, at_bob) = (self.alice.mark(), watch.mark());
        self.operator("allow").await?;
        let open = watch
            .expect_behind(at_bob, "open", |n| n.says("at lunch"))
            .await?;
        let back = self
            .alice
            .expect_behind(at_alice, BOB, "in a call", says("in a call"))
            .await?;
        say(&format!("{BOB} sees {ALICE}: {}", state_of(&open)))?;
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
    async fn restart(&mut self, watch: &Watch, publication: &mut Publication) -> Result<()> {
        let (at_alice, at_bob) = (self.alice.mark(), watch.mark());
        say("\nisthmusd is killed (kill -9) and started again")?;
        self.gateway.kill().await?;
        self.gateway.start_again().await?;
        let again = watch
            .expect_behind(at_bob, "her state again", Notification::is_open)
            .await?;
        say(&format!("{BOB} sees {ALICE}: {}", state_of(&again)))?;
        say(&format!("\n{BOB} is free again: \"back at my desk\""))?;
        let desk = state("", "back at my desk");
        publication.update(&self.phone, &desk).await?;
        let seen = self
            .alice
            .expect(BOB, "back", says("back at my desk"))
            .await?;
        say(&format!("{ALICE} sees {BOB}: {}", words_of(&seen)))?;
        let to_alice = self.alice.presences_of(at_alice, BOB);
        ensure!(to_alice.iter().all(Look::is_available), "{to_alice:?}");
        let to_bob = watch.notifications().since(at_bob);
        ensure!(to_bob.iter().all(Notification::is_open), "{to_bob:?}");
        say("Neither saw the other go offline in between.")
    }
}

fn state(show: &str, note: &str) -> Document {
    Document::of(&format!("pres:{BOB}"), Tuple::open("phone", show, note))
}

/// What a presence stanza says, for people.
fn words_of(presence: &Element) -> String {
    if !presence.is_available() {
        return "offline".to_owned();
    }
    words(
        "available",
        &presence.text_of("show"),
        &presence.text_of("status"),
    )
}

/// What a NOTIFY says, for people.
fn state_of(notification: &Notification) -> String {
    let document = notification.document.as_ref();
    let open = document.and_then(|document| document.open().first().copied().cloned());
    match (notification.state.as_str(), open) {
        ("active", Some(tuple)) => words("open", &tuple.show, &tuple.note),
        ("active", None) => "offline".to_owned(),
        (state, _) => format!("nothing yet ({state})"),
    }
}

fn words(plain: &str, show: &str, note: &str) -> String {
    let show = if show.is_empty() { plain } else { show };
    if note.is_empty() {
        return show.to_owned();
    }
    format!("{show}, \"{note}\"")
}
