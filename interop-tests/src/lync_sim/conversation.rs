//! Conversations: one INVITE dialog each, as a client keeps them (W 21 to 28).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, ensure};

use super::dialog::Dialog;
use super::invitation::rtf;
use super::link::{Answers, Link};
use super::message::{Message, aor, parameter, uri_in};
use super::sim::{Shared, Sim};
use super::user::{News, User};
use crate::inbox::locked;

/// Methods that a client takes.
pub(super) const ALLOW: &str =
    "INVITE, BYE, ACK, CANCEL, INFO, MESSAGE, UPDATE, REFER, NOTIFY, BENOTIFY";
/// Bodies that it takes.
const ACCEPT_TYPES: &str = "text/plain multipart/alternative image/gif text/rtf text/html \
    application/x-ms-ink application/ms-imdn+xml text/x-msmsgsinvite";

/// A dialog of a conversation.
#[derive(Debug)]
pub(super) struct Talk {
    pub(super) user: String,
    pub(super) with: String,
    pub(super) dialog: Mutex<Dialog>,
    pub(super) is_open: AtomicBool,
    /// The ACK has come, or gone.
    pub(super) settled: AtomicBool,
    /// Ms-Conversation-ID.
    pub(super) id: String,
    /// Later ones have a higher number.
    pub(super) number: u64,
}

/// A conversation of a user of the pool.
#[derive(Clone, Debug)]
pub struct Conversation {
    pub(super) shared: Arc<Shared>,
    pub(super) talk: Arc<Talk>,
}

/// An INVITE that has not been answered finally.
#[derive(Debug)]
pub struct Attempt {
    shared: Arc<Shared>,
    answers: Answers,
}

impl Sim {
    /// Sends an INVITE of a test's own, without waiting.
    pub async fn invite(&self, request: Message) -> Result<Attempt> {
        let answers = self.shared.ask(request).await?;
        Ok(Attempt {
            shared: Arc::clone(&self.shared),
            answers,
        })
    }
}

impl Sim {
    /// Sends an INVITE with its CANCEL right behind it, in one piece: the other side has no time to
    /// answer finally. Returns the answer to CANCEL as well.
    pub async fn invite_and_cancel(&self, request: Message) -> Result<(Attempt, Message)> {
        let shared = Arc::clone(&self.shared);
        let invite = shared.outward(request);
        let cancel = hop_request(&invite, "CANCEL");
        let link = shared.link().await?;
        let known = shared.received.len();
        let mut bytes = invite.bytes();
        bytes.extend(cancel.bytes());
        let answers = shared.await_answers(&link, invite);
        for message in [&answers.request, &cancel] {
            shared.sent.push((link.id, message.clone()));
        }
        link.write(bytes);
        let answer = shared.answer_to_cancel(known, &cancel).await?;
        Ok((Attempt { shared, answers }, answer))
    }
}

impl Attempt {
    /// Waits for the final answer; one that refuses is acknowledged hop by hop.
    pub async fn outcome(&mut self) -> Result<Message> {
        let answer = self.answers.last_of().await?;
        if answer.status() >= Some(300) {
            self.shared
                .acknowledge(&self.answers.request, &answer)
                .await?;
        }
        Ok(answer)
    }

    /// Keeps the conversation that an answer has made, and acknowledges it.
    pub async fn established(
        &self,
        user: &User,
        contact: &str,
        answer: &Message,
    ) -> Result<Conversation> {
        let invite = &self.answers.request;
        self.shared
            .established(&user.name, contact, invite, answer)
            .await
    }

    /// Gives up; returns the answer to CANCEL.
    pub async fn cancel(&self) -> Result<Message> {
        let invite = &self.answers.request;
        let request = hop_request(invite, "CANCEL");
        let known = self.shared.received.len();
        self.shared.put_on(&self.answers.link, &request);
        self.shared.answer_to_cancel(known, &request).await
    }
}

/// A request of the INVITE's own hop: its branch and its numbers (RFC 3261 sections 9.1, 17.1.1.3).
fn hop_request(invite: &Message, method: &str) -> Message {
    let mut request = Message::request(method, invite.uri());
    let via = invite.values("Via").first().copied().unwrap_or_default();
    request.put("Via", via);
    request.put("Max-Forwards", "70");
    for route in invite.lines("Route") {
        request.put("Route", route);
    }
    for name in ["From", "To", "Call-ID"] {
        request.put(name, invite.value(name));
    }
    request.put("CSeq", format!("{} {method}", invite.cseq().0));
    request
}

impl Shared {
    /// The description of a conversation (W 21, 22).
    pub(super) fn sdp(&self, who: &str) -> String {
        let ip = "192.168.66.57";
        format!(
            "v=0\r\no=- 0 0 IN IP4 {ip}\r\ns=session\r\nc=IN IP4 {ip}\r\nt=0 0\r\n\
             m=message 5060 sip {who}\r\na=accept-types:{ACCEPT_TYPES} \r\n"
        )
    }

    /// Opens a conversation; the text arrives exactly once, whichever way the other side takes it:
    /// it is sent again as a MESSAGE unless the 200 says that it was taken.
    pub(super) async fn converse(
        self: &Arc<Self>,
        user: &str,
        endpoint: usize,
        contact: &str,
        text: &str,
    ) -> Result<Conversation> {
        let caller = User {
            shared: Arc::clone(self),
            name: user.to_owned(),
        };
        let request = caller.invitation(endpoint, contact, text)?;
        let answers = self.ask(request.clone()).await?;
        let mut attempt = Attempt {
            shared: Arc::clone(self),
            answers,
        };
        let answer = attempt.outcome().await?;
        ensure!(
            answer.status() == Some(200),
            "no conversation with {contact}: {}",
            answer.verdict()
        );
        let conversation = self.established(user, contact, &request, &answer).await?;
        let tags = ["ms-text-format", "ms-embedded-first-message"];
        let announced = tags.iter().any(|tag| answer.names("Supported", tag));
        let believes = self.conduct().assumptions.embedded_is_announced_by_its_tag;
        let is_taken = announced && believes;
        if !text.is_empty() && !is_taken {
            let answer = conversation.write(text).await?;
            ensure!(
                answer.status() == Some(200),
                "{contact} takes conversations, but the first text was answered {}",
                answer.verdict()
            );
        }
        Ok(conversation)
    }

    /// Acknowledges a 200 and keeps the dialog.
    pub(super) async fn established(
        self: &Arc<Self>,
        user: &str,
        with: &str,
        request: &Message,
        answer: &Message,
    ) -> Result<Conversation> {
        let mut dialog = Dialog {
            call_id: request.value("Call-ID").to_owned(),
            local: request.value("From").to_owned(),
            remote: request.value("To").to_owned(),
            cseq: request.cseq().0,
            ..Dialog::default()
        };
        dialog.answered(answer);
        if !answer.text().contains("m=message ") {
            self.fault(format!("an answer without m=message: {}", answer.text()));
        }
        let ack = dialog.again("ACK", dialog.cseq);
        self.tell(ack).await?;
        let id = request.value("Ms-Conversation-ID").to_owned();
        Ok(self.keep(user, with, dialog, id, true))
    }

    pub(super) fn keep(
        self: &Arc<Self>,
        user: &str,
        with: &str,
        dialog: Dialog,
        id: String,
        settled: bool,
    ) -> Conversation {
        let key = dialog.key();
        let talk = Arc::new(Talk {
            user: user.to_owned(),
            with: with.to_owned(),
            dialog: Mutex::new(dialog),
            is_open: AtomicBool::new(true),
            settled: AtomicBool::new(settled),
            id,
            number: self.number(),
        });
        locked(&self.talks).insert(key, Arc::clone(&talk));
        Conversation {
            shared: Arc::clone(self),
            talk,
        }
    }

    /// The one in which a user writes: what was opened last is in front.
    pub(super) fn open_conversation(
        self: &Arc<Self>,
        user: &str,
        with: &str,
    ) -> Option<Conversation> {
        let talks = locked(&self.talks);
        let open = talks.values().filter(|talk| {
            talk.user == user && talk.with == with && talk.is_open.load(Ordering::Relaxed)
        });
        let talk = open.max_by_key(|talk| talk.number)?;
        Some(Conversation {
            shared: Arc::clone(self),
            talk: Arc::clone(talk),
        })
    }

    /// ACK of an answer that refuses: same hop, same branch.
    async fn acknowledge(self: &Arc<Self>, invite: &Message, answer: &Message) -> Result<()> {
        let mut ack = hop_request(invite, "ACK");
        ack.set("To", answer.value("To"));
        let link = self.link().await?;
        self.put_on(&link, &ack);
        Ok(())
    }

    /// Waits for the answer to a CANCEL, whose branch is that of its INVITE.
    async fn answer_to_cancel(&self, known: usize, cancel: &Message) -> Result<Message> {
        let (call_id, cseq) = (cancel.value("Call-ID"), cancel.cseq().0);
        let wanted = |(_, message): &(u64, Message)| {
            message.status().is_some()
                && message.value("Call-ID") == call_id
                && message.cseq() == (cseq, "CANCEL")
        };
        let limit = crate::inbox::PATIENCE;
        let found = self
            .received
            .wait_behind(known, limit, "answer to CANCEL", wanted);
        Ok(found.await?.1)
    }

    /// Somebody of the partner writes in page mode, which no Microsoft client does.
    pub(super) fn on_page(self: &Arc<Self>, link: &Link, request: &Message, user: &str) {
        self.fault(format!(
            "a MESSAGE outside a conversation: {}",
            request.start
        ));
        self.with(user, |account| {
            account.news.push(News::Text {
                from: aor(uri_in(request.value("From"))),
                media: request.media(),
                text: request.text(),
            });
        });
        self.reply(link, request.answer(200));
    }

    /// Whether a request belongs to a conversation.
    pub(super) fn converses(&self, request: &Message) -> bool {
        let tag = parameter(request.value("To"), "tag").unwrap_or_default();
        let key = (request.value("Call-ID").to_owned(), tag.to_owned());
        locked(&self.talks).contains_key(&key)
    }

    /// A request in the dialog of a conversation.
    pub(super) fn on_talk(self: &Arc<Self>, link: &Link, request: &Message) {
        let tag = parameter(request.value("To"), "tag").unwrap_or_default();
        let key = (request.value("Call-ID").to_owned(), tag.to_owned());
        let talk = locked(&self.talks).get(&key).cloned();
        let Some(talk) = talk.filter(|talk| talk.is_open.load(Ordering::Relaxed)) else {
            if request.method() != "ACK" {
                self.reply(link, request.answer(481));
            }
            return;
        };
        if request.method() == "ACK" {
            talk.settled.store(true, Ordering::Relaxed);
            return;
        }
        let mut dialog = locked(&talk.dialog);
        if !dialog.advances(request) {
            let last = dialog.remote_cseq;
            self.fault(format!(
                "{} {:?} behind {last:?}",
                request.start,
                request.cseq()
            ));
        }
        drop(dialog);
        let mut answer = request.answer(200);
        match request.method() {
            "MESSAGE" => self.on_text(&talk, request),
            "INFO" => {
                let typing = request.text().contains("status=\"type\"");
                if request.media() == "application/xml" {
                    self.news(&talk.user, News::Types(talk.with.clone(), typing));
                } else {
                    answer = request.answer(415);
                }
            }
            "BYE" => {
                talk.is_open.store(false, Ordering::Relaxed);
                locked(&self.talks).remove(&key);
                self.news(&talk.user, News::Left(talk.with.clone()));
            }
            "INVITE" | "UPDATE" => {
                locked(&talk.dialog).follows(request);
                self.answer_offer(&mut answer, &talk, request);
            }
            _ => answer = request.answer(405),
        }
        self.reply(link, answer);
    }

    fn answer_offer(&self, answer: &mut Message, talk: &Talk, request: &Message) {
        let gruu = self.with(&talk.user, |account| {
            account
                .endpoints
                .first()
                .map(|endpoint| endpoint.gruu.clone())
        });
        let gruu = gruu.flatten().unwrap_or_default();
        answer.put("Contact", format!("<{gruu}>"));
        if request.method() == "INVITE" || !request.body.is_empty() {
            let who = format!("sip:{}@{}", talk.user, self.setup.domain);
            answer.carry("application/sdp", self.sdp(&who));
        }
    }

    fn on_text(&self, talk: &Talk, request: &Message) {
        let text = request.text();
        let news = if request.media() == "application/im-iscomposing+xml" {
            News::Types(talk.with.clone(), text.contains(">active<"))
        } else {
            News::Text {
                from: talk.with.clone(),
                media: request.media(),
                text,
            }
        };
        self.news(&talk.user, news);
    }
}

impl Conversation {
    /// Whom it is with.
    pub fn with(&self) -> &str {
        &self.talk.with
    }

    /// Whether nobody has left.
    pub fn is_open(&self) -> bool {
        self.talk.is_open.load(Ordering::Relaxed)
    }

    /// Its Call-ID.
    pub fn call_id(&self) -> String {
        locked(&self.talk.dialog).call_id.clone()
    }

    /// Sends a request in the dialog and returns the final answer; a client drops the dialog on
    /// 408, 480 and 481.
    pub async fn send(&self, method: &str, content: Option<(&str, &str)>) -> Result<Message> {
        let mut request = locked(&self.talk.dialog).next(method);
        request.put("User-Agent", self.shared.setup.profile.agent());
        request.put("Supported", "ms-dialog-route-set-update");
        if let Some((media, body)) = content {
            request.carry(media, body);
        }
        if method == "INVITE" || method == "UPDATE" {
            let own = self.contact()?;
            request.put("Contact", own);
            request.put("Allow", ALLOW);
            request.put("Session-Expires", "1800;refresher=uac");
        }
        let answer = self.shared.ask(request.clone()).await?.last().await?;
        if method == "INVITE" && answer.status() == Some(200) {
            let ack = {
                let mut dialog = locked(&self.talk.dialog);
                dialog.follows(&answer);
                dialog.again("ACK", request.cseq().0)
            };
            self.shared.tell(ack).await?;
        }
        if matches!(answer.status(), Some(408 | 480 | 481)) && method != "BYE" {
            self.forget();
        }
        Ok(answer)
    }

    fn contact(&self) -> Result<String> {
        let gruu = self.shared.with(&self.talk.user, |account| {
            account
                .endpoints
                .first()
                .map(|endpoint| endpoint.gruu.clone())
        });
        let gruu = gruu.flatten().context("a user has an endpoint")?;
        Ok(format!("<{gruu}>"))
    }

    /// Writes; returns the final status.
    pub async fn say(&self, text: &str) -> Result<u16> {
        let answer = self.write(text).await?;
        answer.status().context("an answer has a status")
    }

    /// Writes; returns the final answer.
    pub async fn write(&self, text: &str) -> Result<Message> {
        let (rewrites, in_rtf) = {
            let conduct = locked(&self.shared.conduct);
            (conduct.rewrites_links, conduct.writes_rtf)
        };
        if in_rtf {
            return self.send("MESSAGE", Some(("text/rtf", &rtf(text)))).await;
        }
        let text = match rewrites {
            true => text
                .replace("http://", "_http://")
                .replace("https://", "_https://"),
            false => text.to_owned(),
        };
        let plain = ("text/plain; charset=UTF-8", text.as_str());
        self.send("MESSAGE", Some(plain)).await
    }

    /// Writes with a media type of a test's own.
    pub async fn say_as(&self, media: &str, body: &str) -> Result<u16> {
        let answer = self.send("MESSAGE", Some((media, body))).await?;
        answer.status().context("an answer has a status")
    }

    /// Begins or stops typing (R1).
    pub async fn types(&self, begins: bool) -> Result<u16> {
        let status = if begins { "type" } else { "idle" };
        let body = format!(
            "<?xml version=\"1.0\"?>\r\n<KeyboardActivity>\r\n  <status status=\"{status}\" />\r\n\
             </KeyboardActivity>\r\n"
        );
        let answer = self.send("INFO", Some(("application/xml", &body))).await?;
        answer.status().context("an answer has a status")
    }

    /// Offers the same again by INVITE or UPDATE.
    pub async fn offer_again(&self, method: &str) -> Result<Message> {
        let sdp = self.shared.sdp("null");
        self.send(method, Some(("application/sdp", &sdp))).await
    }

    /// Leaves.
    pub async fn leave(&self) -> Result<u16> {
        let answer = self.send("BYE", None).await?;
        self.forget();
        answer.status().context("an answer has a status")
    }

    /// Loses the dialog without a word, as a client that crashes.
    pub fn forget(&self) {
        self.talk.is_open.store(false, Ordering::Relaxed);
        let key = locked(&self.talk.dialog).key();
        locked(&self.shared.talks).remove(&key);
    }
}
