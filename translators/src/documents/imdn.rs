//! Instant message disposition notifications (RFC 5438).

use minidom::Element;

use crate::documents::{Unreadable, xml};
use crate::model::{ReceiptKind, Wall};

/// Content type of the document.
pub const CONTENT_TYPE: &str = "message/imdn+xml";

/// Namespace of the CPIM headers of this specification, bound to the prefix `imdn`.
pub const CPIM_NS: &str = "urn:ietf:params:imdn";

const NS: &str = "urn:ietf:params:xml:ns:imdn";

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// The Message-ID of that message.
    pub message_id: String,
    /// What happened to it.
    pub kind: ReceiptKind,
}

/// What a notification says about the message it is for, to be written.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Its Message-ID.
    pub message_id: &'a str,
    /// Its DateTime.
    pub sent_at: Wall,
    /// Whom it reached, as a URI.
    pub recipient: &'a str,
}

/// Reads a notification (section 7.2.1). "Processed", "stored", "forbidden" and "error" tell the
/// sender nothing that the XMPP side has a word for and are [`Unreadable::Unexpected`].
pub fn read(document: &[u8]) -> Result<Notification, Unreadable> {
    let root = xml::read(document)?;
    if !root.is("imdn", NS) {
        return Err(Unreadable::Unexpected);
    }
    let message_id = root
        .get_child("message-id", NS)
        .map(|id| id.text().trim().to_owned())
        .filter(|id| !id.is_empty())
        .ok_or(Unreadable::Unexpected)?;
    let kind = root
        .children()
        .find_map(disposition)
        .ok_or(Unreadable::Unexpected)?;
    Ok(Notification { message_id, kind })
}

/// Reads `<delivery-notification/>` or `<display-notification/>`.
fn disposition(notification: &Element) -> Option<ReceiptKind> {
    let status = notification.get_child("status", NS)?;
    let says = |name| status.has_child(name, NS);
    match notification.name() {
        "delivery-notification" if says("delivered") => Some(ReceiptKind::Delivered),
        "display-notification" if says("displayed") => Some(ReceiptKind::Displayed),
        "delivery-notification" if says("failed") => Some(ReceiptKind::Failed),
        _ => None,
    }
}

/// Writes a notification.
pub fn write(subject: &Subject<'_>, kind: ReceiptKind) -> String {
    let (element, status) = match kind {
        ReceiptKind::Delivered => ("delivery-notification", "delivered"),
        ReceiptKind::Displayed => ("display-notification", "displayed"),
        ReceiptKind::Failed => ("delivery-notification", "failed"),
    };
    let recipient = xml::escape(subject.recipient);
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<imdn xmlns=\"{NS}\">\r\n\
         \x20 <message-id>{}</message-id>\r\n  <datetime>{}</datetime>\r\n\
         \x20 <recipient-uri>{recipient}</recipient-uri>\r\n\
         \x20 <original-recipient-uri>{recipient}</original-recipient-uri>\r\n\
         \x20 <{element}>\r\n    <status>\r\n      <{status}/>\r\n    </status>\r\n  </{element}>\r\n\
         </imdn>\r\n",
        xml::escape(subject.message_id),
        subject.sent_at.to_rfc3339(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let subject = Subject {
            message_id: "<34jk&324j>",
            sent_at: Wall::from_unix_millis(1_000),
            recipient: "sip:bob@example.net",
        };
        for kind in [
            ReceiptKind::Delivered,
            ReceiptKind::Displayed,
            ReceiptKind::Failed,
        ] {
            let read = read(write(&subject, kind).as_bytes()).unwrap();
            assert_eq!((read.message_id.as_str(), read.kind), ("<34jk&324j>", kind));
        }
    }

    #[test]
    fn what_has_no_word_in_xmpp_is_not_read() {
        let document = |inner: &str| format!("<imdn xmlns='{NS}'>{inner}</imdn>");
        let id = "<message-id>1</message-id>";
        for inner in [
            "",
            id,
            "<delivery-notification><status><delivered/></status></delivery-notification>",
            "<message-id> </message-id><delivery-notification><status><delivered/></status></delivery-notification>",
            &format!(
                "{id}<processing-notification><status><processed/></status></processing-notification>"
            ),
        ] {
            assert_eq!(
                read(document(inner).as_bytes()),
                Err(Unreadable::Unexpected),
                "{inner}"
            );
        }
    }
}
