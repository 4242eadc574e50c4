//! SUBSCRIBE and NOTIFY, and what answers them.

use std::time::Duration;

use bytes::Bytes;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::{Desk, Explanation, conversation, presence};
use crate::address::Reject;
use crate::documents::Format;
use crate::documents::adrl::{self, Purpose};
use crate::mapping::failure::{Own, to_subscribe};
use crate::mapping::parties::{self, Parties};
use crate::mapping::presence as signals;
use crate::model::microsoft::Undecided;
use crate::model::{Aor, Directory, Domain, Pair, Side, SipProfile};
use crate::presence::subscriber::{Failure, judge};
use crate::sip::dialog::{Dialog, Tag};
use crate::sip::subscription::{
    EventReason, Interval, SubscriptionState, Substate, granted, notified,
};
use crate::sip::{
    Answer, Branch, Draft, HeaderName, Mark, Method, Request, Response, SentBy, write_request,
    write_response,
};
use crate::text::{Line, SipToken};
use crate::xmpp::Presence;

/// Explains a SUBSCRIBE that a shard would take.
pub(super) fn subscribe(request: &Request, desk: &Desk<'_>, story: &mut Explanation) {
    let Some((parties, peer)) = of(request, desk, story) else {
        return;
    };
    let accept: Vec<&str> = request.values(HeaderName::Accept).collect();
    let accept = request
        .header(HeaderName::Accept)
        .map(|_| accept.join(", "));
    let formats = Format::preferred(peer.microsoft.as_ref());
    let Some(format) = Format::choose(accept.as_deref(), formats) else {
        story.says("It accepts no format of presence that is written here (RFC 6665 section 4.2.1.1). The gateway answers:");
        return story.shows(&conversation::reply(request, Answer::new(406), &peer));
    };
    if peer.microsoft.is_some() {
        let kind = format.content_type();
        story.says(format!("Documents for its sender are {kind}."));
        purpose(request, story);
    }
    let asked = request.expires().ok().flatten();
    let interval = match peer.microsoft {
        None => Interval::default(),
        Some(_) => Interval {
            min: Duration::ZERO,
            ..Interval::default()
        },
    };
    let seconds = match interval.grant(asked) {
        Ok(seconds) => seconds,
        Err(brief) => {
            story.says("It asks for less time than is granted. A generic peer is answered:");
            return story.shows(&answer(request, brief.answer()));
        }
    };
    let in_dialog = request.our_tag().is_some();
    let undecided = peer.microsoft.map(|switches| switches.undecided);
    match (in_dialog, seconds) {
        (true, 0) => story.says("It ends the subscription of this dialog: NOTIFY terminated;reason=timeout follows, and the XMPP user is told `unavailable` unless watching the SIP user as well. The authorization stays (RFC 8048 section 5.3.3)."),
        (true, _) => story.says("It refreshes the subscription of this dialog; NOTIFY with the current state follows (RFC 8048 section 5.3.2)."),
        (false, 0) => story.says("It asks once for the current state (RFC 8048 section 7.2)."),
        (false, _) => story.says("It asks to watch the XMPP user (RFC 8048 section 5.3.1)."),
    }
    let tag = request
        .our_tag()
        .unwrap_or_else(|| Tag::new(&parties.pair.jid, 0));
    let Some(sent_by) = sent_by() else {
        return;
    };
    let contact = sent_by.contact(tag);
    story.says("Where policy allows the pair, the gateway answers at once, with a tag and Contact of its own:");
    story.shows(&answer(
        request,
        granted(seconds, contact).to_tag(tag.token()),
    ));
    if in_dialog {
        return;
    }
    let state = if seconds == 0 {
        SubscriptionState::terminated(EventReason::Timeout)
    } else if undecided == Some(Undecided::Active) {
        story.says("Until the XMPP user has decided, his document shows him offline.");
        SubscriptionState::active(seconds)
    } else {
        SubscriptionState::pending(seconds)
    };
    notification(request, tag, &state, story);
    let name = parties.display_name.as_deref();
    if seconds == 0 {
        story.says("On the XMPP side, where nothing is known of the user:");
        show(&signals::probe(&parties.pair), story);
    } else {
        story.says("On the XMPP side, where that is not granted yet:");
        show(&signals::subscribe(&parties.pair, name), story);
        story.says("Then `subscribed` becomes NOTIFY active and `unsubscribed` NOTIFY terminated;reason=rejected. Where it is granted, the first NOTIFY is active and a probe goes out instead.");
    }
}

/// Tells what a SUBSCRIBE of Microsoft's software is for.
fn purpose(request: &Request, story: &mut Explanation) {
    let text = |name| request.header(name).map(|header| header.text());
    let kind = text(HeaderName::ContentType);
    let Ok(uri) = request.uri() else {
        return;
    };
    story.says(match adrl::purpose(kind.as_deref(), request.body(), uri.as_str()) {
        Purpose::Contact => "By its body, or without one, the XMPP user is on the watcher's contact list.",
        Purpose::Look => "By its body it only looks at the XMPP user, as for a card or a chat window: he is asked where `ask_on` is \"always\", else when it has lived for `ask_after`.",
    });
}

/// Shows the first NOTIFY.
fn notification(request: &Request, tag: Tag, state: &SubscriptionState, story: &mut Explanation) {
    let dialog = Dialog::accepting(request, tag);
    let sent = dialog.and_then(|mut dialog| {
        let sent_by = sent_by();
        sent_by
            .map(|sent_by| dialog.notify(state, Vec::new(), None, &sent_by))
            .transpose()
    });
    match sent {
        Ok(Some((draft, _))) => {
            story.says("and sends a NOTIFY right behind it (RFC 6665 section 4.2.1.2), with the last known document if there is one:");
            story.shows(&written(&draft));
        }
        Ok(None) => {}
        Err(defect) => story.says(format!(
            "No dialog can be made of it ({defect}): the answer would be {}.",
            defect.status()
        )),
    }
}

/// Explains a NOTIFY in a dialog of ours.
pub(super) fn notify(request: &Request, desk: &Desk<'_>, story: &mut Explanation) {
    let state = match request.subscription_state() {
        Ok(state) => state,
        Err(defect) => {
            return story.says(format!(
                "Its Subscription-State is missing or cannot be read ({defect}): in a dialog of ours it would be answered 400."
            ));
        }
    };
    let Some((pair, peer)) = watched(request, desk, story) else {
        return;
    };
    story.says(meaning(&state));
    if let Some(etag) = request.etag() {
        story.says(format!(
            "Its entity tag {} spares a document at the next refresh where `conditional` is on (RFC 5839).",
            Line::fold(etag)
        ));
    }
    if !matches!(state.state, Substate::Terminated | Substate::Pending) {
        presence::document_of(request, &pair, &peer, story);
    }
    if request.method() == Some(Method::Benotify) {
        return;
    }
    story.says("In a dialog of ours it is answered:");
    story.shows(&answer(request, notified()));
}

/// Who watches whom, of a NOTIFY: From is watched by To, whatever the Request-URI says.
fn watched(
    request: &Request,
    desk: &Desk<'_>,
    story: &mut Explanation,
) -> Option<(Pair, SipProfile)> {
    let jids = [request.from(), request.to()].map(|address| {
        let address = address.ok()?;
        crate::address::to_bare_jid(address.uri()).ok()
    });
    let [Some(watched), Some(watcher)] = jids else {
        story.says("Who watches whom cannot be told from it.");
        return None;
    };
    let domains = [&watched, &watcher].map(|jid| Domain::parse(jid.domain().as_str()));
    let [Some(from), Some(to)] = domains else {
        return None;
    };
    let directory = desk.with_peers(&[(Side::Sip, &from), (Side::Xmpp, &to)], story);
    let pair = Pair::new(watcher, Aor::from_image(watched));
    Some((pair, profile(&directory, &from)))
}

/// What the state of a subscription of ours means for the XMPP user (RFC 6665 section 4.1.3).
fn meaning(state: &SubscriptionState) -> String {
    let words = match (state.state, state.reason) {
        (Substate::Active, _) => {
            "The XMPP user may watch the SIP user: the first NOTIFY active becomes `subscribed`, then presence."
        }
        (Substate::Pending, _) => {
            "Nobody has decided yet: the XMPP user is told nothing (RFC 8048 section 5.2.1). Behind an active state it becomes `unavailable`."
        }
        (Substate::Other, _) => "The state is unknown and changes nothing.",
        (Substate::Terminated, Some(EventReason::Deactivated | EventReason::Timeout)) => {
            "The subscription has ended and is made anew at once; the XMPP user notices nothing."
        }
        (Substate::Terminated, Some(EventReason::GiveUp | EventReason::Probation) | None) => {
            "The subscription has ended and is made anew later; the XMPP user notices nothing but `unavailable` after the grace time."
        }
        (Substate::Terminated, Some(EventReason::Invariant)) => {
            "The state cannot change any more: it stays, and no new subscription is made."
        }
        (Substate::Terminated, Some(EventReason::NoResource | EventReason::Rejected)) => {
            "The XMPP user may not watch the SIP user and is told `unavailable` for each resource, then `unsubscribed`."
        }
    };
    words.to_owned()
}

/// Explains an answer to a SUBSCRIBE or NOTIFY of ours.
pub(super) fn answered(
    response: &Response,
    method: &str,
    peer: &SipProfile,
    story: &mut Explanation,
) {
    let status = response.status();
    if method == "NOTIFY" {
        story.says(match status {
            200..300 => "The watcher has the state that was sent.",
            404 | 405 | 410 | 416 | 480..=485 | 489 | 501 | 604 => {
                "The watcher's dialog is gone: it is forgotten silently (RFC 6665 section 4.2.2)."
            }
            401 | 407 => "The peer asks for credentials that no gateway has: an alarm is raised.",
            _ => {
                "The dialog stays; the current state is sent once more, after Retry-After or 30 s."
            }
        });
        return;
    }
    if (200..300).contains(&status) {
        let expires = response.expires().ok().flatten();
        let expires =
            expires.map_or_else(|| "the time asked for".to_owned(), |it| format!("{it} s"));
        story.says(format!(
            "The subscription stands for {expires}. The XMPP user is told by the NOTIFY that follows."
        ));
        if !response.body().is_empty() {
            story.says("It carries the first document itself ([MS-SIP] section 3.4).");
            let jids = [response.from(), response.to()].map(|address| {
                let address = address.ok()?;
                crate::address::to_bare_jid(address.uri()).ok()
            });
            if let [Some(watcher), Some(watched)] = jids {
                let pair = Pair::new(watcher, Aor::from_image(watched));
                presence::document_of(response, &pair, peer, story);
            }
        }
        return;
    }
    let (first, later) = (judge(status, false), judge(status, true));
    if peer.microsoft.is_some() && later == Failure::Denied {
        story.says("Where the authorization was granted before, it stays whatever is answered: an administrator's switch or a throttle may be behind it. The subscription is tried again after a pause, and the XMPP user notices nothing but `unavailable` after the grace time.");
        return story.says(format!("Behind a first request: {}", consequence(first)));
    }
    story.says(format!("Behind a refresh: {}", consequence(later)));
    if first != later {
        story.says(format!("Behind a first request: {}", consequence(first)));
    }
}

/// What follows from a failure answer to a SUBSCRIBE of ours.
const fn consequence(failure: Failure) -> &'static str {
    match failure {
        Failure::Brief => {
            "the request is repeated with the Min-Expires of the answer; the XMPP user notices nothing."
        }
        Failure::Denied => {
            "there is nothing to be watched, or it is refused: the XMPP user is told `unsubscribed`. A peer that refuses many at once is not believed where the authorization was granted."
        }
        Failure::Ended => {
            "there is no subscription: another one is tried after a pause; the XMPP user notices nothing but `unavailable` after the grace time."
        }
        Failure::Forgotten => {
            "the peer has lost the dialog: a new subscription is made at once; the XMPP user notices nothing."
        }
        Failure::Kept => {
            "the subscription stands until its end, and the refresh is tried again; the XMPP user notices nothing."
        }
        Failure::OtherScheme => "the same is asked with a `pres:` URI, once.",
        Failure::Slow => {
            "there is no such user yet: it is tried again after a long pause; the XMPP user notices nothing."
        }
    }
}

/// The parties of a SUBSCRIBE; what refuses them is told.
fn of(
    request: &Request,
    desk: &Desk<'_>,
    story: &mut Explanation,
) -> Option<(Parties, SipProfile)> {
    let default = SipProfile::default();
    let target = request.our_tag().map_or_else(
        || request.uri(),
        |_| request.to().map(|to| to.uri().clone()),
    );
    let target = target.ok().and_then(|uri| Domain::parse(uri.host()));
    let sender = parties::sender_domain(request, &default).ok();
    let (Some(target), Some(sender)) = (target, sender) else {
        story.says("Sender or recipient has no address on the XMPP side. The gateway answers:");
        let peer = conversation::profile(request, desk);
        let refused = Own::Rejected(Reject::Host).refusal().answer;
        let refused = to_subscribe(refused, &peer, request.our_tag().is_some());
        story.shows(&conversation::reply(request, refused, &peer));
        return None;
    };
    let directory = desk.with_peers(&[(Side::Sip, &sender), (Side::Xmpp, &target)], story);
    let peer = conversation::profile(request, desk);
    let parties = if request.our_tag().is_some() {
        in_dialog(request).ok_or(Own::Unreadable)
    } else {
        parties::of_request(request, &peer, &directory)
    };
    let refused = match parties {
        Ok(parties) if parties.are_users() => return Some((parties, peer)),
        Ok(_) => Own::Nobody,
        Err(own) => own,
    };
    let refusal = refused.refusal();
    let text = refusal.failure.text.unwrap_or_default();
    story.says(format!("It is refused: {text}. The gateway answers:"));
    let refused = to_subscribe(refusal.answer, &peer, request.our_tag().is_some());
    story.shows(&conversation::reply(request, refused, &peer));
    None
}

/// The parties of a request in a dialog, by From and To.
fn in_dialog(request: &Request) -> Option<Parties> {
    let jid = |address: crate::sip::NameAddr| crate::address::to_bare_jid(address.uri()).ok();
    let (watcher, watched) = (jid(request.from().ok()?)?, jid(request.to().ok()?)?);
    Some(Parties {
        pair: Pair::new(watched, Aor::from_image(watcher)),
        from_instance: None,
        to_instance: None,
        display_name: None,
    })
}

fn profile(directory: &Directory, domain: &Domain) -> SipProfile {
    let owner = directory.owner_on(Side::Sip, domain);
    owner
        .and_then(|owner| owner.sip())
        .cloned()
        .unwrap_or_default()
}

/// The name that stands for the gateway's own.
pub(super) fn sent_by() -> Option<SentBy> {
    SentBy::new("gateway.invalid", 5061)
}

/// A request as it leaves.
pub(super) fn written(draft: &Draft) -> Bytes {
    let branch = Branch::draw(Mark(0), 0, &mut StdRng::seed_from_u64(0));
    sent_by().map_or_else(Bytes::new, |sent_by| write_request(draft, &sent_by, branch))
}

fn answer(request: &Request, answer: Answer) -> Bytes {
    write_response(request, &answer.or_tag(SipToken::from_number(0)))
}

/// Shows a stanza.
pub(super) fn show(stanza: &Presence, story: &mut Explanation) {
    match stanza.write(usize::MAX) {
        Ok(bytes) => story.shows(&bytes),
        Err(unwritable) => story.says(format!("The stanza would be {unwritable}.")),
    }
}
