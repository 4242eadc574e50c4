//! Instant message to message stanza (RFC 7572 section 5).

use minidom::Element;
use rxml::xml_ncname;

use crate::address::{self, Reject};
use crate::documents::xml;
use crate::mapping::delay::with_attribute;
use crate::mapping::message::invitation;
use crate::mapping::{chat_state, delay, failure};
use crate::model::{
    Blame, Condition, Failure, InstantMessage, MessageStyle, Payload, Receipt, ReceiptKind,
};
use crate::policy::Admitted;
use crate::xmpp::{Message, MessageKind, ns};

/// Makes the stanza for an admitted message. The instance that it is for must be a resource that
/// was heard of; the caller leaves out any other.
pub fn to_xmpp(admitted: &Admitted<InstantMessage>) -> Result<Message, Reject> {
    let (pair, message) = (admitted.pair(), admitted.thing());
    let from = address::with_instance(pair.aor.image(), message.from_instance.as_deref())?;
    let to = address::with_instance(&pair.jid, message.to_instance.as_deref())?;
    let mut stanza = Message::new(from, to, kind(message));
    stanza.id.clone_from(&message.id);
    match &message.payload {
        Payload::Invitation(invitation) => {
            stanza.bodies.push((None, invitation::text(invitation)));
        }
        Payload::Receipt(receipt) => add_receipt(&mut stanza, receipt),
        Payload::Text {
            text,
            html,
            subject,
            chat_state,
            receipts,
        } => {
            stanza.lang.clone_from(&message.lang);
            stanza.thread.clone_from(&message.thread);
            stanza.bodies.push((message.lang.clone(), text.clone()));
            let subject = subject.clone();
            stanza
                .subjects
                .extend(subject.map(|one| (message.lang.clone(), one)));
            stanza.payloads.extend(html.as_deref().and_then(xhtml_im));
            stanza.payloads.extend(chat_state.map(chat_state::to_xmpp));
            stanza.payloads.extend(wishes(receipts));
            stanza.payloads.extend(nick(message));
            stanza
                .payloads
                .extend(message.sent_at.map(|at| delay::element(pair, at)));
        }
        Payload::Typing(state) => {
            stanza.thread.clone_from(&message.thread);
            stanza.payloads.push(chat_state::to_xmpp(*state));
        }
    }
    Ok(stanza)
}

/// Pager mode is "normal" (RFC 7572 section 5); typing belongs to chats (XEP-0085 section 5.2).
fn kind(message: &InstantMessage) -> MessageKind {
    match (&message.payload, message.style) {
        (Payload::Typing(_), _) | (_, MessageStyle::Chat) => MessageKind::Chat,
        (_, MessageStyle::Headline) => MessageKind::Headline,
        (_, MessageStyle::Normal) => MessageKind::Normal,
    }
}

/// A receipt; that a message did not arrive is told as the error that it is.
fn add_receipt(stanza: &mut Message, receipt: &Receipt) {
    let (name, namespace) = match receipt.kind {
        ReceiptKind::Delivered => ("received", ns::RECEIPTS),
        ReceiptKind::Displayed => ("displayed", ns::MARKERS),
        ReceiptKind::Failed => {
            let failure = Failure::new(Condition::RecipientUnavailable, Blame::Peer)
                .with_text("The message was taken but could not be delivered");
            stanza.kind = MessageKind::Error;
            stanza.id = Some(receipt.of.clone());
            let error = failure::to_xmpp(&failure, None);
            return stanza.payloads.push(error.to_element());
        }
    };
    let element = Element::bare(name, namespace);
    let element = with_attribute(element, xml_ncname!("id"), &receipt.of);
    stanza.payloads.push(element);
}

/// The elements that ask for receipts.
fn wishes(receipts: &[ReceiptKind]) -> impl Iterator<Item = Element> {
    receipts.iter().filter_map(|receipt| match receipt {
        ReceiptKind::Delivered => Some(Element::bare("request", ns::RECEIPTS)),
        ReceiptKind::Displayed => Some(Element::bare("markable", ns::MARKERS)),
        // An error stanza comes without being asked for.
        ReceiptKind::Failed => None,
    })
}

/// Wraps an XHTML body; what is none any more is left out, since the plain body says it all.
fn xhtml_im(html: &str) -> Option<Element> {
    let body = xml::read(html.as_bytes()).ok()?;
    let mut wrapper = Element::bare("html", ns::XHTML_IM);
    wrapper.append_child(body);
    Some(wrapper)
}

/// The sender's display name (XEP-0172).
fn nick(message: &InstantMessage) -> Option<Element> {
    let name = message.display_name.as_deref()?;
    let mut nick = Element::bare("nick", ns::NICK);
    nick.append_text(name);
    Some(nick)
}
