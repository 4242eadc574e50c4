//! Chat states (XEP-0085) and isComposing (RFC 3994), by RFC 7573 tables 3 and 4.

use minidom::Element;

use crate::documents::iscomposing::{SHORTEST_REFRESH, State};
use crate::model::ChatState;
use crate::xmpp::{Message, ns};

/// The chat state that stands in a message.
pub fn from_xmpp(message: &Message) -> Option<ChatState> {
    let mut states = message
        .payloads
        .iter()
        .filter(|one| one.has_ns(ns::CHAT_STATES));
    states.find_map(|state| {
        Some(match state.name() {
            "active" => ChatState::Active,
            "composing" => ChatState::Composing,
            "gone" => ChatState::Gone,
            "inactive" => ChatState::Inactive,
            "paused" => ChatState::Paused,
            _ => return None,
        })
    })
}

/// The element of a chat state.
pub fn to_xmpp(state: ChatState) -> Element {
    let name = match state {
        ChatState::Active => "active",
        ChatState::Composing => "composing",
        ChatState::Gone => "gone",
        ChatState::Inactive => "inactive",
        ChatState::Paused => "paused",
    };
    Element::bare(name, ns::CHAT_STATES)
}

/// What isComposing says for a chat state; nothing for `gone`, which ends a session and is no
/// typing (RFC 7573 section 6.1).
pub const fn to_sip(state: ChatState) -> Option<State> {
    match state {
        ChatState::Composing => Some(State::Active {
            refresh: Some(SHORTEST_REFRESH),
        }),
        ChatState::Active | ChatState::Inactive | ChatState::Paused => Some(State::Idle),
        ChatState::Gone => None,
    }
}

/// The chat state for what isComposing says.
pub const fn from_sip(state: State) -> ChatState {
    match state {
        State::Active { .. } => ChatState::Composing,
        State::Idle => ChatState::Active,
    }
}
