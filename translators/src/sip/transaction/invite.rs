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
    draft: Arc<Draft>,
    state: State,
}

/// Completed is left at once where Timer D is 0, as on every link of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No answer came.
    Calling,
    /// No answer came, and it is to be cancelled with the first one: "If no provisional response has
    /// been received, the CANCEL request MUST NOT be sent" (RFC 3261 section 9.1).
    CallingInVain,
    /// A 1xx came.
    Proceeding,
    /// CANCEL was sent.
    Cancelling,
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
            draft,
            state: State::Calling,
        }
    }

    /// Takes a response that names this transaction and comes from its peer.
    pub(super) fn on_response(&mut self, response: &Response) -> Step {
        let method = response.cseq().map_or("", |cseq| cseq.method);
        if method == Method::Cancel.as_str() && self.state == State::Cancelling {
            // Whatever it says, the INVITE gets its own answer.
            return Step::Quiet;
        }
        if method != Method::Invite.as_str() {
            return Step::Stray;
        }
        match (response.status(), self.state) {
            (..200, State::Calling | State::Proceeding) => {
                self.state = State::Proceeding;
                Step::Goes(Answered::Provisional(None))
            }
            (..200, State::CallingInVain) => {
                self.state = State::Cancelling;
                Step::Goes(Answered::Provisional(Some(Box::new(self.cancel_draft()))))
            }
            (..200, State::Cancelling | State::Accepted) => Step::Quiet,
            (200..300, _) => {
                self.state = State::Accepted;
                Step::Goes(Answered::Success)
            }
            (300.., State::Accepted) => Step::Stray,
            (
                300..,
                State::Calling | State::CallingInVain | State::Proceeding | State::Cancelling,
            ) => match self.ack_draft(response) {
                Ok(ack) => Step::Over(Answered::Refused(Box::new(ack))),
                Err(_) => Step::Stray,
            },
        }
    }

    /// Wants it cancelled. Returns the CANCEL if it may go out now.
    pub(super) fn cancel(&mut self) -> Option<Draft> {
        match self.state {
            State::Calling => {
                self.state = State::CallingInVain;
                None
            }
            State::Proceeding => {
                self.state = State::Cancelling;
                Some(self.cancel_draft())
            }
            State::CallingInVain | State::Cancelling | State::Accepted => None,
        }
    }

    /// "The Request-URI, Call-ID, To, the numeric part of CSeq, and From header fields in the CANCEL
    /// request MUST be identical to those in the request being cancelled" (RFC 3261 section 9.1).
    fn cancel_draft(&self) -> Draft {
        self.bare(Method::Cancel)
    }

    /// "The To header field in the ACK MUST equal the To header field in the response being
    /// acknowledged" (RFC 3261 section 17.1.1.3).
    fn ack_draft(&self, response: &Response) -> Result<Draft, Malformed> {
        Ok(Draft {
            to: response.to()?,
            ..self.bare(Method::Ack)
        })
    }

    /// The INVITE under another method, with its Route and nothing else.
    fn bare(&self, method: Method) -> Draft {
        let routes = self.draft.headers.iter();
        let routes = routes.filter(|(name, _)| *name == HeaderName::Route);
        Draft {
            method,
            uri: self.draft.uri.clone(),
            from: self.draft.from.clone(),
            to: self.draft.to.clone(),
            call_id: self.draft.call_id.clone(),
            cseq: self.draft.cseq,
            max_forwards: limits::MAX_FORWARDS,
            headers: routes.cloned().collect(),
            content_type: None,
            body: bytes::Bytes::new(),
        }
    }
}
