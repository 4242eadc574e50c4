//! Header values, good and bad.

use crate::model::Wall;
use crate::sip::tests::{MESSAGE, request, with};
use crate::sip::{CallId, Defect, HeaderName, MediaType, NameAddr, SipUri, write_date};
use crate::text::SipToken;

#[test]
fn addresses_are_read_in_every_form() {
    let cases = [
        ("<sip:b@h>", None, None),
        ("sip:b@h", None, None),
        ("sip:b@h;tag=1", None, Some("1")),
        ("sip:b@h ;\r\n tag = 1", None, Some("1")),
        ("Bob<sip:b@h>;tag=1", Some("Bob"), Some("1")),
        ("A. Bell \t <sip:b@h>", Some("A. Bell"), None),
        ("J\u{fc}rgen <sip:b@h>", Some("J\u{fc}rgen"), None),
        ("\"B \\\"x\\\\\"\r\n <sip:b@h>;x", Some("B \"x\\"), None),
        ("\"\" <sip:b@h>;epid=9;tag=~1'", Some(""), Some("~1'")),
    ];
    for (text, display, tag) in cases {
        let address = NameAddr::parse(text).unwrap();
        assert_eq!(address.uri().as_str(), "sip:b@h", "{text}");
        assert_eq!(address.display(), display, "{text}");
        assert_eq!(address.tag().map(SipToken::as_str), tag, "{text}");
    }
}

#[test]
fn broken_addresses_are_refused() {
    for text in [
        "",
        "Bob",
        "\"Bob <sip:b@h>",
        "\"Bob\" sip:b@h",
        "Bell, Bob <sip:b@h>",
        "< sip:b@h>",
        "<sip:b@h >",
        "<sip:b@h",
        "sip:b@h>",
        "sip:b@h?Subject=x",
        "<sip:b@h>;",
        "<sip:b@h>;;tag=1",
        "<sip:b@h>;tag=",
        "<sip:b@h>;tag=1;tag=2",
        "<sip:b@h>;tag=\"1\"",
        "<sip:b@h>;tag=1,2",
        "<sip:b@h>;x=\"y",
        "<sip:b@h> junk",
        "<sip:b@h>, <sip:c@h>",
        "<<sip:b@h>>",
    ] {
        assert!(NameAddr::parse(text).is_err(), "{text:?}");
    }
}

#[test]
fn gr_is_found_inside_and_outside_the_brackets() {
    let gr = |text| NameAddr::parse(text).unwrap().gr().map(str::to_owned);

    assert_eq!(gr("<sip:b@h;gr=in>;gr=out").as_deref(), Some("in"));
    assert_eq!(gr("<sip:b@h>;gr=urn:uuid:1").as_deref(), Some("urn:uuid:1"));
    assert_eq!(gr("<sip:b@h>;tag=1"), None);
}

#[test]
fn written_addresses_read_back() {
    let uri = SipUri::parse("sip:b@h;gr=x").unwrap();
    for display in [None, Some("Bob"), Some("a\"b\\c;<sip:x>, \u{fc}")] {
        let address = NameAddr::new(display, uri.clone(), SipToken::parse("t1"));
        assert_eq!(NameAddr::parse(&address.to_string()), Ok(address));
    }
    let kept = NameAddr::parse("<sip:b@h>;epid=1f;lr;note=\"a b\"").unwrap();
    assert_eq!(kept.to_string(), "<sip:b@h>;epid=1f;lr;note=\"a b\"");
}

#[test]
fn vias_are_read_with_white_space_and_lists() {
    let odd = "Via: SIP / 2.0\n  /TLS\n   edge.sip.example : 5061 ;\n branch = z9hG4bK1 ,\n\
               SIP/2.0/UDP [2001:db8::9]:5070;received=2001:db8::9;rport;branch=b2\n\
               X: y\n\
               v: SIP/2.0/TCP inner.example";
    let odd = odd.replace("\nSIP", "\n SIP");
    let old = "Via: SIP/2.0/TLS edge.sip.example:5061;branch=z9hG4bK77a1";
    let request = request(&with(MESSAGE, old, &odd));

    let vias = request.vias().unwrap();

    let hosts: Vec<_> = vias.iter().map(|via| (via.host, via.port)).collect();
    let expected = [
        ("edge.sip.example", Some(5061)),
        ("[2001:db8::9]", Some(5070)),
        ("inner.example", None),
    ];
    assert_eq!(hosts, expected);
    let branches: Vec<_> = vias.iter().map(|via| via.branch).collect();
    assert_eq!(branches, [Some("z9hG4bK1"), Some("b2"), None]);
    assert_eq!(vias[0], request.top_via().unwrap());
    assert_eq!(vias[1].received, Some("2001:db8::9"));
    assert_eq!(request.validate(), Ok(()));
}

#[test]
fn broken_values_are_named_with_their_place() {
    let cases = [
        (
            "CSeq: 7 MESSAGE",
            "CSeq: 2147483648 MESSAGE",
            HeaderName::CSeq,
        ),
        ("CSeq: 7 MESSAGE", "CSeq: 7MESSAGE", HeaderName::CSeq),
        ("CSeq: 7 MESSAGE", "CSeq: -7 MESSAGE", HeaderName::CSeq),
        ("CSeq: 7 MESSAGE", "CSeq: 7 MESSAGE x", HeaderName::CSeq),
        (
            "Max-Forwards: 70",
            "Max-Forwards: many",
            HeaderName::MaxForwards,
        ),
        (
            "Max-Forwards: 70",
            "Max-Forwards: 70, 70",
            HeaderName::MaxForwards,
        ),
        ("Call-ID: c1@sip.example", "Call-ID:", HeaderName::CallId),
        (
            "Call-ID: c1@sip.example",
            "Call-ID: a b",
            HeaderName::CallId,
        ),
        ("text/plain", "text", HeaderName::ContentType),
        ("text/plain", "text/plain;", HeaderName::ContentType),
        (
            "text/plain",
            "text/plain, text/html",
            HeaderName::ContentType,
        ),
        ("Max-Forwards: 70", "Expires: soon", HeaderName::Expires),
        (
            "Max-Forwards: 70",
            "Date: Sat, 13 Nov 2010 23:29:00 EST",
            HeaderName::Date,
        ),
        (
            "Max-Forwards: 70",
            "Route: sip:p.example;lr",
            HeaderName::Route,
        ),
        (
            "Max-Forwards: 70",
            "Contact: *, <sip:b@h>",
            HeaderName::Contact,
        ),
        (
            "Max-Forwards: 70",
            "Contact: sip:b@h?a=b",
            HeaderName::Contact,
        ),
        ("branch=z9hG4bK77a1", "branch=", HeaderName::Via),
        ("branch=z9hG4bK77a1", "branch=a;branch=b", HeaderName::Via),
        (
            "edge.sip.example:5061",
            "edge.sip.example:]",
            HeaderName::Via,
        ),
        (";branch=z9hG4bK77a1", ";;,;,,", HeaderName::Via),
    ];
    for (old, new, name) in cases {
        let refused = request(&with(MESSAGE, old, new)).validate().unwrap_err();
        assert_eq!(refused.defect, Defect::Header(name), "{new}");
        let at = MESSAGE.find(old).unwrap();
        assert!((at..at + new.len() + 20).contains(&refused.at), "{new}");
    }
}

#[test]
fn numbers_too_large_to_matter_count_as_not_given() {
    let text = with(
        MESSAGE,
        "Max-Forwards: 70",
        "Max-Forwards: 300\nExpires: 10000000000000000",
    );
    let request = request(&text);

    assert_eq!(request.validate(), Ok(()));
    assert_eq!(request.max_forwards(), Ok(None));
    assert_eq!(request.expires(), Ok(None));
}

#[test]
fn dates_are_gmt() {
    let date = |value: &str| {
        let text = with(MESSAGE, "Max-Forwards: 70", &format!("Date: {value}"));
        request(&text).date().ok().flatten()
    };
    let wall = Wall::parse_rfc3339("2010-11-13T23:29:00Z");

    assert_eq!(date("Sat, 13 Nov 2010 23:29:00 GMT"), wall);
    assert_eq!(
        wall.map(|wall| write_date(wall).to_string()).as_deref(),
        Some("Sat, 13 Nov 2010 23:29:00 GMT")
    );
    for bad in [
        "Sat, 13 Nov 2010 23:29:00 EST",
        "Sat, 13 Nov 2010 23:29:00",
        "13 Nov 2010 23:29:00 GMT",
        "Sat, 31 Feb 2010 23:29:00 GMT",
        "Sat, 13 Nov 10 23:29:00 GMT",
        "Sat, 13 Nov 2010 24:29:00 GMT",
        "Sat, 13 Nov 2010 23:29:99 GMT",
        "Sat, +3 Nov 2010 23:29:00 GMT",
    ] {
        assert_eq!(date(bad), None, "{bad}");
    }
}

#[test]
fn media_types_compare_in_lower_case() {
    let media = MediaType::parse("Text/PLAIN ; Charset=\"UTF-8\";x=y").unwrap();

    assert_eq!(media.essence(), "text/plain");
    assert_eq!(media.param("charset"), Some("UTF-8"));
    assert_eq!(media.param("x"), Some("y"));
    assert_eq!(media.param("y"), None);
}

#[test]
fn call_ids_of_ours_are_words() {
    for good in ["a", "a@b", "x)(><:\\/\"][?}{@y", "6c6f-7a.~*"] {
        assert_eq!(CallId::parse(good).unwrap().as_str(), good);
    }
    let long = "x".repeat(300);
    for bad in ["", "@", "a@", "a@b@c", "a b", "a\r\nb", "\u{fc}", &long] {
        assert_eq!(CallId::parse(bad), None, "{bad:?}");
    }
}

#[test]
fn every_asserted_identity_is_seen() {
    let text = with(
        MESSAGE,
        "Max-Forwards: 70",
        "P-Asserted-Identity : \"Bob\" <sip:bob@sip.example>, <tel:+1555>\n\
         p-asserted-identity: sip:eve@sip.example",
    );
    let request = request(&text);

    let asserted = request.asserted().unwrap();

    let uris: Vec<_> = asserted.iter().map(|one| one.uri().as_str()).collect();
    let expected = ["sip:bob@sip.example", "tel:+1555", "sip:eve@sip.example"];
    assert_eq!(uris, expected);
}
