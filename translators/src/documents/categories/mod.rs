//! Microsoft's categories (`application/msrtc-event-categories+xml`, [MS-PRES] section 2.2.2.2), as
//! far as XMPP has words for them: the state, the note and the name on the contact card. The calendar
//! is passed over.

mod read;
#[cfg(test)]
mod tests;
mod write;

pub(super) use read::read;
pub(super) use write::{write, write_offline};

/// Content type of the document.
pub const CONTENT_TYPE: &str = "application/msrtc-event-categories+xml";
