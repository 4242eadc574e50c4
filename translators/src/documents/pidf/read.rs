//! Tolerant reading: what is not understood is left out, and only a document that is none fails.

use minidom::Element;

use super::{NS, SHOW, STATUS_ACTIVITIES, device_of, resource_priority};
use crate::documents::presence::{Reading, add_note, lang_of, note, text_of};
use crate::documents::rpid::{self, Activities, Input, Person};
use crate::documents::{Unreadable, xml};
use crate::limits;
use crate::model::microsoft::BusyAs;
use crate::model::{Note, PresenceState, Show, Tuple};

/// Namespace of the status of instant messaging, as the examples of RFC 3863 have it.
const IM: &str = "urn:ietf:params:xml:ns:pidf:im";

/// Reads a document. `None` says nothing: it has no tuples. A state without an open tuple says that
/// nobody is there to be written to.
pub fn read(document: &[u8], how: Reading<'_>) -> Result<Option<PresenceState>, Unreadable> {
    let root = xml::read(document)?;
    if !root.is("presence", NS) {
        return Err(Unreadable::Unexpected);
    }
    let mut tuples = tuples_of(&root).peekable();
    if tuples.peek().is_none() {
        return Ok(None);
    }
    let lang = lang_of(&root).or(how.lang);
    let whole = Whole {
        person: Person::of(&root, lang),
        notes: notes_of(&root, lang),
        how,
        root: &root,
        lang,
    };
    let reachable = tuples.filter(|tuple| is_for_messages(tuple));
    let tuples: Vec<Tuple> = reachable
        .take(limits::TUPLES)
        .map(|tuple| whole.tuple(tuple))
        .collect();
    let name = whole.person.name.as_deref().map(Into::into);
    Ok(Some(PresenceState::new(tuples).with_name(name)))
}

fn tuples_of(root: &Element) -> impl Iterator<Item = &Element> {
    root.children().filter(|child| child.is("tuple", NS))
}

/// Whether a tuple is the presentity's own and can be sent messages.
fn is_for_messages(tuple: &Element) -> bool {
    let contact = tuple.get_child("contact", NS).map(Element::text);
    let contact = contact.unwrap_or_default();
    let scheme = contact.trim().split_once(':').map(|(scheme, _)| scheme);
    let scheme = scheme.map(str::to_ascii_lowercase);
    let takes_messages = matches!(
        scheme.as_deref(),
        None | Some("" | "im" | "pres" | "sip" | "sips")
    );
    takes_messages && rpid::is_own(tuple)
}

/// What a document says beside its tuples.
struct Whole<'a> {
    root: &'a Element,
    person: Person,
    notes: Vec<Note>,
    lang: Option<&'a str>,
    how: Reading<'a>,
}

impl Whole<'_> {
    fn tuple(&self, element: &Element) -> Tuple {
        let said = Said::of(element);
        let basic = said.basic.as_deref();
        let open = basic == Some("open") || (basic != Some("closed") && said.anything);
        let input = Input::of(element)
            .or_else(|| Input::of_device(self.root, element))
            .or(self.person.input)
            .filter(|input| open && input.idle);
        let idle_away = (self.how.idle_is_away && input.is_some()).then_some(Show::Away);
        let own = said
            .show
            .unwrap_or_else(|| said.activity.or(self.person.show).or(idle_away));
        // An activity cannot tell busy from do not disturb; a show of XMPP says what it means.
        let busy = own == Some(Show::Dnd) && said.show.is_none();
        let busy = open && busy && self.how.busy_as == BusyAs::Available;
        let mut notes = self.notes(element);
        if busy && notes.is_empty() {
            notes.extend(note(None, "Busy"));
        }
        Tuple {
            device: device_of(element.attr("id").unwrap_or_default()).into(),
            open,
            show: own.filter(|_| open && !busy),
            notes: notes.into(),
            priority: priority(element).filter(|_| open),
            idle_since: input.and_then(|input| input.last),
            since: None,
        }
    }

    /// The notes of a tuple, else of the document, else of the person.
    fn notes(&self, tuple: &Element) -> Vec<Note> {
        let own = notes_of(tuple, lang_of(tuple).or(self.lang));
        let all = [&own, &self.notes, &self.person.notes];
        let found = all.into_iter().find(|notes| !notes.is_empty());
        found.cloned().unwrap_or_default()
    }
}

/// What a tuple says of itself.
struct Said {
    basic: Option<String>,
    /// The show of XMPP, where there is one; an empty or unknown one is plainly available.
    show: Option<Option<Show>>,
    /// What other elements say, the more telling ones first.
    activity: Option<Show>,
    /// Whether there was a show or an activity.
    anything: bool,
}

impl Said {
    /// The show stands inside `<status>`, or under the tuple, where RFC 4479 section 3.7 wants new
    /// elements.
    fn of(tuple: &Element) -> Self {
        let status = tuple.get_child("status", NS);
        let places: Vec<&Element> = status.into_iter().chain([tuple]).collect();
        let in_places = |name, namespace| {
            let mut places = places.iter();
            places.find_map(|place| place.get_child(name, namespace))
        };
        let word = |element: &Element| xml::text(element).trim().to_ascii_lowercase();
        let show = in_places("show", SHOW).map(word);
        let im = in_places("im", IM).map(word);
        let listed = |namespace| {
            let lists = places.iter().map(|place| Activities::of(place, namespace));
            lists
                .reduce(|one, other| if one.any { one } else { other })
                .unwrap_or_default()
        };
        let (microsoft, rich) = (listed(STATUS_ACTIVITIES), listed(rpid::NS));
        let activity = im.as_deref().and_then(rpid::to_show);
        Self {
            basic: status.and_then(|it| it.get_child("basic", NS)).map(word),
            anything: show.as_deref().is_some_and(|word| !word.is_empty())
                || im.is_some()
                || microsoft.any
                || rich.any,
            show: show.as_deref().map(Show::parse),
            activity: activity.or(microsoft.show).or(rich.show),
        }
    }
}

fn notes_of(parent: &Element, lang: Option<&str>) -> Vec<Note> {
    let mut notes = Vec::new();
    for element in parent.children().filter(|child| child.is("note", NS)) {
        add_note(&mut notes, text_of(element, lang));
    }
    notes
}

/// The priority of a contact, a decimal from 0 to 1 of which three places count (section 4.1.5).
fn priority(tuple: &Element) -> Option<i8> {
    let contact = tuple.get_child("contact", NS)?;
    let text = contact.attr("priority")?.trim();
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let places: String = fraction.chars().chain("000".chars()).take(3).collect();
    let thousandths = places.parse::<u32>().ok()?;
    match whole {
        "" | "0" if !text.is_empty() && text != "." => Some(resource_priority(thousandths)),
        "1" if fraction.bytes().all(|digit| digit == b'0') => Some(resource_priority(1_000)),
        _ => None,
    }
}
