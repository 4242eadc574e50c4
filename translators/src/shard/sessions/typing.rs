//! Typing of the XMPP user inside a dialog.

use crate::conversation::session::{DialogNumber, Outcome};
use crate::documents::keyboard::{self, Activity};
use crate::model::microsoft::Typing;
use crate::model::{Pair, SipProfile};
use crate::shard::Shard;
use crate::shard::sessions::Occasion;
use crate::shard::turn::Turn;
use crate::sip::{Draft, Method};
use crate::text::Line;

/// How typing reaches the SIP user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shard) enum Carrier {
    /// INFO with KeyboardActivity in this dialog.
    Info(DialogNumber),
    /// isComposing in a MESSAGE of this dialog.
    Message(DialogNumber),
    /// isComposing in page mode.
    Page,
}

impl Shard {
    /// How typing reaches the SIP user now: one of the Microsoft profile sees it in an established
    /// dialog only.
    pub(in crate::shard) fn carrier(
        &mut self,
        pair: &Pair,
        profile: &SipProfile,
    ) -> Option<Carrier> {
        let dialog = self.memory.find(pair)?.session.established();
        match (profile.microsoft.map(|one| one.typing), dialog) {
            (Some(Typing::Info), Some(number)) => Some(Carrier::Info(number)),
            (Some(Typing::Message) | None, Some(number)) => Some(Carrier::Message(number)),
            (Some(_), None) => None,
            (None, None) => Some(Carrier::Page),
        }
    }

    /// The request that tells typing in a dialog; `draft` is what it would be in page mode.
    pub(in crate::shard) fn typing_inside(
        &mut self,
        carrier: Carrier,
        composing: bool,
        draft: Draft,
    ) -> Option<Draft> {
        match carrier {
            Carrier::Page => Some(draft),
            Carrier::Message(number) => self.sessions.message(number, &draft),
            Carrier::Info(number) => {
                let leg = self.sessions.legs.get_mut(&number)?;
                let activity = if composing {
                    Activity::Typing
                } else {
                    Activity::Idle
                };
                let document = keyboard::write(activity);
                let content = (Line::fold(keyboard::CONTENT_TYPE), document.into());
                leg.session.info(content).ok()
            }
        }
    }

    /// Takes the answer to typing in a dialog. Where the peer does not know the dialog any more, or drops
    /// it with this answer, it is ended; typing itself is not sent again.
    pub(in crate::shard) fn on_typing_inside_answered(
        &mut self,
        pair: &Pair,
        number: DialogNumber,
        status: Option<u16>,
        turn: &mut Turn,
    ) {
        let kind = match status.map(|status| Outcome::of(status, false)) {
            Some(kind @ (Outcome::Dangling { .. } | Outcome::Unknown)) => Some(kind),
            Some(Outcome::Delivered | Outcome::Lost | Outcome::Refused | Outcome::Silent)
            | None => None,
        };
        if let Some(kind) = kind {
            self.converse(pair, Occasion::Plain, turn, |session, scene| {
                session.on_outcome(number, kind, scene)
            });
        }
    }
}

impl Carrier {
    /// The dialog, if there is one.
    pub(in crate::shard) const fn dialog(self) -> Option<DialogNumber> {
        match self {
            Self::Info(number) | Self::Message(number) => Some(number),
            Self::Page => None,
        }
    }

    /// The method of the request.
    pub(in crate::shard) const fn method(self) -> Method {
        match self {
            Self::Info(_) => Method::Info,
            Self::Message(_) | Self::Page => Method::Message,
        }
    }
}
