//! Real names in the place of expected ones, in what is fed.

use minidom::Element;
use rxml::{Namespace, xml_ncname};

use super::compare_xml;
use super::names::{Kind, Names};
use super::sip::{Sip, param};
use super::values::Address;

/// A request of the gateway: as expected and as it was.
pub(crate) struct Asked {
    pub(crate) expected: Sip,
    pub(crate) actual: Sip,
}

/// A stanza, with real identifiers.
pub(crate) fn stanza(text: &str, names: &mut Names) -> Result<String, String> {
    let mut stanza = compare_xml::read(text)?;
    rename_ids(&mut stanza, names);
    if let Some(id) = stanza.attr("id") {
        names.give(Kind::StanzaId, id);
    }
    Ok(String::from(&stanza))
}

fn rename_ids(element: &mut Element, names: &Names) {
    let id = element
        .attr("id")
        .and_then(|id| names.real(Kind::StanzaId, id));
    if let Some(real) = id.map(str::to_owned) {
        element.set_attr(Namespace::NONE, xml_ncname!("id").to_owned(), real);
    }
    for child in element.children_mut() {
        rename_ids(child, names);
    }
}

/// A SIP message, with real names and a right Content-Length.
pub(crate) fn message(mut sip: Sip, names: &mut Names, asked: &[Asked]) -> Sip {
    if sip.is_response() {
        answer(&mut sip, asked);
    } else {
        request(&mut sip, names);
    }
    let call_id = names.real(Kind::CallId, sip.call_id()).map(str::to_owned);
    if let Some(call_id) = call_id {
        sip.set("Call-ID", &call_id);
    }
    body(&mut sip, names);
    give(&sip, names);
    sip
}

/// A response belongs to the last expected request with its branch and CSeq, and takes branch,
/// tags and CSeq of the real one.
fn answer(sip: &mut Sip, asked: &[Asked]) {
    let same =
        |one: &&Asked| one.expected.branch() == sip.branch() && one.expected.cseq() == sip.cseq();
    let Some(asked) = asked.iter().rev().find(same) else {
        return;
    };
    let actual = &asked.actual;
    sip.headers.retain(|(name, _)| name != "Via");
    let vias = actual
        .all("Via")
        .map(|via| ("Via".to_owned(), via.to_owned()));
    sip.headers.splice(0..0, vias.collect::<Vec<_>>());
    for name in ["Call-ID", "CSeq"] {
        sip.set(name, actual.header(name).unwrap_or_default());
    }
    for name in ["From", "To"] {
        if let (Some(tag), Some(real)) = (sip.tag(name), actual.tag(name)) {
            rename_tag(sip, name, &tag, &real);
        }
    }
}

fn request(sip: &mut Sip, names: &Names) {
    if let Some(real) = names.real(Kind::Contact, sip.uri()) {
        sip.start = format!("{} {real} SIP/2.0", sip.method());
    }
    for name in ["From", "To"] {
        let tag = sip.tag(name);
        let real = tag.as_ref().and_then(|tag| names.real(Kind::Tag, tag));
        if let (Some(tag), Some(real)) = (&tag, real.map(str::to_owned)) {
            rename_tag(sip, name, tag, &real);
        }
    }
}

fn rename_tag(sip: &mut Sip, name: &str, tag: &str, real: &str) {
    let value = sip.header(name).unwrap_or_default();
    let value = value.replace(&format!("tag={tag}"), &format!("tag={real}"));
    sip.set(name, &value);
}

/// Message-IDs of the gateway stand in notifications.
fn body(sip: &mut Sip, names: &Names) {
    let Ok(mut text) = String::from_utf8(sip.body.clone()) else {
        return;
    };
    let before = text.len();
    let mut renamed = false;
    for (expected, real) in names.bound(Kind::MessageId) {
        let (from, to) = (format!(">{expected}<"), format!(">{real}<"));
        renamed |= text.contains(&from);
        text = text.replace(&from, &to);
    }
    if !renamed {
        return;
    }
    let grown = text.len().wrapping_sub(before);
    sip.body = inner_length(&text, grown).into_bytes();
    let length = sip.body.len().to_string();
    sip.set("Content-Length", &length);
}

/// Writes the Content-Length of the part inside a CPIM message anew, where it has one.
fn inner_length(text: &str, grown: usize) -> String {
    const NAME: &str = "\r\nContent-Length:";
    let parts = text.split_once(NAME);
    let parts = parts.and_then(|(before, rest)| Some((before, rest.split_once("\r\n")?)));
    let Some((before, (number, after))) = parts else {
        return text.to_owned();
    };
    let length: usize = number.trim().parse().unwrap_or(0);
    format!("{before}{NAME} {}\r\n{after}", length.wrapping_add(grown))
}

/// Takes note of the names that an input gives.
fn give(sip: &Sip, names: &mut Names) {
    names.give(Kind::CallId, sip.call_id());
    let theirs = if sip.is_response() { "To" } else { "From" };
    if let Some(tag) = sip.tag(theirs) {
        names.give(Kind::Tag, &tag);
    }
    for contact in sip.all("Contact") {
        names.give(Kind::Contact, &Address::read(contact).uri);
    }
    let text = String::from_utf8_lossy(&sip.body);
    for line in text.lines() {
        if let Some(id) = line.strip_prefix("imdn.Message-ID:") {
            names.give(Kind::MessageId, id.trim());
        }
    }
    if let Some(branch) = sip.header("Via").and_then(|via| param(via, "branch")) {
        names.give(Kind::Branch, &branch);
    }
}
