//! An INVITE of ours.

use crate::limits;
use crate::sip::dialog::{Counter, Dialog, Far};
use crate::sip::invite::session::{Session, Terms};
use crate::sip::{
    CallId, Draft, HeaderName, Malformed, Method, NameAddr, Response, SipUri, Tag, sdp,
};
use crate::text::Line;

/// Who invites whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Our tag.
    pub tag: Tag,
    /// Call-ID, random.
    pub call_id: u128,
    /// From, with display name and header parameters such as `epid`; without tag.
    pub from: NameAddr,
    /// The SIP user.
    pub to: SipUri,
    /// Ms-Conversation-ID: random, "a fresh one for each INVITE", for peers of the Microsoft profile.
    pub conversation: Option<u128>,
    /// Subject.
    pub subject: Option<Line>,
}

/// An INVITE of ours until no answer can come any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inviting {
    caller: Caller,
    cseq: Counter,
    state: State,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// No final answer came.
    Calling,
    /// Nobody wants the conversation any more.
    Cancelled,
    /// The endpoint with this tag took it.
    Taken(Box<str>),
}

/// What an answer means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Somebody works on it: any 1xx.
    Ringing,
    /// The conversation is on. The ACK goes out at once.
    Established(Box<Session>, Box<Draft>),
    /// The 2xx came again: so does the ACK.
    Again(Box<Draft>),
    /// A 2xx that is not wanted: of another endpoint than the first, or after CANCEL. It gets this ACK
    /// and this BYE (RFC 3261 section 13.2.2.4).
    Unwanted(Box<Draft>, Box<Draft>),
    /// Nobody takes it; the transaction has sent the ACK.
    Refused,
    /// A 2xx that names no end to talk to.
    Unusable(Malformed),
}

impl Inviting {
    /// Starts without a request.
    pub const fn new(caller: Caller) -> Self {
        Self {
            caller,
            cseq: Counter::new(),
            state: State::Calling,
        }
    }

    /// Our tag.
    pub const fn tag(&self) -> Tag {
        self.caller.tag
    }

    /// Call-ID.
    pub fn call_id(&self) -> CallId {
        CallId::from_number(self.caller.call_id)
    }

    /// Makes the INVITE; another try, such as to another address, has the next number.
    pub fn request(&mut self, terms: &Terms<'_>) -> Draft {
        let caller = &self.caller;
        let mut headers = vec![
            (HeaderName::Contact, terms.sent_by.contact(caller.tag)),
            (HeaderName::Allow, Line::fold(crate::sip::offer::ALLOW)),
        ];
        let conversation = caller.conversation.map(|number| format!("{number:032x}"));
        headers.extend(conversation.map(|text| (HeaderName::MsConversationId, Line::fold(&text))));
        let subject = caller.subject.clone();
        headers.extend(subject.map(|subject| (HeaderName::Subject, subject)));
        let (content_type, body) = sdp::write_offer(terms.types);
        Draft {
            method: Method::Invite,
            uri: caller.to.clone(),
            from: caller.from.clone().tagged(Some(caller.tag.token())),
            to: NameAddr::new(None, caller.to.clone(), None),
            call_id: CallId::from_number(caller.call_id),
            cseq: self.cseq.advance().0,
            max_forwards: limits::MAX_FORWARDS,
            headers,
            content_type: Some(content_type),
            body,
        }
    }

    /// Gives the conversation up. A 2xx that comes all the same is unwanted. The CANCEL itself is the
    /// transaction's, which knows when it may go out.
    pub fn cancel(&mut self) {
        match self.state {
            State::Calling => self.state = State::Cancelled,
            State::Cancelled | State::Taken(_) => {}
        }
    }

    /// Takes an answer to the INVITE.
    pub fn on_response(&mut self, response: &Response) -> Progress {
        match response.status() {
            ..200 => Progress::Ringing,
            200..300 => self.on_success(response).unwrap_or_else(Progress::Unusable),
            300.. => Progress::Refused,
        }
    }

    fn on_success(&mut self, response: &Response) -> Result<Progress, Malformed> {
        let far = Far::answering(response)?;
        let mut session = self.session(&far, response)?;
        let ack = Box::new(session.ack(response)?);
        let tag = far.tag.unwrap_or_default();
        match &self.state {
            State::Taken(first) if **first == *tag => Ok(Progress::Again(ack)),
            State::Taken(_) | State::Cancelled => {
                Ok(Progress::Unwanted(ack, Box::new(session.bye()?)))
            }
            State::Calling => {
                self.state = State::Taken(tag.into());
                Ok(Progress::Established(Box::new(session), ack))
            }
        }
    }

    fn session(&self, far: &Far, response: &Response) -> Result<Session, Malformed> {
        let caller = &self.caller;
        let local = caller.from.clone().tagged(None).to_string();
        let theirs = NameAddr::parse(&far.address)?;
        let remote = NameAddr::new(None, caller.to.clone(), None);
        let remote = remote.with_params_of(&theirs).to_string();
        let call_id = caller.call_id.to_be_bytes();
        let dialog = Dialog::answered(caller.tag, call_id, self.cseq, [&local, &remote], far)?;
        Ok(Session::of_answer(dialog, response))
    }
}
