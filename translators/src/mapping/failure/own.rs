//! What the gateway itself says no to.

use super::tables::{Addressee, Refusal, retry_after, to_sip};
use crate::address::Reject;
use crate::model::{Blame, Condition, Failure, Lapse, SipProfile};
use crate::policy::{Decision, Denied, Level, Verdict};
use crate::sip::microsoft::Cause;
use crate::sip::{Answer, HeaderName, offer};
use crate::text::Line;

impl From<Reject> for Own {
    fn from(reject: Reject) -> Self {
        Self::Rejected(reject)
    }
}

/// Something that the gateway itself says no to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Own {
    /// Policy does not let the pair exchange. Who is politely blocked is told what he would be told
    /// of a user who is offline.
    Denied(Denied),
    /// The message is encrypted for XMPP devices and carries no other text.
    Encrypted,
    /// Its time ran out before it could be sent.
    Expired,
    /// It is rich text without anything that can be read beside it.
    Formatted,
    /// It was sent, and no final answer came before the gateway stopped.
    MayHaveArrived,
    /// The SIP user did not answer an invitation to a conversation.
    NobodyAnswers,
    /// The address is the gateway's own, or takes no messages of this kind.
    Nobody,
    /// No peer serves the recipient's domain.
    NotServed,
    /// More waits than may wait, or nothing can be stored.
    Overloaded,
    /// An address has no image on the other side.
    Rejected(Reject),
    /// The far side did not answer in time.
    TimedOut,
    /// One user asks for more than one may in so short a time.
    TooOften,
    /// The XMPP user has as many contacts and watchers as he may have.
    TooManyContacts {
        /// How many that is.
        limit: usize,
    },
    /// The SIP user watches as many XMPP users as he may.
    TooManyWatched {
        /// How many that is for one endpoint of his.
        limit: usize,
    },
    /// The whole message is larger than the recipient's side takes.
    TooLarge {
        /// Octets that it takes.
        limit: usize,
        /// The setting that says so.
        setting: &'static str,
    },
    /// The content cannot be read.
    Unreadable,
    /// The content is of a kind that is not carried.
    Unsupported,
}

impl Own {
    /// What happened, as the XMPP side is told.
    pub fn failure(self) -> Failure {
        let (condition, blame, text) = match self {
            Self::Denied(denied) => denial(denied),
            Self::Encrypted => (
                Condition::NotAcceptable,
                Blame::Us,
                "Encrypted messages cannot be read by this contact",
            ),
            Self::Expired => (
                Condition::RemoteServerTimeout,
                Blame::Us,
                "Not sent in time",
            ),
            Self::Formatted => (
                Condition::NotAcceptable,
                Blame::Peer,
                "Rich text without plain text",
            ),
            Self::MayHaveArrived => (
                Condition::RemoteServerTimeout,
                Blame::Us,
                "No answer; the message may have arrived",
            ),
            Self::NobodyAnswers => (
                Condition::RecipientUnavailable,
                Blame::Peer,
                "The contact did not answer",
            ),
            Self::Nobody => (
                Condition::ServiceUnavailable,
                Blame::Peer,
                "Nobody reads such messages here",
            ),
            Self::NotServed => (Condition::NotAllowed, Blame::Policy, "Domain not served"),
            Self::Overloaded => (Condition::ResourceConstraint, Blame::Us, "Too busy"),
            Self::Rejected(reject) => {
                let condition = match reject {
                    Reject::Secure => Condition::RecipientUnavailable,
                    Reject::Host
                    | Reject::NotUtf8
                    | Reject::Password
                    | Reject::Scheme
                    | Reject::User => Condition::JidMalformed,
                };
                return Failure::new(condition, Blame::Peer).with_text(reject.to_string());
            }
            Self::TimedOut => (
                Condition::RemoteServerTimeout,
                Blame::Peer,
                "No answer from the other side",
            ),
            Self::TooLarge { limit, setting } => {
                let text = format!("More than {limit} octets ({setting})");
                return Failure::new(Condition::PolicyViolation, Blame::Policy).with_text(text);
            }
            Self::TooOften => (
                Condition::ResourceConstraint,
                Blame::Peer,
                "Too many requests of one user",
            ),
            Self::TooManyContacts { limit } => {
                let text = format!("No more than {limit} contacts and watchers (contacts)");
                return Failure::new(Condition::PolicyViolation, Blame::Policy).with_text(text);
            }
            Self::TooManyWatched { limit } => {
                let text = format!("No more than {limit} subscriptions of one endpoint");
                return Failure::new(Condition::PolicyViolation, Blame::Peer).with_text(text);
            }
            Self::Unreadable => (Condition::BadRequest, Blame::Peer, "Unreadable content"),
            Self::Unsupported => (Condition::NotAcceptable, Blame::Peer, "Unsupported content"),
        };
        Failure::new(condition, blame).with_text(text)
    }

    /// The answer to a request with which this happened.
    pub fn refusal(self) -> Refusal {
        let failure = self.failure();
        let answer = self.answer(&failure).because(self.cause());
        Refusal { failure, answer }
    }

    fn answer(self, failure: &Failure) -> Answer {
        match self {
            Self::Denied(_) if failure.condition == Condition::RecipientUnavailable => {
                Answer::new(480)
            }
            Self::Denied(_) | Self::Nobody | Self::NotServed => Answer::new(403),
            Self::Encrypted => Answer::new(406),
            Self::NobodyAnswers => Answer::new(480),
            Self::Expired | Self::MayHaveArrived | Self::TimedOut => Answer::new(504),
            // A 503 is right here: it is about this server, not about a user.
            Self::Overloaded => retry_after(Answer::new(503), failure),
            Self::Rejected(reject) => match reject {
                Reject::Host | Reject::NotUtf8 | Reject::Password | Reject::User => {
                    Answer::new(400)
                }
                Reject::Scheme => Answer::new(416),
                Reject::Secure => Answer::new(480).header(
                    HeaderName::Warning,
                    Line::fold("380 gateway \"SIPS Not Allowed\""),
                ),
            },
            Self::TooManyContacts { .. } | Self::TooManyWatched { .. } => Answer::new(403),
            Self::TooLarge { .. } => Answer::new(513),
            // Not 503, which would take the gateway out of the peer's routes for everybody.
            Self::TooOften => retry_after(Answer::new(500), failure),
            Self::Unreadable => Answer::new(400),
            Self::Formatted | Self::Unsupported => Answer::new(415)
                .header(HeaderName::Accept, Line::fold(offer::ACCEPT))
                .header(
                    HeaderName::AcceptEncoding,
                    Line::fold(offer::ACCEPT_ENCODING),
                ),
        }
    }

    /// What a Microsoft peer is told. Who is politely blocked reads what he would read of a user who
    /// is offline.
    pub(super) const fn cause(self) -> Cause {
        match self {
            Self::Denied(denied) => match denied.decision().verdict {
                Verdict::PoliteBlock => Cause::Unavailable,
                Verdict::Allow | Verdict::Block | Verdict::Confirm => Cause::NotAllowed,
            },
            Self::Encrypted | Self::Unsupported => Cause::Content,
            Self::Expired | Self::MayHaveArrived | Self::TimedOut => Cause::NoAnswer,
            Self::Formatted => Cause::RichText,
            Self::Nobody => Cause::NoUser,
            Self::NobodyAnswers => Cause::Unavailable,
            Self::NotServed => Cause::NotServed,
            Self::Overloaded => Cause::Overloaded,
            Self::Rejected(reject) => match reject {
                Reject::Secure => Cause::Unavailable,
                Reject::Host
                | Reject::NotUtf8
                | Reject::Password
                | Reject::Scheme
                | Reject::User => Cause::Address,
            },
            Self::TooManyContacts { .. } => Cause::NotAllowed,
            Self::TooManyWatched { .. } => Cause::TooManyWatched,
            Self::TooLarge { .. } => Cause::TooLarge,
            Self::TooOften => Cause::TooOften,
            Self::Unreadable => Cause::Malformed,
        }
    }
}

/// The answer to a SUBSCRIBE in its peer's dialect. Microsoft's clients show a contact as offline for
/// good after 400: a user who is not known says the same and no more, and a dialog is made anew.
pub fn to_subscribe(answer: Answer, peer: &SipProfile, in_dialog: bool) -> Answer {
    if answer.status() != 400 || peer.microsoft.is_none() {
        return answer;
    }
    Answer::new(if in_dialog { 481 } else { 404 })
}

/// What a pair that policy holds apart is told.
const fn denial(denied: Denied) -> (Condition, Blame, &'static str) {
    let Decision { verdict, level } = denied.decision();
    let (condition, text) = match (verdict, level) {
        (Verdict::Allow, _) | (Verdict::Block, Level::Federation) => {
            (Condition::NotAllowed, "Not allowed")
        }
        (Verdict::Block, _) => (Condition::Forbidden, "Forbidden"),
        (Verdict::Confirm, _) => (Condition::Forbidden, "Not approved yet"),
        // The Reason-Phrase of RFC 3261 section 21.4.18.
        (Verdict::PoliteBlock, _) => (Condition::RecipientUnavailable, "Temporarily Unavailable"),
    };
    (condition, Blame::Policy, text)
}

/// What the sender of a transmit that came back is told; nothing where a newer one took its place
/// or it was called back on purpose.
pub fn lapsed(lapse: &Lapse) -> Option<Refusal> {
    Some(match lapse {
        Lapse::Expired | Lapse::LinkDown => Own::Expired.refusal(),
        Lapse::Full => Own::Overloaded.refusal(),
        Lapse::ReturnPathDown => Own::TimedOut.refusal(),
        Lapse::Unreachable(failure) => Refusal {
            answer: to_sip(failure, Addressee::Device),
            failure: failure.clone(),
        },
        Lapse::Recalled | Lapse::Replaced => return None,
    })
}
