//! Two peers and a gateway between them; every step is checked against [`Rights`].

use std::ops::AddAssign;
use std::time::Duration;

use translators::limits;
use translators::model::{Mono, Side};
use translators::policy::Verdict;

use crate::Peer;
use crate::rights::{Rights, Told};
use crate::shell::{Cut, Shell};
use crate::sip_presentity::Presentities;
use crate::sip_watcher::Watchers;
use crate::transition::{CONTACTS, Consent, DEVICES, Look, Mood, Transition, USERS};
use crate::wire::{Devices, attribute, between, carries, devices, field, look, status, user};
use crate::xmpp_server::{Flavour, XmppServer, index};

/// A pair by numbers: XMPP user, SIP user.
type Pair = (usize, usize);

/// How much a run could show; a test in which nothing happens proves nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    /// Stanzas that showed somebody to an XMPP user, and documents that did to a SIP user.
    pub(crate) shown: u32,
    /// Contacts that were refused, and subscriptions that were rejected.
    pub(crate) refused: u32,
    /// At the end, who sees somebody that is there.
    pub(crate) seeing: u32,
    /// At the end, who may not see somebody that is there.
    pub(crate) blind: u32,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.shown += other.shown;
        self.refused += other.refused;
        self.seeing += other.seeing;
        self.blind += other.blind;
    }
}

pub(crate) struct World {
    pub(crate) tally: Tally,
    shell: Shell,
    server: XmppServer,
    presentities: Presentities,
    watchers: Watchers,
    rights: Rights,
    peer: Peer,
}

impl World {
    pub(crate) fn new(flavour: Flavour, peer: Peer) -> Self {
        Self {
            tally: Tally::default(),
            shell: Shell::new(peer),
            server: XmppServer::new(flavour),
            presentities: Presentities::new(peer),
            watchers: Watchers::new(peer),
            rights: Rights::new(),
            peer,
        }
    }

    pub(crate) fn step(&mut self, transition: Transition) {
        let now = self.shell.seconds();
        match transition {
            Transition::Adds(user, contact) => {
                let sent = self.server.adds((user, contact));
                self.server_sends(sent);
            }
            Transition::Removes(user, contact) => {
                let sent = self.server.removes((user, contact));
                self.server_sends(sent);
            }
            Transition::Decides(user, contact, yes) => {
                let sent = self.server.decides((user, contact), yes);
                self.server_sends(sent);
            }
            Transition::Appears(user, device, look) => {
                let sent = self.server.appears(user, DEVICES[device], look);
                self.server_sends(sent);
            }
            Transition::Vanishes(user, device) => {
                let sent = self.server.vanishes(user, DEVICES[device]);
                self.server_sends(sent);
            }
            Transition::Watches(contact, user, endpoint) => {
                let sent = self.watchers.watches(contact, user, endpoint, now);
                self.peer_sends(sent);
            }
            Transition::StopsWatching(contact, user, endpoint) => {
                let sent = self.watchers.stops(contact, user, endpoint);
                self.peer_sends(sent);
            }
            Transition::Fetches(contact, user) => {
                let sent = self.watchers.fetches(contact, user, now);
                self.peer_sends(sent);
            }
            Transition::Says(contact, device, look) => {
                let devices = &mut self.presentities.devices[contact];
                match look {
                    Some(look) => devices.insert(DEVICES[device].to_owned(), look),
                    None => devices.remove(DEVICES[device]),
                };
                let sent = self.presentities.notifies(|pair| pair.1 == contact, now);
                self.peer_sends(sent);
            }
            Transition::Consents(contact, user, consent) => {
                self.presentities.consents.insert((user, contact), consent);
                let sent = self
                    .presentities
                    .notifies(|pair| pair == (user, contact), now);
                self.peer_sends(sent);
            }
            Transition::Forgets => self.presentities.forgets(),
            Transition::Resyncs(user, contact) => self.shell.resyncs((user, contact)),
            Transition::Doubts(doubted) => self.shell.doubts(doubted),
            Transition::Feels(mood) => self.presentities.mood = mood,
            Transition::XmppLink(up) => self.link(Side::Xmpp, up),
            Transition::SipLink(up) => self.link(Side::Sip, up),
            Transition::Cuts {
                xmpp,
                arrives,
                again,
            } => {
                let side = if xmpp { Side::Xmpp } else { Side::Sip };
                self.shell.cuts(side, Cut { arrives, again });
            }
            Transition::Paces(paced) => self.shell.paces(paced),
            Transition::Verdict(user, contact, verdict) => {
                self.shell.decides((user, contact), verdict)
            }
            Transition::Restarts => {
                // What could not be stored before a kill is lost with it; that is another test.
                self.shell.set_disk_full(false);
                self.pass(limits::STORE_PAUSE * 2);
                self.rights.all().for_each(|told| told.stale = true);
                self.shell.restart();
            }
            Transition::DiskFull(full) => self.shell.set_disk_full(full),
            Transition::Passes(seconds) => self.pass(Duration::from_secs(seconds)),
        }
        self.run();
    }

    fn link(&mut self, side: Side, up: bool) {
        self.shell.link(side, up);
    }

    /// Time goes on, with everything that is due.
    fn pass(&mut self, span: Duration) {
        let end = self.shell.now.mono + span;
        loop {
            self.run();
            let start = Duration::from_secs(self.watchers.next().unwrap_or(u64::MAX));
            let start = Mono::from_start(start);
            let soonest = start.max(self.shell.now.mono).min(end);
            let quiet = self.shell.advance(soonest);
            let now = self.shell.seconds();
            self.presentities.expires(now);
            let sent = self.watchers.passes(now);
            self.peer_sends(sent);
            self.run();
            if quiet && self.shell.now.mono >= end {
                return;
            }
        }
    }

    /// Everything that was sent arrives, and is answered, until nothing is under way.
    fn run(&mut self) {
        self.look_at_what_was_made();
        while let Some((side, transmit)) = self.shell.deliver() {
            let text = String::from_utf8(transmit.bytes.to_vec()).unwrap();
            match side {
                Side::Sip => self.peer_takes(&text),
                Side::Xmpp => self.server_takes(&text),
            }
            self.look_at_what_was_made();
        }
    }

    /// What a shard decided to send is right by what it was told at that moment.
    fn look_at_what_was_made(&mut self) {
        for transmit in std::mem::take(&mut self.shell.made) {
            let text = String::from_utf8(transmit.bytes.to_vec()).unwrap();
            if text.starts_with("NOTIFY") {
                self.check_notify(&text, true);
            } else if carries(&text) {
                self.check_carried(&text, true);
            } else if text.starts_with("<presence") {
                self.check_stanza(&text, true);
            }
        }
    }

    /// A question for a vCard gets no answer: nothing waits for one.
    fn server_takes(&mut self, stanza: &str) {
        if stanza.starts_with("<iq") {
            return;
        }
        self.check_stanza(stanza, false);
        let sent = self.server.takes(stanza);
        self.server_sends(sent);
    }

    fn peer_takes(&mut self, text: &str) {
        let now = self.shell.seconds();
        if text.starts_with("SUBSCRIBE") {
            let sent = self.presentities.takes(text, now);
            self.peer_sends(sent);
        } else if text.starts_with("NOTIFY") {
            self.check_notify(text, false);
            let answer = self.watchers.takes(text);
            self.peer_sends(vec![answer]);
        } else if field(text, "CSeq").ends_with("NOTIFY") {
            assert!(!text.contains("BENOTIFY"), "it is never answered: {text}");
            self.presentities.is_answered(text);
        } else if status(text) >= 200 {
            if carries(text) {
                self.check_carried(text, false);
            }
            self.watchers.is_answered(text, now);
        }
    }

    /// Stanzas of the server reach the gateway, or are lost with the link.
    fn server_sends(&mut self, stanzas: Vec<String>) {
        for stanza in stanzas {
            // Ours and theirs are written alike.
            let stanza = stanza.replace('\'', "\"");
            let (pair, kind) = (pair_of_user(&stanza), attribute(&stanza, "type"));
            if !self.shell.is_up(Side::Xmpp) {
                let about_presence = matches!(kind, "" | "unavailable" | "probe");
                self.rights.of(pair).lost |= !about_presence;
                continue;
            }
            self.tells(pair, kind, &stanza);
            self.shell.stanza(&stanza);
            self.look_at_what_was_made();
        }
    }

    /// What a stanza of the server changes in the rights.
    fn tells(&mut self, pair: Pair, kind: &str, stanza: &str) {
        let full = self.shell.disk_full;
        let told = self.rights.of(pair);
        let from = attribute(stanza, "from");
        let device = from.split_once('/').map_or("", |(_, device)| device);
        match kind {
            "" => {
                told.stale = false;
                told.user_devices.insert(device.to_owned(), look(stanza));
            }
            "unavailable" => told
                .user_devices
                .retain(|other, _| !device.is_empty() && other != device),
            // A request that cannot be kept is refused.
            "subscribe" => told.removed = full,
            "unsubscribe" => {
                told.removed = true;
                told.contact_consents = false;
            }
            "subscribed" => {
                told.user_consents = true;
                told.may_reject = false;
            }
            "unsubscribed" => {
                told.user_consents = false;
                told.user_devices.clear();
                told.may_reject = true;
            }
            "probe" => {}
            other => panic!("nobody sends {other}"),
        }
    }

    /// Messages of the SIP peer reach the gateway, or are lost with the link.
    fn peer_sends(&mut self, messages: Vec<String>) {
        for text in messages {
            let notifies = text.starts_with("NOTIFY") || text.starts_with("BENOTIFY");
            let up = self.shell.is_up(Side::Sip);
            if notifies && !up {
                self.presentities.loses(&text);
            } else if notifies {
                let pair = (user(&text, "To"), user(&text, "From"));
                self.is_told_by_contact(pair, &text);
            } else if up && carries(&text) {
                let pair = (user(&text, "From"), user(&text, "To"));
                self.is_told_by_contact(pair, &text);
            } else if up && field(&text, "CSeq").ends_with("SUBSCRIBE") {
                self.is_answered_by_contact(&text);
            }
            if up {
                self.shell.message(&text);
                self.look_at_what_was_made();
            }
        }
    }

    fn is_told_by_contact(&mut self, (watcher, contact): (&str, &str), notify: &str) {
        let pair = (index(&USERS, watcher), index(&CONTACTS, contact));
        let stands = self.stands(pair);
        let told = self.rights.of(pair);
        let state = field(notify, "Subscription-State").to_ascii_lowercase();
        if state.starts_with("active") {
            told.contact_consents = true;
            told.refused = false;
            let body = between(notify, "\r\n\r\n", "\u{0}").replace('\'', "\"");
            told.contact_devices = Some(devices(&body));
            told.stale = false;
        } else if state.starts_with("pending") {
            told.contact_consents = false;
        } else if state.contains("rejected") {
            told.contact_consents = false;
            told.refused = !stands;
        }
    }

    /// Whether nothing that the SIP peer says ends what it granted.
    fn stands(&self, pair: Pair) -> bool {
        let doubted = self.shell.is_doubted || self.peer == Peer::Microsoft;
        doubted && self.server.roster[&pair].to
    }

    /// Only some answers are a refusal for good (table `subscribe_failures`).
    fn is_answered_by_contact(&mut self, response: &str) {
        if !response.starts_with("SIP/2.0") {
            return;
        }
        let pair = (
            index(&USERS, user(response, "From")),
            index(&CONTACTS, user(response, "To")),
        );
        let believed = !self.stands(pair);
        if believed && matches!(status(response), 403 | 489 | 603) {
            self.rights.of(pair).refused = true;
        }
    }

    /// A stanza for an XMPP user, when it is made and again when it leaves.
    fn check_stanza(&mut self, stanza: &str, is_made: bool) {
        let from = attribute(stanza, "from");
        let (contact, device) = from.split_once('/').unwrap_or((from, ""));
        let to = attribute(stanza, "to");
        let pair = (
            index(&USERS, to.split('@').next().unwrap()),
            index(&CONTACTS, contact.split('@').next().unwrap()),
        );
        let verdict = self.shell.verdict(pair);
        let told = self.rights.of(pair).clone();
        match attribute(stanza, "type") {
            "" if is_made => {
                assert!(told.contact_consents, "shown without consent: {stanza}");
                let known = told.contact_devices.as_ref();
                check_known(device, look(stanza), known, told.stale, stanza);
                self.tally.shown += 1;
            }
            "" => assert_eq!(
                verdict,
                Verdict::Allow,
                "shown in spite of policy: {stanza}"
            ),
            "unsubscribed" if is_made => {
                let refused = verdict != Verdict::Allow || told.refused;
                assert!(
                    told.removed || refused,
                    "a contact is lost: {stanza} {told:?}"
                );
                self.tally.refused += 1;
            }
            "unsubscribe" => panic!("no SIP user takes back a wish: {stanza}"),
            _ => {}
        }
    }

    /// A NOTIFY for a SIP user, when it is made and again when it leaves.
    fn check_notify(&mut self, notify: &str, is_made: bool) {
        let pair = (
            index(&USERS, user(notify, "From")),
            index(&CONTACTS, user(notify, "To")),
        );
        self.check_shown(pair, notify, is_made);
        let told = self.rights.of(pair);
        if is_made && field(notify, "Subscription-State").contains("rejected") {
            assert!(told.may_reject, "rejected by nobody: {notify}");
            self.tally.refused += 1;
        }
    }

    /// An answer that stands for a NOTIFY.
    fn check_carried(&mut self, answer: &str, is_made: bool) {
        let pair = (
            index(&USERS, user(answer, "To")),
            index(&CONTACTS, user(answer, "From")),
        );
        self.check_shown(pair, answer, is_made);
    }

    /// What a SIP user is shown, when it is made and again when it leaves.
    fn check_shown(&mut self, pair: Pair, notify: &str, is_made: bool) {
        let shown = devices(between(notify, "\r\n\r\n", "\u{0}"));
        if !is_made {
            let allowed = self.shell.verdict(pair) == Verdict::Allow;
            assert!(
                allowed || shown.is_empty(),
                "shown in spite of policy: {notify}"
            );
            return;
        }
        let told = self.rights.of(pair).clone();
        if !shown.is_empty() {
            assert!(told.may_be_seen(), "shown without consent: {notify}");
            self.tally.shown += 1;
        }
        for (device, look) in &shown {
            let known = match self.peer {
                Peer::Hasty | Peer::Plain => told.user_devices.clone(),
                // One tuple stands for all devices.
                Peer::Microsoft => {
                    let same = told.user_devices.values().filter(|known| *known == look);
                    same.map(|look| (device.clone(), *look)).collect()
                }
            };
            check_known(device, *look, Some(&known), told.stale, notify);
        }
    }

    /// Everything works again, for long: whoever may see somebody sees him as he is.
    pub(crate) fn settle_down(&mut self) {
        self.shell.set_disk_full(false);
        self.shell.doubts(false);
        self.presentities.mood = Mood::Well;
        self.shell.mends();
        self.shell.paces(false);
        for side in [Side::Xmpp, Side::Sip] {
            self.link(side, true);
        }
        self.run();
        self.pass(limits::SUBSCRIBE_WAIT);
        let probes = self.server.probes();
        self.server_sends(probes);
        self.pass(Duration::from_secs(3 * 3_600));
        self.check_users();
        self.check_contacts();
    }

    fn check_users(&mut self) {
        for (pair, item) in self.server.roster.clone() {
            let allowed = self.shell.verdict(pair) == Verdict::Allow;
            let consents = self.presentities.consents[&pair] == Consent::Allow;
            if item.to {
                let devices = &self.presentities.devices[pair.1];
                let expected = self.tally.expect(allowed && consents, devices);
                let told = self.rights.of(pair);
                assert_eq!(item.view, expected, "what {pair:?} sees: {told:?}");
            }
        }
    }

    fn check_contacts(&mut self) {
        for endpoint in &self.watchers.endpoints {
            let pair = (endpoint.user, endpoint.contact);
            let told = self.rights.of(pair);
            let allowed = self.shell.verdict(pair) == Verdict::Allow;
            let sees = self.server.roster[&pair].from && allowed;
            if endpoint.gateway.is_none() || (told.lost && sees) {
                continue;
            }
            let expected = self.tally.expect(sees, &self.server.devices[pair.0]);
            assert!(endpoint.active || !sees, "{endpoint:?} waits: {told:?}");
            let (view, expected) = match self.peer {
                Peer::Hasty | Peer::Plain => (endpoint.view.clone(), expected),
                Peer::Microsoft => (in_one(&endpoint.view), in_one(&expected)),
            };
            assert_eq!(view, expected, "what {endpoint:?} sees: {told:?}");
        }
    }
}

/// The look of the most available device: it stands for all of them where there is one tuple.
fn in_one(devices: &Devices) -> Devices {
    let best = devices.values().copied().max_by_key(|look| match look {
        Look::Available => 2,
        Look::Dnd => 1,
        Look::Away => 0,
    });
    best.into_iter().map(|look| (String::new(), look)).collect()
}

impl Tally {
    /// What somebody sees who may see these devices, or may not.
    fn expect(&mut self, sees: bool, devices: &Devices) -> Devices {
        if !sees {
            self.blind += u32::from(!devices.is_empty());
            return Devices::new();
        }
        self.seeing += u32::from(!devices.is_empty());
        devices.clone()
    }
}

impl Told {
    /// Whether the SIP user may see the XMPP user. Presence that comes without a grant was sent to
    /// him on purpose.
    fn may_be_seen(&self) -> bool {
        self.user_consents || !self.user_devices.is_empty()
    }
}

/// A device looks as its user's side said last.
fn check_known(device: &str, shown: Look, told: Option<&Devices>, stale: bool, text: &str) {
    let known = told.and_then(|devices| devices.get(device));
    assert!(
        stale || known == Some(&shown),
        "{known:?} was told, not this: {text}"
    );
}

/// The pair of a stanza of the server.
fn pair_of_user(stanza: &str) -> Pair {
    let name = |attribute: &str| attribute.split('@').next().unwrap().to_owned();
    (
        index(&USERS, &name(attribute(stanza, "from"))),
        index(&CONTACTS, &name(attribute(stanza, "to"))),
    )
}
