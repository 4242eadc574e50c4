//! Common presence and instant messaging format (RFC 3862).

use std::borrow::Cow;

use crate::documents::mime::{self, Headers};
use crate::documents::{Unreadable, imdn};
use crate::model::{ReceiptKind, Wall};

/// Content type of the format.
pub const CONTENT_TYPE: &str = "message/cpim";

/// A message taken out of its wrapper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrapped<'a> {
    /// When it was sent.
    pub sent_at: Option<Wall>,
    /// Its Subject.
    pub subject: Option<String>,
    /// Its imdn.Message-ID (RFC 5438 section 6.3).
    pub message_id: Option<String>,
    /// The notifications its sender asks for (RFC 5438 section 6.2).
    pub receipts: Vec<ReceiptKind>,
    /// Headers of the content.
    pub headers: Headers,
    /// The content.
    pub content: Cow<'a, [u8]>,
}

/// Takes a message out of its wrapper (section 2). Where the blank line between the two header
/// blocks is missing, as RFC 5438 prints its examples, the content type says so. From and To are
/// not read: whom the message is from is what the SIP request proves (RFC 3428 section 11.5).
pub fn read(document: &[u8]) -> Result<Wrapped<'_>, Unreadable> {
    let (outer, rest) = mime::read_headers(document)?;
    let (headers, content) = if outer.value("Content-Type").is_some() {
        (outer.clone(), rest)
    } else {
        mime::read_headers(rest)?
    };
    let length = headers.value("Content-Length").and_then(|n| n.parse().ok());
    let content = length
        .and_then(|n: usize| content.get(..n))
        .unwrap_or(content);
    let imdn = |name: &str| {
        let prefix = imdn_prefix(&outer)?;
        outer.value(&format!("{prefix}.{name}")).map(str::to_owned)
    };
    Ok(Wrapped {
        sent_at: outer.value("DateTime").and_then(Wall::parse_rfc3339),
        subject: outer.value("Subject").map(str::to_owned),
        message_id: imdn("Message-ID").filter(|id| !id.is_empty()),
        receipts: imdn("Disposition-Notification").map_or_else(Vec::new, |list| wishes(&list)),
        content: mime::decode(&headers, content)?,
        headers,
    })
}

/// The prefix that an NS header binds to the namespace of disposition notifications (section 3.4).
fn imdn_prefix(outer: &Headers) -> Option<&str> {
    outer.values("NS").find_map(|value| {
        let (prefix, uri) = value.split_once('<')?;
        (uri.trim_end().strip_suffix('>')? == imdn::CPIM_NS).then_some(prefix.trim())
    })
}

/// Reads the wishes of a Disposition-Notification header.
fn wishes(list: &str) -> Vec<ReceiptKind> {
    list.split(',')
        .filter_map(|wish| match wish.split(';').next().unwrap_or(wish).trim() {
            "positive-delivery" => Some(ReceiptKind::Delivered),
            "negative-delivery" => Some(ReceiptKind::Failed),
            "display" => Some(ReceiptKind::Displayed),
            _ => None,
        })
        .collect()
}

/// A message to be wrapped.
#[derive(Clone, Copy, Debug)]
pub struct Draft<'a> {
    /// The sender's URI.
    pub from: &'a str,
    /// The recipient's URI.
    pub to: &'a str,
    /// Its Message-ID.
    pub message_id: &'a str,
    /// When it was sent.
    pub sent_at: Wall,
    /// The notifications asked for.
    pub receipts: &'a [ReceiptKind],
    /// Content type of the content.
    pub content_type: &'a str,
    /// Whether the content is a notification itself (RFC 5438 section 7.2.1).
    pub notification: bool,
    /// The content.
    pub content: &'a str,
}

/// Wraps a message.
pub fn write(draft: &Draft<'_>) -> String {
    let mut wishes = String::new();
    for receipt in draft.receipts {
        wishes.push_str(if wishes.is_empty() {
            "imdn.Disposition-Notification: "
        } else {
            ", "
        });
        wishes.push_str(match receipt {
            ReceiptKind::Delivered => "positive-delivery",
            ReceiptKind::Displayed => "display",
            ReceiptKind::Failed => "negative-delivery",
        });
    }
    if !wishes.is_empty() {
        wishes.push_str("\r\n");
    }
    let disposition = if draft.notification {
        "Content-Disposition: notification\r\n"
    } else {
        ""
    };
    format!(
        "From: <{}>\r\nTo: <{}>\r\nNS: imdn <{}>\r\nimdn.Message-ID: {}\r\nDateTime: {}\r\n\
         {wishes}\r\nContent-Type: {}\r\n{disposition}Content-Length: {}\r\n\r\n{}",
        draft.from,
        draft.to,
        imdn::CPIM_NS,
        crate::text::Line::fold(draft.message_id),
        draft.sent_at.to_rfc3339(),
        draft.content_type,
        draft.content.len(),
        draft.content,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let written = write(&Draft {
            from: "sip:alice@example.com",
            to: "sip:bob@example.net",
            message_id: "34jk\r\nX: 324j",
            sent_at: Wall::from_unix_millis(1_000),
            receipts: &[ReceiptKind::Delivered, ReceiptKind::Failed],
            content_type: "text/plain; charset=utf-8",
            notification: false,
            content: "Hello\r\n\r\nWorld",
        });
        let read = read(written.as_bytes()).unwrap();

        assert_eq!(read.message_id.as_deref(), Some("34jk X: 324j"));
        assert_eq!(read.sent_at, Some(Wall::from_unix_millis(1_000)));
        assert_eq!(read.receipts, [ReceiptKind::Delivered, ReceiptKind::Failed]);
        assert_eq!(*read.content, *b"Hello\r\n\r\nWorld");
    }

    #[test]
    fn a_missing_blank_line_is_seen() {
        let read = read(
            b"From: Bob <im:bob@example.net>\r\nNS: x <urn:ietf:params:imdn>\r\n\
              x.Message-ID: d8\r\nContent-type: message/imdn+xml\r\n\r\n<imdn/>",
        )
        .unwrap();

        assert_eq!(read.message_id.as_deref(), Some("d8"));
        let kind = read.headers.content_type().unwrap();
        assert_eq!(kind.essence, imdn::CONTENT_TYPE);
        assert_eq!(*read.content, *b"<imdn/>");
    }
}
