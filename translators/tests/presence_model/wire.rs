//! Text of messages and stanzas, as far as the peers of the model look at it.

use std::collections::BTreeMap;

use crate::transition::Look;

/// Devices that can be reached, and how they look.
pub(crate) type Devices = BTreeMap<String, Look>;

/// The value of a header.
pub(crate) fn field<'a>(text: &'a str, name: &str) -> &'a str {
    let head = text.split("\r\n\r\n").next().unwrap();
    let line = head.lines().find(|line| {
        line.split_once(':')
            .is_some_and(|(other, _)| other.eq_ignore_ascii_case(name))
    });
    line.map_or("", |line| line.split_once(':').unwrap().1.trim())
}

/// The number of a CSeq header.
pub(crate) fn cseq(text: &str) -> u32 {
    let value = field(text, "CSeq");
    value.split(' ').next().unwrap().parse().unwrap()
}

/// What stands between two words, or nothing.
pub(crate) fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let rest = text.split_once(start).map_or("", |(_, rest)| rest);
    rest.split_once(end).map_or(rest, |(found, _)| found)
}

/// The tag of a From or To header.
pub(crate) fn tag<'a>(text: &'a str, header: &str) -> &'a str {
    between(field(text, header), ";tag=", ";")
}

/// The user part of a From or To header.
pub(crate) fn user<'a>(text: &'a str, header: &str) -> &'a str {
    between(field(text, header), "sip:", "@")
}

/// The URI of a Contact header.
pub(crate) fn contact(text: &str) -> String {
    between(field(text, "Contact"), "<", ">").to_owned()
}

/// The status of a response.
pub(crate) fn status(text: &str) -> u16 {
    between(text, "SIP/2.0 ", " ").parse().unwrap()
}

/// Whether a 200 stands for a NOTIFY.
pub(crate) fn carries(text: &str) -> bool {
    text.starts_with("SIP/2.0 200") && !field(text, "ms-piggyback-cseq").is_empty()
}

/// The answer to a request.
pub(crate) fn answer(request: &str, status: u16, to_tag: &str, headers: &str) -> String {
    answer_with(request, status, to_tag, (headers, ""))
}

/// The answer to a request with a document, if it is not empty.
pub(crate) fn answer_with(
    request: &str,
    status: u16,
    to_tag: &str,
    (headers, body): (&str, &str),
) -> String {
    let mut text = format!("SIP/2.0 {status} Whatever\r\n");
    for line in request.split("\r\n\r\n").next().unwrap().lines().skip(1) {
        let copied = ["Via:", "From:", "Call-ID:", "CSeq:"];
        let is_copied = copied.iter().any(|name| line.starts_with(name));
        let is_to = line.starts_with("To:");
        if is_copied || (is_to && line.contains(";tag=")) {
            text.push_str(&format!("{line}\r\n"));
        } else if is_to {
            text.push_str(&format!("{line};tag={to_tag}\r\n"));
        }
    }
    format!(
        "{text}{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// A document of a SIP user with these devices.
pub(crate) fn document(user: &str, devices: &Devices) -> String {
    let tuple = |(device, look): (&String, &Look)| {
        let show = look.show();
        format!(
            "<tuple id='ID-{device}'><status><basic>open</basic>\
             <show xmlns='jabber:client'>{show}</show></status></tuple>"
        )
    };
    let mut tuples: String = devices.iter().map(tuple).collect();
    if devices.is_empty() {
        tuples = "<tuple id='ID-none'><status><basic>closed</basic></status></tuple>".to_owned();
    }
    format!(
        "<presence xmlns='urn:ietf:params:xml:ns:pidf' entity='pres:{user}@sip.example'>{tuples}</presence>"
    )
}

/// The open devices of a document of ours.
pub(crate) fn devices(body: &str) -> Devices {
    let tuples = body.split("<tuple id=\"ID-").skip(1);
    let open = tuples.filter(|tuple| tuple.contains("<basic>open</basic>"));
    open.map(|tuple| {
        let device = tuple.split('"').next().unwrap().to_owned();
        let status = tuple.split("</status>").next().unwrap();
        let show = between(status, "<show xmlns=\"jabber:client\">", "</show>");
        let show = if status.contains("<show") { show } else { "" };
        (device, Look::of_show(show))
    })
    .collect()
}

/// An attribute of the root of a stanza of ours; empty where there is none.
pub(crate) fn attribute<'a>(stanza: &'a str, name: &str) -> &'a str {
    let head = stanza.split('>').next().unwrap();
    let start = format!(" {name}=\"");
    if head.contains(&start) {
        between(head, &start, "\"")
    } else {
        ""
    }
}

/// How the sender of a stanza of ours looks.
pub(crate) fn look(stanza: &str) -> Look {
    let show = if stanza.contains("<show>") {
        between(stanza, "<show>", "</show>")
    } else {
        ""
    };
    Look::of_show(show)
}
