//! What the lab of X2S writes and knows.

use jid::BareJid;
use translators::model::{PresenceState, Tuple};
use translators::presence::subscriber::Asking;
use translators::sip::{Message, Request, Response, Tag};

pub(crate) fn min_expires(status: Option<u16>) -> &'static str {
    if status == Some(423) {
        "Min-Expires: 7200\r\n"
    } else {
        ""
    }
}

pub(crate) fn response(call_id: &str, asking: Asking, status: u16, headers: &str) -> Response {
    let text = format!(
        "SIP/2.0 {status} Whatever\r\n\
         Via: SIP/2.0/TLS gw.example;branch=z9hG4bK000000ab00070000000000000001\r\n\
         From: <sip:alice@xmpp.example>;tag={tag}\r\n\
         To: <sip:bob@sip.example>;tag=b\r\n\
         Call-ID: {call_id}\r\n\
         CSeq: 1 SUBSCRIBE\r\n\
         Contact: <sip:bob@edge.sip.example>\r\n\
         {headers}Content-Length: 0\r\n\r\n",
        tag = asking.tag,
    );
    match Message::parse(text.into()).unwrap() {
        Message::Response(response) => response,
        Message::Request(_) => unreachable!("a status line"),
    }
}

pub(crate) fn alice() -> BareJid {
    BareJid::new("alice@xmpp.example").unwrap()
}

pub(crate) fn open(device: &str) -> PresenceState {
    PresenceState::new([Tuple::available(device)])
}

/// A NOTIFY with this number and state.
pub(crate) fn notify(tag: Tag, from: &str, call_id: &str, (number, state): (u32, &str)) -> Request {
    let text = format!(
        "NOTIFY sip:{tag}@gw.example SIP/2.0\r\n\
         Via: SIP/2.0/TLS edge.sip.example;branch=z9hG4bK{number}\r\n\
         Max-Forwards: 70\r\n\
         From: <sip:bob@sip.example>;tag={from}\r\n\
         To: <sip:alice@xmpp.example>;tag={tag}\r\n\
         Call-ID: {call_id}\r\n\
         CSeq: {number} NOTIFY\r\n\
         Contact: <sip:bob@edge.sip.example>\r\n\
         Event: presence\r\n\
         Subscription-State: {state}\r\n\
         Content-Length: 0\r\n\r\n"
    );
    match Message::parse(text.into()).unwrap() {
        Message::Request(request) => request,
        Message::Response(_) => unreachable!("a request line"),
    }
}
