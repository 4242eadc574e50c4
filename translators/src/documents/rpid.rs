//! Rich presence (RPID, RFC 4480) inside presence documents, with the data model of persons and
//! devices (RFC 4479) and the display name of CIPID (RFC 4482), as far as XMPP has words for it.
//!
//! The intervals `from` and `until` of an activity are not looked at: a sender that keeps an
//! activity in its document says that it holds.

use minidom::Element;

use crate::documents::presence::{add_note, text_of};
use crate::documents::xml;
use crate::model::{Note, Show, Wall};
use crate::text::display_name;

/// Namespace of RPID.
pub const NS: &str = "urn:ietf:params:xml:ns:pidf:rpid";
/// Namespace of persons and devices.
pub const DATA_MODEL: &str = "urn:ietf:params:xml:ns:pidf:data-model";
/// Namespace of the display name.
pub const CIPID: &str = "urn:ietf:params:xml:ns:pidf:cipid";

/// What XMPP shows for an activity; none for one that hinders nobody, and for an unknown one.
pub fn to_show(activity: &str) -> Option<Show> {
    match activity {
        "appointment" | "away" | "breakfast" | "dinner" | "in-transit" | "lunch" | "meal"
        | "shopping" => Some(Show::Away),
        "busy" | "meeting" | "on-the-phone" | "performance" | "presentation" | "steering"
        | "worship" => Some(Show::Dnd),
        "holiday" | "permanent-absence" | "sleeping" | "travel" | "vacation" => Some(Show::Xa),
        _ => None,
    }
}

/// What XMPP shows for a word of Microsoft's clients that RPID has not, in either of its spellings.
fn token_show(word: &str) -> Option<Show> {
    match word.replace('-', "").as_str() {
        "berightback" | "brb" => Some(Show::Away),
        "donotdisturb"
        | "inaconference"
        | "inameeting"
        | "inpresentation"
        | "onthephone"
        | "urgentinterruptionsonly" => Some(Show::Dnd),
        "offwork" | "outofoffice" | "outtolunch" => Some(Show::Xa),
        _ => None,
    }
}

/// The activity that says what XMPP shows; RPID has no word for `chat`.
pub const fn from_show(show: Show) -> Option<&'static str> {
    match show {
        Show::Away | Show::Xa => Some("away"),
        Show::Chat => None,
        Show::Dnd => Some("busy"),
    }
}

/// The one of two that wants fewer disturbances: dnd, then xa, then away, then chat.
pub fn more_restrictive(one: Option<Show>, other: Option<Show>) -> Option<Show> {
    let rank = |show: &Option<Show>| match show {
        None => 0,
        Some(Show::Chat) => 1,
        Some(Show::Away) => 2,
        Some(Show::Xa) => 3,
        Some(Show::Dnd) => 4,
    };
    [one, other].into_iter().max_by_key(rank).flatten()
}

/// Activities of an element that has them as a child, in this namespace.
#[derive(Debug, Default)]
pub(super) struct Activities {
    /// Whether there is any.
    pub(super) any: bool,
    /// The most restrictive show of them.
    pub(super) show: Option<Show>,
}

impl Activities {
    /// Reads the activities that stand in `parent`: elements named after themselves, or the older
    /// `<activity>` with the name as text.
    pub(super) fn of(parent: &Element, namespace: &str) -> Self {
        let lists = parent
            .children()
            .filter(|it| it.is("activities", namespace));
        let names = lists.flat_map(Element::children).filter_map(|activity| {
            match activity.name() {
                "activity" => Some(xml::text(activity).trim().to_ascii_lowercase()),
                // What the activities do not say.
                "note" => None,
                name => Some(name.to_owned()),
            }
        });
        names.fold(Self::default(), |all, name| Self {
            any: true,
            show: more_restrictive(all.show, to_show(&name).or_else(|| token_show(&name))),
        })
    }
}

/// What a document says of the human being, all its persons together.
#[derive(Debug, Default)]
pub(super) struct Person {
    /// The most restrictive show of the activities.
    pub(super) show: Option<Show>,
    /// Notes about the person, else those about the activities, else the name of another activity.
    pub(super) notes: Vec<Note>,
    /// The display name.
    pub(super) name: Option<String>,
    /// Whether somebody uses a device.
    pub(super) input: Option<Input>,
}

impl Person {
    /// Reads the persons of a document; `lang` is the language of words that name none.
    pub(super) fn of(root: &Element, lang: Option<&str>) -> Self {
        let mut person = Self {
            name: name_in(root),
            ..Self::default()
        };
        let (mut remarks, mut others) = (Vec::new(), Vec::new());
        for element in root.children().filter(|it| it.is("person", DATA_MODEL)) {
            let show = Activities::of(element, NS).show;
            person.show = more_restrictive(person.show, show);
            person.name = person.name.or_else(|| name_in(element));
            person.input = person.input.or_else(|| Input::of(element));
            for namespace in [DATA_MODEL, NS] {
                collect(element, ("note", namespace), lang, &mut person.notes);
            }
            for activities in element.children().filter(|it| it.is("activities", NS)) {
                collect(activities, ("note", NS), lang, &mut remarks);
                collect(activities, ("other", NS), lang, &mut others);
            }
        }
        for notes in [remarks, others] {
            if person.notes.is_empty() {
                person.notes = notes;
            }
        }
        person
    }
}

/// Adds the texts of those children that have this name and namespace.
fn collect(
    parent: &Element,
    (name, namespace): (&str, &str),
    lang: Option<&str>,
    notes: &mut Vec<Note>,
) {
    for child in parent.children().filter(|it| it.is(name, namespace)) {
        add_note(notes, text_of(child, lang));
    }
}

/// The display name that stands in `parent`.
pub(super) fn name_in(parent: &Element) -> Option<String> {
    display_name(&parent.get_child("display-name", CIPID)?.text())
}

/// Whether somebody uses a device (section 3.14).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Input {
    /// Whether nobody does.
    pub(super) idle: bool,
    /// When it was last used.
    pub(super) last: Option<Wall>,
}

impl Input {
    /// Reads `<user-input>` in a tuple, a person or a device.
    pub(super) fn of(parent: &Element) -> Option<Self> {
        let input = parent.get_child("user-input", NS)?;
        Some(Self {
            idle: input.text().trim() == "idle",
            last: input.attr("last-input").and_then(Wall::parse_rfc3339),
        })
    }

    /// Reads that of the device which a tuple names, or of the only device of a document.
    pub(super) fn of_device(root: &Element, tuple: &Element) -> Option<Self> {
        let named = tuple.get_child("deviceID", DATA_MODEL).map(Element::text);
        let mut devices = root.children().filter(|it| it.is("device", DATA_MODEL));
        match named {
            Some(id) => devices
                .find(|device| device_id(device) == Some(id.trim().to_owned()))
                .and_then(Self::of),
            None => {
                let only = devices.next()?;
                devices.next().is_none().then(|| Self::of(only)).flatten()
            }
        }
    }
}

fn device_id(device: &Element) -> Option<String> {
    let id = device.get_child("deviceID", DATA_MODEL)?.text();
    Some(id.trim().to_owned())
}

/// Whether a tuple is the presentity's own: relationship `self`, or none named (section 3.8).
pub(super) fn is_own(tuple: &Element) -> bool {
    let Some(relationship) = tuple.get_child("relationship", NS) else {
        return true;
    };
    let names = |child: &Element| child.name() == "self";
    let mut kinds = relationship.children().filter(|it| it.name() != "note");
    match kinds.next() {
        Some(kind) => names(kind),
        None => matches!(relationship.text().trim(), "" | "self"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_restrictive_activity_counts() {
        let all = [
            None,
            Some(Show::Chat),
            Some(Show::Away),
            Some(Show::Xa),
            Some(Show::Dnd),
        ];
        for (less, more) in all.iter().zip(all.iter().skip(1)) {
            assert_eq!(more_restrictive(*less, *more), *more);
            assert_eq!(more_restrictive(*more, *less), *more);
        }
    }

    #[test]
    fn what_is_written_is_read_as_the_same_or_a_near_show() {
        for (show, back) in [
            (Show::Away, Some(Show::Away)),
            (Show::Chat, None),
            (Show::Dnd, Some(Show::Dnd)),
            (Show::Xa, Some(Show::Away)),
        ] {
            assert_eq!(from_show(show).and_then(to_show), back);
        }
    }
}
