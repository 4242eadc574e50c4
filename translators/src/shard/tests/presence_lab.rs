//! What presence needs of the lab: stanzas, subscriptions and notifications.

use minidom::Element;

use crate::model::{Aor, Pair, PeerId};
use crate::shard::tests::lab::{CONNECTION, Lab, domain, request, response, text_of};
use crate::shard::{Answered, Command, CommandId, Filter, Input, Lapse, Relation, Transmit};
use crate::sip::{Message, Request};
use crate::xmpp::Stanza;

/// The device of Bob that documents speak of.
pub(super) const PHONE: &str = "<tuple id='ID-phone'><status><basic>open</basic></status></tuple>";

pub(super) const AWAY: &str = "<tuple id='ID-phone'><status><basic>open</basic>\
    <show xmlns='jabber:client'>away</show></status></tuple>";
pub(super) const CLOSED: &str =
    "<tuple id='ID-phone'><status><basic>closed</basic></status></tuple>";

/// A dialog of ours, as the SIP peer knows it.
#[derive(Clone, Debug)]
pub(super) struct Theirs {
    pub(super) call_id: String,
    /// Our tag.
    tag: String,
    /// Its own.
    pub(super) own: String,
    cseq: u32,
}

impl Theirs {
    /// The dialog that a SUBSCRIBE of ours makes.
    pub(super) fn of(subscribe: &Transmit) -> Self {
        let request = sip_request(subscribe);
        Self {
            call_id: request.call_id().unwrap().to_owned(),
            tag: request.from().unwrap().tag().unwrap().as_str().to_owned(),
            own: "b".to_owned(),
            cseq: 1,
        }
    }
}

impl Lab {
    /// A presence stanza of the XMPP peer; returns its number.
    pub(super) fn presence(&mut self, from: &str, to: &str, kind: &str) -> u64 {
        let xml =
            format!("<presence xmlns='jabber:client' from='{from}' to='{to}' type='{kind}'/>");
        let origin = self.origin(self.stream, "xmpp-peer", "xmpp.example");
        let number = origin.number();
        let element: Element = xml.parse().unwrap();
        let Stanza::Presence(presence) = Stanza::read(element, &[domain("xmpp.example")]).unwrap()
        else {
            panic!("no presence: {xml}");
        };
        self.input(Input::Presence(origin, Box::new(presence)));
        number
    }

    /// Alice's server tells Bob this in her name.
    pub(super) fn alice(&mut self, kind: &str) -> u64 {
        self.presence("alice@xmpp.example", "bob@sip.example", kind)
    }

    /// A NOTIFY of Bob's side in a dialog; returns the answer's status.
    pub(super) fn notify(&mut self, dialog: &mut Theirs, state: &str, tuples: Option<&str>) -> u16 {
        dialog.cseq += 1;
        self.notify_again(dialog, state, tuples)
    }

    /// The same with the number of the last one.
    pub(super) fn notify_again(
        &mut self,
        dialog: &Theirs,
        state: &str,
        tuples: Option<&str>,
    ) -> u16 {
        let text = self.notification_text(dialog, "NOTIFY", state, tuples);
        let origin = self.origin(CONNECTION, "sip-peer", "sip.example");
        self.input(Input::Request(origin, Box::new(request(&text))));
        let answer = self.next();
        let text = text_of(&answer);
        let status = text.strip_prefix("SIP/2.0 ").expect(&text);
        status.split(' ').next().unwrap().parse().unwrap()
    }

    /// A NOTIFY with a document of another type, which is answered 200.
    pub(super) fn notify_document(&mut self, dialog: &mut Theirs, kind: &str, body: &str) {
        dialog.cseq += 1;
        let text = self.notification_text(dialog, "NOTIFY", "active;expires=3600", None);
        let length = body.len();
        let content = format!("Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}");
        let text = text.replace("Content-Length: 0\r\n\r\n", &content);
        let origin = self.origin(CONNECTION, "sip-peer", "sip.example");
        self.input(Input::Request(origin, Box::new(request(&text))));
        self.next_sip("SIP/2.0 200 ");
    }

    /// A BENOTIFY of Bob's side in a dialog.
    pub(super) fn benotify(&mut self, dialog: &mut Theirs, state: &str, tuples: Option<&str>) {
        dialog.cseq += 1;
        let text = self.notification_text(dialog, "BENOTIFY", state, tuples);
        let origin = self.origin(CONNECTION, "sip-peer", "sip.example");
        let number = origin.number();
        self.input(Input::Request(origin, Box::new(request(&text))));
        assert!(self.settled.contains(&(CONNECTION, number)));
    }

    fn notification_text(
        &self,
        dialog: &Theirs,
        method: &str,
        state: &str,
        tuples: Option<&str>,
    ) -> String {
        let body = tuples.map_or_else(String::new, |tuples| {
            format!(
                "<presence xmlns='urn:ietf:params:xml:ns:pidf' entity='pres:bob@sip.example'>\
                 {tuples}</presence>"
            )
        });
        let kind = if body.is_empty() {
            ""
        } else {
            "Content-Type: application/pidf+xml\r\n"
        };
        let Theirs {
            call_id,
            tag,
            own,
            cseq,
        } = dialog;
        let branch = self.now.mono.since_start().as_nanos();
        format!(
            "{method} sip:{tag}@gw.example:5061 SIP/2.0\r\n\
             Via: SIP/2.0/TLS edge.sip.example;branch=z9hG4bK{branch}.{cseq}{own}{call_id}\r\n\
             Max-Forwards: 70\r\n\
             From: <sip:bob@sip.example>;tag={own}\r\n\
             To: <sip:alice@xmpp.example>;tag={tag}\r\n\
             Call-ID: {call_id}\r\n\
             CSeq: {cseq} {method}\r\n\
             Contact: <sip:bob@edge.sip.example>\r\n\
             Event: presence\r\n\
             Subscription-State: {state}\r\n\
             {kind}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    /// The SIP peer answers a SUBSCRIBE, with further headers.
    pub(super) fn answer_subscribe(&mut self, subscribe: &Transmit, status: u16, headers: &str) {
        self.answer_with(subscribe, status, headers, "");
    }

    /// The same with a body.
    pub(super) fn answer_with(
        &mut self,
        subscribe: &Transmit,
        status: u16,
        headers: &str,
        body: &str,
    ) {
        let mut text = format!("SIP/2.0 {status} Whatever\r\n");
        for line in text_of(subscribe).lines() {
            let copied = ["Via:", "From:", "Call-ID:", "CSeq:"];
            let tagged = line.starts_with("To:") && line.contains(";tag=");
            if tagged || copied.iter().any(|name| line.starts_with(name)) {
                text.extend([line, "\r\n"]);
            } else if line.starts_with("To:") {
                text.extend([line, ";tag=b\r\n"]);
            }
        }
        text.push_str("Contact: <sip:bob@edge.sip.example>\r\n");
        text.push_str(headers);
        text.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        let response = response(&text);
        self.input(Input::Response(PeerId::new("sip-peer"), Box::new(response)));
    }

    /// The next thing sent, which is a SUBSCRIBE for so many seconds; it is written.
    pub(super) fn next_subscribe(&mut self, expires: u32) -> Transmit {
        let subscribe = self.next_sip("SUBSCRIBE ");
        assert_eq!(sip_request(&subscribe).expires(), Ok(Some(expires)));
        self.hand_over(&subscribe);
        subscribe
    }

    /// The next thing sent, which is a presence stanza with all these words; it arrives.
    pub(super) fn next_presence(&mut self, words: &[&str]) -> Transmit {
        let transmit = self.next();
        let text = text_of(&transmit);
        assert!(text.starts_with("<presence"), "presence expected: {text}");
        for word in words {
            assert!(text.contains(word), "{word} expected: {text}");
        }
        self.hand_over(&transmit);
        transmit
    }

    /// Alice watches Bob and sees his phone; returns the dialog.
    pub(super) fn watched_bob(&mut self) -> Theirs {
        self.alice("subscribe");
        let subscribe = self.next_subscribe(3_600);
        self.answer_subscribe(&subscribe, 200, "Expires: 3600\r\n");
        let mut dialog = Theirs::of(&subscribe);
        assert_eq!(
            self.notify(&mut dialog, "active;expires=3600", Some(PHONE)),
            200
        );
        self.next_presence(&["type=\"subscribed\"", "from=\"bob@sip.example\""]);
        self.next_presence(&["from=\"bob@sip.example/phone\""]);
        self.nothing();
        dialog
    }

    pub(super) fn peer(&mut self, peer: &str, up: bool) {
        let peer = PeerId::new(peer);
        self.input(if up {
            Input::PeerUp(peer)
        } else {
            Input::PeerDown(peer)
        });
    }

    /// Starts anew; both peers are there again.
    pub(super) fn restart_with_peers(&mut self) {
        self.restart();
        self.nothing();
        self.peer("xmpp-peer", true);
        self.peer("sip-peer", true);
    }

    /// The operator asks for something.
    pub(super) fn command(&mut self, command: Command) -> Answered {
        self.input(Input::Command(CommandId(1), command));
        let (_, answered) = self.answers.pop().expect("no answer");
        answered
    }

    pub(super) fn list(&mut self, filter: &Filter) -> Vec<Relation> {
        match self.command(Command::List(filter.clone())) {
            Answered::Relations(relations) => relations,
            Answered::Changed(_) => panic!("no list"),
        }
    }

    pub(super) fn unreachable(&mut self, transmit: &Transmit) {
        self.give_back(transmit, Lapse::Expired);
    }
}

/// Alice and Bob.
pub(super) fn pair() -> Pair {
    pair_of("alice@xmpp.example", "bob@sip.example")
}

pub(super) fn pair_of(jid: &str, aor: &str) -> Pair {
    let user = |text| jid::BareJid::new(text).unwrap();
    Pair::new(user(jid), Aor::from_image(user(aor)))
}

pub(super) fn sip_request(transmit: &Transmit) -> Request {
    match Message::parse(transmit.bytes.clone()).unwrap() {
        Message::Request(request) => request,
        Message::Response(_) => panic!("no request"),
    }
}

/// The number of a request of ours.
pub(super) fn cseq(transmit: &Transmit) -> u32 {
    sip_request(transmit).cseq().unwrap().number
}
