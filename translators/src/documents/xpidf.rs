//! XPIDF, the draft before PIDF, with Microsoft's `msnsubstatus` ([MS-SIP] section 4.11): what
//! Windows Messenger knows. It has no notes and no names.

use bytes::Bytes;
use minidom::Element;

use crate::documents::availability::{Telling, canonical};
use crate::documents::presence::{Draft, Reading, address_of};
use crate::documents::{Unreadable, xml};
use crate::model::{PresenceState, Show};

/// Content type of the document.
pub const CONTENT_TYPE: &str = "application/xpidf+xml";

/// Reads a document. `None` says nothing: it has no status. Of several the first that is open counts,
/// else the first.
///
/// Its document type declaration is never fetched; where it is broken, as in the example of its own
/// specification, nothing can be read.
pub(super) fn read(document: &[u8], how: Reading<'_>) -> Result<Option<PresenceState>, Unreadable> {
    let root = xml::read_loose(document)?;
    if root.name() != "presence" {
        return Err(Unreadable::Unexpected);
    }
    let atoms = xml::children(&root, "atom");
    let addresses = atoms.flat_map(|atom| xml::children(atom, "address"));
    let mut tellings = addresses.filter_map(telling).peekable();
    let first = tellings.peek().cloned();
    let open = tellings.find(|telling| telling.number != canonical::OFFLINE);
    let telling = open.or(first);
    Ok(telling.map(|telling| PresenceState::new([telling.tuple("", None, how)])))
}

/// What an address says. Of what stands twice the more exact one counts.
fn telling(address: &Element) -> Option<Telling> {
    let word = |element, attribute| {
        let word = xml::child(address, element)?.attr(attribute)?.trim();
        Some(word.to_ascii_lowercase()).filter(|word| !word.is_empty())
    };
    let (status, more) = (word("status", "status"), word("msnsubstatus", "substatus"));
    let exact = more.as_deref().and_then(|more| {
        Some(match more {
            "available" | "online" => (canonical::AVAILABLE, ""),
            "away" => (canonical::AWAY, ""),
            "berightback" | "brb" => (canonical::BE_RIGHT_BACK, "be-right-back"),
            "busy" => (canonical::BUSY, "busy"),
            "idle" => (canonical::AVAILABLE_IDLE, "idle"),
            "onthephone" => (canonical::BUSY, "on-the-phone"),
            "outtolunch" => (canonical::AWAY, "out-to-lunch"),
            "offline" => (canonical::OFFLINE, ""),
            _ => return None,
        })
    });
    let (number, token) = match (status.as_deref(), exact) {
        (Some("closed"), _) => (canonical::OFFLINE, ""),
        (_, Some(exact)) => exact,
        (Some("inuse"), None) => (canonical::BUSY, "busy"),
        (Some("open"), None) => (canonical::AVAILABLE, ""),
        (Some(_) | None, None) => return None,
    };
    Some(Telling::of(number, Some(token)))
}

/// Writes a state: that of the most available device.
pub(super) fn write(draft: &Draft<'_>) -> Bytes {
    let best = draft.state.most_available().map(|tuple| tuple.show);
    let (status, more) = match best {
        None => ("closed", "offline"),
        Some(None | Some(Show::Chat)) => ("open", "online"),
        Some(Some(Show::Away | Show::Xa)) => ("open", "away"),
        Some(Some(Show::Dnd)) => ("inuse", "busy"),
    };
    document(draft.entity, status, more)
}

/// Writes that somebody is offline.
pub(super) fn write_offline(entity: &str) -> Bytes {
    document(entity, "closed", "offline")
}

fn document(entity: &str, status: &str, more: &str) -> Bytes {
    let address = xml::escape(address_of(entity));
    Bytes::from(format!(
        "<?xml version=\"1.0\"?>\n\
         <!DOCTYPE presence PUBLIC \"-//IETF//DTD RFCxxxx XPIDF 1.0//EN\" \"xpidf.dtd\">\n\
         <presence><presentity uri=\"sip:{address};method=SUBSCRIBE\"/><atom id=\"1\">\
         <address uri=\"sip:{address};user=ip\" priority=\"0.800000\"><status status=\"{status}\"/>\
         <msnsubstatus substatus=\"{more}\"/></address></atom></presence>"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::documents::presence::write_offline;
    use crate::documents::{Format, presence};
    use crate::model::{Tuple, Wall};

    fn parse(document: &str) -> Result<Option<PresenceState>, Unreadable> {
        let how = Reading {
            content_type: Some(CONTENT_TYPE),
            ..Reading::default()
        };
        presence::read(document.as_bytes(), how)
    }

    fn with(content: &str) -> String {
        format!(
            "<?xml version=\"1.0\"?>\r\n<!DOCTYPE presence\r\nPUBLIC \"-//IETF//DTD RFCxxxx XPIDF 1.0//EN\" \
             \"xpidf.dtd\">\r\n<presence>\r\n<presentity uri=\"sip:romeo@example.net;method=SUBSCRIBE\"/>\r\n\
             <atom id=\"1002\">\r\n<address uri=\"sip:192.0.2.1:13695;user=ip\" priority=\"0.800000\">{content}\
             </address></atom></presence>\r\n"
        )
    }

    fn told(content: &str) -> Option<(bool, Option<Show>, Option<String>)> {
        let state = parse(&with(content)).unwrap()?;
        let [tuple] = state.tuples() else {
            panic!("{state:?}");
        };
        let words = tuple.notes.first().map(|note| note.text.to_string());
        Some((tuple.open, tuple.show, words))
    }

    #[test]
    fn what_windows_messenger_says_is_read() {
        let away = Some(Show::Away);
        for (status, more, open, show, words) in [
            ("open", "online", true, None, None),
            ("open", "away", true, away, None),
            ("open", "brb", true, away, Some("Be right back")),
            ("open", "idle", true, None, None),
            (
                "open",
                "outtolunch",
                true,
                Some(Show::Xa),
                Some("Out to lunch"),
            ),
            ("inuse", "busy", true, Some(Show::Dnd), Some("Busy")),
            (
                "INUSE",
                "OnThePhone",
                true,
                Some(Show::Dnd),
                Some("On the phone"),
            ),
            ("open", "unheard-of", true, None, None),
            ("inuse", "", true, Some(Show::Dnd), Some("Busy")),
            ("closed", "online", false, None, None),
            ("closed", "offline", false, None, None),
        ] {
            let content =
                format!("<status status=\"{status}\"/><msnsubstatus substatus=\"{more}\"/>");
            let expected = Some((open, show, words.map(str::to_owned)));
            assert_eq!(told(&content), expected, "{status} {more}");
        }
        assert_eq!(told("<status status='open'/>"), Some((true, None, None)));
        assert_eq!(told("<status status='odd'/>"), None);
        assert_eq!(told(""), None);
    }

    #[test]
    fn an_open_address_counts_before_a_closed_one() {
        let two = "<status status='closed'/></address><address><status status='inuse'/>";
        assert_eq!(told(two).unwrap().1, Some(Show::Dnd));
    }

    #[test]
    fn what_is_broken_or_dangerous_is_refused() {
        let good = with("<status status=\"open\"/>");
        for bad in [
            good.replace("\"xpidf.dtd\">", "\"xpidf.dtd>"),
            good.replace("\"-//IETF", "-//IETF"),
            good.replace("status=\"open\"", "status=\"open"),
            good.replace("\"xpidf.dtd\">", "\"xpidf.dtd\" [<!ENTITY a \"b\">]>"),
            good.replace("open", "&open;"),
        ] {
            assert_ne!(bad, good);
            assert_eq!(parse(&bad), Err(Unreadable::NotXml), "{bad}");
        }
        assert_eq!(parse("<presentity/>"), Err(Unreadable::Unexpected));
        assert_eq!(parse("<presence/>"), Ok(None));
    }

    #[test]
    fn every_show_has_a_status() {
        for (show, document, read) in [
            (None, "open\"/><msnsubstatus substatus=\"online", None),
            (Some(Show::Chat), "substatus=\"online", None),
            (
                Some(Show::Away),
                "open\"/><msnsubstatus substatus=\"away",
                Some(Show::Away),
            ),
            (Some(Show::Xa), "substatus=\"away", Some(Show::Away)),
            (
                Some(Show::Dnd),
                "inuse\"/><msnsubstatus substatus=\"busy",
                Some(Show::Dnd),
            ),
        ] {
            let tuple = Tuple {
                show,
                ..Tuple::available("a")
            };
            let state = PresenceState::new([Tuple::closed("b"), tuple]);
            let written = write(&Draft {
                entity: "pres:juliet@example.com",
                contact: "sip:juliet@example.com",
                state: &state,
                now: Wall::default(),
                last_sent: None,
                epid: Some("0123456789abcdef"),
            });
            let text = String::from_utf8(written.to_vec()).unwrap();
            assert!(text.contains(document), "{text}");
            let tuples = parse(&text).unwrap().unwrap();
            assert_eq!(tuples.tuples()[0].show, read);
        }
        let closed = write_offline(Format::Xpidf, "pres:juliet@example.com", Wall::default());
        let state = PresenceState::default();
        let draft = Draft {
            entity: "pres:juliet@example.com",
            contact: "sip:juliet@example.com",
            state: &state,
            now: Wall::default(),
            last_sent: None,
            epid: Some("0123456789abcdef"),
        };
        assert_eq!(write(&draft), closed);
        let closed = String::from_utf8(closed.to_vec()).unwrap();
        assert!(parse(&closed).unwrap().unwrap().is_offline());
    }
}
