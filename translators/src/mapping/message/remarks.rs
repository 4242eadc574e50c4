//! Lines of text of our own inside a conversation: what could not be carried.

use crate::model::{Condition, Failure};
use crate::sip::invite::Purpose;

/// What the XMPP user is told of a first message that is rich text alone.
pub(super) const RICH_TEXT_LOST: &str =
    "[I wrote in rich text; only plain text can be carried between our networks.]";

/// What the XMPP user is told of an invitation that is refused; nothing of one that says nothing.
pub const fn refused_invitation(purpose: Purpose) -> Option<&'static str> {
    Some(match purpose {
        Purpose::Audio => "[I tried to call you; calls cannot be carried between our networks.]",
        Purpose::Video => {
            "[I tried to start a video call; calls cannot be carried between our networks.]"
        }
        Purpose::Sharing => {
            "[I tried to share my screen; this cannot be carried between our networks.]"
        }
        Purpose::File => "[I tried to send a file; files cannot be carried between our networks.]",
        Purpose::Meeting => {
            "[I invited you to a meeting; the invitation could not be delivered between our \
             networks.]"
        }
        Purpose::Multiparty => {
            "[I invited you to a conversation of several people; the invitation could not be \
             delivered between our networks.]"
        }
        Purpose::Conversation | Purpose::Unknown => return None,
    })
}

/// A message that the SIP user was told was delivered, and was not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Undelivered<'a>(pub &'a Failure);

impl Undelivered<'_> {
    /// The line that he gets in the conversation.
    pub fn line(self) -> String {
        let reason = match self.0.condition {
            Condition::RecipientUnavailable | Condition::ServiceUnavailable => {
                "the recipient cannot be reached"
            }
            Condition::ItemNotFound | Condition::Gone | Condition::Redirect => {
                "the recipient does not exist"
            }
            Condition::RemoteServerTimeout | Condition::RemoteServerNotFound => {
                "the recipient's server cannot be reached"
            }
            Condition::Forbidden
            | Condition::NotAllowed
            | Condition::NotAuthorized
            | Condition::PolicyViolation
            | Condition::RegistrationRequired
            | Condition::SubscriptionRequired => "it is not allowed",
            Condition::NotAcceptable | Condition::FeatureNotImplemented => {
                "the recipient cannot read it"
            }
            Condition::BadRequest
            | Condition::Conflict
            | Condition::InternalServerError
            | Condition::JidMalformed
            | Condition::ResourceConstraint
            | Condition::UndefinedCondition
            | Condition::UnexpectedRequest => "the recipient's server refused it",
        };
        format!("[Your last message could not be delivered: {reason}.]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Blame;

    #[test]
    fn everything_but_a_conversation_has_a_line() {
        for purpose in [
            Purpose::Audio,
            Purpose::Video,
            Purpose::Sharing,
            Purpose::File,
            Purpose::Meeting,
            Purpose::Multiparty,
        ] {
            let line = refused_invitation(purpose).unwrap();
            assert!(line.starts_with("[I ") && line.ends_with(".]"), "{line}");
        }
        assert_eq!(refused_invitation(Purpose::Conversation), None);
        assert_eq!(refused_invitation(Purpose::Unknown), None);
    }

    #[test]
    fn a_late_error_is_told_in_words() {
        let failure = Failure::new(Condition::ServiceUnavailable, Blame::Peer);
        assert_eq!(
            Undelivered(&failure).line(),
            "[Your last message could not be delivered: the recipient cannot be reached.]"
        );
    }
}
