//! What Alice of XMPP is called at a Microsoft peer.

use minidom::Element;

use crate::model::{Accept, Microsoft, SipProfile};
use crate::shard::Input;
use crate::shard::tests::lab::{Lab, domain, seconds, text_of};
use crate::shard::tests::presence_lab::sip_request;
use crate::shard::tests::watched_lab::subscribe;
use crate::xmpp::Stanza;

fn lab() -> Lab {
    let profile = SipProfile {
        microsoft: Some(Microsoft::default()),
        ..SipProfile::default()
    };
    Lab::with(Accept::Barrier, profile)
}

impl Lab {
    /// Alice's server answers the last question with this.
    fn answers_card(&mut self, kind: &str, content: &str) {
        let asked = text_of(self.cards.last().unwrap());
        let id = asked.split("id=\"").nth(1).unwrap();
        let id = id.split('"').next().unwrap().to_owned();
        self.iq(&format!(
            "<iq xmlns='jabber:client' from='alice@xmpp.example' to='sip.example' type='{kind}' id='{id}'>{content}</iq>"
        ));
    }

    fn iq(&mut self, xml: &str) {
        let origin = self.origin(self.stream, "xmpp-peer", "xmpp.example");
        let number = origin.number();
        let element: Element = xml.parse().unwrap();
        let Ok(Stanza::Iq(iq)) = Stanza::read(element, &[domain("xmpp.example")]) else {
            panic!("no iq: {xml}");
        };
        self.input(Input::Iq(origin, Box::new(iq)));
        assert!(self.is_settled(number));
    }
}

fn card(name: &str) -> String {
    format!("<vCard xmlns='vcard-temp'><FN>{name}</FN></vCard>")
}

/// The display name in From of the next request.
fn name_in_next(lab: &mut Lab, method: &str) -> Option<String> {
    let transmit = lab.next_sip(method);
    let request = sip_request(&transmit);
    request.from().unwrap().display().map(str::to_owned)
}

#[test]
fn a_subscription_names_the_watcher_and_waits_for_no_card() {
    let mut lab = lab();
    lab.alice("subscribe");
    assert_eq!(
        name_in_next(&mut lab, "SUBSCRIBE ").as_deref(),
        Some("alice")
    );
    assert_eq!(
        text_of(lab.cards.last().unwrap())
            .split(" id=")
            .next()
            .unwrap(),
        "<iq from=\"sip.example\" to=\"alice@xmpp.example\" type=\"get\""
    );
    assert_eq!(lab.cards.len(), 1);
}

#[test]
fn a_nickname_is_used_at_once_and_no_card_asked_for() {
    let mut lab = lab();
    lab.presence_xml(
        "<presence from='alice@xmpp.example' to='bob@sip.example' type='subscribe'>\
         <nick xmlns='http://jabber.org/protocol/nick'>J\u{fc}rgen \"A\"</nick></presence>",
    );
    let subscribe = lab.next_sip("SUBSCRIBE ");
    let text = text_of(&subscribe);
    let from = "From: \"J\u{fc}rgen \\\"A\\\"\" <sip:alice@xmpp.example>;";
    assert!(text.contains(from), "{text}");
    assert!(lab.cards.is_empty());
}

#[test]
fn the_name_of_the_card_stands_for_a_day_in_documents_and_requests() {
    let mut lab = lab();
    let asked = "Event: presence\r\nAccept: text/xml+msrtc.pidf\r\nSupported: ms-piggyback-first-notify\r\n";
    let mut watch = lab.watch_carried("c1", asked, &["<presentity"]);
    lab.asked(&["type=\"subscribe\""]);
    lab.alice_is("", "subscribed", "");
    lab.alice_is("balcony", "", "");
    lab.pass(seconds(1));
    lab.notified(&mut watch, &["<displayName displayName=\"alice\"/>"]);
    lab.answers_card("result", &card("Alice Liddell"));

    lab.alice_is("balcony", "", "<show>away</show>");
    lab.pass(seconds(10));
    lab.notified(
        &mut watch,
        &["<displayName displayName=\"Alice Liddell\"/>"],
    );
    lab.alice_writes("m1", "Hi");
    let sent = lab.next();
    assert!(text_of(&sent).contains("From: \"Alice Liddell\" <sip:alice@xmpp.example"));
    assert_eq!(lab.cards.len(), 1);
}

#[test]
fn whom_nobody_answers_for_has_a_local_part_and_is_asked_once_a_day() {
    let mut lab = lab();
    lab.alice("subscribe");
    assert_eq!(
        name_in_next(&mut lab, "SUBSCRIBE ").as_deref(),
        Some("alice")
    );
    lab.answers_card(
        "error",
        "<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>",
    );
    lab.alice_writes("m1", "Hi");
    assert_eq!(lab.cards.len(), 1);
    lab.pass(seconds(24 * 3_600));
    lab.cards.clear();
    lab.alice_writes("m2", "Hi");
    assert_eq!(lab.cards.len(), 1);
}

#[test]
fn a_foreign_answer_is_not_believed() {
    let mut lab = lab();
    lab.alice("subscribe");
    lab.next_sip("SUBSCRIBE ");
    for id in ["vcard-0000000000000000", "x"] {
        lab.iq(&format!(
            "<iq xmlns='jabber:client' from='alice@xmpp.example' to='sip.example' type='result' id='{id}'>{}</iq>",
            card("Mallory")
        ));
    }
    let asked = text_of(lab.cards.last().unwrap());
    let id = asked
        .split("id=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    lab.iq(&format!(
        "<iq xmlns='jabber:client' from='mallory@xmpp.example' to='sip.example' type='result' id='{id}'>{}</iq>",
        card("Mallory")
    ));
    lab.alice_writes("m1", "Hi");
    assert!(!text_of(&lab.next()).contains("Mallory"));
}

#[test]
fn a_generic_peer_is_told_nicknames_of_messages_only_and_nobody_is_asked() {
    let mut lab = Lab::new();
    lab.alice("subscribe");
    assert_eq!(name_in_next(&mut lab, "SUBSCRIBE "), None);
    lab.request(&subscribe(
        "c1",
        "Event: presence\r\nAccept: application/pidf+xml\r\n",
    ));
    assert!(lab.cards.is_empty());
}
