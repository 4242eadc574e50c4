//! Users of the partner who watch users of the pool: formats, piggybacked documents, grants.

use std::sync::Arc;

use super::dialog::{Dialog, Key};
use super::documents::{Form, State};
use super::link::Link;
use super::message::{Message, aor, display_name, parameter, uri_in};
use super::sim::{Shared, Sim, hex};
use super::user::prompt;
use crate::inbox::locked;

/// A watcher's dialog.
#[derive(Clone, Debug)]
pub(super) struct Watcher {
    pub(super) user: String,
    pub(super) who: String,
    pub(super) dialog: Dialog,
    pub(super) form: Form,
    pub(super) accept: String,
    pub(super) granted: u32,
    pub(super) subscribes: u64,
    /// A notification is on its way.
    busy: bool,
    /// And another has to follow.
    stale: bool,
}

/// What a test may know about a watcher's dialog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// Who watches.
    pub watcher: String,
    /// Its Call-ID.
    pub call_id: String,
    /// The form that was chosen.
    pub form: Form,
    /// What was granted last, in seconds.
    pub granted: u32,
    /// SUBSCRIBEs that were answered 200.
    pub subscribes: u64,
    /// Number of our last notification.
    pub notified: u32,
}

impl Sim {
    /// The dialogs that watch a user.
    pub fn watchers(&self, user: &str) -> Vec<Watched> {
        let watchers = locked(&self.shared.watchers);
        let mut found: Vec<Watched> = watchers
            .values()
            .filter(|watcher| watcher.user == user)
            .map(|watcher| Watched {
                watcher: watcher.who.clone(),
                call_id: watcher.dialog.call_id.clone(),
                form: watcher.form,
                granted: watcher.granted,
                subscribes: watcher.subscribes,
                notified: watcher.dialog.cseq,
            })
            .collect();
        found.sort_by(|a, b| (&a.watcher, &a.call_id).cmp(&(&b.watcher, &b.call_id)));
        found
    }

    /// All dialogs of watchers: whom they watch, and SUBSCRIBEs that were answered 200.
    pub fn everyone_watched(&self) -> Vec<(String, u64)> {
        let watchers = locked(&self.shared.watchers);
        let all = watchers.values();
        all.map(|one| (one.user.clone(), one.subscribes)).collect()
    }

    /// Whether a notification is on its way.
    pub fn is_notifying(&self) -> bool {
        locked(&self.shared.watchers).values().any(|one| one.busy)
    }

    /// Loses all dialogs of watchers, as a pool that was restored from a backup.
    pub fn forget_watchers(&self) {
        locked(&self.shared.watchers).clear();
    }
}

impl Shared {
    /// The first SUBSCRIBE of a watcher.
    pub(super) fn on_subscribe(self: &Arc<Self>, link: &Link, request: &Message, user: &str) {
        let who = aor(uri_in(request.value("From")));
        let asked = request.value("Expires").trim().parse().ok();
        if asked == Some(0) {
            // AllowPartnerPollingSubscribes is off.
            self.fault(format!("a poll: {}", request.start));
            return self.reply(link, request.answer(403));
        }
        if !request.value("Event").eq_ignore_ascii_case("presence") {
            return self.reply(link, request.answer(489));
        }
        if request.has("Proxy-Require") {
            self.fault("Proxy-Require from a partner");
        }
        let Some(form) = Form::wanted(request) else {
            self.fault(format!(
                "nothing to choose in Accept: {:?}",
                request.lines("Accept")
            ));
            return self.reply(link, request.answer(406));
        };
        self.asks(user, &who, request);
        let epid = self.with(user, |account| {
            account
                .endpoints
                .first()
                .map(|endpoint| endpoint.epid.clone())
        });
        let epid = epid.flatten().unwrap_or_default();
        let (to, tag) = (request.value("To"), hex(8).to_uppercase());
        let watcher = Watcher {
            user: user.to_owned(),
            who,
            dialog: Dialog::invited(request, format!("{to};epid={epid};tag={tag}")),
            form,
            accept: request.values("Accept").join(","),
            granted: self.grant(asked),
            subscribes: 1,
            busy: false,
            stale: false,
        };
        self.grant_and_tell(link, request, watcher);
    }

    /// The question about a new watcher comes only with a context in the body (MS-PRES).
    fn asks(&self, user: &str, who: &str, request: &Message) {
        if !request.text().contains("<context") {
            return;
        }
        let name = display_name(request.value("From")).to_owned();
        self.with(user, |account| prompt(account, who, &name));
    }

    fn grant(&self, asked: Option<u32>) -> u32 {
        let (least, most) = locked(&self.conduct).grants;
        let asked = asked.unwrap_or(28_800);
        if asked > most {
            return rand::random_range(least..=most);
        }
        // Real grants look so: 29087, 24767, 28367.
        let asked = asked.max(least);
        (asked - rand::random_range(0..=asked / 8)).max(least)
    }

    /// Answers 200, with the document where that was offered, or notifies right behind it.
    fn grant_and_tell(self: &Arc<Self>, link: &Link, request: &Message, mut watcher: Watcher) {
        let offered = request.names("Supported", "ms-piggyback-first-notify");
        let piggybacks = offered && locked(&self.conduct).piggybacks;
        let granted = watcher.granted;
        let mut answer = request.answer(200);
        answer.set("To", watcher.dialog.local.as_str());
        let [edge, pool] = self.seal.routes(&watcher.dialog.call_id);
        answer.put("Record-Route", pool);
        answer.put("Record-Route", edge);
        answer.put(
            "Contact",
            format!("<sip:{};transport=tls>", self.contact_host()),
        );
        answer.put("Expires", granted.to_string());
        answer.put("Event", "presence");
        answer.put("subscription-state", format!("active;expires={granted}"));
        if piggybacks {
            watcher.dialog.cseq += 1;
            answer.put("ms-piggyback-cseq", watcher.dialog.cseq.to_string());
            answer.put("Supported", "ms-piggyback-first-notify");
            answer.carry(watcher.form.media(), self.document(&watcher));
        }
        let key = watcher.dialog.key();
        locked(&self.watchers).insert(key.clone(), watcher);
        self.reply(link, answer);
        if !piggybacks {
            self.notify(&key);
        }
    }

    /// The Contact of a presence server behind an Edge (W 09).
    pub(super) fn contact_host(&self) -> String {
        format!("ocsserver.{}:5061", self.setup.domain)
    }

    /// A SUBSCRIBE within a dialog.
    pub(super) fn on_refresh(self: &Arc<Self>, link: &Link, request: &Message) {
        let tag = parameter(request.value("To"), "tag").unwrap_or_default();
        let key = (request.value("Call-ID").to_owned(), tag.to_owned());
        let found = locked(&self.watchers).get(&key).cloned();
        let Some(mut watcher) = found else {
            return self.reply(link, request.answer(481));
        };
        if !watcher.dialog.advances(request) {
            self.fault(format!("SUBSCRIBE {:?} does not grow", request.cseq()));
        }
        let expected = self.contact_host();
        if !request.uri().contains(&expected) {
            self.fault(format!("{} does not go to sip:{expected}", request.start));
        }
        if request.value("Expires").trim() == "0" {
            locked(&self.watchers).remove(&key);
            return self.end(link, request, watcher);
        }
        if request.values("Accept").join(",") != watcher.accept {
            self.fault(format!(
                "a refresh that accepts {:?} instead of {}",
                request.lines("Accept"),
                watcher.accept
            ));
        }
        watcher.dialog.follows(request);
        watcher.subscribes += 1;
        watcher.granted = self.grant(request.value("Expires").trim().parse().ok());
        // What another task has changed meanwhile stays.
        if let Some(now) = locked(&self.watchers).get(&key) {
            (watcher.busy, watcher.stale) = (now.busy, now.stale);
            watcher.dialog.cseq = now.dialog.cseq;
        }
        self.grant_and_tell(link, request, watcher);
    }

    /// The last answer in a dialog, and the last NOTIFY (RFC 6665 section 4.2.1.4).
    fn end(self: &Arc<Self>, link: &Link, request: &Message, mut watcher: Watcher) {
        let mut answer = request.answer(200);
        answer.put("Expires", "0");
        answer.put("Event", "presence");
        answer.put("subscription-state", "terminated;expires=0");
        self.reply(link, answer);
        let mut last = watcher.dialog.next("NOTIFY");
        let contact = format!("<sip:{};transport=tls>", self.contact_host());
        last.put("Contact", contact);
        last.put("Event", "presence");
        last.put("subscription-state", "terminated;reason=timeout");
        let shared = Arc::clone(self);
        tokio::spawn(async move {
            // Whoever does not want it any more does not answer.
            if let Ok(answers) = shared.ask(last).await {
                answers.last().await.ok();
            }
        });
    }

    /// What the watcher may see now.
    fn document(&self, watcher: &Watcher) -> String {
        let seen = self.with(&watcher.user, |account| {
            let state = match account.blocked.contains(&watcher.who) {
                true => State::offline(),
                false => account.state.clone(),
            };
            let epid = account
                .endpoints
                .first()
                .map(|endpoint| endpoint.epid.clone());
            (state, account.display.clone(), epid.unwrap_or_default())
        });
        let (state, display, epid) = seen.unwrap_or_default();
        let aor = format!("{}@{}", watcher.user, self.setup.domain);
        watcher.form.write(&aor, &display, &epid, &state)
    }

    /// Tells the watchers of a user, or one of them, what they may see now.
    pub(super) fn notify_watchers(self: &Arc<Self>, user: &str, who: Option<&str>) {
        let watchers = locked(&self.watchers);
        let wanted =
            |watcher: &Watcher| watcher.user == user && who.is_none_or(|who| watcher.who == who);
        let keys: Vec<Key> = watchers
            .iter()
            .filter(|(_, watcher)| wanted(watcher))
            .map(|(key, _)| key.clone())
            .collect();
        drop(watchers);
        for key in keys {
            self.notify(&key);
        }
    }

    /// Sends a notification in a dialog, one after the other: the last state wins.
    fn notify(self: &Arc<Self>, key: &Key) {
        let mut watchers = locked(&self.watchers);
        let Some(watcher) = watchers.get_mut(key) else {
            return;
        };
        if watcher.busy {
            watcher.stale = true;
            return;
        }
        watcher.busy = true;
        drop(watchers);
        let (shared, key) = (Arc::clone(self), key.clone());
        tokio::spawn(async move { while shared.notify_once(&key).await {} });
    }

    /// One notification; tells whether another has to follow.
    async fn notify_once(self: &Arc<Self>, key: &Key) -> bool {
        let without_answer = locked(&self.conduct).benotifies;
        let method = if without_answer { "BENOTIFY" } else { "NOTIFY" };
        let Some(watcher) = locked(&self.watchers).get_mut(key).map(|watcher| {
            watcher.stale = false;
            let request = watcher.dialog.next(method);
            (watcher.clone(), request)
        }) else {
            return false;
        };
        let (watcher, mut request) = watcher;
        request.put(
            "Contact",
            format!("<sip:{};transport=tls>", self.contact_host()),
        );
        request.put("Event", "presence");
        request.put(
            "subscription-state",
            format!("active;expires={}", watcher.granted),
        );
        request.carry(watcher.form.media(), self.document(&watcher));
        let gone = if without_answer {
            self.tell(request).await.is_err()
        } else {
            let answer = match self.ask(request).await {
                Ok(answers) => answers.last().await,
                Err(error) => Err(error),
            };
            answer.is_ok_and(|answer| answer.status() == Some(481))
        };
        let mut watchers = locked(&self.watchers);
        if gone {
            watchers.remove(key);
        }
        let Some(watcher) = watchers.get_mut(key) else {
            return false;
        };
        watcher.busy = watcher.stale;
        watcher.stale
    }
}
