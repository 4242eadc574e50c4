//! Documents that travel inside messages and notifications, free of transport.

pub mod adrl;
mod availability;
pub mod categories;
pub mod cpim;
pub mod format;
pub mod html;
pub mod imdn;
pub mod iscomposing;
pub mod keyboard;
pub mod mime;
pub mod msrtc;
pub mod pidf;
pub mod presence;
pub mod rpid;
pub mod xml;
pub mod xpidf;

pub use format::Format;

/// A document that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// No blank line, header without colon, and the like; counted from the start of the document.
    #[error("malformed at octet {0}")]
    Malformed(usize),
    /// More parts than one message needs.
    #[error("too many parts")]
    TooMany,
    /// Nested deeper than any use of it.
    #[error("nested too deeply")]
    TooDeep,
    /// Larger than any use of it.
    #[error("too large")]
    TooLarge,
    /// The root is another element, or a necessary child is missing.
    #[error("not the document that its type promises")]
    Unexpected,
    /// A content type that nobody here reads.
    #[error("a document of an unknown type")]
    Unknown,
    /// Octets that are not UTF-8.
    #[error("not UTF-8")]
    NotUtf8,
    /// Not well-formed, or with a document type declaration.
    #[error("not well-formed XML")]
    NotXml,
}
