//! The one currency of failure between the sides.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Why an exchange failed, named after RFC 6120 section 8.3.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// The request is malformed.
    BadRequest,
    /// A name is taken.
    Conflict,
    /// The feature is not there.
    FeatureNotImplemented,
    /// The sender lacks the permission.
    Forbidden,
    /// The addressee moved away.
    Gone,
    /// The server broke.
    InternalServerError,
    /// The addressee does not exist.
    ItemNotFound,
    /// The address is no address.
    JidMalformed,
    /// The content is refused.
    NotAcceptable,
    /// Nobody may do this.
    NotAllowed,
    /// Credentials are needed.
    NotAuthorized,
    /// A rule of the server forbids it.
    PolicyViolation,
    /// The addressee is away for now.
    RecipientUnavailable,
    /// Another address is to be used.
    Redirect,
    /// A registration is needed.
    RegistrationRequired,
    /// The other server does not exist.
    RemoteServerNotFound,
    /// The other server did not answer in time.
    RemoteServerTimeout,
    /// Too much at once.
    ResourceConstraint,
    /// The addressee does not take this.
    ServiceUnavailable,
    /// A subscription is needed.
    SubscriptionRequired,
    /// Something else.
    UndefinedCondition,
    /// Not now, not in this order.
    UnexpectedRequest,
}

impl Condition {
    /// The element name of RFC 6120.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "bad-request",
            Self::Conflict => "conflict",
            Self::FeatureNotImplemented => "feature-not-implemented",
            Self::Forbidden => "forbidden",
            Self::Gone => "gone",
            Self::InternalServerError => "internal-server-error",
            Self::ItemNotFound => "item-not-found",
            Self::JidMalformed => "jid-malformed",
            Self::NotAcceptable => "not-acceptable",
            Self::NotAllowed => "not-allowed",
            Self::NotAuthorized => "not-authorized",
            Self::PolicyViolation => "policy-violation",
            Self::RecipientUnavailable => "recipient-unavailable",
            Self::Redirect => "redirect",
            Self::RegistrationRequired => "registration-required",
            Self::RemoteServerNotFound => "remote-server-not-found",
            Self::RemoteServerTimeout => "remote-server-timeout",
            Self::ResourceConstraint => "resource-constraint",
            Self::ServiceUnavailable => "service-unavailable",
            Self::SubscriptionRequired => "subscription-required",
            Self::UndefinedCondition => "undefined-condition",
            Self::UnexpectedRequest => "unexpected-request",
        }
    }

    /// Reads an element name; unknown names are `None`.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == name)
    }

    /// Every condition.
    pub const ALL: [Self; 22] = [
        Self::BadRequest,
        Self::Conflict,
        Self::FeatureNotImplemented,
        Self::Forbidden,
        Self::Gone,
        Self::InternalServerError,
        Self::ItemNotFound,
        Self::JidMalformed,
        Self::NotAcceptable,
        Self::NotAllowed,
        Self::NotAuthorized,
        Self::PolicyViolation,
        Self::RecipientUnavailable,
        Self::Redirect,
        Self::RegistrationRequired,
        Self::RemoteServerNotFound,
        Self::RemoteServerTimeout,
        Self::ResourceConstraint,
        Self::ServiceUnavailable,
        Self::SubscriptionRequired,
        Self::UndefinedCondition,
        Self::UnexpectedRequest,
    ];
}

/// Whose fault a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Blame {
    /// The peer, or the user behind it.
    Peer,
    /// A rule of the operator.
    Policy,
    /// This gateway.
    Us,
}

/// A failure on its way from one side to the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind.
    pub condition: Condition,
    /// One line for people, at most; never content of a message, never a name of ours.
    pub text: Option<String>,
    /// When to try again.
    pub retry_after: Option<Duration>,
    /// Whose fault.
    pub blame: Blame,
    /// The new address of `gone` and `redirect`, in the form of the side it came from.
    pub new_address: Option<String>,
}

impl Failure {
    /// A failure with nothing but its condition.
    pub const fn new(condition: Condition, blame: Blame) -> Self {
        Self {
            condition,
            text: None,
            retry_after: None,
            blame,
            new_address: None,
        }
    }

    /// The same with a line of text.
    #[must_use]
    pub fn with_text(mut self, text: impl Into<String>) -> Self {
        self.text = Some(text.into());
        self
    }
}
