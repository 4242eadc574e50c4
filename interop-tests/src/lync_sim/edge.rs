//! The Edge: dresses what goes out as a Microsoft proxy does, and judges what comes in before any
//! user sees it.

use std::sync::Arc;

use super::link::Link;
use super::message::{Message, aor, domain, parameter, uri_in};
use super::sim::{Federation, OnNegotiate, Shared, hex};
use crate::inbox::locked;

/// Methods that cross an Edge; others are refused with 1027 (W 05).
const ROUTABLE: [&str; 11] = [
    "INVITE",
    "ACK",
    "BYE",
    "CANCEL",
    "INFO",
    "MESSAGE",
    "UPDATE",
    "SUBSCRIBE",
    "NOTIFY",
    "BENOTIFY",
    "OPTIONS",
];
/// Headers that only an Edge may add, on its way inward (MS-SIPRE 2.2.15).
pub(super) const TRUST: [&str; 2] = ["ms-edge-proxy-message-trust", "ms-split-domain-info"];

impl Shared {
    /// The topmost Via of a request of the Edge: a branch of 8 and 16 digits (W 07, 21).
    pub(super) fn top_via(&self) -> String {
        let listen = self.setup.listen;
        let (first, second) = (hex(8).to_uppercase(), hex(16).to_uppercase());
        let transport = if self.setup.profile.shouts() {
            "tls"
        } else {
            "TLS"
        };
        format!(
            "SIP/2.0/{transport} {listen};branch=z9hG4bK{first}.{second};branched=FALSE;\
             ms-internal-info=\"{}\"",
            hex(28)
        )
    }

    /// What the Edge makes of a user's request: three Vias that do not stand together, two
    /// Record-Routes with one between them where a dialog may come of it, Content-Length in the
    /// middle (W 07, 21, 24, 25).
    pub(super) fn outward(&self, inner: Message) -> Message {
        let method = inner.method().to_owned();
        let records = matches!(
            method.as_str(),
            "INVITE" | "SUBSCRIBE" | "NOTIFY" | "BENOTIFY"
        );
        let [edge, pool] = self.seal.routes(inner.value("Call-ID"));
        let number = self.number();
        let (port, cid) = (20_000 + number % 40_000, format!("{:X}00", number));
        let mut out = Message {
            start: inner.start.clone(),
            headers: Vec::new(),
            body: inner.body.clone(),
        };
        if records {
            out.put("Record-Route", edge);
        }
        let given = inner.value("Via");
        out.put(
            "Via",
            if given.is_empty() {
                self.top_via()
            } else {
                given.to_owned()
            },
        );
        if records {
            out.put("Record-Route", pool);
        }
        out.put("Max-Forwards", "68");
        out.put("Content-Length", "");
        out.put(
            "Via",
            format!(
                "SIP/2.0/TLS 10.55.55.33:{port};branch=z9hG4bK{}.{};branched=FALSE;\
                 ms-received-port={port};ms-received-cid={cid}",
                hex(8).to_uppercase(),
                hex(8).to_uppercase()
            ),
        );
        let mut headers = inner.headers.iter().filter(|(name, _)| name != "Via");
        for (name, value) in headers.by_ref() {
            out.put(name, value.as_str());
            if name == "From" {
                out.put(
                    "Via",
                    format!("SIP/2.0/TLS 10.55.55.22:{port};ms-received-port={port};ms-received-cid={cid}"),
                );
            }
        }
        if !out.has("User-Agent") {
            out.put("User-Agent", self.setup.profile.agent());
        }
        if method != "BENOTIFY" && records {
            out.put(
                "ms-asserted-verification-level",
                "ms-source-verified-user=verified",
            );
        }
        self.shout(&mut out);
        out
    }

    fn shout(&self, message: &mut Message) {
        if self.setup.profile.shouts() {
            for (name, _) in &mut message.headers {
                *name = name.to_uppercase();
            }
        }
    }

    /// Sends an answer over the link of its request, the topmost Via marked as an Edge marks it:
    /// with where it came from and no rport (W 01).
    pub(super) fn reply(&self, link: &Link, mut answer: Message) {
        let mut is_first = true;
        for (name, value) in &mut answer.headers {
            if name == "Via" && is_first {
                let ip = self.setup.partner.ip();
                value.push_str(&format!(
                    ";received={ip};ms-received-port=25002;ms-received-cid=100"
                ));
                is_first = false;
            }
        }
        self.count_answer(&answer);
        if !answer.has("Server") && !answer.has("User-Agent") {
            answer.put("Server", self.setup.profile.server());
        }
        self.shout(&mut answer);
        self.put_on(link, &answer);
    }

    /// Counts how a request of the partner's has ended; what it took back itself, or was told to
    /// send later, is no failure.
    fn count_answer(&self, answer: &Message) {
        match answer.status() {
            Some(200..300) => self.meter.answered(false),
            Some(300..) if !matches!(answer.status(), Some(487 | 503)) => {
                self.meter.answered(true);
            }
            Some(_) | None => {}
        }
    }

    /// Refuses a request, with the reason where reasons leave the house.
    pub(super) fn refuse(&self, link: &Link, request: &Message, status: u16, why: &Why<'_>) {
        self.diary.push(format!(
            "{} {status} {} {}",
            request.start, why.id, why.reason
        ));
        if request.method() == "ACK" {
            return;
        }
        let mut answer = request.answer(status);
        if parameter(answer.value("To"), "tag").is_none() {
            let to = format!("{};tag={}", answer.value("To"), hex(32).to_uppercase());
            answer.set("To", to);
        }
        if locked(&self.conduct).diagnoses {
            let Why { id, reason, more } = why;
            let fqdn = &self.setup.fqdn;
            answer.put(
                "ms-diagnostics",
                format!("{id};reason=\"{reason}\";{more}source=\"{fqdn}\""),
            );
        }
        self.reply(link, answer);
    }

    /// A request of the partner's: checked by the Edge, then handed on.
    pub(super) fn on_request(self: &Arc<Self>, link: &Link, request: Message, recent: usize) {
        for name in TRUST {
            if request.has(name) {
                self.fault(format!("{name} in {}", request.start));
                return self.refuse(
                    link,
                    &request,
                    403,
                    &Why::new(1002, "trust header from outside"),
                );
            }
        }
        match request.method() {
            "OPTIONS" if parameter(request.value("To"), "tag").is_none() => {
                if !self.conduct().answers_options {
                    return;
                }
                let mut answer = request.answer(200);
                answer.set("To", format!("{};tag={}", request.value("To"), hex(8)));
                answer.put("Allow", ROUTABLE.join(", "));
                return self.reply(link, answer);
            }
            "NEGOTIATE" => {
                self.fault("the partner sends NEGOTIATE");
                let mut answer = request.answer(405);
                match self.conduct().on_negotiate {
                    OnNegotiate::SaysNothing => return,
                    OnNegotiate::Refuses => answer.put("Allow", ROUTABLE.join(", ")),
                    OnNegotiate::Compresses => {
                        answer = request.answer(200);
                        answer.put("Compression", "LZ77-8K");
                    }
                }
                return self.reply(link, answer);
            }
            _ => {}
        }
        if request.method() == "ACK" && !self.converses(&request) {
            // Of an answer that refused: it ends at the hop.
            return;
        }
        if !ROUTABLE.contains(&request.method()) {
            let why = "Cannot route this type of SIP request to or from federated partners";
            return self.refuse(link, &request, 403, &Why::new(1027, why));
        }
        if let Some((status, why)) = self.judge(link, &request, recent) {
            return self.refuse(link, &request, status, &why);
        }
        if let Err(words) = self.verify_route(&request) {
            let route = request.values("Route");
            let call_id = request.value("Call-ID");
            if self.seal.is_outdated(call_id, &route) || !self.knows(call_id) {
                // No fault of the partner's: the Edge has a new key, or was started since.
                let why = Why::new(1004, "Route set is no longer valid");
                return self.refuse(link, &request, 481, &why);
            }
            self.fault(format!("{}: {words}", request.start));
            if self.conduct().assumptions.changed_route_is_481 {
                let why = Why::new(1004, "Route set is no longer valid");
                return self.refuse(link, &request, 481, &why);
            }
        }
        self.inward(link, request);
    }

    /// Requests within dialogs have to name the routes that the dialog was opened with.
    fn verify_route(&self, request: &Message) -> Result<(), String> {
        let is_within = parameter(request.value("To"), "tag").is_some();
        if !is_within || request.method() == "CANCEL" {
            return Ok(());
        }
        let route = request.values("Route");
        self.seal.verify(request.value("Call-ID"), &route)
    }

    /// Whether a dialog of a user has that Call-ID, or had it.
    fn knows(&self, call_id: &str) -> bool {
        let sent = |(_, message): &(u64, Message)| message.value("Call-ID") == call_id;
        self.sent.count(sent) > 0
    }

    /// What an Edge finds wrong with a request that comes from outside.
    fn judge<'a>(&self, link: &Link, request: &Message, recent: usize) -> Option<(u16, Why<'a>)> {
        let from = domain(uri_in(request.value("From")));
        let own = &self.setup.domain;
        if from == *own {
            let why = "Cannot route From and To domains in this combination";
            return Some((403, Why::new(1017, why)));
        }
        let conduct = self.conduct();
        let name = match &conduct.federation {
            Federation::Direct(name) => name.clone(),
            Federation::Discovered | Federation::Enhanced => {
                match self.located(&from) {
                    Ok(Some(name)) => name,
                    // Without a directory nothing is looked up.
                    Ok(None) => return self.throttled(&conduct, request, recent),
                    Err(refusal) => return Some(refusal),
                }
            }
        };
        if !link.settled.names.contains(&name) {
            let certificate = link.settled.names.join(",");
            let more = format!(
                "ErrorType=\"The peer certificate does not contain a matching FQDN\";\
                 tls-target=\"{name}\";PeerServer=\"{certificate}\";HRESULT=\"0x80090322\";"
            );
            let why = "Certificate trust with another server could not be established";
            return Some((504, Why::new(1010, why).and(more)));
        }
        self.throttled(&conduct, request, recent)
    }

    fn throttled<'a>(
        &self,
        conduct: &super::sim::Conduct,
        request: &Message,
        recent: usize,
    ) -> Option<(u16, Why<'a>)> {
        if conduct.federation != Federation::Discovered {
            return None;
        }
        let ratio = self.meter.ratio();
        let fails = ratio.answered >= conduct.judged_from
            && ratio.succeeded() * 100 < ratio.answered * conduct.least_success;
        let cap = if fails { 1 } else { conduct.cap };
        if recent > cap {
            let why = if fails {
                format!(
                    " of a partner who fails in {} of {}",
                    ratio.failed, ratio.answered
                )
            } else {
                String::new()
            };
            self.fault(format!("{recent} messages within a second{why}"));
            if conduct.assumptions.throttled_is_503 {
                return Some((503, Why::new(1038, "Partner exceeds its rate")));
            }
        }
        let mut known = locked(&self.known);
        known.insert(aor(uri_in(request.value("To"))));
        (known.len() > conduct.most_users)
            .then(|| (403, Why::new(1002, "Partner exceeds its number of users")))
    }
}

/// A reason for ms-diagnostics.
#[derive(Clone, Debug)]
pub(super) struct Why<'a> {
    pub(super) id: u32,
    pub(super) reason: &'a str,
    pub(super) more: String,
}

impl<'a> Why<'a> {
    pub(super) fn new(id: u32, reason: &'a str) -> Self {
        Self {
            id,
            reason,
            more: String::new(),
        }
    }

    pub(super) fn and(mut self, more: String) -> Self {
        self.more = more;
        self
    }
}
