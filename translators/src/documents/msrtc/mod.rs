//! Microsoft's presence document (`text/xml+msrtc.pidf`, [MS-SIP] section 2.2.1): numbers for how
//! available somebody is, a note, a name and the states that the user has set. Its namespace has two
//! spellings, so none is looked at.

mod read;
#[cfg(test)]
mod tests;
mod write;

pub(super) use read::{card_note, is_mobile, read};
pub(super) use write::{write, write_offline};

/// Content type of the document.
pub const CONTENT_TYPE: &str = "text/xml+msrtc.pidf";
