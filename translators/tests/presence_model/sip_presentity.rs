//! The SIP peer as a notifier: its users are watched by XMPP users (RFC 6665, RFC 3856).

use std::collections::BTreeMap;

use crate::Peer;
use crate::transition::{CONTACTS, Consent, Mood, USERS};
use crate::wire::{
    Devices, answer, answer_with, contact, cseq, document, field, status, tag, user,
};
use crate::xmpp_server::index;

/// A subscription of the gateway.
#[derive(Clone, Debug)]
struct Subscription {
    pair: (usize, usize),
    call_id: String,
    gateway_tag: String,
    own_tag: String,
    target: String,
    cseq: u32,
    expires_at: u64,
    ended: bool,
}

#[derive(Debug)]
pub(crate) struct Presentities {
    pub(crate) devices: Vec<Devices>,
    /// By user and contact.
    pub(crate) consents: BTreeMap<(usize, usize), Consent>,
    pub(crate) mood: Mood,
    peer: Peer,
    subscriptions: Vec<Subscription>,
    /// The highest number of the gateway's requests in each dialog, by Call-ID and tag.
    numbers: BTreeMap<(String, String), u32>,
    count: u32,
}

impl Presentities {
    pub(crate) fn new(peer: Peer) -> Self {
        let pairs = (0..USERS.len()).flat_map(|user| (0..CONTACTS.len()).map(move |c| (user, c)));
        Self {
            devices: vec![Devices::new(); CONTACTS.len()],
            consents: pairs.map(|pair| (pair, Consent::Allow)).collect(),
            mood: Mood::Well,
            peer,
            subscriptions: Vec::new(),
            numbers: BTreeMap::new(),
            count: 0,
        }
    }

    /// Takes a SUBSCRIBE of the gateway; returns what is sent.
    pub(crate) fn takes(&mut self, request: &str, now: u64) -> Vec<String> {
        let (call_id, gateway_tag) = (field(request, "Call-ID"), tag(request, "From"));
        self.check_number(request, call_id, gateway_tag);
        match self.mood {
            Mood::Well => {}
            Mood::Refuses(status) => {
                let headers = match status {
                    423 => "Min-Expires: 7200\r\n",
                    _ => "",
                };
                let lives = matches!(status, 423 | 500 | 503);
                self.subscriptions
                    .retain(|one| lives || one.call_id != call_id);
                return vec![answer(request, status, "refused", headers)];
            }
            Mood::Silent => return Vec::new(),
        }
        let expires: u64 = field(request, "Expires").parse().unwrap();
        let own_tag = tag(request, "To");
        if own_tag.is_empty() {
            return self.is_subscribed(request, expires, now);
        }
        let own = |one: &&mut Subscription| one.call_id == call_id && one.own_tag == own_tag;
        let Some(subscription) = self.subscriptions.iter_mut().find(own) else {
            return vec![answer(request, 481, "", "")];
        };
        subscription.target = contact(request);
        subscription.expires_at = now + expires;
        subscription.ended = expires == 0;
        let subscription = subscription.clone();
        self.accepts(request, &subscription, expires, now)
    }

    /// Numbers of the gateway's requests grow, over restarts too (RFC 3261 section 12.2.1.1).
    fn check_number(&mut self, request: &str, call_id: &str, gateway_tag: &str) {
        let number = cseq(request);
        let dialog = (call_id.to_owned(), gateway_tag.to_owned());
        let last = self.numbers.insert(dialog, number);
        assert!(
            last.is_none_or(|last| last < number),
            "CSeq goes back: {request}"
        );
    }

    fn is_subscribed(&mut self, request: &str, expires: u64, now: u64) -> Vec<String> {
        let pair = (
            index(&USERS, user(request, "From")),
            index(&CONTACTS, user(request, "To")),
        );
        if self.consents[&pair] == Consent::Reject {
            return vec![answer(request, 403, "refused", "")];
        }
        self.count += 1;
        let subscription = Subscription {
            pair,
            call_id: field(request, "Call-ID").to_owned(),
            gateway_tag: tag(request, "From").to_owned(),
            own_tag: format!("p{}", self.count),
            target: contact(request),
            cseq: 0,
            expires_at: now + expires,
            ended: expires == 0,
        };
        self.subscriptions.push(subscription.clone());
        self.accepts(request, &subscription, expires, now)
    }

    /// The 200 and the NOTIFY that follows, or comes before it.
    fn accepts(
        &mut self,
        request: &str,
        subscription: &Subscription,
        expires: u64,
        now: u64,
    ) -> Vec<String> {
        let headers = format!("Expires: {expires}\r\nContact: <sip:peer.sip.example>\r\n");
        let offered = field(request, "Supported") == "ms-piggyback-first-notify";
        let allowed = self.consents[&subscription.pair] == Consent::Allow;
        if self.peer == Peer::Microsoft && offered && allowed && !subscription.ended {
            return vec![self.carries(request, subscription, &headers)];
        }
        let accepted = answer(request, 200, &subscription.own_tag, &headers);
        let notify = self.notify(&subscription.call_id.clone(), now);
        let mut sent: Vec<String> = [accepted].into_iter().chain(notify).collect();
        if self.peer == Peer::Hasty {
            sent.reverse();
        }
        self.subscriptions.retain(|one| !one.ended);
        sent
    }

    /// The 200 that stands for a NOTIFY.
    fn carries(&mut self, request: &str, subscription: &Subscription, headers: &str) -> String {
        let own = |one: &&mut Subscription| one.call_id == subscription.call_id;
        let one = self.subscriptions.iter_mut().find(own).unwrap();
        one.cseq += 1;
        let (cseq, (_, contact)) = (one.cseq, one.pair);
        let body = document(CONTACTS[contact], &self.devices[contact]);
        let headers = format!(
            "{headers}Event: presence\r\nsubscription-state: Active\r\n\
             ms-piggyback-cseq: {cseq}\r\nSupported: ms-piggyback-first-notify\r\n\
             Content-Type: application/pidf+xml\r\n"
        );
        answer_with(request, 200, &subscription.own_tag, (&headers, &body))
    }

    /// A NOTIFY in the subscription with this Call-ID.
    fn notify(&mut self, call_id: &str, now: u64) -> Option<String> {
        let own = |one: &&mut Subscription| one.call_id == call_id;
        let one = self.subscriptions.iter_mut().find(own)?;
        one.cseq += 1;
        let consent = self.consents[&one.pair];
        let left = one.expires_at.saturating_sub(now);
        let (state, body) = match consent {
            _ if one.ended => ("terminated;reason=timeout".to_owned(), String::new()),
            Consent::Allow => {
                let (_, contact) = one.pair;
                let body = document(CONTACTS[contact], &self.devices[contact]);
                (format!("active;expires={left}"), body)
            }
            Consent::Pending => (format!("pending;expires={left}"), String::new()),
            Consent::Reject => {
                one.ended = true;
                ("terminated;reason=rejected".to_owned(), String::new())
            }
        };
        let (user, contact) = (USERS[one.pair.0], CONTACTS[one.pair.1]);
        let kind = match body.as_str() {
            "" => "",
            _ => "Content-Type: application/pidf+xml\r\n",
        };
        // Half of what a server of Microsoft's says is not to be answered.
        let method = match self.peer {
            Peer::Microsoft if one.cseq % 2 == 0 => "BENOTIFY",
            Peer::Hasty | Peer::Microsoft | Peer::Plain => "NOTIFY",
        };
        Some(format!(
            "{method} {} SIP/2.0\r\nVia: SIP/2.0/TLS peer.sip.example;branch=z9hG4bK{}n{}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:{contact}@sip.example>;tag={}\r\n\
             To: <sip:{user}@xmpp.example>;tag={}\r\nCall-ID: {call_id}\r\nCSeq: {} {method}\r\n\
             Contact: <sip:peer.sip.example>\r\nEvent: presence\r\nSubscription-State: {state}\r\n\
             {kind}Content-Length: {}\r\n\r\n{body}",
            one.target,
            one.own_tag,
            one.cseq,
            one.own_tag,
            one.gateway_tag,
            one.cseq,
            body.len()
        ))
    }

    /// NOTIFYs to everybody who watches a user, or to one watcher, after a change.
    pub(crate) fn notifies(
        &mut self,
        of: impl Fn((usize, usize)) -> bool,
        now: u64,
    ) -> Vec<String> {
        let watching = self.subscriptions.iter().filter(|one| of(one.pair));
        let calls: Vec<String> = watching.map(|one| one.call_id.clone()).collect();
        let sent = calls.iter().filter_map(|call| self.notify(call, now));
        let sent = sent.collect();
        self.subscriptions.retain(|one| !one.ended);
        sent
    }

    /// Takes the answer to a NOTIFY: whoever does not know the subscription has none.
    pub(crate) fn is_answered(&mut self, response: &str) {
        let status = status(response);
        if status == 481 {
            self.loses(response);
        }
    }

    /// A NOTIFY did not arrive: its subscription is over (RFC 6665 section 4.2.2).
    pub(crate) fn loses(&mut self, notify: &str) {
        let call_id = field(notify, "Call-ID");
        self.subscriptions.retain(|one| one.call_id != call_id);
    }

    pub(crate) fn forgets(&mut self) {
        self.subscriptions.clear();
    }

    /// Subscriptions that nobody refreshed end without a word.
    pub(crate) fn expires(&mut self, now: u64) {
        self.subscriptions.retain(|one| one.expires_at >= now);
    }
}
