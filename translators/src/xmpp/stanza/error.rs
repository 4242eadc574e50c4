//! Stanza errors (RFC 6120 section 8.3).

use minidom::Element;
use rxml::{Namespace, xml_ncname};

use crate::model::Condition;
use crate::xmpp::ns;
use crate::xmpp::writer::XmlWriter;

/// What the sender of a failed stanza may do (RFC 6120 section 8.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// Try again with credentials.
    Auth,
    /// Do not try again.
    Cancel,
    /// Go on, it was only a warning.
    Continue,
    /// Try again with other data.
    Modify,
    /// Try again later.
    Wait,
}

impl ErrorKind {
    /// Value of the attribute `type`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Cancel => "cancel",
            Self::Continue => "continue",
            Self::Modify => "modify",
            Self::Wait => "wait",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        match text {
            "auth" => Some(Self::Auth),
            "cancel" => Some(Self::Cancel),
            "continue" => Some(Self::Continue),
            "modify" => Some(Self::Modify),
            "wait" => Some(Self::Wait),
            _ => None,
        }
    }

    /// The type that RFC 6120 section 8.3.3 associates with a condition.
    pub fn usual(condition: Condition) -> Self {
        match condition {
            Condition::BadRequest
            | Condition::JidMalformed
            | Condition::NotAcceptable
            | Condition::PolicyViolation
            | Condition::Redirect
            | Condition::UndefinedCondition => Self::Modify,
            Condition::Conflict
            | Condition::FeatureNotImplemented
            | Condition::Gone
            | Condition::InternalServerError
            | Condition::ItemNotFound
            | Condition::NotAllowed
            | Condition::RemoteServerNotFound
            | Condition::ServiceUnavailable => Self::Cancel,
            Condition::Forbidden
            | Condition::NotAuthorized
            | Condition::RegistrationRequired
            | Condition::SubscriptionRequired => Self::Auth,
            Condition::RecipientUnavailable
            | Condition::RemoteServerTimeout
            | Condition::ResourceConstraint
            | Condition::UnexpectedRequest => Self::Wait,
        }
    }
}

/// The `error` child of a stanza of type error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StanzaError {
    /// What the sender may do.
    pub kind: ErrorKind,
    /// What is wrong.
    pub condition: Condition,
    /// For people.
    pub text: Option<String>,
    /// Character data of `gone` and `redirect`: the new address (RFC 6120 sections 8.3.3.5 and 8.3.3.14).
    pub new_address: Option<String>,
}

impl StanzaError {
    /// Makes an error of the usual type without text.
    pub fn new(condition: Condition) -> Self {
        Self {
            kind: ErrorKind::usual(condition),
            condition,
            text: None,
            new_address: None,
        }
    }

    /// Adds text for people.
    #[must_use]
    pub fn with_text(mut self, text: impl Into<String>) -> Self {
        self.text = Some(text.into());
        self
    }

    /// Reads the `error` child of a stanza of type error. One without a condition, or none at all, is
    /// `undefined-condition`.
    pub fn read(error: Option<&Element>) -> Self {
        let Some(error) = error else {
            return Self::new(Condition::UndefinedCondition);
        };
        let mut found = Self::new(Condition::UndefinedCondition);
        for child in error
            .children()
            .filter(|child| child.has_ns(ns::STANZA_ERRORS))
        {
            if child.name() == "text" {
                found.text = found.text.or_else(|| non_empty(child.text()));
            } else if let Some(condition) = Condition::parse(child.name()) {
                found.condition = condition;
                found.new_address = non_empty(child.text());
            }
        }
        found.kind = error
            .attr("type")
            .and_then(ErrorKind::parse)
            .unwrap_or_else(|| ErrorKind::usual(found.condition));
        found
    }

    /// Builds the `error` element, for a message's payloads.
    pub fn to_element(&self) -> Element {
        let mut condition = Element::bare(self.condition.as_str(), ns::STANZA_ERRORS);
        if let Some(address) = &self.new_address {
            condition.append_text(address.as_str());
        }
        let mut error = Element::builder("error", ns::CLIENT)
            .attr(xml_ncname!("type").to_owned(), self.kind.as_str())
            .append(condition)
            .build();
        if let Some(text) = &self.text {
            let mut element = Element::bare("text", ns::STANZA_ERRORS);
            element.set_attr(
                Namespace::xml().clone(),
                xml_ncname!("lang").to_owned(),
                "en",
            );
            element.append_text(text.as_str());
            error.append_child(element);
        }
        error
    }

    /// Writes the `error` element.
    pub(super) fn write(&self, to: &mut XmlWriter) {
        to.element(&self.to_element());
    }
}

fn non_empty(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}
