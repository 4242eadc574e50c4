//! What a connection answers by itself, whoever sent it: the link is judged, not From.

use crate::model::microsoft::Negotiate;
use crate::sip::hop;
use crate::sip::invite::MULTIPARTY;
use crate::sip::offer::ALLOW;
use crate::sip::subscription::{PRESENCE, bad_event};
use crate::sip::{Answer, HeaderName, HopConfig, Method, Request, Scheme, sdp};
use crate::text::Line;

/// Decides what needs no user (RFC 3261 section 8.2); `None` is for a shard.
pub(super) fn judge(request: &Request, config: &HopConfig) -> Option<Answer> {
    let not_allowed = |status| Answer::new(status).header(HeaderName::Allow, Line::fold(ALLOW));
    let method = request.method();
    match method {
        Some(Method::Cancel | Method::Invite | Method::Message | Method::Options) => {
            let in_dialog = request.our_tag().is_some();
            let refused =
                outside_ours(request).or_else(|| target_refusal(request).filter(|_| !in_dialog));
            if refused.is_some() {
                return refused;
            }
        }
        Some(Method::Bye | Method::Info | Method::Update) => {
            if request.our_tag().is_none() {
                return Some(Answer::new(481));
            }
        }
        // No 1xx of ours is reliable, so there is none that it could be for.
        Some(Method::Prack) if is_tagged(request) => return Some(Answer::new(481)),
        Some(Method::Notify | Method::Subscribe) => {
            if let Some(refused) = judge_event(request, config) {
                return Some(refused);
            }
        }
        Some(
            Method::Ack
            | Method::Benotify
            | Method::Prack
            | Method::Publish
            | Method::Refer
            | Method::Register,
        ) => return Some(not_allowed(405)),
        Some(Method::Negotiate) => {
            // COMPAT(lync): W 19. An edge offers compression before it says anything else.
            return Some(match config.microsoft.map(|switches| switches.negotiate) {
                Some(Negotiate::Plain) => Answer::new(200),
                Some(Negotiate::NotAllowed) | None => not_allowed(405),
            });
        }
        // COMPAT(lync): W 17, 18. What a Lync user's server says, such as SERVICE, is no new protocol.
        None if config.microsoft.is_some() => return Some(not_allowed(405)),
        None => return Some(not_allowed(501)),
    }
    let required = request.values(HeaderName::Require);
    let refused = required.filter(|tag| {
        let harmless = config.microsoft.is_some() && !is_refused_to_microsoft(tag);
        !harmless && !is_judged_later(request, tag)
    });
    let refused: Vec<_> = refused.collect();
    if !refused.is_empty() {
        let unsupported = Line::fold(&refused.join(", "));
        return Some(Answer::new(420).header(HeaderName::Unsupported, unsupported));
    }
    if method == Some(Method::Options) {
        return Some(capabilities(config));
    }
    (request.max_forwards() == Ok(Some(0))).then(|| Answer::new(483))
}

/// The answer to OPTIONS, inside a dialog as outside (RFC 3261 section 11.2); the gateway supports no
/// extension. Clients of Microsoft look into the description for the media.
fn capabilities(config: &HopConfig) -> Answer {
    let (answer, types) = (Answer::new(200), sdp::TYPES_MICROSOFT);
    let answer = match (config.microsoft, sdp::write_offer(types)) {
        (Some(_), (content_type, body)) => answer.content(content_type, body),
        (None, _) => answer,
    };
    answer
        .header(HeaderName::Allow, Line::fold(ALLOW))
        .header(HeaderName::Accept, config.accept.clone())
        .header(HeaderName::AcceptEncoding, Line::fold("identity"))
        .header(HeaderName::AllowEvents, Line::fold(PRESENCE))
        .header(HeaderName::Supported, Line::fold(""))
}

/// Decides on the event package and dialog of a SUBSCRIBE or NOTIFY (RFC 6665 sections 4.1.3 and
/// 4.2.1.1); `None` is for a shard.
pub(super) fn judge_event(request: &Request, config: &HopConfig) -> Option<Answer> {
    let in_dialog = request.our_tag().is_some();
    let tagged = request.to().is_ok_and(|to| to.tag().is_some());
    let notify = matches!(request.method(), Some(Method::Notify | Method::Benotify));
    if !in_dialog && (tagged || notify) {
        return Some(Answer::new(481));
    }
    match request.event() {
        Err(why) => Some(hop::malformed(why)),
        Ok(Some(event)) if event.is_presence() && in_dialog => None,
        Ok(Some(event)) if event.is_presence() => target_refusal(request),
        // Without Event it is taken as the dialog's. COMPAT(lync): a refresh as well.
        Ok(None) if notify || (in_dialog && config.microsoft.is_some()) => None,
        Ok(Some(_) | None) => Some(bad_event()),
    }
}

fn is_tagged(request: &Request) -> bool {
    request.to().is_ok_and(|to| to.tag().is_some())
}

/// Whether an option tag in Require is not for the connection to refuse: CANCEL has none that count
/// (RFC 3261 section 8.2.2.3), and the user is told of an INVITE with a tag of a conversation.
fn is_judged_later(request: &Request, tag: &str) -> bool {
    match request.method() {
        Some(Method::Cancel) => true,
        Some(Method::Invite) => [MULTIPARTY, "timer"]
            .iter()
            .any(|known| tag.eq_ignore_ascii_case(known)),
        Some(Method::Update) => tag.eq_ignore_ascii_case("timer"),
        _ => false,
    }
}

/// Refuses a request in a dialog that cannot be ours.
fn outside_ours(request: &Request) -> Option<Answer> {
    let stray = is_tagged(request) && request.our_tag().is_none();
    stray.then(|| Answer::new(481))
}

/// Refuses a Request-URI of a kind that nobody here has (RFC 3261 section 8.2.2.1).
fn target_refusal(request: &Request) -> Option<Answer> {
    let uri = request.scan_uri();
    let scheme = uri.map_or(Scheme::Other, |parts| parts.scheme);
    (scheme == Scheme::Other).then(|| Answer::new(416))
}

/// COMPAT(lync): lists of subscriptions and conferences of old are the two extensions that would
/// change what an answer means; whatever else a Microsoft server requires holds between its own
/// servers (W 10, [MS-SIP] section 3.3).
fn is_refused_to_microsoft(tag: &str) -> bool {
    [ADHOC_LIST, MULTIPARTY]
        .iter()
        .any(|refused| tag.eq_ignore_ascii_case(refused))
}

/// Option tag of a SUBSCRIBE to several users at once.
const ADHOC_LIST: &str = "adhoclist";
