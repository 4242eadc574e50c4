//! Failures as users of Microsoft's clients read them.
//!
//! A client has few words for a refused message: 500, 503, 504 and 603 are "service is not available",
//! 415 is "this type of message is not supported", 486 "do not want to be disturbed", and everything
//! else "offline" ([MS-OCER] section 9.2.2). So the code is chosen by its words, and 6xx, which would
//! end the search for all devices of a user, is left out.

use super::own::Own;
use super::tables::{Refusal, cause_of, retry_after};
use crate::address::Reject;
use crate::model::{Condition, Failure};
use crate::sip::Answer;
use crate::text::{self, Line};

/// Status codes of messages that the XMPP side did not take.
const STATUS: [(Condition, u16); 22] = [
    (Condition::BadRequest, 488),
    (Condition::Conflict, 488),
    (Condition::FeatureNotImplemented, 488),
    (Condition::Forbidden, 403),
    (Condition::Gone, 404),
    (Condition::InternalServerError, 500),
    (Condition::ItemNotFound, 404),
    (Condition::JidMalformed, 404),
    (Condition::NotAcceptable, 488),
    (Condition::NotAllowed, 403),
    (Condition::NotAuthorized, 403),
    (Condition::PolicyViolation, 403),
    (Condition::RecipientUnavailable, 480),
    (Condition::Redirect, 480),
    (Condition::RegistrationRequired, 403),
    (Condition::RemoteServerNotFound, 404),
    (Condition::RemoteServerTimeout, 504),
    (Condition::ResourceConstraint, 480),
    (Condition::ServiceUnavailable, 480),
    (Condition::SubscriptionRequired, 403),
    (Condition::UndefinedCondition, 480),
    (Condition::UnexpectedRequest, 480),
];

/// Makes the answer to a MESSAGE of such a peer that tells a failure on the XMPP side.
pub fn to_microsoft(failure: &Failure) -> Answer {
    let mut same = STATUS.iter().filter(|(one, _)| *one == failure.condition);
    let answer = Answer::new(same.next().map_or(480, |(_, status)| *status));
    let answer = answer.because(cause_of(failure.condition));
    match failure.text.as_deref().and_then(text::remark) {
        Some(words) => answer.reason(Line::fold(&words)),
        None => answer,
    }
}

impl Own {
    /// The answer to a request with which this happened, of a peer of the Microsoft profile or
    /// another: nothing that such a peer sends is a bad request or an error of ours.
    pub fn refusal_to(self, microsoft: bool) -> Refusal {
        let refusal = self.refusal();
        if !microsoft {
            return refusal;
        }
        let answer = match self {
            Self::Rejected(reject) => match reject {
                Reject::Host | Reject::NotUtf8 | Reject::Password | Reject::User => {
                    Answer::new(404)
                }
                Reject::Scheme | Reject::Secure => return refusal,
            },
            Self::TooOften => retry_after(Answer::new(480), &refusal.failure),
            Self::Unreadable => Answer::new(488),
            Self::Denied(_)
            | Self::Encrypted
            | Self::Expired
            | Self::Formatted
            | Self::MayHaveArrived
            | Self::Nobody
            | Self::NobodyAnswers
            | Self::NotServed
            | Self::Overloaded
            | Self::TimedOut
            | Self::TooLarge { .. }
            | Self::TooManyContacts { .. }
            | Self::TooManyWatched { .. }
            | Self::Unsupported => return refusal,
        };
        Refusal {
            answer: answer.because(self.cause()),
            failure: refusal.failure,
        }
    }
}
