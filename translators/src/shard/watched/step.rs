//! An event of one relation: through the machine, and into effects.

use std::sync::Arc;

use crate::limits;
use crate::model::{Directory, Domain, Pair, PeerId, Role, Side, SipProfile};
use crate::presence::notifier::{Action, Asking, Keep, Reply, Scene, Step};
use crate::presence::{Composition, DocumentRecord, Notifier, SubscriptionRecord};
use crate::shard::journal::domains;
use crate::shard::question::Question;
use crate::shard::turn::Turn;
use crate::shard::watched::admissions::Admission;
use crate::shard::{Event, Kind, Lane, Shard, Standing, Timer, TransmitId};
use crate::sip::Answer;
use crate::sip::dialog::EndpointId;
use crate::sip::subscription::{granted, unchanged};

/// Both sides of a pair, and what holds around its relation.
#[derive(Debug)]
pub(super) struct Stage {
    /// The two users.
    pub(super) pair: Pair,
    /// The peers.
    directory: Arc<Directory>,
    /// Domain of the XMPP user.
    pub(super) xmpp_domain: Domain,
    /// Domain of the SIP user.
    pub(super) sip_domain: Domain,
    /// His peer.
    pub(super) xmpp: PeerId,
    /// His peer.
    pub(super) sip: PeerId,
    /// What the machine is told.
    pub(super) scene: Scene,
}

/// What an event came with.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cause<'a> {
    /// The SUBSCRIBE that is to be answered.
    pub(super) question: Option<&'a Question>,
    /// The name of its sender.
    pub(super) name: Option<&'a str>,
    /// Whether a relation is made where there is none.
    pub(super) makes: bool,
    /// Whether one was made.
    pub(super) made: bool,
}

/// A relation before an event.
struct Before {
    standing: Option<Standing>,
    tags: Vec<u64>,
    /// The endpoints of a user of the Microsoft profile, each once; of others they are not counted.
    devices: Vec<EndpointId>,
    seen: Option<Vec<u8>>,
}

impl Stage {
    /// The settings of the SIP user's peer.
    pub(super) fn profile(&self) -> Option<&SipProfile> {
        self.directory.peer(&self.sip)?.sip()
    }
}

impl Shard {
    /// Both sides of a pair; none if a peer of one of them was taken out of the configuration.
    pub(super) fn stage(&mut self, pair: &Pair, turn: &Turn) -> Option<Stage> {
        let directory = Arc::clone(&self.directory);
        let (xmpp_domain, sip_domain) = domains(pair)?;
        let xmpp = directory.owner_on(Side::Xmpp, &xmpp_domain)?.id.clone();
        let peer = directory.owner_on(Side::Sip, &sip_domain)?;
        let (sip, profile) = (peer.id.clone(), peer.sip()?);
        let microsoft = profile.microsoft.as_ref();
        let watching = self
            .relations
            .of(pair)
            .and_then(|both| both.watching.as_ref());
        let scene = Scene {
            now: turn.now,
            sip: self.links.of(&sip),
            xmpp: self.links.of(&xmpp),
            terminates: profile.terminate_on_block && microsoft.is_none(),
            watched_back: watching.is_some_and(|watching| watching.is_granted()),
            ask_after: microsoft.map_or(limits::ASK_AFTER, |it| it.ask_after),
            composition: match microsoft {
                None => Composition::Tuples,
                Some(_) => Composition::Single,
            },
            closes: microsoft.map(|it| it.undecided),
        };
        Some(Stage {
            pair: pair.clone(),
            directory,
            xmpp_domain,
            sip_domain,
            xmpp,
            sip,
            scene,
        })
    }

    /// Puts an event through the machine of a relation and carries out what follows.
    pub(super) fn step(
        &mut self,
        pair: &Pair,
        mut cause: Cause<'_>,
        turn: &mut Turn,
        event: impl FnOnce(&mut Notifier, &Scene) -> Step,
    ) {
        let Some(stage) = self.stage(pair, turn) else {
            return;
        };
        let found = self.relations.of(pair).and_then(|both| both.watched.take());
        let before = Before::of(found.as_deref(), &stage);
        let mut notifier = match found {
            Some(notifier) => notifier,
            None if cause.makes => {
                cause.made = true;
                Box::new(Notifier::new(self.policy.decide(pair).verdict))
            }
            None => return,
        };
        let step = event(&mut notifier, &stage.scene);
        let mut keep = step.keep;
        for action in step.actions {
            let kept = self.perform(action, &mut notifier, &stage, cause, turn);
            keep = keep.max(kept);
        }
        notifier.on_written(&stage.scene);
        self.settle_watched(notifier, &before, keep, &stage, turn);
    }

    /// Carries out one action; tells what it makes of the record.
    fn perform(
        &mut self,
        action: Action,
        notifier: &mut Notifier,
        stage: &Stage,
        cause: Cause<'_>,
        turn: &mut Turn,
    ) -> Keep {
        let pair = &stage.pair;
        match action {
            Action::Answer(reply) => {
                let Some(question) = cause.question else {
                    return Keep::Same;
                };
                let (answer, keep) = match reply {
                    Reply::Showing(tag, expires, show) => {
                        let shown = (tag, expires, show);
                        self.answer_showing(question, shown, notifier, stage, turn)
                    }
                    Reply::Forbidden
                    | Reply::Granted(..)
                    | Reply::Unchanged(..)
                    | Reply::Unknown => {
                        let whom = (pair, &stage.xmpp_domain);
                        (self.reply_to(question, whom, reply, turn), Keep::Same)
                    }
                };
                if let Reply::Granted(tag, 1..) | Reply::Showing(tag, 1.., _) = reply
                    && question.request.our_tag().is_none()
                {
                    let admission = Admission::new(question, pair, tag, cause.made);
                    self.admissions.insert(answer, admission);
                }
                keep
            }
            Action::Ask(asking) => {
                let name = cause.name.filter(|_| asking == Asking::Subscribe);
                self.ask_presentity(asking, name, stage, turn);
                Keep::Same
            }
            Action::End(ended) => self.send_last(*ended, notifier, stage, turn),
            Action::Notify(tag, show) => {
                self.send_presence(notifier, (tag, show), stage, cause.question, turn)
            }
            Action::Recall => {
                let (pair, kind) = (pair.clone(), Kind::Presence(Role::Notifier));
                turn.effects.recalls.push(Lane { pair, kind });
                Keep::Same
            }
        }
    }

    /// Answers a SUBSCRIBE without a document.
    fn reply_to(
        &mut self,
        question: &Question,
        (pair, local): (&Pair, &Domain),
        reply: Reply,
        turn: &mut Turn,
    ) -> TransmitId {
        let sent_by = self.place.hosts.of(local);
        let contact = |tag| sent_by.contact(tag);
        let answer = match reply {
            Reply::Granted(tag, expires) | Reply::Showing(tag, expires, _) => {
                granted(expires, contact(tag)).to_tag(tag.token())
            }
            Reply::Unchanged(tag, expires) => unchanged(expires, contact(tag)),
            Reply::Forbidden => return self.refuse_watcher(question, pair, turn),
            Reply::Unknown => Answer::new(481),
        };
        self.answer(question, answer, turn)
    }

    /// Puts a relation back after an event, and keeps what has to outlive a restart.
    fn settle_watched(
        &mut self,
        mut notifier: Box<Notifier>,
        before: &Before,
        keep: Keep,
        stage: &Stage,
        turn: &mut Turn,
    ) {
        let pair = &stage.pair;
        let after = Before::of(Some(&notifier), stage);
        for tag in before.tags.iter().filter(|tag| !after.tags.contains(tag)) {
            self.relations.untag(*tag);
        }
        if after.seen != before.seen {
            self.share_seen(pair, &mut notifier);
            turn.note(document_record(pair, notifier.seen_record()));
        }
        let body = notifier.record().filter(|_| keep != Keep::Gone);
        match keep {
            Keep::Same => {}
            Keep::Lazy => turn.note(subscription_record(pair, body)),
            Keep::Durable | Keep::Gone => turn.store(subscription_record(pair, body)),
        }
        turn.moved(pair, before.standing, after.standing);
        count_devices(pair, &before.devices, &after.devices, turn);
        let due = notifier.deadline(&stage.scene);
        if notifier.is_over() {
            self.relations.tidy(pair);
        } else if let Some(both) = self.relations.open(pair) {
            both.watched = Some(notifier);
        }
        for tag in after.tags.iter().filter(|tag| !before.tags.contains(tag)) {
            self.relations.tag(*tag, pair);
        }
        let timer = Timer::Watched(self.relations.kept(pair));
        match due {
            Some(at) => self.timers.set(timer, at),
            None => drop(self.timers.cancel(&timer)),
        }
    }

    /// Keeps what is known of the XMPP user where another of his watchers keeps the same.
    pub(super) fn share_seen(&self, pair: &Pair, notifier: &mut Notifier) {
        let others = self.relations.of_user(&pair.jid);
        let mut others = others.filter_map(|both| both.watched.as_deref());
        others.any(|other| notifier.share_seen(other));
    }

    /// Writes the record of a relation that could not be written, in its present form.
    pub(in crate::shard) fn store_watched(&mut self, pair: &Pair, turn: &mut Turn) {
        let watched = self
            .relations
            .of(pair)
            .and_then(|both| both.watched.as_ref());
        let body = watched.and_then(|notifier| notifier.record());
        turn.store(subscription_record(pair, body));
    }

    /// The domains of a pair as a transmit to the SIP side names them.
    pub(super) fn to_sip_domains(stage: &Stage) -> (Domain, Domain) {
        (stage.xmpp_domain.clone(), stage.sip_domain.clone())
    }
}

impl Before {
    fn of(notifier: Option<&Notifier>, stage: &Stage) -> Self {
        let endpoints = notifier.map(Notifier::endpoints).unwrap_or_default();
        let counts = stage.scene.closes.is_some();
        Self {
            devices: notifier.filter(|_| counts).map(devices).unwrap_or_default(),
            standing: notifier.and_then(standing),
            tags: endpoints.iter().map(|one| one.tag().random()).collect(),
            seen: notifier.and_then(Notifier::seen_record).map(<[u8]>::to_vec),
        }
    }
}

/// The endpoints of the SIP user that watch, each once: one that asks again without having ended what
/// it had, as after a crash, still watches one user.
pub(super) fn devices(notifier: &Notifier) -> Vec<EndpointId> {
    let endpoints = notifier.endpoints().iter();
    let mut devices: Vec<_> = endpoints.map(|one| one.dialog().endpoint()).collect();
    devices.sort_unstable();
    devices.dedup();
    devices
}

/// Tells which endpoints came and went.
pub(super) fn count_devices(
    pair: &Pair,
    before: &[EndpointId],
    after: &[EndpointId],
    turn: &mut Turn,
) {
    let gone = before.iter().filter(|one| !after.contains(one));
    let come = after.iter().filter(|one| !before.contains(one));
    for (endpoint, by) in gone.map(|one| (one, -1)).chain(come.map(|one| (one, 1))) {
        turn.tell(Event::Watches {
            watcher: pair.aor.clone(),
            endpoint: *endpoint,
            by,
        });
    }
}

/// How a relation stands; none if it is only remembered for a moment.
pub(super) fn standing(notifier: &Notifier) -> Option<Standing> {
    (!notifier.is_over()).then(|| Standing {
        role: Role::Notifier,
        state: notifier.phase().as_str(),
        granted: notifier.is_granted(),
    })
}

fn subscription_record(pair: &Pair, body: Option<Vec<u8>>) -> SubscriptionRecord {
    SubscriptionRecord {
        pair: pair.clone(),
        role: Role::Notifier,
        body: body.map(Into::into),
    }
}

fn document_record(pair: &Pair, body: Option<&[u8]>) -> DocumentRecord {
    DocumentRecord {
        pair: pair.clone(),
        role: Role::Notifier,
        body: body.map(|body| body.to_vec().into()),
    }
}
