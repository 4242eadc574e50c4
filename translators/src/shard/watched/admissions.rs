//! New subscriptions that could not be stored: they are refused, and nothing of them is left.

use std::collections::BTreeMap;

use crate::limits;
use crate::mapping::failure::Own;
use crate::model::Pair;
use crate::shard::question::Question;
use crate::shard::turn::Turn;
use crate::shard::watched::step::Cause;
use crate::shard::{Effects, Shard, Task, TransmitId};
use crate::sip::Tag;

/// New subscriptions by their answer. Whether it was stored is not told, so that old ones make room.
#[derive(Debug, Default)]
pub(in crate::shard) struct Admissions {
    open: BTreeMap<TransmitId, Admission>,
}

/// A subscription that was granted.
#[derive(Debug)]
pub(super) struct Admission {
    question: Question,
    pair: Pair,
    tag: Tag,
    /// Whether it is the first thing between these two.
    first: bool,
}

impl Admission {
    /// A subscription that is granted by the answer to `question`.
    pub(super) fn new(question: &Question, pair: &Pair, tag: Tag, first: bool) -> Self {
        Self {
            question: question.clone(),
            pair: pair.clone(),
            tag,
            first,
        }
    }
}

impl Admissions {
    /// Remembers a subscription until its record must have been stored.
    pub(super) fn insert(&mut self, answer: TransmitId, admission: Admission) {
        if self.open.len() >= limits::ADMISSIONS {
            self.open.pop_first();
        }
        self.open.insert(answer, admission);
    }
}

impl Shard {
    /// Refuses the new subscriptions among effects that were not carried out, and leaves out what
    /// they brought.
    pub(in crate::shard) fn withdraw_watchers(&mut self, effects: &mut Effects, turn: &mut Turn) {
        let answers: Vec<TransmitId> = effects.transmits.iter().map(|one| one.id).collect();
        for answer in answers {
            if let Some(admission) = self.admissions.open.remove(&answer) {
                effects.transmits.retain(|transmit| transmit.id != answer);
                self.tasks.remove(&answer);
                self.withdraw_watcher(&admission, effects, turn);
            }
        }
    }

    fn withdraw_watcher(&mut self, admission: &Admission, effects: &mut Effects, turn: &mut Turn) {
        let Admission {
            question,
            pair,
            tag,
            first,
        } = admission;
        effects.transmits.retain(|transmit| {
            let brought = match self.tasks.get(&transmit.id) {
                Some(Task::Notify(_, of, branch)) if of == tag => Some(*branch),
                Some(Task::Ask(of, _)) if *first && of == pair => {
                    self.tasks.remove(&transmit.id);
                    return false;
                }
                Some(_) | None => None,
            };
            if let Some(branch) = brought {
                self.end_flight(branch, turn);
            }
            brought.is_none()
        });
        self.step(pair, Cause::default(), turn, |notifier, _| {
            notifier.on_withdrawn(*tag, *first)
        });
        let input = (question.origin.link(), question.origin.number());
        effects.settled.retain(|settled| *settled != input);
        self.servers.take_back(&question.key);
        self.answer(question, Own::Overloaded.refusal().answer, turn);
    }
}
