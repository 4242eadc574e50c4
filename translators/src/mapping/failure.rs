//! Failures on both wires: the tables of RFC 7247 section 7 and the gateway's own conditions.
//!
//! No other module turns a failure into a status code or an error element. Two rules of the wire
//! change what the tables print: 401 and 407 promise a challenge that a gateway does not have and
//! become 403, and 408 never answers a request other than INVITE (RFC 4320 section 4.2).

use std::time::Duration;

use crate::address::{self, Reject, Spelling};
use crate::limits;
use crate::model::{Blame, Condition, Domain, Failure, InstantMessage, Lapse, Pair};
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

/// Reads the failure that a final response tells, with its reason phrase or warning as text.
pub fn from_sip(response: &Response) -> Failure {
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
    match failure.text.as_deref().and_then(text::remark) {
        Some(words) => answer.reason(Line::fold(&words)),
        None => answer,
    }
}

/// Adds Retry-After.
fn retry_after(answer: Answer, failure: &Failure) -> Answer {
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

impl From<Reject> for Own {
    fn from(reject: Reject) -> Self {
        Self::Rejected(reject)
    }
}

/// Something that the gateway itself says no to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Own {
    /// Policy does not let the pair exchange.
    Denied,
    /// The message is encrypted for XMPP devices and carries no other text.
    Encrypted,
    /// Its time ran out before it could be sent.
    Expired,
    /// It was sent, and no final answer came before the gateway stopped.
    MayHaveArrived,
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
            Self::Denied => (Condition::NotAllowed, Blame::Policy, "Not allowed"),
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
            Self::MayHaveArrived => (
                Condition::RemoteServerTimeout,
                Blame::Us,
                "No answer; the message may have arrived",
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
            Self::Unreadable => (Condition::BadRequest, Blame::Peer, "Unreadable content"),
            Self::Unsupported => (Condition::NotAcceptable, Blame::Peer, "Unsupported content"),
        };
        Failure::new(condition, blame).with_text(text)
    }

    /// The answer to a request with which this happened.
    pub fn refusal(self) -> Refusal {
        let failure = self.failure();
        let answer = match self {
            Self::Denied | Self::Nobody | Self::NotServed => Answer::new(403),
            Self::Encrypted => Answer::new(406),
            Self::Expired | Self::MayHaveArrived | Self::TimedOut => Answer::new(504),
            // A 503 is right here: it is about this server, not about a user.
            Self::Overloaded => retry_after(Answer::new(503), &failure),
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
            Self::TooLarge { .. } => Answer::new(513),
            Self::Unreadable => Answer::new(400),
            Self::Unsupported => Answer::new(415)
                .header(HeaderName::Accept, Line::fold(offer::ACCEPT))
                .header(
                    HeaderName::AcceptEncoding,
                    Line::fold(offer::ACCEPT_ENCODING),
                ),
        };
        Refusal { failure, answer }
    }
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

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::sip::{Message as SipMessage, Request, write_response};

    fn response(text: &str) -> Response {
        match SipMessage::parse(Bytes::from(text.to_owned())).unwrap() {
            SipMessage::Response(response) => response,
            SipMessage::Request(_) => panic!("a request"),
        }
    }

    /// An answer as the peer reads it.
    fn written(answer: &Answer) -> Response {
        let request = "MESSAGE sip:a@example.com SIP/2.0\r\nVia: SIP/2.0/TLS h;branch=z9hG4bK1\r\n\
            From: <sip:b@example.net>;tag=1\r\nTo: <sip:a@example.com>\r\nCall-ID: 1\r\n\
            CSeq: 1 MESSAGE\r\nContent-Length: 0\r\n\r\n";
        let request: Request = match SipMessage::parse(Bytes::from(request)).unwrap() {
            SipMessage::Request(request) => request,
            SipMessage::Response(_) => panic!("a response"),
        };
        response(str::from_utf8(&write_response(&request, answer)).unwrap())
    }

    fn value(response: &Response, name: HeaderName) -> Option<String> {
        response.header(name).map(|header| header.text())
    }

    #[test]
    fn a_response_tells_its_words_and_when_to_come_again() {
        let failure = from_sip(&response(
            "SIP/2.0 606 Not\u{202e} Acceptable\r\nWarning: 309 lcs.example \"Not allowed\"\r\n\
             Retry-After: 120 (busy)\r\nContent-Length: 0\r\n\r\n",
        ));
        let error = to_xmpp(&failure, None);

        assert_eq!(error.condition, Condition::NotAcceptable);
        assert_eq!(
            error.text.as_deref(),
            Some("Not Acceptable: Not allowed (try again after 120 s)")
        );
    }

    #[test]
    fn a_new_address_is_a_jid_only_in_the_domain_that_is_served() {
        let failure = from_sip(&response(
            "SIP/2.0 301 Moved\r\nContact: \"New\" <sip:o'b@example.net;x>;q=1\r\nContent-Length: 0\r\n\r\n",
        ));
        let address = |domain| {
            let domain = Domain::parse(domain);
            to_xmpp(&failure, domain.as_ref()).new_address
        };

        assert_eq!(
            address("example.net").as_deref(),
            Some("xmpp:o\\27b@example.net")
        );
        assert_eq!(
            address("example.org").as_deref(),
            Some("sip:o'b@example.net;x")
        );
    }

    #[test]
    fn the_gateways_own_refusals_have_their_status() {
        let too_large = Own::TooLarge {
            limit: 1_300,
            setting: "page_limit",
        };
        for (own, condition, status) in [
            (Own::Denied, Condition::NotAllowed, 403),
            (Own::NotServed, Condition::NotAllowed, 403),
            (Own::Nobody, Condition::ServiceUnavailable, 403),
            (Own::Encrypted, Condition::NotAcceptable, 406),
            (Own::Expired, Condition::RemoteServerTimeout, 504),
            (Own::MayHaveArrived, Condition::RemoteServerTimeout, 504),
            (Own::TimedOut, Condition::RemoteServerTimeout, 504),
            (Own::Overloaded, Condition::ResourceConstraint, 503),
            (too_large, Condition::PolicyViolation, 513),
            (Own::Unreadable, Condition::BadRequest, 400),
            (Own::Unsupported, Condition::NotAcceptable, 415),
            (
                Own::Rejected(Reject::Password),
                Condition::JidMalformed,
                400,
            ),
            (Own::Rejected(Reject::Scheme), Condition::JidMalformed, 416),
            (
                Own::Rejected(Reject::Secure),
                Condition::RecipientUnavailable,
                480,
            ),
        ] {
            let refusal = own.refusal();
            assert_eq!(
                (refusal.failure.condition, refusal.answer.status()),
                (condition, status),
                "{own:?}"
            );
        }
    }

    #[test]
    fn refusals_say_what_helps() {
        let overloaded = written(&Own::Overloaded.refusal().answer);
        assert_eq!(
            value(&overloaded, HeaderName::RetryAfter).as_deref(),
            Some("30")
        );
        let unsupported = written(&Own::Unsupported.refusal().answer);
        assert_eq!(
            value(&unsupported, HeaderName::Accept).as_deref(),
            Some(offer::ACCEPT)
        );
        assert_eq!(
            value(&unsupported, HeaderName::AcceptEncoding).as_deref(),
            Some("identity")
        );
        let busy = Failure::new(Condition::ResourceConstraint, Blame::Peer);
        let busy = written(&to_sip(&busy, Addressee::Device));
        assert_eq!(busy.status(), 500);
        assert_eq!(value(&busy, HeaderName::RetryAfter).as_deref(), Some("30"));
        let missing = Failure::new(Condition::FeatureNotImplemented, Blame::Peer);
        let missing = written(&to_sip(&missing, Addressee::Device));
        assert_eq!(
            value(&missing, HeaderName::Allow).as_deref(),
            Some(offer::ALLOW)
        );
        let gone = Failure {
            new_address: Some("xmpp:o\\27b@example.com?message".to_owned()),
            ..Failure::new(Condition::Gone, Blame::Peer)
        };
        let gone = written(&to_sip(&gone, Addressee::User));
        assert_eq!(
            value(&gone, HeaderName::Contact).as_deref(),
            Some("<sip:o'b@example.com>")
        );
    }

    #[test]
    fn a_lapse_is_told_unless_it_was_meant() {
        let unknown = Failure::new(Condition::RemoteServerNotFound, Blame::Peer);
        let status = |lapse| lapsed(&lapse).map(|refusal| refusal.answer.status());

        assert_eq!(status(Lapse::Expired), Some(504));
        assert_eq!(status(Lapse::LinkDown), Some(504));
        assert_eq!(status(Lapse::ReturnPathDown), Some(504));
        assert_eq!(status(Lapse::Full), Some(503));
        assert_eq!(status(Lapse::Unreachable(unknown)), Some(404));
        assert_eq!(status(Lapse::Recalled), None);
        assert_eq!(status(Lapse::Replaced), None);
    }
}
