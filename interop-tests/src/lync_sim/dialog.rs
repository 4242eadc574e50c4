//! A dialog as one endpoint of a user has it.

use super::message::{Message, parameter, uri_in};

/// What requests of a dialog are made of (RFC 3261 section 12).
#[derive(Clone, Debug, Default)]
pub(super) struct Dialog {
    pub(super) call_id: String,
    /// From of our requests, tag and epid with it.
    pub(super) local: String,
    /// To of our requests.
    pub(super) remote: String,
    /// CSeq of our last request.
    pub(super) cseq: u32,
    /// CSeq of the other side's last request.
    pub(super) remote_cseq: Option<u32>,
    /// Contact of the other side, byte for byte.
    pub(super) target: String,
    /// The other side's Record-Route in the order of our Route.
    pub(super) routes: Vec<String>,
}

/// What finds a dialog: Call-ID and our own tag.
pub(super) type Key = (String, String);

impl Dialog {
    /// A dialog that a request of the other side opens; `local` is To with our tag.
    pub(super) fn invited(request: &Message, local: String) -> Self {
        Self {
            call_id: request.value("Call-ID").to_owned(),
            local,
            remote: request.value("From").to_owned(),
            cseq: 0,
            remote_cseq: Some(request.cseq().0),
            target: uri_in(request.value("Contact")).to_owned(),
            routes: owned(&request.values("Record-Route")),
        }
    }

    /// Takes tag, target and routes from an answer to our request.
    pub(super) fn answered(&mut self, answer: &Message) {
        answer.value("To").clone_into(&mut self.remote);
        self.follows(answer);
        if self.routes.is_empty() {
            self.routes = owned(&answer.values("Record-Route"));
            self.routes.reverse();
        }
    }

    /// Takes the target of a request or an answer that may refresh it.
    pub(super) fn follows(&mut self, message: &Message) {
        if message.has("Contact") {
            self.target = uri_in(message.value("Contact")).to_owned();
        }
    }

    /// The next request.
    pub(super) fn next(&mut self, method: &str) -> Message {
        self.cseq += 1;
        self.again(method, self.cseq)
    }

    /// A request with a number that was used before: ACK.
    pub(super) fn again(&self, method: &str, cseq: u32) -> Message {
        let mut request = Message::request(method, &self.target);
        for route in &self.routes {
            request.put("Route", route.as_str());
        }
        request.put("From", self.local.as_str());
        request.put("To", self.remote.as_str());
        request.put("Call-ID", self.call_id.as_str());
        request.put("CSeq", format!("{cseq} {method}"));
        request
    }

    /// Whether the number of a request of the other side grows; remembers it.
    pub(super) fn advances(&mut self, request: &Message) -> bool {
        let (number, _) = request.cseq();
        let grows = self.remote_cseq.is_none_or(|last| number > last);
        if grows {
            self.remote_cseq = Some(number);
        }
        grows
    }

    pub(super) fn key(&self) -> Key {
        let tag = parameter(&self.local, "tag").unwrap_or_default();
        (self.call_id.clone(), tag.to_owned())
    }
}

fn owned(values: &[&str]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}
