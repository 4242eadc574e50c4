//! Instant messages, typing and receipts in neutral form.

use serde::{Deserialize, Serialize};

use crate::model::Wall;

/// One instant message, or one of the small things that travel as messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstantMessage {
    /// Identifier its sender gave it; echoed in errors.
    pub id: Option<String>,
    /// The sender's device: XMPP resource or decoded `gr`.
    pub from_instance: Option<String>,
    /// The device it is meant for: XMPP resource or decoded `gr`.
    pub to_instance: Option<String>,
    /// What it carries.
    pub payload: Payload,
    /// Its language as a BCP 47 tag.
    pub lang: Option<String>,
    /// The thread (XMPP) or Call-ID (SIP).
    pub thread: Option<String>,
    /// When it was sent, if that was not just now.
    pub sent_at: Option<Wall>,
    /// The sender's display name.
    pub display_name: Option<String>,
    /// How its sender's client shows it.
    pub style: MessageStyle,
}

impl InstantMessage {
    /// Its text; empty for what is none.
    pub fn text(&self) -> &str {
        match &self.payload {
            Payload::Text { text, .. } => text,
            Payload::Invitation(_) | Payload::Receipt(_) | Payload::Typing(_) => "",
        }
    }
}

/// What an instant message carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Payload {
    /// An invitation to a room, told as text to a side that has no rooms.
    Invitation(Invitation),
    /// A receipt for an earlier message.
    Receipt(Receipt),
    /// Text, perhaps with a chat state and a wish for receipts riding on it.
    Text {
        /// Plain text, LF line ends, free of characters XML forbids.
        text: String,
        /// The same as XHTML-IM or HTML, where the switch is on.
        html: Option<String>,
        /// Subject, one line.
        subject: Option<String>,
        /// Chat state that rides on the message.
        chat_state: Option<ChatState>,
        /// Receipts the sender asks for.
        receipts: Vec<ReceiptKind>,
    },
    /// A chat state alone.
    Typing(ChatState),
}

impl Payload {
    /// Whether it is something that its sender expects to be read.
    pub const fn is_content(&self) -> bool {
        match self {
            Self::Invitation(_) | Self::Text { .. } => true,
            Self::Receipt(_) | Self::Typing(_) => false,
        }
    }
}

/// How the sender's client shows a message (RFC 6121 section 5.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MessageStyle {
    /// One of many in a conversation.
    Chat,
    /// An alert that expects no answer.
    Headline,
    /// A single message.
    Normal,
}

/// Chat states (XEP-0085); isComposing knows only composing and not composing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChatState {
    /// Attends to the conversation.
    Active,
    /// Writes.
    Composing,
    /// Left the conversation.
    Gone,
    /// Attends to something else.
    Inactive,
    /// Stopped writing.
    Paused,
}

/// A receipt for an earlier message (XEP-0184, XEP-0333, RFC 5438).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Identifier of the message it is for, in the form of the side it came from.
    pub of: String,
    /// What happened to that message.
    pub kind: ReceiptKind,
}

/// What a receipt says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ReceiptKind {
    /// It reached a device.
    Delivered,
    /// A human saw it.
    Displayed,
    /// It did not arrive.
    Failed,
}

/// An invitation to a room (XEP-0045, XEP-0249); passwords are never carried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    /// The room.
    pub room: String,
    /// Who invites, as far as the side it came from proves it.
    pub inviter: String,
    /// Why.
    pub reason: Option<String>,
    /// Whether the room forwards it (XEP-0045 section 7.8.2) and wants to hear a refusal.
    pub mediated: bool,
}
