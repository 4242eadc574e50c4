//! Tolerant reading: what is not understood is left out, and only a document that is none fails.

use minidom::Element;

use crate::documents::availability::{Telling, canonical};
use crate::documents::presence::{Reading, note};
use crate::documents::{Unreadable, xml};
use crate::model::{Note, PresenceState, Wall};
use crate::text::display_name;

/// Reads a document. `None` says nothing: none of its numbers can be read. Documents are complete, so
/// whoever has neither numbers nor states does not let himself be seen.
///
/// The highest number counts of what all devices together make, what the user has set, and what a
/// device says that changed later than that.
pub(in crate::documents) fn read(
    document: &[u8],
    how: Reading<'_>,
) -> Result<Option<PresenceState>, Unreadable> {
    let root = xml::read_loose(document)?;
    if root.name() != "presentity" {
        return Err(Unreadable::Unexpected);
    }
    let info = xml::child(&root, "userInfo");
    let devices: Vec<&Element> = xml::children(&root, "devices")
        .flat_map(|devices| xml::children(devices, "devicePresence"))
        .collect();
    let user = highest(info.into_iter().flat_map(states));
    let since = user.as_ref().and_then(|user| user.since);
    let later = devices.iter().flat_map(|device| states(device));
    let later = later.filter(|device| user.is_none() || device.since > since);
    let later = later.reduce(|one, other| if other.since >= one.since { other } else { one });
    let whole = aggregate(&root).or_else(|| of_devices(&devices));
    let told = highest(whole.into_iter().chain(user).chain(later));
    let empty = || Telling::of(canonical::OFFLINE, None);
    let Some(telling) = told.or_else(|| has_no_numbers(&root).then(empty)) else {
        return Ok(None);
    };
    let own = info.and_then(|info| card_note(info, "note", how.lang));
    let words = own.or_else(|| devices.iter().find_map(|device| remark(device, how.lang)));
    let name = xml::child(&root, "displayName").and_then(|it| it.attr("displayName"));
    let state = PresenceState::new([telling.tuple("", words, how)]);
    Ok(Some(
        state.with_name(name.and_then(display_name).map(Into::into)),
    ))
}

/// Whether nothing stands there that could tell how available somebody is.
fn has_no_numbers(root: &Element) -> bool {
    let numbered = |parent: &Element| {
        let mut names = ["availability", "activity", "states"].into_iter();
        names.any(|name| xml::child(parent, name).is_some())
    };
    let mut devices = xml::children(root, "devices").flat_map(Element::children);
    let mut infos = xml::children(root, "userInfo");
    !numbered(root) && !devices.any(numbered) && !infos.any(numbered)
}

/// What all devices together make.
fn aggregate(root: &Element) -> Option<Telling> {
    let number = |name| {
        let number = xml::child(root, name)?.attr("aggregate")?;
        number.trim().parse::<u32>().ok()
    };
    match (number("availability"), number("activity")) {
        (None, None) => None,
        (Some(availability), None) => Some(Telling::of_aggregates(availability, 400)),
        (None, Some(activity)) => Some(Telling::of_aggregates(300, activity)),
        (Some(availability), Some(activity)) => {
            Some(Telling::of_aggregates(availability, activity))
        }
    }
}

/// What the devices make, where nothing is said of all of them together: those that are there.
fn of_devices(devices: &[&Element]) -> Option<Telling> {
    let all: Vec<Telling> = devices.iter().filter_map(|it| aggregate(it)).collect();
    let there = all.iter().filter(|it| it.number < canonical::OFFLINE);
    highest(there.cloned()).or_else(|| all.first().cloned())
}

/// The states of a user or a device.
fn states(parent: &Element) -> impl Iterator<Item = Telling> + '_ {
    let lists = xml::children(parent, "states");
    lists
        .flat_map(|list| xml::children(list, "state"))
        .filter_map(state)
}

fn state(element: &Element) -> Option<Telling> {
    let number = element.attr("avail")?.trim().parse().ok()?;
    let activity = xml::child(element, "activity");
    let text = element.text();
    let token = Some(text.trim()).filter(|token| !token.is_empty());
    let token = token.or_else(|| activity?.attr("token"));
    let custom = activity.and_then(|activity| xml::child(activity, "custom"));
    Some(Telling {
        custom: custom.and_then(|custom| note(None, &xml::text(custom))),
        since: element.attr("since").and_then(Wall::parse_rfc3339),
        mobile: xml::child(element, "device").is_some_and(is_mobile),
        ..Telling::of(number, token)
    })
}

/// Whether a device is a telephone.
pub(in crate::documents) fn is_mobile(device: &Element) -> bool {
    device.text().trim().eq_ignore_ascii_case("mobile")
}

/// The one with the highest number, of equal ones the last, which tells more.
fn highest(all: impl Iterator<Item = Telling>) -> Option<Telling> {
    all.max_by_key(|telling| telling.number)
}

/// The note in children of that name: one for when the user is out of office, which is there only if
/// he is, else the first.
pub(in crate::documents) fn card_note(
    parent: &Element,
    name: &str,
    lang: Option<&str>,
) -> Option<Note> {
    let of = |out_of_office: bool| {
        let mut notes = xml::children(parent, name).filter(move |it| {
            let kind = it.attr("type").unwrap_or_default();
            kind.eq_ignore_ascii_case("oof") == out_of_office
        });
        notes.find_map(|it| note(lang, &xml::text(it)))
    };
    of(true).or_else(|| of(false))
}

/// The note that a device adds to its activity.
fn remark(device: &Element, lang: Option<&str>) -> Option<Note> {
    note(lang, xml::child(device, "activity")?.attr("note")?)
}
