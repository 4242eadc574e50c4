//! Bob of SIP watches Alice of XMPP.

use minidom::Element;

use crate::model::Domain;
use crate::shard::tests::lab::{Lab, seconds, text_of};
use crate::shard::{Input, Lapse, Transmit};
use crate::xmpp::Stanza;

/// A subscription of Bob's, as his side sees it.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    call: String,
    tag: String,
    cseq: u32,
    /// Number of the last NOTIFY.
    notified: u32,
}

impl Watch {
    /// The subscription that was granted so.
    pub(super) fn of(call: &str, answer: &str) -> Self {
        let tag = answer
            .split("To:")
            .nth(1)
            .and_then(|to| to.split("tag=").nth(1));
        let tag = tag.and_then(|tag| tag.split("\r\n").next()).unwrap();
        Self {
            call: call.to_owned(),
            tag: tag.to_owned(),
            cseq: 1,
            notified: 0,
        }
    }

    /// The second request in the dialog of an initial one.
    pub(super) fn within(&self, initial: &str) -> String {
        let to = "To: <sip:alice@xmpp.example>";
        initial
            .replace("CSeq: 1 ", "CSeq: 2 ")
            .replace("branch=z9hG4bK", "branch=z9hG4bKx")
            .replace(to, &format!("{to};tag={}", self.tag))
    }

    /// An answer stands for a NOTIFY, whose number grows as those of all.
    pub(super) fn carried(&mut self, answer: &str) {
        let cseq = answer.split("ms-piggyback-cseq: ").nth(1);
        let cseq = cseq
            .and_then(|rest| rest.split("\r\n").next())
            .expect(answer);
        let cseq = cseq.parse().unwrap();
        assert!(cseq > self.notified, "numbers grow: {answer}");
        self.notified = cseq;
    }
}

/// A SUBSCRIBE outside a dialog.
pub(super) fn subscribe(call: &str, headers: &str) -> String {
    format!(
        "SUBSCRIBE sip:alice@xmpp.example SIP/2.0\r\n\
         Via: SIP/2.0/TLS edge.sip.example;branch=z9hG4bK{call}\r\n\
         Max-Forwards: 70\r\n\
         From: \"Bob\" <sip:bob@sip.example>;tag=b{call}\r\n\
         To: <sip:alice@xmpp.example>\r\n\
         Call-ID: {call}\r\n\
         CSeq: 1 SUBSCRIBE\r\n\
         Contact: <sip:bob@10.0.0.1:5061;transport=tls>\r\n\
         {headers}Content-Length: 0\r\n\r\n"
    )
}

/// The usual package, for as long as the gateway likes.
pub(super) const PRESENCE: &str = "Event: presence\r\nAccept: application/pidf+xml\r\n";

impl Lab {
    /// A presence stanza of the XMPP peer, in which the namespace is left out.
    pub(super) fn presence_xml(&mut self, xml: &str) {
        let number = self.presence_unsettled(xml);
        assert!(self.is_settled(number), "{xml}");
    }

    /// The same where it is not said that nothing more is needed; returns its number.
    pub(super) fn presence_unsettled(&mut self, xml: &str) -> u64 {
        let origin = self.origin(self.stream, "xmpp-peer", "xmpp.example");
        let number = origin.number();
        let xml = xml.replacen("<presence", "<presence xmlns='jabber:client'", 1);
        let element: Element = xml.parse().unwrap();
        let served = [Domain::parse("xmpp.example").unwrap()];
        let Stanza::Presence(presence) = Stanza::read(element, &served).unwrap() else {
            panic!("no presence: {xml}");
        };
        self.input(Input::Presence(origin, Box::new(presence)));
        number
    }

    /// Presence of Alice for Bob: of a resource or, with none, of her server; `rest` are further
    /// attributes and content.
    pub(super) fn alice_is(&mut self, resource: &str, kind: &str, content: &str) {
        let slash = if resource.is_empty() { "" } else { "/" };
        let kind = if kind.is_empty() {
            String::new()
        } else {
            format!(" type='{kind}'")
        };
        self.presence_xml(&format!(
            "<presence from='alice@xmpp.example{slash}{resource}' to='bob@sip.example'{kind}>\
             {content}</presence>"
        ));
    }

    /// Bob subscribes to Alice; the answer is to be that.
    pub(super) fn bob_subscribes(&mut self, call: &str, headers: &str, status: u16) -> Transmit {
        self.request(&subscribe(call, headers));
        self.next_sip(&format!("SIP/2.0 {status} "))
    }

    /// Bob subscribes and is answered by what he sees, which is like that.
    pub(super) fn watch_carried(&mut self, call: &str, headers: &str, words: &[&str]) -> Watch {
        let answer = self.bob_subscribes(call, headers, 200);
        self.hand_over(&answer);
        let answer = text_of(&answer);
        for word in words {
            assert!(answer.contains(word), "{word} expected: {answer}");
        }
        let mut watch = Watch::of(call, &answer);
        watch.carried(&answer);
        watch
    }

    /// Bob subscribes and is let in; the NOTIFY is to be like that.
    pub(super) fn watch(&mut self, call: &str, words: &[&str]) -> Watch {
        let answer = text_of(&self.bob_subscribes(call, PRESENCE, 200));
        let mut watch = Watch::of(call, &answer);
        assert!(answer.contains("Expires: 3600\r\n"), "{answer}");
        self.notified(&mut watch, words);
        watch
    }

    /// Bob watches Alice, who was asked and said yes; nothing is known of her.
    pub(super) fn granted(&mut self, call: &str) -> Watch {
        let mut watch = self.watch(call, &["pending"]);
        self.asked(&["type=\"subscribe\""]);
        self.pass(seconds(60));
        self.alice_is("", "subscribed", "");
        self.pass(seconds(1));
        self.notified(&mut watch, &["active"]);
        self.pass(seconds(10));
        self.nothing();
        watch
    }

    /// Bob watches Alice, who is available on her balcony.
    pub(super) fn shown(&mut self, call: &str) -> Watch {
        let mut watch = self.granted(call);
        self.alice_is("balcony", "", "");
        self.pass(seconds(1));
        self.notified(&mut watch, &["active", "ID-balcony", "open"]);
        self.pass(seconds(10));
        self.nothing();
        watch
    }

    /// A request of Bob's in a dialog, with the usual headers unless others name an event.
    pub(super) fn in_dialog(&mut self, watch: &mut Watch, headers: &str, status: u16) -> String {
        watch.cseq += 1;
        let branch = format!("x{}", watch.cseq);
        self.in_dialog_by(watch, &branch, headers, status)
    }

    /// The same with the present number, by another branch.
    pub(super) fn in_dialog_by(
        &mut self,
        watch: &Watch,
        branch: &str,
        headers: &str,
        status: u16,
    ) -> String {
        text_of(&self.answer_in_dialog(watch, branch, headers, status))
    }

    /// Bob refreshes by a request with just these headers, and is granted it.
    pub(super) fn refreshes_with(&mut self, watch: &mut Watch, headers: &str) {
        watch.cseq += 1;
        let cseq = format!("CSeq: {} ", watch.cseq);
        let text = watch.within(&subscribe(&watch.call, headers));
        let text = text.replace("CSeq: 2 ", &cseq);
        let branch = format!("branch=z9hG4bK{}", watch.cseq);
        self.request(&text.replace("branch=z9hG4bK", &branch));
        self.next_sip("SIP/2.0 200 ");
    }

    fn answer_in_dialog(
        &mut self,
        watch: &Watch,
        branch: &str,
        headers: &str,
        status: u16,
    ) -> Transmit {
        let (call, tag, cseq) = (&watch.call, &watch.tag, watch.cseq);
        let usual = if headers.contains("Event:") {
            ""
        } else {
            PRESENCE
        };
        let text = subscribe(call, &format!("{usual}{headers}"))
            .replace("CSeq: 1 ", &format!("CSeq: {cseq} "))
            .replace(&format!("z9hG4bK{call}"), &format!("z9hG4bK{call}{branch}"))
            .replace(
                "To: <sip:alice@xmpp.example>",
                &format!("To: <sip:alice@xmpp.example>;tag={tag}"),
            );
        self.request(&text);
        self.next_sip(&format!("SIP/2.0 {status} "))
    }

    /// Bob refreshes, and the answer is not sent.
    pub(super) fn refresh_in_vain(&mut self, watch: &mut Watch, headers: &str) {
        watch.cseq += 1;
        let branch = format!("x{}", watch.cseq);
        let answer = self.answer_in_dialog(watch, &branch, headers, 200);
        watch.carried(&text_of(&answer));
        self.give_back(&answer, Lapse::Expired);
    }

    /// The next thing sent is a NOTIFY in that dialog with these words, and is answered 200.
    pub(super) fn notified(&mut self, watch: &mut Watch, words: &[&str]) -> String {
        let notify = self.notification(watch, words);
        self.hand_over(&notify);
        self.answer_as(&notify, watch, 200);
        text_of(&notify)
    }

    /// The next thing sent is a NOTIFY in that dialog with these words.
    pub(super) fn notification(&mut self, watch: &mut Watch, words: &[&str]) -> Transmit {
        let notify = self.next_sip("NOTIFY sip:bob@10.0.0.1:5061;transport=tls SIP/2.0");
        let text = text_of(&notify);
        let call = format!("Call-ID: {}\r\n", watch.call);
        for word in words.iter().copied().chain([call.as_str()]) {
            assert!(text.contains(word), "{word} expected: {text}");
        }
        let cseq = text
            .split("CSeq: ")
            .nth(1)
            .and_then(|rest| rest.split(' ').next());
        let cseq: u32 = cseq.unwrap().parse().unwrap();
        assert!(cseq > watch.notified, "numbers grow: {text}");
        watch.notified = cseq;
        notify
    }

    /// Bob's side answers a NOTIFY.
    pub(super) fn answer_as(&mut self, notify: &Transmit, watch: &Watch, status: u16) {
        let text = text_of(notify);
        assert!(text.contains(&watch.call), "{text}");
        self.answer(notify, status);
    }

    /// The next thing sent is a presence stanza for Alice with these words, and is taken.
    pub(super) fn asked(&mut self, words: &[&str]) -> String {
        let stanza = self.asking(words);
        self.hand_over(&stanza);
        text_of(&stanza)
    }

    /// The next thing sent is a presence stanza for Alice with these words.
    pub(super) fn asking(&mut self, words: &[&str]) -> Transmit {
        let stanza = self.next();
        let text = text_of(&stanza);
        let start = "<presence from=\"bob@sip.example\" to=\"alice@xmpp.example\"";
        assert!(text.starts_with(start), "{text}");
        for word in words {
            assert!(text.contains(word), "{word} expected: {text}");
        }
        stanza
    }
}
