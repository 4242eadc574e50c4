//! The tables of RFC 7247 section 7.

use std::time::Duration;

use super::diagnostics;
use crate::address::{self, Reject, Spelling};
use crate::limits;
use crate::model::{Blame, Condition, Domain, Failure, InstantMessage, Pair, SipProfile};
use crate::sip::microsoft::Cause;
use crate::sip::{Answer, HeaderName, NameAddr, Response, SipUri, offer};
use crate::text::{self, Line};
use crate::xmpp::stanza::ErrorKind;
use crate::xmpp::{Message, MessageKind, StanzaError};

/// Whether an error speaks of a user or of one of his devices (RFC 7247 table 2 note 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addressee {
    /// A bare JID: the answer is for all devices.
    User,
    /// A full JID.
    Device,
}

impl Addressee {
    /// Whom a JID stands for.
    pub fn of(jid: &jid::Jid) -> Self {
        if jid.is_full() {
            Self::Device
        } else {
            Self::User
        }
    }
}

/// A request that is not carried, with the failure as it is counted and the answer as it is sent;
/// the answer still lacks its tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What happened.
    pub failure: Failure,
    /// What the peer is told.
    pub answer: Answer,
}

/// Status codes for a device and for a user (RFC 7247 table 2), `gone` and `redirect` without an
/// address.
const TO_SIP: [(Condition, u16, u16); 22] = [
    (Condition::BadRequest, 400, 400),
    (Condition::Conflict, 400, 400),
    (Condition::FeatureNotImplemented, 405, 501),
    (Condition::Forbidden, 403, 603),
    (Condition::Gone, 410, 410),
    (Condition::InternalServerError, 500, 500),
    (Condition::ItemNotFound, 404, 604),
    (Condition::JidMalformed, 400, 400),
    (Condition::NotAcceptable, 406, 606),
    (Condition::NotAllowed, 403, 403),
    (Condition::NotAuthorized, 403, 403),
    (Condition::PolicyViolation, 403, 403),
    (Condition::RecipientUnavailable, 480, 600),
    (Condition::Redirect, 480, 480),
    (Condition::RegistrationRequired, 403, 403),
    (Condition::RemoteServerNotFound, 404, 404),
    (Condition::RemoteServerTimeout, 504, 504),
    (Condition::ResourceConstraint, 500, 500),
    (Condition::ServiceUnavailable, 403, 403),
    (Condition::SubscriptionRequired, 400, 400),
    (Condition::UndefinedCondition, 400, 400),
    (Condition::UnexpectedRequest, 400, 400),
];

/// Conditions of status codes (RFC 7247 table 3) that differ from the default of their class.
const FROM_SIP: [(u16, Condition); 35] = [
    (301, Condition::Gone),
    (380, Condition::NotAcceptable),
    (401, Condition::NotAuthorized),
    (403, Condition::Forbidden),
    (404, Condition::ItemNotFound),
    (405, Condition::FeatureNotImplemented),
    (406, Condition::NotAcceptable),
    (407, Condition::RegistrationRequired),
    (408, Condition::RemoteServerTimeout),
    (410, Condition::Gone),
    (413, Condition::PolicyViolation),
    (414, Condition::PolicyViolation),
    (415, Condition::NotAcceptable),
    (416, Condition::NotAcceptable),
    (420, Condition::FeatureNotImplemented),
    (421, Condition::NotAcceptable),
    (423, Condition::ResourceConstraint),
    (430, Condition::RecipientUnavailable),
    (439, Condition::FeatureNotImplemented),
    (440, Condition::PolicyViolation),
    (480, Condition::RecipientUnavailable),
    (481, Condition::ItemNotFound),
    (482, Condition::NotAcceptable),
    (483, Condition::NotAcceptable),
    (484, Condition::ItemNotFound),
    (485, Condition::ItemNotFound),
    (486, Condition::RecipientUnavailable),
    (487, Condition::RecipientUnavailable),
    (488, Condition::NotAcceptable),
    (489, Condition::PolicyViolation),
    (491, Condition::UnexpectedRequest),
    (501, Condition::FeatureNotImplemented),
    (502, Condition::RemoteServerNotFound),
    (504, Condition::RemoteServerTimeout),
    (505, Condition::NotAcceptable),
];

/// The same for codes from 506 on.
const FROM_SIP_GLOBAL: [(u16, Condition); 3] = [
    (513, Condition::PolicyViolation),
    (604, Condition::ItemNotFound),
    (606, Condition::NotAcceptable),
];

/// Returns the condition of a final status code; an unlisted one counts as its class.
pub fn condition_of(status: u16) -> Condition {
    let listed = FROM_SIP.iter().chain(&FROM_SIP_GLOBAL);
    let mut same = listed.filter(|(code, _)| *code == status);
    match (same.next(), status) {
        (Some((_, condition)), _) => *condition,
        (None, ..400) => Condition::Redirect,
        (None, 400..500) => Condition::BadRequest,
        (None, 500..600) => Condition::InternalServerError,
        (None, 600..) => Condition::RecipientUnavailable,
    }
}

/// Reads the failure that a final response tells, with its reason phrase or warning as text. Of a
/// Microsoft peer the reasons beside the status count first, and the text is one of our own.
pub fn from_sip(response: &Response, profile: &SipProfile) -> Failure {
    let status = response.status();
    let mut failure = Failure::new(condition_of(status), Blame::Peer);
    failure.retry_after = response
        .retry_after()
        .map(|seconds| Duration::from_secs(seconds.into()));
    if status == 440 {
        // "Max-Breadth Exceeded" passes by itself (RFC 5393); the condition alone would not say so.
        failure.retry_after.get_or_insert(Duration::ZERO);
    }
    failure.text = remark(response);
    if profile.microsoft.is_some() {
        let (condition, words) = diagnostics::judge(response);
        failure.condition = condition.unwrap_or(failure.condition);
        failure.text = words.map(ToOwned::to_owned).or(failure.text);
    }
    if matches!(status, 301 | 302) {
        let contact = response.header(HeaderName::Contact);
        let contact = contact.and_then(|contact| NameAddr::parse(&contact.text()).ok());
        failure.new_address = contact.map(|contact| contact.uri().as_str().to_owned());
    }
    failure
}

/// The words of a response: its reason phrase, and its warning where there is one.
fn remark(response: &Response) -> Option<String> {
    let warning = response.header(HeaderName::Warning).map(|one| one.text());
    let warning = warning.as_deref().and_then(|one| one.split('"').nth(1));
    match (response.reason(), warning) {
        (phrase, None) => text::remark(phrase),
        ("", Some(warning)) => text::remark(warning),
        (phrase, Some(warning)) => text::remark(&format!("{phrase}: {warning}")),
    }
}

/// Makes the stanza error that tells an XMPP user a failure of a SIP user in `domain`.
pub fn to_xmpp(failure: &Failure, domain: Option<&Domain>) -> StanzaError {
    let mut error = StanzaError::new(failure.condition);
    if failure.condition == Condition::PolicyViolation && failure.retry_after.is_some() {
        error.kind = ErrorKind::Wait;
    }
    if matches!(failure.condition, Condition::Gone | Condition::Redirect) {
        let address = failure.new_address.as_deref();
        error.new_address = address.and_then(|address| moved_within(address, domain));
    }
    let words = failure.text.as_deref().and_then(text::remark);
    let again = failure.retry_after.map_or(0, |after| after.as_secs());
    error.text = match (words, again) {
        (words, 0) => words,
        (None, seconds) => Some(format!("Try again after {seconds} s")),
        (Some(words), seconds) => Some(format!("{words} (try again after {seconds} s)")),
    };
    error
}

/// The new address of a SIP user: a JID if it lies in his domain, else the URI itself, since only
/// a domain that is known to be served has JIDs.
fn moved_within(address: &str, domain: Option<&Domain>) -> Option<String> {
    let uri = SipUri::parse(address).ok()?;
    let near = domain.is_some() && Domain::parse(uri.host()).as_ref() == domain;
    let jid = address::to_bare_jid(&uri).ok().filter(|_| near);
    Some(jid.map_or_else(|| uri.as_str().to_owned(), |jid| format!("xmpp:{jid}")))
}

/// Makes the error stanza that returns `message` to its XMPP sender, without its content; a
/// missing identifier stays missing (RFC 6120 section 8.3.1).
pub fn bounce(pair: &Pair, message: &InstantMessage, failure: &Failure) -> Result<Message, Reject> {
    let from = address::with_instance(pair.aor.image(), message.to_instance.as_deref())?;
    let to = address::with_instance(&pair.jid, message.from_instance.as_deref())?;
    let mut stanza = Message::new(from, to, MessageKind::Error);
    stanza.id.clone_from(&message.id);
    let error = to_xmpp(failure, pair.aor.domain().as_ref());
    stanza.payloads.push(error.to_element());
    Ok(stanza)
}

/// Reads the failure that a stanza error tells.
pub fn from_xmpp(error: &StanzaError) -> Failure {
    Failure {
        condition: error.condition,
        text: error.text.as_deref().and_then(text::remark),
        retry_after: None,
        blame: Blame::Peer,
        new_address: error.new_address.clone(),
    }
}

/// Makes the answer to a MESSAGE that tells a failure on the XMPP side.
pub fn to_sip(failure: &Failure, addressee: Addressee) -> Answer {
    let row = TO_SIP
        .iter()
        .find(|(condition, ..)| *condition == failure.condition);
    let status = match (row, addressee) {
        (Some((_, device, _)), Addressee::Device) => *device,
        (Some((_, _, user)), Addressee::User) => *user,
        (None, _) => 500,
    };
    let contact = failure.new_address.as_deref().and_then(contact_of);
    let answer = match (failure.condition, contact) {
        (Condition::Gone, Some(contact)) => Answer::new(301).header(HeaderName::Contact, contact),
        (Condition::Redirect, Some(contact)) => {
            Answer::new(302).header(HeaderName::Contact, contact)
        }
        (Condition::ResourceConstraint, _) => retry_after(Answer::new(status), failure),
        (Condition::FeatureNotImplemented, _) if status == 405 => {
            Answer::new(405).header(HeaderName::Allow, Line::fold(offer::ALLOW))
        }
        _ => Answer::new(status),
    };
    let answer = answer.because(cause_of(failure.condition));
    match failure.text.as_deref().and_then(text::remark) {
        Some(words) => answer.reason(Line::fold(&words)),
        None => answer,
    }
}

/// What a Microsoft peer is told of a failure on the XMPP side.
pub(super) const fn cause_of(condition: Condition) -> Cause {
    match condition {
        Condition::BadRequest
        | Condition::Conflict
        | Condition::SubscriptionRequired
        | Condition::UndefinedCondition
        | Condition::UnexpectedRequest => Cause::Refused,
        Condition::FeatureNotImplemented => Cause::Method,
        Condition::Forbidden
        | Condition::NotAllowed
        | Condition::NotAuthorized
        | Condition::PolicyViolation
        | Condition::RegistrationRequired => Cause::NotAllowed,
        Condition::Gone | Condition::ItemNotFound => Cause::NoUser,
        Condition::InternalServerError => Cause::Fault,
        Condition::JidMalformed => Cause::Address,
        Condition::NotAcceptable => Cause::Content,
        Condition::RecipientUnavailable | Condition::Redirect | Condition::ServiceUnavailable => {
            Cause::Unavailable
        }
        Condition::RemoteServerNotFound => Cause::NoServer,
        Condition::RemoteServerTimeout => Cause::NoAnswer,
        Condition::ResourceConstraint => Cause::Overloaded,
    }
}

/// Adds Retry-After.
pub(super) fn retry_after(answer: Answer, failure: &Failure) -> Answer {
    let after = failure.retry_after.unwrap_or(limits::RETRY_AFTER);
    let seconds = after.as_secs().max(1).to_string();
    answer.header(HeaderName::RetryAfter, Line::fold(&seconds))
}

/// The Contact of a new address: `xmpp:` URI or JID.
fn contact_of(address: &str) -> Option<Line> {
    let jid = address.trim().trim_start_matches("xmpp:");
    let jid = jid.split('?').next().unwrap_or(jid);
    let uri = address::to_sip(&jid::Jid::new(jid).ok()?, Spelling::Plain).ok()?;
    Some(Line::fold(&NameAddr::new(None, uri, None).to_string()))
}
