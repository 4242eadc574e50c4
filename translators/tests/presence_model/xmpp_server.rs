//! The XMPP server: rosters and presence as RFC 6121 has them, with what real servers do otherwise.

use std::collections::BTreeMap;

use crate::transition::{CONTACTS, Look, USERS};
use crate::wire::{Devices, attribute, look};

/// Which server it is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flavour {
    /// Answers a request of a contact who was let in `subscribed`, without presence; says nothing of
    /// who is offline.
    Ejabberd,
    /// As ejabberd, and says nothing to a probe of a stranger.
    Openfire,
    /// Answers every probe, and requests of who was let in with presence.
    Prosody,
}

/// What a user and a contact are to each other.
#[derive(Clone, Debug, Default)]
pub(crate) struct Item {
    /// The user sees the contact.
    pub(crate) to: bool,
    /// The user asked to.
    pub(crate) asked: bool,
    /// The contact sees the user.
    pub(crate) from: bool,
    /// The contact asked to.
    pub(crate) wanted: bool,
    /// What the user sees of the contact.
    pub(crate) view: Devices,
}

#[derive(Debug)]
pub(crate) struct XmppServer {
    pub(crate) flavour: Flavour,
    /// By user.
    pub(crate) devices: Vec<Devices>,
    /// By user and contact.
    pub(crate) roster: BTreeMap<(usize, usize), Item>,
}

impl XmppServer {
    pub(crate) fn new(flavour: Flavour) -> Self {
        let pairs = (0..USERS.len()).flat_map(|user| (0..CONTACTS.len()).map(move |c| (user, c)));
        Self {
            flavour,
            devices: vec![Devices::new(); USERS.len()],
            roster: pairs.map(|pair| (pair, Item::default())).collect(),
        }
    }

    pub(crate) fn item(&mut self, pair: (usize, usize)) -> &mut Item {
        self.roster.get_mut(&pair).unwrap()
    }

    pub(crate) fn adds(&mut self, pair: (usize, usize)) -> Vec<String> {
        let item = self.item(pair);
        if item.to {
            return Vec::new();
        }
        item.asked = true;
        vec![typed(pair, "subscribe")]
    }

    /// The client asks with `remove` (RFC 6121 section 2.5.2): the server ends both ways.
    pub(crate) fn removes(&mut self, pair: (usize, usize)) -> Vec<String> {
        let item = self.item(pair);
        let mut sent = Vec::new();
        if item.to || item.asked {
            sent.push(typed(pair, "unsubscribe"));
        }
        item.to = false;
        item.asked = false;
        item.view.clear();
        sent.extend(self.refuses(pair));
        sent
    }

    pub(crate) fn decides(&mut self, pair: (usize, usize), yes: bool) -> Vec<String> {
        if !yes {
            return self.refuses(pair);
        }
        let item = self.item(pair);
        if !std::mem::take(&mut item.wanted) {
            return Vec::new();
        }
        item.from = true;
        let mut sent = vec![typed(pair, "subscribed")];
        sent.extend(self.current(pair));
        sent
    }

    fn refuses(&mut self, pair: (usize, usize)) -> Vec<String> {
        let devices = self.devices[pair.0].clone();
        let item = self.item(pair);
        let was_seen = std::mem::take(&mut item.from);
        if !was_seen && !std::mem::take(&mut item.wanted) {
            return Vec::new();
        }
        let mut sent = vec![typed(pair, "unsubscribed")];
        let unavailable = |device: &String| from_device(pair, device, " type='unavailable'", "");
        if was_seen {
            sent.extend(devices.keys().map(unavailable));
        }
        sent
    }

    pub(crate) fn appears(&mut self, user: usize, device: &str, look: Look) -> Vec<String> {
        let is_new = self.devices[user].insert(device.to_owned(), look).is_none();
        let mut sent = Vec::new();
        for contact in 0..CONTACTS.len() {
            let pair = (user, contact);
            if self.item(pair).from {
                sent.push(available(pair, device, look));
            }
            if is_new && self.item(pair).to {
                sent.push(from_device(pair, device, " type='probe'", ""));
            }
        }
        sent
    }

    pub(crate) fn vanishes(&mut self, user: usize, device: &str) -> Vec<String> {
        if self.devices[user].remove(device).is_none() {
            return Vec::new();
        }
        let pairs = (0..CONTACTS.len()).map(|contact| (user, contact));
        let seen = pairs.filter(|pair| self.roster[pair].from);
        seen.map(|pair| from_device(pair, device, " type='unavailable'", ""))
            .collect()
    }

    /// Every user comes anew: his server asks for what he should see.
    pub(crate) fn probes(&mut self) -> Vec<String> {
        let watching = self.roster.iter().filter(|(_, item)| item.to);
        watching.map(|(pair, _)| typed(*pair, "probe")).collect()
    }

    /// Takes a stanza of the gateway.
    pub(crate) fn takes(&mut self, stanza: &str) -> Vec<String> {
        let from = attribute(stanza, "from");
        let (contact, device) = from.split_once('/').unwrap_or((from, ""));
        let contact = index(&CONTACTS, contact.split('@').next().unwrap());
        let to = attribute(stanza, "to");
        let user = index(&USERS, to.split('@').next().unwrap());
        let pair = (user, contact);
        match attribute(stanza, "type") {
            "" => {
                assert!(!device.is_empty(), "available from a bare JID: {stanza}");
                let item = self.item(pair);
                if item.to {
                    item.view.insert(device.to_owned(), look(stanza));
                }
                Vec::new()
            }
            "unavailable" => {
                let view = &mut self.item(pair).view;
                view.retain(|other, _| !device.is_empty() && other != device);
                Vec::new()
            }
            "subscribe" => self.is_asked(pair),
            "subscribed" => {
                let item = self.item(pair);
                item.to |= std::mem::take(&mut item.asked);
                Vec::new()
            }
            "unsubscribed" => {
                let item = self.item(pair);
                (item.to, item.asked) = (false, false);
                item.view.clear();
                Vec::new()
            }
            "probe" => self.is_probed(pair),
            // Shown to the user, if at all.
            "error" => Vec::new(),
            other => panic!("nobody sends {other}: {stanza}"),
        }
    }

    fn is_asked(&mut self, pair: (usize, usize)) -> Vec<String> {
        let item = self.item(pair);
        if !item.from {
            item.wanted = true;
            return Vec::new();
        }
        let mut sent = vec![typed(pair, "subscribed")];
        if self.flavour == Flavour::Prosody {
            sent.extend(self.current(pair));
        }
        sent
    }

    fn is_probed(&mut self, pair: (usize, usize)) -> Vec<String> {
        if !self.item(pair).from {
            return match self.flavour {
                Flavour::Ejabberd | Flavour::Prosody => vec![typed(pair, "unsubscribed")],
                Flavour::Openfire => Vec::new(),
            };
        }
        let sent = self.current(pair);
        if sent.is_empty() && self.flavour == Flavour::Prosody {
            return vec![typed(pair, "unavailable")];
        }
        sent
    }

    /// The presence of each device of the user for the contact.
    fn current(&self, pair: (usize, usize)) -> Vec<String> {
        let devices = self.devices[pair.0].iter();
        devices
            .map(|(device, look)| available(pair, device, *look))
            .collect()
    }
}

pub(crate) fn index(names: &[&str], name: &str) -> usize {
    let at = names.iter().position(|other| *other == name);
    at.unwrap_or_else(|| panic!("nobody is called {name}"))
}

/// A stanza between bare addresses.
fn typed((user, contact): (usize, usize), kind: &str) -> String {
    let (user, contact) = (USERS[user], CONTACTS[contact]);
    format!("<presence from='{user}@xmpp.example' to='{contact}@sip.example' type='{kind}'/>")
}

fn available(pair: (usize, usize), device: &str, look: Look) -> String {
    let show = look.show();
    let show = match show {
        "" => String::new(),
        show => format!("<show>{show}</show>"),
    };
    from_device(pair, device, "", &show)
}

fn from_device((user, contact): (usize, usize), device: &str, kind: &str, content: &str) -> String {
    let (user, contact) = (USERS[user], CONTACTS[contact]);
    format!(
        "<presence from='{user}@xmpp.example/{device}' to='{contact}@sip.example'{kind}>{content}</presence>"
    )
}
