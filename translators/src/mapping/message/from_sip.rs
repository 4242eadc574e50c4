//! MESSAGE request to instant message (RFC 7572 section 5).

use std::time::Duration;

use crate::documents::iscomposing::State;
use crate::documents::mime::ContentType;
use crate::limits;
use crate::mapping::chat_state;
use crate::mapping::failure::Own;
use crate::mapping::message::Unmapped;
use crate::mapping::message::content::{self, Body, Content};
use crate::mapping::message::remarks::RICH_TEXT_LOST;
use crate::mapping::parties::{self, Parties};
use crate::model::{
    Directory, InstantMessage, MessageStyle, Pair, Payload, Reason, Receipt, SipProfile, Wall,
};
use crate::sip::microsoft::FirstMessage;
use crate::sip::{HeaderName, Request};
use crate::text::{Line, clean, display_name, language};

/// A message of a SIP user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// The two users.
    pub pair: Pair,
    /// The message. Its identifier is the CPIM Message-ID where there is one, else the branch; its
    /// thread is the Call-ID.
    pub message: InstantMessage,
    /// For typing: the time after which it lapses by itself.
    pub refresh: Option<Duration>,
}

/// Translates a MESSAGE request whose sender is proven.
pub fn from_sip(
    request: &Request,
    peer: &SipProfile,
    directory: &Directory,
    now: Wall,
) -> Result<Incoming, Unmapped> {
    let parties = parties::of_request(request, peer, directory)?;
    let style = if peer.chat {
        MessageStyle::Chat
    } else {
        MessageStyle::Normal
    };
    translate(request, parties, style, peer, now)
}

/// Translates a MESSAGE request inside a dialog, which knows whose it is: that of `pair`, and of the
/// SIP user's device if he named one.
pub fn in_dialog(
    request: &Request,
    pair: &Pair,
    device: Option<String>,
    peer: &SipProfile,
    now: Wall,
) -> Result<Incoming, Unmapped> {
    let sender = parties::sender(request, peer)?;
    let parties = Parties {
        pair: pair.clone(),
        from_instance: device,
        to_instance: None,
        display_name: sender.display().map(str::to_owned),
    };
    translate(request, parties, MessageStyle::Chat, peer, now)
}

/// Translates the first message inside an INVITE; `None` if there is nothing in it to be read. Its
/// subject is that of the INVITE. In place of rich text stands a line that says so: whoever sends it
/// once only would hear of its loss no more than its reader.
pub fn first_of(
    invite: &Request,
    first: &FirstMessage,
    parties: Parties,
    peer: &SipProfile,
) -> Option<InstantMessage> {
    let kind = ContentType::parse(first.essence())?;
    let content = match content::read(&kind, first.text().as_bytes(), peer, 0) {
        Ok(content) => content,
        Err(Unmapped::Refused(Own::Formatted)) => Content::from(Body::Text {
            text: RICH_TEXT_LOST.to_owned(),
            html: None,
        }),
        Err(_) => return None,
    };
    Some(InstantMessage {
        id: None,
        from_instance: parties.from_instance,
        to_instance: parties.to_instance,
        payload: payload(invite, content),
        lang: None,
        thread: invite.call_id().ok().map(str::to_owned),
        sent_at: None,
        display_name: parties.display_name.as_deref().and_then(display_name),
        style: MessageStyle::Chat,
    })
}

fn translate(
    request: &Request,
    parties: Parties,
    style: MessageStyle,
    peer: &SipProfile,
    now: Wall,
) -> Result<Incoming, Unmapped> {
    let content = read(request, peer, now)?;
    let refresh = match &content.body {
        Body::Composing(State::Active { refresh }) => *refresh,
        Body::Composing(State::Idle) | Body::Receipt(_) | Body::Text { .. } => None,
    };
    let date = request.date().ok().flatten();
    let sent_at = content.wrapper.sent_at.or(date);
    let message_id = content.wrapper.message_id.clone();
    let branch = || request.top_via().ok()?.branch.map(str::to_owned);
    let lang = request.header(HeaderName::ContentLanguage);
    let lang = lang.and_then(|one| language(one.text().split(',').next()?));
    let message = InstantMessage {
        id: message_id.or_else(branch),
        from_instance: parties.from_instance,
        to_instance: parties.to_instance,
        payload: payload(request, content),
        lang,
        thread: request.call_id().ok().map(str::to_owned),
        sent_at: sent_at.filter(|at| now.since(*at) >= limits::DELAY_SHOWN_AFTER),
        display_name: parties.display_name.as_deref().and_then(display_name),
        style,
    };
    Ok(Incoming {
        pair: parties.pair,
        message,
        refresh,
    })
}

/// Reads the body, unless its time is over.
fn read(request: &Request, peer: &SipProfile, now: Wall) -> Result<Content, Unmapped> {
    let plain = |encoding: &str| encoding.eq_ignore_ascii_case("identity");
    if !request.values(HeaderName::ContentEncoding).all(plain) {
        return Err(Own::Unsupported.into());
    }
    if is_expired(request, now) {
        return Err(Reason::Expired.into());
    }
    if request.body().is_empty() {
        return Err(Reason::Empty.into());
    }
    let header = request.header(HeaderName::ContentType);
    let named = header.map_or_else(|| "text/plain".to_owned(), |header| header.text());
    let kind = ContentType::parse(&named).ok_or(Own::Unreadable)?;
    content::read(&kind, request.body(), peer, 0)
}

/// Whether Expires, counted from Date, lies in the past (RFC 3428 section 7).
fn is_expired(request: &Request, now: Wall) -> bool {
    let (Ok(Some(date)), Ok(Some(seconds))) = (request.date(), request.expires()) else {
        return false;
    };
    now > date + Duration::from_secs(seconds.into())
}

fn payload(request: &Request, content: Content) -> Payload {
    let (text, html) = match content.body {
        Body::Composing(state) => return Payload::Typing(chat_state::from_sip(state)),
        Body::Receipt(notification) => {
            return Payload::Receipt(Receipt {
                of: notification.message_id,
                kind: notification.kind,
            });
        }
        Body::Text { text, html } => (text, html),
    };
    let subject = request.header(HeaderName::Subject).map(|one| one.text());
    let subject = subject.or(content.wrapper.subject);
    let subject = subject.map(|subject| clean(Line::fold(&subject).as_str()).into_owned());
    Payload::Text {
        text,
        html,
        subject: subject.filter(|subject| !subject.is_empty()),
        chat_state: None,
        receipts: content.wrapper.receipts,
    }
}
