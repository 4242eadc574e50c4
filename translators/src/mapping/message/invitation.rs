//! Invitations to rooms (XEP-0045 section 7.8, XEP-0249), which become text on a side without
//! rooms; a password never does.

use jid::{BareJid, Jid};
use minidom::Element;
use rxml::{Namespace, xml_ncname};

use crate::model::{Domain, Invitation, Pair};
use crate::origin::Origin;
use crate::xmpp::{Message, MessageKind, ns};

/// The invitation in a message, mediated by a room or direct.
pub fn read(message: &Message) -> Option<Invitation> {
    if let Some((room, invite)) = mediated(message) {
        let inviter = inviter(invite).unwrap_or_else(|| room.clone().into());
        let reason = invite.get_child("reason", ns::MUC_USER).map(Element::text);
        return Some(Invitation {
            room: room.to_string(),
            inviter: inviter.to_string(),
            reason: reason.or_else(|| direct(message)?.attr("reason").map(str::to_owned)),
            mediated: true,
        });
    }
    let direct = direct(message)?;
    let room = BareJid::new(direct.attr("jid")?).ok()?;
    Some(Invitation {
        room: room.to_string(),
        inviter: message.from.to_bare().to_string(),
        reason: direct.attr("reason").map(str::to_owned),
        mediated: false,
    })
}

/// The inviter whom a room names by his own address, where the link proved his domain.
///
/// Only a stanza from a bare JID is a room's: servers stamp those of their users with the full
/// JID (RFC 6120 section 8.1.2.1), so that no user can speak in the name of another this way.
pub fn proven_inviter(message: &Message, origin: &Origin) -> Option<Jid> {
    let (room, invite) = mediated(message)?;
    let inviter = inviter(invite)?;
    let domain = Domain::parse(inviter.domain().as_str())?;
    (inviter.to_bare() != room && origin.covers(&domain)).then_some(inviter)
}

/// The words that a user without rooms reads.
pub fn text(invitation: &Invitation) -> String {
    let room = &invitation.room;
    let inviter = name(invitation);
    let reason = invitation.reason.as_deref().map(str::trim);
    match reason.filter(|reason| !reason.is_empty()) {
        Some(reason) => format!("{inviter} invites you to the chat room {room}: {reason}"),
        None => format!("{inviter} invites you to the chat room {room}"),
    }
}

/// How the inviter is called: by his bare JID, or by his nick where a room hides that.
fn name(invitation: &Invitation) -> String {
    let Ok(inviter) = Jid::new(&invitation.inviter) else {
        return invitation.inviter.clone();
    };
    match inviter.resource() {
        Some(nick) if inviter.to_bare().as_str() == invitation.room => nick.to_string(),
        Some(_) | None => inviter.to_bare().to_string(),
    }
}

/// The refusal that a mediated invitation is answered with, addressed to the room, so that the
/// inviter sees why nobody comes (XEP-0045 section 7.8.2).
pub fn decline(pair: &Pair, invitation: &Invitation) -> Option<Message> {
    let room = BareJid::new(&invitation.room).ok()?;
    let mut reason = Element::bare("reason", ns::MUC_USER);
    reason.append_text("This contact cannot join chat rooms; the invitation was passed on as text");
    let mut decline = Element::bare("decline", ns::MUC_USER);
    decline.set_attr(
        Namespace::NONE,
        xml_ncname!("to").to_owned(),
        invitation.inviter.as_str(),
    );
    decline.append_child(reason);
    let mut x = Element::bare("x", ns::MUC_USER);
    x.append_child(decline);
    let from = pair.aor.image().clone();
    let mut message = Message::new(from.into(), room.into(), MessageKind::Normal);
    message.payloads.push(x);
    Some(message)
}

/// The room that passes on an invitation, and the invitation.
fn mediated(message: &Message) -> Option<(BareJid, &Element)> {
    let x = message.payload("x", ns::MUC_USER)?;
    let invite = x.get_child("invite", ns::MUC_USER)?;
    let is_room = message.from.is_bare() && message.from.node().is_some();
    is_room.then(|| (message.from.to_bare(), invite))
}

fn inviter(invite: &Element) -> Option<Jid> {
    Jid::new(invite.attr("from")?).ok()
}

fn direct(message: &Message) -> Option<&Element> {
    message.payload("x", ns::CONFERENCE)
}
