//! SUBSCRIBE requests that are refused before they reach a relation.

use crate::documents::presence::Format;
use crate::mapping::failure::Own;
use crate::model::{Blame, Condition, Failure};
use crate::sip::piggyback::no_benotify;
use crate::sip::subscription::{TooBrief, bad_event, not_acceptable, overtaken};
use crate::sip::{Answer, Malformed};

/// Why a SUBSCRIBE is refused.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unfit {
    /// It demands BENOTIFY, which its peer is not to have.
    Benotify,
    /// Another package than presence.
    Event,
    /// None of these formats.
    Format(&'static [Format]),
    /// It cannot be read.
    Malformed,
    /// A later one came before it.
    Overtaken,
    /// The gateway says no to its sender, or to more.
    Refused(Own),
    /// For a shorter time than is granted.
    TooBrief(TooBrief),
    /// In a dialog that is not known.
    Unknown,
}

impl From<Malformed> for Unfit {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

impl From<Own> for Unfit {
    fn from(own: Own) -> Self {
        Self::Refused(own)
    }
}

impl Unfit {
    /// The answer.
    pub(super) fn answer(self) -> Answer {
        match self {
            Self::Benotify => no_benotify(),
            Self::Event => bad_event(),
            Self::Format(ours) => {
                let ours: Vec<_> = ours.iter().map(|format| format.content_type()).collect();
                not_acceptable(&ours.join(", "))
            }
            Self::Malformed => Answer::new(400),
            Self::Overtaken => overtaken(),
            Self::Refused(own) => own.refusal().answer,
            Self::TooBrief(brief) => brief.answer(),
            Self::Unknown => Answer::new(481),
        }
    }

    /// The reason, for the operator.
    pub(super) fn failure(self) -> Failure {
        let (condition, text) = match self {
            Self::Benotify => (Condition::FeatureNotImplemented, "It demands BENOTIFY"),
            Self::Event => (Condition::FeatureNotImplemented, "Another event package"),
            Self::Format(_) => (Condition::NotAcceptable, "No format that is written here"),
            Self::Malformed => (Condition::BadRequest, "Unreadable"),
            Self::Overtaken => (Condition::UnexpectedRequest, "A later request came before"),
            Self::Refused(own) => return own.failure(),
            Self::TooBrief(_) => (Condition::PolicyViolation, "For too short a time"),
            Self::Unknown => (Condition::ItemNotFound, "No such dialog"),
        };
        Failure::new(condition, Blame::Peer).with_text(text)
    }
}
