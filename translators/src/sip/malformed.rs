//! What can be wrong with a message.

use crate::sip::HeaderName;

/// Says what is wrong and at which octet of the message; never what stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{defect} (octet {at})")]
pub struct Malformed {
    /// What is wrong.
    pub defect: Defect,
    /// Where: offset in the message, or in the text that was read by itself.
    pub at: usize,
}

impl Malformed {
    pub(super) const fn new(defect: Defect, at: usize) -> Self {
        Self { defect, at }
    }

    /// The status that answers a request with this defect.
    pub const fn status(self) -> u16 {
        match self.defect {
            Defect::BodyTooLong => 513,
            Defect::Version => 505,
            Defect::ContentLength
            | Defect::ContentLengthMissing
            | Defect::Control
            | Defect::CSeqMethod
            | Defect::HeadTooLong
            | Defect::Header(_)
            | Defect::HeaderName
            | Defect::HeaderTooLong
            | Defect::Incomplete
            | Defect::LineEnd
            | Defect::Missing(_)
            | Defect::NotUtf8
            | Defect::Repeated(_)
            | Defect::RequestUri
            | Defect::StartLine
            | Defect::StatusCode
            | Defect::TooManyHeaders
            | Defect::Uri => 400,
        }
    }
}

/// One kind of defect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Defect {
    /// The body is longer than the limit.
    #[error("Body too long")]
    BodyTooLong,
    /// Content-Length is no decimal number or far too large.
    #[error("Bad Content-Length")]
    ContentLength,
    /// A stream needs a Content-Length (RFC 3261 section 18.3).
    #[error("Missing Content-Length")]
    ContentLengthMissing,
    /// A control character outside a quoted pair.
    #[error("Control character in a header")]
    Control,
    /// CSeq names another method than the start line (RFC 3261 section 8.1.1.5).
    #[error("CSeq method mismatch")]
    CSeqMethod,
    /// The start line and headers are longer than the limit.
    #[error("Headers too long")]
    HeadTooLong,
    /// The value of this header cannot be read.
    #[error("Bad {0} header")]
    Header(HeaderName),
    /// A line is no header: no colon, or a name that is no token.
    #[error("Bad header name")]
    HeaderName,
    /// One header is longer than the limit.
    #[error("Header too long")]
    HeaderTooLong,
    /// The stream ended inside the message.
    #[error("Incomplete message")]
    Incomplete,
    /// A line ends with a lone CR or LF.
    #[error("Bad line end")]
    LineEnd,
    /// A header that every message needs is missing.
    #[error("Missing {0} header")]
    Missing(HeaderName),
    /// The start line and headers are not UTF-8.
    #[error("Headers are not UTF-8")]
    NotUtf8,
    /// A header or value stands twice that may stand once.
    #[error("Repeated {0} header")]
    Repeated(HeaderName),
    /// The Request-URI cannot be read.
    #[error("Bad Request-URI")]
    RequestUri,
    /// The first line is neither a request line nor a status line.
    #[error("Bad start line")]
    StartLine,
    /// The status code is no number from 100 to 699.
    #[error("Bad status code")]
    StatusCode,
    /// There are more headers than the limit.
    #[error("Too many headers")]
    TooManyHeaders,
    /// A URI that was read by itself cannot be read.
    #[error("Bad URI")]
    Uri,
    /// Another version than SIP/2.0.
    #[error("Version not supported")]
    Version,
}
