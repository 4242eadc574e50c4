//! The first document in the answer to a SUBSCRIBE, which spares a NOTIFY ([MS-SIP] section 3.4),
//! and the other options of Microsoft's subscriptions.

use crate::sip::headers::number;
use crate::sip::subscription::{SubscriptionState, event};
use crate::sip::{Answer, Head, HeaderName};
use crate::text::Line;

/// Option tag of an end that knows documents in answers.
pub const PIGGYBACK: &str = "ms-piggyback-first-notify";
/// Option tag of a subscriber who wants BENOTIFY ([MS-SIP] section 3.5).
pub const BENOTIFY: &str = "ms-benotify";

impl Head {
    /// Whether Supported names an option.
    pub fn supports(&self, option: &str) -> bool {
        let mut all = self.values(HeaderName::Supported);
        all.any(|one| one.eq_ignore_ascii_case(option))
    }

    /// Whether Proxy-Require names an option.
    pub fn proxy_requires(&self, option: &str) -> bool {
        let mut all = self.values(HeaderName::ProxyRequire);
        all.any(|one| one.eq_ignore_ascii_case(option))
    }

    /// The number of the NOTIFY that an answer stands for, if it can be read.
    pub fn piggyback_cseq(&self) -> Option<u32> {
        let header = self.header(HeaderName::MsPiggybackCseq)?;
        number(&mut header.cursor()).ok().flatten()
    }
}

/// Makes the answer to a SUBSCRIBE stand for its first NOTIFY, which would have this number; the
/// document is the answer's content.
pub fn standing_for_notify(
    answer: Answer,
    cseq: u32,
    state: &SubscriptionState,
    event_id: Option<&str>,
) -> Answer {
    answer
        .header(HeaderName::Event, event(event_id))
        .header(HeaderName::SubscriptionState, state.to_line())
        .header(HeaderName::MsPiggybackCseq, Line::fold(&cseq.to_string()))
        .header(HeaderName::Supported, Line::fold(PIGGYBACK))
}

/// 420 to a SUBSCRIBE that demands BENOTIFY where the peer is not to have it (RFC 3261 section
/// 8.2.2.3): it asks again without.
pub fn no_benotify() -> Answer {
    Answer::new(420).header(HeaderName::Unsupported, Line::fold(BENOTIFY))
}
