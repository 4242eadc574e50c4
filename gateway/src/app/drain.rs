//! The orderly end.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};
use translators::model::Side;
use translators::shard::{Answered, Command};

use super::start::App;
use crate::telemetry::events::{ProcessEvent, Way};

impl App {
    /// Stops accepting, finishes what is under way, closes the links politely and ends the shards.
    /// True if nothing was left when `grace` ended.
    /// With `for_good` every dialog is ended before, as long as that takes within `grace`.
    pub(super) async fn drain(&mut self, grace: Duration, for_good: bool) -> bool {
        let cause = if for_good { "for good" } else { "ordered" };
        ProcessEvent::Draining { cause, grace }.emit();
        self.readiness.set(false);
        let end = Instant::now() + grace;
        let left = !for_good || timeout_at(end, self.leave()).await.is_ok();
        // Requests are refused from now on; streams that peers opened are closed, and what they
        // brought until their closing tag is still taken.
        self.ending.send_replace(true);
        self.peers
            .close_links(|side, link| side == Side::Xmpp && link.way == Way::In);
        let finished = timeout_at(end, self.all_done()).await.is_ok();
        self.peers.close_links(|_, _| true);
        let closed = timeout_at(Instant::now() + CLOSING, self.all_closed())
            .await
            .is_ok();
        self.inputs.stop().await;
        for group in self.groups.drain(..) {
            // A group that broke has told so itself.
            group.await.ok();
        }
        let stored = self.store.close().await.is_ok();
        let clean = left && finished && closed && stored;
        ProcessEvent::Stopped { clean }.emit();
        clean
    }

    /// Ends every dialog, and waits until the peers have heard it: their answers are still taken.
    async fn leave(&self) {
        loop {
            // Shards that have ended have nothing left to end.
            let answers = self.inputs.ask(&Command::DropSome).await;
            self.all_done().await;
            let left = |answer: &Answered| !matches!(answer, Answered::Changed(0));
            if !answers.is_ok_and(|answers| answers.iter().any(left)) {
                return;
            }
        }
    }

    async fn all_done(&self) {
        let mut quiet = 0;
        while quiet < QUIET {
            sleep(LOOK).await;
            let busy = self.inputs.is_busy() || self.peers.is_busy();
            quiet = if busy { 0 } else { quiet + 1 };
        }
    }

    async fn all_closed(&self) {
        while self.peers.links() > 0 {
            sleep(LOOK).await;
        }
    }
}

/// Time for closing tags to come back.
const CLOSING: Duration = Duration::from_secs(8);
/// Time between two looks.
const LOOK: Duration = Duration::from_millis(25);
/// Quiet looks in a row after which nothing is under way.
const QUIET: u32 = 4;
