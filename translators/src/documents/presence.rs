//! Presence documents of every format: which there are, how a body is read, and what is written.
//!
//! A format is one more variant of [`Format`] and one more module beside [`pidf`]; nothing outside
//! this folder knows more of it than its name.

use bytes::Bytes;
use minidom::Element;

pub use crate::documents::format::Format;
use crate::documents::mime::{self, ContentType};
use crate::documents::{Unreadable, categories, msrtc, pidf, xml, xpidf};
use crate::limits;
use crate::model::microsoft::BusyAs;
use crate::model::{Note, PresenceState, SipProfile, Wall};
use crate::policy::Disclosure;
use crate::text;

/// How a body is read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reading<'a> {
    /// The value of Content-Type.
    pub content_type: Option<&'a str>,
    /// The language of words that name none.
    pub lang: Option<&'a str>,
    /// Whether a device that nobody uses is away, where nothing else is said.
    pub idle_is_away: bool,
    /// What "busy" and "in a call" become.
    pub busy_as: BusyAs,
    /// What is known, for a format whose documents may say only what has changed.
    pub known: Option<&'a PresenceState>,
}

impl Reading<'_> {
    /// How the documents of a peer are read.
    pub fn of_peer(peer: &SipProfile) -> Self {
        let busy_as = peer.microsoft.as_ref().map(|switches| switches.busy_as);
        Self {
            idle_is_away: peer.idle_is_away,
            busy_as: busy_as.unwrap_or_default(),
            ..Self::default()
        }
    }
}

/// Reads the body of a NOTIFY, or of a 200 that carries one. Of a multipart body the first part of a
/// known type counts.
///
/// `None` says nothing: an empty body or a document without tuples leaves what is known as it is.
/// A state without an open tuple says that the user is offline.
///
/// # Errors
/// What cannot be read leaves what is known as it is, too.
pub fn read(body: &[u8], how: Reading<'_>) -> Result<Option<PresenceState>, Unreadable> {
    if body.trim_ascii().is_empty() {
        return Ok(None);
    }
    let kind = how.content_type.unwrap_or(pidf::CONTENT_TYPE);
    let kind = ContentType::parse(kind).ok_or(Unreadable::Unknown)?;
    read_typed(&kind, body, how, 0)
}

fn read_typed(
    kind: &ContentType,
    body: &[u8],
    how: Reading<'_>,
    depth: usize,
) -> Result<Option<PresenceState>, Unreadable> {
    if let Some(format) = Format::of_essence(&kind.essence) {
        return match format {
            Format::Categories => categories::read(body, how),
            Format::Msrtc => msrtc::read(body, how),
            Format::Pidf => pidf::read(body, how),
            Format::Xpidf => xpidf::read(body, how),
        };
    }
    if !kind.essence.starts_with("multipart/") {
        return Err(Unreadable::Unknown);
    }
    if depth >= limits::MIME_DEPTH {
        return Err(Unreadable::TooDeep);
    }
    let boundary = kind.parameter("boundary").unwrap_or_default();
    for part in mime::parts(body, boundary)? {
        let Some(kind) = part.headers.content_type() else {
            continue;
        };
        match read_typed(&kind, &part.body, how, depth + 1) {
            Err(Unreadable::Unknown) => {}
            known => return known,
        }
    }
    Err(Unreadable::Unknown)
}

/// A document to be written.
#[derive(Clone, Copy, Debug)]
pub struct Draft<'a> {
    /// Whom it is about, as a URI.
    pub entity: &'a str,
    /// Where the presentity is reached, as a SIP URI without parameters.
    pub contact: &'a str,
    /// The state.
    pub state: &'a PresenceState,
    /// The time.
    pub now: Wall,
    /// When this watcher was last sent a document; "a presentity must not generate a successive
    /// presence element containing the same timestamp" (RFC 3863 section 4.1.7).
    pub last_sent: Option<Wall>,
    /// The presentity's endpoint towards Microsoft's software; none where the watcher has other.
    pub epid: Option<&'a str>,
}

/// Writes a document that shows somebody's state. It is complete, and never larger than what we
/// would read ourselves: if all devices do not fit, the most available one stands for them.
pub fn write(_: &Disclosure, format: Format, draft: &Draft<'_>) -> Bytes {
    let written = write_whole(format, draft);
    if written.len() <= limits::DOCUMENT {
        return written;
    }
    let best = draft.state.most_available().cloned();
    let name = draft.state.name().map(Into::into);
    let state = PresenceState::new(best).with_name(name);
    write_whole(
        format,
        &Draft {
            state: &state,
            ..*draft
        },
    )
}

fn write_whole(format: Format, draft: &Draft<'_>) -> Bytes {
    match format {
        Format::Categories => categories::write(draft),
        Format::Msrtc => msrtc::write(draft),
        Format::Pidf => pidf::write(draft),
        Format::Xpidf => xpidf::write(draft),
    }
}

/// Writes a document that says no more than that somebody is offline, which everybody may read:
/// it is the same for who is, who is blocked and who is not known.
pub fn write_offline(format: Format, entity: &str, now: Wall) -> Bytes {
    match format {
        Format::Categories => categories::write_offline(entity, now),
        Format::Msrtc => msrtc::write_offline(entity),
        Format::Pidf => pidf::write_offline(entity),
        Format::Xpidf => xpidf::write_offline(entity),
    }
}

/// The address in a URI: what stands behind its scheme.
pub(super) fn address_of(uri: &str) -> &str {
    uri.split_once(':').map_or(uri, |(_, address)| address)
}

/// The one text that stands for a state in formats with one note: that of the most available device,
/// or of who is gone.
pub(super) fn words_of(state: &PresenceState) -> Option<&str> {
    let mut gone = state.tuples().iter().filter(|_| state.is_offline());
    let tuple = state.most_available();
    let tuple = tuple.or_else(|| gone.find(|tuple| !tuple.notes.is_empty()));
    Some(&tuple?.notes.first()?.text)
}

/// The language that all notes of a state have, for Content-Language.
pub fn language(state: &PresenceState) -> Option<&str> {
    let mut notes = state.tuples().iter().flat_map(|tuple| tuple.notes.iter());
    let lang = notes.next()?.lang.as_deref()?;
    let same = |note: &Note| note.lang.as_deref() == Some(lang);
    notes.all(same).then_some(lang)
}

/// A note as both sides may have it: legal, without blanks around it, of bounded length; `None` if
/// nothing is left.
pub fn note(lang: Option<&str>, text: &str) -> Option<Note> {
    let text = text::clean(text);
    let cut: String = text.trim().chars().take(limits::NOTE).collect();
    let text = cut.trim_end();
    (!text.is_empty()).then(|| Note {
        lang: lang.and_then(text::language).map(Into::into),
        text: text.into(),
    })
}

/// Adds a note; of each language the first counts, as in XMPP (RFC 6121 section 4.7.2.2).
pub fn add_note(notes: &mut Vec<Note>, note: Option<Note>) {
    let Some(note) = note else {
        return;
    };
    let known = notes.iter().any(|other| other.lang == note.lang);
    if !known && notes.len() < limits::NOTES {
        notes.push(note);
    }
}

/// The note that is the text of `element`; `lang` is the language where it names none.
pub(super) fn text_of(element: &Element, lang: Option<&str>) -> Option<Note> {
    note(lang_of(element).or(lang), &xml::text(element))
}

/// The language that an element names.
pub(super) fn lang_of(element: &Element) -> Option<&str> {
    const XML: &str = "http://www.w3.org/XML/1998/namespace";
    element.attr_ns(XML, "lang").filter(|lang| !lang.is_empty())
}

#[cfg(test)]
mod tests {
    use jid::BareJid;

    use super::*;
    use crate::model::{Aor, Pair, Tuple};
    use crate::policy::Policy;

    const CLOSED: &str = "<presence xmlns='urn:ietf:params:xml:ns:pidf'><tuple id='ID-a'>\
        <status><basic>closed</basic></status></tuple></presence>";

    fn body(content_type: &str, body: &str) -> Result<Option<PresenceState>, Unreadable> {
        let how = Reading {
            content_type: Some(content_type),
            ..Reading::default()
        };
        read(body.as_bytes(), how)
    }

    #[test]
    fn a_body_is_read_by_its_type() {
        let offline = PresenceState::new([Tuple::closed("a")]);
        for kind in [
            "application/pidf+xml",
            "Application/pidf+xml;charset=\"UTF-8\"",
        ] {
            assert_eq!(body(kind, CLOSED), Ok(Some(offline.clone())), "{kind}");
        }
        for kind in ["text/plain", "application/rlmi+xml", "odd"] {
            assert_eq!(body(kind, CLOSED), Err(Unreadable::Unknown), "{kind}");
        }
        assert_eq!(
            read(CLOSED.as_bytes(), Reading::default()),
            Ok(Some(offline))
        );
        assert_eq!(body("text/plain", " \r\n"), Ok(None));
    }

    #[test]
    fn of_several_parts_the_first_of_a_known_type_counts() {
        let part =
            |kind: &str, content: &str| format!("--b\r\nContent-Type: {kind}\r\n\r\n{content}\r\n");
        let pidf = part("application/pidf+xml", CLOSED);
        let list = part("application/rlmi+xml", "<list/>");
        let broken = part("application/pidf+xml", "<presence>");
        let nested = format!(
            "--b\r\nContent-Type: multipart/mixed;boundary=c\r\n\r\n{}--c--\r\n",
            pidf.replace("--b", "--c")
        );
        let related = "multipart/related;type=\"application/rlmi+xml\";boundary=\"b\"";

        let offline = || Ok(Some(PresenceState::new([Tuple::closed("a")])));
        assert_eq!(body(related, &format!("{list}{pidf}--b--\r\n")), offline());
        assert_eq!(
            body(related, &format!("{list}{nested}--b--\r\n")),
            offline()
        );
        assert_eq!(
            body(related, &format!("{pidf}{broken}--b--\r\n")),
            offline()
        );
        assert_eq!(
            body(related, &format!("{broken}{pidf}--b--\r\n")),
            Err(Unreadable::NotXml)
        );
        assert_eq!(
            body(related, &format!("{list}--b--\r\n")),
            Err(Unreadable::Unknown)
        );
        assert_eq!(body("multipart/mixed", &pidf), Err(Unreadable::Unexpected));
    }

    #[test]
    fn what_does_not_fit_is_told_by_the_most_available_device() {
        let pair = Pair::new(
            BareJid::new("alice@example.com").unwrap(),
            Aor::from_image(BareJid::new("bob@example.net").unwrap()),
        );
        let disclosure = Policy::default().may_see(&pair).unwrap();
        let tuple = |number: usize| Tuple {
            notes: [note(None, &"&".repeat(1_000)).unwrap()].into(),
            ..Tuple::available(&format!("{number:02}"))
        };
        let written = |number| {
            let state = PresenceState::new((0..number).map(tuple));
            let draft = Draft {
                entity: "pres:alice@example.com",
                contact: "sip:alice@example.com",
                state: &state,
                now: Wall::default(),
                last_sent: None,
                epid: None,
            };
            let bytes = write(&disclosure, Format::Pidf, &draft);
            read(&bytes, Reading::default()).unwrap().unwrap()
        };
        assert_eq!(written(8), PresenceState::new((0..8).map(tuple)));
        assert_eq!(written(30), PresenceState::new([tuple(29)]));
    }

    #[test]
    fn content_language_is_what_all_notes_are_in() {
        let state = |notes: &[(&str, Option<&str>)]| {
            PresenceState::new(notes.iter().map(|(device, lang)| Tuple {
                notes: [note(*lang, "x").unwrap()].into(),
                ..Tuple::available(device)
            }))
        };
        assert_eq!(
            language(&state(&[("a", Some("en")), ("b", Some("en"))])),
            Some("en")
        );
        assert_eq!(
            language(&state(&[("a", Some("en")), ("b", Some("de"))])),
            None
        );
        assert_eq!(language(&state(&[("a", Some("en")), ("b", None)])), None);
        assert_eq!(language(&PresenceState::default()), None);
    }

    #[test]
    fn notes_are_legal_and_trimmed() {
        assert_eq!(
            note(Some("no tag"), " a\u{1}\r\nb ").unwrap().text.as_ref(),
            "a\u{fffd}\nb"
        );
        assert_eq!(note(Some("no tag"), "a").unwrap().lang, None);
        assert_eq!(note(None, " \n"), None);
    }
}
