//! Failures in the words of each side.

use bytes::Bytes;
use jid::BareJid;

use super::*;
use crate::address::Reject;
use crate::model::{Aor, Blame, Condition, Domain, Failure, Lapse, Microsoft, Pair, SipProfile};
use crate::policy::{Defaults, Federation, Policy, Ruling, Subject, Verdict};
use crate::sip::{
    Answer, HeaderName, Message as SipMessage, Request, Response, offer, write_response,
};

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
    let failure = from_sip(
        &response(
            "SIP/2.0 606 Not\u{202e} Acceptable\r\nWarning: 309 lcs.example \"Not allowed\"\r\n\
         Retry-After: 120 (busy)\r\nContent-Length: 0\r\n\r\n",
        ),
        &SipProfile::default(),
    );
    let error = to_xmpp(&failure, None);

    assert_eq!(error.condition, Condition::NotAcceptable);
    assert_eq!(
        error.text.as_deref(),
        Some("Not Acceptable: Not allowed (try again after 120 s)")
    );
}

#[test]
fn a_new_address_is_a_jid_only_in_the_domain_that_is_served() {
    let failure = from_sip(
        &response(
            "SIP/2.0 301 Moved\r\nContact: \"New\" <sip:o'b@example.net;x>;q=1\r\nContent-Length: 0\r\n\r\n",
        ),
        &SipProfile::default(),
    );
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
fn what_a_denied_pair_is_told_depends_on_verdict_and_level() {
    let pair = Pair::new(
        BareJid::new("alice@xmpp.example").unwrap(),
        Aor::from_image(BareJid::new("bob@sip.example").unwrap()),
    );
    let federation = Federation::new(Ruling::Deny, Vec::new());
    let denying = Policy::new(federation, Defaults::default());
    let deciding = |verdict| Policy::default().with(Subject::Pair(pair.clone()), verdict);
    for (policy, condition, kind, status) in [
        (denying, Condition::NotAllowed, "cancel", 403),
        (deciding(Verdict::Block), Condition::Forbidden, "auth", 403),
        (
            deciding(Verdict::Confirm),
            Condition::Forbidden,
            "auth",
            403,
        ),
        (
            deciding(Verdict::PoliteBlock),
            Condition::RecipientUnavailable,
            "wait",
            480,
        ),
    ] {
        let own = Own::Denied(policy.refusal(&pair).unwrap());

        let error = to_xmpp(&own.failure(), None);
        assert_eq!(error.condition, condition);
        assert_eq!(error.kind.as_str(), kind);
        assert_eq!(own.refusal().answer.status(), status);
    }
    assert_eq!(deciding(Verdict::Allow).refusal(&pair), None);
}

#[test]
fn the_gateways_own_refusals_have_their_status() {
    let too_large = Own::TooLarge {
        limit: 1_300,
        setting: "page_limit",
    };
    for (own, condition, status) in [
        (Own::NotServed, Condition::NotAllowed, 403),
        (Own::Nobody, Condition::ServiceUnavailable, 403),
        (Own::Encrypted, Condition::NotAcceptable, 406),
        (Own::Expired, Condition::RemoteServerTimeout, 504),
        (Own::MayHaveArrived, Condition::RemoteServerTimeout, 504),
        (Own::TimedOut, Condition::RemoteServerTimeout, 504),
        (Own::Overloaded, Condition::ResourceConstraint, 503),
        (Own::TooOften, Condition::ResourceConstraint, 500),
        (too_large, Condition::PolicyViolation, 513),
        (Own::Unreadable, Condition::BadRequest, 400),
        (Own::Formatted, Condition::NotAcceptable, 415),
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

/// What a user is told of an answer of a Microsoft peer.
fn told_by_microsoft(status: &str, headers: &str) -> (Condition, Option<String>) {
    let profile = SipProfile {
        microsoft: Some(Microsoft::default()),
        ..SipProfile::default()
    };
    let text = format!("SIP/2.0 {status}\r\n{headers}Content-Length: 0\r\n\r\n");
    let error = to_xmpp(&from_sip(&response(&text), &profile), None);
    (error.condition, error.text)
}

#[test]
fn a_microsoft_peer_is_understood_by_the_number_of_its_reason() {
    let told = |status, id| {
        let header = format!("ms-diagnostics: {id};reason=\"secret.internal\";source=\"x\"\r\n");
        told_by_microsoft(status, &header)
    };
    for (status, id, condition, words) in [
        (
            "504 Server time-out",
            1_009,
            Condition::RemoteServerNotFound,
            "The records of this domain do not fit",
        ),
        (
            "504 Server time-out",
            1_010,
            Condition::RemoteServerTimeout,
            "The other side does not believe the certificate of this domain",
        ),
        (
            "403 Forbidden",
            1_002,
            Condition::Forbidden,
            "Not allowed for this contact by the other side",
        ),
        (
            "403 Forbidden",
            1_017,
            Condition::NotAllowed,
            "This domain exists on both sides",
        ),
        (
            "404 Not Found",
            1_003,
            Condition::ItemNotFound,
            "This contact does not exist",
        ),
        (
            "403 Forbidden",
            1_027,
            Condition::FeatureNotImplemented,
            "The other side does not support this between organisations",
        ),
        (
            "403 Forbidden",
            16_001,
            Condition::Forbidden,
            "Blocked by a content filter",
        ),
        (
            "480 Temporarily Unavailable",
            77_777,
            Condition::RecipientUnavailable,
            "Temporarily Unavailable",
        ),
        (
            "504 Server time-out",
            77_777,
            Condition::RemoteServerTimeout,
            "The other server gave no answer in time",
        ),
    ] {
        assert_eq!(
            told(status, id),
            (condition, Some(words.to_owned())),
            "{id}"
        );
    }
    let bare = told_by_microsoft("504 Server time-out", "");
    assert_eq!(bare.0, Condition::RemoteServerTimeout);
    assert_eq!(
        bare.1.as_deref(),
        Some("The other server gave no answer in time")
    );
}

#[test]
fn of_several_reasons_the_first_that_says_something_decides() {
    let (condition, words) = told_by_microsoft(
        "404 Not Found",
        "ms-diagnostics: 1034;source=\"a\"\r\nms-diagnostics-public: 1008;source=\"b\"\r\n\
         ms-diagnostics: 1003;source=\"c\"\r\n",
    );

    assert_eq!(condition, Condition::RemoteServerNotFound);
    assert_eq!(
        words.as_deref(),
        Some("The other side finds no records of this domain")
    );
}

#[test]
fn a_content_filter_is_named_and_a_lost_route_set_asks_for_a_new_dialog() {
    let filtered = told_by_microsoft(
        "606 Not Acceptable",
        "Warning: 309 lcs.example \"Not allowed\"\r\n",
    );
    assert_eq!(filtered.0, Condition::NotAcceptable);
    assert_eq!(filtered.1.as_deref(), Some("Blocked by a content filter"));
    let other = told_by_microsoft("606 Not Acceptable", "Warning: 310 x \"Y\"\r\n");
    assert_eq!(other.1.as_deref(), Some("Not Acceptable: Y"));

    let lost = |text: &str| loses_dialog(&response(text));
    assert!(lost(
        "SIP/2.0 481 x\r\nms-diagnostics: 1004\r\nContent-Length: 0\r\n\r\n"
    ));
    assert!(!lost(
        "SIP/2.0 481 x\r\nms-diagnostics: 1003\r\nContent-Length: 0\r\n\r\n"
    ));
}
