//! An XMPP user, whether a real server or the scripted peer stands behind him.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use minidom::Element;

use crate::inbox::{Inbox, PATIENCE, locked};
use crate::xml::{Look, escape};
use crate::xmpp_peer::{self, XmppPeer};
use crate::xmpp_user::XmppUser;

/// An XMPP user.
#[derive(Debug)]
pub struct Person {
    bare: String,
    way: Way,
}

#[derive(Debug)]
enum Way {
    /// A user of the scripted peer, who keeps in mind whom he lets in.
    Scripted(Arc<XmppPeer>, Mutex<Contacts>),
    /// A user of a real server.
    Account(Arc<XmppUser>),
}

/// What a server would know.
#[derive(Debug, Default)]
struct Contacts {
    let_in: BTreeSet<String>,
    mood: String,
}

impl Person {
    pub(super) fn scripted(peer: Arc<XmppPeer>, user: &str) -> Self {
        Self {
            bare: format!("{user}@{}", xmpp_peer::DOMAIN),
            way: Way::Scripted(peer, Mutex::default()),
        }
    }

    pub(super) fn account(user: Arc<XmppUser>) -> Self {
        Self {
            bare: user.jid().to_owned(),
            way: Way::Account(user),
        }
    }

    /// The bare JID.
    pub fn jid(&self) -> &str {
        &self.bare
    }

    fn user(&self) -> &str {
        self.bare.split('@').next().unwrap_or_default()
    }

    fn inbox(&self) -> &Inbox<Element> {
        match &self.way {
            Way::Scripted(peer, _) => peer.received(),
            Way::Account(user) => user.inbox(),
        }
    }

    /// How many stanzas have come, to wait for what comes behind them.
    pub fn mark(&self) -> usize {
        self.inbox().len()
    }

    /// Sends a stanza: its name, attributes without addresses, and content.
    pub async fn send(&self, name: &str, attributes: &str, to: &str, content: &str) -> Result<()> {
        let from = match (&self.way, attributes.contains("subscri")) {
            (Way::Account(_), _) => String::new(),
            (Way::Scripted(..), true) => format!("from='{}'", self.bare),
            (Way::Scripted(..), false) => format!("from='{}/lab'", self.bare),
        };
        let stanza = format!(
            "<{name} {from} to='{}' {attributes}>{content}</{name}>",
            escape(to)
        );
        match &self.way {
            Way::Account(user) => user.send(&stanza).await,
            Way::Scripted(peer, _) => {
                let domain = to.rsplit('@').next().unwrap_or(to);
                peer.send(domain.split('/').next().unwrap_or(domain), &stanza)
                    .await
            }
        }
    }

    /// Writes.
    pub async fn say(&self, to: &str, id: &str, text: &str) -> Result<()> {
        let content = format!("<body>{}</body>", escape(text));
        self.send("message", &format!("type='chat' id='{id}'"), to, &content)
            .await
    }

    /// Begins to type, or stops (XEP-0085).
    pub async fn types(&self, to: &str, state: &str) -> Result<()> {
        let content = format!("<{state} xmlns='http://jabber.org/protocol/chatstates'/>");
        self.send("message", "type='chat'", to, &content).await
    }

    /// Asks to see somebody.
    pub async fn subscribe(&self, to: &str) -> Result<()> {
        self.send("presence", "type='subscribe'", to, "").await
    }

    /// Lets somebody in and shows him the state, as a server would.
    pub async fn approve(&self, to: &str) -> Result<()> {
        self.send("presence", "type='subscribed'", to, "").await?;
        if let Way::Scripted(_, contacts) = &self.way {
            let mood = {
                let mut contacts = locked(contacts);
                contacts.let_in.insert(to.to_owned());
                contacts.mood.clone()
            };
            self.send("presence", "", to, &mood).await?;
        }
        Ok(())
    }

    /// Shows another state to everybody who was let in.
    pub async fn shows(&self, show: &str, status: &str) -> Result<()> {
        let show = match show {
            "" => String::new(),
            show => format!("<show>{show}</show>"),
        };
        let mood = format!("{show}<status>{}</status>", escape(status));
        match &self.way {
            Way::Account(user) => user.send(&format!("<presence>{mood}</presence>")).await,
            Way::Scripted(peer, contacts) => {
                let user = self.user().to_owned();
                peer.change(|script| drop(script.moods.insert(user, mood.clone())));
                let let_in = {
                    let mut contacts = locked(contacts);
                    contacts.mood.clone_from(&mood);
                    contacts.let_in.clone()
                };
                for contact in let_in {
                    self.send("presence", "", &contact, &mood).await?;
                }
                Ok(())
            }
        }
    }

    /// Becomes unavailable, for everybody who was let in.
    pub async fn hides(&self) -> Result<()> {
        match &self.way {
            Way::Account(user) => user.send("<presence type='unavailable'/>").await,
            Way::Scripted(_, contacts) => {
                let let_in = locked(contacts).let_in.clone();
                for contact in let_in {
                    self.send("presence", "type='unavailable'", &contact, "")
                        .await?;
                }
                Ok(())
            }
        }
    }

    /// Waits for a stanza from somebody behind the first `known` stanzas.
    pub async fn expect(
        &self,
        known: usize,
        from: &str,
        what: &str,
        wanted: impl Fn(&Element) -> bool,
    ) -> Result<Element> {
        self.expect_within(PATIENCE, known, from, what, wanted)
            .await
    }

    /// As `expect`, with a limit of its own.
    pub async fn expect_within(
        &self,
        limit: Duration,
        known: usize,
        from: &str,
        what: &str,
        wanted: impl Fn(&Element) -> bool,
    ) -> Result<Element> {
        let words = format!("{what} from {from} at {}", self.bare);
        self.inbox()
            .wait_behind(known, limit, &words, |stanza| {
                self.is_between(stanza, from) && wanted(stanza)
            })
            .await
    }

    /// The stanzas from somebody behind the first `known`.
    pub fn stanzas(&self, known: usize, from: &str) -> Vec<Element> {
        let stanzas = self.inbox().since(known).into_iter();
        stanzas
            .filter(|stanza| self.is_between(stanza, from))
            .collect()
    }

    /// The texts from somebody behind the first `known` stanzas.
    pub fn texts(&self, known: usize, from: &str) -> Vec<String> {
        let stanzas = self.stanzas(known, from).into_iter();
        stanzas
            .filter(|stanza| stanza.at("type") != "error")
            .filter_map(|stanza| stanza.body())
            .collect()
    }

    /// Waits for a text from somebody.
    pub async fn expect_text(&self, known: usize, from: &str, text: &str) -> Result<Element> {
        let what = format!("text \"{text}\"");
        let wanted = |stanza: &Element| {
            stanza.at("type") != "error" && stanza.body().as_deref() == Some(text)
        };
        self.expect(known, from, &what, wanted).await
    }

    /// Waits for the error of a message that was sent with this id.
    pub async fn expect_error(&self, from: &str, id: &str) -> Result<Element> {
        let wanted = |stanza: &Element| stanza.at("type") == "error" && stanza.at("id") == id;
        self.expect(0, from, &format!("error of {id}"), wanted)
            .await
    }

    /// Asks to see somebody and waits until he is seen with that note.
    pub async fn adds(&self, contact: &str, note: &str) -> Result<()> {
        let mark = self.mark();
        self.subscribe(contact).await?;
        let granted = |stanza: &Element| stanza.at("type") == "subscribed";
        self.expect(mark, contact, "subscribed", granted).await?;
        self.sees(mark, contact, note).await?;
        Ok(())
    }

    /// Waits until somebody is seen with that note.
    pub async fn sees(&self, known: usize, contact: &str, note: &str) -> Result<Element> {
        let wanted = |stanza: &Element| stanza.is_available() && stanza.text_of("status") == note;
        self.expect(known, contact, &format!("\"{note}\""), wanted)
            .await
    }

    fn is_between(&self, stanza: &Element, from: &str) -> bool {
        let bare = |jid: &str| jid.split('/').next().unwrap_or_default().to_owned();
        let to = bare(stanza.at("to"));
        bare(stanza.at("from")) == from && (to.is_empty() || to == self.bare)
    }
}
