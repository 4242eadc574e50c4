//! Messages through both tables.

mod to_sip;
mod to_xmpp;

use bytes::Bytes;
use jid::BareJid;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::*;
use crate::model::{
    Accept, Aor, ChatState, Dialect, Directory, Domain, InstantMessage, LinkId, MessageStyle,
    Microsoft, Pair, Payload, PeerId, Profile, Receipt, ReceiptKind, SipProfile, Wall, XmppProfile,
};
use crate::origin::{self, Origin, Proven};
use crate::policy::{Admitted, Policy};
use crate::sip::{self, Branch, CallId, HeaderName, Mark, Request, SentBy};
use crate::text::SipToken;
use crate::xmpp::reader::{Frame, Reader, ReaderLimits};
use crate::xmpp::{Message, Stanza};

const NOW: &str = "2026-11-25T12:00:00Z";

fn now() -> Wall {
    Wall::parse_rfc3339(NOW).unwrap()
}

fn domain(name: &str) -> Domain {
    Domain::parse(name).unwrap()
}

fn directory(peer: &SipProfile) -> Directory {
    let profile = |name, domains: &[&str], dialect| Profile {
        id: PeerId::new(name),
        domains: domains.iter().map(|name| domain(name)).collect(),
        accept: Accept::Barrier,
        dialect,
    };
    Directory::new([
        profile(
            "x",
            &["example.com", "rooms.example.com"],
            Dialect::Xmpp(XmppProfile::default()),
        ),
        profile("s", &["example.net"], Dialect::Sip(peer.clone())),
    ])
}

/// An origin on a link that proved all domains of the XMPP peer.
fn origin() -> Origin {
    let domains = [domain("example.com"), domain("rooms.example.com")];
    let proven = Proven::new(LinkId(1), PeerId::new("x"), domains);
    origin::verify(&proven, 1, &domain("example.com")).unwrap()
}

fn stanza(text: &str) -> Message {
    let stream = format!(
        "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>{text}"
    );
    let mut reader = Reader::new(ReaderLimits::default());
    let mut input = stream.as_bytes();
    assert!(matches!(
        reader.next(&mut input),
        Ok(Some(Frame::Header(_)))
    ));
    let Ok(Some(Frame::Stanza(element))) = reader.next(&mut input) else {
        panic!("no stanza in {text}");
    };
    let proven = ["example.com", "rooms.example.com", "example.net"].map(domain);
    match Stanza::read(element, &proven) {
        Ok(Stanza::Message(message)) => message,
        other => panic!("{other:?}"),
    }
}

/// A message from alice's device to bob with this content.
fn from_alice(attributes: &str, content: &str) -> Message {
    stanza(&format!(
        "<message from='alice@example.com/pda' to='bob@example.net' id='m1' {attributes}>{content}</message>"
    ))
}

fn read_stanza(message: &Message) -> Result<(Pair, InstantMessage), Unmapped> {
    from_xmpp(message, &origin(), &directory(&SipProfile::default()))
}

fn text_of(content: &str) -> Result<String, Unmapped> {
    let (_, message) = read_stanza(&from_alice("", content))?;
    Ok(words(message.payload))
}

/// The text of a text message.
fn words(payload: Payload) -> String {
    let Payload::Text { text, .. } = payload else {
        panic!("{payload:?}");
    };
    text
}

fn admit(pair: Pair, message: InstantMessage) -> Admitted<InstantMessage> {
    Policy::default().admit(pair, message).unwrap()
}

fn envelope() -> Envelope {
    Envelope {
        call_id: CallId::parse("c1").unwrap(),
        from_tag: SipToken::parse("t1").unwrap(),
        cseq: 1,
        message_id: "34jk324j".to_owned(),
        now: now(),
    }
}

/// The MESSAGE for a stanza, written and read again.
fn request_for(message: &Message, peer: &SipProfile) -> Request {
    let (pair, instant) = from_xmpp(message, &origin(), &directory(peer)).unwrap();
    let draft = to_sip(&admit(pair, instant), peer, envelope()).unwrap();
    let sent_by = SentBy::new("gw.example.com", 5061).unwrap();
    let bytes = write_page(&draft, peer, &sent_by, branch()).unwrap();
    request(&bytes)
}

fn branch() -> Branch {
    Branch::draw(Mark(1), 2, &mut StdRng::seed_from_u64(1))
}

fn request(bytes: &[u8]) -> Request {
    match sip::Message::parse(Bytes::copy_from_slice(bytes)).unwrap() {
        sip::Message::Request(request) => request,
        sip::Message::Response(_) => panic!("a response"),
    }
}

/// A MESSAGE from bob to alice with these headers and body.
fn from_bob(headers: &str, body: &[u8]) -> Request {
    let head = format!(
        "MESSAGE sip:alice@example.com SIP/2.0\r\nVia: SIP/2.0/TLS s.example.net;branch=z9hG4bKb1\r\n\
         Max-Forwards: 70\r\nFrom: \"Bob\u{202e} \\\"B\\\"\" <sip:bob@example.net;gr=desk>;tag=b\r\n\
         To: <sip:alice@example.com>\r\nCall-ID: call1\r\nCSeq: 7 MESSAGE\r\n{headers}\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    request(&[head.as_bytes(), body].concat())
}

fn read_request(request: &Request, peer: &SipProfile) -> Result<Incoming, Unmapped> {
    from_sip(request, peer, &directory(peer), now())
}

fn body_of(content_type: &str, body: &[u8]) -> Result<String, Unmapped> {
    let request = from_bob(&format!("Content-Type: {content_type}\r\n"), body);
    let incoming = read_request(&request, &SipProfile::default())?;
    Ok(words(incoming.message.payload))
}

fn value(request: &Request, name: HeaderName) -> Option<String> {
    request.header(name).map(|header| header.text())
}
