//! Writing: complete documents, no more than other readers know, each value escaped.

use bytes::Bytes;

use super::device::NO_DEVICE;
use super::{NS, SHOW, STATUS_ACTIVITIES, contact_priority, tuple_id};
use crate::documents::presence::Draft;
use crate::documents::{rpid, xml};
use crate::model::{Tuple, Wall};
use crate::text::{is_pvalue, percent_encode};

/// Writes a state; one without tuples says that the user is offline.
pub(in crate::documents) fn write(draft: &Draft<'_>) -> Bytes {
    if draft.state.tuples().is_empty() {
        return write_offline(draft.entity);
    }
    let person = person(draft);
    let mut out = head(draft, person.is_some());
    for tuple in draft.state.tuples() {
        write_tuple(tuple, draft, &mut out);
    }
    out.push_str(&person.unwrap_or_default());
    let name = draft.state.name().filter(|_| draft.epid.is_some());
    if let Some(name) = name.filter(|_| !draft.state.is_offline()) {
        out.push_str(&display_name(name));
    }
    out.push_str("</presence>");
    Bytes::from(out)
}

/// Writes that somebody is offline, and nothing else.
pub(in crate::documents) fn write_offline(entity: &str) -> Bytes {
    let entity = xml::escape(entity);
    Bytes::from(format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><presence xmlns=\"{NS}\" entity=\"{entity}\">\
         <tuple id=\"{NO_DEVICE}\"><status><basic>closed</basic></status></tuple></presence>"
    ))
}

/// Declaration and opening tag, with the prefixes that the document uses.
fn head(draft: &Draft<'_>, person: bool) -> String {
    let mut out = String::with_capacity(512);
    out.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?><presence xmlns=\"");
    out.push_str(NS);
    out.push('"');
    let idle = draft.state.open().any(|tuple| tuple.idle_since.is_some());
    let acts = draft.state.open().any(|it| activity(it).is_some());
    let prefixes = [
        ("ep", STATUS_ACTIVITIES, draft.epid.is_some() && acts),
        ("dm", rpid::DATA_MODEL, person),
        ("rpid", rpid::NS, person || idle),
        ("ci", rpid::CIPID, draft.state.name().is_some()),
    ];
    for (prefix, namespace, used) in prefixes {
        if used {
            out.push_str(&format!(" xmlns:{prefix}=\"{namespace}\""));
        }
    }
    let entity = xml::escape(draft.entity);
    out.push_str(&format!(" entity=\"{entity}\">"));
    out
}

/// One tuple in the order that the schema fixes: status, extensions, contact, note, timestamp
/// (section 4.4).
fn write_tuple(tuple: &Tuple, draft: &Draft<'_>, out: &mut String) {
    let id = tuple_id(&tuple.device);
    let basic = if tuple.open { "open" } else { "closed" };
    out.push_str(&format!(
        "<tuple id=\"{id}\"><status><basic>{basic}</basic>"
    ));
    if let Some(show) = tuple.show.filter(|_| tuple.open) {
        let show = show.as_str();
        out.push_str(&format!("<show xmlns=\"{SHOW}\">{show}</show>"));
    }
    if let Some(activity) = activity(tuple).filter(|_| draft.epid.is_some()) {
        out.push_str(&format!(
            "<ep:activities><ep:activity>{activity}</ep:activity></ep:activities>"
        ));
    }
    out.push_str("</status>");
    if let Some(since) = tuple.idle_since.filter(|_| tuple.open) {
        let since = since.to_rfc3339();
        out.push_str(&format!(
            "<rpid:user-input last-input=\"{since}\">idle</rpid:user-input>"
        ));
    }
    let priority = tuple.priority.filter(|_| tuple.open);
    if let Some(thousandths) = priority.and_then(contact_priority) {
        write_contact(tuple, thousandths, draft.contact, out);
    }
    for note in &tuple.notes {
        let lang = note.lang.as_deref().map(xml::escape);
        let lang = lang.map(|lang| format!(" xml:lang=\"{lang}\""));
        let lang = lang.unwrap_or_default();
        let text = xml::escape(&note.text);
        out.push_str(&format!("<note{lang}>{text}</note>"));
    }
    if let Some(stamp) = timestamp(tuple, draft) {
        out.push_str(&format!("<timestamp>{stamp}</timestamp>"));
    }
    out.push_str("</tuple>");
}

fn write_contact(tuple: &Tuple, thousandths: u32, contact: &str, out: &mut String) {
    let mut uri = contact.to_owned();
    if !tuple.device.is_empty() {
        uri.push_str(";gr=");
        uri.push_str(&percent_encode(&tuple.device, is_pvalue));
    }
    let uri = xml::escape(&uri);
    let priority = match thousandths {
        0 => "0".to_owned(),
        1_000.. => "1".to_owned(),
        part => format!("0.{part:03}"),
    };
    out.push_str(&format!("<contact priority=\"{priority}\">{uri}</contact>"));
}

/// Since when a tuple is as it is, if no earlier document can have said the same: the second that
/// is written lies behind the last document, and not before us.
fn timestamp(tuple: &Tuple, draft: &Draft<'_>) -> Option<String> {
    let millis = tuple.since?.unix_millis();
    let second = Wall::from_unix_millis(millis - millis.rem_euclid(1_000));
    let fresh = draft.last_sent.is_none_or(|last| second > last);
    (fresh && second <= draft.now).then(|| second.to_rfc3339())
}

/// The human being: the activity and the name. The activity is that of the most available device,
/// so that a reader who knows activities only does not take somebody for away who is away from one
/// of two devices.
fn person(draft: &Draft<'_>) -> Option<String> {
    let best = draft.state.open().max_by_key(|tuple| tuple.availability());
    let activity = best.and_then(activity);
    let name = draft.state.name().filter(|_| best.is_some());
    if activity.is_none() && name.is_none() {
        return None;
    }
    let mut out = String::from("<dm:person id=\"p1\">");
    if let Some(activity) = activity {
        out.push_str(&format!(
            "<rpid:activities><rpid:{activity}/></rpid:activities>"
        ));
    }
    if let Some(name) = name {
        out.push_str(&display_name(name));
    }
    out.push_str("</dm:person>");
    Some(out)
}

/// The activity of an open tuple.
fn activity(tuple: &Tuple) -> Option<&'static str> {
    tuple.show.filter(|_| tuple.open).and_then(rpid::from_show)
}

fn display_name(name: &str) -> String {
    let name = xml::escape(name);
    format!("<ci:display-name>{name}</ci:display-name>")
}
