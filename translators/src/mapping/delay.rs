//! When something was said that comes late (XEP-0203).

use minidom::Element;
use rxml::{Namespace, NcNameStr, xml_ncname};

use crate::model::{Pair, Wall};
use crate::xmpp::ns;

/// The oldest stamp among the children of a stanza; the old form of XEP-0091 counts only where the
/// new one is missing.
pub fn stamp(payloads: &[Element]) -> Option<Wall> {
    let stamps = |name, namespace| {
        let delays = payloads.iter().filter(move |one| one.is(name, namespace));
        delays.filter_map(|delay| delay.attr("stamp"))
    };
    let new = stamps("delay", ns::DELAY).filter_map(Wall::parse_rfc3339);
    let old = stamps("x", ns::OLD_DELAY).filter_map(old_stamp);
    new.min().or_else(|| old.min())
}

/// Reads `20020910T23:08:25` (XEP-0091), which is UTC.
fn old_stamp(stamp: &str) -> Option<Wall> {
    let (date, time) = stamp.trim().split_once('T')?;
    let (year, day) = (date.get(..4)?, date.get(6..8)?);
    let month = date.get(4..6)?;
    Wall::parse_rfc3339(&format!("{year}-{month}-{day}T{time}Z"))
}

/// The stamp of something that a SIP user said, in the name of the domain that the gateway speaks
/// for.
pub fn element(pair: &Pair, at: Wall) -> Element {
    let mut delay = Element::bare("delay", ns::DELAY);
    if let Some(domain) = pair.aor.domain() {
        delay = with_attribute(delay, xml_ncname!("from"), domain.as_str());
    }
    with_attribute(delay, xml_ncname!("stamp"), &at.to_rfc3339())
}

/// Adds an attribute without a namespace.
pub(super) fn with_attribute(mut element: Element, name: &NcNameStr, value: &str) -> Element {
    element.set_attr(Namespace::NONE, name.to_owned(), value);
    element
}
