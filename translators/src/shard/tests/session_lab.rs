//! A shard with a peer of the Microsoft profile, and the dialogs between Alice and Bob.

use std::ops::{Deref, DerefMut};

use super::lab::{Lab, response, text_of};
use crate::limits;
use crate::model::{Accept, Microsoft, PeerId, SipProfile};
use crate::shard::{Class, Input, Transmit};

/// Bob's Contact: a GRUU, which leads to him through the route set only.
pub(super) const CONTACT: &str = "<sip:bob@sip.example;opaque=user:epid:xyz;gruu>";
/// A signed route.
pub(super) const ROUTE: &str =
    "<sip:edge.sip.example:5061;transport=tls;lr;ms-route-sig=AbC_123>;tag=77";

const SDP: &str = "v=0\r\no=- 0 0 IN IP4 192.0.2.5\r\ns=session\r\nc=IN IP4 192.0.2.5\r\nt=0 0\r\n\
    m=message 5060 sip null\r\na=accept-types:text/plain multipart/alternative text/rtf text/html\r\n";

/// The lab with dialogs.
pub(super) struct Talk(Lab);

/// One end of a dialog, as Bob's client sees it.
#[derive(Clone, Debug)]
pub(super) struct Far {
    pub(super) call_id: String,
    pub(super) ours: String,
    pub(super) his: String,
    pub(super) contact: String,
    pub(super) cseq: u32,
}

impl Talk {
    pub(super) fn new() -> Self {
        Self::with(Microsoft::default())
    }

    pub(super) fn with(microsoft: Microsoft) -> Self {
        Self(Lab::with(Accept::Barrier, profile(Some(microsoft))))
    }

    /// With a peer of the generic profile, which starts no dialogs with us, nor we with it.
    pub(super) fn generic() -> Self {
        Self(Lab::with(Accept::Barrier, profile(None)))
    }

    /// Bob's client answers an INVITE of ours 200 on the endpoint with this tag.
    pub(super) fn takes(&mut self, invite: &Transmit, tag: &str) -> Far {
        self.answers(invite, 200, tag, Some(SDP));
        Far {
            call_id: value(invite, "Call-ID"),
            ours: tag_of(&value(invite, "From")),
            his: tag.to_owned(),
            contact: value(invite, "Contact").trim_matches(['<', '>']).to_owned(),
            cseq: 0,
        }
    }

    /// Bob's client answers a request of ours; the tag is that of To, unless one stands there.
    pub(super) fn answers(
        &mut self,
        transmit: &Transmit,
        status: u16,
        tag: &str,
        body: Option<&str>,
    ) {
        let mut text = format!("SIP/2.0 {status} Whatever\r\n");
        for line in text_of(transmit)
            .lines()
            .take_while(|line| !line.is_empty())
        {
            let copied = ["Via:", "From:", "Call-ID:", "CSeq:"];
            let tagged = line.starts_with("To:") && line.contains(";tag=");
            if tagged || copied.iter().any(|name| line.starts_with(name)) {
                text.extend([line, "\r\n"]);
            } else if line.starts_with("To:") {
                text.extend([line, ";tag=", tag, "\r\n"]);
            }
        }
        if let Some(body) = body {
            text.push_str(&format!("Record-Route: {ROUTE}\r\nContact: {CONTACT}\r\n"));
            text.push_str("Content-Type: application/sdp\r\n");
            text.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        } else {
            text.push_str("Content-Length: 0\r\n\r\n");
        }
        let input = Input::Response(PeerId::new("sip-peer"), Box::new(response(&text)));
        self.input(input);
    }

    /// A conversation that Alice began with `hello`, which arrived.
    pub(super) fn begun(&mut self) -> Far {
        self.alice_writes("m0", "hello");
        let invite = self.next_sip("INVITE ");
        self.hand_over(&invite);
        let far = self.takes(&invite, "b1");
        let ack = self.next_sip("ACK ");
        assert_eq!(ack.class, Class::Answer, "the other end waits for it");
        let message = self.next_sip("MESSAGE ");
        self.hand_over(&message);
        self.answer(&message, 200);
        self.nothing();
        far
    }

    /// Bob's INVITE, which is answered 200.
    pub(super) fn invites(&mut self, branch: &str, first: Option<&str>) -> Far {
        self.request(&invite(
            branch,
            &first.map(embedded).unwrap_or_default(),
            SDP,
        ));
        let answer = self.next_sip("SIP/2.0 200 ");
        let text = text_of(&answer);
        assert!(text.contains("\r\nm=message 5060 sip"), "{text}");
        assert!(
            text.contains(&format!("Record-Route: {ROUTE}\r\n")),
            "{text}"
        );
        Far {
            call_id: value(&answer, "Call-ID"),
            ours: tag_of(&value(&answer, "To")),
            his: format!("b{branch}"),
            contact: value(&answer, "Contact")
                .trim_matches(['<', '>'])
                .to_owned(),
            cseq: 1,
        }
    }

    /// The same, with its ACK.
    pub(super) fn invited(&mut self, branch: &str, first: Option<&str>) -> Far {
        let far = self.invites(branch, first);
        self.acks(&far);
        far
    }

    pub(super) fn acks(&mut self, far: &Far) {
        let text = far.request("ACK", 1, "ack", "", "");
        self.request(&text);
    }

    /// A request of Bob's in the dialog.
    pub(super) fn inside(&mut self, far: &mut Far, method: &str, kind: &str, body: &str) -> u64 {
        far.cseq += 1;
        // Every dialog has branches of its own.
        let name = far.call_id.get(..6).unwrap_or(&far.call_id);
        let branch = format!("{name}{}", far.his);
        let text = far.request(method, far.cseq, &branch, kind, body);
        self.request(&text)
    }

    /// A text of Bob's in the dialog.
    pub(super) fn bob_says(&mut self, far: &mut Far, text: &str) -> u64 {
        self.inside(far, "MESSAGE", "text/plain; charset=UTF-8", text)
    }

    /// A text of Bob's that arrives.
    pub(super) fn bob_says_and_alice_has(&mut self, far: &mut Far, text: &str) {
        self.bob_says(far, text);
        let stanza = self.next_stanza(&[&format!("<body>{text}</body>"), "type=\"chat\""]);
        self.hand_over(&stanza);
        self.next_sip("SIP/2.0 200 ");
    }

    /// The next thing sent is a message in the dialog; it arrives.
    pub(super) fn bob_gets(&mut self, text: &str) {
        let message = self.next_sip("MESSAGE sip:bob@sip.example;opaque=user:epid:xyz;gruu ");
        assert!(text_of(&message).ends_with(text), "{}", text_of(&message));
        self.hand_over(&message);
        self.answer(&message, 200);
    }
}

impl Deref for Talk {
    type Target = Lab;

    fn deref(&self) -> &Lab {
        &self.0
    }
}

impl DerefMut for Talk {
    fn deref_mut(&mut self) -> &mut Lab {
        &mut self.0
    }
}

impl Far {
    /// A request of Bob's client in the dialog.
    pub(super) fn request(
        &self,
        method: &str,
        cseq: u32,
        branch: &str,
        kind: &str,
        body: &str,
    ) -> String {
        let kind = if kind.is_empty() {
            String::new()
        } else {
            format!("Content-Type: {kind}\r\n")
        };
        format!(
            "{method} {} SIP/2.0\r\n\
             Via: SIP/2.0/TLS edge.sip.example;branch=z9hG4bK{branch}{cseq}\r\n\
             Max-Forwards: 70\r\n\
             From: <sip:bob@sip.example>;tag={};epid=abc\r\n\
             To: <sip:alice@xmpp.example>;tag={}\r\n\
             Call-ID: {}\r\nCSeq: {cseq} {method}\r\n\
             Contact: {CONTACT}\r\n{kind}Content-Length: {}\r\n\r\n{body}",
            self.contact,
            self.his,
            self.ours,
            self.call_id,
            body.len()
        )
    }
}

fn profile(microsoft: Option<Microsoft>) -> SipProfile {
    SipProfile {
        page_limit: limits::SIP_BODY,
        chat: microsoft.is_some(),
        microsoft,
        ..SipProfile::default()
    }
}

/// An INVITE of Bob's with further headers and this description.
pub(super) fn invite(branch: &str, headers: &str, sdp: &str) -> String {
    format!(
        "INVITE sip:alice@xmpp.example SIP/2.0\r\n\
         Via: SIP/2.0/TLS edge.sip.example;branch=z9hG4bK{branch}\r\n\
         Max-Forwards: 70\r\nRecord-Route: {ROUTE}\r\n\
         From: \"Bob\" <sip:bob@sip.example>;tag=b{branch};epid=abc\r\n\
         To: <sip:alice@xmpp.example>\r\n\
         Call-ID: call-{branch}\r\nCSeq: 1 INVITE\r\nContact: {CONTACT}\r\n\
         Supported: ms-delayed-accept\r\nSupported: ms-conf-invite\r\n{headers}\
         Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
        sdp.len()
    )
}

/// The description of an offer of other media.
pub(super) fn media(line: &str) -> String {
    format!(
        "v=0\r\no=- 0 0 IN IP4 192.0.2.5\r\ns=session\r\nc=IN IP4 192.0.2.5\r\nt=0 0\r\n{line}\r\n"
    )
}

/// The header with the first message.
pub(super) fn embedded(text: &str) -> String {
    use base64::Engine as _;

    let body = base64::engine::general_purpose::STANDARD.encode(text);
    format!("ms-text-format: text/plain; charset=UTF-8;msgr=WAA=;ms-body={body}\r\n")
}

/// The value of a header.
pub(super) fn value(transmit: &Transmit, name: &str) -> String {
    let text = text_of(transmit);
    let prefix = format!("{name}: ");
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(&prefix));
    lines
        .next()
        .unwrap_or_else(|| panic!("no {name}: {text}"))
        .to_owned()
}

pub(super) fn tag_of(address: &str) -> String {
    let (_, tag) = address.split_once(";tag=").unwrap();
    tag.split(';').next().unwrap().to_owned()
}
