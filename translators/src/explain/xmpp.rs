//! Stanzas, streams and other XML documents.

use std::time::Duration;

use bytes::Bytes;
use minidom::Element;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::{Desk, Explanation, dropped, presence};
use crate::documents::{Format, imdn, iscomposing, xml};
use crate::mapping::chat_state;
use crate::mapping::failure::{self, Addressee, Own};
use crate::mapping::message::{Envelope, Unmapped, from_xmpp, to_sip, write_page};
use crate::model::{Domain, LinkId, Payload, PeerId, Side, SipProfile};
use crate::origin::{self, Proven};
use crate::policy::Policy;
use crate::sip::{Branch, CallId, Draft, Mark, SentBy};
use crate::text::SipToken;
use crate::xmpp::answers::{Facts, answer};
use crate::xmpp::reader::{Frame, Reader, ReaderLimits};
use crate::xmpp::stanza::Refused;
use crate::xmpp::{Iq, Message, Stanza, ns};

/// The header that a stanza needs before it to be read as on a stream.
const HEADER: &[u8] =
    b"<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' xmlns:db='jabber:server:dialback' version='1.0'>";

/// Names of elements that stand alone on a stream without being stanzas.
const OF_STREAM: [&str; 7] = [
    "auth",
    "challenge",
    "failure",
    "proceed",
    "response",
    "starttls",
    "success",
];

/// Explains XML: a stream, parts of one, or a document of another kind.
pub(super) fn explain(input: &[u8], desk: &Desk<'_>, story: &mut Explanation) -> bool {
    let text = String::from_utf8_lossy(input);
    let Some((name, element)) = root(&text) else {
        return false;
    };
    if name == "stream:stream" {
        stream(input, desk, story);
    } else if starts_stream_part(&text) {
        let frames = stream(&[HEADER, element.as_bytes()].concat(), desk, story);
        if frames < 2 {
            story.says("It is not whole.");
        }
    } else {
        document(input, story);
    }
    true
}

/// Whether `text` starts with a tag of a stream, a stanza's or another.
pub(super) fn starts_stream_part(text: &str) -> bool {
    root(text).is_some_and(|(name, _)| match name {
        "message" | "presence" | "iq" => is_stanza(text.as_bytes()),
        name => OF_STREAM.contains(&name) || name.starts_with("stream:") || name.starts_with("db:"),
    })
}

/// Whether the root has a namespace of stanzas, or none of its own.
fn is_stanza(input: &[u8]) -> bool {
    let Ok(root) = xml::read_loose(input) else {
        return true;
    };
    let known = ["", ns::CLIENT, ns::SERVER].contains(&root.ns().as_str());
    known && Format::of_root(&root).is_none()
}

/// The name in the first tag behind declarations, comments and white space, and the text from
/// that tag on.
fn root(text: &str) -> Option<(&str, &str)> {
    let mut rest = text.trim_start();
    while let Some(skipped) = rest.strip_prefix("<?").or_else(|| rest.strip_prefix("<!")) {
        rest = skipped.split_once('>')?.1.trim_start();
    }
    let tag = rest.strip_prefix('<')?;
    let tag = tag.strip_prefix('/').unwrap_or(tag);
    let end = tag.find(|c: char| c.is_whitespace() || matches!(c, '>' | '/'))?;
    let name = tag.get(..end)?;
    name.starts_with(|c: char| c.is_alphabetic())
        .then_some((name, rest))
}

/// Reads what a stream would bring, and returns how many whole parts that were.
fn stream(input: &[u8], desk: &Desk<'_>, story: &mut Explanation) -> usize {
    let mut reader = Reader::new(ReaderLimits::default());
    let mut rest = input;
    let mut frames = 0;
    loop {
        let frame = match reader.next(&mut rest) {
            Ok(Some(frame)) => frame,
            Ok(None) => return frames,
            Err(fault) => {
                story.says(format!("It ends the stream: {fault}."));
                return usize::MAX;
            }
        };
        frames += 1;
        match frame {
            Frame::Header(header) => {
                if let (Some(from), Some(to)) = (header.from, header.to) {
                    story.says(format!(
                        "A stream header from {from} to {to} (RFC 6120 section 4.7)."
                    ));
                }
            }
            Frame::Stanza(element) => child(element, desk, story),
            Frame::Oversize(stanza) => story.says(format!(
                "A {} larger than is taken: its sender gets policy-violation.",
                stanza.name
            )),
            Frame::Close => story.says("The end of the stream."),
        }
    }
}

/// Explains a child of a stream.
fn child(element: Element, desk: &Desk<'_>, story: &mut Explanation) {
    if !Stanza::is_stanza(&element) {
        let (name, namespace) = (element.name(), element.ns());
        story.says(format!(
            "<{name}> of {namespace} belongs to the stream itself and goes no further."
        ));
        return;
    }
    let sender = element.attr("from").and_then(domain_of);
    let proven: Vec<Domain> = sender.iter().cloned().collect();
    if sender.is_some_and(|sender| desk.is_on(Side::Sip, &sender)) {
        story.says("Its sender is a SIP user of the configuration: the gateway itself sends such a stanza, and would close a stream that brings one in.");
        return;
    }
    match Stanza::read(element, &proven) {
        Ok(Stanza::Message(stanza)) => message(&stanza, desk, story),
        Ok(Stanza::Presence(stanza)) => presence::stanza(&stanza, desk, story),
        Ok(Stanza::Iq(stanza)) => iq(&stanza, story),
        Err(Refused::Stream(fault)) => {
            story.says(format!("A stanza that would end the stream: {fault}."));
        }
        Err(Refused::Stanza { condition, reply }) => {
            story.says(format!(
                "A stanza that is answered with {}:",
                condition.as_str()
            ));
            if let Some(bounce) = reply {
                story.shows(&bounce.bytes);
            }
        }
    }
}

fn domain_of(address: &str) -> Option<Domain> {
    Domain::parse(jid::Jid::new(address).ok()?.domain().as_str())
}

fn iq(stanza: &Iq, story: &mut Explanation) {
    story.says(format!(
        "An IQ from {} to {}. IQs are never passed on to the SIP side (RFC 6121 section 8.5).",
        stanza.from, stanza.to
    ));
    let facts = Facts {
        software: "isthmus",
        version: env!("CARGO_PKG_VERSION"),
        uptime: Duration::ZERO,
        display_name: None,
        receipts: false,
    };
    match answer(stanza, &facts).map(|answer| answer.write(usize::MAX)) {
        Some(Ok(bytes)) => {
            story.says("The gateway answers in the user's place:");
            story.shows(&bytes);
        }
        Some(Err(unwritable)) => story.says(format!("The answer would be {unwritable}.")),
        None => story.says("Results and errors are not answered."),
    }
}

fn message(stanza: &Message, desk: &Desk<'_>, story: &mut Explanation) {
    story.says(format!(
        "A message stanza of type {} from {} to {}.",
        stanza.kind.as_str().unwrap_or("normal"),
        stanza.from,
        stanza.to
    ));
    if let Some(error) = stanza.error() {
        let failure = failure::from_xmpp(&error);
        let answer = failure::to_sip(&failure, Addressee::of(&stanza.from));
        return story.says(format!(
            "It reports {} for a message that the gateway sent: if that MESSAGE still waits for its answer, it gets {} (RFC 7247 section 7.1).",
            failure.condition.as_str(),
            answer.status()
        ));
    }
    let domains = [&stanza.from, &stanza.to].map(|jid| Domain::parse(jid.domain().as_str()));
    let [Some(from), Some(to)] = domains else {
        return story.says("Sender or recipient has no domain name; it is answered jid-malformed.");
    };
    let directory = desk.with_peers(&[(Side::Xmpp, &from), (Side::Sip, &to)], story);
    let proven = Proven::new(LinkId(0), PeerId::new("explained"), [from.clone()]);
    let Ok(origin) = origin::verify(&proven, 1, &from) else {
        return;
    };
    let outcome = from_xmpp(stanza, &origin, &directory);
    let outcome = outcome.and_then(|(pair, instant)| {
        story.says(kind(&instant.payload));
        let owner = directory.owner_on(Side::Sip, &to);
        let peer = owner
            .and_then(|owner| owner.sip())
            .cloned()
            .unwrap_or_default();
        match Policy::default().admit(pair, instant) {
            Ok(admitted) => request(&to_sip(&admitted, &peer, envelope(desk)?)?, &peer),
            Err(denied) => Err(Own::Denied(denied).into()),
        }
    });
    match outcome {
        Ok(bytes) => {
            story.says("On the SIP side, where the gateway chooses Call-ID, tag, branch and CSeq:");
            story.shows(&bytes);
            story.says("A 2xx answer is silence for the sender; any other, or none within 32 s, is one stanza error.");
        }
        Err(Unmapped::Dropped(reason)) => story.says(dropped(reason)),
        Err(Unmapped::Refused(own)) => refused(stanza, own, story),
    }
}

fn refused(stanza: &Message, own: Own, story: &mut Explanation) {
    let error = failure::to_xmpp(&own.failure(), None);
    story.says(format!(
        "It is refused: {}. Its sender gets:",
        error.text.as_deref().unwrap_or_default()
    ));
    if let Some(Ok(bytes)) = stanza.failed(&error).map(|reply| reply.write(usize::MAX)) {
        story.shows(&bytes);
    }
}

/// What a message is, as a sentence.
const fn kind(payload: &Payload) -> &'static str {
    match payload {
        Payload::Invitation(_) => {
            "It is an invitation to a room, which the SIP user gets as text; a room is also sent a refusal (RFC 7702 has no form for peers without rooms)."
        }
        Payload::Receipt(_) => {
            "It is a receipt, for peers that take CPIM (RFC 5438), if the message that it is for asked for one."
        }
        Payload::Text { .. } => "It carries text (RFC 7572 section 4).",
        Payload::Typing(_) => {
            "It tells typing (RFC 3994) and is passed on only while a conversation is open."
        }
    }
}

/// Stands for the names that a gateway makes itself.
fn envelope(desk: &Desk<'_>) -> Result<Envelope, Unmapped> {
    let names = CallId::parse("call-id-of-the-gateway").zip(SipToken::parse("tag-of-the-gateway"));
    let (call_id, from_tag) = names.ok_or(Own::Unreadable)?;
    Ok(Envelope {
        call_id,
        from_tag,
        cseq: 1,
        message_id: "id-of-the-gateway".to_owned(),
        now: desk.now,
    })
}

fn request(draft: &Draft, peer: &SipProfile) -> Result<Bytes, Unmapped> {
    let sent_by = SentBy::new("gateway.invalid", 5061).ok_or(Own::Unreadable)?;
    let branch = Branch::draw(Mark(0), 0, &mut StdRng::seed_from_u64(0));
    Ok(write_page(draft, peer, &sent_by, branch)?)
}

/// An XML document that is no stanza.
fn document(input: &[u8], story: &mut Explanation) {
    let root = match xml::read_loose(input) {
        Ok(root) => root,
        Err(unreadable) => return story.says(format!("An XML document that is {unreadable}.")),
    };
    story.says(format!(
        "An XML document <{}> of {}.",
        root.name(),
        root.ns()
    ));
    if let Ok(state) = iscomposing::read(input) {
        let state = chat_state::from_sip(state);
        story.says(format!(
            "As the body of a MESSAGE it becomes the chat state {state:?} (RFC 3994, XEP-0085)."
        ));
    } else if let Ok(notification) = imdn::read(input) {
        story.says(format!(
            "Inside CPIM it becomes a receipt ({:?}) for the message {} (RFC 5438).",
            notification.kind, notification.message_id
        ));
    } else if let Some((format, user)) = presence::about(&root) {
        presence::alone(input, (format, &user), story);
    } else if root.name() == "batchSub" {
        presence::batch(input, story);
    } else if matches!(
        root.name(),
        "presence" | "presentity" | "categories" | "watcherinfo" | "list"
    ) {
        story.says("It is a document of presence in a format that is not read: what is known stays as it is.");
    } else {
        story.says("As the body of a MESSAGE it is refused with 415.");
    }
}
