//! All exchanges of a share of the XMPP users, as one state machine.
//!
//! The caller hands in one [`Input`] with the time and gets [`Effects`] back. It makes the durable
//! `changes` permanent in one commit, then reports `settled`, carries out `recalls` and hands the
//! `transmits` on in order, emits the `events`, and calls again with [`Input::Timeout`] at
//! `wake_at`. When the commit fails, nothing that depends on it goes out and the shard is told by
//! [`Input::NotStored`].
//!
//! What becomes of a message is decided in `to_sip` and `to_xmpp`, one for each direction, behind
//! `question`, which reads and answers requests. `bounce` sees to it that the sender of a failed
//! message learns it; `sessions` has the INVITE dialogs of conversations. `journal` keeps the records and `restore` takes them up after a restart;
//! `signals` has what promises nothing.

mod asking;
mod bounce;
mod commands;
mod contract;
mod denied;
mod elsewhere;
mod journal;
mod links;
mod migration;
mod names;
mod outgoing;
mod presence;
mod question;
mod recovery;
mod relations;
mod repeats;
mod restore;
mod route;
mod sessions;
mod showing;
mod signals;
mod to_sip;
mod to_xmpp;
mod turn;
mod watched;
mod watching;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rand::SeedableRng as _;
use rand::rngs::StdRng;

pub use contract::{
    Answered, Change, ChangeId, Class, Command, CommandId, Effects, Event, Fate, Filter, ImKey,
    ImRecord, ImState, Input, Key, Kind, Lane, Place, Record, Relation, Restored, Standing,
    Transmit, TransmitId,
};
pub use route::shard_of;

pub use crate::model::{Lapse, Reason};

use crate::conversation::session::DialogNumber;
use crate::conversation::{Memory, Receipts};
use crate::model::{Directory, Mono, Now, Pair, PeerId, Wall};
use crate::policy::Policy;
use crate::presence::notifier::{Asking, Ended};
use crate::presence::subscriber;
use crate::presence::{Notifier, Subscriber};
use crate::shard::bounce::Bounce;
use crate::shard::commands::Leaving;
use crate::shard::denied::Late;
use crate::shard::journal::Journal;
use crate::shard::links::Links;
use crate::shard::names::Names;
use crate::shard::outgoing::Outgoing;
use crate::shard::recovery::Recovery;
use crate::shard::relations::Relations;
use crate::shard::repeats::Repeats;
use crate::shard::sessions::Sessions;
use crate::shard::showing::Told;
use crate::shard::to_xmpp::{Incoming, StanzaKey};
use crate::shard::turn::{Numbers, Turn};
use crate::shard::watched::{Admissions, Carried};
use crate::sip::dialog::RoutePool;
use crate::sip::transaction::{ClientTransactions, ServerTransactions};
use crate::sip::{Branch, Draft, Tag};
use crate::timers::Timers;

/// See the module documentation.
#[derive(Debug)]
pub struct Shard {
    place: Place,
    rng: StdRng,
    numbers: Numbers,
    directory: Arc<Directory>,
    policy: Arc<Policy>,
    memory: Memory<Box<Outgoing>>,
    receipts: Receipts,
    clients: ClientTransactions<Asked>,
    servers: ServerTransactions,
    /// INVITE dialogs of conversations.
    sessions: Sessions,
    incoming: BTreeMap<StanzaKey, Incoming>,
    bounces: BTreeMap<ImKey, Bounce>,
    /// What waits for the outcome of which transmit.
    tasks: BTreeMap<TransmitId, Task>,
    repeats: Repeats,
    relations: Relations<Subscriber, Notifier>,
    /// Route sets of dialogs, each once.
    routes: RoutePool,
    /// Requests of dialogs that wait for their answer, by branch.
    flights: BTreeMap<Branch, TransmitId>,
    admissions: Admissions,
    /// Last NOTIFYs of dialogs that show something and are not written to a link yet.
    shown: BTreeMap<Branch, Box<Ended>>,
    /// To which pair it is told that the users of a peer are offline.
    lost: BTreeMap<PeerId, Pair>,
    /// When it was told last that endpoints watch as many users as they may.
    crowd_told_at: Option<Mono>,
    /// When relations of an earlier run were taken up.
    restored_at: Option<Wall>,
    recovery: Recovery,
    leaving: Leaving,
    links: Links,
    names: Names,
    /// Peers that are not believed when they end what they granted (peer fault guard).
    suspects: BTreeSet<PeerId>,
    journal: Journal,
    late: Late,
    /// Accepted messages for each SIP peer that have no outcome yet.
    load: BTreeMap<PeerId, usize>,
    timers: Timers<Timer>,
}

/// Who waits for the outcome of a transmit.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Task {
    /// A stanza error for the sender of this message.
    Bounce(ImKey),
    /// The end of a dialog of this pair.
    Bye(Pair, DialogNumber, Branch),
    /// A stanza with a message for the XMPP user.
    Deliver(StanzaKey),
    /// A stanza of a SIP watcher for the XMPP user.
    Ask(Pair, Asking),
    /// A NOTIFY in the dialog of this tag.
    Notify(Pair, Tag, Branch),
    /// The leave that an old address takes of an XMPP user; the operator waits.
    GiveUp(CommandId),
    /// An INVITE.
    Invite(DialogNumber),
    /// The message in flight of this pair.
    Send(Pair),
    /// An answer that shows something to a SIP watcher.
    Showing(Box<Carried>),
    /// A SUBSCRIBE for the XMPP user.
    Subscribe(Pair, subscriber::Asking, Branch),
    /// A stanza for the XMPP user who watches.
    Tell(Pair, Told),
    /// Typing for the SIP user.
    Type(Pair, Branch),
}

impl Task {
    const fn is_of_a_message(&self) -> bool {
        match self {
            Self::Bounce(_)
            | Self::Deliver(_)
            | Self::GiveUp(_)
            | Self::Send(_)
            | Self::Type(..) => true,
            // What waits for a dialog is in the journal.
            Self::Ask(..)
            | Self::Bye(..)
            | Self::Invite(_)
            | Self::Notify(..)
            | Self::Showing(_)
            | Self::Subscribe(..)
            | Self::Tell(..) => false,
        }
    }
}

/// Who waits for the response to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Asked {
    /// The end of a dialog of this pair.
    Bye(Pair, DialogNumber),
    /// A conversation.
    Invite(DialogNumber),
    /// A NOTIFY in the dialog of this tag.
    Notify(Pair, Tag),
    /// The message in flight of this pair.
    Send(Pair),
    /// A SUBSCRIBE for the XMPP user, which is sent to another address of the peer after 503: once.
    Subscribe(Pair, subscriber::Asking, Option<Arc<Draft>>),
    /// Typing for the SIP user, in this dialog if it is one.
    Type(Pair, Option<DialogNumber>),
}

/// What a deadline is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Timer {
    /// A SIP request is answered 504.
    Answer(StanzaKey),
    /// A stanza error is sent again.
    Bounce(ImKey),
    /// The ACK of a 200 to an INVITE is missing.
    Confirm(DialogNumber),
    /// Messages waiting for the SIP user have waited too long.
    Deadline(Pair),
    /// A request of ours has no final answer (Timer F).
    F(Branch),
    /// Nothing can come of an INVITE any more.
    Invite(DialogNumber),
    /// Typing of the SIP user has lapsed.
    Lapse(Pair),
    /// The users of a peer without a link are shown as offline.
    Lost(PeerId),
    /// What became due with the return of a peer goes on.
    Recovery(PeerId),
    /// Typing of the XMPP user is told again.
    Refresh(Pair),
    /// A polite refusal goes out.
    Refuse(u64),
    /// An accepted message is sent to the XMPP user again.
    Resend(StanzaKey),
    /// Something is due in the dialogs of this pair.
    Session(Pair),
    /// Effects that could not be stored are tried again.
    Store,
    /// A SIP request is answered 100.
    Trying(StanzaKey),
    /// Typing of the XMPP user may be told again.
    Typing(Pair),
    /// Something is due to a SIP watcher or the XMPP user he watches.
    Watched(Pair),
    /// Something is due for the XMPP user who watches.
    Watching(Pair),
}

impl Shard {
    /// Creates a shard that knows nothing.
    pub fn new(place: Place, seed: u64, directory: Arc<Directory>, policy: Arc<Policy>) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed),
            numbers: Numbers::new(place.number),
            clients: ClientTransactions::new(place.mark, place.number),
            place,
            directory,
            policy,
            memory: Memory::new(),
            receipts: Receipts::default(),
            servers: ServerTransactions::new(),
            sessions: Sessions::default(),
            incoming: BTreeMap::new(),
            bounces: BTreeMap::new(),
            tasks: BTreeMap::new(),
            repeats: Repeats::default(),
            relations: Relations::new(),
            routes: RoutePool::default(),
            flights: BTreeMap::new(),
            admissions: Admissions::default(),
            shown: BTreeMap::new(),
            lost: BTreeMap::new(),
            crowd_told_at: None,
            restored_at: None,
            recovery: Recovery::default(),
            leaving: Leaving::default(),
            links: Links::default(),
            names: Names::default(),
            suspects: BTreeSet::new(),
            journal: Journal::default(),
            late: Late::default(),
            load: BTreeMap::new(),
            timers: Timers::new(),
        }
    }

    /// Advances the shard by one input.
    pub fn handle(&mut self, input: Input, now: Now) -> Effects {
        // Those effects bring their own recalls, which are older than what they send.
        let comes_back = matches!(input, Input::NotStored(_));
        self.turn(now, |shard, turn| {
            let deferred = shard.journal.deferred();
            shard.take(input, turn);
            if !comes_back {
                shard.recall_deferred(deferred, turn);
            }
        })
    }

    /// Takes up what the disk kept: messages without a fate in the order in which they were accepted,
    /// and relations with their dialogs and last known presence.
    pub fn restore(&mut self, restored: Restored, now: Now) -> Effects {
        self.turn(now, |shard, turn| {
            for record in restored.ims {
                shard.restore_one(record, turn);
            }
            for record in restored.subscriptions {
                shard.restore_relation(record, restored.from_backup, turn);
            }
            for record in restored.documents {
                shard.restore_document(&record, turn);
            }
        })
    }

    /// Whether the outcome of a message is awaited. That of presence need not be: what did not arrive
    /// is told again after the next start.
    pub fn is_busy(&self) -> bool {
        self.tasks.values().any(Task::is_of_a_message) || !self.late.is_empty()
    }

    fn turn(&mut self, now: Now, act: impl FnOnce(&mut Self, &mut Turn)) -> Effects {
        let mut turn = Turn::new(now, self.numbers);
        act(self, &mut turn);
        self.on_timers(&mut turn);
        let (mut effects, numbers) = turn.end();
        self.numbers = numbers;
        let next = self.timers.next().map(|(at, _)| at);
        effects.wake_at = earliest(next, self.memory.next_idle());
        effects
    }

    fn take(&mut self, input: Input, turn: &mut Turn) {
        match input {
            Input::Command(id, command) => self.on_command(id, &command, turn),
            Input::HandedOver(id) => self.on_handed_over(id, turn),
            Input::Iq(origin, iq) => self.on_iq(&origin, &iq, turn),
            Input::LinkLost(_, ids) => {
                for id in ids {
                    self.on_link_lost(id, turn);
                }
            }
            Input::NotStored(effects) => self.on_not_stored(*effects, turn),
            Input::PeerDown(peer) => self.on_peer(peer, false, turn),
            Input::PeerSuspect(peer, suspect) => self.on_suspect(peer, suspect, turn),
            Input::PeerUp(peer) => self.on_peer(peer, true, turn),
            Input::PeersChanged(directory) => self.directory = directory,
            Input::PolicyChanged(policy, affected) => self.on_policy(policy, &affected, turn),
            Input::Presence(origin, presence) => self.on_presence(&origin, &presence, turn),
            Input::Request(origin, request) => self.on_request(origin, *request, false, turn),
            Input::RequestOfMany(origin, request) => self.on_request(origin, *request, true, turn),
            Input::Response(peer, response) => self.on_response(&peer, &response, turn),
            Input::Stanza(origin, stanza) => self.on_stanza(&origin, &stanza, turn),
            Input::StoreReadOnly(read_only) => self.on_read_only(read_only, turn),
            Input::StreamBroken(link) => self.repeats.on_broken(link),
            Input::Timeout => {}
            Input::Undelivered(transmit, lapse) => self.on_undelivered(transmit.id, &lapse, turn),
        }
    }

    fn on_handed_over(&mut self, id: TransmitId, turn: &mut Turn) {
        let task = self.tasks.get(&id).cloned();
        match &task {
            Some(Task::Notify(_, _, branch) | Task::Subscribe(_, _, branch)) => {
                self.recovery.on_written(id, *branch);
            }
            Some(
                Task::Ask(..)
                | Task::Bounce(_)
                | Task::Bye(..)
                | Task::Deliver(_)
                | Task::GiveUp(_)
                | Task::Invite(_)
                | Task::Send(_)
                | Task::Showing(_)
                | Task::Tell(..)
                | Task::Type(..),
            )
            | None => self.on_recovered(id, turn),
        }
        match task {
            None => {}
            Some(Task::Bounce(key)) => {
                self.tasks.remove(&id);
                self.on_error_handed_over(key, turn);
            }
            Some(Task::Ask(pair, asking)) => {
                self.tasks.remove(&id);
                self.on_asked(&pair, asking, turn);
            }
            Some(Task::Bye(_, _, branch)) => {
                self.tasks.remove(&id);
                self.start_timer_f(branch, turn);
            }
            Some(Task::Invite(number)) => self.on_invite_written(number),
            Some(Task::Deliver(key)) => {
                self.tasks.remove(&id);
                self.on_taken(&key, turn);
            }
            Some(Task::GiveUp(command)) => {
                self.tasks.remove(&id);
                turn.answer(command, Answered::Changed(1));
            }
            Some(Task::Showing(_)) => {
                self.tasks.remove(&id);
            }
            Some(Task::Subscribe(pair, asking, branch)) => {
                self.tasks.remove(&id);
                self.on_subscribe_written(&pair, asking, branch, turn);
            }
            Some(Task::Tell(pair, told)) => {
                self.tasks.remove(&id);
                self.on_told(&pair, &told, turn);
            }
            // These wait for a response, before which the link may be lost.
            Some(Task::Notify(_, _, branch)) => {
                self.shown.remove(&branch);
                self.start_timer_f(branch, turn);
            }
            Some(Task::Send(pair)) => self.on_written(&pair, turn),
            Some(Task::Type(_, branch)) => {
                self.tasks.remove(&id);
                self.start_timer_f(branch, turn);
            }
        }
    }

    fn on_undelivered(&mut self, id: TransmitId, lapse: &Lapse, turn: &mut Turn) {
        self.on_recovered(id, turn);
        match self.tasks.remove(&id) {
            None => {}
            Some(Task::Ask(pair, asking)) => self.on_unasked(&pair, asking, Some(lapse), turn),
            Some(Task::Bounce(key)) => self.on_error_lost(key, turn),
            Some(Task::Bye(pair, number, branch)) => {
                self.on_bye_lost(&pair, (number, branch), turn);
            }
            Some(Task::Invite(number)) => self.on_invite_unsent(number, lapse, turn),
            Some(Task::Deliver(key)) => self.on_stanza_undelivered(&key, lapse, turn),
            Some(Task::GiveUp(command)) => turn.answer(command, Answered::Changed(0)),
            Some(Task::Notify(pair, tag, branch)) => {
                self.on_notify_unsent(&pair, (tag, branch), Some(lapse), turn);
            }
            Some(Task::Send(pair)) => self.on_unsent(&pair, lapse, turn),
            Some(Task::Showing(carried)) => {
                self.on_showing_unsent(&carried, Some(lapse), turn);
            }
            Some(Task::Subscribe(pair, asking, branch)) => {
                self.on_subscribe_unsent(&pair, (asking, branch), Some(lapse), turn);
            }
            Some(Task::Tell(pair, told)) => self.on_untold(&pair, &told, Some(lapse), turn),
            Some(Task::Type(pair, branch)) => self.on_typing_lost(&pair, branch, turn),
        }
    }

    fn on_link_lost(&mut self, id: TransmitId, turn: &mut Turn) {
        self.on_recovered(id, turn);
        match self.tasks.remove(&id) {
            None => {}
            Some(Task::Ask(pair, asking)) => self.on_unasked(&pair, asking, None, turn),
            Some(Task::Bounce(key)) => self.on_error_lost(key, turn),
            Some(Task::Bye(pair, number, branch)) => {
                self.on_bye_lost(&pair, (number, branch), turn);
            }
            Some(Task::Invite(number)) => self.on_invite_lost(number, turn),
            Some(Task::Deliver(key)) => self.on_stanza_lost(&key, turn),
            Some(Task::GiveUp(command)) => turn.answer(command, Answered::Changed(0)),
            Some(Task::Notify(pair, tag, branch)) => {
                self.on_notify_unsent(&pair, (tag, branch), None, turn);
            }
            Some(Task::Send(pair)) => self.on_flight_lost(&pair, turn),
            Some(Task::Showing(carried)) => self.on_showing_unsent(&carried, None, turn),
            Some(Task::Subscribe(pair, asking, branch)) => {
                self.on_subscribe_unsent(&pair, (asking, branch), None, turn);
            }
            Some(Task::Tell(pair, told)) => self.on_untold(&pair, &told, None, turn),
            Some(Task::Type(pair, branch)) => self.on_typing_lost(&pair, branch, turn),
        }
    }

    fn on_timers(&mut self, turn: &mut Turn) {
        self.memory.forget_idle(turn.now.mono);
        while let Some(timer) = self.timers.pop_due(turn.now.mono) {
            match timer {
                Timer::Answer(key) => self.on_answer_time(&key, turn),
                Timer::Bounce(key) => self.on_bounce_timer(key, turn),
                Timer::Confirm(number) => self.on_confirm_time(number, turn),
                Timer::Deadline(pair) => self.on_deadline(&pair, turn),
                Timer::F(branch) => self.on_timer_f(branch, turn),
                Timer::Invite(number) => self.on_invite_time(number),
                Timer::Lapse(pair) => self.on_typing_lapse(&pair, turn),
                Timer::Lost(peer) => self.on_peer_lost(peer, turn),
                Timer::Recovery(peer) => self.recover(&peer, turn),
                Timer::Refresh(pair) => self.on_typing_refresh(&pair, turn),
                Timer::Refuse(number) => self.on_refusal_time(number, turn),
                Timer::Resend(key) => self.on_resend(key, turn),
                Timer::Session(pair) => self.on_session_time(&pair, turn),
                Timer::Store => self.on_store_time(turn),
                Timer::Watching(pair) => self.on_watching_time(&pair, turn),
                Timer::Trying(key) => self.on_trying_time(key, turn),
                Timer::Typing(pair) => self.on_typing_time(&pair, turn),
                Timer::Watched(pair) => self.on_watched_time(&pair, turn),
            }
        }
    }
}

fn earliest(one: Option<Mono>, other: Option<Mono>) -> Option<Mono> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
