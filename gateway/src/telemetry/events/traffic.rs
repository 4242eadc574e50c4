//! What came in and went out: counted, never logged.

use translators::model::Side;
use translators::shard::Class;
use translators::sip::Method;

use crate::telemetry::events::side_word;
use crate::telemetry::metrics::Metric;

/// Something came in over a proven link, or goes out on one.
#[derive(Clone, Copy, Debug)]
pub enum TrafficEvent {
    /// A SIP request.
    Request {
        /// Its method, if it is a known one: a peer can make up any number of others.
        method: Option<Method>,
    },
    /// A SIP response.
    Response {
        /// Its status.
        status: u16,
    },
    /// So much goes out at once.
    Sent {
        /// To which side.
        side: Side,
        /// What it is.
        class: Class,
        /// How much.
        count: u64,
    },
    /// A stanza.
    Stanza {
        /// `message`, `presence` or `iq`.
        kind: &'static str,
    },
}

impl TrafficEvent {
    /// Counts it.
    pub fn emit(&self) {
        match self {
            Self::Request { method } => {
                let method = method.map_or("other", Method::as_str);
                Metric::SipRequests.count(&[("method", method)]);
            }
            Self::Response { status } => {
                let class = match status / 100 {
                    1 => "1xx",
                    2 => "2xx",
                    3 => "3xx",
                    4 => "4xx",
                    5 => "5xx",
                    _ => "6xx",
                };
                Metric::SipResponses.count(&[("class", class)]);
            }
            Self::Sent { side, class, count } => {
                let class = match class {
                    Class::Answer | Class::Control => "control",
                    Class::Im => "im",
                    Class::Subscription => "subscription",
                    Class::Presence => "presence",
                    Class::Typing => "typing",
                };
                let labels = [("side", side_word(*side)), ("class", class)];
                Metric::Sent.add(*count, &labels);
            }
            Self::Stanza { kind } => Metric::Stanzas.count(&[("kind", kind)]),
        }
    }
}
