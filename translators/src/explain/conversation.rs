//! Requests and answers of conversations: INVITE and what goes on inside its dialog.

use super::subscription::{sent_by, written};
use super::{Desk, Explanation, sip};
use crate::address::{self, Reject};
use crate::documents::keyboard::{self, Activity};
use crate::limits;
use crate::mapping::failure::Own;
use crate::mapping::message::{self, Unmapped};
use crate::mapping::parties::Parties;
use crate::model::{Aor, Domain, Pair, Side, SipProfile};
use crate::policy::Policy;
use crate::sip::invite::{Caller, Progress, Purpose, Terms};
use crate::sip::sdp::{self, Media, Offer};
use crate::sip::{
    Answer, Head, HeaderName, Hosts, Invited, Inviting, Method, NameAddr, Request, Response,
    SentBy, Tag, write_response,
};
use crate::text::SipToken;
use crate::xmpp::Message;

/// The port of the gateway where no configuration says another.
const SIPS: u16 = 5061;

/// Explains an INVITE.
pub(super) fn invite(request: &Request, desk: &Desk<'_>, story: &mut Explanation) {
    if is_tagged(request) {
        return inside(request, desk, story);
    }
    let peer = profile(request, desk);
    let invited = Invited::read(request);
    story.says(asked(invited.purpose()));
    if let Some(answer) = invited.refusal() {
        story.says("It is refused, an open conversation goes on, and the XMPP user is told by a line of text. The gateway answers:");
        return story.shows(&reply(request, answer, &peer));
    }
    let (Some(parties), Some(sent_by)) = (parties(request), sent_by()) else {
        story.says("Sender or recipient has no address on the XMPP side. The gateway answers:");
        let refusal = Own::Rejected(Reject::User).refusal_to(peer.microsoft.is_some());
        return story.shows(&reply(request, refusal.answer, &peer));
    };
    let tag = Tag::new(&parties.pair.jid, 0);
    match Invited::accept(request, tag, &terms(&sent_by, &peer)) {
        Ok((_, answer)) => {
            story.says("Where policy allows the pair, the gateway answers at once, with a tag and Contact of its own, and again until the ACK comes:");
            story.shows(&reply(request, answer, &peer));
        }
        Err(defect) => {
            story.says(format!(
                "It makes no dialog: {defect}. The gateway answers:"
            ));
            let refusal = Own::Unreadable.refusal_to(peer.microsoft.is_some());
            return story.shows(&reply(request, refusal.answer, &peer));
        }
    }
    let Some(first) = invited.first_message() else {
        return story.says("It brings no text; MESSAGEs in the dialog will.");
    };
    if !first.is_readable() {
        story.says("It brings the first text as rich text alone, which is not carried. The peer sends it again as a MESSAGE and is answered 415; the XMPP user gets a line about it:");
    } else {
        story.says(format!(
        "It brings the first text ({}). The answer does not take it, so the peer may send it again: the text goes to the XMPP user once, by itself {} s after the ACK.",
        first.essence(),
        limits::EMBEDDED_WAITS.as_secs()
    ));
    }
    if let Some(first) = message::first_of(request, first, parties.clone(), &peer) {
        let admitted = Policy::default().admit(parties.pair, first);
        let stanza = admitted
            .ok()
            .and_then(|first| message::to_xmpp(&first).ok());
        show(stanza.as_ref(), story);
    }
}

/// Explains a request inside a dialog.
pub(super) fn inside(request: &Request, desk: &Desk<'_>, story: &mut Explanation) {
    let method = request.method();
    if !is_tagged(request) && method != Some(Method::Cancel) {
        return story.says("It names no dialog.");
    }
    story.says("In a conversation that is open:");
    match method {
        Some(Method::Ack) => story.says("It confirms the answer to an INVITE. Nothing answers it; that answer is not sent again."),
        Some(Method::Bye) => story.says("It is answered 200. The conversation is over: the XMPP user is told by the chat state `gone` where chat states are in use, and the next text opens another one."),
        Some(Method::Cancel) => story.says("An INVITE without a final answer gets 487, and this 200; it comes too late as a rule, since an INVITE is answered at once."),
        Some(Method::Info) => info(request, story),
        Some(Method::Message) => text(request, desk, story),
        Some(Method::Invite | Method::Update) => refresh(request, story),
        _ => story.says("It is answered 481."),
    }
}

/// What INFO tells.
fn info(request: &Request, story: &mut Explanation) {
    let kind = request.content_type().ok().flatten();
    let kind = kind.as_ref().map_or("", |kind| kind.essence());
    story.says(match (kind, keyboard::read(request.body())) {
        (keyboard::CONTENT_TYPE, Ok(Activity::Typing)) => {
            "It is answered 200. The SIP user types: chat state `composing` where chat states are in use (XEP-0085)."
        }
        (keyboard::CONTENT_TYPE, Ok(Activity::Idle)) => {
            "It is answered 200. The SIP user no longer types: chat state `active` where chat states are in use (XEP-0085)."
        }
        (keyboard::CONTENT_TYPE | keyboard::CONVERSATION_INFO | "", _) => {
            "It is answered 200 and carries nothing that the XMPP side has a form for."
        }
        (_, _) => "Its body is of a type that nothing here reads: it is answered 415.",
    });
}

/// What a MESSAGE in a dialog becomes.
fn text(request: &Request, desk: &Desk<'_>, story: &mut Explanation) {
    let peer = profile(request, desk);
    let Some(parties) = parties(request) else {
        return story.says("Sender or recipient has no address on the XMPP side.");
    };
    match message::in_dialog(request, &parties.pair, None, &peer, desk.now) {
        Ok(incoming) => sip::stanza(incoming, 200, story),
        Err(Unmapped::Dropped(reason)) => story.says(super::dropped(reason)),
        Err(Unmapped::Refused(own)) => {
            story.says("It is refused. The gateway answers:");
            let refusal = own.refusal_to(peer.microsoft.is_some());
            story.shows(&reply(request, refusal.answer, &peer));
        }
    }
}

/// What a re-INVITE or UPDATE gets.
fn refresh(request: &Request, story: &mut Explanation) {
    let offer = Offer::read(request.body());
    if offer.has_more() || (!offer.is_empty() && !offer.has(Media::Message)) {
        return story.says(
            "It wants media beside messages: it is answered 488, and the conversation goes on.",
        );
    }
    story.says("It refreshes the dialog. It is answered 200, with the same description where it brings one; that the peer keeps session timers (RFC 4028) is its own affair.");
}

/// Explains an answer to a request of a conversation; `false` where the failure of a message follows.
pub(super) fn answered(response: &Response, method: &str, story: &mut Explanation) -> bool {
    let status = response.status();
    match method {
        "INVITE" if status < 300 => taken(response, story),
        "INVITE" => {
            story.says("Nobody takes the conversation: the gateway sends ACK, and every text that waits goes back.");
            return false;
        }
        "BYE" => story.says("The conversation is over, whatever the answer is."),
        "CANCEL" => story.says("The INVITE gets an answer of its own."),
        "INFO" if matches!(status, 408 | 480 | 481) => {
            story.says("The peer has lost the conversation: the gateway sends BYE, and the next text opens another one.");
        }
        _ => story.says("Towards the XMPP user it becomes nothing."),
    }
    true
}

/// A 2xx to an INVITE of ours, as far as it says where the conversation goes.
fn taken(response: &Response, story: &mut Explanation) {
    let (Ok(from), Ok(to), Some(sent_by)) = (response.from(), response.to(), sent_by()) else {
        return story.says("Its ends cannot be read.");
    };
    let user = address::to_bare_jid(from.uri());
    let user = user.ok().or_else(|| jid::BareJid::new("user.invalid").ok());
    let Some(tag) = user.map(|user| Tag::new(&user, 0)) else {
        return;
    };
    let mut inviting = Inviting::new(Caller {
        tag,
        call_id: 0,
        from: from.clone(),
        to: to.uri().clone(),
        conversation: None,
        subject: None,
    });
    _ = inviting.request(&terms(&sent_by, &SipProfile::default()));
    match inviting.on_response(response) {
        Progress::Established(_, ack) => {
            story.says("The SIP user's endpoint has taken the conversation. The gateway sends ACK, here with other tags than the real one, and texts the same way; a 2xx of another endpoint gets ACK and BYE:");
            story.shows(&written(&ack));
        }
        Progress::Unusable(defect) => {
            story.says(format!("It names no end to talk to: {defect}."));
        }
        Progress::Ringing | Progress::Again(_) | Progress::Unwanted(..) | Progress::Refused => {}
    }
}

/// What an INVITE asks for.
const fn asked(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Conversation => "It asks for a conversation: messages go inside its dialog.",
        Purpose::Audio => "It asks for a call.",
        Purpose::Video => "It asks for a call with pictures.",
        Purpose::Sharing => "It offers to share a screen or program.",
        Purpose::File => "It offers a file.",
        Purpose::Meeting => "It invites to a meeting.",
        Purpose::Multiparty => "It invites to a conversation of more than two.",
        Purpose::Unknown => "It offers no messages inside its dialog.",
    }
}

fn is_tagged(request: &Request) -> bool {
    request.to().is_ok_and(|to| to.tag().is_some())
}

/// The users by From and To: the Request-URI of a captured request may be anything.
fn parties(request: &Request) -> Option<Parties> {
    let jid = |address: &NameAddr| address::to_bare_jid(address.uri()).ok();
    let from = request.from().ok()?;
    Some(Parties {
        pair: Pair::new(jid(&request.to().ok()?)?, Aor::from_image(jid(&from)?)),
        from_instance: None,
        to_instance: None,
        display_name: from.display().map(str::to_owned),
    })
}

/// The profile of the sender's peer: that of the configuration, else the one that the request shows.
pub(super) fn profile(request: &Request, desk: &Desk<'_>) -> SipProfile {
    let from = request.from().ok();
    let domain = from.and_then(|from| Domain::parse(from.uri().host()));
    let owner = domain.and_then(|domain| desk.directory.owner_on(Side::Sip, &domain));
    if let Some(profile) = owner.and_then(|owner| owner.sip()) {
        return profile.clone();
    }
    let negotiates = request.method() == Some(Method::Negotiate);
    SipProfile {
        microsoft: (negotiates || is_theirs(request)).then(Default::default),
        ..SipProfile::default()
    }
}

/// Whether Microsoft's software shows in a message: by its name, its headers or its endpoints.
pub(super) fn is_theirs(head: &Head) -> bool {
    let of_theirs = |name: &str| {
        name.get(..3)
            .is_some_and(|start| start.eq_ignore_ascii_case("ms-"))
    };
    let mut agents = head.values(HeaderName::UserAgent);
    let server = head.extension("Server");
    agents.any(|agent| agent.contains("UCCAPI"))
        || server.is_some_and(|server| server.raw.starts_with("RTC/"))
        || head.headers().any(|header| of_theirs(header.name))
        || [head.from(), head.to()]
            .iter()
            .flatten()
            .any(|address| address.has_param("epid"))
}

fn terms<'a>(sent_by: &'a SentBy, peer: &SipProfile) -> Terms<'a> {
    let microsoft = peer.microsoft.is_some();
    Terms {
        sent_by,
        types: match microsoft {
            true => sdp::TYPES_MICROSOFT,
            false => sdp::TYPES_GENERIC,
        },
        epid: microsoft,
        took_first: false,
    }
}

/// An answer as the peer gets it: one of the Microsoft profile reads the reason of a refusal.
pub(super) fn reply(request: &Request, answer: Answer, peer: &SipProfile) -> bytes::Bytes {
    let source = Hosts::new(SIPS).asked_by(request);
    let answer = match (peer.microsoft, source) {
        (Some(_), Some(source)) => answer.diagnosed(&source),
        (None, _) | (Some(_), None) => answer,
    };
    write_response(request, &answer.or_tag(SipToken::from_number(0)))
}

fn show(stanza: Option<&Message>, story: &mut Explanation) {
    match stanza.map(|stanza| stanza.write(usize::MAX)) {
        Some(Ok(bytes)) => story.shows(&bytes),
        Some(Err(unwritable)) => story.says(format!("The stanza would be {unwritable}.")),
        None => story.says("An address has no image."),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_tells, request};

    const ALICE: &str = "sip:alice@example.com";
    const IM: &str = "v=0\nm=message 5060 sip null\na=accept-types:text/plain\n";

    fn invite(headers: &str, body: &str) -> String {
        let contact = "Contact: <sip:bob@example.net;gruu>\nContent-Type: application/sdp\n";
        request("INVITE", ALICE, &format!("{contact}{headers}"), body)
    }

    /// A request in a dialog that cannot be ours.
    fn inside(method: &str, content_type: &str, body: &str) -> String {
        let headers = format!("Content-Type: {content_type}\n");
        let text = request(
            method,
            "sip:alice@gateway.example.com;transport=tls",
            &headers,
            body,
        );
        text.replace(
            "To: <sip:alice@gateway.example.com;transport=tls>",
            "To: <sip:alice@example.com>;tag=2",
        )
    }

    #[test]
    fn an_invite_with_its_first_text() {
        let headers = "User-Agent: UCCAPI/16.0.1\nms-text-format: text/plain; ms-body=SGk=\n";
        assert_tells(
            &invite(headers, IM),
            &[
                "opens a session",
                "asks for a conversation",
                "SIP/2.0 200 OK",
                "epid=",
                "m=message 5060 sip sip:alice@example.com",
                "first text (text/plain)",
                "<body>Hi</body>",
            ],
        );
        assert_tells(
            &invite("", IM),
            &["200 OK", "im-iscomposing", "brings no text"],
        );
    }

    #[test]
    fn what_else_an_invite_may_be_for() {
        let audio = "v=0\nm=audio 4000 RTP/AVP 0\n";
        for (text, purpose, status) in [
            (invite("", audio), "a call", "488"),
            (invite("", ""), "no messages", "488"),
            (
                invite("TriggeredInvite: TRUE\n", IM),
                "more than two",
                "420",
            ),
            (
                invite("ms-text-format: text/x-msmsgsinvite; ms-body=SGk=\n", IM),
                "a file",
                "488",
            ),
        ] {
            let status = format!("SIP/2.0 {status}");
            assert_tells(&text, &[purpose, "refused", "line of text", &status]);
        }
    }

    #[test]
    fn requests_inside_a_dialog() {
        let typing = "<KeyboardActivity><status status=\"type\"/></KeyboardActivity>";
        let idle = "<KeyboardActivity><status status=\"idle\"/></KeyboardActivity>";
        for (text, parts) in [
            (
                inside("INFO", "application/xml", typing),
                ["answered 200", "`composing`"],
            ),
            (
                inside("INFO", "application/xml", idle),
                ["answered 200", "`active`"],
            ),
            (
                inside("INFO", "application/xml", "<x/>"),
                ["answered 200", "no"],
            ),
            (
                inside("INFO", "image/gif", "x"),
                ["nothing here reads", "415"],
            ),
            (inside("BYE", "text/plain", ""), ["answered 200", "is over"]),
            (
                inside("UPDATE", "application/sdp", IM),
                ["refreshes", "answered 200"],
            ),
            (
                inside("INVITE", "application/sdp", "v=0\nm=audio 1 RTP/AVP 0\n"),
                ["beside messages", "488"],
            ),
            (
                inside("MESSAGE", "text/plain", "Hi"),
                ["<body>Hi</body>", "answered 200"],
            ),
            (inside("MESSAGE", "image/gif", "x"), ["refused", "415"]),
        ] {
            let [first, second] = parts;
            assert_tells(&text, &["481", "conversation that is open", first, second]);
        }
        assert_tells(
            &inside("ACK", "text/plain", ""),
            &["confirms", "Nothing is answered"],
        );
        assert_tells(
            &request("CANCEL", ALICE, "", ""),
            &["takes an INVITE back", "487"],
        );
    }

    #[test]
    fn answers_of_a_conversation() {
        let response = |status: &str, method: &str| {
            format!(
                "SIP/2.0 {status}\nVia: SIP/2.0/TLS gw.example;branch=z9hG4bK1\n\
                 From: <sip:alice@example.com>;tag=1\nTo: <sip:bob@example.net>;tag=2;epid=7\n\
                 Call-ID: c1\nCSeq: 1 {method}\nContact: <sip:bob@example.net;opaque=user:epid:x;gruu>\n\
                 Record-Route: <sip:a.example;lr>\nRecord-Route: <sip:b.example;lr>\nContent-Length: 0\n\n"
            )
        };
        assert_tells(
            &response("200 OK", "INVITE"),
            &[
                "taken the conversation",
                "ACK sip:bob@example.net;opaque=user:epid:x;gruu SIP/2.0",
                "Route: <sip:b.example;lr>",
                "Route: <sip:a.example;lr>",
            ],
        );
        assert_tells(&response("486 Busy", "INVITE"), &["sends ACK", "<error"]);
        assert_tells(&response("481 No", "INFO"), &["has lost the conversation"]);
        assert_tells(&response("200 OK", "INFO"), &["becomes nothing"]);
        assert_tells(&response("481 No", "BYE"), &["is over"]);
        assert_tells(&response("200 OK", "CANCEL"), &["answer of its own"]);
    }
}
