//! Invitations of the partner's users: progress, delay, forks, the wait for ACK.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::conversation::Talk;
use super::dialog::Dialog;
use super::edge::Why;
use super::link::Link;
use super::message::{Message, aor, uri_in};
use super::sim::{Shared, hex};
use super::user::{News, Reply};
use crate::inbox::locked;

/// How long a 200 waits for its ACK before somebody is blamed.
const ACK_LIMIT: Duration = Duration::from_secs(16);
/// The first pause before a 200 is sent again (RFC 3261 section 13.3.1.4).
const AGAIN: Duration = Duration::from_millis(500);

impl Shared {
    /// An INVITE that opens a conversation.
    pub(super) fn on_invite(self: &Arc<Self>, link: &Link, request: &Message, user: &str) {
        let id = request.value("Ms-Conversation-ID").to_owned();
        let blocks = locked(&self.conduct).blocks_new_conversations;
        if blocks {
            let why = Why::new(1034, "Conversations of federated contacts are blocked");
            return self.refuse(link, request, 403, &why);
        }
        if !request.text().contains("m=message ") {
            self.fault(format!("an INVITE without m=message: {}", request.text()));
            return self.reply(link, request.answer(488));
        }
        let used = locked(&self.talks).values().any(|talk| talk.id == id);
        if id.is_empty() || used {
            self.fault(format!("Ms-Conversation-ID {id:?} in {}", request.start));
            let why = Why::new(
                51_004,
                "This client has an IM session with the same conversation ID",
            );
            return self.refuse(link, request, 480, &why);
        }
        let reply = self.with(user, |account| account.reply.clone());
        let ended = Arc::new(Notify::new());
        locked(&self.ringing).insert(request.branch().to_owned(), Arc::clone(&ended));
        self.reply(link, request.answer(100));
        let mut progress = request.answer(101);
        progress.put(
            "ms-diagnostics",
            "13004;reason=\"Request was proxied to one or more registered endpoints\";\
             source=\"FE01.pool\";Count=\"1\";appName=\"InboundRouting\"",
        );
        self.reply(link, progress);
        let (after, endpoints) = match reply {
            Some(Reply::Accept { after, endpoints }) => (Some(after), endpoints),
            Some(Reply::Ring) | None => (None, 0),
        };
        if after != Some(Duration::ZERO) {
            self.reply(link, request.answer(180));
        }
        let (shared, link, request) = (Arc::clone(self), link.clone(), request.clone());
        let user = user.to_owned();
        tokio::spawn(async move {
            let over = async {
                match after {
                    Some(after) => sleep(after).await,
                    None => std::future::pending().await,
                }
            };
            let rings_out = tokio::select! {
                () = over => true,
                () = ended.notified() => false,
            };
            locked(&shared.ringing).remove(request.branch());
            if !rings_out {
                return shared.reply(&link, request.answer(487));
            }
            for endpoint in 0..endpoints.max(1) {
                shared.accept(&link, &request, &user, endpoint, &id);
            }
        });
    }

    /// One endpoint takes the invitation, with a tag of its own (W 22).
    fn accept(
        self: &Arc<Self>,
        link: &Link,
        request: &Message,
        user: &str,
        endpoint: usize,
        id: &str,
    ) {
        let who = self.with(user, |account| account.endpoints.get(endpoint).cloned());
        let Some(endpoint) = who.flatten() else {
            return;
        };
        let from = aor(uri_in(request.value("From")));
        let (to, epid, tag) = (request.value("To"), &endpoint.epid, hex(10));
        let local = format!("{to};epid={epid};tag={tag}");
        let mut answer = request.answer(200);
        answer.set("To", local.as_str());
        let [edge, pool] = self.seal.routes(request.value("Call-ID"));
        answer.put("Record-Route", pool);
        answer.put("Record-Route", edge);
        answer.put("Contact", format!("<{}>", endpoint.gruu));
        answer.put("User-Agent", self.setup.profile.agent());
        for tag in [
            "ms-sender",
            "histinfo",
            "ms-safe-transfer",
            "ms-conf-invite",
        ] {
            answer.put("Supported", tag);
        }
        let allow = "INVITE, BYE, ACK, CANCEL, INFO, MESSAGE, UPDATE, REFER, NOTIFY, BENOTIFY";
        answer.put("Allow", allow);
        let own = format!("sip:{user}@{}", self.setup.domain);
        answer.carry("application/sdp", self.sdp(&own));
        let dialog = Dialog::invited(request, local);
        let conversation = self.keep(user, &from, dialog, id.to_owned(), false);
        self.news(user, News::Invited(from));
        self.reply(link, answer.clone());
        let (shared, link) = (Arc::clone(self), link.clone());
        tokio::spawn(async move {
            let again = shared.until_settled(&link, &answer, &conversation.talk);
            if timeout(ACK_LIMIT, again).await.is_err() {
                shared.fault(format!("no ACK for {}", answer.value("To")));
            }
        });
    }

    /// Sends a 200 again until its ACK has come.
    async fn until_settled(&self, link: &Link, answer: &Message, talk: &Talk) {
        let mut pause = AGAIN;
        loop {
            sleep(pause).await;
            if talk.settled.load(Ordering::Relaxed) {
                return;
            }
            self.reply(link, answer.clone());
            pause = (pause * 2).min(Duration::from_secs(4));
        }
    }

    /// The caller gives up.
    pub(super) fn on_cancel(&self, link: &Link, request: &Message) {
        let ringing = locked(&self.ringing).get(request.branch()).cloned();
        match ringing {
            Some(ended) => {
                self.reply(link, request.answer(200));
                ended.notify_one();
            }
            None => self.reply(link, request.answer(481)),
        }
    }
}
