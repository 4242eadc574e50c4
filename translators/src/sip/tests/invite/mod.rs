//! INVITE: its transactions, and the dialogs that it makes.

mod client;
mod dialogs;
mod properties;
mod server;
mod shapes;

use std::time::Duration;

use jid::BareJid;

use crate::model::{Mono, PeerId};
use crate::sip::invite::{Caller, Terms};
use crate::sip::tests::{crlf, response};
use crate::sip::{Draft, Message, NameAddr, Request, Response, SentBy, SipUri, Tag, sdp};

/// An INVITE as a Microsoft client and its server write it.
const INVITE: &str = "INVITE sip:alice@xmpp.example SIP/2.0\n\
    Record-Route: <sip:edge.sip.example:5061;transport=tls;opaque=state:T:F:Ci.R3f;lr;ms-route-sig=daf_MA>;tag=33080DF1\n\
    Via: SIP/2.0/TLS 192.0.2.7:5061;branch=z9hG4bK2DA3892F.D0429AA14DA5C5DB;branched=FALSE\n\
    Max-Forwards: 69\n\
    Content-Length: 163\n\
    Via: SIP/2.0/TLS 198.51.100.57:37737;ms-received-port=37737;ms-received-cid=3E8A00\n\
    From: \"Bob\"<sip:bob@sip.example>;tag=9d5c2a38ba;epid=b84a59c035\n\
    To: <sip:alice@xmpp.example>\n\
    Call-ID: ce878a8bc0ca4c76\n\
    CSeq: 7 INVITE\n\
    Record-Route: <sip:pool.sip.example:5061;transport=tls;lr>, <sip:fe.sip.example;lr>\n\
    Contact: <sip:bob@sip.example;opaque=user:epid:hYnsEUpJhlGc0T-xd_I7vAAA;gruu>\n\
    Supported: ms-dialog-route-set-update\n\
    Supported: timer, ms-sender\n\
    Ms-Conversation-ID: AdKjt1Xy9lDJ8KRjRYaBRsRaq4N/vw==\n\
    ms-text-format: text/plain; charset=UTF-8; ms-body=SGVsbG8NCg==\n\
    EndPoints: <sip:bob@sip.example>, <sip:alice@xmpp.example>\n\
    Content-Type: application/sdp;call-type=im\n\
    \n\
    v=0\n\
    o=- 0 0 IN IP4 198.51.100.57\n\
    s=session\n\
    c=IN IP4 198.51.100.57\n\
    t=0 0\n\
    m=message 5060 sip null\n\
    a=accept-types:text/plain text/html multipart/alternative \n";

fn peer() -> PeerId {
    PeerId::new("edge")
}

fn at(millis: u64) -> Mono {
    Mono::from_start(Duration::from_millis(millis))
}

fn tag(random: u64) -> Tag {
    Tag::new(&BareJid::new("alice@xmpp.example").unwrap(), random)
}

fn sent_by() -> SentBy {
    SentBy::new("gw.xmpp.example", 5061).unwrap()
}

fn terms(sent_by: &SentBy) -> Terms<'_> {
    Terms {
        sent_by,
        types: sdp::TYPES_MICROSOFT,
        epid: true,
        took_first: false,
    }
}

fn caller() -> Caller {
    let alice = SipUri::parse("sip:alice@xmpp.example").unwrap();
    Caller {
        tag: tag(1),
        call_id: 0xabc,
        from: NameAddr::new(Some("Alice"), alice, None).with_epid(tag(1).epid()),
        to: SipUri::parse("sip:bob@sip.example").unwrap(),
        conversation: Some(0x17),
        subject: None,
    }
}

/// Reads a request whose Content-Length is made right.
fn read(text: &str) -> Request {
    let text = crlf(text);
    let text = str::from_utf8(&text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let lines = head
        .lines()
        .filter(|line| !line.to_ascii_lowercase().starts_with("content-length"));
    let head: Vec<_> = lines.collect();
    let whole = format!(
        "{}\r\nContent-Length: {}\r\n\r\n{body}",
        head.join("\r\n"),
        body.len()
    );
    match Message::parse(whole.into()).unwrap() {
        Message::Request(request) => request,
        Message::Response(_) => panic!("a response"),
    }
}

/// The answer to a request of ours, whose To gets this tag.
fn answer_to(draft: &Draft, branch: &str, status: &str, tag: &str, headers: &str) -> Response {
    let Draft {
        method,
        from,
        call_id,
        cseq,
        ..
    } = draft;
    let to = match tag {
        "" => draft.to.to_string(),
        tag => format!("{};epid=46c4b2d3ac;tag={tag}", draft.to),
    };
    response(&format!(
        "SIP/2.0 {status}\n\
         Via: SIP/2.0/TLS gw.xmpp.example:5061;branch={branch};received=192.0.2.1\n\
         From: {from}\nTo: {to}\nCall-ID: {}\nCSeq: {cseq} {method}\n\
         {headers}Content-Length: 0\n\n",
        call_id.as_str()
    ))
}
