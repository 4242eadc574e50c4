//! How much a peer has to carry, by what shares a limit.

use translators::limits;
use translators::shard::Class;

/// Transmits that wait or are on their way. Presence never takes the place of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Messages, answers and errors.
    pub messages: usize,
    /// Presence, and what makes or ends subscriptions.
    pub presence: usize,
    /// Typing.
    pub typing: usize,
}

impl Load {
    /// Counts one more.
    pub(super) const fn add(&mut self, class: Class) {
        let count = self.of(class);
        *count = count.saturating_add(1);
    }

    /// Counts one less.
    pub(super) const fn remove(&mut self, class: Class) {
        let count = self.of(class);
        *count = count.saturating_sub(1);
    }

    /// Both together.
    pub(super) const fn plus(self, other: Self) -> Self {
        Self {
            messages: self.messages.saturating_add(other.messages),
            presence: self.presence.saturating_add(other.presence),
            typing: self.typing.saturating_add(other.typing),
        }
    }

    /// All of them.
    pub const fn total(self) -> usize {
        self.messages
            .saturating_add(self.presence)
            .saturating_add(self.typing)
    }

    /// Whether one more of this class is too many.
    pub(super) const fn is_full(mut self, class: Class) -> bool {
        let limit = match class {
            Class::Answer | Class::Control | Class::Im => limits::WAITING_PER_PEER,
            Class::Subscription | Class::Presence => limits::PRESENCE_PER_PEER,
            Class::Typing => limits::TYPING_PER_PEER,
        };
        *self.of(class) >= limit
    }

    /// Whether messages or presence have to be refused.
    pub const fn is_full_of_what_counts(self) -> bool {
        self.is_full(Class::Im) || self.is_full(Class::Presence)
    }

    const fn of(&mut self, class: Class) -> &mut usize {
        match class {
            Class::Answer | Class::Control | Class::Im => &mut self.messages,
            Class::Subscription | Class::Presence => &mut self.presence,
            Class::Typing => &mut self.typing,
        }
    }
}
