//! What the body of a MESSAGE says, in any of the forms that are taken (RFC 7572 section 7).

use crate::documents::imdn::Notification;
use crate::documents::iscomposing::State;
use crate::documents::mime::{ContentType, Part};
use crate::documents::{Unreadable, cpim, html, imdn, iscomposing, mime};
use crate::limits;
use crate::mapping::failure::Own;
use crate::mapping::message::Unmapped;
use crate::model::{Reason, ReceiptKind, SipProfile, Wall};
use crate::sip::microsoft::RICH_TEXT;
use crate::text;

/// A body that was read.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) body: Body,
    /// What a CPIM wrapper said beside it.
    pub(super) wrapper: Wrapper,
}

/// What a body says.
#[derive(Debug)]
pub(super) enum Body {
    Composing(State),
    Receipt(Notification),
    Text { text: String, html: Option<String> },
}

/// What a CPIM wrapper says.
#[derive(Debug, Default)]
pub(super) struct Wrapper {
    pub(super) message_id: Option<String>,
    pub(super) receipts: Vec<ReceiptKind>,
    pub(super) sent_at: Option<Wall>,
    pub(super) subject: Option<String>,
}

impl From<Body> for Content {
    fn from(body: Body) -> Self {
        Self {
            body,
            wrapper: Wrapper::default(),
        }
    }
}

/// Reads a body; `depth` is how many wrappers are around it.
pub(super) fn read(
    kind: &ContentType,
    octets: &[u8],
    peer: &SipProfile,
    depth: usize,
) -> Result<Content, Unmapped> {
    if depth > limits::MIME_DEPTH {
        return Err(Own::Unreadable.into());
    }
    match kind.essence.as_str() {
        "text/plain" => plain(kind, octets).map(Content::from),
        "text/html" => hypertext(kind, octets, peer).map(Content::from),
        cpim::CONTENT_TYPE => wrapped(octets, peer, depth),
        "multipart/alternative" | "multipart/mixed" | "multipart/related" => {
            multipart(kind, octets, peer, depth)
        }
        iscomposing::CONTENT_TYPE => {
            let state = iscomposing::read(octets).map_err(|_| Own::Unreadable)?;
            Ok(Body::Composing(state).into())
        }
        imdn::CONTENT_TYPE => receipt(octets, peer).map(Content::from),
        RICH_TEXT | "application/rtf" => Err(Own::Formatted.into()),
        _ => Err(Own::Unsupported.into()),
    }
}

fn plain(kind: &ContentType, octets: &[u8]) -> Result<Body, Unmapped> {
    let text = decode(kind, octets)?;
    if text.is_empty() {
        return Err(Reason::Empty.into());
    }
    let text = text::clean(&text).into_owned();
    Ok(Body::Text { text, html: None })
}

fn hypertext(kind: &ContentType, octets: &[u8], peer: &SipProfile) -> Result<Body, Unmapped> {
    let source = decode(kind, octets)?;
    let text = text::clean(&html::to_text(&source)).into_owned();
    if text.is_empty() {
        return Err(Reason::Empty.into());
    }
    let html = peer.xhtml_im.then(|| html::sanitize(&source)).flatten();
    let html = html.map(|body| String::from(&body));
    Ok(Body::Text { text, html })
}

fn wrapped(octets: &[u8], peer: &SipProfile, depth: usize) -> Result<Content, Unmapped> {
    let wrapped = cpim::read(octets).map_err(|_| Own::Unreadable)?;
    let kind = wrapped.headers.content_type();
    let kind = kind.ok_or(Own::Unreadable)?;
    let inner = read(&kind, &wrapped.content, peer, depth + 1)?;
    Ok(Content {
        body: inner.body,
        wrapper: Wrapper {
            message_id: wrapped.message_id,
            receipts: if peer.cpim {
                wrapped.receipts
            } else {
                Vec::new()
            },
            sent_at: wrapped.sent_at,
            subject: wrapped.subject,
        },
    })
}

/// Chooses among parts: plain text, else HTML, else the first that is understood.
fn multipart(
    kind: &ContentType,
    octets: &[u8],
    peer: &SipProfile,
    depth: usize,
) -> Result<Content, Unmapped> {
    let boundary = kind.parameter("boundary").unwrap_or_default();
    let parts = mime::parts(octets, boundary).map_err(|_| Own::Unreadable)?;
    let mut typed: Vec<(ContentType, Part<'_>)> = Vec::new();
    for part in parts {
        if let Some(kind) = part.headers.content_type() {
            typed.push((kind, part));
        }
    }
    typed.sort_by_key(|(kind, _)| match kind.essence.as_str() {
        "text/plain" => 0,
        "text/html" => 1,
        _ => 2,
    });
    let mut failure = Unmapped::from(Own::Unsupported);
    for (kind, part) in &typed {
        match read(kind, &part.body, peer, depth + 1) {
            Ok(content) => return Ok(content),
            Err(Unmapped::Refused(Own::Unsupported)) => {}
            Err(other) => failure = other,
        }
    }
    Err(failure)
}

fn receipt(octets: &[u8], peer: &SipProfile) -> Result<Body, Unmapped> {
    if !peer.cpim {
        return Err(Reason::Unmatched.into());
    }
    match imdn::read(octets) {
        Ok(notification) => Ok(Body::Receipt(notification)),
        // A disposition that the XMPP side has no word for.
        Err(Unreadable::Unexpected) => Err(Reason::Unmatched.into()),
        Err(_) => Err(Own::Unreadable.into()),
    }
}

/// Decodes text by its charset, UTF-8 where none is named (RFC 3428 section 4).
fn decode(kind: &ContentType, octets: &[u8]) -> Result<String, Unmapped> {
    let charset = kind.parameter("charset").unwrap_or("utf-8");
    match charset.to_ascii_lowercase().as_str() {
        "utf-8" | "utf8" | "us-ascii" | "ascii" => {
            let octets = octets.strip_prefix(b"\xef\xbb\xbf").unwrap_or(octets);
            let text = std::str::from_utf8(octets).map_err(|_| Own::Unreadable)?;
            Ok(text.to_owned())
        }
        "iso-8859-1" | "latin1" | "windows-1252" | "cp1252" => {
            Ok(octets.iter().copied().map(text::windows_1252).collect())
        }
        _ => Err(Own::Unsupported.into()),
    }
}
