//! One end of a dialog (RFC 3261 section 12), as far as subscriptions need it.

use super::agent::Shared;
use crate::sip::{SipMessage, parameter, uri_of};

/// A dialog as one of its two ends sees it.
#[derive(Clone, Debug)]
pub(super) struct Dialog {
    /// Both ends' name for it.
    pub(super) call_id: String,
    /// From of our requests, with our tag.
    pub(super) local: String,
    /// To of our requests, with the other end's tag once it is known.
    pub(super) remote: String,
    /// Where the other end takes requests.
    pub(super) target: String,
    /// The route set, next hop first.
    pub(super) route: Vec<String>,
    /// Number of our last request.
    pub(super) cseq: u32,
    /// Number of the other end's last request.
    pub(super) remote_cseq: u32,
}

impl Dialog {
    /// The dialog that a request of theirs opens; `local` is To with a tag of ours.
    pub(super) fn accepting(request: &SipMessage, local: String) -> Self {
        let header = |name: &'static str| request.header(name).unwrap_or_default().to_owned();
        Self {
            call_id: header("Call-ID"),
            local,
            remote: header("From"),
            target: uri_of(&header("Contact")).to_owned(),
            route: routes(request),
            cseq: 0,
            remote_cseq: cseq(request),
        }
    }

    /// Whether the other end's tag is known.
    pub(super) fn is_established(&self) -> bool {
        parameter(&self.remote, "tag").is_some()
    }

    /// The next request of ours in this dialog.
    pub(super) fn request(&mut self, shared: &Shared, method: &str) -> SipMessage {
        self.cseq += 1;
        self.request_as(shared, method, self.cseq)
    }

    /// A request with any number.
    pub(super) fn request_as(&self, shared: &Shared, method: &str, cseq: u32) -> SipMessage {
        let mut request = shared.begin(method, &self.target);
        for route in &self.route {
            request.add("Route", route.clone());
        }
        request.add("From", self.local.clone());
        request.add("To", self.remote.clone());
        request.add("Call-ID", self.call_id.clone());
        request.add("CSeq", format!("{cseq} {method}"));
        request
    }

    /// Takes the number of a request of theirs; false where it does not grow.
    pub(super) fn advances(&mut self, request: &SipMessage) -> bool {
        let number = cseq(request);
        let grows = number > self.remote_cseq;
        self.remote_cseq = self.remote_cseq.max(number);
        grows
    }
}

/// The values of Record-Route, one a piece, in their order.
pub(super) fn routes(message: &SipMessage) -> Vec<String> {
    let values = message.all("Record-Route");
    values
        .flat_map(|value| value.split(','))
        .map(|route| route.trim().to_owned())
        .collect()
}

/// The number in CSeq.
pub(super) fn cseq(message: &SipMessage) -> u32 {
    let value = message.header("CSeq").unwrap_or_default();
    let number = value.split(' ').next().unwrap_or_default();
    number.parse().unwrap_or_default()
}
