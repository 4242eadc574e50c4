//! Users behind the Edge: their endpoints, their state, their contacts and whom they block.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::conversation::Conversation;
use super::documents::State;
use super::link::Link;
use super::message::{Message, aor, parameter, uri_in};
use super::render::Rendered;
use super::sim::{Shared, Sim, hex};
use crate::inbox::{Inbox, locked, until};

/// How long something may take that should come at once.
const PATIENCE: Duration = Duration::from_secs(20);
/// The most subscriptions that one user may hold (MaxSubscriptions).
const MOST_SUBSCRIPTIONS: usize = 200;
/// The most unanswered questions about new watchers (MaxPromptedSubscriber).
const MOST_PROMPTS: usize = 200;

/// One place where a user is signed in.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Identifies it in From and To; not a tag.
    pub epid: String,
    /// Its GRUU, the Contact of its requests.
    pub gruu: String,
}

/// A user as the pool keeps him.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) display: String,
    pub(super) endpoints: Vec<Endpoint>,
    pub(super) state: State,
    pub(super) blocked: BTreeSet<String>,
    pub(super) prompts: BTreeSet<String>,
    pub(super) reply: Reply,
    /// Requests of a method that are refused.
    pub(super) refusals: BTreeMap<&'static str, Refusal>,
    pub(super) news: Arc<Inbox<News>>,
}

/// How the user's endpoints take an invitation to a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// After so long, with progress reports before; several endpoints may accept.
    Accept {
        /// From the INVITE to the 200.
        after: Duration,
        /// How many endpoints accept, each with a tag of its own.
        endpoints: usize,
    },
    /// Rings and never answers.
    Ring,
}

/// How something is refused.
#[derive(Clone, Debug, Default)]
pub struct Refusal {
    /// The status.
    pub status: u16,
    /// Lines of the answer.
    pub lines: Vec<(String, String)>,
    /// Media type and body.
    pub body: Option<(String, String)>,
}

impl Refusal {
    /// With a status alone.
    pub fn of(status: u16) -> Self {
        Self {
            status,
            ..Self::default()
        }
    }

    /// With a header line.
    pub fn line(mut self, name: &str, value: &str) -> Self {
        self.lines.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// What a user notices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// Somebody new watches: add or block?
    Asks {
        /// Who.
        watcher: String,
        /// The name that the question shows.
        name: String,
    },
    /// A contact looks different.
    Sees {
        /// Where the user is signed in.
        epid: String,
        /// Whom.
        contact: String,
        /// How.
        rendered: Rendered,
    },
    /// A conversation was opened by the other side.
    Invited(String),
    /// A text has come.
    Text {
        /// From whom.
        from: String,
        /// Its media type.
        media: String,
        /// What it says.
        text: String,
    },
    /// Somebody types, or stops.
    Types(String, bool),
    /// The other side has left the conversation.
    Left(String),
}

/// A signed-in user.
#[derive(Clone, Debug)]
pub struct User {
    pub(super) shared: Arc<Shared>,
    pub(super) name: String,
}

impl Sim {
    /// The names of all who are signed in.
    pub fn names(&self) -> Vec<String> {
        locked(&self.shared.users).keys().cloned().collect()
    }

    /// A user that was signed in before.
    pub fn user(&self, name: &str) -> Option<User> {
        let known = locked(&self.shared.users).contains_key(name);
        known.then(|| User {
            shared: Arc::clone(&self.shared),
            name: name.to_owned(),
        })
    }
}

impl Shared {
    pub(super) fn sign_in(self: &Arc<Self>, name: &str, endpoints: usize) -> User {
        let domain = &self.setup.domain;
        let endpoints = (0..endpoints.clamp(1, 3)).map(|_| {
            let id: [u8; 17] = rand::random();
            let id = URL_SAFE_NO_PAD.encode(id);
            Endpoint {
                epid: hex(10),
                gruu: format!("sip:{name}@{domain};opaque=user:epid:{id}A;gruu"),
            }
        });
        let mut letters = name.chars();
        let first = letters.next().map(char::to_uppercase);
        let first: String = first.into_iter().flatten().collect();
        let account = Account {
            display: format!("{first}{} Contoso", letters.as_str()),
            endpoints: endpoints.collect(),
            state: State::default(),
            blocked: BTreeSet::new(),
            prompts: BTreeSet::new(),
            reply: Reply::Accept {
                after: Duration::ZERO,
                endpoints: 1,
            },
            refusals: BTreeMap::new(),
            news: Arc::default(),
        };
        locked(&self.users).insert(name.to_owned(), account);
        User {
            shared: Arc::clone(self),
            name: name.to_owned(),
        }
    }

    /// Reads or changes a user; nothing without one.
    pub(super) fn with<T>(&self, name: &str, change: impl FnOnce(&mut Account) -> T) -> Option<T> {
        locked(&self.users).get_mut(name).map(change)
    }

    pub(super) fn news(&self, name: &str, news: News) {
        self.with(name, |account| account.news.push(news));
    }

    /// A user's request that opens a dialog.
    pub(super) fn begin(
        &self,
        user: &str,
        endpoint: usize,
        method: &str,
        to: &str,
    ) -> Option<Message> {
        let domain = &self.setup.domain;
        let (display, endpoint) = self.with(user, |account| {
            let endpoint = account.endpoints.get(endpoint).cloned();
            (account.display.clone(), endpoint)
        })?;
        let endpoint = endpoint?;
        let mut request = Message::request(method, &format!("sip:{to}"));
        let (tag, epid) = (hex(10), &endpoint.epid);
        request.put(
            "From",
            format!("\"{display}\"<sip:{user}@{domain}>;tag={tag};epid={epid}"),
        );
        request.put("To", format!("<sip:{to}>"));
        request.put("Call-ID", hex(32));
        request.put("CSeq", format!("1 {method}"));
        request.put("Contact", format!("<{}>", endpoint.gruu));
        Some(request)
    }

    /// Hands a request that the Edge let in to whom it is for.
    pub(super) fn inward(self: &Arc<Self>, link: &Link, request: Message) {
        let tag = parameter(request.value("To"), "tag");
        let user = aor(uri_in(request.value("To")));
        let user = user.split('@').next().unwrap_or_default().to_owned();
        if request.method() == "CANCEL" {
            return self.on_cancel(link, &request);
        }
        let known = locked(&self.users).contains_key(&user);
        if tag.is_none() && !known {
            let why = super::edge::Why::new(1003, "User does not exist");
            return self.refuse(link, &request, 404, &why);
        }
        if self.refuses(link, &request, &user) {
            return;
        }
        match (request.method(), tag) {
            ("SUBSCRIBE", None) => self.on_subscribe(link, &request, &user),
            ("SUBSCRIBE", Some(_)) => self.on_refresh(link, &request),
            ("NOTIFY" | "BENOTIFY", _) => self.on_notify(link, &request),
            ("INVITE", None) => self.on_invite(link, &request, &user),
            ("MESSAGE", None) => self.on_page(link, &request, &user),
            (_, Some(_)) => self.on_talk(link, &request),
            (_, None) => self.reply(link, request.answer(481)),
        }
    }

    /// Answers with the refusal that the user has for the method.
    fn refuses(&self, link: &Link, request: &Message, user: &str) -> bool {
        let method = request.method();
        let refusal = self.with(user, |account| account.refusals.get(method).cloned());
        let Some(refusal) = refusal.flatten() else {
            return false;
        };
        let mut answer = request.answer(refusal.status);
        if parameter(answer.value("To"), "tag").is_none() {
            let to = format!("{};tag={}", answer.value("To"), hex(32).to_uppercase());
            answer.set("To", to);
        }
        for (name, value) in &refusal.lines {
            answer.put(name, value.as_str());
        }
        if let Some((media, body)) = refusal.body {
            answer.carry(&media, body);
        }
        self.reply(link, answer);
        true
    }
}

impl User {
    /// The part of the address before the at sign.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The user's address of record.
    pub fn aor(&self) -> String {
        format!("{}@{}", self.name, self.shared.setup.domain)
    }

    /// What the user has noticed.
    pub fn news(&self) -> Arc<Inbox<News>> {
        let found = self
            .shared
            .with(&self.name, |account| Arc::clone(&account.news));
        found.unwrap_or_default()
    }

    /// Where the user is signed in.
    pub fn endpoints(&self) -> Vec<Endpoint> {
        let found = self
            .shared
            .with(&self.name, |account| account.endpoints.clone());
        found.unwrap_or_default()
    }

    /// Shows the user in another state; every watcher who may see it is told.
    pub async fn publish(&self, state: State) {
        self.shared
            .with(&self.name, |account| account.state = state);
        self.shared.notify_watchers(&self.name, None);
    }

    /// Adds a contact: every endpoint subscribes, with the word that it is on the list.
    pub async fn add(&self, contact: &str) -> Result<()> {
        self.watch(contact, true).await
    }

    /// Looks at somebody's card: every endpoint subscribes, without that word.
    pub async fn look_at(&self, contact: &str) -> Result<()> {
        self.watch(contact, false).await
    }

    async fn watch(&self, contact: &str, on_list: bool) -> Result<()> {
        let own = self.shared.watchings_of(&self.name).len();
        ensure!(
            own < MOST_SUBSCRIPTIONS,
            "{} holds {own} subscriptions already",
            self.name
        );
        for endpoint in 0..self.endpoints().len() {
            self.shared
                .subscribe(&self.name, endpoint, contact, on_list)
                .await?;
        }
        Ok(())
    }

    /// Removes a contact: every endpoint ends its subscription.
    pub async fn remove(&self, contact: &str) -> Result<()> {
        self.shared.unsubscribe(&self.name, contact).await
    }

    /// Blocks somebody: whoever watches sees an offline user, and keeps the subscription.
    pub fn block(&self, watcher: &str) {
        self.shared.with(&self.name, |account| {
            account.blocked.insert(watcher.to_owned());
            account.prompts.remove(watcher);
        });
        self.shared.notify_watchers(&self.name, Some(watcher));
    }

    /// Lets somebody see the user, again or at last.
    pub fn allow(&self, watcher: &str) {
        self.shared.with(&self.name, |account| {
            account.blocked.remove(watcher);
            account.prompts.remove(watcher);
        });
        self.shared.notify_watchers(&self.name, Some(watcher));
    }

    /// Whom the user was asked about and has not decided on.
    pub fn prompts(&self) -> Vec<String> {
        let found = self.shared.with(&self.name, |account| {
            account.prompts.iter().cloned().collect()
        });
        found.unwrap_or_default()
    }

    /// What each endpoint shows of a contact.
    pub fn sees(&self, contact: &str) -> Vec<Option<Rendered>> {
        self.shared.rendered(&self.name, contact)
    }

    /// Waits until every endpoint shows a contact so.
    pub async fn expect_sees(
        &self,
        contact: &str,
        what: &str,
        wanted: impl Fn(&Rendered) -> bool,
    ) -> Result<()> {
        self.expect_sees_within(PATIENCE, contact, what, wanted)
            .await
    }

    /// As `expect_sees`, with a limit of its own.
    pub async fn expect_sees_within(
        &self,
        limit: Duration,
        contact: &str,
        what: &str,
        wanted: impl Fn(&Rendered) -> bool,
    ) -> Result<()> {
        let all = || {
            let seen = self.sees(contact);
            !seen.is_empty() && seen.iter().all(|one| one.as_ref().is_some_and(&wanted))
        };
        let words = format!("{} sees {contact} {what}", self.name);
        let so = until(limit, &words, || std::future::ready(all())).await;
        so.map_err(|error| error.context(format!("{:?}", self.sees(contact))))
    }

    /// Decides how invitations are taken from now on.
    pub fn replies(&self, reply: Reply) {
        self.shared
            .with(&self.name, |account| account.reply = reply);
    }

    /// Refuses requests of a method from now on; takes that back with none.
    pub fn refuses(&self, method: &'static str, refusal: Option<Refusal>) {
        self.shared.with(&self.name, |account| match refusal {
            Some(refusal) => drop(account.refusals.insert(method, refusal)),
            None => drop(account.refusals.remove(method)),
        });
    }

    /// Opens a conversation with a first text.
    pub async fn start(&self, contact: &str, text: &str) -> Result<Conversation> {
        self.start_at(0, contact, text).await
    }

    /// As `start`, from one of the user's endpoints.
    pub async fn start_at(
        &self,
        endpoint: usize,
        contact: &str,
        text: &str,
    ) -> Result<Conversation> {
        self.shared
            .converse(&self.name, endpoint, contact, text)
            .await
    }

    /// The open conversation with somebody, whoever opened it.
    pub fn conversation(&self, contact: &str) -> Option<Conversation> {
        self.shared.open_conversation(&self.name, contact)
    }

    /// Waits for a text with these words.
    pub async fn expect_text(&self, words: &str) -> Result<News> {
        let what = format!("text \"{words}\" at {}", self.name);
        let wanted = |news: &News| matches!(news, News::Text { text, .. } if text == words);
        self.news().wait(&what, wanted).await
    }

    /// A request of one of the user's endpoints that opens a dialog, to be changed and sent.
    pub fn request(&self, endpoint: usize, method: &str, to: &str) -> Result<Message> {
        let request = self.shared.begin(&self.name, endpoint, method, to);
        request.ok_or_else(|| anyhow::anyhow!("{} has no endpoint {endpoint}", self.name))
    }
}

/// Notes that somebody new watches a user, unless too many such questions are open.
pub(super) fn prompt(account: &mut Account, watcher: &str, name: &str) {
    let is_new = account.prompts.len() < MOST_PROMPTS && account.prompts.insert(watcher.to_owned());
    if is_new {
        account.news.push(News::Asks {
            watcher: watcher.to_owned(),
            name: name.to_owned(),
        });
    }
}
