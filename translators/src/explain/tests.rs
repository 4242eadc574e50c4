//! What operators read.

use super::*;

fn now() -> Wall {
    Wall::parse_rfc3339("2026-11-25T12:00:00Z").unwrap()
}

fn told(input: &str) -> String {
    told_by(input, &Directory::default())
}

fn told_by(input: &str, directory: &Directory) -> String {
    let input = input.replace('\n', "\r\n");
    let told = explain(input.as_bytes(), directory, now());
    told.unwrap_or_else(|| panic!("neither: {input}"))
        .to_string()
}

/// Checks that each of `parts` is told, in this order.
pub(super) fn assert_tells(input: &str, parts: &[&str]) {
    let told = told(input);
    let mut rest = told.as_str();
    for part in parts {
        rest = match rest.split_once(part) {
            Some((_, rest)) => rest,
            None => panic!("{part:?} is not told here:\n{told}"),
        };
    }
}

/// A request from bob to alice.
pub(super) fn request(method: &str, uri: &str, headers: &str, body: &str) -> String {
    format!(
        "{method} {uri} SIP/2.0\nVia: SIP/2.0/TLS s.example.net;branch=z9hG4bK1\nMax-Forwards: 70\n\
         From: <sip:bob@example.net;gr=desk>;tag=1\nTo: <{uri}>\nCall-ID: c1\nCSeq: 1 {method}\n\
         {headers}Content-Length: {}\n\n{body}",
        body.replace('\n', "\r\n").len()
    )
}

#[test]
fn a_message_and_the_stanza_that_it_becomes() {
    assert_tells(
        &request(
            "MESSAGE",
            "sip:alice@example.com",
            "Content-Type: text/plain\n",
            "Hi <b>",
        ),
        &[
            "A SIP request MESSAGE",
            "From sip:bob@example.net;gr=desk is bob@example.net/desk on the XMPP side",
            "<message from=\"bob@example.net/desk\" to=\"alice@example.com\"",
            "Hi &lt;b&gt;",
            "answered 200",
        ],
    );
}

#[test]
fn a_refused_message_and_its_answer() {
    assert_tells(
        &request("MESSAGE", "sips:alice@example.com", "", ""),
        &["sips is not allowed", "480", "Warning: 380"],
    );
    assert_tells(
        &request(
            "MESSAGE",
            "sip:alice@example.com",
            "Content-Type: image/gif\n",
            "x",
        ),
        &[
            "It is refused: Unsupported content",
            "415",
            "Accept: text/plain",
        ],
    );
    assert_tells(
        &request("MESSAGE", "sip:alice@example.com", "", ""),
        &["is dropped"],
    );
}

#[test]
fn what_is_not_translated_yet() {
    for (method, answer) in [
        ("SUBSCRIBE", "SIP/2.0 489"),
        ("NOTIFY", "SIP/2.0 481"),
        ("BYE", "SIP/2.0 481"),
        ("INFO", "SIP/2.0 481"),
        ("REFER", "SIP/2.0 405"),
        ("PRACK", "SIP/2.0 405"),
        ("SERVICE", "SIP/2.0 501"),
        ("OPTIONS", "SIP/2.0 200"),
    ] {
        let uri = "sip:alice@example.com";
        assert_tells(&request(method, uri, "", ""), &[method, answer]);
    }
    assert_tells(
        &request("ACK", "sip:alice@example.com", "", ""),
        &["Nothing is answered"],
    );
}

#[test]
fn a_subscription_and_what_it_becomes() {
    let subscribe = |headers: &str| {
        let headers = format!("Event: presence\nContact: <sip:bob@desk.example.net>\n{headers}");
        request("SUBSCRIBE", "sip:alice@example.com", &headers, "")
    };
    assert_tells(
        &subscribe("Expires: 7200\nAccept: application/pidf+xml\n"),
        &[
            "It subscribes to presence",
            "asks to watch",
            "SIP/2.0 200 OK",
            "Expires: 3600",
            "NOTIFY sip:bob@desk.example.net SIP/2.0",
            "Subscription-State: pending;expires=3600",
            "<presence from=\"bob@example.net\" to=\"alice@example.com\" type=\"subscribe\"/>",
        ],
    );
    assert_tells(
        &subscribe("Expires: 0\n"),
        &["asks once", "terminated;reason=timeout", "type=\"probe\""],
    );
    assert_tells(
        &subscribe("Expires: 5\n"),
        &["SIP/2.0 423", "Min-Expires: 60"],
    );
    assert_tells(&subscribe("Accept: text/plain\n"), &["SIP/2.0 406"]);
    let refresh = subscribe("").replace(
        "To: <sip:alice@example.com>",
        "To: <sip:alice@example.com>;tag=00000000000000010000000000000002",
    );
    assert_tells(&refresh, &["refreshes the subscription", "SIP/2.0 200"]);
    assert_tells(
        &refresh.replace("Event", "Expires: 0\nEvent"),
        &["ends the subscription", "Expires: 0"],
    );
}

#[test]
fn a_notification_and_its_stanzas() {
    let notify = |state: &str, body: &str| {
        let headers = format!(
            "Event: presence\nSubscription-State: {state}\nContent-Type: application/pidf+xml\n"
        );
        request("NOTIFY", "sip:alice@example.com", &headers, body)
    };
    let document = "<presence xmlns='urn:ietf:params:xml:ns:pidf' entity='pres:bob@example.net'><tuple id='ID-desk'>\
         <status><basic>open</basic></status><note>Hi</note></tuple></presence>";
    assert_tells(
        &notify("active;expires=60", document),
        &[
            "SIP/2.0 481",
            "Without that",
            "<presence from=\"bob@example.net/desk\" to=\"alice@example.com\"><status>Hi</status></presence>",
            "SIP/2.0 200 OK",
        ],
    );
    assert_tells(&notify("active", "<p>"), &["what is known stays as it is"]);
    assert_tells(&notify("pending", document), &["Nobody has decided yet"]);
    for (reason, told) in [
        ("deactivated", "made anew at once"),
        ("probation", "made anew later"),
        ("invariant", "no new subscription"),
        ("noresource", "`unsubscribed`"),
        ("odd", "made anew later"),
    ] {
        assert_tells(&notify(&format!("terminated;reason={reason}"), ""), &[told]);
    }
    assert_tells(
        &request("NOTIFY", "sip:alice@example.com", "", ""),
        &["Subscription-State is missing"],
    );
}

#[test]
fn presence_of_an_xmpp_user_and_the_document() {
    let presence = |rest: &str| {
        format!("<presence from='alice@example.com/pda' to='bob@example.net'{rest}</presence>")
    };
    assert_tells(
        &presence("><show>away</show>"),
        &[
            "(available)",
            "Content-Type: application/pidf+xml",
            "<basic>open</basic>",
            ">away</show>",
        ],
    );
    assert_tells(
        &presence(" type='unavailable'>"),
        &["<basic>closed</basic>"],
    );
    assert_tells(&presence(" type='subscribed'>"), &["NOTIFY active"]);
    assert_tells(&presence(" type='unsubscribed'>"), &["reason=rejected"]);
    assert_tells(&presence(" type='unsubscribe'>"), &["Expires: 0"]);
    assert_tells(&presence(" type='probe'>"), &["Expires: 3600"]);
    assert_tells(
        &presence("><x xmlns='http://jabber.org/protocol/muc'/>"),
        &["It is refused", "type=\"error\"", "service-unavailable"],
    );
    assert_tells(
        "<presence from='alice@example.com/pda' to='example.net'/>",
        &["counted and dropped"],
    );
}

#[test]
fn a_response_and_its_stanza_error() {
    let response = |status: &str, method: &str| {
        let reason = match status.starts_with("504") {
            true => "ms-diagnostics: 1009;reason=\"No match\";source=\"s\"\n",
            false => "",
        };
        format!(
            "SIP/2.0 {status}\nFrom: <sip:alice@example.com>;tag=1\nTo: <sip:bob@example.net>;tag=2\n\
             Call-ID: c1\nCSeq: 1 {method}\n\
             {reason}Content-Length: 0\n\n"
        )
    };
    assert_tells(
        &response("504 Server time-out", "MESSAGE"),
        &[
            "504",
            "1009;reason=\"No match\";source=\"s\"",
            "ProxyFqdn",
            "remote-server-not-found of type cancel",
            "<error",
            "The records of this domain do not fit",
        ],
    );
    assert_tells(&response("200 OK", "MESSAGE"), &["it becomes nothing"]);
    assert_tells(&response("180 Ringing", "INVITE"), &["goes on waiting"]);
    assert_tells(
        &response("403 No", "SUBSCRIBE"),
        &["answers SUBSCRIBE", "Behind a refresh", "`unsubscribed`"],
    );
    assert_tells(
        &response("481 No", "SUBSCRIBE"),
        &["made at once", "Behind a first request", "after a pause"],
    );
    assert_tells(&response("481 No", "NOTIFY"), &["forgotten silently"]);
    assert_tells(&response("200 OK", "NOTIFY"), &["has the state"]);
    assert_tells(
        &response("488 No", "INVITE"),
        &["answers INVITE", "not-acceptable"],
    );
}

#[test]
fn fragments_go_as_far_as_they_go() {
    assert_tells(
        "Via: SIP/2.0/TLS 192.0.2.1;received=192.0.2.2\nms-diagnostics: 1027;reason=\"Cannot route\"\nContent-Length: 0\n",
        &["without a start line", "1027"],
    );
    assert_tells(
        "SIP/2.0 101 Progress Report\nServer: x\n",
        &["not whole", "101"],
    );
    assert_tells(
        "SUBSCRIBE sip:[removed] SIP/2.0\nFrom: <sip:[removed]>;tag=1\nCSeq: 1 SUBSCRIBE\n",
        &[
            "not whole",
            "From is missing or cannot be read",
            "subscribes",
        ],
    );
    assert_tells(
        "NOTIFY sip:x@gw.example SIP/2.0\nFrom: <sip:bob@example.net>;tag=1\nTo: <sip:alice@example.com>;tag=2\n\
         Subscription-State: terminated;reason=rejected\n",
        &["not whole", "then `unsubscribed`"],
    );
    let lines_end_with_lf = request("MESSAGE", "sip:alice@example.com", "", "x").into_bytes();
    let told = explain(&lines_end_with_lf, &Directory::default(), now()).unwrap();
    assert!(told.to_string().contains("<body>x</body>"), "{told}");
}

#[test]
fn an_address_alone() {
    assert_tells(
        "sip:o'b@example.net;gr=x",
        &["is o\\27b@example.net/x on the XMPP side"],
    );
    assert_tells("sips:b@example.net", &["sips is not allowed"]);
}

#[test]
fn a_stanza_and_the_request_that_it_becomes() {
    assert_tells(
        "<message from='alice@example.com/pda' to='o\\27b@example.net' id='m1'><body>Hi</body></message>",
        &[
            "A message stanza of type normal",
            "carries text",
            "MESSAGE sip:o'b@example.net SIP/2.0",
            "From: <sip:alice@example.com;gr=pda>",
            "    Hi",
        ],
    );
    let long = "x".repeat(2_000);
    assert_tells(
        &format!(
            "<message from='a@example.com/b' to='c@example.net'><body>{long}</body></message>"
        ),
        &[
            "It is refused: More than 1300 octets",
            "type=\"error\"",
            "policy-violation",
        ],
    );
    assert_tells(
        "<?xml version='1.0'?>\n<message xmlns='jabber:client' from='a@example.com/b' to='c@example.net'><subject>x</subject></message>",
        &["is dropped"],
    );
}

#[test]
fn other_stanzas() {
    assert_tells(
        "<presence xmlns='jabber:server' from='a@example.com' to='c@example.net' type='subscribe'/>",
        &[
            "A presence stanza (subscribe)",
            "SUBSCRIBE sip:c@example.net SIP/2.0",
            "Event: presence",
        ],
    );
    assert_tells(
        "<iq type='get' id='1' from='a@example.com/b' to='example.net'><ping xmlns='urn:xmpp:ping'/></iq>",
        &["never passed on", "type=\"result\""],
    );
    assert_tells(
        "<message type='error' from='a@example.com' to='c@example.net' id='1'><error type='auth'><forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>",
        &["reports forbidden", "603"],
    );
    assert_tells("<message to='c@example.net'/>", &["end the stream"]);
    assert_tells(
        "<message from='a@example.com/b' to='c@example.net'><body>",
        &["not whole"],
    );
}

#[test]
fn documents() {
    assert_tells(
        "<?xml version='1.0' encoding='utf-8'?><!-- c --><presence xmlns='urn:ietf:params:xml:ns:pidf' entity='pres:a@b'/>",
        &["about a@b", "carries no state"],
    );
    assert_tells(
        "<presence xmlns='urn:ietf:params:xml:ns:pidf' entity='pres:b@example.net'><tuple id='ID-x'><status><basic>open</basic></status></tuple></presence>",
        &["about b@example.net", "<presence from=\"b@example.net/x\""],
    );
    assert_tells(
        "<isComposing xmlns='urn:ietf:params:xml:ns:im-iscomposing'><state>active</state></isComposing>",
        &["Composing"],
    );
    assert_tells(
        "<categories xmlns='x'/>",
        &["document of presence in a format that is not read"],
    );
    assert_tells("<a><b></a>", &["not well-formed"]);
}

#[test]
fn logs_and_recordings() {
    assert_tells(
        "# An edge server\nTL_ERROR: x\nSIP-Start-Line: INVITE sip:user@example.org SIP/2.0\nPeer: y\n",
        &["1 messages", "INVITE sip:user@example.org SIP/2.0"],
    );
    assert_tells(
        "# a recording\n  0.020 C: <?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' from='a.example' to='b.example' version='1.0'>\n  \
         0.030 C: <message from='x@a.example' to='y@b.example'><body>hi</body></message>\n  0.040 S: </stream:stream>\n",
        &[
            "3 messages",
            "stream header from a.example to b.example",
            "MESSAGE sip:y@b.example",
        ],
    );
    assert_tells(
        "# which certificates; GW > = stream that we opened\n   0.205   --    P-256   ok\n",
        &["no stanza"],
    );
}

#[test]
fn the_configuration_is_used_and_its_gaps_are_told() {
    let directory = Directory::new([
        assumed(Side::Xmpp, &Domain::parse("example.com").unwrap()),
        assumed(Side::Sip, &Domain::parse("example.net").unwrap()),
    ]);
    let message = |from: &str, to: &str| {
        let stanza = format!("<message from='{from}' to='{to}'><body>x</body></message>");
        told_by(&stanza, &directory)
    };

    assert!(!message("a@example.com/b", "c@example.net").contains("No SIP peer"));
    assert!(message("a@example.com/b", "c@example.org").contains("No SIP peer"));
    assert!(message("c@example.net", "a@example.com").contains("the gateway itself sends"));
}

#[test]
fn what_is_neither_is_not_explained() {
    let mail =
        "From: a@example.com\nTo: b@example.com\nSubject: x\nDate: today\n\nHello <b>you</b>\n";
    for input in [
        "",
        "hello",
        "{\"a\": 1}",
        "a,b\n1,2\n",
        mail,
        "\u{89}PNG\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "if a < b then c > d",
        "<",
        "<3",
    ] {
        assert_eq!(
            explain(input.as_bytes(), &Directory::default(), now()),
            None,
            "{input:?}"
        );
    }
}

#[test]
fn documents_of_microsoft_software() {
    let lines = |document: &str| told(document);
    let msrtc = "<presentity uri='bob@example.net' xmlns='http://schemas.microsoft.com/2002/09/sip/presence'>\
        <availability aggregate='300'/><activity aggregate='300'/></presentity>";
    let categories = "<categories uri='sip:bob@example.net'><category name='state'><state>\
        <availability>12500</availability><activity token='be-right-back'/></state></category></categories>";
    let xpidf = "<?xml version='1.0'?>\n<!DOCTYPE presence PUBLIC '-//IETF//DTD RFCxxxx XPIDF 1.0//EN' 'xpidf.dtd'>\n\
        <presence><presentity uri='sip:bob@example.net;method=SUBSCRIBE'/><atom id='1'><address uri='sip:bob@example.net'>\
        <status status='open'/><msnsubstatus substatus='brb'/></address></atom></presence>";
    for (document, kind) in [
        (msrtc, "text/xml+msrtc.pidf"),
        (categories, "application/msrtc-event-categories+xml"),
        (xpidf, "application/xpidf+xml"),
    ] {
        assert_tells(
            document,
            &[
                &format!("It is a presence document ({kind}) about bob@example.net."),
                "<presence from=\"bob@example.net/sip\"",
                "<show>away</show><status>Be right back</status>",
            ],
        );
    }
    let batch = "<batchSub uri='sip:bob@example.net'><action name='subscribe'><adhocList>\
        <resource uri='sip:alice@example.com'><context/></resource><resource uri='sip:carol@example.com'/>\
        </adhocList></action></batchSub>";
    assert!(lines(batch).contains("sip:alice@example.com is on the watcher's contact list"));
    assert!(lines(batch).contains("sip:carol@example.com is looked at"));
}

#[test]
fn a_microsoft_peer_gets_and_gives_documents_of_its_own() {
    let profile = SipProfile {
        microsoft: Some(crate::model::Microsoft::default()),
        ..SipProfile::default()
    };
    let directory = Directory::new([Profile {
        id: PeerId::new("lync"),
        domains: vec![Domain::parse("example.net").unwrap()],
        accept: Accept::Barrier,
        dialect: Dialect::Sip(profile),
    }]);
    let headers = "Event: presence\nContact: <sip:bob@desk.example.net>\nExpires: 7200\n\
        Accept: application/xpidf+xml, text/xml+msrtc.pidf, application/pidf+xml\n\
        Content-Type: application/msrtc-adrl-categorylist+xml\n";
    let body = "<batchSub><action name='subscribe'><adhocList><resource uri='sip:alice@example.com'/></adhocList></action></batchSub>";
    let subscribe = request("SUBSCRIBE", "sip:alice@example.com", headers, body);
    let told = told_by(&subscribe, &directory);
    assert!(
        told.contains("Documents for its sender are text/xml+msrtc.pidf."),
        "{told}"
    );
    assert!(told.contains("it only looks at the XMPP user"), "{told}");

    let stanza =
        "<presence from='alice@example.com/r' to='bob@example.net'><show>dnd</show></presence>";
    let told = told_by(stanza, &directory);
    assert!(told.contains("Content-Type: text/xml+msrtc.pidf"), "{told}");
    assert!(told.contains("avail=\"9500\""), "{told}");
}

#[test]
fn an_answer_that_carries_the_first_document() {
    let body = "<presentity uri='bob@example.net'><availability aggregate='300'/><activity aggregate='400'/></presentity>";
    let response = format!(
        "SIP/2.0 200 OK\nVia: SIP/2.0/TLS g.example.com;branch=z9hG4bK1\nFrom: <sip:alice@example.com>;tag=1\n\
         To: <sip:bob@example.net>;tag=2\nCall-ID: c1\nCSeq: 1 SUBSCRIBE\nExpires: 28800\n\
         Content-Type: text/xml+msrtc.pidf\nContent-Length: {}\n\n{body}",
        body.len()
    );
    assert_tells(
        &response,
        &[
            "The subscription stands for 28800 s.",
            "It carries the first document itself",
            "<presence from=\"bob@example.net/sip\" to=\"alice@example.com\"",
        ],
    );
}

#[test]
fn what_microsoft_software_writes_is_explained_as_such() {
    let refused = "SIP/2.0 403 Forbidden\nVia: SIP/2.0/TLS gw.example.com;branch=z9hG4bK1\n\
        From: <sip:alice@example.com>;tag=1\nTo: <sip:bob@example.net>;tag=2\nCall-ID: c\n\
        CSeq: 1 SUBSCRIBE\nServer: RTC/6.0\nContent-Length: 0\n\n";
    let told = ["granted before, it stays", "Behind a first request"];
    assert_tells(refused, &told);
    let generic = refused.replace("Server: RTC/6.0\n", "");
    assert_tells(&generic, &["Behind a refresh", "`unsubscribed`"]);
    let call = request(
        "INVITE",
        "sip:alice@example.com",
        "ms-subnet: 192.0.2.0\nContent-Type: application/sdp\n",
        "m=audio 4000 RTP/AVP 0\n",
    );
    assert_tells(&call, &["SIP/2.0 488", "ms-diagnostics: 65009"]);
}

#[test]
fn a_message_without_its_line_ends_is_judged_all_the_same() {
    let list = request(
        "SUBSCRIBE",
        "sip:alice@example.com",
        "Event: presence\nContact: <sip:bob@example.net>\nRequire: adhoclist\nContent-Type: application/adrl+xml\n",
        "<adhoclist>\n</adhoclist>",
    );
    let explained = |text: &str| {
        let story = explain(text.as_bytes(), &Directory::default(), Wall::default());
        story
            .map(|story| story.lines().join("\n"))
            .unwrap_or_default()
    };
    for text in [list.replace('\n', "\r\n"), list] {
        let told = explained(&text);
        assert!(told.contains("SIP/2.0 420"), "{told}");
    }
    let negotiate = "NEGOTIATE sip:192.0.2.1 SIP/2.0\nVia: SIP/2.0/TLS 192.0.2.2:3021\nCSeq: 1 NEGOTIATE\n\
        Call-ID: c\nFrom: <sip:192.0.2.2>;tag=1\nTo: <sip:192.0.2.1>\nContent-Length: 0\n\n";
    assert!(explained(negotiate).contains("SIP/2.0 405"));
}
