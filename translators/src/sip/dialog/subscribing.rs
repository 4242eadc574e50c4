//! A SUBSCRIBE of ours whose other end is not known yet.

use serde::{Deserialize, Serialize};

use crate::limits;
use crate::sip::dialog::cseq::Counter;
use crate::sip::dialog::established::Far;
use crate::sip::dialog::{Block, Dialog, Tag};
use crate::sip::subscription::Wish;
use crate::sip::{
    CallId, Draft, HeaderName, Malformed, Method, NameAddr, Request, Response, SentBy, SipUri,
};

/// An initial SUBSCRIBE under way (RFC 6665 section 4.1.2). The first NOTIFY makes the dialog, even
/// one that overtakes the answer; what the answer says is kept for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribing {
    tag: Tag,
    call_id: [u8; 16],
    cseq: Counter,
    /// From, without tag.
    local: NameAddr,
    /// To.
    remote: SipUri,
    answer: Answer,
}

/// Whose Record-Route counts where the answer came first and both have one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decisive {
    /// That of the answer, as with Microsoft's servers.
    First,
    /// That of the NOTIFY (RFC 6665 section 4.4.1).
    Notify,
}

/// The answer, as far as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    /// No 2xx came.
    Missing,
    /// A 2xx came from this end.
    Success(Box<Far>),
}

impl Subscribing {
    /// Starts a subscription of `local` to `remote`. `call_id` must be random, and so must be what
    /// `tag` was made of.
    pub const fn new(tag: Tag, call_id: u128, local: NameAddr, remote: SipUri) -> Self {
        Self {
            tag,
            call_id: call_id.to_be_bytes(),
            cseq: Counter::new(),
            local,
            remote,
            answer: Answer::Missing,
        }
    }

    /// Our tag.
    pub const fn tag(&self) -> Tag {
        self.tag
    }

    /// Call-ID.
    pub fn call_id(&self) -> CallId {
        CallId::from_number(u128::from_be_bytes(self.call_id))
    }

    /// Makes the SUBSCRIBE. Another try, such as the one after 423, keeps Call-ID and tag and has
    /// the next number (RFC 3261 section 8.1.3.5).
    pub fn request(&mut self, wish: &Wish, sent_by: &SentBy) -> (Draft, Block) {
        let (cseq, block) = self.cseq.advance();
        let (content_type, body) = wish.content.clone().unzip();
        let draft = Draft {
            method: Method::Subscribe,
            uri: self.remote.clone(),
            from: self.local.clone().tagged(Some(self.tag.token())),
            to: NameAddr::new(None, self.remote.clone(), None),
            call_id: self.call_id(),
            cseq,
            max_forwards: limits::MAX_FORWARDS,
            headers: wish.headers(None, sent_by.contact(self.tag)),
            content_type,
            body: body.unwrap_or_default(),
        };
        (draft, block)
    }

    /// Whether a NOTIFY belongs to it: Call-ID and our tag (RFC 6665 section 4.4.1).
    pub fn is_for(&self, request: &Request) -> bool {
        request.our_tag() == Some(self.tag) && request.call_id() == Ok(self.call_id().as_str())
    }

    /// Takes the 2xx to the SUBSCRIBE; what cannot be read of it is as if it were not there.
    pub fn on_success(&mut self, response: &Response) {
        if let Ok(far) = Far::answering(response) {
            self.answer = Answer::Success(Box::new(far));
        }
    }

    /// The dialog that a NOTIFY makes. Its CSeq counts as taken.
    ///
    /// Its route set is that of the NOTIFY, or of the answer of the same end where the NOTIFY has
    /// none; `decisive` says which counts where both have one. Another end than the one that answered is one fork of several; any further ones are
    /// not of this dialog and get 481 (RFC 3856 section 6.9).
    pub fn establish(&self, notify: &Request, decisive: Decisive) -> Result<Dialog, Malformed> {
        let mut far = Far::asking(notify)?;
        if let Answer::Success(answer) = &self.answer
            && answer.tag == far.tag
        {
            let first = decisive == Decisive::First && !answer.routes.is_empty();
            if far.routes.is_empty() || first {
                far.routes.clone_from(&answer.routes);
            }
            if notify.header(HeaderName::Contact).is_none() {
                far.target.clone_from(&answer.target);
            }
        }
        let mut dialog = self.dialog(&far)?;
        _ = dialog.on_request(notify.cseq()?.number);
        Ok(dialog)
    }

    /// The dialog that the 2xx makes by itself: of a peer whose answer carries the document.
    pub fn accepted(&self) -> Option<Dialog> {
        match &self.answer {
            Answer::Missing => None,
            Answer::Success(far) => self.dialog(far).ok(),
        }
    }

    fn dialog(&self, far: &Far) -> Result<Dialog, Malformed> {
        let local = self.local.clone().nameless().to_string();
        let theirs = NameAddr::parse(&far.address)?;
        let remote = NameAddr::new(None, self.remote.clone(), None);
        let remote = remote.with_params_of(&theirs).to_string();
        Dialog::answered(self.tag, self.call_id, self.cseq, [&local, &remote], far)
    }
}

/// The form in a record.
#[derive(Serialize, Deserialize)]
#[serde(rename = "Subscribing")]
struct Stored(Tag, String, u32, String, String, Option<Box<Far>>);

impl Serialize for Subscribing {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let answer = match &self.answer {
            Answer::Missing => None,
            Answer::Success(far) => Some(far.clone()),
        };
        let (local, remote) = (self.local.to_string(), self.remote.as_str().to_owned());
        let call_id = self.call_id().as_str().to_owned();
        Stored(
            self.tag,
            call_id,
            self.cseq.reserved(),
            local,
            remote,
            answer,
        )
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Subscribing {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error as _;

        let stored = Stored::deserialize(deserializer)?;
        let Stored(tag, call_id, reserved, local, remote, answer) = stored;
        let number = u128::from_str_radix(&call_id, 16).map_err(D::Error::custom)?;
        Ok(Self {
            tag,
            call_id: number.to_be_bytes(),
            cseq: Counter::restored(reserved),
            local: NameAddr::parse(&local).map_err(D::Error::custom)?,
            remote: SipUri::parse(&remote).map_err(D::Error::custom)?,
            answer: answer.map_or(Answer::Missing, Answer::Success),
        })
    }
}
