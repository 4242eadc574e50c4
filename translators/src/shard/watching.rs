//! XMPP users who watch SIP users: stanzas, policy, peers and time become steps of
//! [`Subscriber`]. What is asked of the SIP side and comes from there
//! is in `asking`, what the watchers are shown in `showing`.

use std::sync::Arc;
use std::time::Duration;

use crate::limits;
use crate::mapping::failure::{self, Own};
use crate::mapping::presence;
use crate::model::{Directory, Domain, Pair, PeerId, Profile, Role, Side, Wall};
use crate::origin::Origin;
use crate::policy::Affected;
use crate::presence::notifier::Link;
use crate::presence::subscriber::{Moment, Steps, Subscriber, Terms};
use crate::presence::{DocumentRecord, Notifier, SubscriptionRecord};
use crate::shard::relations::Both;
use crate::shard::turn::Turn;
use crate::shard::{Event, Shard, Standing, Timer};
use crate::xmpp::{Presence, PresenceKind};

/// What is due now has its turn at the earliest so much later, if it was not done in this one.
const TICK: Duration = Duration::from_millis(100);

impl Shard {
    /// Takes `subscribe`, `unsubscribe` or `probe` of the XMPP user.
    pub(super) fn on_watcher(
        &mut self,
        origin: &Origin,
        pair: &Pair,
        stanza: &Presence,
        turn: &mut Turn,
    ) {
        let is_new = !self.is_watching(pair);
        let refused = self.why_no_contact(pair).filter(|_| is_new);
        match (stanza.kind, refused) {
            (PresenceKind::Unsubscribe, _) => {
                self.watch(pair, turn, |machine, _| machine.on_unsubscribe());
            }
            (PresenceKind::Subscribe, Some(own)) => {
                self.refuse_subscribe(origin, pair, stanza, own, turn);
            }
            (PresenceKind::Subscribe, None) => {
                self.make_room(pair, turn);
                self.watch(pair, turn, |machine, moment| machine.on_subscribe(moment));
            }
            (PresenceKind::Probe, Some(_)) => {
                self.tell_watcher(pair, &presence::unavailable(pair), None, turn);
            }
            (PresenceKind::Probe, None) => {
                self.make_room(pair, turn);
                let device = stanza.from.resource().map(|device| device.as_str().into());
                self.watch(pair, turn, |machine, moment| {
                    machine.on_probe(device, moment)
                });
            }
            (
                PresenceKind::Available
                | PresenceKind::Error
                | PresenceKind::Subscribed
                | PresenceKind::Unavailable
                | PresenceKind::Unsubscribed,
                _,
            ) => {}
        }
    }

    /// Takes note that the XMPP user says again what he has said before: so do servers when a block
    /// ends that they keep to themselves.
    pub(super) fn on_watcher_online(&mut self, pair: &Pair, turn: &mut Turn) {
        self.watch_known(pair, turn, |machine, moment| machine.on_online(moment.now));
    }

    /// Takes up a relation after a start. Nothing is sent before its peers have a link.
    pub(super) fn restore_watching(
        &mut self,
        record: SubscriptionRecord,
        from_backup: Option<Wall>,
        turn: &mut Turn,
    ) {
        let pair = record.pair;
        let Some(body) = record.body else { return };
        let restored = Subscriber::restore(&body, from_backup.is_some(), turn.now);
        let Ok((mut machine, _)) = restored else {
            turn.tell(Event::RecordDamaged(Role::Subscriber));
            return;
        };
        machine.share_routes(&mut self.routes);
        turn.moved(&pair, None, standing(&machine));
        let tag = machine.tag();
        if let Some(both) = self.relations.open(&pair) {
            both.watching = Some(Box::new(machine));
        }
        if let Some(tag) = tag {
            self.relations.tag(tag.random(), &pair);
        }
        self.plan_watching(&pair, turn);
    }

    /// The peer on `side` has a link again: sends what is due to it.
    pub(super) fn recover_watching(&mut self, pair: &Pair, side: Side, turn: &mut Turn) {
        self.watch_known(pair, turn, |machine, moment| {
            let decided = machine.on_verdict(moment);
            decided.then(match side {
                Side::Sip => machine.on_return(),
                Side::Xmpp => machine.on_reachable(moment),
            })
        });
    }

    /// Takes up what the XMPP user was shown of the SIP user.
    pub(super) fn restore_shown(&mut self, record: &DocumentRecord, turn: &Turn) {
        let both = self.relations.of(&record.pair);
        let machine = both.and_then(|both| both.watching.as_mut());
        if let (Some(machine), Some(body)) = (machine, &record.body) {
            // Without it all is shown anew when the peer has told it.
            machine.restore_document(body, turn.now);
            self.plan_watching(&record.pair, turn);
        }
    }

    /// Decides anew on live relations after a change of policy.
    pub(super) fn decide_watching(&mut self, affected: &Affected, turn: &mut Turn) {
        for pair in self.watching_pairs(|pair| affected.holds(pair)) {
            self.watch_known(&pair, turn, |machine, moment| machine.on_verdict(moment));
        }
    }

    /// Takes note that a peer can be reached again, or no more; `before` is how it was.
    pub(super) fn on_watching_peer(
        &mut self,
        peer: &PeerId,
        up: bool,
        before: Link,
        turn: &mut Turn,
    ) {
        let is_sip = |profile: &Profile| profile.side() == Side::Sip;
        if !self.directory.peer(peer).is_some_and(is_sip) {
            return;
        }
        let away = match before {
            Link::Down(since) => turn.now.mono.since(since.mono),
            Link::Up(_) => Duration::ZERO,
        };
        for pair in self.watching_pairs_of(peer) {
            self.watch_known(&pair, turn, |machine, moment| match up {
                true => machine.on_peer_up(away, moment),
                false => machine.on_peer_down(moment),
            });
        }
    }

    /// Takes note that a peer is not to be believed when it ends what it granted.
    pub(super) fn on_watching_suspect(&mut self, peer: &PeerId, turn: &mut Turn) {
        for pair in self.watching_pairs_of(peer) {
            self.watch_known(&pair, turn, |machine, moment| machine.on_suspect(moment));
        }
    }

    /// Does what is due for a relation.
    pub(super) fn on_watching_time(&mut self, pair: &Pair, turn: &mut Turn) {
        self.watch_known(pair, turn, |machine, moment| machine.on_time(moment));
    }

    /// Lets an event happen to the relation of a pair, or to a new one.
    pub(super) fn watch(
        &mut self,
        pair: &Pair,
        turn: &mut Turn,
        event: impl FnOnce(&mut Subscriber, &mut Moment<'_>) -> Steps,
    ) {
        let Some(both) = self.relations.open(pair) else {
            return;
        };
        let mut machine = both.watching.take().unwrap_or_default();
        let before = standing(&machine);
        let steps = self.watch_step(pair, &mut machine, turn, event);
        let after = standing(&machine);
        if let Some(both) = self.relations.of(pair) {
            both.watching = Some(machine);
        }
        turn.moved(pair, before, after);
        self.show_steps(pair, steps, turn);
    }

    /// Lets an event happen to the relation of a pair, if there is one.
    pub(super) fn watch_known(
        &mut self,
        pair: &Pair,
        turn: &mut Turn,
        event: impl FnOnce(&mut Subscriber, &mut Moment<'_>) -> Steps,
    ) {
        if self.is_watching(pair) {
            self.watch(pair, turn, event);
        }
    }

    /// Lets an event happen to a machine that is out of its place.
    pub(super) fn watch_step<R>(
        &mut self,
        pair: &Pair,
        machine: &mut Subscriber,
        turn: &Turn,
        event: impl FnOnce(&mut Subscriber, &mut Moment<'_>) -> R,
    ) -> R {
        let directory = Arc::clone(&self.directory);
        let peer = owner(&directory, Side::Sip, pair);
        let sip = peer.and_then(Profile::sip);
        let conditional = sip.is_some_and(|sip| sip.conditional);
        let microsoft = sip.is_some_and(|sip| sip.microsoft.is_some());
        let peer = peer.map(|profile| &profile.id);
        let mut moment = Moment {
            now: turn.now,
            verdict: self.policy.decide(pair).verdict,
            down: peer.is_none_or(|peer| self.rests(pair, peer)),
            terms: Terms {
                microsoft,
                conditional,
                suspect: peer.is_some_and(|peer| self.suspects.contains(peer)),
            },
            rng: &mut self.rng,
        };
        event(machine, &mut moment)
    }

    /// Whether timers of a pair that need answers of its peer rest.
    fn rests(&self, pair: &Pair, peer: &PeerId) -> bool {
        self.links.is_down(peer) || self.recovery.is_awaited(peer, pair)
    }

    /// Sets the timer of a relation.
    pub(super) fn plan_watching(&mut self, pair: &Pair, turn: &Turn) {
        let peer = self.peer_of(Side::Sip, pair).map(|peer| peer.id.clone());
        let rests = peer.is_none_or(|peer| self.rests(pair, &peer));
        let timer = Timer::Watching(self.relations.kept(pair));
        let both = self.relations.of(pair);
        let machine = both.and_then(|both| both.watching.as_ref());
        match machine.and_then(|machine| machine.next(rests)) {
            // What is due is done once: a timer in the past would be popped in this turn again.
            Some(at) => self.timers.set(timer, at.max(turn.now.mono + TICK)),
            None => {
                self.timers.cancel(&timer);
            }
        }
    }

    /// Keeps the record of a relation, before what depends on it where that is needed and can be.
    pub(super) fn keep_watching(&mut self, pair: &Pair, first: bool, turn: &mut Turn) {
        if first && !self.journal.is_read_only() {
            self.store_watching(pair, turn);
            return;
        }
        if first {
            self.journal.set_aside(Role::Subscriber, pair);
        }
        let record = self.watching_record(pair, turn);
        turn.note(record);
    }

    pub(super) fn store_watching(&mut self, pair: &Pair, turn: &mut Turn) {
        let record = self.watching_record(pair, turn);
        turn.store(record);
    }

    fn watching_record(&mut self, pair: &Pair, turn: &Turn) -> SubscriptionRecord {
        let both = self.relations.of(pair);
        let machine = both.and_then(|both| both.watching.as_ref());
        SubscriptionRecord {
            pair: pair.clone(),
            role: Role::Subscriber,
            body: machine.and_then(|machine| machine.record(turn.now)),
        }
    }

    /// Whether the XMPP user watches the SIP user, or has asked to.
    pub(super) fn is_watching(&mut self, pair: &Pair) -> bool {
        let both = self.relations.of(pair);
        both.is_some_and(|both| both.watching.is_some())
    }

    /// The peer of the user on `side`.
    pub(super) fn peer_of(&self, side: Side, pair: &Pair) -> Option<&Profile> {
        owner(&self.directory, side, pair)
    }

    pub(super) fn watching_pairs(&self, wanted: impl Fn(&Pair) -> bool) -> Vec<Pair> {
        let all = self.relations.iter();
        let all = all.filter(|both| both.watching.is_some() && wanted(&both.pair));
        all.map(|both| both.pair.clone()).collect()
    }

    fn watching_pairs_of(&self, peer: &PeerId) -> Vec<Pair> {
        let profile = self.directory.peer(peer);
        let domains: Vec<&str> = profile.map_or_else(Vec::new, |profile| {
            profile.domains.iter().map(|one| one.as_str()).collect()
        });
        self.watching_pairs(|pair| domains.contains(&pair.aor.image().domain().as_str()))
    }

    /// Why a new relation cannot be taken, if it cannot.
    pub(super) fn why_no_contact(&self, pair: &Pair) -> Option<Own> {
        if self.journal.is_read_only() {
            return Some(Own::Overloaded);
        }
        let most = self.contacts_of(pair);
        (self.contacts(pair) >= most).then_some(Own::TooManyContacts { limit: most })
    }

    /// How many contacts and watchers an XMPP user has; those who have said no are none.
    pub(super) fn contacts(&self, pair: &Pair) -> usize {
        let counts = |machine: &Subscriber| !machine.is_denied();
        self.relations.count(&pair.jid, counts, Notifier::counts)
    }

    /// How many contacts and watchers an XMPP user may have.
    pub(super) fn contacts_of(&self, pair: &Pair) -> usize {
        let profile = self.peer_of(Side::Xmpp, pair).and_then(Profile::xmpp);
        profile.map_or(limits::CONTACTS_AND_WATCHERS, |xmpp| xmpp.contacts)
    }

    /// Forgets refusals where a new relation needs the room.
    pub(super) fn make_room(&mut self, pair: &Pair, turn: &mut Turn) {
        if self.is_watching(pair)
            || self.relations.count(&pair.jid, |_| true, |_| true) < self.contacts_of(pair)
        {
            return;
        }
        let denied = self
            .relations
            .of_user(&pair.jid)
            .find(|both| is_denied(both));
        if let Some(other) = denied.map(|both| both.pair.clone()) {
            self.watch(&other, turn, |machine, _| machine.forget());
        }
    }

    /// Tells a watcher that he cannot have another contact: by an error that his client can show,
    /// and, since servers lose errors to a bare address, by `unsubscribed`. He was never granted
    /// anything.
    fn refuse_subscribe(
        &mut self,
        origin: &Origin,
        pair: &Pair,
        stanza: &Presence,
        own: Own,
        turn: &mut Turn,
    ) {
        let failure = own.failure();
        let error = failure::to_xmpp(&failure, pair.aor.domain().as_ref());
        if let Some(answer) = stanza.failed(&error) {
            self.tell_watcher(pair, &answer, None, turn);
        }
        self.tell_watcher(pair, &presence::unsubscribed(pair), None, turn);
        turn.tell(Event::Refused {
            side: Side::Xmpp,
            peer: origin.peer().clone(),
            failure,
        });
    }
}

/// The peer of the user on `side` of a pair.
fn owner<'a>(directory: &'a Directory, side: Side, pair: &Pair) -> Option<&'a Profile> {
    let domain = match side {
        Side::Sip => pair.aor.domain(),
        Side::Xmpp => Domain::parse(pair.jid.domain().as_str()),
    };
    directory.owner_on(side, &domain?)
}

/// How a relation is counted; not at all if there is none.
pub(super) fn standing(machine: &Subscriber) -> Option<Standing> {
    (!machine.is_absent()).then(|| Standing {
        role: Role::Subscriber,
        state: machine.state_name(),
        granted: machine.is_granted(),
    })
}

fn is_denied<N>(both: &Both<Subscriber, N>) -> bool {
    let machine = both.watching.as_ref();
    machine.is_some_and(|machine| machine.is_denied())
}
