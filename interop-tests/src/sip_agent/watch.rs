//! The agent's users as watchers: subscriptions of their own and every NOTIFY they bring.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::agent::{Shared, SipAgent};
use super::dialog::{Dialog, cseq, routes};
use crate::inbox::{Inbox, PATIENCE, locked};
use crate::pidf::{Document, PIDF_TYPE};
use crate::sip::{SipMessage, parameter, token, uri_of};

/// What a SUBSCRIBE asks for.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Expires; 0 outside a dialog is a fetch.
    pub expires: Option<u32>,
    /// Event.
    pub event: &'static str,
    /// Accept, none where it is empty.
    pub accept: &'static str,
}

impl Default for Wish {
    fn default() -> Self {
        Self {
            expires: Some(3600),
            event: "presence",
            accept: PIDF_TYPE,
        }
    }
}

/// What a NOTIFY said.
#[derive(Clone, Debug)]
pub struct Notification {
    /// When it came.
    pub at: Instant,
    /// Its number.
    pub cseq: u32,
    /// `pending`, `active` or `terminated`.
    pub state: String,
    /// Why it is terminated, empty where nothing is said.
    pub reason: String,
    /// Its document, none where there is no body.
    pub document: Option<Document>,
    /// All of it.
    pub request: SipMessage,
}

impl Notification {
    /// Whether it is active and its document has an open tuple.
    pub fn is_open(&self) -> bool {
        self.state == "active" && self.document.as_ref().is_some_and(Document::is_open)
    }

    /// Whether it is active and its document has no open tuple.
    pub fn is_closed(&self) -> bool {
        let closed = |document: &Document| !document.is_open();
        self.state == "active" && self.document.as_ref().is_some_and(closed)
    }

    /// Whether it is active and an open tuple shows that note.
    pub fn says(&self, note: &str) -> bool {
        let says = |document: &Document| document.says(note);
        self.state == "active" && self.document.as_ref().is_some_and(says)
    }
}

/// One subscription of one of the agent's users; it lives on in the agent without this handle.
#[derive(Clone, Debug)]
pub struct Watch {
    shared: Arc<Shared>,
    subscription: Arc<Subscription>,
    wish: Wish,
}

/// The dialogs of all watchers, by Call-ID and our tag.
#[derive(Debug, Default)]
pub(super) struct Watches(Mutex<HashMap<(String, String), Arc<Subscription>>>);

#[derive(Debug)]
struct Subscription {
    user: String,
    dialog: Mutex<Dialog>,
    notifications: Inbox<Notification>,
    /// How a NOTIFY is answered; none is silence.
    answer: Mutex<Option<u16>>,
}

impl SipAgent {
    /// One of the agent's users watches somebody; the SUBSCRIBE must be taken.
    pub async fn watch(&self, user: &str, presentity: &str) -> Result<Watch> {
        let (watch, response) = self.subscribe(user, presentity, Wish::default()).await?;
        let taken = response.status().is_some_and(|status| status < 300);
        ensure!(taken, "{user} may not watch: {}", response.start);
        Ok(watch)
    }

    /// Sends a SUBSCRIBE of its own kind and tells the answer.
    pub async fn subscribe(
        &self,
        user: &str,
        presentity: &str,
        wish: Wish,
    ) -> Result<(Watch, SipMessage)> {
        let shared = Arc::clone(&self.shared);
        let (call_id, tag, uri) = (token(), token(), format!("sip:{presentity}"));
        let domain = &shared.place.domain;
        let dialog = Dialog {
            call_id: format!("{call_id}@{domain}"),
            local: format!("<sip:{user}@{domain}>;tag={tag}"),
            remote: format!("<{uri}>"),
            target: uri,
            route: Vec::new(),
            cseq: 0,
            remote_cseq: 0,
        };
        let key = (dialog.call_id.clone(), tag);
        let subscription = Arc::new(Subscription {
            user: user.to_owned(),
            dialog: Mutex::new(dialog),
            notifications: Inbox::default(),
            answer: Mutex::new(Some(200)),
        });
        locked(&shared.watches.0).insert(key, Arc::clone(&subscription));
        let watch = Watch {
            shared,
            subscription,
            wish,
        };
        let response = watch.refresh(watch.wish.expires).await?;
        Ok((watch, response))
    }

    /// Forgets every dialog of the agent's watchers, as after a restart without a memory.
    pub fn forget_watches(&self) {
        locked(&self.shared.watches.0).clear();
    }
}

impl Watch {
    /// Every NOTIFY so far.
    pub fn notifications(&self) -> &Inbox<Notification> {
        &self.subscription.notifications
    }

    /// How many NOTIFYs have come, to wait for what comes behind them.
    pub fn mark(&self) -> usize {
        self.notifications().len()
    }

    /// Waits for a NOTIFY, whenever it came.
    pub async fn expect(
        &self,
        what: &str,
        wanted: impl Fn(&Notification) -> bool,
    ) -> Result<Notification> {
        self.expect_behind(0, what, wanted).await
    }

    /// Waits for a NOTIFY behind the first `known` ones.
    pub async fn expect_behind(
        &self,
        known: usize,
        what: &str,
        wanted: impl Fn(&Notification) -> bool,
    ) -> Result<Notification> {
        self.expect_within(PATIENCE, known, what, wanted).await
    }

    /// As `expect_behind`, with a limit of its own.
    pub async fn expect_within(
        &self,
        limit: Duration,
        known: usize,
        what: &str,
        wanted: impl Fn(&Notification) -> bool,
    ) -> Result<Notification> {
        let what = format!("NOTIFY \"{what}\" for {}", self.subscription.user);
        self.notifications()
            .wait_behind(known, limit, &what, wanted)
            .await
    }

    /// Sends a SUBSCRIBE in the dialog, or the first one.
    pub async fn refresh(&self, expires: Option<u32>) -> Result<SipMessage> {
        let request = locked(&self.subscription.dialog).request(&self.shared, "SUBSCRIBE");
        self.send(request, expires).await
    }

    /// Sends a SUBSCRIBE in the dialog with any number.
    pub async fn refresh_as(&self, cseq: u32) -> Result<SipMessage> {
        let dialog = locked(&self.subscription.dialog).clone();
        let request = dialog.request_as(&self.shared, "SUBSCRIBE", cseq);
        self.send(request, self.wish.expires).await
    }

    /// The number of our last request.
    pub fn cseq(&self) -> u32 {
        locked(&self.subscription.dialog).cseq
    }

    /// Ends the subscription.
    pub async fn end(&self) -> Result<SipMessage> {
        self.refresh(Some(0)).await
    }

    /// Decides how NOTIFYs are answered; none is silence.
    pub fn answer(&self, status: Option<u16>) {
        *locked(&self.subscription.answer) = status;
    }

    /// Forgets this dialog: NOTIFYs in it are answered 481.
    pub fn forget(&self) {
        let known = &self.shared.watches.0;
        locked(known).retain(|_, other| !Arc::ptr_eq(other, &self.subscription));
    }

    async fn send(&self, mut request: SipMessage, expires: Option<u32>) -> Result<SipMessage> {
        let (shared, subscription) = (&self.shared, &self.subscription);
        request.add("Contact", shared.contact(&subscription.user));
        request.add("Event", self.wish.event);
        if let Some(expires) = expires {
            request.add("Expires", expires.to_string());
        }
        if !self.wish.accept.is_empty() {
            request.add("Accept", self.wish.accept);
        }
        let response = shared.send(&request).await?;
        if response.status().is_some_and(|status| status < 300) {
            subscription.take_answer(&response);
        }
        Ok(response)
    }
}

impl Subscription {
    /// Takes the other end's data from the answer, unless a NOTIFY has brought them.
    fn take_answer(&self, response: &SipMessage) {
        let mut dialog = locked(&self.dialog);
        if !dialog.is_established() {
            dialog.remote = response.header("To").unwrap_or_default().to_owned();
            dialog.route = routes(response);
            dialog.route.reverse();
        }
        if let Some(contact) = response.header("Contact") {
            dialog.target = uri_of(contact).to_owned();
        }
    }

    /// Takes a NOTIFY; tells its status, or a fault in words.
    fn take(&self, request: &SipMessage) -> Result<Option<u16>, String> {
        let from = request.header("From").unwrap_or_default();
        let mut dialog = locked(&self.dialog);
        if !dialog.is_established() {
            dialog.remote = from.to_owned();
            dialog.route = routes(request);
        } else if parameter(&dialog.remote, "tag") != parameter(from, "tag") {
            return Ok(Some(481));
        }
        if let Some(contact) = request.header("Contact") {
            dialog.target = uri_of(contact).to_owned();
        }
        let grows = dialog.advances(request);
        drop(dialog);
        if !grows {
            return Err(format!("number {} does not grow", cseq(request)));
        }
        if let Some(last) = self.notifications.last()
            && last.state == "terminated"
        {
            return Err("comes behind terminated".to_owned());
        }
        self.notifications.push(read(request)?);
        Ok(*locked(&self.answer))
    }
}

fn read(request: &SipMessage) -> Result<Notification, String> {
    let state = request.header("Subscription-State");
    let state = state.ok_or("has no Subscription-State")?;
    let document = if request.body.is_empty() {
        None
    } else {
        let kind = request.header("Content-Type").unwrap_or_default();
        if kind.split(';').next() != Some(PIDF_TYPE) {
            return Err(format!("has a body of type {kind}"));
        }
        let document = Document::read(&request.body);
        Some(document.map_err(|error| format!("{error:#}"))?)
    };
    Ok(Notification {
        at: Instant::now(),
        cseq: cseq(request),
        state: state.split(';').next().unwrap_or_default().to_owned(),
        reason: parameter(state, "reason").unwrap_or_default().to_owned(),
        document,
        request: request.clone(),
    })
}

impl Shared {
    /// Takes a NOTIFY and answers it, or keeps silent.
    pub(super) fn on_notify(&self, request: &SipMessage) -> Option<SipMessage> {
        let to = request.header("To").unwrap_or_default();
        let key = (
            request.header("Call-ID").unwrap_or_default().to_owned(),
            parameter(to, "tag").unwrap_or_default().to_owned(),
        );
        let Some(subscription) = locked(&self.watches.0).get(&key).cloned() else {
            return Some(request.response(481));
        };
        match subscription.take(request) {
            Ok(status) => Some(request.response(status?)),
            Err(fault) => {
                let user = &subscription.user;
                self.faults.push(format!("NOTIFY to {user} {fault}"));
                Some(request.response(500))
            }
        }
    }
}
