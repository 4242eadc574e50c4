//! INVITE client transactions (RFC 3261 section 17.1.1 as RFC 6026 corrects it).

use std::sync::Arc;

use crate::limits;
use crate::model::PeerId;
use crate::sip::{Draft, HeaderName, Malformed, Method, Response};

/// An INVITE of ours.
#[derive(Debug)]
pub(super) struct InviteClient<C> {
    pub(super) peer: PeerId,
    pub(super) context: C,
    state: State,
}

/// Completed is left at once where Timer D is 0, as on every link of ours. The request is kept as
/// long as its ACK or CANCEL may be made of it.
#[derive(Clone, Debug)]
enum State {
    /// No answer came.
    Calling(Arc<Draft>),
    /// No answer came, and it is to be cancelled with the first one: "If no provisional response has
    /// been received, the CANCEL request MUST NOT be sent" (RFC 3261 section 9.1).
    CallingInVain(Arc<Draft>),
    /// A 1xx came.
    Proceeding(Arc<Draft>),
    /// CANCEL was sent.
    Cancelling(Arc<Draft>),
    /// A 2xx came; others of further endpoints may (RFC 6026 section 8.4).
    Accepted,
}

/// What a response to an INVITE says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answered {
    /// A 1xx, with the CANCEL that had to wait for it.
    Provisional(Option<Box<Draft>>),
    /// A 2xx, the first or another one: the dialog's own ACK answers it.
    Success,
    /// Any other final answer, which ends the transaction. Its ACK goes out with the branch of the
    /// INVITE.
    Refused(Box<Draft>),
}

/// What became of the transaction.
pub(super) enum Step {
    /// It goes on, and this is to be told.
    Goes(Answered),
    /// It is over.
    Over(Answered),
    /// Nothing is to be told.
    Quiet,
    /// No answer that can come in this state.
    Stray,
}

impl<C> InviteClient<C> {
    pub(super) const fn new(peer: PeerId, draft: Arc<Draft>, context: C) -> Self {
        Self {
            peer,
            context,
            state: State::Calling(draft),
        }
    }

    /// Takes a response that names this transaction and comes from its peer.
    pub(super) fn on_response(&mut self, response: &Response) -> Step {
        let method = response.cseq().map_or("", |cseq| cseq.method);
        if method == Method::Cancel.as_str() && matches!(self.state, State::Cancelling(_)) {
            // Whatever it says, the INVITE gets its own answer.
            return Step::Quiet;
        }
        if method != Method::Invite.as_str() {
            return Step::Stray;
        }
        match (response.status(), self.state.clone()) {
            (..200, State::Calling(draft) | State::Proceeding(draft)) => {
                self.state = State::Proceeding(draft);
                Step::Goes(Answered::Provisional(None))
            }
            (..200, State::CallingInVain(draft)) => {
                let cancel = cancel_of(&draft);
                self.state = State::Cancelling(draft);
                Step::Goes(Answered::Provisional(Some(Box::new(cancel))))
            }
            (..200, State::Cancelling(_) | State::Accepted) => Step::Quiet,
            (200..300, _) => {
                self.state = State::Accepted;
                Step::Goes(Answered::Success)
            }
            (300.., State::Accepted) => Step::Stray,
            (
                300..,
                State::Calling(draft)
                | State::CallingInVain(draft)
                | State::Proceeding(draft)
                | State::Cancelling(draft),
            ) => match ack_of(&draft, response) {
                Ok(ack) => Step::Over(Answered::Refused(Box::new(ack))),
                Err(_) => Step::Stray,
            },
        }
    }

    /// Wants it cancelled. Returns the CANCEL if it may go out now.
    pub(super) fn cancel(&mut self) -> Option<Draft> {
        match self.state.clone() {
            State::Calling(draft) => {
                self.state = State::CallingInVain(draft);
                None
            }
            State::Proceeding(draft) => {
                let cancel = cancel_of(&draft);
                self.state = State::Cancelling(draft);
                Some(cancel)
            }
            State::CallingInVain(_) | State::Cancelling(_) | State::Accepted => None,
        }
    }
}

/// "The Request-URI, Call-ID, To, the numeric part of CSeq, and From header fields in the CANCEL
/// request MUST be identical to those in the request being cancelled" (RFC 3261 section 9.1).
fn cancel_of(invite: &Draft) -> Draft {
    bare(invite, Method::Cancel)
}

/// "The To header field in the ACK MUST equal the To header field in the response being
/// acknowledged" (RFC 3261 section 17.1.1.3).
fn ack_of(invite: &Draft, response: &Response) -> Result<Draft, Malformed> {
    Ok(Draft {
        to: response.to()?,
        ..bare(invite, Method::Ack)
    })
}

/// The INVITE under another method, with its Route and nothing else.
fn bare(invite: &Draft, method: Method) -> Draft {
    let routes = invite.headers.iter();
    let routes = routes.filter(|(name, _)| *name == HeaderName::Route);
    Draft {
        method,
        uri: invite.uri.clone(),
        from: invite.from.clone(),
        to: invite.to.clone(),
        call_id: invite.call_id.clone(),
        cseq: invite.cseq,
        max_forwards: limits::MAX_FORWARDS,
        headers: routes.cloned().collect(),
        content_type: None,
        body: bytes::Bytes::new(),
    }
}
