//! The agent's users as presentities: how they answer SUBSCRIBE, and the NOTIFYs they send.

use std::collections::HashMap;
use std::slice;
use std::sync::{Arc, Mutex};

use anyhow::Result;
use tokio::sync::mpsc::UnboundedSender;

use super::agent::{Shared, SipAgent};
use super::dialog::{Dialog, cseq};
use crate::inbox::locked;
use crate::pidf::{Document, PIDF_TYPE};
use crate::sip::{SipMessage, parameter, token, uri_of, user_of};

/// The longest subscription that is granted.
const LONGEST: u32 = 3600;

/// What becomes of a SUBSCRIBE that opens a dialog with a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Consent {
    /// 200, then NOTIFY active with the user's document.
    Active,
    /// 200, then NOTIFY pending.
    Pending,
    /// NOTIFY active first, 200 when it is answered.
    NotifyFirst,
    /// As active, and a NOTIFY active of a second dialog behind it.
    Forked,
    /// 200 and no NOTIFY.
    NoNotify,
    /// 200, then NOTIFY terminated with this reason.
    Terminated(&'static str),
    /// Refused with this status and these headers.
    Refused(u16, Vec<(&'static str, String)>),
    /// No answer.
    Silence,
}

/// How a dialog begins, if it does.
enum FirstState {
    /// No answer at all.
    None,
    /// A refusal.
    Refused(u16, Vec<(&'static str, String)>),
    /// 200, with this Subscription-State in the first NOTIFY.
    Taken(String),
}

impl Consent {
    fn first_state(&self) -> FirstState {
        match self {
            Self::Silence => FirstState::None,
            Self::Refused(status, headers) => FirstState::Refused(*status, headers.clone()),
            Self::Active | Self::NotifyFirst | Self::Forked | Self::NoNotify => {
                FirstState::Taken("active".to_owned())
            }
            Self::Pending => FirstState::Taken("pending".to_owned()),
            Self::Terminated(reason) => FirstState::Taken(format!("terminated;reason={reason}")),
        }
    }
}

/// The state in a Subscription-State, without its parameters.
fn word(state: &str) -> &str {
    state.split(';').next().unwrap_or_default()
}

/// How one user answers.
#[derive(Clone, Debug, Default)]
struct Script {
    consent: Option<Consent>,
    /// Refreshes are refused with this status; 0 is silence.
    refresh: Option<u16>,
    /// Subscriptions last no longer than this.
    longest: Option<u32>,
    document: Option<Document>,
}

/// A subscription to one of the agent's users.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Who watches, as URI.
    pub watcher: String,
    /// Its Call-ID.
    pub call_id: String,
    /// `pending` or `active`.
    pub state: String,
    /// Expires of the last SUBSCRIBE that was taken.
    pub granted: u32,
    /// SUBSCRIBEs that came in the dialog, the first one too.
    pub subscribes: u32,
    user: String,
    dialog: Dialog,
}

/// Everything about all presentities of an agent.
#[derive(Debug, Default)]
pub(super) struct Presentities {
    scripts: Mutex<HashMap<String, Script>>,
    /// By Call-ID and our tag.
    subscriptions: Mutex<HashMap<(String, String), Seen>>,
}

/// One of the agent's users, as somebody who is watched.
#[derive(Clone, Debug)]
pub struct Presentity {
    shared: Arc<Shared>,
    user: String,
}

impl SipAgent {
    /// One of the agent's users, as somebody who is watched.
    pub fn presentity(&self, user: &str) -> Presentity {
        Presentity {
            shared: Arc::clone(&self.shared),
            user: user.to_owned(),
        }
    }

    /// Everyone who watches anyone.
    pub fn watchers(&self) -> Vec<Seen> {
        let subscriptions = locked(&self.shared.presentities.subscriptions);
        subscriptions.values().cloned().collect()
    }

    /// Forgets every dialog in which somebody watches, as after a restart without a memory.
    pub fn forget_watchers(&self) {
        locked(&self.shared.presentities.subscriptions).clear();
    }
}

impl Presentity {
    fn change(&self, change: impl FnOnce(&mut Script)) {
        let mut scripts = locked(&self.shared.presentities.scripts);
        change(scripts.entry(self.user.clone()).or_default());
    }

    /// Decides what becomes of new subscriptions; active where nothing was decided.
    pub fn consents(&self, consent: Consent) {
        self.change(|script| script.consent = Some(consent));
    }

    /// Decides how refreshes are answered: none takes them, 0 is silence.
    pub fn answers_refreshes(&self, status: Option<u16>) {
        self.change(|script| script.refresh = status);
    }

    /// Bounds the length of subscriptions.
    pub fn grants_at_most(&self, seconds: u32) {
        self.change(|script| script.longest = Some(seconds));
    }

    /// Changes the user's state without telling anyone.
    pub fn has(&self, document: Document) {
        self.change(|script| script.document = Some(document));
    }

    /// Changes the user's state and tells all active watchers; tells their answers.
    pub async fn publish(&self, document: Document) -> Result<Vec<u16>> {
        self.has(document);
        self.notify_all("active", |seen| seen.state == "active")
            .await
    }

    /// Lets in who is pending, and everyone who asks from now on; tells their answers.
    pub async fn approve(&self) -> Result<Vec<u16>> {
        self.consents(Consent::Active);
        self.notify_all("active", |_| true).await
    }

    /// Makes all subscriptions pending again.
    pub async fn suspend(&self) -> Result<Vec<u16>> {
        self.consents(Consent::Pending);
        self.notify_all("pending", |_| true).await
    }

    /// Ends all subscriptions with a reason, perhaps with `;retry-after=` behind it.
    pub async fn terminate(&self, reason: &str) -> Result<Vec<u16>> {
        let state = format!("terminated;reason={reason}");
        let answers = self.notify_all(&state, |_| true).await?;
        let mut subscriptions = locked(&self.shared.presentities.subscriptions);
        subscriptions.retain(|_, seen| seen.user != self.user);
        Ok(answers)
    }

    /// Sends a NOTIFY of any kind to all watchers.
    pub async fn notify_with(&self, state: &str, kind: &str, body: &[u8]) -> Result<Vec<u16>> {
        let mut answers = Vec::new();
        for key in self.keys(|_| true) {
            let change = |request: &mut SipMessage| {
                request.set("Content-Type", kind);
                request.body = body.to_vec();
            };
            answers.extend(self.shared.notify(&key, state, change).await?);
        }
        Ok(answers)
    }

    /// Who watches the user now.
    pub fn watchers(&self) -> Vec<Seen> {
        let subscriptions = locked(&self.shared.presentities.subscriptions);
        let mine = subscriptions.values().filter(|seen| seen.user == self.user);
        mine.cloned().collect()
    }

    async fn notify_all(&self, state: &str, wanted: impl Fn(&Seen) -> bool) -> Result<Vec<u16>> {
        let mut answers = Vec::new();
        for key in self.keys(wanted) {
            answers.extend(self.shared.notify(&key, state, |_| {}).await?);
        }
        Ok(answers)
    }

    fn keys(&self, wanted: impl Fn(&Seen) -> bool) -> Vec<(String, String)> {
        let subscriptions = locked(&self.shared.presentities.subscriptions);
        let mine = subscriptions
            .iter()
            .filter(|(_, seen)| seen.user == self.user);
        mine.filter(|(_, seen)| wanted(seen))
            .map(|(key, _)| key.clone())
            .collect()
    }
}

impl Shared {
    /// Takes a SUBSCRIBE and answers it on its link.
    pub(super) fn on_subscribe(
        self: &Arc<Self>,
        request: &SipMessage,
        link: &UnboundedSender<Vec<u8>>,
    ) {
        let to = request.header("To").unwrap_or_default();
        let user = user_of(uri_of(to)).to_owned();
        let script = locked(&self.presentities.scripts).get(&user).cloned();
        let script = script.unwrap_or_default();
        match parameter(to, "tag") {
            Some(tag) => self.on_refresh(request, tag, &script, link),
            None => self.on_first(request, user, script, link),
        }
    }

    fn on_first(
        self: &Arc<Self>,
        request: &SipMessage,
        user: String,
        script: Script,
        link: &UnboundedSender<Vec<u8>>,
    ) {
        let answer = |response: SipMessage| {
            // The connection may have ended meanwhile.
            link.send(response.to_bytes()).ok();
        };
        let consent = script.consent.clone().unwrap_or(Consent::Active);
        let state = match consent.first_state() {
            FirstState::None => return,
            FirstState::Refused(status, headers) => {
                let mut response = request.response(status);
                for (name, value) in headers {
                    response.add(name, value);
                }
                answer(response);
                return;
            }
            FirstState::Taken(state) => state,
        };
        let (key, response) = self.open(request, &user, &script, &state);
        if consent != Consent::NotifyFirst {
            answer(response.clone());
        }
        let mut keys = vec![key];
        match consent {
            Consent::NoNotify => return,
            Consent::Forked => keys.push(self.open(request, &user, &script, &state).0),
            Consent::Active
            | Consent::NotifyFirst
            | Consent::Pending
            | Consent::Refused(..)
            | Consent::Silence
            | Consent::Terminated(_) => {}
        }
        let late = (consent == Consent::NotifyFirst).then(|| (link.clone(), response));
        let shared = Arc::clone(self);
        tokio::spawn(async move {
            shared.notify_each(&keys, &state).await;
            late.map(|(link, response)| link.send(response.to_bytes()));
        });
    }

    /// Opens a dialog; tells its key and the 200.
    fn open(
        &self,
        request: &SipMessage,
        user: &str,
        script: &Script,
        state: &str,
    ) -> ((String, String), SipMessage) {
        let tag = token();
        let to = request.header("To").unwrap_or_default();
        let local = format!("{to};tag={tag}");
        let granted = script.grant(request);
        let dialog = Dialog::accepting(request, local.clone());
        let key = (dialog.call_id.clone(), tag);
        let seen = Seen {
            watcher: uri_of(request.header("From").unwrap_or_default()).to_owned(),
            call_id: dialog.call_id.clone(),
            state: word(state).to_owned(),
            granted,
            subscribes: 1,
            user: user.to_owned(),
            dialog,
        };
        locked(&self.presentities.subscriptions).insert(key.clone(), seen);
        let mut response = self.taken(request, user, granted);
        response.set("To", local);
        (key, response)
    }

    fn taken(&self, request: &SipMessage, user: &str, granted: u32) -> SipMessage {
        let mut response = request.response(200);
        for route in request.all("Record-Route") {
            response.add("Record-Route", route);
        }
        response.add("Contact", self.contact(user));
        response.add("Expires", granted.to_string());
        response
    }

    fn on_refresh(
        self: &Arc<Self>,
        request: &SipMessage,
        tag: &str,
        script: &Script,
        link: &UnboundedSender<Vec<u8>>,
    ) {
        let answer = |response: SipMessage| {
            // The connection may have ended meanwhile.
            link.send(response.to_bytes()).ok();
        };
        let call_id = request.header("Call-ID").unwrap_or_default();
        let key = (call_id.to_owned(), tag.to_owned());
        let mut subscriptions = locked(&self.presentities.subscriptions);
        let Some(seen) = subscriptions.get_mut(&key) else {
            return answer(request.response(481));
        };
        if !seen.dialog.advances(request) {
            let fault = format!("number {} does not grow", cseq(request));
            self.faults
                .push(format!("SUBSCRIBE to {} {fault}", seen.user));
            return answer(request.response(500));
        }
        match script.refresh {
            Some(0) => return,
            Some(status) => return answer(request.response(status)),
            None => {}
        }
        seen.subscribes += 1;
        seen.granted = script.grant(request);
        let (granted, user) = (seen.granted, seen.user.clone());
        let state = match granted {
            0 => "terminated;reason=timeout".to_owned(),
            _ => seen.state.clone(),
        };
        drop(subscriptions);
        answer(self.taken(request, &user, granted));
        let shared = Arc::clone(self);
        tokio::spawn(async move {
            shared.notify_each(slice::from_ref(&key), &state).await;
            if granted == 0 {
                locked(&shared.presentities.subscriptions).remove(&key);
            }
        });
    }

    /// Sends a NOTIFY in each dialog. A link that breaks leaves the watcher without it, as it
    /// would anywhere.
    async fn notify_each(self: &Arc<Self>, keys: &[(String, String)], state: &str) {
        for key in keys {
            self.notify(key, state, |_| {}).await.ok();
        }
    }

    /// Sends a NOTIFY in one dialog and tells its answer; none where the dialog is gone.
    async fn notify(
        self: &Arc<Self>,
        key: &(String, String),
        state: &str,
        change: impl FnOnce(&mut SipMessage),
    ) -> Result<Option<u16>> {
        let Some(mut request) = self.next_notify(key, state) else {
            return Ok(None);
        };
        change(&mut request);
        Ok(self.send(&request).await?.status())
    }

    fn next_notify(&self, key: &(String, String), state: &str) -> Option<SipMessage> {
        let mut subscriptions = locked(&self.presentities.subscriptions);
        let seen = subscriptions.get_mut(key)?;
        let word = word(state);
        if word != "terminated" {
            word.clone_into(&mut seen.state);
        }
        let mut request = seen.dialog.request(self, "NOTIFY");
        let (user, granted) = (seen.user.clone(), seen.granted);
        drop(subscriptions);
        let left = match word {
            "terminated" => state.to_owned(),
            _ => format!("{state};expires={granted}"),
        };
        request.add("Contact", self.contact(&user));
        request.add("Event", "presence");
        request.add("Subscription-State", left);
        let scripts = locked(&self.presentities.scripts);
        let document = scripts
            .get(&user)
            .and_then(|script| script.document.clone());
        if let Some(document) = document.filter(|_| word == "active") {
            request.add("Content-Type", PIDF_TYPE);
            request.body = document.write();
        }
        Some(request)
    }
}

impl Script {
    /// How long a subscription lasts that this SUBSCRIBE asks for.
    fn grant(&self, request: &SipMessage) -> u32 {
        let asked = request.header("Expires").and_then(|text| text.parse().ok());
        asked
            .unwrap_or(LONGEST)
            .min(self.longest.unwrap_or(LONGEST))
    }
}
