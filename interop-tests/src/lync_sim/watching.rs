//! Users of the pool who watch others: one dialog per user, endpoint and contact (W 07, 08).

use std::ops::RangeInclusive;
use std::sync::{Arc, Weak};
use std::time::Duration;

use anyhow::{Result, ensure};

use super::dialog::{Dialog, Key};
use super::link::Link;
use super::message::{Message, parameter};
use super::render::{Rendered, render};
use super::sim::{Shared, Sim};
use super::user::News;
use crate::inbox::locked;

/// How long before the end of a grant a client asks again.
const MARGIN: u32 = 120;
/// After how many seconds it asks again when nobody could be reached, each client for itself.
const AGAIN: RangeInclusive<u32> = 5..=30;
/// What OCS 2007 listed (W 07).
const ACCEPT: &str = "application/msrtc-event-categories+xml, application/xpidf+xml, \
    text/xml+msrtc.pidf, application/pidf+xml, application/rlmi+xml, multipart/related";

/// One subscription of one endpoint.
#[derive(Clone, Debug)]
pub(super) struct Watching {
    pub(super) user: String,
    pub(super) endpoint: usize,
    pub(super) epid: String,
    pub(super) contact: String,
    pub(super) dialog: Dialog,
    pub(super) accept: String,
    /// What its SUBSCRIBEs ask for, in seconds.
    pub(super) asked: u32,
    pub(super) granted: u32,
    pub(super) rendered: Option<Rendered>,
    /// Documents that have come, piggybacked ones too.
    pub(super) documents: u64,
    /// SUBSCRIBEs that were answered 200.
    pub(super) subscribes: u64,
}

/// What a test may know about a subscription of a user's endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// The endpoint.
    pub epid: String,
    /// Whom it watches.
    pub contact: String,
    /// Its Call-ID.
    pub call_id: String,
    /// What it was granted last, in seconds.
    pub granted: u32,
    /// Number of the last NOTIFY.
    pub cseq: u32,
    /// Documents that have come, piggybacked ones too.
    pub documents: u64,
    /// SUBSCRIBEs that were answered 200.
    pub subscribes: u64,
}

impl Sim {
    /// The subscriptions of a user.
    pub fn subscriptions(&self, user: &str) -> Vec<Subscription> {
        self.shared
            .watchings_of(user)
            .into_iter()
            .map(|watching| Subscription {
                epid: watching.epid,
                contact: watching.contact,
                call_id: watching.dialog.call_id,
                granted: watching.granted,
                cseq: watching.dialog.remote_cseq.unwrap_or_default(),
                documents: watching.documents,
                subscribes: watching.subscribes,
            })
            .collect()
    }

    /// What every endpoint of every user shows: the user, the contact, SUBSCRIBEs that were answered
    /// 200, and how the contact looks.
    pub fn everything_seen(&self) -> Vec<(String, String, u64, Option<Rendered>)> {
        let watchings = locked(&self.shared.watchings);
        let all = watchings.values().map(|one| {
            let (user, contact) = (one.user.clone(), one.contact.clone());
            (user, contact, one.subscribes, one.rendered.clone())
        });
        all.collect()
    }

    /// Refreshes every subscription of a user now.
    pub async fn refresh(&self, user: &str) -> Result<()> {
        for watching in self.shared.watchings_of(user) {
            self.shared.refresh(&watching.dialog.key(), None).await?;
        }
        Ok(())
    }
}

impl Shared {
    pub(super) fn watchings_of(&self, user: &str) -> Vec<Watching> {
        let watchings = locked(&self.watchings);
        let mut own: Vec<Watching> = watchings
            .values()
            .filter(|watching| watching.user == user)
            .cloned()
            .collect();
        own.sort_by(|a, b| (a.endpoint, &a.contact).cmp(&(b.endpoint, &b.contact)));
        own
    }

    pub(super) fn rendered(&self, user: &str, contact: &str) -> Vec<Option<Rendered>> {
        let own = self.watchings_of(user).into_iter();
        own.filter(|watching| watching.contact == contact)
            .map(|watching| watching.rendered)
            .collect()
    }

    /// Sends the first SUBSCRIBE of an endpoint; `on_list` says that the contact is on its list.
    pub(super) async fn subscribe(
        self: &Arc<Self>,
        user: &str,
        endpoint: usize,
        contact: &str,
        on_list: bool,
    ) -> Result<()> {
        let conduct = self.conduct();
        let Some(mut request) = self.begin(user, endpoint, "SUBSCRIBE", contact) else {
            anyhow::bail!("{user} has no endpoint {endpoint}");
        };
        let accept = match conduct.accepts.is_empty() {
            true => ACCEPT.to_owned(),
            false => conduct.accepts.join(", "),
        };
        self.fill(&mut request, &accept, conduct.asks_for);
        if conduct.demands_benotify {
            request.put("Supported", "ms-benotify");
            request.put("Proxy-Require", "ms-benotify");
        }
        if self.setup.profile.batches() {
            let own = format!("{user}@{}", self.setup.domain);
            let body = batch(&own, contact, on_list);
            request.carry("application/msrtc-adrl-categorylist+xml", body);
        }
        let watching = Watching {
            user: user.to_owned(),
            endpoint,
            epid: parameter(request.value("From"), "epid")
                .unwrap_or_default()
                .to_owned(),
            contact: contact.to_owned(),
            dialog: Dialog {
                call_id: request.value("Call-ID").to_owned(),
                local: request.value("From").to_owned(),
                remote: request.value("To").to_owned(),
                cseq: 1,
                ..Dialog::default()
            },
            accept,
            asked: conduct.asks_for,
            granted: 0,
            rendered: None,
            documents: 0,
            subscribes: 0,
        };
        let key = watching.dialog.key();
        locked(&self.watchings).insert(key.clone(), watching);
        let answer = self.ask_to_watch(&key, request).await;
        if answer.as_ref().is_ok_and(|one| one.status() == Some(200)) {
            return Ok(());
        }
        // Nothing has come of it.
        locked(&self.watchings).remove(&key);
        let answer = answer?;
        anyhow::bail!("SUBSCRIBE for {contact}: {}", answer.verdict())
    }

    /// Sends the first SUBSCRIBE of a dialog, and once more without BENOTIFY where that is refused.
    async fn ask_to_watch(self: &Arc<Self>, key: &Key, mut request: Message) -> Result<Message> {
        let mut answer = self.ask(request.clone()).await?.last().await?;
        if answer.status() == Some(420) && answer.names("Unsupported", "ms-benotify") {
            // MS-SIP 3.5: the client asks again without.
            request
                .headers
                .retain(|(name, value)| name != "Proxy-Require" && value != "ms-benotify");
            request.set("CSeq", "2 SUBSCRIBE");
            if let Some(watching) = locked(&self.watchings).get_mut(key) {
                watching.dialog.cseq = 2;
            }
            answer = self.ask(request).await?.last().await?;
        }
        self.on_subscribed(key, &answer);
        Ok(answer)
    }

    /// What every SUBSCRIBE of a client has.
    fn fill(&self, request: &mut Message, accept: &str, expires: u32) {
        request.put("User-Agent", self.setup.profile.agent());
        request.put("Event", "presence");
        request.put("Accept", accept);
        request.put("Supported", "com.microsoft.autoextend");
        if locked(&self.conduct).offers_piggyback {
            request.put("Supported", "ms-piggyback-first-notify");
        }
        request.put("Expires", expires.to_string());
    }

    /// Takes a 200: the grant, the dialog and a document that came with it.
    fn on_subscribed(self: &Arc<Self>, key: &Key, answer: &Message) {
        if answer.status() != Some(200) {
            return;
        }
        let mut watchings = locked(&self.watchings);
        let Some(watching) = watchings.get_mut(key) else {
            return;
        };
        watching.dialog.answered(answer);
        watching.subscribes += 1;
        let asked = watching.asked;
        let granted = answer.value("Expires").trim().parse().ok();
        let granted = granted.or_else(|| {
            let state = answer.value("subscription-state");
            parameter(state, "expires")?.parse().ok()
        });
        watching.granted = granted.unwrap_or_default();
        if watching.granted > asked {
            self.fault(format!(
                "{} s granted where {asked} were asked",
                watching.granted
            ));
        }
        if !answer.body.is_empty() {
            if !answer.has("ms-piggyback-cseq") {
                self.fault("a 200 with a document and without ms-piggyback-cseq");
            }
            self.show(watching, answer);
        }
        let granted = watching.granted;
        drop(watchings);
        if granted > 0 {
            self.refresh_in_time(key.clone(), granted);
        }
    }

    fn refresh_in_time(self: &Arc<Self>, key: Key, granted: u32) {
        let subscribes = locked(&self.watchings)
            .get(&key)
            .map(|watching| watching.subscribes);
        tokio::spawn(keep_fresh(Arc::downgrade(self), key, granted, subscribes));
    }

    /// Refreshes a dialog, unless a refresh by hand has set another clock; false if nobody was
    /// reached. The last attempt that fails is a fault of the partner's.
    async fn is_fresh(self: &Arc<Self>, key: &Key, subscribes: Option<u64>, last: bool) -> bool {
        let now = locked(&self.watchings)
            .get(key)
            .map(|watching| watching.subscribes);
        if now.is_none() || now != subscribes {
            return true;
        }
        let Err(error) = self.refresh(key, None).await else {
            return true;
        };
        if last {
            self.fault(format!("refresh: {error:#}"));
        }
        false
    }

    /// Sends a SUBSCRIBE within the dialog; with `Some(0)` the last one.
    pub(super) async fn refresh(self: &Arc<Self>, key: &Key, expires: Option<u32>) -> Result<()> {
        let (mut request, accept, asked) = {
            let mut watchings = locked(&self.watchings);
            let Some(watching) = watchings.get_mut(key) else {
                return Ok(());
            };
            let request = watching.dialog.next("SUBSCRIBE");
            (request, watching.accept.clone(), watching.asked)
        };
        let expires = expires.unwrap_or(asked);
        self.fill(&mut request, &accept, expires);
        let answer = self.ask(request).await?.last().await?;
        ensure!(answer.status() == Some(200), "{}", answer.verdict());
        if expires == 0 {
            locked(&self.watchings).remove(key);
        } else {
            self.on_subscribed(key, &answer);
        }
        Ok(())
    }

    pub(super) async fn unsubscribe(self: &Arc<Self>, user: &str, contact: &str) -> Result<()> {
        for watching in self.watchings_of(user) {
            if watching.contact == contact {
                self.refresh(&watching.dialog.key(), Some(0)).await?;
            }
        }
        Ok(())
    }

    /// A NOTIFY or BENOTIFY of the partner's: always answered 200 if there is such a dialog.
    pub(super) fn on_notify(self: &Arc<Self>, link: &Link, request: &Message) {
        let tag = parameter(request.value("To"), "tag").unwrap_or_default();
        let key = (request.value("Call-ID").to_owned(), tag.to_owned());
        let mut watchings = locked(&self.watchings);
        let Some(watching) = watchings.get_mut(&key) else {
            drop(watchings);
            return self.reply(link, request.answer(481));
        };
        if request.method() == "BENOTIFY" {
            self.fault("BENOTIFY, which was not offered to be taken");
        }
        if !watching.dialog.advances(request) {
            let (number, last) = (request.cseq().0, watching.dialog.remote_cseq);
            self.fault(format!(
                "NOTIFY {number} behind {last:?} to {}",
                watching.user
            ));
        }
        if !request.body.is_empty() && !watching.accept.contains(&request.media()) {
            self.fault(format!(
                "a document that was not asked for: {}",
                request.media()
            ));
        }
        watching.dialog.follows(request);
        self.show(watching, request);
        drop(watchings);
        if request.method() == "NOTIFY" {
            self.reply(link, request.answer(200));
        }
    }

    /// Shows what a document says; a document that cannot be read leaves everything as it was.
    fn show(&self, watching: &mut Watching, message: &Message) {
        match render(message, watching.rendered.as_ref()) {
            Ok(None) => {}
            Ok(Some(rendered)) => {
                watching.documents += 1;
                let news = News::Sees {
                    epid: watching.epid.clone(),
                    contact: watching.contact.clone(),
                    rendered: rendered.clone(),
                };
                if watching.rendered.as_ref() != Some(&rendered) {
                    self.news(&watching.user, news);
                }
                watching.rendered = Some(rendered);
            }
            Err(error) => self.fault(format!("{error:#}: {}", message.text())),
        }
    }
}

/// The body of a single subscription: the categories that a client wants (MS-PRES 2.2.2.4.1).
fn batch(own: &str, contact: &str, on_list: bool) -> String {
    let context = if on_list { "<context/>" } else { "" };
    format!(
        "<batchSub xmlns=\"http://schemas.microsoft.com/2006/01/sip/batch-subscribe\" \
         uri=\"sip:{own}\" name=\"\"><action name=\"subscribe\" id=\"{}\"><adhocList>\
         <resource uri=\"sip:{contact}\">{context}</resource></adhocList>\
         <categoryList xmlns=\"http://schemas.microsoft.com/2006/09/sip/categorylist\">\
         <category name=\"calendarData\"/><category name=\"contactCard\"/>\
         <category name=\"note\"/><category name=\"state\"/></categoryList></action></batchSub>",
        rand::random::<u32>() % 100_000_000
    )
}

/// Asks in time for a grant to go on. The dialog stands to its end: who is not reached is asked again.
async fn keep_fresh(shared: Weak<Shared>, key: Key, granted: u32, subscribes: Option<u64>) {
    let mut pause = granted.saturating_sub(MARGIN).max(granted / 2);
    let mut left = granted;
    while pause <= left {
        tokio::time::sleep(Duration::from_secs(pause.into())).await;
        left -= pause;
        pause = rand::random_range(AGAIN);
        let Some(shared) = shared.upgrade() else {
            return;
        };
        if shared.is_fresh(&key, subscribes, pause > left).await {
            return;
        }
    }
}
