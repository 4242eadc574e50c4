//! What becomes of a NOTIFY.

use std::time::Duration;

use crate::limits;
use crate::presence::notifier::endpoint::{Again, Shown};
use crate::presence::notifier::{Keep, Notifier, Scene, Step};
use crate::sip::Tag;

/// What became of a NOTIFY.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// 2xx.
    Accepted,
    /// A status that says that the dialog or its user is no more (RFC 6665 section 4.2.2, RFC 5057).
    Gone,
    /// Any other refusal, with its Retry-After.
    Refused(Option<Duration>),
    /// 401 or 407: the peer wants what a server cannot give.
    Unauthorized,
    /// Timer F: no answer came.
    TimedOut,
    /// It was not sent, or written to a link that broke.
    Unsent,
    /// It was not sent since too much waits for the peer; the caller sees to it that it is.
    NoRoom,
}

impl Outcome {
    /// What a final status means; it is that of a NOTIFY of ours.
    pub const fn of(status: u16, retry_after: Option<Duration>) -> Self {
        match status {
            200..=299 => Self::Accepted,
            404 | 405 | 410 | 416 | 480..=485 | 489 | 501 | 604 => Self::Gone,
            401 | 407 => Self::Unauthorized,
            _ => Self::Refused(retry_after),
        }
    }
}

impl Notifier {
    /// Takes what became of a NOTIFY in a live dialog.
    pub fn on_outcome(&mut self, tag: Tag, outcome: Outcome, scene: &Scene) -> Step {
        let Some(endpoint) = self.endpoint_mut(tag) else {
            return Step::nothing();
        };
        match outcome {
            // row 23b
            Outcome::Accepted => {
                endpoint.again = Again::No;
                Step::nothing()
            }
            // row 23
            Outcome::Gone => self.on_gone(tag, scene),
            // row 23a
            Outcome::TimedOut if !scene.sip.is_up() => {
                endpoint.shown = Shown::NOTHING;
                Step::nothing()
            }
            // row 23
            Outcome::TimedOut => self.on_gone(tag, scene),
            // row 24
            Outcome::Refused(retry_after) => {
                let pause = retry_after
                    .unwrap_or(limits::NOTIFY_AGAIN)
                    .min(limits::NOTIFY_AGAIN_LAST);
                endpoint.again = match endpoint.again {
                    Again::No => Again::At(scene.now.mono + pause),
                    Again::At(_) | Again::Was => Again::Was,
                };
                Step::nothing()
            }
            // row 24
            Outcome::Unauthorized => Step::nothing(),
            // row 23a
            Outcome::Unsent => {
                endpoint.shown = Shown::NOTHING;
                if scene.sip.is_up() {
                    self.pace.on_change(scene.now.mono);
                }
                Step::nothing()
            }
            // row 23a
            Outcome::NoRoom => {
                endpoint.shown = Shown::NOTHING;
                Step::nothing()
            }
        }
    }

    /// Forgets a dialog that the watcher's side has forgotten: "the notifier MUST remove the
    /// subscription" (RFC 6665 section 4.2.2), without a further NOTIFY.
    fn on_gone(&mut self, tag: Tag, scene: &Scene) -> Step {
        drop(self.remove(tag));
        self.on_last(scene).keep(Keep::Lazy)
    }
}
