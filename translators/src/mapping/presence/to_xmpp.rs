//! State of a SIP user to presence stanzas (RFC 8048 section 6.3): one for each device, always from
//! its full JID, since clients ignore or mishandle available presence from a bare one.

use jid::Jid;
use minidom::Element;
use rxml::{Namespace, xml_ncname};

use super::signals;
use crate::address;
use crate::mapping::delay::{self, with_attribute};
use crate::model::{Note, Pair, PresenceState, Tuple, Wall};
use crate::policy::Disclosure;
use crate::xmpp::ns;
use crate::xmpp::stanza::{Presence, PresenceKind};

/// The resource of a SIP user who names no device: always the same, so that no client sees ghosts.
const NO_DEVICE: &str = "sip";

/// Everything the watcher has to know: a stanza for each open device, or one `unavailable` from the
/// bare JID with the time of the last change (RFC 6121 section 4.3.2). A prober who wrote from a
/// device is answered there.
pub fn full(
    disclosure: &Disclosure,
    state: &PresenceState,
    to_device: Option<&str>,
    last_change: Option<Wall>,
) -> Vec<Presence> {
    let pair = disclosure.pair();
    let to = address::with_instance(&pair.jid, to_device);
    let to = to.unwrap_or_else(|_| pair.address());
    if state.is_offline() {
        let mut stanza = signals::unavailable(pair);
        stanza.to = to;
        let words = state.tuples().iter().find(|tuple| !tuple.notes.is_empty());
        add_notes(&mut stanza, words.map_or(&[], |tuple| &tuple.notes));
        let stamp = last_change.map(|at| delay::element(pair, at));
        stanza.payloads.extend(stamp);
        return vec![stanza];
    }
    let open = state.open();
    let stanzas = open.filter_map(|tuple| available(pair, &to, tuple, state.name()));
    stanzas.collect()
}

/// What a watcher who was told `before` has to learn to know `after`: devices that are new or have
/// changed, then those that are gone.
pub fn changes(
    disclosure: &Disclosure,
    before: &PresenceState,
    after: &PresenceState,
) -> Vec<Presence> {
    let pair = disclosure.pair();
    let to = pair.address();
    let is_news = |tuple: &&Tuple| {
        let known = before.tuple(&tuple.device);
        before.name() != after.name() || known.is_none_or(|known| !known.tells_same_as(tuple))
    };
    let news = after.open().filter(is_news);
    let news = news.filter_map(|tuple| available(pair, &to, tuple, after.name()));
    let is_open = |device: &str| after.tuple(device).is_some_and(|tuple| tuple.open);
    let gone = before.open().filter(|tuple| !is_open(&tuple.device));
    let gone = gone.filter_map(|tuple| {
        let words = after.tuple(&tuple.device);
        let words = words.map_or(&[][..], |tuple| &tuple.notes);
        unavailable(pair, &tuple.device, words)
    });
    news.chain(gone).collect()
}

/// Takes back what a watcher was told: `unavailable` from each device that was open. Nobody needs a
/// right for that.
pub fn withdraw(pair: &Pair, told: &PresenceState) -> Vec<Presence> {
    let open = told.open();
    let stanzas = open.filter_map(|tuple| unavailable(pair, &tuple.device, &[]));
    stanzas.collect()
}

fn available(pair: &Pair, to: &Jid, tuple: &Tuple, name: Option<&str>) -> Option<Presence> {
    let from = device(pair, &tuple.device)?;
    let mut stanza = Presence::new(from, to.clone(), PresenceKind::Available);
    if let Some(show) = tuple.show {
        stanza.payloads.push(leaf("show", show.as_str()));
    }
    add_notes(&mut stanza, &tuple.notes);
    if let Some(priority) = tuple.priority {
        let priority = priority.to_string();
        stanza.payloads.push(leaf("priority", &priority));
    }
    if let Some(since) = tuple.idle_since {
        let idle = Element::bare("idle", ns::IDLE);
        let idle = with_attribute(idle, xml_ncname!("since"), &since.to_rfc3339());
        stanza.payloads.push(idle);
    }
    stanza.payloads.extend(name.and_then(signals::nick));
    Some(stanza)
}

fn unavailable(pair: &Pair, name: &str, words: &[Note]) -> Option<Presence> {
    let mut stanza = signals::unavailable(pair);
    stanza.from = device(pair, name)?;
    add_notes(&mut stanza, words);
    Some(stanza)
}

/// The full JID of a device; a name that cannot be a resource was replaced where it was read.
fn device(pair: &Pair, name: &str) -> Option<Jid> {
    let name = if name.is_empty() { NO_DEVICE } else { name };
    address::with_instance(pair.aor.image(), Some(name)).ok()
}

/// Adds notes as statuses. A language that all have is that of the stanza.
fn add_notes(stanza: &mut Presence, notes: &[Note]) {
    let first = notes.first().and_then(|note| note.lang.as_deref());
    let one = notes.iter().all(|note| note.lang.as_deref() == first);
    stanza.lang = first.filter(|_| one).map(str::to_owned);
    for note in notes {
        let mut status = leaf("status", &note.text);
        if let Some(lang) = note.lang.as_deref().filter(|_| !one) {
            let xml_lang = xml_ncname!("lang").to_owned();
            status.set_attr(Namespace::xml().clone(), xml_lang, lang);
        }
        stanza.payloads.push(status);
    }
}

fn leaf(name: &str, text: &str) -> Element {
    let mut element = Element::bare(name, ns::CLIENT);
    element.append_text(text);
    element
}
