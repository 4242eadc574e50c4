//! Tolerant reading. A document may hold only the categories that have changed; the others are as
//! they are known.

use minidom::Element;

use crate::documents::availability::{Telling, words_for_activity};
use crate::documents::msrtc::{card_note, is_mobile};
use crate::documents::presence::{Reading, note};
use crate::documents::{Unreadable, xml};
use crate::model::{Note, PresenceState, Tuple, Wall};
use crate::text::display_name;

/// The type of a state that stands for all of a user's devices.
const AGGREGATE: &str = "aggregateState";

/// Reads a document. `None` says nothing: it tells no state, and none is known. Without any category,
/// or with a state that is empty, the user does not let himself be seen.
pub(in crate::documents) fn read(
    document: &[u8],
    how: Reading<'_>,
) -> Result<Option<PresenceState>, Unreadable> {
    let root = xml::read_loose(document)?;
    if root.name() != "categories" {
        return Err(Unreadable::Unexpected);
    }
    if xml::child(&root, "category").is_none() {
        return Ok(Some(PresenceState::new([Tuple::closed("")])));
    }
    let categories = Categories { root: &root, how };
    let known = how.known.and_then(|known| known.tuples().first());
    let tuple = match categories.telling() {
        Some(telling) => {
            let told = categories.note();
            let kept = || known.and_then(own_words);
            telling.tuple("", told.unwrap_or_else(kept), how)
        }
        None => {
            let Some(known) = known else {
                return Ok(None);
            };
            let mut tuple = known.clone();
            if let Some(told) = categories.note() {
                let activity = || {
                    known
                        .notes
                        .iter()
                        .find(|it| words_for_activity(it).is_some())
                };
                let note = told.or_else(|| activity().cloned());
                tuple.notes = note.into_iter().collect();
            }
            tuple
        }
    };
    let name = categories.name();
    let name = name.or_else(|| how.known.and_then(PresenceState::name).map(Into::into));
    Ok(Some(PresenceState::new([tuple]).with_name(name)))
}

/// The words of a known state that are the user's, not those of his activity: an activity that is
/// over must not stay with a new state.
fn own_words(known: &Tuple) -> Option<Note> {
    let known = known.notes.first()?;
    match words_for_activity(known) {
        None => Some(known.clone()),
        Some(rest) => note(known.lang.as_deref(), rest),
    }
}

struct Categories<'a> {
    root: &'a Element,
    how: Reading<'a>,
}

impl<'a> Categories<'a> {
    /// The content of the instances of one category.
    fn of(&self, name: &'static str) -> impl Iterator<Item = &'a Element> + use<'a> {
        let all = xml::children(self.root, "category");
        all.filter(move |it| it.attr("name").is_some_and(|it| it.trim() == name))
    }

    /// The state, where the document has that category: that of all devices together, else the one
    /// with the highest number. One that is empty is nothing.
    fn telling(&self) -> Option<Telling> {
        let mut categories = self.of("state").peekable();
        categories.peek()?;
        let states = categories.flat_map(|it| xml::children(it, "state"));
        let ranked = states.filter_map(|state| {
            let kind = state.attr_ns(XSI, "type").or_else(|| state.attr("type"));
            Some((kind.is_some_and(is_aggregate), telling(state, self.how)?))
        });
        let best = ranked.max_by_key(|(aggregate, telling)| (*aggregate, telling.number));
        Some(best.map(|(_, telling)| telling).unwrap_or_default())
    }

    /// The note, where the document has that category; it may be empty.
    fn note(&self) -> Option<Option<Note>> {
        let notes = NOTES.into_iter().flat_map(|name| self.of(name));
        let mut notes = notes.peekable();
        notes.peek()?;
        let bodies = notes.flat_map(Element::children);
        let bodies: Vec<&Element> = bodies.filter(|it| NOTES.contains(&it.name())).collect();
        let of = |wanted: fn(&Element) -> bool| {
            let mut wanted = bodies.iter().filter(|it| wanted(it));
            wanted.find_map(|it| card_note(it, "body", self.how.lang))
        };
        Some(of(is_out_of_office).or_else(|| of(|_| true)))
    }

    /// The name on the contact card.
    fn name(&self) -> Option<Box<str>> {
        let cards = self.of("contactCard");
        let mut cards = cards.flat_map(|it| xml::children(it, "contactCard"));
        let name = cards.find_map(|card| {
            let name = xml::child(xml::child(card, "identity")?, "name")?;
            display_name(&xml::text(xml::child(name, "displayName")?))
        });
        name.map(Into::into)
    }
}

/// What notes are called.
const NOTES: [&str; 2] = ["note", "enhancedNote"];

/// Namespace of the type of an element.
const XSI: &str = "http://www.w3.org/2001/XMLSchema-instance";

fn is_aggregate(kind: &str) -> bool {
    let local = kind.rsplit_once(':').map_or(kind, |(_, local)| local);
    local.trim() == AGGREGATE
}

fn is_out_of_office(note: &Element) -> bool {
    let mut bodies = xml::children(note, "body");
    bodies.any(|it| {
        let kind = it.attr("type").unwrap_or_default();
        kind.eq_ignore_ascii_case("oof") && !xml::text(it).trim().is_empty()
    })
}

fn telling(state: &Element, how: Reading<'_>) -> Option<Telling> {
    let number = xml::text(xml::child(state, "availability")?);
    let activity = xml::child(state, "activity");
    let custom = activity.and_then(|activity| xml::child(activity, "custom"));
    Some(Telling {
        custom: custom.and_then(|custom| note(how.lang, &xml::text(custom))),
        since: state.attr("lastActive").and_then(Wall::parse_rfc3339),
        mobile: xml::child(state, "device").is_some_and(is_mobile),
        ..Telling::of(
            number.trim().parse().ok()?,
            activity.and_then(|activity| activity.attr("token")),
        )
    })
}
