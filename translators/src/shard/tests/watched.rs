//! Bob watches Alice: he asks, she decides, and he sees what she does.

use crate::limits;
use crate::model::Accept;
use crate::model::SipProfile;
use crate::shard::tests::lab::{Lab, seconds, text_of};
use crate::shard::tests::watched_lab::{PRESENCE, subscribe};

#[test]
fn alice_is_asked_and_says_yes() {
    let mut lab = Lab::new();
    let mut watch = lab.watch("c1", &["pending;expires=3600", "Content-Length: 0"]);
    lab.asked(&["type=\"subscribe\"", ">Bob</nick>"]);
    lab.nothing();

    // Prosody says that the request came, and later whose word it is by a full JID.
    lab.alice_is("", "unavailable", "");
    lab.pass(seconds(60));
    lab.nothing();
    lab.alice_is("balcony", "subscribed", "");
    lab.alice_is("balcony", "", "<show>away</show><status>Stars</status>");
    lab.pass(seconds(1));

    let text = lab.notified(
        &mut watch,
        &["active;expires=", "ID-balcony", ">away</show>"],
    );
    assert!(text.contains("Stars"), "{text}");
    lab.nothing();
}

#[test]
fn alice_says_no_and_is_not_asked_again() {
    let mut lab = Lab::new();
    let mut watch = lab.watch("c1", &["pending"]);
    lab.asked(&["type=\"subscribe\""]);
    lab.pass(seconds(60));
    lab.alice_is("", "unsubscribed", "");
    lab.notified(
        &mut watch,
        &["terminated;reason=rejected", "Content-Length: 0"],
    );
    // Openfire goes on with the presence of devices that Bob never saw.
    lab.alice_is("balcony", "unavailable", "");
    lab.pass(seconds(60));

    lab.bob_subscribes("c2", PRESENCE, 403);
    lab.in_dialog(&mut watch, "", 481);
    lab.pass(limits::DENY_HOLD);
    lab.watch("c3", &["pending"]);
    lab.asked(&["type=\"subscribe\""]);
    lab.nothing();
}

#[test]
fn a_denial_is_forgotten_when_alice_writes() {
    for contact in ["message", "subscribed"] {
        let mut lab = Lab::new();
        let mut watch = lab.watch("c1", &["pending"]);
        lab.asked(&["type=\"subscribe\""]);
        lab.alice_is("", "unsubscribed", "");
        lab.notified(&mut watch, &["terminated;reason=rejected"]);
        lab.bob_subscribes("c2", PRESENCE, 403);
        match contact {
            "message" => {
                lab.alice_writes("m1", "I changed my mind");
                lab.next_sip("MESSAGE ");
            }
            kind => lab.alice_is("", kind, ""),
        }

        lab.watch("c3", &["pending"]);
        lab.asked(&["type=\"subscribe\""]);
    }
}

#[test]
fn alice_takes_her_approval_back() {
    let mut lab = Lab::new();
    let mut watch = lab.shown("c1");
    // Prosody's form of a contact that was removed: all from the full JID.
    lab.alice_is("balcony", "unsubscribed", "");
    lab.notified(&mut watch, &["terminated;reason=rejected"]);
    lab.alice_is("balcony", "unavailable", "");
    lab.pass(seconds(60));
    lab.nothing();
}

#[test]
fn two_endpoints_see_the_same_and_end_by_themselves() {
    let mut lab = Lab::new();
    let mut desk = lab.shown("desk");
    let mut phone = lab.watch("phone", &["active", "ID-balcony", "open"]);
    lab.nothing();
    lab.alice_is("balcony", "", "<show>dnd</show>");
    lab.pass(seconds(1));
    lab.notified(&mut desk, &[">dnd</show>"]);
    lab.notified(&mut phone, &[">dnd</show>"]);

    let answer = lab.in_dialog(&mut desk, "Expires: 0\r\n", 200);
    assert!(answer.contains("Expires: 0\r\n"), "{answer}");
    lab.notified(&mut desk, &["terminated;reason=timeout", "closed"]);
    lab.nothing();
    lab.pass(seconds(10));
    lab.alice_is("balcony", "", "");
    lab.pass(seconds(1));
    lab.notified(&mut phone, &["active"]);

    lab.in_dialog(&mut phone, "Expires: 0\r\n", 200);
    lab.notified(&mut phone, &["terminated;reason=timeout", "closed"]);
    lab.asked(&["type=\"unavailable\""]);
    lab.alice_is("balcony", "", "<show>away</show>");
    lab.pass(seconds(60));
    lab.nothing();
}

#[test]
fn who_comes_back_sees_at_once_and_asks_for_more() {
    let mut lab = Lab::new();
    let mut watch = lab.shown("c1");
    lab.in_dialog(&mut watch, "Expires: 0\r\n", 200);
    lab.notified(&mut watch, &["terminated"]);
    lab.asked(&["type=\"unavailable\""]);
    lab.pass(seconds(60));

    let mut again = lab.watch("c2", &["active", "ID-balcony", "open"]);
    lab.asked(&["type=\"probe\""]);
    lab.nothing();
    lab.alice_is("balcony", "", "<show>away</show>");
    lab.pass(seconds(1));
    lab.notified(&mut again, &[">away</show>"]);

    lab.in_dialog(&mut again, "Expires: 0\r\n", 200);
    lab.notified(&mut again, &["terminated"]);
    lab.asked(&["type=\"unavailable\""]);
    lab.pass(limits::GRANT_CONFIRMED);
    lab.watch("c3", &["active"]);
    lab.asked(&["type=\"probe\""]);
    lab.asked(&["type=\"subscribe\""]);
    // ejabberd and Openfire 4.8 approve by themselves what was approved.
    lab.alice_is("", "subscribed", "");
    lab.nothing();
}

#[test]
fn an_approval_by_the_server_alone_is_followed_by_a_probe() {
    let mut lab = Lab::new();
    let mut watch = lab.watch("c1", &["pending"]);
    lab.asked(&["type=\"subscribe\""]);
    lab.alice_is("", "subscribed", "");
    lab.pass(seconds(1));
    lab.notified(&mut watch, &["active", "Content-Length: 0"]);
    lab.pass(seconds(1));
    lab.asked(&["type=\"probe\""]);
    lab.alice_is("balcony", "", "");
    lab.pass(seconds(5));
    lab.notified(&mut watch, &["ID-balcony", "open"]);
    lab.nothing();
}

#[test]
fn all_devices_stand_in_one_document() {
    let mut lab = Lab::new();
    let mut watch = lab.granted("c1");
    lab.alice_is("balcony", "", "<priority>5</priority>");
    lab.alice_is("orchard", "", "<show>away</show>");
    lab.pass(seconds(1));
    let text = lab.notified(&mut watch, &["ID-balcony", "ID-orchard"]);
    assert_eq!(text.matches("<tuple").count(), 2, "{text}");
    lab.nothing();

    lab.pass(seconds(10));
    lab.alice_is("orchard", "unavailable", "");
    lab.pass(seconds(1));
    let text = lab.notified(&mut watch, &["ID-balcony", "ID-orchard", "closed"]);
    assert_eq!(text.matches("<tuple").count(), 2, "{text}");
    lab.pass(seconds(10));
    lab.alice_is("balcony", "", "<show>xa</show>");
    lab.pass(seconds(1));
    let text = lab.notified(&mut watch, &["ID-balcony"]);
    assert_eq!(text.matches("<tuple").count(), 1, "{text}");

    lab.pass(seconds(10));
    lab.alice_is("", "unavailable", "");
    lab.pass(seconds(1));
    let text = lab.notified(&mut watch, &["active", "closed"]);
    assert!(!text.contains("open"), "{text}");
    lab.pass(seconds(60));
    lab.nothing();
}

#[test]
fn changes_come_together_and_equal_ones_not_at_all() {
    let mut lab = Lab::new();
    let mut watch = lab.shown("c1");
    lab.alice_is("balcony", "", "<show>away</show>");
    lab.pass(limits::NOTIFY_GATHERS);
    lab.notified(&mut watch, &[">away</show>"]);
    for show in ["dnd", "chat", "xa"] {
        lab.pass(seconds(1));
        lab.alice_is("balcony", "", &format!("<show>{show}</show>"));
    }
    lab.nothing();
    lab.pass(seconds(2));
    lab.notified(&mut watch, &[">xa</show>"]);

    lab.alice_is("balcony", "", "<show>xa</show>");
    lab.pass(seconds(60));
    lab.nothing();
    lab.alice_is("balcony", "", "");
    lab.alice_is("balcony", "", "<show>xa</show>");
    lab.pass(seconds(60));
    lab.nothing();
}

#[test]
fn a_subscription_runs_out_unless_it_is_refreshed() {
    let mut lab = Lab::new();
    let mut watch = lab.shown("c1");
    lab.pass(seconds(3_000));
    let answer = lab.in_dialog(&mut watch, "Expires: 600\r\n", 200);
    assert!(answer.contains("Expires: 600\r\n"), "{answer}");
    lab.notified(&mut watch, &["active;expires=600", "open"]);
    lab.nothing();
    lab.pass(seconds(599));
    lab.nothing();
    lab.pass(seconds(1));
    lab.notified(&mut watch, &["terminated;reason=timeout", "closed"]);
    lab.asked(&["type=\"unavailable\""]);
    lab.in_dialog(&mut watch, "", 481);
}

#[test]
fn a_refresh_asks_for_presence_that_is_old() {
    let mut lab = Lab::new();
    let mut watch = lab.shown("c1");
    lab.pass(seconds(3_400));
    lab.in_dialog(&mut watch, "", 200);
    lab.notified(&mut watch, &["active;expires=3600", "open"]);
    lab.nothing();
    lab.pass(seconds(300));
    lab.in_dialog(&mut watch, "", 200);
    lab.notified(&mut watch, &["open"]);
    let probe = lab.asking(&["type=\"probe\""]);
    lab.pass(seconds(4));
    lab.nothing();
    // Silence counts only when the probe has arrived.
    lab.hand_over(&probe);
    lab.pass(limits::PROBE_ANSWER_TIME);
    lab.pass(limits::NOTIFY_GATHERS);
    lab.notified(&mut watch, &["active", "closed"]);
}

#[test]
fn a_look_at_the_state_never_asks_alice() {
    let mut lab = Lab::new();
    let fetch = format!("{PRESENCE}Expires: 0\r\n");
    lab.bob_subscribes("f1", &fetch, 200);
    let notify = lab.next_sip("NOTIFY ");
    assert!(text_of(&notify).contains("terminated;reason=timeout"));
    lab.asked(&["type=\"probe\""]);
    // Openfire 5 says by it that Bob is no contact, which is no word of Alice.
    lab.alice_is("", "unsubscribed", "");
    lab.watch("c1", &["pending"]);
    lab.asked(&["type=\"subscribe\""]);
    lab.alice_is("", "unsubscribed", "");
    lab.alice_is(
        "",
        "error",
        "<error type='auth'><forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>",
    );
    lab.nothing();
    lab.bob_subscribes("f2", &fetch, 200);
    lab.next_sip("NOTIFY ");
    lab.nothing();
}

#[test]
fn a_look_shows_what_is_known() {
    let mut lab = Lab::new();
    let fetch = format!("{PRESENCE}Expires: 0\r\n");
    let mut watch = lab.shown("c1");
    lab.bob_subscribes("f1", &fetch, 200);
    let text = text_of(&lab.next_sip("NOTIFY "));
    assert!(
        text.contains("terminated;reason=timeout") && text.contains("open"),
        "{text}"
    );

    lab.in_dialog(&mut watch, "Expires: 0\r\n", 200);
    lab.notified(&mut watch, &["terminated"]);
    lab.asked(&["type=\"unavailable\""]);
    lab.bob_subscribes("f2", &fetch, 200);
    lab.asked(&["type=\"probe\""]);
    lab.nothing();
    lab.alice_is("balcony", "", "<show>dnd</show>");
    let text = text_of(&lab.next_sip("NOTIFY "));
    assert!(text.contains(">dnd</show>"), "{text}");

    lab.bob_subscribes("f3", &fetch, 200);
    let text = text_of(&lab.next_sip("NOTIFY "));
    assert!(text.contains(">dnd</show>"), "just heard: {text}");
    lab.pass(seconds(10));
    lab.bob_subscribes("f4", &fetch, 200);
    lab.asked(&["type=\"probe\""]);
    lab.pass(limits::FETCH_WAITS);
    let text = text_of(&lab.next_sip("NOTIFY "));
    assert!(text.contains(">dnd</show>"), "{text}");
    lab.nothing();
}

#[test]
fn a_repeated_subscribe_gets_the_same_answer_and_nothing_else() {
    let mut lab = Lab::new();
    lab.watch("c1", &["pending"]);
    lab.asked(&["type=\"subscribe\""]);
    let first = text_of(&lab.bob_subscribes("c2", PRESENCE, 200));
    lab.next_sip("NOTIFY ");
    let again = text_of(&lab.bob_subscribes("c2", PRESENCE, 200));

    assert_eq!(first, again);
    lab.nothing();
}

#[test]
fn what_is_no_subscription_of_ours_is_refused() {
    let mut lab = Lab::new();
    let answer = text_of(&lab.bob_subscribes("r1", "Event: dialog\r\n", 489));
    assert!(answer.contains("Allow-Events: presence\r\n"), "{answer}");
    lab.bob_subscribes("r2", "", 489);
    let accept = "Event: presence\r\nAccept: application/xpidf+xml\r\n";
    let answer = text_of(&lab.bob_subscribes("r3", accept, 406));
    assert!(
        answer.contains("Accept: application/pidf+xml\r\n"),
        "{answer}"
    );
    let brief = format!("{PRESENCE}Expires: 30\r\n");
    let answer = text_of(&lab.bob_subscribes("r4", &brief, 423));
    assert!(answer.contains("Min-Expires: 60\r\n"), "{answer}");
    let strange = subscribe("r5", PRESENCE).replace(
        "To: <sip:alice@xmpp.example>",
        "To: <sip:alice@xmpp.example>;tag=0123456789abcdef0123456789abcdef",
    );
    lab.request(&strange);
    lab.next_sip("SIP/2.0 481 ");
    lab.request(
        &strange
            .replace("0123456789abcdef0123456789abcdef", "zz")
            .replace("Kr5", "Kr6"),
    );
    lab.next_sip("SIP/2.0 481 ");
    lab.nothing();
    assert!(lab.relations.is_empty());
}

#[test]
fn an_overtaken_request_changes_nothing() {
    let mut lab = Lab::new();
    let mut watch = lab.shown("c1");
    lab.in_dialog(&mut watch, "", 200);
    lab.notified(&mut watch, &["open"]);
    let early = watch.clone();
    lab.in_dialog(&mut watch, "", 200);
    lab.notified(&mut watch, &["open"]);

    let answer = lab.in_dialog_by(&early, "late", "Expires: 0\r\n", 500);
    assert!(answer.contains("Retry-After: "), "{answer}");
    lab.nothing();
    lab.in_dialog(&mut watch, "", 200);
    lab.notified(&mut watch, &["open"]);
}

#[test]
fn a_user_has_as_many_watchers_as_a_user_may_have() {
    let mut lab = Lab::new();
    for number in 0..limits::CONTACTS_AND_WATCHERS {
        let one = subscribe(&format!("w{number}"), PRESENCE)
            .replace("bob@sip.example", &format!("bob{number}@sip.example"));
        lab.request(&one);
        lab.next_sip("SIP/2.0 200 ");
        lab.next_sip("NOTIFY ");
        lab.next();
    }
    lab.bob_subscribes("c1", PRESENCE, 403);
    lab.nothing();
    // One more device of a watcher is no more watchers.
    let second = subscribe("x", PRESENCE).replace("bob@sip.example", "bob7@sip.example");
    lab.request(&second);
    lab.next_sip("SIP/2.0 200 ");
}

#[test]
fn a_document_that_is_known_is_not_sent_again() {
    let conditional = SipProfile {
        conditional: true,
        ..SipProfile::default()
    };
    let mut lab = Lab::with(Accept::Barrier, conditional);
    let mut watch = lab.shown("c1");
    lab.in_dialog(&mut watch, "", 200);
    let text = lab.notified(&mut watch, &["SIP-ETag: "]);
    let etag = text
        .split("SIP-ETag: ")
        .nth(1)
        .and_then(|rest| rest.split("\r\n").next());
    let suppress = format!("Suppress-If-Match: {}\r\n", etag.unwrap());

    let answer = lab.in_dialog(&mut watch, &suppress, 204);
    assert!(answer.contains("Expires: 3600\r\n"), "{answer}");
    lab.nothing();
    let answer = text_of(&lab.bob_subscribes("c2", &format!("{PRESENCE}{suppress}"), 200));
    assert!(answer.contains("Expires: 3600"), "{answer}");
    let text = text_of(&lab.next_sip("NOTIFY "));
    assert!(
        text.contains("SIP-ETag: ") && text.contains("Content-Length: 0"),
        "{text}"
    );

    lab.pass(seconds(10));
    lab.alice_is("balcony", "", "<show>away</show>");
    lab.pass(seconds(1));
    lab.notified(&mut watch, &[">away</show>"]);
    lab.next_sip("NOTIFY ");
    lab.in_dialog(&mut watch, &suppress, 200);
    lab.notified(&mut watch, &[">away</show>"]);
}
