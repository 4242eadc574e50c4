//! The stanzas that ask for, give, end and question a subscription. Each goes from the bare JID of
//! the SIP user's image to the bare JID of the XMPP user (RFC 6121 sections 3 and 4.3), and tells no
//! state but that somebody is not there.

use minidom::Element;

use crate::model::Pair;
use crate::text::display_name;
use crate::xmpp::ns;
use crate::xmpp::stanza::{Presence, PresenceKind};

/// Asks to see the XMPP user. A request is where a display name belongs (XEP-0172 section 4.2).
pub fn subscribe(pair: &Pair, name: Option<&str>) -> Presence {
    let mut request = signal(pair, PresenceKind::Subscribe);
    request.payloads.extend(name.and_then(nick));
    request
}

/// Lets the XMPP user see the SIP user.
pub fn subscribed(pair: &Pair) -> Presence {
    signal(pair, PresenceKind::Subscribed)
}

/// Gives up seeing the XMPP user.
pub fn unsubscribe(pair: &Pair) -> Presence {
    signal(pair, PresenceKind::Unsubscribe)
}

/// Does not let the XMPP user see the SIP user, now or any more.
pub fn unsubscribed(pair: &Pair) -> Presence {
    signal(pair, PresenceKind::Unsubscribed)
}

/// Asks for the XMPP user's current state ("must be sent from the bare JID", RFC 6121 section 4.3).
pub fn probe(pair: &Pair) -> Presence {
    signal(pair, PresenceKind::Probe)
}

/// Says that no device of the SIP user is there.
pub fn unavailable(pair: &Pair) -> Presence {
    signal(pair, PresenceKind::Unavailable)
}

fn signal(pair: &Pair, kind: PresenceKind) -> Presence {
    let from = pair.aor.image().clone();
    Presence::new(from.into(), pair.address(), kind)
}

/// A display name as a child of a stanza (XEP-0172).
pub(super) fn nick(name: &str) -> Option<Element> {
    let mut nick = Element::bare("nick", ns::NICK);
    nick.append_text(display_name(name)?);
    Some(nick)
}
