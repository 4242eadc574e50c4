//! What a SUBSCRIBE asks for, as the profile of its peer reads it.

use std::time::Duration;

use crate::documents::adrl::{self, Purpose};
use crate::documents::presence::Format;
use crate::model::microsoft::{AskOn, Benotify};
use crate::model::{Microsoft, SipProfile};
use crate::shard::watched::refusals::Unfit;
use crate::sip::piggyback::{BENOTIFY, PIGGYBACK};
use crate::sip::subscription::Interval;
use crate::sip::{HeaderName, Request};

/// What a SUBSCRIBE asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish {
    /// The format of documents.
    pub(super) format: Format,
    /// Seconds that are granted.
    pub(super) expires: u32,
    /// Whether it is by a look at the user, without adding him to a contact list.
    pub(super) look: bool,
    /// Whether it says that he is on the contact list.
    pub(super) adds: bool,
    /// Whether its answer is to carry the document.
    pub(super) piggyback: bool,
}

impl Wish {
    /// Reads a SUBSCRIBE; an error is its answer. `known` is the format of its dialog, which stays
    /// where it names none: clients leave Accept out when they end a subscription.
    pub(super) fn read(
        request: &Request,
        peer: &SipProfile,
        known: Option<Format>,
    ) -> Result<Self, Unfit> {
        let microsoft = peer.microsoft.as_ref();
        let is_presence = match request.event()? {
            Some(event) => event.is_presence(),
            None => known.is_some() && microsoft.is_some(),
        };
        if !is_presence {
            return Err(Unfit::Event); // row 27
        }
        let refuses = microsoft.is_some_and(|it| it.benotify == Benotify::Refuse);
        if refuses && request.proxy_requires(BENOTIFY) {
            return Err(Unfit::Benotify);
        }
        let accept: Vec<&str> = request.values(HeaderName::Accept).collect();
        let accept = (!accept.is_empty()).then(|| accept.join(", "));
        let format = known.filter(|_| accept.is_none());
        let format =
            format.or_else(|| Format::choose(accept.as_deref(), Format::preferred(microsoft)));
        let format = format.ok_or_else(|| Unfit::Format(Format::preferred(microsoft)))?; // row 28
        let granted = interval(microsoft).grant(request.expires()?);
        let purpose = purpose(request, microsoft);
        Ok(Self {
            format,
            expires: granted.map_err(Unfit::TooBrief)?, // row 29
            look: purpose == Some(Purpose::Look),
            adds: purpose == Some(Purpose::Contact),
            piggyback: microsoft.is_some_and(|it| it.piggyback) && request.supports(PIGGYBACK),
        })
    }
}

/// For what the sender of a SUBSCRIBE wants to see the user, where it says so and is asked.
fn purpose(request: &Request, microsoft: Option<&Microsoft>) -> Option<Purpose> {
    match microsoft?.ask_on {
        AskOn::Always => return None,
        AskOn::Context => {}
    }
    if request.body().trim_ascii().is_empty() {
        return None;
    }
    let kind = request.header(HeaderName::ContentType);
    let target = request.uri().ok()?;
    let kind = kind.map(|header| header.raw);
    Some(adrl::purpose(kind, request.body(), target.as_str()))
}

/// For how long subscriptions may be: Microsoft's servers know no 423, and shorten what they grant.
fn interval(microsoft: Option<&Microsoft>) -> Interval {
    let usual = Interval::default();
    match microsoft {
        None => usual,
        Some(_) => Interval {
            min: Duration::ZERO,
            ..usual
        },
    }
}
