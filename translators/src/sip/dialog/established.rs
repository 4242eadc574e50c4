//! A dialog whose both ends are known.

use std::borrow::Cow;

use bytes::Bytes;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::limits;
use crate::sip::dialog::cseq::{Counter, Last};
use crate::sip::dialog::texts::Texts;
use crate::sip::dialog::{Block, EndpointId, RoutePool, RouteSet, Sequence, Tag};
use crate::sip::name_addr::RawAddr;
use crate::sip::subscription::{SubscriptionState, Wish};
use crate::sip::{
    CallId, Defect, Draft, Head, HeaderName, Malformed, Method, NameAddr, Request, Response,
    Scheme, SentBy, SipUri,
};
use crate::text::{Line, SipToken};

/// Places of the texts of a dialog.
const CALL_ID: usize = 0;
const EVENT_ID: usize = 1;
const LOCAL: usize = 2;
const REMOTE: usize = 3;
const REMOTE_TAG: usize = 4;
const TARGET: usize = 5;
const PLACES: usize = 6;

/// Content-Type and body of a request.
pub type Content = (Line, Bytes);

/// The dialog of one subscription (RFC 3261 section 12, RFC 6665 section 4.4).
///
/// Its record keeps everything but the numbers used inside the reserved block of CSeq: those are
/// passed over after a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialog {
    tag: Tag,
    /// The number that our Call-ID was made of; that of a peer stands among the texts.
    own_call_id: [u8; 16],
    local_cseq: Counter,
    remote_cseq: Last,
    texts: Texts<PLACES>,
    routes: RouteSet,
    /// Whether the peer says that the route set may change.
    updates_routes: bool,
}

/// What the peer says of its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::sip) struct Far {
    /// From or To of the peer, with its tag; a peer of RFC 2543 may have none.
    pub(in crate::sip) tag: Option<String>,
    /// Its address with header parameters such as `epid`, without name and tag.
    pub(in crate::sip) address: String,
    /// Contact.
    pub(in crate::sip) target: String,
    /// Record-Route, in the order of use.
    pub(in crate::sip) routes: RouteSet,
    /// Whether it says that its route set may change.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(in crate::sip) updates_routes: bool,
}

impl Far {
    /// The sender of a request (RFC 3261 section 12.1.1). "The To, From, Call-ID, CSeq [...] and
    /// Contact" are the request's; From is the remote target of a peer that gives no Contact.
    pub(in crate::sip) fn asking(request: &Request) -> Result<Self, Malformed> {
        let from = request.from()?;
        let target = request.contact()?.map_or_else(
            || from.uri().clone(),
            |contact| contact.uri().without_headers(),
        );
        Ok(Self {
            target: target.as_str().to_owned(),
            routes: RouteSet::of_request(request)?,
            updates_routes: updates_routes(request),
            ..Self::of(from)
        })
    }

    /// The sender of a 2xx (RFC 3261 section 12.1.2).
    pub(in crate::sip) fn answering(response: &Response) -> Result<Self, Malformed> {
        let to = response.to()?;
        let target = response.contact()?.map_or_else(
            || to.uri().clone(),
            |contact| contact.uri().without_headers(),
        );
        Ok(Self {
            target: target.as_str().to_owned(),
            routes: RouteSet::of_response(response)?,
            updates_routes: updates_routes(response),
            ..Self::of(to)
        })
    }

    fn of(address: NameAddr) -> Self {
        let tag = address.tag().map(|tag| tag.as_str().to_owned());
        Self {
            tag,
            target: String::new(),
            routes: RouteSet::default(),
            updates_routes: false,
            address: address.nameless().tagged(None).to_string(),
        }
    }
}

impl Dialog {
    /// Makes the dialog that an initial SUBSCRIBE asks for, with `tag` as ours. Contact is
    /// "mandatory" there (RFC 3261 section 8.1.1.8).
    pub fn accepting(request: &Request, tag: Tag) -> Result<Self, Malformed> {
        let event_id = request.event()?.and_then(|event| event.id);
        Self::asked(request, tag, event_id.unwrap_or_default())
    }

    /// Makes the dialog that an initial INVITE asks for, with `tag` as ours; `epid` names our endpoint
    /// where the INVITE does not.
    pub(in crate::sip) fn invited(
        request: &Request,
        tag: Tag,
        epid: Option<String>,
    ) -> Result<Self, Malformed> {
        let mut dialog = Self::asked(request, tag, "")?;
        if let Some(epid) = epid {
            let local = dialog.local()?.with_epid(epid).to_string();
            dialog.texts.replace(LOCAL, &local);
        }
        Ok(dialog)
    }

    fn asked(request: &Request, tag: Tag, event_id: &str) -> Result<Self, Malformed> {
        request.required(HeaderName::Contact)?;
        let call_id = request.call_id()?;
        let bad = |name| Malformed::new(Defect::Header(name), 0);
        CallId::of_peer(call_id).ok_or_else(|| bad(HeaderName::CallId))?;
        let far = Far::asking(request)?;
        let local = request.to()?.nameless().tagged(None).to_string();
        let texts = [
            call_id,
            event_id,
            &local,
            &far.address,
            far.tag.as_deref().unwrap_or_default(),
            &far.target,
        ];
        Ok(Self {
            tag,
            own_call_id: [0; 16],
            local_cseq: Counter::new(),
            remote_cseq: Last::new(Some(request.cseq()?.number)),
            texts: Texts::new(texts).ok_or_else(|| bad(HeaderName::Contact))?,
            routes: far.routes,
            updates_routes: far.updates_routes,
        })
    }

    /// Makes the dialog of a SUBSCRIBE or INVITE of ours whose other end is `far`.
    pub(in crate::sip) fn answered(
        tag: Tag,
        call_id: [u8; 16],
        local_cseq: Counter,
        [local, remote]: [&str; 2],
        far: &Far,
    ) -> Result<Self, Malformed> {
        let tag_text = far.tag.as_deref().unwrap_or_default();
        let texts = Texts::new(["", "", local, remote, tag_text, &far.target]);
        Ok(Self {
            tag,
            own_call_id: call_id,
            local_cseq,
            remote_cseq: Last::default(),
            texts: texts.ok_or(Malformed::new(Defect::Header(HeaderName::Contact), 0))?,
            routes: far.routes.clone(),
            updates_routes: far.updates_routes,
        })
    }

    /// Our tag.
    pub const fn tag(&self) -> Tag {
        self.tag
    }

    /// The peer's tag; empty for a peer of RFC 2543 that gave none.
    pub fn remote_tag(&self) -> &str {
        self.texts.part(REMOTE_TAG)
    }

    /// Call-ID.
    pub fn call_id(&self) -> Cow<'_, str> {
        match self.texts.part(CALL_ID) {
            "" => {
                let number = u128::from_be_bytes(self.own_call_id);
                Cow::Owned(CallId::from_number(number).as_str().to_owned())
            }
            theirs => Cow::Borrowed(theirs),
        }
    }

    /// Where requests of ours go: the peer's Contact, octet by octet.
    pub fn remote_target(&self) -> &str {
        self.texts.part(TARGET)
    }

    /// Our address, without tag.
    pub(in crate::sip) fn local(&self) -> Result<NameAddr, Malformed> {
        NameAddr::parse(self.texts.part(LOCAL))
    }

    /// The endpoint at the other end.
    pub fn endpoint(&self) -> EndpointId {
        EndpointId::of(self.texts.part(REMOTE))
    }

    /// The last CSeq of the peer.
    pub(in crate::sip) const fn remote_cseq(&self) -> Option<u32> {
        self.remote_cseq.number()
    }

    /// The `id` of Event, if the subscriber gave one.
    pub fn event_id(&self) -> Option<&str> {
        Some(self.texts.part(EVENT_ID)).filter(|id| !id.is_empty())
    }

    /// The route set.
    pub const fn routes(&self) -> &RouteSet {
        &self.routes
    }

    /// Whether a request belongs to it: Call-ID and both tags, whatever the URIs say. That it comes
    /// from the dialog's peer is for the caller to see to.
    pub fn is_for(&self, request: &Request) -> bool {
        let is_remote = |from: &NameAddr| {
            let tag = from.tag().map(SipToken::as_str);
            tag.unwrap_or_default() == self.remote_tag()
        };
        request.our_tag() == Some(self.tag)
            && request.call_id() == Ok(self.call_id().as_ref())
            && request.from().as_ref().is_ok_and(is_remote)
    }

    /// Takes the CSeq of a request of the peer (RFC 3261 section 12.2.2).
    pub fn on_request(&mut self, cseq: u32) -> Sequence {
        self.remote_cseq.take(cseq)
    }

    /// Takes a request that refreshes the target: SUBSCRIBE or NOTIFY (RFC 6665 section 4.4.1), a
    /// re-INVITE or UPDATE. Returns whether anything changed, for the record.
    ///
    /// A dialog does not change its route set (RFC 3261 section 12.2), but Microsoft's servers may say
    /// that theirs do (`ms-dialog-route-set-update`).
    pub fn on_refresh(&mut self, request: &Request) -> bool {
        let moved = self.replace_target(request);
        let updates = self.may_update_routes(request);
        let rerouted = updates && self.replace_routes(RouteSet::of_request(request));
        moved || rerouted
    }

    /// Takes the 2xx to the first SUBSCRIBE or NOTIFY of ours: it refreshes the target, and gives a
    /// route set to a dialog without one. Returns whether anything changed, for the record.
    ///
    /// A subscriber's route set is that of the first NOTIFY (RFC 6665 section 4.4.1); some peers
    /// put Record-Route into the answer only.
    pub fn on_success(&mut self, response: &Response) -> bool {
        if !self.is_answered_by(response) {
            return false;
        }
        let moved = self.replace_target(response);
        let bare = self.routes.is_empty();
        let rerouted = bare && self.replace_routes(RouteSet::of_response(response));
        moved || rerouted
    }

    /// Takes the 2xx to a request of ours that refreshed the dialog: where the peer says that its
    /// route set may change, the last one counts.
    pub fn on_refreshed(&mut self, response: &Response) -> bool {
        let changed = self.on_success(response);
        let updates = self.is_answered_by(response) && self.may_update_routes(response);
        let rerouted = updates && self.replace_routes(RouteSet::of_response(response));
        changed || rerouted
    }

    /// Whether it was the other end of this dialog that answered, and no fork.
    fn is_answered_by(&self, response: &Response) -> bool {
        response
            .to()
            .is_ok_and(|to| to.tag().map(SipToken::as_str).unwrap_or_default() == self.remote_tag())
    }

    fn replace_target(&mut self, head: &Head) -> bool {
        let Ok(Some(contact)) = head.contact() else {
            return false;
        };
        let target = contact.uri().without_headers();
        let changed = target.as_str() != self.remote_target();
        if changed {
            self.texts.replace(TARGET, target.as_str());
        }
        changed
    }

    /// What the peer says once holds for the dialog.
    fn may_update_routes(&mut self, head: &Head) -> bool {
        self.updates_routes |= updates_routes(head);
        self.updates_routes
    }

    /// "A set that is not empty is never replaced by an empty one", nor by one that cannot be read.
    fn replace_routes(&mut self, routes: Result<RouteSet, Malformed>) -> bool {
        let routes = routes.unwrap_or_default();
        let changed = !routes.is_empty() && routes != self.routes;
        if changed {
            self.routes = routes;
        }
        changed
    }

    /// Keeps the route set where equal ones are kept.
    pub fn share_routes(&mut self, pool: &mut RoutePool) {
        self.routes = pool.share(&self.routes);
    }

    /// Octets of its texts.
    #[cfg(test)]
    pub(super) fn packed(&self) -> usize {
        self.texts.parts().iter().map(|part| part.len()).sum()
    }

    /// Passes over blocks of CSeq: a record that is older than what was sent, as after a backup was
    /// restored, must not use a number again (RFC 3261 section 12.2.1.1).
    pub fn skip_blocks(&mut self, blocks: u32) {
        self.local_cseq.skip(blocks);
    }

    /// Takes the number of a NOTIFY for which an answer stands ([MS-SIP] section 3.4).
    pub fn number_notify(&mut self) -> (u32, Block) {
        self.local_cseq.advance()
    }

    /// Makes a SUBSCRIBE: a refresh, or the end of the subscription with an Expires of 0.
    pub fn subscribe(
        &mut self,
        wish: &Wish,
        sent_by: &SentBy,
    ) -> Result<(Draft, Block), Malformed> {
        let event_id = self.event_id().map(str::to_owned);
        let headers = wish.headers(event_id.as_deref(), sent_by.contact(self.tag));
        self.request(Method::Subscribe, headers, wish.content.clone())
    }

    /// Makes a NOTIFY, with further headers such as Content-Language and SIP-ETag.
    pub fn notify(
        &mut self,
        state: &SubscriptionState,
        further: Vec<(HeaderName, Line)>,
        content: Option<Content>,
        sent_by: &SentBy,
    ) -> Result<(Draft, Block), Malformed> {
        let mut headers = state.headers(self.event_id(), sent_by.contact(self.tag));
        headers.extend(further);
        self.request(Method::Notify, headers, content)
    }

    /// Makes a request in the dialog (RFC 3261 section 12.2.1.1). Fails only if the record was
    /// damaged.
    pub fn request(
        &mut self,
        method: Method,
        headers: Vec<(HeaderName, Line)>,
        content: Option<Content>,
    ) -> Result<(Draft, Block), Malformed> {
        let (target, mut all) = self.routes.apply(self.remote_target());
        all.extend(headers);
        let (content_type, body) = content.unzip();
        let call_id = CallId::of_peer(&self.call_id());
        let from = NameAddr::parse(self.texts.part(LOCAL))?.tagged(Some(self.tag.token()));
        let to = NameAddr::parse(self.texts.part(REMOTE))?;
        let uri = SipUri::parse(&target)?;
        let (cseq, block) = self.local_cseq.advance();
        let draft = Draft {
            method,
            uri,
            from,
            to: to.tagged(SipToken::parse(self.remote_tag())),
            call_id: call_id.ok_or(Malformed::new(Defect::Header(HeaderName::CallId), 0))?,
            cseq,
            max_forwards: limits::MAX_FORWARDS,
            headers: all,
            content_type,
            body: body.unwrap_or_default(),
        };
        Ok((draft, block))
    }
}

impl Head {
    /// The first address of Contact, which must be one that requests can go to.
    pub fn contact(&self) -> Result<Option<NameAddr>, Malformed> {
        let Some(header) = self.header(HeaderName::Contact) else {
            return Ok(None);
        };
        let contact = RawAddr::read(&mut header.cursor())?.into_owned();
        match contact.uri().scheme() {
            Scheme::Sip | Scheme::Sips => Ok(Some(contact)),
            Scheme::Im | Scheme::Pres | Scheme::Other => Err(header.cursor().error()),
        }
    }
}

/// The form of a dialog in its record.
#[derive(Serialize, Deserialize)]
#[serde(rename = "Dialog")]
struct Stored<'a>(
    Tag,
    /// Call-ID of ours, else empty.
    Cow<'a, str>,
    /// End of the reserved block.
    u32,
    Option<u32>,
    [Cow<'a, str>; PLACES],
    RouteSet,
    /// Whether the route set may change.
    #[serde(default, skip_serializing_if = "is_false")]
    bool,
);

impl Serialize for Dialog {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let own = match self.call_id() {
            own @ Cow::Owned(_) => own,
            Cow::Borrowed(_) => Cow::Borrowed(""),
        };
        Stored(
            self.tag,
            own,
            self.local_cseq.reserved(),
            self.remote_cseq.number(),
            self.texts.parts().map(Cow::Borrowed),
            self.routes.clone(),
            self.updates_routes,
        )
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Dialog {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored = Stored::deserialize(deserializer)?;
        let Stored(tag, own, reserved, remote_cseq, texts, routes, updates_routes) = stored;
        let number = match own.as_ref() {
            "" => 0,
            own => u128::from_str_radix(own, 16).map_err(D::Error::custom)?,
        };
        let parts: [&str; PLACES] =
            std::array::from_fn(|place| texts.get(place).map_or("", |text| text.as_ref()));
        let texts = Texts::new(parts).ok_or_else(|| D::Error::custom("a text is too long"))?;
        Ok(Self {
            tag,
            own_call_id: number.to_be_bytes(),
            local_cseq: Counter::restored(reserved),
            remote_cseq: Last::new(remote_cseq),
            texts,
            routes,
            updates_routes,
        })
    }
}

/// Whether the sender of a message says that the route set of its dialogs may change.
fn updates_routes(head: &Head) -> bool {
    let mut tags = head.values(HeaderName::Supported);
    tags.any(|tag| tag.eq_ignore_ascii_case("ms-dialog-route-set-update"))
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands a reference in"
)]
const fn is_false(value: &bool) -> bool {
    !*value
}
