//! Headers of SUBSCRIBE and NOTIFY, and of what answers them (RFC 6665).

use std::time::Duration;

use crate::limits;
use crate::sip::cursor::Cursor;
use crate::sip::dialog::Content;
use crate::sip::headers::number;
use crate::sip::name_addr::{RawText, param};
use crate::sip::{Answer, Head, HeaderName, Malformed};
use crate::text::Line;

/// The one event package of the gateway (RFC 3856 section 6.1).
pub const PRESENCE: &str = "presence";

/// Format of a subscription without Accept (RFC 3856 section 6.7).
pub const PIDF: &str = "application/pidf+xml";

/// The value of Event (RFC 6665 section 8.2.1). Package and id "are compared byte by byte".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventPackage<'a> {
    /// The package.
    pub name: &'a str,
    /// Tells subscriptions of one dialog apart.
    pub id: Option<&'a str>,
}

impl EventPackage<'_> {
    /// Whether it is the package that the gateway takes.
    pub fn is_presence(self) -> bool {
        self.name == PRESENCE
    }
}

/// What a subscription is (RFC 6665 section 4.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Substate {
    /// It is accepted.
    Active,
    /// Someone has to decide.
    Pending,
    /// It has ended.
    Terminated,
    /// A state that the gateway does not know.
    Other,
}

/// Why a subscription has ended (RFC 6665 section 4.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventReason {
    /// "SHOULD retry immediately with a new subscription".
    Deactivated,
    /// Nobody decided in time.
    GiveUp,
    /// The state cannot change any more.
    Invariant,
    /// There is nothing to be seen any more.
    NoResource,
    /// "SHOULD retry at some later time".
    Probation,
    /// Policy changed.
    Rejected,
    /// It was not refreshed.
    Timeout,
}

impl EventReason {
    const ALL: [Self; 7] = [
        Self::Deactivated,
        Self::GiveUp,
        Self::Invariant,
        Self::NoResource,
        Self::Probation,
        Self::Rejected,
        Self::Timeout,
    ];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deactivated => "deactivated",
            Self::GiveUp => "giveup",
            Self::Invariant => "invariant",
            Self::NoResource => "noresource",
            Self::Probation => "probation",
            Self::Rejected => "rejected",
            Self::Timeout => "timeout",
        }
    }
}

/// The value of Subscription-State (RFC 6665 section 8.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubscriptionState {
    /// The state.
    pub state: Substate,
    /// Seconds for which it stands.
    pub expires: Option<u32>,
    /// Why it has ended; an unknown reason counts as none.
    pub reason: Option<EventReason>,
    /// Seconds after which to try again.
    pub retry_after: Option<u32>,
}

impl SubscriptionState {
    /// Accepted for so many seconds.
    pub const fn active(expires: u32) -> Self {
        Self::new(Substate::Active, Some(expires), None)
    }

    /// Undecided for so many seconds.
    pub const fn pending(expires: u32) -> Self {
        Self::new(Substate::Pending, Some(expires), None)
    }

    /// Ended.
    pub const fn terminated(reason: EventReason) -> Self {
        Self::new(Substate::Terminated, None, Some(reason))
    }

    /// The same with seconds after which to try again.
    pub const fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    const fn new(state: Substate, expires: Option<u32>, reason: Option<EventReason>) -> Self {
        Self {
            state,
            expires,
            reason,
            retry_after: None,
        }
    }

    /// The value of the header.
    pub fn to_line(&self) -> Line {
        let mut text = match self.state {
            Substate::Active => "active",
            Substate::Pending => "pending",
            Substate::Terminated | Substate::Other => "terminated",
        }
        .to_owned();
        if let Some(expires) = self.expires {
            text.push_str(&format!(";expires={expires}"));
        }
        if let Some(reason) = self.reason {
            text.push_str(&format!(";reason={}", reason.as_str()));
        }
        if let Some(seconds) = self.retry_after {
            text.push_str(&format!(";retry-after={seconds}"));
        }
        Line::fold(&text)
    }

    /// The headers of a NOTIFY with this state.
    pub(super) fn headers(&self, event_id: Option<&str>, contact: Line) -> Vec<(HeaderName, Line)> {
        vec![
            (HeaderName::Contact, contact),
            (HeaderName::Event, event(event_id)),
            (HeaderName::SubscriptionState, self.to_line()),
        ]
    }

    fn read(value: &mut Cursor<'_>) -> Result<Self, Malformed> {
        let name = value.token()?;
        let known = [
            ("active", Substate::Active),
            ("pending", Substate::Pending),
            ("terminated", Substate::Terminated),
        ];
        let found = known.iter().find(|(one, _)| one.eq_ignore_ascii_case(name));
        let state = found.map_or(Substate::Other, |(_, state)| *state);
        let mut read = Self::new(state, None, None);
        while value.eat(b';') {
            let (name, text) = param(value)?;
            let text = text.as_str();
            // What cannot be read counts as not given.
            if name.eq_ignore_ascii_case("expires") {
                read.expires = text.parse().ok();
            } else if name.eq_ignore_ascii_case("retry-after") {
                read.retry_after = text.parse().ok();
            } else if name.eq_ignore_ascii_case("reason") {
                let mut known = EventReason::ALL.into_iter();
                read.reason = known.find(|one| one.as_str().eq_ignore_ascii_case(text));
            }
        }
        value.end()?;
        Ok(read)
    }
}

/// What a SUBSCRIBE of ours asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// For how long, in seconds; 0 ends the subscription or fetches the state once.
    pub expires: u32,
    /// Formats, for Accept.
    pub accept: Line,
    /// The last entity tag: no document is wanted if it is still the same (RFC 5839 section 5.6).
    pub suppress_if_match: Option<Line>,
    /// An option that we know, for Supported.
    pub supported: Option<Line>,
    /// Content-Type and body.
    pub content: Option<Content>,
}

impl Wish {
    /// Asks for so many seconds, and for documents in these formats.
    pub fn new(expires: u32, accept: &str) -> Self {
        Self {
            expires,
            accept: Line::fold(accept),
            suppress_if_match: None,
            supported: None,
            content: None,
        }
    }

    /// Names an option that we know.
    pub fn supporting(mut self, option: &str) -> Self {
        self.supported = Some(Line::fold(option));
        self
    }

    /// Adds a body.
    pub fn with(mut self, content: Content) -> Self {
        self.content = Some(content);
        self
    }

    /// Wants no document that still has this entity tag.
    pub fn unless(mut self, etag: Option<&str>) -> Self {
        self.suppress_if_match = etag.and_then(Line::parse);
        self
    }

    /// The headers of the SUBSCRIBE.
    pub(super) fn headers(&self, event_id: Option<&str>, contact: Line) -> Vec<(HeaderName, Line)> {
        let mut headers = vec![
            (HeaderName::Contact, contact),
            (HeaderName::Event, event(event_id)),
            (HeaderName::Accept, self.accept.clone()),
            (HeaderName::Expires, seconds(self.expires)),
        ];
        let etag = self.suppress_if_match.iter();
        headers.extend(etag.map(|etag| (HeaderName::SuppressIfMatch, etag.clone())));
        let supported = self.supported.iter();
        headers.extend(supported.map(|option| (HeaderName::Supported, option.clone())));
        headers
    }
}

/// How long subscriptions of a peer may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// A shorter wish is refused; zero refuses none.
    pub min: Duration,
    /// A longer wish is cut.
    pub max: Duration,
}

impl Default for Interval {
    fn default() -> Self {
        Self {
            min: limits::SUBSCRIPTION_TIME_MIN,
            max: limits::SUBSCRIPTION_TIME,
        }
    }
}

/// A wish for less time than is granted; the answer is [`TooBrief::answer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooBrief {
    /// Least seconds that are granted.
    pub min: u32,
}

impl TooBrief {
    /// 423 with Min-Expires (RFC 6665 section 4.2.1.1).
    pub fn answer(self) -> Answer {
        Answer::new(423).header(HeaderName::MinExpires, seconds(self.min))
    }
}

impl Interval {
    /// Grants what a SUBSCRIBE asks for, in seconds: never more (RFC 6665 section 4.2.1.1), and 0
    /// as asked. Without a wish it is [`limits::SUBSCRIPTION_TIME`].
    ///
    /// "If the expiration interval is greater than zero, smaller than one hour, and less than a
    /// notifier-configured minimum, the notifier MAY return a 423."
    pub fn grant(&self, asked: Option<u32>) -> Result<u32, TooBrief> {
        let usual = whole_seconds(limits::SUBSCRIPTION_TIME);
        let asked = asked.unwrap_or(usual);
        let min = whole_seconds(self.min);
        if asked > 0 && asked < usual && asked < min {
            return Err(TooBrief { min });
        }
        Ok(asked.min(whole_seconds(self.max)))
    }
}

/// 200 to a SUBSCRIBE that was granted for so many seconds; Record-Route goes back as it came.
pub fn granted(expires: u32, contact: Line) -> Answer {
    Answer::new(200)
        .header(HeaderName::Contact, contact)
        .header(HeaderName::Expires, seconds(expires))
        .record_route()
}

/// 204 to a SUBSCRIBE whose sender has the present document (RFC 5839 section 6.2).
pub fn unchanged(expires: u32, contact: Line) -> Answer {
    Answer::new(204)
        .header(HeaderName::Contact, contact)
        .header(HeaderName::Expires, seconds(expires))
        .record_route()
}

/// 406 to a SUBSCRIBE that takes no format of ours (RFC 6665 section 4.1.2.1).
pub fn not_acceptable(formats: &str) -> Answer {
    Answer::new(406).header(HeaderName::Accept, Line::fold(formats))
}

/// 200 to a NOTIFY; Record-Route goes back as it came.
pub const fn notified() -> Answer {
    Answer::new(200).record_route()
}

/// 489 to a package that the gateway does not take (RFC 6665 section 4.2.1.1).
pub fn bad_event() -> Answer {
    Answer::new(489).header(HeaderName::AllowEvents, Line::fold(PRESENCE))
}

/// 500 to a request that a later one overtook (RFC 3261 section 12.2.2).
pub fn overtaken() -> Answer {
    let after = whole_seconds(limits::OVERTAKEN_RETRY);
    Answer::new(500).header(HeaderName::RetryAfter, seconds(after))
}

impl Head {
    /// Event. Parameters that cannot be read count as not given.
    pub fn event(&self) -> Result<Option<EventPackage<'_>>, Malformed> {
        let Some(header) = self.header(HeaderName::Event) else {
            return Ok(None);
        };
        let mut value = header.cursor();
        let mut event = EventPackage {
            name: value.token()?,
            id: None,
        };
        if !value.eat(b';') {
            value.end()?;
            return Ok(Some(event));
        }
        while let Ok((name, text)) = param(&mut value) {
            if let RawText::Plain(id) = text
                && name.eq_ignore_ascii_case("id")
                && !id.is_empty()
            {
                event.id = Some(id);
            }
            if !value.eat(b';') {
                break;
            }
        }
        Ok(Some(event))
    }

    /// Subscription-State, which every NOTIFY has (RFC 6665 section 4.2.2).
    pub fn subscription_state(&self) -> Result<SubscriptionState, Malformed> {
        let header = self.required(HeaderName::SubscriptionState)?;
        SubscriptionState::read(&mut header.cursor())
    }

    /// Seconds of Min-Expires, if they can be read.
    pub fn min_expires(&self) -> Option<u32> {
        let header = self.header(HeaderName::MinExpires)?;
        number(&mut header.cursor()).ok().flatten()
    }

    /// SIP-ETag (RFC 5839).
    pub fn etag(&self) -> Option<&str> {
        let header = self.header(HeaderName::SipEtag)?;
        Some(header.raw).filter(|etag| !etag.is_empty())
    }

    /// Suppress-If-Match (RFC 5839).
    pub fn suppress_if_match(&self) -> Option<&str> {
        let header = self.header(HeaderName::SuppressIfMatch)?;
        Some(header.raw).filter(|etag| !etag.is_empty())
    }
}

/// The value of Event.
pub(super) fn event(id: Option<&str>) -> Line {
    match id {
        None => Line::fold(PRESENCE),
        Some(id) => Line::fold(&format!("{PRESENCE};id={id}")),
    }
}

fn seconds(seconds: u32) -> Line {
    Line::fold(&seconds.to_string())
}

fn whole_seconds(span: Duration) -> u32 {
    u32::try_from(span.as_secs()).unwrap_or(u32::MAX)
}
