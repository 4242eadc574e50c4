//! Our own reasons, which a Microsoft server logs beside the refusal. Without one it would log that
//! the hop before gave none.

use crate::sip::{HeaderName, SentBy};
use crate::text::{Line, QuotedText};

/// Why the gateway refuses a request, as a Microsoft peer is told. The numbers are out of a block
/// of our own, 65000 to 65099, in which no product has any; docs/reference/errors.md lists them.
/// The texts tell no name of ours and no content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u16)]
pub enum Cause {
    /// Nothing more is known than the status.
    Refused = 65_000,
    /// The request cannot be read.
    Malformed = 65_001,
    /// The certificate of the connection does not prove the domain of the sender.
    SenderNotProven = 65_002,
    /// The gateway does not take the method.
    Method = 65_003,
    /// The request demands an extension.
    Extension = 65_004,
    /// The event package is not presence.
    EventPackage = 65_005,
    /// No dialog is known by its tags.
    NoDialog = 65_006,
    /// The request comes in a circle, or has passed too many servers.
    Loop = 65_007,
    /// Text of this kind cannot be shown on the other side.
    Content = 65_008,
    /// A conversation with audio, video or a shared screen.
    NoText = 65_009,
    /// A file.
    File = 65_010,
    /// An invitation to a meeting.
    Meeting = 65_011,
    /// A conversation of more than two in the old form.
    Multiparty = 65_012,
    /// The user does not exist.
    NoUser = 65_013,
    /// The user cannot be reached now.
    Unavailable = 65_014,
    /// The user does not want to be disturbed, or declines.
    Busy = 65_015,
    /// A rule of the gateway or the user does not let the two exchange.
    NotAllowed = 65_016,
    /// The gateway does not serve the domain.
    NotServed = 65_017,
    /// The server of the user cannot be found.
    NoServer = 65_018,
    /// The server of the user gave no answer in time.
    NoAnswer = 65_019,
    /// The gateway has too much to do.
    Overloaded = 65_020,
    /// One user asks for too much in a short time.
    TooOften = 65_021,
    /// The message is too large.
    TooLarge = 65_022,
    /// The address has no counterpart on the other side.
    Address = 65_023,
    /// The subscription is for too short a time.
    TooBrief = 65_024,
    /// A later request overtook this one.
    Overtaken = 65_025,
    /// A fault inside the gateway or the server of the user.
    Fault = 65_026,
    /// The request was taken back by its sender.
    TakenBack = 65_027,
    /// Rich text without plain text beside it. The text names the setting of the other side that
    /// makes its clients write plain text.
    RichText = 65_028,
    /// The endpoint watches as many users as one may.
    TooManyWatched = 65_029,
}

impl Cause {
    /// Every cause, in the order of the numbers.
    pub const ALL: [Self; 30] = [
        Self::Refused,
        Self::Malformed,
        Self::SenderNotProven,
        Self::Method,
        Self::Extension,
        Self::EventPackage,
        Self::NoDialog,
        Self::Loop,
        Self::Content,
        Self::NoText,
        Self::File,
        Self::Meeting,
        Self::Multiparty,
        Self::NoUser,
        Self::Unavailable,
        Self::Busy,
        Self::NotAllowed,
        Self::NotServed,
        Self::NoServer,
        Self::NoAnswer,
        Self::Overloaded,
        Self::TooOften,
        Self::TooLarge,
        Self::Address,
        Self::TooBrief,
        Self::Overtaken,
        Self::Fault,
        Self::TakenBack,
        Self::RichText,
        Self::TooManyWatched,
    ];

    /// Its number.
    pub const fn id(self) -> u32 {
        (self as u16) as u32
    }

    /// What it says.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Refused => "The request was refused",
            Self::Malformed => "The request cannot be read",
            Self::SenderNotProven => {
                "The certificate of this connection does not prove the domain of the sender"
            }
            Self::Method => "This type of SIP request is not supported",
            Self::Extension => "A required extension is not supported",
            Self::EventPackage => "Only presence can be subscribed to",
            Self::NoDialog => "The dialog does not exist",
            Self::Loop => "The request came in a circle or passed too many servers",
            Self::Content => "Content of this type cannot be delivered",
            Self::NoText => "Only text conversations are supported",
            Self::File => "Files cannot be delivered",
            Self::Meeting => "Meetings are not supported",
            Self::Multiparty => "Conversations of more than two users are not supported",
            Self::NoUser => "The user does not exist",
            Self::Unavailable => "The user is not available",
            Self::Busy => "The user does not want to be disturbed",
            Self::NotAllowed => "The two users are not allowed to communicate",
            Self::NotServed => "The domain is not served here",
            Self::NoServer => "The server of the user cannot be found",
            Self::NoAnswer => "The server of the user did not answer in time",
            Self::Overloaded => "Too busy at the moment",
            Self::TooOften => "Too many requests of one user",
            Self::TooLarge => "The message is too large",
            Self::Address => "The address cannot be translated",
            Self::TooBrief => "The subscription is for too short a time",
            Self::Overtaken => "A later request came before this one",
            Self::Fault => "Internal error",
            Self::TakenBack => "The request was taken back",
            Self::RichText => {
                "Rich text (RTF) cannot be delivered, plain text can: DisableRTFIM in the client policy"
            }
            Self::TooManyWatched => "The user watches as many contacts as one may",
        }
    }

    /// The cause that a status means by itself.
    pub const fn of_status(status: u16) -> Self {
        match status {
            400 | 493 => Self::Malformed,
            403 | 603 => Self::NotAllowed,
            404 | 410 | 484 | 485 | 604 => Self::NoUser,
            405 | 501 => Self::Method,
            406 | 415 | 488 | 606 => Self::Content,
            408 | 504 => Self::NoAnswer,
            413 | 513 => Self::TooLarge,
            414 | 416 => Self::Address,
            420 | 421 => Self::Extension,
            423 => Self::TooBrief,
            430 | 480 | 600 => Self::Unavailable,
            481 => Self::NoDialog,
            482 | 483 => Self::Loop,
            486 => Self::Busy,
            487 => Self::TakenBack,
            489 => Self::EventPackage,
            491 => Self::Overtaken,
            500 => Self::Fault,
            502 => Self::NoServer,
            503 => Self::Overloaded,
            _ => Self::Refused,
        }
    }

    /// The header of an answer; its source is the name by which `source` is known to the peer.
    pub(crate) fn header(self, source: &SentBy) -> (HeaderName, Line) {
        let (id, reason) = (self.id(), QuotedText::new(self.reason()));
        let source = QuotedText::new(source.host());
        let value = format!("{id};reason={reason};source={source}");
        (HeaderName::MsDiagnostics, Line::fold(&value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_lie_in_our_block_and_grow() {
        assert!(Cause::ALL.is_sorted_by_key(|cause| cause.id()));
        for (cause, id) in Cause::ALL.into_iter().zip(65_000..65_100) {
            assert_eq!(cause.id(), id, "{cause:?}");
            assert!(!cause.reason().is_empty());
        }
    }

    #[test]
    fn the_header_names_number_reason_and_source() {
        let gateway = SentBy::new("gw.one.example", 5061).unwrap();

        let (name, value) = Cause::Meeting.header(&gateway);

        assert_eq!(name, HeaderName::MsDiagnostics);
        let wanted = "65011;reason=\"Meetings are not supported\";source=\"gw.one.example\"";
        assert_eq!(value.as_str(), wanted);
    }
}
