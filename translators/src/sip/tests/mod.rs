//! Tests of the parts together, and what they share.

mod framing;
mod headers;
mod hop;
mod hop_invite;
mod invite;
mod lync;
mod message;
mod properties;
mod subscription;
mod transaction;
mod writer;

use bytes::Bytes;

use crate::sip::{Message, Request, Response};

/// A MESSAGE as a peer would send it.
const MESSAGE: &str = "MESSAGE sip:alice@xmpp.example SIP/2.0\n\
    Via: SIP/2.0/TLS edge.sip.example:5061;branch=z9hG4bK77a1\n\
    Max-Forwards: 70\n\
    From: \"Bob\" <sip:bob@sip.example>;tag=b1\n\
    To: <sip:alice@xmpp.example>\n\
    Call-ID: c1@sip.example\n\
    CSeq: 7 MESSAGE\n\
    Content-Type: text/plain\n\
    Content-Length: 5\n\
    \n\
    hello";

/// A response to the request with this branch.
fn response_to(branch: &str, status_line: &str) -> Response {
    response(&format!(
        "SIP/2.0 {status_line}\n\
         Via: SIP/2.0/TLS gw.example:5061;branch={branch};alias;received=192.0.2.1\n\
         From: <sip:alice@xmpp.example>;tag=a1\n\
         To: <sip:bob@sip.example>;tag=b9\n\
         Call-ID: c2\n\
         CSeq: 1 MESSAGE\n\
         Content-Length: 0\n\n"
    ))
}

/// Line ends of the wire.
pub(in crate::sip) fn crlf(text: &str) -> Bytes {
    text.replace('\n', "\r\n").into()
}

pub(in crate::sip) fn request(text: &str) -> Request {
    match Message::parse(crlf(text)).unwrap() {
        Message::Request(request) => request,
        Message::Response(_) => panic!("a response"),
    }
}

pub(in crate::sip) fn response(text: &str) -> Response {
    match Message::parse(crlf(text)).unwrap() {
        Message::Response(response) => response,
        Message::Request(_) => panic!("a request"),
    }
}

/// The text with another header or value in place of one it has.
pub(in crate::sip) fn with(text: &str, old: &str, new: &str) -> String {
    assert!(text.contains(old), "{old:?} is not there");
    text.replacen(old, new, 1)
}
