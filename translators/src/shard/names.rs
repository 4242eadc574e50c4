//! What XMPP users are called, for peers whose software shows it to people: the nickname that they
//! tell (XEP-0172), else the full name on their vCard, else their local part.
//!
//! The vCard is asked for in the name of our domain, so that everybody may know what is answered; it
//! is kept for a day, and nothing ever waits for it.

use std::collections::{BTreeMap, VecDeque};

use jid::{BareJid, Jid};
use minidom::Element;
use rand::RngExt as _;

use crate::address;
use crate::limits;
use crate::model::{InstantMessage, Mono, Pair, PresenceState, Side};
use crate::origin::Origin;
use crate::shard::journal::domains;
use crate::shard::turn::{Parcel, Turn};
use crate::shard::{Class, Shard};
use crate::text::display_name;
use crate::xmpp::{Iq, Presence, ns, vcard};

/// Names of the XMPP users of a shard.
#[derive(Debug, Default)]
pub(super) struct Names {
    users: BTreeMap<BareJid, Known>,
    /// The same users, in the order in which they came; the first makes room.
    order: VecDeque<BareJid>,
    /// Requests that may still be answered, oldest first.
    asked: VecDeque<(Mono, u64)>,
}

/// What is known of one user's name.
#[derive(Debug, Default)]
struct Known {
    nick: Option<Box<str>>,
    full_name: Option<Box<str>>,
    /// Number and time of the last request for the vCard.
    asked: Option<(u64, Mono)>,
}

impl Names {
    fn of(&mut self, user: &BareJid) -> &mut Known {
        if !self.users.contains_key(user) {
            if self.users.len() >= limits::NAMES {
                let oldest = self.order.pop_front();
                oldest.and_then(|oldest| self.users.remove(&oldest));
            }
            self.order.push_back(user.clone());
        }
        self.users.entry(user.clone()).or_default()
    }

    /// Takes note of a nickname.
    fn hear(&mut self, user: &BareJid, nick: &str) {
        self.of(user).nick = Some(nick.into());
    }

    /// What the user is called.
    fn name(&self, user: &BareJid) -> Option<&str> {
        let known = self.users.get(user)?;
        known.nick.as_deref().or(known.full_name.as_deref())
    }

    /// Whether the vCard is to be asked for now, under this number; if so it counts as asked.
    fn asks(&mut self, user: &BareJid, number: u64, now: Mono) -> bool {
        let known = self.users.get(user);
        let told = known.is_some_and(|known| known.nick.is_some());
        let asked = known.and_then(|known| known.asked);
        let fresh = asked.is_some_and(|(_, at)| now.since(at) < limits::NAME_KEPT);
        if told || fresh {
            return false;
        }
        let lapsed = |asked: &(Mono, u64)| now.since(asked.0) >= limits::CARD_WAITS;
        while self.asked.front().is_some_and(lapsed) {
            self.asked.pop_front();
        }
        if self.asked.len() >= limits::CARDS_UNDER_WAY {
            return false;
        }
        self.asked.push_back((now, number));
        self.of(user).asked = Some((number, now));
        true
    }

    /// Takes the answer to a request; one that nobody waits for says nothing.
    fn answer(&mut self, user: &BareJid, number: u64, full_name: Option<String>) {
        let Some(known) = self.users.get_mut(user) else {
            return;
        };
        if known.asked.is_some_and(|(asked, _)| asked == number) {
            known.full_name = full_name.map(Into::into);
            self.asked.retain(|(_, asked)| *asked != number);
        }
    }
}

impl Shard {
    /// What the XMPP user of a pair is called, where the SIP user's software shows it. If neither his
    /// nickname nor his vCard is known, the vCard is asked for, and his local part stands for him.
    pub(super) fn name_of(&mut self, pair: &Pair, turn: &mut Turn) -> Option<String> {
        if !self.shows_names(pair) {
            return None;
        }
        let number = self.rng.random();
        if self.names.asks(&pair.jid, number, turn.now.mono) {
            self.ask_card(pair, number, turn);
        }
        let name = self.names.name(&pair.jid).map(str::to_owned);
        name.or_else(|| display_name(&address::plain_local(&pair.jid)?))
    }

    /// A state with the user's name, where the SIP user's software shows it.
    pub(super) fn with_name(
        &mut self,
        pair: &Pair,
        state: PresenceState,
        turn: &mut Turn,
    ) -> PresenceState {
        if state.name().is_some() {
            return state;
        }
        let name = self.name_of(pair, turn);
        state.with_name(name.map(Into::into))
    }

    /// Takes note of the nickname in a presence stanza of the XMPP user.
    pub(super) fn hear_nick(&mut self, pair: &Pair, presence: &Presence) {
        let nick = presence.payload("nick", ns::NICK).map(Element::text);
        if let Some(nick) = nick.as_deref().and_then(display_name) {
            self.hear_name(pair, &nick);
        }
    }

    /// Takes note of the XMPP user's nickname, a name for people already.
    pub(super) fn hear_name(&mut self, pair: &Pair, nick: &str) {
        if self.shows_names(pair) {
            self.names.hear(&pair.jid, nick);
        }
    }

    /// A message of the XMPP user with his name, where the SIP user's software shows it.
    pub(super) fn named(
        &mut self,
        pair: &Pair,
        mut message: InstantMessage,
        turn: &mut Turn,
    ) -> InstantMessage {
        match message.display_name.as_deref() {
            Some(nick) => self.hear_name(pair, nick),
            None => message.display_name = self.name_of(pair, turn),
        }
        message
    }

    /// Takes the answer to an IQ of ours.
    pub(super) fn on_iq(&mut self, origin: &Origin, iq: &Iq, turn: &mut Turn) {
        if let Some(number) = vcard::answered(iq) {
            let user = iq.from.to_bare();
            self.names.answer(&user, number, vcard::full_name(iq));
        }
        turn.settle(origin);
    }

    /// Whether names mean something to the software of the SIP user.
    fn shows_names(&self, pair: &Pair) -> bool {
        let sip = self.peer_of(Side::Sip, pair).and_then(|peer| peer.sip());
        sip.is_some_and(|sip| sip.microsoft.is_some())
    }

    fn ask_card(&self, pair: &Pair, number: u64, turn: &mut Turn) {
        let peer = self.peer_of(Side::Xmpp, pair).map(|peer| peer.id.clone());
        let (Some(peer), Some((remote, local))) = (peer, domains(pair)) else {
            return;
        };
        let ours = pair.aor.image().domain().as_str();
        let request = Jid::new(ours).map(|from| vcard::request(from, &pair.jid, number));
        let written = request.ok().and_then(|iq| iq.write(limits::STANZA).ok());
        if let Some(bytes) = written {
            turn.send(Parcel {
                peer,
                local,
                remote,
                link: None,
                elsewhere: false,
                class: Class::Control,
                key: None,
                bytes,
                give_up_at: turn.now.mono + limits::CARD_WAITS,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn user(number: usize) -> BareJid {
        BareJid::new(&format!("u{number}@xmpp.example")).unwrap()
    }

    fn at(seconds: u64) -> Mono {
        Mono::from_start(Duration::from_secs(seconds))
    }

    const DAY: u64 = 24 * 3_600;

    #[test]
    fn a_card_is_asked_for_once_a_day() {
        let mut names = Names::default();
        assert!(names.asks(&user(1), 7, at(0)));
        assert!(!names.asks(&user(1), 8, at(10)));
        assert_eq!(names.name(&user(1)), None);
        names.answer(&user(1), 7, Some("Alice".to_owned()));
        assert_eq!(names.name(&user(1)), Some("Alice"));
        assert!(!names.asks(&user(1), 9, at(DAY - 1)));
        assert!(names.asks(&user(1), 9, at(DAY)));
        // Until it is answered the old one stands.
        assert_eq!(names.name(&user(1)), Some("Alice"));
        names.answer(&user(1), 9, None);
        assert_eq!(names.name(&user(1)), None);
    }

    #[test]
    fn a_nickname_stands_before_a_card() {
        let mut names = Names::default();
        assert!(names.asks(&user(1), 7, at(0)));
        names.hear(&user(1), "Ali");
        names.answer(&user(1), 7, Some("Alice".to_owned()));
        assert_eq!(names.name(&user(1)), Some("Ali"));
        assert!(!names.asks(&user(1), 8, at(2 * DAY)));
    }

    #[test]
    fn an_answer_that_was_not_asked_for_says_nothing() {
        let mut names = Names::default();
        names.answer(&user(1), 7, Some("Mallory".to_owned()));
        assert!(names.asks(&user(1), 7, at(0)));
        names.answer(&user(1), 8, Some("Mallory".to_owned()));
        names.answer(&user(2), 7, Some("Mallory".to_owned()));
        assert_eq!(names.name(&user(1)), None);
        assert_eq!(names.name(&user(2)), None);
    }

    #[test]
    fn requests_and_names_are_bounded() {
        let mut names = Names::default();
        let most = limits::CARDS_UNDER_WAY;
        for number in 0..most {
            assert!(names.asks(&user(number), number as u64, at(0)));
        }
        assert!(!names.asks(&user(most), 99, at(59)));
        names.answer(&user(0), 0, None);
        assert!(names.asks(&user(most), 99, at(59)));
        assert!(!names.asks(&user(most + 1), 100, at(59)));
        assert!(names.asks(&user(most + 1), 100, at(60)));

        for number in 0..limits::NAMES + 5 {
            names.hear(&user(number), "N");
        }
        assert_eq!(names.users.len(), limits::NAMES);
        assert_eq!(names.order.len(), limits::NAMES);
        assert_eq!(names.name(&user(limits::NAMES + 4)), Some("N"));
    }
}
