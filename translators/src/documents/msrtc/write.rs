//! Writing: the most available device stands for all, since readers know one state of a user only.

use bytes::Bytes;

use crate::documents::availability::Numbers;
use crate::documents::presence::{Draft, address_of, words_of};
use crate::documents::xml;
use crate::limits;
use crate::model::Wall;

/// Namespaces of the document, in the spelling of its examples.
const NAMESPACES: &str = "xmlns=\"http://schemas.microsoft.com/2002/09/sip/presence\" \
    xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"";

/// Writes a state.
pub(in crate::documents) fn write(draft: &Draft<'_>) -> Bytes {
    let best = draft.state.most_available();
    let words = words_of(draft.state);
    if best.is_none() && words.is_none() {
        return write_offline(draft.entity);
    }
    let address = address_of(draft.entity);
    let numbers = Numbers::of(best);
    let epid = draft.epid.unwrap_or_default();
    let name = draft.state.name().filter(|_| best.is_some());
    let name = name.map(|name| format!("<displayName displayName=\"{}\"/>", xml::escape(name)));
    let numbered = |rest: &str| {
        format!(
            "<availability aggregate=\"{}\" description=\"\"{rest}/>\
             <activity aggregate=\"{}\" description=\"\"{rest}/>",
            numbers.availability, numbers.activity
        )
    };
    let devices = best.map(|_| {
        format!(
            "<devices><devicePresence epid=\"{epid}\" ageOfPresence=\"0\">{}</devicePresence></devices>",
            numbered("")
        )
    });
    Bytes::from(format!(
        "<presentity uri=\"{}\" {NAMESPACES}>{}{}{}{}</presentity>",
        xml::escape(address),
        numbered(&format!(" epid=\"{epid}\"")),
        name.unwrap_or_default(),
        user_info(numbers, words, since(draft), epid),
        devices.unwrap_or_default(),
    ))
}

/// Writes that somebody is offline, and nothing else.
pub(in crate::documents) fn write_offline(entity: &str) -> Bytes {
    let address = xml::escape(address_of(entity));
    Bytes::from(format!(
        "<presentity uri=\"{address}\" {NAMESPACES}><availability aggregate=\"0\" description=\"\"/>\
         <activity aggregate=\"0\" description=\"\"/></presentity>"
    ))
}

/// Since when it is so, never in the future of the reader.
fn since(draft: &Draft<'_>) -> Wall {
    let told = draft.state.most_available().and_then(|best| best.since);
    told.filter(|since| *since <= draft.now)
        .unwrap_or(draft.now)
}

/// Note and state of the user, together within [`limits::USER_INFO`]; a longer note is cut.
fn user_info(numbers: Numbers, words: Option<&str>, since: Wall, epid: &str) -> String {
    let state = numbers.token.map(|token| {
        format!(
            "<states><state avail=\"{}\" since=\"{}\" validWith=\"any-device\" deviceId=\"{epid}\" \
             set=\"manual\" xsi:type=\"userState\">{token}</state></states>",
            numbers.state,
            since.to_rfc3339(),
        )
    });
    let state = state.unwrap_or_default();
    let room = limits::USER_INFO.saturating_sub("<userInfo><note></note></userInfo>".len());
    let room = room.saturating_sub(state.len());
    let words = words.map(|words| fitting(words, room));
    let words = words.filter(|words| !words.is_empty());
    match words {
        Some(words) => format!("<userInfo><note>{words}</note>{state}</userInfo>"),
        None if state.is_empty() => state,
        None => format!("<userInfo>{state}</userInfo>"),
    }
}

/// As much of `words` as has room, escaped: whole, or up to a blank near the end with an ellipsis
/// behind it, and never within a character or an escape.
fn fitting(words: &str, room: usize) -> String {
    let units = |text: &str| text.encode_utf16().count();
    let whole = xml::escape(words);
    if units(&whole) <= room {
        return whole;
    }
    let room = room.saturating_sub(1);
    let (mut used, mut end, mut blank) = (0, 0, 0);
    for (at, c) in words.char_indices() {
        if c.is_whitespace() {
            blank = at;
        }
        used += units(&xml::escape(c.encode_utf8(&mut [0; 4])));
        if used > room {
            break;
        }
        end = at + c.len_utf8();
    }
    let near = end.saturating_sub(blank) <= NEAR;
    let cut = if near && blank > 0 { blank } else { end };
    let kept = words.get(..cut).unwrap_or_default();
    format!("{}\u{2026}", xml::escape(kept.trim_end()))
}

/// Octets that a word may lose when a note is cut before it.
const NEAR: usize = 32;
