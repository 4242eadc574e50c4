//! An established conversation.

use crate::sip::dialog::{Content, Dialog, RoutePool, Sequence};
use crate::sip::invite::invited::{description, refusal, wants_more};
use crate::sip::offer::ALLOW;
use crate::sip::sdp::{self, AcceptTypes, Media, Offer};
use crate::sip::subscription::overtaken;
use crate::sip::{
    Answer, Draft, Head, HeaderName, Malformed, Method, Request, Response, SentBy, SipUri, Tag,
};
use crate::text::Line;

/// What a peer is told of our end.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// Under which host we are reached.
    pub sent_by: &'a SentBy,
    /// Types of messages that we take, such as [`sdp::TYPES_MICROSOFT`].
    pub types: &'a str,
    /// Whether our endpoint is named, as for peers of the Microsoft profile. In an INVITE of ours it is
    /// [`crate::sip::invite::Caller::from`] that names it.
    pub epid: bool,
    /// Whether our 200 says that the message inside the INVITE was taken.
    pub took_first: bool,
}

/// The dialog of one conversation, which lives in memory only: one that the peer still has after a
/// restart of ours ends with the 481 to its next request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    dialog: Dialog,
    accepts: AcceptTypes,
    /// CSeq of the peer's last INVITE that we accepted: its ACK has the same.
    invited: Option<u32>,
    /// Numbers of the peer below the last that have not come: bit 0 is the one before it.
    missing: u32,
}

/// Where the number of a request stands among those of the dialog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// Higher than all before.
    Fresh,
    /// A later one came before it.
    Late,
    /// Something came under it, or may have.
    Repeated,
}

/// What a request of the peer is.
#[derive(Debug, PartialEq, Eq)]
pub enum Inside {
    /// The ACK of our 2xx.
    Ack,
    /// What is not to be answered, such as the ACK of something else.
    Ignored,
    /// A message. Its answer is the delivery verdict.
    Message,
    /// INFO: typing, a subject, or something else.
    Info,
    /// The end: to be answered 200.
    Bye,
    /// A re-INVITE that is accepted with this answer, which is to be confirmed by an ACK.
    Accepted(Answer),
    /// Anything else, with its answer.
    Answer(Answer),
}

impl Session {
    /// The conversation that an INVITE of a peer makes.
    pub(super) fn of_invite(dialog: Dialog, invite: &Request) -> Result<Self, Malformed> {
        Ok(Self {
            accepts: accepts(invite),
            invited: Some(invite.cseq()?.number),
            ..Self::new(dialog)
        })
    }

    /// The conversation that a 2xx makes.
    pub(super) fn of_answer(dialog: Dialog, response: &Response) -> Self {
        Self {
            accepts: accepts(response),
            ..Self::new(dialog)
        }
    }

    fn new(dialog: Dialog) -> Self {
        Self {
            dialog,
            accepts: AcceptTypes::default(),
            invited: None,
            missing: 0,
        }
    }

    /// Our tag.
    pub const fn tag(&self) -> Tag {
        self.dialog.tag()
    }

    /// The dialog.
    pub const fn dialog(&self) -> &Dialog {
        &self.dialog
    }

    /// Types of messages that the peer takes.
    pub const fn accepts(&self) -> AcceptTypes {
        self.accepts
    }

    /// Where requests of ours go.
    pub fn remote_target(&self) -> Option<SipUri> {
        SipUri::parse(self.dialog.remote_target()).ok()
    }

    /// Keeps its route set where equal ones are kept.
    pub fn share_routes(&mut self, pool: &mut RoutePool) {
        self.dialog.share_routes(pool);
    }

    /// Whether a request is the ACK of our 2xx.
    pub fn is_ack(&self, request: &Request) -> bool {
        let number = request.cseq().ok().map(|cseq| cseq.number);
        request.method() == Some(Method::Ack) && number.is_some() && self.invited == number
    }

    /// Whether a request belongs to it.
    pub fn is_for(&self, request: &Request) -> bool {
        self.dialog.is_for(request)
    }

    /// Makes a MESSAGE. It has no Contact (RFC 3428 section 4).
    pub fn message(
        &mut self,
        headers: Vec<(HeaderName, Line)>,
        content: Content,
    ) -> Result<Draft, Malformed> {
        self.request(Method::Message, headers, Some(content))
    }

    /// Makes an INFO.
    pub fn info(&mut self, content: Content) -> Result<Draft, Malformed> {
        self.request(Method::Info, Vec::new(), Some(content))
    }

    /// Makes the BYE.
    pub fn bye(&mut self) -> Result<Draft, Malformed> {
        self.request(Method::Bye, Vec::new(), None)
    }

    /// Makes the ACK of a 2xx, which has the number of its INVITE (RFC 3261 section 13.2.2.4). Its
    /// branch is a new one, and nothing answers it.
    pub(super) fn ack(&self, response: &Response) -> Result<Draft, Malformed> {
        // The number that this copy takes stays unused.
        let (draft, _) = self.dialog.clone().request(Method::Ack, Vec::new(), None)?;
        Ok(Draft {
            cseq: response.cseq()?.number,
            ..draft
        })
    }

    fn request(
        &mut self,
        method: Method,
        headers: Vec<(HeaderName, Line)>,
        content: Option<Content>,
    ) -> Result<Draft, Malformed> {
        let (draft, _) = self.dialog.request(method, headers, content)?;
        Ok(draft)
    }

    /// Takes the 2xx to a request of ours: one to an INVITE or UPDATE refreshes the target and, where
    /// the peer says so, the route set.
    pub fn on_success(&mut self, response: &Response) {
        let method = response.cseq().map_or("", |cseq| cseq.method);
        if [Method::Invite, Method::Update]
            .map(Method::as_str)
            .contains(&method)
        {
            self.dialog.on_refreshed(response);
        }
    }

    /// Takes a request of the peer.
    pub fn on_request(&mut self, request: &Request, terms: &Terms<'_>) -> Inside {
        let Some(method) = request.method() else {
            return Inside::Answer(not_allowed());
        };
        let Ok(number) = request.cseq().map(|cseq| cseq.number) else {
            return Inside::Answer(Answer::new(400));
        };
        // An ACK has the number of its INVITE, and the end is the end, whatever came before it.
        let is_numbered = !matches!(
            method,
            Method::Ack | Method::Benotify | Method::Bye | Method::Cancel
        );
        let order = if is_numbered {
            self.order_of(method, number)
        } else {
            Order::Fresh
        };
        if order == Order::Repeated {
            return Inside::Answer(overtaken());
        }
        match method {
            Method::Ack if self.invited == Some(number) => Inside::Ack,
            Method::Ack | Method::Benotify => Inside::Ignored,
            Method::Bye => Inside::Bye,
            // No 1xx of ours is reliable, and what is cancelled is a transaction.
            Method::Cancel | Method::Prack => Inside::Answer(Answer::new(481)),
            Method::Info => Inside::Info,
            Method::Invite => self.on_invite(request, number, terms),
            Method::Message => Inside::Message,
            Method::Options => {
                Inside::Answer(Answer::new(200).header(HeaderName::Allow, Line::fold(ALLOW)))
            }
            Method::Update => Inside::Answer(self.on_update(request, order, terms)),
            Method::Negotiate
            | Method::Notify
            | Method::Publish
            | Method::Refer
            | Method::Register
            | Method::Subscribe => Inside::Answer(not_allowed()),
        }
    }

    /// Where the number of a request stands. "If the remote sequence number is not empty, but the
    /// sequence number of the request is lower than the remote sequence number, the request is out of
    /// order and MUST be rejected with a 500" (RFC 3261 section 12.2.2).
    ///
    /// COMPAT(lync): an Edge spreads the requests of one dialog over several connections, where one may
    /// overtake the one before it. It is taken as long as nothing else came under its number; but a late
    /// re-INVITE would cross the ACK of a later one.
    fn order_of(&mut self, method: Method, number: u32) -> Order {
        let last = self.dialog.remote_cseq();
        match self.dialog.on_request(number) {
            Sequence::Repeated => Order::Repeated,
            Sequence::Fresh => {
                let Some(passed) = last.and_then(|last| number.checked_sub(last)) else {
                    return Order::Fresh;
                };
                // The last number was used, those between it and this one were not.
                let shifted = self.missing.checked_shl(passed).unwrap_or(0);
                let between = passed.saturating_sub(1);
                let skipped = 1_u32.checked_shl(between).map_or(u32::MAX, |bit| bit - 1);
                self.missing = shifted | skipped;
                Order::Fresh
            }
            Sequence::Old => {
                let back = last.and_then(|last| last.checked_sub(number));
                let place = back.and_then(|back| back.checked_sub(1));
                let bit = place
                    .and_then(|place| 1_u32.checked_shl(place))
                    .unwrap_or(0);
                if self.missing & bit == 0 || method == Method::Invite {
                    return Order::Repeated;
                }
                self.missing &= !bit;
                Order::Late
            }
        }
    }

    /// A re-INVITE gets the same description, unless it adds media (RFC 3261 section 14.2).
    fn on_invite(&mut self, invite: &Request, number: u32, terms: &Terms<'_>) -> Inside {
        if let Some(answer) = wants_more(invite).and_then(refusal) {
            return Inside::Answer(answer);
        }
        self.refresh(invite);
        self.invited = Some(number);
        Inside::Accepted(self.success(invite, terms))
    }

    /// UPDATE (RFC 3311 section 5.2). One that was overtaken says nothing of the peer's end any more.
    fn on_update(&mut self, update: &Request, order: Order, terms: &Terms<'_>) -> Answer {
        if let Some(answer) = wants_more(update).and_then(refusal) {
            return answer;
        }
        if order == Order::Fresh {
            self.refresh(update);
        }
        let answer = self.bare_success(update, terms);
        match description(update) {
            Some(offer) => self.describe(answer, &offer, terms),
            None => answer,
        }
    }

    /// Takes what a request says of the peer's end.
    fn refresh(&mut self, request: &Request) {
        self.dialog.on_refresh(request);
        if let Some(offer) = description(request).filter(|offer| offer.has(Media::Message)) {
            self.accepts = offer.accepts();
        }
    }

    /// 200 to an INVITE; without an offer of the peer the description is our offer.
    pub(super) fn success(&self, invite: &Request, terms: &Terms<'_>) -> Answer {
        let mut answer = self.bare_success(invite, terms);
        if terms.took_first {
            for tag in ["ms-text-format", "ms-embedded-first-message"] {
                answer = answer.header(HeaderName::Supported, Line::fold(tag));
            }
        }
        self.describe(answer, &description(invite).unwrap_or_default(), terms)
    }

    fn bare_success(&self, request: &Request, terms: &Terms<'_>) -> Answer {
        let answer = Answer::new(200)
            .to_tag(self.tag().token())
            .header(HeaderName::Contact, terms.sent_by.contact(self.tag()))
            .header(HeaderName::Allow, Line::fold(ALLOW))
            .record_route();
        let answer = if terms.epid {
            answer.epid(self.tag().epid())
        } else {
            answer
        };
        // "Require: timer" wants to hear who refreshes (RFC 4028 section 9): the peer does, as it
        // has to where nothing is said.
        let expires = request.header(HeaderName::SessionExpires);
        let interval = expires.and_then(|header| header.raw.split(';').next()?.trim().parse().ok());
        let mut required = request.values(HeaderName::Require);
        match interval {
            Some(seconds) if required.any(|tag| tag.eq_ignore_ascii_case("timer")) => {
                let seconds: u32 = seconds;
                let value = Line::fold(&format!("{seconds};refresher=uac"));
                answer
                    .header(HeaderName::SessionExpires, value)
                    .header(HeaderName::Require, Line::fold("timer"))
            }
            Some(_) | None => answer,
        }
    }

    fn describe(&self, answer: Answer, offer: &Offer<'_>, terms: &Terms<'_>) -> Answer {
        let local = self.dialog.local();
        let (content_type, body) = match &local {
            Ok(local) => sdp::write_answer(offer, local.uri(), terms.types),
            Err(_) => sdp::write_offer(terms.types),
        };
        answer.content(content_type, body)
    }
}

fn accepts(head: &Head) -> AcceptTypes {
    description(head).map_or_else(AcceptTypes::default, |offer| offer.accepts())
}

fn not_allowed() -> Answer {
    Answer::new(405).header(HeaderName::Allow, Line::fold(ALLOW))
}
