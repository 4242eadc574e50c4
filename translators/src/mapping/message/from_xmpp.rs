//! Message stanza to instant message (RFC 7572 section 4).

use minidom::Element;

use crate::documents::html;
use crate::mapping::failure::Own;
use crate::mapping::message::{Unmapped, invitation};
use crate::mapping::{chat_state, delay, parties};
use crate::model::{
    Directory, InstantMessage, MessageStyle, Pair, Payload, Reason, Receipt, ReceiptKind,
};
use crate::origin::Origin;
use crate::text::{Line, display_name, language};
use crate::xmpp::{Message, MessageKind, ns};

/// Translates a message stanza. Error stanzas are no messages: [`crate::mapping::failure`] reads
/// them.
pub fn from_xmpp(
    message: &Message,
    origin: &Origin,
    directory: &Directory,
) -> Result<(Pair, InstantMessage), Unmapped> {
    let style = style(message)?;
    let parties = parties::of_stanza(message, origin, directory)?;
    let (lang, payload) = payload(message)?;
    let nick = message.payload("nick", ns::NICK).map(Element::text);
    let instant = InstantMessage {
        id: message.id.clone(),
        from_instance: parties.from_instance,
        to_instance: parties.to_instance,
        payload,
        lang: lang.as_deref().and_then(language),
        thread: message.thread.clone(),
        sent_at: delay::stamp(&message.payloads),
        display_name: nick.as_deref().and_then(display_name),
        style,
    };
    Ok((parties.pair, instant))
}

/// Sorts out what is no message between two users.
fn style(message: &Message) -> Result<MessageStyle, Unmapped> {
    let carbon = |name| message.payload(name, ns::CARBONS).is_some();
    if carbon("sent") || carbon("received") {
        return Err(Reason::Carbon.into());
    }
    match message.kind {
        MessageKind::Chat => Ok(MessageStyle::Chat),
        MessageKind::Error => Err(Reason::Unmatched.into()),
        MessageKind::Headline => Ok(MessageStyle::Headline),
        MessageKind::Normal => Ok(MessageStyle::Normal),
        // A room sends to the full JID of an occupant, and an error would only irritate it.
        MessageKind::Groupchat if message.to.is_full() => Err(Reason::Room.into()),
        MessageKind::Groupchat => Err(Own::Nobody.into()),
    }
}

/// What the message carries, with the language of its text.
fn payload(message: &Message) -> Result<(Option<String>, Payload), Unmapped> {
    if let Some(invitation) = invitation::read(message) {
        return Ok((None, Payload::Invitation(invitation)));
    }
    if let Some((lang, text)) = text(message)? {
        let subject = in_language(&message.subjects, lang.as_deref());
        let subject = subject.map(|(_, subject)| Line::fold(subject).as_str().to_owned());
        let payload = Payload::Text {
            text,
            html: None,
            subject: subject.filter(|subject| !subject.is_empty()),
            chat_state: chat_state::from_xmpp(message),
            receipts: wishes(message),
        };
        return Ok((lang, payload));
    }
    if let Some(receipt) = receipt(message) {
        return Ok((None, Payload::Receipt(receipt)));
    }
    match chat_state::from_xmpp(message) {
        Some(state) => Ok((None, Payload::Typing(state))),
        None => Err(Reason::Empty.into()),
    }
}

/// A text with its language.
type Tagged = (Option<String>, String);

/// The text of a message: its body, else what stands in for one.
fn text(message: &Message) -> Result<Option<Tagged>, Unmapped> {
    let body = in_language(&message.bodies, message.lang.as_deref());
    if let Some((lang, text)) = body.filter(|(_, text)| !text.is_empty()) {
        return Ok(Some((lang.clone(), text.clone())));
    }
    if is_encrypted(message) {
        return Err(Own::Encrypted.into());
    }
    let xhtml = || {
        message
            .payload("html", ns::XHTML_IM)
            .map(html::text_of_element)
    };
    let instead = link(message).or_else(xhtml);
    let instead = instead.filter(|text| !text.is_empty());
    Ok(instead.map(|text| (message.lang.clone(), text)))
}

/// The text in the wanted language, else the first one.
fn in_language<'a>(texts: &'a [Tagged], lang: Option<&str>) -> Option<&'a Tagged> {
    let wanted = texts.iter().find(|(other, _)| other.as_deref() == lang);
    wanted.or_else(|| texts.first())
}

/// Whether only the recipient's XMPP devices could read the message (XEP-0380, XEP-0384).
fn is_encrypted(message: &Message) -> bool {
    message.payload("encryption", ns::EME).is_some()
        || message.payloads.iter().any(|one| one.name() == "encrypted")
}

/// The link that a message without body consists of (XEP-0066), with its description.
fn link(message: &Message) -> Option<String> {
    let oob = message.payload("x", ns::OOB)?;
    let url = oob.get_child("url", ns::OOB)?.text();
    let description = oob.get_child("desc", ns::OOB).map(Element::text);
    Some(match description.filter(|text| !text.is_empty()) {
        Some(description) => format!("{description}\n{url}"),
        None => url,
    })
}

/// The receipts that the sender asks for (XEP-0184, XEP-0333).
fn wishes(message: &Message) -> Vec<ReceiptKind> {
    let mut wishes = Vec::new();
    if message.payload("request", ns::RECEIPTS).is_some() {
        wishes.extend([ReceiptKind::Delivered, ReceiptKind::Failed]);
    }
    if message.payload("markable", ns::MARKERS).is_some() {
        wishes.push(ReceiptKind::Displayed);
    }
    wishes
}

/// The receipt that a message without text is.
fn receipt(message: &Message) -> Option<Receipt> {
    let (element, kind) = match message.payload("received", ns::RECEIPTS) {
        Some(received) => (received, ReceiptKind::Delivered),
        None => (
            message.payload("displayed", ns::MARKERS)?,
            ReceiptKind::Displayed,
        ),
    };
    let of = element.attr("id").filter(|id| !id.is_empty())?.to_owned();
    Some(Receipt { of, kind })
}
