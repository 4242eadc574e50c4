//! Headers of SUBSCRIBE and NOTIFY.

use std::time::Duration;

use crate::sip::subscription::{
    EventPackage, EventReason, Interval, SubscriptionState, Substate, TooBrief, bad_event, granted,
    notified, overtaken,
};
use crate::sip::tests::{MESSAGE, request, with};
use crate::sip::{Answer, HeaderName, Message, Request, Response, SentBy, Tag, write_response};
use crate::text::SipToken;

/// A request with these headers too.
fn having(headers: &str) -> Request {
    request(&with(
        MESSAGE,
        "Content-Type",
        &format!("{headers}\nContent-Type"),
    ))
}

fn answer(request: &Request, answer: Answer) -> Response {
    let answer = answer.or_tag(SipToken::from_number(1));
    match Message::parse(write_response(request, &answer)).unwrap() {
        Message::Response(response) => response,
        Message::Request(_) => panic!("a request"),
    }
}

fn value(response: &Response, name: HeaderName) -> Option<&str> {
    response.header(name).map(|header| header.raw)
}

#[test]
fn an_event_is_a_package_and_perhaps_an_id() {
    let read = |text: &str| {
        having(&format!("Event: {text}"))
            .event()
            .map(|event| event.map(|event| (event.is_presence(), event.id.map(str::to_owned))))
    };

    assert_eq!(
        having("o: presence").event(),
        Ok(Some(EventPackage {
            name: "presence",
            id: None
        }))
    );
    assert_eq!(
        read("presence ; x=\"y\";ID=a1"),
        Ok(Some((true, Some("a1".to_owned()))))
    );
    assert_eq!(read("presence.winfo"), Ok(Some((false, None))));
    assert_eq!(read("Presence"), Ok(Some((false, None))));
    assert_eq!(having("X: y").event(), Ok(None));
    assert_eq!(read(""), Ok(None), "what is left empty is not said");
    for strange in ["presence;", "presence;=x;id=a1", "presence;id=,"] {
        assert_eq!(read(strange), Ok(Some((true, None))), "{strange}");
    }
    for bad in ["a b", ";id=1", "\"presence\""] {
        assert!(read(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_subscription_state_is_read_with_what_it_says() {
    let read = |text: &str| having(&format!("subscription-state: {text}")).subscription_state();

    assert_eq!(
        read("ACTIVE ;expires=499"),
        Ok(SubscriptionState::active(499))
    );
    assert_eq!(read("pending;expires=0"), Ok(SubscriptionState::pending(0)));
    assert_eq!(
        read("terminated;reason=GiveUp;retry-after=60"),
        Ok(SubscriptionState::terminated(EventReason::GiveUp).retry_after(60))
    );
    let odd = read("waiting;expires=x;reason=expired;y").unwrap();
    assert_eq!(
        (odd.state, odd.expires, odd.reason),
        (Substate::Other, None, None)
    );
    assert!(having("X: y").subscription_state().is_err());
    assert!(read("active,pending").is_err());
    assert!(read("").is_err());
}

#[test]
fn a_written_state_reads_back() {
    for state in [
        SubscriptionState::active(3540),
        SubscriptionState::pending(1),
        SubscriptionState::terminated(EventReason::Deactivated),
        SubscriptionState::terminated(EventReason::Invariant),
        SubscriptionState::terminated(EventReason::NoResource),
        SubscriptionState::terminated(EventReason::Probation).retry_after(9),
        SubscriptionState::terminated(EventReason::Rejected),
        SubscriptionState::terminated(EventReason::Timeout),
    ] {
        let text = state.to_line();
        let read = having(&format!("Subscription-State: {text}")).subscription_state();
        assert_eq!(read, Ok(state), "{text}");
    }
}

#[test]
fn a_subscription_gets_what_it_asks_within_bounds() {
    let interval = Interval::default();
    for (asked, expected) in [
        (None, Ok(3600)),
        (Some(0), Ok(0)),
        (Some(1), Err(TooBrief { min: 60 })),
        (Some(59), Err(TooBrief { min: 60 })),
        (Some(60), Ok(60)),
        (Some(28_800), Ok(3600)),
    ] {
        assert_eq!(interval.grant(asked), expected, "{asked:?}");
    }
    let strict = Interval {
        min: Duration::from_secs(7_200),
        max: Duration::from_secs(86_400),
    };
    // Nobody who asks for an hour may be refused.
    assert_eq!(strict.grant(Some(3_600)), Ok(3_600));
    assert_eq!(strict.grant(Some(3_599)), Err(TooBrief { min: 7_200 }));
    assert_eq!(strict.grant(None), Ok(3_600));
    let as_asked = Interval {
        min: Duration::ZERO,
        ..Interval::default()
    };
    assert_eq!(as_asked.grant(Some(1)), Ok(1));
}

#[test]
fn answers_carry_what_their_reader_needs() {
    let routed = having("Record-Route: <sip:a;lr>;x=1,\n <sip:b;lr>\nRECORD-ROUTE:   <sip:c;lr>");
    let contact = SentBy::new("gw.example", 5061).unwrap();
    let tag = Tag::parse("00000000000000010000000000000002").unwrap();
    let contact = contact.contact(tag);

    let accepted = answer(&routed, granted(60, contact.clone()).to_tag(tag.token()));
    assert_eq!(accepted.status(), 200);
    assert_eq!(value(&accepted, HeaderName::Expires), Some("60"));
    assert_eq!(
        value(&accepted, HeaderName::Contact),
        Some(contact.as_str())
    );
    assert_eq!(accepted.to().unwrap().tag(), Some(&tag.token()));
    let routes = |head: &crate::sip::Head| -> Vec<String> {
        let routes = head.record_routes().unwrap();
        routes.iter().map(|route| (*route).to_owned()).collect()
    };
    assert_eq!(
        routes(&routed),
        ["<sip:a;lr>;x=1", "<sip:b;lr>", "<sip:c;lr>"]
    );
    assert_eq!(routes(&accepted), routes(&routed));
    assert_eq!(routes(&answer(&routed, notified())), routes(&routed));
    assert!(routes(&answer(&routed, bad_event())).is_empty());

    let brief = answer(&routed, TooBrief { min: 60 }.answer());
    assert_eq!((brief.status(), brief.min_expires()), (423, Some(60)));
    let event = answer(&routed, bad_event());
    assert_eq!(event.status(), 489);
    assert_eq!(value(&event, HeaderName::AllowEvents), Some("presence"));
    let old = answer(&routed, overtaken());
    assert_eq!((old.status(), old.retry_after()), (500, Some(5)));
}

#[test]
fn an_answer_may_have_a_body() {
    let asked = request(MESSAGE);
    let content = crate::text::Line::fold("text/plain");

    let answered = answer(&asked, Answer::new(200).content(content, "hi".into()));

    assert_eq!(answered.body().as_ref(), b"hi");
    assert_eq!(
        answered.content_type().unwrap().unwrap().essence(),
        "text/plain"
    );
}

#[test]
fn entity_tags_are_opaque() {
    let tagged = having("SIP-ETag: aba91\nSuppress-If-Match: *");

    assert_eq!(tagged.etag(), Some("aba91"));
    assert_eq!(tagged.suppress_if_match(), Some("*"));
    assert_eq!(having("SIP-ETag:").etag(), None);
}
