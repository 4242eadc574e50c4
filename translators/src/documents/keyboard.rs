//! Typing of Microsoft's clients, which travels in INFO.

use crate::documents::{Unreadable, xml};

/// Content type of the document, which others share.
pub const CONTENT_TYPE: &str = "application/xml";

/// Content type of what is said about a conversation, such as its subject; nothing of it is carried.
pub const CONVERSATION_INFO: &str = "application/xml+conversationinfo";

/// Whether somebody writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// He writes.
    Typing,
    /// He does not.
    Idle,
}

/// Reads a `KeyboardActivity`, in whatever namespace; an unknown status counts as idle.
pub fn read(document: &[u8]) -> Result<Activity, Unreadable> {
    let root = xml::read(document)?;
    if root.name() != "KeyboardActivity" {
        return Err(Unreadable::Unexpected);
    }
    let mut children = root.children();
    let status = children.find(|child| child.name() == "status");
    let status = status.ok_or(Unreadable::Unexpected)?;
    match status.attr("status").map(str::trim) {
        Some(word) if word.eq_ignore_ascii_case("type") => Ok(Activity::Typing),
        Some(_) => Ok(Activity::Idle),
        None => Err(Unreadable::Unexpected),
    }
}

/// Writes a document.
pub const fn write(activity: Activity) -> &'static str {
    match activity {
        Activity::Typing => {
            "<?xml version=\"1.0\"?><KeyboardActivity><status status=\"type\"/></KeyboardActivity>"
        }
        Activity::Idle => {
            "<?xml version=\"1.0\"?><KeyboardActivity><status status=\"idle\"/></KeyboardActivity>"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        for activity in [Activity::Typing, Activity::Idle] {
            assert_eq!(read(write(activity).as_bytes()), Ok(activity));
        }
    }

    #[test]
    fn reads_what_clients_write() {
        let document = |inside: &str| {
            read(format!("<KeyboardActivity>{inside}</KeyboardActivity>").as_bytes())
        };
        assert_eq!(
            document(" <status status=\"type\" />"),
            Ok(Activity::Typing)
        );
        assert_eq!(
            document("<status status='Type'></status>"),
            Ok(Activity::Typing)
        );
        assert_eq!(document("<status status='asleep'/>"), Ok(Activity::Idle));
        assert_eq!(
            read(b"<k:KeyboardActivity xmlns:k='urn:x'><k:status status='idle'/></k:KeyboardActivity>"),
            Ok(Activity::Idle)
        );
    }

    #[test]
    fn other_documents_are_told_apart() {
        for other in [
            &b"<action name='RequestRM'/>"[..],
            b"<KeyboardActivity/>",
            b"<KeyboardActivity><status/></KeyboardActivity>",
        ] {
            assert_eq!(read(other), Err(Unreadable::Unexpected));
        }
        assert_eq!(read(b""), Err(Unreadable::NotXml));
        assert_eq!(read(b"type"), Err(Unreadable::NotXml));
    }
}
