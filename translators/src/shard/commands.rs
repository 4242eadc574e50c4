//! What the operator asks for.

use jid::BareJid;

use crate::limits;
use crate::model::{Mono, Now, Pair, Role, Wall};
use crate::presence::Subscriber;
use crate::shard::turn::Turn;
use crate::shard::{Answered, Command, CommandId, Filter, Relation, Shard};
use crate::sip::subscription::EventReason;

/// How far a shard has come with ending what it has, since the gateway goes away for good.
#[derive(Debug, Default)]
pub(super) enum Leaving {
    /// It does not.
    #[default]
    No,
    /// It begins.
    From,
    /// It came to this pair.
    Behind(Pair),
}

impl Leaving {
    fn begin(&mut self) {
        if let Self::No = self {
            *self = Self::From;
        }
    }

    const fn last(&self) -> Option<&Pair> {
        match self {
            Self::No | Self::From => None,
            Self::Behind(pair) => Some(pair),
        }
    }
}

impl Shard {
    /// Does what the operator asks for.
    pub(super) fn on_command(&mut self, id: CommandId, command: &Command, turn: &mut Turn) {
        let answered = match command {
            Command::Drop(pair, role) => Answered::Changed(self.drop_pair(pair, *role, turn)),
            Command::DropSome => Answered::Changed(self.leave_some(turn)),
            Command::Forget(user) => self.forget(user, turn),
            Command::GiveUp(pair) => return self.give_up_address(id, pair, turn),
            Command::List(filter) => Answered::Relations(self.list(filter, turn)),
            Command::Resync(pair) => {
                let watching = self.resync_watching(pair, turn);
                let watched = self.resync_watched(pair, turn);
                Answered::Changed(usize::from(watching) + usize::from(watched))
            }
            Command::Watch(pair) => Answered::Changed(usize::from(self.let_in(pair, turn))),
        };
        turn.answer(id, answered);
    }

    /// Ends what one or both of a pair watch; returns how many relations that were.
    fn drop_pair(&mut self, pair: &Pair, role: Option<Role>, turn: &mut Turn) -> usize {
        let watching = role != Some(Role::Notifier) && self.drop_watching(pair, turn);
        let watched = role != Some(Role::Subscriber)
            && self.drop_watched(pair, EventReason::Deactivated, turn);
        usize::from(watching) + usize::from(watched)
    }

    /// Ends conversations, and the dialogs of the next pairs, not more than a peer's queue takes;
    /// returns how many those were.
    fn leave_some(&mut self, turn: &mut Turn) -> usize {
        let mut left = match self.leaving {
            Leaving::No => self.leave_conversations(turn),
            Leaving::From | Leaving::Behind(_) => 0,
        };
        self.leaving.begin();
        while left < limits::LEAVE_STEP {
            let next = self.relations.next(self.leaving.last());
            let Some(pair) = next.cloned() else { break };
            left += self.leave_pair(&pair, turn);
            self.leaving = Leaving::Behind(pair);
        }
        left
    }

    /// Ends every dialog of a pair since the gateway goes away for good.
    fn leave_pair(&mut self, pair: &Pair, turn: &mut Turn) -> usize {
        let watching = self.drop_watching(pair, turn);
        let watched = self.leave_watched(pair, turn);
        usize::from(watching) + usize::from(watched)
    }

    fn forget(&mut self, user: &BareJid, turn: &mut Turn) -> Answered {
        let mut forgotten = 0;
        for pair in self.pairs(|pair| is_of(pair, user)) {
            forgotten += usize::from(self.forget_watching(&pair, user, turn));
            forgotten += usize::from(self.drop_watched(&pair, EventReason::NoResource, turn));
        }
        Answered::Changed(forgotten)
    }

    fn pairs(&self, wanted: impl Fn(&Pair) -> bool) -> Vec<Pair> {
        let pairs = self.relations.iter().map(|both| &both.pair);
        pairs.filter(|pair| wanted(pair)).cloned().collect()
    }

    fn list(&self, filter: &Filter, turn: &Turn) -> Vec<Relation> {
        // A pair is asked for again and again: only the few of its XMPP user are looked through.
        let of_pair = filter
            .pair
            .as_ref()
            .map(|pair| self.relations.of_user(&pair.jid));
        let everybody = filter.pair.is_none().then(|| self.relations.iter());
        let all = of_pair
            .into_iter()
            .flatten()
            .chain(everybody.into_iter().flatten());
        let all = all.filter(|both| {
            let pair = &both.pair;
            filter.pair.as_ref().is_none_or(|one| one == pair)
                && filter.user.as_ref().is_none_or(|user| is_of(pair, user))
        });
        let all = all.flat_map(|both| {
            let watching = both.watching.as_ref();
            let watching = watching.map(|one| self.describe_watching(&both.pair, one, turn.now));
            let watched = both.watched.as_ref();
            let watched = watched.map(|one| self.list_watched(&both.pair, one));
            watching.into_iter().chain(watched)
        });
        let wanted = all.filter(|one| !filter.held || one.held);
        wanted.take(filter.most).collect()
    }

    fn describe_watching(&self, pair: &Pair, machine: &Subscriber, now: Now) -> Relation {
        let dialog = machine.dialog().map(|(dialog, end)| {
            let end = end.map_or(now.wall, |end| wall(end, now));
            (dialog.call_id().into_owned(), end)
        });
        let known = machine.known();
        Relation {
            pair: pair.clone(),
            role: Role::Subscriber,
            state: machine.state_name(),
            verdict: self.policy.decide(pair).verdict,
            granted: machine.is_granted(),
            held: machine.is_held(),
            dialogs: dialog.into_iter().collect(),
            looks: 0,
            available: known.map_or(0, |known| known.open().count()),
            fresh_at: machine.heard_at().map(|at| past(at, now)),
            retry_at: machine.retry_at().map(|at| wall(at, now)),
        }
    }

    /// Ends what the XMPP user watches.
    fn drop_watching(&mut self, pair: &Pair, turn: &mut Turn) -> bool {
        let known = self.is_watching(pair);
        self.watch_known(pair, turn, |machine, _| machine.on_drop());
        known
    }

    /// Forgets what the XMPP user watches; he is told if it is the SIP user who is no more.
    fn forget_watching(&mut self, pair: &Pair, user: &BareJid, turn: &mut Turn) -> bool {
        let known = self.is_watching(pair);
        let told = *pair.jid != *user;
        self.watch_known(pair, turn, |machine, _| machine.on_forget(told));
        known
    }

    /// Asks the SIP side for the current state and shows it again.
    fn resync_watching(&mut self, pair: &Pair, turn: &mut Turn) -> bool {
        let known = self.is_watching(pair);
        self.watch_known(pair, turn, |machine, moment| machine.on_resync(moment));
        known
    }
}

/// Whether a user of either side is one of a pair.
fn is_of(pair: &Pair, user: &BareJid) -> bool {
    *pair.jid == *user || pair.aor.image() == user
}

/// A point of the monotonic clock that has passed as one of the wall clock.
fn past(at: Mono, now: Now) -> Wall {
    let ago = i64::try_from(now.mono.since(at).as_millis()).unwrap_or(i64::MAX);
    Wall::from_unix_millis(now.wall.unix_millis().saturating_sub(ago))
}

/// A point of the monotonic clock that is to come as one of the wall clock.
fn wall(at: Mono, now: Now) -> Wall {
    now.wall + at.since(now.mono)
}
