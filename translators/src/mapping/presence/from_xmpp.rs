//! Presence stanza to tuple (RFC 8048 section 6.2).

use std::time::Duration;

use minidom::Element;

use crate::documents::presence::{add_note, note};
use crate::mapping::delay;
use crate::model::{Note, Show, Tuple, Wall};
use crate::text::display_name;
use crate::xmpp::ns;
use crate::xmpp::stanza::{Presence, PresenceKind};

/// What an XMPP user's server tells of him.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The device and its state.
    pub tuple: Tuple,
    /// The user's display name, where it is told.
    pub name: Option<Box<str>>,
}

impl Report {
    /// Whether it says that no device is left: `unavailable` from the bare JID (RFC 6121 section
    /// 4.5.4). Its words are those of all of them.
    pub fn is_for_all(&self) -> bool {
        self.tuple.device.is_empty() && !self.tuple.open
    }
}

/// Reads available and unavailable presence; every other type tells no state. Whatever stands in it,
/// something can be said of it: an odd show is plainly available, an odd priority is left out, and of
/// `unavailable` only the status counts.
pub fn from_xmpp(presence: &Presence, now: Wall) -> Option<Report> {
    let open = match presence.kind {
        PresenceKind::Available => true,
        PresenceKind::Unavailable => false,
        PresenceKind::Error
        | PresenceKind::Probe
        | PresenceKind::Subscribe
        | PresenceKind::Subscribed
        | PresenceKind::Unsubscribe
        | PresenceKind::Unsubscribed => return None,
    };
    let device = presence.from.resource();
    let mut tuple = Tuple::closed(device.map_or("", |resource| resource.as_str()));
    tuple.notes = notes(presence).into();
    tuple.since = delay::stamp(&presence.payloads);
    if open {
        tuple.open = true;
        tuple.show = text_of(presence, "show").and_then(|show| Show::parse(&show));
        tuple.priority = text_of(presence, "priority").and_then(|text| text.trim().parse().ok());
        tuple.idle_since = idle_since(presence, tuple.since.unwrap_or(now));
    }
    let nick = presence.payload("nick", ns::NICK).map(Element::text);
    Some(Report {
        tuple,
        name: nick.as_deref().and_then(display_name).map(Into::into),
    })
}

/// Whether a presence is between a user and a room, which is no presence of people to people.
pub fn is_room(presence: &Presence) -> bool {
    let mut payloads = presence.payloads.iter();
    payloads.any(|one| one.is("x", ns::MUC) || one.is("x", ns::MUC_USER))
}

fn text_of(presence: &Presence, name: &str) -> Option<String> {
    presence.payload(name, ns::CLIENT).map(Element::text)
}

fn notes(presence: &Presence) -> Vec<Note> {
    let mut notes = Vec::new();
    for status in presence
        .payloads
        .iter()
        .filter(|it| it.is("status", ns::CLIENT))
    {
        let lang = status.attr_ns(ns::XML, "lang").filter(|it| !it.is_empty());
        let lang = lang.or(presence.lang.as_deref());
        add_note(&mut notes, note(lang, &status.text()));
    }
    notes
}

/// Since when nobody uses the device (XEP-0319), or for how long nobody did when the presence was
/// sent (XEP-0256).
fn idle_since(presence: &Presence, sent: Wall) -> Option<Wall> {
    let idle = presence.payload("idle", ns::IDLE);
    let since = idle.and_then(|idle| Wall::parse_rfc3339(idle.attr("since")?));
    let last = || {
        let seconds = presence.payload("query", ns::LAST)?.attr("seconds")?;
        let millis = Duration::from_secs(seconds.trim().parse().ok()?).as_millis();
        let millis = i64::try_from(millis).ok()?;
        Some(Wall::from_unix_millis(
            sent.unix_millis().checked_sub(millis)?,
        ))
    };
    since.or_else(last)
}
