//! Typing in page mode: isComposing (RFC 3994) towards SIP, chat states (XEP-0085) towards XMPP.

use std::time::Duration;

use crate::limits;
use crate::model::ChatState;

/// What the SIP user is told of the XMPP user's typing.
///
/// XEP-0085 forbids a client to repeat `composing`, RFC 3994 lets a state lapse: so `active` is
/// sent again every [`REFRESH`], a few times, until another state comes.
#[derive(Debug, Default)]
pub struct Composer {
    wanted: bool,
    shown: bool,
    in_flight: bool,
    repeats: u8,
    refused: bool,
    held: bool,
}

/// The `refresh` of an isComposing document of ours and the time after which it is repeated.
pub const REFRESH: Duration = Duration::from_secs(60);

/// Repetitions after which typing is left to lapse.
const REPEATS: u8 = 5;

impl Composer {
    /// Takes a chat state of the XMPP user; only the latest one counts.
    pub fn on_state(&mut self, state: ChatState) {
        self.wanted = is_composing(state);
        self.repeats = 0;
    }

    /// Takes note of a content message, which ends typing without a word (RFC 3994 section 3.2).
    pub const fn on_content(&mut self) {
        self.wanted = false;
        self.shown = false;
    }

    /// Returns the state to send now, `true` for active. Typing waits while `busy` with messages
    /// and while an earlier state is unanswered.
    pub const fn next(&mut self, busy: bool) -> Option<bool> {
        let rests = self.in_flight || self.refused || self.held;
        if busy || rests || self.wanted == self.shown {
            return None;
        }
        self.shown = self.wanted;
        self.in_flight = true;
        Some(self.shown)
    }

    /// Tells nothing until [`Composer::release`]: some peers are told seldom.
    pub const fn hold(&mut self) {
        self.held = true;
    }

    /// See [`Composer::hold`].
    pub const fn release(&mut self) {
        self.held = false;
    }

    /// Takes the outcome of a state that was sent: 415 ends typing for this user (RFC 3994
    /// section 4), anything else changes nothing.
    pub const fn on_outcome(&mut self, status: Option<u16>) {
        self.in_flight = false;
        if matches!(status, Some(415)) {
            self.refused = true;
        }
    }

    /// Asks for a repetition, as long as the state is still shown.
    pub const fn on_refresh(&mut self) {
        if self.shown && self.wanted && self.repeats < REPEATS {
            self.repeats = self.repeats.saturating_add(1);
            self.shown = false;
        }
    }
}

/// What the XMPP user is told of the SIP user's typing.
#[derive(Debug, Default)]
pub struct Indicator {
    supported: bool,
    composing: bool,
}

impl Indicator {
    /// Takes note of a content message of the XMPP client, with or without a chat state: only a
    /// client that sends them gets them (XEP-0085 section 5.1).
    pub const fn on_client_message(&mut self, has_state: bool) {
        self.supported = has_state;
    }

    /// Takes note that the XMPP client sent a chat state alone.
    pub const fn on_client_state(&mut self) {
        self.supported = true;
    }

    /// Takes the state of the SIP user; returns what to tell, if that is news and wanted.
    pub const fn on_state(&mut self, composing: bool) -> Option<ChatState> {
        if !self.supported || self.composing == composing {
            return None;
        }
        self.composing = composing;
        Some(if composing {
            ChatState::Composing
        } else {
            ChatState::Active
        })
    }

    /// Takes note of a content message of the SIP user; returns the state that rides on it.
    pub fn on_content(&mut self) -> Option<ChatState> {
        self.composing = false;
        self.supported.then_some(ChatState::Active)
    }

    /// Takes note that the SIP user left; returns whether to tell so.
    pub const fn on_end(&mut self) -> bool {
        self.composing = false;
        self.supported
    }

    /// Whether the XMPP user sees the SIP user typing.
    pub const fn is_composing(&self) -> bool {
        self.composing
    }
}

/// The time after which typing of a SIP user has lapsed (RFC 3994 section 3.3).
pub fn lapse_after(refresh: Option<Duration>) -> Duration {
    refresh
        .unwrap_or(limits::COMPOSING_LAPSE)
        .min(limits::COMPOSING_LAPSE_MAX)
}

/// isComposing knows two states: `composing` is active, every other one idle (RFC 7573 table 4).
const fn is_composing(state: ChatState) -> bool {
    match state {
        ChatState::Composing => true,
        ChatState::Active | ChatState::Gone | ChatState::Inactive | ChatState::Paused => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_latest_state_is_sent_and_only_when_it_changes() {
        let mut composer = Composer::default();
        composer.on_state(ChatState::Active);
        assert_eq!(composer.next(false), None);

        composer.on_state(ChatState::Composing);
        assert_eq!(composer.next(true), None);
        composer.on_state(ChatState::Paused);
        assert_eq!(composer.next(false), None, "superseded before it was sent");

        composer.on_state(ChatState::Composing);
        assert_eq!(composer.next(false), Some(true));
        composer.on_state(ChatState::Paused);
        assert_eq!(composer.next(false), None, "the first is unanswered");
        composer.on_outcome(Some(200));
        assert_eq!(composer.next(false), Some(false));
    }

    #[test]
    fn content_ends_typing_without_a_word() {
        let mut composer = Composer::default();
        composer.on_state(ChatState::Composing);
        assert_eq!(composer.next(false), Some(true));
        composer.on_outcome(Some(200));

        composer.on_content();

        assert_eq!(composer.next(false), None);
    }

    #[test]
    fn typing_is_repeated_five_times_and_then_lapses() {
        let mut composer = Composer::default();
        composer.on_state(ChatState::Composing);
        let mut sent = 0;
        for _ in 0..10 {
            sent += usize::from(composer.next(false) == Some(true));
            composer.on_outcome(Some(200));
            composer.on_refresh();
        }

        assert_eq!(sent, 6);
    }

    #[test]
    fn typing_refused_with_415_is_not_sent_again() {
        let mut composer = Composer::default();
        composer.on_state(ChatState::Composing);
        assert_eq!(composer.next(false), Some(true));
        composer.on_outcome(Some(415));
        composer.on_state(ChatState::Paused);

        assert_eq!(composer.next(false), None);
    }

    #[test]
    fn states_go_only_to_clients_that_send_them() {
        let mut indicator = Indicator::default();
        assert_eq!(indicator.on_state(true), None);
        assert_eq!(indicator.on_content(), None);

        indicator.on_client_state();
        assert_eq!(indicator.on_state(true), Some(ChatState::Composing));
        assert_eq!(indicator.on_state(true), None, "no repetition");
        assert_eq!(indicator.on_content(), Some(ChatState::Active));
        assert_eq!(indicator.on_state(false), None, "content said so");

        indicator.on_client_message(false);
        assert_eq!(indicator.on_state(true), None);
    }

    #[test]
    fn typing_lapses_after_its_refresh_or_two_minutes() {
        assert_eq!(lapse_after(None), Duration::from_secs(120));
        assert_eq!(
            lapse_after(Some(Duration::from_secs(90))),
            Duration::from_secs(90)
        );
        assert_eq!(
            lapse_after(Some(Duration::from_secs(1 << 40))),
            limits::COMPOSING_LAPSE_MAX
        );
    }
}
