//! SIP messages and what is left of them.

use std::time::Duration;

use bytes::Bytes;

use super::{Desk, Explanation, conversation, diagnostics, dropped, subscription};
use crate::address::{self, Reject};
use crate::mapping::failure::{self, Own};
use crate::mapping::message::{Incoming, Unmapped, from_sip, to_xmpp};
use crate::mapping::parties;
use crate::model::{Domain, Now, Payload, Side, SipProfile, XmppProfile};
use crate::policy::Policy;
use crate::sip::hop::{Hop, HopConfig, HopEvent, HopInput};
use crate::sip::{
    HeaderName, Hosts, Mark, Message, Method, NameAddr, Request, Response, Scheme, SipUri, offer,
};
use crate::text::{Line, SipToken};

/// Explains a message, headers without a start line, or an address; `false` for anything else.
pub(super) fn explain(input: &[u8], desk: &Desk<'_>, story: &mut Explanation) -> bool {
    let line = first_line(input);
    if let Ok(uri) = SipUri::parse(line)
        && uri.scheme() != Scheme::Other
    {
        user("The address", &uri, uri.param("gr"), story);
        return true;
    }
    if !is_start_line(line) {
        return headers_only(input, story);
    }
    match read(input, story) {
        Some((Message::Request(message), whole)) => request(&message, whole, desk, story),
        Some((Message::Response(message), _)) => response(&message, story),
        None => {}
    }
    true
}

/// Whether a line is a request line or a status line, as far as one can tell.
pub(super) fn is_start_line(line: &str) -> bool {
    if line.starts_with("SIP/2.0 ") {
        return true;
    }
    let mut words = line.trim_end().split(' ');
    let method = words.next().and_then(SipToken::parse).is_some();
    method && words.next().is_some() && words.next_back() == Some("SIP/2.0")
}

fn first_line(input: &[u8]) -> &str {
    let line = input.split(|octet| *octet == b'\n').next().unwrap_or(input);
    std::str::from_utf8(line).unwrap_or_default().trim_end()
}

/// Reads a message as far as it goes, and says whether it is whole.
fn read(input: &[u8], story: &mut Explanation) -> Option<(Message, bool)> {
    let whole = Message::parse(Bytes::copy_from_slice(input));
    let defect = match whole {
        Ok(message) => return Some((message, true)),
        Err(defect) => defect,
    };
    let with_crlf = || {
        let text = String::from_utf8_lossy(input).replace("\r\n", "\n");
        Message::parse_fragment(text.replace('\n', "\r\n").as_bytes())
    };
    match Message::parse_fragment(input).or_else(|_| with_crlf()) {
        Ok(message) => {
            story.says(format!(
                "The message is not whole: {defect}. It is explained as far as it goes."
            ));
            Some((message, false))
        }
        Err(defect) => {
            story.says(format!(
                "A SIP message that cannot be read: {defect}. A request like this is answered {}.",
                defect.status()
            ));
            None
        }
    }
}

/// Headers of a SIP message without their start line.
fn headers_only(input: &[u8], story: &mut Explanation) -> bool {
    let text = String::from_utf8_lossy(input);
    let head = text.split("\r\n\r\n").next().unwrap_or(&text);
    let headers: Vec<_> = head
        .lines()
        .map_while(|line| line.split_once(':'))
        .collect();
    if !headers.iter().any(is_sip_header) {
        return false;
    }
    story.says("Headers of a SIP message without a start line: whether it is a request or a response cannot be told, so it becomes nothing.");
    for (name, value) in headers {
        if diagnostics::is_name(name) {
            diagnostics::value(value, story);
        }
    }
    true
}

/// Headers that mail and HTTP do not have.
fn is_sip_header((name, value): &(&str, &str)) -> bool {
    let name = name.trim_end().to_ascii_lowercase();
    match name.as_str() {
        "via" | "v" => value.trim_start().starts_with("SIP/"),
        "call-id" | "cseq" | "max-forwards" | "record-route" => true,
        "from" | "f" | "to" | "t" | "contact" | "m" | "route" => value.contains("sip:"),
        name => name.starts_with("ms-"),
    }
}

/// Explains a request.
fn request(request: &Request, whole: bool, desk: &Desk<'_>, story: &mut Explanation) {
    story.says(format!(
        "A SIP request {} (RFC 3261).",
        request.method_name()
    ));
    let from = request.from().ok();
    users(from.as_ref(), request.to().ok().as_ref(), story);
    let own = from.and_then(|from| Domain::parse(from.uri().host()));
    if own.is_some_and(|domain| desk.is_on(Side::Xmpp, &domain)) {
        story.says("Its sender is an XMPP user of the configuration: the gateway itself sends such a request, and would answer 403 to one that comes in.");
        return;
    }
    story.says(purpose(request));
    let further: Option<Further> = match request.method() {
        Some(Method::Invite) => Some(conversation::invite),
        Some(Method::Message) if request.to().is_ok_and(|to| to.tag().is_some()) => {
            Some(conversation::inside)
        }
        Some(Method::Message) => Some(message),
        Some(Method::Ack | Method::Bye | Method::Cancel | Method::Info | Method::Update) => {
            Some(conversation::inside)
        }
        Some(Method::Notify | Method::Benotify) if is_presence(request) => {
            Some(subscription::notify)
        }
        Some(Method::Subscribe) if is_presence(request) => Some(subscription::subscribe),
        _ => None,
    };
    if further.is_none()
        && let Some(header) = request.header(HeaderName::ContentType)
    {
        let kind = Line::fold(&header.text());
        story.says(format!("Its body ({kind}) is not translated."));
    }
    // What lacks nothing but its line ends is judged as if it had come whole.
    let judged = whole || request.validate().is_ok();
    if judged && !passes_link(request, desk, story) && further.is_some() {
        story.says("Without that it would go on like this.");
    }
    if let Some(further) = further {
        further(request, desk, story);
    }
}

/// Explains what becomes of a request behind the link.
type Further = fn(&Request, &Desk<'_>, &mut Explanation);

/// Whether a request is about presence; a NOTIFY without Event is taken as its dialog's.
fn is_presence(request: &Request) -> bool {
    match request.event() {
        Ok(Some(event)) => event.is_presence(),
        Ok(None) => matches!(request.method(), Some(Method::Notify | Method::Benotify)),
        Err(_) => false,
    }
}

/// Tells how the users' addresses look on the XMPP side.
fn users(from: Option<&NameAddr>, to: Option<&NameAddr>, story: &mut Explanation) {
    for (role, address) in [("From", from), ("To", to)] {
        let Some(address) = address else {
            story.says(format!("{role} is missing or cannot be read."));
            continue;
        };
        user(role, address.uri(), address.gr(), story);
    }
}

/// Tells how one address looks on the XMPP side.
fn user(role: &str, uri: &SipUri, gr: Option<&str>, story: &mut Explanation) {
    match address::to_jid(uri, gr) {
        Ok(jid) => story.says(format!(
            "{role} {uri} is {jid} on the XMPP side (RFC 7247 section 6.4)."
        )),
        Err(reject) => story.says(format!(
            "{role} {uri} has no address on the XMPP side: {reject}."
        )),
    }
}

/// What a request is for.
fn purpose(request: &Request) -> &'static str {
    match request.method() {
        Some(Method::Invite) => "It opens a session, or changes one (RFC 3261 section 13).",
        Some(Method::Subscribe) if is_presence(request) => "It subscribes to presence (RFC 3856).",
        Some(Method::Subscribe) => {
            "It subscribes to an event package other than presence, which nothing here has."
        }
        Some(Method::Notify) => "It brings the state of a subscription (RFC 6665).",
        Some(Method::Benotify) => {
            "It brings the state of a subscription and is never answered ([MS-SIP] section 3.5)."
        }
        Some(Method::Options) => "It asks what the gateway can do, or whether it lives.",
        Some(Method::Ack) => "It confirms an answer to an INVITE.",
        Some(Method::Bye) => "It ends a session.",
        Some(Method::Cancel) => "It takes an INVITE back.",
        Some(Method::Info) => "It tells something beside the messages of a session.",
        Some(Method::Prack) => {
            "It confirms a provisional answer (RFC 3262), of which the gateway makes none."
        }
        Some(Method::Update) => "It refreshes a session (RFC 3311).",
        Some(Method::Message) => "It carries a message.",
        Some(Method::Negotiate) => {
            "It offers to compress what follows on the connection ([MS-SIPCOMP]); the gateway goes on without."
        }
        Some(Method::Publish | Method::Refer | Method::Register) => {
            "It has no counterpart on the XMPP side."
        }
        None => "Its method is unknown and has no counterpart on the XMPP side.",
    }
}

/// Lets a connection's machine judge a request, and tells what it answers by itself.
fn passes_link(request: &Request, desk: &Desk<'_>, story: &mut Explanation) -> bool {
    let now = Now {
        wall: desk.now,
        ..Now::default()
    };
    let config = HopConfig {
        mark: Mark(0),
        hosts: Hosts::new(5061),
        microsoft: conversation::profile(request, desk).microsoft,
        accept: Line::fold(offer::ACCEPT),
        source: None,
        probe: None,
        keepalive: Duration::MAX,
        probe_after: Duration::MAX,
        idle: None,
    };
    let effects = Hop::new(config, now, 0).handle(HopInput::Bytes(&whole(request)), now);
    let mut events = effects.events.iter();
    let passed = events.any(|event| matches!(event, HopEvent::Request(_)));
    if !effects.write.is_empty() {
        story.says("The gateway answers on the same connection:");
        story.shows(&effects.write);
    } else if !passed {
        story.says("Nothing is answered.");
    }
    passed
}

/// A request as it came, or with the Content-Length that it has where another one is written.
fn whole(request: &Request) -> Vec<u8> {
    let bytes = [request.bytes().as_ref(), request.body()].concat();
    if Message::parse(Bytes::copy_from_slice(&bytes)).is_ok() {
        return bytes;
    }
    let uri = request
        .uri()
        .map_or_else(|_| String::new(), |uri| uri.to_string());
    let mut text = format!("{} {uri} SIP/2.0\r\n", request.method_name());
    let headers = request.headers();
    for header in headers.filter(|header| header.id != HeaderName::ContentLength) {
        text.push_str(&format!("{}: {}\r\n", header.name, header.raw));
    }
    let octets = request.body().len();
    text.push_str(&format!("Content-Length: {octets}\r\n\r\n"));
    [text.as_bytes(), request.body()].concat()
}

fn message(request: &Request, desk: &Desk<'_>, story: &mut Explanation) {
    let peer = SipProfile::default();
    let target = request.uri().ok();
    let target = target.and_then(|uri| Domain::parse(uri.host()));
    let sender = parties::sender_domain(request, &peer).ok();
    let (Some(target), Some(sender)) = (target, sender) else {
        story.says("Sender or recipient has no address on the XMPP side. The gateway answers:");
        let peer = conversation::profile(request, desk);
        let refusal = Own::Rejected(Reject::Host).refusal_to(peer.microsoft.is_some());
        return story.shows(&conversation::reply(request, refusal.answer, &peer));
    };
    let directory = desk.with_peers(&[(Side::Sip, &sender), (Side::Xmpp, &target)], story);
    let peer = &conversation::profile(request, desk);
    if let Some(header) = request.header(HeaderName::ContentType) {
        story.says(format!("Its body is {}.", Line::fold(&header.text())));
    }
    let incoming = match from_sip(request, peer, &directory, desk.now) {
        Ok(incoming) => incoming,
        Err(Unmapped::Dropped(reason)) => return story.says(dropped(reason)),
        Err(Unmapped::Refused(own)) => {
            let refusal = own.refusal_to(peer.microsoft.is_some());
            let text = refusal.failure.text.unwrap_or_default();
            story.says(format!("It is refused: {text}. The gateway answers:"));
            return story.shows(&conversation::reply(request, refusal.answer, peer));
        }
    };
    stanza(incoming, peer.success, story);
}

/// Shows the stanza that a message becomes.
pub(super) fn stanza(incoming: Incoming, success: u16, story: &mut Explanation) {
    let message = &incoming.message;
    match &message.payload {
        Payload::Invitation(_) => story.says("It is an invitation to a room."),
        Payload::Receipt(receipt) => {
            story.says(format!("It is a receipt (IMDN) for {}.", receipt.of))
        }
        Payload::Text { html: Some(_), .. } => {
            story.says("Its HTML becomes XHTML-IM beside plain text (RFC 7572 section 7).")
        }
        Payload::Text { html: None, .. } => {
            story.says("It becomes a message of type normal or chat (RFC 7572 section 5).")
        }
        Payload::Typing(_) => story
            .says("It tells typing (RFC 3994) and is passed on only while a conversation is open."),
    }
    let Ok(admitted) = Policy::default().admit(incoming.pair, incoming.message) else {
        return;
    };
    let written = to_xmpp(&admitted).map(|stanza| stanza.write(XmppProfile::default().max_stanza));
    match written {
        Ok(Ok(bytes)) => {
            story.says("On the XMPP side, where the gateway chooses identifier and thread:");
            story.shows(&bytes);
            story.says(format!("The request is answered {success} when the XMPP server has taken the stanza, and with its error otherwise."));
        }
        Ok(Err(unwritable)) => story.says(format!(
            "The stanza would be {unwritable}; the gateway answers 513."
        )),
        Err(reject) => story.says(format!("An address has no image: {reject}.")),
    }
}

fn response(response: &Response, story: &mut Explanation) {
    let (status, reason) = (response.status(), response.reason());
    story.says(format!("A SIP response {status} {reason} (RFC 3261)."));
    let profile = diagnostics::response(response, story);
    if response.is_provisional() {
        story.says("It is provisional: the gateway goes on waiting.");
        return;
    }
    match response.cseq() {
        Ok(cseq) if matches!(cseq.method, "BYE" | "CANCEL" | "INFO" | "INVITE" | "UPDATE") => {
            story.says(format!("It answers {}.", cseq.method));
            if conversation::answered(response, cseq.method, story) {
                return;
            }
        }
        Ok(cseq) if matches!(cseq.method, "NOTIFY" | "SUBSCRIBE") => {
            story.says(format!("It answers {}.", cseq.method));
            return subscription::answered(response, cseq.method, &profile, story);
        }
        Ok(cseq) if cseq.method != "MESSAGE" => {
            return story.says(format!(
                "It answers {}, which the gateway does not send.",
                cseq.method
            ));
        }
        Ok(_) | Err(_) => {}
    }
    if status < 300 {
        story.says("Towards the XMPP user it becomes nothing: a delivered message is silent (RFC 7572 section 4).");
        return;
    }
    let failure = failure::from_sip(response, &profile);
    let contact = response.to().ok();
    let domain = contact.and_then(|contact| Domain::parse(contact.uri().host()));
    let error = failure::to_xmpp(&failure, domain.as_ref());
    story.says(format!(
        "For a message it becomes the stanza error {} of type {} (RFC 7247 section 7.2) to the full JID of its sender:",
        error.condition.as_str(),
        error.kind.as_str(),
    ));
    story.shows(String::from(&error.to_element()).as_bytes());
}
