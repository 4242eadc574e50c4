//! The SIP peer as a subscriber: its users watch XMPP users, each at some endpoints.

use crate::Peer;
use crate::transition::{CONTACTS, ENDPOINTS, USERS};
use crate::wire::{Devices, answer, between, carries, contact, cseq, devices, field, status, tag};

/// A subscription of an endpoint, or the wish for one.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    pub(crate) contact: usize,
    pub(crate) user: usize,
    number: usize,
    call_id: String,
    own_tag: String,
    cseq: u32,
    /// Tag and Contact of the gateway, once there is a dialog.
    pub(crate) gateway: Option<(String, String)>,
    last_notify: u32,
    refresh_at: u64,
    expires_at: u64,
    /// What is seen.
    pub(crate) view: Devices,
    /// Whether the subscription is active.
    pub(crate) active: bool,
    /// Asks once.
    fetch: bool,
    /// Ends, or ended.
    leaving: bool,
}

impl Endpoint {
    /// The body of a client of Microsoft's: its last endpoint only looks.
    fn batch(&self) -> String {
        let user = USERS[self.user];
        let context = if self.number + 1 == ENDPOINTS {
            ""
        } else {
            "<context/>"
        };
        format!(
            "<batchSub xmlns='http://schemas.microsoft.com/2006/01/sip/batch-subscribe' uri='' name=''>\
             <action name='subscribe' id='1'><adhocList><resource uri='sip:{user}@xmpp.example'>\
             {context}</resource></adhocList></action></batchSub>"
        )
    }

    /// A SUBSCRIBE with the next number.
    fn subscribe(&mut self, expires: u32, peer: Peer) -> String {
        self.cseq += 1;
        let (offers, body) = match peer {
            Peer::Hasty | Peer::Plain => ("", String::new()),
            Peer::Microsoft => (
                "Supported: ms-piggyback-first-notify\r\nProxy-Require: ms-benotify\r\n",
                self.batch(),
            ),
        };
        let kind = match body.as_str() {
            "" => "",
            _ => "Content-Type: application/msrtc-adrl-categorylist+xml\r\n",
        };
        let length = body.len();
        let (user, contact) = (USERS[self.user], CONTACTS[self.contact]);
        let (to_tag, target) = match &self.gateway {
            Some((tag, target)) => (format!(";tag={tag}"), target.clone()),
            None => (String::new(), format!("sip:{user}@xmpp.example")),
        };
        format!(
            "SUBSCRIBE {target} SIP/2.0\r\nVia: SIP/2.0/TLS peer.sip.example;branch=z9hG4bK{}s{}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:{contact}@sip.example>;tag={}\r\n\
             To: <sip:{user}@xmpp.example>{to_tag}\r\nCall-ID: {}\r\nCSeq: {} SUBSCRIBE\r\n\
             Contact: <sip:{contact}.{}.sip.example>\r\nEvent: presence\r\n\
             Accept: application/pidf+xml\r\nExpires: {expires}\r\n{offers}{kind}\
             Content-Length: {length}\r\n\r\n{body}",
            self.call_id, self.cseq, self.own_tag, self.call_id, self.cseq, self.number
        )
    }
}

impl Endpoint {
    /// Takes what a NOTIFY shows, or an answer that stands for one.
    fn is_shown(&mut self, text: &str, number: u32) {
        assert!(number > self.last_notify, "CSeq goes back: {text}");
        self.last_notify = number;
        self.active = field(text, "Subscription-State").starts_with("active");
        let body = between(text, "\r\n\r\n", "\u{0}");
        if !body.is_empty() {
            self.view = devices(body);
        } else if !self.active {
            self.view.clear();
        }
    }
}

#[derive(Debug)]
pub(crate) struct Watchers {
    pub(crate) endpoints: Vec<Endpoint>,
    peer: Peer,
    count: u32,
}

impl Watchers {
    pub(crate) const fn new(peer: Peer) -> Self {
        Self {
            endpoints: Vec::new(),
            peer,
            count: 0,
        }
    }

    /// An endpoint starts to watch, unless it does.
    pub(crate) fn watches(
        &mut self,
        contact: usize,
        user: usize,
        number: usize,
        now: u64,
    ) -> Vec<String> {
        let known = |one: &Endpoint| {
            (one.contact, one.user, one.number) == (contact, user, number) && !one.leaving
        };
        if self.endpoints.iter().any(known) {
            return Vec::new();
        }
        let mut endpoint = self.endpoint(contact, user, number, now);
        let request = endpoint.subscribe(3_600, self.peer);
        self.endpoints.push(endpoint);
        vec![request]
    }

    fn endpoint(&mut self, contact: usize, user: usize, number: usize, now: u64) -> Endpoint {
        self.count += 1;
        Endpoint {
            contact,
            user,
            number,
            call_id: format!("call-{}", self.count),
            own_tag: format!("w{}", self.count),
            cseq: 0,
            gateway: None,
            last_notify: 0,
            refresh_at: now + 120,
            expires_at: now + 3_600,
            view: Devices::new(),
            active: false,
            fetch: false,
            leaving: false,
        }
    }

    pub(crate) fn fetches(&mut self, contact: usize, user: usize, now: u64) -> Vec<String> {
        let mut endpoint = self.endpoint(contact, user, 9, now);
        endpoint.fetch = true;
        let request = endpoint.subscribe(0, self.peer);
        self.endpoints.push(endpoint);
        vec![request]
    }

    pub(crate) fn stops(&mut self, contact: usize, user: usize, number: usize) -> Vec<String> {
        let own = |one: &&mut Endpoint| {
            (one.contact, one.user, one.number) == (contact, user, number) && !one.leaving
        };
        let Some(endpoint) = self.endpoints.iter_mut().find(own) else {
            return Vec::new();
        };
        endpoint.leaving = true;
        if endpoint.gateway.is_none() {
            return Vec::new();
        }
        vec![endpoint.subscribe(0, self.peer)]
    }

    /// Takes the answer to a SUBSCRIBE.
    pub(crate) fn is_answered(&mut self, response: &str, now: u64) {
        let call_id = field(response, "Call-ID");
        let own = |one: &Endpoint| one.call_id == call_id;
        let Some(at) = self.endpoints.iter().position(own) else {
            return;
        };
        let endpoint = &mut self.endpoints[at];
        match status(response) {
            200 => {
                let expires: u64 = field(response, "Expires").parse().unwrap();
                endpoint.gateway = Some((tag(response, "To").to_owned(), contact(response)));
                endpoint.expires_at = now + expires;
                endpoint.refresh_at = now + expires / 2;
                if carries(response) {
                    let number = field(response, "ms-piggyback-cseq").parse().unwrap();
                    endpoint.is_shown(response, number);
                }
            }
            403 | 404 => endpoint.leaving = true,
            // The subscription is unknown: the endpoint starts anew.
            481 => endpoint.expires_at = now,
            // Tried again soon.
            _ => endpoint.refresh_at = now + 60,
        }
    }

    /// Takes a NOTIFY of the gateway; returns the answer.
    pub(crate) fn takes(&mut self, notify: &str) -> String {
        let call_id = field(notify, "Call-ID");
        let own = |one: &&mut Endpoint| one.call_id == call_id && one.own_tag == tag(notify, "To");
        let Some(endpoint) = self.endpoints.iter_mut().find(own) else {
            return answer(notify, 481, "", "");
        };
        let target = contact(notify);
        let gateway = (tag(notify, "From").to_owned(), target);
        endpoint.gateway = Some(gateway);
        endpoint.is_shown(notify, cseq(notify));
        let state = field(notify, "Subscription-State");
        if state.starts_with("terminated") {
            endpoint.leaving |= state.contains("rejected") || state.contains("noresource");
            endpoint.expires_at = 0;
        }
        answer(notify, 200, "", "")
    }

    /// Does what is due: refreshes, and starts anew what ended although it is wanted.
    pub(crate) fn passes(&mut self, now: u64) -> Vec<String> {
        let mut sent = Vec::new();
        let ended: Vec<Endpoint> = self
            .endpoints
            .iter()
            .filter(|one| one.expires_at <= now)
            .cloned()
            .collect();
        self.endpoints.retain(|one| one.expires_at > now);
        for old in ended.iter().filter(|one| !one.leaving && !one.fetch) {
            sent.extend(self.watches(old.contact, old.user, old.number, now));
        }
        sent.extend(self.start_anew(now));
        for endpoint in &mut self.endpoints {
            let due = endpoint.refresh_at <= now && !endpoint.leaving && !endpoint.fetch;
            if due {
                endpoint.refresh_at = now + 60;
                sent.push(endpoint.subscribe(3_600, self.peer));
            }
        }
        sent
    }

    /// What was not answered is asked in a new dialog.
    fn start_anew(&mut self, now: u64) -> Vec<String> {
        let is_lost = |one: &mut Endpoint| {
            let wanted = !one.leaving && !one.fetch;
            wanted && one.gateway.is_none() && one.refresh_at <= now
        };
        let lost: Vec<Endpoint> = self.endpoints.extract_if(.., is_lost).collect();
        let asked = lost
            .iter()
            .flat_map(|one| self.watches(one.contact, one.user, one.number, now));
        asked.collect()
    }

    /// When something is due.
    pub(crate) fn next(&self) -> Option<u64> {
        let times = self
            .endpoints
            .iter()
            .filter(|one| !one.leaving && !one.fetch);
        times.map(|one| one.refresh_at.min(one.expires_at)).min()
    }
}
